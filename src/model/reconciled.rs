//! The result of the last reconcile of a tenant, as it is kept.

use serde::{Deserialize, Serialize};

use super::day::Day;
use super::position::{Consumption, Position};
use super::software::ApplicationId;
use crate::time::Timestamp;

/// Lines of working that are kept of all licences together; a licence beyond it keeps its sums.
pub const WORKING_MAX: usize = 300_000;

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
    /// Takes the working out of consumptions where it would be too long to keep; their sums stay.
    pub fn bounded(mut self) -> Reconciled {
        let mut left = WORKING_MAX;
        for used in &mut self.consumptions {
            let lines = used.units.len() + used.taken.len() + used.rejected.len() + used.arrived.len();
            match left.checked_sub(lines) {
                Some(rest) => left = rest,
                None => (used.units, used.taken, used.rejected, used.arrived) = Default::default(),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DeviceId;

    #[test]
    fn working_beyond_the_bound_is_left_out_and_the_sums_stay() {
        let used = |lines: u64| Consumption {
            licence: "l".parse().unwrap(),
            consumed: lines,
            raw: lines,
            exempt: 0,
            units: vec![],
            taken: vec![],
            rejected: vec![],
            arrived: (0..lines).map(DeviceId).collect(),
        };
        let reconciled = Reconciled {
            at: Timestamp(0),
            as_of: Day::new(2026, 1, 1).unwrap(),
            titles: 0,
            unrecognised: 0,
            ignored: 0,
            installed: vec![],
            positions: vec![],
            consumptions: vec![used(200_000), used(200_000), used(100_000)],
        };
        let kept = reconciled.bounded().consumptions;
        assert_eq!(kept.iter().map(|used| used.arrived.len()).collect::<Vec<_>>(), [200_000, 0, 100_000]);
        assert_eq!(kept[1].consumed, 200_000);
    }
}
