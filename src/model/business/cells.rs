//! The cells of one row as values; what is wrong with one is told with its column and what to write.

use super::spelling::Spelling;
use super::{Amount, Contract, Entitlement, Purchase, TEXT_BYTES_MAX, UNLIMITED};
use crate::formats::business::{TableRow, unsuitable};
use crate::id::shorten;
use crate::model::day::Day;

/// What is wrong with a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CellError {
    /// Our name of the column.
    pub ours: &'static str,
    pub problem: String,
}

/// Where our columns stand in the file.
pub(super) type Places = [(&'static str, Option<usize>)];

/// A row with the names of its columns.
#[derive(Clone, Copy)]
pub(super) struct Cells<'c> {
    pub row: TableRow<'c>,
    pub places: &'c Places,
    pub spelling: &'c Spelling,
}

fn wrong(ours: &'static str, problem: impl Into<String>) -> CellError {
    CellError { ours, problem: problem.into() }
}

/// Digits only: what else a number parser takes, nobody means.
fn count(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Cells<'_> {
    /// A text, empty where there is none.
    fn text(&self, ours: &'static str) -> Result<String, CellError> {
        let place = self.places.iter().find(|(name, _)| *name == ours).and_then(|(_, place)| *place);
        let Some(place) = place else { return Ok(String::new()) };
        let text = self.row.cell(place).map_err(|_| wrong(ours, "is not UTF-8, save the file as CSV in UTF-8"))?;
        if let Some(problem) = unsuitable(text, TEXT_BYTES_MAX) {
            return Err(wrong(ours, problem));
        }
        Ok(text.to_owned())
    }

    fn needed(&self, ours: &'static str) -> Result<String, CellError> {
        let text = self.text(ours)?;
        if text.is_empty() { Err(wrong(ours, "is empty, every row needs one")) } else { Ok(text) }
    }

    /// A value where the cell is not empty.
    fn value<T>(
        &self,
        ours: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, CellError> {
        let text = self.text(ours)?;
        if text.is_empty() {
            return Ok(None);
        }
        read(&text).map(Some).map_err(|problem| wrong(ours, format!("`{}` {problem}", shorten(&text))))
    }

    fn day(&self, ours: &'static str) -> Result<Option<Day>, CellError> {
        let form = self.spelling.date;
        self.value(ours, |text| form.read(text).ok_or_else(|| format!("is no day, write it as {form}")))
    }

    /// Two days, the second of which is not before the first.
    fn term(&self, first: &'static str, last: &'static str) -> Result<(Option<Day>, Option<Day>), CellError> {
        let (from, to) = (self.day(first)?, self.day(last)?);
        match (from, to) {
            (Some(from), Some(to)) if to < from => {
                Err(wrong(last, format!("{to} is before `{first}`, which is {from}: write a later day")))
            }
            days => Ok(days),
        }
    }

    fn amount(&self, ours: &'static str) -> Result<Option<Amount>, CellError> {
        self.value(ours, |text| Amount::read(text, self.spelling.decimal).map_err(|error| error.to_string()))
    }

    fn currency(&self) -> Result<String, CellError> {
        let is_code = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        let read = |text: &str| {
            if is_code(text) { Ok(text.to_owned()) } else { Err("is no currency, write its code such as EUR".into()) }
        };
        Ok(self.value("currency", read)?.unwrap_or_default())
    }

    pub fn contract(&self) -> Result<Contract, CellError> {
        let (start, end) = self.term("start", "end")?;
        Ok(Contract {
            contract: self.needed("contract")?,
            name: self.text("name")?,
            publisher: self.text("publisher")?,
            vendor: self.text("vendor")?,
            start,
            end,
            value: self.amount("value")?,
            currency: self.currency()?,
        })
    }

    pub fn entitlement(&self) -> Result<Entitlement, CellError> {
        let (effective, expiry) = self.term("effective", "expiry")?;
        self.needed("quantity")?;
        let quantity = self.value("quantity", |text| match count(text) {
            Some(count) => Ok(Some(count)),
            None if text.eq_ignore_ascii_case(UNLIMITED) => Ok(None),
            None => Err(format!("is no whole number, write digits such as 25, or {UNLIMITED}")),
        })?;
        let retired = self.value("retired", |text| match text {
            _ if text.eq_ignore_ascii_case("yes") => Ok(true),
            _ if text.eq_ignore_ascii_case("no") => Ok(false),
            _ => Err("is neither yes nor no".into()),
        })?;
        Ok(Entitlement {
            license: self.needed("license")?,
            line: self.text("line")?,
            quantity: quantity.flatten(),
            effective,
            expiry,
            retired: retired.unwrap_or_default(),
        })
    }

    pub fn purchase(&self) -> Result<Purchase, CellError> {
        let (effective, expiry) = self.term("effective", "expiry")?;
        self.needed("quantity")?;
        let quantity =
            self.value("quantity", |text| count(text).ok_or("is no whole number, write digits such as 25".into()))?;
        Ok(Purchase {
            purchase: self.needed("purchase")?,
            line: self.text("line")?,
            product: self.needed("product")?,
            publisher: self.text("publisher")?,
            vendor: self.text("vendor")?,
            quantity: quantity.unwrap_or_default(),
            unit_price: self.amount("unit_price")?,
            currency: self.currency()?,
            date: self.day("date")?,
            contract: self.text("contract")?,
            effective,
            expiry,
        })
    }
}
