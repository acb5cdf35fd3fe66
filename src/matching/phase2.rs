//! Phase 2: sets onto existing devices, by Matcher, else by binding, else as a new device.
//!
//! Source: matching reference, section 7.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::chains::{Chain, Chains, Joined};
use super::forbidden::Forbidden;
use super::group::groups;
use super::matcher::Matcher;
use super::matchers::Matchers;
use super::normalise::{Normalised, Placeholders, Record};
use super::phase1::MatchedSet;
use crate::id::DeviceId;
use crate::model::device::{Binding, Device};

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

/// Aligns the sets of phase 1 with the stored devices.
///
/// Every member of a set is tested, so that a change of the primary source loses no device. Each device takes part as
/// one record, its stored values normalised with `placeholders`; a device that is an alias takes no part. Cost:
/// O(members + devices) per Matcher.
pub fn phase2(
    matchers: &Matchers,
    records: &[Record],
    sets: &[MatchedSet],
    devices: &[Device],
    placeholders: &Placeholders,
    forbidden: &Forbidden,
) -> Outcome {
    let mut live: Vec<&Device> = devices.iter().filter(|device| device.merged_into.is_none()).collect();
    live.sort_by_key(|device| device.id);
    let stored: Vec<Normalised> = live.iter().map(|device| Normalised::of_device(device, placeholders)).collect();
    // A node is a record or, behind all records, a device.
    let nodes: Vec<&Normalised> = records.iter().map(|record| &record.values).chain(&stored).collect();
    let mut fleet = Fleet::new(records, sets, live, forbidden);
    for matcher in matchers.iter() {
        fleet.align(matcher, &nodes);
    }
    fleet.align_by_binding();
    fleet.outcome()
}

/// The state of phase 2. Sets and devices are named by their place, ascending by id.
struct Fleet<'a> {
    records: &'a [Record],
    sets: Vec<&'a MatchedSet>,
    /// Per record: its set.
    set_of: Vec<usize>,
    devices: Vec<&'a Device>,
    forbidden: &'a Forbidden,
    /// Order in which sets choose: a set with a record of a forbidden pair after those without, the older record first.
    turn: Vec<usize>,
    /// Per set: the numbers of its records that are in forbidden pairs.
    apart: Vec<BTreeSet<usize>>,
    /// Per device that is not merged: the same of the records bound to it or aligned with it.
    holds: BTreeMap<usize, BTreeSet<usize>>,
    /// Per set: its device, once found.
    found: Vec<Option<(usize, How)>>,
    /// Devices that were merged; the first of them is the winner.
    merged: Joined,
    duplicates: Vec<DuplicateReport>,
}

