//! Network adapters with their hardware and IP addresses.
//!
//! Reported are those that stand for a device and those that have an address. Left out are the loopback and virtual
//! adapters without address: a host of a thousand containers has a thousand of them, with random hardware addresses.

use std::collections::BTreeMap;

use super::host_root::HostRoot;
use super::networks::{live_networks, object};
use super::record::HardwareObject;

/// Adapters read at most.
const ADAPTERS_LIMIT: usize = 4_096;
/// Kind of a loopback in `/sys/class/net/*/type` (`ARPHRD_LOOPBACK`).
const LOOPBACK_KIND: &str = "772";

/// `MGS_NetworkAdapterConfiguration` for each adapter, by name. IP addresses are known of the running system only.
pub fn objects(host: &HostRoot, dns_name: &str) -> Vec<HardwareObject> {
    let mut networks = if host.is_live() { live_networks() } else { BTreeMap::new() };
    let mut out = Vec::new();
    for (name, _) in host.list("sys/class/net") {
        let text = |file: &str| host.read_line(&format!("sys/class/net/{name}/{file}"));
        let mac = text("address");
        let networks = networks.remove(&name).unwrap_or_default();
        let is_device = host.exists(&format!("sys/class/net/{name}/device"));
        let is_loopback = text("type") == LOOPBACK_KIND || name == "lo";
        if is_loopback || (!is_device && networks.is_empty()) {
            continue;
        }
        if out.len() == ADAPTERS_LIMIT {
            host.report("sys/class/net", format_args!("more than {ADAPTERS_LIMIT} adapters, read up to there"));
            break;
        }
        out.push(object(&name, &mac, networks, dns_name));
    }
    out
}
