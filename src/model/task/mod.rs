//! Batch tasks: what is to be done for whom, and how far it has come.
//!
//! ```text
//! FactKey::Task(number)     TaskSubmission, written once
//! FactKey::TaskRun(number)  TaskRun, from the first change of status on; a task without one is Submitted
//! FactKey::Batch            BatchState: whether tasks are sent at all
//! ```
//!
//! Two facts, because a million tasks may wait: sending one for processing must not write its parameters again.
//!
//! Source: How Batch Scheduling and Processing Works, steps 1 to 8; agent-beacon-batch reference, section 11.

mod batch_state;
mod constraints;
mod number;
mod parameters;
mod run;
mod scope;
mod status;
mod submission;
mod task_type;
mod trigger;

pub use batch_state::BatchState;
pub use constraints::{BANDS_MAX, Band, BandNumber, ConstraintError, Constraints, Per};
pub use number::TaskNumber;
pub use parameters::{ParameterError, Parameters};
pub use run::{OUTPUT_CHARS_MAX, ProcessorId, TaskRun};
pub use scope::{GroupName, GroupNameError, TaskScope};
pub use status::{Status, TaskEvent};
pub use submission::{LOGIN_CHARS_MAX, TaskOrigin, TaskSubmission};
pub use task_type::{ScopeKind, TaskType};
pub use trigger::Trigger;
