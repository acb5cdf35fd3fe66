//! The server's core: a queue of held packages, and a plan for each tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::plan::{Common, TenantPlan};
use super::vocabulary::*;
use crate::id::TenantId;
use crate::model::task::{ScopeKind, TaskType, Trigger};
use crate::model::tenant::TenantState;
use crate::rng::RngStream;
use crate::roles::{Core, IntentNumber, Sink};
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::backoff::CLOCK_STEP_MS;

/// Packages that are loaded, and committed, together.
pub const BATCH_MAX: usize = 32;
/// A load that failed for the world's sake is tried again after this.
const LOAD_AGAIN_MS: i64 = SECOND_MS;
/// Old bodies are let go, and packages that nobody could read are looked at again, this often.
const SWEEP_EVERY_MS: i64 = DAY_MS;
/// Beacons report every minute; a policy that has to change for one of them is made within as much again.
const POLICY_EVERY_MS: i64 = MINUTE_MS;
/// Gaps are looked at this often, or as soon as one can have become missing: agents that poll meanwhile are told.
const GAPS_EVERY_MS: i64 = MINUTE_MS;
/// No sooner than this after the last look, whatever beacons report.
const POLICY_APART_MS: i64 = 10 * SECOND_MS;

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
    plans: BTreeMap<TenantId, TenantPlan>,
    /// The schedules, and when each is due next.
    triggers: Vec<(TaskType, Trigger, Timestamp)>,
    /// What was not taken by the scheduler: when it is submitted again, and the time of its schedule.
    resubmit: BTreeMap<(TaskType, Option<TenantId>), (Timestamp, Timestamp)>,
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

    /// The tasks under way of a tenant.
    pub fn running(&self, tenant: &TenantId) -> impl Iterator<Item = Task> {
        self.plans.get(tenant).into_iter().flat_map(TenantPlan::running)
    }

    /// What waits for the next import of each tenant, and when that is due; ascending.
    pub fn import_plans(&self) -> impl Iterator<Item = (&TenantId, ImportPlan)> {
        let common = self.common();
        self.plans.iter().map(move |(tenant, plan)| (tenant, plan.import_plan(&common)))
    }

    fn common(&self) -> Common {
        Common {
            on_arrival: self.settings.import_on_arrival,
            is_loading: !self.queue.is_empty() || !self.loading.is_empty(),
            scheduled: self.trigger_due(TaskType::InventoryImport),
            started: self.started,
        }
    }

    /// When the schedule of `task` is due next.
    fn trigger_due(&self, task: TaskType) -> Timestamp {
        self.triggers.iter().filter(|(of, ..)| *of == task).map(|(.., due)| *due).min().unwrap_or(Timestamp::NEVER)
    }

    /// Submits what is due by its schedule.
    fn trigger(&mut self, now: Timestamp, out: &mut impl Sink<ServerIntent>) {
        let settings = self.settings.clone();
        let due_again = self.resubmit.extract_if(.., |_, (due, _)| *due <= now);
        for ((task, tenant), (_, at)) in due_again {
            out.intend(ServerIntent::Submit(tenant, task, at));
        }
        for (task, trigger, due) in &mut self.triggers {
            if *due > now {
                continue;
            }
            let at = std::mem::replace(due, trigger.next_after(now, &settings.zone));
            match task {
                // These two are followed to their ends.
                TaskType::InventoryImport => self.plans.values_mut().for_each(|plan| plan.want(Task::Import, at)),
                TaskType::ServiceNowExport => self.plans.values_mut().for_each(|plan| plan.want(Task::Export, at)),
                task if task.scope() == ScopeKind::System => _ = out.intend(ServerIntent::Submit(None, *task, at)),
                task => {
                    for tenant in self.plans.keys() {
                        out.intend(ServerIntent::Submit(Some(tenant.clone()), *task, at));
                    }
                }
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
        let common = self.common();
        self.plans.iter_mut().for_each(|(tenant, plan)| plan.run(now, tenant, &common, out));
    }

    fn note(&mut self, now: Timestamp, tenant: TenantId, state: TenantState) {
        let settings = &self.settings;
        match self.plans.get_mut(&tenant) {
            Some(plan) => plan.note(now, state, settings.import_on_arrival),
            None => {
                let exports = settings.exports.contains(&tenant);
                self.plans.insert(tenant, TenantPlan::new(state, exports, now));
            }
        }
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
        self.resubmit.values_mut().for_each(|(due, _)| *due = back(*due));
        self.plans.values_mut().for_each(|plan| plan.step_back(step, now));
        (self.sweep_due, self.started) = (back(self.sweep_due), back(self.started));
        (self.policy_due, self.gaps_due) = (back(self.policy_due), back(self.gaps_due));
        // Times of day stay what they are by the clock.
        for (_, trigger, due) in &mut self.triggers {
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
        let ServerDurable { settings, waiting, states, submitted } = durable;
        // An import counts from when every tenant had one.
        let imported = states.values().map(|state| state.last_import.map(|last| last.min(now))).min().flatten();
        let mut plans: BTreeMap<TenantId, TenantPlan> = states
            .into_iter()
            .map(|(tenant, state)| {
                let exports = settings.exports.contains(&tenant);
                (tenant, TenantPlan::new(state, exports, now))
            })
            .collect();
        let last_of = |task: TaskType| submitted.iter().filter(|((of, _), _)| *of == task).map(|(_, at)| *at).max();
        // A crash may have come between the tasks of two tenants.
        let mut resubmit = BTreeMap::new();
        for (task, _) in settings.schedules.iter().filter(|(task, _)| task.scope() != ScopeKind::System) {
            let Some(at) = last_of(*task).filter(|at| *at <= now) else { continue };
            for (tenant, plan) in &mut plans {
                let own = submitted.get(&(*task, Some(tenant.clone())));
                match task {
                    _ if own.is_none_or(|own| *own >= at) => {}
                    TaskType::InventoryImport => plan.want(Task::Import, at),
                    TaskType::ServiceNowExport => plan.want(Task::Export, at),
                    task => _ = resubmit.insert((*task, Some(tenant.clone())), (now, at)),
                }
            }
        }
        // What was missed is made up for: once, because only the first time behind the last one is due.
        let triggers = settings.schedules.iter().map(|(task, trigger)| {
            let last = last_of(*task);
            let last = if *task == TaskType::InventoryImport { last.max(imported) } else { last };
            (*task, *trigger, trigger.next_after(last.unwrap_or(now).min(now), &settings.zone))
        });
        let triggers = triggers.collect();
        ServerCore {
            settings,
            queue: waiting.into_iter().collect(),
            loading: BTreeMap::new(),
            failed: BTreeMap::new(),
            unread: BTreeSet::new(),
            plans,
            triggers,
            resubmit,
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
        let common = self.common();
        let planned = self.plans.values().map(|plan| plan.next_due(&common, self.seen)).min();
        let trigger = self.triggers.iter().map(|(.., due)| *due).min();
        let again = self.resubmit.values().map(|(due, _)| *due).min();
        let tasks = [planned, trigger, again].into_iter().flatten().min().unwrap_or(Timestamp::NEVER);
        failed.min(tasks).min(self.sweep_due).min(self.policy_due).min(self.gaps_due)
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
            ServerInput::Loaded { intent, packages, states } => {
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
                states.into_iter().for_each(|(tenant, state)| self.note(now, tenant, state));
            }
            ServerInput::Ended { intent, mut state } => {
                let on_arrival = self.settings.import_on_arrival;
                let mut plans = self.plans.values_mut();
                if !plans.any(|plan| plan.ended(now, intent, &mut state, on_arrival)) {
                    return;
                }
            }
            // Ten seconds after the last look at the soonest: one that flaps must not make a policy each time.
            ServerInput::BeaconsChanged => {
                let soonest = self.policy_due.plus_ms(POLICY_APART_MS - POLICY_EVERY_MS);
                self.policy_due = self.policy_due.min(soonest.max(now));
            }
            ServerInput::Counted(tenant, state) => self.note(now, tenant, state),
            // One that stays as it is stays due when it is; a new one has no past that is made up for.
            ServerInput::SchedulesChanged(schedules) => {
                let before = std::mem::take(&mut self.triggers);
                let due = |(task, trigger): (TaskType, Trigger)| {
                    let same = before.iter().find(|(of, known, _)| (*of, *known) == (task, trigger));
                    let due = same.map_or_else(|| trigger.next_after(now, &self.settings.zone), |(.., due)| *due);
                    (task, trigger, due)
                };
                self.triggers = schedules.into_iter().map(due).collect();
            }
            ServerInput::NotSubmitted(tenant, task, at) => {
                self.resubmit.insert((task, tenant), (now.plus_ms(MINUTE_MS), at));
            }
            ServerInput::Done => {}
        }
        self.advance(now, out);
    }
}
