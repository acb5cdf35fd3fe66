//! The tasks that wait and those that run.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::occupied::{Age, Occupied, ScopeKey};
use crate::id::TenantId;
use crate::model::task::{BandNumber, Constraints, GroupName, Per, TaskNumber, TaskScope, TaskType};
use crate::time::Timestamp;

/// Why a task does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not to start before this.
    NotBefore(Timestamp),
    /// A task that was sent for processing and has not ended excludes it.
    Running(Rule),
    /// An older task that has waited for longer than the starvation limit goes first.
    Barrier(Rule),
    /// An older one that waits as well goes first.
    Behind(Rule),
    /// Nothing: it starts at the next pass that may start something.
    Nothing,
}

/// A constraint that holds between two tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The task that blocks.
    pub blocker: TaskNumber,
    /// Its band.
    pub its_band: BandNumber,
    /// The band of the task that is blocked.
    pub band: BandNumber,
    /// How far the exclusion reaches.
    pub per: Per,
}

/// Tasks that are kept back by the same things, oldest first.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeSet<Age>,
    /// The task that keeps the first one back; looked at again when that is gone. `None` when it has to be looked at.
    waits_for: Option<TaskNumber>,
}

type LineKey = (BandNumber, ScopeKey);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not before its time.
    Scheduled,
    Waiting,
    Running,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    since: Timestamp,
    scope: ScopeKey,
    band: BandNumber,
    place: Place,
}

/// Numbers for names.
#[derive(Debug, Default)]
struct Names {
    tenants: HashMap<TenantId, u32>,
    groups: HashMap<GroupName, u32>,
}

impl Names {
    fn key(&mut self, scope: &TaskScope) -> ScopeKey {
        match scope {
            TaskScope::System => ScopeKey::System,
            TaskScope::Group(group) => ScopeKey::Group(self.group(group)),
            TaskScope::Tenant { tenant, group } => {
                let next = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
                let tenant = match self.tenants.get(tenant) {
                    Some(known) => *known,
                    None => *self.tenants.entry(tenant.clone()).or_insert(next),
                };
                ScopeKey::Tenant { tenant, group: self.group(group) }
            }
        }
    }

    fn group(&mut self, group: &GroupName) -> u32 {
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        match self.groups.get(group) {
            Some(known) => *known,
            None => *self.groups.entry(group.clone()).or_insert(next),
        }
    }
}

/// See the module's head. It remembers no more of a task than what decides when it starts: a million that wait take about
/// 120 bytes each.
#[derive(Debug)]
pub struct TaskQueue {
    constraints: Arc<Constraints>,
    starvation_ms: i64,
    names: Names,
    tasks: HashMap<TaskNumber, Entry>,
    lines: HashMap<LineKey, Line>,
    /// Tasks whose time has not come, or that nobody has looked at.
    scheduled: BTreeSet<Age>,
    /// First ones of lines that have to be looked at.
    ready: BTreeSet<Age>,
    /// First ones of lines that are no barrier yet.
    young: BTreeSet<Age>,
    barriers: Occupied,
    running: Occupied,
    /// The lines whose first one waits for a task.
    waiting_for: HashMap<TaskNumber, BTreeSet<LineKey>>,
    waiting_count: usize,
    running_count: usize,
}

impl TaskQueue {
    /// Nothing waits. A task that has waited for `starvation_ms` becomes a barrier.
    pub fn new(constraints: Arc<Constraints>, starvation_ms: i64) -> TaskQueue {
        let bands = constraints.bands();
        TaskQueue {
            constraints,
            starvation_ms: starvation_ms.max(0),
            names: Names::default(),
            tasks: HashMap::new(),
            lines: HashMap::new(),
            scheduled: BTreeSet::new(),
            ready: BTreeSet::new(),
            young: BTreeSet::new(),
            barriers: Occupied::new(bands),
            running: Occupied::new(bands),
            waiting_for: HashMap::new(),
            waiting_count: 0,
            running_count: 0,
        }
    }

    /// A task waits since `since`, which may be still to come.
    pub fn submit(&mut self, number: TaskNumber, task: TaskType, scope: &TaskScope, since: Timestamp) {
        if self.enter(number, task, scope, since, Place::Scheduled) {
            self.scheduled.insert((since, number));
            self.waiting_count += 1;
        }
    }

