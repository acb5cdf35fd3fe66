//! Forbidden pairs: records an operator took apart, which never end in one set or on one device again.
//!
//! Source: matching reference, section 7, after step 6.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use crate::model::device::RecordKey;

/// The forbidden pairs of a tenant. Records are named by source and external id, because those outlive an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(RecordKey, RecordKey)>", into = "Vec<(RecordKey, RecordKey)>")]
pub struct Forbidden {
    /// Every record of a pair, ascending; its place here is its number.
    keys: Vec<RecordKey>,
    /// Numbers of the partners of each key.
    partners: Vec<BTreeSet<usize>>,
}

impl Forbidden {
    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether these two may not meet.
    pub fn holds(&self, a: &RecordKey, b: &RecordKey) -> bool {
        let number = |key: &RecordKey| self.number(&key.source, &key.external_id);
        number(a).zip(number(b)).is_some_and(|(a, b)| self.partners[a].contains(&b))
    }

    /// The number of a record that is in some pair.
    pub(super) fn number(&self, source: &str, external_id: &str) -> Option<usize> {
        let compare = |key: &RecordKey| (&*key.source, &*key.external_id).cmp(&(source, external_id));
        self.keys.binary_search_by(compare).ok()
    }

    /// The number of the record of a row, if it is in some pair.
    pub(super) fn number_of(&self, rows: &dyn Rows, row: u32) -> Option<usize> {
        let (source, external_id) = rows.key(row as usize);
        self.number(source, external_id)
    }

    /// Whether some member of `a` may not meet some member of `b`.
    pub(super) fn part(&self, a: &BTreeSet<usize>, b: &BTreeSet<usize>) -> bool {
        let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        !many.is_empty() && few.iter().any(|&number| self.partners[number].iter().any(|other| many.contains(other)))
    }

    /// Pairs within one set of numbers, as (smaller, larger) number.
    pub(super) fn pairs_within(&self, numbers: &BTreeSet<usize>) -> Vec<(usize, usize)> {
        let pairs_of = |a: usize| self.partners[a].range(a + 1..).filter(|b| numbers.contains(b)).map(move |&b| (a, b));
        numbers.iter().flat_map(|&a| pairs_of(a)).collect()
    }

    /// The members of a group that must leave it: each that is younger than a partner that stays.
    ///
    /// `group` is ascending.
    pub(super) fn leavers(&self, rows: &dyn Rows, group: &[u32]) -> BTreeSet<u32> {
        let mut leavers = BTreeSet::new();
        let mut staying = BTreeSet::new();
        for &member in group {
            let Some(number) = self.number_of(rows, member) else { continue };
            let alone = BTreeSet::from([number]);
            if self.part(&alone, &staying) {
                leavers.insert(member);
            } else {
                staying.insert(number);
            }
        }
        leavers
    }
}

/// A pair of a record with itself says nothing and is left out.
impl FromIterator<(RecordKey, RecordKey)> for Forbidden {
    fn from_iter<I: IntoIterator<Item = (RecordKey, RecordKey)>>(pairs: I) -> Forbidden {
        let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a != b).collect();
        let keys: BTreeSet<RecordKey> = pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        let numbers: BTreeMap<&RecordKey, usize> = keys.iter().enumerate().map(|(number, key)| (key, number)).collect();
        let mut partners = vec![BTreeSet::new(); keys.len()];
        for (a, b) in &pairs {
            partners[numbers[a]].insert(numbers[b]);
            partners[numbers[b]].insert(numbers[a]);
        }
        Forbidden { keys: keys.into_iter().collect(), partners }
    }
}

impl From<Vec<(RecordKey, RecordKey)>> for Forbidden {
    fn from(pairs: Vec<(RecordKey, RecordKey)>) -> Forbidden {
        pairs.into_iter().collect()
    }
}

impl From<Forbidden> for Vec<(RecordKey, RecordKey)> {
    fn from(forbidden: Forbidden) -> Vec<(RecordKey, RecordKey)> {
        let all = (0..forbidden.keys.len()).collect();
        let key = |number: usize| forbidden.keys[number].clone();
        forbidden.pairs_within(&all).into_iter().map(|(a, b)| (key(a), key(b))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::rows::Records;
    use crate::matching::tests::fixture::{forbidden, key, records};

    #[test]
    fn a_pair_is_the_same_in_both_directions_and_survives_message_pack() {
        let pairs = forbidden(&[(2, 1), (1, 2), (3, 1), (4, 4)]);
        assert_eq!(pairs, forbidden(&[(1, 3), (1, 2)]));
        assert_eq!(Vec::from(pairs.clone()), [(key(1), key(2)), (key(1), key(3))]);
        let bytes = rmp_serde::to_vec(&pairs).unwrap();
        assert_eq!(rmp_serde::from_slice::<Forbidden>(&bytes).unwrap(), pairs);
        assert!(forbidden(&[(4, 4)]).is_empty() && !pairs.is_empty());
    }

    #[test]
    fn two_groups_part_only_when_a_pair_lies_between_them() {
        let pairs = forbidden(&[(1, 2), (3, 4)]);
        let numbers = |ids: &[u64]| ids.iter().map(|id| pairs.number("s", &id.to_string()).unwrap()).collect();
        for (a, b, expected) in
            [(&[1][..], &[2][..], true), (&[1, 3], &[4], true), (&[1], &[2, 3, 4], true), (&[1, 2], &[3, 4], false)]
        {
            assert_eq!(pairs.part(&numbers(a), &numbers(b)), expected, "{a:?} {b:?}");
            assert_eq!(pairs.part(&numbers(b), &numbers(a)), expected, "{b:?} {a:?}");
        }
        assert!(!pairs.part(&numbers(&[1]), &BTreeSet::new()));
        assert!(!pairs.part(&numbers(&[1]), &numbers(&[1])));
        assert_eq!(pairs.number("S", "1"), None);
        assert_eq!(pairs.number("s", "9"), None);
    }

    #[test]
    fn the_younger_leaves_and_one_that_left_drives_nobody_out() {
        let list = records(&["", "", "", ""]);
        let rows = Records::new(&list);
        let leavers = |pairs: &[(u64, u64)]| Vec::from_iter(forbidden(pairs).leavers(&rows, &[0, 1, 2, 3]));
        assert_eq!(leavers(&[(1, 2), (2, 3)]), [1]);
        assert_eq!(leavers(&[(1, 4), (2, 3)]), [2, 3]);
        assert_eq!(leavers(&[(3, 1)]), [2]);
        assert_eq!(leavers(&[(1, 9)]), [0_u32; 0]);
    }
}
