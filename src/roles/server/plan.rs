//! What is planned for one tenant: when its import, its reconcile and its export run.
//!
//! Import and reconcile take turns, so that neither starves the other. An export runs beside them: a ServiceNow that
//! does not answer must not stop the inventory.

use std::collections::BTreeMap;

use super::vocabulary::*;
use crate::id::TenantId;
use crate::model::tenant::TenantState;
use crate::roles::{IntentNumber, Sink};
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, Timestamp};

/// A task that failed is tried again after this, doubled each time up to [`TASK_AGAIN_MS_MAX`].
const TASK_AGAIN_MS: i64 = 10 * SECOND_MS;
/// See [`TASK_AGAIN_MS`].
const TASK_AGAIN_MS_MAX: i64 = 30 * MINUTE_MS;
/// An import on arrival waits for loads under way, but no longer than this.
const ARRIVAL_WAIT_MS: i64 = 5 * SECOND_MS;
/// A reconcile waits so long for further tables of licences: they mostly come one after the other.
const TERMS_WAIT_MS: i64 = 10 * SECOND_MS;
/// Nor longer than this, however many come.
const TERMS_WAIT_MS_MAX: i64 = 2 * MINUTE_MS;
/// A start is followed by a reconcile, because its files may have been edited.
const RECONCILE_AT_START_MS: i64 = 2 * SECOND_MS;

#[derive(Clone, Copy, Debug)]
struct Running {
    task: Task,
    intent: IntentNumber,
    /// Since when its schedule wanted it.
    wanted: Option<Timestamp>,
}

/// What all plans have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// Whether to import as soon as something was loaded.
    pub on_arrival: bool,
    /// Whether packages are being loaded, or will be.
    pub is_loading: bool,
    /// When imports are due by their schedule.
    pub scheduled: Timestamp,
    /// A time that is over.
    pub started: Timestamp,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub(super) struct TenantPlan {
    state: TenantState,
    /// Whether there is somewhere to export to.
    exports: bool,
    /// What runs, by lane.
    running: [Option<Running>; 2],
    /// The last task of the first lane: the other one goes first the next time.
    last: Task,
    /// Failures in a row and when to try again, by task.
    again: BTreeMap<Task, (u32, Timestamp)>,
    /// Tasks that their schedule wants, and since when.
    wanted: BTreeMap<Task, Timestamp>,
    /// When to reconcile although nothing changed.
    reconcile_again: Timestamp,
    /// Since when something staged waits for an import on arrival, be it of everything or of third-party inventory.
    staged_since: Option<Timestamp>,
    /// When the tables of licences were changed first since the last reconcile, and when last.
    terms_since: [Timestamp; 2],
}

impl TenantPlan {
    /// The plan of a tenant with these counters, as of `now`.
    pub fn new(mut state: TenantState, exports: bool, now: Timestamp) -> TenantPlan {
        // A clock that was ahead once must not put off the next import for ever.
        state.last_import = state.last_import.map(|last| last.min(now));
        TenantPlan {
            staged_since: (state.staged > state.imported).then_some(now),
            state,
            exports,
            terms_since: [now; 2],
            running: [None; 2],
            last: Task::Reconcile,
            again: BTreeMap::new(),
            wanted: BTreeMap::new(),
            reconcile_again: now.plus_ms(RECONCILE_AT_START_MS),
        }
    }

    /// The tasks under way.
    pub fn running(&self) -> impl Iterator<Item = Task> {
        self.running.iter().flatten().map(|running| running.task)
    }

    /// What waits for the next import, and when that is due.
    pub fn import_plan(&self, common: &Common) -> ImportPlan {
        let due = self.due(Task::Import, common);
        ImportPlan {
            waiting: self.state.staged.saturating_sub(self.state.imported),
            due: (due != Timestamp::NEVER).then_some(due),
        }
    }

    /// When `task` is to run; `NEVER` when there is nothing for it to do.
    pub fn due(&self, task: Task, common: &Common) -> Timestamp {
        let wanted = match task {
            Task::Import => self.import_due(common),
            Task::Reconcile if self.state.devices > self.state.reconciled => common.started,
            Task::Reconcile if self.state.terms > self.state.terms_reconciled => {
                let [first, last] = self.terms_since;
                let daily = if self.state.devices > 0 { self.reconcile_again } else { Timestamp::NEVER };
                last.plus_ms(TERMS_WAIT_MS).min(first.plus_ms(TERMS_WAIT_MS_MAX)).min(daily)
            }
            // Licences and rules are edited, and entitlements expire, although no device changes.
            Task::Reconcile if self.state.devices > 0 => self.reconcile_again,
            Task::Export if !self.exports => Timestamp::NEVER,
            Task::Export if self.wanted.contains_key(&Task::Export) => common.started,
            Task::Export if common.on_arrival && self.state.devices > self.state.exported => common.started,
            Task::Reconcile | Task::Export => Timestamp::NEVER,
        };
        match self.again.get(&task) {
            Some((_, again)) if wanted != Timestamp::NEVER => wanted.max(*again),
            _ => wanted,
        }
    }

