//! One run in virtual time for each seed, on every core of this machine.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use muster::config::Document;
use muster_actors::command::Failure;
use serde_json::json;

use super::outcome::probes_json;
use super::{Budget, ChaosArgs, Outcome, Seeds, shrink};
use crate::configured::Configured;
use crate::files::make_out;
use crate::fleet::{Contents, Driver, drive, scenario_text};
use crate::output::{Stopped, print, quoted};
use crate::scenario::{Overrides, Scenario};

/// Runs every seed of a scenario; the first one that breaks an invariant is shrunk.
pub fn run(args: ChaosArgs) -> Result<(), Failure> {
    let ChaosArgs { scenario: file, seeds: Seeds(seeds), driver, content, out, configured: of_operator, .. } = args;
    let configured = Configured::read(&of_operator)?;
    let text = scenario_text(file.as_deref())?;
    let name = file.as_deref().map_or("the scenario".into(), |file| file.display().to_string());
    let overrides =
        Overrides { is_full: content == Contents::Full, configured: Some(&configured), ..Overrides::default() };
    let scenario = Scenario::read(&Document { text: &text, file: &name }, overrides);
    let scenario = Arc::new(scenario.map_err(|error| Failure { text: error.to_string(), exit: 2 })?);
    scenario.tell();
    out.as_deref().map(make_out).transpose()?;
    let (began, count) = (Instant::now(), seeds.clone().count());
    let mut sum = Sum::default();
    let bar = bar(count as u64);
    let ended = each_seed(driver, seeds, &scenario, |outcome| {
        sum.add(&outcome);
        let printed = match &bar {
            Some(bar) => bar.suspend(|| print(&outcome.to_json().to_string())),
            None => print(&outcome.to_json().to_string()),
        };
        if let Some(bar) = &bar {
            bar.inc(1);
        }
        printed
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if let Err(Stopped::Closed) = ended {
        return Ok(());
    }
    Stopped::end(ended)?;
    let rate = count as f64 / began.elapsed().as_secs_f64().max(0.001);
    Stopped::end(sum.print(count, rate))?;
    let Some(first) = sum.failed.first() else { return Ok(()) };
    eprintln!("muster-sim: seed {} breaks {}; looking for the least that does", first.seed, first.what());
    let of = Failing {
        driver,
        text: &text,
        out: out.as_deref().unwrap_or(Path::new(".")),
        overrides,
        again: of_operator.again(),
    };
    Err(Failure { text: shrunk(first, &of, &sum), exit: 1 })
}

/// What a seed that fails ran with.
struct Failing<'f> {
    driver: Driver,
    text: &'f str,
    out: &'f Path,
    overrides: Overrides<'f>,
    /// Options of the operator's files.
    again: String,
}

/// Shrinks a seed that fails, and says how to see it again.
fn shrunk(first: &Outcome, of: &Failing<'_>, sum: &Sum) -> String {
    let Failing { driver, text, out, overrides, again } = of;
    let (seed, driver) = (first.seed, *driver);
    let ids: Vec<&str> = first.broken.iter().map(|(id, _)| *id).collect();
    let mut fails = |scenario: Scenario| {
        let closed = drive(driver, seed, Arc::new(scenario), |_| {});
        closed.is_ok_and(|closed| closed.stage.book.checks.broken().any(|(id, _)| ids.contains(&id)))
    };
    let seeds: Vec<u64> = sum.failed.iter().map(|failed| failed.seed).collect();
    let head = format!("invariants are broken with seeds {seeds:?}: {}", first.what());
    let Some(shrunk) = shrink(seed, text, *overrides, Budget::default(), &mut fails) else {
        return format!("{head}; seed {seed} does not fail again, so its faults cannot be told apart");
    };
    let file = free_name(out, seed);
    let full = if overrides.is_full { " --content full" } else { "" };
    let replay =
        format!("muster-sim replay --seed {seed} --scenario {}{full}{again}", quoted(&file.display().to_string()));
    let written = format!("# {}\n#\n#     {replay}\n\n{}", first.what().replace(char::is_control, " "), shrunk.text);
    match std::fs::write(&file, written) {
        Ok(()) => format!("{head}; {shrunk}; again: {replay}"),
        Err(error) => format!("{head}; {shrunk}; {}: cannot be written: {error}", file.display()),
    }
}

/// A name in `folder` that no file has yet: what stands there may be what somebody wrote.
fn free_name(folder: &Path, seed: u64) -> PathBuf {
    let name = |nth: u32| match nth {
        1 => folder.join(format!("seed-{seed}.toml")),
        nth => folder.join(format!("seed-{seed}-{nth}.toml")),
    };
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(u32::MAX))
}

/// Sums over all seeds.
#[derive(Default)]
struct Sum {
    probes: BTreeMap<&'static str, u64>,
    violations: u64,
    failed: Vec<Outcome>,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        for (name, hits) in &outcome.probes {
            *self.probes.entry(name).or_default() += hits;
        }
        self.violations += outcome.violations;
        if outcome.violations > 0 {
            self.failed.push(outcome.clone());
        }
    }

    fn print(&self, count: usize, rate: f64) -> Result<(), Stopped> {
        let probes: Vec<(&'static str, u64)> = self.probes.iter().map(|(name, hits)| (*name, *hits)).collect();
        let never: Vec<&str> = probes.iter().filter(|(_, hits)| *hits == 0).map(|(name, _)| *name).collect();
        let failed: Vec<u64> = self.failed.iter().map(|failed| failed.seed).collect();
        let line = json!({
            "seeds": count,
            "seeds_per_s": (rate * 1_000.0).round() / 1_000.0,
            "violations": self.violations,
            "failed_seeds": failed,
            "probes": probes_json(&probes),
            "never_reached": never,
        });
        if !never.is_empty() {
            eprintln!("muster-sim: no run reached {}: what it stands for was not tried", never.join(", "));
        }
        print(&line.to_string())
    }
}

fn bar(seeds: u64) -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(seeds);
        let style = ProgressStyle::with_template("{bar:40} seed {pos} of {len}, {eta} to go");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    })
}

/// Runs the seeds on all cores; `see` gets the outcomes in the order of the seeds. Ends early when it fails.
fn each_seed(
    driver: Driver,
    seeds: RangeInclusive<u64>,
    scenario: &Arc<Scenario>,
    mut see: impl FnMut(Outcome) -> Result<(), Stopped>,
) -> Result<(), Stopped> {
    let (first, last) = seeds.into_inner();
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread that is ahead waits until its outcome is seen.
    let (tell, told) = mpsc::sync_channel(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (tell, next, is_over) = (tell.clone(), &next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = first.checked_add(number).filter(|seed| *seed <= last) else { return };
                    let outcome =
                        drive(driver, seed, scenario.clone(), |_| {}).map(|closed| Outcome::of(seed, &closed));
                    if tell.send((seed, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        let (mut waiting, mut due) = (BTreeMap::new(), first);
        for (seed, outcome) in told {
            waiting.insert(seed, outcome);
            while let Some(outcome) = waiting.remove(&due) {
                if let Err(error) = outcome.map_err(|error| Failure::work(&error).into()).and_then(&mut see) {
                    is_over.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                due = due.wrapping_add(1);
            }
        }
        Ok(())
    })
}
