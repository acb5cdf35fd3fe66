//! Phase 1: records into sets, each known to be one device.
//!
//! Source: matching reference, section 5.

use serde::{Deserialize, Serialize};

use super::forbidden::Forbidden;
use super::group::{Conflicts, Groups, Nodes, group, groups};
use super::keys::Keys;
use super::plan::{Plan, PlannedMatcher};
use super::rows::Rows;

/// Records known to be one device; often only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedSet<'a> {
    /// Order of the Matcher that joined them; `None` for a set of one.
    pub matcher: Option<i64>,
    /// Rows of the import, ascending by record_id; never empty.
    pub members: &'a [u32],
}

impl MatchedSet<'_> {
    /// What names the set in outputs: its smallest record_id.
    pub fn id(&self, rows: &dyn Rows) -> u64 {
        rows.record_id(self.members[0] as usize)
    }

    /// The record_ids of its members, ascending.
    pub fn record_ids(&self, rows: &dyn Rows) -> Vec<u64> {
        self.members.iter().map(|&member| rows.record_id(member as usize)).collect()
    }
}

/// Records that a Matcher left alone because they say different things in a property that must be null in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Order of the Matcher.
    pub matcher: i64,
    /// Classes of equal keys in which that was so.
    pub classes: u64,
    /// Their records that stayed in the pool for it.
    pub records: u64,
}

/// The sets of an import, ascending by their smallest record_id. Kept flat: 4 bytes a record, 12 a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchedSets {
    members: Vec<u32>,
    ends: Vec<u32>,
    matchers: Vec<Option<i64>>,
    conflicts: Vec<Conflict>,
}

impl MatchedSets {
    /// How many sets there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The set at a place; panics behind the last one, like an index.
    pub fn get(&self, place: usize) -> MatchedSet<'_> {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        MatchedSet { matcher: self.matchers[place], members: &self.members[start as usize..self.ends[place] as usize] }
    }

    /// The sets, ascending.
    pub fn iter(&self) -> impl Iterator<Item = MatchedSet<'_>> {
        (0..self.count()).map(|place| self.get(place))
    }

    /// One for each Matcher that met contradicting records, in their order.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Per row of the import: the place of its set.
    pub fn set_of(&self) -> Vec<u32> {
        let mut set_of = vec![0; self.members.len()];
        for (place, set) in (0..).zip(self.iter()) {
            set.members.iter().for_each(|&member| set_of[member as usize] = place);
        }
        set_of
    }

    /// `first_of` names for each row the smallest row of its set, `by` for each smallest row of two or more the Matcher.
    fn new(first_of: &[u32], by: impl Fn(u32) -> Option<i64>) -> MatchedSets {
        let mut sizes = vec![0_u32; first_of.len()];
        first_of.iter().for_each(|&first| sizes[first as usize] += 1);
        let mut sets = MatchedSets::default();
        let mut end = 0;
        for (row, size) in sizes.iter_mut().enumerate().filter(|(_, size)| **size > 0) {
            sets.matchers.push(if *size > 1 { by(row as u32) } else { None });
            // From here on: where the next member goes.
            (*size, end) = (end, end + *size);
            sets.ends.push(end);
        }
        sets.members = vec![0; first_of.len()];
        for (row, &first) in first_of.iter().enumerate() {
            let next = &mut sizes[first as usize];
            sets.members[*next as usize] = row as u32;
            *next += 1;
        }
        sets
    }
}

/// Groups the rows of an import into sets; every record ends in exactly one.
///
/// The Matchers run in order, each over the records that no earlier one took. `keys` are those of `rows` by this plan.
/// Cost: for each Matcher one look at every row's shape, and a sort of those it admits.
pub fn phase1(plan: &Plan, rows: &dyn Rows, keys: &Keys, forbidden: &Forbidden) -> MatchedSets {
    let nodes = Nodes { records: rows, count: u32::MAX, devices: rows };
    let mut first_of: Vec<u32> = (0..rows.count() as u32).collect();
    // Per row: the place of the Matcher that took it.
    let mut taken_by = vec![FREE; rows.count()];
    let mut conflicts = Vec::new();
    for (place, matcher) in (0..).zip(&plan.matchers) {
        let is_left = |row: usize| taken_by[row] == FREE;
        let candidates = keys.candidates(matcher, 0, |_, _| true, is_left);
        let mut met = Conflicts::default();
        for found in groups(matcher, &nodes, candidates, &|_| true) {
            met.classes += found.conflicts.classes;
            met.nodes += found.conflicts.nodes;
            for group in allowed(matcher, &nodes, rows, forbidden, found).iter() {
                for &member in group {
                    (first_of[member as usize], taken_by[member as usize]) = (group[0], place);
                }
            }
        }
        if met.classes > 0 {
            conflicts.push(Conflict { matcher: matcher.order, classes: met.classes, records: met.nodes });
        }
    }
    let by = |first: u32| Some(plan.matchers[taken_by[first as usize] as usize].order);
    MatchedSets { conflicts, ..MatchedSets::new(&first_of, by) }
}

/// No Matcher took the row.
const FREE: u32 = u32::MAX;

/// The groups, without the younger record of each forbidden pair.
fn allowed(
    matcher: &PlannedMatcher,
    nodes: &Nodes<'_>,
    rows: &dyn Rows,
    forbidden: &Forbidden,
    found: Groups,
) -> Groups {
    if forbidden.is_empty() {
        return found;
    }
    let mut kept = Groups::default();
    for members in found.iter() {
        let leavers = forbidden.leavers(rows, members);
        // Grouped again, because two records may have been linked only through one that leaves.
        let staying: Vec<u32> = members.iter().copied().filter(|member| !leavers.contains(member)).collect();
        group(matcher, nodes, &staying, &mut kept);
    }
    kept
}
