//! The choice of beacon: in which order an agent tries the servers of its failover list, and which it stays with.
//!
//! ```text
//! failover list + device + measures --order--> Order (every server that may be used, first the one to try first)
//! Order ----------------------------Sticky---> the server of this transfer: the one that took the last, while healthy
//! answers --------------------------Health---> whether a server may be asked now at all
//! ```
//!
//! Nothing here measures: [`to_measure`] tells whom to ping, at most 50 at once and not again for an hour, and what
//! came back is handed in as [`Measures`]. A list that is partly wrong never cuts an agent off: a call that means
//! nothing is skipped with a finding, what is not known yet is not held against a server, and an order without a single
//! server is an error, on which the caller keeps the order it has.
//!
//! Source: `agent-beacon-batch` reference, section 3; delivery contract, section 5, failover. What they leave open is
//! decided in `docs/decisions/040-choice-of-beacon.md`.

mod address;
mod chain;
mod device;
mod health;
mod measure;
mod order;
mod reason;
mod standing;
mod sticky;

pub use address::Interface;
pub use chain::{Algorithm, CALLS_MAX, Call, Chain, SelectorFault, SelectorFinding};
pub use device::Device;
pub use health::{Circuit, CircuitEvent, Health};
pub use measure::{MEASURES_AT_ONCE, Measured, Measures, Ping, Probe, Throughput, to_measure};
pub use order::{Choice, LeftOut, Order, OrderError, order};
pub use reason::{Exclusion, Fact, Reason};
pub use sticky::{Reorder, Sticky};

#[cfg(test)]
mod tests;
