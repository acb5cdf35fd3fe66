//! Chaos with real processes, one run for each seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use muster::config::Document;
use muster_actors::command::Failure;
use muster_actors::errors::Chain;
use serde_json::{Value, json};

use super::ChaosArgs;
use crate::files::make_out;
use crate::fleet::scenario_text;
use crate::kills::{self, KillError, KillOptions, KillReport, Plan};
use crate::output::{Stopped, print, quoted};
use crate::scenario::{Overrides, Scenario};

/// Runs every seed; fails when an invariant is broken.
pub fn run(args: ChaosArgs) -> Result<(), Failure> {
    let usage = |text: String| Failure { text, exit: 2 };
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("muster-chaos"));
    if out.exists() {
        return Err(usage(format!("`{}` exists already: remove it or name another --out", out.display())));
    }
    let muster = match &args.muster {
        Some(path) => path.clone(),
        None => std::env::current_exe().map_err(|error| Failure::work(&error))?.with_file_name("muster"),
    };
    if !muster.is_file() {
        return Err(usage(format!("`{}` is no program: build it, or name it by --muster", muster.display())));
    }
    check_program(&muster)?;
    let scenario = args.scenario.as_deref().map(scenario).transpose()?;
    make_out(&out)?;
    kills::end_with_this_process();
    let pause_ms_max = i64::from(args.pause_secs) * 1_000;
    let mut sum = Sum::default();
    for seed in args.seeds.0.clone() {
        let plan = match &scenario {
            Some(scenario) => Plan::of_scenario(scenario, seed, args.kills, pause_ms_max),
            None => Plan::of_everything(seed, args.kills, pause_ms_max),
        };
        let folder = out.join(format!("seed-{seed}"));
        let options = KillOptions { muster: muster.clone(), folder, seed, plan, agents: args.agents };
        sum.seeds += 1;
        let line = match kills::run(&options) {
            Ok(report) => {
                sum.add(&report);
                report.to_json()
            }
            // What does not come to rest, or up again, is a broken promise of the nodes.
            Err(error @ (KillError::NoRest { .. } | KillError::NotReady { .. })) => {
                sum.failed.push(seed);
                json!({ "seed": seed, "violations": [{ "id": "I10", "what": error.to_string() }] })
            }
            Err(error) => {
                let Failure { text, exit } = Failure::work(&error);
                return Err(Failure { text: format!("seed {seed}: {text}"), exit });
            }
        };
        if let Err(Stopped::Closed) = print(&line.to_string()) {
            return Ok(());
        }
    }
    Stopped::end(print(&sum.to_json().to_string()))?;
    let never = sum.never();
    if !never.is_empty() {
        eprintln!("muster-sim: no run reached {}: what it stands for was not tried", never.join(", "));
    }
    let Some(first) = sum.failed.first() else { return Ok(()) };
    let scenario =
        args.scenario.map_or(String::new(), |file| format!(" --scenario {}", quoted(&file.display().to_string())));
    let text = format!(
        "invariants are broken with seeds {seeds:?}; stores and logs are in `{out}`; again: muster-sim chaos --real{scenario} \
         --seeds {first} --kills {kills} --agents {agents} --pause-secs {pause} --out OTHER",
        seeds = sum.failed,
        out = out.display(),
        kills = args.kills,
        agents = args.agents,
        pause = args.pause_secs,
    );
    Err(Failure { text, exit: 1 })
}

/// Whether it is the program that is meant: it says so.
fn check_program(muster: &Path) -> Result<(), Failure> {
    let said = Command::new(muster).arg("--version").stdin(Stdio::null()).output();
    let is_muster = said.as_ref().is_ok_and(|said| said.status.success() && said.stdout.starts_with(b"muster "));
    if is_muster {
        return Ok(());
    }
    let why = said.err().map_or("does not answer `--version` as muster does".into(), |error| error.to_string());
    Err(Failure { text: format!("--muster {}: {why}; name the program `muster`", muster.display()), exit: 2 })
}

fn scenario(file: &Path) -> Result<Scenario, Failure> {
    let text = scenario_text(Some(file))?;
    let document = Document { text: &text, file: &file.display().to_string() };
    Scenario::read(&document, Overrides::default())
        .map_err(|error| Failure { text: Chain(&error).to_string(), exit: 2 })
}

/// Sums over all seeds.
#[derive(Default)]
struct Sum {
    seeds: u64,
    probes: BTreeMap<&'static str, u64>,
    kills: BTreeMap<&'static str, u32>,
    published: u64,
    not_shown: Vec<&'static str>,
    failed: Vec<u64>,
}

impl Sum {
    fn add(&mut self, report: &KillReport) {
        self.published += report.published;
        for (name, times) in report.probes() {
            *self.probes.entry(name).or_default() += times;
        }
        for (name, times) in &report.kills {
            *self.kills.entry(name).or_default() += times;
        }
        self.not_shown.clone_from(&report.not_shown);
        if !report.verdict.violations.is_empty() {
            self.failed.push(report.seed);
        }
    }

    fn never(&self) -> Vec<&'static str> {
        self.probes.iter().filter(|(_, times)| **times == 0).map(|(name, _)| *name).collect()
    }

    fn to_json(&self) -> Value {
        json!({
            "seeds": self.seeds,
            "published": self.published,
            "kills": self.kills,
            "probes": self.probes,
            "failed_seeds": self.failed,
            "never_reached": self.never(),
            "not_shown": self.not_shown,
        })
    }
}
