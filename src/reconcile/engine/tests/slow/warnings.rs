//! warnings.csv: code, license, subject, "each once" (section 8).

use std::collections::BTreeSet;

/// Rows by their columns.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    /// Code, license, subject.
    pub rows: BTreeSet<[String; 3]>,
}

impl Warnings {
    /// Says it once.
    pub fn add(&mut self, code: &str, license: &str, subject: &str) {
        self.rows.insert([code, license, subject].map(ToString::to_string));
    }
}
