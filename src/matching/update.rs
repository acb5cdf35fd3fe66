//! What an import does to the stored devices once phase 2 has decided: values, bindings, aliases.
//!
//! Source: matching reference, sections 7 and 8.

use std::collections::{BTreeMap, BTreeSet};

use super::merge::merge_yielding;
use super::normalise::Record;
use super::phase1::{MatchedSet, MatchedSets};
use super::phase2::{How, Outcome};
use super::rows::Records;
use crate::id::DeviceId;
use crate::model::device::{Binding, Device, DeviceValues, RecordKey};

/// The devices that an import changes or creates, ascending by id; all others stay as they are.
///
/// `outcome` is that of `records`, `sets` and `devices`, its new devices numbered
/// ([`Outcome::number_new_devices`]); a set without a device is left out. A record is bound to exactly one device, so a
/// record that now belongs elsewhere leaves the device it was bound to; the values it gave stay there. A merged device
/// gives its values and bindings to the winner, and older aliases of it follow.
pub fn updated_devices(
    records: &Records<'_>,
    sets: &MatchedSets,
    devices: &[Device],
    outcome: &Outcome,
    primary: Option<&str>,
) -> Vec<Device> {
    let stored: BTreeMap<DeviceId, &Device> = devices.iter().map(|device| (device.id, device)).collect();
    let members: BTreeMap<u64, MatchedSet<'_>> = sets.iter().map(|set| (set.id(records), set)).collect();
    let mut given: BTreeMap<DeviceId, Vec<Given<'_>>> = BTreeMap::new();
    let mut moved: BTreeSet<RecordKey> = BTreeSet::new();
    for aligned in &outcome.sets {
        let (Some(device), Some(set)) = (aligned.device, members.get(&aligned.group)) else { continue };
        let hit = match aligned.how {
            How::Matcher(order) => Some(order),
            How::Binding | How::New => None,
        };
        // A set of one was joined to what the device holds already.
        let matcher = set.matcher.or(hit);
        given.entry(device).or_default().extend(set.members.iter().map(|&member| Given {
            record: records.get(member),
            matcher,
            hit,
        }));
        moved.extend(set.members.iter().map(|&member| records.get(member).key()));
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

/// A record that a device is given, and the Order of the Matcher that joined it.
struct Given<'a> {
    record: &'a Record,
    matcher: Option<i64>,
    /// Order of the Matcher by which its set hit the device.
    hit: Option<i64>,
}

/// The device `id` made of the records it is given and of the devices it was `before`, itself first.
fn merged(
    id: DeviceId,
    own: &[Given<'_>],
    before: &[&Device],
    moved: &BTreeSet<RecordKey>,
    primary: Option<&str>,
) -> Device {
    let values: Vec<&DeviceValues> = before.iter().map(|device| &device.values).collect();
    let dates =
        own.iter().map(|given| given.record.inventory_date).chain(before.iter().map(|device| device.inventory_date));
    let kept = before.iter().flat_map(|device| &device.bindings).filter(|binding| !moved.contains(&binding.record));
    // A record that was there alone is joined now, by what brings the others.
    let hit = own.iter().find_map(|given| given.hit);
    let mut bindings: BTreeMap<RecordKey, Binding> = kept
        .map(|binding| (binding.record.clone(), Binding { matcher: binding.matcher.or(hit), ..binding.clone() }))
        .collect();
    // Joined to itself, a record that was the only one has not been joined to anything.
    let was_alone = |key: &RecordKey| {
        bindings.is_empty()
            && own.len() == 1
            && before.iter().all(|device| device.bindings.iter().all(|binding| binding.record == *key))
    };
    let known: BTreeMap<&RecordKey, &Binding> =
        before.iter().flat_map(|device| &device.bindings).map(|binding| (&binding.record, binding)).collect();
    let fresh: Vec<Binding> = own
        .iter()
        .map(|Given { record, matcher, .. }| {
            let key = record.key();
            let earlier = known.get(&key).and_then(|binding| binding.matcher);
            let matcher = if was_alone(&key) { None } else { earlier.or(*matcher) };
            Binding { record: key, strong: record.values.strong_keys(), matcher }
        })
        .collect();
    bindings.extend(fresh.into_iter().map(|binding| (binding.record.clone(), binding)));
    let records: Vec<&Record> = own.iter().map(|given| given.record).collect();
    let mut of_source: BTreeMap<&str, usize> = BTreeMap::new();
    known.keys().for_each(|key| *of_source.entry(&key.source).or_default() += 1);
    // Only the one record of its source on the device is sure to have given what is stored of that source.
    let yields = |record: &Record| !known.contains_key(&record.key()) || of_source.get(&*record.source) != Some(&1);
    Device {
        id,
        inventory_date: dates.max().unwrap_or_default(),
        values: merge_yielding(&records, &yields, &values, primary),
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
