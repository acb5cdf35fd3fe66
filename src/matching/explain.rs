//! Why two records are one device, or are not: the Matcher that joined them, and where each earlier one failed.
//!
//! Source: matching reference, sections 4 to 6; interfaces, `GET /devices/{id}/explain`.

use serde::{Deserialize, Serialize};

use super::condition::Test;
use super::matcher::Matcher;
use super::matchers::Matchers;
use super::normalise::Normalised;
use crate::formats::matcher_xml::{Method, Place};
use crate::model::computer::Property;

/// Why a pair of records is, or is not, one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The Matcher that joined them; `None` when none did.
    pub joined: Option<Joined>,
    /// The Matchers tried before, in order; all of them when none joined the pair.
    pub tried: Vec<Tried>,
}

/// The Matcher that joined a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Its Order.
    pub order: i64,
    /// Its title.
    pub name: String,
    /// The values its Rules compared, in the order of the Rules.
    pub compared: Vec<Compared>,
}

/// A property and its value in both records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The property.
    pub property: Property,
    /// Its value in the first record, in the case the source wrote it.
    pub first: Option<String>,
    /// Its value in the second record.
    pub second: Option<String>,
}

/// A Matcher that did not join a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its Order.
    pub order: i64,
    /// Its title.
    pub name: String,
    /// The first Condition or Rule that failed. `None` when all hold for the pair: then a third record contradicted one
    /// of them, or one was already taken by another Matcher, or the pair is forbidden.
    pub failed: Option<Failed>,
}

/// A Condition or Rule that a pair fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Where it is written.
    pub place: Place,
    /// How it compares.
    pub method: Method,
    /// With what, when it names a text.
    pub value: Option<String>,
    /// Who failed it.
    pub by: FailedBy,
    /// What it looked at.
    pub values: Compared,
}

/// Who fails a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedBy {
    /// The first record.
    First,
    /// The second record.
    Second,
    /// Each of them.
    Both,
    /// Only the two together.
    Pair,
}

/// Explains a pair. `joined_by` is the Order of the Matcher whose set or device holds both, `None` when none does.
///
/// Of several Matchers of that Order the first one that links the two is named, else the first one: a pair may have
/// been joined through others of its group, and then some of the values compared differ or are null.
pub fn explain_pair(
    matchers: &Matchers,
    joined_by: Option<i64>,
    first: &Normalised,
    second: &Normalised,
) -> Explanation {
    let of_order = || matchers.iter().filter(|matcher| Some(matcher.order()) == joined_by);
    let joining = of_order().find(|matcher| failed(matcher, first, second).is_none()).or_else(|| of_order().next());
    let before = matchers.iter().take_while(|matcher| !joining.is_some_and(|joining| std::ptr::eq(joining, *matcher)));
    let tried = before.map(|matcher| Tried {
        order: matcher.order(),
        name: matcher.name().to_owned(),
        failed: failed(matcher, first, second),
    });
    let joined = joining.map(|matcher| Joined {
        order: matcher.order(),
        name: matcher.name().to_owned(),
        compared: rules(matcher).map(|rule| compared(rule, first, second)).collect(),
    });
    Explanation { joined, tried: tried.collect() }
}

/// The tests of a Matcher that compare two records.
fn rules(matcher: &Matcher) -> impl Iterator<Item = &Test> {
    matcher.tests().iter().filter(|test| !test.is_alone())
}

fn failed(matcher: &Matcher, first: &Normalised, second: &Normalised) -> Option<Failed> {
    let test = matcher.tests().iter().find(|test| !test.links(first, second))?;
    let by = match (test.admits(first), test.admits(second)) {
        (false, true) => FailedBy::First,
        (true, false) => FailedBy::Second,
        (false, false) => FailedBy::Both,
        (true, true) => FailedBy::Pair,
    };
    let values = compared(test, first, second);
    Some(Failed { place: test.place, method: test.method, value: test.value.clone(), by, values })
}

fn compared(test: &Test, first: &Normalised, second: &Normalised) -> Compared {
    let text = |values: &Normalised| values.get(test.property).map(str::to_owned);
    Compared { property: test.property, first: text(first), second: text(second) }
}
