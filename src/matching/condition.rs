//! One Condition or Rule: what it asks of one record, or of two.
//!
//! Source: matching reference, section 4, the table of methods. A null never satisfies Equal, NotEqual, Like, Contains
//! or InRange, as in a database.

use super::matcher::MatcherFault;
use super::normalise::{Normalised, trim};
use super::uuid_key::UuidKey;
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

    pub(super) fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Alone::NotSet, value) => value.is_none(),
            (_, None) => false,
            (Alone::Set, Some(_)) => true,
            (Alone::Equal(wanted), Some(value)) => value.eq_ignore_ascii_case(wanted),
            (Alone::NotEqual(unwanted), Some(value)) => !value.eq_ignore_ascii_case(unwanted),
            (Alone::Like(pattern), Some(value)) => like(&value.to_ascii_lowercase(), pattern),
            (Alone::Contains(part), Some(value)) => contains(value.as_bytes(), part.as_bytes()),
            (Alone::InRange(items), Some(value)) => items.iter().any(|item| value.eq_ignore_ascii_case(item)),
        }
    }
}

/// Whether `part`, folded and not empty, occurs in `value`. Looks closer only where its first byte stands.
fn contains(value: &[u8], part: &[u8]) -> bool {
    let (Some(&first), Some(last)) = (part.first(), value.len().checked_sub(part.len())) else { return false };
    let starts = memchr::memchr2_iter(first, first.to_ascii_uppercase(), &value[..=last]);
    starts.into_iter().any(|at| value[at..at + part.len()].eq_ignore_ascii_case(part))
}

/// An equality between records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) property: Property,
    /// Whether both byte orders of a UUID are the same.
    pub(super) uuid: bool,
}

impl Key {
    /// Whether both are set and the same.
    fn same(self, a: &Normalised, b: &Normalised) -> bool {
        match (a.get(self.property), b.get(self.property)) {
            (Some(a), Some(b)) => self.same_text(a, b),
            _ => false,
        }
    }

