//! What is kept of a discovery file for the device it speaks of, and which file counts when there are several.
//!
//! Discovery goes to the devices, not to the inventory: it adds services and addresses to a device that inventory
//! made, and makes none by itself. Of each origin and source the newest file counts, by effective date.
//!
//! Source: operating document "Adopted: Normal Operation", step 9; `agent-beacon-batch` reference, section 6. Which
//! device of a file is meant, and the limits, are this project's.

use serde::{Deserialize, Serialize};

use super::package::{Origin, PackageKey};
use crate::formats::disco::{Address, Device, Disco, DiscoSource, Instance, Service};
use crate::time::Timestamp;

/// Discoveries kept of one device: origins that speak of it, three sources each. Beyond it the oldest goes.
pub const DISCOVERIES_MAX: usize = 8;
/// Addresses kept of one discovery.
pub const ADDRESSES_MAX: usize = 64;
/// Bytes kept of one discovery: about 200 services. All of a device stay within a stored value of 128 KB.
pub const BYTES_MAX: usize = 12 << 10;
/// Bytes that a text or number takes beside its own, so that empty ones are not free.
const OVERHEAD_BYTES: usize = 8;

/// A service as it is kept; its fields are those of [`Service`] without properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StagedService {
    /// Type.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Port.
    pub port: Option<u16>,
    /// Version.
    pub version: String,
    /// State.
    pub state: String,
    /// Instances, ascending.
    pub instances: Vec<Instance>,
}

impl StagedService {
    fn bytes(&self) -> usize {
        let instances = self.instances.iter().map(|one| one.name.len() + one.status.len() + OVERHEAD_BYTES);
        let texts = self.kind.len() + self.name.len() + self.version.len() + self.state.len();
        texts + instances.sum::<usize>() + 2 * OVERHEAD_BYTES
    }
}

/// What one file says of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedDiscovery {
    /// Who found it.
    pub source: DiscoSource,
    /// The package it came in; its origin tells the finder from others of the same source.
    pub package: PackageKey,
    /// The date it counts from.
    pub effective: Timestamp,
    /// Type of the device, as the finder says.
    pub device_type: String,
    /// Addresses, ascending.
    pub addresses: Vec<Address>,
    /// Services, ascending.
    pub services: Vec<StagedService>,
    /// Addresses and services that were over a limit.
    pub left_out: u32,
}

impl StagedDiscovery {
    /// What `device` of `disco` says; the package's origin and the effective date are the server's.
    pub fn of(disco: &Disco, device: &Device, package: PackageKey, effective: Timestamp) -> StagedDiscovery {
        let mut addresses = device.addresses.clone();
        addresses.sort();
        addresses.dedup();
        let mut services: Vec<StagedService> = device.services.iter().map(StagedService::from).collect();
        services.sort();
        services.dedup();
        let found = addresses.len() + services.len();
        let mut room = BYTES_MAX.saturating_sub(device.device_type.len());
        // What does not fit ends its list, so that what is kept is the beginning of it.
        let mut fits = |bytes: usize| match room.checked_sub(bytes) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        };
        let address_bytes = |one: &Address| one.mac.len() + one.subnet.len() + 3 * OVERHEAD_BYTES;
        let kept = addresses.iter().take(ADDRESSES_MAX).take_while(|one| fits(address_bytes(one))).count();
        addresses.truncate(kept);
        let kept = services.iter().take_while(|service| fits(service.bytes())).count();
        services.truncate(kept);
        StagedDiscovery {
            source: disco.source,
            package,
            effective,
            device_type: device.device_type.clone(),
            left_out: u32::try_from(found - addresses.len() - services.len()).unwrap_or(u32::MAX),
            addresses,
            services,
        }
    }

    /// Whose discovery it is: newer ones of the same finder replace it.
    fn finder(&self) -> (&Origin, DiscoSource) {
        (&self.package.origin, self.source)
    }

    /// Newer first; of two of one date the one whose package has the greater key, so that there is one answer.
    fn age(&self) -> (Timestamp, &PackageKey) {
        (self.effective, &self.package)
    }
}

impl From<&Service> for StagedService {
    fn from(service: &Service) -> StagedService {
        let mut instances = service.instances.clone();
        instances.sort();
        instances.dedup();
        StagedService {
            kind: service.kind.clone(),
            name: service.name.clone(),
            port: service.port,
            version: service.version.clone(),
            state: service.state.clone(),
            instances,
        }
    }
}

/// The device of an agent's file that is the agent's own machine: the one of its name, else the only one. `None` for
/// another source, since a scan does not speak of the machine that scans.
pub fn own_device(disco: &Disco) -> Option<&Device> {
    if disco.source != DiscoSource::Agent {
        return None;
    }
    let named = disco.devices.iter().find(|device| device.name.eq_ignore_ascii_case(&disco.machine_name));
    named.or(match &disco.devices[..] {
        [only] => Some(only),
        _ => None,
    })
}

