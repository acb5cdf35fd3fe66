//! What comes and goes between two files of a table, row by row as written.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::licence_table::LicenceTable;
use super::table::{FolderError, Row, Table, text};
use super::write::cell;
use crate::formats::csv_lines::LINE_BYTES_MAX;

/// Bytes of a row that is taken, with its quotes doubled: a reconcile writes it anew with numbers in place of names, and
/// reads that.
const ROW_BYTES_MAX: usize = LINE_BYTES_MAX / 2;

/// How often each row stands in one file more than in another.
#[derive(Debug, Default)]
pub struct RowCounts {
    /// By the digest of its filled cells. Rows are told apart by 128 bits, which only these counts depend on.
    counts: HashMap<u128, i64>,
}

impl RowCounts {
    /// Takes the rows of a file off; one that no reconcile would read any more counts as empty.
    pub fn before(&mut self, table: LicenceTable, bytes: &[u8]) {
        let mut rows = Vec::new();
        let read = each_row(table, bytes, |row| {
            rows.push(digest(table, row));
            Ok(())
        });
        if read.is_ok() {
            rows.into_iter().for_each(|row| *self.counts.entry(row).or_default() -= 1);
        }
    }

    /// Adds the rows of a file, none of which may be too long; how many there are.
    pub fn after(&mut self, table: LicenceTable, bytes: &[u8]) -> Result<u64, FolderError> {
        let (form, mut count) = (table.form(), 0);
        each_row(table, bytes, |row| {
            let written: usize = (0..form.columns.len()).map(|column| cell(row.text(column)).len() + 1).sum();
            if written > ROW_BYTES_MAX {
                let problem = format!(
                    "has {written} bytes with its quotes doubled, at most {ROW_BYTES_MAX} are taken: shorten its cells"
                );
                return Err(FolderError::line(form.file, row.line(), problem));
            }
            *self.counts.entry(digest(table, row)).or_default() += 1;
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// Rows that came, and rows that went.
    pub fn changed(&self) -> (u64, u64) {
        let sum = |sign: i64| self.counts.values().map(|count| (count * sign).max(0) as u64).sum();
        (sum(1), sum(-1))
    }
}

fn each_row(
    table: LicenceTable,
    bytes: &[u8],
    see: impl FnMut(&Row<'_, '_>) -> Result<(), FolderError>,
) -> Result<(), FolderError> {
    let form = table.form();
    Table::open(form, text(form, bytes)?)?.map_or(Ok(()), |table| table.rows(see))
}

/// Of the cells that are filled, whatever the order of columns in the file.
fn digest(table: LicenceTable, row: &Row<'_, '_>) -> u128 {
    let mut halves = [FixedState::with_seed(1).build_hasher(), FixedState::with_seed(2).build_hasher()];
    for column in 0..table.form().columns.len() {
        let text = row.text(column);
        if !text.is_empty() {
            halves.iter_mut().for_each(|half| (column, text).hash(half));
        }
    }
    halves.iter().fold(0, |all, half| all << 64 | u128::from(half.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(before: &str, after: &str) -> (u64, (u64, u64)) {
        let mut counts = RowCounts::default();
        counts.before(LicenceTable::Entitlements, before.as_bytes());
        let rows = counts.after(LicenceTable::Entitlements, after.as_bytes()).unwrap();
        (rows, counts.changed())
    }

    #[test]
    fn rows_are_the_same_whatever_the_order_of_rows_and_columns_and_each_counts() {
        assert_eq!(changed("license,quantity\na,1\nb,2\n", "quantity,license,retired\n2,b,\n\n 1,a,\n"), (2, (0, 0)));
        assert_eq!(changed("license,quantity\na,1\na,1\n", "license,quantity\na,1\nb,1\n"), (2, (1, 1)));
        assert_eq!(changed("", "license,quantity\na,1\n"), (1, (1, 0)));
        assert_eq!(changed("nothing\nof ours\n", "license,quantity\n"), (0, (0, 0)), "what does not read is no row");
    }

    #[test]
    fn a_row_that_grows_too_long_when_it_is_written_anew_is_refused_with_its_line() {
        let quotes = "\"\"".repeat(ROW_BYTES_MAX / 2);
        let text = format!("license,type,name\nl1,2,x\nl2,2,\"{quotes}\"\n");
        let error = RowCounts::default().after(LicenceTable::Licenses, text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("licenses.csv:3: has ") && error.ends_with("shorten its cells"), "{error}");
    }
}
