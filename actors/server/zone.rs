//! The zone that times of day are of: one of the system's, or that of this machine.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

/// Where a system keeps its zones.
const ZONES: &str = "/usr/share/zoneinfo";
/// The zone of this machine.
const OWN: &str = "/etc/localtime";
/// No zone's file is longer.
const BYTES_MAX: u64 = 1 << 20;

/// Why there is no such zone.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// Not a name.
    #[error("`{0}` is no name of a time zone: write one like Europe/Berlin (time_zone)")]
    Name(String),
    /// The system does not have it.
    #[error("the system has no time zone `{name}` (time_zone): cannot read `{}`", path.display())]
    Missing {
        /// What was asked for.
        name: String,
        /// Where it would stand.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its file is no zone.
    #[error("`{}` is no file of a time zone (time_zone)", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: jiff::Error,
    },
}

/// The zone of this name; without one that of this machine, which is UTC when it says nothing.
pub fn zone(name: Option<&str>) -> Result<TimeZone, ZoneError> {
    let Some(name) = name else {
        return match read("local", Path::new(OWN)) {
            Err(ZoneError::Missing { .. }) => Ok(TimeZone::UTC),
            zone => zone,
        };
    };
    if name.eq_ignore_ascii_case("UTC") {
        return Ok(TimeZone::UTC);
    }
    let is_part = |part: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
        !part.is_empty() && part.bytes().all(is_plain)
    };
    if name.len() > 64 || !name.split('/').all(is_part) {
        return Err(ZoneError::Name(name.chars().take(64).collect()));
    }
    read(name, &Path::new(ZONES).join(name))
}

fn read(name: &str, path: &Path) -> Result<TimeZone, ZoneError> {
    let missing = |source| ZoneError::Missing { name: name.into(), path: path.to_path_buf(), source };
    let is_large = std::fs::metadata(path).map_err(missing)?.len() > BYTES_MAX;
    let bytes = if is_large { Vec::new() } else { std::fs::read(path).map_err(missing)? };
    TimeZone::tzif(name, &bytes).map_err(|source| ZoneError::Content { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_the_system_s_zone_and_nothing_else_is_read() {
        assert_eq!(zone(Some("utc")).unwrap(), TimeZone::UTC);
        assert!(zone(None).is_ok());
        for wrong in ["../../etc/passwd", "/etc/passwd", "Europe/", "", "a b", "Europe/../UTC"] {
            assert!(matches!(zone(Some(wrong)), Err(ZoneError::Name(_))), "{wrong}");
        }
        let missing = zone(Some("Europe/Nowhere")).unwrap_err().to_string();
        assert!(missing.starts_with("the system has no time zone `Europe/Nowhere` (time_zone)"), "{missing}");
        if Path::new("/usr/share/zoneinfo/zone.tab").exists() {
            assert!(matches!(zone(Some("zone.tab")), Err(ZoneError::Name(_))), "a dot is in no zone's name");
        }
    }
}
