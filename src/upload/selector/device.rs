//! What a device knows of itself.

use std::net::IpAddr;

use super::address::{Interface, tells_place};

/// Interfaces of a device that are looked at; a host with many containers has hundreds that lead nowhere.
const INTERFACES_MAX: usize = 256;

/// What a device knows of itself, as far as servers are compared with it. What is not known is left empty: the
/// algorithms that need it then change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its addresses of both families; the first 256 that tell a place are looked at.
    pub interfaces: Vec<Interface>,
    /// Its name, with or without the domain.
    pub host_name: String,
    /// Its DNS domain.
    pub domain: String,
    /// Its configured site label.
    pub site: String,
    /// Whether it runs Windows; elsewhere some algorithms cannot be there.
    pub is_windows: bool,
}

impl Device {
    /// The interfaces whose addresses tell where the device stands.
    pub(super) fn places(&self) -> impl Iterator<Item = Interface> {
        self.interfaces.iter().copied().filter(|interface| tells_place(interface.address())).take(INTERFACES_MAX)
    }

    /// Labels of its full name from the right: `a.lab.example` gives `example`, `lab`, `a`. Empty when no domain is
    /// known.
    pub(super) fn labels_from_right(&self) -> Vec<&str> {
        let (name, domain) = (self.host_name.trim_end_matches('.'), self.domain.trim_matches('.'));
        let (short, own_domain) =
            if is_address(name) { (name, "") } else { name.split_once('.').unwrap_or((name, "")) };
        let domain = if domain.is_empty() { own_domain } else { domain };
        if domain.is_empty() {
            return Vec::new();
        }
        domain.rsplit('.').chain(std::iter::once(short)).filter(|label| !label.is_empty()).collect()
    }

    /// Its name without the domain.
    pub(super) fn short_name(&self) -> &str {
        computer_name(&self.host_name)
    }
}

/// The labels of a server's host from the right; none when it is an address.
pub(super) fn host_labels_from_right(host: &str) -> impl Iterator<Item = &str> {
    let host = if is_address(host) { "" } else { host.trim_end_matches('.') };
    host.rsplit('.').filter(|label| !label.is_empty())
}

/// The part of a host before the first dot; empty when it is an address.
pub(super) fn computer_name(host: &str) -> &str {
    if is_address(host) { "" } else { host.split('.').next().unwrap_or("") }
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_is_told_by_name_and_domain_in_any_split() {
        for (host_name, domain) in [
            ("a", "lab.example"),
            ("a.lab.example", ""),
            ("a.lab.example", "lab.example"),
            ("a.lab.example.", ".lab.example."),
        ] {
            let device = Device { host_name: host_name.into(), domain: domain.into(), ..Device::default() };
            assert_eq!(device.labels_from_right(), ["example", "lab", "a"], "{host_name} {domain}");
            assert_eq!(device.short_name(), "a");
        }
    }

    #[test]
    fn a_device_without_a_domain_has_no_labels_to_compare() {
        for (host_name, domain) in [("a", ""), ("", ""), ("a.", "."), ("...", ""), ("10.0.0.1", "")] {
            let device = Device { host_name: host_name.into(), domain: domain.into(), ..Device::default() };
            assert_eq!(device.labels_from_right(), [""; 0], "{host_name} {domain}");
        }
    }

    #[test]
    fn an_address_is_not_read_as_a_name() {
        assert_eq!(host_labels_from_right("10.0.0.1").count(), 0);
        assert_eq!(host_labels_from_right("2001:db8::1").count(), 0);
        assert_eq!((computer_name("10.0.0.1"), computer_name("b.lab.example")), ("", "b"));
        assert_eq!(host_labels_from_right("b.lab.example.").collect::<Vec<_>>(), ["example", "lab", "b"]);
    }
}
