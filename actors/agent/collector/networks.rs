//! IP addresses of the running system's adapters, and the element they are reported in; the same on every platform.

#[cfg(target_os = "linux")]
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::record::HardwareObject;

/// An IP address with the length of its network's prefix.
pub type Network = (IpAddr, u8);

/// One adapter; addresses IPv4 before IPv6, each ascending. The subnet of IPv4 is a mask, of IPv6 the prefix length.
pub fn object(name: &str, mac: &str, mut networks: Vec<Network>, dns_name: &str) -> HardwareObject {
    networks.sort_unstable();
    networks.dedup();
    let list = |text: fn(&Network) -> String| networks.iter().map(text).collect::<Vec<_>>().join(";");
    let has_mac = mac.bytes().any(|byte| !matches!(byte, b'0' | b':'));
    HardwareObject::new("MGS_NetworkAdapterConfiguration", name, "os")
        .with("MACAddress", if has_mac { mac } else { "" })
        .with("IPAddress", list(|(address, _)| address.to_string()))
        .with("IPSubnet", list(|(address, prefix)| subnet(*address, *prefix)))
        .with("DNSHostName", dns_name)
}

fn subnet(address: IpAddr, prefix: u8) -> String {
    match address {
        IpAddr::V4(_) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            std::net::Ipv4Addr::from(mask).to_string()
        }
        IpAddr::V6(_) => prefix.to_string(),
    }
}

/// The addresses the kernel has, by adapter.
#[cfg(target_os = "linux")]
pub fn live_networks() -> BTreeMap<String, Vec<Network>> {
    let networks = sysinfo::Networks::new_with_refreshed_list();
    networks
        .iter()
        .map(|(name, data)| (name.clone(), data.ip_networks().iter().map(|net| (net.addr, net.prefix)).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_listed_in_order_with_their_subnets() {
        let networks = ["fd00::2/64", "10.20.4.17/22", "10.20.4.3/32"].map(|text| {
            let (address, prefix) = text.split_once('/').unwrap();
            (address.parse().unwrap(), prefix.parse().unwrap())
        });
        let adapter = object("eth0", "02:1f:5a:00:12:9c", networks.to_vec(), "web07");
        assert_eq!(adapter.value("IPAddress"), "10.20.4.3;10.20.4.17;fd00::2");
        assert_eq!(adapter.value("IPSubnet"), "255.255.255.255;255.255.252.0;64");
        assert_eq!(adapter.value("MACAddress"), "02:1f:5a:00:12:9c");
        assert_eq!(subnet("0.0.0.0".parse().unwrap(), 0), "0.0.0.0");
        assert_eq!(object("tun0", "00:00:00:00:00:00", Vec::new(), "").properties, []);
    }
}
