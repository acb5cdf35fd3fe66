//! The working of a reconcile in words: which licences an installation was offered and what each said; what a licence is
//! used for and why that is its status.

use std::fmt::Write as _;

use super::engine::Reconciled;
use super::refusals::refusals;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Metric, Role, Total};
use crate::model::reconciliation::{Answer, How, Outcome, Reason, Status, Unit, UnitId, UnitReason};

/// Why a licence took an installation.
fn because(how: How) -> &'static str {
    match how {
        How::Allocated => "it is allocated to it",
        How::Suite => "its suite on the same device went there",
        How::Supplementary => "it is free beside a primary product",
        How::Overflow => "every licence that could take it is used up, and this one stands first",
        How::Priority => "it is the first with room for it",
    }
}

/// Why a licence did not take an installation, and what would change that.
pub(super) fn refusal(reason: Reason) -> &'static str {
    match reason {
        Reason::AllocatedElsewhere => "the installation is allocated to another licence",
        Reason::BadData => "the licence has a bad cell and takes nothing until it is mended",
        Reason::OutOfScope => "the device, or everyone who uses it, is outside the group that the licence is scoped to",
        Reason::NotAllocated => "the licence takes only what is allocated to it, and this is not",
        Reason::PrimaryMissing => "it is free only beside a primary product, and none on the device is on this licence",
        Reason::RatioUsedUp => "as many as are free beside the primaries are taken",
        Reason::HostMissing => "it is a virtual machine, and what it runs on is not known: give its host",
        Reason::CoreCountMissing => "the cores are not known: give them for the device, or for its host",
        Reason::ProcessorCountMissing => "the processors are not known: give them for the device, or for its host",
        Reason::NoPointsRule => "no rule of the licence's set of points knows the processor: add one",
        Reason::TooManySockets => "the server has more sockets than the edition may run on",
        Reason::MaintenanceMissing => "virtual machines need a licence with maintenance",
        Reason::VirtualUseNotAllowed => "the edition may not be counted by hosts for virtual machines",
        Reason::Full => "all its rights are used",
    }
}

/// What became of an installation, and what every licence that covers it said, in the order in which they stand. `None`: the
/// application is not installed on the device.
pub fn of_installation(found: &Reconciled<'_>, device: Number, application: Number) -> Option<Vec<String>> {
    let (context, estate) = (found.context(), found.context().estate);
    let place = estate.installations.of_application(application).binary_search(&device).ok()?;
    let (verdict, outcome) = (found.verdict(application, place), found.outcome(application, place));
    let licence_name = |licence: Number| context.licensing.ids.name(licence);
    let what = format!("`{}` on `{}`", estate.application_ids.name(application), estate.device_ids.name(device));
    let candidates = context.links.candidates(application);
    let head = match outcome {
        Outcome::Taken(taken) => {
            let mut head = format!("{what} is on licence `{}`: {}", licence_name(taken.licence), because(taken.how));
            if let Some(exemption) = taken.exemption {
                let _ = write!(head, "; it needs no right: {exemption} (exemption {})", exemption.number());
            }
            head
        }
        Outcome::Unlicensed if candidates.is_empty() => {
            format!("{what} is unlicensed: no licence covers the application")
        }
        Outcome::Unlicensed => format!("{what} is unlicensed: no licence that covers it took it"),
        Outcome::NotLicensable => format!("{what} needs no licence: the application is marked so"),
    };
    let mut lines = vec![head];
    for (rank, candidate) in (1..).zip(candidates) {
        let answer = verdict.map_or(Answer::NotAssessed, |verdict| verdict.answer(candidate.licence));
        let said = match answer {
            Answer::Consumed(how) => format!("took it: {}", because(how)),
            Answer::Rejected(reason) => format!("did not take it: {}", refusal(reason)),
            Answer::NotAssessed => "was not asked".to_owned(),
        };
        let role = if matches!(candidate.role, Role::Supplementary(_)) {
            ", which has it as a supplementary product,"
        } else {
            ""
        };
        lines.push(format!("  {rank}. `{}`{role} {said}", licence_name(candidate.licence)));
    }
    Some(lines)
}

/// What a licence is used for, why that is its status, and each unit that it counts, `units_max` of them at most.
pub fn of_licence(found: &Reconciled<'_>, licence: Number, units_max: usize) -> Vec<String> {
    let units = found.working(licence).units;
    let mut lines = heading(found, licence, &units);
    for unit in units.iter().take(units_max) {
        lines.push(format!("  {}", of_unit(found, unit)));
    }
    if units.len() > units_max {
        lines.push(format!("  and {} more", units.len() - units_max));
    }
    lines
}

