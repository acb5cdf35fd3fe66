//! The devices of a fleet as its last reading found them, packed, so that the next reading asks only for those that have
//! changed: about half a kilobyte a device and two bytes for each title on it.
//!
//! A device has changed when its fact, or that of one of its records, was put since. What its software was used for is no part
//! of it: what is kept of use depends on the day.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::FleetDevice;
use crate::id::DeviceId;
use crate::model::device::RecordKey;
use crate::model::fact::FactKey;
use crate::model::software::{InstalledTitle, TitleId};
use crate::model::stored;
use crate::model::titles::{pack_titles, unpack_titles};

/// A device as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its row, without who used it most.
    pub row: FleetDevice,
    /// Its records.
    pub records: Vec<RecordKey>,
    /// Its titles, ascending; one for each architecture, side by side.
    pub titles: Vec<TitleId>,
}

#[derive(Serialize, Deserialize)]
struct Packed {
    row: FleetDevice,
    titles: Vec<Vec<u8>>,
}

/// A device, packed; without bytes it is an alias.
#[derive(Debug)]
struct Kept {
    records: Box<[RecordKey]>,
    bytes: Box<[u8]>,
}

/// See the module's head.
#[derive(Debug)]
pub struct KnownDevices {
    devices: HashMap<DeviceId, Kept>,
    bytes: usize,
    most: usize,
}

/// Devices and records whose facts were put since a reading.
#[derive(Debug, Default)]
pub struct Changed {
    devices: HashSet<DeviceId>,
    records: HashSet<RecordKey>,
}

impl Changed {
    /// Notes a fact that was put.
    pub fn put(&mut self, key: FactKey) {
        match key {
            FactKey::Device(_, id) => _ = self.devices.insert(id),
            FactKey::Record(_, record) => _ = self.records.insert(record),
            _ => {}
        }
    }
}

