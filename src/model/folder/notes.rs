//! What is to be said of a folder that is not refused.

use std::collections::BTreeSet;

use crate::model::reconciliation::{Warning, WarningCode};

/// Warnings, and columns that nobody knows.
#[derive(Debug, Default)]
pub struct Notes {
    /// Each once.
    pub warnings: BTreeSet<Warning>,
    /// File and column, in the order of the files.
    pub unknown_columns: Vec<(&'static str, String)>,
}

impl Notes {
    /// A row names something that is not listed.
    pub fn warn(&mut self, code: WarningCode, subject: &str) {
        self.warnings.insert(Warning { code, licence: None, subject: subject.into() });
    }
}
