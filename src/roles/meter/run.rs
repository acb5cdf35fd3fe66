//! One run: a process together with its descendants of the same program and user, and what a sample shows of them.

use serde::{Deserialize, Serialize};

use super::tally::Span;
use crate::model::usage::ProcessSample;

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Whose it is, and of which program.
    pub(super) pair: u32,
    was_active: bool,
    /// Milliseconds that count for the open session so far, and for the open week.
    session_ms: u64,
    week_ms: u64,
    #[serde(skip)]
    sighting: Sighting,
}

/// What a sample shows of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sighting {
    /// No sample showed it before.
    is_begun: bool,
    /// A process that the sample before showed too.
    goes_on: bool,
    /// How long the oldest of those that began since has been running.
    fresh_ms: u64,
    /// A process that only the sample before showed.
    has_ended: bool,
    is_active: bool,
}

/// What a sample adds for a run. The active time is never more than the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) is_begun: bool,
    /// Whether any of its processes lives.
    pub(super) is_running: bool,
    pub(super) run_ms: u64,
    pub(super) active_ms: u64,
}

impl Run {
    /// A run that this sample is the first to show.
    pub(super) fn begun(pair: u32) -> Run {
        let sighting = Sighting { is_begun: true, ..Sighting::default() };
        Run { sighting, ..Run::going_on(pair) }
    }

    /// A run that an earlier sample showed.
    pub(super) fn going_on(pair: u32) -> Run {
        Run { pair, was_active: false, session_ms: 0, week_ms: 0, sighting: Sighting::default() }
    }

    /// `process` is in this sample and was in the one before.
    pub(super) fn see_again(&mut self, process: &ProcessSample) {
        self.sighting.goes_on = true;
        self.sighting.is_active |= process.is_active;
    }

    /// `process` is in this sample for the first time; one that is not older than `fresh_ms` began since.
    pub(super) fn see_new(&mut self, process: &ProcessSample, fresh_ms: u64) {
        self.sighting.is_active |= process.is_active;
        if process.age_ms <= fresh_ms {
            self.sighting.fresh_ms = self.sighting.fresh_ms.max(process.age_ms);
        }
    }

    /// One of its processes is not in this sample any more.
    pub(super) fn miss(&mut self) {
        self.sighting.has_ended = true;
    }

    /// Ends the look at a sample that is `counted_ms` after the one before.
    pub(super) fn turn(&mut self, counted_ms: u64) -> Added {
        let sighting = std::mem::take(&mut self.sighting);
        let was_active = std::mem::replace(&mut self.was_active, sighting.is_active);
        let (run_ms, is_active) = if sighting.goes_on {
            (counted_ms, sighting.is_active)
        } else if sighting.is_begun {
            (sighting.fresh_ms, sighting.is_active)
        } else {
            // When it ended is not known: in the middle, as far as anyone can tell.
            (if sighting.has_ended { counted_ms / 2 } else { 0 }, was_active)
        };
        Added {
            is_begun: sighting.is_begun,
            is_running: sighting.goes_on || sighting.is_begun,
            run_ms,
            active_ms: if is_active { run_ms } else { 0 },
        }
    }

    /// Counts `run_ms` for a period of `length_ms`; what of it has room there.
    pub(super) fn fill(&mut self, span: Span, run_ms: u64, length_ms: u64) -> u64 {
        let counted_ms = self.counted(span);
        let room_ms = length_ms.saturating_sub(*counted_ms);
        let run_ms = run_ms.min(room_ms);
        *counted_ms += run_ms;
        run_ms
    }

    /// The period ended: the next one begins at nothing.
    pub(super) fn begin_period(&mut self, span: Span) {
        *self.counted(span) = 0;
    }

    fn counted(&mut self, span: Span) -> &mut u64 {
        match span {
            Span::Session => &mut self.session_ms,
            Span::Week => &mut self.week_ms,
        }
    }
}
