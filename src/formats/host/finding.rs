//! What could not be used of a host's file, while the rest still counts.

use std::fmt;

/// Findings kept of one file; the others are only counted.
pub const FINDINGS_LIMIT: usize = 100;

/// One unusable part of a host's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line (from 1), slot or element, as the reader counts.
    pub at: u64,
    /// What is wrong there.
    pub problem: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.problem, self.at)
    }
}

/// The findings of one file, at most [`FINDINGS_LIMIT`] of them: a file that is wrong everywhere must not fill memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    more: u64,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, at: u64, problem: &'static str) {
        if self.kept.len() < FINDINGS_LIMIT {
            self.kept.push(Finding { at, problem });
        } else {
            self.more += 1;
        }
    }

    /// The kept ones, in the order of the file.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many came after the kept ones.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hundred_and_first_finding_is_only_counted() {
        let mut findings = Findings::default();
        for line in 0..150 {
            findings.add(line, "no version");
        }
        assert_eq!((findings.kept().len(), findings.more()), (FINDINGS_LIMIT, 50));
        assert_eq!(findings.kept()[7].to_string(), "no version at 7");
    }
}
