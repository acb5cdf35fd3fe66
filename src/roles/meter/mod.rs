//! The meter's decisions: when to look at the processes, what each look adds, when to report.
//!
//! Each minute one sample of all processes, summed per user and program (see [`tally`], which says what a run is) for
//! two periods at once: the session (8 hours by default, at the agent's own offset) and the week (from Monday 00:00
//! UTC). A period that ended is one report, kept until it is published; a report sent twice has the same GUIDs, so the
//! server replaces and never adds.
//!
//! A restart loses nothing but the time until the next sample: the state is remembered each minute, and a process that
//! still runs is not a new run. Times between samples are measured by the machine's uptime, so a clock that is set
//! moves sums to another period but never makes them longer. Off unless policy asks.
//!
//! Source: agent-beacon-batch reference, sections 1.2, 3.4 (UploadPeriod) and 5; operating document on normal
//! operation, step 4.

mod period;
mod report;
mod run;
mod state;
pub mod tally;
mod vocabulary;

use std::sync::Arc;

pub use report::{Dropped, Reporter, UsageReport, UserUsage, upload_name};
pub use state::MeterState;
pub use vocabulary::*;

use super::{Core, IntentNumber, Sink};
use crate::formats::mmi::PeriodType;
use crate::id::Guid;
use crate::model::usage::Attribution;
use crate::rng::RngStream;
use crate::time::Timestamp;
use tally::Naming;

/// See the module's head.
pub struct MeterCore {
    policy: UsagePolicy,
    programs: Arc<dyn Attribution>,
    state: MeterState,
    sample_due: Timestamp,
    is_sampling: bool,
    reporting: Option<Reporting>,
    /// A report that failed is tried again then.
    retry_at: Timestamp,
}

/// The report that is being published.
#[derive(Clone, Copy, Debug)]
struct Reporting {
    intent: IntentNumber,
    kind: PeriodType,
    start: Timestamp,
    /// Its first user's: tells two parts of one period apart.
    guid: Guid,
}

impl Core for MeterCore {
    type Durable = MeterDurable;
    type Input = MeterInput;
    type Intent = MeterIntent;

    fn recover(durable: MeterDurable, _: RngStream, now: Timestamp) -> MeterCore {
        let MeterDurable { agent, policy, programs, state } = durable;
        let state = state.filter(|state| state.agent() == agent).unwrap_or_else(|| MeterState::new(agent));
        MeterCore {
            policy: policy.bounded(),
            programs,
            state,
            // At once: what started while the agent was down is found soonest.
            sample_due: now,
            is_sampling: false,
            reporting: None,
            retry_at: now,
        }
    }

    fn next_due(&self) -> Timestamp {
        let sample = if self.is_sampling || !self.policy.is_enabled { Timestamp::NEVER } else { self.sample_due };
        let report = match (self.reporting, self.state.report_due()) {
            (Some(_), _) | (None, Timestamp::NEVER) => Timestamp::NEVER,
            (None, due) => due.max(self.retry_at),
        };
        sample.min(report)
    }

    fn fingerprint(&self) -> u64 {
        // It draws nothing.
        0
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<MeterIntent>) {
        let every = self.policy.sample_every_ms;
        let next = Timestamp(now.0.div_euclid(every).saturating_mul(every)).plus_ms(every);
        // A clock that was set back must not put the next sample far away.
        self.sample_due = self.sample_due.min(next);
        self.retry_at = self.retry_at.min(next);
        if self.policy.is_enabled && now >= self.sample_due && !self.is_sampling {
            self.is_sampling = true;
            self.sample_due = next;
            out.intend(MeterIntent::Sample);
        }
        self.report(now, out);
    }

    fn on(&mut self, now: Timestamp, input: MeterInput, out: &mut impl Sink<MeterIntent>) {
        match input {
            MeterInput::Sampled(sample) => {
                self.is_sampling = false;
                if self.policy.is_enabled {
                    let naming = Naming { programs: &*self.programs, unattributed: self.policy.unattributed };
                    self.state.count(now, &sample, &self.policy, &naming);
                    out.intend(MeterIntent::Remember(self.state.bytes()));
                }
            }
            MeterInput::SampleFailed => self.is_sampling = false,
            MeterInput::Reported { intent } => {
                let Some(done) = self.reporting.take_if(|reporting| reporting.intent == intent) else { return };
                self.state.published(done.kind, done.start, done.guid);
                out.intend(MeterIntent::Remember(self.state.bytes()));
            }
            MeterInput::ReportFailed { intent } => {
                if self.reporting.take_if(|reporting| reporting.intent == intent).is_some() {
                    self.retry_at = now.plus_ms(self.policy.sample_every_ms);
                }
            }
            MeterInput::Policy(policy) => self.follow(now, policy.bounded(), out),
            MeterInput::Programs(programs) => {
                self.programs = programs;
                self.state.ask_again(&self.policy);
            }
        }
        self.report(now, out);
    }
}

impl MeterCore {
    /// Policy as it is followed.
    pub fn policy(&self) -> UsagePolicy {
        self.policy
    }

    fn follow(&mut self, now: Timestamp, policy: UsagePolicy, out: &mut impl Sink<MeterIntent>) {
        let old = std::mem::replace(&mut self.policy, policy);
        if policy == old {
            return;
        }
        let is_other_grid = (old.session_ms, old.sample_every_ms) != (policy.session_ms, policy.sample_every_ms);
        if old.is_enabled && (!policy.is_enabled || is_other_grid) {
            // What was counted under the old policy is reported under it.
            self.state.end_periods(now);
        }
        if !policy.is_enabled {
            self.state.forget_processes();
        }
        self.state.ask_again(&self.policy);
        self.sample_due = now;
        out.intend(MeterIntent::Remember(self.state.bytes()));
    }

    /// Publishes the first report that is due, one at a time.
    fn report(&mut self, now: Timestamp, out: &mut impl Sink<MeterIntent>) {
        if self.reporting.is_some() || now < self.retry_at {
            return;
        }
        let Some(report) = self.state.due_report(now) else { return };
        let Some(first) = report.users.first() else { return };
        let (kind, start, guid) = (report.kind, report.start, first.guid);
        let intent = out.intend(MeterIntent::Report(report.clone()));
        self.reporting = Some(Reporting { intent, kind, start, guid });
    }
}

#[cfg(test)]
mod tests;
