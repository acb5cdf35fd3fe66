//! Classes of equal keys, and the groups that NotEqual or NullInEither leaves of a class.
//!
//! Candidates are dealt by the upper bits of their hashes into parts that fit a core's cache, each part is sorted, and
//! equal ones then stand side by side: no table as large as the fleet, no pair of records that is looked at in vain.
//!
//! Source: matching reference, sections 5 and 6.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::keys::Candidate;
use super::plan::PlannedMatcher;
use super::rows::Texts;
use crate::model::computer::Property;

/// Candidates of a part: as many as a core's second cache holds.
const PART_CANDIDATES: usize = 1 << 13;
/// Most bits by which candidates are dealt.
const PART_BITS_MAX: u32 = 12;

/// Rows of one import and, behind them, of stored devices: node n is row n of the first or else row n - count of the
/// second.
pub(super) struct Nodes<'a> {
    pub(super) records: &'a dyn Texts,
    /// How many records there are.
    pub(super) count: u32,
    /// Not asked where there are no devices.
    pub(super) devices: &'a dyn Texts,
}

impl Nodes<'_> {
    fn text(&self, node: u32, property: Property) -> Option<&str> {
        match node.checked_sub(self.count) {
            None => self.records.text(node as usize, property),
            Some(row) => self.devices.text(row as usize, property),
        }
    }
}

/// Groups of nodes, one behind the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    nodes: Vec<u32>,
    ends: Vec<u32>,
    /// What stayed out because it contradicts the others.
    pub(super) conflicts: Conflicts,
}

/// Classes of one Matcher whose nodes say different things in a property that must be null in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conflicts {
    pub(super) classes: u64,
    /// Nodes of those classes that stayed out.
    pub(super) nodes: u64,
}

impl Groups {
    fn push(&mut self, group: &[u32]) {
        self.nodes.extend_from_slice(group);
        self.ends.push(self.nodes.len() as u32);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.nodes[start as usize..*end as usize])
    }
}

/// The groups that `matcher` finds among candidates, each of two or more nodes, ascending. Of classes that `wants` does
/// not want there are none. The order of the groups says nothing.
///
/// Cost: one pass to deal the candidates, and a sort of each part.
pub(super) fn groups(
    matcher: &PlannedMatcher,
    nodes: &Nodes<'_>,
    pieces: Vec<Vec<Candidate>>,
    wants: &(dyn Fn(&[Candidate]) -> bool + Sync),
) -> Vec<Groups> {
    let parts = deal(pieces, |candidate: &Candidate| candidate.hash);
    let of_part = |mut part: Vec<Candidate>| {
        part.sort_unstable();
        let mut groups = Groups::default();
        let mut class = Vec::new();
        for run in part.chunk_by(Candidate::is_like).filter(|run| run.len() > 1 && wants(run)) {
            class.clear();
            class.extend(run.iter().map(|candidate| candidate.node));
            group(matcher, nodes, &class, &mut groups);
        }
        groups
    };
    parts.into_par_iter().map(of_part).collect()
}

/// Deals items by the upper bits of their hashes.
pub(super) fn deal<T: Copy + Send + Sync>(pieces: Vec<Vec<T>>, hash_of: impl Fn(&T) -> u64 + Sync) -> Vec<Vec<T>> {
    let count: usize = pieces.iter().map(Vec::len).sum();
    let bits = (count / PART_CANDIDATES).checked_ilog2().map_or(0, |bits| bits + 1).min(PART_BITS_MAX);
    if bits == 0 {
        return vec![pieces.concat()];
    }
    let part_of = |item: &T| (hash_of(item) >> (u64::BITS - bits)) as usize;
    let hands = pieces.len().div_ceil(rayon::current_num_threads() * 2).max(1);
    let dealt: Vec<Vec<Vec<T>>> = pieces
        .par_chunks(hands)
        .map(|pieces| {
            let mut counts = vec![0; 1 << bits];
            pieces.iter().flatten().for_each(|item| counts[part_of(item)] += 1);
            let mut parts: Vec<Vec<T>> = counts.into_iter().map(Vec::with_capacity).collect();
            pieces.iter().flatten().for_each(|item| parts[part_of(item)].push(*item));
            parts
        })
        .collect();
    drop(pieces);
    let joined = |part: usize| dealt.iter().flat_map(|parts| &parts[part]).copied().collect();
    (0..1 << bits).into_par_iter().map(joined).collect()
}

