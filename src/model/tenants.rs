//! The tenants of a server: the group that each is of, and the beacons whose uploads are its.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{Guid, TenantId};
use crate::model::task::GroupName;
use crate::time::Timestamp;

/// Most tenants of a server: each has counters in memory, and is looked at in every turn.
pub const TENANTS_MAX: usize = 10_000;
/// Most beacons of one tenant.
pub const BEACONS_MAX: usize = 10_000;

/// What is registered of a tenant: the fact of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Tenants whose business data is kept together.
    pub group: GroupName,
    /// Whatever came by one of these beacons first is the tenant's.
    pub beacons: BTreeSet<Guid>,
    /// When it was registered first.
    pub since: Timestamp,
}

impl Registration {
    /// A tenant of this group without beacons.
    pub fn new(group: GroupName, since: Timestamp) -> Registration {
        Registration { group, beacons: BTreeSet::new(), since }
    }
}

/// What is to be changed of a tenant, or that it is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantChange {
    /// Which.
    pub tenant: TenantId,
    /// Another group; a new tenant without one is in the default group.
    pub group: Option<GroupName>,
    /// Beacons that are its from now on.
    pub add: BTreeSet<Guid>,
    /// Beacons that are not any more.
    pub remove: BTreeSet<Guid>,
}

/// Why a change is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantRefusal {
    /// The beacon is another tenant's.
    #[error(
        "beacon {beacon} is registered for tenant {tenant}: take it from there first (`muster tenants add {tenant} --without-beacon {beacon}`)"
    )]
    Taken {
        /// Which.
        beacon: Guid,
        /// Whose.
        tenant: TenantId,
    },
    /// The beacon is not registered for the tenant.
    #[error("beacon {0} is not registered for this tenant")]
    NotThere(Guid),
    /// Added and removed at once.
    #[error("beacon {0} is to be added and to be removed")]
    Both(Guid),
    /// A name that differs from another one's only by case.
    #[error("there is a tenant `{0}`: names of tenants differ by more than capital letters")]
    Case(TenantId),
    /// Too many tenants.
    #[error("a server has at most {TENANTS_MAX} tenants")]
    Tenants,
    /// Too many beacons.
    #[error("a tenant has at most {BEACONS_MAX} beacons")]
    Beacons,
}

/// Every tenant with what is registered of it. There is always the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants {
    own: TenantId,
    all: BTreeMap<TenantId, Registration>,
    beacons: BTreeMap<Guid, TenantId>,
}

impl Tenants {
    /// The server's own tenant alone, in the default group.
    pub fn one(own: TenantId) -> Tenants {
        let registration = Registration::new(GroupName::default_group(), Timestamp::default());
        Tenants { all: BTreeMap::from([(own.clone(), registration)]), own, beacons: BTreeMap::new() }
    }

    /// Shows what is registered of a tenant. A beacon that two claim is the later one's.
    pub fn put(&mut self, tenant: TenantId, registration: Registration) {
        self.beacons.retain(|_, of| *of != tenant);
        self.beacons.extend(registration.beacons.iter().map(|beacon| (*beacon, tenant.clone())));
        self.all.insert(tenant, registration);
    }

    /// The tenant's registration after `change` at `now`.
    pub fn changed(&self, change: &TenantChange, now: Timestamp) -> Result<Registration, TenantRefusal> {
        let TenantChange { tenant, group, add, remove } = change;
        let known = self.all.get(tenant);
        let alike = |other: &&TenantId| other.as_str().eq_ignore_ascii_case(tenant.as_str());
        if let (None, Some(other)) = (known, self.all.keys().find(alike)) {
            return Err(TenantRefusal::Case(other.clone()));
        }
        if known.is_none() && self.all.len() >= TENANTS_MAX {
            return Err(TenantRefusal::Tenants);
        }
        let new = || Registration::new(GroupName::default_group(), now);
        let mut next = known.cloned().unwrap_or_else(new);
        if let Some(both) = add.intersection(remove).next() {
            return Err(TenantRefusal::Both(*both));
        }
        for beacon in add {
            if let Some(other) = self.beacons.get(beacon).filter(|of| *of != tenant) {
                return Err(TenantRefusal::Taken { beacon: *beacon, tenant: other.clone() });
            }
            next.beacons.insert(*beacon);
        }
        for beacon in remove {
            if !next.beacons.remove(beacon) {
                return Err(TenantRefusal::NotThere(*beacon));
            }
        }
        if next.beacons.len() > BEACONS_MAX {
            return Err(TenantRefusal::Beacons);
        }
        if let Some(group) = group {
            next.group = group.clone();
        }
        Ok(next)
    }

