//! The driver that runs the deployed actors: every node is a `Role`, the frame of the deployed agents, beacons and server,
//! on one arbiter under tokio's paused clock.
//!
//! ```text
//! Role<SimHands<..>> --posts--> flights (a calendar queue) --Network, each millisecond--> Deliver(batch) --> Role
//! ```
//!
//! One `Network` actor keeps everything in flight and hands each node the events of one millisecond in their order, so no
//! order rests on that of timers. A node that wakes by its own timer in the same millisecond has woken before.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, System};
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;
use muster_actors::role::{self, FOREVER, Role};
use tokio::time::Instant;

use super::Closed;
use super::wheel::{Timed, Wheel};
use crate::scenario::Scenario;
use crate::world::{
    AgentHands, BeaconHands, Body, Director, Event, Hands, NodeId, Place, ServerHands, Stage, View, Wanted, refuse,
    state_of, waiting,
};

#[derive(Clone, Copy, PartialEq, Eq)]
struct Flight(Event);

impl Ord for Flight {
    fn cmp(&self, other: &Flight) -> std::cmp::Ordering {
        self.0.order().cmp(&other.0.order())
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Flight) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Timed for Flight {
    fn at(&self) -> Timestamp {
        self.0.at
    }
}

/// What outlives an actor: a node's disk, and where it stands.
struct Seat<H> {
    at: Place,
    hands: H,
    /// What its core drew, as told at the end.
    fingerprint: Option<u64>,
}

impl<H> Seat<H> {
    fn new(id: NodeId, hands: H) -> Rc<RefCell<Seat<H>>> {
        Rc::new(RefCell::new(Seat { at: Place::new(id), hands, fingerprint: None }))
    }
}

/// What all actors share.
struct Shared {
    start: Timestamp,
    began: Instant,
    stage: RefCell<Stage>,
    flights: RefCell<Wheel<Flight>>,
    network: RefCell<Option<Addr<Network>>>,
    /// When the network looks next.
    armed: Cell<Timestamp>,
    /// Cores that woke because they were due.
    woken: Cell<u64>,
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.start.after(self.began.elapsed())
    }

    /// Puts what was posted in flight; the network is told when it would look too late.
    fn send_off(&self) {
        let mut stage = self.stage.borrow_mut();
        if stage.posted.is_empty() {
            return;
        }
        let mut flights = self.flights.borrow_mut();
        let soonest = stage.posted.iter().map(|event| event.at).min().unwrap_or(Timestamp::NEVER);
        stage.posted.drain(..).for_each(|event| flights.push(Flight(event)));
        if soonest < self.armed.get()
            && let Some(network) = &*self.network.borrow()
        {
            self.armed.set(soonest);
            network.do_send(LookAgain);
        }
    }
}

/// The effects of a node in this driver.
struct SimHands<H> {
    shared: Rc<Shared>,
    seat: Rc<RefCell<Seat<H>>>,
}

impl<H: Hands + Unpin + 'static> role::Hands for SimHands<H>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    type Core = H::Core;

    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    fn sleep_max(&self, _: &H::Core) -> Duration {
        FOREVER
    }

    fn before_wake(&mut self, _: &H::Core, _: &mut Context<Role<Self>>) -> Option<<H::Core as Core>::Input> {
        let told = self.seat.borrow_mut().hands.before_wake(self.shared.now());
        // It is asked until there is nothing more, once for each wake.
        self.shared.woken.set(self.shared.woken.get() + u64::from(told.is_none()));
        told
    }

    fn carry_out(
        &mut self,
        number: IntentNumber,
        intent: <H::Core as Core>::Intent,
        core: &H::Core,
        _: &mut Context<Role<Self>>,
    ) {
        let Seat { at, hands, .. } = &mut *self.seat.borrow_mut();
        hands.carry_out(at, self.shared.now(), Wanted { number, intent, core }, &mut self.shared.stage.borrow_mut());
    }

    fn turned(&mut self, _: &H::Core) {
        self.shared.send_off();
    }
}

/// The events of one millisecond of a node.
#[derive(Message)]
#[rtype(result = "()")]
struct Deliver(Vec<Event>);

impl<H: Hands + Unpin + 'static> Handler<Deliver> for Role<SimHands<H>>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, Deliver(events): Deliver, ctx: &mut Context<Self>) {
        // It wakes before it hears, whichever of the two was scheduled first.
        self.turn(ctx);
        let (shared, seat) = (self.hands().shared.clone(), self.hands().seat.clone());
        let now = shared.now();
        for event in events {
            if matches!(event.body, Body::Fault { .. } | Body::Installed) {
                let Seat { at, hands, .. } = &mut *seat.borrow_mut();
                if at.befall(&event.body) == Some(false) {
                    hands.died(at, &mut shared.stage.borrow_mut());
                    // Nothing that it wanted is done any more.
                    self.stop(ctx);
                    ctx.stop();
                }
                continue;
            }
            let inputs = {
                let Seat { at, hands, .. } = &mut *seat.borrow_mut();
                let stage = &mut *shared.stage.borrow_mut();
                if !at.runs() {
                    refuse(now, &event, stage);
                    continue;
                }
                if at.is_meant(&event) { hands.receive(at, now, &event, stage) } else { Vec::new() }
            };
            inputs.into_iter().for_each(|input| self.hear(input, ctx));
        }
        shared.send_off();
        self.rest(ctx);
    }
}

