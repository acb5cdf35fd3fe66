//! The agent's actor: the core, its one timer, and the hands that do what it wants.

mod polling;
mod sending;
mod watching;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use muster::policy::apply::Held;
use muster::rng::{RngStream, mix};
use muster::roles::agent::{
    AgentCore, AgentDurable, AgentInput, AgentIntent, AgentRules, AgentServer, AgentSettings, LetGo, Queued,
    ServerNumber,
};
use muster::roles::meter::UsagePolicy;
use muster::roles::{Core, IntentNumber, Intents};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::host::CollectHost;
use super::limits::Limits;
use super::memory::{AgentMemory, MemoryFile};
use super::meter::MeterWorld;
use super::outbox::{Life, Outbox};
use super::own_log::OwnLog;
use super::pinger::MeasureServers;
use super::policy::{InForce, PolicySource, PolicyStore};
use super::status::{AgentStatus, LastReceipt, PolicyRefusals, StatusFile};
use super::surroundings::LookAround;
use super::uploader::Upload;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::node::NodeFolder;
use crate::priority::{LEAST, lower_priority};
use crate::supervision::DeathWatch;
use watching::Around;

pub(super) use sending::why_unordered;

/// The timer is never armed for longer, so that a stepped clock and a machine that slept are noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What the actor needs of the world.
#[derive(Clone)]
pub struct AgentWorld {
    /// Its data folder, locked as long as anything here may still write.
    pub folder: Arc<NodeFolder>,
    /// What it has published. One for all lives, so that an earlier one cannot write beside the present one.
    pub outbox: Arc<Mutex<Outbox>>,
    /// The present.
    pub clock: SharedClock,
    /// Takes stock of the host.
    pub collector: Arc<dyn CollectHost>,
    /// Sends packages.
    pub uploader: Arc<dyn Upload>,
    /// Asks for policy.
    pub policy: Arc<dyn PolicySource>,
    /// The policy in force.
    pub store: Arc<PolicyStore>,
    /// How fast it may send and fetch.
    pub limits: Limits,
    /// Pings servers.
    pub pinger: Arc<dyn MeasureServers>,
    /// What is remembered of schedule and servers.
    pub memory: MemoryFile,
    /// What it is set to.
    pub settings: Arc<AgentSettings>,
    /// Sees what is known of this host, to choose servers by, and what happens on it, when the schedule wants to know.
    pub around: Arc<dyn LookAround>,
    /// Its own log; `None` when the device keeps it to itself.
    pub log: Option<OwnLog>,
    /// What its meter needs.
    pub meter: MeterWorld,
}

impl AgentWorld {
    /// A life that panicked while it held the outbox leaves it to the next one, which reads it anew.
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands to those beside the core what is theirs of the rules.
    fn hand_on(&self, rules: &AgentRules) {
        self.limits.upload.set(rules.configuration.upload_rate_limit);
        self.limits.download.set(rules.configuration.download_rate_limit);
        self.meter.order(UsagePolicy::told(&rules.configuration, self.meter.rules));
    }
}

/// Ends this life: nothing is written, nothing more is sent.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopAgent;

/// The meter published this. The queue holds it already, so nothing is lost when nobody hears.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct UsagePublished(pub Queued);

/// See the module's head.
pub struct Agent {
    world: AgentWorld,
    life: Life,
    core: AgentCore,
    /// What is remembered of the policy in force.
    held: Held,
    intents: Intents<AgentIntent>,
    timer: Option<SpawnHandle>,
    status: StatusFile,
    last_receipt: Option<LastReceipt>,
    refusals: PolicyRefusals,
    around: Around,
    _watch: DeathWatch,
}

impl Agent {
    /// Begins a life from what the data folder holds.
    pub fn new(world: AgentWorld, watch: DeathWatch) -> Agent {
        let now = world.clock.now();
        let mut outbox = world.outbox();
        let life = outbox.begin_life(now).unwrap_or_else(|(life, error)| {
            // What was read last is still true: every change of the folder went through this outbox.
            error!(error = %Chain(&error), "the queue cannot be read anew");
            life
        });
        let (seed, epoch) = (outbox.guid().seed(), outbox.epoch());
        let InForce { held, contents } = world.store.load();
        let AgentMemory { ran, measures, policy_by } = world.memory.load();
        let durable = AgentDurable {
            settings: world.settings.clone(),
            rules: Arc::new(AgentRules::new(0, &world.settings, contents)),
            has_policy: held.is_some(),
            agent: seed,
            device: Arc::new(world.around.device()),
            policy_by,
            queued: outbox.queued(),
            is_heard: outbox.is_heard(),
            last_collected: outbox.last_collected(),
            ran,
            measures,
        };
        drop(outbox);
        world.hand_on(&durable.rules);
        let rng = RngStream::new(seed, seed, mix(mix(epoch, life.number()), now.0 as u64));
        let core = AgentCore::recover(durable, rng, now);
        let status = StatusFile::new(world.folder.path());
        let intents = Intents::default();
        Agent {
            world,
            life,
            core,
            held,
            intents,
            timer: None,
            status,
            last_receipt: None,
            refusals: PolicyRefusals::default(),
            around: Around::default(),
            _watch: watch,
        }
    }

    fn tell(&mut self, input: AgentInput, ctx: &mut Context<Agent>) {
        self.core.on(self.world.clock.now(), input, &mut self.intents);
        self.turn(ctx);
    }

