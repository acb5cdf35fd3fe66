//! The fact that a beacon keeps of a package it will not forward any more.

use muster::roles::beacon::Aside;
use muster::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AsideReason {
    /// The parent will never take it.
    Refused,
    /// Its bytes are not the ones that were received.
    BadDigest,
    /// Older than any package may live.
    Expired,
}

impl From<Aside> for AsideReason {
    fn from(why: Aside) -> AsideReason {
        match why {
            Aside::Refused => AsideReason::Refused,
            Aside::BadDigest => AsideReason::BadDigest,
            Aside::Expired => AsideReason::Expired,
        }
    }
}

/// Value of a `FactKey::Package` at a beacon. Its body stays in the package log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideFact {
    /// Why.
    pub why: AsideReason,
    /// Since when.
    pub since: Timestamp,
}
