//! The server's core: a queue of held packages, and three tasks.
//!
//! Import and reconcile take turns, so that neither starves the other. An export runs beside them: a ServiceNow that
//! does not answer must not stop the inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::vocabulary::*;
use crate::model::task::TaskType;
use crate::model::tenant::TenantState;
use crate::rng::RngStream;
use crate::roles::{Core, IntentNumber, Sink};
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::backoff::CLOCK_STEP_MS;

/// Packages that are loaded, and committed, together.
pub const BATCH_MAX: usize = 32;
/// A load that failed for the world's sake is tried again after this.
const LOAD_AGAIN_MS: i64 = SECOND_MS;
/// A task that failed is tried again after this, doubled each time up to [`TASK_AGAIN_MS_MAX`].
const TASK_AGAIN_MS: i64 = 10 * SECOND_MS;
/// See [`TASK_AGAIN_MS`].
const TASK_AGAIN_MS_MAX: i64 = 30 * MINUTE_MS;
/// An import on arrival waits for loads under way, but no longer than this.
const ARRIVAL_WAIT_MS: i64 = 5 * SECOND_MS;
/// A start is followed by a reconcile, because its files may have been edited.
const RECONCILE_AT_START_MS: i64 = 2 * SECOND_MS;
/// Old bodies are let go, and packages that nobody could read are looked at again, this often.
const SWEEP_EVERY_MS: i64 = DAY_MS;
/// Beacons report every minute; a policy that has to change for one of them is made within as much again.
const POLICY_EVERY_MS: i64 = MINUTE_MS;
/// Gaps are looked at this often, or as soon as one can have become missing: agents that poll meanwhile are told.
const GAPS_EVERY_MS: i64 = MINUTE_MS;
/// No sooner than this after the last look, whatever beacons report.
const POLICY_APART_MS: i64 = 10 * SECOND_MS;

#[derive(Clone, Copy, Debug)]
struct Running {
    task: Task,
    intent: IntentNumber,
    /// Since when its schedule wanted it.
    wanted: Option<Timestamp>,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct ServerCore {
    settings: Arc<ServerSettings>,
    queue: BTreeSet<PackageNumber>,
    loading: BTreeMap<IntentNumber, Vec<PackageNumber>>,
    /// Packages whose load failed, and when they are queued again.
    failed: BTreeMap<(Timestamp, PackageNumber), ()>,
    /// Held without a reader.
    unread: BTreeSet<PackageNumber>,
    state: TenantState,
    /// What runs, by lane.
    running: [Option<Running>; 2],
    /// The last task of the first lane: the other one goes first the next time.
    last: Task,
    /// Failures in a row and when to try again, by task.
    again: BTreeMap<Task, (u32, Timestamp)>,
    /// When each schedule is due next, in the order of the settings.
    triggers: Vec<(TaskType, Timestamp)>,
    /// Tasks that their schedule wants, and since when.
    wanted: BTreeMap<Task, Timestamp>,
    /// When to reconcile although nothing changed.
    reconcile_again: Timestamp,
    /// Since when something staged waits for an import on arrival, be it of everything or of third-party inventory.
    staged_since: Option<Timestamp>,
    sweep_due: Timestamp,
    policy_due: Timestamp,
    gaps_due: Timestamp,
    started: Timestamp,
    /// The latest time it was told, to notice a clock that steps back.
    seen: Timestamp,
}

impl ServerCore {
    /// Packages that have no final state yet.
    pub fn unsettled(&self) -> usize {
        self.queue.len() + self.loading.values().map(Vec::len).sum::<usize>() + self.failed.len() + self.unread.len()
    }

    /// Packages that are to be loaded, or are being loaded.
    pub fn to_load(&self) -> usize {
        self.unsettled() - self.unread.len()
    }

    /// The tasks under way.
    pub fn running(&self) -> impl Iterator<Item = Task> {
        self.running.iter().flatten().map(|running| running.task)
    }

    /// What waits for the next import, and when that is due.
    pub fn import_plan(&self) -> ImportPlan {
        let due = self.due(Task::Import);
        ImportPlan {
            waiting: self.state.staged.saturating_sub(self.state.imported),
            due: (due != Timestamp::NEVER).then_some(due),
        }
    }

