//! The drill: fleets in virtual time, disks that forget, chaos with real processes, load.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the drill owns clocks, disks and sockets")]

pub mod configured;
pub mod drive;
pub mod fleet;
pub mod invariants;
pub mod report;
pub mod scenario;
pub mod world;

pub mod crash;
pub mod disk;

pub mod bodies;
pub mod connection;
pub mod custody;
pub mod figures;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod intake;
pub mod output;
pub mod polls;

pub mod chaos;
pub mod kills;
pub mod proxy;
pub mod records;

pub mod usage;
