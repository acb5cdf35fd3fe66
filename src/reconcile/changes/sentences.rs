//! Changes in words.

use super::{Cause, Changes, Figures, LicenceChange, PurchaseState, TermChange, Tie, UnitChange, UnitKind};
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::licensing::{Exemption, Total};
use crate::reconcile::sentences::{refusal, rounding};

/// All changes in words; of each licence so many terms and so many units at most.
pub fn of_changes(changes: &Changes, most: usize) -> Vec<String> {
    if changes.licences.is_empty() {
        return vec!["no figure, term or unit of any licence changed".to_owned()];
    }
    changes.licences.iter().flat_map(|change| of_licence(change, most)).collect()
}

/// What changed of a licence, and what did it.
pub fn of_licence(change: &LicenceChange, most: usize) -> Vec<String> {
    let mut lines = vec![head(change)];
    lines.extend(change.terms.iter().take(most).map(|term| format!("  {}", of_term(term))));
    if change.terms.len() > most {
        lines.push(format!("  and {} more changes of its terms", change.terms.len() - most));
    }
    for unit in change.units.iter().take(most) {
        lines.push(format!("  {}", of_unit(unit)));
    }
    if let Some(rest) = change.units.get(most..).filter(|rest| !rest.is_empty()) {
        let sum: Decimal = rest.iter().map(|unit| unit.difference).sum();
        lines.push(format!("  and {} more, {} together", rest.len(), signed(sum)));
    }
    let parts = &change.difference;
    let is_split = parts.rounding != Decimal::ZERO || parts.peaks != Decimal::ZERO;
    if is_split {
        lines.push(format!("  the units make {} of {}", signed(parts.units), signed(parts.consumed)));
    }
    if parts.rounding != Decimal::ZERO {
        let metric = change.after.as_ref().or(change.before.as_ref()).and_then(|figures| figures.metric);
        lines.push(format!("  {} is of no one unit: {}", signed(parts.rounding), rounding(metric)));
    }
    if parts.peaks != Decimal::ZERO {
        lines.push(format!("  {} is of peaks of earlier days", signed(parts.peaks)));
    }
    lines
}

fn head(change: &LicenceChange) -> String {
    let name = &change.license;
    let metric = |figures: &Figures| {
        figures.metric.map_or("type not readable".to_owned(), |metric| format!("{metric} ({})", metric.number()))
    };
    let used = |figures: &Figures| figures.consumed.map_or("not calculated".to_owned(), |used| used.to_string());
    let whole = |figures: &Figures| {
        format!("{}: {} used, {} owned, {}", metric(figures), used(figures), figures.total, figures.status.as_str())
    };
    let (was, is) = match (&change.before, &change.after) {
        (Some(was), Some(is)) => (was, is),
        (None, Some(is)) => return format!("`{name}` is new, {}", whole(is)),
        (Some(was), None) => return format!("`{name}` is there no more, it was {}", whole(was)),
        (None, None) => return format!("`{name}`"),
    };
    let mut head = format!("`{name}`, {}: {} used", metric(is), moved(&used(was), &used(is)));
    if change.difference.consumed != Decimal::ZERO {
        head += &format!(" ({})", signed(change.difference.consumed));
    }
    head += &format!(", {} owned", moved(&was.total.to_string(), &is.total.to_string()));
    head += &format!(", {}", moved(was.status.as_str(), is.status.as_str()));
    if was.raw != is.raw {
        head += &format!("; {} installations", moved(&was.raw.to_string(), &is.raw.to_string()));
    }
    if was.missing != is.missing {
        head += &format!(
            "; devices of which not enough is known: {}",
            moved(&was.missing.to_string(), &is.missing.to_string())
        );
    }
    head
}

/// `before -> after`, or one of them where they are the same.
fn moved(before: &str, after: &str) -> String {
    if before == after { after.to_owned() } else { format!("{before} -> {after}") }
}

