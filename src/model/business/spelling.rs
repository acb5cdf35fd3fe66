//! How a file spells what it says: its delimiter, its days and amounts, and what it calls our columns.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::id::shorten;
use crate::model::day::Day;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
}

use Part::{Day as D, Month as M, Year as Y};

const ORDERS: [[Part; 3]; 3] = [[Y, M, D], [D, M, Y], [M, D, Y]];
const MARKS: [char; 3] = ['-', '.', '/'];

/// How days are written: year, month and day in any usual order, with the same mark between them or, year first, none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateForm {
    order: [Part; 3],
    mark: Option<char>,
}

/// The text is no form of days.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no form of days, write it like YYYY-MM-DD, YYYYMMDD, DD.MM.YYYY, DD/MM/YYYY or MM/DD/YYYY")]
pub struct DateFormError(String);

impl DateForm {
    /// `YYYY-MM-DD`.
    pub const CANONICAL: DateForm = DateForm { order: [Y, M, D], mark: Some('-') };

    /// Reads a day; where there is a mark, month and day may have one digit. `None`: it is none.
    pub fn read(self, text: &str) -> Option<Day> {
        let Some(mark) = self.mark else {
            return if text.len() == 8 { text.parse().ok() } else { None };
        };
        let (mut year, mut month, mut day) = (0, 0, 0);
        let mut texts = text.split(mark);
        for part in self.order {
            let text = texts.next()?;
            let digits = if part == Y { 4..=4 } else { 1..=2 };
            if !digits.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            match part {
                Y => year = text.parse().ok()?,
                M => month = text.parse().ok()?,
                D => day = text.parse().ok()?,
            }
        }
        if texts.next().is_some() { None } else { Day::new(year, month, day) }
    }

    fn all() -> impl Iterator<Item = DateForm> {
        let marked = |order| MARKS.map(|mark| DateForm { order, mark: Some(mark) });
        ORDERS.into_iter().flat_map(marked).chain([DateForm { order: [Y, M, D], mark: None }])
    }
}

impl fmt::Display for DateForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = |part| match part {
            Y => "YYYY",
            M => "MM",
            D => "DD",
        };
        let mark = self.mark.map(String::from).unwrap_or_default();
        f.write_str(&self.order.map(letters).join(&mark))
    }
}

impl FromStr for DateForm {
    type Err = DateFormError;
    fn from_str(text: &str) -> Result<DateForm, DateFormError> {
        let upper = text.to_ascii_uppercase();
        DateForm::all().find(|form| form.to_string() == upper).ok_or_else(|| DateFormError(shorten(text)))
    }
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Between two cells.
    pub delimiter: u8,
    /// Days.
    pub date: DateForm,
    /// Before the parts of an amount.
    pub decimal: char,
    /// Our name of a column to theirs, where they differ.
    pub columns: BTreeMap<String, String>,
    /// Whether columns that are not ours are passed over, not refused.
    pub has_others: bool,
}

impl Spelling {
    /// That of canonical files.
    pub fn canonical() -> Spelling {
        let (date, columns) = (DateForm::CANONICAL, BTreeMap::new());
        Spelling { delimiter: b',', date, decimal: '.', columns, has_others: false }
    }

    /// What the file calls our column `ours`.
    pub fn theirs<'s>(&'s self, ours: &'s str) -> &'s str {
        self.columns.get(ours).map_or(ours, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_in_the_form_that_was_named_and_in_no_other() {
        let read = |form: &str, text: &str| form.parse::<DateForm>().unwrap().read(text).map(|day| day.to_string());
        for (form, text) in [
            ("YYYY-MM-DD", "2026-02-01"),
            ("yyyymmdd", "20260201"),
            ("DD.MM.YYYY", "1.2.2026"),
            ("DD/MM/YYYY", "01/02/2026"),
            ("MM/DD/YYYY", "2/1/2026"),
        ] {
            assert_eq!(read(form, text).as_deref(), Some("2026-02-01"), "{form}");
        }
        for (form, text) in [
            ("YYYY-MM-DD", "01.02.2026"),
            ("YYYY-MM-DD", "2026-02-30"),
            ("YYYY-MM-DD", "2026-02-01 00:00"),
            ("YYYYMMDD", "2026-02-01"),
            ("DD.MM.YYYY", "1.2.26"),
            ("DD.MM.YYYY", "1.2.2026.1"),
            ("DD.MM.YYYY", "+1.2.2026"),
        ] {
            assert_eq!(read(form, text), None, "{form} {text}");
        }
        for wrong in ["", "YY-MM-DD", "DD-MM/YYYY", "DDMMYYYY", "%Y"] {
            assert!(wrong.parse::<DateForm>().is_err(), "{wrong}");
        }
    }
}
