//! Which inventory records are one device: 21 Matchers in order, and any that the operator adds.
//!
//! ```text
//! ImportedComputer -> normalise -> Record -> phase1 -> MatchedSet -> phase2 -> Outcome -> update -> Device
//!                                              ^ group: one hash per candidate, never pairs ^        (merge: values)
//! ```
//!
//! Everything is a function of the records, never of their order: rows ascend by record_id, and which of two hashes is
//! larger decides nothing but the order of work.
//!
//! A phase looks at numbers, not at texts: [`Keys`] has each value folded and hashed once, [`Plan`] has the Matchers as
//! masks over a row's shape, and candidates are dealt into parts that fit a core's cache and sorted there. The heads of
//! `keys` and `group` say what that takes.
//!
//! Source: Identifying Related Inventory, and the matching reference, whose section numbers the items below give.

pub mod normalise;
pub mod uuid_key;

pub mod condition;
pub mod matcher;
pub mod matchers;

pub mod keys;
pub mod plan;
pub mod rows;
pub mod table;
pub mod table_devices;

pub mod file_rows;

pub mod forbidden;
mod group;
pub mod phase1;

mod chains;
mod filter;
pub mod held;
mod hits;
mod holds;
pub mod phase2;

pub mod fillers;

pub mod gone;
pub mod merge;
pub mod unmerge;
pub mod update;

pub mod explain;
pub mod explain_record;
pub mod import_report;
pub mod sentences;

pub use explain::{Explanation, Tie, explain_pair};
pub use explain_record::{RecordExplanation, explain_record};
pub use fillers::{Filler, fillers};
pub use forbidden::Forbidden;
pub use gone::without_gone;
pub use held::HeldKeys;
pub use import_report::{ImportReport, MatcherReport, PlaceholderCounts};
pub use keys::Keys;
pub use matcher::Matcher;
pub use matchers::{MatcherError, Matchers, standard_matchers};
pub use merge::{merge, merge_rows};
pub use normalise::{Normalised, Placeholders, Record};
pub use phase1::{Conflict, MatchedSet, MatchedSets, phase1};
pub use phase2::{Alignment, DuplicateReport, How, Merge, Outcome, Stored, phase2};
pub use plan::Plan;
pub use rows::{Devices, RawRows, Records, Rows, StoredDevices, Texts, slots_of};
pub use table::{Block, DuplicateRow, KeyedTable, RowHead, Table};
pub use table_devices::TableDevices;
pub use update::updated_devices;

#[cfg(test)]
pub(crate) mod tests;
