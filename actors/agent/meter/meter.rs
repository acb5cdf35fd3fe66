//! The meter's actor: its core in the frame of every role, and the hands that do what it wants.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use actix::{ActorContext, Context, Handler, Message};
use muster::config::agent::UsageRules;
use muster::model::package::Kind;
use muster::model::usage::Attribution;
use muster::rng::RngStream;
use muster::roles::agent::Queued;
use muster::roles::meter::{
    MeterCore, MeterDurable, MeterInput, MeterIntent, Reporter, Sample, UsagePolicy, UsageReport,
};
use muster::roles::{Core, IntentNumber};
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
use crate::role::{FOREVER, Hands, Role, SLEEP_MAX, when_done};
use crate::supervision::{DeathWatch, Directory};

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
pub type Meter = Role<MeterHands>;

/// Does what a meter's core wants.
pub struct MeterHands {
    world: MeterWorld,
    agent: Directory<Agent>,
    /// Of what installation data the core has the programs; `None` when it has none.
    version: Option<Version>,
    /// Whether a look at the processes is under way. It brings no programs when it began with those of `version`.
    is_looking: bool,
}

impl Meter {
    /// Begins a life from what the data folder holds.
    pub fn begin(world: MeterWorld, agent: Directory<Agent>, watch: DeathWatch) -> Meter {
        let guid = world.outbox.lock().unwrap_or_else(PoisonError::into_inner).guid();
        let state = world.state.load();
        // What an earlier life counted was counted while it was on. When it is off by now, the core hears that next and
        // reports what there is.
        let policy = UsagePolicy { is_enabled: state.is_some(), ..*world.policy.borrow() };
        let durable = MeterDurable { agent: guid, policy, programs: no_programs(), state };
        let now = world.clock.now();
        let core = MeterCore::recover(durable, RngStream::new(guid.seed(), guid.seed(), now.0 as u64), now);
        Role::new(core, MeterHands { world, agent, version: None, is_looking: false }, Some(watch))
    }

    /// Goes by what the agent's policy says, now and from each change on.
    fn follow(&mut self, mut policy: watch::Receiver<UsagePolicy>, ctx: &mut Context<Meter>) {
        let now = *policy.borrow_and_update();
        if now.is_enabled != self.core().policy().is_enabled {
            info!(is_enabled = now.is_enabled, "policy on metering changed");
        }
        if !now.is_enabled {
            self.let_go(ctx);
        }
        self.tell(MeterInput::Policy(now), ctx);
        let changed = async move { policy.changed().await.is_ok().then_some(policy) };
        when_done(ctx, changed, |policy, meter, ctx| {
            if let Some(policy) = policy {
                meter.follow(policy, ctx);
            }
        });
    }

    /// Lets go of megabytes of programs that nobody asks for any more.
    fn let_go(&mut self, ctx: &mut Context<Meter>) {
        let hands = self.hands_mut();
        // Not during a look: if metering is on again by its end, what it saw would be counted without programs.
        if !hands.is_looking && hands.version.take().is_some() {
            hands.world.processes.forget();
            self.hear(MeterInput::Programs(no_programs()), ctx);
        }
    }
}

impl Hands for MeterHands {
    type Core = MeterCore;

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// While it is off there is no timer.
    fn sleep_max(&self, core: &MeterCore) -> Duration {
        if core.next_due() == Timestamp::NEVER { FOREVER } else { SLEEP_MAX }
    }

    fn started(meter: &mut Meter, ctx: &mut Context<Meter>) {
        let policy = meter.hands().world.policy.subscribe();
        meter.follow(policy, ctx);
    }

    fn before_wake(&mut self, _: &MeterCore, _: &mut Context<Meter>) -> Option<MeterInput> {
        None
    }

    fn carry_out(&mut self, number: IntentNumber, intent: MeterIntent, _: &MeterCore, ctx: &mut Context<Meter>) {
        match intent {
            MeterIntent::Sample => self.sample(ctx),
            MeterIntent::Report(report) => self.report(number, report, ctx),
            MeterIntent::Remember(state) => self.world.state.keep(&state),
        }
    }
}

impl MeterHands {
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
        when_done(ctx, receive, |looked, meter, ctx| {
            meter.hands_mut().is_looking = false;
            let input = match looked {
                Ok(Look { programs, sample }) => {
                    if let Some((version, programs)) = programs {
                        meter.hands_mut().version = Some(version);
                        meter.hear(MeterInput::Programs(programs), ctx);
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
            if !meter.core().policy().is_enabled {
                meter.let_go(ctx);
            }
            meter.tell(input, ctx);
        });
    }

    /// Publishes a report and tells the agent. Not bound to this life: what is published is told, whoever dies.
    fn report(&self, intent: IntentNumber, report: UsageReport, ctx: &mut Context<Meter>) {
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
        when_done(ctx, receive, move |published, meter, ctx| {
            let input = match published {
                Ok(true) => MeterInput::Reported { intent },
                _ => MeterInput::ReportFailed { intent },
            };
            meter.tell(input, ctx);
        });
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

impl Handler<StopMeter> for Meter {
    type Result = ();

    fn handle(&mut self, _: StopMeter, ctx: &mut Context<Meter>) {
        ctx.stop();
    }
}
