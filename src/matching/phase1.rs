//! Phase 1: records into sets, each known to be one device.
//!
//! Source: matching reference, section 5.

use super::forbidden::Forbidden;
use super::group::{group, groups};
use super::matchers::Matchers;
use super::normalise::{Normalised, Record};

/// Records known to be one device; often only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedSet {
    /// Order of the Matcher that joined them; `None` for a set of one.
    pub matcher: Option<i64>,
    /// Indices into the records, ascending by record_id; never empty.
    pub members: Vec<usize>,
}

impl MatchedSet {
    /// What names the set in outputs: its smallest record_id.
    pub fn id(&self, records: &[Record]) -> u64 {
        records[self.members[0]].record_id
    }

    /// The record_ids of its members, ascending.
    pub fn record_ids(&self, records: &[Record]) -> Vec<u64> {
        self.members.iter().map(|&member| records[member].record_id).collect()
    }
}

/// Groups `records` into sets; every record ends in exactly one. Sets come ascending by their smallest record_id.
///
/// The Matchers run in order, each over the records that no earlier one took. Record ids are unique: the caller has
/// checked that. Cost: O(pool) per Matcher.
pub fn phase1(matchers: &Matchers, records: &[Record], forbidden: &Forbidden) -> Vec<MatchedSet> {
    let values: Vec<&Normalised> = records.iter().map(|record| &record.values).collect();
    let mut pool = ascending(records);
    let mut taken = vec![false; records.len()];
    let mut sets = Vec::new();
    for matcher in matchers.iter() {
        for found in groups(matcher, &values, &pool) {
            let leavers = forbidden.leavers(records, &found);
            let kept = if leavers.is_empty() {
                vec![found]
            } else {
                // Grouped again, because two records may have been linked only through one that leaves.
                let staying: Vec<usize> = found.into_iter().filter(|member| !leavers.contains(member)).collect();
                group(matcher, &values, &staying)
            };
            for members in kept {
                members.iter().for_each(|&member| taken[member] = true);
                sets.push(MatchedSet { matcher: Some(matcher.order()), members });
            }
        }
        pool.retain(|&member| !taken[member]);
    }
    sets.extend(pool.into_iter().map(|alone| MatchedSet { matcher: None, members: vec![alone] }));
    sets.sort_by_key(|set| set.id(records));
    sets
}

/// Indices into `records`, ascending by record_id, so that the order of the input never shows.
fn ascending(records: &[Record]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|&place| {
        let record = &records[place];
        (record.record_id, &record.source, &record.external_id)
    });
    order
}
