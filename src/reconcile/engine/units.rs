//! The working of a licence: each device or user that it counts, and what each comes to.
//!
//! Computed anew from what was taken, so that the sum of the units is a second account of the figure.
//!
//! Source: reconcile-files reference, section 8, `consumption.csv`.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, Persons};
use super::context::{Context, Person};
use super::meter::{Billed, HostRule, OnHost, Weight, factor};
use super::taken::TakenRow;
use crate::model::decimal::Decimal;
use crate::model::estate::{Kind, Number, Slot};
use crate::model::licensing::{Exemption, Licence, Metric, VmUse};
use crate::model::reconciliation::{Unit, UnitId, UnitReason, WarningCode};

/// Units of a licence, and what is to be said of the data behind them.
#[derive(Debug, Default)]
pub struct Working {
    /// Ascending by id.
    pub units: Vec<Unit>,
    /// Code and device.
    pub warnings: BTreeSet<(WarningCode, Number)>,
}

/// A unit while it is put together.
#[derive(Clone, Copy, Debug, Default)]
struct Draft {
    raw: u64,
    consumed: Decimal,
    exemption: Option<Exemption>,
    free: Option<UnitReason>,
}

#[derive(Default)]
struct Drafts {
    units: BTreeMap<UnitId, Draft>,
    warnings: BTreeSet<(WarningCode, Number)>,
}

impl Drafts {
    fn unit(&mut self, id: UnitId) -> &mut Draft {
        self.units.entry(id).or_default()
    }

    fn device(&mut self, device: Number) -> &mut Draft {
        self.unit(UnitId::Device(device))
    }

    /// Counts an installation for a unit.
    fn add(&mut self, id: UnitId, taken: &TakenRow) {
        let unit = self.unit(id);
        unit.raw += 1;
        unit.exemption = lowest(unit.exemption, taken.exemption);
    }
}

fn lowest(a: Option<Exemption>, b: Option<Exemption>) -> Option<Exemption> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The working of a licence that took `taken` and for which `alone` count without inventory. `is_over`: more is used than
/// is owned.
pub fn working(context: &Context<'_>, number: Number, taken: &[TakenRow], alone: &[UnitId], is_over: bool) -> Working {
    let licence = &context.licensing.licences[number as usize];
    let Some(metric) = licence.metric.filter(|_| licence.bad_data.is_none()) else { return Working::default() };
    let mut drafts = Drafts::default();
    match metric {
        Metric::USER | Metric::NAMED_USER => persons(context, number, taken, &mut drafts),
        Metric::ORACLE_PROCESSOR => servers(context, licence, taken, true, &mut drafts),
        Metric::ORACLE_NAMED_USER_PLUS => named_users(context, licence, taken, &mut drafts),
        Metric::SERVER_PROCESSOR
        | Metric::PROCESSOR_VALUE_UNIT
        | Metric::SERVER_CORE
        | Metric::MANAGEMENT_CORE
        | Metric::VIRTUAL_PROCESSOR_CORE => hosts(context, metric, licence, taken, &mut drafts),
        _ => devices(context, metric, licence, taken, alone, &mut drafts),
    }
    let counted =
        if metric == Metric::RESOURCE_VALUE_UNIT && is_over { UnitReason::NotCovered } else { UnitReason::Counted };
    let finish = |(id, draft): (UnitId, Draft)| {
        let reason = if draft.consumed.is_positive() {
            counted
        } else if !metric.is_calculated() {
            UnitReason::Covered
        } else {
            draft.exemption.map(UnitReason::Exempt).or(draft.free).unwrap_or(UnitReason::Covered)
        };
        Unit { id, raw: draft.raw, consumed: draft.consumed, reason }
    };
    let mut units: Vec<Unit> = drafts.units.into_iter().map(finish).collect();
    units.extend(alone.iter().map(|id| Unit {
        id: id.clone(),
        raw: 0,
        consumed: Decimal::ONE,
        reason: UnitReason::NoInventory,
    }));
    units.sort_by(|a, b| a.id.cmp(&b.id));
    Working { units, warnings: drafts.warnings }
}