    /// A task that an earlier life has sent for processing.
    pub fn has_started(&mut self, number: TaskNumber, task: TaskType, scope: &TaskScope, since: Timestamp) {
        if self.enter(number, task, scope, since, Place::Running) {
            let Entry { band, scope, .. } = self.tasks[&number];
            self.running.put(band, scope, (since, number));
            self.running_count += 1;
        }
    }

    fn enter(&mut self, number: TaskNumber, task: TaskType, scope: &TaskScope, since: Timestamp, place: Place) -> bool {
        let entry = Entry { since, scope: self.names.key(scope), band: self.constraints.band(task), place };
        self.tasks.try_insert(number, entry).is_ok()
    }

    /// One pass: takes out what may start at `now`, oldest first, as long as fewer than `most` have not ended.
    pub fn assess(&mut self, now: Timestamp, most: usize) -> Vec<TaskNumber> {
        self.grow_old(now);
        let mut started = Vec::new();
        while self.running_count < most
            && let Some(age) = self.ready.pop_first()
        {
            let Some(&Entry { band, scope, .. }) = self.tasks.get(&age.1) else { continue };
            let key = (band, scope);
            let blocker = self.running.oldest(&self.constraints, band, scope).map(|((_, number), ..)| number);
            let older = || {
                let barrier = self.barriers.oldest(&self.constraints, band, scope);
                barrier.filter(|(barrier, ..)| *barrier < age).map(|((_, number), ..)| number)
            };
            if let Some(blocker) = blocker.or_else(older) {
                self.waiting_for.entry(blocker).or_default().insert(key);
                if let Some(line) = self.lines.get_mut(&key) {
                    line.waits_for = Some(blocker);
                }
                continue;
            }
            self.leave(age, key, now);
            if let Some(entry) = self.tasks.get_mut(&age.1) {
                entry.place = Place::Running;
            }
            self.running.put(band, scope, age);
            self.running_count += 1;
            started.push(age.1);
        }
        started
    }

    /// What comes with time alone: tasks whose time has come wait, first ones become barriers. Nothing starts.
    pub fn grow_old(&mut self, now: Timestamp) {
        while let Some(&age) = self.scheduled.first()
            && age.0 <= now
        {
            self.scheduled.pop_first();
            let Some(entry) = self.tasks.get_mut(&age.1) else { continue };
            entry.place = Place::Waiting;
            let key = (entry.band, entry.scope);
            let line = self.lines.entry(key).or_default();
            let first = line.waiting.first().copied();
            line.waiting.insert(age);
            if first.is_none_or(|first| age < first) {
                if let Some(first) = first {
                    self.no_longer_first(first, key);
                }
                self.is_first(age, key, now);
            }
        }
        while let Some(&age) = self.young.first()
            && self.is_barrier(age, now)
        {
            self.young.pop_first();
            if let Some(&Entry { band, scope, .. }) = self.tasks.get(&age.1) {
                self.barriers.put(band, scope, age);
            }
        }
    }

    fn is_barrier(&self, age: Age, now: Timestamp) -> bool {
        now.ms_since(age.0) > self.starvation_ms
    }

    fn is_first(&mut self, age: Age, (band, scope): LineKey, now: Timestamp) {
        if self.is_barrier(age, now) {
            self.barriers.put(band, scope, age);
        } else {
            self.young.insert(age);
        }
        self.look_again((band, scope));
    }

    fn no_longer_first(&mut self, age: Age, (band, scope): LineKey) {
        self.ready.remove(&age);
        if !self.young.remove(&age) {
            self.barriers.take(band, scope, age);
        }
    }

