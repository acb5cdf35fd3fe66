use std::fmt;

use crate::id::Guid;
use crate::model::task::{Status, TaskType};

/// Lines that operators and their scripts look for in `logs/batch-scheduler.log` and `logs/batch-processor.log`.
///
/// Source: How Batch Scheduling and Processing Works, step 8, for the first three, to the letter; the others are this
/// project's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// The scheduler has sent it.
    Sent(TaskType, Guid),
    /// A processor has told of it.
    Update(Guid, Status, Box<str>),
    /// The processor begins it.
    Starting(TaskType, Guid, Box<str>),
    /// It waits.
    Submitted(TaskType, Guid),
    /// The same waits already.
    Duplicate(TaskType, Guid, Guid),
    /// It came to an end that no processor told.
    Ended(Guid, Box<str>),
    /// It was not taken.
    Refused(Box<str>),
    /// Something else.
    Note(Box<str>),
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogLine::Sent(task, guid) => write!(f, "Message {task}[{guid}] sent for processing"),
            LogLine::Update(guid, status, host) => {
                write!(f, "Task[{guid}]: received status update for task '{status}' from processor {host}")
            }
            LogLine::Starting(task, guid, command) => {
                write!(f, "{task}[{guid}] Starting process with command line '{command}'")
            }
            LogLine::Submitted(task, guid) => write!(f, "Message {task}[{guid}] received, status 'Submitted'"),
            LogLine::Duplicate(task, guid, of) => {
                write!(f, "Message {task}[{guid}] discarded, status 'Duplicate' of Task[{of}]")
            }
            LogLine::Ended(guid, why) => write!(f, "Task[{guid}]: status 'Error': {why}"),
            LogLine::Refused(why) => write!(f, "Message refused: {why}"),
            LogLine::Note(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_lines_stand_to_the_letter() {
        let guid: Guid = "159add91-a5e4-4755-9ff4-d514baae2e11".parse().unwrap();
        assert_eq!(
            LogLine::Sent(TaskType::DataWarehouseUpdate, guid).to_string(),
            "Message DataWarehouseUpdate[159add91-a5e4-4755-9ff4-d514baae2e11] sent for processing"
        );
        assert_eq!(
            LogLine::Update(guid, Status::Success, "serverName".into()).to_string(),
            "Task[159add91-a5e4-4755-9ff4-d514baae2e11]: received status update for task 'Success' from processor \
             serverName"
        );
        assert_eq!(
            LogLine::Starting(TaskType::DataWarehouseUpdate, guid, "muster batch".into()).to_string(),
            "DataWarehouseUpdate[159add91-a5e4-4755-9ff4-d514baae2e11] Starting process with command line 'muster batch'"
        );
    }
}