/// The device of a file that `name` and `domain` mean, whoever found it: the names are equal without regard to ASCII
/// case, and so are the domains unless one of them is not known. An empty name means nothing.
pub fn device_named<'d>(disco: &'d Disco, name: &str, domain: &str) -> Option<&'d Device> {
    let same_domain =
        |device: &Device| domain.is_empty() || device.domain.is_empty() || device.domain.eq_ignore_ascii_case(domain);
    let is_meant = |device: &&Device| !name.is_empty() && device.name.eq_ignore_ascii_case(name) && same_domain(device);
    disco.devices.iter().find(is_meant)
}

/// The discoveries of one device, the newest of each origin and source, ascending by those. The order in which they
/// are staged does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Discoveries(Vec<StagedDiscovery>);

impl Discoveries {
    /// Takes `discovery` when it is newer than what its finder said before. A device of which more finders speak than
    /// are kept loses the oldest. Whether it is kept.
    pub fn stage(&mut self, discovery: StagedDiscovery) -> bool {
        let package = discovery.package.clone();
        match self.0.binary_search_by(|known| known.finder().cmp(&discovery.finder())) {
            Ok(place) if self.0[place].age() >= discovery.age() => return false,
            Ok(place) => self.0[place] = discovery,
            Err(place) => self.0.insert(place, discovery),
        }
        if self.0.len() > DISCOVERIES_MAX {
            let oldest = (0..self.0.len()).min_by(|&a, &b| self.0[a].age().cmp(&self.0[b].age()));
            oldest.map(|place| self.0.remove(place));
        }
        self.0.iter().any(|known| known.package == package)
    }

    /// The discoveries, ascending by origin and source.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &StagedDiscovery> {
        self.0.iter()
    }
}

