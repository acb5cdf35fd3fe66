//! When one agent runs the events of its timetable.
//!
//! ```text
//! occurrence        due                          next occurrence
//!     |--- jitter ---|                                  |--- jitter ...
//!     |------------ window ------------|
//! ```
//!
//! A run stands for every occurrence of its event that has begun by then: two triggers on one instant are one run, many
//! missed ones are one run, and what a logon runs inside a window is not run again at the end of it.
//!
//! What is due is judged when the plan looks at the clock. In time is what is late by [`LATE_MS`](super::LATE_MS) at
//! most or still in its window. The rest was missed while the clock jumped (the machine slept, or somebody set it) and
//! is run only when the event catches up `Always`.
//!
//! The clock may be wrong. Set back, it does not run again what was run, but neither does a clock that was far ahead
//! keep an event silent: see [`Plan::take`].
//!
//! Source: `agent-beacon-batch` reference, section 7, rules of the `.nds`; delivery contract, I9.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::recurrence::FAR_MS;
use super::timetable::{Happening, Rules, Timetable};
use crate::formats::nds::{CatchUp, Event};
use crate::id::Guid;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// What an agent keeps of an event over a restart: everything up to `occurrence` was run, or was never to be run.
///
/// A later one of an event replaces the earlier one, also where its occurrence is the smaller: the clock was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ran {
    /// The event's id.
    pub event: Guid,
    /// The last occurrence that was run, without its jitter.
    pub occurrence: Timestamp,
}

/// An event to be run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Place of the event in [`Timetable::events`].
    pub index: usize,
    /// What is to be remembered once it runs.
    pub ran: Ran,
}

/// Due times of one agent: 40 bytes, and 32 for each event.
#[derive(Clone, Debug)]
pub struct Plan {
    timetable: Arc<Timetable>,
    agent: u64,
    /// What was due by then is decided.
    seen: Timestamp,
    entries: Box<[Entry]>,
}

/// One event of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// No occurrence up to here is run any more.
    ran: Timestamp,
    /// Due time of the next occurrence; after `seen`.
    timed: Timestamp,
    /// Due time of a run that is decided: a happening, a new schedule, something missed. `NEVER` for none.
    ordered: Timestamp,
    /// What was run by it.
    ordered_for: Timestamp,
}

impl Plan {
    /// The plan at the start of an agent that remembers `memory`.
    ///
    /// An event whose latest due occurrence was not run is due at once when it catches up `OnStartup` or `Always`; when
    /// `Never`, what is missed is passed over, however short ago. An event without memory has missed nothing; what has
    /// begun by `now` and is due later will still be run. Store [`Plan::memory`] after this, or an event that is missed
    /// each time will never be caught up. `agent` is the agent's own number, from which its jitter is drawn.
    pub fn begin(timetable: Arc<Timetable>, agent: u64, memory: &[Ran], now: Timestamp) -> Plan {
        let now = sane(now);
        let mut plan = Plan { entries: Box::default(), timetable, agent, seen: now };
        let remembered = |event: &Event| memory.iter().rev().find(|ran| ran.event == event.id);
        let events = plan.timetable.events().iter().zip(plan.timetable.rules());
        let entry = |(event, rules): (&Event, &Rules)| {
            let mut entry = Entry::new(rules, rules.key(agent), remembered(event).map(|ran| ran.occurrence), now);
            let passed = rules.passed(rules.key(agent), entry.ran, Timestamp(i64::MIN), now);
            if let (Some(passed), CatchUp::OnStartup | CatchUp::Always) = (passed, rules.catch_up) {
                entry.order(passed.occurrence, now);
            }
            entry
        };
        plan.entries = events.map(entry).collect();
        plan
    }

    /// The timetable it follows.
    pub fn timetable(&self) -> &Arc<Timetable> {
        &self.timetable
    }

    /// When something is due next, for one timer; `NEVER` when nothing is. After [`Plan::take`] it is later than then.
    pub fn next_due(&self) -> Timestamp {
        self.entries.iter().map(Entry::due).min().unwrap_or(Timestamp::NEVER)
    }

    /// When each event is due next, in the order of the timetable, for a display; `NEVER` for one that is not.
    pub fn planned(&self) -> impl ExactSizeIterator<Item = (&Event, Timestamp)> {
        self.timetable.events().iter().zip(self.entries.iter().map(Entry::due))
    }

    /// What is to be remembered of each event.
    pub fn memory(&self) -> impl ExactSizeIterator<Item = Ran> {
        let events = self.timetable.events().iter().zip(&self.entries);
        events.map(|(event, entry)| Ran { event: event.id, occurrence: entry.ran })
    }

