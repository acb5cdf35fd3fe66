//! The clerks: actors, disks, sockets and clocks around the decisions of `muster`.

// This package owns the disks, sockets, clocks and threads that `clippy.toml` keeps out of the law book.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod agent;
