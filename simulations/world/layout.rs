//! Who uploads where: numbers, addresses and lists of a generated hierarchy.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use muster::formats::failover::{Failover, Password, Priority, Protocol, Server};
use muster::id::Guid;
use muster::policy::content::Content;
use muster::rng::mix;
use muster::roles::agent::{AgentRules, AgentSettings, ServerNumber};
use muster::roles::beacon::Parent;
use muster::schedule::standard_schedule;
use muster::time::{DAY_MS, HOUR_MS};
use muster::upload::selector::Device;

use super::event::NodeId;
use crate::scenario::{Scenario, Target};

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The server.
    Server,
    /// Between leaves and server.
    Middle,
    /// Takes the agents' uploads.
    Leaf,
    /// An agent.
    Agent,
}

impl Level {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Server => "server",
            Level::Middle => "middle",
            Level::Leaf => "leaf",
            Level::Agent => "agent",
        }
    }
}

/// What the agents of one leaf go by.
struct Region {
    /// Before the first policy, and by it.
    rules: [Arc<AgentRules>; 2],
    /// The node at each place of the rules' servers.
    nodes: [Vec<NodeId>; 2],
}

/// See the module's head.
pub struct Layout {
    middles: u32,
    leaves: u32,
    agents: u32,
    agents_per_leaf: u32,
    settings: Vec<Arc<AgentSettings>>,
    regions: Vec<Region>,
    /// Of each beacon.
    parents: Vec<Arc<[Parent]>>,
    addresses: BTreeMap<Arc<str>, NodeId>,
    device: Arc<Device>,
}

/// The host under which a node is known.
fn host(node: NodeId) -> String {
    if node == NodeId::SERVER { "server".into() } else { format!("beacon{}.example", node.0) }
}

/// Port of every simulated listener.
const PORT: u16 = 7_080;

fn guid(node: NodeId) -> Guid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(u64::from(node.0), 1).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(u64::from(node.0), 2).to_be_bytes());
    Guid::from_random(bytes)
}

impl Layout {
    /// The hierarchy of a scenario.
    pub fn new(scenario: &Scenario) -> Layout {
        let of = &scenario.hierarchy;
        let leaves = scenario.agents.div_ceil(of.agents_per_leaf).max(of.leaves_min);
        let middles = if of.leaves_per_middle == 0 { 0 } else { leaves.div_ceil(of.leaves_per_middle) };
        let address = |node: NodeId| -> Arc<str> { format!("http://{}:{PORT}", host(node)).into() };
        let nodes = (0..=middles + leaves).map(NodeId);
        let addresses = nodes.map(|node| (address(node), node)).collect();
        let own_and_next = |own: u32, all: u32| (0..of.parents.min(all)).map(move |step| (own + step) % all);
        let parents = (0..middles + leaves).map(|beacon| -> Arc<[Parent]> {
            let of_leaf = beacon.checked_sub(middles).filter(|_| middles > 0);
            match of_leaf {
                Some(leaf) => own_and_next(leaf / of.leaves_per_middle, middles)
                    .map(|middle| Parent(address(NodeId(1 + middle))))
                    .collect(),
                None => Arc::new([Parent(address(NodeId::SERVER))]),
            }
        });
        let schedule = standard_schedule(&scenario.schedule, scenario.start);
        let leaf_node = |leaf: u32| NodeId(1 + middles + leaf % leaves);
        let agents_per_leaf = scenario.agents.div_ceil(leaves).max(1);
        let setting = |leaf: u32| {
            Arc::new(AgentSettings {
                servers: [address(leaf_node(leaf)).to_string()].into(),
                allow_plain: true,
                collect_at_start: false,
                inventory_every_ms: DAY_MS,
                policy_every_ms: 12 * HOUR_MS,
                catch_up_from_ms: 11 * HOUR_MS,
            })
        };
        let settings: Vec<Arc<AgentSettings>> = (0..leaves).map(setting).collect();
        let regions = (0..leaves).zip(&settings).map(|(leaf, settings)| {
            let listed: Vec<NodeId> = (0..of.failover.min(leaves)).map(|step| leaf_node(leaf + step)).collect();
            let servers: Vec<Server> = listed.iter().zip(1..).map(|(node, priority)| server(*node, priority)).collect();
            let failover = Failover {
                selector: Vec::new(),
                highest_priority: 1,
                lowest_priority: 100,
                downloads: servers.clone(),
                uploads: servers,
            };
            let contents = vec![Content::Schedule(schedule.clone()), Content::Failover(failover)];
            let rules = [AgentRules::new(0, settings, vec![]), AgentRules::new(1, settings, contents)].map(Arc::new);
            // The configured server is the first of the list.
            Region { rules, nodes: [vec![leaf_node(leaf)], listed] }
        });
        Layout {
            middles,
            leaves,
            agents: scenario.agents,
            agents_per_leaf,
            regions: regions.collect(),
            settings,
            parents: parents.collect(),
            addresses,
            device: Arc::default(),
        }
    }

    /// What every agent knows of its host: nothing that servers are chosen by.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Beacons: middles, then leaves.
    pub fn beacons(&self) -> u32 {
        self.middles + self.leaves
    }

