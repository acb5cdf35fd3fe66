//! What survives a crash of the exporter.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::export::DataType;
use crate::id::{Digest, Guid};
use crate::time::Timestamp;

/// A place in the order of a source: opaque, made by the source, given back to it to continue after that row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(Arc<str>);

impl Cursor {
    /// A place named by the source.
    pub fn new(text: impl Into<Arc<str>>) -> Cursor {
        Cursor(text.into())
    }

    /// The source's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Everything kept of the exports of one tenant to one ServiceNow instance; saved as a whole, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRecord {
    /// Per type, the snapshot time of the last successful run.
    pub watermarks: BTreeMap<DataType, Timestamp>,
    /// A run that has begun and is not known to have ended.
    pub unfinished: Option<Unfinished>,
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The run.
    pub run: Guid,
    /// What it carries.
    pub data_type: DataType,
    /// When its snapshot was taken.
    pub snapshot: Timestamp,
    /// Baseline; `None` for everything.
    pub since: Option<Timestamp>,
    /// Segments known to be accepted.
    pub accepted: u32,
    /// Rows in them.
    pub records: u64,
    /// Place of the last row in them.
    pub cursor: Option<Cursor>,
    /// The segment that may or may not have arrived.
    pub pending: Option<Pending>,
    /// Whether the last segment is accepted.
    pub complete: bool,
}

impl Unfinished {
    /// Counts the pending segment as accepted; `None` when there is none.
    pub fn accept_pending(&mut self) -> Option<Pending> {
        let pending = self.pending.take()?;
        self.accepted += 1;
        self.records += u64::from(pending.records);
        if pending.end.is_some() {
            self.cursor.clone_from(&pending.end);
        }
        self.complete = pending.last;
        Some(pending)
    }
}

/// A segment that was about to be transmitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Rows in it.
    pub records: u32,
    /// Place of its last row; `None` without rows.
    pub end: Option<Cursor>,
    /// Whether it is the last one.
    pub last: bool,
    /// Transmissions, the one about to happen included.
    pub tries: u32,
}

/// Id of the transaction of a segment. It follows from run and sequence, so that every try of a segment carries the
/// same one whatever was forgotten in between.
pub fn transaction_id(run: Guid, sequence: u32) -> Guid {
    let digest = Digest::of(format!("{run}/{sequence}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    Guid::from_random(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_one_run_have_ids_of_their_own_for_ever() {
        let run: Guid = "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11".parse().unwrap();
        assert_ne!(transaction_id(run, 1), transaction_id(run, 2));
        assert_ne!(transaction_id(run, 1), transaction_id(Guid::default(), 1));
        expect_test::expect!["f65bebb1"].assert_eq(&transaction_id(run, 1).to_string()[..8]);
    }
}
