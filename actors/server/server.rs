//! The server's actor: its core in the frame of every role, and the hands that do what it wants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use muster::id::TenantId;
use muster::model::task::{GroupName, Parameters, TaskOrigin, TaskScope, TaskType, Trigger};
use muster::model::tenant::TenantState;
use muster::rng::{RngStream, mix};
use muster::roles::batch::{NewTask, SchedulerAnswer};
use muster::roles::server::{
    ImportPlan, PackageNumber, ServerCore, ServerDurable, ServerInput, ServerIntent, ServerSettings, Task,
};
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;
use tracing::{error, info, warn};

use super::batch::{AskScheduler, BatchOverview, BatchScheduler, submit_and_wait};
use super::books::Books;
use super::counters::tenant_state;
use super::gaps::GapKeeper;
use super::loader::{Load, Loader};
use super::overdue::Overdue;
use super::policy::PolicyKeeper;
use super::schedules::ScheduleKeeper;
use super::sweep::{Swept, sweep};
use super::to_load::ToLoad;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::hierarchy::Statuses;
use crate::intake::PackagesArrived;
use crate::log::Handle as PackageHandle;
use crate::node::{Logs, Unsettled};
use crate::role::{Hands, Role, SLEEP_MAX, when_done};
use crate::supervision::{DeathWatch, Directory};

/// Packages that are taken out of the index in one turn.
const PULL_MAX: usize = 1_000;

/// What the actor needs of the world.
#[derive(Clone)]
pub struct ServerWorld {
    /// What beacons report.
    pub statuses: Arc<Statuses>,
    /// Its logs.
    pub logs: Logs,
    /// Facts and their view.
    pub books: Books,
    /// The present.
    pub clock: SharedClock,
    /// What it is set to.
    pub settings: Arc<ServerSettings>,
    /// When tasks are submitted by themselves.
    pub schedules: ScheduleKeeper,
    /// What agents and beacons are told.
    pub policy: PolicyKeeper,
    /// What was acknowledged and is not settled.
    pub gaps: GapKeeper,
    /// Reads packages and settles them.
    pub loader: Directory<Loader>,
    /// Takes import, reconcile and export as batch tasks.
    pub scheduler: Directory<BatchScheduler>,
    /// When those of schedules were submitted last.
    pub overview: Arc<Mutex<BatchOverview>>,
    /// Packages without a final state, for the page and metrics.
    pub unsettled: Arc<AtomicUsize>,
    /// Those of them that are loaded, or will be, of each tenant.
    pub to_load: Arc<ToLoad>,
    /// What waits for the next import of each tenant, for the page and those who ask.
    pub import_plans: ImportPlans,
}

/// What waits for the next import of each tenant.
pub type ImportPlans = Arc<Mutex<BTreeMap<TenantId, ImportPlan>>>;

/// Agents can reach another beacon than before.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct BeaconsChanged;

/// The counters of a tenant: an operator changed its devices or tables of licences, or it is new here. When it is lost, the next load or import
/// tells the same.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct DevicesChanged(pub TenantId, pub TenantState);

/// An operator has set other times for tasks: all that are in force.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SchedulesChanged(pub Vec<(TaskType, Trigger)>);

/// What came of something that the actor does not wait for itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Heard(ServerInput);

/// Begins nothing any more: the node is about to end.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopServer;

/// See the module's head.
pub type Server = Role<ServerHands>;

/// Does what a server's core wants.
pub struct ServerHands {
    world: ServerWorld,
    /// The youngest package the core was told of.
    seen: Option<PackageHandle>,
    overdue: Overdue,
}