    /// When `task` is to run; `NEVER` when there is nothing for it to do.
    pub(super) fn due(&self, task: Task) -> Timestamp {
        let wanted = match task {
            Task::Import => self.import_due(),
            Task::Reconcile if self.state.devices > self.state.reconciled => self.started,
            // Licences and rules are edited, and entitlements expire, although no device changes.
            Task::Reconcile if self.state.devices > 0 => self.reconcile_again,
            Task::Export if !self.settings.exports => Timestamp::NEVER,
            Task::Export if self.wanted.contains_key(&Task::Export) => self.started,
            Task::Export if self.settings.import_on_arrival && self.state.devices > self.state.exported => self.started,
            Task::Reconcile | Task::Export => Timestamp::NEVER,
        };
        match self.again.get(&task) {
            Some((_, again)) if wanted != Timestamp::NEVER => wanted.max(*again),
            _ => wanted,
        }
    }

    /// When the schedule of `task` is due next.
    fn trigger_due(&self, task: TaskType) -> Timestamp {
        self.triggers.iter().filter(|(of, _)| *of == task).map(|(_, due)| *due).min().unwrap_or(Timestamp::NEVER)
    }

    /// Submits what is due by its schedule.
    fn trigger(&mut self, now: Timestamp, out: &mut impl Sink<ServerIntent>) {
        let settings = self.settings.clone();
        for ((task, due), (_, trigger)) in self.triggers.iter_mut().zip(&settings.schedules) {
            if *due > now {
                continue;
            }
            let at = std::mem::replace(due, trigger.next_after(now, &settings.zone));
            match task {
                // These two are followed to their ends.
                TaskType::InventoryImport => _ = self.wanted.insert(Task::Import, at),
                TaskType::ServiceNowExport if settings.exports => _ = self.wanted.insert(Task::Export, at),
                TaskType::ServiceNowExport => {}
                task => _ = out.intend(ServerIntent::Submit(*task, at)),
            }
        }
    }

    fn import_due(&self) -> Timestamp {
        if self.wanted.contains_key(&Task::Import) {
            return self.started;
        }
        let is_wanted_now = self.settings.import_on_arrival || self.state.has_third_party();
        match self.state.last_import {
            _ if self.state.staged == self.state.imported => Timestamp::NEVER,
            Some(_) if !is_wanted_now => self.trigger_due(TaskType::InventoryImport),
            // Nor are the first devices kept waiting for a day.
            _ => {
                let since = self.staged_since.unwrap_or(self.started);
                if self.queue.is_empty() && self.loading.is_empty() { since } else { since.plus_ms(ARRIVAL_WAIT_MS) }
            }
        }
    }

    fn load(&mut self, out: &mut impl Sink<ServerIntent>) {
        while self.loading.len() < self.settings.loaders && !self.queue.is_empty() {
            let batch: Vec<PackageNumber> = std::iter::from_fn(|| self.queue.pop_first()).take(BATCH_MAX).collect();
            let intent = out.intend(ServerIntent::Load(batch.clone()));
            self.loading.insert(intent, batch);
        }
    }

    fn run(&mut self, now: Timestamp, out: &mut impl Sink<ServerIntent>) {
        let order = match self.last {
            Task::Import => [Task::Reconcile, Task::Import, Task::Export],
            Task::Reconcile | Task::Export => Task::ALL,
        };
        for task in order {
            if self.running[task.lane()].is_some() || self.due(task) > now || self.waits_for_reconcile(task, now) {
                continue;
            }
            let wanted = self.wanted.remove(&task);
            let intent = out.intend(ServerIntent::Run(task, wanted));
            self.running[task.lane()] = Some(Running { task, intent, wanted });
            if task != Task::Export {
                self.last = task;
            }
            if task == Task::Import {
                self.staged_since = None;
            }
        }
    }

    /// An export goes behind the reconcile of the same devices, but is not kept by one that fails.
    fn waits_for_reconcile(&self, task: Task, now: Timestamp) -> bool {
        let is_running = self.running[0].is_some_and(|running| running.task == Task::Reconcile);
        task == Task::Export && (is_running || self.due(Task::Reconcile) <= now)
    }

