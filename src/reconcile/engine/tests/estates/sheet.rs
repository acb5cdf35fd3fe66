//! A file being made.

use super::draw::Draw;

/// Rows under a header.
pub struct Sheet {
    /// With its ending.
    pub file: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// No rows yet.
    pub fn new(file: &'static str, columns: &[&'static str]) -> Sheet {
        Sheet { file, columns: columns.to_vec(), rows: Vec::new() }
    }

    /// A row; cells that are not named are blank.
    pub fn add(&mut self, cells: &[(&'static str, String)]) {
        let cell = |column: &&'static str| cells.iter().find(|(name, _)| name == column).map(|(_, text)| text.clone());
        let unknown = cells.iter().find(|(name, _)| !self.columns.contains(name));
        assert!(unknown.is_none(), "{} has no column {unknown:?}", self.file);
        self.rows.push(self.columns.iter().map(|column| cell(column).unwrap_or_default()).collect());
    }

    /// True when no row has these cells.
    pub fn lacks(&self, cells: &[(&'static str, &str)]) -> bool {
        !self.rows.iter().any(|row| {
            cells.iter().all(|(name, text)| {
                self.columns.iter().position(|column| column == name).map(|at| row[at].as_str()) == Some(*text)
            })
        })
    }

    /// Puts a text into a cell of a drawn row; false without rows.
    pub fn spoil(&mut self, draw: &mut Draw, column: &str, text: &str) -> bool {
        let Some(place) = self.columns.iter().position(|name| *name == column) else { return false };
        if self.rows.is_empty() {
            return false;
        }
        let row = draw.between(0, self.rows.len() - 1);
        self.rows[row][place] = text.to_string();
        true
    }

    /// Files with rows, and the three that must be there.
    pub fn needed(&self) -> bool {
        !self.rows.is_empty() || matches!(self.file, "devices.csv" | "applications.csv" | "licenses.csv")
    }

    /// Columns and rows in a drawn order, now and then with CRLF, a byte order mark, blank lines, blanks around cells, blank
    /// columns left out.
    pub fn text(&self, draw: &mut Draw) -> String {
        let mut places: Vec<usize> = (0..self.columns.len()).collect();
        if draw.chance(30) {
            places.retain(|place| *place == 0 || self.rows.iter().any(|row| !row[*place].is_empty()));
        }
        let places = if draw.chance(30) { draw.shuffled(&places) } else { places };
        let end = if draw.chance(15) { "\r\n" } else { "\n" };
        let untidy = draw.chance(15);
        let mut text = if draw.chance(10) { "\u{feff}".to_string() } else { String::new() };
        let header: Vec<String> = places.iter().map(|place| self.columns[*place].to_string()).collect();
        text += &(header.join(",") + end);
        for row in draw.shuffled(&self.rows) {
            let cells: Vec<String> = places.iter().map(|place| cell(draw, &row[*place], untidy)).collect();
            let cells = if untidy && places.len() > 1 { without_last_blanks(cells) } else { cells };
            text += &(cells.join(",") + end);
            if untidy && draw.chance(10) {
                text += end;
            }
        }
        text
    }
}

fn cell(draw: &mut Draw, text: &str, untidy: bool) -> String {
    if text.contains([',', '"', '\n']) || (untidy && !text.is_empty() && draw.chance(10)) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else if untidy && draw.chance(10) {
        format!(" {text}\u{a0}")
    } else {
        text.to_string()
    }
}

/// "Missing cells at the end of a row are blank" (section 1); the first cell stays, or the line would be a blank one.
fn without_last_blanks(mut cells: Vec<String>) -> Vec<String> {
    while cells.len() > 1 && cells.last().is_some_and(|cell| cell.is_empty()) {
        cells.pop();
    }
    cells
}