/// What a licence is used for and why that is its status, without its units.
pub fn heading(found: &Reconciled<'_>, licence: Number, units: &[Unit]) -> Vec<String> {
    let (context, position) = (found.context(), &found.positions()[licence as usize]);
    let metric = position
        .metric
        .map_or("type not readable".to_owned(), |metric| format!("{} ({})", metric.as_str(), metric.number()));
    let name = context.licensing.ids.name(licence);
    let consumed = position.consumed.map_or("not calculated".to_owned(), |consumed| consumed.to_string());
    let mut lines =
        vec![format!("`{name}`, {metric}: {consumed} used, {} owned, {}", position.total, position.status.as_str())];
    lines.extend(why(found, licence).map(|why| format!("  {why}")));
    lines.extend(refused(found, licence).map(|line| format!("  {line}")));
    if position.consumed != position.today {
        let today = position.today.unwrap_or_default();
        lines.push(format!("  today it would be {today}; the largest figures of the running periods count"));
    }
    for peak in found.peaks(licence) {
        let region = context.estate.texts.text(peak.region);
        lines.push(format!("  region `{region}`: {} since {}", peak.peak, peak.since));
    }
    let sum: Decimal = units.iter().map(|unit| unit.consumed).sum();
    let is_rounded = position.today.is_some_and(|today| today != sum) && !units.is_empty();
    if is_rounded {
        lines.push(format!("  the units come to {sum}; {}", rounding(position.metric)));
    }
    lines
}

/// Installations that are named for each reason.
const REFUSED_TOLD: usize = 5;

/// What the licence did not take, reason by reason.
fn refused<'f>(found: &'f Reconciled<'_>, licence: Number) -> impl Iterator<Item = String> + 'f {
    let estate = found.context().estate;
    refusals(found, licence, REFUSED_TOLD).into_iter().map(move |refusal| {
        let name = |&(device, application): &(Number, Number)| {
            format!("`{}` on `{}`", estate.application_ids.name(application), estate.device_ids.name(device))
        };
        let named: Vec<String> = refusal.first.iter().map(name).collect();
        let more = match refusal.installations - named.len() as u64 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("did not take {}{more}: {}", named.join(", "), self::refusal(refusal.reason))
    })
}

/// Why the units of a type do not add up to its figure.
pub(super) fn rounding(metric: Option<Metric>) -> &'static str {
    match metric {
        Some(Metric::DEVICE) => "several installations share a right, and the last right counts whole",
        Some(Metric::ORACLE_PROCESSOR) => "cores of one factor are added before they are rounded up",
        Some(Metric::ORACLE_NAMED_USER_PLUS) => "the minimum for what the databases run on is above the users",
        Some(Metric::RESOURCE_VALUE_UNIT) => "the more of the resource, the less a further unit of it counts",
        Some(Metric::CUSTOM) => "the quantity is entered by hand",
        _ => "figures of several are rounded together",
    }
}

/// Why the status of a licence is what it is.
pub fn why(found: &Reconciled<'_>, licence: Number) -> Option<String> {
    let (context, position) = (found.context(), &found.positions()[licence as usize]);
    let terms = &context.licensing.licences[licence as usize];
    let consumed = position.consumed.unwrap_or_default();
    if let Some(place) = &terms.bad_data {
        let problem = &terms.problem;
        return Some(format!("the cell {place} {problem}; the licence takes nothing until it is mended"));
    }
    match position.status {
        Status::AtRisk => {
            let is_over = |total: &Decimal| consumed > *total;
            Some(match position.total.limit().filter(is_over) {
                Some(total) => format!(
                    "{} more used than owned: buy more, or take it off where it is not needed",
                    consumed - total
                ),
                None if !terms.entitlements.iter().any(|one| one.in_force(context.as_of)) => {
                    "what was owned has expired and it is still used: renew it".to_owned()
                }
                None => "an option and its database on one device are licensed by different types".to_owned(),
            })
        }
        Status::Unknown if position.missing > 0 => Some(match position.missing {
            1 => "something is not known of 1 device, which is not counted".to_owned(),
            missing => format!("something is not known of {missing} devices, which are not counted"),
        }),
        Status::Unknown => Some("the quantity has to be entered by hand".to_owned()),
        Status::NotTracked if !terms.settings.manual_status.is_empty() => {
            Some(format!("the operator says: {}", terms.settings.manual_status))
        }
        Status::NotTracked => Some("the type is counted, never judged".to_owned()),
        Status::Compliant => match (position.true_up_due(), position.total) {
            (Some(due), _) if due.is_positive() => Some(format!("{due} are due at the true-up")),
            (_, Total::Limited(total)) => Some(format!("{} left", total - consumed)),
            (_, Total::Unlimited) => Some("any number may be used".to_owned()),
        },
    }
}

