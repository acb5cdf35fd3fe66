//! When an agent does what: the events of a schedule, their occurrences, and what becomes of missed ones.
//!
//! ```text
//! Nds -> Timetable (compiled, shared by all agents of a beacon)
//!            |
//!            +-> Plan (one for each agent): begin, next_due, take, happened, replace
//! ```
//!
//! Nothing here loops over days: the next occurrence is computed, whatever the schedule says.
//!
//! Source: `agent-beacon-batch` reference, sections 1.2, 2.4 and 7.

pub mod batch;
mod days;
mod plan;
mod recurrence;
mod standard;
mod timetable;

pub use plan::{Due, Plan, Ran};
pub use standard::{AgentSchedule, Frequency, ScheduleError, standard_schedule, with_catch_up_at};
pub use timetable::{Happening, LATE_MS, Timetable};

#[cfg(test)]
mod tests;
