//! What the business knows of software: contracts, purchases, and what these entitle to.
//!
//! A file in canonical form is gzip CSV with commas, in UTF-8, whose header names our columns ([`BusinessKind::columns`]),
//! days as `YYYY-MM-DD` and amounts with a point. Files of other spellings are read by a [`Spelling`] and written anew
//! before they travel. One file is the whole of what its source says of one kind.

mod amount;
mod cells;
mod owners;
mod read;
mod spelling;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use amount::{Amount, AmountError};
pub use owners::Owners;
pub use read::{BusinessError, BusinessReader, RowError, check};
pub use spelling::{DateForm, DateFormError, Spelling};

use super::day::Day;
use super::package::{PackageKey, Stream};
use crate::formats::business::TableWriter;
use crate::time::Timestamp;

/// Sources that have files here at most, counted for each kind: each keeps a package, and a look-up reads all of them.
pub const SOURCES_MAX: u32 = 64;
/// Bytes of a text in a cell at most.
pub const TEXT_BYTES_MAX: usize = 500;

/// A quantity without limit, as files write it.
const UNLIMITED: &str = "unlimited";

/// What a business file tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BusinessKind {
    /// Contracts.
    Contracts,
    /// Lines of purchase orders.
    Purchases,
    /// What may be used of a licence.
    Entitlements,
}

/// A column of a canonical file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Whether each row has to fill it.
    pub is_required: bool,
}

const fn required(name: &'static str) -> Column {
    Column { name, is_required: true }
}

const fn optional(name: &'static str) -> Column {
    Column { name, is_required: false }
}

const CONTRACTS: [Column; 8] = [
    required("contract"),
    optional("name"),
    optional("publisher"),
    optional("vendor"),
    optional("start"),
    optional("end"),
    optional("value"),
    optional("currency"),
];

const PURCHASES: [Column; 12] = [
    required("purchase"),
    optional("line"),
    required("product"),
    optional("publisher"),
    optional("vendor"),
    required("quantity"),
    optional("unit_price"),
    optional("currency"),
    optional("date"),
    optional("contract"),
    optional("effective"),
    optional("expiry"),
];

const ENTITLEMENTS: [Column; 6] = [
    required("license"),
    optional("line"),
    required("quantity"),
    optional("effective"),
    optional("expiry"),
    optional("retired"),
];

impl BusinessKind {
    /// Every kind.
    pub const ALL: [BusinessKind; 3] = [BusinessKind::Contracts, BusinessKind::Purchases, BusinessKind::Entitlements];

    /// The word in streams.
    pub fn as_str(self) -> &'static str {
        match self {
            BusinessKind::Contracts => "Contracts",
            BusinessKind::Purchases => "Purchases",
            BusinessKind::Entitlements => "Entitlements",
        }
    }

    /// The columns of a canonical file, in their order. The first one is in no file of another kind without the first one
    /// of that.
    pub fn columns(self) -> &'static [Column] {
        match self {
            BusinessKind::Contracts => &CONTRACTS,
            BusinessKind::Purchases => &PURCHASES,
            BusinessKind::Entitlements => &ENTITLEMENTS,
        }
    }
}

impl fmt::Display for BusinessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BusinessKind {
    type Err = ();
    fn from_str(text: &str) -> Result<BusinessKind, ()> {
        BusinessKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// A contract. Empty texts are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Its number, unique in its file.
    pub contract: String,
    /// Name.
    pub name: String,
    /// Whose products it is about.
    pub publisher: String,
    /// Who it was made with.
    pub vendor: String,
    /// First day.
    pub start: Option<Day>,
    /// Last day.
    pub end: Option<Day>,
    /// What it is worth.
    pub value: Option<Amount>,
    /// Currency of the value: three letters.
    pub currency: String,
}

/// One line of a purchase order. Empty texts are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Number of the order.
    pub purchase: String,
    /// The line; with the order unique in its file.
    pub line: String,
    /// What was bought.
    pub product: String,
    /// Who makes it.
    pub publisher: String,
    /// Who sold it.
    pub vendor: String,
    /// How many.
    pub quantity: u64,
    /// Price of one.
    pub unit_price: Option<Amount>,
    /// Currency of the price: three letters.
    pub currency: String,
    /// When it was ordered.
    pub date: Option<Day>,
    /// Number of the contract it was ordered under.
    pub contract: String,
    /// First day of the rights.
    pub effective: Option<Day>,
    /// Last day of the rights.
    pub expiry: Option<Day>,
}