    /// Does what the core wants and arms the timer for what it wants next.
    fn turn(&mut self, ctx: &mut Context<Agent>) {
        let now = self.world.clock.now();
        self.look_around(ctx);
        // The core follows a clock that stepped back, so it is woken although nothing is due.
        self.core.wake(now, &mut self.intents);
        for (number, intent) in self.intents.take() {
            self.carry_out(number, intent, ctx);
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let status = AgentStatus::of(&self.world.outbox(), &self.core, self.held.revision, now);
        let (last_receipt, refused_policies) = (self.last_receipt.clone(), self.refusals.clone());
        self.status.show(AgentStatus { last_receipt, refused_policies, ..status });
        let sleep = self.core.next_due().since(self.world.clock.now()).clamp(Duration::from_millis(1), SLEEP_MAX);
        self.timer = Some(ctx.run_later(sleep, |agent, ctx| {
            agent.timer = None;
            agent.turn(ctx);
        }));
    }

    fn carry_out(&mut self, number: IntentNumber, intent: AgentIntent, ctx: &mut Context<Agent>) {
        let now = self.world.clock.now();
        match intent {
            AgentIntent::Collect => self.collect(ctx),
            AgentIntent::PublishLog => self.publish_log(ctx),
            AgentIntent::Upload { package, to } => self.upload(number, package, to, ctx),
            AgentIntent::AskPolicy(from) => self.ask_policy(number, from, ctx),
            AgentIntent::Measure(servers) => {
                let intent = number;
                let servers = servers.into_iter().filter_map(|number| Some((number, self.server(number)?))).collect();
                let measured = self.world.pinger.measure(servers);
                ctx.spawn(measured.into_actor(self).map(move |probes, agent, ctx| {
                    agent.tell(AgentInput::Measured { intent, probes }, ctx);
                }));
            }
            AgentIntent::Remember => {
                let measures = self.core.servers().measures().clone();
                let memory = AgentMemory { ran: self.core.ran(), measures, policy_by: Some(self.core.policy_by()) };
                self.world.memory.keep(&memory);
            }
            AgentIntent::Delete { package, why } => self.change_queue(|outbox| match why {
                LetGo::Delivered => outbox.deliver(package, now),
                LetGo::Superseded => outbox.supersede(package),
            }),
            AgentIntent::Refuse(package) => self.change_queue(|outbox| outbox.refuse(package, now)),
            AgentIntent::SetAside(package) => self.change_queue(|outbox| outbox.set_aside(package, now)),
        }
    }

    fn server(&self, number: ServerNumber) -> Option<AgentServer> {
        self.core.rules().servers.get(usize::from(number.0)).cloned()
    }

    /// Short calls that sync at most a small file, so they are done here and in order.
    fn change_queue(&self, change: impl FnOnce(&mut Outbox)) {
        let mut outbox = self.world.outbox();
        match outbox.check(self.life) {
            Ok(()) => change(&mut outbox),
            Err(error) => warn!(error = %Chain(&error), "queue not changed"),
        }
    }

    /// Collects and publishes on a thread of its own, whose priority is low for as long as it lives.
    fn collect(&mut self, ctx: &mut Context<Agent>) {
        let (send, receive) = oneshot::channel();
        let (world, life, rules) = (self.world.clone_for_thread(), self.life, self.core.rules().clone());
        let work = move || {
            lower_priority(LEAST);
            // Nobody waits any more when the actor has died meanwhile.
            drop(send.send(world.collect(life, &rules)));
        };
        if let Err(error) = thread::Builder::new().name("collect".into()).spawn(work) {
            error!(%error, "the collecting thread does not start");
        }
        ctx.spawn(receive.into_actor(self).map(|collected, agent, ctx| {
            let input = match collected {
                Ok((published, true)) => AgentInput::Published(published),
                Ok((published, false)) => AgentInput::CollectionFailed { published },
                Err(_) => {
                    error!("the collecting thread panicked, collected again later");
                    AgentInput::CollectionFailed { published: vec![] }
                }
            };
            agent.tell(input, ctx);
        }));
    }

    /// Publishes what was logged since the last time; a log that cannot be stored now goes with the next one.
    fn publish_log(&mut self, ctx: &mut Context<Agent>) {
        let Some(log) = self.world.log.clone() else { return };
        let (outbox, life, now) = (self.world.outbox.clone(), self.life, self.world.clock.now());
        let (account, machine) = (self.world.meter.account.clone(), self.world.meter.reporter.machine.clone());
        let publish = move || {
            let mut outbox = outbox.lock().unwrap_or_else(PoisonError::into_inner);
            outbox.check(life)?;
            log.publish(&mut outbox, &account, &machine, now)
        };
        ctx.spawn(tokio::task::spawn_blocking(publish).into_actor(self).map(|published, agent, ctx| match published {
            Ok(Ok(Some(queued))) => agent.tell(AgentInput::Published(vec![queued]), ctx),
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => warn!(error = %Chain(&error), "the log is not published, it goes with the next one"),
        }));
    }
}

impl Actor for Agent {
    type Context = Context<Agent>;

    fn started(&mut self, ctx: &mut Context<Agent>) {
        self.turn(ctx);
    }
}

impl Handler<StopAgent> for Agent {
    type Result = ();

    fn handle(&mut self, _: StopAgent, ctx: &mut Context<Agent>) {
        ctx.stop();
    }
}

impl Handler<UsagePublished> for Agent {
    type Result = ();

    fn handle(&mut self, UsagePublished(queued): UsagePublished, ctx: &mut Context<Agent>) {
        self.tell(AgentInput::Published(vec![queued]), ctx);
    }
}
