//! Changes of single rows of a table, for those who keep licences by program and not by file.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::licence_table::LicenceTable;
use super::table::FolderError;
use super::write::push_row;
use crate::id::shorten;

/// Sets of columns that the rows to remove of one edit may name: each is looked for in every row.
const COLUMN_SETS_MAX: usize = 16;

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
    /// More sets of columns than are looked for in one pass.
    #[error(
        "rows to remove name more than {COLUMN_SETS_MAX} sets of columns: name them by the same columns, or in several edits"
    )]
    ColumnSets,
    /// Nothing to remove.
    #[error("no row has {0}: nothing was removed")]
    Nothing(String),
}

fn shown(cells: &Cells) -> String {
    let cells = cells.iter().map(|(column, text)| format!("{} `{}`", shorten(column), shorten(text)));
    cells.collect::<Vec<String>>().join(", ")
}

/// Rows to remove that name the same columns.
struct Removal<'e> {
    places: Vec<usize>,
    /// What stands in those columns, and whether a row has it.
    wanted: HashMap<Vec<String>, (&'e Cells, bool)>,
}

impl Removal<'_> {
    fn is_met(&mut self, row: &[String]) -> bool {
        let texts: Vec<String> = self.places.iter().map(|&place| row[place].clone()).collect();
        self.wanted.get_mut(&texts).map(|(_, is_met)| *is_met = true).is_some()
    }
}

impl TableEdit {
    /// The table with the edit: all columns in the order of its form, rows in the order in which they were.
    pub fn of(&self, table: LicenceTable, bytes: &[u8]) -> Result<String, EditError> {
        let form = table.form();
        let place = |name: &str| {
            let unknown = || EditError::Column(shorten(name), form.file, form.columns.join(", "));
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
        let mut removed: Vec<Removal<'_>> = Vec::new();
        for cells in &self.remove {
            let wanted = by_place(cells)?;
            // Empty cells alone are those of nearly every row.
            if wanted.iter().all(|(_, text)| text.is_empty()) {
                return Err(EditError::Everything);
            }
            let (places, texts): (Vec<usize>, Vec<String>) = wanted.into_iter().unzip();
            let known = removed.iter().position(|removal| removal.places == places);
            let at = known.unwrap_or_else(|| {
                removed.push(Removal { places, wanted: HashMap::new() });
                removed.len() - 1
            });
            removed[at].wanted.insert(texts, (cells, false));
            if removed.len() > COLUMN_SETS_MAX {
                return Err(EditError::ColumnSets);
            }
        }
        // Every set looks at every row: one that two rows to remove mean is no fault.
        rows.retain(|row| {
            let mut is_met = false;
            removed.iter_mut().for_each(|removal| is_met |= removal.is_met(row));
            !is_met
        });
        let nothing = removed.iter().flat_map(|removal| removal.wanted.values()).filter(|(_, is_met)| !is_met);
        if let Some((cells, _)) = nothing.min_by_key(|(cells, _)| *cells) {
            return Err(EditError::Nothing(shown(cells)));
        }
        let key = form.key.iter().map(|column| place(column)).collect::<Result<Vec<usize>, _>>()?;
        let key_of = |row: &[String]| key.iter().map(|&place| row[place].clone()).collect::<Vec<String>>();
        let keyed = rows.iter().enumerate().filter(|_| !key.is_empty() && !self.put.is_empty());
        // Should two rows share a key, the first is meant.
        let mut known: HashMap<Vec<String>, usize> = keyed.rev().map(|(at, row)| (key_of(row), at)).collect();
        for cells in &self.put {
            let given = by_place(cells)?;
            let mut new = vec![String::new(); form.columns.len()];
            given.iter().for_each(|(place, text)| new[*place].clone_from(text));
            match known.get(&key_of(&new)) {
                Some(&at) => given.into_iter().for_each(|(place, text)| rows[at][place] = text),
                None => {
                    if !key.is_empty() {
                        known.insert(key_of(&new), rows.len());
                    }
                    rows.push(new);
                }
            }
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

    #[test]
    fn many_rows_are_edited_in_one_pass_and_two_edits_of_one_row_are_no_fault() {
        let rows: String = (0..2_000).map(|row| format!("g{row},p{}\n", row % 7)).collect();
        let table = format!("group,parent\n{rows}");
        let edit = TableEdit {
            remove: (0..1_000)
                .map(|row| cells(&[("group", &format!("g{row}"))]))
                .chain([cells(&[("parent", "p3")])])
                .collect(),
            put: (1_000..3_000).map(|row| cells(&[("group", &format!("g{row}")), ("parent", "x")])).collect(),
        };
        let edited = edit.of(LicenceTable::Groups, table.as_bytes()).unwrap();
        assert_eq!(edited.lines().filter(|line| line.ends_with(",x")).count(), 2_000);
        assert_eq!(edited.lines().count(), 2_001, "those that were taken away came again at the end");
        let sets = (0..=COLUMN_SETS_MAX).map(|set| {
            let columns = LicenceTable::Licenses.form().columns;
            cells(&[("license", "a"), (columns[1 + set % (columns.len() - 1)], "b")])
        });
        let edit = TableEdit { remove: sets.collect(), put: vec![] };
        let error = edit.of(LicenceTable::Licenses, b"license,type\na,b\n").unwrap_err();
        assert!(error.to_string().contains("sets of columns"), "{error}");
    }
}
