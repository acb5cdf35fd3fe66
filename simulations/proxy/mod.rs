//! A faulty network of our own: one listener for each link between two nodes, which carries whole HTTP/1.1 requests and
//! does to them what the windows of a run say.
//!
//! ```text
//! sender --TCP--> link --TCP--> node        a request is read whole, struck, passed on; its answer likewise
//! ```
//!
//! Bounded: connections of a link, bytes of a message, time of an exchange. Everything runs on one thread.

pub mod fault;
pub mod framing;
mod link;
mod side;
mod tally;
mod trap;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::watch;

pub use fault::{LinkFault, LinkWindow, LinkWindows};
pub use tally::Tally;
pub use trap::{Moment, Traps};

use link::Link;

/// Who is joined with whom.
#[derive(Clone, Debug)]
pub struct LinkPlace {
    /// Its name in reports.
    pub name: &'static str,
    /// The node that it leads to.
    pub receiver: &'static str,
    /// Where senders connect to.
    pub listen: SocketAddr,
    /// Where that node takes uploads.
    pub node: SocketAddr,
}

/// What is in force, and since when.
#[derive(Clone, Debug)]
struct Weather {
    began: Instant,
    windows: LinkWindows,
}

impl Weather {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn moment(&self, ms: i64) -> tokio::time::Instant {
        (self.began + std::time::Duration::from_millis(ms.max(0) as u64)).into()
    }
}

struct Shared {
    tally: Mutex<Tally>,
    traps: Traps,
    /// Nodes without room, each with a number that no other mark has.
    full: Mutex<BTreeMap<&'static str, u64>>,
}

impl Shared {
    /// The mark of `receiver`, while it has no room.
    fn full(&self, receiver: &str) -> Option<u64> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner).get(receiver).copied()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module's head. Dropping it ends every link.
pub struct Proxy {
    shared: Arc<Shared>,
    weather: Option<watch::Sender<Arc<Weather>>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Opens the links, which carry everything as it is.
    pub fn start(places: Vec<LinkPlace>) -> io::Result<Proxy> {
        let tally = Mutex::new(Tally::new(places.len()));
        let shared = Arc::new(Shared { tally, traps: Traps::default(), full: Mutex::default() });
        let calm = Weather { began: Instant::now(), windows: LinkWindows::default() };
        let (weather, seen) = watch::channel(Arc::new(calm));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut links = Vec::new();
        for (number, place) in places.into_iter().enumerate() {
            // Here, so that an address that is taken is told at once.
            let listener = std::net::TcpListener::bind(place.listen)?;
            listener.set_nonblocking(true)?;
            let link = Arc::new(Link::new(number, place, shared.clone(), seen.clone()));
            links.push((link, listener));
        }
        drop(seen);
        let work = move || {
            runtime.block_on(async move {
                let mut tasks = tokio::task::JoinSet::new();
                for (link, listener) in links {
                    tasks.spawn(link::serve(link, listener));
                }
                while tasks.join_next().await.is_some() {}
            });
        };
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(work)?;
        Ok(Proxy { shared, weather: Some(weather), thread: Some(thread) })
    }

    /// From now on these windows are in force.
    pub fn begin(&self, windows: LinkWindows) {
        if let Some(weather) = &self.weather {
            weather.send_replace(Arc::new(Weather { began: Instant::now(), windows }));
        }
    }

    /// No more faults: what is held back is reset, who refused listens again.
    pub fn calm(&self) {
        self.begin(LinkWindows::default());
    }

    /// Kills at the moments of links.
    pub fn traps(&self) -> &Traps {
        &self.shared.traps
    }

    /// The node `receiver`, which does not run now, will have no room in its next life: from here on what it takes is a
    /// broken promise.
    pub fn mark_full(&self, receiver: &'static str) {
        static MARKS: AtomicU64 = AtomicU64::new(0);
        let mark = MARKS.fetch_add(1, Ordering::Relaxed);
        self.shared.full.lock().unwrap_or_else(PoisonError::into_inner).insert(receiver, mark);
    }

    /// It has room again, or is about to be ended.
    pub fn unmark_full(&self, receiver: &str) {
        self.shared.full.lock().unwrap_or_else(PoisonError::into_inner).remove(receiver);
    }

    /// What it did so far.
    pub fn tally(&self) -> Tally {
        self.shared.tally().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.weather = None;
        if let Some(thread) = self.thread.take() {
            // A link that panicked has told so itself.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
