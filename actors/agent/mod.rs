//! The agent on a machine: what it collects there.

pub mod collector;

pub mod collect_command;
