//! The agent's actor: the core, its one timer, and the hands that do what it wants.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use muster::formats::marks::Mark;
use muster::id::Guid;
use muster::policy::apply::Held;
use muster::rng::{RngStream, mix};
use muster::roles::agent::{
    AgentCore, AgentDurable, AgentInput, AgentIntent, AgentRules, AgentServer, AgentSettings, LetGo, PackageNumber,
    PolicyAnswer, Queued, ServerNumber,
};
use muster::roles::meter::UsagePolicy;
use muster::roles::{Core, IntentNumber, Intents};
use muster::upload::answer::{Answer, Verdict, verdict};
use muster::upload::selector::Device;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::collecting::CollectorWorld;
use super::host::CollectHost;
use super::memory::{AgentMemory, MemoryFile};
use super::meter::MeterWorld;
use super::outbox::{Life, Outbox, OutboxError};
use super::pinger::MeasureServers;
use super::policy::{Answered, InForce, PolicySource, PolicyStore, Polled, Question};
use super::status::{AgentStatus, LastReceipt, StatusFile};
use super::uploader::Upload;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::node::NodeFolder;
use crate::priority::{LEAST, lower_priority};
use crate::supervision::DeathWatch;

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
    /// Pings servers.
    pub pinger: Arc<dyn MeasureServers>,
    /// What is remembered of schedule and servers.
    pub memory: MemoryFile,
    /// What is known of this host, to choose servers by.
    pub device: Arc<Device>,
    /// What it is set to.
    pub settings: Arc<AgentSettings>,
    /// What its meter needs.
    pub meter: MeterWorld,
}

impl AgentWorld {
    /// A life that panicked while it held the outbox leaves it to the next one, which reads it anew.
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order_metering(&self, rules: &AgentRules) {
        self.meter.order(UsagePolicy::told(&rules.configuration, self.meter.is_allowed));
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
        let AgentMemory { ran, measures } = world.memory.load();
        let durable = AgentDurable {
            settings: world.settings.clone(),
            rules: Arc::new(AgentRules::new(0, &world.settings, contents)),
            has_policy: held.revision > 0,
            agent: seed,
            device: world.device.clone(),
            queued: outbox.queued(),
            last_collected: outbox.last_collected(),
            ran,
            measures,
        };
        drop(outbox);
        world.order_metering(&durable.rules);
        let rng = RngStream::new(seed, seed, mix(mix(epoch, life.number()), now.0 as u64));
        let core = AgentCore::recover(durable, rng, now);
        let status = StatusFile::new(world.folder.path());
        let intents = Intents::default();
        Agent { world, life, core, held, intents, timer: None, status, last_receipt: None, _watch: watch }
    }

    fn tell(&mut self, input: AgentInput, ctx: &mut Context<Agent>) {
        self.core.on(self.world.clock.now(), input, &mut self.intents);
        self.turn(ctx);
    }

