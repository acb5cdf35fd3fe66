//! What could be saved without touching a machine: another order of licences, other allocations.
//!
//! ```text
//! over-used licences --candidates--> moves, the likeliest first --a reconcile each--> proposals, largest saving first
//! ```
//!
//! Every saving that is told was reconciled: it is the difference of two runs, not an estimate. A move is proposed only when
//! nobody pays for it: no licence is over-used more than before, none becomes At Risk, none that is not judged takes more,
//! nothing becomes unlicensed. Rights that a contract might have and that are not switched on are hints: they are reconciled
//! as well, and count for nothing.
//!
//! The search is bounded by a number of reconciles: half of it for single moves, a quarter for moves together, a quarter for
//! hints. It looks two licences far: from one that is over-used to one with room, at most by way of a third. So it may miss
//! savings; those that it tells are true. The same estate gives the same answer.
//!
//! Source: decision 084.

mod candidates;
mod idle;
mod measure;
mod moves;
pub mod sentences;

use serde::Serialize;

use super::engine::{Reconciled, assign};
use crate::model::decimal::Decimal;
use crate::model::licensing::{Licensing, Metric, Settings, Total, VmUse};
use crate::model::reconciliation::{Reason, Status};
use measure::Measure;
use moves::Move;

/// Reconciles that a search may make. Of a million devices each takes some seconds.
pub const RUNS_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Savings {
    /// Moves that save, each alone, the largest saving first.
    pub proposals: Vec<Proposal>,
    /// Several of them together, where that saves more than the first alone.
    pub together: Option<Together>,
    /// Rights that nobody uses while another licence for the same application is over-used.
    pub idle: Vec<Idle>,
    /// What rights would save that are not switched on.
    pub hints: Vec<Hint>,
    /// Reconciles that were made.
    pub runs: usize,
    /// Moves and hints that were not tried because the bound was reached.
    pub untried: usize,
}

/// A move and what it saves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// What to do.
    pub step: Step,
    /// What that saves.
    pub saving: Saving,
    /// Licences whose figures change, ascending by id.
    pub licenses: Vec<Moved>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Ask a licence first for an application.
    Order {
        /// The application.
        application: String,
        /// The licence.
        license: String,
        /// Cells of the column `priority` that change, ascending by licence.
        priorities: Vec<Priority>,
    },
    /// Allocate devices to a licence; where they are allocated to the other one, no longer to that.
    Allocate {
        /// To this licence.
        license: String,
        /// The one that has their installations now; `None`: no licence has.
        from: Option<String>,
        /// These.
        devices: Vec<String>,
    },
}

/// A cell of `license_applications.csv`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Priority {
    /// The row's licence; the application is that of the step.
    pub license: String,
    /// What stands there; `None`: nothing.
    pub before: Option<u64>,
    /// What has to stand there.
    pub after: Option<u64>,
}

/// What a move saves. Rights of different types are added up, so they rank moves of one licence rather than of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Saving {
    /// Licences that become Compliant and were At Risk.
    pub licenses: u64,
    /// Rights that need not be bought: by so much less is used than is owned, over all licences that are over-used.
    pub rights: Decimal,
    /// Installations that are licensed and were not.
    pub installations: u64,
}

/// A licence whose figures change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Which one.
    pub license: String,
    /// What is used.
    pub consumed: [Option<Decimal>; 2],
    /// What is owned.
    pub total: Total,
    /// Compliance.
    pub status: [Status; 2],
}

/// Several proposals at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Together {
    /// Their places among the proposals, from 0, in the order in which they were added.
    pub proposals: Vec<usize>,
    /// What they save together.
    pub saving: Saving,
    /// Licences whose figures change, ascending by id.
    pub licenses: Vec<Moved>,
}

/// Rights that nobody uses, while another licence that covers the same application is At Risk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// The licence with room.
    pub license: String,
    /// How much.
    pub available: Total,
    /// The licence that is over-used.
    pub at_risk: String,
    /// What both cover.
    pub application: String,
    /// Its installations on the over-used licence.
    pub installations: u64,
    /// What the licence with room said to them, and to how many; `None`: it was not asked.
    pub answers: Vec<(Option<Reason>, u64)>,
}

/// What a right would save, if the contract has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hint {
    /// The licence.
    pub license: String,
    /// The column of `licenses.csv`.
    pub setting: &'static str,
    /// What would stand there.
    pub value: &'static str,
    /// What is used.
    pub consumed: Decimal,
    /// What would be used.
    pub with_it: Decimal,
}

/// What could be saved, found with so many reconciles at most.
pub fn savings(found: &Reconciled<'_>, runs_max: usize) -> Savings {
    let mut search = Search { found, plain: Measure::of(found), runs: 0, untried: 0 };
    let mut tried = search.singles(runs_max.div_ceil(2));
    tried.sort_by(|a, b| (b.1.saving, &a.0).cmp(&(a.1.saving, &b.0)));
    let together = search.together(&tried, runs_max - runs_max / 4);
    let hints = search.hints(runs_max);
    Savings {
        proposals: tried.into_iter().map(|(_, proposal)| proposal).collect(),
        together,
        idle: idle::idle(found, &search.plain),
        hints,
        runs: search.runs,
        untried: search.untried,
    }
}