    fn note(&mut self, now: Timestamp, state: TenantState) {
        let had_third_party = self.state.has_third_party();
        // Answers may overtake each other, and counters only grow.
        self.state = TenantState {
            next_record: self.state.next_record.max(state.next_record),
            next_device: self.state.next_device.max(state.next_device),
            staged: self.state.staged.max(state.staged),
            imported: self.state.imported.max(state.imported),
            devices: self.state.devices.max(state.devices),
            reconciled: self.state.reconciled.max(state.reconciled),
            exported: self.state.exported.max(state.exported),
            // A clock that was ahead once must not put off the next import for ever.
            last_import: self.state.last_import.max(state.last_import).map(|last| last.min(now)),
            last_change: self.state.last_change.max(state.last_change),
            third_party: self.state.third_party.max(state.third_party),
            // These may go down, too; nothing here depends on them.
            business_files: state.business_files,
            imported_through: state.imported_through,
            import_rules: state.import_rules,
            imports: state.imports,
        };
        // What agents reported may have waited for hours: the import is wanted only since now, and waits for the loads of
        // other files that came with this one.
        let is_first = self.state.has_third_party() && !had_third_party && !self.settings.import_on_arrival;
        self.staged_since = match self.state.staged > self.state.imported {
            true => self.staged_since.filter(|_| !is_first).or(Some(now)),
            false => None,
        };
    }

    /// A clock that was set back takes the plan with it, so that nothing waits for a time that is far away again.
    fn follow_clock(&mut self, now: Timestamp) {
        let step = self.seen.ms_since(now);
        self.seen = self.seen.max(now);
        if step <= CLOCK_STEP_MS {
            return;
        }
        self.seen = now;
        let back = |at: Timestamp| at.plus_ms(-step);
        self.failed = self.failed.keys().map(|&(due, package)| ((back(due), package), ())).collect();
        self.again.values_mut().for_each(|(_, again)| *again = back(*again));
        self.staged_since = self.staged_since.map(back);
        self.state.last_import = self.state.last_import.map(|last| last.min(now));
        (self.sweep_due, self.started) = (back(self.sweep_due), back(self.started));
        (self.policy_due, self.gaps_due) = (back(self.policy_due), back(self.gaps_due));
        self.reconcile_again = back(self.reconcile_again);
        // Times of day stay what they are by the clock.
        for ((_, due), (_, trigger)) in self.triggers.iter_mut().zip(&self.settings.schedules) {
            *due = (*due).min(trigger.next_after(now, &self.settings.zone));
        }
    }

    fn advance(&mut self, now: Timestamp, out: &mut impl Sink<ServerIntent>) {
        while let Some((&(due, package), ())) = self.failed.first_key_value()
            && due <= now
        {
            self.failed.pop_first();
            self.queue.insert(package);
        }
        if self.policy_due <= now {
            self.policy_due = now.plus_ms(POLICY_EVERY_MS);
            out.intend(ServerIntent::RenewPolicy);
        }
        if self.gaps_due <= now {
            self.gaps_due = now.plus_ms(self.settings.missing_after_ms.clamp(SECOND_MS, GAPS_EVERY_MS));
            out.intend(ServerIntent::LookAtGaps);
        }
        if self.sweep_due <= now {
            self.sweep_due = now.plus_ms(SWEEP_EVERY_MS);
            // One that has become too old is expired by its load.
            self.queue.append(&mut self.unread);
            out.intend(ServerIntent::Sweep);
        }
        self.trigger(now, out);
        self.load(out);
        self.run(now, out);
    }
}

impl Core for ServerCore {
    type Durable = ServerDurable;
    type Input = ServerInput;
    type Intent = ServerIntent;

    fn recover(durable: ServerDurable, mut rng: RngStream, now: Timestamp) -> ServerCore {
        let ServerDurable { settings, waiting, mut state, submitted } = durable;
        // A clock that was ahead once must not put off the next import for ever.
        state.last_import = state.last_import.map(|last| last.min(now));
        let staged_since = (state.staged > state.imported).then_some(now);
        // What was missed is made up for: once, because only the first time behind the last one is due.
        let triggers = settings.schedules.iter().map(|(task, trigger)| {
            let last = submitted.get(task).copied();
            let last = if *task == TaskType::InventoryImport { last.max(state.last_import) } else { last };
            (*task, trigger.next_after(last.unwrap_or(now).min(now), &settings.zone))
        });
        let triggers = triggers.collect();
        ServerCore {
            settings,
            queue: waiting.into_iter().collect(),
            loading: BTreeMap::new(),
            failed: BTreeMap::new(),
            unread: BTreeSet::new(),
            state,
            running: [None; 2],
            last: Task::Reconcile,
            again: BTreeMap::new(),
            triggers,
            wanted: BTreeMap::new(),
            reconcile_again: now.plus_ms(RECONCILE_AT_START_MS),
            staged_since,
            // Servers that start together do not sweep together.
            sweep_due: now.plus_ms(MINUTE_MS + rng.below(60 * MINUTE_MS)),
            policy_due: now,
            gaps_due: now,
            started: now,
            seen: now,
        }
    }

