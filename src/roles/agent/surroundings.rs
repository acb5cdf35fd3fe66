//! What an agent sees of its host from time to time, and what has happened in between.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::schedule::Happening;

/// One look at the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Addresses by which it may reach others: neither loopback nor link-local.
    pub addresses: BTreeSet<IpAddr>,
    /// Sessions of people, by the names the host has for them; no two of one boot are equal.
    pub sessions: BTreeSet<String>,
}

impl Surroundings {
    /// What happened from `before` to this look. A host connected when it has addresses and none of those it had: it was
    /// off the network, or is in another one. One more address is no connection.
    pub fn happened_since(&self, before: &Surroundings) -> Vec<Happening> {
        let mut happened = Vec::new();
        if !self.addresses.is_empty() && self.addresses.is_disjoint(&before.addresses) {
            happened.push(Happening::OnConnect);
        }
        if !self.sessions.is_subset(&before.sessions) {
            happened.push(Happening::Logon);
        }
        happened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(addresses: &[&str], sessions: &[&str]) -> Surroundings {
        Surroundings {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            sessions: sessions.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn only_a_network_that_was_not_there_is_a_connection_and_only_a_new_session_a_logon() {
        let home = around(&["192.168.1.7", "2001:db8::7"], &["3"]);
        for (now, wanted) in [
            (home.clone(), vec![]),
            (around(&["192.168.1.7"], &["3"]), vec![]),
            (around(&["192.168.1.7", "2001:db8::7", "10.8.0.2"], &["3"]), vec![]),
            (around(&[], &[]), vec![]),
            (around(&["10.20.4.17"], &["3"]), vec![Happening::OnConnect]),
            (around(&["192.168.1.7"], &["3", "c1"]), vec![Happening::Logon]),
            (around(&["192.168.1.7"], &["4"]), vec![Happening::Logon]),
            (around(&["fd00::9"], &["4"]), vec![Happening::OnConnect, Happening::Logon]),
        ] {
            assert_eq!(now.happened_since(&home), wanted, "{now:?}");
        }
        let offline = around(&[], &["3"]);
        assert_eq!(home.happened_since(&offline), [Happening::OnConnect]);
        assert_eq!(offline.happened_since(&around(&[], &[])), [Happening::Logon]);
    }
}
