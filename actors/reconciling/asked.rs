//! Questions about a reconcile that need a second one: what changed, what would be if, what could be saved. The answers go to
//! stdout; nothing is written.

use std::path::{Path, PathBuf};

use muster::model::day::Day;
use muster::model::folder::Edits;
use muster::reconcile::changes::{Changes, changes, sentences::of_changes};
use muster::reconcile::engine::{Reconciled, assign};
use muster::reconcile::evidence::install;
use muster::reconcile::savings::{RUNS_MAX, Savings, savings, sentences::of_savings};
use muster::reconcile::what_if::what_if;
use serde::Serialize;
use serde_json::{Value, json};

use super::command::{day, read};
use crate::command::Failure;

/// Options that ask. One at a time, and with no table.
#[derive(Clone, Debug, clap::Args)]
pub struct Asked {
    /// Tell what changed since the reconcile of this earlier folder, and what did it
    #[arg(long, value_name = "DIR", conflicts_with_all = OTHERS)]
    compare: Option<PathBuf>,
    /// The day of the earlier reconcile; by default the same day
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day, requires = "compare")]
    compare_as_of: Option<Day>,
    /// Tell what would change if the edits in this file were made; nothing is written
    #[arg(long, value_name = "FILE", conflicts_with_all = OTHERS, conflicts_with = "compare")]
    what_if: Option<PathBuf>,
    /// Tell what could be saved by another order of licences and by other allocations
    #[arg(long, conflicts_with_all = OTHERS, conflicts_with_all = ["compare", "what_if"])]
    optimise: bool,
    /// Reconciles that the search for savings may make
    #[arg(long, value_name = "N", default_value_t = RUNS_MAX, requires = "optimise")]
    optimise_runs: usize,
}

/// Options that give something else to stdout, or elsewhere.
const OTHERS: [&str; 4] = ["out", "write", "explain", "explain_installation"];

/// Units that are told of one licence; with --json all are.
const UNITS_TOLD: usize = 100;

/// Bytes of a file of edits.
const EDITS_BYTES_MAX: u64 = 64 << 20;

impl Asked {
    /// Whether something is asked.
    pub fn is_any(&self) -> bool {
        self.compare.is_some() || self.what_if.is_some() || self.optimise
    }

    /// The answer, line by line.
    pub fn answer(&self, found: &Reconciled<'_>, json: bool) -> Result<Vec<String>, Failure> {
        if let Some(earlier) = &self.compare {
            return Ok(told(&compared(earlier, self.compare_as_of, found)?, json));
        }
        if let Some(file) = &self.what_if {
            return Ok(told(&tried(file, found)?, json));
        }
        let saved = savings(found, self.optimise_runs);
        Ok(if json { json_of_savings(&saved) } else { of_savings(&saved) })
    }
}

fn compared(earlier: &Path, as_of: Option<Day>, found: &Reconciled<'_>) -> Result<Changes, Failure> {
    // Which of the two folders is wrong has to be said: both have the same files.
    let in_folder = |failure: Failure| Failure { text: format!("{}: {}", earlier.display(), failure.text), ..failure };
    let mut folder = read(earlier).map_err(in_folder)?;
    install(&mut folder).map_err(|error| in_folder(Failure::usage(&error)))?;
    let as_of = as_of.unwrap_or(found.context().as_of);
    let assigned = assign(&folder.estate, &folder.licensing, as_of)
        .map_err(|cycle| in_folder(Failure::usage(&folder.cycle(&cycle.applications))))?;
    Ok(changes(&assigned.count(), found))
}

fn tried(file: &Path, found: &Reconciled<'_>) -> Result<Changes, Failure> {
    let name = file.display().to_string();
    let usage = |text: String| Failure { text, exit: 2 };
    let text = crate::command::read_text(file, EDITS_BYTES_MAX)
        .map_err(|error| usage(format!("cannot read the edits `{name}`: {error}")))?;
    let edits = Edits::read(text.as_bytes()).map_err(|error| usage(error.in_file(&name)))?;
    for column in &edits.unknown_columns {
        eprintln!("muster: {name}: column `{}` is not known and is ignored", column.escape_debug());
    }
    what_if(found, &edits.list).map_err(|error| usage(edits.refused(error).in_file(&name)))
}

fn told(changes: &Changes, json: bool) -> Vec<String> {
    if json { changes.licences.iter().map(line).collect() } else { of_changes(changes, UNITS_TOLD) }
}

/// A value as a line of JSON.
fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

/// A line for each thing that was found, under the word for what it is; the last says how much was looked.
fn json_of_savings(saved: &Savings) -> Vec<String> {
    let named = |name: &str, value: Value| line(&json!({ name: value }));
    let mut lines = Vec::new();
    lines.extend(saved.proposals.iter().map(|proposal| named("proposal", json!(proposal))));
    lines.extend(saved.together.iter().map(|together| named("together", json!(together))));
    lines.extend(saved.idle.iter().map(|idle| named("idle", json!(idle))));
    lines.extend(saved.hints.iter().map(|hint| named("hint", json!(hint))));
    lines.push(line(&json!({ "runs": saved.runs, "untried": saved.untried })));
    lines
}
