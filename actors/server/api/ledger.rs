//! `GET /ledger/summary`: how many packages are where, in one answer.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use muster::formats::marks::Mark;
use muster::model::aside::{Aside, AsideRecord};
use muster::model::beacon_status::BeaconStatus;
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::{Sequence, Stream};
use muster::model::stored;
use muster::roles::server::ImportPlan;
use muster::time::Timestamp;
use muster::upload::gaps::Abandoned;
use muster::upload::ledger::{Counts, StreamLedger};
use serde_json::{Value, json};
use tracing::error;

use super::packages;
use super::problem::Problem;
use super::remembered::Remembered;
use super::{Answer, Api, Question};
use crate::errors::{Chain, Hex};
use crate::server::fleet::Fleet;

/// So many numbers of a stream are counted without having seen them: they are a sender's word, and one sender must not make
/// the sums of all meaningless.
const OF_STREAM_MAX: u64 = 100_000;

/// Sums over all streams, by the version of the facts.
pub type Sums = Remembered<u64, LedgerSums>;

/// What the ledgers of all streams say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerSums {
    /// Packages by how they ended.
    pub counts: Counts,
    /// Numbers below one that was settled, and not settled themselves.
    pub gaps: u64,
    /// Packages that were acknowledged by a node and never came: the state of the contract.
    pub missing: u64,
    /// What agents gave up because no node will take it, and what a later report took the place of; settled ones are not.
    pub refused: u64,
    pub superseded: u64,
    /// How many of those lie above every settled number, so that [`LedgerSums::gaps`] does not count them.
    above: u64,
    /// When it was summed.
    pub as_of: Timestamp,
}

impl Api {
    /// The sums; with very many streams those of a moment ago.
    pub(super) fn ledger_sums(&self) -> Result<LedgerSums, Problem> {
        self.kept.ledger.get(self.facts_version(), || {
            let mut sums = LedgerSums { as_of: self.clock.now(), ..LedgerSums::default() };
            let prefix = FactKind::Ledger.prefix(Some(&self.books.tenant));
            let damaged =
                self.books.facts.each(&prefix, |key, _, value| match stored::unpack::<StreamLedger>(&value) {
                    Ok(ledger) => {
                        sums.counts.add(ledger.counts());
                        sums.gaps = sums.gaps.saturating_add(ledger.gaps().min(OF_STREAM_MAX));
                    }
                    Err(error) => error!(key = %Hex(key), error = %Chain(&error), "a ledger does not read, not summed"),
                });
            sums.missing = self.missing()?;
            self.add_abandoned(&mut sums);
            self.add_set_aside(&mut sums);
            match damaged.first() {
                None => Ok(sums),
                Some((_, error)) => Err(Problem::internal("store", Chain(error).to_string())),
            }
        })
    }

    /// The same of all tenants together.
    pub(super) fn all_ledger_sums(&self) -> Result<LedgerSums, Problem> {
        self.load.ledger.get(self.facts_version(), || {
            let mut sums = LedgerSums::default();
            for (tenant, _) in self.books.tenants.now().iter() {
                sums.add(&self.of(tenant).ledger_sums()?);
            }
            Ok(sums)
        })
    }

    fn add_abandoned(&self, sums: &mut LedgerSums) {
        let (tenant, fleet) = (&self.books.tenant, Fleet::of(&self.books));
        // One that does not read is noted anew when its agent tells again.
        self.books.facts.each(&FactKind::Abandoned.prefix(Some(tenant)), |key, _, value| {
            let Some(FactKey::Abandoned(_, origin)) = FactKey::decode(key) else { return };
            let Ok(abandoned) = stored::unpack::<Abandoned>(&value) else { return };
            let mut count = |range: &Mark| {
                let key = FactKey::Ledger(tenant.clone(), origin.clone(), Stream(range.stream.clone()));
                let ledger = fleet.fact::<StreamLedger>(&key).ok().flatten().unwrap_or_default();
                let (all, above) = ledger.given_up(range.epoch, range.first, range.last);
                sums.above = sums.above.saturating_add(above.min(OF_STREAM_MAX));
                all.min(OF_STREAM_MAX)
            };
            let refused = abandoned.refused().ranges().iter().map(&mut count).fold(0, u64::saturating_add);
            let superseded = abandoned.superseded().ranges().iter().map(&mut count).fold(0, u64::saturating_add);
            sums.refused = sums.refused.saturating_add(refused);
            sums.superseded = sums.superseded.saturating_add(superseded);
        });
    }