/// A search under way.
struct Search<'s, 'c> {
    found: &'s Reconciled<'c>,
    plain: Measure,
    runs: usize,
    untried: usize,
}

impl Search<'_, '_> {
    /// Reconciles the estate with other licences.
    fn run<T>(&mut self, licensing: &Licensing, see: impl FnOnce(&Reconciled<'_>) -> T) -> T {
        self.runs += 1;
        let context = self.found.context();
        let assigned = assign(context.estate, licensing, context.as_of);
        see(&assigned.expect("a move adds no link and no suite").count())
    }

    /// What a move does; `None`: it saves nothing, or somebody pays for it.
    fn attempt(&mut self, step: &Move) -> Option<Proposal> {
        let mut licensing = self.found.context().licensing.clone();
        step.make(self.found.context(), &mut licensing);
        let (found, plain) = (self.found, self.plain.clone());
        self.run(&licensing, |after| {
            let saving = plain.saving(&Measure::of(after))?;
            Some(Proposal { step: step.told(found, &licensing), saving, licenses: measure::moved(found, after) })
        })
    }

    /// Single moves that save.
    fn singles(&mut self, runs_max: usize) -> Vec<(Move, Proposal)> {
        let mut saving = Vec::new();
        for candidate in candidates::candidates(self.found, &self.plain) {
            // Of devices fewer and fewer, where more have no room.
            for step in candidate.shrinking() {
                if self.runs >= runs_max {
                    self.untried += 1;
                    break;
                }
                if let Some(proposal) = self.attempt(&step) {
                    saving.push((step, proposal));
                    break;
                }
            }
        }
        saving
    }

    /// Adds one proposal after the other, and keeps each that saves more together with those before it.
    fn together(&mut self, tried: &[(Move, Proposal)], runs_max: usize) -> Option<Together> {
        let (first, rest) = tried.split_first()?;
        let mut licensing = self.found.context().licensing.clone();
        first.0.make(self.found.context(), &mut licensing);
        let mut best: Option<Together> = None;
        let mut places = vec![0];
        let mut most = first.1.saving;
        for (place, (step, _)) in (1..).zip(rest) {
            if self.runs >= runs_max {
                break;
            }
            let mut more = licensing.clone();
            step.make(self.found.context(), &mut more);
            let (found, plain) = (self.found, self.plain.clone());
            let told = self.run(&more, |after| {
                plain.saving(&Measure::of(after)).map(|saving| (saving, measure::moved(found, after)))
            });
            if let Some((saving, licenses)) = told.filter(|(saving, _)| saving.is_more(&most)) {
                (licensing, most) = (more, saving);
                places.push(place);
                best = Some(Together { proposals: places.clone(), saving, licenses });
            }
        }
        best
    }

    /// What rights would save that over-used licences do not have.
    fn hints(&mut self, runs_max: usize) -> Vec<Hint> {
        let mut hints = Vec::new();
        for licence in self.plain.over_used() {
            let context = self.found.context();
            let terms = &context.licensing.licences[licence as usize];
            for (setting, value, switch) in rights(terms.metric, &terms.settings) {
                if self.runs >= runs_max {
                    self.untried += 1;
                    continue;
                }
                let mut licensing = context.licensing.clone();
                switch(&mut licensing.licences[licence as usize].settings);
                let consumed = self.found.positions()[licence as usize].consumed.unwrap_or_default();
                let with_it = self.run(&licensing, |after| after.positions()[licence as usize].consumed);
                if let Some(with_it) = with_it.filter(|&with_it| with_it < consumed) {
                    let license = context.licensing.ids.name(licence).to_owned();
                    hints.push(Hint { license, setting, value, consumed, with_it });
                }
            }
        }
        hints
    }
}

impl Saving {
    /// Whether it saves at least as much in everything, and more in something.
    fn is_more(&self, other: &Saving) -> bool {
        self != other
            && self.licenses >= other.licenses
            && self.rights >= other.rights
            && self.installations >= other.installations
    }
}

/// The column, what would stand there, how it is switched on.
type Right = (&'static str, &'static str, fn(&mut Settings));

/// Rights that matter to a type and are not switched on. Source: reconcile-files reference, section 3, table of settings.
fn rights(metric: Option<Metric>, settings: &Settings) -> Vec<Right> {
    let is = |types: &[Metric]| metric.is_some_and(|metric| types.contains(&metric));
    let by_device =
        [Metric::DEVICE, Metric::NODE_LOCKED, Metric::CORE_POINTS, Metric::PROCESSOR_POINTS, Metric::PROCESSOR];
    let mut rights: Vec<Right> = Vec::new();
    if is(&[Metric::DEVICE]) && !settings.multiple_use {
        rights.push(("multiple_use", "yes", |settings| settings.multiple_use = true));
    }
    if is(&[Metric::DEVICE, Metric::NODE_LOCKED]) && !settings.second_use {
        rights.push(("second_use", "yes", |settings| settings.second_use = true));
    }
    if is(&by_device) && settings.vm_use.is_none() {
        rights.push(("vm_use", "unlimited", |settings| settings.vm_use = Some(VmUse::Unlimited)));
    }
    if is(&[Metric::PROCESSOR_VALUE_UNIT]) && !settings.sub_capacity {
        rights.push(("sub_capacity", "yes", |settings| settings.sub_capacity = true));
    }
    rights
}

#[cfg(test)]
mod tests;
