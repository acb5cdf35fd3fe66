//! The least that still fails: of a run's fault windows, agents, days and kinds of loss.
//!
//! Each try is a scenario file of its own, read as any other, so what is found fails by itself. Lists are halved and
//! thinned out as long as what is left fails. Source: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing
//! Input, 2002, algorithm ddmin.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::config::Document;
use toml::{Table, Value};

use crate::scenario::{Overrides, Scenario, Window};
use crate::world::windows;

/// Most windows that are told apart; a run with more keeps them as they are drawn.
const WINDOWS_MAX: usize = 50_000;
/// Most agents that are told apart.
const AGENTS_MAX: u32 = 50_000;
/// What is lost or changed at random, without a window.
const RANDOM: [&str; 4] = ["lost_requests", "lost_answers", "doubled", "corrupted"];

/// How long is looked.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Most runs.
    pub tries: u32,
    /// Most time; a run that has begun ends.
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { tries: 600, time: Duration::from_secs(300) }
    }
}

/// A scenario that fails by itself.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Its file.
    pub text: String,
    /// Fault windows in it; `None` when they are drawn as before.
    pub windows: Option<usize>,
    /// Agents that are installed.
    pub agents: usize,
    /// Its days.
    pub days: u32,
    /// Runs that it took.
    pub tries: u32,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shrunk { windows, agents, days, tries, .. } = self;
        let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let faults = windows.map_or("the faults as they are drawn".into(), |windows| many(windows, "fault window"));
        let (agents, days) = (many(*agents, "agent"), many(*days as usize, "day"));
        write!(f, "shrunk to {faults}, {agents} and {days} in {tries} tries")
    }
}

/// One scenario to try.
#[derive(Clone)]
struct Candidate {
    base: Table,
    /// `None`: as drawn.
    windows: Option<Vec<Window>>,
    agents: Option<Vec<u32>>,
    days: (u32, u32),
}

fn section<'t>(table: &'t mut Table, name: &str) -> Option<&'t mut Table> {
    table.entry(name).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
}

impl Candidate {
    fn text(&self) -> Option<String> {
        let mut table = self.base.clone();
        let fleet = section(&mut table, "fleet")?;
        let (days, quiet) = self.days;
        fleet.insert("days".into(), Value::Integer(days.into()));
        fleet.insert("quiet_days".into(), Value::Integer(quiet.into()));
        if let Some(agents) = &self.agents {
            let numbers = agents.iter().map(|agent| Value::Integer((*agent).into())).collect();
            fleet.insert("only_agents".into(), Value::Array(numbers));
        }
        if let Some(windows) = &self.windows {
            // Their nights are among the windows.
            section(&mut table, "agents")?.insert("laptops".into(), Value::Float(0.0));
            let entries = windows.iter().map(|window| Value::Table(window.entry())).collect();
            table.insert("fault".into(), Value::Array(entries));
        }
        toml::to_string(&table).ok()
    }
}

/// Tries candidates until the budget is spent.
struct Trials<'f> {
    left: Budget,
    began: Instant,
    overrides: Overrides<'f>,
    tries: u32,
    fails: &'f mut dyn FnMut(Scenario) -> bool,
}

