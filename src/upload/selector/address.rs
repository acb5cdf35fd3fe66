//! Addresses as the selector compares them.

use std::net::IpAddr;

/// One address of the device with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    address: IpAddr,
    prefix_bits: u8,
}

/// Bits in front of an IPv4 address that is written as IPv6.
const MAPPED_BITS: u8 = 96;

impl Interface {
    /// An address with its prefix length in bits. An IPv4-mapped address counts as IPv4, with 96 bits off its prefix;
    /// a prefix that is longer than the address, or ends before the mapped one begins, stands for the address alone.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Interface {
        let canonical = address.to_canonical();
        let bits = bits(canonical);
        let prefix_bits = if canonical == address { Some(prefix_bits) } else { prefix_bits.checked_sub(MAPPED_BITS) };
        Interface { address: canonical, prefix_bits: prefix_bits.filter(|prefix| *prefix <= bits).unwrap_or(bits) }
    }

    /// The address; IPv4 when it was IPv4-mapped.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Length of its network's prefix: at most 32 or 128 bits.
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Whether `address` stands in the network: both are masked with the prefix. Families never match each other.
    pub fn contains(self, address: IpAddr) -> bool {
        common_bits(self.address, address).is_some_and(|common| common >= self.prefix_bits)
    }
}

/// How many bits two addresses have in common from the left; `None` when they are of different families.
pub(super) fn common_bits(a: IpAddr, b: IpAddr) -> Option<u8> {
    let zeros = match (a.to_canonical(), b.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    u8::try_from(zeros).ok()
}

/// Whether an address says where a machine stands: a link-local IPv6 address is the same on every link, and the
/// unspecified one is nobody's.
pub(super) fn tells_place(address: IpAddr) -> bool {
    let is_link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    !is_link_local && !address.is_unspecified()
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_found_by_masking_not_by_its_written_address() {
        let device = Interface::new(ip("172.16.34.53"), 21);
        for inside in ["172.16.32.0", "172.16.34.40", "172.16.39.255", "::ffff:172.16.34.40"] {
            assert!(device.contains(ip(inside)), "{inside}");
        }
        for outside in ["172.16.40.0", "172.16.31.255", "169.15.13.12", "2001:db8::1", "::172.16.34.40"] {
            assert!(!device.contains(ip(outside)), "{outside}");
        }
        let device = Interface::new(ip("2001:db8:0:20::35"), 59);
        assert!(device.contains(ip("2001:db8:0:3f:ffff::1")) && !device.contains(ip("2001:db8:0:40::1")));
    }

    #[test]
    fn prefixes_at_and_past_their_ends_are_taken_for_what_they_can_mean() {
        for (address, prefix, taken) in [
            ("10.0.0.1", 0, 0),
            ("10.0.0.1", 32, 32),
            ("10.0.0.1", 33, 32),
            ("10.0.0.1", 255, 32),
            ("2001:db8::1", 128, 128),
            ("2001:db8::1", 129, 128),
            ("::ffff:10.0.0.1", 120, 24),
            ("::ffff:10.0.0.1", 96, 0),
            ("::ffff:10.0.0.1", 95, 32),
            ("::ffff:10.0.0.1", 200, 32),
        ] {
            assert_eq!(Interface::new(ip(address), prefix).prefix_bits(), taken, "{address}/{prefix}");
        }
        assert!(Interface::new(ip("10.0.0.1"), 0).contains(ip("203.0.113.9")));
        assert!(!Interface::new(ip("10.0.0.1"), 0).contains(ip("2001:db8::1")));
    }

    #[test]
    fn bits_in_common_are_counted_from_the_left_within_a_family() {
        for (a, b, common) in [
            ("123.3.45.44", "123.3.45.32", Some(28)),
            ("123.3.45.44", "123.5.45.56", Some(13)),
            ("10.0.0.1", "10.0.0.1", Some(32)),
            ("10.0.0.1", "138.0.0.1", Some(0)),
            ("2001:db8::1", "2001:db8:8000::1", Some(32)),
            ("::ffff:10.0.0.1", "10.0.0.3", Some(30)),
            ("10.0.0.1", "2001:db8::1", None),
        ] {
            assert_eq!(common_bits(ip(a), ip(b)), common, "{a} {b}");
            assert_eq!(common_bits(ip(b), ip(a)), common, "{b} {a}");
        }
    }

    #[test]
    fn addresses_that_are_the_same_everywhere_tell_no_place() {
        for (address, tells) in [
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", true),
            ("::", false),
            ("0.0.0.0", false),
            ("::1", true),
        ] {
            assert_eq!(tells_place(ip(address)), tells, "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_stands_in_its_own_network_and_two_of_one_network_share_its_prefix(
            a: IpAddr, b: IpAddr, prefix: u8
        ) {
            let network = Interface::new(a, prefix);
            prop_assert!(network.contains(a));
            if network.contains(b) {
                prop_assert!(common_bits(a, b).unwrap() >= network.prefix_bits());
                prop_assert!(Interface::new(b.to_canonical(), network.prefix_bits()).contains(a));
            }
        }
    }
}
