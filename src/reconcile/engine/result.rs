//! The result of a reconcile.
//!
//! Source: reconcile-files reference, sections 6.2 (peaks), 7 and 8.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::access::reached;
use super::closed::Closed;
use super::component::{Fates, components};
use super::context::Context;
use super::links::Cycle;
use super::parts::Parts;
use super::taken::{TakenRow, taken_applications, taken_by};
use super::units::{Working, working};
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::{Estate, Number};
use crate::model::licensing::{Licence, Licensing, Metric};
use crate::model::reconciliation::{Outcome, Peak, Position, Status, UnitId, Verdict, Warning, WarningCode};

/// What a reconcile found. Working and warnings are computed when they are asked for.
#[derive(Debug)]
pub struct Reconciled<'c> {
    context: Context<'c>,
    /// What became of the installations of each application.
    fates: Vec<Fates>,
    closed: Vec<Closed>,
    /// Applications of which each licence took something.
    taken: Vec<Vec<Number>>,
    positions: Vec<Position>,
    peaks: Vec<Vec<Peak>>,
    /// Installations of options whose database is licensed by another type: licence of the option, device.
    conflicts: BTreeSet<(Number, Number)>,
}

/// An estate of which every installation has its taker, and nothing is counted yet.
#[derive(Debug)]
pub struct Assigned<'c>(Reconciled<'c>);

/// Offers every installation of an estate to the licences that cover it.
pub fn assign<'c>(estate: &'c Estate, licensing: &'c Licensing, as_of: Day) -> Result<Assigned<'c>, Cycle> {
    let context = Context::new(estate, licensing, as_of)?;
    let settled: Vec<_> = components(&context).par_iter().map(|component| component.settle(&context)).collect();
    let mut fates: Vec<Fates> = Vec::new();
    fates.resize_with(estate.applications.len(), Fates::default);
    let mut closed: Vec<(Number, Closed)> = Vec::new();
    for component in settled {
        for (application, of_application) in component.fates {
            fates[application as usize] = of_application;
        }
        closed.extend(component.closed);
    }
    closed.sort_by_key(|&(licence, _)| licence);
    let closed: Vec<Closed> = closed.into_iter().map(|(_, closed)| closed).collect();
    let taken = taken_applications(&fates, closed.len());
    let (positions, peaks) = (Vec::new(), Vec::new());
    Ok(Assigned(Reconciled { context, fates, closed, taken, positions, peaks, conflicts: BTreeSet::new() }))
}

impl<'c> Assigned<'c> {
    /// Compares each licence with what is owned.
    pub fn count(self) -> Reconciled<'c> {
        let Assigned(mut found) = self;
        found.conflicts = found.option_conflicts();
        for licence in 0..found.context.licensing.licences.len() as Number {
            let (position, peaks) = found.judge(licence);
            found.positions.push(position);
            found.peaks.push(peaks);
        }
        found
    }
}

