//! The meter's actor: the core, its one timer, and the hands that do what it wants.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use muster::config::agent::UsageRules;
use muster::model::package::Kind;
use muster::model::usage::Attribution;
use muster::rng::RngStream;
use muster::roles::agent::Queued;
use muster::roles::meter::{
    MeterCore, MeterDurable, MeterInput, MeterIntent, Reporter, Sample, UsagePolicy, UsageReport,
};
use muster::roles::{Core, IntentNumber, Intents};
use muster::time::Timestamp;
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::effects::{InstallationData, SampleProcesses, Version};
use super::state_file::StateFile;
use crate::agent::agent::{Agent, UsagePublished};
use crate::agent::outbox::{Outbox, OutboxError, Report};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::node::NodeFolder;
use crate::priority::{LEAST, lower_priority};
use crate::supervision::{DeathWatch, Directory};

/// The timer is never armed for longer, so that a stepped clock and a machine that slept are noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What the meter needs of the world.
#[derive(Clone)]
pub struct MeterWorld {
    /// The agent's data folder, locked as long as anything here may still write.
    pub folder: Arc<NodeFolder>,
    /// Where reports are published: the agent's.
    pub outbox: Arc<Mutex<Outbox>>,
    /// The present.
    pub clock: SharedClock,
    /// Lists processes.
    pub processes: Arc<dyn SampleProcesses>,
    /// Says which package a program belongs to.
    pub packages: Arc<dyn InstallationData>,
    /// What was counted.
    pub state: StateFile,
    /// What the agent's policy says: the agent puts it there, each life of the meter goes by what stands there.
    pub policy: watch::Sender<UsagePolicy>,
    /// What this device has to say about it.
    pub rules: UsageRules,
    /// Who reports; its GUID is that of the outbox.
    pub reporter: Arc<Reporter>,
    /// Account of the agent.
    pub account: Arc<str>,
}

/// Ends this life: nothing is written, nothing more is published.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopMeter;

/// See the module's head.
pub struct Meter {
    world: MeterWorld,
    agent: Directory<Agent>,
    core: MeterCore,
    intents: Intents<MeterIntent>,
    timer: Option<SpawnHandle>,
    /// Of what installation data the core has the programs; `None` when it has none.
    version: Option<Version>,
    /// Whether a look at the processes is under way. It brings no programs when it began with those of `version`.
    is_looking: bool,
    _watch: DeathWatch,
}

impl Meter {
    /// Begins a life from what the data folder holds.
    pub fn new(world: MeterWorld, agent: Directory<Agent>, watch: DeathWatch) -> Meter {
        let guid = world.outbox.lock().unwrap_or_else(PoisonError::into_inner).guid();
        let state = world.state.load();
        // What an earlier life counted was counted while it was on. When it is off by now, the core hears that next and
        // reports what there is.
        let policy = UsagePolicy { is_enabled: state.is_some(), ..*world.policy.borrow() };
        let durable = MeterDurable { agent: guid, policy, programs: no_programs(), state };
        let now = world.clock.now();
        let core = MeterCore::recover(durable, RngStream::new(guid.seed(), guid.seed(), now.0 as u64), now);
        Meter {
            world,
            agent,
            core,
            intents: Intents::default(),
            timer: None,
            version: None,
            is_looking: false,
            _watch: watch,
        }
    }

    fn tell(&mut self, input: MeterInput, ctx: &mut Context<Meter>) {
        self.core.on(self.world.clock.now(), input, &mut self.intents);
        self.turn(ctx);
    }