    /// What beacons keep for good: it is final there, and never came here.
    fn add_set_aside(&self, sums: &mut LedgerSums) {
        let (tenant, fleet) = (&self.books.tenant, Fleet::of(&self.books));
        for (key, AsideRecord { why, place, .. }) in packages::set_aside(self) {
            match why {
                Aside::Expired => sums.counts.expired = sums.counts.expired.saturating_add(1),
                Aside::Refused | Aside::BadDigest => {
                    sums.counts.quarantined = sums.counts.quarantined.saturating_add(1)
                }
            }
            // It is counted as published by its end; where its number lies in a gap, not once more.
            if let Some((stream, Sequence { epoch, number })) = place {
                let ledger = fleet.fact::<StreamLedger>(&FactKey::Ledger(tenant.clone(), key.origin, stream));
                let (all, above) = ledger.ok().flatten().unwrap_or_default().given_up(epoch, number, number);
                sums.gaps = sums.gaps.saturating_sub(all - above);
            }
        }
    }

    /// Deliveries of packages that were known here.
    pub(super) fn duplicates(&self, sums: &LedgerSums) -> u64 {
        // Whose those are that never got further than the listener is not counted: they are the own tenant's.
        let refused_here = if self.is_own() { self.intake.duplicates.load(Ordering::Relaxed) } else { 0 };
        sums.counts.duplicate_deliveries + refused_here
    }

    /// What waits for the next import. One that is due already is due now.
    pub(super) fn import_plan(&self) -> ImportPlan {
        let plans = self.import_plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.get(&self.books.tenant).copied().unwrap_or_default();
        ImportPlan { due: plan.due.map(|due| due.max(self.clock.now())), ..plan }
    }

    /// Packages that the beacons say they hold: how many, and how long the oldest has waited, in milliseconds.
    pub(super) fn at_beacons(&self) -> (u64, i64) {
        let (tenants, mut statuses) = (self.books.tenants.now(), self.statuses.list());
        statuses.retain(|status| *tenants.of_beacon(Some(status.id)) == self.books.tenant);
        held_by(&statuses)
    }
}

/// Packages that these beacons say they hold: how many, and how long the oldest has waited, in milliseconds.
pub(super) fn held_by(statuses: &[BeaconStatus]) -> (u64, i64) {
    let queues = statuses.iter().flat_map(|status| status.queue.waiting.values());
    queues.fold((0, 0), |(packages, oldest_ms), queue| {
        (u64::saturating_add(packages, queue.packages), i64::max(oldest_ms, queue.oldest_ms))
    })
}

impl LedgerSums {
    /// Adds those of another tenant.
    pub(super) fn add(&mut self, other: &LedgerSums) {
        self.counts.add(other.counts);
        self.gaps = self.gaps.saturating_add(other.gaps);
        self.missing = self.missing.saturating_add(other.missing);
        self.refused = self.refused.saturating_add(other.refused);
        self.superseded = self.superseded.saturating_add(other.superseded);
        self.above = self.above.saturating_add(other.above);
        self.as_of = self.as_of.max(other.as_of);
    }
}

pub(super) fn summary(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    Ok(Answer::Json(summarise(api)?))
}

/// The summary. `published` counts what is settled, what is held here, and what is known to be on its way or lost, because a
/// later number of its stream was settled. `missing` are packages that an agent has a receipt for and that did not come
/// within `custody.missing_after_secs`. What agents gave up, `refused` and `superseded`, they tell with their next policy
/// question.
pub(super) fn summarise(api: &Api) -> Result<Value, Problem> {
    let sums = api.ledger_sums()?;
    let plan = api.import_plan();
    let in_custody = api.in_custody() as u64;
    Ok(json!({
        "published": (sums.counts.settled() + in_custody).saturating_add(sums.gaps).saturating_add(sums.above),
        "in_custody": in_custody,
        "imported": sums.counts.imported,
        "stale": sums.counts.stale,
        "quarantined": sums.counts.quarantined,
        "expired": sums.counts.expired,
        "refused": sums.refused,
        "superseded": sums.superseded,
        "missing": sums.missing,
        "duplicate_deliveries": api.duplicates(&sums),
        "at_beacons": api.at_beacons().0,
        "waiting_for_import": plan.waiting,
        "next_import": plan.due.map(Timestamp::to_rfc3339),
        "as_of": sums.as_of.to_rfc3339(),
    }))
}