impl<'a> Fleet<'a> {
    fn new(
        records: &'a [Record],
        sets: &'a [MatchedSet],
        devices: Vec<&'a Device>,
        forbidden: &'a Forbidden,
    ) -> Fleet<'a> {
        let mut sets: Vec<&MatchedSet> = sets.iter().collect();
        sets.sort_by_key(|set| set.id(records));
        let mut turn: Vec<(Option<u64>, usize)> = Vec::with_capacity(sets.len());
        let mut apart = vec![BTreeSet::new(); sets.len()];
        let mut imported = BTreeMap::new();
        let mut set_of = vec![usize::MAX; records.len()];
        for (place, set) in sets.iter().enumerate() {
            set.members.iter().for_each(|&member| set_of[member] = place);
            let mut oldest = None;
            for record in set.members.iter().map(|&member| &records[member]).filter(|_| !forbidden.is_empty()) {
                if let Some(number) = forbidden.number_of(record) {
                    oldest = oldest.or(Some(record.record_id));
                    apart[place].insert(number);
                    imported.insert(number, record.record_id);
                }
            }
            turn.push((oldest, place));
        }
        turn.sort_unstable();
        Fleet {
            records,
            forbidden,
            turn: turn.into_iter().map(|(_, place)| place).collect(),
            apart,
            holds: holds(&devices, forbidden, &imported),
            found: vec![None; sets.len()],
            merged: Joined::new(devices.len()),
            sets,
            set_of,
            devices,
            duplicates: Vec::new(),
        }
    }

    /// Resolves every set that hits a device at this Matcher.
    fn align(&mut self, matcher: &Matcher, nodes: &[&Normalised]) {
        let unresolved = self.sets.iter().zip(&self.found).filter(|(_, found)| found.is_none());
        let mut pool: Vec<usize> = unresolved.flat_map(|(set, _)| &set.members).copied().collect();
        if pool.is_empty() || self.devices.is_empty() {
            return;
        }
        pool.extend(self.records.len()..nodes.len());

        // Per group that holds both: its devices. And which set is in which group.
        let mut devices_of = Vec::new();
        let mut groups_of = vec![Vec::new(); self.sets.len()];
        for group in groups(matcher, nodes, &pool) {
            let devices = group.iter().filter_map(|node| node.checked_sub(self.records.len()));
            let devices: BTreeSet<usize> = devices.map(|device| self.merged.first_of(device)).collect();
            if devices.is_empty() {
                continue;
            }
            for &set in group.iter().filter_map(|&node| self.set_of.get(node)) {
                if groups_of[set].last() != Some(&devices_of.len()) {
                    groups_of[set].push(devices_of.len());
                }
            }
            devices_of.push(devices);
        }

        let mut chains = Chains::new(self.forbidden, self.devices.len(), self.holds.clone());
        // Groups whose devices hang together, as far as they may, since an earlier set hit all of them.
        let mut swept = vec![false; devices_of.len()];
        for &set in &self.turn {
            let mut hit = None;
            for &group in &groups_of[set] {
                let mut devices = devices_of[group].iter();
                let with_first = devices.next().is_some_and(|&first| chains.join(&self.apart[set], &mut hit, first));
                if with_first && swept[group] {
                    continue;
                }
                devices.for_each(|&device| _ = chains.join(&self.apart[set], &mut hit, device));
                swept[group] |= with_first;
            }
            if let Some(device) = hit {
                chains.close(set, device);
            }
        }
        for chain in chains.finish() {
            self.settle(matcher, chain);
        }
    }

    /// Merges the devices of a chain into the oldest of them, or reports a chain that is too long.
    fn settle(&mut self, matcher: &Matcher, chain: Chain) {
        let Chain { devices, mut sets } = chain;
        if devices.len() > MERGE_DEVICES_MAX {
            self.duplicates.push(DuplicateReport {
                matcher: matcher.order(),
                devices: devices.iter().map(|&device| self.devices[device].id).collect(),
                groups: sets.iter().map(|&(set, _)| self.sets[set].id(self.records)).collect(),
            });
        } else if let [winner, losers @ ..] = &devices[..] {
            losers.iter().for_each(|&loser| self.merge(loser, *winner));
            sets.iter_mut().for_each(|(_, device)| *device = *winner);
        }
        for (set, device) in sets {
            self.resolve(set, device, How::Matcher(matcher.order()));
        }
    }

    fn merge(&mut self, loser: usize, winner: usize) {
        self.merged.join(loser, winner);
        if let Some(held) = self.holds.remove(&loser) {
            self.holds.entry(winner).or_default().extend(held);
        }
    }

    fn resolve(&mut self, set: usize, device: usize, how: How) {
        self.found[set] = Some((device, how));
        if !self.apart[set].is_empty() {
            self.holds.entry(device).or_default().extend(&self.apart[set]);
        }
    }

    /// Gives each set that no Matcher resolved to the smallest device that one of its members is still bound to.
    ///
    /// Without this, a record that no Matcher covers would create a device at every import. A machine that was imaged
    /// anew has another strong key, so its binding no longer counts.
    fn align_by_binding(&mut self) {
        let mut unresolved = HashMap::new();
        for (place, set) in self.sets.iter().enumerate().filter(|&(place, _)| self.found[place].is_none()) {
            for record in set.members.iter().map(|&member| &self.records[member]) {
                unresolved.insert((&*record.source, &*record.external_id), (place, record));
            }
        }
        let mut bound: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (place, device) in self.devices.iter().enumerate() {
            for binding in &device.bindings {
                let key = (&*binding.record.source, &*binding.record.external_id);
                let Some((set, record)) = unresolved.get(&key) else { continue };
                if !record.values.strong_keys().contradict(&binding.strong) {
                    bound.entry(*set).or_default().insert(self.merged.first_of(place));
                }
            }
        }
        for set in self.turn.clone() {
            let Some(devices) = bound.get(&set) else { continue };
            let allowed = |device: &&usize| {
                self.holds.get(device).is_none_or(|held| !self.forbidden.part(&self.apart[set], held))
            };
            if let Some(&device) = devices.iter().find(allowed) {
                self.resolve(set, device, How::Binding);
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let mut outcome = Outcome { duplicates: self.duplicates, ..Outcome::default() };
        for (set, found) in self.sets.iter().zip(&self.found) {
            let device = found.map(|(device, _)| self.devices[self.merged.first_of(device)].id);
            let how = found.map_or(How::New, |(_, how)| how);
            outcome.sets.push(Alignment { group: set.id(self.records), device, how });
        }
        for (place, loser) in self.devices.iter().enumerate() {
            let winner = self.merged.first_of(place);
            if winner != place {
                outcome.merges.push(Merge { loser: loser.id, winner: self.devices[winner].id });
            }
        }
        outcome
    }
}

/// Which records of forbidden pairs each device holds, by its bindings.
///
/// Where both records of a pair are bound to one device, one of them has to go, and that is the younger of those being
/// imported; the other one keeps the device.
fn holds(
    devices: &[&Device],
    forbidden: &Forbidden,
    imported: &BTreeMap<usize, u64>,
) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut holds = BTreeMap::new();
    if forbidden.is_empty() {
        return holds;
    }
    for (place, device) in devices.iter().enumerate() {
        let number = |binding: &Binding| forbidden.number(&binding.record.source, &binding.record.external_id);
        let mut held: BTreeSet<usize> = device.bindings.iter().filter_map(number).collect();
        for (a, b) in forbidden.pairs_within(&held) {
            let younger = [a, b].into_iter().filter_map(|n| Some((imported.get(&n)?, n))).max();
            if let Some((_, leaver)) = younger {
                held.remove(&leaver);
            }
        }
        if !held.is_empty() {
            holds.insert(place, held);
        }
    }
    holds
}
