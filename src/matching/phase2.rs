//! Phase 2: sets onto existing devices, by Matcher, else by binding, else as a new device.
//!
//! Source: matching reference, section 7.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::chains::{Chain, Chains, Joined};
use super::filter::Filter;
use super::forbidden::Forbidden;
use super::group::{Nodes, groups};
use super::hits::{Hit, Hits};
use super::holds::holds;
use super::keys::{Candidate, Keys};
use super::normalise::strong_keys;
use super::phase1::{Conflict, MatchedSets};
use super::plan::{Plan, PlannedMatcher};
use super::rows::{Rows, StoredDevices};
use crate::id::DeviceId;

/// Most devices that one chain of hits merges; above it nothing is merged and a person decides.
/// Source: matching reference, section 7, step 4 (ServiceNow's default threshold).
pub const MERGE_DEVICES_MAX: usize = 5;

/// How a set came to its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum How {
    /// The Matcher of this Order found the device.
    Matcher(i64),
    /// No Matcher did, but a member was merged into the device before and is still the same machine.
    Binding,
    /// No device is known: a new one is needed.
    New,
}

/// Where one set belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alignment {
    /// The set, by its smallest record_id.
    pub group: u64,
    /// The device; `None` as long as a new one has no id.
    pub device: Option<DeviceId>,
    /// How it was found.
    pub how: How,
}

/// A device that turned out to be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// Its id stays as an alias.
    pub loser: DeviceId,
    /// The older device, not itself merged.
    pub winner: DeviceId,
}

/// More devices seem to be one than may be merged without a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateReport {
    /// Order of the Matcher.
    pub matcher: i64,
    /// The devices, ascending.
    pub devices: Vec<DeviceId>,
    /// The sets that chain them, by their smallest record_id, ascending.
    pub groups: Vec<u64>,
}

/// What phase 2 decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// One per set, ascending by group.
    pub sets: Vec<Alignment>,
    /// One per merged device, ascending by loser.
    pub merges: Vec<Merge>,
    /// In order of Matchers, then of the smallest device.
    pub duplicates: Vec<DuplicateReport>,
    /// One for each Matcher that met records and devices which contradict each other, both counted, in their order.
    pub conflicts: Vec<Conflict>,
}

impl Outcome {
    /// Gives the new devices their ids, from `next` on, in ascending order of group; returns the next free id.
    pub fn number_new_devices(&mut self, next: DeviceId) -> DeviceId {
        let mut next = next.0;
        for set in self.sets.iter_mut().filter(|set| set.device.is_none()) {
            set.device = Some(DeviceId(next));
            next += 1;
        }
        DeviceId(next)
    }
}

/// What is stored, and its keys by the plan of the import.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// The devices.
    pub devices: &'a dyn StoredDevices,
    /// Their keys.
    pub keys: &'a Keys,
}

/// Aligns the sets of phase 1 with the stored devices.
///
/// Every member of a set is tested, so that a change of the primary source loses no device. Each device takes part as
/// one record, its stored values normalised. Cost: for each Matcher one look at the shape of every record of a set that
/// is not resolved and of every device, and a sort of those that share a key across.
pub fn phase2(
    plan: &Plan,
    rows: &dyn Rows,
    keys: &Keys,
    sets: &MatchedSets,
    stored: Stored<'_>,
    forbidden: &Forbidden,
) -> Outcome {
    let mut alignment = Aligning::new(rows, keys, sets, stored, forbidden);
    for matcher in &plan.matchers {
        alignment.align(matcher);
    }
    alignment.align_by_binding();
    alignment.outcome()
}