/// What may be used of a licence, for a while. Source: reconcile-files reference, entitlements.csv.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The licence.
    pub license: String,
    /// Tells entitlements of one licence apart; with it unique in its file.
    pub line: String,
    /// How many; `None`: without limit.
    pub quantity: Option<u64>,
    /// First day.
    pub effective: Option<Day>,
    /// Last day.
    pub expiry: Option<Day>,
    /// Whether it was given up.
    pub retired: bool,
}

/// A row of a business file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusinessRow {
    /// Of a file of contracts.
    Contract(Contract),
    /// Of a file of purchases.
    Purchase(Purchase),
    /// Of a file of entitlements.
    Entitlement(Entitlement),
}

impl BusinessRow {
    /// What tells it from others of its file.
    pub fn id(&self) -> (&str, &str) {
        match self {
            BusinessRow::Contract(row) => (&row.contract, ""),
            BusinessRow::Purchase(row) => (&row.purchase, &row.line),
            BusinessRow::Entitlement(row) => (&row.license, &row.line),
        }
    }

    /// Its cells in canonical form, in the order of the columns.
    fn cells(&self) -> Vec<Cow<'_, str>> {
        fn shown<T: fmt::Display>(value: &Option<T>) -> Cow<'static, str> {
            value.as_ref().map(T::to_string).unwrap_or_default().into()
        }
        fn text(text: &str) -> Cow<'_, str> {
            text.into()
        }
        match self {
            BusinessRow::Contract(row) => vec![
                text(&row.contract),
                text(&row.name),
                text(&row.publisher),
                text(&row.vendor),
                shown(&row.start),
                shown(&row.end),
                shown(&row.value),
                text(&row.currency),
            ],
            BusinessRow::Purchase(row) => vec![
                text(&row.purchase),
                text(&row.line),
                text(&row.product),
                text(&row.publisher),
                text(&row.vendor),
                row.quantity.to_string().into(),
                shown(&row.unit_price),
                text(&row.currency),
                shown(&row.date),
                text(&row.contract),
                shown(&row.effective),
                shown(&row.expiry),
            ],
            BusinessRow::Entitlement(row) => vec![
                text(&row.license),
                text(&row.line),
                row.quantity.map_or(UNLIMITED.into(), |quantity| quantity.to_string().into()),
                shown(&row.effective),
                shown(&row.expiry),
                text(if row.retired { "yes" } else { "no" }),
            ],
        }
    }
}

/// A canonical table that is being written; not compressed yet.
pub struct BusinessWriter(TableWriter);

impl BusinessWriter {
    /// A table without rows.
    pub fn new(kind: BusinessKind) -> BusinessWriter {
        BusinessWriter(TableWriter::new(kind.columns().iter().map(|column| column.name)))
    }

    /// Adds a row, which has to be of the table's kind.
    pub fn row(&mut self, row: &BusinessRow) {
        self.0.row(row.cells());
    }

    /// The table's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

/// Whose file it is, and of which kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BusinessKey {
    /// The source.
    pub source: Arc<str>,
    /// The kind.
    pub kind: BusinessKind,
}

/// What a whole file says, as the server reads it before it is settled; its rows stay in the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusinessHead {
    /// Its kind.
    pub kind: BusinessKind,
    /// Rows.
    pub rows: u32,
}

/// Value of a `FactKey::Business`: the file in force of one source and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusinessFile {
    /// The package whose rows are in force.
    pub package: PackageKey,
    /// Its stream.
    pub stream: Stream,
    /// The date it counts from.
    pub effective: Timestamp,
    /// Rows.
    pub rows: u32,
}

impl BusinessFile {
    /// Whether `next` is to take the place of this one. Within one stream of one origin the ledger has decided; else only
    /// the date can.
    pub fn gives_way_to(&self, next: &BusinessFile) -> bool {
        let is_same = self.package.origin == next.package.origin && self.stream == next.stream;
        is_same || self.effective <= next.effective
    }
}

#[cfg(test)]
mod tests;
