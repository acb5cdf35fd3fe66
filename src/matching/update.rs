//! What an import does to the stored devices once phase 2 has decided: values, bindings, aliases.
//!
//! Source: matching reference, sections 7 and 8.

use std::collections::{BTreeMap, BTreeSet};

use super::merge::merge;
use super::normalise::Record;
use super::phase1::MatchedSet;
use super::phase2::Outcome;
use crate::id::DeviceId;
use crate::model::device::{Binding, Device, DeviceValues, RecordKey};

/// The devices that an import changes or creates, ascending by id; all others stay as they are.
///
/// `outcome` is that of `records`, `sets` and `devices`, its new devices numbered
/// ([`Outcome::number_new_devices`]); a set without a device is left out. A record is bound to exactly one device, so a
/// record that now belongs elsewhere leaves the device it was bound to; the values it gave stay there. A merged device
/// gives its values and bindings to the winner, and older aliases of it follow.
pub fn updated_devices(
    records: &[Record],
    sets: &[MatchedSet],
    devices: &[Device],
    outcome: &Outcome,
    primary: Option<&str>,
) -> Vec<Device> {
    let stored: BTreeMap<DeviceId, &Device> = devices.iter().map(|device| (device.id, device)).collect();
    let members: BTreeMap<u64, &[usize]> = sets.iter().map(|set| (set.id(records), &set.members[..])).collect();
    let mut given: BTreeMap<DeviceId, Vec<&Record>> = BTreeMap::new();
    let mut moved: BTreeSet<RecordKey> = BTreeSet::new();
    for aligned in &outcome.sets {
        let (Some(device), Some(set)) = (aligned.device, members.get(&aligned.group)) else { continue };
        given.entry(device).or_default().extend(set.iter().map(|&member| &records[member]));
        moved.extend(set.iter().map(|&member| records[member].key()));
    }
    let winners: BTreeMap<DeviceId, DeviceId> =
        outcome.merges.iter().map(|merge| (merge.loser, merge.winner)).collect();
    let mut losers: BTreeMap<DeviceId, Vec<&Device>> = BTreeMap::new();
    for (loser, winner) in &winners {
        losers.entry(*winner).or_default().extend(stored.get(loser));
    }

    let mut updated = Vec::new();
    for device in devices {
        if let Some(winner) = winners.get(&device.merged_into.unwrap_or(device.id)) {
            updated.push(alias(device, *winner));
        } else if device.merged_into.is_none()
            && !given.contains_key(&device.id)
            && !losers.contains_key(&device.id)
            && device.bindings.iter().any(|binding| moved.contains(&binding.record))
        {
            let bindings = device.bindings.iter().filter(|binding| !moved.contains(&binding.record)).cloned().collect();
            updated.push(Device { bindings, ..device.clone() });
        }
    }
    let targets: BTreeSet<DeviceId> = given.keys().chain(losers.keys()).copied().collect();
    for id in targets {
        let own = given.remove(&id).unwrap_or_default();
        let before: Vec<&Device> =
            stored.get(&id).into_iter().chain(losers.get(&id).into_iter().flatten()).copied().collect();
        updated.push(merged(id, &own, &before, &moved, primary));
    }
    updated.sort_by_key(|device| device.id);
    updated
}

/// The device `id` made of the records it is given and of the devices it was `before`, itself first.
fn merged(
    id: DeviceId,
    own: &[&Record],
    before: &[&Device],
    moved: &BTreeSet<RecordKey>,
    primary: Option<&str>,
) -> Device {
    let values: Vec<&DeviceValues> = before.iter().map(|device| &device.values).collect();
    let dates = own.iter().map(|record| record.inventory_date).chain(before.iter().map(|device| device.inventory_date));
    let kept = before.iter().flat_map(|device| &device.bindings).filter(|binding| !moved.contains(&binding.record));
    let mut bindings: BTreeMap<RecordKey, Binding> =
        kept.map(|binding| (binding.record.clone(), binding.clone())).collect();
    for record in own {
        bindings.insert(record.key(), Binding { record: record.key(), strong: record.values.strong_keys() });
    }
    Device {
        id,
        inventory_date: dates.max().unwrap_or_default(),
        values: merge(own, &values, primary),
        bindings: bindings.into_values().collect(),
        merged_into: None,
    }
}

fn alias(device: &Device, winner: DeviceId) -> Device {
    Device {
        id: device.id,
        inventory_date: device.inventory_date,
        values: DeviceValues::default(),
        bindings: Vec::new(),
        merged_into: Some(winner),
    }
}
