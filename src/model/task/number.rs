use serde::{Deserialize, Serialize};

/// Number of a task of one server: ascending in the order of submission, never used twice while the task is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskNumber(pub u64);

impl TaskNumber {
    /// The number after this.
    pub fn next(self) -> TaskNumber {
        TaskNumber(self.0.saturating_add(1))
    }
}
