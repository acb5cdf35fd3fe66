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
use muster::schedule::{AgentSchedule, standard_schedule};
use muster::time::{DAY_MS, HOUR_MS};
use muster::upload::selector::Device;

use super::event::NodeId;
use super::machines::Machines;
use super::policies::Policies;
use crate::scenario::{FaultKind, Hierarchy, Scenario, Target};

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

/// What the agents of one leaf and one zone go by: before the first policy, and by each revision of it.
struct Region(Vec<Followed>);

/// What an agent goes by that holds one revision.
struct Followed {
    rules: Arc<AgentRules>,
    /// The node at each place of the rules' servers.
    nodes: Vec<NodeId>,
}

/// See the module's head.
pub struct Layout {
    middles: u32,
    leaves: u32,
    hops: u32,
    agents: u32,
    agents_per_leaf: u32,
    /// The first agent of each zone but the first.
    zones: Box<[u32]>,
    settings: Vec<Arc<AgentSettings>>,
    regions: Vec<Region>,
    /// Of each beacon: those of its own file, and others that a policy may name.
    parents: Vec<[Arc<[Parent]>; 2]>,
    addresses: BTreeMap<Arc<str>, NodeId>,
    device: Arc<Device>,
    /// What the server gives out when.
    pub policies: Policies,
    /// Which machines are there when.
    pub machines: Machines,
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

/// The leaves that the agents of one prefer, in order: itself, then those below the same middle beacon. A group that is too
/// small is filled up with the leaves before it.
fn listed(of: &Hierarchy, leaf: u32, leaves: u32) -> impl Iterator<Item = u32> + Clone {
    let group = match of.leaves_per_middle {
        0 => 0..leaves,
        count => leaf / count * count..(leaf / count * count + count).min(leaves),
    };
    let wanted = of.failover.min(leaves);
    let first = group.start.min(group.end - wanted.min(group.end));
    let count = group.end - first;
    (0..wanted).map(move |step| first + (leaf - first + step) % count)
}

impl Layout {
    /// The hierarchy of a scenario.
    pub fn new(seed: u64, scenario: &Scenario) -> Layout {
        let policies = Policies::new(seed, scenario);
        let of = &scenario.hierarchy;
        let (middles, leaves) = scenario.beacons();
        let address = |node: NodeId| -> Arc<str> { format!("http://{}:{PORT}", host(node)).into() };
        let nodes = (0..=middles + leaves).map(NodeId);
        let addresses = nodes.map(|node| (address(node), node)).collect();
        let own_and_next = |own: u32, all: u32| (0..of.parents.min(all)).map(move |step| (own + step) % all);
        let parents = (0..middles + leaves).map(|beacon| {
            if let Some(own) = &scenario.configured.hierarchy {
                let own: Arc<[Parent]> =
                    own.parents[beacon as usize].iter().map(|parent| Parent(address(NodeId(*parent)))).collect();
                // A policy that moves it names the same ones in another order.
                let mut moved = own.to_vec();
                moved.rotate_left(1);
                return [own, moved.into()];
            }
            let of_leaf = beacon.checked_sub(middles).filter(|_| middles > 0);
            [0, 1].map(|moved| -> Arc<[Parent]> {
                let Some(leaf) = of_leaf else { return Arc::new([Parent(address(NodeId::SERVER))]) };
                let own = (leaf / of.leaves_per_middle + moved) % middles;
                own_and_next(own, middles).map(|middle| Parent(address(NodeId(1 + middle)))).collect()
            })
        });
        let schedule = standard_schedule(&scenario.schedule, scenario.start);
        // All begin at noon, and all ask at once.
        let herd = AgentSchedule {
            inventory_start_secs: 43_200,
            inventory_within_secs: 0,
            policy_window_secs: 0,
            ..scenario.schedule
        };
        let herd = standard_schedule(&herd, scenario.start);
        let leaf_node = |leaf: u32| NodeId(1 + middles + leaf % leaves);
        let agents_per_leaf = scenario.agents.div_ceil(leaves).max(1);
        let zones = &scenario.template.zones;
        let ends = zones.iter().scan(0, |end, zone| {
            *end += zone.agents;
            Some(*end)
        });
        let borders: Box<[u32]> = ends.take(zones.len().saturating_sub(1)).collect();
        let setting = |leaf: u32, zone: usize| {
            let servers = [address(leaf_node(leaf)).to_string()].into();
            let ahead_ms = zones.get(zone).map(|zone| zone.ahead_ms);
            if let Some(own) = &scenario.configured.agent {
                let clocks_ahead_ms = ahead_ms.unwrap_or(own.clocks_ahead_ms);
                return Arc::new(AgentSettings { servers, clocks_ahead_ms, ..own.clone() });
            }
            Arc::new(AgentSettings {
                servers,
                allow_plain: true,
                collect_at_start: false,
                inventory_every_ms: DAY_MS,
                policy_every_ms: 12 * HOUR_MS,
                catch_up_from_ms: 11 * HOUR_MS,
                clocks_ahead_ms: ahead_ms.unwrap_or(0),
            })
        };
        // Leaves and zones lie side by side, so a sum tells which two an agent is of. Some sums are of none.
        let mut pairs: Vec<(u32, usize)> = (0..leaves).map(|leaf| (leaf, 0)).collect();
        pairs.resize(leaves as usize + borders.len(), (leaves - 1, 0));
        let firsts = (0..leaves).map(|leaf| leaf.saturating_mul(agents_per_leaf)).chain(borders.iter().copied());
        for first in firsts.filter(|first| *first < scenario.agents) {
            let (leaf, zone) = (first / agents_per_leaf, borders.partition_point(|border| *border <= first));
            pairs[leaf as usize + zone] = (leaf, zone);
        }
        let settings: Vec<Arc<AgentSettings>> = pairs.iter().map(|(leaf, zone)| setting(*leaf, *zone)).collect();
        let regions = pairs.iter().zip(&settings).map(|((leaf, _), settings)| {
            let leaf = *leaf;
            let usual = listed(of, leaf, leaves).map(leaf_node);
            let none = Followed { rules: Arc::new(AgentRules::new(0, settings, vec![])), nodes: vec![leaf_node(leaf)] };
            let by_policy = (1..=policies.count()).map(|revision| {
                let wrong = policies.wrong(revision);
                let listed: Vec<NodeId> = match wrong {
                    Some(FaultKind::ListEmpty) => Vec::new(),
                    Some(FaultKind::ListStale) => NodeId::GONE.into_iter().chain(usual.clone()).collect(),
                    _ => usual.clone().collect(),
                };
                let schedule = if wrong == Some(FaultKind::PolicyHerd) { &herd } else { &schedule };
                let contents = vec![Content::Schedule(schedule.clone()), Content::Failover(failover(&listed))];
                // The configured server is on every list that has one at all.
                let nodes = if listed.is_empty() { vec![leaf_node(leaf)] } else { listed };
                Followed { rules: Arc::new(AgentRules::new(revision, settings, contents)), nodes }
            });
            Region(std::iter::once(none).chain(by_policy).collect())
        });
        Layout {
            middles,
            leaves,
            hops: scenario.configured.hierarchy.as_ref().map_or(2 + u32::from(middles > 0), |own| own.hops),
            agents: scenario.agents,
            agents_per_leaf,
            zones: borders,
            regions: regions.collect(),
            settings,
            parents: parents.collect(),
            addresses,
            device: Arc::default(),
            policies,
            machines: Machines::new(seed, scenario, 1 + middles + leaves),
        }
    }

