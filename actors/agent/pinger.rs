//! Measures how far away servers are: three connections to each, none of which carries anything.
//!
//! A connection and its answer are one round trip, need no rights beyond those of an upload, pass wherever an upload
//! passes, and cost a server next to nothing. What lies between is not counted, so `maxHops` never excludes.
//! Source: `agent-beacon-batch` reference, section 3.3, MgsPing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use muster::roles::agent::{AgentServer, ServerNumber};
use muster::upload::selector::{MEASURES_AT_ONCE, Ping, Probe};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::uploader::Pending;
use crate::clock::SharedClock;

/// Pings of one server.
const PINGS: usize = 3;
/// Longest wait for each, and for the address of a name.
const PING_TIME: Duration = Duration::from_secs(3);
/// After so long with no answer at all a server with several silent addresses gets no further ping.
const SILENCE_TIME: Duration = Duration::from_secs(12);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Measures servers.
pub trait MeasureServers: Send + Sync {
    /// Measures each of `servers`; the answers come together.
    fn measure(&self, servers: Vec<(ServerNumber, AgentServer)>) -> Pending<Vec<(ServerNumber, Probe)>>;
}

/// Measures over TCP.
pub struct Pinger {
    clock: SharedClock,
}

impl Pinger {
    /// A pinger whose probes are stamped by `clock`.
    pub fn new(clock: SharedClock) -> Pinger {
        Pinger { clock }
    }
}

impl MeasureServers for Pinger {
    fn measure(&self, servers: Vec<(ServerNumber, AgentServer)>) -> Pending<Vec<(ServerNumber, Probe)>> {
        let clock = self.clock.clone();
        Box::pin(async move {
            let mut pinging = JoinSet::new();
            let permits = Arc::new(tokio::sync::Semaphore::new(MEASURES_AT_ONCE));
            for (number, server) in servers {
                let (clock, permits) = (clock.clone(), permits.clone());
                pinging.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let (ping, addresses) = probe(&server.host, server.port).await;
                    (number, Probe { at: clock.now(), ping, addresses })
                });
            }
            let mut probes = pinging.join_all().await;
            probes.sort_by_key(|(number, _)| *number);
            probes
        })
    }
}

async fn probe(host: &str, port: u16) -> (Ping, Vec<IpAddr>) {
    let resolved = timeout(PING_TIME, lookup_host((host, port))).await;
    let Ok(Ok(resolved)) = resolved else { return (Ping::Unreachable, Vec::new()) };
    let sockets: Vec<SocketAddr> = resolved.take(ADDRESSES_MAX).collect();
    let shortest = pings(&sockets, TcpStream::connect).await;
    let reached = |time: Duration| Ping::Reached {
        round_trip_ms: u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
        hops: None,
    };
    (shortest.map_or(Ping::Unreachable, reached), sockets.iter().map(SocketAddr::ip).collect())
}

/// The shortest of three pings; one that is lost on its way is not the whole answer.
async fn pings<C>(sockets: &[SocketAddr], connect: impl Fn(SocketAddr) -> C) -> Option<Duration>
where
    C: Future<Output = io::Result<TcpStream>>,
{
    let first = Instant::now();
    let mut shortest: Option<Duration> = None;
    for _ in 0..PINGS {
        for &socket in sockets {
            if shortest.is_none() && first.elapsed() >= SILENCE_TIME {
                return None;
            }
            let began = Instant::now();
            if let Ok(Ok(_)) = timeout(PING_TIME, connect(socket)).await {
                shortest = Some(shortest.map_or(began.elapsed(), |known| known.min(began.elapsed())));
                break;
            }
        }
    }
    shortest
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use muster::id::Guid;

    use super::*;
    use crate::clock::WallClock;

    fn server(number: u16, host: &str, port: u16) -> (ServerNumber, AgentServer) {
        let (upload, download) = (String::new(), String::new());
        (ServerNumber(number), AgentServer { id: Guid::NIL, upload, download, host: host.into(), port })
    }

    #[actix::test]
    async fn one_ping_that_is_lost_makes_no_server_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tries = Cell::new(0);
        let lossy = |socket: SocketAddr| {
            tries.set(tries.get() + 1);
            let is_lost = tries.get() < PINGS;
            async move {
                match is_lost {
                    true => Err(io::ErrorKind::TimedOut.into()),
                    false => TcpStream::connect(socket).await,
                }
            }
        };
        assert!(pings(&[listener.local_addr().unwrap()], lossy).await.is_some());
        assert_eq!(tries.get(), PINGS);
        tries.set(0);
        let dead = |_: SocketAddr| {
            tries.set(tries.get() + 1);
            async { Err(io::ErrorKind::ConnectionRefused.into()) }
        };
        assert_eq!((pings(&[listener.local_addr().unwrap(); 2], dead).await, tries.get()), (None, 2 * PINGS));
    }

    #[actix::test]
    async fn who_listens_is_reached_by_name_and_address_and_who_does_not_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let pinger = Pinger::new(Arc::new(WallClock));
        let servers = vec![
            server(3, "127.0.0.1", port),
            server(1, "localhost", port),
            server(2, "127.0.0.1", closed),
            server(0, "no.such.name.invalid", 1),
        ];
        let probes = pinger.measure(servers).await;
        let numbers: Vec<u16> = probes.iter().map(|(number, _)| number.0).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let is_reached: Vec<bool> =
            probes.iter().map(|(_, probe)| matches!(probe.ping, Ping::Reached { hops: None, .. })).collect();
        assert_eq!(is_reached, [false, true, false, true]);
        assert_eq!(probes[3].1.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(probes[0].1.addresses.is_empty());
    }
}