/// The run is over: tell what was drawn.
#[derive(Message)]
#[rtype(result = "()")]
struct Tell;

impl<H: Hands + Unpin + 'static> Handler<Tell> for Role<SimHands<H>>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, _: Tell, ctx: &mut Context<Self>) {
        let seat = self.hands().seat.clone();
        seat.borrow_mut().fingerprint = Some(self.core().fingerprint());
        self.stop(ctx);
        ctx.stop();
    }
}

/// A node: what outlives its actor, and the actor while there is one.
struct Node<H: Hands + Unpin + 'static>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    seat: Rc<RefCell<Seat<H>>>,
    actor: Option<Addr<Role<SimHands<H>>>>,
}

impl<H: Hands + Unpin + 'static> Node<H>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    fn new(id: NodeId, hands: H) -> Node<H> {
        Node { seat: Seat::new(id, hands), actor: None }
    }

    /// Hands its events to the actor; while there is none, they befall the node.
    fn deliver(&mut self, now: Timestamp, mut events: Vec<Event>, shared: &Rc<Shared>) {
        if !self.seat.borrow().at.runs() {
            self.actor = None;
            let mut told = 0;
            for event in &events {
                if self.seat.borrow().at.runs() {
                    break;
                }
                told += 1;
                let begins = self.seat.borrow_mut().at.befall(&event.body) == Some(true);
                if begins {
                    let core = {
                        let Seat { at, hands, .. } = &mut *self.seat.borrow_mut();
                        hands.recover(at, now, &mut shared.stage.borrow_mut())
                    };
                    let hands = SimHands { shared: shared.clone(), seat: self.seat.clone() };
                    self.actor = Some(Role::new(core, hands, None).start());
                } else {
                    refuse(now, event, &mut shared.stage.borrow_mut());
                }
            }
            events.drain(..told);
        }
        if let (Some(actor), false) = (&self.actor, events.is_empty()) {
            actor.do_send(Deliver(events));
        }
    }

    fn tell(&self) {
        if let Some(actor) = &self.actor {
            actor.do_send(Tell);
        }
    }

    fn state(&self) -> u64 {
        let seat = self.seat.borrow();
        state_of(seat.at.life, seat.fingerprint.filter(|_| seat.at.runs()))
    }
}

struct Nodes {
    server: Node<ServerHands>,
    beacons: Vec<Node<BeaconHands>>,
    agents: Vec<Node<AgentHands>>,
}

impl View for Nodes {
    fn each_beacon(&self, see: &mut dyn FnMut(NodeId, &BeaconHands)) {
        self.beacons.iter().zip(1..).for_each(|(beacon, node)| see(NodeId(node), &beacon.seat.borrow().hands));
    }

    fn server(&self, see: &mut dyn FnMut(&ServerHands)) {
        see(&self.server.seat.borrow().hands);
    }

    fn has(&self, agent: u32, number: u32) -> bool {
        self.agents[agent as usize].seat.borrow().hands.has(number)
    }

    fn queued(&self) -> u64 {
        self.agents.iter().map(|agent| agent.seat.borrow().hands.queued() as u64).sum()
    }

    fn each_state(&self, see: &mut dyn FnMut(u64)) {
        see(self.server.state());
        self.beacons.iter().for_each(|node| see(node.state()));
        self.agents.iter().for_each(|node| see(node.state()));
    }
}

/// Something was posted for sooner than the network looks.
#[derive(Message)]
#[rtype(result = "()")]
struct LookAgain;

/// See the module's head.
struct Network {
    shared: Rc<Shared>,
    nodes: Nodes,
    director: Director,
    timer: Option<SpawnHandle>,
    end: Timestamp,
    delivered: u64,
    reached: Box<dyn FnMut(Timestamp)>,
    closed: Rc<RefCell<Option<Closing>>>,
}

/// What the network leaves when the run is over.
struct Closing {
    nodes: Nodes,
    delivered: u64,
}

impl Network {
    fn look(&mut self, ctx: &mut Context<Network>) {
        let now = self.shared.now();
        if self.director.due() <= now {
            let cue = self.director.act(now, &mut self.shared.stage.borrow_mut());
            self.shared.send_off();
            let mut stage = self.shared.stage.borrow_mut();
            if cue.look {
                stage.look(now, &self.nodes);
                (self.reached)(now);
            }
            if cue.check {
                stage.check(now, &self.nodes);
            }
        }
        let mut batch: Vec<Event> = Vec::new();
        loop {
            let next = self.shared.flights.borrow_mut().pop(now);
            if let Some(Flight(event)) = next
                && batch.first().is_none_or(|first| first.to == event.to)
            {
                batch.push(event);
                continue;
            }
            if batch.is_empty() {
                break;
            }
            self.deliver(now, std::mem::take(&mut batch));
            batch.extend(next.map(|Flight(event)| event));
        }
        self.arm(ctx);
    }

