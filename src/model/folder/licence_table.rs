//! The tables of a reconcile that a server keeps: what inventory cannot say.
//!
//! Each is a file of the folder, as it was imported, so that every error and every warning names its own lines. One
//! import is the whole of its table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::devices::DEVICES;
use super::estate_files::{ACCESS, APPLICATIONS, GROUPS, SUITES, USAGE, USERS};
use super::licence_files::{ALLOCATIONS, ENTITLEMENTS, EXEMPT_ROLES, LICENSE_APPLICATIONS, PEAKS};
use super::point_files::{POINTS_RULES, STEPS};
use super::table::{FolderError, Form, Row, Table, text};
use super::terms::LICENSES;
use crate::time::{SECOND_MS, Timestamp};

/// Bytes of a table at most: a million users have some 40 MB.
pub const TABLE_BYTES_MAX: usize = 128 << 20;
/// Bytes of one part of a table, about: a part is one fact.
pub const PART_BYTES: usize = 48 << 10;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LicenceTable {
    /// Licences and their terms.
    Licenses,
    /// What they cover.
    LicenseApplications,
    /// What was bought.
    Entitlements,
    /// Who licences were given to.
    Allocations,
    /// Roles of devices that need no right.
    ExemptRoles,
    /// Points of processors.
    PointsRules,
    /// Steps of resources.
    Steps,
    /// The largest figures of running periods; each reconcile writes them anew.
    Peaks,
    /// Users and their groups.
    Users,
    /// Enterprise groups.
    Groups,
    /// Applications beside those of the recognition library, or instead of one with the same id.
    Applications,
    /// Members of suites.
    Suites,
    /// Use that no agent meters.
    Usage,
    /// Who reached which server product.
    Access,
    /// What an operator says of devices.
    Devices,
}

impl LicenceTable {
    /// Every table, in the order in which they are listed.
    pub const ALL: [LicenceTable; 15] = [
        LicenceTable::Licenses,
        LicenceTable::LicenseApplications,
        LicenceTable::Entitlements,
        LicenceTable::Allocations,
        LicenceTable::ExemptRoles,
        LicenceTable::PointsRules,
        LicenceTable::Steps,
        LicenceTable::Peaks,
        LicenceTable::Users,
        LicenceTable::Groups,
        LicenceTable::Applications,
        LicenceTable::Suites,
        LicenceTable::Usage,
        LicenceTable::Access,
        LicenceTable::Devices,
    ];

    /// Its form.
    pub fn form(self) -> &'static Form {
        match self {
            LicenceTable::Licenses => &LICENSES,
            LicenceTable::LicenseApplications => &LICENSE_APPLICATIONS,
            LicenceTable::Entitlements => &ENTITLEMENTS,
            LicenceTable::Allocations => &ALLOCATIONS,
            LicenceTable::ExemptRoles => &EXEMPT_ROLES,
            LicenceTable::PointsRules => &POINTS_RULES,
            LicenceTable::Steps => &STEPS,
            LicenceTable::Peaks => &PEAKS,
            LicenceTable::Users => &USERS,
            LicenceTable::Groups => &GROUPS,
            LicenceTable::Applications => &APPLICATIONS,
            LicenceTable::Suites => &SUITES,
            LicenceTable::Usage => &USAGE,
            LicenceTable::Access => &ACCESS,
            LicenceTable::Devices => &DEVICES,
        }
    }

    /// Its file in a folder.
    pub fn file(self) -> &'static str {
        self.form().file
    }

    /// Its name in addresses, parameters and keys: that of its file without the ending.
    pub fn as_str(self) -> &'static str {
        self.file().strip_suffix(".csv").expect("every file of the folder is CSV")
    }

    /// Whether its rows name devices, which operators may do by their names.
    pub fn names_devices(self) -> bool {
        matches!(self, LicenceTable::Allocations | LicenceTable::Usage | LicenceTable::Access)
    }

    /// Its rows as texts by column: each cell of every row, in the order of the columns that the file has.
    pub fn rows(self, bytes: &[u8]) -> Result<TableRows, FolderError> {
        self.rows_where(bytes, |_| true)
    }

    /// The same, of rows that have `text` in a column.
    pub fn rows_with(self, bytes: &[u8], column: &str, text: &str) -> Result<TableRows, FolderError> {
        let place = self.form().columns.iter().position(|known| *known == column);
        self.rows_where(bytes, |row| place.is_some_and(|place| row.text(place) == text))
    }

    fn rows_where(self, bytes: &[u8], is_wanted: impl Fn(&Row<'_, '_>) -> bool) -> Result<TableRows, FolderError> {
        let form = self.form();
        let mut rows = TableRows::default();
        let Some(table) = Table::open(form, text(form, bytes)?)? else { return Ok(rows) };
        let columns: Vec<usize> = (0..form.columns.len()).filter(|&column| table.has(column)).collect();
        rows.columns = columns.iter().map(|&column| form.columns[column]).collect();
        table.rows(|row| {
            if is_wanted(row) {
                rows.lines.push((row.line(), columns.iter().map(|&column| row.text(column).into()).collect()));
            }
            Ok(())
        })?;
        Ok(rows)
    }
}

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRows {
    /// Columns that the file has.
    pub columns: Vec<&'static str>,
    /// Each row with its line: a cell for each column.
    pub lines: Vec<(usize, Vec<Box<str>>)>,
}