impl Server {
    /// Begins a life from what the logs hold.
    pub fn begin(world: ServerWorld, watch: DeathWatch) -> Server {
        let now = world.clock.now();
        let seed = world.logs.node.seed();
        let rng = RngStream::new(seed, seed, mix(world.logs.incarnation, now.0 as u64));
        let (seen, waiting) = world.logs.unsettled(None, usize::MAX);
        world.to_load.begin(&waiting);
        let state = |tenant: &TenantId| {
            tenant_state(&world.books.facts, tenant).unwrap_or_else(|error| {
                error!(%tenant, error = %Chain(&error), "a tenant's counters cannot be read, tasks wait for the next package");
                TenantState::default()
            })
        };
        let tenants = world.books.tenants.now();
        let states = tenants.iter().map(|(tenant, _)| (tenant.clone(), state(tenant))).collect();
        let settings = ServerSettings { schedules: world.schedules.in_force(), ..(*world.settings).clone() };
        let submitted = {
            let overview = world.overview.lock().unwrap_or_else(PoisonError::into_inner);
            let mut submitted = overview.scheduled.clone();
            // One that was never submitted counts from the first start.
            for (task, _) in &settings.schedules {
                if !submitted.keys().any(|(of, _)| of == task) {
                    submitted.insert((*task, None), overview.since);
                }
            }
            submitted
        };
        let durable = ServerDurable { settings: Arc::new(settings), waiting: numbers(waiting), states, submitted };
        let core = ServerCore::recover(durable, rng, now);
        Role::new(core, ServerHands { world, seen, overdue: Overdue::default() }, Some(watch))
    }
}

impl Hands for ServerHands {
    type Core = ServerCore;

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn sleep_max(&self, _: &ServerCore) -> Duration {
        SLEEP_MAX
    }

    /// What came since the last look, a page at a time.
    fn before_wake(&mut self, _: &ServerCore, _: &mut Context<Server>) -> Option<ServerInput> {
        loop {
            let (seen, packages) = self.world.logs.unsettled(self.seen, PULL_MAX);
            if seen == self.seen {
                return None;
            }
            self.seen = seen;
            if !packages.is_empty() {
                self.world.to_load.arrived(&packages);
                return Some(ServerInput::Arrived(numbers(packages)));
            }
        }
    }

    fn turned(&mut self, core: &ServerCore) {
        self.world.unsettled.store(core.unsettled(), Ordering::Relaxed);
        let mut plans = self.world.import_plans.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, plan) in core.import_plans() {
            match plans.get_mut(tenant) {
                Some(shown) => *shown = plan,
                None => _ = plans.insert(tenant.clone(), plan),
            }
        }
    }

    fn carry_out(&mut self, intent: IntentNumber, wanted: ServerIntent, _: &ServerCore, ctx: &mut Context<Server>) {
        match wanted {
            ServerIntent::Load(packages) => self.load(intent, packages, ctx),
            ServerIntent::Run(tenant, task, since) => self.run(intent, tenant, task, since, ctx),
            ServerIntent::Submit(tenant, task, at) => {
                let (scheduler, name) = (self.world.scheduler.get(), task);
                let task = self.task(task, tenant.as_ref(), Some(at));
                let address = ctx.address();
                actix::spawn(async move {
                    let answer = match scheduler {
                        Some(scheduler) => scheduler.send(AskScheduler::Submit(task)).await.ok(),
                        None => None,
                    };
                    let input = match answer {
                        Some(SchedulerAnswer::Submitted(..) | SchedulerAnswer::Duplicate { .. }) => ServerInput::Done,
                        _ => {
                            warn!(task = %name, "a scheduled task was not taken, tried again in a minute");
                            ServerInput::NotSubmitted(tenant, name, at)
                        }
                    };
                    let _ = address.send(Heard(input)).await;
                });
            }
            ServerIntent::RenewPolicy => {
                // As often as the beacons report.
                self.overdue.look(&self.world.statuses.list(), self.now());
                let policy = self.world.policy.clone();
                let renewed = async move { policy.renew_or_warn().await };
                when_done(ctx, renewed, |(), server, ctx| server.tell(ServerInput::Done, ctx));
            }
            ServerIntent::LookAtGaps => {
                let gaps = self.world.gaps.clone();
                let looked = async move { gaps.look().await };
                when_done(ctx, looked, |(), server, ctx| server.tell(ServerInput::Done, ctx));
            }
            ServerIntent::Sweep => {
                let swept = sweep(self.world.logs.clone(), self.world.books.clone(), self.world.clock.clone());
                when_done(ctx, swept, |swept, server, ctx| {
                    match swept {
                        Ok(Swept { bodies: 0, entries: 0 }) => {}
                        Ok(Swept { bodies, entries }) => info!(bodies, entries, "old packages were let go"),
                        Err(error) => warn!(error = %Chain(&error), "old packages stay, tried again tomorrow"),
                    }
                    server.tell(ServerInput::Done, ctx);
                });
            }
        }
    }
}

