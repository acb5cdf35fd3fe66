//! What the last reconcile of each tenant read of its devices, so that the next one reads only those that have changed.
//!
//! Nothing depends on what stands here but time: it is gone with the process, with a view that was built again, and where it
//! would take too much memory.

use std::sync::{Arc, Mutex, PoisonError};

use muster::id::TenantId;
use muster::model::fact::{FactKey, FactKind};
use muster::model::folder::{Changed, KnownDevices};

use crate::log::Position;
use crate::server::books::Books;

/// Bytes that are kept of all tenants together.
const BYTES_MAX: usize = 512 << 20;

/// The devices of a tenant, and when they were read.
#[derive(Debug)]
pub struct FleetReading {
    /// The view showed all facts up to here when it began: a fact that is put behind it may have been seen or not. A value
    /// that a compaction moves counts as put.
    since: Position,
    /// How often the view had been built anew: numbers of titles are its own.
    built: u64,
    /// What was read.
    pub devices: KnownDevices,
}

impl FleetReading {
    /// One that begins now; `None` while the view does not show everything: nothing of that is to be kept.
    pub fn begin(books: &Books) -> Option<FleetReading> {
        // In this order: software of all facts up to `since` is shown when nothing is behind after that.
        let (since, built) = (books.view.applied(), books.view.rebuilt());
        (!books.view.is_behind()).then(|| FleetReading { since, built, devices: KnownDevices::new(BYTES_MAX) })
    }

    /// What has changed since; `None`: nothing that was read is of use any more.
    pub fn changed(&self, books: &Books) -> Option<Changed> {
        if self.built != books.view.rebuilt() {
            return None;
        }
        let mut changed = Changed::default();
        // Software comes with the record that lists it.
        for kind in [FactKind::Device, FactKind::Record] {
            for key in books.facts.put_since(&kind.prefix(Some(&books.tenant)), self.since) {
                changed.put(FactKey::decode(&key)?);
            }
        }
        Some(changed)
    }
}

/// See the module's head. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Vec<(TenantId, FleetReading)>>>);

impl Standing {
    /// Takes out what was read of a tenant's devices.
    pub fn take(&self, tenant: &TenantId) -> Option<FleetReading> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(owner, _)| owner == tenant)?;
        Some(all.remove(place).1)
    }

    /// Keeps what was read of a tenant's devices, and lets go of tenants that were reconciled longest ago where that is too
    /// much.
    pub fn put(&self, tenant: &TenantId, reading: FleetReading) {
        self.put_within(BYTES_MAX, tenant, reading);
    }

    fn put_within(&self, most: usize, tenant: &TenantId, reading: FleetReading) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(owner, _)| owner != tenant);
        all.insert(0, (tenant.clone(), reading));
        let mut bytes = 0;
        all.retain(|(_, reading)| {
            bytes += reading.devices.bytes();
            bytes <= most
        });
    }
}

#[cfg(test)]
mod tests {
    use muster::id::DeviceId;

    use super::*;

    #[test]
    fn tenants_that_were_read_longest_ago_are_let_go_of_where_all_are_too_many() {
        let reading = || {
            let mut devices = KnownDevices::new(BYTES_MAX);
            devices.add(DeviceId(1), None);
            FleetReading { since: Position::default(), built: 0, devices }
        };
        let tenant = |name: &str| -> TenantId { name.parse().unwrap() };
        let (standing, each) = (Standing::default(), reading().devices.bytes());
        ["a", "b", "a", "c"].map(tenant).iter().for_each(|one| standing.put_within(2 * each, one, reading()));
        assert!(standing.take(&tenant("b")).is_none());
        assert!(standing.take(&tenant("a")).is_some() && standing.take(&tenant("c")).is_some());
        assert!(standing.take(&tenant("a")).is_none(), "taken out");
        standing.put_within(each - 1, &tenant("a"), reading());
        assert!(standing.take(&tenant("a")).is_none(), "more than fits alone");
    }
}
