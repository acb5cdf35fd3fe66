//! One Matcher, checked: what a record must be to take part, and what two records must share.
//!
//! A Rule whose test looks at one record alone is simply a further Condition, and NullInEither tests a pair wherever it
//! is written. So a Matcher is: tests of one record, equality keys (at least one, else it would be quadratic), and at
//! most one of NotEqual or NullInEither, which `group` applies to a class of equal keys.
//!
//! Source: matching reference, section 4.

use super::condition::{Key, Kind, Test};
use super::normalise::Normalised;
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
    /// The equality keys. Never empty.
    keys: Vec<Key>,
    differs: Option<Property>,
    /// Ascending, each once.
    null_in_either: Vec<Property>,
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
        let (mut keys, mut differs, mut null_in_either) = (Vec::new(), None, Vec::new());
        for test in &tests {
            match test.kind {
                Kind::Alone(_) => {}
                Kind::Key(key) => keys.push(key),
                Kind::Differ if differs.is_some() => return Err(MatcherFault::TwoNotEqual),
                Kind::Differ => differs = Some(test.property),
                Kind::NullInEither => null_in_either.push(test.property),
            }
        }
        null_in_either.sort_unstable();
        null_in_either.dedup();
        if keys.is_empty() {
            return Err(MatcherFault::NoEqualityRule);
        }
        if differs.is_some() && !null_in_either.is_empty() {
            return Err(MatcherFault::NotEqualWithNullInEither);
        }
        if null_in_either.len() > NULL_IN_EITHER_MAX {
            return Err(MatcherFault::TooManyNullInEither);
        }
        Ok(Matcher { order: element.order, name: element.name.clone(), tests, keys, differs, null_in_either })
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

    /// The property that must differ within a group.
    pub(crate) fn differs(&self) -> Option<Property> {
        self.differs
    }

    /// The properties that no two linked records may both have set.
    pub(crate) fn null_in_either(&self) -> &[Property] {
        &self.null_in_either
    }

    /// Whether a record meets every one-record test and has all equality properties set.
    pub(crate) fn admits(&self, values: &Normalised) -> bool {
        let passes = |test: &Test| test.admits(values) || !test.is_alone();
        self.keys.iter().all(|key| values.get(key.property).is_some()) && self.tests.iter().all(passes)
    }

    /// Whether two admitted records have the same equality keys.
    pub(crate) fn same_keys(&self, a: &Normalised, b: &Normalised) -> bool {
        self.keys.iter().all(|key| key.same(a, b))
    }

    /// Appends bytes that are the same for two admitted records with the same equality keys.
    pub(crate) fn write_keys(&self, values: &Normalised, bytes: &mut Vec<u8>) {
        self.keys.iter().for_each(|key| key.write(values, bytes));
    }
}
