//! Life of a batch task, as the operators see it in the log.
//!
#![doc = include_str!("status.md")]
//!
//! *Dispatch*: the scheduler sends it to the processor. *Accept*, *Refuse*: the processor begins it, or does not take it.
//! *Succeed*, *Fail*: it has ended. *Lose*: the processor is silent, has a new life, or does not name it any more.
//! *Cancel*: an operator takes it back while it waits.
// `Duplicate` is a finished row for the operator's list; it is never queued and has no transitions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// The same task waits already.
    Duplicate,
    /// It waits to be sent for processing, perhaps for other tasks.
    Submitted,
    /// It was sent for processing and has not begun.
    Queued,
    /// It runs.
    Processing,
    /// It ended well.
    Success,
    /// It failed, was lost or was cancelled.
    Error,
}

/// What can happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskEvent {
    /// The scheduler sends it for processing.
    Dispatch,
    /// The processor begins it.
    Accept,
    /// The processor does not take it.
    Refuse,
    /// It ended well.
    Succeed,
    /// It failed.
    Fail,
    /// Its processor is gone, or knows nothing of it.
    Lose,
    /// An operator takes it back.
    Cancel,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 6] =
        [Status::Duplicate, Status::Submitted, Status::Queued, Status::Processing, Status::Success, Status::Error];

    /// The status after `event`, or `None` when the event is illegal here.
    pub fn next(self, event: TaskEvent) -> Option<Status> {
        use {Status::*, TaskEvent::*};
        match (self, event) {
            (Submitted, Dispatch) => Some(Queued),
            (Submitted, Cancel) => Some(Error),
            (Queued, Accept) => Some(Processing),
            (Queued, Refuse) => Some(Error),
            (Processing, Succeed) => Some(Success),
            (Processing, Fail | Lose) => Some(Error),
            // Spelt out, so that a new status does not slip through.
            (Duplicate | Submitted | Queued | Processing | Success | Error, _) => None,
        }
    }

    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Duplicate | Status::Success | Status::Error)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Their names are the words of the log.
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Status, ()> {
        Status::ALL.into_iter().find(|status| status.to_string().eq_ignore_ascii_case(text)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_operators_read_is_the_code() {
        use TaskEvent::*;
        let events = [Dispatch, Accept, Refuse, Succeed, Fail, Lose, Cancel];
        let rows: Vec<Vec<&str>> = include_str!("status.md")
            .lines()
            .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
            .collect();
        assert_eq!(rows[0][1..], events.map(|event| format!("{event:?}")), "the events of the table");
        let mut seen = Vec::new();
        for row in &rows[2..] {
            let from: Status = row[0].parse().unwrap();
            seen.push(from);
            for (event, cell) in events.into_iter().zip(&row[1..]) {
                let to = (*cell != "-").then(|| cell.parse().unwrap());
                assert_eq!(from.next(event), to, "{from} {event:?}");
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, Status::ALL, "every status has a row");
    }

    #[test]
    fn what_is_final_goes_nowhere() {
        use TaskEvent::*;
        for status in Status::ALL {
            let moves = [Dispatch, Accept, Refuse, Succeed, Fail, Lose, Cancel].map(|event| status.next(event));
            assert_eq!(status.is_final(), moves.iter().all(Option::is_none), "{status}");
        }
    }
}
