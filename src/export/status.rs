//! Life of one data type within an export, as the operators see it.
#![doc = ""]
#![doc = include_str!("status.md")]
//!
//! `Excluded` can still be sent: a run that an earlier export left unfinished blocks the instance and is ended first.
//! `Restart` follows when ServiceNow has given up such a run, or when it ended but carried less than is asked for now.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a data type stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeStatus {
    /// Its turn has not come.
    Planned,
    /// Segments are being sent.
    Sending,
    /// All segments are accepted; ServiceNow imports them.
    Importing,
    /// Imported; the watermark has moved.
    Succeeded,
    /// There was nothing to send.
    Unchanged,
    /// Not asked for.
    Excluded,
    /// Ended the export.
    Failed,
    /// Not reached.
    Skipped,
}

/// What happens to a data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeEvent {
    /// The request leaves it out.
    Exclude,
    /// No row changed.
    FindNothing,
    /// The first segment goes out.
    Send,
    /// The last segment is accepted.
    AcceptAll,
    /// The import has succeeded.
    Succeed,
    /// The export ends here.
    Fail,
    /// An earlier type ended the export.
    Skip,
    /// An unfinished run is void, or covered too little.
    Restart,
}

impl TypeStatus {
    /// Every status.
    pub const ALL: [TypeStatus; 8] = [
        TypeStatus::Planned,
        TypeStatus::Sending,
        TypeStatus::Importing,
        TypeStatus::Succeeded,
        TypeStatus::Unchanged,
        TypeStatus::Excluded,
        TypeStatus::Failed,
        TypeStatus::Skipped,
    ];

    /// The status after `event`, or `None` when the event is illegal here.
    pub fn next(self, event: TypeEvent) -> Option<TypeStatus> {
        use {TypeEvent::*, TypeStatus::*};
        match (self, event) {
            (Planned, Exclude) => Some(Excluded),
            (Planned, FindNothing) => Some(Unchanged),
            (Planned | Excluded, Send) => Some(Sending),
            (Sending, AcceptAll) => Some(Importing),
            (Sending | Importing, Succeed) => Some(Succeeded),
            (Planned | Sending | Importing, Fail) => Some(Failed),
            (Planned, Skip) => Some(Skipped),
            (Sending | Succeeded, Restart) => Some(Planned),
            // Spelt out, so that a new status does not slip through.
            (Planned | Sending | Importing | Succeeded | Unchanged | Excluded | Failed | Skipped, _) => None,
        }
    }
}

impl TypeEvent {
    /// Every event, in the order of the table.
    pub const ALL: [TypeEvent; 8] = [
        TypeEvent::Exclude,
        TypeEvent::FindNothing,
        TypeEvent::Send,
        TypeEvent::AcceptAll,
        TypeEvent::Succeed,
        TypeEvent::Fail,
        TypeEvent::Skip,
        TypeEvent::Restart,
    ];
}

impl fmt::Display for TypeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Compares every cell of a table to the code; states and events are numbered as in their `ALL`.
    pub(crate) fn assert_table(
        table: &str,
        events: &[String],
        states: &[String],
        next: impl Fn(usize, usize) -> Option<String>,
    ) {
        let cells = |line: &str| {
            let inner = line.trim().trim_matches('|').to_owned();
            inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        };
        let mut lines = table.lines();
        assert_eq!(cells(lines.next().unwrap())[1..], *events);
        let rows: Vec<Vec<String>> = lines.skip(1).map(cells).collect();
        assert_eq!(rows.len(), states.len());
        for (state, row) in rows.iter().enumerate() {
            assert_eq!(row[0], states[state]);
            for event in 0..events.len() {
                let told = (row[event + 1] != "-").then(|| row[event + 1].clone());
                assert_eq!(next(state, event), told, "{} after {}", states[state], events[event]);
            }
        }
    }

    #[test]
    fn the_table_is_what_the_code_does() {
        let events = TypeEvent::ALL.map(|event| format!("{event:?}"));
        assert_table(
            include_str!("status.md"),
            &events,
            &TypeStatus::ALL.map(|status| status.to_string()),
            |state, event| TypeStatus::ALL[state].next(TypeEvent::ALL[event]).map(|next| next.to_string()),
        );
    }
}
