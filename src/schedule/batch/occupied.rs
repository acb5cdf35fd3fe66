//! Tasks by band and scope, so that the oldest one that conflicts with another is found without looking at each.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::model::task::{BandNumber, Constraints, Per, TaskNumber};
use crate::time::Timestamp;

/// Since when a task waits, and its number: the greater is the younger.
pub(super) type Age = (Timestamp, TaskNumber);

/// A scope by numbers that stand for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ScopeKey {
    System,
    Group(u32),
    Tenant { tenant: u32, group: u32 },
}

/// Tasks of one band.
#[derive(Clone, Debug, Default)]
struct OfBand {
    all: BTreeSet<Age>,
    system: BTreeSet<Age>,
    /// Of a whole group.
    of_group: HashMap<u32, BTreeSet<Age>>,
    /// Of a whole group, or of a tenant in it.
    in_group: HashMap<u32, BTreeSet<Age>>,
    of_tenant: HashMap<u32, BTreeSet<Age>>,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub(super) struct Occupied(Vec<OfBand>);

fn put(sets: &mut HashMap<u32, BTreeSet<Age>>, key: u32, age: Age) {
    sets.entry(key).or_default().insert(age);
}

fn take(sets: &mut HashMap<u32, BTreeSet<Age>>, key: u32, age: Age) {
    if let Some(set) = sets.get_mut(&key) {
        set.remove(&age);
        if set.is_empty() {
            sets.remove(&key);
        }
    }
}

impl Occupied {
    pub(super) fn new(bands: usize) -> Occupied {
        Occupied(vec![OfBand::default(); bands])
    }

    pub(super) fn put(&mut self, band: BandNumber, scope: ScopeKey, age: Age) {
        let Some(of) = self.0.get_mut(usize::from(band.0)) else { return };
        of.all.insert(age);
        match scope {
            ScopeKey::System => _ = of.system.insert(age),
            ScopeKey::Group(group) => {
                put(&mut of.of_group, group, age);
                put(&mut of.in_group, group, age);
            }
            ScopeKey::Tenant { tenant, group } => {
                put(&mut of.in_group, group, age);
                put(&mut of.of_tenant, tenant, age);
            }
        }
    }

    pub(super) fn take(&mut self, band: BandNumber, scope: ScopeKey, age: Age) {
        let Some(of) = self.0.get_mut(usize::from(band.0)) else { return };
        of.all.remove(&age);
        match scope {
            ScopeKey::System => _ = of.system.remove(&age),
            ScopeKey::Group(group) => {
                take(&mut of.of_group, group, age);
                take(&mut of.in_group, group, age);
            }
            ScopeKey::Tenant { tenant, group } => {
                take(&mut of.in_group, group, age);
                take(&mut of.of_tenant, tenant, age);
            }
        }
    }

    /// The oldest task that conflicts with one of this band and scope, its band, and how far that exclusion reaches.
    pub(super) fn oldest(
        &self,
        constraints: &Constraints,
        band: BandNumber,
        scope: ScopeKey,
    ) -> Option<(Age, BandNumber, Per)> {
        let found = constraints.excluded_by(band).filter_map(|(other, per)| {
            let of = self.0.get(usize::from(other.0))?;
            of.oldest(per, scope).map(|age| (age, other, per))
        });
        found.min()
    }
}

impl OfBand {
    fn oldest(&self, per: Per, scope: ScopeKey) -> Option<Age> {
        let first = |set: &BTreeSet<Age>| set.first().copied();
        let of = |sets: &HashMap<u32, BTreeSet<Age>>, key: u32| sets.get(&key).and_then(first);
        match (per, scope) {
            (Per::System, _) | (_, ScopeKey::System) => first(&self.all),
            (Per::Group, ScopeKey::Group(group) | ScopeKey::Tenant { group, .. })
            | (Per::Tenant, ScopeKey::Group(group)) => {
                first(&self.system).into_iter().chain(of(&self.in_group, group)).min()
            }
            (Per::Tenant, ScopeKey::Tenant { tenant, group }) => {
                let wider = first(&self.system).into_iter().chain(of(&self.of_group, group));
                wider.chain(of(&self.of_tenant, tenant)).min()
            }
        }
    }
}
