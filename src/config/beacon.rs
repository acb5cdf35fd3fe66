//! `beacon.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::address::base_address;
use super::document::{ConfigError, parse_toml};
use super::node::{DiskSection, LimitsSection, check_node, milliseconds, tenant, wrong};
use super::overrides::parse_checked;
use crate::id::TenantId;

/// The file as it is shipped: every option with its default, unit and reason.
pub const SHIPPED: &str = include_str!("../../config/beacon.toml");

/// Most bytes of a site's name.
const SITE_BYTES_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeaconFile {
    beacon: BeaconSection,
    #[serde(default)]
    relay: RelaySection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    disk: DiskSection,
    #[serde(default)]
    spool: SpoolSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeaconSection {
    data: PathBuf,
    #[serde(default = "name")]
    name: String,
    listen: SocketAddr,
    parents: Vec<String>,
    #[serde(default)]
    allow_plain: bool,
    #[serde(default = "default_tenant")]
    tenant: String,
    #[serde(default = "workers")]
    workers: usize,
    #[serde(default = "for_agents")]
    for_agents: bool,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    site: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpoolSection {
    packages_max: u64,
    bytes_max: u64,
}

impl Default for SpoolSection {
    fn default() -> SpoolSection {
        SpoolSection { packages_max: 2_000_000, bytes_max: 20 << 30 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RelaySection {
    interval_secs: u64,
    on_arrival: bool,
    policy_interval_secs: u64,
    status_interval_secs: u64,
}

impl Default for RelaySection {
    fn default() -> RelaySection {
        RelaySection { interval_secs: 60, on_arrival: false, policy_interval_secs: 900, status_interval_secs: 60 }
    }
}

fn name() -> String {
    "beacon".into()
}

fn default_tenant() -> String {
    "default".into()
}

fn workers() -> usize {
    2
}

fn for_agents() -> bool {
    true
}

/// A checked `beacon.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeaconConfig {
    /// Data folder.
    pub data: PathBuf,
    /// Name in reports.
    pub name: String,
    /// Address of the upload listener.
    pub listen: SocketAddr,
    parents: Vec<String>,
    /// Whether plain HTTP beyond loopback is accepted.
    pub allow_plain: bool,
    /// Whose packages it carries.
    pub tenant: TenantId,
    /// Threads of the listener.
    pub workers: usize,
    /// Whether agents are told of it.
    pub for_agents: bool,
    /// Base address that agents are told; empty for that of the listener.
    pub endpoint: String,
    /// Its site, compared with that of agents.
    pub site: String,
    /// Length of a relay cycle in milliseconds.
    pub cycle_ms: i64,
    /// Whether to relay at once.
    pub relay_on_arrival: bool,
    /// From one policy question to the next, in milliseconds.
    pub policy_every_ms: i64,
    /// From one status report to the next, in milliseconds.
    pub status_every_ms: i64,
    /// Limits of the listener.
    pub limits: LimitsSection,
    /// Room that uploads must leave.
    pub disk: DiskSection,
    /// Packages that it holds at most; 0 for no limit.
    pub spool_packages_max: u64,
    /// Bytes of them; 0 for no limit.
    pub spool_bytes_max: u64,
}

impl BeaconConfig {
    /// Reads `text`, overridden by `variables` (`MUSTER_BEACON_LISTEN` and so on).
    pub fn parse(
        text: &str,
        file: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<BeaconConfig, ConfigError> {
        let shipped: toml::Table = parse_toml(SHIPPED, "the shipped beacon.toml")?;
        parse_checked(text, file, &shipped, variables, BeaconConfig::checked)
    }

    fn checked(read: BeaconFile, file: &str) -> Result<BeaconConfig, ConfigError> {
        let BeaconSection { data, name, listen, parents, allow_plain, workers, for_agents, mut endpoint, site, .. } =
            read.beacon;
        if !endpoint.is_empty() {
            endpoint = base_address(&endpoint, allow_plain).map_err(|what| wrong(file, "beacon.endpoint", what))?;
        }
        if site.len() > SITE_BYTES_MAX || site.chars().any(char::is_control) {
            let what = format!("is no site: at most {SITE_BYTES_MAX} bytes without control characters");
            return Err(wrong(file, "beacon.site", what));
        }
        if parents.is_empty() {
            return Err(wrong(file, "beacon.parents", "is empty: a beacon needs at least one parent to relay to"));
        }
        let listeners = [("listen", listen)];
        check_node(file, "beacon", &data, &listeners, allow_plain, &read.limits, &read.disk)?;
        if let Some(own) = parents.iter().find(|parent| parent.trim_end_matches('/') == format!("http://{listen}")) {
            return Err(wrong(file, "beacon.parents", format!("`{own}` is this beacon itself")));
        }
        let checked = parents.iter().map(|parent| base_address(parent, allow_plain)).collect::<Result<Vec<_>, _>>();
        if !(1..=64).contains(&workers) {
            return Err(wrong(file, "beacon.workers", format!("{workers} is not between 1 and 64")));
        }
        Ok(BeaconConfig {
            data,
            name,
            listen,
            parents: checked.map_err(|problem| wrong(file, "beacon.parents", problem))?,
            allow_plain,
            tenant: tenant(&read.beacon.tenant, file, "beacon.tenant")?,
            workers,
            for_agents,
            endpoint,
            site,
            cycle_ms: milliseconds(read.relay.interval_secs, 1, file, "relay.interval_secs")?,
            relay_on_arrival: read.relay.on_arrival,
            policy_every_ms: milliseconds(read.relay.policy_interval_secs, 1, file, "relay.policy_interval_secs")?,
            status_every_ms: milliseconds(read.relay.status_interval_secs, 1, file, "relay.status_interval_secs")?,
            limits: read.limits,
            spool_packages_max: read.spool.packages_max,
            spool_bytes_max: read.spool.bytes_max,
            disk: read.disk,
        })
    }

    /// Base addresses of the parents in order; never empty.
    pub fn parents(&self) -> &[String] {
        &self.parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[beacon]\ndata = \"d\"\nlisten = \"127.0.0.1:0\"\nparents = [\"http://127.0.0.1:7080\"]\n";

    fn parse(text: &str) -> Result<BeaconConfig, String> {
        BeaconConfig::parse(text, "b.toml", []).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_is_whole_and_names_the_defaults() {
        let shipped = parse(SHIPPED).unwrap();
        let least = parse(LEAST).unwrap();
        assert_eq!(
            BeaconConfig { data: least.data.clone(), listen: least.listen, parents: least.parents.clone(), ..shipped },
            least
        );
    }

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        for (text, said) in [
            (LEAST.replace("listen", "lisen"), "did you mean `listen`"),
            (LEAST.replace("[\"http://127.0.0.1:7080\"]", "[]"), "at least one parent"),
            (LEAST.replace("127.0.0.1:7080", "10.0.0.1:7080"), "allow_plain"),
            (format!("{LEAST}[relay]\ninterval_secs = 0\n"), "relay.interval_secs"),
            (format!("{LEAST}tenant = \"a b\"\n"), "beacon.tenant"),
            (LEAST.replace("data = \"d\"\n", ""), "data"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said) && error.starts_with("b.toml"), "{error}");
        }
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let variable = ("MUSTER_RELAY_INTERVAL_SECS".to_owned(), "5".to_owned());
        assert_eq!(BeaconConfig::parse(LEAST, "b.toml", [variable]).unwrap().cycle_ms, 5_000);
    }
}
