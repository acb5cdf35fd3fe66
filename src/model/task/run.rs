use serde::{Deserialize, Serialize};

use super::Status;
use crate::time::Timestamp;

/// Most characters that are kept of what a task prints.
pub const OUTPUT_CHARS_MAX: usize = 16_384;

/// One life of a processor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessorId {
    /// The host it runs on, for people: hosts are renamed.
    pub host: Box<str>,
    /// What names it: the GUID of its node.
    pub name: Box<str>,
    /// Greater than that of every earlier life whose tasks have not ended, whatever the clock does: what that one said may
    /// arrive behind what this one says.
    pub instance: u64,
}

impl ProcessorId {
    /// Whether both are lives of one processor.
    pub fn is_life_of_same(&self, other: &ProcessorId) -> bool {
        self.name == other.name
    }
}

/// How far a task has come, from the moment on when it left `Submitted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRun {
    /// Its status.
    pub status: Status,
    /// When it was sent for processing.
    pub queued: Option<Timestamp>,
    /// When the processor began it.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Who has it.
    pub processor: Option<ProcessorId>,
    /// How much of it is done, 0 to 100.
    pub progress: u8,
    /// 0 for success; as a child process or the task itself says.
    pub return_code: Option<i32>,
    /// What it says of itself, or why it ended; at most [`OUTPUT_CHARS_MAX`].
    pub output: Box<str>,
}

impl TaskRun {
    /// A task that has `status` and nothing else yet.
    pub fn new(status: Status) -> TaskRun {
        TaskRun {
            status,
            queued: None,
            started: None,
            finished: None,
            processor: None,
            progress: 0,
            return_code: None,
            output: "".into(),
        }
    }
}