    /// What every agent knows of its host: nothing that servers are chosen by.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Agents of the whole fleet.
    pub fn agents(&self) -> u32 {
        self.agents
    }

    /// Beacons: middles, then leaves.
    pub fn beacons(&self) -> u32 {
        self.middles + self.leaves
    }

    /// Nodes on the longest way from an agent to its package's final state.
    pub fn hops(&self) -> u32 {
        self.hops
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

    /// The parents of a beacon that holds the policy of `revision`, in order.
    pub fn parents(&self, beacon: NodeId, revision: u32) -> &Arc<[Parent]> {
        let are_moved = self.policies.wrong(revision) == Some(FaultKind::ParentsMoved);
        &self.parents[beacon.0 as usize - 1][usize::from(are_moved)]
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
        (agent / self.agents_per_leaf) as usize + self.zones.partition_point(|first| *first <= agent)
    }

    /// The settings of an agent's own file.
    pub fn settings(&self, agent: u32) -> &Arc<AgentSettings> {
        &self.settings[self.region_number(agent)]
    }

    fn followed(&self, agent: u32, revision: u32) -> &Followed {
        let Region(followed) = &self.regions[self.region_number(agent)];
        &followed[revision.min(self.policies.count()) as usize]
    }

    /// What an agent goes by that holds the policy of `revision`; 0 for none.
    pub fn rules(&self, agent: u32, revision: u32) -> &Arc<AgentRules> {
        &self.followed(agent, revision).rules
    }

    /// The node that an agent means by a place of its rules.
    pub fn server(&self, agent: u32, revision: u32, place: ServerNumber) -> Option<NodeId> {
        self.followed(agent, revision).nodes.get(usize::from(place.0)).copied()
    }

    /// The parts of the hierarchy that have only the server in common: no list and no parent leads out of one. Each is its
    /// beacons, ascending, and its agents. One part when its agents are not in a row.
    pub fn regions(&self) -> Vec<(Vec<NodeId>, Range<u32>)> {
        let mut of: Vec<u32> = (0..=self.beacons()).collect();
        fn root(of: &mut [u32], mut node: u32) -> u32 {
            while of[node as usize] != node {
                of[node as usize] = of[of[node as usize] as usize];
                node = of[node as usize];
            }
            node
        }
        let mut join = |one: u32, other: NodeId| {
            if other != NodeId::SERVER && other.0 <= self.beacons() {
                let (one, other) = (root(&mut of, one), root(&mut of, other.0));
                let (low, high) = (one.min(other), one.max(other));
                of[high as usize] = low;
            }
        };
        for Region(followed) in &self.regions {
            // Without a policy an agent goes by its own leaf.
            let Some(leaf) = followed.first().and_then(|none| none.nodes.first()) else { continue };
            followed.iter().flat_map(|followed| &followed.nodes).for_each(|node| join(leaf.0, *node));
        }
        for beacon in 1..=self.beacons() {
            let named = (1..=self.policies.count()).flat_map(|revision| self.parents(NodeId(beacon), revision).iter());
            named.for_each(|parent| join(beacon, self.node_at(parent)));
        }
        let mut parts: BTreeMap<u32, (Vec<NodeId>, Range<u32>)> = BTreeMap::new();
        for beacon in 1..=self.beacons() {
            let (beacons, agents) = parts.entry(root(&mut of, beacon)).or_insert_with(|| (Vec::new(), 0..0));
            beacons.push(NodeId(beacon));
            let Some(leaf) = beacon.checked_sub(1 + self.middles) else { continue };
            let own = |leaf: u32| leaf.saturating_mul(self.agents_per_leaf).min(self.agents);
            let below = own(leaf)..own(leaf + 1);
            if agents.start == agents.end {
                *agents = below;
            } else if agents.end == below.start {
                agents.end = below.end;
            } else if !below.is_empty() {
                return vec![((1..=self.beacons()).map(NodeId).collect(), 0..self.agents)];
            }
        }
        parts.into_values().collect()
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
            Target::OneAgent(number) => one(1 + self.beacons(), number, self.agents),
        }
    }

