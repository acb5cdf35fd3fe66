//! Which applications stand for a product of an entitlement document: a CSV table that the operator keeps.
//!
//! ```text
//! reference,application
//! example.com-office-2026,office-2026
//! Example Office,office-2026
//! ```
//!
//! A reference is the id of a software identification tag, the name of a product, or the id or name of an entitlement; it
//! may stand for several applications. It is compared byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use crate::formats::business::{Table, TableError, unsuitable};

/// Bytes of a cell at most.
const CELL_BYTES_MAX: usize = 1_024;

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Products(BTreeMap<Box<str>, BTreeSet<Box<str>>>);

/// Why the table is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProductsError {
    /// No table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The header is wrong.
    #[error("line 1: {0}")]
    Header(String),
    /// A row is wrong.
    #[error("line {line}: {problem}")]
    Row {
        /// From 1.
        line: u64,
        /// What to mend.
        problem: String,
    },
}

impl Products {
    /// Reads the table. Columns may stand in any order, others are passed over.
    pub fn read(source: impl BufRead) -> Result<Products, ProductsError> {
        let mut table = Table::open(source, b',')?;
        let find = |name: &str| {
            let mut found = table.header().iter().enumerate().filter(|(_, known)| known.eq_ignore_ascii_case(name));
            let place = found.next().map(|(place, _)| place);
            let problem = match (place, found.next()) {
                (Some(place), None) => return Ok(place),
                (Some(_), Some(_)) => format!("two columns `{name}`: remove one"),
                (None, _) => format!("no column `{name}`: the table has the columns reference and application"),
            };
            Err(ProductsError::Header(problem))
        };
        let places = [("reference", find("reference")?), ("application", find("application")?)];
        let (mut products, columns) = (Products::default(), table.header().len());
        while let Some(row) = table.next_row()? {
            let wrong = |problem: String| ProductsError::Row { line: row.line, problem };
            if let Some(problem) = row.wrong_width(columns) {
                return Err(wrong(problem));
            }
            let cell = |(name, place): (&str, usize)| {
                let text = row.cell(place).map_err(|_| wrong(format!("{name} is not UTF-8")))?;
                let problem = if text.is_empty() {
                    Some("is empty, every row needs one".to_owned())
                } else {
                    unsuitable(text, CELL_BYTES_MAX)
                };
                problem.map_or(Ok(text), |problem| Err(wrong(format!("{name}: {problem}"))))
            };
            let (reference, application) = (cell(places[0])?, cell(places[1])?);
            products.0.entry(reference.into()).or_default().insert(application.into());
        }
        Ok(products)
    }

    /// The applications that `reference` stands for, ascending.
    pub fn find(&self, reference: &str) -> impl Iterator<Item = &str> {
        self.0.get(reference).into_iter().flatten().map(|application| &**application)
    }

    /// Whether it stands for any.
    pub fn knows(&self, reference: &str) -> bool {
        self.0.contains_key(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Products, String> {
        Products::read(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_reference_stands_for_all_applications_of_its_rows() {
        let products = read("application,note,reference\noffice,x,tag-1\nwriter,,tag-1\noffice,,tag-1\n").unwrap();
        assert_eq!(products.find("tag-1").collect::<Vec<_>>(), ["office", "writer"]);
        assert_eq!((products.knows("tag-2"), products.find("tag-2").count()), (false, 0));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, part) in [
            ("", "the file is empty"),
            ("reference,app\n", "line 1: no column `application`"),
            ("reference,application,Reference\n", "line 1: two columns `reference`"),
            ("reference;application\n", "separates no columns"),
            ("reference,application\na,b\n\na,\n", "line 4: application: is empty"),
            ("reference,application\na\n", "line 2: 1 cells, but the header has 2"),
            ("reference,application\n=a,b\n", "line 2: reference: `=a` would be a formula"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
