//! Chaos with real processes: server, three beacons and the agent of this host run from configuration files, more agents
//! upload over HTTP from here, a fault proxy stands on every link, and a striker kills, pauses, fills disks and steps
//! clocks. At the end nothing goes wrong any more, everything has to come through, and the invariants are checked from
//! the stores.
//!
//! Moments and faults come from a seed; what is under way at such a moment does not, so a run is not repeated exactly by
//! its seed.

mod agents;
mod clock;
mod hierarchy;
mod leftovers;
mod node;
mod operator;
pub mod plan;
mod points;
mod report;
mod scripted;
mod small_disk;
mod stores;
mod strikes;
mod verdict;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use agents::Published;
pub use hierarchy::{LINKS, Place, Role};
pub use leftovers::end_with_this_process;
pub use node::Node;
pub use plan::Plan;
pub use report::KillReport;
pub use verdict::{Verdict, Violation};

use crate::proxy::{LinkWindows, Proxy};
use operator::Operator;
use small_disk::SmallDisk;
use stores::Stores;
use strikes::Striker;

/// What a run is made with.
#[derive(Clone, Debug)]
pub struct KillOptions {
    /// The program `muster`.
    pub muster: PathBuf,
    /// A folder for this run alone.
    pub folder: PathBuf,
    /// Where draws come from.
    pub seed: u64,
    /// What goes wrong.
    pub plan: Plan,
    /// Agents that upload.
    pub agents: u32,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// A file or process of the run.
    #[error("cannot {doing}")]
    World {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A node does not become ready.
    #[error("the {role} is not ready within {} s: {last}", node::READY_MAX.as_secs())]
    NotReady {
        /// Which node.
        role: &'static str,
        /// The last line of its log.
        last: String,
    },
    /// The nodes do not come to rest.
    #[error("I10: {unsettled} of {published} reports have no final state {} s after the last fault", REST_MAX.as_secs())]
    NoRest {
        /// Without a final state.
        unsettled: u64,
        /// Of so many.
        published: u64,
    },
    /// The stores cannot be read.
    #[error("cannot read the store of the {role}: {why}")]
    Store {
        /// Which node.
        role: &'static str,
        /// Why.
        why: String,
    },
}

/// How long the nodes may take to come to rest. Source: delivery contract, I10, is far longer; loopback is quick.
const REST_MAX: Duration = Duration::from_secs(90);

/// Runs agents, proxy and striker to their end and judges.
pub fn run(options: &KillOptions) -> Result<KillReport, KillError> {
    let KillOptions { muster, folder, seed, plan, agents } = options;
    let place = Place::of(*seed);
    std::fs::create_dir_all(folder).map_err(world("make the run's folder"))?;
    let disk = SmallDisk::mount(&folder.join(Role::Spare.as_str())).map_err(world("make a small disk"))?;
    let proxy = Proxy::start(place.links()).map_err(world("open the fault proxy"))?;
    let mut nodes = nodes(muster, folder, place)?;
    nodes[0].start()?;
    let operator = Operator::start(place).map_err(world("run the operator"))?;
    for node in &mut nodes[1..] {
        node.start()?;
    }
    let agents_failed = world("run the agents");
    let agents = agents::start(*agents, *seed, place, plan.has_skewed_agents).map_err(&agents_failed)?;
    proxy.begin(LinkWindows::new(*seed, plan.windows.clone()));
    let striker = Striker { nodes: &mut nodes, folder, proxy: &proxy, disk: disk.as_ref() };
    let mut struck = striker.follow(plan)?;
    let (policies_set, revisions) = operator.finish().map_err(world("run the operator"))?;
    struck.policies_set = policies_set;
    struck.revisions.add(revisions);
    proxy.calm();
    // Beacons begin a life without waits, else a link that failed often is left alone for minutes.
    for node in &mut nodes {
        struck.look_at(node);
        if node.pid().is_none() {
            node.spawn()?;
        }
        node.wait_until_ready()?;
        node.stop()?;
        node.start()?;
    }
    let mut published = agents.finish(REST_MAX).map_err(&agents_failed)?;
    let count = published.reports.len() as u64 + 1;
    if published.undelivered > 0 {
        let unsettled = published.undelivered;
        return Err(KillError::NoRest { unsettled, published: count + unsettled });
    }
    published.of_this_host = Some(verdict::delivered_by(&folder.join(Role::Agent.as_str()), count)?);
    verdict::wait_for_rest(&nodes[0], count)?;
    let shown = verdict::devices_shown(&nodes[0], &published)?;
    for node in nodes.iter_mut().rev() {
        struck.look_at(node);
        node.stop()?;
    }
    let tally = proxy.tally();
    let stores = Stores::read(folder)?;
    let mut verdict = verdict::judge(&stores, &published, &struck, &tally);
    verdict.add("I8", shown);
    verdict.add("I15", idle_life(&mut nodes[..4], folder, &stores)?);
    if let Some(disk) = disk {
        disk.keep().map_err(world("keep the files of a small disk"))?;
    }
    Ok(KillReport::of(*seed, plan, &published, &struck, &tally, verdict))
}

fn world(doing: &'static str) -> impl Fn(io::Error) -> KillError {
    move |source| KillError::World { doing: doing.into(), source }
}

/// Lets the nodes that take uploads live once more with nothing to do. What that has changed in their stores.
fn idle_life(nodes: &mut [Node], folder: &Path, before: &Stores) -> Result<Vec<String>, KillError> {
    for node in nodes.iter_mut() {
        node.start()?;
    }
    for node in nodes.iter_mut().rev() {
        node.stop()?;
    }
    Ok(before.differences(&Stores::read(folder)?))
}

/// The nodes in the order of [`Role::ALL`], not started yet.
fn nodes(muster: &Path, folder: &Path, place: Place) -> Result<Vec<Node>, KillError> {
    let library = clock::library();
    let node = |role: Role| {
        let mut node = Node::new(muster, folder, role, &place.config(role, folder))?;
        if let Some(library) = &library {
            let offset = folder.join(format!("{}.clock", role.as_str()));
            let clock = clock::Stepped::new(library, offset);
            node.go_by(clock.map_err(world("write a clock"))?);
        }
        Ok(node)
    };
    Role::ALL.into_iter().map(node).collect()
}
