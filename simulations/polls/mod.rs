//! `muster-sim polls`: agents that ask a node whether their policy has changed, which it has not, over kept connections;
//! and the same asked of another server that hands out the same file, in turns.
//!
//! ```text
//! each round:  T seconds at --url -> T seconds at --peer        figures are medians over the rounds
//! ```
//!
//! A rate says little by itself, since client and server share the machine: so it stands beside that of a server known
//! to be fast, in the same minutes and under the same load. `scripts/bench-polls` sets nginx up for that.

mod load;
mod report;

use std::time::Duration;

use muster_actors::command::{Failure, print_line};

use self::load::{Load, LoadError};
use self::report::Report;
use crate::connection::{Target, TargetError};

/// The policy that is asked for. Whose it is tells the header, not the name.
const POLICY: &str = "/ManageSoftDL/Policies/muster-sim.npl";

/// Options of `muster-sim polls`.
#[derive(Debug, clap::Args)]
pub struct PollsArgs {
    /// Base address of the node, `http://host:port`
    #[arg(long)]
    url: String,
    /// Base address of another server with the same file at the same path
    #[arg(long, value_name = "URL")]
    peer: Option<String>,
    /// Connections that ask at the same time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    connections: u16,
    /// How long to ask each of them in each round
    #[arg(long, value_name = "T", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How often to do it; the figures are medians
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

/// Why a measurement cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PollsError {
    /// `--url` or `--peer`.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The polls.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<PollsError> for Failure {
    fn from(error: PollsError) -> Failure {
        match error {
            PollsError::Target(TargetError::Form { .. }) => Failure::usage(&error),
            PollsError::Target(_) | PollsError::Load(_) => Failure::work(&error),
        }
    }
}

/// Measures, and prints one JSON line.
pub fn run(args: PollsArgs) -> Result<(), Failure> {
    let report = measure(&args)?;
    print_line(&report.line()).map_err(|error| Failure::work(&error))?;
    report.broken().map_or(Ok(()), |text| Err(Failure { text, exit: 1 }))
}

fn measure(args: &PollsArgs) -> Result<Report, PollsError> {
    let target = |url: &str| Target::parse(url);
    let (node, peer) = (target(&args.url)?, args.peer.as_deref().map(target).transpose()?);
    let load = Load {
        connections: args.connections.into(),
        time: Duration::from_secs(args.seconds.into()),
        seed: std::process::id().into(),
    };
    let mut report = Report::default();
    for _ in 0..args.rounds {
        let of_node = load.run(&node, POLICY)?;
        let of_peer = peer.as_ref().map(|peer| load.run(peer, POLICY)).transpose()?;
        report.add(of_node, of_peer);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
