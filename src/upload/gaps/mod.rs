//! Packages that a node took custody of and that never reached a final state at the server: seen by what agents tell,
//! and asked for again.
//!
//! An agent tells with each policy question which numbers were acknowledged ([`GapReport`]). Those that the ledger does
//! not know are noted with the time ([`OriginGaps`]): most are on their way and are settled soon. What is not after the
//! limit is *missing*: told to the operator once, counted, and asked for again ([`Resends`]) until it is settled, or a
//! later report of its stream is. Source: delivery contract, section 5, gap healing.

mod abandoned;
mod origin;
mod reports;
mod resends;

pub use abandoned::{ABANDONED_MAX, Abandoned, Numbers};
pub use origin::{GIVEN_UP_MS, Gap, OriginGaps, supersedes};
pub use reports::{GapReport, GapReports, REPORTS_MAX};
pub use resends::{RESENDS_BYTES_MAX, Resends, ResendsError};

#[cfg(test)]
mod tests;
