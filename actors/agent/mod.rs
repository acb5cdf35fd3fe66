//! The agent on a machine: what it collects there, what it keeps until a server has it, and how it sends it.

pub mod collector;

pub mod collect_command;

pub mod outbox;
