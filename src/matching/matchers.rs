//! The list of Matchers that an import runs: the standard file, and the operator's own merged into it.
//!
//! Source: matching reference, section 4 (*Custom file*), 9 and 10.

use std::fmt;

use super::matcher::{Matcher, MatcherFault};
use crate::formats::matcher_xml::{MatcherName, MatcherXmlError, read_matchers};

/// The 21 standard Matchers as built into the program: `config/matchers/Computer.xml`.
pub fn standard_matchers() -> &'static str {
    include_str!("../../config/matchers/Computer.xml")
}

/// Which of the two files an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The one that comes with the program.
    Standard,
    /// The operator's own.
    Custom,
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileRole::Standard => "standard",
            FileRole::Custom => "custom",
        })
    }
}

/// Why no import can start: a Matcher that is dropped in silence would change which records are one device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// The file's form is wrong.
    #[error("cannot read the {role} file of Matchers")]
    Form {
        /// Which file.
        role: FileRole,
        /// Where and what to mend.
        source: MatcherXmlError,
    },
    /// The form is right, but a Matcher makes no sense.
    #[error("the {role} file of Matchers has a wrong {matcher}")]
    Matcher {
        /// Which file.
        role: FileRole,
        /// Which Matcher.
        matcher: MatcherName,
        /// What to mend.
        source: MatcherFault,
    },
}

/// Matchers in the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Reads both files and merges them into one list: ascending Order, on equal Order the custom Matcher first, then
    /// file order. The standard Matchers cannot be removed.
    pub fn load(standard: &str, custom: Option<&str>) -> Result<Matchers, MatcherError> {
        let mut list = match custom {
            Some(text) => read(FileRole::Custom, text)?,
            None => Vec::new(),
        };
        list.extend(read(FileRole::Standard, standard)?);
        list.sort_by_key(Matcher::order); // stable: custom ones and earlier ones stay in front
        Ok(Matchers(list))
    }

    /// The Matchers, first to run first.
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.0.iter()
    }
}

fn read(role: FileRole, text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let elements = read_matchers(text).map_err(|source| MatcherError::Form { role, source })?;
    let checked = elements.iter().enumerate().map(|(place, element)| {
        let matcher = MatcherName { nth: place + 1, order: Some(element.order) };
        Matcher::new(element).map_err(|source| MatcherError::Matcher { role, matcher, source })
    });
    checked.collect()
}