    fn next_due(&self) -> Timestamp {
        if !self.queue.is_empty() && self.loading.len() < self.settings.loaders {
            return self.started;
        }
        let failed = self.failed.first_key_value().map_or(Timestamp::NEVER, |((due, _), ())| *due);
        let is_reconciling = self.running[0].is_some_and(|running| running.task == Task::Reconcile);
        let due = |task: Task| match task {
            _ if self.running[task.lane()].is_some() => Timestamp::NEVER,
            // It is looked at again when the reconcile has ended, or has failed and waits.
            Task::Export if is_reconciling || self.due(Task::Reconcile) <= self.seen => Timestamp::NEVER,
            task => self.due(task),
        };
        let task = Task::ALL.into_iter().map(due).min().unwrap_or(Timestamp::NEVER);
        let trigger = self.triggers.iter().map(|(_, due)| *due).min().unwrap_or(Timestamp::NEVER);
        failed.min(task).min(trigger).min(self.sweep_due).min(self.policy_due).min(self.gaps_due)
    }

    fn fingerprint(&self) -> u64 {
        // Its one draw says when it sweeps.
        self.sweep_due.0 as u64
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<ServerIntent>) {
        self.follow_clock(now);
        self.advance(now, out);
    }

    fn on(&mut self, now: Timestamp, input: ServerInput, out: &mut impl Sink<ServerIntent>) {
        self.follow_clock(now);
        match input {
            ServerInput::Arrived(packages) => self.queue.extend(packages),
            ServerInput::Loaded { intent, packages, state } => {
                let Some(batch) = self.loading.remove(&intent) else { return };
                let outcomes: BTreeMap<PackageNumber, LoadOutcome> =
                    packages.into_iter().map(|loaded| (loaded.package, loaded.outcome)).collect();
                for package in batch {
                    match outcomes.get(&package) {
                        Some(LoadOutcome::Settled) => {}
                        Some(LoadOutcome::NoReader) => drop(self.unread.insert(package)),
                        Some(LoadOutcome::Failed) | None => {
                            self.failed.insert((now.plus_ms(LOAD_AGAIN_MS), package), ());
                        }
                    }
                }
                if let Some(state) = state {
                    self.note(now, state);
                }
            }
            ServerInput::Ended { intent, state } => {
                let ended = self.running.iter_mut().find_map(|lane| lane.take_if(|running| running.intent == intent));
                let Some(running) = ended else { return };
                match state {
                    Some(state) => {
                        self.again.remove(&running.task);
                        if running.task == Task::Reconcile {
                            self.reconcile_again = now.plus_ms(DAY_MS);
                        }
                        self.note(now, state);
                    }
                    None => {
                        let failures = self.again.get(&running.task).map_or(0, |(failures, _)| *failures).min(20);
                        let wait = TASK_AGAIN_MS.saturating_mul(1 << failures).min(TASK_AGAIN_MS_MAX);
                        self.again.insert(running.task, (failures + 1, now.plus_ms(wait)));
                        self.wanted.extend(running.wanted.map(|at| (running.task, at)));
                    }
                }
            }
            // Ten seconds after the last look at the soonest: one that flaps must not make a policy each time.
            ServerInput::BeaconsChanged => {
                let soonest = self.policy_due.plus_ms(POLICY_APART_MS - POLICY_EVERY_MS);
                self.policy_due = self.policy_due.min(soonest.max(now));
            }
            ServerInput::DevicesChanged(state) => self.note(now, state),
            ServerInput::NotSubmitted(task) => {
                for (_, due) in self.triggers.iter_mut().filter(|(of, _)| *of == task) {
                    *due = (*due).min(now.plus_ms(MINUTE_MS));
                }
            }
            ServerInput::Done => {}
        }
        self.advance(now, out);
    }
}