/// Types that count devices, and all that count nothing by device.
fn devices(
    context: &Context<'_>,
    metric: Metric,
    licence: &Licence,
    taken: &[TakenRow],
    alone: &[UnitId],
    drafts: &mut Drafts,
) {
    let settings = &licence.settings;
    let is_by_device = matches!(
        metric,
        Metric::DEVICE
            | Metric::NODE_LOCKED
            | Metric::CONCURRENT_USER
            | Metric::CORE_POINTS
            | Metric::PROCESSOR_POINTS
            | Metric::PROCESSOR
    );
    let is_resource = metric == Metric::RESOURCE_VALUE_UNIT && !settings.resource_by_hand;
    let weight = Weight::new(metric, settings);
    let mut units: BTreeMap<Number, Decimal> = BTreeMap::new();
    for row in taken {
        drafts.add(UnitId::Device(row.device), row);
        if !row.is_counted {
            continue;
        }
        let weight = if is_by_device {
            weight.of(context, row.device).unwrap_or_default()
        } else if is_resource {
            context.device(row.device).capacity()
        } else {
            continue;
        };
        let known = units.entry(row.device).or_default();
        let is_each = metric == Metric::DEVICE && !settings.multiple_use;
        *known = if is_each { *known + weight } else { weight };
    }
    let free = if is_by_device { free_devices(context, metric, licence, &units, alone) } else { BTreeMap::new() };
    for (device, weight) in units {
        let unit = drafts.device(device);
        match free.get(&device) {
            Some(reason) => unit.free = Some(*reason),
            None => unit.consumed = weight,
        }
    }
}

/// Devices that use rights make free. Source: reconcile-files reference, section 6.1.
fn free_devices(
    context: &Context<'_>,
    metric: Metric,
    licence: &Licence,
    units: &BTreeMap<Number, Decimal>,
    alone: &[UnitId],
) -> BTreeMap<Number, UnitReason> {
    let mut free = BTreeMap::new();
    if let Some(vm_use) = licence.settings.vm_use.filter(|_| metric != Metric::CONCURRENT_USER) {
        let mut covered: BTreeMap<Slot, u64> = BTreeMap::new();
        for &device in units.keys() {
            let at = context.device(device);
            let Some(host) = at.host.filter(|_| at.kind == Kind::Vm) else { continue };
            let is_alone = || alone.binary_search(&UnitId::Device(host.get())).is_ok();
            if units.contains_key(&host.get()) || is_alone() {
                let count = covered.entry(host).or_default();
                *count += 1;
                if vm_use == VmUse::Unlimited || matches!(vm_use, VmUse::Some(most) if *count <= most) {
                    free.insert(device, UnitReason::Host);
                }
            }
        }
    }
    if licence.settings.second_use && matches!(metric, Metric::DEVICE | Metric::NODE_LOCKED) {
        let own = || units.keys().map(|&device| (device, context.device(device))).filter(|(_, at)| at.kind != Kind::Vm);
        let fixed: BTreeSet<Number> = own().filter(|(_, at)| !at.is_portable).filter_map(|(_, at)| at.user()).collect();
        let mut seen = BTreeSet::new();
        for (device, at) in own().filter(|(_, at)| at.is_portable) {
            if at.user().is_some_and(|user| fixed.contains(&user) && seen.insert(user)) {
                free.insert(device, UnitReason::SecondUse);
            }
        }
    }
    free
}

fn persons(context: &Context<'_>, number: Number, taken: &[TakenRow], drafts: &mut Drafts) {
    let account = Account::open(context, number);
    let mut persons = Persons::default();
    let id = |person| match context.person(person) {
        Person::User(user) => UnitId::User(user),
        Person::Device(device) => UnitId::Device(device),
    };
    for row in taken {
        let _ = account.persons(context, row.application, row.device, &mut persons);
        for &person in &persons.all {
            drafts.add(id(person), row);
            let unit = drafts.unit(id(person));
            unit.exemption = lowest(unit.exemption, account.user_exemption(person));
        }
        if row.is_counted {
            persons.counted.iter().for_each(|&person| drafts.unit(id(person)).consumed = Decimal::ONE);
        }
    }
}

