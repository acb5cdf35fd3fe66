//! Collects this host for the agent's actor.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use muster::config::agent::AgentConfig;
use muster::formats::disco::Disco;
use muster::formats::host::host_name::HostName;
use muster::id::Guid;
use muster::roles::agent::AgentRules;
use muster::time::Timestamp;
use muster::upload::selector::{Device, Interface};
use tracing::warn;

use super::collector::{
    Collected, Identity, Options, account_of_process, collect_with, live_networks, name_of_this_host,
};

/// What a collection gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// Account that collected.
    pub account: String,
    /// Name of the machine.
    pub machine: String,
    /// `Full`, `Hardware`.
    pub kind_type: &'static str,
    /// The inventory file.
    pub ndi: Vec<u8>,
    /// The second inventory, when there is Oracle.
    pub oracle_ndi: Option<Vec<u8>>,
    /// Which services stand on the host, none maybe; `None` when they were not looked for.
    pub disco: Option<Disco>,
}

/// Takes stock of a host. Called on a thread of its own; may take minutes.
pub trait CollectHost: Send + Sync {
    /// Collects now what `rules` ask for, for the agent with this identity.
    fn collect(&self, agent: Guid, rules: &AgentRules, now: Timestamp) -> HostReport;
}

/// What this host knows of itself, to choose servers by.
pub fn device_of_this_host(site: &str) -> Device {
    let HostName { name, domain, .. } = name_of_this_host();
    let networks = live_networks().into_values().flatten();
    Device {
        interfaces: networks.map(|(address, prefix)| Interface::new(address, prefix)).collect(),
        host_name: name,
        domain,
        site: site.to_owned(),
        is_windows: cfg!(windows),
    }
}

/// Addresses by which this host may be reached or reach others: neither loopback nor link-local, which every container
/// that starts gives it more of.
pub fn addresses_of_this_host() -> BTreeSet<IpAddr> {
    let is_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let addresses = live_networks().into_values().flatten().map(|(address, _)| address);
    addresses.filter(|address| !address.is_loopback() && !is_local(address)).collect()
}

/// The host this process runs on.
pub struct ThisHost {
    identity: Identity,
    options: Options,
}

impl ThisHost {
    /// With the labels of the configuration.
    pub fn new(config: &AgentConfig) -> ThisHost {
        let identity = Identity {
            account: account_of_process(),
            site: config.site.clone(),
            organization: config.organization.clone(),
            location: config.location.clone(),
            ..Identity::default()
        };
        let is_machine_id_of_image = config.is_machine_id_of_image;
        ThisHost { identity, options: Options { is_machine_id_of_image, ..Options::default() } }
    }
}

impl CollectHost for ThisHost {
    fn collect(&self, agent: Guid, rules: &AgentRules, now: Timestamp) -> HostReport {
        let identity = Identity { agent, ..self.identity.clone() };
        let options = Options {
            home_technologies: rules.configuration.home_technologies.clone(),
            inventory_settings: rules.inventory_settings.clone(),
            ..self.options.clone()
        };
        let kind_type = if options.has_software { "Full" } else { "Hardware" };
        let collected = collect_with(&PathBuf::from("/"), &identity, options, now);
        for finding in &collected.findings {
            warn!(%finding, "not read, collected without it");
        }
        let Collected { ndi, record, disco, oracle_ndi, .. } = collected;
        HostReport { account: identity.account, machine: record.name, kind_type, ndi, oracle_ndi, disco }
    }
}