impl ServerHands {
    fn load(&self, intent: IntentNumber, packages: Vec<PackageNumber>, ctx: &mut Context<Server>) {
        let (loader, to_load) = (self.world.loader.get(), self.world.to_load.clone());
        let loaded = async move { loader?.send(Load(packages)).await.ok() };
        when_done(ctx, loaded, move |batch, server, ctx| {
            // A loader that died has told nothing; whatever it committed is seen by the next load.
            let (packages, states) = batch.map(|batch| (batch.packages, batch.states)).unwrap_or_default();
            let states = states.into_iter().collect();
            to_load.loaded(&packages);
            server.tell(ServerInput::Loaded { intent, packages, states }, ctx);
        });
    }

    /// A task as the server itself submits it, of a tenant or of the whole server; `at` is the time of its schedule.
    fn task(&self, task: TaskType, tenant: Option<&TenantId>, at: Option<Timestamp>) -> NewTask {
        let tenants = self.world.books.tenants.now();
        let scope = tenant.map(|tenant| TaskScope::Tenant {
            tenant: tenant.clone(),
            group: tenants.group(tenant).cloned().unwrap_or_else(GroupName::default_group),
        });
        NewTask {
            task,
            scope: scope.unwrap_or(TaskScope::System),
            parameters: Parameters::default(),
            not_before: at,
            origin: if at.is_some() { TaskOrigin::Schedule } else { TaskOrigin::System },
            login: None,
        }
    }

    /// Submits a batch task and waits for its end.
    fn run(
        &self,
        intent: IntentNumber,
        tenant: TenantId,
        task: Task,
        since: Option<Timestamp>,
        ctx: &mut Context<Server>,
    ) {
        let (scheduler, facts) = (self.world.scheduler.clone(), self.world.books.facts.clone());
        let task = match task {
            Task::Import => TaskType::InventoryImport,
            Task::Reconcile => TaskType::LicenseReconcile,
            Task::Export => TaskType::ServiceNowExport,
        };
        let task = self.task(task, Some(&tenant), since);
        let address = ctx.address();
        let ended = async move {
            if submit_and_wait(scheduler, &facts, task).await != Some(true) {
                return None;
            }
            let read = tokio::task::spawn_blocking(move || tenant_state(&facts, &tenant)).await;
            match read {
                Ok(Ok(state)) => Some(state),
                Ok(Err(error)) => {
                    error!(error = %Chain(&error), "the tenant's counters cannot be read after a task");
                    None
                }
                Err(_) => None,
            }
        };
        // No future of the actor: those of a thousand tenants would be polled for each word that it hears.
        actix::spawn(async move {
            let state = ended.await;
            let _ = address.send(Heard(ServerInput::Ended { intent, state })).await;
        });
    }
}

fn numbers(packages: Vec<Unsettled>) -> Vec<PackageNumber> {
    packages.into_iter().map(|unsettled| PackageNumber(unsettled.handle.0)).collect()
}

impl Handler<PackagesArrived> for Server {
    type Result = ();

    fn handle(&mut self, hint: PackagesArrived, ctx: &mut Context<Server>) {
        drop(hint);
        self.turn(ctx);
    }
}

impl Handler<BeaconsChanged> for Server {
    type Result = ();

    fn handle(&mut self, _: BeaconsChanged, ctx: &mut Context<Server>) {
        self.tell(ServerInput::BeaconsChanged, ctx);
    }
}

impl Handler<DevicesChanged> for Server {
    type Result = ();

    fn handle(&mut self, DevicesChanged(tenant, state): DevicesChanged, ctx: &mut Context<Server>) {
        self.tell(ServerInput::Counted(tenant, state), ctx);
    }
}

impl Handler<SchedulesChanged> for Server {
    type Result = ();

    fn handle(&mut self, SchedulesChanged(schedules): SchedulesChanged, ctx: &mut Context<Server>) {
        self.tell(ServerInput::SchedulesChanged(schedules), ctx);
    }
}

impl Handler<Heard> for Server {
    type Result = ();

    fn handle(&mut self, Heard(input): Heard, ctx: &mut Context<Server>) {
        self.tell(input, ctx);
    }
}

impl Handler<StopServer> for Server {
    type Result = ();

    fn handle(&mut self, _: StopServer, ctx: &mut Context<Server>) {
        self.stop(ctx);
    }
}
