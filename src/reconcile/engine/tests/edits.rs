//! Folders that are written otherwise: cells, rows, files.

use std::collections::BTreeMap;

use super::estates::draw::Draw;
use super::slow::csv;
use super::{Files, InMemory};
use crate::model::folder::Folder;
use crate::reconcile::evidence::install;

/// A file as rows of cells.
pub struct Rows {
    file: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// Takes a file apart; one that is not there has no rows and these columns.
    pub fn of(files: &Files, file: &str, columns: &[&str]) -> Rows {
        let text = files.get(file).map(String::as_str).unwrap_or_default();
        let mut rows = csv::parse(text).into_iter().map(|row| row.cells);
        let header = rows.next().unwrap_or_default();
        let mut read = Rows { file: file.to_owned(), rows: rows.collect(), header };
        for column in columns {
            if !read.header.iter().any(|known| known == column) {
                read.header.push((*column).to_owned());
            }
        }
        let width = read.header.len();
        read.rows.iter_mut().for_each(|row| row.resize(width, String::new()));
        read
    }

    fn place(&self, column: &str) -> usize {
        self.header.iter().position(|known| known == column).expect("a column")
    }

    /// Adds a row; cells that are not named are blank.
    pub fn add(&mut self, cells: &[(&str, &str)]) {
        let mut row = vec![String::new(); self.header.len()];
        cells.iter().for_each(|(column, text)| row[self.place(column)] = (*text).to_owned());
        self.rows.push(row);
    }

    /// Takes away the rows with these cells.
    pub fn remove(&mut self, cells: &[(&str, &str)]) {
        let places: Vec<(usize, &str)> = cells.iter().map(|(column, text)| (self.place(column), *text)).collect();
        self.rows.retain(|row| !places.iter().all(|(place, text)| row[*place] == *text));
    }

    /// Writes a cell of the rows with these cells.
    pub fn set(&mut self, cells: &[(&str, &str)], column: &str, text: &str) {
        let places: Vec<(usize, &str)> = cells.iter().map(|(column, text)| (self.place(column), *text)).collect();
        let column = self.place(column);
        let meant = self.rows.iter_mut().filter(|row| places.iter().all(|(place, text)| row[*place] == *text));
        meant.for_each(|row| row[column] = text.to_owned());
    }

    /// Puts the file back.
    pub fn write(self, files: &mut Files) {
        let lines: Vec<String> = std::iter::once(&self.header).chain(&self.rows).map(|row| csv::line(row)).collect();
        files.insert(self.file, lines.concat());
    }
}

/// The folder with something written otherwise: a row gone, a cell as in another row, a row more that is like two others.
pub fn edited(files: &Files, draw: &mut Draw) -> Files {
    let mut edited = files.clone();
    let names: Vec<String> = files.keys().cloned().collect();
    let mut rows = Rows::of(files, &draw.pick(&names), &[]);
    if rows.rows.is_empty() {
        return edited;
    }
    let (row, other) = (draw.between(0, rows.rows.len() - 1), draw.between(0, rows.rows.len() - 1));
    let column = draw.between(0, rows.header.len() - 1);
    match draw.between(1, 4) {
        1 => {
            rows.rows.remove(row);
        }
        2 => {
            let mut more = rows.rows[row].clone();
            more[column] = rows.rows[other][column].clone();
            rows.rows.push(more);
        }
        3 if matches!(&*rows.header[column], "cores" | "threads" | "processors" | "quantity" | "priority") => {
            rows.rows[row][column] = draw.between(1, 20).to_string();
        }
        _ => rows.rows[row][column] = rows.rows[other][column].clone(),
    }
    rows.write(&mut edited);
    edited
}

/// A folder read and recognised; `None`: it is refused.
pub fn folder(files: &Files) -> Option<Folder> {
    let bytes: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
    let mut folder = Folder::read(&mut InMemory(&bytes)).ok()?;
    install(&mut folder).ok()?;
    Some(folder)
}
