//! What was measured of the servers, and whose measurement is due.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use crate::formats::failover::{ENTRIES_MAX, Failover, Server};
use crate::id::Guid;
use crate::time::{HOUR_MS, Timestamp};

/// Servers that may be measured at once. Source: section 3.3, MgsPing.
pub const MEASURES_AT_ONCE: usize = 50;
/// A measurement of this age is made again. Source: delivery contract, section 5, failover.
pub(super) const MEASURE_AGE_MS: i64 = HOUR_MS;
/// Smaller transfers tell the latency, not the throughput. Source: section 3.3, MgsBandwidth.
const TRANSFER_BYTES_MIN: u64 = 64 << 10;
/// Servers that are remembered: a list and the one before it.
const MEASURES_MAX: usize = 2 * ENTRIES_MAX;
/// Addresses of one server that are looked at.
const ADDRESSES_MAX: usize = 16;

/// How a server answered to pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ping {
    /// It answered.
    Reached {
        /// Shortest round trip in milliseconds. Whole ones: what differs by less is a matter of chance.
        round_trip_ms: u32,
        /// Network segments on the way, 1 for the same one; `None` when the caller cannot tell.
        hops: Option<u8>,
    },
    /// None of three pings was answered within three seconds.
    Unreachable,
}

/// One measurement of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it was made.
    pub at: Timestamp,
    /// How the server answered.
    pub ping: Ping,
    /// The addresses of its host; empty when the name could not be resolved. The first 16 are looked at.
    pub addresses: Vec<IpAddr>,
}

/// A moving average of the throughput of past transfers, without any traffic of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    bytes_per_s: Option<u64>,
}

impl Throughput {
    /// A transfer of `bytes` took `ms` milliseconds; one of less than 64 KiB is left out of the average. The newest
    /// transfer counts a quarter.
    pub fn transferred(&mut self, bytes: u64, ms: i64) {
        if bytes < TRANSFER_BYTES_MIN {
            return;
        }
        let ms = u64::try_from(ms).unwrap_or(0).max(1);
        let newest = bytes.saturating_mul(1_000) / ms;
        self.bytes_per_s = Some(match self.bytes_per_s {
            // Each step shrinks first, so that no sum can pass the end.
            Some(average) => average - average / 4 + newest / 4,
            None => newest,
        });
    }

    /// The average in KB/s (1,000 bytes a second), `None` before the first transfer.
    pub fn kb_per_s(self) -> Option<u64> {
        self.bytes_per_s.map(|bytes| bytes / 1_000)
    }
}

/// Everything that is remembered of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Its last measurement; `None` when it was never measured.
    pub probe: Option<Probe>,
    /// What its transfers showed.
    pub throughput: Throughput,
}

impl Measured {
    /// The resolved addresses that are looked at.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        let addresses = self.probe.as_ref().map_or(&[][..], |probe| &probe.addresses);
        &addresses[..addresses.len().min(ADDRESSES_MAX)]
    }
}

/// What is remembered of the servers, by id: at most two thousand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measures(BTreeMap<Guid, Measured>);

impl Measures {
    /// What is remembered of `server`.
    pub fn get(&self, server: Guid) -> Option<&Measured> {
        self.0.get(&server)
    }

    /// A server was measured.
    pub fn probed(&mut self, server: Guid, probe: Probe) {
        self.change(server, |measured| measured.probe = Some(probe));
    }

    /// A transfer to or from a server ended well; see [`Throughput::transferred`].
    pub fn transferred(&mut self, server: Guid, bytes: u64, ms: i64) {
        self.change(server, |measured| measured.throughput.transferred(bytes, ms));
    }

    /// The device is in another network: what was pinged from the old one tells nothing. What was transferred stays, until
    /// transfers tell otherwise.
    pub fn forget_probes(&mut self) {
        self.0.values_mut().for_each(|measured| measured.probe = None);
    }

    /// Forgets every server that is not in the list.
    pub fn keep_only(&mut self, servers: &[Server]) {
        self.0.retain(|id, _| servers.iter().any(|server| server.id == *id));
    }

    fn change(&mut self, server: Guid, change: impl FnOnce(&mut Measured)) {
        if self.0.contains_key(&server) || self.0.len() < MEASURES_MAX {
            change(self.0.entry(server).or_default());
        }
    }
}

