//! What is acknowledged and not settled of one origin.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::formats::marks::Mark;
use crate::id::Guid;
use crate::model::package::{Kind, Sequence, Stream};
use crate::time::Timestamp;
use crate::upload::ledger::{PACKAGE_LIFETIME_MS, StreamLedger};

/// Most gaps of one origin; what lies beyond is noted when others are closed.
const GAPS_MAX: usize = 64;
/// A gap that was open so long is given up: no copy of it can live any more.
pub const GIVEN_UP_MS: i64 = PACKAGE_LIFETIME_MS;

/// Whether a later package of `stream` makes up for an earlier one: a stock or a discovery tells what is, usage and logs
/// tell what was.
pub fn supersedes(stream: &Stream) -> bool {
    let kind = stream.as_str().split('/').next().and_then(|kind| kind.parse::<Kind>().ok());
    matches!(kind, Some(Kind::Inventories | Kind::Discovery))
}

/// Numbers that were acknowledged and have no final state here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Their stream.
    pub stream: Stream,
    /// Their epoch.
    pub epoch: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// When the server heard first that they were acknowledged.
    pub since: Timestamp,
    /// The node that the agent told so.
    pub beacon: Guid,
    /// Whether they are missing, and the operator was told.
    pub is_missing: bool,
}

impl Gap {
    /// How many packages.
    pub fn packages(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// What is asked for again.
    pub fn mark(&self) -> Mark {
        Mark { stream: self.stream.0.clone(), epoch: self.epoch, first: self.first, last: self.last }
    }

    fn part(&self, (first, last): (u64, u64)) -> Gap {
        Gap { first, last, ..self.clone() }
    }
}

/// See the module's head. The value of a fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginGaps(Vec<Gap>);

impl OriginGaps {
    /// Every gap.
    pub fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.0.iter()
    }

    /// Those that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &Gap> {
        self.0.iter().filter(|gap| gap.is_missing)
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes what is `acked` by the word of the agent, was not noted before and has no final state in `ledgers`.
    pub fn note(&mut self, acked: &[Mark], beacon: Guid, ledgers: &BTreeMap<Stream, StreamLedger>, now: Timestamp) {
        for mark in acked {
            let stream = Stream(mark.stream.clone());
            let known = self.0.iter().filter(|gap| gap.stream == stream && gap.epoch == mark.epoch);
            let known: Vec<(u64, u64)> = known.map(|gap| (gap.first, gap.last)).collect();
            for (first, last) in without((mark.first, mark.last), known) {
                let gap = Gap {
                    stream: stream.clone(),
                    epoch: mark.epoch,
                    first,
                    last,
                    since: now,
                    beacon,
                    is_missing: false,
                };
                for gap in open(&gap, ledgers) {
                    if self.0.len() < GAPS_MAX {
                        self.0.push(gap);
                    }
                }
            }
        }
    }

    /// Closes what `ledgers` have settled, or made up for, since, and gives up what nobody can have any more. Gives how
    /// many missing packages were given up.
    pub fn close(&mut self, ledgers: &BTreeMap<Stream, StreamLedger>, now: Timestamp) -> u64 {
        let mut given_up = 0;
        let mut still = Vec::with_capacity(self.0.len());
        for gap in &self.0 {
            // A clock that was ahead once must not put off the alarm.
            let gap = Gap { since: gap.since.min(now), ..gap.clone() };
            let left = open(&gap, ledgers);
            if now.ms_since(gap.since) <= GIVEN_UP_MS {
                still.extend(left);
            } else {
                given_up += left.iter().map(Gap::packages).fold(0, u64::saturating_add);
            }
        }
        // Parts of what was one: the oldest stay.
        still.truncate(GAPS_MAX);
        self.0 = still;
        given_up
    }

    /// Whether something is open for `limit_ms`.
    pub fn is_over(&self, now: Timestamp, limit_ms: i64) -> bool {
        self.0.iter().any(|gap| gap.is_over(now, limit_ms))
    }

    /// Calls missing what is open for `limit_ms` and not `held` here, and takes the word back of what has arrived here
    /// since. Call it behind [`OriginGaps::close`]. Gives the newly missing.
    pub fn call_missing(&mut self, held: &BTreeSet<(Stream, Sequence)>, now: Timestamp, limit_ms: i64) -> Vec<Gap> {
        let mut called = Vec::new();
        for gap in std::mem::take(&mut self.0) {
            if !gap.is_over(now, limit_ms) {
                self.0.push(gap);
                continue;
            }
            let at = |number| (gap.stream.clone(), Sequence { epoch: gap.epoch, number });
            let here: Vec<u64> =
                held.range(at(gap.first)..=at(gap.last)).map(|(_, sequence)| sequence.number).collect();
            self.0.extend(here.iter().map(|&number| Gap { is_missing: false, ..gap.part((number, number)) }));
            let gone = without((gap.first, gap.last), here.into_iter().map(|number| (number, number)).collect());
            let gone: Vec<Gap> = gone.into_iter().map(|range| Gap { is_missing: true, ..gap.part(range) }).collect();
            if !gap.is_missing {
                called.extend(gone.iter().cloned());
            }
            self.0.extend(gone);
        }
        self.0.truncate(GAPS_MAX);
        called
    }
}

impl Gap {
    fn is_over(&self, now: Timestamp, limit_ms: i64) -> bool {
        now.ms_since(self.since) >= limit_ms
    }
}

/// What of `gap` is neither settled nor made up for.
fn open(gap: &Gap, ledgers: &BTreeMap<Stream, StreamLedger>) -> Vec<Gap> {
    let Some(ledger) = ledgers.get(&gap.stream) else { return vec![gap.clone()] };
    let is_made_up_for =
        supersedes(&gap.stream) && ledger.has_later(Sequence { epoch: gap.epoch, number: gap.last }, gap.since);
    if is_made_up_for {
        return Vec::new();
    }
    ledger.unsettled(gap.epoch, gap.first, gap.last).into_iter().map(|range| gap.part(range)).collect()
}

/// The parts of `range` that are in none of `others`.
fn without(range: (u64, u64), mut others: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    others.sort_unstable();
    let (mut left, (mut next, last)) = (Vec::new(), range);
    for (first, end) in others {
        if end < next || first > last {
            continue;
        }
        if first > next {
            left.push((next, first - 1));
        }
        match end.checked_add(1) {
            Some(behind) => next = behind,
            None => return left,
        }
    }
    if next <= last {
        left.push((next, last));
    }
    left
}
