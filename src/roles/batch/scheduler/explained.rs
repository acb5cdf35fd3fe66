//! What a scheduler says of its tasks.

use super::*;

/// Why something is as it is, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explained {
    /// It waits: all tasks do.
    Paused,
    /// It waits for this.
    Waits(Why),
    /// Nothing excludes it, and all slots of the processors are taken.
    Full,
    /// Nothing excludes it, and there is no processor.
    NoProcessor,
    /// It was sent, and this processor has not begun it; `false`: no processor is there.
    Queued(bool),
    /// It runs.
    Processing,
}

impl SchedulerCore {
    /// Whether sending is paused.
    pub fn is_paused(&self) -> bool {
        self.state.is_paused
    }

    /// Tasks that wait, and tasks that were sent and have not ended.
    pub fn counts(&self) -> (usize, usize) {
        (self.queue.waiting(), self.queue.running())
    }

    /// Types of tasks that wait, and how many.
    pub fn waiting(&self) -> impl Iterator<Item = (TaskType, usize)> {
        TaskType::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// What was sent for processing, ascending.
    pub fn sent(&self) -> impl Iterator<Item = (TaskNumber, TaskType, &TaskRun)> {
        self.sent.iter().map(|(number, sent)| {
            let task = self.tasks.get(number).map_or(TaskType::InventoryIntake, |known| known.task);
            (*number, task, &sent.run)
        })
    }

    /// The type and GUID of a task that has not ended.
    pub fn name(&self, number: TaskNumber) -> Option<(TaskType, Guid)> {
        self.tasks.get(&number).map(|known| (known.task, known.guid))
    }

    /// Since when a task that has not ended waits, or waited.
    pub fn since(&self, number: TaskNumber) -> Option<Timestamp> {
        self.queue.since(number)
    }

    /// Why a task does not run, or that it does; `None` when it has ended.
    pub fn why(&self, number: TaskNumber) -> Option<Explained> {
        if let Some(sent) = self.sent.get(&number) {
            return Some(match sent.run.status {
                Status::Processing => Explained::Processing,
                _ => Explained::Queued(!self.processors.is_empty()),
            });
        }
        match self.queue.why(number)? {
            why @ Why::NotBefore(_) => Some(Explained::Waits(why)),
            _ if self.state.is_paused => Some(Explained::Paused),
            Why::Nothing if self.slots() == 0 => Some(Explained::NoProcessor),
            Why::Nothing => Some(Explained::Full),
            why => Some(Explained::Waits(why)),
        }
    }

    /// The processors that were heard of, and when.
    pub fn processors(&self) -> impl Iterator<Item = (&ProcessorId, Timestamp)> {
        self.processors.iter().map(|processor| (&processor.id, processor.heard))
    }
}
