//! One Condition or Rule: what it asks of one record, or of two.
//!
//! Source: matching reference, section 4, the table of methods. A null never satisfies Equal, NotEqual, Like, Contains
//! or InRange, as in a database.

use super::matcher::MatcherFault;
use super::normalise::{Normalised, trim};
use super::uuid_key::uuid_key;
use crate::formats::matcher_xml::{Method, Place, TestElement};
use crate::id::shorten;
use crate::model::computer::Property;

/// A Condition or Rule as the Matcher applies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Where it is written.
    pub place: Place,
    /// What it looks at.
    pub property: Property,
    /// As written.
    pub method: Method,
    /// As written; `None` when the Method takes none here.
    pub value: Option<String>,
    pub(super) kind: Kind,
}

/// What a test looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One record, with no regard to another.
    Alone(Alone),
    /// Equality of two records.
    Key(Key),
    /// Both set and different.
    Differ,
    /// Not both set.
    NullInEither,
}

impl Test {
    pub(super) fn new(place: Place, written: &TestElement) -> Result<Test, MatcherFault> {
        let TestElement { property, method, value } = written;
        let method = *method;
        let property: Property = property.parse().map_err(|_| MatcherFault::UnknownProperty(shorten(property)))?;
        let missing = MatcherFault::ValueMissing { place, property, method };
        let between_records = place == Place::Rule && value.is_none();
        let kind = match method {
            Method::Equal if between_records => Kind::Key(Key { property, uuid: false }),
            Method::NotEqual if between_records => Kind::Differ,
            Method::BigOrLittleEndianEqual if place == Place::Condition => {
                return Err(MatcherFault::EndianCondition(property));
            }
            Method::BigOrLittleEndianEqual => Kind::Key(Key { property, uuid: true }),
            Method::NullInEither => Kind::NullInEither,
            Method::Set => Kind::Alone(Alone::Set),
            Method::NotSet => Kind::Alone(Alone::NotSet),
            Method::Equal | Method::NotEqual | Method::Like | Method::Contains | Method::InRange => {
                let value = value.as_deref().ok_or_else(|| missing.clone())?;
                Kind::Alone(Alone::with_value(method, value).ok_or(missing)?)
            }
        };
        let takes_value = matches!(
            kind,
            Kind::Alone(Alone::Equal(_) | Alone::NotEqual(_) | Alone::Like(_) | Alone::Contains(_) | Alone::InRange(_))
        );
        Ok(Test { place, property, method, value: value.clone().filter(|_| takes_value), kind })
    }

    /// Whether the test looks at each record alone.
    pub fn is_alone(&self) -> bool {
        matches!(self.kind, Kind::Alone(_))
    }

    /// Whether one record passes, as far as the test can be answered from it alone.
    pub(super) fn admits(&self, values: &Normalised) -> bool {
        match &self.kind {
            Kind::Alone(alone) => alone.holds(values.get(self.property)),
            Kind::Key(_) | Kind::Differ => values.get(self.property).is_some(),
            Kind::NullInEither => true,
        }
    }

    /// Whether two records pass.
    pub(super) fn links(&self, a: &Normalised, b: &Normalised) -> bool {
        let values = (a.get(self.property), b.get(self.property));
        match (&self.kind, values) {
            (Kind::Alone(alone), (a, b)) => alone.holds(a) && alone.holds(b),
            (Kind::Key(key), _) => key.same(a, b),
            (Kind::Differ, (Some(a), Some(b))) => !a.eq_ignore_ascii_case(b),
            (Kind::Differ, _) => false,
            (Kind::NullInEither, values) => !matches!(values, (Some(_), Some(_))),
        }
    }
}

/// A test of one record; its texts are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    Equal(String),
    NotEqual(String),
    Like(Vec<char>),
    Contains(String),
    InRange(Vec<String>),
    Set,
    NotSet,
}

impl Alone {
    /// The test of a method that takes a Value; `None` when the Value is empty, for it could not have been meant.
    fn with_value(method: Method, value: &str) -> Option<Alone> {
        let folded = value.to_ascii_lowercase();
        let trimmed = trim(&folded).to_owned();
        match method {
            Method::Equal if !trimmed.is_empty() => Some(Alone::Equal(trimmed)),
            Method::NotEqual if !trimmed.is_empty() => Some(Alone::NotEqual(trimmed)),
            // Blanks at their ends are part of what these two look for.
            Method::Like if !folded.is_empty() => Some(Alone::Like(folded.chars().collect())),
            Method::Contains if !folded.is_empty() => Some(Alone::Contains(folded)),
            Method::InRange => {
                let items: Vec<String> =
                    folded.split(',').map(trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
                (!items.is_empty()).then_some(Alone::InRange(items))
            }
            _ => None,
        }
    }

    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Alone::NotSet, value) => value.is_none(),
            (_, None) => false,
            (Alone::Set, Some(_)) => true,
            (Alone::Equal(wanted), Some(value)) => value.eq_ignore_ascii_case(wanted),
            (Alone::NotEqual(unwanted), Some(value)) => !value.eq_ignore_ascii_case(unwanted),
            (Alone::Like(pattern), Some(value)) => like(&value.to_ascii_lowercase(), pattern),
            (Alone::Contains(part), Some(value)) => {
                value.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
            }
            (Alone::InRange(items), Some(value)) => items.iter().any(|item| value.eq_ignore_ascii_case(item)),
        }
    }
}

/// An equality between records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) property: Property,
    /// Whether both byte orders of a UUID are the same.
    uuid: bool,
}

impl Key {
    /// Whether both are set and the same.
    pub(super) fn same(self, a: &Normalised, b: &Normalised) -> bool {
        match (a.get(self.property), b.get(self.property)) {
            (Some(a), Some(b)) if self.uuid => uuid_key(a) == uuid_key(b),
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }

    /// Appends the folded value and an end mark.
    pub(super) fn write(self, values: &Normalised, bytes: &mut Vec<u8>) {
        let value = values.get(self.property).unwrap_or_default();
        if self.uuid {
            bytes.extend(uuid_key(value).into_bytes());
        } else {
            bytes.extend(value.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        bytes.push(0xff); // in no UTF-8 text, so that ("a", "bc") is not ("ab", "c")
    }
}

/// SQL LIKE over the whole value, without an escape: `%` is any run, `_` one character. Both texts are folded.
///
/// Only the last `%` is ever taken back, so the cost is at most the product of the lengths.
fn like(value: &str, pattern: &[char]) -> bool {
    let value: Vec<char> = value.chars().collect();
    let (mut at, mut wanted) = (0, 0);
    let mut last_run: Option<(usize, usize)> = None;
    while at < value.len() {
        match pattern.get(wanted) {
            Some('%') => {
                last_run = Some((at, wanted + 1));
                wanted += 1;
            }
            Some(&c) if c == '_' || c == value[at] => (at, wanted) = (at + 1, wanted + 1),
            _ => match &mut last_run {
                Some((taken, after)) => {
                    *taken += 1;
                    (at, wanted) = (*taken, *after);
                }
                None => return false,
            },
        }
    }
    pattern[wanted..].iter().all(|&c| c == '%')
}
