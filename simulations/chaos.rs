//! `muster-sim chaos --real`: kill -9 of real nodes, one run for each seed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use muster_actors::command::{Failure, print_line};

use crate::kills::{self, KillOptions};

/// Options of `muster-sim chaos`.
#[derive(Debug, clap::Args)]
pub struct ChaosArgs {
    /// Real processes, HTTP and files; without it nodes would run on the simulated disk, which is not built yet.
    #[arg(long)]
    real: bool,
    /// One run for each of these seeds, the last one included
    #[arg(long, value_name = "A..B", default_value = "1..3")]
    seeds: Seeds,
    /// Kills of one run
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    kills: u32,
    /// Agents that upload meanwhile
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    agents: u32,
    /// Folder of the nodes' data, logs and the report of each run; must not exist yet
    #[arg(long, value_name = "DIR", default_value = "muster-chaos")]
    out: PathBuf,
    /// The program `muster`; without it the one beside this program
    #[arg(long, value_name = "FILE")]
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
    let usage = |text: String| Failure { text, exit: 2 };
    if !args.real {
        return Err(usage("chaos on the simulated disk is not built yet: add --real".into()));
    }
    if args.out.exists() {
        return Err(usage(format!("`{}` exists already: remove it or name another --out", args.out.display())));
    }
    let muster = match args.muster {
        Some(path) => path,
        None => std::env::current_exe().map_err(|error| Failure::work(&error))?.with_file_name("muster"),
    };
    if !muster.is_file() {
        return Err(usage(format!("`{}` is no program: build it, or name it by --muster", muster.display())));
    }
    let mut broken = Vec::new();
    for seed in args.seeds.0 {
        let folder = args.out.join(format!("seed-{seed}"));
        let options = KillOptions { muster: muster.clone(), folder, seed, kills: args.kills, agents: args.agents };
        let report = kills::run(&options).map_err(|error| {
            let Failure { text, exit } = Failure::work(&error);
            Failure { text: format!("seed {seed}: {text}"), exit }
        })?;
        let line = serde_json::json!({ "seed": seed, "report": report });
        print_line(&line.to_string()).map_err(|error| Failure::work(&error))?;
        if !report.verdict.violations.is_empty() {
            broken.push(seed);
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    let (seeds, out) = (format!("{broken:?}"), args.out.display());
    let text = format!(
        "invariants are broken with seeds {seeds}; stores and logs are in `{out}`; again: muster-sim chaos --real --seeds \
         {first} --kills {kills} --agents {agents} --out OTHER",
        first = broken[0],
        kills = args.kills,
        agents = args.agents,
    );
    Err(Failure { text, exit: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_include_the_last_one() {
        assert_eq!("3..5".parse::<Seeds>().unwrap().0.count(), 3);
        assert_eq!("7".parse::<Seeds>().unwrap().0.collect::<Vec<_>>(), [7]);
        for text in ["", "5..3", "a..b", "1.."] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
    }
}