    /// The server's own tenant: whoever sends without a registered beacon is of it.
    pub fn own(&self) -> &TenantId {
        &self.own
    }

    /// Whose an upload is that came by `beacon` first; `None`: it came without one.
    pub fn of_beacon(&self, beacon: Option<Guid>) -> &TenantId {
        beacon.and_then(|beacon| self.beacons.get(&beacon)).unwrap_or(&self.own)
    }

    /// What is registered of a tenant; `None` for one that is not there.
    pub fn get(&self, tenant: &TenantId) -> Option<&Registration> {
        self.all.get(tenant)
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&TenantId, &Registration)> {
        self.all.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The group of a tenant.
    pub fn group(&self, tenant: &TenantId) -> Option<&GroupName> {
        self.all.get(tenant).map(|registration| &registration.group)
    }

    /// The tenants of a group, ascending.
    pub fn of_group(&self, group: &GroupName) -> impl Iterator<Item = &TenantId> {
        self.all.iter().filter(move |(_, of)| of.group == *group).map(|(tenant, _)| tenant)
    }

    /// The only tenant; `None` when there are several.
    pub fn only(&self) -> Option<(&TenantId, &GroupName)> {
        let mut all = self.all.iter();
        all.next().filter(|_| all.next().is_none()).map(|(tenant, registration)| (tenant, &registration.group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid(byte: u8) -> Guid {
        Guid::from_random([byte; 16])
    }

    fn change(tenant: &str, group: Option<&str>, add: &[Guid], remove: &[Guid]) -> TenantChange {
        TenantChange {
            tenant: tenant.parse().unwrap(),
            group: group.map(|group| group.parse().unwrap()),
            add: add.iter().copied().collect(),
            remove: remove.iter().copied().collect(),
        }
    }

    fn make(tenants: &mut Tenants, change: &TenantChange) -> Result<(), TenantRefusal> {
        let next = tenants.changed(change, Timestamp(7))?;
        tenants.put(change.tenant.clone(), next);
        Ok(())
    }

    #[test]
    fn a_beacon_is_one_tenants_and_whoever_has_none_is_of_the_servers_own() {
        let own: TenantId = "own".parse().unwrap();
        let mut tenants = Tenants::one(own.clone());
        assert_eq!(tenants.only().unwrap().0, &own);
        make(&mut tenants, &change("acme", Some("emea"), &[guid(1), guid(2)], &[])).unwrap();
        make(&mut tenants, &change("zeta", None, &[guid(3)], &[])).unwrap();
        let of = |tenants: &Tenants, beacon| tenants.of_beacon(beacon).as_str().to_owned();
        assert_eq!(
            [Some(guid(1)), Some(guid(3)), Some(guid(9)), None].map(|beacon| of(&tenants, beacon)),
            ["acme", "zeta", "own", "own"]
        );
        let taken = make(&mut tenants, &change("zeta", None, &[guid(1)], &[])).unwrap_err();
        assert!(taken.to_string().contains("registered for tenant acme"), "{taken}");
        // Nothing said of the group leaves it.
        make(&mut tenants, &change("acme", None, &[], &[guid(1)])).unwrap();
        make(&mut tenants, &change("zeta", None, &[guid(1)], &[])).unwrap();
        assert_eq!((of(&tenants, Some(guid(1))), of(&tenants, Some(guid(2)))), ("zeta".into(), "acme".into()));
        assert_eq!(tenants.group(&"acme".parse().unwrap()).unwrap().as_str(), "emea");
        assert_eq!(tenants.get(&"acme".parse().unwrap()).unwrap().since, Timestamp(7));
        assert!(tenants.only().is_none());
    }

    #[test]
    fn a_change_that_makes_no_sense_is_refused() {
        let mut tenants = Tenants::one("own".parse().unwrap());
        let refused = |tenants: &mut Tenants, change| make(tenants, &change).unwrap_err();
        assert_eq!(refused(&mut tenants, change("a", None, &[guid(1)], &[guid(1)])), TenantRefusal::Both(guid(1)));
        assert_eq!(refused(&mut tenants, change("own", None, &[], &[guid(1)])), TenantRefusal::NotThere(guid(1)));
        assert_eq!(refused(&mut tenants, change("OWN", None, &[], &[])), TenantRefusal::Case("own".parse().unwrap()));
        for number in 1..TENANTS_MAX {
            make(&mut tenants, &change(&format!("t{number}"), None, &[], &[])).unwrap();
        }
        assert_eq!(refused(&mut tenants, change("more", None, &[], &[])), TenantRefusal::Tenants);
        assert_eq!(make(&mut tenants, &change("t7", Some("g"), &[], &[])), Ok(()), "one that is there can be changed");
    }
}
