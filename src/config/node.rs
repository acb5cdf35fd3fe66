//! Sections that the files of beacon and server share.

use serde::Deserialize;

use super::document::ConfigError;
use crate::id::TenantId;

/// `[limits]`: what a listener takes. Source of the defaults: delivery contract, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Uploads of one origin in an hour; 0 for no limit.
    pub uploads_per_hour: u32,
    /// Uploads of one origin at once.
    pub upload_burst: u32,
    /// Bytes of one origin in a day; 0 for no limit.
    pub bytes_per_day: u64,
    /// Bodies that are read at once.
    pub bodies: usize,
    /// Bytes of all bodies that are read at once.
    pub body_bytes: u64,
    /// Connections of one address.
    pub connections_per_address: usize,
}

impl Default for LimitsSection {
    fn default() -> LimitsSection {
        LimitsSection {
            uploads_per_hour: 60,
            upload_burst: 10,
            bytes_per_day: 256 << 20,
            bodies: 512,
            body_bytes: 256 << 20,
            connections_per_address: 64,
        }
    }
}

/// `[disk]`: room that uploads must leave. Source of the defaults: delivery contract, section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSection {
    /// At least so many bytes stay free.
    pub reserve_bytes: u64,
    /// At least this part of the file system stays free, in percent.
    pub reserve_percent: u64,
}

impl Default for DiskSection {
    fn default() -> DiskSection {
        DiskSection { reserve_bytes: 1 << 30, reserve_percent: 5 }
    }
}

/// An error of a value that reads but cannot be.
pub(super) fn wrong(file: &str, key: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { file: file.into(), line: None, key: key.into(), problem: problem.into() }
}

/// The tenant named by `key`.
pub(super) fn tenant(text: &str, file: &str, key: &str) -> Result<TenantId, ConfigError> {
    text.parse().map_err(|error: crate::id::IdError| wrong(file, key, error.to_string()))
}

/// Seconds as milliseconds, at least `least` and at most a year.
pub(super) fn milliseconds(secs: u64, least: u64, file: &str, key: &str) -> Result<i64, ConfigError> {
    const YEAR_SECS: u64 = 366 * 24 * 60 * 60;
    if !(least..=YEAR_SECS).contains(&secs) {
        return Err(wrong(file, key, format!("{secs} is not between {least} and {YEAR_SECS} seconds")));
    }
    Ok(secs as i64 * crate::time::SECOND_MS)
}
