//! The driver that runs the deployed actors: every node is a `Role`, the frame of the deployed agents, beacons and server,
//! on one arbiter under tokio's paused clock.
//!
//! ```text
//! Role<SimHands<..>> --posts--> flights (a calendar queue) --Network, each millisecond--> Deliver(batch) --> Role
//! ```
//!
//! One `Network` actor keeps everything in flight and hands each node the events of one millisecond in their order, so no
//! order rests on that of timers. A node that wakes by its own timer in the same millisecond has woken before.

mod network;
mod node;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, System};
use muster::time::Timestamp;
use tokio::time::Instant;

use super::Closed;
use super::wheel::{Timed, Wheel};
use crate::scenario::Scenario;
use crate::world::{AgentHands, BeaconHands, Director, Event, NodeId, ServerHands, Stage, digest, waiting};
use network::{Closing, LookAgain, Network, Nodes};
use node::Node;

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
        let (director, agents) = (Director::new(&stage), stage.scenario.agents);
        let shared = Rc::new(Shared {
            start,
            began: Instant::now(),
            stage: RefCell::new(stage),
            flights: RefCell::new(Wheel::new(start, agents)),
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
    let (digest, waiting) = (digest(stage.record.digest, &nodes), waiting(&nodes));
    let events = delivered + shared.woken.get();
    let scenario = stage.scenario.clone();
    let stage = std::mem::replace(&mut *stage, Stage::new(seed, scenario));
    Ok(Closed { stage, digest, waiting, events })
}
