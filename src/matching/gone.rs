//! Records that their source has taken away leave their devices; a device that so loses its last record ends.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::DeviceId;
use crate::model::device::{Device, RecordKey};

/// `updated` (ascending) and what changes of `stored` besides, now that the records `gone` are no more. The values they
/// gave stay with a device that has other records, as those of a record that has moved do.
pub fn without_gone(gone: &BTreeSet<RecordKey>, stored: &[Device], updated: Vec<Device>) -> Vec<Device> {
    if gone.is_empty() {
        return updated;
    }
    let mut after: BTreeMap<DeviceId, Device> = updated.into_iter().map(|device| (device.id, device)).collect();
    for device in stored.iter().filter(|device| device.merged_into.is_none()) {
        after.entry(device.id).or_insert_with(|| device.clone());
    }
    for device in after.values_mut().filter(|device| device.merged_into.is_none()) {
        let before = device.bindings.len();
        device.bindings.retain(|binding| !gone.contains(&binding.record));
        if device.bindings.is_empty() && before > 0 {
            *device = device.ended();
        }
    }
    after.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::{Binding, StrongKeys};

    fn key(text: &str) -> RecordKey {
        RecordKey { source: "cmdb".into(), external_id: text.into() }
    }

    fn device(id: u64, records: &[&str]) -> Device {
        let binding = |text: &&str| Binding { record: key(text), strong: StrongKeys::default(), matcher: None };
        let bindings = records.iter().map(binding).collect();
        Device { id: DeviceId(id), inventory_date: 9, values: Default::default(), bindings, merged_into: None }
    }

    #[test]
    fn records_leave_their_devices_and_the_last_one_ends_its_device() {
        let stored = [device(1, &["a"]), device(2, &["b", "c"]), device(3, &[]), device(4, &["d"])];
        let gone = ["a", "b", "d"].map(key).into();
        // A record that came to device 4 in this import keeps it.
        let updated = vec![device(4, &["d", "e"]), device(5, &["f"])];
        let after = without_gone(&gone, &stored, updated);
        let shown: Vec<(u64, usize, bool)> =
            after.iter().map(|device| (device.id.0, device.bindings.len(), device.has_ended())).collect();
        assert_eq!(shown, [(1, 0, true), (2, 1, false), (3, 0, false), (4, 1, false), (5, 1, false)]);
        // Once more changes nothing.
        assert_eq!(
            without_gone(&gone, &after, Vec::new()),
            after.iter().filter(|d| !d.has_ended()).cloned().collect::<Vec<_>>()
        );
    }
}
