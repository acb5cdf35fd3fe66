//! The clerks: actors, disks, sockets and clocks around the decisions of `muster`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this package owns clocks, disks and sockets")]

mod business_file;
pub mod clock;
pub mod command;
pub mod errors;
mod file_lock;
mod laps;
pub mod secret;
mod whole_file;

pub mod priority;
pub mod workers;

pub mod log;
pub mod node;
pub mod role;
pub mod store;
pub mod supervision;
pub mod upload_client;

pub mod hierarchy;
pub mod intake;

pub mod agent;
pub mod beacon;
pub mod server;
pub mod servicenow;

pub mod operator;

pub mod matching;

pub mod entitlements;
pub mod reconciling;

pub mod up;
