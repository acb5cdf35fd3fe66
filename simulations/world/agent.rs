//! An agent's effects: its outbox and what it remembers, and calls to beacons.

use muster::model::package::Kind;
use muster::rng::RngStream;
use muster::roles::agent::{
    AgentCore, AgentDurable, AgentInput, AgentIntent, LetGo, PackageNumber, PolicyAnswer, Queued, ServerNumber,
    StreamNumber,
};
use muster::roles::{Core, IntentNumber};
use muster::schedule::Ran;
use muster::time::{MINUTE_MS, Timestamp};
use muster::upload::selector::{Measures, Ping, Probe};

use super::event::{Body, Event, NodeId, PackageId, Parcel, Reply, What};
use super::node::{Hands, Wanted};
use super::place::Place;
use super::{Call, Stage, verdict_of};

/// Answer of a node that has its policy ready.
const POLICY_BYTES: u64 = 2_000;

/// A published package.
#[derive(Clone, Copy, Debug)]
struct Published {
    parcel: Parcel,
    /// When it was sent last; before everything for not yet.
    sent: Timestamp,
}

/// What is sent so long after the last time is the pass of a catch-up, which is no retry: the tries of a pass end within
/// minutes. Source: delivery contract, section 5, backoff.
const NEW_PASS_MS: i64 = 30 * MINUTE_MS;

/// What was remembered for the next life.
#[derive(Clone, Debug)]
struct Memory {
    ran: Vec<Ran>,
    measures: Measures,
    policy_by: Timestamp,
}

/// No intent.
const NONE: u32 = u32::MAX;

/// What an agent is waiting for, at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Collection,
    Measures,
    Upload,
    Policy,
}

impl Waiting {
    const ALL: [Waiting; 4] = [Waiting::Collection, Waiting::Measures, Waiting::Upload, Waiting::Policy];
}

/// See the module's head.
pub struct AgentHands {
    machine: u32,
    /// Revision of the policy in force; 0 for none.
    revision: u32,
    outbox: Vec<Published>,
    /// `NEVER` for not yet.
    last_collected: Timestamp,
    memory: Option<Box<Memory>>,
    /// The intent of each that is under way; `NONE` for none.
    waiting: [u32; 4],
    is_heard: bool,
    /// Number of the package that is being sent.
    sending: u32,
}

impl AgentHands {
    /// The effects of a machine's agent.
    pub fn new(machine: u32) -> AgentHands {
        AgentHands {
            machine,
            revision: 0,
            outbox: Vec::new(),
            last_collected: Timestamp::NEVER,
            memory: None,
            waiting: [NONE; 4],
            is_heard: true,
            sending: 0,
        }
    }

    /// Whether it still has this package.
    pub fn has(&self, id: PackageId) -> bool {
        self.outbox.iter().any(|published| published.parcel.id == id)
    }

    /// Packages that wait.
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    fn queued_of(published: &Published) -> Queued {
        let package = PackageNumber(u64::from(published.parcel.id.number));
        Queued { package, stream: StreamNumber(0), kind: Kind::Inventories }
    }

    fn published(&self, package: PackageNumber) -> Option<usize> {
        self.outbox.iter().position(|published| u64::from(published.parcel.id.number) == package.0)
    }

    fn wait(&mut self, number: u64, what: Waiting) {
        self.waiting[what as usize] = number as u32;
    }

    fn leave(&mut self, package: PackageNumber) -> Option<PackageId> {
        let id = self.outbox.remove(self.published(package)?).parcel.id;
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
        Some(id)
    }

    fn publish(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> AgentInput {
        let id = stage.book.published(stage.agent(self.machine));
        let bytes = stage.bytes_of(id);
        let local = at.local(now);
        let parcel = Parcel { id, bytes, hops: 0, collected: local, first_received: local, made: now, taken: now };
        let published = Published { parcel, sent: Timestamp(i64::MIN) };
        self.outbox.reserve_exact(1);
        self.outbox.push(published);
        self.last_collected = local;
        if stage.layout.settings(self.machine).clocks_ahead_ms != 0 {
            stage.record.probe("collected-by-a-sites-clocks", 1);
        }
        AgentInput::Published(vec![AgentHands::queued_of(&published)])
    }
}

impl Hands for AgentHands {
    type Core = AgentCore;