/// The servers to measure now: those that were never measured in the order of the list, then the longest ago, at most
/// 50. Measured an hour ago is measured too long ago, and so is measured in the future, by a clock that was set back.
/// Nobody is measured when no call of the chain looks at pings or addresses, nor a server with a priority of its own.
///
/// Source: section 3.3, MgsPing; delivery contract, section 5, failover.
pub fn to_measure(settings: &Failover, servers: &[Server], measures: &Measures, now: Timestamp) -> Vec<Guid> {
    // Where the device runs changes what a finding says, not which calls are applied.
    let (chain, _) = Chain::read(&settings.selector, false);
    if !chain.needs_probes() {
        return Vec::new();
    }
    let is_due = |at: Timestamp| at > now || now.ms_since(at) >= MEASURE_AGE_MS;
    let mut due: Vec<(Option<Timestamp>, Guid)> = (servers.iter().take(ENTRIES_MAX))
        .filter(|server| server.auto_priority)
        .map(|server| (measures.get(server.id).and_then(|known| known.probe.as_ref()).map(|probe| probe.at), server.id))
        .filter(|(at, _)| at.is_none_or(is_due))
        .collect();
    due.sort_by_key(|(at, _)| *at);
    due.into_iter().take(MEASURES_AT_ONCE).map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{list, settings};
    use super::*;

    fn probe(at: Timestamp) -> Probe {
        Probe { at, ping: Ping::Unreachable, addresses: Vec::new() }
    }

    #[test]
    fn the_throughput_is_a_moving_average_of_transfers_that_are_large_enough() {
        let mut throughput = Throughput::default();
        throughput.transferred((64 << 10) - 1, 1);
        assert_eq!(throughput.kb_per_s(), None);
        throughput.transferred(64 << 10, 64);
        assert_eq!(throughput.kb_per_s(), Some(1_024));
        throughput.transferred(1_000_000, 5_000);
        assert_eq!(throughput.kb_per_s(), Some((1_024 * 3 + 200) / 4));
        (0..50).for_each(|_| throughput.transferred(1_000_000, 5_000));
        assert_eq!(throughput.kb_per_s(), Some(200));
    }

    #[test]
    fn no_clock_and_no_size_breaks_the_average() {
        let mut throughput = Throughput::default();
        for (bytes, ms) in [(u64::MAX, 0), (u64::MAX, -1), (u64::MAX, i64::MIN), (1 << 20, i64::MAX), (u64::MAX, 1)] {
            throughput.transferred(bytes, ms);
        }
        assert!(throughput.kb_per_s().is_some());
    }

    #[test]
    fn the_measures_are_read_back_as_they_were_written() {
        let servers = list(&["a", "b"]);
        let mut measures = Measures::default();
        let ping = Ping::Reached { round_trip_ms: 3, hops: Some(1) };
        let addresses = vec!["2001:db8::1".parse().unwrap()];
        measures.probed(servers[0].id, Probe { at: Timestamp(7), ping, addresses });
        measures.transferred(servers[1].id, 1 << 20, 100);
        let text = serde_json::to_string(&measures).unwrap();
        assert_eq!(serde_json::from_str::<Measures>(&text).unwrap(), measures);
        let bytes = rmp_serde::to_vec(&measures).unwrap();
        assert_eq!(rmp_serde::from_slice::<Measures>(&bytes).unwrap(), measures);
    }

    #[test]
    fn a_server_is_measured_at_first_and_then_not_within_the_hour() {
        let servers = list(&["a", "b", "c"]);
        let [a, b, c] = [servers[0].id, servers[1].id, servers[2].id];
        let settings = settings("MgsPing");
        let mut measures = Measures::default();
        assert_eq!(to_measure(&settings, &servers, &measures, Timestamp(0)), [a, b, c]);
        measures.probed(a, probe(Timestamp(9)));
        measures.probed(b, probe(Timestamp(5)));
        assert_eq!(to_measure(&settings, &servers, &measures, Timestamp(HOUR_MS + 4)), [c]);
        assert_eq!(to_measure(&settings, &servers, &measures, Timestamp(HOUR_MS + 5)), [c, b]);
        assert_eq!(to_measure(&settings, &servers, &measures, Timestamp(HOUR_MS + 9)), [c, b, a]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_leave_a_measurement_valid_for_ever() {
        let servers = list(&["a"]);
        let mut measures = Measures::default();
        measures.probed(servers[0].id, probe(Timestamp::NEVER));
        assert_eq!(to_measure(&settings("MgsPing"), &servers, &measures, Timestamp(0)), [servers[0].id]);
    }

    #[test]
    fn a_throughput_alone_is_no_measurement() {
        let servers = list(&["a"]);
        let mut measures = Measures::default();
        measures.transferred(servers[0].id, 1 << 20, 100);
        assert_eq!(to_measure(&settings("MgsPing"), &servers, &measures, Timestamp(0)), [servers[0].id]);
    }

    #[test]
    fn at_most_fifty_are_measured_at_once_and_all_in_turn() {
        let names: Vec<String> = (0..120).map(|number| format!("b{number}")).collect();
        let servers = list(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let (settings, mut measures, mut rounds) = (settings("MgsPing"), Measures::default(), Vec::new());
        loop {
            let due = to_measure(&settings, &servers, &measures, Timestamp(1));
            if due.is_empty() {
                break;
            }
            rounds.push(due.len());
            due.into_iter().for_each(|id| measures.probed(id, probe(Timestamp(1))));
        }
        assert_eq!(rounds, [50, 50, 20]);
    }

    #[test]
    fn nobody_is_pinged_when_the_chain_looks_at_no_ping_and_no_address() {
        let mut servers = list(&["a", "b"]);
        servers[1].auto_priority = false;
        for (chain, wanted) in [
            ("", 1),
            ("MgsPing", 1),
            ("MgsSubnetMatch", 1),
            ("MgsIPMatch", 1),
            ("MgsRandom;MgsBandwidth;MgsSiteMatch;MgsNameMatch;MgsDomainMatch", 0),
            ("MgsPing(wrong)", 0),
        ] {
            let due = to_measure(&settings(chain), &servers, &Measures::default(), Timestamp(0));
            assert_eq!(due.len(), wanted, "{chain}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_follows_the_list() {
        let mut measures = Measures::default();
        for number in 0..(MEASURES_MAX as u128 + 10) {
            // The first of them is the list's first server.
            measures.transferred(Guid::from_random(number.to_be_bytes()), 1 << 20, 100);
        }
        assert_eq!(measures.0.len(), MEASURES_MAX);
        let servers = list(&["a"]);
        measures.keep_only(&servers);
        assert_eq!(measures.0.keys().collect::<Vec<_>>(), [&servers[0].id]);
        measures.keep_only(&[]);
        assert_eq!(measures, Measures::default());
    }
}
