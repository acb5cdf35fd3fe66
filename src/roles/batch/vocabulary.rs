//! What the scheduler is told and wants, and what the two say to each other.

use std::sync::Arc;

use crate::id::Guid;
use crate::model::task::{
    BatchState, Constraints, Parameters, ProcessorId, Status, TaskNumber, TaskOrigin, TaskRun, TaskScope,
    TaskSubmission, TaskType,
};
use crate::roles::IntentNumber;
use crate::time::{HOUR_MS, MINUTE_MS, Timestamp};

/// What a scheduler is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerSettings {
    /// Which tasks never run at the same time.
    pub constraints: Arc<Constraints>,
    /// A task that has waited for longer goes before newer ones that exclude it.
    pub starvation_ms: i64,
    /// A processor that is silent for longer is gone.
    pub silence_ms: i64,
    /// A task that so many heartbeats in a row do not name is lost.
    pub lost_after: u32,
}

impl SchedulerSettings {
    /// Half an hour of starvation, five hours of silence, three heartbeats. Source: batch scheduling document (5 h),
    /// reference section 11.5.
    pub fn new(constraints: Arc<Constraints>) -> SchedulerSettings {
        SchedulerSettings { constraints, starvation_ms: 30 * MINUTE_MS, silence_ms: 5 * HOUR_MS, lost_after: 3 }
    }
}

/// A task as it was valid when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// What is to be done.
    pub task: TaskType,
    /// For whom.
    pub scope: TaskScope,
    /// How.
    pub parameters: Parameters,
    /// Not before this.
    pub not_before: Option<Timestamp>,
    /// Who sent it.
    pub origin: TaskOrigin,
    /// The operator's account.
    pub login: Option<Box<str>>,
}

/// What survives of a task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTask {
    /// Its number.
    pub number: TaskNumber,
    /// Its GUID.
    pub guid: Guid,
    /// What is to be done.
    pub task: TaskType,
    /// For whom.
    pub scope: TaskScope,
    /// Equal for tasks that do the same.
    pub identity: u128,
    /// Since when it waits.
    pub since: Timestamp,
    /// How far it has come; `None`: it is Submitted.
    pub run: Option<Box<TaskRun>>,
}

impl LiveTask {
    /// What survives of a task; `None` for one that has ended. A clock that was ahead when it came must not keep it
    /// waiting until then.
    pub fn of(
        number: TaskNumber,
        submission: TaskSubmission,
        run: Option<TaskRun>,
        now: Timestamp,
    ) -> Option<LiveTask> {
        if run.as_ref().is_some_and(|run| run.status.is_final()) || submission.duplicate_of.is_some() {
            return None;
        }
        let identity = submission.identity();
        let TaskSubmission { guid, task, scope, submitted, not_before, .. } = submission;
        let came = submitted.min(now);
        let since = not_before.map_or(came, |at| at.max(came));
        Some(LiveTask { number, guid, task, scope, identity, since, run: run.map(Box::new) })
    }
}

/// What survives of a scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerDurable {
    /// What it is set to.
    pub settings: Arc<SchedulerSettings>,
    /// Tasks that have not ended, ascending by number.
    pub tasks: Vec<LiveTask>,
    /// The number of the next task.
    pub next: TaskNumber,
    /// Whether it is paused.
    pub state: BatchState,
}

/// Somebody who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask(pub u64);

/// A task on its way to a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Its number.
    pub number: TaskNumber,
    /// Its GUID.
    pub guid: Guid,
    /// What is to be done.
    pub task: TaskType,
}

/// What a processor tells of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskUpdate {
    /// It begins as soon as this is noted.
    Accepted,
    /// It does not take it.
    Refused(Box<str>),
    /// So many percent are done.
    Progress(u8),
    /// It has ended.
    Ended(Outcome),
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0 for success.
    pub return_code: i32,
    /// What it says.
    pub output: Box<str>,
}

/// What a processor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessorSays {
    /// It lives.
    Heartbeat {
        /// The tasks it has, waiting and executing ones.
        holds: Vec<Guid>,
        /// How many it executes at once.
        slots: usize,
    },
    /// Something about a task.
    Update(Guid, TaskUpdate),
}

/// What the scheduler answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulerAnswer {
    /// The task waits, and that is durable.
    Submitted(TaskNumber, Guid),
    /// The same task waits already; this one is kept as a row of the list.
    Duplicate {
        /// The row.
        guid: Guid,
        /// The task that waits.
        of: Guid,
    },
    /// Nothing came of it: the log does not take it now.
    NotStored,
    /// The task was taken back.
    Cancelled,
    /// It was not: it was sent for processing.
    NotCancelled(Status),
    /// No task of this name has not ended.
    Gone,
    /// Sending is paused, or goes on.
    Paused(bool),
    /// What the processor said is durable.
    Noted,
    /// The scheduler does not want this task from this processor: it must not begin, and what it does is not counted.
    Unwanted,
    /// The heartbeat was heard; these GUIDs are unwanted.
    Heard(Vec<Guid>),
    /// The task has ended.
    Ended(Status),
    /// Tasks were forgotten.
    Forgotten(u64),
}

/// What can happen to a scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulerInput {
    /// A task comes.
    Submit(Ask, NewTask),
    /// Tell when this task has ended.
    Await(Ask, TaskNumber),
    /// Take a task back; the text says who wants that.
    Cancel(Ask, Guid, Box<str>),
    /// Stop sending tasks, or go on.
    Pause(Ask, bool),
    /// Forget tasks that have ended.
    Forget(Ask, Vec<TaskNumber>),
    /// A processor speaks.
    Processor(Ask, ProcessorId, ProcessorSays),
    /// A commit is durable, or was not taken.
    Committed {
        /// Its intent.
        intent: IntentNumber,
        /// Whether it is durable.
        is_durable: bool,
    },
}

/// One fact of a scheduler's commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskWrite {
    /// A task was submitted.
    Submission(TaskNumber, Box<TaskSubmission>),
    /// A task's status or outcome.
    Run(TaskNumber, Box<TaskRun>),
    /// Both facts of a task go.
    Forget(TaskNumber),
    /// The scheduler's own.
    State(BatchState),
}

/// What a scheduler can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulerIntent {
    /// Commit these facts, all or none, in the order of the intents; comes back as `Committed`.
    Commit(Vec<TaskWrite>),
    /// Send tasks to a processor. One that does not arrive is sent again after a heartbeat.
    Dispatch(ProcessorId, Vec<Dispatch>),
    /// Answer.
    Answer(Ask, SchedulerAnswer),
    /// Write a line of `logs/batch-scheduler.log`.
    Log(super::LogLine),
}
