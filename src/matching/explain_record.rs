//! Why one record of an import is in its set, or alone: what each Matcher made of it.
//!
//! Source: matching reference, sections 5 and 6.

use super::condition::Key;
use super::explain::{Compared, Failed, FailedBy, compared, rules};
use super::forbidden::Forbidden;
use super::keys::Keys;
use super::matcher::Matcher;
use super::matchers::Matchers;
use super::normalise::Normalised;
use super::phase1::MatchedSets;
use super::plan::{Plan, PlannedMatcher};
use super::rows::Rows;
use crate::model::computer::Property;

/// Most other records that an explanation names.
const OTHERS_MAX: usize = 5;

/// What each Matcher made of a record, in order, up to the one that joined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordExplanation {
    /// The record.
    pub record_id: u64,
    /// The other records of its set, the first few.
    pub others: Vec<u64>,
    /// How many others there are.
    pub others_count: usize,
    /// The Matcher that joined them, its title, and the values it compared in this record and in the first other one.
    pub joined: Option<(i64, String, Vec<Compared>)>,
    /// The Matchers before that; all of them for a record that stands alone.
    pub tried: Vec<Attempt>,
}

/// A Matcher that did not join a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its Order.
    pub order: i64,
    /// Its title.
    pub name: String,
    /// What kept it from joining.
    pub obstacle: Obstacle,
}

/// What kept a Matcher from joining a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The record itself fails a Condition, or lacks a value that a Rule compares.
    Record(Failed),
    /// No other record has these values.
    Unique(Vec<(Property, String)>),
    /// The others with these values had been joined before: record_id and Order.
    Taken(Vec<(u64, i64)>),
    /// NotEqual: others have the same keys, but none differs in this property, such as that record.
    Alike {
        /// What would have to differ.
        property: Property,
        /// A record that has the same keys.
        other: u64,
    },
    /// NullInEither: this record and another one with the same keys both have the property set.
    BothSet {
        /// The other record.
        other: u64,
        /// The values of this record and of the other one.
        values: Compared,
    },
    /// NullInEither: two others with the same keys contradict each other, so that neither may join.
    Contradiction {
        /// The two.
        others: [u64; 2],
        /// Their values.
        values: Compared,
    },
    /// An operator took this record and another one apart.
    Forbidden(u64),
}

/// Explains the record of a row. `keys` are those of `rows` by `plan`, `plan` that of `matchers`, and `sets` come of them.
/// Cost: one pass over the keys for each Matcher that admits the record.
pub fn explain_record(
    matchers: &Matchers,
    plan: &Plan,
    rows: &dyn Rows,
    keys: &Keys,
    sets: &MatchedSets,
    forbidden: &Forbidden,
    row: usize,
) -> RecordExplanation {
    let set_of = sets.set_of();
    let set = sets.get(set_of[row] as usize);
    let others: Vec<usize> = set.members.iter().map(|&member| member as usize).filter(|other| *other != row).collect();
    let own = normalised(rows, row);
    let (mut tried, mut joined) = (Vec::new(), None);
    for (matcher, planned) in matchers.iter().zip(&plan.matchers) {
        let first = others.first().copied();
        if Some(matcher.order()) == set.matcher
            && let Some(first) = first
            && same_keys(planned, rows, row, first)
            && planned.admits(keys.shape(row))
        {
            let second = normalised(rows, first);
            let compared = rules(matcher).map(|rule| compared(rule.property, &own, &second)).collect();
            joined = Some((matcher.order(), matcher.name().to_owned(), compared));
            break;
        }
        let order_of = |other: usize| sets.get(set_of[other] as usize).matcher;
        let obstacle = obstacle(matcher, planned, rows, keys, &order_of, forbidden, row, &own);
        tried.push(Attempt { order: matcher.order(), name: matcher.name().to_owned(), obstacle });
    }
    RecordExplanation {
        record_id: rows.record_id(row),
        others: others.iter().take(OTHERS_MAX).map(|&other| rows.record_id(other)).collect(),
        others_count: others.len(),
        joined,
        tried,
    }
}

