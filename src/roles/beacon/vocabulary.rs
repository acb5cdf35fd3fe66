//! What a beacon's core is told, what it may want, and what survives of it.

use std::sync::Arc;

use crate::model::package::Kind;
use crate::roles::IntentNumber;
use crate::upload::answer::Verdict;

/// Number of a parent in the configured order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentNumber(pub usize);

/// Number of a held package in this life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageNumber(pub u64);

/// A held package as the core sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number; older ones are smaller.
    pub package: PackageNumber,
    /// What it is.
    pub kind: Kind,
    /// Hash of its origin, for fairness only.
    pub origin: u64,
}

/// What a beacon is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeaconSettings {
    /// How many parents there are; at least one.
    pub parents: usize,
    /// Length of a cycle.
    pub cycle_ms: i64,
    /// Whether a cycle begins at once when something arrives (one machine), or only on the minute (deployed).
    pub relay_on_arrival: bool,
    /// From one policy question to the next. Source: `agent-beacon-batch` reference, section 9.1: 15 minutes.
    pub policy_every_ms: i64,
    /// From one status report to the next: a minute.
    pub status_every_ms: i64,
}

/// What survives: the packages in the log that no fact calls quarantined, oldest first.
#[derive(Clone, Debug)]
pub struct BeaconDurable {
    /// Settings from the configuration.
    pub settings: Arc<BeaconSettings>,
    /// Hash of the beacon's GUID, which offsets its first cycle.
    pub guid_seed: u64,
    /// What it holds.
    pub held: Vec<Waiting>,
}

/// Why a package is set aside here for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// The parent will never take it.
    Refused,
    /// Its bytes are not the ones that were received.
    BadDigest,
    /// Older than any package may live.
    Expired,
}

/// What can happen to a beacon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeaconInput {
    /// Packages were taken into custody.
    Arrived(Vec<Waiting>),
    /// A forward ended.
    Forwarded {
        /// Its intent.
        intent: IntentNumber,
        /// What the answer means.
        verdict: Verdict,
    },
    /// A forward was not even tried: the package itself forbids it.
    Unsendable {
        /// Its intent.
        intent: IntentNumber,
        /// Why.
        why: Aside,
    },
    /// The policy question was answered (`None`) or failed (`Some` wait).
    PolicyAnswered {
        /// Whether there was an answer.
        answered: bool,
    },
    /// A fact or note was made durable; nothing follows from it.
    Done,
}

/// What a beacon can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeaconIntent {
    /// Send this package to this parent; comes back as `Forwarded` or `Unsendable`.
    Forward {
        /// The package.
        package: PackageNumber,
        /// The parent.
        to: ParentNumber,
    },
    /// The parent has custody: let go.
    Release(PackageNumber),
    /// Keep it, forward it no more, and commit the reason.
    SetAside {
        /// The package.
        package: PackageNumber,
        /// Why.
        why: Aside,
    },
    /// Ask the parent for policy; comes back as `PolicyAnswered`.
    AskPolicy(ParentNumber),
    /// Send the newest status to the parent.
    SendStatus(ParentNumber),
}
