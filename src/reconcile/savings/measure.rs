//! What is paid too much for, over all licences, and whether another run is better for everybody.

use super::{Moved, Saving};
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Metric, Total};
use crate::model::reconciliation::{Outcome, Position, Status};
use crate::reconcile::engine::Reconciled;

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Measure {
    licences: Vec<OfLicence>,
    /// Installations that no licence took and that need one.
    unlicensed: u64,
}

#[derive(Clone, Copy, Debug)]
struct OfLicence {
    /// Used beyond what is owned.
    over: Decimal,
    /// Owned and not used; `None`: without end.
    room: Option<Decimal>,
    /// Somebody compares what is used with what is owned.
    is_judged: bool,
    raw: u64,
    missing: u64,
    status: Status,
}

impl OfLicence {
    fn of(position: &Position) -> OfLicence {
        let consumed = position.consumed.unwrap_or_default();
        let is_measured = position.metric.is_some_and(|metric| {
            metric.is_calculated() && metric != Metric::CONCURRENT_USER && metric != Metric::CUSTOM
        });
        let left = position.total.limit().map(|total| total - consumed);
        OfLicence {
            over: left.map_or(Decimal::ZERO, |left| (Decimal::ZERO - left).max(Decimal::ZERO)),
            room: left.map(|left| left.max(Decimal::ZERO)),
            is_judged: is_measured && position.status != Status::NotTracked,
            raw: position.raw,
            missing: position.missing,
            status: position.status,
        }
    }
}

impl Measure {
    /// Of a run.
    pub fn of(found: &Reconciled<'_>) -> Measure {
        let licences = found.positions().iter().map(OfLicence::of).collect();
        let estate = found.context().estate;
        let mut unlicensed = 0;
        for (number, application) in (0..).zip(&estate.applications) {
            if !application.licensable {
                continue;
            }
            let (verdicts, codes) = found.verdicts(number);
            if codes.is_empty() {
                unlicensed += estate.installations.of_application(number).len() as u64;
                continue;
            }
            let is_unlicensed = |code: &&u32| verdicts[**code as usize].outcome == Outcome::Unlicensed;
            unlicensed += codes.iter().filter(is_unlicensed).count() as u64;
        }
        Measure { licences, unlicensed }
    }

    /// What another run saves; `None`: nothing, or somebody pays for it.
    pub fn saving(&self, after: &Measure) -> Option<Saving> {
        let mut saving = Saving { installations: self.unlicensed.checked_sub(after.unlicensed)?, ..Saving::default() };
        for (was, is) in self.licences.iter().zip(&after.licences) {
            let becomes = |status: Status| was.status != status && is.status == status;
            let is_worse = if was.is_judged { is.over > was.over } else { is.raw > was.raw };
            if is_worse || becomes(Status::AtRisk) || is.missing > was.missing {
                return None;
            }
            saving.licenses += u64::from(was.status == Status::AtRisk && is.status == Status::Compliant);
            if was.is_judged {
                saving.rights += was.over - is.over;
            }
        }
        (saving != Saving::default()).then_some(saving)
    }

    /// Licences that are used beyond what is owned, the most over-used first.
    pub fn over_used(&self) -> Vec<Number> {
        let mut over: Vec<Number> = (0..self.licences.len() as Number).filter(|&number| self.is_over(number)).collect();
        over.sort_by_key(|&number| std::cmp::Reverse(self.licences[number as usize].over));
        over
    }

    /// By how much a licence is over-used.
    pub fn over(&self, licence: Number) -> Decimal {
        self.licences[licence as usize].over
    }

    fn is_over(&self, licence: Number) -> bool {
        let one = &self.licences[licence as usize];
        one.is_judged && one.over.is_positive()
    }

    /// How much more may be used of a licence; `None`: nothing, or nobody knows.
    pub fn room(&self, licence: Number) -> Option<Total> {
        let one = &self.licences[licence as usize];
        match one.room {
            _ if !one.is_judged || one.status == Status::AtRisk => None,
            None => Some(Total::Unlimited),
            Some(room) => room.is_positive().then_some(Total::Limited(room)),
        }
    }

    /// Whether what is used of a licence is compared with what is owned.
    pub fn is_judged(&self, licence: Number) -> bool {
        self.licences[licence as usize].is_judged
    }
}

/// Licences whose figures differ, ascending.
pub fn moved(before: &Reconciled<'_>, after: &Reconciled<'_>) -> Vec<Moved> {
    let pairs = before.positions().iter().zip(after.positions());
    let differ = |(_, (was, is)): &(Number, (&Position, &Position))| {
        (was.consumed, was.status, was.raw) != (is.consumed, is.status, is.raw)
    };
    (0..)
        .zip(pairs)
        .filter(differ)
        .map(|(licence, (was, is))| Moved {
            license: before.context().licensing.ids.name(licence).to_owned(),
            consumed: [was.consumed, is.consumed],
            total: is.total,
            status: [was.status, is.status],
        })
        .collect()
}
