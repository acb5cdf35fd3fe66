//! The server: takes reports, matches, reconciles and exports.

pub mod reading;

pub mod view;

pub mod counters;

pub mod books;
pub mod fleet;
pub mod tenants;

pub mod loader;

pub mod importer;

pub mod reconciler;

pub mod exporter;
pub mod exports;

pub mod batch;

mod business_import;
mod business_rows;
mod directory;
mod effects;
mod fillers;
mod gaps;
mod library;
pub mod licensing;
mod maintenance;
mod overdue;
mod policy;
mod quarantine;
mod rules;
mod schedules;
mod sheet_reading;
mod source_files;
mod sources;
mod sweep;
mod task_parameters;
pub mod to_load;
mod unmerge;
mod unsettled;
mod warehouse;
mod zone;

#[expect(clippy::module_inception, reason = "one actor, one file, named after its noun")]
pub mod server;

pub mod prepared;
pub mod run;

pub mod command;

pub mod api;
