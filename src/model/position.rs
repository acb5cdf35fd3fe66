//! What a reconcile finds: the consumption of each licence with its working, and the licence position.
//!
//! Source: reconcile-files reference, sections 5.3, 6, 7 and 8, whose words for reasons these are.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::licence::{Exemption, LicenceId, Quantity};
pub use super::reconciliation::Status;
use super::software::{ApplicationId, TitleId};
use crate::id::DeviceId;

/// How an installation came to a licence: the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The operator allocated the device.
    Allocated,
    /// Every licence was full, and this one stood first.
    Overflow,
    /// It stood first among those with room.
    Priority,
}

impl How {
    /// The word in answers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Allocated => "allocated",
            How::Overflow => "overflow",
            How::Priority => "priority",
        }
    }
}

/// An installation that a licence took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taken {
    /// Where it is.
    pub device: DeviceId,
    /// What it is.
    pub application: ApplicationId,
    /// The title that shows it; of several the lowest number.
    pub title: TitleId,
    /// Why this licence.
    pub how: How,
    /// Set: it needs no right, and why.
    pub exemption: Option<Exemption>,
}

/// Why a licence did not take an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The device is allocated, but not to this licence.
    AllocatedElsewhere,
    /// All rights are used.
    Full,
}

impl Reason {
    /// The word in answers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::AllocatedElsewhere => "allocated_elsewhere",
            Reason::Full => "full",
        }
    }
}

/// An installation that a licence was offered and did not take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejected {
    /// Where it is.
    pub device: DeviceId,
    /// What it is.
    pub application: ApplicationId,
    /// Why not.
    pub reason: Reason,
}

/// Why a device counts as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountReason {
    /// It uses a right.
    Counted,
    /// It uses a right by its allocation alone.
    NoInventory,
    /// All its installations are exempt; the lowest number of theirs.
    Exempt(Exemption),
}

impl fmt::Display for CountReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CountReason::Counted => f.write_str("counted"),
            CountReason::NoInventory => f.write_str("no_inventory"),
            CountReason::Exempt(exemption) => write!(f, "exempt: {exemption}"),
        }
    }
}

/// A device and what it counts for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// The device.
    pub device: DeviceId,
    /// Its installations that the licence took, exempt ones included.
    pub raw: u32,
    /// What it counts for, before a right is shared by several.
    pub consumed: u32,
    /// Why.
    pub reason: CountReason,
}

/// What a licence is used for, with the working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumption {
    /// The licence.
    pub licence: LicenceId,
    /// Rights used.
    pub consumed: u64,
    /// Installations taken, and devices that count without one.
    pub raw: u64,
    /// Of `raw` those that are exempt.
    pub exempt: u64,
    /// Devices that matter, ascending.
    pub units: Vec<Unit>,
    /// Installations taken, ascending by device, then application.
    pub taken: Vec<Taken>,
    /// Installations offered and not taken, ascending by device, then application.
    pub rejected: Vec<Rejected>,
    /// Devices whose awaited installation has arrived, ascending: their allocation may become a plain one.
    pub arrived: Vec<DeviceId>,
}

impl Consumption {
    /// What shows that `device` uses this licence.
    pub fn taken_on(&self, device: DeviceId) -> &[Taken] {
        let start = self.taken.partition_point(|taken| taken.device < device);
        let end = self.taken.partition_point(|taken| taken.device <= device);
        &self.taken[start..end]
    }

    /// What `device` counts for; `None` when it does not matter to this licence.
    pub fn unit(&self, device: DeviceId) -> Option<&Unit> {
        self.units.binary_search_by_key(&device, |unit| unit.device).ok().map(|place| &self.units[place])
    }
}

/// A licence compared with its consumption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The licence.
    pub licence: LicenceId,
    /// Rights in force.
    pub entitled: Quantity,
    /// Rights used.
    pub consumed: u64,
    /// Rights left, negative when more are used; `None`: unlimited.
    pub available: Option<i64>,
    /// Rights that terms of use save: raw installations less what is consumed; negative when allocations cost more.
    pub savings: i64,
    /// Rights to buy at the true-up; `None` for a licence without one, or without a limit.
    pub true_up_due: Option<u64>,
    /// Compliance.
    pub status: Status,
    /// Why, in a sentence for the operator, in lower case and without a full stop.
    pub reason: String,
}
