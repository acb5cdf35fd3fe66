//! CSV tables of the business: contracts, purchases. Bounded before anything is kept, and lines counted as an editor does.
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
mod write;

pub use read::{Table, TableError, TableRow};
pub use write::TableWriter;

/// Bytes of one row at most, line breaks inside quotes included.
pub const ROW_BYTES_MAX: u64 = 64 << 10;
/// Columns of a table at most.
pub const COLUMNS_MAX: usize = 200;
/// Rows of a table at most, those without text not counted.
pub const ROWS_MAX: u32 = 200_000;
/// Bytes of a table at most, when it is not compressed.
pub const TABLE_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests;