impl KnownDevices {
    /// None yet; devices are kept as far as they fit into `most` bytes.
    pub fn new(most: usize) -> KnownDevices {
        KnownDevices { devices: HashMap::new(), bytes: 0, most }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A device that is known and has not changed; `Some(None)`: it is an alias, merged into another one or
    /// ended.
    pub fn find(&self, id: DeviceId, changed: &Changed) -> Option<Option<KnownDevice>> {
        let kept = self.devices.get(&id)?;
        let is_changed = changed.devices.contains(&id)
            || (!changed.records.is_empty() && kept.records.iter().any(|record| changed.records.contains(record)));
        if is_changed {
            return None;
        }
        if kept.bytes.is_empty() {
            return Some(None);
        }
        // What does not read back is read where it came from.
        let Packed { row, titles } = stored::unpack(&kept.bytes).ok()?;
        let titles = titles.iter().map(|chunk| unpack_titles(chunk)).collect::<Option<Vec<_>>>()?;
        let titles = titles.into_iter().flatten().map(|installed| installed.title).collect();
        Some(Some(KnownDevice { row, records: kept.records.to_vec(), titles }))
    }

    /// Keeps a device of `before`, which has not changed.
    pub fn keep(&mut self, id: DeviceId, before: &mut KnownDevices) {
        if let Some(kept) = before.devices.remove(&id) {
            before.bytes -= bytes_of(&kept);
            self.insert(id, kept);
        }
    }

    /// Keeps a device that was read; `None`: it is an alias.
    pub fn add(&mut self, id: DeviceId, device: Option<&KnownDevice>) {
        let kept = match device {
            None => Kept { records: Box::default(), bytes: Box::default() },
            Some(KnownDevice { row, records, titles }) => {
                let titles = titles.iter().map(|&title| InstalledTitle { title, install_date: None }).collect();
                let bytes = stored::pack(&Packed { row: row.clone(), titles: pack_titles(titles) });
                Kept { records: records.as_slice().into(), bytes: bytes.into() }
            }
        };
        self.insert(id, kept);
    }

    fn insert(&mut self, id: DeviceId, kept: Kept) {
        if let Some(other) = self.devices.remove(&id) {
            self.bytes -= bytes_of(&other);
        }
        let bytes = bytes_of(&kept);
        if self.bytes + bytes <= self.most {
            self.bytes += bytes;
            self.devices.insert(id, kept);
        }
    }
}

fn bytes_of(kept: &Kept) -> usize {
    let records = kept.records.iter().map(|record| size_of::<RecordKey>() + record.external_id.len());
    size_of::<(DeviceId, Kept)>() + kept.bytes.len() + records.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;
    use crate::model::device::{Device, DeviceValues, Provenance};

    const ROOM: usize = 1 << 20;

    fn record(name: &str) -> RecordKey {
        RecordKey { source: "agent".into(), external_id: name.into() }
    }

    fn device(id: u64, titles: impl IntoIterator<Item = u32>) -> KnownDevice {
        let read = Device {
            id: DeviceId(id),
            inventory_date: 0,
            values: DeviceValues::default(),
            bindings: Vec::new(),
            merged_into: None,
        };
        let mut row = FleetDevice::of(&read, |_| None);
        row.used_by("kim", &Provenance { source: "usage".into(), date: 0 });
        let records = vec![record(&format!("a{id}")), record(&format!("b{id}"))];
        KnownDevice { row, records, titles: titles.into_iter().map(TitleId).collect() }
    }

    fn changed(keys: impl IntoIterator<Item = FactKey>) -> Changed {
        let mut changed = Changed::default();
        keys.into_iter().for_each(|key| changed.put(key));
        changed
    }

    #[test]
    fn what_is_kept_reads_back_until_its_fact_or_one_of_its_records_is_put() {
        let tenant = TenantId::default_tenant();
        let mut known = KnownDevices::new(ROOM);
        // More titles than a chunk holds, each for two architectures.
        let one = device(1, (0..60_000).map(|number| number / 2 * 7));
        known.add(DeviceId(1), Some(&one));
        known.add(DeviceId(2), None);
        assert_eq!(known.find(DeviceId(1), &Changed::default()), Some(Some(one.clone())));
        assert_eq!(known.find(DeviceId(2), &Changed::default()), Some(None), "an alias");
        assert_eq!(known.find(DeviceId(3), &Changed::default()), None, "never read");
        for key in [FactKey::Device(tenant.clone(), DeviceId(1)), FactKey::Record(tenant.clone(), record("b1"))] {
            assert_eq!(known.find(DeviceId(1), &changed([key.clone()])), None, "{key:?}");
        }
        assert_eq!(known.find(DeviceId(2), &changed([FactKey::Device(tenant.clone(), DeviceId(2))])), None);
        let others = [
            FactKey::Device(tenant.clone(), DeviceId(2)),
            FactKey::Record(tenant.clone(), record("b2")),
            FactKey::Usage(tenant, record("b1")),
        ];
        assert_eq!(known.find(DeviceId(1), &changed(others)), Some(Some(one)));
    }

    #[test]
    fn no_more_is_kept_than_fits_and_what_is_taken_over_moves() {
        let all = Changed::default();
        let mut known = KnownDevices::new(ROOM);
        (1..=9).for_each(|id| known.add(DeviceId(id), Some(&device(id, [4, 4, 9]))));
        let each = known.bytes() / 9;
        let mut next = KnownDevices::new(4 * each);
        (1..=9).for_each(|id| next.keep(DeviceId(id), &mut known));
        assert_eq!((next.bytes(), known.bytes()), (4 * each, 0));
        assert_eq!((1..=9).filter(|&id| next.find(DeviceId(id), &all).is_some()).count(), 4);
        assert_eq!(next.find(DeviceId(4), &all), Some(Some(device(4, [4, 4, 9]))));
        // Again the same one: counted once.
        let mut twice = KnownDevices::new(ROOM);
        (0..2).for_each(|_| twice.add(DeviceId(1), Some(&device(1, [4, 4, 9]))));
        assert_eq!(twice.bytes(), each);
    }
}
