//! The agent on a machine: what it collects there, what it keeps until a server has it, and how it sends it.

pub mod collector;

pub mod collect_command;

pub mod outbox;

mod collecting;
pub mod host;
pub mod memory;
pub mod pinger;
pub mod policy;
pub mod uploader;

#[expect(clippy::module_inception, reason = "one actor, one file, named after its noun")]
pub mod agent;
pub mod status;

pub mod meter;

pub mod run;

pub mod command;

#[cfg(test)]
mod tests;
