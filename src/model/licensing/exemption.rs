//! Why an installation needs no right.
//!
//! Source: reconcile reference, section 4, exemption reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reason, 1 to 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Exemption(u8);

/// The reasons, from 1.
const EXEMPTIONS: [&str; 14] = [
    "alpha, beta, early support program",
    "backup, disaster recovery",
    "component of a non-PVU offering",
    "component not compatible with the server or agent system",
    "development",
    "evaluation, trial",
    "fail-over",
    "not eligible for PVU licensing",
    "other",
    "second use",
    "test",
    "covered by related product",
    "covered by virtual application access",
    "no usage for virtual application within the time limit",
];

/// The number names no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an exemption has a number from 1 to 14, not {0}")]
pub struct ExemptionError(pub u8);

impl Exemption {
    /// 9, other: for a role that is exempt without a reason given.
    pub const OTHER: Exemption = Exemption(9);
    /// 10: the user's other device counts.
    pub const SECOND_USE: Exemption = Exemption(10);

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Exemption {
    type Error = ExemptionError;
    fn try_from(number: u8) -> Result<Exemption, ExemptionError> {
        if (1..=14).contains(&number) { Ok(Exemption(number)) } else { Err(ExemptionError(number)) }
    }
}

impl From<Exemption> for u8 {
    fn from(exemption: Exemption) -> u8 {
        exemption.0
    }
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXEMPTIONS[usize::from(self.0 - 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exemption_has_a_number_and_a_text() {
        let known: Vec<String> = (1..=14).map(|n| Exemption::try_from(n).unwrap().to_string()).collect();
        assert_eq!((known[1].as_str(), known[10].as_str()), ("backup, disaster recovery", "test"));
        assert_eq!(Exemption::try_from(0), Err(ExemptionError(0)));
        assert_eq!(Exemption::try_from(15), Err(ExemptionError(15)));
        assert_eq!(Exemption::OTHER.to_string(), "other");
    }
}
