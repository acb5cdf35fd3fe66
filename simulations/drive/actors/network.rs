//! The one actor that keeps everything in flight, and the nodes that it delivers to.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle, System};
use muster::time::Timestamp;

use super::node::Node;
use super::{Flight, Shared};
use crate::world::{AgentHands, BeaconHands, Director, Event, NodeId, PackageId, ServerHands, View};

/// Every node.
pub(super) struct Nodes {
    pub(super) server: Node<ServerHands>,
    pub(super) beacons: Vec<Node<BeaconHands>>,
    pub(super) agents: Vec<Node<AgentHands>>,
}

impl View for Nodes {
    fn each_beacon(&self, see: &mut dyn FnMut(NodeId, &BeaconHands)) {
        self.beacons.iter().zip(1..).for_each(|(beacon, node)| see(NodeId(node), &beacon.seat.borrow().hands));
    }

    fn server(&self, see: &mut dyn FnMut(&ServerHands)) {
        see(&self.server.seat.borrow().hands);
    }

    fn has(&self, machine: u32, id: PackageId) -> bool {
        self.agents[machine as usize].seat.borrow().hands.has(id)
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
pub(super) struct LookAgain;

/// See the module's head.
pub(super) struct Network {
    pub(super) shared: Rc<Shared>,
    pub(super) nodes: Nodes,
    pub(super) director: Director,
    pub(super) timer: Option<SpawnHandle>,
    pub(super) end: Timestamp,
    pub(super) delivered: u64,
    pub(super) reached: Box<dyn FnMut(Timestamp)>,
    pub(super) closed: Rc<RefCell<Option<Closing>>>,
}

/// What the network leaves when the run is over.
pub(super) struct Closing {
    pub(super) nodes: Nodes,
    pub(super) delivered: u64,
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