fn hosts(context: &Context<'_>, metric: Metric, licence: &Licence, taken: &[TakenRow], drafts: &mut Drafts) {
    let rule = HostRule::new(metric, &licence.settings);
    let mut charged: BTreeMap<Number, OnHost> = BTreeMap::new();
    let mut last_counted = None;
    for row in taken {
        let unit = rule.unit(context, row.device).unwrap_or(row.device);
        drafts.add(UnitId::Device(unit), row);
        // Rows of one device stand together.
        if !row.is_counted || last_counted == Some(row.device) {
            continue;
        }
        last_counted = Some(row.device);
        let on = charged.entry(unit).or_default();
        if unit == row.device {
            on.own = true;
        } else {
            on.guests += 1;
            on.capacity += context.device(row.device).capacity();
        }
    }
    let is_by_sockets = matches!(metric, Metric::MANAGEMENT_CORE | Metric::SERVER_CORE | Metric::SERVER_PROCESSOR);
    for (unit, on) in charged {
        drafts.device(unit).consumed = rule.value(context, unit, &on);
        if is_by_sockets && on.guests > 0 && context.device(unit).is_clustered() {
            drafts.warnings.insert((WarningCode::HostInCluster, unit));
        }
        let is_known = context.points(licence.settings.points, unit).known.is_some();
        if metric == Metric::PROCESSOR_VALUE_UNIT && !is_known {
            drafts.warnings.insert((WarningCode::UnknownProcessor, unit));
        }
    }
}

/// Servers and partitions that are paid for; `shows_units`: not only what is to be said of them.
fn servers(context: &Context<'_>, licence: &Licence, taken: &[TakenRow], shows_units: bool, drafts: &mut Drafts) {
    let settings = &licence.settings;
    let of = |device| Billed::of(context, settings, device).unwrap_or_default();
    let counted = || taken.iter().filter(|row| row.is_counted).flat_map(|row| of(row.device));
    let whole: BTreeSet<Number> = counted().filter(|billed| !billed.is_partition).map(|billed| billed.device).collect();
    let is_swallowed = |billed: &Billed| billed.is_partition && whole.contains(&billed.server(context));
    let billed: BTreeSet<Billed> = counted().filter(|billed| !is_swallowed(billed)).collect();
    for one in billed {
        let consumed = if settings.standard_edition.is_some() {
            context.device(one.device).processors.into()
        } else {
            let (factor, warning) = factor(context, settings, one);
            drafts.warnings.extend(warning.map(|code| (code, one.server(context))));
            one.cores(context).unwrap_or_default().times(factor).ceil()
        };
        if shows_units {
            drafts.device(one.device).consumed = consumed;
        }
    }
    for row in taken.iter().filter(|_| shows_units) {
        let unit = match of(row.device).first() {
            Some(billed) if is_swallowed(billed) => billed.server(context),
            Some(billed) => billed.device,
            None => row.device,
        };
        drafts.add(UnitId::Device(unit), row);
    }
}

fn named_users(context: &Context<'_>, licence: &Licence, taken: &[TakenRow], drafts: &mut Drafts) {
    use crate::model::licensing::{Minimum, MinimumPer};
    for row in taken {
        for used in context.estate.usage.of(row.application, row.device) {
            if context.estate.users[used.user as usize].builtin {
                continue;
            }
            drafts.add(UnitId::User(used.user), row);
            if row.is_counted {
                let unit = drafts.unit(UnitId::User(used.user));
                unit.consumed = unit.consumed.max(used.quantity);
            }
        }
    }
    if matches!(licence.settings.minimum, Some(Minimum { per: MinimumPer::Processor, .. })) {
        servers(context, licence, taken, false, drafts);
    }
}
