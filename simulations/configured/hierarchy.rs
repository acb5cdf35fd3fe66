//! The hierarchy that several beacon files make: each names its parents by their addresses.
//!
//! An address is another beacon's when it is that one's `endpoint`, or what it listens on. The server's is what its own file
//! listens on; without that file, the one address that is no beacon's.

use std::net::SocketAddr;

use muster::config::ConfigError;
use muster::config::address::address_parts;
use muster::config::beacon::BeaconConfig;

use super::error_at;

/// Most beacons between an agent and the server. Source: delivery contract, section 4: a package has at most eight hops.
const DEPTH_MAX: usize = 7;

/// A file: its name, its text, what it says.
pub(super) type Written = (String, String, BeaconConfig);

/// The beacons of several files: first those that take no agents, then those that do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnHierarchy {
    /// Beacons that take no agents.
    pub middles: u32,
    /// Beacons that do.
    pub leaves: u32,
    /// Parents of each beacon in the order of its file: 0 for the server, else a beacon's place and one.
    pub parents: Vec<Vec<u32>>,
    /// Names of the beacons.
    pub names: Vec<String>,
    /// Nodes on the longest way from an agent to the server, that one included.
    pub hops: u32,
}

/// Host and port, as addresses are compared.
fn place_of(address: &str) -> Option<(String, u16)> {
    address_parts(address).map(|parts| (parts.host.to_ascii_lowercase(), parts.port))
}

/// Whether `address` is where a node listens: on every address of its host that may be any name.
fn listens(listen: SocketAddr, address: &(String, u16)) -> bool {
    let is_host = listen.ip().is_unspecified()
        || address.0 == listen.ip().to_string()
        || (listen.ip().is_loopback() && address.0 == "localhost");
    is_host && listen.port() == address.1
}

impl OwnHierarchy {
    /// The hierarchy, and the place among `files` of each of its beacons.
    pub(super) fn of(files: &[Written], server: Option<SocketAddr>) -> Result<(OwnHierarchy, Vec<usize>), ConfigError> {
        let wrong = |place: usize, option: &str, problem: String| {
            let (name, text, _) = &files[place];
            error_at(name, text, "beacon", option, problem)
        };
        let (leaves, middles): (Vec<usize>, Vec<usize>) =
            (0..files.len()).partition(|place| files[*place].2.for_agents);
        if leaves.is_empty() {
            return Err(wrong(
                0,
                "for_agents",
                "no beacon takes agents, write `for_agents = true` for one that does".into(),
            ));
        }
        let order: Vec<usize> = middles.iter().chain(&leaves).copied().collect();
        for (place, (name, _, file)) in files.iter().enumerate() {
            let same = files[..place].iter().find(|(_, _, other)| {
                if file.endpoint.is_empty() {
                    file.listen == other.listen && file.listen.port() != 0
                } else {
                    file.endpoint == other.endpoint
                }
            });
            if let Some((other, ..)) = same {
                let option = if file.endpoint.is_empty() { "listen" } else { "endpoint" };
                let problem = format!("is also that of {other}: {name} needs an address of its own");
                return Err(wrong(place, option, problem));
            }
        }
        let beacon_at = |address: &(String, u16)| {
            let by_endpoint = order.iter().position(|place| {
                let endpoint = &files[*place].2.endpoint;
                !endpoint.is_empty() && place_of(endpoint).as_ref() == Some(address)
            });
            // A wildcard matches every name, so it counts only when nothing says more.
            let listening = |exactly: bool| {
                order.iter().position(|place| {
                    let listen = files[*place].2.listen;
                    listen.ip().is_unspecified() != exactly && listens(listen, address)
                })
            };
            by_endpoint.or_else(|| listening(true)).or_else(|| {
                let is_servers = server.is_some_and(|server| listens(server, address));
                if is_servers { None } else { listening(false) }
            })
        };
        let mut unknown: Option<(String, u16)> = None;
        let mut parents = Vec::new();
        for place in &order {
            let mut of_one = Vec::new();
            for parent in files[*place].2.parents() {
                let address = place_of(parent).unwrap_or_default();
                let number = match beacon_at(&address) {
                    Some(number) => number as u32 + 1,
                    None if server.is_some_and(|server| listens(server, &address)) => 0,
                    None if server.is_none() && unknown.as_ref().is_none_or(|known| *known == address) => {
                        unknown = Some(address);
                        0
                    }
                    None => {
                        let problem = format!(
                            "`{parent}` is no beacon of these files and not the server: name its file with \
                             --beacon-config or --server-config, or write an address on which one of them listens"
                        );
                        return Err(wrong(*place, "parents", problem));
                    }
                };
                of_one.push(number);
            }
            parents.push(of_one);
        }
        let mut depths = vec![None; order.len()];
        for start in 0..order.len() {
            let mut way = Vec::new();
            if let Some(circle) = deepest(start, &parents, &mut way, &mut depths) {
                let names: Vec<&str> = circle.iter().map(|beacon| files[order[*beacon]].0.as_str()).collect();
                let problem = format!("make a loop, {}: write parents that lead to the server", names.join(" -> "));
                return Err(wrong(order[circle[0]], "parents", problem));
            }
        }
        let depth = depths.iter().flatten().copied().max().unwrap_or(0);
        if depth > DEPTH_MAX {
            let place = depths.iter().position(|one| *one == Some(depth)).map_or(0, |beacon| order[beacon]);
            let problem = format!("are {depth} beacons deep, a package passes at most {DEPTH_MAX} before the server");
            return Err(wrong(place, "parents", problem));
        }
        let names = order.iter().map(|place| files[*place].2.name.clone()).collect();
        let (middles, leaves) = (middles.len() as u32, leaves.len() as u32);
        Ok((OwnHierarchy { middles, leaves, parents, names, hops: depth as u32 + 1 }, order))
    }
}

/// Finds how many beacons stand on the longest way from `beacon` to the server, itself included; a loop where there is one.
fn deepest(
    beacon: usize,
    parents: &[Vec<u32>],
    way: &mut Vec<usize>,
    depths: &mut [Option<usize>],
) -> Option<Vec<usize>> {
    if let Some(begins) = way.iter().position(|passed| *passed == beacon) {
        let mut circle = way[begins..].to_vec();
        circle.push(beacon);
        return Some(circle);
    }
    if depths[beacon].is_some() {
        return None;
    }
    way.push(beacon);
    let mut depth = 1;
    for parent in parents[beacon].iter().filter_map(|parent| parent.checked_sub(1)) {
        if let Some(circle) = deepest(parent as usize, parents, way, depths) {
            return Some(circle);
        }
        depth = depth.max(1 + depths[parent as usize].unwrap_or(0));
    }
    way.pop();
    depths[beacon] = Some(depth);
    None
}
