//! `muster-sim chaos` and `muster-sim replay`: one run for each seed, in virtual time or with real processes.

mod outcome;
mod real;
mod replay;
mod shrink;
mod virtual_time;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use muster_actors::command::Failure;

pub use outcome::Outcome;
pub use replay::{ReplayArgs, run as replay};
pub use shrink::{Budget, Shrunk, shrink};

use crate::configured::ConfiguredArgs;
use crate::fleet::{Contents, Driver};

/// Options of `muster-sim chaos`.
#[derive(Debug, clap::Args)]
pub struct ChaosArgs {
    /// What is simulated and what goes wrong; with --real the kinds of faults and when they strike
    #[arg(long, value_name = "F", required_unless_present = "real")]
    scenario: Option<PathBuf>,
    /// Real processes, HTTP and files, a fault proxy on every link, and kill -9
    #[arg(long)]
    real: bool,
    /// One run for each of these seeds, the last one included
    #[arg(long, value_name = "A..B", default_value = "1..3")]
    seeds: Seeds,
    /// What keeps the time
    #[arg(long, value_enum, default_value_t = Driver::Calendar, conflicts_with = "real")]
    driver: Driver,
    /// Only sizes, or true bytes in the deployed logs on simulated disks
    #[arg(long, value_enum, default_value_t = Contents::Sizes, conflicts_with = "real")]
    content: Contents,
    #[command(flatten)]
    configured: ConfiguredArgs,
    /// Kills of one run with --real
    #[arg(long, value_name = "N", default_value_t = 40, requires = "real", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    kills: u32,
    /// Agents that upload meanwhile with --real
    #[arg(long, value_name = "N", default_value_t = 8, requires = "real", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    agents: u32,
    /// Longest time in seconds that a node stands still with --real
    #[arg(long, value_name = "N", default_value_t = 4, requires = "real", value_parser = clap::value_parser!(u32).range(1..=120))]
    pause_secs: u32,
    /// Folder of shrunk scenarios; with --real of the nodes' data, logs and reports, and it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The program `muster` for --real; without it the one beside this program
    #[arg(long, value_name = "FILE", requires = "real")]
    muster: Option<PathBuf>,
}

/// Seeds `A..B`, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(RangeInclusive<u64>);

impl FromStr for Seeds {
    type Err = String;
    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no seed: write 1..20"));
        let seeds = match text.split_once("..") {
            Some((first, last)) => number(first)?..=number(last)?,
            None => number(text)?..=number(text)?,
        };
        if seeds.is_empty() { Err("the first seed is greater than the last".into()) } else { Ok(Seeds(seeds)) }
    }
}

/// Runs every seed; fails when an invariant is broken.
pub fn run(args: ChaosArgs) -> Result<(), Failure> {
    if args.real && args.configured.is_some() {
        let text = "--real starts nodes with files of its own, leave the operator's out".into();
        return Err(Failure { text, exit: 2 });
    }
    if args.real { real::run(args) } else { virtual_time::run(args) }
}

#[cfg(test)]
mod tests;
