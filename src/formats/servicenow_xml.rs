//! Documents of the ServiceNow integration endpoint: transactions out, responses back.
//!
//! ```text
//! <transaction id="7b0c…" type="inventory_export" run="1f42…" sequence="3" total="9" records="500"
//!              mode="differential" since="2026-11-15T03:00:00.000Z" digest="sha256:…">
//!   <rows><row><ComputerID>17</ComputerID>…</row>…</rows>
//! </transaction>
//!
//! <transaction id="…" type="export_status"><status run="1f42…" transaction="7b0c…"/></transaction>
//!
//! <response code="0" state="New" transaction="IMT0001003" run="IMR0000042" duplicate="false"><message/></response>
//! ```
//!
//! `digest` is the SHA-256 of the bytes from the `<` of `<rows>` to the `>` of `</rows>`, as they stand in the document.
//! Reading takes one row at a time, knows no document type and no entity but the five of XML, and every count and
//! length has a limit. `transaction` in `<status>`, and `received` beside the counts of its answer, are additions of
//! this project: they let a sender ask for one segment whose answer was lost.
//!
//! Source: servicenow reference, section 3; the envelope is this project's, the types are documented.

mod read;
mod write;

use std::fmt;
use std::str::FromStr;

use crate::id::{Digest, Guid};
use crate::time::Timestamp;

pub use read::{Column, Limits, ReadError, Transaction, read_response, read_transaction};
pub use write::{RowsWriter, row_bytes, write_question, write_response, write_transaction};

/// Type of a transaction. Source: export process, "transaction type".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionType {
    /// Computers.
    InventoryExport,
    /// Contracts and what they cover.
    ContractExport,
    /// Installed applications.
    ApplicationExport,
    /// Are the credentials good and is the instance ready? Creates no record.
    ConnectionTest,
    /// How far is a run or a transaction? Creates no record.
    ExportStatus,
}

impl TransactionType {
    /// Every type.
    pub const ALL: [TransactionType; 5] = [
        TransactionType::InventoryExport,
        TransactionType::ContractExport,
        TransactionType::ApplicationExport,
        TransactionType::ConnectionTest,
        TransactionType::ExportStatus,
    ];

    /// The value of the `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            TransactionType::InventoryExport => "inventory_export",
            TransactionType::ContractExport => "contract_export",
            TransactionType::ApplicationExport => "application_export",
            TransactionType::ConnectionTest => "connection_test",
            TransactionType::ExportStatus => "export_status",
        }
    }

    /// Whether it carries rows, and so becomes an Import Transaction record.
    pub fn carries_rows(self) -> bool {
        match self {
            TransactionType::InventoryExport | TransactionType::ContractExport | TransactionType::ApplicationExport => {
                true
            }
            TransactionType::ConnectionTest | TransactionType::ExportStatus => false,
        }
    }
}

