//! What agents are told to do: made by a server, handed on by beacons as it is, applied by agents.

pub mod apply;
pub mod beacon_policy;
pub mod failover;
pub mod hand_out;

pub use apply::{Held, Refused, Step, Update};
pub use beacon_policy::{BeaconPolicy, InventoryGroup};
pub use hand_out::{File, HandOut};
