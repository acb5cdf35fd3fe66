//! The licence position of an estate: who takes which installation, what each licence is used for, and what follows.
//!
//! ```text
//! Estate + Licensing --Context--> Component... --settle--> Fates, Closed --result--> Reconciled
//! ```
//!
//! A pure function of estate, licensing and day: neither the order of rows nor the number of threads changes a byte.
//! Figures are exact. Memory beyond the estate: eight bytes an installation, and for each licence at work a bit a device.
//!
//! Source: reconcile-files reference, sections 5 to 8.

mod access;
mod account;
mod bits;
mod closed;
mod component;
mod context;
mod judge;
mod links;
mod meter;
mod parts;
mod result;
mod taken;
mod units;

pub use context::Context;
pub use links::{Candidate, Cycle, Links};
pub use parts::Parts;
pub use result::{Assigned, Found, Reconciled, assign};
pub use taken::TakenRow;
pub use units::Working;

#[cfg(test)]
pub(super) mod tests;
