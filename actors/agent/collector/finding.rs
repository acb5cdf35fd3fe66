//! What could not be collected, while the rest was.

use std::fmt;

/// One source that could not be used, or only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File or folder below the root, or what was asked.
    pub source: String,
    /// What went wrong there.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.problem)
    }
}
