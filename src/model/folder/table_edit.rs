//! Changes of single rows of a table, for those who keep licences by program and not by file.

use std::collections::BTreeMap;

use super::licence_table::LicenceTable;
use super::table::FolderError;
use super::write::push_row;

/// Cells of a row by their columns.
pub type Cells = BTreeMap<String, String>;

/// What is to be done to a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableEdit {
    /// Rows to remove: each that has all of these cells.
    pub remove: Vec<Cells>,
    /// Rows to put. Where the table has a key and a row with this one, only the cells that are given change; else the row is
    /// added.
    pub put: Vec<Cells>,
}

/// Why an edit is not taken.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The table itself.
    #[error(transparent)]
    Table(#[from] FolderError),
    /// A column that the table has not.
    #[error("`{0}` is no column of {1}: it has {2}")]
    Column(String, &'static str, String),
    /// A row that would take everything.
    #[error("a row to remove names no cell: it would be every row")]
    Everything,
    /// Nothing to remove.
    #[error("no row has {0}: nothing was removed")]
    Nothing(String),
}

fn shown(cells: &Cells) -> String {
    let cells = cells.iter().map(|(column, text)| format!("{column} `{}`", text.escape_debug()));
    cells.collect::<Vec<String>>().join(", ")
}

impl TableEdit {
    /// The table with the edit: all columns in the order of its form, rows in the order in which they were.
    pub fn of(&self, table: LicenceTable, bytes: &[u8]) -> Result<String, EditError> {
        let form = table.form();
        let place = |name: &str| {
            let unknown = || EditError::Column(name.into(), form.file, form.columns.join(", "));
            form.columns.iter().position(|column| *column == name).ok_or_else(unknown)
        };
        let by_place = |cells: &Cells| -> Result<Vec<(usize, String)>, EditError> {
            cells.iter().map(|(column, text)| Ok((place(column)?, text.trim().to_owned()))).collect()
        };
        let written = table.rows(bytes)?;
        let places = written.columns.iter().map(|column| place(column)).collect::<Result<Vec<usize>, _>>()?;
        let mut rows: Vec<Vec<String>> = written
            .lines
            .iter()
            .map(|(_, cells)| {
                let mut row = vec![String::new(); form.columns.len()];
                places.iter().zip(cells).for_each(|(&place, cell)| row[place] = cell.to_string());
                row
            })
            .collect();
        for cells in &self.remove {
            let wanted = by_place(cells)?;
            // Empty cells alone are those of nearly every row.
            if wanted.iter().all(|(_, text)| text.is_empty()) {
                return Err(EditError::Everything);
            }
            let before = rows.len();
            rows.retain(|row| !wanted.iter().all(|(place, text)| row[*place] == *text));
            if rows.len() == before {
                return Err(EditError::Nothing(shown(cells)));
            }
        }
        let key = form.key.iter().map(|column| place(column)).collect::<Result<Vec<usize>, _>>()?;
        for cells in &self.put {
            let given = by_place(cells)?;
            let cell = |place: usize| given.iter().find(|(known, _)| *known == place).map_or("", |(_, text)| text);
            let known =
                rows.iter().position(|row| !key.is_empty() && key.iter().all(|&place| row[place] == cell(place)));
            let known = known.unwrap_or_else(|| {
                rows.push(vec![String::new(); form.columns.len()]);
                rows.len() - 1
            });
            given.into_iter().for_each(|(place, text)| rows[known][place] = text);
        }
        let mut out = String::new();
        push_row(&mut out, form.columns.iter().copied());
        rows.iter().for_each(|row| push_row(&mut out, row.iter().map(String::as_str)));
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(pairs: &[(&str, &str)]) -> Cells {
        pairs.iter().map(|(column, text)| (column.to_string(), text.to_string())).collect()
    }

    #[test]
    fn a_row_is_changed_by_its_key_added_without_one_and_removed_by_any_cells() {
        let table = "license,type,name\nl1,2,\"One, two\"\nl2,4,Two\n".as_bytes();
        let edit = TableEdit {
            remove: vec![cells(&[("type", "4")])],
            put: vec![cells(&[("license", "l1"), ("type", "3")]), cells(&[("license", "l3"), ("type", "1")])],
        };
        let edited = edit.of(LicenceTable::Licenses, table).unwrap();
        let rows: Vec<&str> = edited.lines().skip(1).map(|line| line.trim_end_matches(',')).collect();
        assert_eq!(rows, ["l1,\"One, two\",3", "l3,,1"]);
        let bought = TableEdit { put: vec![cells(&[("license", "l1"), ("quantity", "5")])], ..TableEdit::default() };
        let once = bought.of(LicenceTable::Entitlements, b"").unwrap();
        let twice = bought.of(LicenceTable::Entitlements, once.as_bytes()).unwrap();
        assert_eq!(twice.lines().count(), 3, "a purchase has no key: each counts");
    }

    #[test]
    fn an_edit_that_means_nothing_is_refused() {
        let edit = |remove: &[(&str, &str)], put: &[(&str, &str)]| {
            let edit = TableEdit { remove: vec![cells(remove)], put: vec![cells(put)] };
            edit.of(LicenceTable::Groups, b"group,parent\na,b\n").unwrap_err().to_string()
        };
        assert_eq!(edit(&[], &[]), "a row to remove names no cell: it would be every row");
        assert_eq!(edit(&[("parent", "")], &[]), "a row to remove names no cell: it would be every row");
        assert_eq!(edit(&[("group", "x")], &[]), "no row has group `x`: nothing was removed");
        assert_eq!(
            edit(&[("group", "a")], &[("boss", "c")]),
            "`boss` is no column of groups.csv: it has group, parent"
        );
    }
}
