//! The law book of muster: every decision of agent, beacon and server, as pure functions of what they are told.
//!
//! Nothing here reads a clock, opens a file, talks to a network or draws from a thread's random generator; time comes
//! in as a [`time::Timestamp`], randomness as the stream of the entity that acts. Modules stand in the order in which
//! one should read them, and a module imports only from those above it (`tests/tidy.rs` checks that).

pub mod id;
pub mod rng;
pub mod time;

pub mod formats;
pub mod model;

pub mod config;
pub mod export;
pub mod matching;
pub mod policy;
pub mod reconcile;
pub mod schedule;
pub mod upload;

pub mod roles;
