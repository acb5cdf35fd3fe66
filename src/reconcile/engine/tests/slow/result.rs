//! One licence compared with its entitlements: figures, peaks, status (sections 6.2 and 7).

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Access, access};
use super::assign::{Assignment, Outcome};
use super::figure::{Figure, Taken, figure};
use super::licences::Licence;
use super::number::Number;
use super::quantity::quantity_missing;
use super::world::World;

/// Everything the tables say about one licence.
#[derive(Debug)]
pub struct LicenceResult {
    /// What it took, second use not yet exempt.
    pub taken: Vec<Taken>,
    /// Today's figure.
    pub figure: Figure,
    /// For types 39 and 40.
    pub access: Access,
    /// "raw = installations taken + those counted without inventory" (section 8).
    pub raw: usize,
    pub today: Number,
    /// Blank for types outside the engine.
    pub consumed: Option<Number>,
    /// `None` is unlimited.
    pub total: Option<Number>,
    /// Region to peak and since (type 25).
    pub peaks: BTreeMap<String, (Number, i64)>,
    /// Devices and applications of an `option_of` conflict.
    pub option_conflicts: BTreeSet<String>,
    /// Code, subject.
    pub warnings: BTreeSet<(&'static str, String)>,
    pub status: (usize, &'static str),
    /// "missing = distinct devices rejected for the four data reasons" (section 8).
    pub missing: usize,
}

/// "some installation was rejected for ..." (section 7).
const DATA_REASONS: [&str; 4] = ["host_missing", "core_count_missing", "processor_count_missing", "no_points_rule"];

/// The result of one licence.
pub fn result(world: &World, licence: &Licence, assignment: &Assignment) -> LicenceResult {
    let bad = licence.bad_data().is_some();
    let taken = assignment.taken_by(&licence.license);
    let mut result = LicenceResult {
        figure: if bad { Figure::default() } else { figure(world, licence, &taken) },
        access: if bad || licence.takes_installations() { Access::default() } else { access(world, licence) },
        taken,
        raw: 0,
        today: Number::ZERO,
        consumed: None,
        total: licence.total(world.as_of),
        peaks: BTreeMap::new(),
        option_conflicts: BTreeSet::new(),
        warnings: BTreeSet::new(),
        status: (1, "Compliant"),
        missing: 0,
    };
    if let Some(spoilt) = licence.bad_data() {
        // "it takes nothing, consumed 0, status Unknown, warning `bad_data` with subject `FILE:LINE COLUMN`" (section 1)
        result.warnings.insert(("bad_data", spoilt.to_string()));
        result.consumed = Some(Number::ZERO);
        result.status = (3, "Unknown");
        return result;
    }
    result.warnings.extend(result.figure.warnings.clone());
    if licence.takes_installations() {
        result.raw = result.taken.len() + result.figure.without_inventory.len();
        result.today = result.figure.today;
    } else {
        result.raw = result.access.raw();
        result.today = Number::whole(result.access.counted.len());
    }
    if licence.in_engine() {
        result.consumed = Some(result.today);
    }
    if licence.kind == 25 {
        result.keep_peaks(world, licence);
    }
    result.option_conflicts = option_conflicts(world, licence, assignment);
    result.warnings.extend(result.option_conflicts.iter().map(|device| ("option_type_differs", device.clone())));
    result.warnings.extend(awaiting(world, licence, &result.taken));
    let missing = assignment
        .rejections
        .iter()
        .filter(|(license, _, reason)| *license == licence.license && DATA_REASONS.contains(reason));
    result.missing = missing.map(|(_, device, _)| device).collect::<BTreeSet<_>>().len();
    result.status = result.status(world, licence);
    result
}

impl LicenceResult {
    /// "consumed = sum over regions of max(today, peak in peaks.csv). A peak counts while as-of < since + period_days; after
    /// that it is dropped (warning `peak_period_over`) and the period starts anew at as-of" (section 6.2).
    fn keep_peaks(&mut self, world: &World, licence: &Licence) {
        for (region, today) in &self.figure.regions {
            self.peaks.insert(region.clone(), (*today, world.as_of));
        }
        for row in &licence.peaks {
            let days = i64::try_from(licence.period_days.count()).unwrap_or(i64::MAX);
            if world.as_of < row.since.saturating_add(days) {
                let today = self.figure.regions.get(&row.region).copied().unwrap_or(Number::ZERO);
                self.peaks.insert(row.region.clone(), (today.max(row.peak), row.since));
            } else {
                self.warnings.insert(("peak_period_over", row.region.clone()));
            }
        }
        self.consumed = Some(self.peaks.values().fold(Number::ZERO, |sum, (peak, _)| sum.plus(*peak)));
    }

    /// "The first that applies" (section 7); bad data came before.
    fn status(&self, world: &World, licence: &Licence) -> (usize, &'static str) {
        if licence.kind == 5 || !licence.in_engine() || !licence.manual_status.is_empty() {
            return (4, "Not Tracked");
        }
        if self.over(world, licence) || self.expired(world, licence) || !self.option_conflicts.is_empty() {
            return (2, "At Risk");
        }
        if self.missing > 0 || quantity_missing(licence) {
            return (3, "Unknown");
        }
        (1, "Compliant")
    }

    /// "consumed > Total, unless true_up and as-of <= true_up_date (or no date)".
    fn over(&self, world: &World, licence: &Licence) -> bool {
        let (Some(consumed), Some(total)) = (self.consumed, self.total) else { return false };
        let allowed = licence.true_up && licence.true_up_date.is_none_or(|date| world.as_of <= date);
        consumed > total && !allowed
    }

    /// "a non-retired entitlement has expired, none is in force, and consumed > 0 (types 1, 12: something is taken)".
    fn expired(&self, world: &World, licence: &Licence) -> bool {
        let mut rows = licence.entitlements.iter();
        let expired = rows.any(|row| !row.retired && row.expiry.is_some_and(|expiry| expiry < world.as_of));
        let in_force = licence.entitlements.iter().any(|row| row.in_force(world.as_of));
        let used = match licence.kind {
            1 | 12 => !self.taken.is_empty(),
            _ => self.consumed.is_some_and(|consumed| consumed > Number::ZERO),
        };
        expired && !in_force && used
    }
}

/// "an application with option_of and that database are installed on one device, one taken by a type 16 and the other by a
/// type 17 licence: the option's licence is At Risk" (section 7). The devices where `licence` is the option's.
fn option_conflicts(world: &World, licence: &Licence, assignment: &Assignment) -> BTreeSet<String> {
    let mut devices = BTreeSet::new();
    for taken in assignment.taken_by(&licence.license) {
        let database = world.estate.applications[&taken.application].option_of.clone();
        if let Some(Outcome::Taken { license, .. }) = assignment.outcomes.get(&(database, taken.device.clone())) {
            let kinds = (licence.kind, world.licences[license].kind);
            if kinds == (16, 17) || kinds == (17, 16) {
                devices.insert(taken.device);
            }
        }
    }
    devices
}

/// "warning `awaiting_allocated` for an `awaiting` row whose device, or user, has a linked installation taken by this licence"
/// (section 5.2).
fn awaiting(world: &World, licence: &Licence, taken: &[Taken]) -> BTreeSet<(&'static str, String)> {
    let mut subjects = BTreeSet::new();
    for row in licence.allocations.iter().filter(|row| row.kind == "awaiting") {
        let linked = taken.iter().filter(|taken| licence.links.contains_key(&taken.application));
        for taken in linked {
            if licence.device_row(&row.device).is_some() && row.device == taken.device {
                subjects.insert(("awaiting_allocated", row.device.clone()));
            }
            let persons = super::persons::persons(world, licence, &taken.application, &taken.device);
            let is_person = persons.iter().any(|person| person.kind == "user" && person.id == row.user);
            if licence.user_row(&row.user).is_some() && is_person {
                subjects.insert(("awaiting_allocated", row.user.clone()));
            }
        }
    }
    subjects
}