impl fmt::Display for LicenceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LicenceTable {
    type Err = ();
    /// Reads the name of a table or its file, in any case.
    fn from_str(text: &str) -> Result<LicenceTable, ()> {
        let is_it =
            |table: &LicenceTable| table.as_str().eq_ignore_ascii_case(text) || table.file().eq_ignore_ascii_case(text);
        LicenceTable::ALL.into_iter().find(is_it).ok_or(())
    }
}

/// Value of a `FactKey::LicenceTable`: which file of a table is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// Number of the file; its parts bear it.
    pub generation: u32,
    /// Parts it has, numbered from 0; each is a piece of its text.
    pub parts: u32,
    /// Bytes of its text.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// When it was taken.
    pub taken: Timestamp,
}

impl TableState {
    /// The number of the next file of a table: above that of the one in force. Behind none it is of the time, so that whoever
    /// still reads the parts of one that was taken away finds none of another file in their place.
    pub fn next_generation(known: Option<&TableState>, now: Timestamp) -> u32 {
        known.map_or((now.0.max(0) / SECOND_MS) as u32, |state| state.generation.wrapping_add(1))
    }
}

/// Key of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TablePart {
    /// Of which table.
    pub table: LicenceTable,
    /// Of which file.
    pub generation: u32,
    /// Its number.
    pub number: u32,
}

/// A text cut into parts of about [`PART_BYTES`].
pub fn parts(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::with_capacity(text.len() / PART_BYTES + 1);
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(PART_BYTES));
        parts.push(part);
        text = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_its_name_and_by_its_file() {
        for table in LicenceTable::ALL {
            assert_eq!(table.as_str().parse(), Ok(table));
            assert_eq!(table.file().to_ascii_uppercase().parse(), Ok(table));
        }
        assert_eq!("installations".parse::<LicenceTable>(), Err(()), "inventory says what is installed");
        assert_eq!(LicenceTable::LicenseApplications.as_str(), "license_applications");
    }

    #[test]
    fn a_table_that_was_taken_away_and_put_again_gets_another_number() {
        let now = Timestamp(1_750_000_000_000);
        let state = TableState { generation: 7, parts: 1, bytes: 1, rows: 1, taken: now };
        assert_eq!(TableState::next_generation(Some(&state), now), 8);
        assert_eq!(TableState::next_generation(None, now), 1_750_000_000);
    }

    #[test]
    fn a_text_is_its_parts_and_no_character_is_cut() {
        // Of two bytes each, behind one of one byte: no part may end where it would be full.
        let text = format!("a{}", "é".repeat(PART_BYTES));
        let parts = parts(&text);
        assert_eq!(parts.concat(), text);
        assert!(parts.len() == 3 && parts.iter().all(|part| part.len() <= PART_BYTES), "{}", parts.len());
        assert!(super::parts("").is_empty());
    }

    #[test]
    fn rows_are_shown_with_their_lines_and_only_the_columns_that_are_there() {
        let rows = LicenceTable::Entitlements.rows(b"quantity,license\n\n 5 ,l1\n\"unlimited\",l2\n").unwrap();
        assert_eq!(rows.columns, ["license", "quantity"]);
        let lines: Vec<(usize, Vec<&str>)> =
            rows.lines.iter().map(|(line, cells)| (*line, cells.iter().map(|cell| &**cell).collect())).collect();
        assert_eq!(lines, [(3, vec!["l1", "5"]), (4, vec!["l2", "unlimited"])]);
        let of = |column, text| LicenceTable::Entitlements.rows_with(b"quantity,license\n5,l1\n6,l2\n", column, text);
        assert_eq!(of("license", "l2").unwrap().lines, [(3, vec!["l2".into(), "6".into()])]);
        assert!(of("none", "").unwrap().lines.is_empty());
    }
}
