//! Licences that the operator writes down: `config/licences.toml`.
//!
//! ```toml
//! [[licence]]
//! id = "pg-support"
//! name = "PostgreSQL support 2026"
//! publisher = "Example Support Ltd."
//! metric = "device"
//! applications = ["postgresql-15", { id = "postgresql-16", priority = 1 }]
//! entitlements = [{ quantity = 25, effective = 2026-01-01, expiry = 2026-12-31 }]
//! exempt_roles = [{ role = "test", reason = 11 }]
//! ```

use std::collections::BTreeSet;
use std::fmt::Display;
use std::num::NonZeroU32;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::library::Library;
use super::{ConfigError, Document, nearest};
use crate::id::DeviceId;
use crate::model::day::Day;
use crate::model::licence::{
    Allocation, AllocationKind, Entitlement, ExemptRole, Exemption, Licence, LicenceId, Link, Metric, Quantity, TrueUp,
};
use crate::model::software::ApplicationId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LicencesFile {
    #[serde(default)]
    licence: Vec<LicenceFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LicenceFile {
    id: Spanned<String>,
    name: String,
    publisher: String,
    metric: Metric,
    applications: Spanned<Vec<Spanned<LinkFile>>>,
    #[serde(default)]
    entitlements: Vec<EntitlementFile>,
    #[serde(default)]
    allocations: Vec<AllocationFile>,
    #[serde(default)]
    exempt_roles: Vec<ExemptRoleFile>,
    /// One per device is what the licence type means; without it each covered application counts.
    #[serde(default = "yes")]
    multiple_use: bool,
    #[serde(default = "one")]
    installs_per_right: NonZeroU32,
    #[serde(default)]
    allocations_consume: bool,
    #[serde(default)]
    true_up: bool,
    true_up_date: Option<Spanned<Datetime>>,
}

fn yes() -> bool {
    true
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the id of an application, or { id = \"...\", priority = 1 }")]
enum LinkFile {
    Id(String),
    WithPriority(PriorityFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriorityFile {
    id: String,
    priority: NonZeroU32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntitlementFile {
    quantity: Spanned<QuantityFile>,
    effective: Option<Spanned<Datetime>>,
    expiry: Option<Spanned<Datetime>>,
    #[serde(default)]
    retired: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, not negative, or \"unlimited\"")]
enum QuantityFile {
    Count(u64),
    Word(Unlimited),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unlimited {
    Unlimited,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllocationFile {
    device: Spanned<u64>,
    #[serde(default)]
    kind: AllocationKind,
    exemption: Option<Spanned<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExemptRoleFile {
    role: Spanned<String>,
    reason: Option<Spanned<u8>>,
}

/// Reads licences; every application they cover must stand in `library`.
///
/// In the order of the file. Ids are unique, and so are the applications, devices and roles of one licence.
pub fn read_licences(file: &Document<'_>, library: &Library) -> Result<Vec<Licence>, ConfigError> {
    let content: LicencesFile = file.read()?;
    let mut ids: BTreeSet<LicenceId> = BTreeSet::new();
    content
        .licence
        .into_iter()
        .map(|written| {
            let id: LicenceId = checked(file, &written.id, written.id.get_ref().parse())?;
            once(file, &written.id, &id, &mut ids)?;
            read_licence(file, written, id, library)
        })
        .collect()
}

fn read_licence(
    file: &Document<'_>,
    written: LicenceFile,
    id: LicenceId,
    library: &Library,
) -> Result<Licence, ConfigError> {
    if written.applications.get_ref().is_empty() {
        let problem = "is empty: a licence that covers nothing is used by nobody, name an application";
        return Err(file.error_at(&written.applications, problem));
    }
    let mut applications = BTreeSet::new();
    let mut links = Vec::new();
    for spanned in written.applications.get_ref() {
        let (text, priority) = match spanned.get_ref() {
            LinkFile::Id(id) => (id, None),
            LinkFile::WithPriority(PriorityFile { id, priority }) => (id, Some(priority.get())),
        };
        let application: ApplicationId = checked(file, spanned, text.parse())?;
        if library.application(&application).is_none() {
            let known = library.applications().iter().map(|application| application.id.as_str());
            let advice = match nearest(text, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "add it to a library in config/recognition".into(),
            };
            return Err(file.error_at(spanned, format!("no application is called `{application}`, {advice}")));
        }
        once(file, spanned, &application, &mut applications)?;
        links.push(Link { application, priority });
    }
    let mut entitlements = Vec::new();
    for one in &written.entitlements {
        let (effective, expiry) = (day(file, one.effective.as_ref())?, day(file, one.expiry.as_ref())?);
        if let (Some(first), Some(last), Some(place)) = (effective, expiry, &one.expiry)
            && last < first
        {
            return Err(file.error_at(place, format!("{last} is before the first day in force, {first}")));
        }
        let quantity = match one.quantity.get_ref() {
            QuantityFile::Count(count) => Quantity::Limited(*count),
            QuantityFile::Word(Unlimited::Unlimited) => Quantity::Unlimited,
        };
        entitlements.push(Entitlement { quantity, effective, expiry, retired: one.retired });
    }
    let mut devices = BTreeSet::new();
    let mut allocations = Vec::new();
    for one in &written.allocations {
        let device = DeviceId(*one.device.get_ref());
        once(file, &one.device, &device, &mut devices)?;
        let exemption = one.exemption.as_ref().map(|number| exemption(file, number)).transpose()?;
        allocations.push(Allocation { device, kind: one.kind, exemption });
    }
    let mut roles = BTreeSet::new();
    let mut exempt_roles = Vec::new();
    for one in &written.exempt_roles {
        let role: Box<str> = one.role.get_ref().trim().into();
        if role.is_empty() {
            return Err(file.error_at(&one.role, "is empty, name a role"));
        }
        once(file, &one.role, &role, &mut roles)?;
        let reason = one.reason.as_ref().map_or(Ok(Exemption::OTHER), |number| exemption(file, number))?;
        exempt_roles.push(ExemptRole { role, reason });
    }
    if let Some(date) = &written.true_up_date
        && !written.true_up
    {
        return Err(
            file.error_at(date, "is the last day of a true-up, but `true_up` is not true: set it or remove this")
        );
    }
    let until = day(file, written.true_up_date.as_ref())?;
    Ok(Licence {
        id,
        name: written.name.trim().into(),
        publisher: written.publisher.trim().into(),
        metric: written.metric,
        links,
        entitlements,
        allocations,
        exempt_roles,
        multiple_use: written.multiple_use,
        installs_per_right: written.installs_per_right,
        allocations_consume: written.allocations_consume,
        true_up: written.true_up.then_some(TrueUp { until }),
    })
}

fn checked<T, E: Display, S>(file: &Document<'_>, place: &Spanned<S>, read: Result<T, E>) -> Result<T, ConfigError> {
    read.map_err(|error| file.error_at(place, error.to_string()))
}

/// Refuses what stands in `known` already.
fn once<T: Ord + Clone + Display, S>(
    file: &Document<'_>,
    place: &Spanned<S>,
    value: &T,
    known: &mut BTreeSet<T>,
) -> Result<(), ConfigError> {
    if known.insert(value.clone()) {
        Ok(())
    } else {
        Err(file.error_at(place, format!("`{value}` stands here a second time, remove one")))
    }
}

fn exemption(file: &Document<'_>, number: &Spanned<u8>) -> Result<Exemption, ConfigError> {
    checked(file, number, Exemption::try_from(*number.get_ref()))
}

/// A TOML date without a time of day.
fn day(file: &Document<'_>, date: Option<&Spanned<Datetime>>) -> Result<Option<Day>, ConfigError> {
    let Some(spanned) = date else { return Ok(None) };
    let written = spanned.get_ref();
    let day = match (written.date, written.time) {
        (Some(date), None) => Day::new(date.year, date.month, date.day),
        _ => None,
    };
    let problem = "is not a plain day of the calendar: write it as 2026-12-31, without quotes and time";
    day.map(Some).ok_or_else(|| file.error_at(spanned, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::library::{read_library, standard_libraries};

    const SHIPPED: &str = include_str!("../../config/licences.toml");

    fn shipped() -> Library {
        read_library(&standard_libraries()).unwrap()
    }

    fn read(text: &str) -> Result<Vec<Licence>, String> {
        let text = format!("[[licence]]\nid = 'l'\nname = 'L'\npublisher = 'P'\nmetric = 'device'\n{text}");
        read_licences(&Document { text: &text, file: "l.toml" }, &shipped()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_files_load_and_cover_what_they_promise() {
        let library = shipped();
        assert!(library.rules().len() >= 60, "{}", library.rules().len());
        assert!(library.applications().len() >= 60, "{}", library.applications().len());
        let licences = read_licences(&Document { text: SHIPPED, file: "licences.toml" }, &library).unwrap();
        assert!(licences.len() >= 3);
    }

    #[test]
    fn defaults_are_one_per_device_and_nothing_exempt() {
        let licence = &read("applications = ['openssl']\nentitlements = [{ quantity = 'unlimited' }]\n").unwrap()[0];
        assert!(licence.multiple_use && !licence.allocations_consume && licence.true_up.is_none());
        assert_eq!(licence.installs_per_right.get(), 1);
        assert_eq!(licence.entitlements[0].quantity, Quantity::Unlimited);
        assert_eq!(licence.links[0].priority, None);
    }

    #[test]
    fn every_term_reads() {
        let text = "applications = [{ id = 'openssl', priority = 2 }, 'git']\n\
                    entitlements = [{ quantity = 5, effective = 2026-01-01, expiry = 2026-12-31, retired = true }]\n\
                    allocations = [{ device = 7, kind = 'permanent', exemption = 5 }, { device = 8 }]\n\
                    exempt_roles = [{ role = 'test', reason = 11 }, { role = 'spare' }]\n\
                    multiple_use = false\ninstalls_per_right = 2\nallocations_consume = true\n\
                    true_up = true\ntrue_up_date = 2026-12-31\n";
        let licence = read(text).unwrap().remove(0);
        let day = |text: &str| Some(text.parse::<Day>().unwrap());
        assert_eq!(licence.links[0].priority, Some(2));
        let entitlement = Entitlement {
            quantity: Quantity::Limited(5),
            effective: day("2026-01-01"),
            expiry: day("2026-12-31"),
            retired: true,
        };
        assert_eq!(licence.entitlements, [entitlement]);
        let kinds: Vec<AllocationKind> = licence.allocations.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [AllocationKind::Permanent, AllocationKind::Allocated]);
        assert_eq!(licence.exempt_roles[1].reason, Exemption::OTHER);
        assert_eq!(licence.true_up, Some(TrueUp { until: day("2026-12-31") }));
        assert!(!licence.multiple_use && licence.allocations_consume && licence.installs_per_right.get() == 2);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_do() {
        let wrong = |text: &str, error: &str| assert_eq!(read(text).unwrap_err(), error, "{text}");
        wrong(
            "applications = ['opensssl']",
            "l.toml:6: `licence[1].applications[1]`: no application is called `opensssl`, did you mean `openssl`?",
        );
        wrong(
            "applications = ['git', 'git']",
            "l.toml:6: `licence[1].applications[2]`: `git` stands here a second time, remove one",
        );
        wrong(
            "applications = []",
            "l.toml:6: `licence[1].applications`: is empty: a licence that covers nothing is used by nobody, name an \
             application",
        );
        wrong(
            "applications = ['git']\nentitlements = [{ quantity = -1 }]",
            "l.toml:7: `licence[1].entitlements[1].quantity`: a whole number, not negative, or \"unlimited\"",
        );
        wrong(
            "applications = ['git']\nentitlements = [{ quantity = 1, effective = 2026-02-01, expiry = 2026-01-31 }]",
            "l.toml:7: `licence[1].entitlements[1].expiry`: 2026-01-31 is before the first day in force, 2026-02-01",
        );
        wrong(
            "applications = ['git']\nexempt_roles = [{ role = 'test', reason = 15 }]",
            "l.toml:7: `licence[1].exempt_roles[1].reason`: an exemption has a number from 1 to 14, not 15",
        );
        wrong(
            "applications = ['git']\ntrue_up_date = 2026-01-31T00:00:00\ntrue_up = true",
            "l.toml:7: `licence[1].true_up_date`: is not a plain day of the calendar: write it as 2026-12-31, without \
             quotes and time",
        );
        wrong(
            "applications = ['git']\ntrue_up_date = 2026-01-31",
            "l.toml:7: `licence[1].true_up_date`: is the last day of a true-up, but `true_up` is not true: set it or \
             remove this",
        );
    }
}
