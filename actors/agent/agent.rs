//! The agent's actor: its core in the frame of every role, and the hands that do what it wants.

mod polling;
mod sending;
mod watching;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use actix::{ActorContext, Context, Handler, Message};
use muster::policy::apply::Held;
use muster::rng::{RngStream, mix};
use muster::roles::agent::{
    AgentCore, AgentDurable, AgentInput, AgentIntent, AgentRules, AgentServer, AgentSettings, LetGo, Queued,
    ServerNumber,
};
use muster::roles::meter::UsagePolicy;
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;
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
use crate::role::{Hands, Role, SLEEP_MAX, when_done};
use crate::supervision::DeathWatch;
use watching::Around;

pub(super) use sending::why_unordered;

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
pub type Agent = Role<AgentHands>;

/// Does what an agent's core wants.
pub struct AgentHands {
    world: AgentWorld,
    life: Life,
    /// What is remembered of the policy in force.
    held: Held,
    status: StatusFile,
    last_receipt: Option<LastReceipt>,
    refusals: PolicyRefusals,
    around: Around,
}

impl Agent {
    /// Begins a life from what the data folder holds.
    pub fn begin(world: AgentWorld, watch: DeathWatch) -> Agent {
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
        let hands = AgentHands {
            world,
            life,
            held,
            status,
            last_receipt: None,
            refusals: PolicyRefusals::default(),
            around: Around::default(),
        };
        Role::new(core, hands, Some(watch))
    }
}

impl Hands for AgentHands {
    type Core = AgentCore;

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn sleep_max(&self, _: &AgentCore) -> Duration {
        SLEEP_MAX
    }

    fn before_wake(&mut self, core: &AgentCore, ctx: &mut Context<Agent>) -> Option<AgentInput> {
        self.look_around(core.rules().looks_around(), ctx);
        None
    }

    fn turned(&mut self, core: &AgentCore) {
        let status = AgentStatus::of(&self.world.outbox(), core, self.held.revision, self.now());
        let (last_receipt, refused_policies) = (self.last_receipt.clone(), self.refusals.clone());
        self.status.show(AgentStatus { last_receipt, refused_policies, ..status });
    }

    fn carry_out(&mut self, number: IntentNumber, intent: AgentIntent, core: &AgentCore, ctx: &mut Context<Agent>) {
        let now = self.now();
        match intent {
            AgentIntent::Collect => self.collect(core.rules().clone(), ctx),
            AgentIntent::PublishLog => self.publish_log(ctx),
            AgentIntent::Upload { package, to } => self.upload(number, package, server(core, to), ctx),
            AgentIntent::AskPolicy(from) => self.ask_policy(number, server(core, from), ctx),
            AgentIntent::Measure(servers) => {
                let intent = number;
                let servers = servers.into_iter().filter_map(|number| Some((number, server(core, number)?))).collect();
                when_done(ctx, self.world.pinger.measure(servers), move |probes, agent, ctx| {
                    agent.tell(AgentInput::Measured { intent, probes }, ctx);
                });
            }
            AgentIntent::Remember => {
                let measures = core.servers().measures().clone();
                let memory = AgentMemory { ran: core.ran(), measures, policy_by: Some(core.policy_by()) };
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
}

impl AgentHands {
    /// Short calls that sync at most a small file, so they are done here and in order.
    fn change_queue(&self, change: impl FnOnce(&mut Outbox)) {
        let mut outbox = self.world.outbox();
        match outbox.check(self.life) {
            Ok(()) => change(&mut outbox),
            Err(error) => warn!(error = %Chain(&error), "queue not changed"),
        }
    }

    /// Collects and publishes on a thread of its own, whose priority is low for as long as it lives.
    fn collect(&self, rules: Arc<AgentRules>, ctx: &mut Context<Agent>) {
        let (send, receive) = oneshot::channel();
        let (world, life) = (self.world.clone_for_thread(), self.life);
        let work = move || {
            lower_priority(LEAST);
            // Nobody waits any more when the actor has died meanwhile.
            drop(send.send(world.collect(life, &rules)));
        };
        if let Err(error) = thread::Builder::new().name("collect".into()).spawn(work) {
            error!(%error, "the collecting thread does not start");
        }
        when_done(ctx, receive, |collected, agent, ctx| {
            let input = match collected {
                Ok((published, true)) => AgentInput::Published(published),
                Ok((published, false)) => AgentInput::CollectionFailed { published },
                Err(_) => {
                    error!("the collecting thread panicked, collected again later");
                    AgentInput::CollectionFailed { published: vec![] }
                }
            };
            agent.tell(input, ctx);
        });
    }

    /// Publishes what was logged since the last time; a log that cannot be stored now goes with the next one.
    fn publish_log(&self, ctx: &mut Context<Agent>) {
        let Some(log) = self.world.log.clone() else { return };
        let (outbox, life, now) = (self.world.outbox.clone(), self.life, self.world.clock.now());
        let (account, machine) = (self.world.meter.account.clone(), self.world.meter.reporter.machine.clone());
        let publish = move || {
            let mut outbox = outbox.lock().unwrap_or_else(PoisonError::into_inner);
            outbox.check(life)?;
            log.publish(&mut outbox, &account, &machine, now)
        };
        when_done(ctx, tokio::task::spawn_blocking(publish), |published, agent, ctx| match published {
            Ok(Ok(Some(queued))) => agent.tell(AgentInput::Published(vec![queued]), ctx),
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => warn!(error = %Chain(&error), "the log is not published, it goes with the next one"),
        });
    }
}

fn server(core: &AgentCore, number: ServerNumber) -> Option<AgentServer> {
    core.rules().servers.get(usize::from(number.0)).cloned()
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
