//! What the last reconcile of a tenant read of its devices, packed, so that the next one reads only those that have changed.
//!
//! A device has changed when its fact, or that of one of its records, was put behind the position up to which the view showed
//! everything when it was read: software comes with the record that lists it. A value that a compaction moved counts as put
//! anew. What agents metered is read each time. Nothing depends on what stands here but time: it is gone with the process, with
//! a view that was built again, and where it would take too much memory.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::{HashMap, HashSet};
use muster::id::{DeviceId, TenantId};
use muster::model::device::RecordKey;
use muster::model::fact::{FactKey, FactKind};
use muster::model::folder::FleetDevice;
use muster::model::software::{InstalledTitle, TitleId};
use muster::model::stored;
use muster::model::titles::{pack_titles, unpack_titles};
use serde::{Deserialize, Serialize};

use crate::log::Position;
use crate::server::books::Books;

/// Bytes that are kept of all tenants together: some half a kilobyte a device, and two bytes for each title on it.
const BYTES_MAX: usize = 512 << 20;

/// A device as it was read, without what agents metered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its row.
    pub row: FleetDevice,
    /// Its records.
    pub records: Vec<RecordKey>,
    /// Its titles, ascending.
    pub titles: Vec<TitleId>,
}

#[derive(Serialize, Deserialize)]
struct Packed {
    row: FleetDevice,
    titles: Vec<Vec<u8>>,
}

/// A device, packed; without bytes it was merged into another one.
#[derive(Debug)]
struct Kept {
    records: Box<[RecordKey]>,
    bytes: Box<[u8]>,
}

/// The devices of a tenant.
#[derive(Debug, Default)]
pub struct KnownDevices {
    /// Facts up to here were seen.
    since: Position,
    /// How often the view was built anew: numbers of titles are its own.
    built: u64,
    devices: HashMap<DeviceId, Kept>,
    bytes: usize,
}

/// Which of the devices that are known may be others now.
#[derive(Debug, Default)]
pub struct Changed {
    devices: HashSet<DeviceId>,
    records: HashSet<RecordKey>,
}

impl KnownDevices {
    /// None yet, to be filled by a reading that begins now; nothing is kept of a view that does not show everything.
    pub fn begin(books: &Books) -> Option<KnownDevices> {
        // In this order: software of all facts up to `since` is shown when nothing is behind after that.
        let (since, built) = (books.view.applied(), books.view.rebuilt());
        (!books.view.is_behind()).then(|| KnownDevices { since, built, ..KnownDevices::default() })
    }

    /// What has changed since these were read; `None`: they are of no use any more.
    pub fn changed(&self, books: &Books) -> Option<Changed> {
        if self.built != books.view.rebuilt() {
            return None;
        }
        let put = |kind: FactKind| {
            let keys = books.facts.put_since(&kind.prefix(Some(&books.tenant)), self.since);
            keys.into_iter().map(|key| FactKey::decode(&key))
        };
        let mut changed = Changed::default();
        for key in put(FactKind::Device).chain(put(FactKind::Record)) {
            match key? {
                FactKey::Device(_, id) => _ = changed.devices.insert(id),
                FactKey::Record(_, record) => _ = changed.records.insert(record),
                _ => {}
            }
        }
        Some(changed)
    }

    /// A device that has not changed; `Some(None)`: it was merged into another one.
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
            self.insert(id, kept);
        }
    }

    /// Keeps a device that was read; `None`: it was merged into another one.
    pub fn add(&mut self, id: DeviceId, device: Option<&KnownDevice>) {
        let kept = match device {
            None => Kept { records: Box::default(), bytes: Box::default() },
            Some(KnownDevice { row, records, titles }) => {
                let titles = titles.iter().map(|&title| InstalledTitle { title, install_date: None }).collect();
                let bytes = stored::pack(&Packed { row: row.clone(), titles: pack_titles(titles) });
                Kept { records: records.clone().into(), bytes: bytes.into() }
            }
        };
        self.insert(id, kept);
    }

    fn insert(&mut self, id: DeviceId, kept: Kept) {
        let bytes =
            size_of::<(DeviceId, Kept)>() + kept.bytes.len() + kept.records.iter().map(record_bytes).sum::<usize>();
        if self.bytes + bytes <= BYTES_MAX {
            self.bytes += bytes;
            self.devices.insert(id, kept);
        }
    }
}

fn record_bytes(record: &RecordKey) -> usize {
    size_of::<RecordKey>() + record.external_id.len()
}

/// See the module's head. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Vec<(TenantId, KnownDevices)>>>);

impl Standing {
    /// Takes out what is known of a tenant's devices.
    pub fn take(&self, tenant: &TenantId) -> Option<KnownDevices> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(owner, _)| owner == tenant)?;
        Some(all.remove(place).1)
    }

    /// Keeps what is known of a tenant's devices, and lets go of tenants that were reconciled long ago where it is too much.
    pub fn put(&self, tenant: &TenantId, devices: KnownDevices) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(owner, _)| owner != tenant);
        all.insert(0, (tenant.clone(), devices));
        let mut bytes = 0;
        all.retain(|(_, devices)| {
            bytes += devices.bytes;
            bytes <= BYTES_MAX
        });
    }
}
