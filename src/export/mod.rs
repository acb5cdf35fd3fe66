//! The export to ServiceNow: which rows go, in which segments, what is sent again and when it is over.
//!
//! Everything here decides and nothing waits: [`ExportRun::on`] takes the time and what happened and says what to do.
//! The caller owns the connection, the source of rows and the place where progress is kept.
//!
//! ```text
//! Authorise -> ConnectionTest -> Snapshot -> for each type: Read -> Save -> Send -> ... -> poll -> Save(watermark)
//! ```
//!
//! Three rules keep rows from being lost or doubled: the id of a segment's transaction follows from run and sequence, so
//! every try of a segment carries the same one, also after a crash; progress is saved before a segment is transmitted,
//! so a crash is followed by a question and not by a guess; and the watermark moves only when the import has succeeded,
//! to the time of the snapshot.
//!
//! Source: servicenow reference, sections 1 to 3.

mod answer;
mod attempt;
mod backoff;
mod computer;
mod exit;
mod options;
mod progress;
mod report;
mod request;
mod run;
mod segment;
mod settings;
mod status;

pub use answer::{Answer, Verdict};
pub use attempt::{Attempt, AttemptEvent};
pub use computer::{ComputerRow, MAX_VALUE_CHARS, servicenow_time};
pub use exit::ExitCode;
pub use options::{ArgumentError, CommandLine};
pub use progress::{Cursor, ExportRecord, Pending, Unfinished, transaction_id};
pub use report::{RunReport, TypeReport};
pub use request::{Changes, DataType, ExportRequest};
pub use run::{Action, Call, Event, ExportRun};
pub use segment::{Row, Segment, SegmentInfo, SegmentLimits, SourceRow};
pub use settings::{ExportMode, ExportSettings};
pub use status::{TypeEvent, TypeStatus};