    fn deliver(&mut self, now: Timestamp, events: Vec<Event>) {
        let Some(node) = events.first().map(|event| event.to) else { return };
        self.delivered += events.len() as u64;
        let beacons = self.nodes.beacons.len();
        match node.0 as usize {
            0 => self.nodes.server.deliver(now, events, &self.shared),
            number if number <= beacons => self.nodes.beacons[number - 1].deliver(now, events, &self.shared),
            number => self.nodes.agents[number - 1 - beacons].deliver(now, events, &self.shared),
        }
        self.shared.send_off();
    }

    fn arm(&mut self, ctx: &mut Context<Network>) {
        let now = self.shared.now();
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let flight = self.shared.flights.borrow_mut().next_at().unwrap_or(Timestamp::NEVER);
        let next = flight.min(self.director.due()).max(now.plus_ms(1));
        if next > self.end {
            self.shared.armed.set(Timestamp::NEVER);
            // Whatever is due at the end itself has its turn before.
            self.timer = Some(ctx.run_later(self.end.since(now) + Duration::from_micros(500), Network::close));
            return;
        }
        self.shared.armed.set(next);
        self.timer = Some(ctx.run_later(next.since(now), |network, ctx| {
            network.timer = None;
            network.look(ctx);
        }));
    }

    fn close(&mut self, ctx: &mut Context<Network>) {
        self.nodes.server.tell();
        self.nodes.beacons.iter().for_each(Node::tell);
        self.nodes.agents.iter().for_each(Node::tell);
        self.shared.network.borrow_mut().take();
        // When all have told.
        ctx.run_later(Duration::from_millis(1), |network, _| {
            let empty = Nodes {
                server: Node::new(NodeId::SERVER, ServerHands::new(&network.shared.stage.borrow())),
                beacons: Vec::new(),
                agents: Vec::new(),
            };
            let nodes = std::mem::replace(&mut network.nodes, empty);
            *network.closed.borrow_mut() = Some(Closing { nodes, delivered: network.delivered });
            System::current().stop();
        });
    }
}

impl Actor for Network {
    type Context = Context<Network>;

    fn started(&mut self, ctx: &mut Context<Network>) {
        self.shared.network.borrow_mut().replace(ctx.address());
        self.look(ctx);
    }
}

impl Handler<LookAgain> for Network {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Context<Network>) {
        self.arm(ctx);
    }
}

/// Runs a scenario to its end; `reached` hears how far it is.
pub fn run(seed: u64, scenario: Arc<Scenario>, reached: impl FnMut(Timestamp) + 'static) -> std::io::Result<Closed> {
    // Time only: without a driver of sockets, the clock can go on by a look at its own timers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let closed: Rc<RefCell<Option<Closing>>> = Rc::default();
    let system = System::with_tokio_rt(|| runtime);
    let kept = closed.clone();
    let shared = system.block_on(async move {
        let stage = Stage::new(seed, scenario);
        let (start, end) = (stage.scenario.start, stage.scenario.end());
        let beacons = (1..=stage.layout.beacons()).map(NodeId).map(|id| Node::new(id, BeaconHands::new(id, &stage)));
        let agent = |agent| Node::new(stage.layout.agent_node(agent), AgentHands::new(agent));
        let nodes = Nodes {
            server: Node::new(NodeId::SERVER, ServerHands::new(&stage)),
            beacons: beacons.collect(),
            agents: (0..stage.scenario.agents).map(agent).collect(),
        };
        let director = Director::new(&stage);
        let shared = Rc::new(Shared {
            start,
            began: Instant::now(),
            stage: RefCell::new(stage),
            flights: RefCell::new(Wheel::new(start)),
            network: RefCell::default(),
            armed: Cell::new(Timestamp::NEVER),
            woken: Cell::new(0),
        });
        let (timer, delivered) = (None, 0);
        let network = Network {
            shared: shared.clone(),
            nodes,
            director,
            timer,
            end,
            delivered,
            reached: Box::new(reached),
            closed: kept,
        };
        network.start();
        shared
    });
    system.run()?;
    let Some(Closing { nodes, delivered }) = closed.borrow_mut().take() else {
        return Err(std::io::Error::other("the simulated world ended before its time"));
    };
    let mut stage = shared.stage.borrow_mut();
    let end = stage.scenario.end();
    stage.close(end, &nodes);
    let (digest, waiting) = (stage.digest(&nodes), waiting(&nodes));
    let events = delivered + shared.woken.get();
    let scenario = stage.scenario.clone();
    let stage = std::mem::replace(&mut *stage, Stage::new(seed, scenario));
    Ok(Closed { stage, digest, waiting, events })
}
