//! Which inventory records are one device: 21 Matchers in order, and any that the operator adds.
//!
//! ```text
//! ImportedComputer -> normalise -> Record -> phase1 -> MatchedSet -> phase2 -> Outcome -> update -> Device
//!                                              ^ group: one hash per candidate, never pairs ^        (merge: values)
//! ```
//!
//! Everything is a function of the records, never of their order: work is done in order of record_id, and what a hash
//! table holds is taken out in order of first member. Cost of a phase: one pass over the pool per Matcher.
//!
//! Source: Identifying Related Inventory, and the matching reference, whose section numbers the items below give.

pub mod normalise;
pub mod uuid_key;

pub mod condition;
pub mod matcher;
pub mod matchers;

pub mod forbidden;
mod group;
pub mod phase1;

mod chains;
pub mod phase2;

pub mod merge;
pub mod update;

pub mod explain;

pub use explain::{Explanation, explain_pair};
pub use forbidden::Forbidden;
pub use matcher::Matcher;
pub use matchers::{MatcherError, Matchers, standard_matchers};
pub use merge::merge;
pub use normalise::{Normalised, Placeholders, Record};
pub use phase1::{MatchedSet, phase1};
pub use phase2::{Alignment, DuplicateReport, How, Merge, Outcome, phase2};
pub use update::updated_devices;

#[cfg(test)]
mod tests;