/// The state of phase 2. Sets and devices are named by their place, ascending by id.
struct Aligning<'a> {
    rows: &'a dyn Rows,
    keys: &'a Keys,
    sets: &'a MatchedSets,
    /// Per row: its set.
    set_of: Vec<u32>,
    stored: Stored<'a>,
    forbidden: &'a Forbidden,
    /// Sets that choose after all others, in this order: those with a record of a forbidden pair, the older record first.
    last: Vec<u32>,
    /// Sets of `last`: the numbers of their records that are in forbidden pairs.
    apart: BTreeMap<u32, BTreeSet<usize>>,
    /// Per device that is not merged: the same of the records bound to it or aligned with it.
    holds: BTreeMap<u32, BTreeSet<usize>>,
    /// Per set: its device, once found.
    found: Vec<Option<(u32, How)>>,
    /// Per row: whether its set has no device yet.
    is_left: Vec<bool>,
    /// Devices that were merged; the first of them is the winner.
    merged: Joined,
    duplicates: Vec<DuplicateReport>,
    conflicts: Vec<Conflict>,
}

impl<'a> Aligning<'a> {
    fn new(
        rows: &'a dyn Rows,
        keys: &'a Keys,
        sets: &'a MatchedSets,
        stored: Stored<'a>,
        forbidden: &'a Forbidden,
    ) -> Aligning<'a> {
        let set_of = sets.set_of();
        let mut last: Vec<(u64, u32)> = Vec::new();
        let mut apart: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
        let mut imported = BTreeMap::new();
        if !forbidden.is_empty() {
            for row in 0..rows.count() as u32 {
                let Some(number) = forbidden.number_of(rows, row) else { continue };
                let (set, record_id) = (set_of[row as usize], rows.record_id(row as usize));
                // Rows ascend, so the first record of a set is its oldest.
                if !apart.contains_key(&set) {
                    last.push((record_id, set));
                }
                apart.entry(set).or_default().insert(number);
                imported.insert(number, record_id);
            }
        }
        last.sort_unstable();
        Aligning {
            rows,
            keys,
            forbidden,
            last: last.into_iter().map(|(_, set)| set).collect(),
            apart,
            holds: holds(stored.devices, forbidden, &imported),
            found: vec![None; sets.count()],
            is_left: vec![true; rows.count()],
            merged: Joined::default(),
            sets,
            set_of,
            stored,
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        }
    }

    /// Resolves every set that hits a device at this Matcher.
    fn align(&mut self, matcher: &PlannedMatcher) {
        let count = self.rows.count() as u32;
        let candidates = self.candidates(matcher);
        if candidates.is_empty() {
            return;
        }
        let nodes = Nodes { records: self.rows, count, devices: self.stored.devices };
        let crosses = |run: &[Candidate]| {
            run.first().is_some_and(|c| c.node < count) && run.last().is_some_and(|c| c.node >= count)
        };
        let mut hits = Hits::default();
        let mut met = Conflict { matcher: matcher.order, classes: 0, records: 0 };
        for found in groups(matcher, &nodes, candidates, &crosses) {
            met.classes += found.conflicts.classes;
            met.records += found.conflicts.nodes;
            for group in found.iter() {
                let (records, devices) = group.split_at(group.partition_point(|&node| node < count));
                if records.is_empty() || devices.is_empty() {
                    continue;
                }
                let devices = devices.iter().map(|&device| self.merged.first_of(device - count));
                hits.add(records.iter().map(|&row| self.set_of[row as usize]), devices);
            }
        }
        self.conflicts.extend((met.classes > 0).then_some(met));
        hits.sort();
        if self.forbidden.is_empty() {
            self.settle_single_hits(matcher, &mut hits);
        }
        self.chain(matcher, &hits);
    }

    /// The records of sets that are not resolved, and the devices, that `matcher` admits, as far as they may meet.
    fn candidates(&self, matcher: &PlannedMatcher) -> Vec<Vec<Candidate>> {
        let count = self.rows.count() as u32;
        let is_unresolved = |row: usize| self.is_left[row];
        // The fewer first: of the others only those that may meet them are looked at further.
        let (mut found, others) = if self.rows.count() <= self.stored.devices.count() {
            let found = self.keys.candidates(matcher, 0, |_, _| true, is_unresolved);
            let filter = Filter::of(&found);
            (found, self.stored.keys.candidates(matcher, count, |_, hash| filter.may_hold(hash), |_| true))
        } else {
            let found = self.stored.keys.candidates(matcher, count, |_, _| true, |_| true);
            let filter = Filter::of(&found);
            (found, self.keys.candidates(matcher, 0, |_, hash| filter.may_hold(hash), is_unresolved))
        };
        if others.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let filter = Filter::of(&others);
        found.par_iter_mut().for_each(|piece| piece.retain(|candidate| filter.may_hold(candidate.hash)));
        found.extend(others);
        found
    }

    /// Resolves the sets that hit one device which no set hits together with others: nothing there to merge.
    fn settle_single_hits(&mut self, matcher: &PlannedMatcher, hits: &mut Hits) {
        let is_single =
            |hits: &Hits, of_set: &[Hit]| of_set.iter().all(|hit| hits.devices(hit.group) == [of_set[0].first]);
        let mut chained: HashSet<u32> = HashSet::new();
        for of_set in hits.list.chunk_by(|a, b| a.set == b.set).filter(|of_set| !is_single(hits, of_set)) {
            of_set.iter().for_each(|hit| chained.extend(hits.devices(hit.group)));
        }
        let mut left = Vec::new();
        for of_set in hits.list.chunk_by(|a, b| a.set == b.set) {
            if is_single(hits, of_set) && !chained.contains(&of_set[0].first) {
                self.resolve(of_set[0].set, of_set[0].first, How::Matcher(matcher.order));
            } else {
                left.extend_from_slice(of_set);
            }
        }
        hits.list = left;
    }

    fn chain(&mut self, matcher: &PlannedMatcher, hits: &Hits) {
        let mut chains = Chains::new(self.forbidden, self.holds.clone());
        // Groups whose devices hang together, as far as they may, since an earlier set hit all of them.
        let mut swept: HashSet<u32> = HashSet::new();
        let nothing = BTreeSet::new();
        let mut choose = |of_set: &[Hit], apart: &BTreeSet<usize>| {
            let mut smallest = None;
            for hit in of_set {
                let with_first = chains.join(apart, &mut smallest, hit.first);
                if with_first && swept.contains(&hit.group) {
                    continue;
                }
                let others = &hits.devices(hit.group)[1..];
                others.iter().for_each(|&device| _ = chains.join(apart, &mut smallest, device));
                if with_first && !others.is_empty() {
                    swept.insert(hit.group);
                }
            }
            if let (Some(device), [hit, ..]) = (smallest, of_set) {
                chains.close(hit.set, device);
            }
        };
        for of_set in
            hits.list.chunk_by(|a, b| a.set == b.set).filter(|of_set| !self.apart.contains_key(&of_set[0].set))
        {
            choose(of_set, &nothing);
        }
        for set in &self.last {
            let start = hits.list.partition_point(|hit| hit.set < *set);
            let of_set = &hits.list[start..start + hits.list[start..].partition_point(|hit| hit.set == *set)];
            choose(of_set, &self.apart[set]);
        }
        chains.finish(|chain| self.settle(matcher, chain));
    }

    /// Merges the devices of a chain into the oldest of them, or reports a chain that is too long.
    fn settle(&mut self, matcher: &PlannedMatcher, chain: &Chain) {
        let mut winner = None;
        if chain.devices.len() > MERGE_DEVICES_MAX {
            self.duplicates.push(DuplicateReport {
                matcher: matcher.order,
                devices: chain.devices.iter().map(|&device| self.stored.devices.id(device as usize)).collect(),
                groups: chain.sets.iter().map(|&(set, _)| self.sets.get(set as usize).id(self.rows)).collect(),
            });
        } else if let [first, losers @ ..] = &chain.devices[..] {
            losers.iter().for_each(|&loser| self.merge(loser, *first));
            winner = Some(*first);
        }
        for &(set, smallest) in &chain.sets {
            self.resolve(set, winner.unwrap_or(smallest), How::Matcher(matcher.order));
        }
    }

    fn merge(&mut self, loser: u32, winner: u32) {
        self.merged.join(loser, winner);
        if let Some(held) = self.holds.remove(&loser) {
            self.holds.entry(winner).or_default().extend(held);
        }
    }

    fn resolve(&mut self, set: u32, device: u32, how: How) {
        self.found[set as usize] = Some((device, how));
        self.sets.get(set as usize).members.iter().for_each(|&member| self.is_left[member as usize] = false);
        if let Some(apart) = self.apart.get(&set) {
            self.holds.entry(device).or_default().extend(apart);
        }
    }

    /// Gives each set that no Matcher resolved to the smallest device that one of its members is still bound to.
    ///
    /// Without this, a record that no Matcher covers would create a device at every import. A machine that was imaged
    /// anew has another strong key, so its binding no longer counts.
    fn align_by_binding(&mut self) {
        // By hash first: most bound records are not among those that are left, and to compare texts is a wait for memory.
        let hashing = FixedState::with_seed(0x6269_6e64_696e_6773);
        let is_unresolved = |row: &u32| self.is_left[*row as usize];
        let rows = (0..self.rows.count() as u32).into_par_iter().filter(is_unresolved);
        let mut unresolved: Vec<(u64, u32)> =
            rows.map(|row| (hashing.hash_one(self.rows.key(row as usize)), row)).collect();
        if unresolved.is_empty() {
            return;
        }
        unresolved.par_sort_unstable();
        let filter = Filter::new(unresolved.len(), unresolved.iter().map(|&(hash, _)| hash));
        let devices = self.stored.devices;
        let of_binding = |place: usize| {
            let (device, key) = devices.binding(place);
            let hash = hashing.hash_one(key);
            if !filter.may_hold(hash) {
                return None;
            }
            let start = unresolved.partition_point(|&(known, _)| known < hash);
            let alike = unresolved[start..].iter().take_while(|&&(known, _)| known == hash);
            let row = alike.map(|&(_, row)| row as usize).find(|&row| self.rows.key(row) == key)?;
            let now = strong_keys(|property| self.rows.text(row, property));
            (!now.contradict(&devices.strong_keys(place))).then_some((self.set_of[row], device as u32))
        };
        let mut bound: Vec<(u32, u32)> = (0..devices.bindings_count()).into_par_iter().filter_map(of_binding).collect();
        bound.iter_mut().for_each(|(_, device)| *device = self.merged.first_of(*device));
        bound.sort_unstable();
        bound.dedup();
        for devices in bound.chunk_by(|a, b| a.0 == b.0).filter(|devices| !self.apart.contains_key(&devices[0].0)) {
            let (set, device) = devices[0];
            self.found[set as usize] = Some((device, How::Binding));
        }
        for set in self.last.clone() {
            let devices = bound.iter().filter(|(own, _)| *own == set).map(|(_, device)| *device);
            let allowed =
                |device: &u32| self.holds.get(device).is_none_or(|held| !self.forbidden.part(&self.apart[&set], held));
            if self.found[set as usize].is_none()
                && let Some(device) = devices.into_iter().find(allowed)
            {
                self.resolve(set, device, How::Binding);
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let mut outcome = Outcome { duplicates: self.duplicates, conflicts: self.conflicts, ..Outcome::default() };
        let id = |device: u32| self.stored.devices.id(device as usize);
        let aligned = |set: usize| {
            let device = self.found[set].map(|(device, _)| id(self.merged.root(device)));
            let how = self.found[set].map_or(How::New, |(_, how)| how);
            Alignment { group: self.sets.get(set).id(self.rows), device, how }
        };
        outcome.sets = (0..self.sets.count()).into_par_iter().map(aligned).collect();
        let merges = self.merged.joined().into_iter();
        outcome.merges = merges.map(|(loser, winner)| Merge { loser: id(loser), winner: id(winner) }).collect();
        outcome
    }
}
