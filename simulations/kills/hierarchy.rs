//! The nodes of a run, the links between them, and their configuration.
//!
//! ```text
//! agent, agents -> child -> parent -> server        every arrow is a link of the fault proxy
//! agent, agents -> spare ----------> server         the failover beacon, also the child's second parent
//! agents -> parent, server
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use muster::roles::server::AGENT_SOURCE;

use crate::proxy::LinkPlace;

/// A node that is a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The server.
    Server,
    /// The child's parent.
    Parent,
    /// The failover beacon.
    Spare,
    /// The beacon of the agents.
    Child,
    /// The agent of this host.
    Agent,
}

impl Role {
    /// Every node, each after those it sends to.
    pub const ALL: [Role; 5] = [Role::Server, Role::Parent, Role::Spare, Role::Child, Role::Agent];
    /// The beacons.
    pub const BEACONS: [Role; 3] = [Role::Parent, Role::Spare, Role::Child];
    /// Those that take uploads.
    pub const RECEIVERS: [Role; 4] = [Role::Server, Role::Parent, Role::Spare, Role::Child];

    /// Its name in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Parent => "parent",
            Role::Spare => "spare",
            Role::Child => "child",
            Role::Agent => "agent",
        }
    }

    /// The command of `muster` that it is.
    pub fn command(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Parent | Role::Spare | Role::Child => "beacon",
            Role::Agent => "agent",
        }
    }

    fn port(self) -> u16 {
        7_080 + self as u16
    }
}

/// A link: its name, who sends (`None` for the agents that are tasks here), and who receives.
pub const LINKS: [(&str, Option<Role>, Role); 10] = [
    ("agents-child", None, Role::Child),
    ("agents-parent", None, Role::Parent),
    ("agents-spare", None, Role::Spare),
    ("agents-server", None, Role::Server),
    ("agent-child", Some(Role::Agent), Role::Child),
    ("agent-spare", Some(Role::Agent), Role::Spare),
    ("child-parent", Some(Role::Child), Role::Parent),
    ("child-spare", Some(Role::Child), Role::Spare),
    ("parent-server", Some(Role::Parent), Role::Server),
    ("spare-server", Some(Role::Spare), Role::Server),
];

/// Addresses of one run. Each run has a loopback address of its own, so ports can be fixed over restarts without meeting
/// those of another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(Ipv4Addr);

impl Place {
    /// The place of the run with this seed in this process.
    pub fn of(seed: u64) -> Place {
        let mixed = muster::rng::mix(u64::from(std::process::id()), seed).to_be_bytes();
        // 127.0.0.0/16 is left to everybody else.
        Place(Ipv4Addr::new(127, mixed[0].max(1), mixed[1], mixed[2].clamp(1, 254)))
    }

    /// Where the node itself takes uploads.
    pub fn node(self, role: Role) -> SocketAddr {
        SocketAddr::from((self.0, role.port()))
    }

    /// Where the server answers operators.
    pub fn operator(self) -> SocketAddr {
        SocketAddr::from((self.0, 8_080))
    }

    /// Where the link from `sender` to `receiver` listens.
    pub fn link(self, sender: Option<Role>, receiver: Role) -> SocketAddr {
        let number = LINKS.iter().position(|(_, from, to)| (*from, *to) == (sender, receiver)).expect("a link");
        SocketAddr::from((self.0, 7_180 + number as u16))
    }

    /// Every link for the proxy, in the order of [`LINKS`].
    pub fn links(self) -> Vec<LinkPlace> {
        let place = |(name, sender, receiver): (&'static str, Option<Role>, Role)| LinkPlace {
            name,
            receiver: receiver.as_str(),
            listen: self.link(sender, receiver),
            node: self.node(receiver),
        };
        LINKS.into_iter().map(place).collect()
    }

    /// The configuration of `role`, with its data below `folder`.
    pub fn config(self, role: Role, folder: &Path) -> String {
        let name = role.as_str();
        let data = folder.join(name).display().to_string();
        let limits =
            "[limits]\nuploads_per_hour = 0\nbytes_per_day = 0\n\n[disk]\nreserve_bytes = 0\nreserve_percent = 0\n";
        let to = |receivers: &[Role]| {
            let urls = receivers.iter().map(|receiver| format!("\"http://{}\"", self.link(Some(role), *receiver)));
            urls.collect::<Vec<String>>().join(", ")
        };
        let listen = self.node(role);
        let beacon = |parents: &[Role], for_agents: bool| {
            let endpoint =
                if for_agents { format!("http://{}", self.link(Some(Role::Agent), role)) } else { String::new() };
            format!(
                "[beacon]\ndata = {data:?}\nname = \"{name}\"\nlisten = \"{listen}\"\nparents = [{}]\nfor_agents = \
                 {for_agents}\nendpoint = \"{endpoint}\"\n\n[relay]\non_arrival = true\ninterval_secs = 1\n\
                 policy_interval_secs = 1\nstatus_interval_secs = 1\n\n{limits}",
                to(parents),
            )
        };
        match role {
            Role::Server => format!(
                "[server]\ndata = {data:?}\nlisten = \"{listen}\"\noperator = \"{}\"\n\n[import]\non_arrival = true\n\
                 primary_source = \"{AGENT_SOURCE}\"\n\n{limits}",
                self.operator(),
            ),
            Role::Parent => beacon(&[Role::Server], false),
            Role::Spare => beacon(&[Role::Server], true),
            Role::Child => beacon(&[Role::Parent, Role::Spare], true),
            Role::Agent => format!(
                "[agent]\ndata = {data:?}\nservers = [{}]\n\n[inventory]\ncollect_at_start = true\n",
                to(&[Role::Child, Role::Spare]),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_configuration_is_one_and_leads_through_links_only() {
        let place = Place::of(7);
        for role in Role::ALL {
            let text = place.config(role, Path::new("/x"));
            toml::from_str::<toml::Table>(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
            let others = Role::RECEIVERS.iter().filter(|other| **other != role);
            for other in others {
                assert!(!text.contains(&place.node(*other).to_string()), "{text}");
            }
        }
    }

    #[test]
    fn no_two_listeners_have_one_address() {
        let place = Place::of(7);
        let mut all: Vec<SocketAddr> = place.links().iter().map(|link| link.listen).collect();
        all.extend(Role::RECEIVERS.map(|role| place.node(role)));
        all.push(place.operator());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), LINKS.len() + 5);
    }
}