/// What a unit counts and why.
pub fn of_unit(found: &Reconciled<'_>, unit: &Unit) -> String {
    let estate = found.context().estate;
    let who = match &unit.id {
        UnitId::Device(device) => format!("device `{}`", estate.device_ids.name(*device)),
        UnitId::UnknownDevice(id) => format!("device `{id}`, which is not known,"),
        UnitId::User(user) => format!("user `{}`", estate.user_ids.name(*user)),
    };
    let installations = match unit.raw {
        1 => "1 installation".to_owned(),
        count => format!("{count} installations"),
    };
    let why = match unit.reason {
        UnitReason::Counted => installations,
        UnitReason::NotCovered => format!("{installations}; more of the resource is used than is owned"),
        UnitReason::NoInventory => "allocated, without an installation".to_owned(),
        UnitReason::Exempt(exemption) => format!("{installations}; needs no right: {exemption}"),
        UnitReason::SecondUse => format!("{installations}; another device of the same user counts"),
        UnitReason::Host => format!("{installations}; covered by the licence of its host"),
        UnitReason::Covered => format!("{installations}; costs nothing"),
    };
    format!("{who} counts {}: {why}", unit.consumed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::folder::{Folder, FolderError, Source};
    use crate::reconcile::engine::assign;
    use crate::reconcile::evidence::install;

    struct Texts(&'static [(&'static str, &'static str)]);

    impl Source for Texts {
        type Bytes = &'static [u8];
        type Error = FolderError;
        fn file(&mut self, name: &'static str) -> Result<Option<&'static [u8]>, FolderError> {
            Ok(self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_bytes()))
        }
    }

    const FOLDER: Texts = Texts(&[
        ("devices.csv", "device,role\nd1,\nd2,test\nd3,\n"),
        ("applications.csv", "application\na1\na2\n"),
        ("licenses.csv", "license,type\nfirst,2\nsecond,3\nthird,2\n"),
        ("license_applications.csv", "license,application,priority\nfirst,a1,1\nsecond,a1,2\nthird,a1,3\n"),
        ("entitlements.csv", "license,quantity\nfirst,1\n"),
        ("exempt_roles.csv", "license,role,reason\nfirst,test,11\n"),
        ("installations.csv", "device,application\nd1,a1\nd2,a1\nd3,a1\nd1,a2\n"),
    ]);

    #[test]
    fn the_working_is_told_in_words() {
        let mut folder = Folder::read(&mut { FOLDER }).unwrap();
        install(&mut folder).unwrap();
        let found = assign(&folder.estate, &folder.licensing, "2026-06-15".parse().unwrap()).unwrap().count();
        let told = |device, application| of_installation(&found, device, application).unwrap().join("\n");
        assert_eq!(
            told(0, 0),
            "`a1` on `d1` is on licence `first`: it is the first with room for it\n  1. `first` took it: it is the first \
             with room for it\n  2. `second` was not asked\n  3. `third` was not asked"
        );
        assert_eq!(
            told(2, 0),
            "`a1` on `d3` is on licence `first`: every licence that could take it is used up, and this one stands first\n  \
             1. `first` took it: every licence that could take it is used up, and this one stands first\n  2. `second` did \
             not take it: the licence takes only what is allocated to it, and this is not\n  3. `third` did not take it: \
             all its rights are used"
        );
        assert!(told(1, 0).contains("it needs no right: test (exemption 11)"), "{}", told(1, 0));
        assert_eq!(told(0, 1), "`a2` on `d1` is unlicensed: no licence covers the application");
        assert_eq!(of_installation(&found, 1, 1), None);
        assert_eq!(
            of_licence(&found, 1, 2).join("\n"),
            "`second`, Node-Locked (3): 0 used, 0 owned, Compliant\n  0 left\n  did not take `a1` on `d3`: the licence takes only \
             what is allocated to it, and this is not"
        );
        assert_eq!(
            of_licence(&found, 0, 2).join("\n"),
            "`first`, Device (2): 2 used, 1 owned, At Risk\n  1 more used than owned: buy more, or take it off where it is not needed\n  device \
             `d1` counts 1: 1 installation\n  device `d2` counts 0: 1 installation; needs no right: test\n  and 1 more"
        );
    }
}