    /// A node as scenarios call it.
    pub fn name(&self, node: NodeId) -> Target {
        match self.level(node) {
            Level::Server => Target::Server,
            Level::Middle => Target::OneMiddle(node.0 - 1),
            Level::Leaf => Target::OneLeaf(node.0 - 1 - self.middles),
            Level::Agent => Target::OneAgent(self.agent_of(node)),
        }
    }
}

fn failover(listed: &[NodeId]) -> Failover {
    let servers: Vec<Server> = listed.iter().zip(1..).map(|(node, priority)| server(*node, priority)).collect();
    let (highest_priority, lowest_priority) = (1, 100);
    Failover { selector: Vec::new(), highest_priority, lowest_priority, downloads: servers.clone(), uploads: servers }
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
        Layout::new(1, &Scenario::read(&Document { text, file: "s" }, Default::default()).unwrap())
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
                    at = layout.node_at(&layout.parents(at, 1)[0]);
                }
            }
            assert_eq!(at, NodeId::SERVER);
        }
    }

    #[test]
    fn a_hierarchy_falls_apart_where_only_the_server_is_common() {
        let of = |text: &str| {
            let text =
                format!("[fleet]\nagents = 1003\n[hierarchy]\nagents_per_leaf = 100\nleaves_per_middle = 4\n{text}");
            layout(&text).regions()
        };
        let nodes = |numbers: &[u32]| numbers.iter().copied().map(NodeId).collect::<Vec<NodeId>>();
        // Eleven leaves with 92 agents each, but for the last; three middles.
        let apart = of("");
        assert_eq!(apart.iter().map(|(_, agents)| agents.clone()).collect::<Vec<_>>(), [0..368, 368..736, 736..1_003]);
        assert_eq!(apart[0].0, nodes(&[1, 4, 5, 6, 7]));
        // The last group has three leaves, so its agents list one of the group before.
        assert_eq!(of("failover = 4").len(), 2);
        assert_eq!(of("parents = 2").len(), 1);
        assert_eq!(of("failover = 11"), [((1..=14).map(NodeId).collect(), 0..1_003)]);
        let zones =
            "[[fleet.zone]]\nutc_offset = '-05:00'\nshare = 0.3\n[[fleet.zone]]\nutc_offset = '+01:00'\nshare = 0.5\n";
        assert_eq!(of(zones), apart);
        let moved = "[[fault]]\nkind = 'parents-moved'\nof = 'server'\nat_secs = 9\nfor_secs = 9\n";
        assert_eq!(of(moved).len(), 1);
    }

    #[test]
    fn agents_go_by_the_clocks_of_their_zone_and_by_the_beacons_of_their_leaf() {
        for agents in [1, 7, 99, 100, 1_003] {
            let layout = layout(&format!(
                "[fleet]\nagents = {agents}\n[hierarchy]\nagents_per_leaf = 100\n\
                 [[fleet.zone]]\nutc_offset='-05:00'\nshare=0.1\n[[fleet.zone]]\nutc_offset='+01:00'\nshare=0\n\
                 [[fleet.zone]]\nutc_offset='+05:30'\nshare=0.37\n"
            ));
            let mut ahead = Vec::new();
            for agent in 0..agents {
                let leaf = layout.server(agent, 0, ServerNumber(0)).unwrap();
                assert_eq!(leaf.0, 1 + layout.middles + agent / layout.agents_per_leaf, "agent {agent} of {agents}");
                ahead.push(layout.settings(agent).clocks_ahead_ms / 60_000);
                assert_eq!(layout.server(agent, 1, ServerNumber(0)), Some(leaf));
            }
            let count = |minutes: i64| ahead.iter().filter(|ahead| **ahead == minutes).count() as u32;
            let wanted = crate::scenario::split(agents, &[0.1, 0.0, 0.37, 0.53]);
            assert_eq!([count(-300), count(60), count(330), count(0)], wanted[..]);
        }
    }

    #[test]
    fn without_middles_leaves_send_to_the_server() {
        let layout = layout("[hierarchy]\nleaves_per_middle = 0\n");
        assert_eq!(layout.node_at(&layout.parents(NodeId(1), 1)[0]), NodeId::SERVER);
        assert_eq!(layout.targets(Target::Middle), 1..1);
        assert_eq!(layout.targets(Target::OneLeaf(9)), 0..0);
    }
}