impl Trials<'_> {
    fn fail(&mut self, candidate: &Candidate) -> bool {
        if self.tries >= self.left.tries || self.began.elapsed() >= self.left.time {
            return false;
        }
        let Some(text) = candidate.text() else { return false };
        let Ok(scenario) = Scenario::read(&Document { text: &text, file: "shrunk" }, self.overrides) else {
            return false;
        };
        self.tries += 1;
        (self.fails)(scenario)
    }

    /// The fewest of `items` with which `candidate` still fails, when they are put into it by `put`.
    fn fewest<T: Clone>(
        &mut self,
        mut items: Vec<T>,
        candidate: &mut Candidate,
        put: fn(&mut Candidate, Vec<T>),
    ) -> Vec<T> {
        let mut fail = |trials: &mut Self, items: &[T]| {
            let mut tried = candidate.clone();
            put(&mut tried, items.to_vec());
            let fails = trials.fail(&tried);
            if fails {
                *candidate = tried;
            }
            fails
        };
        if items.is_empty() || fail(self, &[]) {
            return Vec::new();
        }
        let mut parts = 2;
        while items.len() > 1 {
            let size = items.len().div_ceil(parts);
            let alone = items.chunks(size).find(|chunk| fail(self, chunk)).map(<[T]>::to_vec);
            if let Some(chunk) = alone {
                (items, parts) = (chunk, 2);
                continue;
            }
            let without =
                |place: usize| -> Vec<T> { [&items[..place], &items[(place + size).min(items.len())..]].concat() };
            let thinner =
                (0..items.len()).step_by(size).map(without).find(|rest| rest.len() < items.len() && fail(self, rest));
            if let Some(rest) = thinner {
                (items, parts) = (rest, (parts - 1).max(2));
            } else if size == 1 {
                break;
            } else {
                parts = (parts * 2).min(items.len());
            }
        }
        items
    }
}

/// Shrinks the run of a seed over the scenario of this text. `None`: written out it does not fail.
pub fn shrink(
    seed: u64,
    text: &str,
    overrides: Overrides<'_>,
    left: Budget,
    fails: &mut dyn FnMut(Scenario) -> bool,
) -> Option<Shrunk> {
    let mut base: Table = text.parse().ok()?;
    let scenario = Arc::new(Scenario::read(&Document { text, file: "scenario" }, overrides).ok()?);
    let quiet = (scenario.end().ms_since(scenario.heal) / muster::time::DAY_MS) as u32;
    let mut trials = Trials { left, began: Instant::now(), overrides, tries: 0, fails };
    let drawn = windows(seed, &scenario, WINDOWS_MAX + 1);
    // Numbers stay what they are: a seed means other draws for other nodes.
    let fleet = section(&mut base, "fleet")?;
    fleet.insert("agents".into(), Value::Integer(scenario.agents.into()));
    let agents = scenario.only_agents.clone().unwrap_or_else(|| (0..scenario.agents.min(AGENTS_MAX + 1)).collect());
    let mut found = Candidate { base, windows: None, agents: None, days: (scenario.days, quiet) };
    if drawn.len() <= WINDOWS_MAX {
        let written = Candidate { windows: Some(drawn), ..found.clone() };
        if trials.fail(&written) {
            found = written;
        }
    }
    if found.windows.is_none() && !trials.fail(&found) {
        return None;
    }
    let fewer = (1..scenario.days).flat_map(|days| [(days, 0), (days, quiet.min(days))]);
    let shorter =
        fewer.take(40).map(|days| Candidate { days, ..found.clone() }).find(|candidate| trials.fail(candidate));
    found = shorter.unwrap_or(found);
    // With few windows a run is short, with few agents too; afterwards some windows may have become needless.
    for _ in 0..2 {
        if let Some(windows) = found.windows.clone() {
            trials.fewest(windows, &mut found, |candidate, windows| candidate.windows = Some(windows));
        }
        let agents = found.agents.clone().unwrap_or_else(|| agents.clone());
        if agents.len() <= AGENTS_MAX as usize {
            trials.fewest(agents, &mut found, |candidate, agents| candidate.agents = Some(agents));
        }
    }
    for name in RANDOM {
        let mut without = found.clone();
        section(&mut without.base, "network")?.insert(name.into(), Value::Float(0.0));
        if trials.fail(&without) {
            found = without;
        }
    }
    let (days, _) = found.days;
    Some(Shrunk {
        text: found.text()?,
        windows: found.windows.as_ref().map(Vec::len),
        agents: found.agents.as_ref().map_or(agents.len(), Vec::len),
        days,
        tries: trials.tries,
    })
}

#[cfg(test)]
mod tests;
