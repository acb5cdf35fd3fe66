//! A file of the folder: its columns by name, its rows one by one, and what is said when it is wrong.
//!
//! Source: reconcile-files reference, section 1.

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashSet;

use crate::formats::csv_lines::{CsvFault, LINE_BYTES_MAX, Marks, cells, next_record};
use crate::id::shorten;

/// What a file is made of.
#[derive(Debug)]
pub struct Form {
    /// Its name in the folder.
    pub file: &'static str,
    /// Its columns in the order of the reference.
    pub columns: &'static [&'static str],
    /// Those that have to be there, with a cell in every row.
    pub required: &'static [&'static str],
    /// Those that no two rows share.
    pub key: &'static [&'static str],
}

/// Why a folder is refused: `FILE:LINE COLUMN: what to mend`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FolderError {
    file: &'static str,
    line: Option<usize>,
    column: Option<&'static str>,
    problem: String,
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_file(self.file))
    }
}

impl FolderError {
    /// What is said of it where the file has a name of its own.
    pub fn in_file(&self, file: &str) -> String {
        let line = self.line.map_or_else(String::new, |line| format!(":{line}"));
        let column = self.column.map_or_else(String::new, |column| format!(" {column}"));
        format!("{file}{line}{column}: {}", self.problem)
    }

    /// The file as a whole is wrong.
    pub fn whole(file: &'static str, problem: impl Into<String>) -> FolderError {
        FolderError { file, line: None, column: None, problem: problem.into() }
    }

    /// A line is wrong.
    pub fn line(file: &'static str, line: usize, problem: impl Into<String>) -> FolderError {
        FolderError { file, line: Some(line), column: None, problem: problem.into() }
    }

    /// A cell, or a column in the header, is wrong.
    pub fn cell(file: &'static str, line: usize, column: &'static str, problem: impl Into<String>) -> FolderError {
        FolderError { file, line: Some(line), column: Some(column), problem: problem.into() }
    }

    fn fault(file: &'static str, line: usize, fault: CsvFault) -> FolderError {
        FolderError::line(file, line, fault.to_string())
    }
}

/// A file whose header was read.
#[derive(Clone, Debug)]
pub struct Table<'t> {
    form: &'static Form,
    /// Where each column of the form stands in a row.
    places: Vec<Option<usize>>,
    /// Cells that a row has at most.
    width: usize,
    /// What stands below the header.
    body: &'t str,
    /// Line of the file that the body begins on.
    line: usize,
    /// Columns that nobody knows, as written.
    unknown: Vec<String>,
}

/// A row. Columns are named by their place in the form.
#[derive(Debug)]
pub struct Row<'t, 'r> {
    form: &'static Form,
    places: &'r [Option<usize>],
    cells: &'r [Cow<'t, str>],
    line: usize,
}

/// Texts of a file, which has to be UTF-8.
pub fn text<'t>(form: &'static Form, bytes: &'t [u8]) -> Result<&'t str, FolderError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count();
        FolderError::line(form.file, line, "is not UTF-8, save the file as CSV in UTF-8")
    })
}

impl<'t> Table<'t> {
    /// Reads the header of a file; `None`: there is nothing in it.
    pub fn open(form: &'static Form, text: &'t str) -> Result<Option<Table<'t>>, FolderError> {
        let (mut rest, mut line) = (text, 1);
        while let Some((record, lines)) = next_record(&mut rest) {
            let at = line;
            line += lines.max(1) as usize;
            if record.trim().is_empty() {
                continue;
            }
            let mut names: Vec<String> = Vec::new();
            cells(record, |_, cell| names.push(cell.trim().to_owned()))
                .map_err(|fault| FolderError::fault(form.file, at, fault))?;
            let mut places = Vec::with_capacity(form.columns.len());
            for &column in form.columns {
                let mut found = names.iter().enumerate().filter(|(_, name)| *name == column).map(|(place, _)| place);
                places.push(found.next());
                if found.next().is_some() {
                    return Err(FolderError::cell(
                        form.file,
                        at,
                        column,
                        "the header names this column twice, remove one",
                    ));
                }
            }
            for column in form.required {
                if !names.iter().any(|name| name == column) {
                    let problem =
                        format!("the header lacks this column: add it; it has {}", shorten(&names.join(", ")));
                    return Err(FolderError::cell(form.file, at, column, problem));
                }
            }
            let width = names.len();
            let is_unknown = |name: &String| !name.is_empty() && !form.columns.contains(&name.as_str());
            let unknown = names.into_iter().filter(is_unknown).collect();
            return Ok(Some(Table { form, places, width, body: rest, line, unknown }));
        }
        Ok(None)
    }

    /// Whether the header names a column, by its place in the form.
    pub fn has(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    /// Columns that nobody knows, as written.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The table cut into parts of about `bytes` bytes that hold whole rows. A table with quotes is one part.
    pub fn parts(self, bytes: usize) -> Vec<Table<'t>> {
        let has_quotes = memchr::memchr(b'"', self.body.as_bytes()).is_some();
        let (mut parts, mut rest, mut line) = (Vec::new(), self.body, self.line);
        while !rest.is_empty() {
            let cut = rest.as_bytes().get(bytes..).filter(|_| !has_quotes).and_then(|rest| memchr::memchr(b'\n', rest));
            let (body, others) = rest.split_at(cut.map_or(rest.len(), |at| bytes + at + 1));
            parts.push(Table { body, line, ..self.clone() });
            rest = others;
            if !rest.is_empty() {
                line += memchr::memchr_iter(b'\n', body.as_bytes()).count();
            }
        }
        parts
    }

    /// Shows every row that is not blank, checked for its number of cells and for required ones.
    pub fn rows(&self, mut see: impl FnMut(&Row<'t, '_>) -> Result<(), FolderError>) -> Result<(), FolderError> {
        let (form, mut rest, mut line) = (self.form, self.body, self.line);
        let required: Vec<(usize, &'static str)> = form
            .required
            .iter()
            .filter_map(|column| Some((form.columns.iter().position(|known| known == column)?, *column)))
            .collect();
        let mut row_cells: Vec<Cow<'t, str>> = Vec::with_capacity(self.width);
        while let Some((record, lines)) = next_record(&mut rest) {
            let at = line;
            line += lines.max(1) as usize;
            row_cells.clear();
            cells(record, |_, cell| row_cells.push(trimmed(cell)))
                .map_err(|fault| FolderError::fault(form.file, at, fault))?;
            if row_cells.len() == 1 && record.trim().is_empty() {
                continue;
            }
            if row_cells.len() > self.width {
                let problem = format!(
                    "has {} cells and the header {}: quote cells that hold a comma",
                    row_cells.len(),
                    self.width
                );
                return Err(FolderError::line(form.file, at, problem));
            }
            let row = Row { form, places: &self.places, cells: &row_cells, line: at };
            for &(place, column) in &required {
                if row.text(place).is_empty() {
                    return Err(FolderError::cell(form.file, at, column, "is empty, every row needs one"));
                }
            }
            see(&row)?;
        }
        Ok(())
    }
}