    /// Takes what is due at `now`, in the order of the timetable. Cost: nothing beyond a look at each event, for one
    /// that is due a few divisions a trigger.
    ///
    /// A `now` that is earlier than the last one given is a clock that was set back. What was run before is then not
    /// run again, unless that would silence the event: what is remembered for more than a day ahead, or for more than
    /// an hour ahead and beyond the event's next occurrence, is forgotten, and the event goes on with the next
    /// occurrence as if it were new. So a clock that was wrong costs an event its runs of an hour, or one run. A clock
    /// that was set back is noticed when the plan is asked, so an agent looks at the clock at least every few minutes.
    pub fn take(&mut self, now: Timestamp) -> Vec<Due> {
        let now = sane(now);
        self.look(now);
        let mut due = Vec::new();
        let events = self.timetable.events().iter().zip(self.timetable.rules());
        for (index, (entry, (event, rules))) in self.entries.iter_mut().zip(events).enumerate() {
            if entry.ordered <= now {
                let begun = rules.last_begun(now).unwrap_or(entry.ordered_for);
                entry.ran = entry.ran.max(begun).max(entry.ordered_for);
                entry.ordered = Timestamp::NEVER;
                entry.timed = rules.next_due(rules.key(self.agent), entry.ran, now);
                due.push(Due { index, ran: Ran { event: event.id, occurrence: entry.ran } });
            }
        }
        due
    }

    /// Tells that something happened; events with such a trigger become due within its window.
    ///
    /// A start is told like the others, after [`Plan::begin`].
    pub fn happened(&mut self, happening: Happening, now: Timestamp) {
        let now = sane(now);
        self.look(now);
        for (entry, rules) in self.entries.iter_mut().zip(self.timetable.rules()) {
            if let Some(due) = rules.signalled(rules.key(self.agent), Some(happening), now) {
                entry.order(now, due);
            }
        }
    }

    /// Follows another timetable from now on, and runs its events with a `Now` trigger. Whether it is another: one
    /// that is equal to the present one changes nothing.
    ///
    /// Memory and decided runs go over by the event's id; a new event has missed nothing. Store [`Plan::memory`] after
    /// this.
    pub fn replace(&mut self, timetable: Arc<Timetable>, now: Timestamp) -> bool {
        if Arc::ptr_eq(&self.timetable, &timetable) || self.timetable.nds() == timetable.nds() {
            return false;
        }
        let now = sane(now);
        self.look(now);
        let old = self.timetable.events();
        let entry = |(event, rules): (&Event, &Rules)| {
            let known = old.iter().position(|old| old.id == event.id).map(|index| self.entries[index]);
            let key = rules.key(self.agent);
            let mut entry = Entry::new(rules, key, known.map(|known| known.ran), now);
            if let Some(known) = known.filter(|known| known.ordered != Timestamp::NEVER) {
                entry.order(known.ordered_for, known.ordered);
            }
            if let Some(due) = rules.signalled(key, None, now) {
                entry.order(now, due);
            }
            entry
        };
        let entries = timetable.events().iter().zip(timetable.rules()).map(entry).collect();
        (self.entries, self.timetable) = (entries, timetable);
        true
    }

    /// Decides what became due since the last look, and follows a clock that was set back.
    fn look(&mut self, now: Timestamp) {
        let seen = std::mem::replace(&mut self.seen, now);
        for (entry, rules) in self.entries.iter_mut().zip(self.timetable.rules()) {
            let key = rules.key(self.agent);
            if now < seen {
                let (ordered, ordered_for) = (entry.ordered, entry.ordered_for);
                *entry = Entry::new(rules, key, Some(entry.ran), now);
                if ordered != Timestamp::NEVER {
                    // It waits for as long as it would have.
                    entry.order(ordered_for.min(now), now.plus_ms(ordered.ms_since(seen)));
                }
            } else if entry.timed <= now {
                match rules.passed(key, entry.ran, seen, now) {
                    Some(passed) if passed.is_in_time || rules.catch_up == CatchUp::Always => {
                        entry.order(passed.occurrence, now);
                    }
                    _ => {}
                }
                entry.timed = rules.next_due(key, entry.ran, now);
            }
        }
    }
}

impl Entry {
    /// Goes on from what is remembered; from `now` when that is nothing, or is from a clock that was ahead.
    fn new(rules: &Rules, key: u64, ran: Option<Timestamp>, now: Timestamp) -> Entry {
        let ran = ran.filter(|ran| is_credible(rules, *ran, now)).unwrap_or_else(|| rules.settled(key, now));
        let timed = rules.next_due(key, ran, now);
        Entry { ran, timed, ordered: Timestamp::NEVER, ordered_for: now }
    }

    /// Orders a run; two that are ordered are one, at the earlier time.
    fn order(&mut self, occurrence: Timestamp, due: Timestamp) {
        let is_first = self.ordered == Timestamp::NEVER;
        self.ordered_for = if is_first { occurrence } else { self.ordered_for.max(occurrence) };
        self.ordered = self.ordered.min(due);
    }

    fn due(&self) -> Timestamp {
        self.timed.min(self.ordered)
    }
}

/// Whether the clock that ran `ran` can have been right, or silences the event so little that it does not matter.
fn is_credible(rules: &Rules, ran: Timestamp, now: Timestamp) -> bool {
    match ran.ms_since(now) {
        0..=HOUR_MS => true,
        ahead if ahead > DAY_MS => false,
        _ => rules.next_begin(now).is_none_or(|next| ran <= next),
    }
}

/// The nearest time at which an occurrence can be: `NEVER` is not a time of day.
fn sane(now: Timestamp) -> Timestamp {
    Timestamp(now.0.clamp(-FAR_MS, FAR_MS))
}

#[cfg(test)]
mod tests;
