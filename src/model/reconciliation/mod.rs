//! What a licence reconcile finds: for each installation what became of it and why, for each licence its figures and its
//! position, and what is to be said of the data.
//!
//! Words: reconcile-files reference, sections 5.3, 6, 7 and 8.

mod position;
mod run;
mod unit;
mod verdict;
mod warning;

pub use position::{Peak, Position, Status};
pub use run::{Installed, LicencePosition, RunRecord, RunWarning, WARNINGS_MAX};
pub use unit::{Unit, UnitId, UnitReason};
pub use verdict::{Answer, How, Outcome, Reason, Taken, Verdict, VerdictTable};
pub use warning::{Warning, WarningCode};
