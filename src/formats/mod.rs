//! Bytes to structs and back, each with its limits. Partial badness is a value plus findings; nothing here decides.

pub mod xml;

pub mod gzip;
pub mod journal;
pub mod wire;

pub mod marks;

mod ini;

pub mod csv_lines;
pub mod json_lines;

pub mod business;
pub mod client_configuration;
pub mod disco;
pub mod failover;
pub mod inventory_settings;
pub mod mmi;
pub mod ndi;
pub mod nds;
pub mod npl;
pub mod osd;

pub mod host;

pub mod ent;
pub mod matcher_xml;
pub mod servicenow_xml;