/// Adds the groups within one class of equal keys, or within what is left of a group; the class is ascending.
///
/// Source: matching reference, section 6.
pub(super) fn group(matcher: &PlannedMatcher, nodes: &Nodes<'_>, class: &[u32], groups: &mut Groups) {
    if let Some(property) = matcher.differs {
        let found = differing(property, nodes, class);
        if found.len() > 1 {
            groups.push(&found);
        }
    } else if !matcher.null_in_either.is_empty() {
        let (found, left_out) = null_in_either(&matcher.null_in_either, nodes, class);
        groups.conflicts.classes += u64::from(left_out > 0);
        groups.conflicts.nodes += left_out;
        found.iter().filter(|group| group.len() > 1).for_each(|group| groups.push(group));
    } else if class.len() > 1 {
        groups.push(class);
    }
}

/// NotEqual: all nodes with the property set, when at least two of its values differ; the complete multipartite graph
/// is connected.
fn differing(property: Property, nodes: &Nodes<'_>, class: &[u32]) -> Vec<u32> {
    let set: Vec<u32> = class.iter().copied().filter(|&node| nodes.text(node, property).is_some()).collect();
    if all_same(property, nodes, &set) { Vec::new() } else { set }
}

/// NullInEither: a node with a set value in a property that is conflicted in the class stays out; of the rest, two are
/// linked when no property is set in both, and the connected components are the groups. Also: how many stay out.
///
/// "Null in either" is not transitive: joined through a null, two records that contradict each other would be one
/// device. Here no group ever holds two different values of such a property.
fn null_in_either(properties: &[Property], nodes: &Nodes<'_>, class: &[u32]) -> (Vec<Vec<u32>>, u64) {
    let mut conflicted = 0_u32;
    for (place, &property) in properties.iter().enumerate() {
        conflicted |= u32::from(!all_same(property, nodes, class)) << place;
    }
    // Nodes with the same mask of set properties behave alike.
    let mut of_mask: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut left_out = 0;
    for &node in class {
        let is_set = |(bit, &property): (usize, &Property)| u32::from(nodes.text(node, property).is_some()) << bit;
        let mask: u32 = properties.iter().enumerate().map(is_set).sum();
        if mask & conflicted == 0 {
            of_mask.entry(mask).or_default().push(node);
        } else {
            left_out += 1;
        }
    }
    let mut groups = Vec::new();
    let mut unvisited: Vec<u32> = of_mask.keys().copied().collect();
    while let Some(start) = unvisited.pop() {
        let mut component = vec![start];
        let mut next = 0;
        while let Some(&mask) = component.get(next) {
            component.extend(unvisited.extract_if(.., |other| *other & mask == 0));
            next += 1;
        }
        // Nodes of one mask that is not all-null have that property set in both: alone they are no group.
        if component.len() > 1 || start == 0 {
            let mut group: Vec<u32> = component.iter().flat_map(|mask| &of_mask[mask]).copied().collect();
            group.sort_unstable();
            groups.push(group);
        }
    }
    (groups, left_out)
}

