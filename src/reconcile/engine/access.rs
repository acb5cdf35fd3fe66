//! Licences that count who reaches a server product, by device or by user. Each counts for itself.
//!
//! Source: reconcile-files reference, sections 6.1 (types 39 and 40) and 8.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use crate::model::decimal::Decimal;
use crate::model::estate::{Number, Texts};
use crate::model::licensing::{Allocated, Exemption, Metric};
use crate::model::reconciliation::{Unit, UnitId, UnitReason};

/// Who reaches what a licence covers.
#[derive(Debug, Default)]
pub struct Reached {
    /// Who counts, ascending.
    pub units: Vec<Unit>,
    /// Pairs of who and application, and allocations without access.
    pub raw: u64,
    /// Who reaches it and needs no right.
    pub exempt: u64,
}

/// Who reaches what `licence` covers.
pub fn reached(context: &Context<'_>, number: Number) -> Reached {
    let licence = &context.licensing.licences[number as usize];
    let (estate, scope) = (context.estate, licence.settings.scope);
    let by_device = licence.metric == Some(Metric::DEVICE_CAL);
    let mut reached: BTreeMap<UnitId, BTreeSet<Number>> = BTreeMap::new();
    for access in &estate.access {
        if context.links.role(number, access.application).is_none() {
            continue;
        }
        let who = if by_device {
            access.device.map(|device| (UnitId::Device(device.get()), context.device(device.get()).group))
        } else {
            access.user.map(|user| (UnitId::User(user.get()), estate.users[user.get() as usize].group))
        };
        if let Some((id, _)) = who.filter(|&(_, group)| context.is_in_scope(group, scope)) {
            reached.entry(id).or_default().insert(access.application);
        }
    }
    let mut allocated: BTreeSet<UnitId> = BTreeSet::new();
    let mut said: BTreeMap<UnitId, Exemption> = BTreeMap::new();
    for allocation in &licence.allocations {
        let id = match &allocation.to {
            Allocated::Device(device) if by_device => UnitId::Device(*device),
            Allocated::UnknownDevice(device) if by_device => UnitId::UnknownDevice(device.clone()),
            Allocated::User(user) if !by_device => UnitId::User(*user),
            _ => continue,
        };
        match allocation.exemption {
            Some(exemption) => {
                said.insert(id, exemption);
            }
            None => {
                allocated.insert(id);
            }
        }
    }
    let is_exempt = |id: &UnitId| {
        let role = match id {
            UnitId::Device(device) => context.device(*device).role,
            UnitId::UnknownDevice(_) | UnitId::User(_) => Texts::BLANK,
        };
        said.contains_key(id) || (role != Texts::BLANK && licence.exempt_role(role).is_some())
    };
    let mut all = Reached::default();
    for (id, applications) in &reached {
        all.raw += applications.len() as u64;
        if allocated.contains(id) || !is_exempt(id) {
            let raw = applications.len() as u64;
            all.units.push(Unit { id: id.clone(), raw, consumed: Decimal::ONE, reason: UnitReason::Counted });
        } else {
            all.exempt += 1;
        }
    }
    for id in allocated.into_iter().filter(|id| !reached.contains_key(id)) {
        all.raw += 1;
        all.units.push(Unit { id, raw: 0, consumed: Decimal::ONE, reason: UnitReason::NoInventory });
    }
    all.units.sort_by(|a, b| a.id.cmp(&b.id));
    all
}
