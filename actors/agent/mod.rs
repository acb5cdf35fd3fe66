//! The agent on a machine: what it collects there, what it keeps until a server has it, and how it sends it.

pub mod collector;

pub mod collect_command;

pub mod outbox;

pub mod host;
pub mod limits;
pub mod memory;
pub mod own_log;
pub mod pinger;
pub mod policy;
pub mod proxy;
pub mod uploader;

#[expect(clippy::module_inception, reason = "one actor, one file, named after its noun")]
pub mod agent;
pub mod status;
pub mod surroundings;

pub mod meter;

pub mod run;

pub mod command;

#[cfg(test)]
mod tests;
