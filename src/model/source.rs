//! A source of computers that comes as whole files: which file of it is in force, and what of that is not staged yet.
//!
//! ```text
//! read    compare each row with what is staged; changes -> SourcePart facts, a bounded commit each. A crash: they are
//!         dropped by the next run, what was in force stays
//! switch  one commit of the SourceState: the parts are in force
//! stage   each part in one commit: its records as they are to be, the part gone, `next` one further. A crash: the next
//!         run, or import, goes on there
//! ```
//!
//! So a file is in force whole or not at all, however many commits it takes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::computer::Values;
use super::package::{Kind, Stream};
use crate::time::Timestamp;

/// The name of the agents among the inventory sources.
pub const AGENT_SOURCE: &str = "agent";
/// Most bytes of the name of a source.
const SOURCE_BYTES_MAX: usize = 100;

/// Whether `name` can be the source of files of other tools: agents' reports are theirs alone.
pub fn is_source_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    (1..=SOURCE_BYTES_MAX).contains(&name.len())
        && name.chars().all(is_plain)
        && name.trim() == name
        && !name.eq_ignore_ascii_case(AGENT_SOURCE)
}

/// Bytes of the changes of one part, about: whoever reads one of its records later reads the whole commit.
pub const PART_BYTES: usize = 48 << 10;

/// Which file it was, as far as a look at it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// Its path, and that of its column map.
    pub paths: (Box<str>, Box<str>),
    /// Bytes of both.
    pub bytes: (u64, u64),
    /// When both were written, in nanoseconds since 1970.
    pub written: (i64, i64),
    /// Whether its good rows were taken although others were bad.
    pub good_rows: bool,
}

/// Value of a `FactKey::Source`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Rows of the file in force.
    pub rows: u32,
    /// When it was taken.
    pub taken: Timestamp,
    /// Which it was; `None` when it has to be read again, whatever it looks like.
    pub file: Option<FileStamp>,
    /// Number of the first part that is not staged.
    pub next: u32,
    /// Number behind the last one.
    pub end: u32,
}

impl SourceState {
    /// Whether parts of it are still to be staged.
    pub fn is_pending(&self) -> bool {
        self.next < self.end
    }
}

/// What a file changes of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowChange {
    /// It is new, or says something else.
    Put {
        /// The source's own key.
        external_id: Box<str>,
        /// When the row was last known to be right; `None`: when the file was taken.
        collected_at: Option<Timestamp>,
        /// What Matchers read.
        values: Values,
    },
    /// It is not in the file any more.
    Gone {
        /// The source's own key.
        external_id: Box<str>,
    },
}

impl RowChange {
    /// Bytes it takes, about.
    pub fn bytes(&self) -> usize {
        match self {
            RowChange::Gone { external_id } => 16 + external_id.len(),
            RowChange::Put { external_id, values, .. } => {
                32 + external_id.len() + values.iter().map(|(_, text)| 24 + text.len()).sum::<usize>()
            }
        }
    }
}

/// The stream of the rows of `source`: other tools may report of the same records by packages.
pub fn stream(source: &str) -> Stream {
    Stream::new(Kind::IntermediateData, source, "Spreadsheet")
}

/// Key of a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    /// The source.
    pub source: Arc<str>,
    /// Its number.
    pub number: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::computer::Property;
    use crate::model::stored;

    #[test]
    fn a_part_survives_storing_and_is_about_as_large_as_it_says() {
        let put = RowChange::Put {
            external_id: "pc-1.lab.example".into(),
            collected_at: Some(Timestamp(5)),
            values: [(Property::ComputerName, "pc-1"), (Property::SerialNo, "S1")].into_iter().collect(),
        };
        let part = vec![put, RowChange::Gone { external_id: "pc-2".into() }];
        let bytes = stored::pack(&part);
        assert_eq!(stored::unpack::<Vec<RowChange>>(&bytes).unwrap(), part);
        assert!(bytes.len() <= part.iter().map(RowChange::bytes).sum());
    }

    #[test]
    fn a_source_has_a_plain_name_and_not_that_of_the_agents() {
        for name in ["cmdb", "SCCM 2", "Büro-1.a_b"] {
            assert!(is_source_name(name), "{name}");
        }
        let long = "x".repeat(101);
        for name in ["", "agent", "Agent", " a", "a ", "a/b", "a\nb", &long] {
            assert!(!is_source_name(name), "{name}");
        }
    }
}
