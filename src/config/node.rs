//! Sections that the files of beacon and server share.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::document::ConfigError;
use crate::formats::wire::BODY_BYTES_MAX;
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

/// What beacon and server check alike: the data folder, the listener, its limits, the reserve. Plain HTTP beyond loopback
/// has to be accepted by name, and the start would say so too: here `--check` does.
pub(super) fn check_node(
    file: &str,
    section: &str,
    data: &Path,
    listeners: &[(&str, SocketAddr)],
    allow_plain: bool,
    limits: &LimitsSection,
    disk: &DiskSection,
) -> Result<(), ConfigError> {
    if data.as_os_str().is_empty() {
        return Err(wrong(file, &format!("{section}.data"), "is empty, name a folder"));
    }
    for (place, (key, address)) in listeners.iter().enumerate() {
        let key = format!("{section}.{key}");
        if !address.ip().is_loopback() && !allow_plain {
            let problem = format!("{address} is not a loopback address: set `allow_plain = true` to accept plain HTTP");
            return Err(wrong(file, &key, problem));
        }
        if address.port() != 0 && listeners[..place].iter().any(|(_, other)| other == address) {
            return Err(wrong(file, &key, format!("{address} is taken by another listener of this file")));
        }
    }
    let zero = [
        ("limits.bodies", limits.bodies == 0),
        ("limits.connections_per_address", limits.connections_per_address == 0),
        ("limits.upload_burst", limits.upload_burst == 0),
        ("limits.body_bytes", limits.body_bytes < BODY_BYTES_MAX),
    ];
    if let Some((key, _)) = zero.into_iter().find(|(_, is_wrong)| *is_wrong) {
        let least = if key == "limits.body_bytes" { BODY_BYTES_MAX } else { 1 };
        return Err(wrong(file, key, format!("is too small to take any upload: at least {least}")));
    }
    if disk.reserve_percent > 90 {
        return Err(wrong(file, "disk.reserve_percent", format!("{} is not between 0 and 90", disk.reserve_percent)));
    }
    Ok(())
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
