//! Hands a table to the CSV reader a line at a time, so that its lines can be counted and its rows limited.

use std::io::{self, BufRead, Read};

use super::ROW_BYTES_MAX;
use super::read::TableError;

/// Each [`Read::read`] gives one line or a part of one, never the beginning of the next. The CSV reader asks only when it
/// has used up what it got, so at the end of a row the lines given are the lines read.
pub(super) struct Lines<R> {
    inner: R,
    /// Lines of which something was given; the number of the last one, counted from 1.
    pub line: u64,
    is_between: bool,
    /// Bytes given since the row began.
    pub row_bytes: u64,
    bytes: u64,
    bytes_max: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(inner: R, bytes_max: u64) -> Lines<R> {
        Lines { inner, line: 0, is_between: true, row_bytes: 0, bytes: 0, bytes_max }
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.inner.fill_buf()?;
        let available = &available[..available.len().min(into.len())];
        let end = memchr::memchr(b'\n', available);
        let bytes = end.map_or(available.len(), |end| end + 1);
        if bytes == 0 {
            return Ok(0);
        }
        into[..bytes].copy_from_slice(&available[..bytes]);
        self.inner.consume(bytes);
        self.line += u64::from(self.is_between);
        self.is_between = end.is_some();
        self.row_bytes += bytes as u64;
        self.bytes += bytes as u64;
        if self.row_bytes > ROW_BYTES_MAX {
            return Err(io::Error::other(TableError::RowBytes { line: self.line }));
        }
        if self.bytes > self.bytes_max {
            return Err(io::Error::other(TableError::Bytes { most: self.bytes_max }));
        }
        Ok(bytes)
    }
}
