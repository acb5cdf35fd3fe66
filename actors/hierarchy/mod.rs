//! What beacon and server answer alike beside uploads: statuses and gap reports from below, policy and what is to be sent
//! again for those below.

mod downloads;
mod gaps;
mod statuses;

pub use downloads::{Downloads, downloads};
pub use gaps::{Gaps, KeepReports, TakeReports, gaps};
pub use statuses::{Record, SetAside, Statuses, statuses};
