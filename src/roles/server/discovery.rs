//! What a device shows of the discoveries that speak of it.
//!
//! Source: `agent-beacon-batch` reference, section 6.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::formats::disco::{Address, DiscoSource, Instance};
use crate::model::discovery::StagedDiscovery;
use crate::model::package::{Origin, PackageKey};
use crate::time::Timestamp;

/// What one finder said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownDiscovery {
    /// Who found it.
    pub source: DiscoSource,
    /// Which of them.
    pub origin: Origin,
    /// The package that says so.
    #[serde(skip)]
    pub package: PackageKey,
    /// When it was seen.
    pub seen: Timestamp,
    /// Type of the device.
    pub device_type: String,
    /// Where the device is reached, ascending.
    pub addresses: Vec<ShownAddress>,
    /// What stands on it, ascending by type, name and port.
    pub services: Vec<ShownService>,
    /// Addresses and services that were over a limit and are not shown.
    pub left_out: u32,
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownAddress {
    /// `IPv4` or `IPv6`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The address.
    pub value: String,
    /// Hardware address of its adapter; empty when not known.
    pub mac: String,
    /// Its network; empty when not known.
    pub subnet: String,
}

/// A service on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownService {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub port: Option<u16>,
    /// Its version; empty when not known.
    pub version: String,
    /// Its state; empty when not known.
    pub state: String,
    /// What it offers.
    pub instances: Vec<Instance>,
}

/// The newest of each origin and source, the one that was seen last in front; those that were seen at one time come by
/// source and origin. The order of `discoveries`, which may be those of several records of the device, does not show.
pub fn discovery<'d>(discoveries: impl Iterator<Item = &'d StagedDiscovery>) -> Vec<ShownDiscovery> {
    let mut newest: BTreeMap<(DiscoSource, &Origin), &StagedDiscovery> = BTreeMap::new();
    for one in discoveries {
        let known = newest.entry((one.source, &one.package.origin)).or_insert(one);
        if (one.effective, &one.package) > (known.effective, &known.package) {
            *known = one;
        }
    }
    let mut shown: Vec<ShownDiscovery> = newest.into_values().map(ShownDiscovery::from).collect();
    shown.sort_by_key(|one| Reverse(one.seen)); // stable: equal ones stay by source and origin
    shown
}

impl From<&StagedDiscovery> for ShownDiscovery {
    fn from(staged: &StagedDiscovery) -> ShownDiscovery {
        let services = staged.services.iter().map(|service| ShownService {
            kind: service.kind.clone(),
            name: service.name.clone(),
            port: service.port,
            version: service.version.clone(),
            state: service.state.clone(),
            instances: service.instances.clone(),
        });
        ShownDiscovery {
            source: staged.source,
            origin: staged.package.origin.clone(),
            package: staged.package.clone(),
            seen: staged.effective,
            device_type: staged.device_type.clone(),
            addresses: staged.addresses.iter().map(ShownAddress::from).collect(),
            services: services.collect(),
            left_out: staged.left_out,
        }
    }
}

impl From<&Address> for ShownAddress {
    fn from(address: &Address) -> ShownAddress {
        ShownAddress {
            kind: if address.value.is_ipv4() { "IPv4" } else { "IPv6" },
            value: address.value.to_string(),
            mac: address.mac.clone(),
            subnet: address.subnet.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::disco::Disco;
    use crate::id::Digest;
    use crate::model::discovery::own_device;
    use crate::model::package::Kind;

    const EXAMPLE: &str = include_str!("../../../tests/golden/formats/web07.disco");

    fn staged(origin: &str, source: DiscoSource, effective: i64) -> StagedDiscovery {
        let (mut disco, _) = Disco::read(EXAMPLE.as_bytes()).unwrap();
        let device = own_device(&disco).unwrap().clone();
        disco.source = source;
        let package = PackageKey {
            origin: Origin(origin.into()),
            kind: Kind::Discovery,
            digest: Digest::of(effective.to_string().as_bytes()),
        };
        StagedDiscovery::of(&disco, &device, package, Timestamp(effective))
    }

    #[test]
    fn a_device_shows_its_services_where_they_are_and_when_they_were_seen() {
        let staged = staged("web07", DiscoSource::Agent, 1_741_922_122_000);
        let shown = discovery([&staged].into_iter());
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{
                "source": "agent",
                "origin": "web07",
                "seen": 1_741_922_122_000i64,
                "device_type": "Computer",
                "addresses": [{"type": "IPv4", "value": "10.20.4.17", "mac": "02:1f:5a:00:12:9c", "subnet": ""}],
                "services": [{
                    "type": "OracleListener",
                    "name": "LISTENER",
                    "port": 1521,
                    "version": "19.3",
                    "state": "",
                    "instances": [{"name": "SALES", "status": "READY"}],
                }],
                "left_out": 0,
            }])
        );
        assert_eq!(shown[0].package, staged.package);
    }

    #[test]
    fn the_newest_of_each_finder_is_shown_the_last_seen_in_front() {
        let all = [
            staged("a", DiscoSource::Agent, 3),
            staged("scan", DiscoSource::Network, 9),
            staged("a", DiscoSource::Agent, 7),
            staged("b", DiscoSource::Agent, 7),
            staged("a", DiscoSource::Network, 1),
            staged("a", DiscoSource::Agent, 5),
        ];
        let of = |list: Vec<&StagedDiscovery>| -> Vec<(String, DiscoSource, i64)> {
            let shown = discovery(list.into_iter());
            shown.into_iter().map(|one| (one.origin.to_string(), one.source, one.seen.0)).collect()
        };
        let expected = [
            ("scan".into(), DiscoSource::Network, 9),
            ("a".into(), DiscoSource::Agent, 7),
            ("b".into(), DiscoSource::Agent, 7),
            ("a".into(), DiscoSource::Network, 1),
        ];
        assert_eq!(of(all.iter().collect()), expected);
        assert_eq!(of(all.iter().rev().collect()), expected);
        assert_eq!(of(vec![]), []);
    }
}
