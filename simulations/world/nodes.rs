//! All nodes of a world, and the comparison of what is true with what they hold.

use std::collections::HashSet;

use muster::rng::mix;
use muster::roles::Core;
use muster::time::Timestamp;

use super::agent::AgentHands;
use super::beacon::BeaconHands;
use super::event::{Event, NodeId, PackageId};
use super::layout::Level;
use super::node::{Hands, Node};
use super::record::Spool;
use super::server::ServerHands;
use super::Stage;

/// See the module's head.
pub struct World {
    /// What they share.
    pub stage: Stage,
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
        World { stage, server, beacons, agents }
    }

    /// When a node wants to be stepped although nothing reaches it.
    pub fn due(&self, node: NodeId) -> Timestamp {
        match self.place(node) {
            (Level::Server, _) => self.server.due(),
            (Level::Agent, place) => self.agents[place].due(),
            (_, place) => self.beacons[place].due(),
        }
    }

    fn place(&self, node: NodeId) -> (Level, usize) {
        let beacons = self.beacons.len();
        match node.0 as usize {
            0 => (Level::Server, 0),
            number if number <= beacons => (Level::Leaf, number - 1),
            number => (Level::Agent, number - 1 - beacons),
        }
    }

    /// One millisecond of one node.
    pub fn step(&mut self, node: NodeId, now: Timestamp, events: &[Event]) {
        match self.place(node) {
            (Level::Server, _) => self.server.step(now, events, &mut self.stage),
            (Level::Agent, place) => self.agents[place].step(now, events, &mut self.stage),
            (_, place) => self.beacons[place].step(now, events, &mut self.stage),
        }
    }

    /// Notes what beacons hold.
    pub fn look(&mut self, now: Timestamp) {
        let mut levels = [Spool::default(); 2];
        for (beacon, node) in self.beacons.iter().zip(1..) {
            let level = usize::from(self.stage.layout.level(NodeId(node)) == Level::Middle);
            let (packages, bytes) = beacon.hands().spool();
            self.stage.record.holds(NodeId(node), packages, bytes);
            let spool = &mut levels[level];
            spool.packages += packages;
            spool.bytes += bytes;
            spool.most = spool.most.max(packages);
        }
        self.stage.record.spool.push((now, levels));
    }

    /// Packages at agents and in spools now.
    pub fn waiting(&self) -> (u64, u64) {
        let queued = self.agents.iter().map(|agent| agent.hands().queued() as u64).sum();
        (queued, self.beacons.iter().map(|beacon| beacon.hands().spool().0).sum())
    }

    /// Compares sets: what has a receipt is held or final, what has none is with its agent or given up, and the newest
    /// imported one of each agent is the one its ledger names.
    pub fn check(&mut self, now: Timestamp) {
        let held: HashSet<PackageId> =
            self.beacons.iter().flat_map(|beacon| beacon.hands().packages()).chain(self.server.hands().packages()).collect();
        let (mut lost, mut astray) = (None, None);
        let (mut receipted, mut others) = (0, 0);
        for (id, has_receipt, is_given_up) in self.stage.book.unsettled() {
            if has_receipt {
                receipted += 1;
                if !held.contains(&id) {
                    lost.get_or_insert(id);
                }
            } else {
                others += 1;
                if !is_given_up && !self.agents[id.agent as usize].hands().has(id.number) {
                    astray.get_or_insert(id);
                }
            }
        }
        let at = now.to_rfc3339();
        let checks = &mut self.stage.book.checks;
        checks.held("I1", receipted);
        checks.held("I7", others);
        if let Some(id) = lost {
            checks.check("I1", false, || format!("{at}: {id:?} has a receipt, and no node holds it"));
        }
        if let Some(id) = astray {
            checks.check("I7", false, || format!("{at}: {id:?} has no receipt, and its agent does not have it"));
        }
        for agent in 0..self.agents.len() as u32 {
            let newest = self.server.hands().ledger(agent).newest();
            let number = newest.and_then(|newest| newest.sequence).map_or(0, |sequence| sequence.number);
            let wanted = self.stage.book.newest_imported(agent);
            self.stage.book.checks.check("I8", number == u64::from(wanted), || {
                format!("{at}: the ledger of agent {agent} names {number} as the newest, {wanted} is")
            });
        }
    }

    /// The digest of the run: every arrival at the server, and the final random state of every node.
    pub fn digest(&self) -> u64 {
        fn state<H: Hands>(node: &Node<H>) -> u64 {
            mix(u64::from(node.life()), node.core().map_or(0, Core::fingerprint))
        }
        let beacons = self.beacons.iter().map(state);
        let agents = self.agents.iter().map(state);
        std::iter::once(state(&self.server)).chain(beacons).chain(agents).fold(self.stage.record.digest, mix)
    }
}
