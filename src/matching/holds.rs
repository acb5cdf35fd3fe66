//! What stored devices hold of records that were taken apart.

use std::collections::{BTreeMap, BTreeSet};

use super::forbidden::Forbidden;
use super::rows::StoredDevices;

/// Which records of forbidden pairs each device holds, by its bindings.
///
/// Where both records of a pair are bound to one device, one of them has to go, and that is the younger of those being
/// imported; the other one keeps the device.
pub(super) fn holds(
    devices: &dyn StoredDevices,
    forbidden: &Forbidden,
    imported: &BTreeMap<usize, u64>,
) -> BTreeMap<u32, BTreeSet<usize>> {
    let mut holds: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    if forbidden.is_empty() {
        return holds;
    }
    for place in 0..devices.bindings_count() {
        let (device, (source, external_id)) = devices.binding(place);
        if let Some(number) = forbidden.number(source, external_id) {
            holds.entry(device as u32).or_default().insert(number);
        }
    }
    for held in holds.values_mut() {
        for (a, b) in forbidden.pairs_within(held) {
            let younger = [a, b].into_iter().filter_map(|n| Some((imported.get(&n)?, n))).max();
            if let Some((_, leaver)) = younger {
                held.remove(&leaver);
            }
        }
    }
    holds.retain(|_, held| !held.is_empty());
    holds
}