/// The same of values that may be blank.
fn turned(before: &str, after: &str) -> String {
    let shown = |text: &str| if text.is_empty() { "blank".to_owned() } else { text.to_owned() };
    moved(&shown(before), &shown(after))
}

/// A difference with its sign.
pub fn signed(difference: Decimal) -> String {
    if difference.is_positive() { format!("+{difference}") } else { difference.to_string() }
}

fn of_term(term: &TermChange) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "not covered".to_owned());
    match term {
        TermChange::Purchase { quantity, effective, expiry, before, after } => {
            purchase(*quantity, [*effective, *expiry], *before, *after)
        }
        TermChange::Setting { name, before, after } => format!("setting {name}: {}", turned(before, after)),
        TermChange::Rules { name, set } => format!("the rules of its {name} `{set}` are others"),
        TermChange::Covers { application, before, after } => {
            format!("application `{application}`: {}", moved(&or_none(before), &or_none(after)))
        }
        TermChange::ExemptRole { role, before, after } => {
            format!("devices in the role `{role}`: {}", moved(&need(*before), &need(*after)))
        }
        TermChange::Peak { region, before, after } => {
            let shown = |peak: &Option<Decimal>| peak.map_or("none".to_owned(), |peak| peak.to_string());
            format!("peak of region `{region}`: {}", moved(&shown(before), &shown(after)))
        }
        TermChange::TrueUpEnded { last } => {
            let last = last.map_or_else(String::new, |last| format!(" {last}"));
            format!("the last day{last} on which over-use was allowed is past")
        }
        TermChange::BadData { after: Some(place), .. } => {
            format!("the cell {place} is bad: the licence takes nothing until it is mended")
        }
        TermChange::BadData { before, .. } => {
            format!("the cell {} is bad no more", before.as_deref().unwrap_or_default())
        }
    }
}

/// Whether somebody needs a right.
fn need(exemption: Option<Exemption>) -> String {
    exemption.map_or("need a right".to_owned(), |exemption| format!("need no right: {exemption}"))
}

fn purchase(
    quantity: Total,
    [effective, expiry]: [Option<Day>; 2],
    before: Option<PurchaseState>,
    after: Option<PurchaseState>,
) -> String {
    let from = effective.map_or_else(String::new, |day| format!(" from {day}"));
    let to = expiry.map_or_else(String::new, |day| format!(" up to {day}"));
    let what = format!("purchase of {quantity}{from}{to}");
    let state = |state: PurchaseState| match state {
        PurchaseState::InForce => "in force",
        PurchaseState::NotYet => "not yet in force",
        PurchaseState::Expired => "expired",
        PurchaseState::Retired => "retired",
    };
    match (before, after) {
        (None, Some(is)) => format!("{what}: added, {}", state(is)),
        (Some(was), None) => format!("{what}: taken away, it was {}", state(was)),
        (Some(was), Some(is)) => format!("{what}: {}", moved(state(was), state(is))),
        (None, None) => what,
    }
}

fn kind(unit: UnitKind) -> &'static str {
    match unit {
        UnitKind::Device => "device",
        UnitKind::User => "user",
    }
}

fn of_unit(unit: &UnitChange) -> String {
    let counted = |counted: &Option<super::Counted>| counted.map_or(Decimal::ZERO, |counted| counted.consumed);
    let (was, is) = (counted(&unit.before), counted(&unit.after));
    let counts = if was == is {
        format!("counts {is} as before")
    } else {
        format!("{} ({was} -> {is})", signed(unit.difference))
    };
    let causes: Vec<String> = unit.causes.iter().take(CAUSES_TOLD).map(|cause| of_cause(unit, cause)).collect();
    let more = match unit.causes.len().saturating_sub(CAUSES_TOLD) {
        0 => String::new(),
        more => format!("; and {more} more causes"),
    };
    format!("{} `{}` {counts}: {}{more}", kind(unit.unit), unit.id, causes.join("; "))
}

/// Causes that are told of one unit.
const CAUSES_TOLD: usize = 6;

