//! The result of the last reconcile of a tenant, as it is kept.

use serde::{Deserialize, Serialize};

use super::day::Day;
use super::position::{Consumption, Position};
use super::software::ApplicationId;
use crate::time::Timestamp;

/// Devices in the working of one licence that are kept; a licence with more keeps its sums.
pub const WORKING_MAX: usize = 100_000;

/// An application and on how many devices it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The application.
    pub application: ApplicationId,
    /// Devices.
    pub devices: u64,
    /// Whether some licence covers it, or none needs to.
    pub covered: bool,
}

/// Value of a `FactKey::Reconciled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// When it was made.
    pub at: Timestamp,
    /// The day that entitlements were judged by.
    pub as_of: Day,
    /// Distinct titles of the fleet.
    pub titles: u64,
    /// Of these, those that no rule knows.
    pub unrecognised: u64,
    /// Of these, those that rules ignore: parts of other products.
    pub ignored: u64,
    /// Every application that is installed, ascending.
    pub installed: Vec<Installed>,
    /// The position of every licence, ascending.
    pub positions: Vec<Position>,
    /// What each licence is used for, in the order of `positions`.
    pub consumptions: Vec<Consumption>,
}

impl Reconciled {
    /// Takes the working out of consumptions that are too long to keep; their sums stay.
    pub fn bounded(mut self) -> Reconciled {
        for used in &mut self.consumptions {
            if used.units.len() + used.taken.len() + used.rejected.len() > WORKING_MAX {
                (used.units, used.taken, used.rejected) = Default::default();
            }
        }
        self
    }
}
