//! What changed between two reconciles, and what did it: for each licence whose figures or status differ the units that
//! came, went or count differently, each with its causes, and what changed in the terms of the licence.
//!
//! ```text
//! consumed, after - before  =  sum over units  +  rounding  +  peaks          exactly, for every licence
//! total,    after - before  =  sum over purchases in force                    where both are limited
//! ```
//!
//! The two runs may be of two estates: everything is matched by its id. Cost: what the changed licences took, sorted.
//!
//! Source: reconcile-files reference, sections 5 to 8; decision 084.

mod causes;
mod facts;
pub mod sentences;
mod side;
mod terms;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use super::engine::Reconciled;
use crate::model::decimal::Decimal;
use crate::model::licensing::{Exemption, Metric, Total};
use crate::model::reconciliation::{Position, Reason, Status};
use side::Side;

pub use terms::{PurchaseState, TermChange};

/// Everything that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Licences of which a figure, the status, a term or a unit differs, or that came or went, ascending by id.
    pub licences: Vec<LicenceChange>,
}

/// What changed of a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LicenceChange {
    /// Its id.
    pub license: String,
    /// Its figures in the first run; `None`: it was not there.
    pub before: Option<Figures>,
    /// Its figures in the second; `None`: it is there no more.
    pub after: Option<Figures>,
    /// What the difference of `consumed` is made of.
    pub difference: Difference,
    /// What changed in its terms.
    pub terms: Vec<TermChange>,
    /// Units that came, went or count differently, devices first, each kind ascending by id.
    pub units: Vec<UnitChange>,
}

/// The figures of a licence that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Number of its type; `None`: its cell is bad.
    #[serde(rename = "type")]
    pub metric: Option<Metric>,
    /// Installations taken, and what counts without one.
    pub raw: u64,
    /// What is used; `None`: the type is not calculated.
    pub consumed: Option<Decimal>,
    /// The same without peaks of earlier days.
    pub today: Option<Decimal>,
    /// What is owned.
    pub total: Total,
    /// Compliance.
    pub status: Status,
    /// Devices that could not be counted.
    pub missing: u64,
}

/// What a difference of `consumed` is made of; the parts add up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Second less first; a licence that is not there, or not calculated, counts 0.
    pub consumed: Decimal,
    /// Of it, what the units make.
    pub units: Decimal,
    /// Of it, what is not of any one unit: several rounded together, minimums, steps, a quantity entered by hand.
    pub rounding: Decimal,
    /// Of it, what peaks of earlier days make.
    pub peaks: Decimal,
}

/// Who or what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// A device.
    Device,
    /// A user.
    User,
}

/// A unit that came, went or counts differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitChange {
    /// What it is.
    pub unit: UnitKind,
    /// Its id.
    pub id: String,
    /// How it counted; `None`: it did not.
    pub before: Option<Counted>,
    /// How it counts; `None`: it does not.
    pub after: Option<Counted>,
    /// Second less first, of what it comes to.
    pub difference: Decimal,
    /// What did it, ascending, never empty.
    pub causes: Vec<Cause>,
}

/// How a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Its installations that the licence took.
    pub raw: u64,
    /// What it comes to.
    pub consumed: Decimal,
    /// Why: the word of the table `consumption`.
    pub reason: &'static str,
    /// The exemption that goes with it.
    pub exemption: Option<Exemption>,
}

/// How somebody is tied to a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tie {
    /// `allocated`, `awaiting` or `permanent`.
    pub kind: &'static str,
    /// It needs no right.
    pub exemption: Option<Exemption>,
}

