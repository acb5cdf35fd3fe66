//! Kill -9 of real nodes, one run for each seed.

use std::path::PathBuf;

use muster_actors::command::{Failure, print_line};

use super::ChaosArgs;
use crate::kills::{self, KillOptions};

/// Runs every seed; fails when an invariant is broken.
pub fn run(args: ChaosArgs) -> Result<(), Failure> {
    let usage = |text: String| Failure { text, exit: 2 };
    let out = args.out.unwrap_or_else(|| PathBuf::from("muster-chaos"));
    if out.exists() {
        return Err(usage(format!("`{}` exists already: remove it or name another --out", out.display())));
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
        let folder = out.join(format!("seed-{seed}"));
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
    let (seeds, out) = (format!("{broken:?}"), out.display());
    let text = format!(
        "invariants are broken with seeds {seeds}; stores and logs are in `{out}`; again: muster-sim chaos --real --seeds \
         {first} --kills {kills} --agents {agents} --out OTHER",
        first = broken[0],
        kills = args.kills,
        agents = args.agents,
    );
    Err(Failure { text, exit: 1 })
}
