//! `muster-sim intake`: upload load against a node, and what its disk could do at best in the same minutes.
//!
//! ```text
//! each run:  floors -> uploads over N connections for T seconds -> floors
//! ```
//!
//! A rate of receipts says little by itself: a disk's rate of syncs moves by a factor of three from minute to minute. So
//! it stands beside two floors of the same disk: F1 (append one body, sync) and F64 (append 64 bodies, one sync), each
//! measured right before and right after the uploads; the better of the two counts, which is the harder one to reach.

mod floor;
mod load;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use muster::rng::mix;
use muster_actors::command::Failure;

use self::floor::{FloorError, Floors};
use self::load::{Load, LoadError};
use self::report::Report;
use crate::connection::{Target, TargetError};

/// Each floor is measured for a quarter of the run, at most so long.
const FLOOR_TIME_MAX: Duration = Duration::from_secs(2);

/// Options of `muster-sim intake`.
#[derive(Debug, clap::Args)]
pub struct IntakeArgs {
    /// Base address of the node's upload listener, `http://host:port`.
    #[arg(long)]
    url: String,
    /// Connections that upload at the same time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    connections: u16,
    /// How long to upload in each run.
    #[arg(long, value_name = "T", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Bytes of each body.
    #[arg(long, value_name = "BYTES", default_value_t = 40_960, value_parser = clap::value_parser!(u32).range(64..=32 << 20))]
    size: u32,
    /// A folder on the node's disk, in which the floors are measured.
    #[arg(long, value_name = "DIR")]
    floor_dir: Option<PathBuf>,
    /// How often to do it; the figures are medians.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
}

/// Why a measurement cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// `--url`.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// `--floor-dir`.
    #[error(transparent)]
    Floor(#[from] FloorError),
    /// The uploads.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Failure {
        match error {
            IntakeError::Target(TargetError::Form { .. }) => Failure::usage(&error),
            IntakeError::Floor(_) => Failure::usage(&error),
            IntakeError::Target(_) | IntakeError::Load(_) => Failure::work(&error),
        }
    }
}

/// Measures, and prints one JSON line.
pub fn run(args: IntakeArgs) -> Result<(), Failure> {
    let report = measure(&args)?;
    println!("{}", report.line());
    match report.broken() {
        None => Ok(()),
        Some(text) => Err(Failure { text, exit: 1 }),
    }
}

fn measure(args: &IntakeArgs) -> Result<Report, IntakeError> {
    let target = Target::parse(&args.url)?;
    let floors = args.floor_dir.as_deref().map(|dir| Floors::new(dir, args.size as usize)).transpose()?;
    // A node keeps what it was sent: a second measurement must not be a row of duplicates.
    let seed = mix(std::process::id().into(), nanoseconds());
    let time = Duration::from_secs(args.seconds.into());
    let floor_time = (time / 4).min(FLOOR_TIME_MAX);
    let mut report = Report::default();
    for run in 0..args.runs {
        let before = floors.as_ref().map(|floors| floors.measure(floor_time)).transpose()?;
        let load = Load {
            target: target.clone(),
            connections: args.connections.into(),
            time,
            size: args.size as usize,
            seed: mix(seed, run.into()),
        };
        let outcome = load.run()?;
        let after = floors.as_ref().map(|floors| floors.measure(floor_time)).transpose()?;
        report.add(outcome, before.into_iter().chain(after).collect());
    }
    Ok(report)
}

fn nanoseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as u64
}

#[cfg(test)]
mod tests;
