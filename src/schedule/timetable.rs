//! A schedule made ready to be asked for times.

use super::recurrence::{Recurrence, jitter_ms};
use crate::formats::nds::{CatchUp, Event, Nds, TriggerKind};
use crate::rng::mix;
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};

/// A run that is late by no more than this still counts as in time, in milliseconds: the agent was busy, not away.
pub const LATE_MS: i64 = 10 * MINUTE_MS;

/// A compiled schedule; never changes, so one serves all agents of a beacon that go by the same clocks.
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
    /// How far the clocks that the triggers name are ahead of UTC. Triggers know only those clocks, everybody else only UTC.
    ahead_ms: i64,
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
    /// Compiles a schedule whose times of day and days are those of clocks that are `ahead_ms` ahead of UTC, always by as
    /// much: summer time does not exist here.
    pub fn new(nds: Nds, ahead_ms: i64) -> Timetable {
        let rules = nds.events.iter().map(|event| Rules::new(event, ahead_ms)).collect();
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
    fn new(event: &Event, ahead_ms: i64) -> Rules {
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
            let from = trigger.start.map_or(Timestamp(i64::MIN), |start| start.plus_ms(-ahead_ms));
            let window_ms = i64::from(trigger.window_secs) * SECOND_MS;
            signal(trigger.kind).map(|happening| Signal { happening, from, window_ms })
        });
        Rules {
            seed: event.id.seed(),
            ahead_ms,
            catch_up: event.catch_up,
            timed: event.triggers.iter().filter_map(Recurrence::new).collect(),
            signals: signals.collect(),
        }
    }

    /// What the clocks of the triggers show at `at`.
    fn there(&self, at: Timestamp) -> i64 {
        at.plus_ms(self.ahead_ms).0
    }

    /// When the clocks of the triggers show `at`.
    fn here(&self, at: i64) -> Timestamp {
        Timestamp(at).plus_ms(-self.ahead_ms)
    }

    /// What the random times of this event on this agent are drawn from.
    pub fn key(&self, agent: u64) -> u64 {
        mix(agent, self.seed)
    }

    /// The first due time after `now` of an occurrence after `ran`; `NEVER` when there is none.
    pub fn next_due(&self, key: u64, ran: Timestamp, now: Timestamp) -> Timestamp {
        let (ran, now) = (self.there(ran), self.there(now));
        let due = |timed: &Recurrence| {
            let pending = timed.pending(key, now).filter(|begun| *begun > ran);
            let next = pending.or_else(|| timed.after(now.max(ran)))?;
            Some(self.here(timed.due(key, next)))
        };
        self.timed.iter().filter_map(due).min().unwrap_or(Timestamp::NEVER)
    }

    /// What came after `ran` and became due after `seen` and by `now`.
    pub fn passed(&self, key: u64, ran: Timestamp, seen: Timestamp, now: Timestamp) -> Option<Passed> {
        let (ran, seen, now) = (self.there(ran), self.there(seen), self.there(now));
        let mut passed: Option<Passed> = None;
        for timed in &self.timed {
            let Some(last) = timed.last_due(key, now).filter(|last| *last > ran) else { continue };
            let due = timed.due(key, last);
            if due > seen {
                let is_in_time = now - due <= LATE_MS || timed.is_in_window(last, now);
                let last = self.here(last);
                let (occurrence, was_in_time) =
                    passed.map_or((last, false), |known| (known.occurrence, known.is_in_time));
                passed = Some(Passed { occurrence: occurrence.max(last), is_in_time: is_in_time || was_in_time });
            }
        }
        passed
    }

    /// The last occurrence at `now` or before it.
    pub fn last_begun(&self, now: Timestamp) -> Option<Timestamp> {
        let now = self.there(now);
        self.timed.iter().filter_map(|timed| timed.at_or_before(now)).max().map(|at| self.here(at))
    }

    /// The first occurrence after `now`.
    pub fn next_begin(&self, now: Timestamp) -> Option<Timestamp> {
        let now = self.there(now);
        self.timed.iter().filter_map(|timed| timed.after(now)).min().map(|at| self.here(at))
    }

    /// The last moment up to which every occurrence is due by `now`: what is remembered of an event that never ran.
    pub fn settled(&self, key: u64, now: Timestamp) -> Timestamp {
        let at = self.there(now);
        let pending = self.timed.iter().filter_map(|timed| timed.pending(key, at)).min();
        pending.map_or(now, |begun| self.here(begun - 1))
    }

    /// When `happening` at `now` makes the event due; `None` of `happening` is the arrival of the schedule.
    pub fn signalled(&self, key: u64, happening: Option<Happening>, now: Timestamp) -> Option<Timestamp> {
        // A new schedule is new whatever the clock says.
        let counts = |signal: &&Signal| signal.happening == happening && (happening.is_none() || signal.from <= now);
        let due = |signal: &Signal| now.plus_ms(jitter_ms(key, now.0, signal.window_ms));
        self.signals.iter().filter(counts).map(due).min()
    }
}
