//! Packages that a beacon cannot hand on for good: why, what it tells the server of them, and when it may let go.
//!
//! ```text
//! beacon   AsideFact (its own fact) --status--> AsideReport --> server: AsideRecord (its fact)
//! beacon   AsideFact.acknowledged   <--answer to the status--   what is in the server's facts
//! ```
//!
//! Source: delivery contract, section 2: quarantine is reported upward, stays 30 days, and is purged only after the server
//! has acknowledged its entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::package::{Kind, Origin, PackageKey, Sequence, Stream};
use crate::formats::wire::{ORIGIN_BYTES_MAX, STREAM_BYTES_MAX};
use crate::id::{Digest, Guid};
use crate::time::{DAY_MS, Timestamp};

/// How long a package stays in quarantine after its entry was acknowledged.
const KEPT_MS: i64 = 30 * DAY_MS;
/// How long the server remembers what a beacon set aside: longer than any beacon keeps it.
const REMEMBERED_MS: i64 = 90 * DAY_MS;
/// Most packages that one status tells of; the others follow when these are acknowledged.
pub const ASIDE_OF_STATUS_MAX: usize = 10;
/// Most packages that one report tells of, of all beacons together.
pub const ASIDE_OF_REPORT_MAX: usize = 1_000;

/// Why a package is set aside at a beacon for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aside {
    /// The parent will never take it.
    Refused,
    /// Its bytes are not the ones that were received.
    BadDigest,
    /// Older than any package may live.
    Expired,
}

impl Aside {
    /// What a person is told.
    pub fn reason(self) -> &'static str {
        match self {
            Aside::Refused => "its parent refused it for good",
            Aside::BadDigest => "its bytes are not the ones that were received",
            Aside::Expired => "older than 30 days",
        }
    }
}

/// Value of a `FactKey::Package` at a beacon. The body stays in its package log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideFact {
    /// Why.
    pub why: Aside,
    /// Since when.
    pub since: Timestamp,
    /// When the server's word came that it has an entry for it.
    #[serde(default)]
    pub acknowledged: Option<Timestamp>,
}

impl AsideFact {
    /// Whether nobody will ever ask for it: its body is gone another way, and no node has a copy any more.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        now.ms_since(self.since) >= REMEMBERED_MS
    }

    /// Whether the package may go: never before the server knows of it.
    pub fn may_go(&self, now: Timestamp) -> bool {
        self.acknowledged.is_some_and(|at| now.ms_since(at) >= KEPT_MS)
    }
}

/// What a beacon tells of one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideReport {
    /// Who published it.
    pub origin: Origin,
    /// What it is.
    pub kind: Kind,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Why it is set aside.
    pub why: Aside,
    /// Since when.
    pub since: Timestamp,
    /// Its place among the packages of its agent, so that it is not called missing beside.
    #[serde(default)]
    pub place: Option<(Stream, Sequence)>,
}

impl AsideReport {
    /// The report on the package `key`, which has this place in its stream.
    pub fn new(key: PackageKey, fact: &AsideFact, place: Option<(Stream, Sequence)>) -> AsideReport {
        let PackageKey { origin, kind, digest } = key;
        AsideReport { origin, kind, digest, why: fact.why, since: fact.since, place }
    }

    /// The package.
    pub fn key(&self) -> PackageKey {
        PackageKey { origin: self.origin.clone(), kind: self.kind, digest: self.digest }
    }

    /// Whether its origin and stream are ones that a node can have set.
    pub fn is_sound(&self) -> bool {
        let is_plain =
            |text: &str, most: usize| (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
        let stream = self.place.as_ref().map(|(stream, _)| stream.as_str());
        is_plain(self.origin.as_str(), ORIGIN_BYTES_MAX)
            && stream.is_none_or(|stream| is_plain(stream, STREAM_BYTES_MAX))
    }
}

/// Value of a `FactKey::Aside` at the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideRecord {
    /// The beacon that keeps it.
    pub beacon: Guid,
    /// Why.
    pub why: Aside,
    /// Since when, by the beacon's clock.
    pub since: Timestamp,
    /// When the server noted it.
    pub recorded: Timestamp,
    /// Its place among the packages of its agent, where the beacon told it.
    #[serde(default)]
    pub place: Option<(Stream, Sequence)>,
}

impl AsideRecord {
    /// Whether no beacon can ask for it any more.
    pub fn may_go(&self, now: Timestamp) -> bool {
        now.ms_since(self.recorded) >= REMEMBERED_MS
    }
}

/// Answer to a report: of each beacon the packages that the server has an entry for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// By beacon.
    #[serde(default)]
    pub acknowledged: BTreeMap<Guid, Vec<PackageKey>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stored;

    #[test]
    fn nothing_goes_before_the_server_knows_of_it_nor_within_thirty_days() {
        let since = Timestamp(0);
        let fact = AsideFact { why: Aside::Refused, since, acknowledged: None };
        assert!(!fact.may_go(Timestamp(i64::MAX)));
        let known = AsideFact { acknowledged: Some(Timestamp(5)), ..fact };
        assert!(!known.may_go(Timestamp(KEPT_MS + 4)) && known.may_go(Timestamp(KEPT_MS + 5)));
        assert!(!known.may_go(Timestamp(-1)), "a clock set back");
        assert!(!fact.is_forgotten(Timestamp(REMEMBERED_MS - 1)) && fact.is_forgotten(Timestamp(REMEMBERED_MS)));
    }

    #[test]
    fn a_fact_of_before_there_was_an_acknowledgement_reads_as_not_acknowledged() {
        let before = stored::pack(&(Aside::BadDigest, Timestamp(7)));
        let wanted = AsideFact { why: Aside::BadDigest, since: Timestamp(7), acknowledged: None };
        assert_eq!(stored::unpack::<AsideFact>(&before).unwrap(), wanted);
    }
}
