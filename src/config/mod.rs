//! Files that people write, as checked values: TOML with errors that name file, line and key and say what to do.
//!
//! Every file is read by [`parse_toml`] into a plain type with `deny_unknown_fields`, then turned into a checked one,
//! which cannot exist unchecked; what the check finds becomes a [`ConfigError`] through [`Document`], so that it names a
//! line too. Options of nodes may be overridden by `MUSTER_<SECTION>_<OPTION>` ([`overrides`]).

pub mod nearest;

pub mod document;

pub mod overrides;

pub mod address;
pub mod node;

pub mod agent;
pub mod beacon;
pub mod server;

pub mod tasks;

pub mod sources;

pub mod library;

pub mod column_map;

pub mod entitlement_map;

pub use document::{ConfigError, Document, parse_toml};
pub use nearest::nearest;
pub use overrides::{apply_overrides, parse_checked, parse_with_overrides};
