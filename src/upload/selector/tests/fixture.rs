//! Lists, devices and measures in few words.

use std::net::IpAddr;

use super::super::*;
use crate::formats::failover::{Failover, Password, Protocol, Server};
use crate::rng::RngStream;
use crate::time::Timestamp;

/// Settings with this chain, and priorities from 1 to 100.
pub(in super::super) fn settings(chain: &str) -> Failover {
    let text = format!(
        "[ManageSoft\\NetSelector\\CurrentVersion]\nSelectorAlgorithm={chain}\n\
         [ManageSoft\\Common\\UploadSettings\\{{00000000-0000-4000-8000-000000000001}}]\n\
         Protocol=http\nHost=b\nPort=1\nDirectory=D\n"
    );
    let (settings, findings) = Failover::read(text.as_bytes()).unwrap();
    assert_eq!(findings, [], "{chain}");
    settings
}

/// One automatic server for each host, without priorities and sites.
pub(in super::super) fn list(hosts: &[&str]) -> Vec<Server> {
    let server = |(number, host): (usize, &&str)| Server {
        id: format!("00000000-0000-4000-8000-{number:012}").parse().unwrap(),
        protocol: Protocol::Http,
        host: (*host).into(),
        port: 7082,
        directory: "ManageSoftRL".into(),
        name: String::new(),
        user: String::new(),
        password: Password::default(),
        proxy: String::new(),
        auto_priority: true,
        priority: None,
        site: String::new(),
    };
    hosts.iter().enumerate().map(server).collect()
}

/// A device with these addresses and nothing else.
pub(super) fn device_at(interfaces: &[(&str, u8)]) -> Device {
    let interface = |(address, prefix): &(&str, u8)| Interface::new(address.parse().unwrap(), *prefix);
    Device { interfaces: interfaces.iter().map(interface).collect(), ..Device::default() }
}

/// A server was measured: its round trip in milliseconds and hops (`None` when it did not answer), and its addresses.
pub(super) fn probe(measures: &mut Measures, server: &Server, answer: Option<(u32, u8)>, addresses: &[&str]) {
    let ping = match answer {
        Some((round_trip_ms, hops)) => Ping::Reached { round_trip_ms, hops: Some(hops) },
        None => Ping::Unreachable,
    };
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    measures.probed(server.id, Probe { at: Timestamp(0), ping, addresses });
}

/// The stream of the agent under test.
pub(super) fn rng() -> RngStream {
    RngStream::new(7, 7, 0)
}

/// Hosts in the order in which they are tried, up to their first dot.
pub(super) fn tried(order: &Order, servers: &[Server]) -> Vec<String> {
    let short = |choice: &Choice| servers[usize::from(choice.server)].host.split('.').next().unwrap().to_owned();
    order.choices.iter().map(short).collect()
}

/// The priority of every server in the order of the list; `None` for those that are not used.
pub(super) fn priorities(order: &Order, servers: &[Server]) -> Vec<Option<u32>> {
    let of = |server: &Server| order.choices.iter().find(|choice| choice.id == server.id).map(|choice| choice.priority);
    servers.iter().map(of).collect()
}
