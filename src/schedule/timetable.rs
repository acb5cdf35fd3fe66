//! A schedule made ready to be asked for times.

use super::recurrence::{Recurrence, jitter_ms};
use crate::formats::nds::{CatchUp, Event, Nds, TriggerKind};
use crate::rng::mix;
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};

/// A run that is late by no more than this still counts as in time, in milliseconds: the agent was busy, not away.
pub const LATE_MS: i64 = 10 * MINUTE_MS;

/// A compiled schedule; never changes, so one serves all agents of a beacon.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    nds: Nds,
    rules: Box<[Rules]>,
}

/// What can make an event due beside the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The agent starts.
    OnStartup,
    /// The network comes up.
    OnConnect,
    /// Somebody logs on.
    Logon,
}

/// The triggers of one event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rules {
    seed: u64,
    pub catch_up: CatchUp,
    timed: Box<[Recurrence]>,
    signals: Box<[Signal]>,
}

/// A trigger that no clock makes due. REPEAT does not count here: an agent that restarts would not know how far it is.
#[derive(Debug, PartialEq, Eq)]
struct Signal {
    /// `None` is the arrival of the schedule.
    happening: Option<Happening>,
    /// Counts from then on.
    from: Timestamp,
    window_ms: i64,
}

/// What became due between two looks at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// The latest such occurrence.
    pub occurrence: Timestamp,
    /// Whether one of them is late by [`LATE_MS`] at most, or in its window.
    pub is_in_time: bool,
}

impl Timetable {
    /// Compiles a schedule.
    pub fn new(nds: Nds) -> Timetable {
        let rules = nds.events.iter().map(Rules::new).collect();
        Timetable { nds, rules }
    }

    /// The schedule it was made from. Two timetables are the same when these are equal.
    pub fn nds(&self) -> &Nds {
        &self.nds
    }

    /// The events, in the order of the schedule; a plan names them by their place here.
    pub fn events(&self) -> &[Event] {
        &self.nds.events
    }

    pub(super) fn rules(&self) -> &[Rules] {
        &self.rules
    }
}

impl Rules {
    fn new(event: &Event) -> Rules {
        let signal = |kind| match kind {
            TriggerKind::Now => Some(None),
            TriggerKind::OnStartup => Some(Some(Happening::OnStartup)),
            TriggerKind::OnConnect => Some(Some(Happening::OnConnect)),
            TriggerKind::Logon => Some(Some(Happening::Logon)),
            TriggerKind::Once
            | TriggerKind::Daily { .. }
            | TriggerKind::Weekly { .. }
            | TriggerKind::Monthly { .. } => None,
        };
        let signals = event.triggers.iter().filter_map(|trigger| {
            let from = trigger.start.unwrap_or(Timestamp(i64::MIN));
            let window_ms = i64::from(trigger.window_secs) * SECOND_MS;
            signal(trigger.kind).map(|happening| Signal { happening, from, window_ms })
        });
        Rules {
            seed: event.id.seed(),
            catch_up: event.catch_up,
            timed: event.triggers.iter().filter_map(Recurrence::new).collect(),
            signals: signals.collect(),
        }
    }

    /// What the random times of this event on this agent are drawn from.
    pub fn key(&self, agent: u64) -> u64 {
        mix(agent, self.seed)
    }

    /// The first due time after `now` of an occurrence after `ran`; `NEVER` when there is none.
    pub fn next_due(&self, key: u64, ran: Timestamp, now: Timestamp) -> Timestamp {
        let due = |timed: &Recurrence| {
            let pending = timed.pending(key, now.0).filter(|begun| *begun > ran.0);
            let next = pending.or_else(|| timed.after(now.0.max(ran.0)))?;
            Some(Timestamp(timed.due(key, next)))
        };
        self.timed.iter().filter_map(due).min().unwrap_or(Timestamp::NEVER)
    }

    /// What came after `ran` and became due after `seen` and by `now`.
    pub fn passed(&self, key: u64, ran: Timestamp, seen: Timestamp, now: Timestamp) -> Option<Passed> {
        let mut passed: Option<Passed> = None;
        for timed in &self.timed {
            let Some(last) = timed.last_due(key, now.0).filter(|last| *last > ran.0) else { continue };
            let due = timed.due(key, last);
            if due > seen.0 {
                let is_in_time = now.0 - due <= LATE_MS || timed.is_in_window(last, now.0);
                let (occurrence, was_in_time) =
                    passed.map_or((Timestamp(last), false), |known| (known.occurrence, known.is_in_time));
                passed =
                    Some(Passed { occurrence: occurrence.max(Timestamp(last)), is_in_time: is_in_time || was_in_time });
            }
        }
        passed
    }

    /// The last occurrence at `now` or before it.
    pub fn last_begun(&self, now: Timestamp) -> Option<Timestamp> {
        self.timed.iter().filter_map(|timed| timed.at_or_before(now.0)).max().map(Timestamp)
    }

    /// The first occurrence after `now`.
    pub fn next_begin(&self, now: Timestamp) -> Option<Timestamp> {
        self.timed.iter().filter_map(|timed| timed.after(now.0)).min().map(Timestamp)
    }

    /// The last moment up to which every occurrence is due by `now`: what is remembered of an event that never ran.
    pub fn settled(&self, key: u64, now: Timestamp) -> Timestamp {
        let pending = self.timed.iter().filter_map(|timed| timed.pending(key, now.0)).min();
        pending.map_or(now, |begun| Timestamp(begun - 1))
    }

    /// When `happening` at `now` makes the event due; `None` of `happening` is the arrival of the schedule.
    pub fn signalled(&self, key: u64, happening: Option<Happening>, now: Timestamp) -> Option<Timestamp> {
        // A new schedule is new whatever the clock says.
        let counts = |signal: &&Signal| signal.happening == happening && (happening.is_none() || signal.from <= now);
        let due = |signal: &Signal| now.plus_ms(jitter_ms(key, now.0, signal.window_ms));
        self.signals.iter().filter(counts).map(due).min()
    }
}
