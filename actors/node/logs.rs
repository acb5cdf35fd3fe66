//! The two logs of a node on their writer threads, and the node's identity, which is its first fact.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use muster::id::Guid;
use muster::model::fact::FactKey;
use muster::model::stored;
use muster::rng::{RngStream, mix};
use muster::time::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use tracing::{info, warn};

use super::folder::NodeFolder;
use crate::clock::SharedClock;
use crate::log::{
    FactIndex, FactWriter, Facts, FolderDisk, LogError, OnFatal, PackageIndex, PackageWriter, Packages, ReadError,
    Recovery, Reserve, SEGMENT_BYTES, Writer,
};

/// Why the logs cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// A folder of the logs cannot be used.
    #[error("cannot open the folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A log does not open.
    #[error("cannot open the log in `{}`", path.display())]
    Log {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: LogError,
    },
    /// The node's identity cannot be read back.
    #[error("cannot read this node's identity in `{}`", path.display())]
    Identity {
        /// The folder of the facts log.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] rand::rngs::SysError),
    /// A writer thread does not start.
    #[error("cannot start the thread of a log")]
    Thread(#[source] io::Error),
}

/// The logs of one node. Clones share them.
#[derive(Clone)]
pub struct Logs {
    /// Who this node is.
    pub node: Guid,
    /// Random number of this life, for the core's stream.
    pub incarnation: u64,
    /// Takes bodies.
    pub packages: PackageWriter,
    /// What is held.
    pub package_index: PackageIndex,
    /// Takes facts.
    pub facts: FactWriter,
    /// What is true.
    pub fact_index: FactIndex,
    /// Some facts could not be read at the start: what was made of them cannot be trusted.
    pub facts_damaged: bool,
    /// The folder is this process's as long as somebody may write to the logs.
    _folder: Arc<NodeFolder>,
}

/// The threads behind [`Logs`]; they end when the last clone of the writers is dropped.
pub struct LogThreads([JoinHandle<()>; 2]);

impl LogThreads {
    /// Waits until both have ended.
    pub fn join(self) {
        // A thread that panicked has said so already.
        self.0.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Logs {
    /// What `name` draws in this life of the node: another life, node or name draws otherwise.
    pub fn rng(&self, name: &str, now: Timestamp) -> RngStream {
        let name = name.bytes().fold(0, |mixed, byte| mix(mixed, u64::from(byte)));
        let seed = self.node.seed();
        RngStream::new(seed, mix(seed, name), mix(self.incarnation, now.0 as u64))
    }

    /// Opens both logs in `folder`, recovering what is there; `reserve` is the room that uploads must leave.
    pub fn open(
        folder: impl Into<Arc<NodeFolder>>,
        clock: SharedClock,
        reserve: Reserve,
        on_fatal: OnFatal,
    ) -> Result<(Logs, LogThreads), LogsError> {
        let folder = folder.into();
        let (package_path, fact_path) = (folder.path().join("packages"), folder.path().join("facts"));
        let disk = |path: &Path| {
            let opened = FolderDisk::open(path).map(Arc::new);
            opened.map_err(|source| LogsError::Folder { path: path.to_path_buf(), source })
        };
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LogsError::Log { path, source }
        };
        let (packages, recovery) =
            Packages::open(disk(&package_path)?, SEGMENT_BYTES, random()?).map_err(failed(&package_path))?;
        tell("packages", &recovery);
        let (mut facts, recovery) =
            Facts::open(disk(&fact_path)?, SEGMENT_BYTES, random()?).map_err(failed(&fact_path))?;
        tell("facts", &recovery);
        let facts_damaged = !recovery.rotten.is_empty() || !recovery.set_aside.is_empty();
        let node = identity(&mut facts, &fact_path, &clock)?;
        let (package_index, fact_index) = (packages.index(), facts.index());
        // A writer's thread may outlive whoever opened the logs, and nobody else may write before it has ended.
        let kept = folder.clone();
        let on_fatal: OnFatal = Arc::new(move |reason: &str| {
            let _kept = &kept;
            on_fatal(reason);
        });
        let (packages, packages_thread) =
            Writer::start("packages", packages, clock.clone(), reserve, on_fatal.clone()).map_err(LogsError::Thread)?;
        let fact_reserve = Reserve { bytes: reserve.bytes.min(Reserve::FACTS.bytes), percent: 0 };
        let (facts, facts_thread) =
            Writer::start("facts", facts, clock, fact_reserve, on_fatal).map_err(LogsError::Thread)?;
        let logs = Logs {
            node,
            incarnation: random()?,
            packages,
            package_index,
            facts,
            fact_index,
            facts_damaged,
            _folder: folder,
        };
        Ok((logs, LogThreads([packages_thread, facts_thread])))
    }
}

/// Who this node is: made once, durable before anybody hears of it.
fn identity(facts: &mut Facts, path: &Path, clock: &SharedClock) -> Result<Guid, LogsError> {
    let key = FactKey::Node.encode();
    let read = facts.index().get(&key).map_err(|source| LogsError::Identity { path: path.to_path_buf(), source })?;
    if let Some(guid) = read.and_then(|value| stored::unpack(&value).ok()) {
        return Ok(guid);
    }
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(LogsError::Random)?;
    let guid = Guid::from_random(bytes);
    let failed = |source| LogsError::Log { path: path.to_path_buf(), source };
    facts.commit(clock.now(), vec![(key.into(), Some(Bytes::from(stored::pack(&guid))))]).map_err(failed)?;
    facts.sync().map_err(failed)?;
    Ok(guid)
}

fn random() -> Result<u64, LogsError> {
    SysRng.try_next_u64().map_err(LogsError::Random)
}

fn tell(log: &'static str, recovery: &Recovery) {
    info!(log, sealed = recovery.sealed, scanned = recovery.scanned, cut_bytes = recovery.cut_bytes, "log opened");
    if recovery.cut_bytes > 0 {
        // After a power cut or a kill these were never acknowledged. A disk that lost what it had synced looks the same.
        warn!(log, bytes = recovery.cut_bytes, "the log's end was not whole and is cut off");
    }
    for (segment, offset) in &recovery.rotten {
        warn!(log, segment, offset, "a frame that had been synced is damaged; the others are kept");
    }
    for name in &recovery.set_aside {
        warn!(log, file = name.as_str(), "a file that is no segment of this log was set aside");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use muster::time::Timestamp;

    use super::*;
    use crate::clock::{Clock, WallClock};
    use crate::node::FolderError;

    fn open(folder: &Path, clock: SharedClock) -> (Logs, LogThreads) {
        let no_fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
        Logs::open(NodeFolder::open(folder).unwrap(), clock, Reserve { bytes: 0, percent: 0 }, no_fatal).unwrap()
    }

    #[test]
    fn a_node_keeps_its_identity_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let (first, threads) = open(folder.path(), Arc::new(WallClock));
        let (node, life) = (first.node, first.incarnation);
        drop(first);
        threads.join();
        let (second, _threads) = open(folder.path(), Arc::new(WallClock));
        assert_eq!(second.node, node);
        assert_ne!(second.incarnation, life);
    }

    #[actix::test]
    async fn what_is_asked_first_is_written_first_whoever_waits_for_it_when() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, _threads) = open(folder.path(), Arc::new(WallClock));
        let write = |value: u8| vec![(Bytes::from_static(b"key"), Some(Bytes::from(vec![value])))];
        let asked: Vec<_> = (1..=9).map(|value| logs.facts.asked(write(value))).collect();
        // The last one first: the others were sent all the same.
        for answer in asked.into_iter().rev() {
            answer.await.unwrap();
        }
        assert_eq!(logs.fact_index.get(b"key").unwrap().as_deref(), Some(&[9][..]));
    }

    /// A clock that stands still while somebody holds it.
    struct HeldClock(Mutex<()>);

    impl Clock for HeldClock {
        fn now(&self) -> Timestamp {
            drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
            WallClock.now()
        }
    }

    #[actix::test]
    async fn nobody_else_writes_to_the_folder_before_the_writers_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(HeldClock(Mutex::new(())));
        let (logs, threads) = open(folder.path(), clock.clone());
        let held = clock.0.lock().unwrap();
        let written = logs.facts.asked(vec![(Bytes::from_static(b"key"), Some(Bytes::from_static(b"value")))]);
        drop((logs, written));
        // The writer has not come to what it was asked for.
        assert!(matches!(NodeFolder::open(folder.path()), Err(FolderError::InUse { .. })));
        drop(held);
        threads.join();
        let (logs, _threads) = open(folder.path(), Arc::new(WallClock));
        assert_eq!(logs.fact_index.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    }
}