impl FromStr for TransactionType {
    type Err = ();
    fn from_str(text: &str) -> Result<TransactionType, ()> {
        TransactionType::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

impl fmt::Display for TransactionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a run carries everything or the changes since `since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Every record.
    Full,
    /// Additions and changes.
    Differential,
}

impl Mode {
    /// The value of the `mode` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Full => "full",
            Mode::Differential => "differential",
        }
    }
}

/// What stands before the rows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The same for every try of one segment.
    pub id: Guid,
    /// What the rows are.
    pub kind: TransactionType,
    /// The sender's id of the run: one per data type and export.
    pub run: Guid,
    /// 1, 2, 3 ... within the run.
    pub sequence: u32,
    /// Number of segments of the run; 0 while the sender does not know it, which it must in the last segment.
    pub total: u32,
    /// Number of rows.
    pub records: u32,
    /// Everything or changes.
    pub mode: Mode,
    /// Baseline of the changes.
    pub since: Option<Timestamp>,
    /// SHA-256 of the bytes of `<rows>`.
    pub digest: Digest,
}

/// A transaction without rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Credentials and readiness. `run` is an unfinished run of the sender's own: it does not count as busy.
    ConnectionTest {
        /// The sender's unfinished run.
        run: Option<Guid>,
    },
    /// How far a run is, or one transaction of it.
    Status {
        /// The run.
        run: Guid,
        /// The transaction, when only its state is wanted.
        transaction: Option<Guid>,
    },
}

/// What the endpoint says of a transaction. Source: servicenow reference, section 3, table of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnCode {
    /// 0: accepted, ready, or the state that was asked for.
    Accepted,
    /// 1: transient failure.
    Transient,
    /// 2: not authorised.
    NotAuthorised,
    /// 3: an import is already in progress.
    Busy,
    /// 4: Scheduled Data Import or Data Source record missing.
    NotConfigured,
    /// 5: SAM tables selected, plugin missing.
    SamMissing,
    /// 6: payload not well-formed or over a limit.
    Malformed,
    /// 7: transaction id reused with other content.
    Conflict,
    /// 8: unknown transaction type.
    UnknownType,
    /// Any other number.
    Other(u16),
}

impl ReturnCode {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        match self {
            ReturnCode::Accepted => 0,
            ReturnCode::Transient => 1,
            ReturnCode::NotAuthorised => 2,
            ReturnCode::Busy => 3,
            ReturnCode::NotConfigured => 4,
            ReturnCode::SamMissing => 5,
            ReturnCode::Malformed => 6,
            ReturnCode::Conflict => 7,
            ReturnCode::UnknownType => 8,
            ReturnCode::Other(number) => number,
        }
    }

    /// The code of a number.
    pub fn from_number(number: u16) -> ReturnCode {
        match number {
            0 => ReturnCode::Accepted,
            1 => ReturnCode::Transient,
            2 => ReturnCode::NotAuthorised,
            3 => ReturnCode::Busy,
            4 => ReturnCode::NotConfigured,
            5 => ReturnCode::SamMissing,
            6 => ReturnCode::Malformed,
            7 => ReturnCode::Conflict,
            8 => ReturnCode::UnknownType,
            number => ReturnCode::Other(number),
        }
    }

    /// The HTTP status that goes with the code.
    pub fn http_status(self) -> u16 {
        match self {
            ReturnCode::Accepted | ReturnCode::Busy | ReturnCode::NotConfigured | ReturnCode::SamMissing => 200,
            ReturnCode::Transient | ReturnCode::Other(_) => 503,
            ReturnCode::NotAuthorised => 401,
            ReturnCode::Malformed | ReturnCode::UnknownType => 400,
            ReturnCode::Conflict => 409,
        }
    }
}

/// State of an Import Transaction record, and of an Import Run (which is never `Waiting`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImportState {
    /// Taken, not yet looked at.
    New,
    /// Another transaction is being processed.
    Waiting,
    /// Its rows are being transformed.
    Processing,
    /// Done.
    Succeeded,
    /// Given up, with a message.
    Failed,
}

impl ImportState {
    /// Every state.
    pub const ALL: [ImportState; 5] =
        [ImportState::New, ImportState::Waiting, ImportState::Processing, ImportState::Succeeded, ImportState::Failed];

    /// The name in records and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            ImportState::New => "New",
            ImportState::Waiting => "Waiting",
            ImportState::Processing => "Processing",
            ImportState::Succeeded => "Succeeded",
            ImportState::Failed => "Failed",
        }
    }

    /// Whether nothing can change any more.
    pub fn is_final(self) -> bool {
        matches!(self, ImportState::Succeeded | ImportState::Failed)
    }
}

impl FromStr for ImportState {
    type Err = ();
    fn from_str(text: &str) -> Result<ImportState, ()> {
        ImportState::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

impl fmt::Display for ImportState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The endpoint's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What became of the transaction.
    pub code: ReturnCode,
    /// State of the transaction or run; `None` when the endpoint knows of none.
    pub state: Option<ImportState>,
    /// Number of the Import Transaction record; may be empty.
    pub transaction: String,
    /// Number of the Import Run record; may be empty.
    pub run: String,
    /// Whether the transaction had been accepted before.
    pub duplicate: bool,
    /// Counts of a run's transactions, in answers to `export_status`.
    pub counts: Option<Counts>,
    /// For people; may be empty.
    pub message: String,
}

impl Response {
    /// An answer that is only a code and a message.
    pub fn of(code: ReturnCode, message: impl Into<String>) -> Response {
        Response {
            code,
            state: None,
            transaction: String::new(),
            run: String::new(),
            duplicate: false,
            counts: None,
            message: message.into(),
        }
    }
}

/// Transactions of a run by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted so far.
    pub received: u32,
    /// Succeeded.
    pub succeeded: u32,
    /// Failed.
    pub failed: u32,
    /// Neither yet.
    pub pending: u32,
}
