//! The working of a licence: each device or user that it counts, and what each comes to.
//!
//! Computed anew from what was taken, so that the sum of the units is a second account of the figure.
//!
//! Source: reconcile-files reference, section 8, `consumption.csv`.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::account::{Account, Persons};
use super::context::{ByProfile, Context, Person};
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

/// A unit while it is put together: whether it is a user, and the number.
type Key = (bool, Number);

/// What is known of units, in any order. A licence has millions, so lists that are sorted once.
#[derive(Default)]
struct Drafts {
    /// An installation of the unit, and why it needs no right.
    parts: Vec<(Key, Option<Exemption>)>,
    /// The user needs no right.
    exempt: Vec<(Key, Exemption)>,
    /// What the unit comes to; of several the largest counts.
    consumed: Vec<(Key, Decimal)>,
    /// What makes it free.
    free: Vec<(Key, UnitReason)>,
    warnings: BTreeSet<(WarningCode, Number)>,
}

fn device(number: Number) -> Key {
    (false, number)
}

fn user(number: Number) -> Key {
    (true, number)
}

/// Takes from the head of a sorted list all that belongs to `key`.
fn take<'l, T>(list: &mut &'l [(Key, T)], key: Key) -> &'l [(Key, T)] {
    let length = list.iter().take_while(|(known, _)| *known == key).count();
    let (own, rest) = list.split_at(length);
    *list = rest;
    own
}

