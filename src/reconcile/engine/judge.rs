//! The judgement of a licence: what is used against what is owned, and its status.
//!
//! Source: reconcile-files reference, sections 6.2 (peaks), 7 and 8.

use std::collections::{BTreeMap, BTreeSet};

use super::access::reached;
use super::closed::Closed;
use super::context::Context;
use super::result::Found;
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Licence, Metric};
use crate::model::reconciliation::{Peak, Position, Status};

/// What is judged.
pub struct Judge<'j, 'c> {
    /// What is looked up.
    pub context: &'j Context<'c>,
    /// What was taken.
    pub found: &'j Found,
}

impl Judge<'_, '_> {
    fn licence(&self, licence: Number) -> &Licence {
        &self.context.licensing.licences[licence as usize]
    }

    /// The position of a licence, and its peaks.
    pub fn judge(&self, licence: Number) -> (Position, Vec<Peak>) {
        let (terms, closed) = (self.licence(licence), &self.found.closed[licence as usize]);
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
                let reached = reached(self.context, licence);
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
        for old in terms.peaks.iter().filter(|old| counts(self.context, terms, old.since)) {
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
        let has_conflict = self.found.conflicts.range((licence, 0)..=(licence, Number::MAX)).next().is_some();
        if is_over || (has_expired && is_used) || has_conflict {
            return Status::AtRisk;
        }
        if position.missing > 0 || quantity_missing(terms) { Status::Unknown } else { Status::Compliant }
    }

    /// Options whose database on the same device is licensed by the other of types 16 and 17.
    pub fn option_conflicts(&self) -> BTreeSet<(Number, Number)> {
        let mut conflicts = BTreeSet::new();
        let metric = |application: Number, place: usize| {
            let taken = self.found.outcome(self.context, application, place).taken()?;
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

/// Whether a peak of a licence, of a period that began then, still counts.
pub fn counts(context: &Context<'_>, licence: &Licence, since: Day) -> bool {
    let days = i64::try_from(licence.settings.period_days).unwrap_or(i64::MAX);
    context.as_of.days_since(since) < days
}

/// Whether a number that has to be entered by hand is not there. Source: reconcile-files reference, section 6.1.
pub fn quantity_missing(licence: &Licence) -> bool {
    let by_hand = match licence.metric {
        Some(Metric::CUSTOM) => true,
        Some(Metric::RESOURCE_VALUE_UNIT) => licence.settings.resource_by_hand,
        _ => false,
    };
    by_hand && licence.settings.quantity.is_none()
}