    fn recover(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> AgentCore {
        // What is installed anew knows nothing of lives before.
        if at.life > 1 && (self.revision > 0 || self.last_collected != Timestamp::NEVER) {
            stage.record.probe("agent-restarted", 1);
        }
        let memory = self.memory.as_deref();
        let seed = u64::from(at.id.0);
        let durable = AgentDurable {
            settings: stage.layout.settings(self.machine).clone(),
            rules: stage.layout.rules(self.machine, self.revision).clone(),
            has_policy: self.revision > 0,
            agent: stage.own_number(self.machine),
            device: stage.layout.device().clone(),
            policy_by: memory.map(|memory| memory.policy_by),
            queued: self.outbox.iter().map(AgentHands::queued_of).collect(),
            is_heard: self.is_heard,
            last_collected: (self.last_collected != Timestamp::NEVER).then_some(self.last_collected),
            ran: memory.map(|memory| memory.ran.clone()).unwrap_or_default(),
            measures: memory.map(|memory| memory.measures.clone()).unwrap_or_default(),
        };
        AgentCore::recover(durable, RngStream::new(stage.seed, seed, u64::from(at.life)), now)
    }

    fn died(&mut self, _: &Place, _: &mut Stage) {
        self.waiting = [NONE; 4];
    }

    fn gone(&mut self, _: &Place, stage: &mut Stage) {
        let lost = std::mem::replace(self, AgentHands::new(self.machine)).outbox;
        stage.record.probe("gone-with-its-machine", lost.len() as u64);
        lost.iter().for_each(|published| stage.book.gone(published.parcel.id));
        stage.renew(self.machine);
    }

    fn before_wake(&mut self, _: Timestamp) -> Option<AgentInput> {
        None
    }

    fn receive(&mut self, at: &Place, now: Timestamp, event: &Event, stage: &mut Stage) -> Vec<AgentInput> {
        let is_meant = |what: &Waiting| u64::from(self.waiting[*what as usize]) == event.number;
        let Some(what) = Waiting::ALL.into_iter().find(is_meant) else { return Vec::new() };
        self.waiting[what as usize] = NONE;
        let intent = IntentNumber(event.number);
        match (what, event.body) {
            (Waiting::Collection, _) => vec![self.publish(at, now, stage)],
            (Waiting::Measures, _) => {
                let servers = stage.layout.rules(self.machine, self.revision).servers.len();
                let places = (0..servers as u16).map(ServerNumber);
                let probe = |place| {
                    let node = stage.layout.server(self.machine, self.revision, place).unwrap_or(NodeId::SERVER);
                    // A way keeps its length, whoever measures it when.
                    let bits = stage.draw(at.id, 0, u64::from(node.0), 13);
                    let round_trip_ms = 2 * stage.scenario.network.delay_ms.pick(bits) as u32;
                    (place, Probe { at: now, ping: Ping::Reached { round_trip_ms, hops: None }, addresses: Vec::new() })
                };
                vec![AgentInput::Measured { intent, probes: places.map(probe).collect() }]
            }
            (Waiting::Upload, Body::Reply(reply)) => {
                let verdict = verdict_of(PackageId { agent: stage.agent(self.machine), number: self.sending }, reply);
                if matches!(reply, Reply::Receipt(_)) {
                    self.is_heard = true;
                }
                vec![AgentInput::Uploaded { intent, verdict, transfer: None }]
            }
            (Waiting::Policy, Body::Reply(Reply::Policy(revision))) => {
                let answered = |answer| AgentInput::PolicyAnswered { intent, answer };
                if revision < self.revision {
                    stage.record.probe("policy-older-not-taken", 1);
                    return vec![answered(PolicyAnswer::NotTaken)];
                }
                let held = std::mem::replace(&mut self.revision, revision);
                stage.book.checks.check("I19", self.revision >= held, || {
                    format!("agent {} goes by revision {revision} and held {held}", self.machine)
                });
                if revision == held {
                    return vec![answered(PolicyAnswer::Taken)];
                }
                stage.record.probe("policy-changed", 1);
                stage.record.policy_taken(stage.layout.policies.wrong(revision));
                let rules = stage.layout.rules(self.machine, revision).clone();
                vec![AgentInput::RulesChanged(rules), answered(PolicyAnswer::Taken)]
            }
            (Waiting::Policy, Body::Reply(Reply::Status { status: 503, retry_after_ms })) => {
                vec![AgentInput::PolicyAnswered { intent, answer: PolicyAnswer::Busy { retry_after_ms } }]
            }
            (Waiting::Policy, _) => vec![AgentInput::PolicyAnswered { intent, answer: PolicyAnswer::Silent }],
            (Waiting::Upload, _) => vec![AgentInput::Unsendable { intent }],
        }
    }

    fn carry_out(&mut self, at: &Place, now: Timestamp, wanted: Wanted<'_, AgentCore>, stage: &mut Stage) {
        let Wanted { number, intent, core } = wanted;
        let number = number.0;
        let done_after =
            |ms: i64, stage: &mut Stage| stage.post(now.plus_ms(ms.max(1)), at.id, at.id, number, at.life, Body::Done);
        match intent {
            AgentIntent::Collect => {
                self.wait(number, Waiting::Collection);
                done_after(stage.scenario.fleet.collect_ms.pick(stage.draw(at.id, at.life, number, 14)), stage);
            }
            AgentIntent::Measure(_) => {
                self.wait(number, Waiting::Measures);
                done_after(stage.scenario.network.delay_ms.0[1] * 2, stage);
            }
            AgentIntent::Upload { package, to } => {
                self.wait(number, Waiting::Upload);
                let (Some(place), Some(to)) =
                    (self.published(package), stage.layout.server(self.machine, self.revision, to))
                else {
                    done_after(1, stage);
                    return;
                };
                let published = &mut self.outbox[place];
                self.sending = published.parcel.id.number;
                let before = std::mem::replace(&mut published.sent, now);
                stage.record.sent(now, now.ms_since(before) >= NEW_PASS_MS);
                if stage.layout.server(self.machine, self.revision, ServerNumber(0)) != Some(to) {
                    stage.record.probe("agent-passed-over-a-server", 1);
                }
                let (what, bytes) = (What::Upload(published.parcel), u64::from(published.parcel.bytes));
                stage.call(now, Call::of(at, to, number, what, bytes));
            }
            AgentIntent::AskPolicy(from) => {
                self.wait(number, Waiting::Policy);
                match stage.layout.server(self.machine, self.revision, from) {
                    Some(to) => stage.call(now, Call::of(at, to, number, What::Policy, POLICY_BYTES)),
                    None => done_after(1, stage),
                }
            }
            AgentIntent::Delete { package, why } => {
                let Some(id) = self.leave(package) else { return };
                match why {
                    LetGo::Delivered => stage.book.let_go(id),
                    LetGo::Superseded => {
                        stage.record.probe("agent-superseded", 1);
                        stage.book.superseded(id);
                    }
                }
            }
            AgentIntent::Refuse(package) | AgentIntent::SetAside(package) => {
                if let Some(id) = self.leave(package) {
                    stage.book.refused(id);
                }
            }
            AgentIntent::Remember => {
                if stage.scenario.do_agents_restart() {
                    let (ran, measures) = (core.ran(), core.servers().measures().clone());
                    self.memory = Some(Box::new(Memory { ran, measures, policy_by: core.policy_by() }));
                }
            }
            AgentIntent::PublishLog => {}
        }
    }
}