    fn import_due(&self, common: &Common) -> Timestamp {
        if self.wanted.contains_key(&Task::Import) {
            return common.started;
        }
        let is_wanted_now = common.on_arrival || self.state.has_third_party();
        match self.state.last_import {
            _ if self.state.staged == self.state.imported => Timestamp::NEVER,
            Some(_) if !is_wanted_now => common.scheduled,
            // Nor are the first devices kept waiting for a day.
            _ => {
                let since = self.staged_since.unwrap_or(common.started);
                if common.is_loading { since.plus_ms(ARRIVAL_WAIT_MS) } else { since }
            }
        }
    }

    /// The schedule of `task` wants it since `at`.
    pub fn want(&mut self, task: Task, at: Timestamp) {
        if task != Task::Export || self.exports {
            self.wanted.insert(task, at);
        }
    }

    /// Begins what is due.
    pub fn run(&mut self, now: Timestamp, tenant: &TenantId, common: &Common, out: &mut impl Sink<ServerIntent>) {
        let order = match self.last {
            Task::Import => [Task::Reconcile, Task::Import, Task::Export],
            Task::Reconcile | Task::Export => Task::ALL,
        };
        for task in order {
            let is_free = self.running[task.lane()].is_none();
            if !is_free || self.due(task, common) > now || self.waits_for_reconcile(task, now, common) {
                continue;
            }
            let wanted = self.wanted.remove(&task);
            let intent = out.intend(ServerIntent::Run(tenant.clone(), task, wanted));
            self.running[task.lane()] = Some(Running { task, intent, wanted });
            if task != Task::Export {
                self.last = task;
            }
            if task == Task::Import {
                self.staged_since = None;
            }
        }
    }

    fn is_reconciling(&self) -> bool {
        self.running[0].is_some_and(|running| running.task == Task::Reconcile)
    }

    /// An export goes behind the reconcile of the same devices, but is not kept by one that fails.
    fn waits_for_reconcile(&self, task: Task, now: Timestamp, common: &Common) -> bool {
        task == Task::Export && (self.is_reconciling() || self.due(Task::Reconcile, common) <= now)
    }

    /// When something is due; `seen` is the latest time that was told.
    pub fn next_due(&self, common: &Common, seen: Timestamp) -> Timestamp {
        let due = |task: Task| match task {
            _ if self.running[task.lane()].is_some() => Timestamp::NEVER,
            // It is looked at again when the reconcile has ended, or has failed and waits.
            Task::Export if self.waits_for_reconcile(task, seen, common) => Timestamp::NEVER,
            task => self.due(task, common),
        };
        Task::ALL.into_iter().map(due).min().unwrap_or(Timestamp::NEVER)
    }

    /// Notes the counters as they were told.
    pub fn note(&mut self, now: Timestamp, state: TenantState, on_arrival: bool) {
        let had_third_party = self.state.has_third_party();
        if state.terms > self.state.terms {
            let is_first = self.state.terms <= self.state.terms_reconciled.max(state.terms_reconciled);
            self.terms_since = [if is_first { now } else { self.terms_since[0] }, now];
            // What failed may have been mended by this.
            self.again.remove(&Task::Reconcile);
        }
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
            terms: self.state.terms.max(state.terms),
            terms_reconciled: self.state.terms_reconciled.max(state.terms_reconciled),
            // These may go down, too; nothing here depends on them.
            business_files: state.business_files,
            imported_through: state.imported_through,
            import_rules: state.import_rules,
            imports: state.imports,
        };
        // What agents reported may have waited for hours: the import is wanted only since now, and waits for the loads of
        // other files that came with this one.
        let is_first = self.state.has_third_party() && !had_third_party && !on_arrival;
        self.staged_since = match self.state.staged > self.state.imported {
            true => self.staged_since.filter(|_| !is_first).or(Some(now)),
            false => None,
        };
    }

    /// The task of `intent` has ended, `None` when it failed. Says whether it was one of this tenant's.
    pub fn ended(
        &mut self,
        now: Timestamp,
        intent: IntentNumber,
        state: &mut Option<TenantState>,
        on_arrival: bool,
    ) -> bool {
        let ended = self.running.iter_mut().find_map(|lane| lane.take_if(|running| running.intent == intent));
        let Some(running) = ended else { return false };
        match state.take() {
            Some(state) => {
                self.again.remove(&running.task);
                if running.task == Task::Reconcile {
                    self.reconcile_again = now.plus_ms(DAY_MS);
                }
                self.note(now, state, on_arrival);
            }
            None => {
                let failures = self.again.get(&running.task).map_or(0, |(failures, _)| *failures).min(20);
                let wait = TASK_AGAIN_MS.saturating_mul(1 << failures).min(TASK_AGAIN_MS_MAX);
                self.again.insert(running.task, (failures + 1, now.plus_ms(wait)));
                self.wanted.extend(running.wanted.map(|at| (running.task, at)));
            }
        }
        true
    }

    /// A clock that was set back by `step` milliseconds takes the plan with it.
    pub fn step_back(&mut self, step: i64, now: Timestamp) {
        let back = |at: Timestamp| at.plus_ms(-step);
        self.again.values_mut().for_each(|(_, again)| *again = back(*again));
        self.staged_since = self.staged_since.map(back);
        self.state.last_import = self.state.last_import.map(|last| last.min(now));
        self.reconcile_again = back(self.reconcile_again);
        self.terms_since = self.terms_since.map(back);
    }
}