/// Whether all set values of a property are the same; a null says nothing.
fn all_same(property: Property, nodes: &Nodes<'_>, class: &[u32]) -> bool {
    let mut set = class.iter().filter_map(|&node| nodes.text(node, property));
    let Some(first) = set.next() else { return true };
    set.all(|value| value.eq_ignore_ascii_case(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::keys::Keys;
    use crate::matching::normalise::{Placeholders, Record};
    use crate::matching::plan::Plan;
    use crate::matching::rows::Records;
    use crate::matching::tests::fixture::{matchers, record};

    /// Groups that one Matcher finds; shown as their places in `texts`, ascending.
    fn found(matcher: &str, texts: &[&str]) -> Vec<Vec<u32>> {
        let list: Vec<Record> = (0..).zip(texts).map(|(id, text)| record(id, text)).collect();
        let (rows, plan) = (Records::new(&list), Plan::new(&matchers(&[matcher])));
        let keys = Keys::new(&plan, &rows, &Placeholders::default());
        let nodes = Nodes { records: &rows, count: u32::MAX, devices: &rows };
        let candidates = keys.candidates(&plan.matchers[0], 0, |_, _| true, |_| true);
        let found = groups(&plan.matchers[0], &nodes, candidates, &|_| true);
        let mut found: Vec<Vec<u32>> = found.iter().flat_map(Groups::iter).map(<[u32]>::to_vec).collect();
        found.sort();
        found
    }

    /// Groups of the records that all have the same name.
    fn grouped(rules: &str, texts: &[&str]) -> Vec<Vec<u32>> {
        let texts: Vec<String> = texts.iter().map(|text| format!("ComputerName=pc|{text}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        found(&format!("1: => ComputerName; {rules}"), &texts)
    }

    const NONE: [Vec<u32>; 0] = [];

    #[test]
    fn without_a_pair_test_the_class_is_the_group() {
        assert_eq!(grouped("", &["", "", ""]), [[0, 1, 2]]);
        assert_eq!(grouped("", &[""]), NONE);
    }

    #[test]
    fn not_equal_joins_all_set_values_as_soon_as_two_differ() {
        let differ = |texts: &[&str]| grouped("ModelNo NotEqual", texts);
        assert_eq!(differ(&["ModelNo=a", "ModelNo=b"]), [[0, 1]]);
        assert_eq!(differ(&["ModelNo=a", "ModelNo=A", "ModelNo=b"]), [[0, 1, 2]]);
        assert_eq!(differ(&["ModelNo=a", "ModelNo=A"]), NONE);
        assert_eq!(differ(&["ModelNo=a", "", "ModelNo=b", ""]), [[0, 2]]);
        assert_eq!(differ(&["ModelNo=a", ""]), NONE);
        assert_eq!(differ(&["", ""]), NONE);
    }

    #[test]
    fn with_one_null_in_either_property_a_null_record_joins_everything_that_agrees() {
        let either = |texts: &[&str]| grouped("Manufacturer NullInEither", texts);
        assert_eq!(either(&["", ""]), [[0, 1]]);
        assert_eq!(either(&["", "Manufacturer=IBM"]), [[0, 1]]);
        assert_eq!(either(&["Manufacturer=IBM", "", "Manufacturer=ibm"]), [[0, 1, 2]]);
        assert_eq!(either(&["Manufacturer=IBM", "Manufacturer=IBM"]), NONE, "equal values are no null");
        assert_eq!(either(&["Manufacturer=IBM"]), NONE);
    }

    #[test]
    fn records_with_conflicting_values_stay_out_and_the_null_ones_still_join() {
        let either = |texts: &[&str]| grouped("Manufacturer NullInEither", texts);
        assert_eq!(either(&["", "Manufacturer=IBM", "Manufacturer=HP", ""]), [[0, 3]]);
        assert_eq!(either(&["", "Manufacturer=IBM", "Manufacturer=HP"]), NONE);
        assert_eq!(either(&["Manufacturer=IBM", "Manufacturer=HP"]), NONE);
        assert_eq!(either(&["", "Manufacturer=IBM", "Manufacturer=HP", "Manufacturer=ibm"]), NONE);
    }

    #[test]
    fn with_two_null_in_either_properties_the_masks_decide() {
        let either = |texts: &[&str]| grouped("HostType NullInEither; Manufacturer NullInEither", texts);
        let (first, second, both) = ("HostType=T", "Manufacturer=M", "HostType=T|Manufacturer=M");
        assert_eq!(either(&[first, second]), [[0, 1]]);
        assert_eq!(either(&[first, first]), NONE);
        assert_eq!(either(&[second, second]), NONE);
        assert_eq!(either(&[both, both]), NONE);
        assert_eq!(either(&[first, both, second, second]), [[0, 2, 3]]);
        assert_eq!(either(&[both, first]), NONE);
        assert_eq!(either(&[both, ""]), [[0, 1]]);
        assert_eq!(either(&[both, first, "", second]), [[0, 1, 2, 3]]);
        assert_eq!(either(&["", ""]), [[0, 1]]);
        assert_eq!(either(&[""]), NONE);
    }

    #[test]
    fn a_conflict_in_one_of_two_properties_drops_only_the_records_that_have_it_set() {
        let either = |texts: &[&str]| grouped("HostType NullInEither; Manufacturer NullInEither", texts);
        assert_eq!(either(&["HostType=T", "HostType=U", "Manufacturer=M", ""]), [[2, 3]]);
        assert_eq!(either(&["HostType=T|Manufacturer=M", "HostType=U", "Manufacturer=N", "", ""]), [[3, 4]]);
        assert_eq!(either(&["HostType=T", "HostType=U", "Manufacturer=M", "Manufacturer=M"]), NONE);
    }

    #[test]
    fn three_properties_can_leave_two_groups_in_one_class() {
        // a-b and c-d are linked; a-c, a-d, b-c and b-d share a set property.
        let either = |texts: &[&str]| {
            grouped(
                "HostType NullInEither; Manufacturer NullInEither; ModelNo NullInEither; HostID NullInEither",
                texts,
            )
        };
        let (a, b) = ("HostType=1|Manufacturer=2", "ModelNo=3|HostID=4");
        let (c, d) = ("HostType=1|ModelNo=3", "Manufacturer=2|HostID=4");
        assert_eq!(either(&[a, c, b, d]), [[0, 2], [1, 3]]);
        assert_eq!(either(&[d, a, c, b]), [[0, 2], [1, 3]]);
        assert_eq!(either(&[a, c]), NONE);
        // A chain: "1" with "3", "3" with "1 2", "1 2" with "3 4".
        assert_eq!(either(&["HostType=1", "ModelNo=3", a, b]), [[0, 1, 2, 3]]);
    }

    #[test]
    fn candidates_that_share_nothing_are_left_alone() {
        let texts = ["MachineID=b", "MachineID=a", "MachineID=c", "", "MachineID=A", "MachineID=B"];
        assert_eq!(found("1: => MachineID", &texts), [[0, 5], [1, 4]]);
        assert_eq!(found("1: => MachineID", &texts[1..4]), NONE);
    }

    #[test]
    fn many_candidates_are_dealt_into_parts_that_hold_each_of_them_once() {
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let piece = |from: u64| -> Vec<(u64, u32)> { (from..from + 20_000).map(|n| (spread(n), n as u32)).collect() };
        let pieces: Vec<Vec<(u64, u32)>> = [0, 20_000, 40_000].map(piece).into();
        let parts = deal(pieces, |item| item.0);
        assert_eq!(parts.len(), 8);
        for (number, part) in parts.iter().enumerate() {
            assert!(part.iter().all(|&(hash, _)| hash >> 61 == number as u64));
            assert!(part.len() < 2 * PART_CANDIDATES && part.is_sorted_by_key(|&(_, node)| node));
        }
        let mut nodes: Vec<u32> = parts.concat().into_iter().map(|(_, node)| node).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, Vec::from_iter(0..60_000));
    }
}
