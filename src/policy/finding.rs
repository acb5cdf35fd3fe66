//! What a policy holds that an agent does not take, although it takes the rest.

use crate::formats::client_configuration::ClientConfigurationFinding;
use crate::formats::failover::FailoverFinding;

/// Most findings of one policy that are kept, for the log; the rest is counted.
pub const FINDINGS_MAX: usize = 20;

/// One thing that was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFinding {
    /// A list of which this agent may use nothing. The one before stays in force.
    #[error("the failover list has no upload entry that this agent may use (of {0}): the list before it stays")]
    ListKept(usize),
    /// A package of a kind that this version does not know.
    #[error("`{href}` is of the unknown type `{kind}` and is left out")]
    Kind {
        /// Its catalog.
        href: String,
        /// What stands there, shortened.
        kind: String,
    },
    /// In the failover list.
    #[error("failover list, {0}")]
    Failover(FailoverFinding),
    /// In the client configuration.
    #[error("client configuration, {0}")]
    Configuration(ClientConfigurationFinding),
}

impl PolicyFinding {
    /// Whether a whole content was refused, and not only an entry of it or a package that means nothing here.
    pub fn is_refusal(&self) -> bool {
        matches!(self, PolicyFinding::ListKept(_))
    }
}

/// The findings of one policy: the first ones, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// At most [`FINDINGS_MAX`].
    pub kept: Vec<PolicyFinding>,
    /// All of them.
    pub count: usize,
}

impl Findings {
    /// One more.
    pub fn add(&mut self, finding: PolicyFinding) {
        self.count += 1;
        // A refusal is told before everything else: it may come behind a list of bad entries.
        if finding.is_refusal() {
            self.kept.insert(0, finding);
            self.kept.truncate(FINDINGS_MAX);
        } else if self.kept.len() < FINDINGS_MAX {
            self.kept.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_a_refusal_is_among_those_that_are_kept() {
        let mut findings = Findings::default();
        for number in 0..30 {
            findings.add(PolicyFinding::Kind { href: number.to_string(), kind: "x".into() });
        }
        findings.add(PolicyFinding::ListKept(3));
        assert_eq!((findings.kept.len(), findings.count), (FINDINGS_MAX, 31));
        assert!(findings.kept[0].is_refusal());
    }
}
