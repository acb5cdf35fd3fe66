//! Rows of one transaction: as many as fit.

use serde::{Deserialize, Serialize};

use crate::export::{ComputerRow, Cursor};
use crate::formats::servicenow_xml::{RowsWriter, row_bytes};
use crate::id::Digest;

/// When a segment is full; whichever is hit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentLimits {
    /// Rows.
    pub records: u32,
    /// Bytes of `<rows>`. A single row above it still goes, alone.
    pub bytes: usize,
}

/// One record on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Row {
    /// A computer. Boxed, because it is far larger than the other kinds will be.
    Computer(Box<ComputerRow>),
}

impl Row {
    fn columns(&self) -> Vec<(&'static str, String)> {
        match self {
            Row::Computer(computer) => computer.columns(),
        }
    }
}

/// A row and its place in the source's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// Where reading continues after this row.
    pub cursor: Cursor,
    /// The record.
    pub row: Row,
}

/// What the run must know of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Number of rows.
    pub records: u32,
    /// Digest of the bytes of `<rows>`.
    pub digest: Digest,
    /// Place of its last row; `None` without rows.
    pub end: Option<Cursor>,
    /// Whether the source has no row after it.
    pub last: bool,
}

/// A segment: what the run must know, and the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What the run must know.
    pub info: SegmentInfo,
    /// The bytes of `<rows>`.
    pub rows: Vec<u8>,
}

impl Segment {
    /// Takes rows from the front until the segment is full.
    ///
    /// `rows` are the next ones of the source in its order, up to `limits.records` + 1: fewer mean that no more follow,
    /// so that the last segment can say that it is the last. Memory: these rows and one segment.
    pub fn fill(limits: SegmentLimits, rows: &[SourceRow]) -> Segment {
        let mut writer = RowsWriter::default();
        let mut end = None;
        let mut taken = 0;
        for source_row in rows.iter().take(limits.records as usize) {
            let bytes = row_bytes(&source_row.row.columns());
            if taken > 0 && writer.bytes_used() + bytes.len() > limits.bytes {
                break;
            }
            writer.push(&bytes);
            end = Some(source_row.cursor.clone());
            taken += 1;
        }
        let records = writer.records();
        let (bytes, digest) = writer.finish();
        Segment { info: SegmentInfo { records, digest, end, last: taken == rows.len() }, rows: bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DeviceId;

    fn rows(count: u64) -> Vec<SourceRow> {
        let row = |id: u64| SourceRow {
            cursor: Cursor::new(id.to_string()),
            row: Row::Computer(Box::new(ComputerRow { id: Some(DeviceId(id)), ..ComputerRow::default() })),
        };
        (1..=count).map(row).collect()
    }

    fn taken(limits: SegmentLimits, rows: &[SourceRow]) -> (u32, Option<Cursor>, bool) {
        let Segment { info, rows } = Segment::fill(limits, rows);
        assert_eq!(info.digest, Digest::of(&rows));
        (info.records, info.end, info.last)
    }

    #[test]
    fn a_segment_ends_at_its_record_limit_and_knows_whether_it_is_the_last() {
        let limits = SegmentLimits { records: 3, bytes: 1 << 20 };
        assert_eq!(taken(limits, &rows(4)), (3, Some(Cursor::new("3")), false));
        assert_eq!(taken(limits, &rows(3)), (3, Some(Cursor::new("3")), true));
        assert_eq!(taken(limits, &[]), (0, None, true));
    }

    #[test]
    fn a_segment_ends_at_its_byte_limit_but_never_without_a_row() {
        let row = "<row><ComputerID>1</ComputerID></row>".len();
        let limits = |bytes| SegmentLimits { records: 3, bytes };
        assert_eq!(taken(limits("<rows></rows>".len() + 2 * row), &rows(3)), (2, Some(Cursor::new("2")), false));
        assert_eq!(taken(limits(1), &rows(2)), (1, Some(Cursor::new("1")), false));
        assert_eq!(taken(limits(1), &rows(1)), (1, Some(Cursor::new("1")), true));
    }
}
