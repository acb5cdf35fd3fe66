//! What may be under way at once: half-read bodies, their bytes, uploads per origin, connections per address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hashbrown::HashMap;
use muster::config::node::LimitsSection;
use muster::formats::wire::Refusal;
use muster::model::package::Origin;
use muster::rng::RngStream;
use muster::time::{SECOND_MS, Timestamp};
use muster::upload::rates::{RateTable, Rates};
use muster::upload::spool::{Room, SpoolLimit};
use muster::upload::turns::Turns;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of one listener. Source: delivery contract, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Uploads per origin at its first hop.
    pub rates: Rates,
    /// Bodies that are being read at once.
    pub bodies: usize,
    /// Bytes of all bodies that are being read or synced.
    pub body_bytes: u64,
    /// Connections of one address that is not loopback.
    pub connections_per_address: usize,
    /// Most that this node holds.
    pub spool: SpoolLimit,
    /// How long a sender may take.
    pub times: IntakeTimes,
}

/// How long a sender may take. Source: delivery contract, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeTimes {
    /// For a request's head.
    pub head: Duration,
    /// Silence within a body.
    pub silence: Duration,
    /// For a body of no bytes at all; a longer one has a second more for each 64 KiB.
    pub body: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
}

/// Bytes that a sender must manage in one more second.
const BYTES_PER_SECOND: u64 = 64 << 10;

impl IntakeTimes {
    /// For a whole body of `length` bytes.
    pub fn whole(&self, length: u64) -> Duration {
        self.body + Duration::from_secs(length / BYTES_PER_SECOND)
    }
}

impl Default for IntakeTimes {
    fn default() -> IntakeTimes {
        let secs = Duration::from_secs;
        IntakeTimes { head: secs(10), silence: secs(15), body: secs(60), idle: secs(15) }
    }
}

impl Default for IntakeLimits {
    fn default() -> IntakeLimits {
        IntakeLimits {
            rates: Rates::default(),
            bodies: 512,
            body_bytes: 256 << 20,
            connections_per_address: 64,
            spool: SpoolLimit::default(),
            times: IntakeTimes::default(),
        }
    }
}

impl IntakeLimits {
    /// The limits that a configuration names.
    pub fn of(section: &LimitsSection) -> IntakeLimits {
        IntakeLimits {
            rates: Rates {
                uploads_per_hour: section.uploads_per_hour,
                burst: section.upload_burst,
                bytes_per_day: section.bytes_per_day,
            },
            bodies: section.bodies,
            body_bytes: section.body_bytes,
            connections_per_address: section.connections_per_address,
            spool: SpoolLimit::default(),
            times: IntakeTimes::default(),
        }
    }
}