impl Drafts {
    /// The units, ascending.
    fn finish(mut self, counted: UnitReason, is_calculated: bool) -> Vec<Unit> {
        self.parts.sort_by_key(|&(key, _)| key);
        self.exempt.sort_unstable();
        self.consumed.sort_by_key(|&(key, _)| key);
        self.free.sort_by_key(|&(key, _)| key);
        let (mut parts, mut exempt, mut consumed, mut free) =
            (&self.parts[..], &self.exempt[..], &self.consumed[..], &self.free[..]);
        let mut units = Vec::new();
        loop {
            let heads = [parts.first().map(|one| one.0), consumed.first().map(|one| one.0)];
            let Some(key) = heads.into_iter().flatten().min() else { return units };
            let own = take(&mut parts, key);
            let said = take(&mut exempt, key).iter().map(|&(_, exemption)| exemption);
            let lowest = own.iter().filter_map(|&(_, exemption)| exemption).chain(said).min();
            let comes_to = take(&mut consumed, key).iter().map(|&(_, consumed)| consumed).max().unwrap_or_default();
            let is_free = take(&mut free, key).first().map(|&(_, reason)| reason);
            let reason = if comes_to.is_positive() {
                counted
            } else if !is_calculated {
                UnitReason::Covered
            } else {
                lowest.map(UnitReason::Exempt).or(is_free).unwrap_or(UnitReason::Covered)
            };
            let id = if key.0 { UnitId::User(key.1) } else { UnitId::Device(key.1) };
            units.push(Unit { id, raw: own.len() as u64, consumed: comes_to, reason });
        }
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
    let warnings = std::mem::take(&mut drafts.warnings);
    let mut units = drafts.finish(counted, metric.is_calculated());
    units.extend(alone.iter().map(|id| Unit {
        id: id.clone(),
        raw: 0,
        consumed: Decimal::ONE,
        reason: UnitReason::NoInventory,
    }));
    units.sort_by(|a, b| a.id.cmp(&b.id));
    Working { units, warnings }
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
    let (weight, weights) = (Weight::new(metric, settings), ByProfile::new(context));
    let weight = |device| weights.get(context, device, || weight.of(context, device).unwrap_or_default());
    let is_each = metric == Metric::DEVICE && !settings.multiple_use;
    // Ascending: rows of one device stand together.
    let mut units: Vec<(Number, Decimal)> = Vec::new();
    for row in taken {
        drafts.parts.push((device(row.device), row.exemption));
        if !row.is_counted || !(is_by_device || is_resource) {
            continue;
        }
        match units.last_mut().filter(|(known, _)| *known == row.device) {
            Some((_, sum)) if is_each => *sum += Decimal::ONE,
            Some(_) => {}
            None if is_resource => units.push((row.device, context.device(row.device).capacity())),
            None => units.push((row.device, weight(row.device))),
        }
    }
    if is_by_device {
        drafts.free = free_devices(context, metric, licence, &units, alone);
    }
    let is_free = |number: Number| drafts.free.binary_search_by_key(&device(number), |&(key, _)| key).is_ok();
    let counted = units.iter().filter(|&&(number, _)| !is_free(number));
    drafts.consumed = counted.map(|&(number, weight)| (device(number), weight)).collect();
}

/// Devices that use rights make free. Source: reconcile-files reference, section 6.1.
fn free_devices(
    context: &Context<'_>,
    metric: Metric,
    licence: &Licence,
    units: &[(Number, Decimal)],
    alone: &[UnitId],
) -> Vec<(Key, UnitReason)> {
    let mut free = Vec::new();
    let is_unit = |number: Number| units.binary_search_by_key(&number, |&(known, _)| known).is_ok();
    if let Some(vm_use) = licence.settings.vm_use.filter(|_| metric != Metric::CONCURRENT_USER) {
        let mut covered: BTreeMap<Slot, u64> = BTreeMap::new();
        for &(number, _) in units {
            let at = context.device(number);
            let Some(host) = at.host.filter(|_| at.kind == Kind::Vm) else { continue };
            let is_alone = || alone.binary_search(&UnitId::Device(host.get())).is_ok();
            if is_unit(host.get()) || is_alone() {
                let count = covered.entry(host).or_default();
                *count += 1;
                if vm_use == VmUse::Unlimited || matches!(vm_use, VmUse::Some(most) if *count <= most) {
                    free.push((device(number), UnitReason::Host));
                }
            }
        }
    }
    if licence.settings.second_use && matches!(metric, Metric::DEVICE | Metric::NODE_LOCKED) {
        let own =
            || units.iter().map(|&(number, _)| (number, context.device(number))).filter(|(_, at)| at.kind != Kind::Vm);
        let fixed: BTreeSet<Number> = own().filter(|(_, at)| !at.is_portable).filter_map(|(_, at)| at.user()).collect();
        let mut seen = BTreeSet::new();
        for (number, at) in own().filter(|(_, at)| at.is_portable) {
            if at.user().is_some_and(|user| fixed.contains(&user) && seen.insert(user)) {
                free.push((device(number), UnitReason::SecondUse));
            }
        }
    }
    // A device is free by one of the two: one is for virtual machines, the other for all else.
    free.sort_unstable_by_key(|&(key, _)| key);
    free
}

fn persons(context: &Context<'_>, number: Number, taken: &[TakenRow], drafts: &mut Drafts) {
    let account = Account::open(context, number);
    let mut persons = Persons::default();
    let key = |person| match context.person(person) {
        Person::User(number) => user(number),
        Person::Device(number) => device(number),
    };
    for row in taken {
        let _ = account.persons(context, row.application, row.device, &mut persons);
        for &person in &persons.all {
            drafts.parts.push((key(person), row.exemption));
            drafts.exempt.extend(account.user_exemption(person).map(|exemption| (key(person), exemption)));
        }
        if row.is_counted {
            drafts.consumed.extend(persons.counted.iter().map(|&person| (key(person), Decimal::ONE)));
        }
    }
}

fn hosts(context: &Context<'_>, metric: Metric, licence: &Licence, taken: &[TakenRow], drafts: &mut Drafts) {
    let (rule, alone) = (HostRule::new(metric, &licence.settings), ByProfile::new(context));
    let mut charged: HashMap<Number, OnHost> = HashMap::new();
    let mut last_counted = None;
    for row in taken {
        let unit = rule.unit(context, row.device).unwrap_or(row.device);
        drafts.parts.push((device(unit), row.exemption));
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
    // Sorted at the end, so the order of this walk shows nowhere.
    for (unit, on) in charged {
        // Without guests hosts of one kind come to the same.
        let value = || rule.value(context, unit, &on);
        let consumed = if on.guests == 0 { alone.get(context, unit, value) } else { value() };
        drafts.consumed.push((device(unit), consumed));
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
            drafts.consumed.push((device(one.device), consumed));
        }
    }
    for row in taken.iter().filter(|_| shows_units) {
        let unit = match of(row.device).first() {
            Some(billed) if is_swallowed(billed) => billed.server(context),
            Some(billed) => billed.device,
            None => row.device,
        };
        drafts.parts.push((device(unit), row.exemption));
    }
}

fn named_users(context: &Context<'_>, licence: &Licence, taken: &[TakenRow], drafts: &mut Drafts) {
    use crate::model::licensing::{Minimum, MinimumPer};
    for row in taken {
        for used in context.estate.usage.of(row.application, row.device) {
            if context.estate.users[used.user as usize].builtin {
                continue;
            }
            drafts.parts.push((user(used.user), row.exemption));
            if row.is_counted {
                drafts.consumed.push((user(used.user), used.quantity));
            }
        }
    }
    if matches!(licence.settings.minimum, Some(Minimum { per: MinimumPer::Processor, .. })) {
        servers(context, licence, taken, false, drafts);
    }
}