impl<'c> Reconciled<'c> {
    /// What was looked things up in.
    pub fn context(&self) -> &Context<'c> {
        &self.context
    }

    /// The position of each licence, in the order of their ids.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// The peaks of a licence, ascending by region's text number.
    pub fn peaks(&self, licence: Number) -> &[Peak] {
        &self.peaks[licence as usize]
    }

    /// What became of the installation at `place` among those of `application`. `None`: no licence covers it, and no suite
    /// has it.
    pub fn verdict(&self, application: Number, place: usize) -> Option<&Verdict> {
        let fates = &self.fates[application as usize];
        fates.codes.get(place).map(|&code| fates.table.verdict(code))
    }

    /// The distinct verdicts of an application, and for each of its devices which one it is.
    pub fn verdicts(&self, application: Number) -> (&[Verdict], &[u32]) {
        let fates = &self.fates[application as usize];
        (fates.table.verdicts(), &fates.codes)
    }

    /// What became of the installation at `place` among those of `application`.
    pub fn outcome(&self, application: Number, place: usize) -> Outcome {
        let is_licensable = self.context.estate.applications[application as usize].licensable;
        let unasked = if is_licensable { Outcome::Unlicensed } else { Outcome::NotLicensable };
        self.verdict(application, place).map_or(unasked, |verdict| verdict.outcome)
    }

    /// What a licence took, ascending by device, then application.
    pub fn taken_by(&self, licence: Number) -> Vec<TakenRow> {
        taken_by(&self.context, &self.fates, licence, &self.taken[licence as usize])
    }

    /// The working of a licence. Cost: what the licence took.
    pub fn working(&self, licence: Number) -> Working {
        let (terms, position) = (self.licence(licence), &self.positions[licence as usize]);
        if terms.metric.is_some_and(Metric::counts_access) && terms.bad_data.is_none() {
            return Working { units: reached(&self.context, licence).units, ..Working::default() };
        }
        let is_over = position.total.limit().is_some_and(|total| position.today.is_some_and(|today| today > total));
        working(&self.context, licence, &self.taken_by(licence), &self.closed[licence as usize].alone, is_over)
    }

    /// Which units of a licence an installation that it took is a part of.
    pub fn parts(&self, licence: Number) -> Parts<'_, 'c> {
        Parts::of(&self.context, licence)
    }

    /// What is to be said of a licence's data.
    pub fn warnings(&self, licence: Number) -> Vec<Warning> {
        let terms = self.licence(licence);
        // Only what is charged to hosts and servers says something of them.
        let is_charged = terms.metric.is_some_and(Metric::is_charged);
        let working = if is_charged { self.working(licence) } else { Working::default() };
        let warning = |code, subject: &str| Warning { code, licence: Some(licence), subject: subject.into() };
        if let Some(place) = &terms.bad_data {
            return vec![warning(WarningCode::BadData, place)];
        }
        let estate = self.context.estate;
        let device = |device: Number| estate.device_ids.name(device);
        let mut warnings: Vec<Warning> =
            working.warnings.iter().map(|&(code, about)| warning(code, device(about))).collect();
        for arrived in &self.closed[licence as usize].arrived {
            let subject = match arrived {
                UnitId::Device(number) => device(*number),
                UnitId::UnknownDevice(id) => id,
                UnitId::User(user) => estate.user_ids.name(*user),
            };
            warnings.push(warning(WarningCode::AwaitingAllocated, subject));
        }
        let conflicts = self.conflicts.range((licence, 0)..=(licence, Number::MAX));
        warnings.extend(conflicts.map(|&(_, about)| warning(WarningCode::OptionTypeDiffers, device(about))));
        if quantity_missing(terms) {
            warnings.push(warning(WarningCode::QuantityMissing, ""));
        }
        let over = terms
            .peaks
            .iter()
            .filter(|peak| terms.metric == Some(Metric::PROCESSOR_VALUE_UNIT) && !self.counts(terms, peak.since));
        warnings.extend(over.map(|peak| warning(WarningCode::PeakPeriodOver, estate.texts.text(peak.region))));
        warnings
    }

    fn licence(&self, licence: Number) -> &'c Licence {
        &self.context.licensing.licences[licence as usize]
    }

    /// Whether a peak of this period still counts.
    fn counts(&self, licence: &Licence, since: Day) -> bool {
        let days = i64::try_from(licence.settings.period_days).unwrap_or(i64::MAX);
        self.context.as_of.days_since(since) < days
    }

    fn judge(&self, licence: Number) -> (Position, Vec<Peak>) {
        let (terms, closed) = (self.licence(licence), &self.closed[licence as usize]);
        let mut position = Position {
            metric: terms.metric,
            raw: closed.raw,
            consumed: Some(closed.today),
            today: Some(closed.today),
            exempt: closed.exempt,
            total: terms.total(self.context.as_of),
            status: Status::Compliant,
            missing: closed.missing,
            true_up: terms.settings.true_up,
        };
        if terms.bad_data.is_some() {
            (position.raw, position.exempt, position.missing) = (0, 0, 0);
            (position.consumed, position.today) = (Some(Decimal::ZERO), Some(Decimal::ZERO));
            position.status = Status::Unknown;
            return (position, Vec::new());
        }
        let mut peaks = Vec::new();
        match terms.metric {
            Some(metric) if metric.counts_access() => {
                let reached = reached(&self.context, licence);
                let count = Decimal::from(reached.units.len() as u64);
                (position.raw, position.exempt) = (reached.raw, reached.exempt);
                (position.consumed, position.today) = (Some(count), Some(count));
            }
            Some(metric) if !metric.is_calculated() => (position.consumed, position.today) = (None, None),
            Some(Metric::PROCESSOR_VALUE_UNIT) => {
                peaks = self.kept_peaks(terms, closed);
                position.consumed = Some(peaks.iter().map(|peak| peak.peak).sum());
            }
            _ => {}
        }
        position.status = self.status(licence, terms, &position, closed.has_taken);
        (position, peaks)
    }

    /// The peaks of a licence with today's figures in them.
    fn kept_peaks(&self, terms: &Licence, closed: &Closed) -> Vec<Peak> {
        let mut kept: BTreeMap<Number, Peak> = BTreeMap::new();
        for (&region, &today) in &closed.regions {
            kept.insert(region, Peak { region, peak: today, since: self.context.as_of });
        }
        for old in terms.peaks.iter().filter(|old| self.counts(terms, old.since)) {
            let today = closed.regions.get(&old.region).copied().unwrap_or_default();
            kept.insert(old.region, Peak { region: old.region, peak: today.max(old.peak), since: old.since });
        }
        kept.into_values().collect()
    }

    /// The first that applies. Source: reconcile-files reference, section 7.
    fn status(&self, licence: Number, terms: &Licence, position: &Position, has_taken: bool) -> Status {
        let Some(metric) = terms.metric else { return Status::Unknown };
        if metric == Metric::CONCURRENT_USER || !metric.is_calculated() || !terms.settings.manual_status.is_empty() {
            return Status::NotTracked;
        }
        let as_of = self.context.as_of;
        let consumed = position.consumed.unwrap_or_default();
        let may_true_up = terms.settings.true_up && terms.settings.true_up_date.is_none_or(|last| as_of <= last);
        let is_over = position.total.limit().is_some_and(|total| consumed > total) && !may_true_up;
        let has_expired = terms.entitlements.iter().any(|entitlement| entitlement.has_expired(as_of))
            && !terms.entitlements.iter().any(|entitlement| entitlement.in_force(as_of));
        let is_used = if metric.is_unlimited() { has_taken } else { consumed.is_positive() };
        let has_conflict = self.conflicts.range((licence, 0)..=(licence, Number::MAX)).next().is_some();
        if is_over || (has_expired && is_used) || has_conflict {
            return Status::AtRisk;
        }
        if position.missing > 0 || quantity_missing(terms) { Status::Unknown } else { Status::Compliant }
    }

    /// Options whose database on the same device is licensed by the other of types 16 and 17.
    fn option_conflicts(&self) -> BTreeSet<(Number, Number)> {
        let mut conflicts = BTreeSet::new();
        let metric = |application: Number, place: usize| {
            let taken = self.outcome(application, place).taken()?;
            Some((taken.licence, self.licence(taken.licence).metric?))
        };
        let (processor, named_user) = (Metric::ORACLE_PROCESSOR, Metric::ORACLE_NAMED_USER_PLUS);
        for (option, application) in (0..).zip(&self.context.estate.applications) {
            let Some(database) = application.option_of else { continue };
            let devices = self.context.estate.installations.of_application(database.get());
            for (place, device) in self.context.estate.installations.of_application(option).iter().enumerate() {
                let Ok(other) = devices.binary_search(device) else { continue };
                let (Some((licence, own)), Some((_, other))) = (metric(option, place), metric(database.get(), other))
                else {
                    continue;
                };
                if (own, other) == (processor, named_user) || (own, other) == (named_user, processor) {
                    conflicts.insert((licence, *device));
                }
            }
        }
        conflicts
    }
}

/// Whether a number that has to be entered by hand is not there. Source: reconcile-files reference, section 6.1.
fn quantity_missing(licence: &Licence) -> bool {
    let by_hand = match licence.metric {
        Some(Metric::CUSTOM) => true,
        Some(Metric::RESOURCE_VALUE_UNIT) => licence.settings.resource_by_hand,
        _ => false,
    };
    by_hand && licence.settings.quantity.is_none()
}
