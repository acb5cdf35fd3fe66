//! What agents are told to do: made by a server, handed on by beacons as it is, applied by agents.

pub mod apply;
pub mod beacon_policy;
pub mod believable;
pub mod content;
pub mod failover;
pub mod finding;
pub mod hand_out;
pub mod recipient;

pub use apply::{Held, Refused, Step, Update};
pub use beacon_policy::{BeaconPolicy, InventoryGroup};
pub use finding::{Findings, PolicyFinding};
pub use hand_out::{File, HandOut};
pub use recipient::{Reach, Recipient};
