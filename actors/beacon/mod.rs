//! The beacon: takes uploads of those below, keeps them safe, relays them to its parent.

mod aside;
#[expect(clippy::module_inception, reason = "the folder holds the actor and its hands")]
mod beacon;
pub mod command;
mod gaps;
mod outages;
mod parents;
mod policy;
mod relay;
mod run;
mod upward;

pub use beacon::{Beacon, BeaconWorld, StopRelaying};
pub use outages::Outages;
pub use parents::ParentRules;
pub use policy::RefusedPolicies;
pub use relay::{Effect, HttpRelay, Outcome, Relay};
pub use run::{BeaconError, BeaconOptions, RunningBeacon, start};
pub use upward::{HttpUpward, Upward};

#[cfg(test)]
pub(crate) mod tests;