impl FromIterator<StagedDiscovery> for Discoveries {
    fn from_iter<I: IntoIterator<Item = StagedDiscovery>>(list: I) -> Discoveries {
        let mut discoveries = Discoveries::default();
        for discovery in list {
            discoveries.stage(discovery);
        }
        discoveries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Digest;
    use crate::model::package::Kind;

    fn package(origin: &str, bytes: &str) -> PackageKey {
        PackageKey { origin: Origin(origin.into()), kind: Kind::Discovery, digest: Digest::of(bytes.as_bytes()) }
    }

    fn discovery(origin: &str, source: DiscoSource, effective: i64) -> StagedDiscovery {
        let disco = Disco { source, ..Disco::default() };
        let package = package(origin, &format!("{origin}{source}{effective}"));
        StagedDiscovery::of(&disco, &Device::default(), package, Timestamp(effective))
    }

    fn device(name: &str, domain: &str) -> Device {
        Device { name: name.into(), domain: domain.into(), ..Device::default() }
    }

    fn service(name: &str) -> Service {
        Service { kind: "PostgreSQL".into(), name: name.into(), port: Some(5432), ..Service::default() }
    }

    #[test]
    fn the_newest_of_each_origin_and_source_is_kept() {
        let mut kept = Discoveries::default();
        assert!(kept.stage(discovery("a", DiscoSource::Agent, 5)));
        assert!(kept.stage(discovery("b", DiscoSource::Agent, 1)));
        assert!(kept.stage(discovery("a", DiscoSource::Network, 2)));
        assert!(!kept.stage(discovery("a", DiscoSource::Agent, 4)));
        assert!(kept.stage(discovery("b", DiscoSource::Agent, 7)));
        assert!(!kept.stage(discovery("b", DiscoSource::Agent, 7)));
        let shown: Vec<_> = kept.iter().map(|one| (one.package.origin.as_str(), one.source, one.effective.0)).collect();
        assert_eq!(shown, [("a", DiscoSource::Agent, 5), ("a", DiscoSource::Network, 2), ("b", DiscoSource::Agent, 7)]);
    }

    #[test]
    fn a_device_of_which_too_many_speak_loses_the_oldest() {
        let all =
            || (0..DISCOVERIES_MAX as i64 + 5).map(|n| discovery(&format!("o{}", n * 7 % 37), DiscoSource::Ad, n));
        let mut kept: Discoveries = all().collect();
        assert_eq!((kept.iter().len(), kept.iter().map(|one| one.effective.0).min()), (DISCOVERIES_MAX, Some(5)));
        assert!(!kept.stage(discovery("late", DiscoSource::Ad, 1)));
        assert_eq!(kept.iter().len(), DISCOVERIES_MAX);
    }

    #[test]
    fn an_agents_own_device_is_the_one_of_its_name_or_the_only_one() {
        let disco = |source, names: &[&str]| Disco {
            source,
            machine_name: "web07".into(),
            devices: names.iter().map(|name| device(name, "")).collect(),
            ..Disco::default()
        };
        let own = |source, names: &[&str]| own_device(&disco(source, names)).map(|device| device.name.clone());
        assert_eq!(own(DiscoSource::Agent, &["other", "WEB07"]).as_deref(), Some("WEB07"));
        assert_eq!(own(DiscoSource::Agent, &["other"]).as_deref(), Some("other"));
        assert_eq!(own(DiscoSource::Agent, &["other", "third"]), None);
        assert_eq!(own(DiscoSource::Agent, &[]), None);
        assert_eq!(own(DiscoSource::Network, &["web07"]), None);
    }

    #[test]
    fn a_device_is_meant_by_its_name_and_not_by_that_of_another_domain() {
        let disco = Disco {
            devices: vec![device("", ""), device("web07", "a.example"), device("web07", "b.example"), device("db", "")],
            ..Disco::default()
        };
        let meant = |name, domain| device_named(&disco, name, domain).map(|device| device.domain.as_str());
        assert_eq!(meant("WEB07", "B.example"), Some("b.example"));
        assert_eq!(meant("web07", ""), Some("a.example"));
        assert_eq!(meant("web07", "c.example"), None);
        assert_eq!(meant("db", "c.example"), Some(""));
        assert_eq!(meant("", ""), None);
    }

    #[test]
    fn what_is_kept_is_in_order_each_once_and_bounded() {
        let address = |n: u32| Address { value: std::net::Ipv4Addr::from(n).into(), mac: "".into(), subnet: "".into() };
        let staged = |device: &Device| StagedDiscovery::of(&Disco::default(), device, package("a", ""), Timestamp(0));
        let some = Device {
            services: vec![service("b"), service("a"), service("b")],
            addresses: vec![address(2), address(1), address(2)],
            ..Device::default()
        };
        let kept = staged(&some);
        let names: Vec<_> = kept.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!((names, kept.addresses, kept.left_out), (vec!["a", "b"], vec![address(1), address(2)], 0));

        let many = Device {
            services: (0..1_000).map(|n| service(&format!("{n:0200}"))).collect(),
            addresses: (0..100).map(address).collect(),
            ..Device::default()
        };
        let kept = staged(&many);
        let room = BYTES_MAX - ADDRESSES_MAX * 3 * OVERHEAD_BYTES;
        assert_eq!(kept.addresses.len(), ADDRESSES_MAX);
        assert_eq!(kept.services.len(), room / (200 + "PostgreSQL".len() + 2 * OVERHEAD_BYTES));
        assert_eq!(kept.left_out as usize, 1_100 - kept.addresses.len() - kept.services.len());
    }

    #[test]
    fn all_discoveries_of_a_device_fit_a_stored_value_whatever_they_say() {
        let text = "\u{10ffff}".repeat(64);
        let value = |n: u128| std::net::Ipv6Addr::from(u128::MAX - n).into();
        let long = Device {
            device_type: text.clone(),
            addresses: (0..20).map(|n| Address { value: value(n), mac: text.clone(), subnet: text.clone() }).collect(),
            services: (0..1_000)
                .map(|n| Service {
                    port: Some(n),
                    instances: vec![Instance { name: n.to_string(), ..Instance::default() }; 2],
                    ..Service::default()
                })
                .collect(),
            ..Device::default()
        };
        for device in [&long, &Device { addresses: vec![], ..long.clone() }] {
            let staged =
                |n: usize| StagedDiscovery::of(&Disco::default(), device, package(&n.to_string(), ""), Timestamp(0));
            let kept: Discoveries = (0..DISCOVERIES_MAX).map(staged).collect();
            let bytes = rmp_serde::to_vec(&kept).unwrap().len();
            assert!((DISCOVERIES_MAX * 4_000..128_000).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn discoveries_survive_message_pack() {
        let kept: Discoveries =
            [discovery("a", DiscoSource::Agent, 5), discovery("b", DiscoSource::Ad, 1)].into_iter().collect();
        let bytes = rmp_serde::to_vec(&kept).unwrap();
        assert_eq!(rmp_serde::from_slice::<Discoveries>(&bytes).unwrap(), kept);
    }

    proptest! {
        #[test]
        fn the_order_of_staging_does_not_show(
            given in proptest::collection::vec((0..50u8, 0..3usize, 0..9i64), 0..120),
            turn in 0usize..120,
        ) {
            let mut list: Vec<_> = given
                .iter()
                .map(|&(origin, source, at)| discovery(&origin.to_string(), DiscoSource::ALL[source], at))
                .collect();
            let kept: Discoveries = list.clone().into_iter().collect();
            let turn = turn.min(list.len());
            list.rotate_left(turn);
            list.reverse();
            prop_assert_eq!(list.into_iter().collect::<Discoveries>(), kept);
        }
    }
}
