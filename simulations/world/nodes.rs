//! All nodes of a world or of a part of it, for the drivers that keep them themselves.

use muster::roles::Core;
use muster::time::Timestamp;

use super::agent::AgentHands;
use super::beacon::BeaconHands;
use super::event::{Event, NodeId, PackageId};
use super::front::Front;
use super::layout::Level;
use super::node::{Hands, Node};
use super::server::ServerHands;
use super::view::{View, state_of};
use super::{Scope, Stage};

/// See the module's head.
pub struct World {
    /// What they share.
    pub stage: Stage,
    nodes: Nodes,
}

/// See the module's head.
pub struct Nodes {
    server: Server,
    beacons: Vec<(NodeId, Node<BeaconHands>)>,
    /// Where each beacon of the whole world stands among these, by its number; `ABSENT` for not here.
    places: Vec<u32>,
    first_agent: u32,
    agents: Vec<Node<AgentHands>>,
}

const ABSENT: u32 = u32::MAX;

enum Server {
    Itself(Box<Node<ServerHands>>),
    Front(Front),
}

impl World {
    /// Every node of the stage's part, none of them running yet.
    pub fn new(stage: Stage) -> World {
        let server = match stage.scope {
            Scope::Region { .. } => Server::Front(Front::new()),
            Scope::All | Scope::Server => Server::Itself(Box::new(Node::new(NodeId::SERVER, ServerHands::new(&stage)))),
        };
        let (mut beacons, mut places) = (Vec::new(), vec![ABSENT; 1 + stage.layout.beacons() as usize]);
        for id in (1..=stage.layout.beacons()).map(NodeId).filter(|id| stage.scope.owns(&stage.layout, *id)) {
            places[id.0 as usize] = beacons.len() as u32;
            beacons.push((id, Node::new(id, BeaconHands::new(id, &stage))));
        }
        let agents = stage.scope.machines(&stage.layout);
        let agent = |agent| Node::new(stage.layout.agent_node(agent), AgentHands::new(agent));
        let nodes = Nodes { server, beacons, places, first_agent: agents.start, agents: agents.map(agent).collect() };
        World { stage, nodes }
    }

    /// Nodes that are stepped here.
    pub fn count(&self) -> usize {
        1 + self.nodes.beacons.len() + self.nodes.agents.len()
    }

    /// Which of them a node is, from 0.
    pub fn number(&self, node: NodeId) -> usize {
        match self.nodes.place(node) {
            (Level::Server, _) => 0,
            (Level::Agent, place) => 1 + self.nodes.beacons.len() + place,
            (_, place) => 1 + place,
        }
    }

    /// When a node wants to be stepped although nothing reaches it.
    pub fn due(&self, node: NodeId) -> Timestamp {
        match self.nodes.place(node) {
            (Level::Server, _) => match &self.nodes.server {
                Server::Itself(server) => server.due(),
                Server::Front(_) => Timestamp::NEVER,
            },
            (Level::Agent, place) => self.nodes.agents[place].due(),
            (_, place) => self.nodes.beacons[place].1.due(),
        }
    }

    /// Reads what a step of the node will read first.
    pub fn touch(&self, node: NodeId) -> Timestamp {
        match self.nodes.place(node) {
            (Level::Agent, place) => self.nodes.agents[place].core().map_or(Timestamp::NEVER, Core::next_due),
            _ => Timestamp::NEVER,
        }
    }

    /// One millisecond of one node.
    pub fn step(&mut self, node: NodeId, now: Timestamp, events: &[Event]) {
        match self.nodes.place(node) {
            (Level::Server, _) => match &mut self.nodes.server {
                Server::Itself(server) => server.step(now, events, &mut self.stage),
                Server::Front(front) => front.step(now, events, &mut self.stage),
            },
            (Level::Agent, place) => self.nodes.agents[place].step(now, events, &mut self.stage),
            (_, place) => self.nodes.beacons[place].1.step(now, events, &mut self.stage),
        }
    }

    /// The stage, and the nodes as those see them who check.
    pub fn parts(&mut self) -> (&mut Stage, &Nodes) {
        (&mut self.stage, &self.nodes)
    }
}

impl Nodes {
    fn place(&self, node: NodeId) -> (Level, usize) {
        match node.0.checked_sub(self.places.len() as u32) {
            None if node == NodeId::SERVER => (Level::Server, 0),
            None => (Level::Leaf, self.places[node.0 as usize] as usize),
            Some(agent) => (Level::Agent, (agent - self.first_agent) as usize),
        }
    }

    /// Shows the state of each agent, in their order.
    pub fn each_agent_state(&self, see: &mut dyn FnMut(u64)) {
        self.agents.iter().for_each(|node| see(state(node)));
    }

    /// The state of the server, and of each beacon with its number.
    pub fn beacon_states(&self) -> (Option<u64>, Vec<(NodeId, u64)>) {
        let server = match &self.server {
            Server::Itself(server) => Some(state(server)),
            Server::Front(_) => None,
        };
        (server, self.beacons.iter().map(|(id, node)| (*id, state(node))).collect())
    }
}

fn state<H: Hands>(node: &Node<H>) -> u64 {
    state_of(node.life(), node.core().map(Core::fingerprint))
}

impl View for Nodes {
    fn each_beacon(&self, see: &mut dyn FnMut(NodeId, &BeaconHands)) {
        self.beacons.iter().for_each(|(id, beacon)| see(*id, beacon.hands()));
    }

    fn server(&self, see: &mut dyn FnMut(&ServerHands)) {
        if let Server::Itself(server) = &self.server {
            see(server.hands());
        }
    }

    fn has(&self, machine: u32, id: PackageId) -> bool {
        self.agents[(machine - self.first_agent) as usize].hands().has(id)
    }

    fn queued(&self) -> u64 {
        self.agents.iter().map(|agent| agent.hands().queued() as u64).sum()
    }

    fn each_state(&self, see: &mut dyn FnMut(u64)) {
        let (server, beacons) = self.beacon_states();
        server.into_iter().chain(beacons.into_iter().map(|(_, state)| state)).for_each(&mut *see);
        self.each_agent_state(see);
    }
}

/// A region beside the server that stands apart from it.
pub struct Beside<'n> {
    /// Its beacons and agents.
    pub region: &'n Nodes,
    /// The server.
    pub server: &'n Nodes,
}

impl View for Beside<'_> {
    fn each_beacon(&self, see: &mut dyn FnMut(NodeId, &BeaconHands)) {
        self.region.each_beacon(see);
    }

    fn server(&self, see: &mut dyn FnMut(&ServerHands)) {
        self.server.server(see);
    }

    fn has(&self, machine: u32, id: PackageId) -> bool {
        self.region.has(machine, id)
    }

    fn queued(&self) -> u64 {
        self.region.queued()
    }

    fn each_state(&self, see: &mut dyn FnMut(u64)) {
        self.region.each_state(see);
    }
}
