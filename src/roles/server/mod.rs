//! The server's decisions: which packages are loaded when, and when import, reconcile and export run.
//!
//! Held packages are loaded oldest first, in batches, a few batches at a time. Import, reconcile and export of a tenant
//! follow each other; those of different tenants run beside each other. What is still to be done follows from counters in the log
//! ([`TenantState`](crate::model::tenant::TenantState)), so a crash anywhere loses no step and repeats at most one.

mod vocabulary;

mod beside;
mod client_settings;
mod core;
pub mod device;
pub mod discovery;
pub mod dry_run;
pub mod import;
pub mod keep;
mod known_titles;
mod plan;
pub mod policy;
mod schedules;
mod setting_ids;
pub mod settle;
pub mod sources;
pub mod view;

pub use self::core::{BATCH_MAX, ServerCore};
pub use crate::model::source::{AGENT_SOURCE, is_source_name};
pub use client_settings::ClientSettings;
pub use device::{details, unite};
pub use discovery::{ShownAddress, ShownDiscovery, ShownService, discovery};
pub use dry_run::{DryRun, EmptiedDevice, Listed, MergedDevices, SplitDevice, dry_run};
pub use import::{HeldDevices, ImportEnded, ImportRules, Imported, REPORTS_KEPT, import};
pub use keep::{KEPT_MS, Keep, keep};
pub use known_titles::KnownTitles;
pub use policy::{PolicySettings, SettingError, SettingName};
pub use schedules::{ScheduleError, SetSchedules};
pub use settle::{Content, Ended, Staged, settle};
pub use view::{DeviceRow, Shown, SoftwareHead, ViewError, ViewWrite, apply};
pub use vocabulary::*;

#[cfg(test)]
mod tests;
