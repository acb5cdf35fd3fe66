//! One Matcher, checked: what a record must be to take part, and what two records must share.
//!
//! A Rule whose test looks at one record alone is simply a further Condition, and NullInEither tests a pair wherever it
//! is written. So a Matcher is: tests of one record, equality keys (at least one, else it would be quadratic), and at
//! most one of NotEqual or NullInEither, which `group` applies to a class of equal keys.
//!
//! Source: matching reference, section 4.

use std::collections::BTreeSet;

use super::condition::{Kind, Test};
use crate::formats::matcher_xml::{MatcherElement, Method, Place};
use crate::model::computer::Property;

/// Most properties of one Matcher under NullInEither. `group` compares the masks of null and set values that occur in
/// a class, at most 2^8, pairwise: a class of n records costs at most 256 n steps.
pub const NULL_IN_EITHER_MAX: usize = 8;

/// What makes a Matcher of a well-formed file useless or dangerous.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherFault {
    /// Not one of the properties of a computer.
    #[error("unknown property `{0}`; the matching reference lists the properties")]
    UnknownProperty(String),
    /// A method that needs a Value has none, or an empty one.
    #[error("{place} on {property}: {method} needs a `Value`")]
    ValueMissing {
        /// Where it is written.
        place: Place,
        /// What it looks at.
        property: Property,
        /// The method.
        method: Method,
    },
    /// BigOrLittleEndianEqual compares two records, so it cannot be a Condition.
    #[error("Condition on {0}: BigOrLittleEndianEqual compares two records; make it a Rule")]
    EndianCondition(Property),
    /// Without an equality every record would have to be compared with every other.
    #[error("no Rule compares records by Equal or BigOrLittleEndianEqual without a `Value`; add one")]
    NoEqualityRule,
    /// Two NotEqual Rules between records.
    #[error("more than one NotEqual Rule; keep one")]
    TwoNotEqual,
    /// NotEqual between records together with NullInEither.
    #[error("a NotEqual Rule together with NullInEither; make two Matchers of it")]
    NotEqualWithNullInEither,
    /// Over [`NULL_IN_EITHER_MAX`].
    #[error("NullInEither on more than {NULL_IN_EITHER_MAX} properties")]
    TooManyNullInEither,
}

/// A checked Matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    order: i64,
    name: String,
    /// Conditions, then Rules, in file order.
    tests: Vec<Test>,
}

impl Matcher {
    /// Checks a Matcher as written.
    pub fn new(element: &MatcherElement) -> Result<Matcher, MatcherFault> {
        let mut tests = Vec::with_capacity(element.conditions.len() + element.rules.len());
        for (place, list) in [(Place::Condition, &element.conditions), (Place::Rule, &element.rules)] {
            for test in list {
                tests.push(Test::new(place, test)?);
            }
        }
        let of_kind = |wanted: fn(&Kind) -> bool| tests.iter().filter(move |test| wanted(&test.kind));
        if of_kind(|kind| matches!(kind, Kind::Key(_))).next().is_none() {
            return Err(MatcherFault::NoEqualityRule);
        }
        let nulls: BTreeSet<Property> = of_kind(|kind| *kind == Kind::NullInEither).map(|test| test.property).collect();
        match of_kind(|kind| *kind == Kind::Differ).count() {
            0 => {}
            1 if nulls.is_empty() => {}
            1 => return Err(MatcherFault::NotEqualWithNullInEither),
            _ => return Err(MatcherFault::TwoNotEqual),
        }
        if nulls.len() > NULL_IN_EITHER_MAX {
            return Err(MatcherFault::TooManyNullInEither);
        }
        Ok(Matcher { order: element.order, name: element.name.clone(), tests })
    }

    /// Lower ones run first.
    pub fn order(&self) -> i64 {
        self.order
    }

    /// Its title; empty when the file gives none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Conditions, then its Rules, in file order.
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }
}
