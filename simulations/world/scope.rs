//! Which part of a world is stepped together.

use std::ops::Range;

use super::event::NodeId;
use super::layout::{Layout, Level};

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    All,
    /// Beacons, and the agents below them. The server's part is played by its front.
    Region {
        /// Ascending.
        beacons: Vec<NodeId>,
        /// Their numbers among agents.
        agents: Range<u32>,
    },
    /// The server alone.
    Server,
}

impl Scope {
    /// Machines of it.
    pub fn machines(&self, layout: &Layout) -> Range<u32> {
        match self {
            Scope::All => 0..layout.agents(),
            Scope::Region { agents, .. } => agents.clone(),
            Scope::Server => 0..0,
        }
    }

    /// Agents that they ever report as. A world is divided only where that is one each.
    pub fn agents(&self, layout: &Layout) -> Range<u32> {
        if *self == Scope::All { 0..layout.machines.agents() } else { self.machines(layout) }
    }

    /// Whether a node is measured here.
    pub fn owns(&self, layout: &Layout, node: NodeId) -> bool {
        match self {
            Scope::All => true,
            Scope::Region { beacons, agents } => match layout.level(node) {
                Level::Server => false,
                Level::Agent => agents.contains(&layout.agent_of(node)),
                Level::Leaf | Level::Middle => beacons.binary_search(&node).is_ok(),
            },
            Scope::Server => node == NodeId::SERVER,
        }
    }

    /// Whether a node is stepped here: its own ones, and the server everywhere.
    pub fn steps(&self, layout: &Layout, node: NodeId) -> bool {
        node == NodeId::SERVER || self.owns(layout, node)
    }
}
