//! An application as licences see it, its versions in their order, and the suites that applications are in.
//!
//! Source: reconcile-files reference, sections 2 and 5.1.

use std::cmp::Ordering;

use super::{Number, Slot};
use crate::model::pattern::fold;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Publisher, product and edition, folded: versions of one product have the same three.
    pub line: [Box<str>; 3],
    /// Its version.
    pub version: Version,
    /// Whether a licence may be needed at all.
    pub licensable: bool,
    /// The database that it is an option of.
    pub option_of: Option<Slot>,
}

impl Application {
    /// Whether it is another version of the same product: of the same publisher, product and edition, and the product
    /// has a name.
    pub fn is_version_of(&self, other: &Application) -> bool {
        !self.line[1].is_empty() && self.line == other.line
    }
}

/// A version: parts between points. Parts of digits compare as numbers and come before others, which compare as text;
/// a part that is missing counts as 0.
#[derive(Clone, Debug)]
pub struct Version(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Digits without needless zeros: the longer is the greater.
    Digits(usize, Box<str>),
    Other(Box<str>),
}

impl Version {
    /// Reads a version; every text is one.
    pub fn new(text: &str) -> Version {
        let part = |part: &str| {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                let digits = part.trim_start_matches('0');
                Part::Digits(digits.len(), digits.into())
            } else {
                Part::Other(part.into())
            }
        };
        let mut parts: Vec<Part> = fold(text).split('.').map(part).collect();
        // So that equal versions have equal parts.
        while parts.last().is_some_and(|last| matches!(last, Part::Digits(0, _))) {
            parts.pop();
        }
        Version(parts.into())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let zero = Part::Digits(0, "".into());
        let longest = self.0.len().max(other.0.len());
        let part = |version: &Version, at: usize| version.0.get(at).unwrap_or(&zero).clone();
        (0..longest)
            .map(|at| part(self, at).cmp(&part(other, at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// Which applications are members of which suites.
#[derive(Clone, Debug, Default)]
pub struct Suites {
    /// (member, suite), ascending.
    of_member: Vec<(Number, Number)>,
}

impl Suites {
    /// Suites with these (suite, member).
    pub fn new(members: impl IntoIterator<Item = (Number, Number)>) -> Suites {
        let mut of_member: Vec<(Number, Number)> = members.into_iter().map(|(suite, member)| (member, suite)).collect();
        of_member.sort_unstable();
        of_member.dedup();
        Suites { of_member }
    }

    /// The suites that `member` is in, ascending.
    pub fn of(&self, member: Number) -> impl DoubleEndedIterator<Item = Number> + Clone + '_ {
        let start = self.of_member.partition_point(|&(known, _)| known < member);
        let end = self.of_member.partition_point(|&(known, _)| known <= member);
        self.of_member[start..end].iter().map(|&(_, suite)| suite)
    }

    /// Every (member, suite), ascending.
    pub fn pairs(&self) -> &[(Number, Number)] {
        &self.of_member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_numbers_before_texts() {
        let ascending =
            ["", "0.9", "1", "1.2", "1.10", "1.10.1", "18446744073709551616", "1000000000000000000000", "a", "b.1"];
        for pair in ascending.windows(2) {
            assert!(Version::new(pair[0]) < Version::new(pair[1]), "{pair:?}");
        }
        for (a, b) in [("1", "1.0.0"), ("01.2", "1.02"), ("1.A", "1.a"), ("", "0"), ("1..2", "1.0.2")] {
            assert_eq!(Version::new(a), Version::new(b), "{a} {b}");
        }
        assert!(Version::new("1.x") > Version::new("1.99"));
        assert!(Version::new("1.x") > Version::new("1"), "a missing part is 0, and numbers come before texts");
    }

    #[test]
    fn a_member_knows_its_suites() {
        let suites = Suites::new([(7, 1), (3, 1), (3, 2), (3, 1)]);
        assert_eq!(suites.of(1).collect::<Vec<_>>(), [3, 7]);
        assert_eq!(suites.of(0).count(), 0);
    }
}
