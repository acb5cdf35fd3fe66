//! CSV tables that people and their programs write: contracts, purchases, computers, directories. Bounded before anything is kept, and lines counted as an editor does.
//!
//! ```text
//! table  = header row*            UTF-8, with or without a byte order mark; lines end in LF or CR LF
//! header = cell (delimiter cell)* names of the columns
//! row    = as many cells as the header; rows without any text are passed over
//! cell   = text | '"' text with '"' doubled '"'
//! ```
//!
//! What a cell means is the model's to say. A table is read as a stream: memory is that of one row.

mod lines;
mod read;
mod text;
mod write;

pub use read::{Table, TableError, TableRow};
pub use text::unsuitable;
pub use write::TableWriter;

/// Bytes of one row at most, line breaks inside quotes included.
pub const ROW_BYTES_MAX: u64 = 64 << 10;
/// Columns of a table at most.
pub const COLUMNS_MAX: usize = 200;

/// How much a table may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// Rows, those without text not counted.
    pub rows: u32,
    /// Bytes, when it is not compressed.
    pub bytes: u64,
}

/// Limits of a table that travels, and is read whole again for each question.
pub const BUSINESS_LIMITS: TableLimits = TableLimits { rows: 200_000, bytes: 64 << 20 };
/// Limits of a table that is read once, row by row.
pub const STREAM_LIMITS: TableLimits = TableLimits { rows: 2_000_000, bytes: 2 << 30 };

#[cfg(test)]
mod tests;
