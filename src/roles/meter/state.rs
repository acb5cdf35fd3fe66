//! What a meter remembers: stored each minute, read after a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::period::{Grid, Period, Periods, share};
use super::report::{UsageReport, UserUsage};
use super::tally::{Elapsed, Naming, Span, Tally};
use super::vocabulary::{Sample, UsagePolicy};
use crate::formats::mmi::PeriodType;
use crate::id::Guid;
use crate::model::stored::{self, StoredError};
use crate::model::usage::{Application, Usage};
use crate::time::{HOUR_MS, Timestamp};

/// Between two samples further apart than this many intervals nothing is counted: the machine slept.
const GAP_SAMPLES: i64 = 3;
/// Reports that wait to be published. Beyond them the oldest goes.
const REPORTS_MAX: usize = 8;
/// The week of the whole fleet ends at one moment; its reports are spread over this time.
const WEEK_SPREAD_MS: i64 = 8 * HOUR_MS;

/// Everything that a meter has counted and not yet published, and which processes it has seen. About 20 bytes for a
/// process and 150 for a pair of user and application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterState {
    agent: Guid,
    /// Uptime at the last sample.
    sampled_uptime_ms: Option<u64>,
    tally: Tally,
    session: Periods,
    week: Periods,
    waiting: VecDeque<Waiting>,
}

/// A report that is not yet published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) due: Timestamp,
    pub(super) report: UsageReport,
}

impl MeterState {
    /// The state of a meter that has seen nothing.
    pub fn new(agent: Guid) -> MeterState {
        MeterState {
            agent,
            sampled_uptime_ms: None,
            tally: Tally::default(),
            session: Periods::new(PeriodType::Session),
            week: Periods::new(PeriodType::WeeklySummary),
            waiting: VecDeque::new(),
        }
    }

    /// Reads what a meter remembered; more than a meter keeps is cut.
    pub fn read(bytes: &[u8]) -> Result<MeterState, StoredError> {
        let mut state: MeterState = stored::unpack(bytes)?;
        state.tally = state.tally.checked();
        // A report of nobody has no GUID by which it could be told published.
        state.waiting.retain(|waiting| !waiting.report.users.is_empty());
        state.waiting.truncate(REPORTS_MAX);
        Ok(state)
    }

    /// As [`MeterState::read`] takes it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        stored::pack(self)
    }

    /// Whose it is: a copied disk carries the state of another.
    pub fn agent(&self) -> Guid {
        self.agent
    }

    /// Counts a sample taken at `now`.
    ///
    /// The time since the sample before belongs to the period that was open then, so that a sample a little after the
    /// end of a period counts for that period; over a gap it belongs to the period of `now`.
    pub(super) fn count(&mut self, now: Timestamp, sample: &Sample, policy: &UsagePolicy, naming: &Naming<'_>) {
        let interval_ms = policy.sample_every_ms as u64;
        let before = self.sampled_uptime_ms.replace(sample.uptime_ms);
        // An uptime that went back is that of another boot.
        let between = before.and_then(|before| sample.uptime_ms.checked_sub(before));
        let elapsed = match between.filter(|&ms| ms <= interval_ms.saturating_mul(GAP_SAMPLES as u64)) {
            Some(ms) => Elapsed { counted_ms: ms, fresh_ms: ms },
            None => Elapsed { counted_ms: 0, fresh_ms: interval_ms },
        };
        let is_gap = between.is_none() || elapsed.counted_ms == 0;
        if is_gap || self.session.open().is_none() {
            self.turn(now, policy);
        }
        let at = |periods: &Periods| periods.open().map_or((now, u64::MAX), |open| (open.clamp(now), open.length_ms()));
        let (session, week) = (at(&self.session), at(&self.week));
        self.tally.count(&sample.processes, elapsed, naming, |span| match span {
            Span::Session => session,
            Span::Week => week,
        });
        self.turn(now, policy);
    }

    /// Ends the periods that `now` is not in, and opens those that it is in.
    fn turn(&mut self, now: Timestamp, policy: &UsagePolicy) {
        let slack_ms = policy.sample_every_ms.saturating_mul(GAP_SAMPLES);
        let sessions = Grid::sessions(self.agent, policy.session_ms, policy.sample_every_ms);
        if let Some(ended) = self.session.turn(now, sessions, slack_ms) {
            self.end(Span::Session, ended, now);
        }
        if let Some(ended) = self.week.turn(now, Grid::WEEKS, slack_ms) {
            self.end(Span::Week, ended, now.plus_ms(share(self.agent, WEEK_SPREAD_MS)));
        }
    }

    /// Ends both periods now: metering was switched off, or its periods were changed.
    pub(super) fn end_periods(&mut self, now: Timestamp) {
        if let Some(ended) = self.session.close() {
            self.end(Span::Session, ended, now);
        }
        if let Some(ended) = self.week.close() {
            self.end(Span::Week, ended, now);
        }
    }

    fn end(&mut self, span: Span, ended: Period, due: Timestamp) {
        let kind = match span {
            Span::Session => self.session.kind(),
            Span::Week => self.week.kind(),
        };
        let mut users = BTreeMap::<Box<str>, Vec<(Arc<Application>, Usage)>>::new();
        for ((user, application), usage) in self.tally.take(span) {
            users.entry(user).or_default().push((application, usage));
        }
        if users.is_empty() {
            return;
        }
        let users = users.into_iter().map(|(user, applications)| {
            let guid = ended.guid(self.agent, kind, &user);
            UserUsage { user, guid, applications }
        });
        let users = users.collect();
        // Told once: by the report that is published next.
        let mut dropped = if span == Span::Session { self.tally.take_dropped() } else { Default::default() };
        while self.waiting.len() >= REPORTS_MAX {
            let oldest = self.waiting.pop_front();
            dropped.reports = dropped.reports.saturating_add(1 + oldest.map_or(0, |old| old.report.dropped.reports));
        }
        let report = UsageReport { kind, start: ended.start, end: ended.end, users, dropped };
        self.waiting.push_back(Waiting { due, report });
    }

    /// The first report that is due.
    pub(super) fn due_report(&self, now: Timestamp) -> Option<&UsageReport> {
        // A clock that was set back must not hold a report for long.
        let is_due = |waiting: &&Waiting| waiting.due <= now || waiting.due.ms_since(now) > WEEK_SPREAD_MS;
        self.waiting.iter().find(is_due).map(|waiting| &waiting.report)
    }

    /// When the next waiting report is due.
    pub(super) fn report_due(&self) -> Timestamp {
        self.waiting.iter().map(|waiting| waiting.due).min().unwrap_or(Timestamp::NEVER)
    }

    /// `report` is published.
    pub(super) fn published(&mut self, kind: PeriodType, start: Timestamp, guid: Guid) {
        self.waiting.retain(|waiting| {
            let of = &waiting.report;
            (of.kind, of.start) != (kind, start) || of.users.iter().all(|user| user.guid != guid)
        });
    }

    /// Installation data or policy changed: a process that had no application may have one now, and one that has only
    /// the name of its file keeps it only if policy still asks for such.
    pub(super) fn ask_again(&mut self, policy: &UsagePolicy) {
        self.tally.ask_again();
        if !policy.unattributed {
            self.tally.forget_unattributed();
        }
    }

    /// Metering was switched off: what runs when it is switched on again is a new run.
    pub(super) fn forget_processes(&mut self) {
        self.tally.forget_processes();
        self.sampled_uptime_ms = None;
    }
}
