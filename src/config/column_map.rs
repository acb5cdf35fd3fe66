//! How another program's CSV is read as contracts, purchases or computers: the file of `muster import --map`, and of the
//! parameter `map` of tasks.
//!
//! ```toml
//! delimiter = ";"
//! date = "DD.MM.YYYY"
//! decimal = ","
//!
//! [columns]
//! purchase = "Order No"
//! product = "Item"
//! ```
//!
//! Every option is shown in `config/imports/purchases.toml`; `config/imports/computers.toml` is one for computers.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Document, nearest};
use crate::id::shorten;
use crate::model::business::{BusinessKind, DateFormError, Spelling};
use crate::model::directory::DirectoryKind;
use crate::model::sheet;

/// Bytes of the name of a column at most.
const NAME_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    delimiter: Option<Spanned<String>>,
    date: Option<Spanned<String>>,
    decimal: Option<Spanned<String>>,
    #[serde(default)]
    columns: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// Reads the column map of a file of this kind. Columns that it does not name have our names; columns of the file that
/// are neither are passed over.
pub fn read_column_map(file: &Document<'_>, kind: BusinessKind) -> Result<Spelling, ConfigError> {
    let names: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
    read_map(file, kind.as_str(), &names)
}

/// The same for a file of computers.
pub fn read_computers_map(file: &Document<'_>) -> Result<Spelling, ConfigError> {
    let names: Vec<&str> = sheet::columns().collect();
    read_map(file, "computers", &names)
}

/// The same for a file of a directory service.
pub fn read_directory_map(file: &Document<'_>, kind: DirectoryKind) -> Result<Spelling, ConfigError> {
    let names: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
    read_map(file, kind.as_str(), &names)
}

/// Reads the column map of a file of `what`, whose columns have these names.
fn read_map(file: &Document<'_>, what: &str, names: &[&str]) -> Result<Spelling, ConfigError> {
    let written: MapFile = file.read()?;
    let canonical = Spelling::canonical();
    let delimiter = match &written.delimiter {
        Some(text) => match text.get_ref().as_bytes() {
            &[one] if (one.is_ascii_punctuation() || matches!(one, b' ' | b'\t')) && one != b'"' => one,
            _ => return Err(file.error_at(text, "is one character between two cells: \",\", \";\", \"|\" or \"\\t\"")),
        },
        None => canonical.delimiter,
    };
    let date = match &written.date {
        Some(text) => text.get_ref().parse().map_err(|error: DateFormError| file.error_at(text, error.to_string()))?,
        None => canonical.date,
    };
    let decimal = match &written.decimal {
        Some(text) => match text.get_ref().as_str() {
            "." => '.',
            "," => ',',
            _ => return Err(file.error_at(text, "is \".\" or \",\"")),
        },
        None => canonical.decimal,
    };
    let mut columns = BTreeMap::new();
    for (ours, theirs) in &written.columns {
        if !names.iter().any(|name| name == ours.get_ref()) {
            let problem = match nearest(ours.get_ref(), names.iter().copied()) {
                Some(meant) => format!("is no column of {what}, did you mean `{meant}`?"),
                None => format!("is no column of {what}; known: {}", names.join(", ")),
            };
            return Err(file.error_at(ours, problem));
        }
        let name = theirs.get_ref().trim();
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            let problem = format!("`{}`: write the name in the file's first line", shorten(name));
            return Err(file.error_at(theirs, problem));
        }
        columns.insert(ours.get_ref().clone(), name.to_owned());
    }
    Ok(Spelling { delimiter, date, decimal, columns, has_others: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::business::{BusinessReader, BusinessRow};

    fn read(text: &str) -> Result<Spelling, String> {
        let file = Document { text, file: "m.toml" };
        read_column_map(&file, BusinessKind::Purchases).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_map_reads_the_file_it_speaks_of() {
        let spelling = read(include_str!("../../config/imports/purchases.toml")).unwrap();
        let text = "Order No;Item No;Description;Maker;Qty;Price;Curr;Order Date;Agreement;Valid From;Valid To;Cost Centre\n\
                    4711;10;Office Pro;Example;25;19,90;EUR;01.02.2026;C-7;01.02.2026;31.01.2027;815\n";
        let mut reader = BusinessReader::open(text.as_bytes(), Some(BusinessKind::Purchases), spelling).unwrap();
        let Some(Ok(BusinessRow::Purchase(row))) = reader.next_row().unwrap() else { panic!() };
        assert_eq!((&*row.purchase, &*row.line, &*row.product, row.quantity), ("4711", "10", "Office Pro", 25));
        assert_eq!(row.unit_price.unwrap().to_string(), "19.90");
        assert_eq!(row.expiry.unwrap().to_string(), "2027-01-31");
        assert_eq!((&*row.contract, &*row.publisher), ("C-7", "Example"));
    }

    #[test]
    fn the_shipped_map_of_computers_reads_the_file_it_speaks_of() {
        let text = include_str!("../../config/imports/computers.toml");
        let spelling = read_computers_map(&Document { text, file: "m.toml" }).unwrap();
        let text = "Asset;Hostname;Domain;Make;Model;Serial;BIOS UUID;OS;Last Seen;Room\n\
                    A-1;pc-1;lab.example;Dell;R640;S1;u-1;Debian;14.06.2025;7\n";
        let mut reader = sheet::SheetReader::open(text.as_bytes(), spelling, crate::time::Timestamp::NEVER).unwrap();
        let row = reader.next_row().unwrap().unwrap().unwrap();
        assert_eq!((&*row.external_id, row.values.iter().count()), ("A-1", 7));
        assert_eq!(row.collected_at.unwrap().to_rfc3339(), "2025-06-14T00:00:00.000Z");
    }

    #[test]
    fn a_map_that_is_left_empty_spells_like_us() {
        assert_eq!(read(""), Ok(Spelling { has_others: true, ..Spelling::canonical() }));
    }

    #[test]
    fn mistakes_are_told_with_line_and_what_is_right() {
        for (text, part) in [
            ("delimeter = \";\"", "m.toml:1: `delimeter`: unknown key, did you mean `delimiter`?"),
            ("\ndelimiter = \";;\"", "m.toml:2: `delimiter`: is one character between two cells"),
            ("delimiter = \"x\"", "is one character"),
            ("date = \"tomorrow\"", "`tomorrow` is no form of days"),
            ("decimal = \";\"", "`decimal`: is \".\" or \",\""),
            (
                "[columns]\nprodct = \"x\"",
                "m.toml:2: `columns.prodct`: is no column of Purchases, did you mean `product`?",
            ),
            ("[columns]\nzzz = \"x\"", "known: purchase, line"),
            ("[columns]\nproduct = \" \"", "m.toml:2: `columns.product`"),
            ("[columns]\nproduct = 5", "expected"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
