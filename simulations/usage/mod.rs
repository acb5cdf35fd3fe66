//! `muster-sim usage`: the meter of a real agent against processes whose lives are known to the millisecond.
//!
//! ```text
//! server -> policy -> agent        then the server stops, so that usage files stay in the agent's queue
//! script of twelve runs, idle processes beside them; processor time of the agent meanwhile
//! files of the sessions = what ran?        then the server comes back: its device = the files?
//! ```
//!
//! The programs are real ones of packages that dpkg knows, run by an account that runs nothing else: one after the other
//! and at one time, two of one package, a parent with children of its own program. Runs have to be counted exactly;
//! times may be off by one sample, a minute unless told otherwise.

mod drill;
mod programs;
mod reports;
mod script;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use muster_actors::command::{Failure, print_line};

use crate::kills::KillError;

pub use self::drill::{UsageOptions, UsageReport, run as drill};
pub use self::table::Row;

/// Options of `muster-sim usage`.
#[derive(Debug, clap::Args)]
pub struct UsageArgs {
    /// Seconds from one usage file to the next; the whole takes about twice as long
    #[arg(long, value_name = "T", default_value_t = 600, value_parser = clap::value_parser!(u32).range(60..=86_400))]
    period_secs: u32,
    /// Seconds between two samples; processes live 2 to 8 of them
    #[arg(long, value_name = "T", default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=600))]
    sample_secs: u32,
    /// Idle processes beside those of the script, to see what metering costs
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4_000))]
    sleepers: u32,
    /// Where the lives of the processes come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Folder of the nodes' data and logs; must not exist yet
    #[arg(long, value_name = "DIR", default_value = "muster-usage")]
    out: PathBuf,
    /// The program `muster`; without it the one beside this program
    #[arg(long, value_name = "FILE")]
    muster: Option<PathBuf>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A file, a process or a request.
    #[error("cannot {doing}")]
    World {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A node.
    #[error(transparent)]
    Node(#[from] KillError),
    /// The server does not do what is asked.
    #[error("cannot {doing}: {why}")]
    Server {
        /// What was asked.
        doing: String,
        /// What came of it.
        why: String,
    },
    /// This host has too few of the programs.
    #[error(
        "this host has {found} of the {} programs with packages known to dpkg that are needed: run it on a Debian system",
        script::PROGRAMS
    )]
    Programs {
        /// How many it has.
        found: usize,
    },
    /// Nothing happened in time.
    #[error("{what} does not happen within {secs} s; the logs are in `{}`", folder.display())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// How long.
        secs: u64,
        /// Where to look.
        folder: PathBuf,
    },
    /// A process of the script ended by itself.
    #[error("`{package}`: its process ended by itself, the script is void")]
    Ended {
        /// Its package.
        package: &'static str,
    },
    /// A usage file that is none.
    #[error("`{}` is no valid usage file: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Runs the drill and prints its table; fails when a count or a time is off.
pub fn run(args: UsageArgs) -> Result<(), Failure> {
    let usage = |text: String| Failure { text, exit: 2 };
    if args.out.exists() {
        return Err(usage(format!("`{}` exists already: remove it or name another --out", args.out.display())));
    }
    if args.period_secs < args.sample_secs {
        return Err(usage("--period-secs must not be shorter than --sample-secs".into()));
    }
    let muster = match args.muster {
        Some(path) => path,
        None => std::env::current_exe().map_err(|error| Failure::work(&error))?.with_file_name("muster"),
    };
    if !muster.is_file() {
        return Err(usage(format!("`{}` is no program: build it, or name it by --muster", muster.display())));
    }
    let options = UsageOptions {
        muster,
        folder: args.out,
        seed: args.seed,
        sample: Duration::from_secs(args.sample_secs.into()),
        period: Duration::from_secs(args.period_secs.into()),
        sleepers: args.sleepers,
    };
    let report = drill::run(&options).map_err(|error| Failure::work(&error))?;
    print_line(&report.to_string()).map_err(|error| Failure::work(&error))?;
    match report.wrong() {
        0 => Ok(()),
        wrong => {
            Err(Failure { text: format!("{wrong} lines are off; data and logs are in the folder --out"), exit: 1 })
        }
    }
}
