//! Look-ups of an operator: `muster devices`, `muster packages`, `muster beacons`, over the operator API of a server; and
//! `muster import`, which uploads.
//!
//! Tables are for people; `--json` gives what the API answers, an item a line for lists. Texts come from machines that
//! nobody vouches for: control characters of theirs never reach the terminal.

mod client;
mod devices;
mod output;
mod packages;

pub mod command;
pub mod import;

#[cfg(test)]
mod tests;