    /// Does what the core wants and arms the timer for what it wants next.
    fn turn(&mut self, ctx: &mut Context<Agent>) {
        let now = self.world.clock.now();
        // The core follows a clock that stepped back, so it is woken although nothing is due.
        self.core.wake(now, &mut self.intents);
        for (number, intent) in self.intents.take() {
            self.carry_out(number, intent, ctx);
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let status =
            AgentStatus::of(&self.world.outbox(), &self.core, self.held.revision, now, self.last_receipt.clone());
        self.status.show(status);
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
                let memory = AgentMemory { ran: self.core.ran(), measures: self.core.servers().measures().clone() };
                self.world.memory.keep(&memory);
            }
            AgentIntent::Delete { package, why } => self.change_queue(|outbox| match why {
                LetGo::Delivered => outbox.deliver(package, now),
                LetGo::Superseded => outbox.delete(package),
            }),
            AgentIntent::Refuse(package) => self.change_queue(|outbox| outbox.refuse(package, now)),
            AgentIntent::SetAside(package) => self.change_queue(|outbox| outbox.set_aside(package, now)),
        }
    }

    fn server(&self, number: ServerNumber) -> Option<AgentServer> {
        self.core.rules().servers.get(usize::from(number.0)).cloned()
    }

    fn ask_policy(&mut self, intent: IntentNumber, from: ServerNumber, ctx: &mut Context<Agent>) {
        let base = self.server(from).map(|server| server.download).unwrap_or_default();
        let mut outbox = self.world.outbox();
        let (agent, (published, acked)) = (outbox.guid(), outbox.told(self.world.clock.now()));
        drop(outbox);
        let answered = self.world.policy.poll(Question { agent, base, published, acked });
        ctx.spawn(answered.into_actor(self).map(move |Answered { polled, resend }, agent, ctx| {
            let answer = match polled {
                Polled::Unchanged => PolicyAnswer::Taken,
                Polled::Updated(in_force) => {
                    agent.go_by(*in_force, ctx);
                    PolicyAnswer::Taken
                }
                Polled::NotTaken => PolicyAnswer::NotTaken,
                Polled::Silent => PolicyAnswer::Silent,
            };
            agent.tell(AgentInput::PolicyAnswered { intent, answer }, ctx);
            if !resend.is_empty() {
                agent.send_again(&resend, ctx);
            }
        }));
    }

    /// Queues again, or collects anew, what a server says it never got.
    fn send_again(&mut self, asked: &[Mark], ctx: &mut Context<Agent>) {
        let (mut queued, mut collect) = (Vec::new(), false);
        self.change_queue(|outbox| (queued, collect) = outbox.send_again(asked));
        if !queued.is_empty() {
            self.tell(AgentInput::Requeued(queued), ctx);
        }
        if collect {
            info!("an inventory that was delivered never reached the server");
            self.tell(AgentInput::CollectionAsked, ctx);
        }
    }

    fn go_by(&mut self, in_force: InForce, ctx: &mut Context<Agent>) {
        let number = self.core.rules().number.wrapping_add(1);
        let rules = AgentRules::new(number, &self.world.settings, in_force.contents);
        if rules.refused > 0 {
            let servers = rules.refused;
            warn!(servers, "servers of the policy are not used: in plain (see `allow_plain`), or this very host");
        }
        self.held = in_force.held;
        self.world.order_metering(&rules);
        self.tell(AgentInput::RulesChanged(Arc::new(rules)), ctx);
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
        let (world, life) = (CollectorWorld::of(&self.world), self.life);
        let work = move || {
            lower_priority(LEAST);
            // Nobody waits any more when the actor has died meanwhile.
            drop(send.send(world.collect(life)));
        };
        if let Err(error) = thread::Builder::new().name("collect".into()).spawn(work) {
            error!(%error, "the collecting thread does not start");
        }
        ctx.spawn(receive.into_actor(self).map(|collected, agent, ctx| {
            let input = match collected {
                Ok(Ok(queued)) => AgentInput::Published(vec![queued]),
                Ok(Err(error)) => {
                    error!(error = %Chain(&error), "inventory not published, collected again later");
                    AgentInput::CollectionFailed
                }
                Err(_) => {
                    error!("the collecting thread panicked, collected again later");
                    AgentInput::CollectionFailed
                }
            };
            agent.tell(input, ctx);
        }));
    }

    fn upload(&mut self, intent: IntentNumber, package: PackageNumber, to: ServerNumber, ctx: &mut Context<Agent>) {
        let (outbox, uploader) = (self.world.outbox.clone(), self.world.uploader.clone());
        let Some(AgentServer { id, upload: base, .. }) = self.server(to) else {
            // The list has changed under the intent; the core is told, or it would wait for ever.
            ctx.spawn(actix::fut::ready(()).map(move |(), agent: &mut Agent, ctx| agent.tell(later(intent), ctx)));
            return;
        };
        let (began, server) = (Instant::now(), base.clone());
        let sent = async move {
            let load = move || outbox.lock().unwrap_or_else(PoisonError::into_inner).load(package);
            let parcel = match tokio::task::spawn_blocking(load).await {
                Ok(loaded) => loaded?,
                Err(_) => return Ok((Answer::Nothing("its bytes were not read".into()), None)),
            };
            let key = (parcel.envelope.digest, parcel.envelope.size);
            Ok::<_, OutboxError>((uploader.upload(parcel, base).await, Some(key)))
        };
        ctx.spawn(sent.into_actor(self).map(move |sent, agent, ctx| {
            let input = match sent {
                Ok((answer, Some((digest, size)))) => {
                    let verdict = verdict(&answer, digest, size);
                    agent.note(&answer, verdict, id, server);
                    let ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
                    AgentInput::Uploaded { intent, verdict, transfer: Some((size, ms)) }
                }
                Err(error @ (OutboxError::Damaged { .. } | OutboxError::Gone)) => {
                    warn!(error = %Chain(&error), "queued report not sent");
                    AgentInput::Unsendable { intent }
                }
                // The disk failed, not the package.
                Ok((_, None)) => later(intent),
                Err(error) => {
                    warn!(error = %Chain(&error), "queued report not sent, tried again later");
                    later(intent)
                }
            };
            agent.tell(input, ctx);
        }));
    }

    fn note(&mut self, answer: &Answer, verdict: Verdict, id: Guid, server: String) {
        match (verdict, answer) {
            (Verdict::Delivered, Answer::Status { receipt: Some(receipt), .. }) => {
                let chosen = self.why(id);
                info!(digest = %receipt.digest, server, chosen, state = ?receipt.state, "report delivered");
                let at = self.world.clock.now().to_rfc3339();
                self.last_receipt = Some(LastReceipt { receipt: *receipt, server, at });
            }
            (Verdict::Revoked, _) => error!(server, "this agent's identity is revoked, tried again in a day"),
            (Verdict::Loop, _) => error!(server, "the server says that reports run in a circle: check its parents"),
            (Verdict::Refused, _) => warn!(server, why = %answer, "report refused for good"),
            _ => warn!(server, why = %answer, "report not taken, kept"),
        }
    }

    /// Why a server stands where it stands in the agent's order.
    fn why(&self, id: Guid) -> String {
        let order = self.core.servers().order();
        let choice = order.and_then(|order| order.choices.iter().find(|choice| choice.id == id));
        choice.map_or_else(|| CONFIGURED.to_owned(), |choice| choice.reason.to_string())
    }
}

fn later(intent: IntentNumber) -> AgentInput {
    AgentInput::Uploaded { intent, verdict: Verdict::Later { retry_after_ms: None, broken: true }, transfer: None }
}

/// Why a server of the agent's own file is asked.
pub(super) const CONFIGURED: &str = "named in the agent's own configuration";

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
