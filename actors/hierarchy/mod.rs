//! What beacon and server answer alike beside uploads: statuses from below, policy for those below.

mod downloads;
mod statuses;

pub use downloads::{Downloads, downloads};
pub use statuses::{Record, SetAside, Statuses, statuses};