/// Why a unit came, went or counts differently. Where a licence refused something, its reason of the run that is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
#[allow(missing_docs, reason = "ids of what the cause names, and values of the first and the second run")]
pub enum Cause {
    /// The device is in the second estate only.
    DeviceNew { device: String },
    /// The device is in the first estate only.
    DeviceGone { device: String },
    /// The application was not installed there.
    Installed {
        application: String,
        device: String,
        /// What shows it in the second run, where that is kept; see [`Changes::evidence`].
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// The application is no longer installed there.
    Removed {
        application: String,
        device: String,
        /// What showed it in the first run.
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// The installation came from another licence, which now refuses it, or from none, when this one refused it.
    MovedFrom { application: String, device: String, license: Option<String>, because: Option<Reason> },
    /// The installation went to another licence, or to none; this one refuses it.
    MovedTo { application: String, device: String, license: Option<String>, because: Option<Reason> },
    /// An installation needs no right any more, or needs one again.
    Exemption { application: String, device: String, before: Option<Exemption>, after: Option<Exemption> },
    /// An installation became free, or ceased to be, beside its suite or a primary product.
    Free { application: String, device: String, is_free: bool },
    /// A device or user was tied to the licence, or no longer is, or otherwise.
    Allocation { unit: UnitKind, id: String, before: Option<Tie>, after: Option<Tie> },
    /// Something that the type looks at is another on a device; blank: not known.
    Fact { device: String, fact: &'static str, before: String, after: String },
    /// The user uses an application otherwise.
    Usage { application: String, device: String, before: Option<Decimal>, after: Option<Decimal> },
    /// The device or user reaches an application, or no longer does.
    Access { application: String, reaches: bool },
    /// It counts for another reason: the words of the table `consumption`.
    CountsAs { before: &'static str, after: &'static str },
    /// What the licence covers, and how it counts, changed.
    Terms,
    /// Nothing of its own: what else the licence covers decides who is free and who is not.
    Elsewhere,
}

impl Figures {
    fn of(position: &Position) -> Figures {
        let &Position { metric, raw, consumed, today, total, status, missing, .. } = position;
        Figures { metric, raw, consumed, today, total, status, missing }
    }
}

/// Which of the two runs something is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The first.
    Before,
    /// The second.
    After,
}

/// What shows that devices have an application, by device.
pub type ShownBy = BTreeMap<String, String>;

impl Cause {
    /// An installation that came or went: of which run it is, its application and device, and where its evidence stands.
    fn installation(&mut self) -> Option<(Which, &str, &str, &mut Option<String>)> {
        match self {
            Cause::Installed { application, device, evidence } => Some((Which::After, application, device, evidence)),
            Cause::Removed { application, device, evidence } => Some((Which::Before, application, device, evidence)),
            _ => None,
        }
    }
}

impl Changes {
    /// Puts what shows installations beside those that came or went, in the first `most` units of each licence. `read` is asked
    /// once for each application of a run.
    pub fn evidence<E>(
        &mut self,
        most: usize,
        mut read: impl FnMut(Which, &str, &[&str]) -> Result<ShownBy, E>,
    ) -> Result<(), E> {
        let mut wanted: BTreeMap<(Which, String), BTreeSet<String>> = BTreeMap::new();
        let causes = |licences: &mut [LicenceChange], see: &mut dyn FnMut(&mut Cause)| {
            let units = licences.iter_mut().flat_map(|licence| licence.units.iter_mut().take(most));
            units.flat_map(|unit| &mut unit.causes).for_each(see);
        };
        causes(&mut self.licences, &mut |cause| {
            if let Some((which, application, device, _)) = cause.installation() {
                wanted.entry((which, application.to_owned())).or_default().insert(device.to_owned());
            }
        });
        let mut found: BTreeMap<(Which, String), ShownBy> = BTreeMap::new();
        for (of, devices) in wanted {
            let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
            let shown = read(of.0, &of.1, &devices)?;
            found.insert(of, shown);
        }
        causes(&mut self.licences, &mut |cause| {
            if let Some((which, application, device, evidence)) = cause.installation() {
                let shown = found.get(&(which, application.to_owned()));
                *evidence = shown.and_then(|shown| shown.get(device)).cloned();
            }
        });
        Ok(())
    }
}

/// What changed from one reconcile to another.
pub fn changes(before: &Reconciled<'_>, after: &Reconciled<'_>) -> Changes {
    let ids = |found: &Reconciled<'_>| found.context().licensing.ids.iter().map(str::to_owned).collect::<Vec<_>>();
    let licences: BTreeSet<String> = ids(before).into_iter().chain(ids(after)).collect();
    let licences: Vec<String> = licences.into_iter().collect();
    let changed = licences.par_iter().filter_map(|licence| change(before, after, licence));
    Changes { licences: changed.collect() }
}

/// What changed of a licence that is in one of the two; `None`: nothing that is told.
fn change(before: &Reconciled<'_>, after: &Reconciled<'_>, licence: &str) -> Option<LicenceChange> {
    let (before, after) = (Side::new(before, licence), Side::new(after, licence));
    let figures = [&before, &after].map(|side| side.position().map(Figures::of));
    let [was, is] = figures;
    let (units_before, units_after) = (before.units(), after.units());
    let mut units = units::differences(&before.sorted(&units_before), &after.sorted(&units_after));
    let terms = terms::differences(&before, &after);
    let is_same = matches!((&was, &is), (Some(was), Some(is)) if was == is);
    if is_same && units.is_empty() && terms.is_empty() {
        return None;
    }
    causes::explain(&before, &after, &terms, &mut units);
    let sum = |units: &[crate::model::reconciliation::Unit]| units.iter().map(|unit| unit.consumed).sum::<Decimal>();
    let (sum_before, sum_after) = (sum(&units_before), sum(&units_after));
    let consumed = |figures: &Option<Figures>| figures.as_ref().and_then(|one| one.consumed).unwrap_or_default();
    let today = |figures: &Option<Figures>| figures.as_ref().and_then(|one| one.today).unwrap_or_default();
    let difference = Difference {
        consumed: consumed(&is) - consumed(&was),
        units: sum_after - sum_before,
        rounding: (today(&is) - sum_after) - (today(&was) - sum_before),
        peaks: (consumed(&is) - today(&is)) - (consumed(&was) - today(&was)),
    };
    Some(LicenceChange { license: licence.to_owned(), before: was, after: is, difference, terms, units })
}

#[cfg(test)]
mod tests;