#[expect(clippy::too_many_arguments, reason = "all of it is what the caller was given")]
fn obstacle(
    matcher: &Matcher,
    planned: &PlannedMatcher,
    rows: &dyn Rows,
    keys: &Keys,
    order_of: &dyn Fn(usize) -> Option<i64>,
    forbidden: &Forbidden,
    row: usize,
    own: &Normalised,
) -> Obstacle {
    if let Some(test) = matcher.tests().iter().find(|test| !test.admits(own)) {
        return Obstacle::Record(Failed {
            place: test.place,
            method: test.method,
            value: test.value.clone(),
            by: FailedBy::First,
            values: Compared {
                property: test.property,
                first: own.get(test.property).map(str::to_owned),
                second: None,
            },
        });
    }
    let own_key = keys.candidates(planned, 0, |_, _| true, |other| other == row).into_iter().flatten().next();
    let found =
        keys.candidates(planned, 0, |_, hash| own_key.is_some_and(|own| own.hash == hash), |other| other != row);
    let alike = found.iter().flatten().filter(|other| own_key.is_some_and(|own| own.is_like(other)));
    let same: Vec<usize> = alike.map(|other| other.node as usize).collect();
    if same.is_empty() {
        let value = |key: &Key| Some((key.property, own.get(key.property)?.to_owned()));
        return Obstacle::Unique(planned.keys.iter().filter_map(value).collect());
    }
    let is_taken = |other: &usize| order_of(*other).is_some_and(|order| order < planned.order);
    let in_pool: Vec<usize> = same.iter().copied().filter(|other| !is_taken(other)).collect();
    let Some(&other) = in_pool.first() else {
        let taken = same.iter().filter_map(|&other| Some((rows.record_id(other), order_of(other)?)));
        return Obstacle::Taken(taken.take(OTHERS_MAX).collect());
    };
    let apart = |other: &&usize| !forbidden.leavers(rows, &pair(row, **other)).is_empty();
    if let Some(&apart) = in_pool.iter().find(apart) {
        return Obstacle::Forbidden(rows.record_id(apart));
    }
    if let Some(property) = planned.differs {
        return Obstacle::Alike { property, other: rows.record_id(other) };
    }
    let text = |row: usize, property: Property| rows.text(row, property);
    for &property in &planned.null_in_either {
        let is_set = |other: &&usize| text(**other, property).is_some();
        let mut set = in_pool.iter().filter(is_set);
        if own.get(property).is_some()
            && let Some(&other) = set.next()
        {
            let values = compared(property, own, &normalised(rows, other));
            return Obstacle::BothSet { other: rows.record_id(other), values };
        }
        // It lacks the value itself, and those that have it contradict each other.
        let Some(&one) = set.next() else { continue };
        let differs = |other: &&usize| {
            text(**other, property).zip(text(one, property)).is_some_and(|(a, b)| !a.eq_ignore_ascii_case(b))
        };
        if let Some(&another) = set.find(differs) {
            let values = compared(property, &normalised(rows, one), &normalised(rows, another));
            return Obstacle::Contradiction { others: [one, another].map(|other| rows.record_id(other)), values };
        }
    }
    // Another Matcher of the same Order has joined them.
    let taken = in_pool.iter().filter_map(|&other| Some((rows.record_id(other), order_of(other)?)));
    Obstacle::Taken(taken.take(OTHERS_MAX).collect())
}

fn pair(a: usize, b: usize) -> [u32; 2] {
    [a.min(b) as u32, a.max(b) as u32]
}

fn same_keys(planned: &PlannedMatcher, rows: &dyn Rows, a: usize, b: usize) -> bool {
    planned.keys.iter().all(|key| match (rows.text(a, key.property), rows.text(b, key.property)) {
        (Some(a), Some(b)) => key.same_text(a, b),
        _ => false,
    })
}

/// A row in the form that explanations read.
pub fn normalised(rows: &dyn Rows, row: usize) -> Normalised {
    Normalised::of_normalised(
        Property::ALL.into_iter().filter_map(|property| Some((property, rows.text(row, property)?))),
    )
}
