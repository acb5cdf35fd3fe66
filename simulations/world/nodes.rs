//! All nodes of a world, for the driver that keeps them itself.

use muster::roles::Core;
use muster::time::Timestamp;

use super::Stage;
use super::agent::AgentHands;
use super::beacon::BeaconHands;
use super::event::{Event, NodeId, PackageId};
use super::layout::Level;
use super::node::{Hands, Node};
use super::server::ServerHands;
use super::view::{View, state_of};

/// See the module's head.
pub struct World {
    /// What they share.
    pub stage: Stage,
    nodes: Nodes,
}

struct Nodes {
    server: Node<ServerHands>,
    beacons: Vec<Node<BeaconHands>>,
    agents: Vec<Node<AgentHands>>,
}

impl World {
    /// Every node, none of them running yet.
    pub fn new(stage: Stage) -> World {
        let server = Node::new(NodeId::SERVER, ServerHands::new(&stage));
        let beacons = (1..=stage.layout.beacons()).map(NodeId).map(|id| Node::new(id, BeaconHands::new(id, &stage)));
        let beacons = beacons.collect();
        let agent = |agent| Node::new(stage.layout.agent_node(agent), AgentHands::new(agent));
        let agents = (0..stage.scenario.agents).map(agent).collect();
        World { stage, nodes: Nodes { server, beacons, agents } }
    }

    /// When a node wants to be stepped although nothing reaches it.
    pub fn due(&self, node: NodeId) -> Timestamp {
        match self.place(node) {
            (Level::Server, _) => self.nodes.server.due(),
            (Level::Agent, place) => self.nodes.agents[place].due(),
            (_, place) => self.nodes.beacons[place].due(),
        }
    }

    /// Reads what a step of the node will read first.
    pub fn touch(&self, node: NodeId) -> Timestamp {
        match self.place(node) {
            (Level::Agent, place) => self.nodes.agents[place].core().map_or(Timestamp::NEVER, Core::next_due),
            _ => Timestamp::NEVER,
        }
    }

    fn place(&self, node: NodeId) -> (Level, usize) {
        let beacons = self.nodes.beacons.len();
        match node.0 as usize {
            0 => (Level::Server, 0),
            number if number <= beacons => (Level::Leaf, number - 1),
            number => (Level::Agent, number - 1 - beacons),
        }
    }

    /// One millisecond of one node.
    pub fn step(&mut self, node: NodeId, now: Timestamp, events: &[Event]) {
        match self.place(node) {
            (Level::Server, _) => self.nodes.server.step(now, events, &mut self.stage),
            (Level::Agent, place) => self.nodes.agents[place].step(now, events, &mut self.stage),
            (_, place) => self.nodes.beacons[place].step(now, events, &mut self.stage),
        }
    }

    /// The stage, and the nodes as those see them who check.
    pub fn parts(&mut self) -> (&mut Stage, &dyn View) {
        (&mut self.stage, &self.nodes)
    }
}

impl View for Nodes {
    fn each_beacon(&self, see: &mut dyn FnMut(NodeId, &BeaconHands)) {
        self.beacons.iter().zip(1..).for_each(|(beacon, node)| see(NodeId(node), beacon.hands()));
    }

    fn server(&self, see: &mut dyn FnMut(&ServerHands)) {
        see(self.server.hands());
    }

    fn has(&self, machine: u32, id: PackageId) -> bool {
        self.agents[machine as usize].hands().has(id)
    }

    fn queued(&self) -> u64 {
        self.agents.iter().map(|agent| agent.hands().queued() as u64).sum()
    }

    fn each_state(&self, see: &mut dyn FnMut(u64)) {
        fn of<H: Hands>(node: &Node<H>) -> u64 {
            state_of(node.life(), node.core().map(Core::fingerprint))
        }
        see(of(&self.server));
        self.beacons.iter().for_each(|node| see(of(node)));
        self.agents.iter().for_each(|node| see(of(node)));
    }
}
