//! The result of a reconcile, and what is asked of it.
//!
//! Source: reconcile-files reference, section 8.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use super::access::reached;
use super::closed::Closed;
use super::component::{Fates, components};
use super::context::Context;
use super::judge::{Judge, counts, quantity_missing};
use super::links::Cycle;
use super::parts::Parts;
use super::taken::{TakenRow, taken_applications, taken_by};
use super::units::{Working, working};
use crate::model::day::Day;
use crate::model::estate::{Estate, Number};
use crate::model::licensing::{Licence, Licensing, Metric};
use crate::model::reconciliation::{Outcome, Peak, Position, UnitId, Verdict, Warning, WarningCode};

/// What a reconcile found, without what it looked things up in: it can be kept as long as the estate and the licences are.
#[derive(Debug)]
pub struct Found {
    /// What became of the installations of each application.
    fates: Vec<Fates>,
    pub(super) closed: Vec<Closed>,
    /// Applications of which each licence took something.
    taken: Vec<Vec<Number>>,
    positions: Vec<Position>,
    peaks: Vec<Vec<Peak>>,
    /// Installations of options whose database is licensed by another type: licence of the option, device.
    pub(super) conflicts: BTreeSet<(Number, Number)>,
}

/// What a reconcile found. Working and warnings are computed when they are asked for.
#[derive(Debug)]
pub struct Reconciled<'c> {
    context: Context<'c>,
    found: Arc<Found>,
}

/// An estate of which every installation has its taker, and nothing is counted yet.
#[derive(Debug)]
pub struct Assigned<'c> {
    context: Context<'c>,
    found: Found,
}

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
    Ok(Assigned { context, found: Found { fates, closed, taken, positions, peaks, conflicts: BTreeSet::new() } })
}

impl Found {
    /// As [`Reconciled::verdict`].
    fn verdict(&self, application: Number, place: usize) -> Option<&Verdict> {
        let fates = &self.fates[application as usize];
        fates.codes.get(place).map(|&code| fates.table.verdict(code))
    }

    /// As [`Reconciled::outcome`].
    pub(super) fn outcome(&self, context: &Context<'_>, application: Number, place: usize) -> Outcome {
        let is_licensable = context.estate.applications[application as usize].licensable;
        let unasked = if is_licensable { Outcome::Unlicensed } else { Outcome::NotLicensable };
        self.verdict(application, place).map_or(unasked, |verdict| verdict.outcome)
    }
}

impl<'c> Assigned<'c> {
    /// Compares each licence with what is owned.
    pub fn count(self) -> Reconciled<'c> {
        let Assigned { context, mut found } = self;
        found.conflicts = Judge { context: &context, found: &found }.option_conflicts();
        for licence in 0..context.licensing.licences.len() as Number {
            let (position, peaks) = Judge { context: &context, found: &found }.judge(licence);
            found.positions.push(position);
            found.peaks.push(peaks);
        }
        Reconciled { context, found: Arc::new(found) }
    }
}

impl<'c> Reconciled<'c> {
    /// What was found before in this estate by these licences on this day, ready to be asked again.
    pub fn again(
        estate: &'c Estate,
        licensing: &'c Licensing,
        as_of: Day,
        found: Arc<Found>,
    ) -> Result<Reconciled<'c>, Cycle> {
        Ok(Reconciled { context: Context::new(estate, licensing, as_of)?, found })
    }

    /// What was found, to be kept beside the estate and the licences.
    pub fn found(&self) -> Arc<Found> {
        self.found.clone()
    }

    /// What was looked things up in.
    pub fn context(&self) -> &Context<'c> {
        &self.context
    }

    /// The position of each licence, in the order of their ids.
    pub fn positions(&self) -> &[Position] {
        &self.found.positions
    }

    /// The peaks of a licence, ascending by region's text number.
    pub fn peaks(&self, licence: Number) -> &[Peak] {
        &self.found.peaks[licence as usize]
    }

    /// What became of the installation at `place` among those of `application`. `None`: no licence covers it, and no suite
    /// has it.
    pub fn verdict(&self, application: Number, place: usize) -> Option<&Verdict> {
        self.found.verdict(application, place)
    }

    /// The distinct verdicts of an application, and for each of its devices which one it is.
    pub fn verdicts(&self, application: Number) -> (&[Verdict], &[u32]) {
        let fates = &self.found.fates[application as usize];
        (fates.table.verdicts(), &fates.codes)
    }

    /// What became of the installation at `place` among those of `application`.
    pub fn outcome(&self, application: Number, place: usize) -> Outcome {
        self.found.outcome(&self.context, application, place)
    }

    /// What a licence took, ascending by device, then application.
    pub fn taken_by(&self, licence: Number) -> Vec<TakenRow> {
        taken_by(&self.context, &self.found.fates, licence, &self.found.taken[licence as usize])
    }

    /// The working of a licence. Cost: what the licence took.
    pub fn working(&self, licence: Number) -> Working {
        let (terms, position) = (self.licence(licence), &self.found.positions[licence as usize]);
        if terms.metric.is_some_and(Metric::counts_access) && terms.bad_data.is_none() {
            return Working { units: reached(&self.context, licence).units, ..Working::default() };
        }
        let is_over = position.total.limit().is_some_and(|total| position.today.is_some_and(|today| today > total));
        working(&self.context, licence, &self.taken_by(licence), &self.found.closed[licence as usize].alone, is_over)
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
        for arrived in &self.found.closed[licence as usize].arrived {
            let subject = match arrived {
                UnitId::Device(number) => device(*number),
                UnitId::UnknownDevice(id) => id,
                UnitId::User(user) => estate.user_ids.name(*user),
            };
            warnings.push(warning(WarningCode::AwaitingAllocated, subject));
        }
        let conflicts = self.found.conflicts.range((licence, 0)..=(licence, Number::MAX));
        warnings.extend(conflicts.map(|&(_, about)| warning(WarningCode::OptionTypeDiffers, device(about))));
        if quantity_missing(terms) {
            warnings.push(warning(WarningCode::QuantityMissing, ""));
        }
        let over = terms.peaks.iter().filter(|peak| {
            terms.metric == Some(Metric::PROCESSOR_VALUE_UNIT) && !counts(&self.context, terms, peak.since)
        });
        warnings.extend(over.map(|peak| warning(WarningCode::PeakPeriodOver, estate.texts.text(peak.region))));
        warnings
    }

    fn licence(&self, licence: Number) -> &'c Licence {
        &self.context.licensing.licences[licence as usize]
    }
}
