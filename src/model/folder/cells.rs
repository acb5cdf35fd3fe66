//! Cells as values; what is wrong with one is told with its column.
//!
//! Source: reconcile-files reference, section 1 (*Number*, *Integer*, *Date*, *Yes/no*, *List word*).

use std::fmt;

use super::table::{FolderError, Row};
use crate::id::shorten;
use crate::model::day::Day;
use crate::model::decimal::{Decimal, WHOLE_DIGITS_MAX, integer};
use crate::model::licensing::{Exemption, Total, VmUse};

/// A cell that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// Place of its column in the form.
    pub column: usize,
    /// What is wrong with it, and what to write.
    pub problem: String,
}

impl BadCell {
    /// The error that refuses the folder.
    pub fn refused(self, row: &Row<'_, '_>) -> FolderError {
        FolderError::cell(row.form().file, row.line(), row.form().columns[self.column], self.problem)
    }
}

impl Row<'_, '_> {
    fn value<T>(
        &self,
        column: usize,
        wanted: impl fmt::Display,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, BadCell> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let problem = || format!("`{}` is no {wanted}", shorten(text));
        read(text).map(Some).ok_or_else(|| BadCell { column, problem: problem() })
    }

    /// A *Number*.
    pub fn number(&self, column: usize) -> Result<Option<Decimal>, BadCell> {
        let read = |text: &str| Decimal::read(text).ok();
        self.value(
            column,
            format_args!(
                "number: write digits such as 1200 or 0.5, at most {WHOLE_DIGITS_MAX} before the point and 9 behind it"
            ),
            read,
        )
    }

    /// An *Integer*.
    pub fn integer(&self, column: usize) -> Result<Option<u64>, BadCell> {
        self.value(column, format_args!("whole number: write at most {WHOLE_DIGITS_MAX} digits"), integer)
    }

    /// An *Integer* that is at least 1.
    pub fn positive(&self, column: usize) -> Result<Option<u64>, BadCell> {
        self.value(column, "whole number from 1 on", |text| integer(text).filter(|&number| number > 0))
    }

    /// An *Integer* within bounds.
    pub fn integer_up_to(&self, column: usize, most: u64) -> Result<Option<u64>, BadCell> {
        let wanted = format_args!("whole number from 1 to {most}");
        self.value(column, wanted, |text| integer(text).filter(|number| (1..=most).contains(number)))
    }

    /// A number of an exemption.
    pub fn exemption(&self, column: usize) -> Result<Option<Exemption>, BadCell> {
        let read = |text: &str| Exemption::try_from(u8::try_from(integer(text)?).ok()?).ok();
        self.value(column, "exemption: write its number, 1 to 14", read)
    }

    /// A *Date*.
    pub fn date(&self, column: usize) -> Result<Option<Day>, BadCell> {
        // Days without hyphens are for other files.
        let read = |text: &str| text.contains('-').then(|| text.parse().ok()).flatten();
        self.value(column, "day: write YYYY-MM-DD", read)
    }

    /// A *Yes/no*, blank for no.
    pub fn yes(&self, column: usize) -> Result<bool, BadCell> {
        self.yes_or(column, false)
    }

    /// A *Yes/no* with another meaning of a blank.
    pub fn yes_or(&self, column: usize, blank: bool) -> Result<bool, BadCell> {
        let read = |text: &str| {
            let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
            if is(&["yes", "true", "1"]) { Some(true) } else { is(&["no", "false", "0"]).then_some(false) }
        };
        Ok(self.value(column, "answer: write yes or no", read)?.unwrap_or(blank))
    }

    /// The place of a *List word*.
    pub fn word(&self, column: usize, words: &[&str]) -> Result<Option<usize>, BadCell> {
        self.value(column, OneOf(words), |text| words.iter().position(|word| word.eq_ignore_ascii_case(text)))
    }

    /// A *Number* or `unlimited`.
    pub fn total(&self, column: usize) -> Result<Option<Total>, BadCell> {
        let read = |text: &str| match is_unlimited(text) {
            true => Some(Total::Unlimited),
            false => Decimal::read(text).ok().map(Total::Limited),
        };
        self.value(column, "number, nor `unlimited`", read)
    }

    /// An *Integer* or `unlimited`.
    pub fn vm_use(&self, column: usize) -> Result<Option<VmUse>, BadCell> {
        let read = |text: &str| match is_unlimited(text) {
            true => Some(VmUse::Unlimited),
            false => integer(text).map(VmUse::Some),
        };
        self.value(column, "whole number, nor `unlimited`", read)
    }
}

/// Words of a column, for who wrote another one.
struct OneOf<'w>(&'w [&'w str]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word of this column: write {}", self.0.join(" or "))
    }
}

fn is_unlimited(text: &str) -> bool {
    text.eq_ignore_ascii_case("unlimited")
}
