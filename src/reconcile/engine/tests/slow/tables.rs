//! Tables with named columns (section 1): header, required cells, keys, and one reader for each sort of cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::number::Number;
use super::{csv, date};

/// What sections 2 and 3 say of one file.
#[derive(Debug)]
pub struct Schema {
    /// With its ending.
    pub file: &'static str,
    /// In the order listed.
    pub columns: &'static [&'static str],
    /// Printed with a star.
    pub required: &'static [&'static str],
    /// Printed bold; empty where rows may repeat.
    pub key: &'static [&'static str],
}

/// One row by column name.
#[derive(Debug)]
pub struct Record {
    schema: &'static Schema,
    /// In the file, from 1.
    pub line: usize,
    cells: Vec<String>,
}

/// A bad cell; they sort by "file name, then line, then column order as listed" (section 1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spoilt {
    file: &'static str,
    line: usize,
    place: usize,
    column: &'static str,
}

impl fmt::Display for Spoilt {
    /// "`FILE:LINE COLUMN`" (section 1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.file, self.line, self.column)
    }
}

impl From<Spoilt> for String {
    fn from(spoilt: Spoilt) -> String {
        format!("{spoilt}: this is not what the column may hold")
    }
}

/// Reads one file; an absent one is empty, and so is one without a header, unless it is `needed`.
pub fn read(files: &BTreeMap<String, String>, schema: &'static Schema, needed: bool) -> Result<Vec<Record>, String> {
    let file = schema.file;
    let rows = match files.get(file) {
        None if needed => return Err(format!("{file}: the file is missing")),
        None => return Ok(Vec::new()),
        Some(text) => csv::parse(text),
    };
    let Some((header, rows)) = rows.split_first() else {
        return if needed {
            Err(format!("{file}:1 {}: the file has no header", schema.columns[0]))
        } else {
            Ok(Vec::new())
        };
    };
    let place = |column: &str| header.cells.iter().position(|name| name == column);
    if let Some(column) = schema.required.iter().find(|column| place(column).is_none()) {
        return Err(format!("{file}:{} {column}: the column is missing", header.line));
    }
    let (mut records, mut keys) = (Vec::new(), BTreeSet::new());
    for row in rows {
        if row.cells.len() > header.cells.len() {
            return Err(format!("{file}:{}: more cells than the header has", row.line));
        }
        let cell = |column: &&str| place(column).and_then(|place| row.cells.get(place)).cloned().unwrap_or_default();
        let cells = schema.columns.iter().map(cell).collect();
        let record = Record { schema, line: row.line, cells };
        if let Some(column) = schema.required.iter().find(|column| record.text(column).is_empty()) {
            return Err(format!("{file}:{} {column}: the cell is blank", row.line));
        }
        if !schema.key.is_empty() {
            let key: Vec<String> = schema.key.iter().map(|column| record.key_text(column)).collect();
            if !keys.insert(key) {
                return Err(record.second());
            }
        }
        records.push(record);
    }
    Ok(records)
}

impl Record {
    /// The trimmed text of a cell, blank where row or file do not have it.
    pub fn text(&self, column: &str) -> &str {
        self.schema.columns.iter().position(|name| *name == column).map_or("", |place| &self.cells[place])
    }

    /// Ids are compared byte by byte; `rule` is an integer, so `01` and `1` are one rule.
    fn key_text(&self, column: &str) -> String {
        let text = self.text(column);
        match Number::parse_integer(text) {
            Some(number) if column == "rule" => number.to_string(),
            _ => text.to_string(),
        }
    }

    /// The complaint about a second row with the same key.
    pub fn second(&self) -> String {
        format!("{}:{} {}: a second row with the same key", self.schema.file, self.line, self.schema.columns[0])
    }

    /// Names a cell of this row.
    pub fn spoilt(&self, column: &'static str) -> Spoilt {
        let place = self.schema.columns.iter().position(|name| *name == column).unwrap_or(usize::MAX);
        Spoilt { file: self.schema.file, line: self.line, place, column }
    }

    fn cell<T>(&self, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Spoilt> {
        match self.text(column) {
            "" => Ok(None),
            text => parse(text).map(Some).ok_or_else(|| self.spoilt(column)),
        }
    }

    /// *Number*.
    pub fn number(&self, column: &'static str) -> Result<Option<Number>, Spoilt> {
        self.cell(column, Number::parse)
    }

    /// *Number* of which "0 ... counts as blank" (section 2).
    pub fn amount(&self, column: &'static str) -> Result<Option<Number>, Spoilt> {
        Ok(self.number(column)?.filter(|number| !number.is_zero()))
    }

    /// *Integer*, not below `least`.
    pub fn integer(&self, column: &'static str, least: usize) -> Result<Option<Number>, Spoilt> {
        self.cell(column, |text| Number::parse_integer(text).filter(|number| *number >= Number::whole(least)))
    }

    /// *Integer* from 1 to `last`.
    pub fn choice(&self, column: &'static str, last: usize) -> Result<Option<usize>, Spoilt> {
        Ok(match self.integer(column, 1)? {
            Some(number) if number > Number::whole(last) => return Err(self.spoilt(column)),
            number => number.map(Number::count),
        })
    }

    /// *Integer* or the word `unlimited`, which is the inner `None`.
    pub fn integer_or_unlimited(&self, column: &'static str) -> Result<Option<Option<Number>>, Spoilt> {
        self.cell(column, |text| or_unlimited(text, Number::parse_integer))
    }

    /// *Number* or the word `unlimited`, which is the inner `None`.
    pub fn number_or_unlimited(&self, column: &'static str) -> Result<Option<Option<Number>>, Spoilt> {
        self.cell(column, |text| or_unlimited(text, Number::parse))
    }

    /// *Date*.
    pub fn date(&self, column: &'static str) -> Result<Option<i64>, Spoilt> {
        self.cell(column, date::parse)
    }

    /// *Yes/no*: "`yes` `true` `1` / `no` `false` `0` blank, any case".
    pub fn yes(&self, column: &'static str) -> Result<bool, Spoilt> {
        let yes = self.cell(column, |text| match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => Some(true),
            "no" | "false" | "0" => Some(false),
            _ => None,
        })?;
        Ok(yes.unwrap_or(false))
    }

    /// *List word*: "one of the words shown, any case"; the first is the default.
    pub fn word(&self, column: &'static str, words: &'static [&'static str]) -> Result<&'static str, Spoilt> {
        let word = self.cell(column, |text| words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied())?;
        Ok(word.unwrap_or(words[0]))
    }
}

fn or_unlimited(text: &str, parse: impl Fn(&str) -> Option<Number>) -> Option<Option<Number>> {
    if text.eq_ignore_ascii_case("unlimited") { Some(None) } else { parse(text).map(Some) }
}