/// Counters of what is under way, shared by all threads of a listener.
pub struct Gate {
    limits: IntakeLimits,
    bodies: Arc<Semaphore>,
    body_bytes: Arc<AtomicU64>,
    rates: Mutex<RateTable>,
    /// Uploads that were answered, for the rate at which this node serves.
    served: AtomicU64,
    /// When those come again that were not let in, and those for whom there was no room.
    turns: Mutex<Waits>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

struct Waits {
    busy: Turns,
    tight: Turns,
    rng: RngStream,
}

/// Bytes of one body that are kept in memory; given back when dropped.
pub struct BodyBytes {
    all: Arc<AtomicU64>,
    mine: u64,
    limit: u64,
    _permit: OwnedSemaphorePermit,
}

impl BodyBytes {
    /// Takes room for `more` bytes. Error: 503.
    pub fn grow(&mut self, more: u64) -> Result<(), Refusal> {
        if self.all.fetch_add(more, Ordering::Relaxed) + more > self.limit {
            self.all.fetch_sub(more, Ordering::Relaxed);
            return Err(busy("too many bytes are being received"));
        }
        self.mine += more;
        Ok(())
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// One connection of an address; counted until it is dropped.
pub struct Connection {
    address: Option<IpAddr>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// Whether the address had its share before this one.
    pub over: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut addresses = self.addresses.lock().expect("no holder of this lock panics");
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// Whole seconds of a `Retry-After`, 1 to 3,600.
fn to_secs(wait_ms: i64) -> u64 {
    (wait_ms.max(0) as u64).div_ceil(SECOND_MS as u64).clamp(1, 3_600)
}

fn busy(message: &str) -> Refusal {
    Refusal::new(503, "busy", message)
}

impl Gate {
    /// A gate with nothing under way. `rng` spreads the waits of those who are not let in: each node and each of its lives
    /// has its own.
    pub fn new(limits: IntakeLimits, rng: RngStream) -> Gate {
        Gate {
            limits,
            bodies: Arc::new(Semaphore::new(limits.bodies)),
            body_bytes: Arc::default(),
            rates: Mutex::new(RateTable::new(limits.rates)),
            served: AtomicU64::new(0),
            turns: Mutex::new(Waits { busy: Turns::default(), tight: Turns::default(), rng }),
            addresses: Arc::default(),
        }
    }

    /// How long a sender may take.
    pub fn times(&self) -> IntakeTimes {
        self.limits.times
    }

    /// Lets one body be read. Error: 503.
    pub fn body(&self) -> Result<BodyBytes, Refusal> {
        let permit =
            self.bodies.clone().try_acquire_owned().map_err(|_| busy("too many uploads are being received"))?;
        Ok(BodyBytes { all: self.body_bytes.clone(), mine: 0, limit: self.limits.body_bytes, _permit: permit })
    }

    /// An upload was served to its end.
    pub fn served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// After how many seconds a sender comes again that this node was too busy for.
    pub fn come_again_secs(&self, now: Timestamp) -> u64 {
        let mut waits = self.turns.lock().expect("no holder of this lock panics");
        let Waits { busy, rng, .. } = &mut *waits;
        to_secs(busy.come_again_ms(now, self.served.load(Ordering::Relaxed), rng))
    }

    /// Lets an upload in beside `held` packages of so many bytes; `released` have left this node since its start. Error:
    /// 503 with the seconds to wait, or 507.
    pub fn room(&self, now: Timestamp, held: (usize, u64), released: u64) -> Result<(), (Refusal, Option<u64>)> {
        match self.limits.spool.room(held.0 as u64, held.1) {
            Room::Free => Ok(()),
            Room::Tight => {
                let mut waits = self.turns.lock().expect("no holder of this lock panics");
                let Waits { tight, rng, .. } = &mut *waits;
                let secs = to_secs(tight.come_again_ms(now, released, rng));
                Err((Refusal::new(503, "spool", "this node holds nearly as much as it may"), Some(secs)))
            }
            Room::Full => Err((Refusal::new(507, "full", "this node holds as much as it may: try another one"), None)),
        }
    }

    /// Takes one upload of `bytes` from `origin`. Error: 429 and the seconds to wait.
    pub fn admit(&self, now: Timestamp, origin: &Origin, bytes: u64) -> Result<(), (Refusal, u64)> {
        let admitted = self.rates.lock().expect("no holder of this lock panics").admit(now, origin, bytes);
        admitted.map_err(|wait_ms| {
            let secs = to_secs(wait_ms);
            (Refusal::new(429, "rate", format!("this origin uploads too much: come again in {secs} s")), secs)
        })
    }

    /// Counts a connection from `address`; loopback is not counted.
    pub fn connected(&self, address: Option<IpAddr>) -> Connection {
        let address = address.filter(|address| !address.is_loopback());
        let mut over = false;
        if let Some(address) = address {
            let mut addresses = self.addresses.lock().expect("no holder of this lock panics");
            let count = addresses.entry(address).or_default();
            *count += 1;
            over = *count > self.limits.connections_per_address;
        }
        Connection { address, addresses: self.addresses.clone(), over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_their_bytes_are_bounded_and_given_back() {
        let gate =
            Gate::new(IntakeLimits { bodies: 2, body_bytes: 100, ..IntakeLimits::default() }, RngStream::new(1, 2, 3));
        let (mut first, second) = (gate.body().unwrap(), gate.body().unwrap());
        assert_eq!(gate.body().err().unwrap().status, 503);
        drop(second);
        let mut third = gate.body().unwrap();
        first.grow(60).unwrap();
        assert_eq!(third.grow(41).unwrap_err().status, 503);
        third.grow(40).unwrap();
        drop(first);
        third.grow(60).unwrap();
    }

    #[test]
    fn a_node_that_holds_nearly_all_it_may_spreads_senders_and_a_full_one_sends_them_away() {
        let spool = SpoolLimit { packages: 10, bytes: 0 };
        let gate = Gate::new(IntakeLimits { spool, ..IntakeLimits::default() }, RngStream::new(1, 2, 3));
        let now = Timestamp(1_750_000_000_000);
        assert!(gate.room(now, (8, 0), 0).is_ok());
        let waits: Vec<u64> = (0..100).map(|_| gate.room(now, (9, 0), 0).unwrap_err().1.unwrap()).collect();
        assert!(waits[0] <= 2 && (9..=11).contains(&waits[99]), "ten a second before anything is known: {waits:?}");
        let (refusal, wait) = gate.room(now, (10, 0), 0).unwrap_err();
        assert_eq!((refusal.status, wait), (507, None));
    }

    #[test]
    fn an_address_has_its_share_of_connections_and_loopback_has_no_bound() {
        let gate =
            Gate::new(IntakeLimits { connections_per_address: 1, ..IntakeLimits::default() }, RngStream::new(1, 2, 3));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let first = gate.connected(Some(address));
        assert!(!first.over && gate.connected(Some(address)).over);
        drop(first);
        assert!(!gate.connected(Some(address)).over);
        let local: Vec<Connection> = (0..9).map(|_| gate.connected(Some(IpAddr::from([127, 0, 0, 1])))).collect();
        assert!(local.iter().all(|connection| !connection.over));
    }
}