/// A cause; the device is named where it is not the unit itself.
fn of_cause(unit: &UnitChange, cause: &Cause) -> String {
    let on = |device: &String| {
        let is_self = unit.unit == UnitKind::Device && unit.id == *device;
        if is_self { String::new() } else { format!(" on `{device}`") }
    };
    let the = |device: &String| {
        let is_self = unit.unit == UnitKind::Device && unit.id == *device;
        if is_self { "the device".to_owned() } else { format!("device `{device}`") }
    };
    let why = |because: &Option<crate::model::reconciliation::Reason>, who: &str| {
        because.map_or_else(String::new, |reason| format!(" ({who}: {})", refusal(reason)))
    };
    match cause {
        Cause::DeviceNew { device } => format!("{} is new", the(device)),
        Cause::DeviceGone { device } => format!("{} is there no more", the(device)),
        Cause::Installed { application, device, evidence } => {
            let by = evidence.as_ref().map_or_else(String::new, |evidence| format!(", shown by {evidence}"));
            format!("`{application}`{} is newly installed{by}", on(device))
        }
        Cause::Removed { application, device, evidence } => {
            let by = evidence.as_ref().map_or_else(String::new, |evidence| format!(", it was shown by {evidence}"));
            format!("`{application}`{} is no longer installed{by}", on(device))
        }
        Cause::MovedFrom { application, device, license: Some(license), because } => {
            format!("`{application}`{} came from licence `{license}`{}", on(device), why(because, "which says"))
        }
        Cause::MovedFrom { application, device, license: None, because } => {
            format!("`{application}`{} was on no licence{}", on(device), why(because, "this one said"))
        }
        Cause::MovedTo { application, device, license: Some(license), because } => {
            format!("`{application}`{} went to licence `{license}`{}", on(device), why(because, "this one says"))
        }
        Cause::MovedTo { application, device, license: None, because } => {
            format!("`{application}`{} is on no licence{}", on(device), why(because, "this one says"))
        }
        Cause::Exemption { application, device, before, after } => {
            let need = |exemption: &Option<Exemption>| {
                exemption.map_or("needs a right".to_owned(), |exemption| format!("needs no right ({exemption})"))
            };
            format!("`{application}`{}: {}", on(device), moved(&need(before), &need(after)))
        }
        Cause::Free { application, device, is_free: true } => {
            format!("`{application}`{} is free beside its suite or primary now", on(device))
        }
        Cause::Free { application, device, is_free: false } => {
            format!("`{application}`{} is no longer free beside its suite or primary", on(device))
        }
        Cause::Allocation { unit: tied, id, before, after } => {
            let shown = |tie: &Option<Tie>| {
                tie.map_or("none".to_owned(), |tie| match tie.exemption {
                    Some(exemption) => format!("{}, exempt ({exemption})", tie.kind),
                    None => tie.kind.to_owned(),
                })
            };
            let is_self = unit.unit == *tied && unit.id == *id;
            let of = if is_self { String::new() } else { format!(" of {} `{id}`", kind(*tied)) };
            format!("allocation{of}: {}", moved(&shown(before), &shown(after)))
        }
        Cause::Fact { device, fact, before, after } => format!("{fact}{}: {}", on(device), turned(before, after)),
        Cause::Usage { application, device, before, after } => {
            let shown = |used: &Option<Decimal>| used.map_or("not used".to_owned(), |used| format!("used {used}"));
            format!("`{application}`{}: {}", on(device), moved(&shown(before), &shown(after)))
        }
        Cause::Access { application, reaches: true } => format!("reaches `{application}`"),
        Cause::Access { application, reaches: false } => format!("no longer reaches `{application}`"),
        Cause::CountsAs { before, after } => format!("{before} -> {after}"),
        Cause::Terms => "the terms of the licence changed".to_owned(),
        Cause::Elsewhere => "what else is on the licence decides it".to_owned(),
    }
}
