//! The ServiceNow stand-in: what an export talks to where there is no instance.
//!
//! ```text
//! POST /{endpoint}          a segment is journalled (run, transaction, staged rows in one commit), then answered
//!   processor thread        one transaction at a time, its rows a hundred a commit, into computers and models
//! /api/now/table/{table}    every table to read, most of them to write
//! /api/now/import/{table}   one row, transformed at once
//! /oauth_token.do           access tokens for the password or the refresh token
//! ```
//!
//! Built: computers, plain HTTP. Contracts, applications, TLS and `insertMultiple` are refused by name. The tables are
//! held in memory and journalled in a log of facts below the data folder, so a restart finds every answered row.
//!
//! Source: servicenow reference, sections 3 to 7.

mod auth;
mod close_run;
pub mod command;
mod faults;
mod http;
mod import_set_api;
mod imports;
mod processor;
mod query;
mod rest;
mod schema;
mod seed;
mod stand_in;
mod store;
mod table_api;
mod tables;
mod transform;

pub use auth::Client;
pub use close_run::{Account, CloseRunError, close_run};
pub use faults::{FaultError, Faults};
pub use stand_in::{RunningStandIn, StandIn, StandInError, StandInOptions};
pub use store::StoreError;

#[cfg(test)]
mod tests;