    /// Whether two values are the same.
    pub(super) fn same_text(self, a: &str, b: &str) -> bool {
        a.eq_ignore_ascii_case(b) || (self.uuid && UuidKey::of(a).same(UuidKey::of(b)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::fixture::normalised;

    fn test(place: Place, method: Method, value: Option<&str>) -> Result<Test, MatcherFault> {
        let written = TestElement { property: "vmname".into(), method, value: value.map(str::to_owned) };
        Test::new(place, &written)
    }

    /// Whether a value (null when empty) passes a Condition; a Rule with Value must say the same.
    fn passes(method: Method, value: &str, given: &str) -> bool {
        let record = normalised(&format!("VMName={given}"));
        let empty = normalised("");
        let rule = test(Place::Rule, method, Some(value)).unwrap();
        let condition = test(Place::Condition, method, Some(value)).unwrap();
        assert!(condition.is_alone() && rule.is_alone());
        let holds = condition.admits(&record);
        assert_eq!(rule.admits(&record), holds);
        for test in [rule, condition] {
            assert_eq!(test.links(&record, &record), holds);
            let with_null = holds && test.admits(&empty);
            assert_eq!((test.links(&record, &empty), test.links(&empty, &record)), (with_null, with_null));
        }
        holds
    }

    /// Whether two values (null when empty) pass a Rule, which must not depend on their order.
    fn links(method: Method, first: &str, second: &str) -> bool {
        let rule = test(Place::Rule, method, None).unwrap();
        let [a, b] = [first, second].map(|given| normalised(&format!("VMName={given}")));
        assert_eq!(rule.links(&a, &b), rule.links(&b, &a));
        rule.links(&a, &b)
    }

    #[test]
    fn equal_to_a_value_folds_and_trims_it() {
        assert!(passes(Method::Equal, " \t\0LPAR ", "lpar"));
        assert!(passes(Method::Equal, "lpar", "LPAR"));
        for given in ["lpa", "lparx", "l par", ""] {
            assert!(!passes(Method::Equal, "LPAR", given), "{given}");
        }
        assert!(!passes(Method::Equal, "É", "é"));
    }

    #[test]
    fn not_equal_to_a_value_needs_a_value() {
        assert!(passes(Method::NotEqual, " LPAR", "zone"));
        assert!(!passes(Method::NotEqual, " LPAR", "lpar"));
        assert!(!passes(Method::NotEqual, "LPAR", ""));
    }

    #[test]
    fn like_matches_the_whole_value_with_runs_and_single_characters() {
        for (pattern, given) in [
            ("%", "x"),
            ("abc", "ABC"),
            ("A%", "abc"),
            ("%C", "abc"),
            ("a%c", "ac"),
            ("a%b%c", "a1b2b3c"),
            ("%b%b%", "abcb"),
            ("_", "é"),
            ("a_c", "abc"),
            ("%_", "x"),
            ("__%", "ab"),
            ("%ab", "aab"),
            ("%a_", "aaab"),
            ("a%%b", "ab"),
            ("% x", "a x"),
        ] {
            assert!(passes(Method::Like, pattern, given), "{pattern} {given}");
        }
        for (pattern, given) in [
            ("%", ""),
            ("abc", "abcd"),
            ("bc", "abc"),
            ("a", "abc"),
            ("a_c", "ac"),
            ("_", "ab"),
            ("__%", "a"),
            ("%b", "abc"),
            ("b%", "abc"),
            ("a%b%c", "acb"),
            ("a\\%", "a%"),
            ("[a]", "a"),
            ("*", "a"),
            ("a ", "a"),
            ("%é", "É"),
        ] {
            assert!(!passes(Method::Like, pattern, given), "{pattern} {given}");
        }
    }

    #[test]
    fn like_takes_no_longer_than_the_product_of_the_lengths() {
        let given = "a".repeat(5_000);
        assert!(!passes(Method::Like, &format!("{}b", "%a".repeat(500)), &given));
    }

    #[test]
    fn contains_finds_the_value_at_any_place() {
        for given in ["VMware", "the vmWARE", "vmware esx", "x vmware y"] {
            assert!(passes(Method::Contains, "VMware", given), "{given}");
        }
        for given in ["", "vm ware", "vmwar", "mware"] {
            assert!(!passes(Method::Contains, "vmware", given), "{given}");
        }
        assert!(!passes(Method::Contains, " x", "x"), "blanks of the Value count");
        assert!(!passes(Method::Contains, "%", "x"), "no wild cards");
    }

    #[test]
    fn in_range_takes_one_of_the_trimmed_items_and_drops_empty_ones() {
        for given in ["vpar", "LPAR", "Zone x"] {
            assert!(passes(Method::InRange, " vPar ,,lpar, , zone X", given), "{given}");
        }
        for given in ["", "vPar,lpar", "par", "zone", ","] {
            assert!(!passes(Method::InRange, " vPar ,,lpar, , zone X", given), "{given}");
        }
    }

    #[test]
    fn set_and_not_set_look_at_each_record_alone_and_take_no_value() {
        for place in [Place::Condition, Place::Rule] {
            let (set, null) = (normalised("VMName=a"), normalised(""));
            for value in [None, Some("a")] {
                let is_set = test(place, Method::Set, value).unwrap();
                let not_set = test(place, Method::NotSet, value).unwrap();
                assert!(is_set.is_alone() && not_set.is_alone());
                assert_eq!((is_set.value.as_ref(), not_set.value.as_ref()), (None, None));
                assert!(is_set.admits(&set) && !is_set.admits(&null));
                assert!(not_set.admits(&null) && !not_set.admits(&set));
                assert!(is_set.links(&set, &set) && !is_set.links(&set, &null) && !is_set.links(&null, &null));
                assert!(not_set.links(&null, &null) && !not_set.links(&set, &null) && !not_set.links(&set, &set));
            }
        }
    }

    #[test]
    fn a_rule_without_value_compares_two_records() {
        assert!(links(Method::Equal, "Ab", "aB") && !links(Method::Equal, "a", "b"));
        assert!(links(Method::NotEqual, "a", "b") && !links(Method::NotEqual, "Ab", "aB"));
        assert!(links(Method::BigOrLittleEndianEqual, "Ab", "aB") && !links(Method::BigOrLittleEndianEqual, "a", "b"));
        let swapped = ("00112233445566778899AABBCCDDEEFF", "33221100-5544-7766-8899-AABBCCDDEEFF");
        assert!(links(Method::BigOrLittleEndianEqual, swapped.0, swapped.1));
        assert!(!links(Method::Equal, swapped.0, swapped.1));
    }

    #[test]
    fn a_null_never_equals_or_differs() {
        for method in [Method::Equal, Method::NotEqual, Method::BigOrLittleEndianEqual] {
            assert!(!links(method, "", "") && !links(method, "a", ""), "{method}");
        }
    }

    #[test]
    fn null_in_either_tests_a_pair_wherever_it_is_written() {
        assert!(links(Method::NullInEither, "", "") && links(Method::NullInEither, "a", ""));
        assert!(!links(Method::NullInEither, "a", "a") && !links(Method::NullInEither, "a", "b"));
        for place in [Place::Condition, Place::Rule] {
            assert_eq!(test(place, Method::NullInEither, Some("x")).unwrap().kind, Kind::NullInEither);
        }
    }

    #[test]
    fn a_method_that_lacks_its_value_is_refused() {
        let missing = |place, method| Err(MatcherFault::ValueMissing { place, property: Property::VMName, method });
        for method in [Method::Equal, Method::NotEqual, Method::Like, Method::Contains, Method::InRange] {
            assert_eq!(test(Place::Condition, method, None), missing(Place::Condition, method));
            assert_eq!(test(Place::Condition, method, Some("")), missing(Place::Condition, method));
            assert_eq!(test(Place::Rule, method, Some("")), missing(Place::Rule, method));
        }
        for method in [Method::Like, Method::Contains, Method::InRange] {
            assert_eq!(test(Place::Rule, method, None), missing(Place::Rule, method));
        }
        for (method, blank) in [(Method::Equal, " "), (Method::NotEqual, "\t"), (Method::InRange, " , ,")] {
            assert_eq!(test(Place::Condition, method, Some(blank)), missing(Place::Condition, method));
        }
    }

    #[test]
    fn an_endian_comparison_is_refused_as_a_condition() {
        let refused = Err(MatcherFault::EndianCondition(Property::VMName));
        assert_eq!(test(Place::Condition, Method::BigOrLittleEndianEqual, None), refused);
        assert_eq!(test(Place::Condition, Method::BigOrLittleEndianEqual, Some("x")), refused);
    }

    #[test]
    fn an_unknown_property_is_refused() {
        let written = TestElement { property: "Serial".into(), method: Method::Set, value: None };
        assert_eq!(Test::new(Place::Rule, &written), Err(MatcherFault::UnknownProperty("Serial".into())));
    }
}
