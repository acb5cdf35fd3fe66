//! The clerks: actors, disks, sockets and clocks around the decisions of `muster`.

// Clocks, disks, sockets and threads belong here; the ban of clippy.toml keeps them out of the law book.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod server;
pub mod servicenow;