impl Table<'_> {
    /// Shows two required cells of every row: the quick way through a table of many millions.
    pub fn pairs(
        &self,
        columns: [usize; 2],
        mut see: impl FnMut(&str, &str) -> Result<(), FolderError>,
    ) -> Result<(), FolderError> {
        let places = columns.map(|column| self.places[column].unwrap_or(usize::MAX));
        if memchr::memchr(b'"', self.body.as_bytes()).is_some() {
            return self.rows(|row| see(row.text(columns[0]), row.text(columns[1])));
        }
        let (body, mut line) = (self.body, self.line);
        let (mut found, mut count, mut start, mut first) = (["", ""], 0, 0, 0);
        for at in Marks::of(body.as_bytes()).chain([body.len()]) {
            for (cell, place) in found.iter_mut().zip(places) {
                if place == count {
                    *cell = trim(&body[start..at]);
                }
            }
            (start, count) = (at + 1, count + 1);
            if body.as_bytes().get(at) == Some(&b',') {
                continue;
            }
            let record = &body[first..at];
            if found.contains(&"") || count > self.width || record.len() > LINE_BYTES_MAX {
                // A blank line, or one that is wrong: said in one place.
                let one = Table { body: record, line, ..self.clone() };
                one.rows(|row| see(row.text(columns[0]), row.text(columns[1])))?;
            } else {
                see(found[0], found[1])?;
            }
            (found, count, first, line) = (["", ""], 0, start, line + 1);
        }
        Ok(())
    }
}

/// Trimmed; most cells need no look at their characters.
fn trim(cell: &str) -> &str {
    let is_plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_plain(cell.as_bytes().first()) && is_plain(cell.as_bytes().last()) { cell } else { cell.trim() }
}

fn trimmed(cell: Cow<'_, str>) -> Cow<'_, str> {
    match cell {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

impl<'t> Row<'t, '_> {
    /// A cell, trimmed; empty where the row or the file has none.
    pub fn text(&self, column: usize) -> &str {
        self.place(column).map_or("", |place| &self.cells[place])
    }

    /// The same, as long as the file.
    pub fn whole_text(&self, column: usize) -> Cow<'t, str> {
        self.place(column).map_or(Cow::Borrowed(""), |place| self.cells[place].clone())
    }

    fn place(&self, column: usize) -> Option<usize> {
        self.places[column].filter(|&place| place < self.cells.len())
    }

    /// The line that it begins on.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The form of its file.
    pub fn form(&self) -> &'static Form {
        self.form
    }
}

/// Finds rows that share their key.
#[derive(Debug, Default)]
pub struct Keys(HashSet<Vec<Box<str>>>);

impl Keys {
    /// Refuses a second row with the same key.
    pub fn check(&mut self, row: &Row<'_, '_>) -> Result<(), FolderError> {
        let form = row.form;
        let column = |name: &&str| form.columns.iter().position(|known| known == name).expect("a key is a column");
        self.check_texts(row, form.key.iter().map(|name| row.text(column(name)).into()).collect())
    }

    /// The same with a key that is not written as it is compared.
    pub fn check_texts(&mut self, row: &Row<'_, '_>, key: Vec<Box<str>>) -> Result<(), FolderError> {
        if self.0.contains(&key) {
            return Err(second(row.form, row.line, &key));
        }
        self.0.insert(key);
        Ok(())
    }
}

/// What is said of a second row with the same key.
pub fn second(form: &'static Form, line: usize, key: &[Box<str>]) -> FolderError {
    let problem = format!("a row before has `{}` already, remove one", shorten(&key.join(", ")));
    FolderError::cell(form.file, line, form.key[0], problem)
}
