//! What changed in the terms of a licence: purchases, settings, what it covers, roles, peaks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::side::Side;
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::Slot;
use crate::model::licensing::{
    Edition, Entitlement, Exemption, Licence, MinimumPer, PointsSet, Role, Settings, Steps, Total, VmUse,
};

/// What a purchase is on the day of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// It counts.
    InForce,
    /// Its first day is to come.
    NotYet,
    /// Its last day is past.
    Expired,
    /// The operator took it out of use.
    Retired,
}

/// A change of the terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "term", rename_all = "snake_case")]
#[allow(missing_docs, reason = "ids of what the change names, and values of the first and the second run")]
pub enum TermChange {
    /// A purchase was added, taken away, or is something else on the day of the second run.
    Purchase {
        quantity: Total,
        #[serde(serialize_with = "day_text")]
        effective: Option<Day>,
        #[serde(serialize_with = "day_text")]
        expiry: Option<Day>,
        before: Option<PurchaseState>,
        after: Option<PurchaseState>,
    },
    /// A column of `licenses.csv`, as it would be written.
    Setting { name: &'static str, before: String, after: String },
    /// Rules of the set that the licence names in this column changed.
    Rules { name: &'static str, set: String },
    /// What an application is to it: role and priority; `None`: it was, or is, not covered by a row.
    Covers { application: String, before: Option<String>, after: Option<String> },
    /// A role needs no right, or needs one again.
    ExemptRole { role: String, before: Option<Exemption>, after: Option<Exemption> },
    /// The largest figure of a region.
    Peak { region: String, before: Option<Decimal>, after: Option<Decimal> },
    /// The last day on which over-use was allowed is past.
    TrueUpEnded {
        #[serde(serialize_with = "day_text")]
        last: Option<Day>,
    },
    /// A cell is bad, or is bad no more: `FILE:LINE COLUMN`.
    BadData { before: Option<String>, after: Option<String> },
}

fn day_text<S: Serializer>(day: &Option<Day>, serializer: S) -> Result<S::Ok, S::Error> {
    match day {
        Some(day) => serializer.collect_str(day),
        None => serializer.serialize_none(),
    }
}

impl TermChange {
    /// Whether it can change who is counted, and for how much.
    pub fn changes_counting(&self) -> bool {
        match self {
            TermChange::Setting { .. }
            | TermChange::Rules { .. }
            | TermChange::Covers { .. }
            | TermChange::ExemptRole { .. }
            | TermChange::BadData { .. } => true,
            TermChange::Purchase { .. } | TermChange::Peak { .. } | TermChange::TrueUpEnded { .. } => false,
        }
    }
}

/// What changed. A licence that is on one side only has purchases that came or went, and no more is told of its terms.
pub fn differences(before: &Side<'_, '_>, after: &Side<'_, '_>) -> Vec<TermChange> {
    let mut changes = purchases(before, after);
    if let (Some(was), Some(is)) = (before.terms(), after.terms()) {
        settings(before, after, &mut changes);
        sets(before, after, &was.settings, &is.settings, &mut changes);
        covers(before, after, &mut changes);
        roles(before, after, &mut changes);
        peaks(before, after, &mut changes);
        true_up(before, after, is, &mut changes);
        let place = |licence: &Licence| licence.bad_data.as_deref().map(str::to_owned);
        // Where it stands may change with the order of rows, and changes nothing.
        if was.bad_data.is_some() != is.bad_data.is_some() {
            changes.push(TermChange::BadData { before: place(was), after: place(is) });
        }
    }
    changes
}

/// A purchase without its state: unlimited ones last.
type Bought = (bool, Option<Decimal>, Option<Day>, Option<Day>);

fn state(one: &Entitlement, day: Day) -> PurchaseState {
    if one.retired {
        PurchaseState::Retired
    } else if one.has_ended(day) {
        PurchaseState::Expired
    } else if one.in_force(day) {
        PurchaseState::InForce
    } else {
        PurchaseState::NotYet
    }
}

/// Purchases have no ids: those of the same quantity and days are the same, and of several alike those in the same state.
fn purchases(before: &Side<'_, '_>, after: &Side<'_, '_>) -> Vec<TermChange> {
    let mut all: BTreeMap<Bought, [Vec<PurchaseState>; 2]> = BTreeMap::new();
    for (place, side) in [before, after].into_iter().enumerate() {
        let day = side.found.context().as_of;
        for one in side.terms().into_iter().flat_map(|terms| &terms.entitlements) {
            let key = (one.quantity == Total::Unlimited, one.quantity.limit(), one.effective, one.expiry);
            all.entry(key).or_default()[place].push(state(one, day));
        }
    }
    let mut changes = Vec::new();
    for ((_, limit, effective, expiry), [mut was, mut is]) in all {
        was.sort_unstable();
        is.sort_unstable();
        was.retain(|state| match is.iter().position(|other| other == state) {
            Some(same) => {
                is.remove(same);
                false
            }
            None => true,
        });
        let quantity = limit.map_or(Total::Unlimited, Total::Limited);
        for place in 0..was.len().max(is.len()) {
            let (before, after) = (was.get(place).copied(), is.get(place).copied());
            changes.push(TermChange::Purchase { quantity, effective, expiry, before, after });
        }
    }
    changes
}

fn settings(before: &Side<'_, '_>, after: &Side<'_, '_>, changes: &mut Vec<TermChange>) {
    for ((name, before), (_, after)) in cells(before).into_iter().zip(cells(after)) {
        if before != after {
            changes.push(TermChange::Setting { name, before, after });
        }
    }
}

/// The columns of `licenses.csv` with what stands there, in their order.
fn cells(side: &Side<'_, '_>) -> Vec<(&'static str, String)> {
    let Some(terms) = side.terms() else { return Vec::new() };
    let (licensing, one) = (side.found.context().licensing, &terms.settings);
    let yes = |is: bool| if is { "yes".to_owned() } else { String::new() };
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let word = |word: &str| word.to_owned();
    let vm_use = match one.vm_use {
        None => String::new(),
        Some(VmUse::Some(most)) => most.to_string(),
        Some(VmUse::Unlimited) => word("unlimited"),
    };
    let edition = match one.standard_edition {
        None => "",
        Some(Edition::Se) => "SE",
        Some(Edition::Se1) => "SE1",
        Some(Edition::Se2) => "SE2",
    };
    let per = match one.minimum.map(|minimum| minimum.per) {
        None => "",
        Some(MinimumPer::Processor) => "processor",
        Some(MinimumPer::Server) => "server",
        Some(MinimumPer::License) => "license",
        Some(MinimumPer::Socket) => "socket",
    };
    let scope = one.scope.map_or_else(String::new, |group| side.estate().groups.ids().name(group.get()).to_owned());
    let points = one.points.map_or("", |set| &*licensing.points[set.get() as usize].name);
    let steps = one.steps.map_or("", |set| &*licensing.steps[set.get() as usize].name);
    vec![
        ("type", terms.metric.map_or_else(String::new, |metric| metric.number().to_string())),
        ("scope", scope),
        ("true_up", yes(one.true_up)),
        ("true_up_date", one.true_up_date.map_or_else(String::new, |day| day.to_string())),
        ("manual_status", one.manual_status.to_string()),
        ("quantity", one.quantity.map_or_else(String::new, |quantity| quantity.to_string())),
        ("allocations_consume", yes(one.allocations_consume)),
        ("upgrade", yes(one.upgrade)),
        ("downgrade", yes(one.downgrade)),
        ("multiple_use", yes(one.multiple_use)),
        ("second_use", yes(one.second_use)),
        ("vm_use", vm_use),
        ("installs_per_right", one.installs_per_right.to_string()),
        ("core_cap", number(one.core_cap)),
        ("points_set", word(points)),
        ("sub_capacity", yes(one.sub_capacity)),
        ("period_days", one.period_days.to_string()),
        ("standard_edition", word(edition)),
        ("soft_level", word(if one.soft_level_host { "host" } else { "cluster" })),
        ("minimum", number(one.minimum.map(|minimum| minimum.users))),
        ("minimum_per", word(per)),
        ("rule", word(if one.is_standard { "standard" } else { "" })),
        ("count", word(if one.per_vm { "vm" } else { "host" })),
        ("maintenance", yes(one.maintenance)),
        ("processors_per_license", one.processors_per_license.to_string()),
        ("minimum_processors", one.minimum_processors.to_string()),
        ("vms_per_license", number(one.vms_per_license)),
        ("resource", word(if one.resource_by_hand { "quantity" } else { "cores" })),
        ("steps_set", word(steps)),
    ]
}

/// Sets of the same name whose rules are others.
fn sets(before: &Side<'_, '_>, after: &Side<'_, '_>, was: &Settings, is: &Settings, changes: &mut Vec<TermChange>) {
    fn named<T>(list: &[T], place: Option<Slot>) -> Option<&T> {
        place.map(|place| &list[place.get() as usize])
    }
    let [first, second] = [before, after].map(|side| side.found.context().licensing);
    let points: [Option<&PointsSet>; 2] = [named(&first.points, was.points), named(&second.points, is.points)];
    if let [Some(was), Some(is)] = points
        && was.name == is.name
        && was != is
    {
        changes.push(TermChange::Rules { name: "points_set", set: is.name.to_string() });
    }
    let steps: [Option<&Steps>; 2] = [named(&first.steps, was.steps), named(&second.steps, is.steps)];
    if let [Some(was), Some(is)] = steps
        && was.name == is.name
        && was != is
    {
        changes.push(TermChange::Rules { name: "steps_set", set: is.name.to_string() });
    }
}

/// Two maps side by side: keys with different values, ascending.
fn unequal<K: Ord + Clone, V: PartialEq + Clone>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<(K, Option<V>, Option<V>)> {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|&key| before.get(key) != after.get(key))
        .map(|key| (key.clone(), before.get(key).cloned(), after.get(key).cloned()))
        .collect()
}

fn covers(before: &Side<'_, '_>, after: &Side<'_, '_>, changes: &mut Vec<TermChange>) {
    let links = |side: &Side<'_, '_>| -> BTreeMap<String, String> {
        let links = side.terms().into_iter().flat_map(|terms| &terms.links);
        links
            .map(|link| {
                let role = match link.role {
                    Role::Primary => "primary".to_owned(),
                    Role::Supplementary(None) => "supplementary".to_owned(),
                    Role::Supplementary(Some(ratio)) => format!("supplementary, ratio {ratio}"),
                };
                let priority = link.priority.map_or_else(String::new, |priority| format!(", priority {priority}"));
                (side.estate().application_ids.name(link.application).to_owned(), role + &priority)
            })
            .collect()
    };
    for (application, before, after) in unequal(&links(before), &links(after)) {
        changes.push(TermChange::Covers { application, before, after });
    }
}

fn roles(before: &Side<'_, '_>, after: &Side<'_, '_>, changes: &mut Vec<TermChange>) {
    let roles = |side: &Side<'_, '_>| -> BTreeMap<String, Exemption> {
        let roles = side.terms().into_iter().flat_map(|terms| &terms.exempt_roles);
        roles.map(|exempt| (side.estate().texts.text(exempt.role).to_owned(), exempt.reason)).collect()
    };
    for (role, before, after) in unequal(&roles(before), &roles(after)) {
        changes.push(TermChange::ExemptRole { role, before, after });
    }
}

fn peaks(before: &Side<'_, '_>, after: &Side<'_, '_>, changes: &mut Vec<TermChange>) {
    let peaks = |side: &Side<'_, '_>| -> BTreeMap<String, Decimal> {
        let peaks = side.licence.map(|licence| side.found.peaks(licence)).unwrap_or_default();
        peaks.iter().map(|peak| (side.estate().texts.text(peak.region).to_owned(), peak.peak)).collect()
    };
    for (region, before, after) in unequal(&peaks(before), &peaks(after)) {
        changes.push(TermChange::Peak { region, before, after });
    }
}

fn true_up(before: &Side<'_, '_>, after: &Side<'_, '_>, is: &Licence, changes: &mut Vec<TermChange>) {
    let last = is.settings.true_up_date.filter(|_| is.settings.true_up);
    let ended = |side: &Side<'_, '_>| last.is_some_and(|last| side.found.context().as_of > last);
    if ended(after) && !ended(before) {
        changes.push(TermChange::TrueUpEnded { last });
    }
}
