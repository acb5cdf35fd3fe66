//! What the words mean: package, inventory record, device, software, licence.

pub mod stored;

pub mod aside;
pub mod beacon_status;
pub mod package;

pub mod day;
pub mod decimal;
pub mod name;
pub mod pattern;

pub mod computer;
pub mod device;
pub mod device_history;
pub mod settlement;

pub mod software;

pub mod titles;

pub mod discovery;

pub mod usage;

pub mod programs;

pub mod usage_periods;

pub mod usage_lines;

pub mod identities;
pub mod inventory;
pub mod staged;

pub mod task;

pub mod tenants;

pub mod draft;
pub mod fact;
mod fact_kind;
mod fact_prefix;
mod fact_text;
pub mod tenant;

pub mod business;

pub mod directory;
pub mod sheet;
pub mod source;

pub mod recognition;

pub mod edit;
pub mod estate;
pub mod licensing;
pub mod reconciliation;

pub mod folder;

pub mod ent;

pub mod warehouse;
