//! The keys of all stored devices, held ready, so that an import reads only the devices that its records may meet.
//!
//! A device meets a record when some Matcher admits both and finds their keys the same, or when the record is bound to
//! it. Phase 2 over those devices decides exactly as over all: a class that holds a record holds only devices that meet
//! it. A look costs one pass over 4 bytes a device for each Matcher; a million devices take about 120 MB.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::keys::{Candidate, Keys, KnownShapes};
use super::normalise::Placeholders;
use super::plan::Plan;
use super::rows::{Devices, Records, Rows as _, StoredDevices as _};
use crate::id::DeviceId;
use crate::model::device::Device;

/// See the module's head. Empty at first; a view of the stored devices, so it may be dropped at any time.
#[derive(Clone, Debug, Default)]
pub struct HeldKeys {
    keys: Keys,
    known: KnownShapes,
    /// Per row.
    ids: Vec<DeviceId>,
    /// Per row: whether it is the newest of its device.
    is_live: Vec<bool>,
    row_of: HashMap<DeviceId, u32>,
    /// Hash of source and external id of each bound record, and the row.
    bound: Vec<(u64, u32)>,
    alias_of: HashMap<DeviceId, DeviceId>,
    aliases: BTreeMap<DeviceId, BTreeSet<DeviceId>>,
}

impl HeldKeys {
    /// How many devices it holds that are no aliases.
    pub fn count(&self) -> usize {
        self.row_of.len()
    }

    /// Takes devices that are new or changed, each once.
    pub fn put(&mut self, plan: &Plan, devices: &[Device], placeholders: &Placeholders) {
        for device in devices {
            if let Some(row) = self.row_of.remove(&device.id) {
                self.is_live[row as usize] = false;
            }
            if let Some(before) = self.alias_of.remove(&device.id)
                && let Some(aliases) = self.aliases.get_mut(&before)
            {
                aliases.remove(&device.id);
            }
            if let Some(winner) = device.merged_into {
                self.alias_of.insert(device.id, winner);
                self.aliases.entry(winner).or_default().insert(device.id);
            }
        }
        let fresh = Devices::new(devices, placeholders);
        let first = self.ids.len() as u32;
        self.keys.extend(&mut self.known, &Keys::new(plan, &fresh, placeholders), |_| true);
        for row in 0..fresh.count() {
            self.row_of.insert(fresh.id(row), first + row as u32);
            self.ids.push(fresh.id(row));
            self.is_live.push(true);
        }
        for place in 0..fresh.bindings_count() {
            let (row, key) = fresh.binding(place);
            self.bound.push((key_hash(key), first + row as u32));
        }
        if self.ids.len() > 2 * self.row_of.len() + MANY_ROWS {
            self.compact();
        }
    }

    /// Lets go of the rows that newer ones have replaced.
    fn compact(&mut self) {
        let mut rows = vec![0; self.ids.len()];
        let mut left = HeldKeys { alias_of: std::mem::take(&mut self.alias_of), ..HeldKeys::default() };
        left.aliases = std::mem::take(&mut self.aliases);
        left.keys.extend(&mut left.known, &self.keys, |row| self.is_live[row]);
        for (row, id) in self.ids.iter().enumerate().filter(|(row, _)| self.is_live[*row]) {
            rows[row] = left.ids.len() as u32;
            left.row_of.insert(*id, rows[row]);
            left.ids.push(*id);
            left.is_live.push(true);
        }
        let bound = self.bound.iter().filter(|(_, row)| self.is_live[*row as usize]);
        left.bound = bound.map(|(hash, row)| (*hash, rows[*row as usize])).collect();
        *self = left;
    }

    /// The devices that the records of an import may meet, ascending, with their aliases.
    pub fn met_by(&self, plan: &Plan, rows: &Records<'_>, keys: &Keys) -> Vec<DeviceId> {
        let mut met = vec![false; self.ids.len()];
        for matcher in &plan.matchers {
            let wanted = keys.candidates(matcher, 0, |_, _| true, |_| true);
            let wanted: HashSet<(u64, u32), FixedState> =
                wanted.iter().flatten().map(|candidate| (candidate.hash, candidate.check)).collect();
            if wanted.is_empty() {
                continue;
            }
            let hashes: HashSet<u64, FixedState> = wanted.iter().map(|(hash, _)| *hash).collect();
            let is_left = |row: usize| self.is_live[row] && !met[row];
            let found = self.keys.candidates(matcher, 0, |_, hash| hashes.contains(&hash), is_left);
            let found: Vec<Candidate> = found.into_iter().flatten().collect();
            for candidate in found.iter().filter(|found| wanted.contains(&(found.hash, found.check))) {
                met[candidate.node as usize] = true;
            }
        }
        let records: HashSet<u64, FixedState> = (0..rows.count()).map(|row| key_hash(rows.key(row))).collect();
        for (hash, row) in self.bound.iter().filter(|(_, row)| self.is_live[*row as usize]) {
            met[*row as usize] |= records.contains(hash);
        }
        let mut ids: Vec<DeviceId> = self.ids.iter().zip(met).filter(|(_, met)| *met).map(|(id, _)| *id).collect();
        let aliases: Vec<DeviceId> = ids.iter().filter_map(|id| self.aliases.get(id)).flatten().copied().collect();
        ids.extend(aliases);
        ids.sort_unstable();
        ids
    }
}

/// Rows that may be dead before it is worth looking how many are.
const MANY_ROWS: usize = 10_000;

/// A record that only has the same hash is one device more that is read, and no more than that.
fn key_hash(key: (&str, &str)) -> u64 {
    FixedState::with_seed(0x686f_6c64).hash_one(key)
}
