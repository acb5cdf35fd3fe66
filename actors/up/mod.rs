//! `muster up`: the whole chain on one machine, in one process.
//!
//! ```text
//! agent of this host -> child beacon -> parent beacon -> server -> ServiceNow stand-in
//! DIR/agent             DIR/child       DIR/parent       DIR/server  DIR/servicenow
//! ```
//!
//! The very nodes that run apart when deployed, with two differences: beacons relay on arrival and not on the minute, and
//! the server imports on arrival and not once a day.

mod chain;
pub mod command;

pub use chain::{Chain, Places, Seen, UpError};

#[cfg(test)]
mod tests;
