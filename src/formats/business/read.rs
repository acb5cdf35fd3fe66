//! Reads a table row by row.

use std::io::{self, BufRead};
use std::str::Utf8Error;

use csv::ByteRecord;

use super::lines::Lines;
use super::{BUSINESS_LIMITS, COLUMNS_MAX, ROW_BYTES_MAX, TableLimits};

/// Delimiters that are looked for where the given one is not found.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Why a table cannot be read on. What is wrong with one row only is told with the row.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Nothing in it.
    #[error("the file is empty: its first line names the columns")]
    Empty,
    /// No text, or of another encoding.
    #[error("line 1: this is no CSV text: save it as CSV in UTF-8")]
    NotText,
    /// All in one column, and another delimiter is in it.
    #[error(
        "line 1: `{}` separates no columns here, but `{}` would: write `delimiter = \"{}\"` into a column map (--map, or map= of a task)",
        shown(*.given), shown(*.found), shown(*.found)
    )]
    Delimiter {
        /// The one that was asked for.
        given: u8,
        /// The one that is there.
        found: u8,
    },
    /// Too many columns.
    #[error("line 1: more than {COLUMNS_MAX} columns: leave some out")]
    Columns,
    /// A row that does not end.
    #[error("line {line}: a row of more than {ROW_BYTES_MAX} bytes: shorten it, or close the quote in it or before it")]
    RowBytes {
        /// Where it grew too long.
        line: u64,
    },
    /// Too many bytes.
    #[error("the table has more than {most} bytes: part it by source")]
    Bytes {
        /// Bytes it may have.
        most: u64,
    },
    /// Too many rows.
    #[error("line {line}: more than {most} rows: part the file by source")]
    Rows {
        /// Rows it may have.
        most: u32,
        /// The first one too many.
        line: u64,
    },
    /// The bytes behind it fail: a damaged gzip, a disk.
    #[error("cannot read the table")]
    Read(#[source] io::Error),
}

impl From<csv::Error> for TableError {
    fn from(error: csv::Error) -> TableError {
        let error = match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            // Rows of any length are asked for, as bytes: nothing else can go wrong.
            other => io::Error::other(format!("{other:?}")),
        };
        error.downcast::<TableError>().unwrap_or_else(TableError::Read)
    }
}

fn shown(delimiter: u8) -> String {
    (delimiter as char).escape_default().to_string()
}

/// A table that is being read; an error of it is final.
pub struct Table<R> {
    reader: csv::Reader<Lines<R>>,
    header: Vec<String>,
    record: ByteRecord,
    rows: u32,
    rows_max: u32,
}

impl<R: BufRead> Table<R> {
    /// Reads the header of a table of the business.
    pub fn open(source: R, delimiter: u8) -> Result<Table<R>, TableError> {
        Table::open_within(source, delimiter, BUSINESS_LIMITS)
    }

    /// Reads the header of a table that may hold so much.
    pub fn open_within(source: R, delimiter: u8, limits: TableLimits) -> Result<Table<R>, TableError> {
        let mut form = csv::ReaderBuilder::new();
        form.delimiter(delimiter).has_headers(false).flexible(true);
        let mut table = Table {
            reader: form.from_reader(Lines::new(source, limits.bytes)),
            header: Vec::new(),
            record: ByteRecord::new(),
            rows: 0,
            rows_max: limits.rows,
        };
        if !table.read()? {
            return Err(TableError::Empty);
        }
        if table.record.len() > COLUMNS_MAX {
            return Err(TableError::Columns);
        }
        for cell in &table.record {
            let name = std::str::from_utf8(cell).map_err(|_| TableError::NotText)?.trim();
            if name.chars().any(|c| c.is_control() && c != '\t') {
                return Err(TableError::NotText);
            }
            table.header.push(name.to_owned());
        }
        if let [only] = &table.header[..]
            && let Some(found) =
                DELIMITERS.into_iter().find(|other| *other != delimiter && only.contains(*other as char))
        {
            return Err(TableError::Delimiter { given: delimiter, found });
        }
        Ok(table)
    }

    /// Names of the columns, without blanks around them.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Rows so far.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The next row that has any text; `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<TableRow<'_>>, TableError> {
        loop {
            if !self.read()? {
                return Ok(None);
            }
            // Spreadsheets end a table in lines of delimiters.
            if self.record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                break;
            }
        }
        let breaks = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let line = self.reader.get_ref().line.saturating_sub(breaks);
        if self.rows == self.rows_max {
            return Err(TableError::Rows { most: self.rows_max, line });
        }
        self.rows += 1;
        Ok(Some(TableRow { line, record: &self.record }))
    }

    /// Whether there was another record.
    fn read(&mut self) -> Result<bool, TableError> {
        self.reader.get_mut().row_bytes = 0;
        Ok(self.reader.read_byte_record(&mut self.record)?)
    }
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<'t> {
    /// The line it begins on, counted from 1.
    pub line: u64,
    record: &'t ByteRecord,
}

impl<'t> TableRow<'t> {
    /// How many cells.
    pub fn cells(&self) -> usize {
        self.record.len()
    }

    /// What is wrong with a row that has not as many cells as the header, which has `columns`.
    pub fn wrong_width(&self, columns: usize) -> Option<String> {
        let cells = self.cells();
        let problem = || {
            format!(
                "{cells} cells, but the header has {columns}: put a cell that holds the delimiter or a quote into quotes"
            )
        };
        (cells != columns).then(problem)
    }

    /// The text of a cell without blanks around it; empty when there is no such cell.
    pub fn cell(&self, column: usize) -> Result<&'t str, Utf8Error> {
        std::str::from_utf8(self.record.get(column).unwrap_or_default().trim_ascii())
    }
}
