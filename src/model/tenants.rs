//! The tenants of a server, and the group that each is of.

use std::collections::BTreeMap;

use crate::id::TenantId;
use crate::model::task::GroupName;

/// Every tenant with its group. There is always one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants(BTreeMap<TenantId, GroupName>);

impl Tenants {
    /// One tenant alone, in the default group.
    pub fn one(tenant: TenantId) -> Tenants {
        Tenants(BTreeMap::from([(tenant, GroupName::default_group())]))
    }

    /// Adds one, or moves it to another group.
    pub fn put(&mut self, tenant: TenantId, group: GroupName) {
        self.0.insert(tenant, group);
    }

    /// The group of a tenant.
    pub fn group(&self, tenant: &TenantId) -> Option<&GroupName> {
        self.0.get(tenant)
    }

    /// The tenants of a group, ascending.
    pub fn of_group(&self, group: &GroupName) -> impl Iterator<Item = &TenantId> {
        self.0.iter().filter(move |(_, of)| *of == group).map(|(tenant, _)| tenant)
    }

    /// The only tenant; `None` when there are several.
    pub fn only(&self) -> Option<(&TenantId, &GroupName)> {
        let mut all = self.0.iter();
        all.next().filter(|_| all.next().is_none())
    }
}
