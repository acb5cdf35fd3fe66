//! The batch scheduler and the batch processor: two cores that only send each other messages.
//!
//! ```text
//! SubmitTask --> scheduler: number, GUID, commit; only then Submitted, and in its queue
//!                scheduler: a pass; commit Queued; then Dispatch -------------------------> processor: waits for a slot
//!                scheduler: commit Processing; then "noted"  <------------ Accepted --------- processor: a slot is free
//!                                                            -------------- noted ---------> processor: begins it
//!                scheduler: commit Success or Error; "noted" <------------ Ended ------------ processor: keeps the outcome
//!                                                            <--- Heartbeat, all GUIDs ------ until that is noted
//! ```
//!
//! Whatever the scheduler says follows a commit, and the processor begins nothing whose `Processing` is not durable. So a
//! crash of either at any point leaves a task that waits, one that is sent again, or one that is known to have begun;
//! what has begun is never begun again. Source: agent-beacon-batch reference, section 11.5.

mod log_line;
mod processor;
mod request;
mod scheduler;
mod vocabulary;

pub use log_line::LogLine;
pub use processor::{ProcessorCore, ProcessorDurable, ProcessorInput, ProcessorIntent, ProcessorSettings};
pub use request::{TaskRefusal, TaskRequest};
pub use scheduler::{Explained, SchedulerCore};
pub use vocabulary::*;

#[cfg(test)]
mod tests;
