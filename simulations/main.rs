//! The command `muster-sim`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster_simulations::{chaos, custody, fleet, intake, polls, records, usage};

/// Drills muster: fleets, faults and load.
#[derive(Debug, Parser)]
#[command(name = "muster-sim", version)]
struct MusterSim {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate a fleet in virtual time and report what it came to.
    Fleet(fleet::FleetArgs),
    /// Let everything go wrong, one run for each seed, and check that nothing with a receipt is lost.
    Chaos(chaos::ChaosArgs),
    /// Run one seed again and tell every event.
    Replay(chaos::ReplayArgs),
    /// Upload to a node over many connections and compare its receipts with what the disk can do.
    Intake(intake::IntakeArgs),
    /// Ask a node for an unchanged policy over many connections, in turns with another server of the same file.
    Polls(polls::PollsArgs),
    /// Put packages into a node's custody while it does not run, to see it start with them.
    Custody(custody::CustodyArgs),
    /// Write records of a made-up fleet for `muster match`, with the truth in their last column.
    Records(records::command::RecordsArgs),
    /// Meter processes whose lives are known, and compare what a real agent tells of them.
    Usage(usage::UsageArgs),
}

fn main() -> ExitCode {
    let done = match MusterSim::parse().command {
        Command::Fleet(args) => fleet::run(args),
        Command::Chaos(args) => chaos::run(args),
        Command::Replay(args) => chaos::replay(args),
        Command::Intake(args) => intake::run(args),
        Command::Polls(args) => polls::run(args),
        Command::Custody(args) => custody::run(args),
        Command::Records(args) => records::command::run(args),
        Command::Usage(args) => usage::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("muster-sim: {}", failure.text);
            ExitCode::from(failure.exit)
        }
    }
}
