//! How an export went, for the operator and for `GET /exports`.

use serde::{Deserialize, Serialize};

use crate::export::{DataType, ExitCode, TypeStatus};
use crate::id::Guid;
use crate::time::Timestamp;

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// How it ended.
    pub exit: ExitCode,
    /// Its exit status.
    pub exit_code: u8,
    /// Why it ended so; `done` after success.
    pub message: String,
    /// What the operator should know besides.
    pub warnings: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Every data type, in order of export.
    pub types: Vec<TypeReport>,
}

/// One data type of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeReport {
    /// The type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Where it ended.
    pub state: TypeStatus,
    /// The run, when one was begun or taken up.
    pub run: Option<Guid>,
    /// Number of the Import Run record.
    pub import_run: String,
    /// Whether an earlier export had begun the run.
    pub resumed: bool,
    /// Baseline; `None` for everything.
    pub since: Option<Timestamp>,
    /// Segments accepted.
    pub segments: u32,
    /// Transmissions of segments in this export, refused and lost ones included.
    pub tries: u32,
    /// Rows in accepted segments.
    pub records: u64,
}

impl TypeReport {
    /// A type whose turn has not come.
    pub fn planned(data_type: DataType) -> TypeReport {
        TypeReport {
            data_type,
            state: TypeStatus::Planned,
            run: None,
            import_run: String::new(),
            resumed: false,
            since: None,
            segments: 0,
            tries: 0,
            records: 0,
        }
    }
}
