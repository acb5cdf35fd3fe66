//! The end of a package at the server: its final state, why, and the way it came.
//!
//! Source: delivery contract, sections 2, 4 and 5.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::business::BusinessKey;
use super::device::RecordKey;
use super::package::Envelope;
use crate::time::Timestamp;

/// The four final states of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalState {
    /// Staged as the newest of its stream.
    Imported,
    /// Whole and readable, but a newer one was there: kept as history.
    Stale,
    /// Not readable, or not what it says.
    Quarantined,
    /// Older than any package may live.
    Expired,
}

impl FinalState {
    /// Every state.
    pub const ALL: [FinalState; 4] =
        [FinalState::Imported, FinalState::Stale, FinalState::Quarantined, FinalState::Expired];

    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            FinalState::Imported => "imported",
            FinalState::Stale => "stale",
            FinalState::Quarantined => "quarantined",
            FinalState::Expired => "expired",
        }
    }
}

impl fmt::Display for FinalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a final state is imported, stale, quarantined or expired")]
pub struct UnknownState;

impl FromStr for FinalState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<FinalState, UnknownState> {
        FinalState::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

/// What a collection time was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockFlag {
    /// More than ten minutes ahead of the first custody.
    ClockAhead,
    /// Missing, unreadable or before the year 2000.
    ClockBad,
}

/// The ledger's entry of one package: value of a `FactKey::Package` at the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// How it ended.
    pub state: FinalState,
    /// Why, for a person; `None` when there is nothing to say.
    pub reason: Option<String>,
    /// What its collection time was worth.
    pub clock: Option<ClockFlag>,
    /// When it ended.
    pub settled: Timestamp,
    /// The record it was staged in, when it was imported.
    pub record: Option<RecordKey>,
    /// Its envelope, with every hop.
    pub envelope: Envelope,
    /// Whose business file it was, when it was imported as one. Entries of earlier versions have none.
    #[serde(default)]
    pub business: Option<BusinessKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_written_as_it_is_read() {
        for state in FinalState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("Imported".parse::<FinalState>().is_err());
    }
}
