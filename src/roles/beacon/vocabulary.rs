//! What a beacon's core is told, what it may want, and what survives of it.

use std::fmt;
use std::sync::Arc;

pub use crate::model::aside::Aside;
use crate::model::package::Kind;
use crate::roles::IntentNumber;
use crate::time::{HOUR_MS, SECOND_MS};
use crate::upload::answer::Verdict;

/// A parent, by its base address, `http://host:port` without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parent(pub Arc<str>);

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a question to a parent went that carries no package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It has its answer.
    Answered,
    /// The parent is there and gives nothing that is of use now: it asks for time (429, 503), or its policy is not whole
    /// or not sound.
    Busy {
        /// When it wants to be asked again, in milliseconds; within 1 s and 1 h.
        retry_after_ms: Option<i64>,
    },
    /// The parent is below this beacon, or is this beacon (508).
    Loop,
    /// No answer, or one that no parent gives.
    Failed,
}

impl Asked {
    /// When the parent wants to be asked again, within 1 s and 1 h; `None` when it did not say.
    pub fn come_again_ms(self) -> Option<i64> {
        match self {
            Asked::Busy { retry_after_ms } => retry_after_ms.map(|ms| ms.clamp(SECOND_MS, HOUR_MS)),
            Asked::Answered | Asked::Loop | Asked::Failed => None,
        }
    }
}

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
    /// The parents in order; at least one.
    pub parents: Arc<[Parent]>,
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
    /// A forward was not even tried: the package is held no longer.
    Gone {
        /// Its intent.
        intent: IntentNumber,
    },
    /// A forward was not even tried: the package could not be read just now.
    Postponed {
        /// Its intent.
        intent: IntentNumber,
    },
    /// The policy question ended.
    PolicyAnswered {
        /// The parent that was asked.
        from: Parent,
        /// How it went.
        asked: Asked,
        /// The parents that are in force now, in order.
        parents: Arc<[Parent]>,
    },
    /// The status was sent, or not.
    StatusAnswered {
        /// The parent it was sent to.
        from: Parent,
        /// How it went.
        asked: Asked,
    },
    /// A page of what is held and not set aside, oldest first, of what the core was told of before.
    Rescanned {
        /// Only younger ones were looked at.
        after: Option<PackageNumber>,
        /// The youngest that was looked at; `None` when there was none.
        through: Option<PackageNumber>,
        /// What is held.
        packages: Vec<Waiting>,
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
        to: Parent,
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
    AskPolicy(Parent),
    /// Send the newest status to the parent; comes back as `StatusAnswered`.
    SendStatus(Parent),
    /// Let go of what was set aside long enough ago and is known at the server.
    Purge,
    /// Look through what is held, a page at a time; comes back as `Rescanned`.
    Rescan {
        /// Only what is younger than this.
        after: Option<PackageNumber>,
    },
}