    /// The first one of a line has to be looked at.
    fn look_again(&mut self, key: LineKey) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        if let Some(blocker) = line.waits_for.take()
            && let Some(lines) = self.waiting_for.get_mut(&blocker)
        {
            lines.remove(&key);
            if lines.is_empty() {
                self.waiting_for.remove(&blocker);
            }
        }
        self.ready.extend(line.waiting.first());
    }

    /// Takes a waiting task out of its line.
    fn leave(&mut self, age: Age, key: LineKey, now: Timestamp) {
        self.waiting_count -= 1;
        let Some(line) = self.lines.get_mut(&key) else { return };
        let was_first = line.waiting.first() == Some(&age);
        line.waiting.remove(&age);
        let next = line.waiting.first().copied();
        if was_first {
            self.no_longer_first(age, key);
            self.look_again(key);
            match next {
                Some(next) => self.is_first(next, key, now),
                None => _ = self.lines.remove(&key),
            }
        }
    }

    /// Nobody waits for this task any more.
    fn is_gone(&mut self, number: TaskNumber) {
        for key in self.waiting_for.remove(&number).unwrap_or_default() {
            if let Some(line) = self.lines.get_mut(&key) {
                line.waits_for = None;
                self.ready.extend(line.waiting.first());
            }
        }
    }

    /// Takes back a task that waits; whether it waited.
    pub fn cancel(&mut self, number: TaskNumber, now: Timestamp) -> bool {
        let Some(&Entry { since, scope, band, place }) = self.tasks.get(&number) else { return false };
        match place {
            Place::Running => return false,
            Place::Scheduled => {
                self.scheduled.remove(&(since, number));
                self.waiting_count -= 1;
            }
            Place::Waiting => self.leave((since, number), (band, scope), now),
        }
        self.tasks.remove(&number);
        self.is_gone(number);
        true
    }

    /// A task that was started has ended; whether it was known as that.
    pub fn end(&mut self, number: TaskNumber) -> bool {
        let Some(&Entry { since, scope, band, place: Place::Running }) = self.tasks.get(&number) else { return false };
        self.tasks.remove(&number);
        self.running.take(band, scope, (since, number));
        self.running_count -= 1;
        self.is_gone(number);
        true
    }

    /// Since when a task waits, or waited before it was started.
    pub fn since(&self, number: TaskNumber) -> Option<Timestamp> {
        self.tasks.get(&number).map(|entry| entry.since)
    }

    /// Whether a task was started and has not ended.
    pub fn has_begun(&self, number: TaskNumber) -> bool {
        self.tasks.get(&number).is_some_and(|entry| entry.place == Place::Running)
    }

    /// Tasks that wait, those whose time has not come among them.
    pub fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// Tasks that were started and have not ended.
    pub fn running(&self) -> usize {
        self.running_count
    }

    /// When a pass is to be made although nothing happens; [`Timestamp::NEVER`] for not at all.
    pub fn next_due(&self) -> Timestamp {
        let scheduled = self.scheduled.first().map_or(Timestamp::NEVER, |age| age.0);
        // One that waits becomes a barrier a millisecond behind the limit.
        let old = self.young.first().map(|age| age.0.plus_ms(self.starvation_ms).plus_ms(1));
        scheduled.min(old.unwrap_or(Timestamp::NEVER))
    }

    /// Why a task does not run as of the last pass; `None` when it runs, has ended or is unknown.
    pub fn why(&self, number: TaskNumber) -> Option<Why> {
        let &Entry { since, scope, band, place } = self.tasks.get(&number)?;
        let rule = |(age, its_band, per): (Age, BandNumber, Per)| Rule { blocker: age.1, its_band, band, per };
        match place {
            Place::Running => return None,
            Place::Scheduled => return Some(Why::NotBefore(since)),
            Place::Waiting => {}
        }
        let age = (since, number);
        if let Some(running) = self.running.oldest(&self.constraints, band, scope) {
            return Some(Why::Running(rule(running)));
        }
        let barrier = self.barriers.oldest(&self.constraints, band, scope).filter(|(barrier, ..)| *barrier < age);
        if let Some(barrier) = barrier {
            return Some(Why::Barrier(rule(barrier)));
        }
        let first = self.lines.get(&(band, scope)).and_then(|line| line.waiting.first()).filter(|first| **first < age);
        let behind = first.zip(self.constraints.exclusion(band, band));
        Some(behind.map_or(Why::Nothing, |(first, per)| Why::Behind(rule((*first, band, per)))))
    }
}

#[cfg(test)]
mod tests;
