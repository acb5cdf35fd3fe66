//! Kills of real processes: server, parent, child beacon and the agent of this host run from configuration files, more
//! agents upload over HTTP from here, and a killer ends one node after the other with SIGKILL at random moments. At the end nobody is killed any more, everything
//! has to come through, and the invariants are checked from the stores.
//!
//! ```text
//! agent -> child -> parent -> server        agents (tasks here) upload to each of the three
//! ```
//!
//! Moments come from a seed; what is under way at such a moment does not, so a run is not repeated exactly by its seed.

mod agents;
mod node;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster::rng::RngStream;
use muster::roles::server::AGENT_SOURCE;

pub use agents::Published;
pub use node::{Node, Place};
pub use verdict::{Verdict, Violation};

/// What a run is made with.
#[derive(Clone, Debug)]
pub struct KillOptions {
    /// The program `muster`.
    pub muster: PathBuf,
    /// A folder for this run alone.
    pub folder: PathBuf,
    /// Where the moments come from.
    pub seed: u64,
    /// How many nodes are killed.
    pub kills: u32,
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
        source: std::io::Error,
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
    #[error("{unsettled} of {published} reports have no final state {} s after the last kill", REST_MAX.as_secs())]
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
/// A node runs at most this long before it is killed.
const ALIVE_MS_MAX: i64 = 500;

/// What came out.
#[derive(Clone, Debug, serde::Serialize)]
pub struct KillReport {
    /// Kills by node.
    pub kills: std::collections::BTreeMap<&'static str, u32>,
    /// Reports that were published.
    pub published: u64,
    /// Receipts that agents got, those for duplicates included.
    pub receipts: u64,
    /// Uploads without an answer.
    pub unanswered: u64,
    /// What the stores say.
    pub verdict: Verdict,
}

/// Runs the agents and the killer to their end and judges.
pub fn run(options: &KillOptions) -> Result<KillReport, KillError> {
    let place = Place::of(options.seed);
    let mut nodes = nodes(&options.muster, &options.folder, place)?;
    for node in &mut nodes {
        node.start()?;
    }
    let agents_failed = |source| KillError::World { doing: "run the agents".into(), source };
    let agents = agents::start(options.agents, options.seed, place).map_err(agents_failed)?;
    let mut rng = RngStream::new(options.seed, 0, 0);
    let mut kills = std::collections::BTreeMap::new();
    for _ in 0..options.kills {
        std::thread::sleep(Duration::from_millis(rng.below(ALIVE_MS_MAX) as u64));
        let victim = &mut nodes[rng.below(4) as usize];
        victim.kill()?;
        *kills.entry(victim.role()).or_default() += 1;
        // Sometimes it stays away for a while, and sometimes it is killed again while it starts.
        std::thread::sleep(Duration::from_millis(rng.below(ALIVE_MS_MAX / 5) as u64));
        victim.spawn()?;
    }
    // Beacons begin a life without waits, else a link that failed often is left alone for minutes.
    for node in &mut nodes {
        node.wait_until_ready()?;
        node.stop()?;
        node.start()?;
    }
    let mut published = agents.finish().map_err(agents_failed)?;
    published.of_this_host = Some(verdict::delivered_by(&options.folder.join("agent"))?);
    let count = published.reports.len() as u64 + 1;
    verdict::wait_for_rest(&nodes[0], count)?;
    let shown = verdict::devices_shown(&nodes[0], &published)?;
    for node in nodes.iter_mut().rev() {
        node.stop()?;
    }
    let mut verdict = verdict::judge(&options.folder, &published)?;
    verdict.violations.extend(shown);
    let Published { receipts, unanswered, .. } = published;
    Ok(KillReport { kills, published: count, receipts, unanswered, verdict })
}

/// Server, parent, child and agent, not started yet.
fn nodes(muster: &Path, folder: &Path, place: Place) -> Result<[Node; 4], KillError> {
    let data = |name: &str| folder.join(name).display().to_string();
    let limits =
        "[limits]\nuploads_per_hour = 0\nbytes_per_day = 0\n\n[disk]\nreserve_bytes = 0\nreserve_percent = 0\n";
    let server = format!(
        "[server]\ndata = {:?}\nlisten = \"{}\"\noperator = \"{}\"\n\n[import]\non_arrival = true\nprimary_source = \
         \"{AGENT_SOURCE}\"\n\n{limits}",
        data("server"),
        place.server,
        place.operator,
    );
    let beacon = |name: &str, listen, parent| {
        format!(
            "[beacon]\ndata = {:?}\nname = \"{name}\"\nlisten = \"{listen}\"\nparents = [\"http://{parent}\"]\n\
             \n[relay]\non_arrival = true\ninterval_secs = 1\n\n{limits}",
            data(name),
        )
    };
    let agent = format!(
        "[agent]\ndata = {:?}\nservers = [\"http://{}\"]\n\n[inventory]\ncollect_at_start = true\n",
        data("agent"),
        place.child,
    );
    Ok([
        Node::new(muster, folder, "server", &server)?,
        Node::new(muster, folder, "parent", &beacon("parent", place.parent, place.server))?,
        Node::new(muster, folder, "child", &beacon("child", place.child, place.parent))?,
        Node::new(muster, folder, "agent", &agent)?,
    ])
}