    /// Does what the core wants and arms the timer for what it wants next, if anything.
    fn turn(&mut self, ctx: &mut Context<Meter>) {
        let now = self.world.clock.now();
        // Not during a look: if metering is on again by its end, what it saw would be counted without programs.
        if !self.core.policy().is_enabled && !self.is_looking && self.version.take().is_some() {
            // Megabytes that nobody asks for any more.
            self.core.on(now, MeterInput::Programs(no_programs()), &mut self.intents);
            self.world.processes.forget();
        }
        self.core.wake(now, &mut self.intents);
        for (number, intent) in self.intents.take() {
            match intent {
                MeterIntent::Sample => self.sample(ctx),
                MeterIntent::Report(report) => self.report(number, report, ctx),
                MeterIntent::Remember(state) => self.world.state.keep(&state),
            }
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let due = self.core.next_due();
        if due == Timestamp::NEVER {
            return;
        }
        let sleep = due.since(self.world.clock.now()).clamp(Duration::from_millis(1), SLEEP_MAX);
        self.timer = Some(ctx.run_later(sleep, |meter, ctx| {
            meter.timer = None;
            meter.turn(ctx);
        }));
    }

    /// Goes by what the agent's policy says, now and from each change on.
    fn follow(&mut self, mut policy: watch::Receiver<UsagePolicy>, ctx: &mut Context<Meter>) {
        let now = *policy.borrow_and_update();
        if now.is_enabled != self.core.policy().is_enabled {
            info!(is_enabled = now.is_enabled, "policy on metering changed");
        }
        self.tell(MeterInput::Policy(now), ctx);
        let changed = async move { policy.changed().await.is_ok().then_some(policy) };
        ctx.spawn(changed.into_actor(self).map(|policy, meter, ctx| {
            if let Some(policy) = policy {
                meter.follow(policy, ctx);
            }
        }));
    }

    /// Looks at the processes on a thread of its own, whose priority is low for as long as it lives.
    fn sample(&mut self, ctx: &mut Context<Meter>) {
        let (send, receive) = oneshot::channel();
        let (processes, packages) = (self.world.processes.clone(), self.world.packages.clone());
        let known = self.version;
        self.is_looking = true;
        let work = move || {
            lower_priority(LEAST);
            // Nobody waits any more when the meter has died meanwhile.
            drop(send.send(look(&*processes, &*packages, known)));
        };
        if let Err(error) = thread::Builder::new().name("meter".into()).spawn(work) {
            error!(%error, "the metering thread does not start");
        }
        ctx.spawn(receive.into_actor(self).map(|looked, meter, ctx| {
            meter.is_looking = false;
            let input = match looked {
                Ok(Look { programs, sample }) => {
                    if let Some((version, programs)) = programs {
                        meter.version = Some(version);
                        meter.core.on(meter.world.clock.now(), MeterInput::Programs(programs), &mut meter.intents);
                    }
                    sample.map(MeterInput::Sampled).unwrap_or_else(|error| {
                        warn!(%error, "processes cannot be listed, tried again at the next sample");
                        MeterInput::SampleFailed
                    })
                }
                Err(_) => {
                    error!("the metering thread panicked, tried again at the next sample");
                    MeterInput::SampleFailed
                }
            };
            meter.tell(input, ctx);
        }));
    }

    /// Publishes a report and tells the agent. Not bound to this life: what is published is told, whoever dies.
    fn report(&mut self, intent: IntentNumber, report: UsageReport, ctx: &mut Context<Meter>) {
        if report.dropped != Default::default() {
            warn!(dropped = ?report.dropped, "not all use had room in the report");
        }
        let (send, receive) = oneshot::channel();
        let (world, agent) = (self.world.clone(), self.agent.clone());
        actix::spawn(async move {
            let published = match tokio::task::spawn_blocking(move || world.publish(&report)).await {
                Ok(Ok(queued)) => {
                    // An agent that cannot be told reads the queue when it begins anew.
                    if let Some(agent) = agent.get() {
                        let _ = agent.send(UsagePublished(queued)).await;
                    }
                    true
                }
                Ok(Err(error)) => {
                    error!(error = %Chain(&error), "usage not published, tried again at the next sample");
                    false
                }
                Err(_) => false,
            };
            let _ = send.send(published);
        });
        ctx.spawn(receive.into_actor(self).map(move |published, meter, ctx| {
            let input = match published {
                Ok(true) => MeterInput::Reported { intent },
                _ => MeterInput::ReportFailed { intent },
            };
            meter.tell(input, ctx);
        }));
    }
}

fn no_programs() -> Arc<dyn Attribution> {
    Arc::new(|_: &str| None)
}

/// What one look at the host gave.
struct Look {
    /// Programs of the packages, when they changed.
    programs: Option<(Version, Arc<dyn Attribution>)>,
    sample: io::Result<Sample>,
}

fn look(processes: &dyn SampleProcesses, packages: &dyn InstallationData, known: Option<Version>) -> Look {
    // Before it is read: what changes meanwhile is read at the next sample.
    let version = packages.version();
    let programs = (known != Some(version)).then(|| (version, packages.read()));
    Look { programs, sample: processes.sample() }
}

impl MeterWorld {
    /// Tells the meter what policy says.
    pub fn order(&self, policy: UsagePolicy) {
        self.policy.send_if_modified(|known| std::mem::replace(known, policy) != policy);
    }

    fn publish(&self, report: &UsageReport) -> Result<Queued, OutboxError> {
        let outbox = || self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let reporter = Reporter { agent: outbox().guid(), ..Reporter::clone(&self.reporter) };
        let content = report.to_mmi(&reporter).write(Vec::new()).expect("a Vec takes every byte");
        let now = self.clock.now();
        let report = Report {
            kind: Kind::UsageData,
            account: &self.account,
            machine: &self.reporter.machine,
            kind_type: "",
            collected_at: now,
            content: &content,
        };
        outbox().publish(report, now)
    }
}

impl Actor for Meter {
    type Context = Context<Meter>;

    fn started(&mut self, ctx: &mut Context<Meter>) {
        let policy = self.world.policy.subscribe();
        self.follow(policy, ctx);
    }
}

impl Handler<StopMeter> for Meter {
    type Result = ();

    fn handle(&mut self, _: StopMeter, ctx: &mut Context<Meter>) {
        ctx.stop();
    }
}
