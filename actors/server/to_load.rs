//! How many packages of each tenant are to be loaded, or are being loaded: an import waits for those of its own tenant, and
//! not for what another one sends all the time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster::id::TenantId;
use muster::roles::server::{LoadOutcome, Loaded, PackageNumber};

use crate::node::Unsettled;

/// See the module's head.
#[derive(Debug, Default)]
pub struct ToLoad(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    tenants: BTreeMap<PackageNumber, TenantId>,
    counts: BTreeMap<TenantId, usize>,
}

impl ToLoad {
    /// How many there are of a tenant.
    pub fn of(&self, tenant: &TenantId) -> usize {
        self.counted().counts.get(tenant).copied().unwrap_or_default()
    }

    /// A life of the server begins with these.
    pub(super) fn begin(&self, packages: &[Unsettled]) {
        *self.counted() = Counted::default();
        self.arrived(packages);
    }

    /// These are to be loaded as well.
    pub(super) fn arrived(&self, packages: &[Unsettled]) {
        let mut counted = self.counted();
        for Unsettled { handle, tenant, .. } in packages {
            if counted.tenants.insert(PackageNumber(handle.0), tenant.clone()).is_none() {
                *counted.counts.entry(tenant.clone()).or_default() += 1;
            }
        }
    }

    /// A batch was loaded. What has no reader is waited for no longer, although it is looked at again from time to time.
    pub(super) fn loaded(&self, packages: &[Loaded]) {
        let mut counted = self.counted();
        for Loaded { package, outcome } in packages {
            if *outcome == LoadOutcome::Failed {
                continue;
            }
            let Some(tenant) = counted.tenants.remove(package) else { continue };
            let left = counted.counts.get(&tenant).map_or(0, |count| count - 1);
            match left {
                0 => _ = counted.counts.remove(&tenant),
                left => _ = counted.counts.insert(tenant, left),
            }
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Handle;
    use muster::id::Digest;
    use muster::model::package::{Kind, Origin, PackageKey};

    #[test]
    fn packages_of_one_tenant_are_not_waited_for_by_another() {
        let (a, b): (TenantId, TenantId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let package = |number: u64, tenant: &TenantId| {
            let digest = Digest::of(&number.to_be_bytes());
            let key = PackageKey { origin: Origin("o".into()), kind: Kind::Inventories, digest };
            Unsettled { handle: Handle(number), tenant: tenant.clone(), key }
        };
        let loaded = |number: u64, outcome| Loaded { package: PackageNumber(number), outcome };
        let to_load = ToLoad::default();
        to_load.begin(&[package(1, &a), package(2, &b)]);
        to_load.arrived(&[package(2, &b), package(3, &b), package(4, &b)]);
        assert_eq!((to_load.of(&a), to_load.of(&b)), (1, 3));
        to_load.loaded(&[
            loaded(1, LoadOutcome::Settled),
            loaded(2, LoadOutcome::Failed),
            loaded(9, LoadOutcome::Settled),
        ]);
        assert_eq!((to_load.of(&a), to_load.of(&b)), (0, 3));
        to_load.loaded(&[loaded(2, LoadOutcome::Settled), loaded(3, LoadOutcome::NoReader)]);
        to_load.loaded(&[loaded(3, LoadOutcome::NoReader)]);
        assert_eq!((to_load.of(&a), to_load.of(&b)), (0, 1));
        to_load.begin(&[package(5, &a)]);
        assert_eq!((to_load.of(&a), to_load.of(&b)), (1, 0), "a life begins with what is there then");
    }
}