    /// Nodes in all.
    pub fn nodes(&self) -> u32 {
        1 + self.beacons() + self.agents
    }

    /// Where a node stands.
    pub fn level(&self, node: NodeId) -> Level {
        match node.0 {
            0 => Level::Server,
            number if number <= self.middles => Level::Middle,
            number if number <= self.beacons() => Level::Leaf,
            _ => Level::Agent,
        }
    }

    /// The node of an agent.
    pub fn agent_node(&self, agent: u32) -> NodeId {
        NodeId(1 + self.beacons() + agent)
    }

    /// The agent of a node.
    pub fn agent_of(&self, node: NodeId) -> u32 {
        node.0 - 1 - self.beacons()
    }

    /// The parents of a beacon, in order.
    pub fn parents(&self, beacon: NodeId) -> &Arc<[Parent]> {
        &self.parents[beacon.0 as usize - 1]
    }

    /// The node at an address.
    pub fn node_at(&self, parent: &Parent) -> NodeId {
        self.addresses.get(&parent.0).copied().unwrap_or(NodeId::SERVER)
    }

    /// The GUID of a node.
    pub fn guid(&self, node: NodeId) -> Guid {
        guid(node)
    }

    fn region_number(&self, agent: u32) -> usize {
        (agent / self.agents_per_leaf) as usize
    }

    /// The settings of an agent's own file.
    pub fn settings(&self, agent: u32) -> &Arc<AgentSettings> {
        &self.settings[self.region_number(agent)]
    }

    /// What an agent goes by that holds the policy of `revision`; 0 for none.
    pub fn rules(&self, agent: u32, revision: u32) -> &Arc<AgentRules> {
        &self.regions[self.region_number(agent)].rules[revision.min(1) as usize]
    }

    /// The node that an agent means by a place of its rules.
    pub fn server(&self, agent: u32, revision: u32, place: ServerNumber) -> Option<NodeId> {
        self.regions[self.region_number(agent)].nodes[revision.min(1) as usize].get(usize::from(place.0)).copied()
    }

    /// The nodes that a fault is meant for.
    pub fn targets(&self, target: Target) -> Range<u32> {
        let one = |first: u32, number: u32, all: u32| {
            let at = first + number;
            if number < all { at..at + 1 } else { 0..0 }
        };
        let leaf = 1 + self.middles;
        match target {
            Target::Server => 0..1,
            Target::Middle => 1..leaf,
            Target::Leaf => leaf..1 + self.beacons(),
            Target::Agent | Target::Laptop => 1 + self.beacons()..self.nodes(),
            Target::OneLeaf(number) => one(leaf, number, self.leaves),
            Target::OneMiddle(number) => one(1, number, self.middles),
        }
    }
}

fn server(node: NodeId, priority: u32) -> Server {
    Server {
        id: guid(node),
        protocol: Protocol::Http,
        host: host(node),
        port: PORT,
        directory: "ManageSoftRL".into(),
        name: host(node),
        user: String::new(),
        password: Password::default(),
        proxy: String::new(),
        auto_priority: false,
        priority: Some(Priority::Number(priority)),
        site: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::config::Document;

    fn layout(text: &str) -> Layout {
        Layout::new(&Scenario::read(&Document { text, file: "s" }, Default::default()).unwrap())
    }

    #[test]
    fn every_agent_has_a_leaf_and_every_beacon_a_way_to_the_server() {
        let layout = layout("[fleet]\nagents = 1003\n[hierarchy]\nagents_per_leaf = 100\nleaves_per_middle = 4\n");
        assert_eq!((layout.leaves, layout.middles, layout.beacons(), layout.nodes()), (11, 3, 14, 1_018));
        for agent in 0..1_003 {
            assert_eq!(layout.agent_of(layout.agent_node(agent)), agent);
            let own = layout.server(agent, 0, ServerNumber(0)).unwrap();
            assert_eq!(layout.level(own), Level::Leaf);
            let rules = layout.rules(agent, 1);
            assert_eq!(rules.servers.len(), 3, "the configured one is on the list");
            let listed: Vec<NodeId> =
                (0..3).map(|place| layout.server(agent, 1, ServerNumber(place)).unwrap()).collect();
            assert_eq!(listed[0], own);
            assert_eq!(rules.servers[0].id, layout.guid(own));
        }
        for beacon in 1..=layout.beacons() {
            let mut at = NodeId(beacon);
            for _ in 0..2 {
                if at != NodeId::SERVER {
                    at = layout.node_at(&layout.parents(at)[0]);
                }
            }
            assert_eq!(at, NodeId::SERVER);
        }
    }

    #[test]
    fn without_middles_leaves_send_to_the_server() {
        let layout = layout("[hierarchy]\nleaves_per_middle = 0\n");
        assert_eq!(layout.node_at(&layout.parents(NodeId(1))[0]), NodeId::SERVER);
        assert_eq!(layout.targets(Target::Middle), 1..1);
        assert_eq!(layout.targets(Target::OneLeaf(9)), 0..0);
    }
}
