//! One writer thread per log: collects requests into groups, syncs each group once, answers all of it.
//!
//! An upload's handler awaits this thread's answer; nothing but the bounded queue here stands between a body and its
//! sync. A group is at most 256 requests or 32 MiB. While a group is synced the next one collects by itself; a short
//! wait for stragglers is made only while the last group shows that more senders are about (delivery contract,
//! section 3, rule 1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use muster::time::Timestamp;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::facts::{FactWrite, Facts, Position};
use super::group::{Group, Job};
use super::log::{GROUP_BYTES, LogError};
use super::packages::{Packages, Taken};
use crate::clock::SharedClock;
use crate::errors::Chain;

/// Most requests of one group.
const GROUP_MAX: usize = 256;
/// Longest wait for stragglers.
const GROUP_WAIT: Duration = Duration::from_millis(5);
/// Requests that may wait for the thread.
const QUEUE_MAX: usize = 1_024;
/// How often the free space is asked for.
const SPACE_EVERY: Duration = Duration::from_millis(500);

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// No room for more.
    #[error("the disk is full")]
    Full,
    /// Too much is waiting already.
    #[error("the log is busy")]
    Busy,
    /// The log failed for good; the process is about to end.
    #[error("the log failed: {0}")]
    Failed(String),
}

/// Room that has to stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// At least so many bytes.
    pub bytes: u64,
    /// At least this part of the file system, in percent.
    pub percent: u64,
}

impl Reserve {
    /// Uploads are refused below max(1 GiB, 5 %). Source: delivery contract, section 5, full disk.
    pub const UPLOADS: Reserve = Reserve { bytes: 1 << 30, percent: 5 };
    /// Ledger and log go on down to 256 MiB.
    pub const FACTS: Reserve = Reserve { bytes: 256 << 20, percent: 0 };

    /// Whether as much stays free as has to, of a file system of `total` bytes.
    pub fn is_kept(self, free: u64, total: u64) -> bool {
        free >= self.bytes && free >= total / 100 * self.percent
    }
}

/// What a writer thread does with its requests.
pub trait Journal: Send + 'static {
    /// What can be asked for.
    type Request: Send + 'static;
    /// What is answered after the sync.
    type Answer: Send + 'static;
    /// Takes one request into the group.
    fn take(&mut self, now: Timestamp, request: Self::Request) -> Result<Self::Answer, LogError>;
    /// Whether the request needs room on the disk.
    fn needs_room(request: &Self::Request) -> bool;
    /// Bytes in the group.
    fn pending_bytes(&self) -> u64;
    /// Makes the group durable.
    fn sync(&mut self) -> Result<(), LogError>;
    /// Housekeeping between groups; bounded to one segment.
    fn tidy(&mut self, now: Timestamp) -> Result<(), LogError>;
    /// Free and total bytes of the disk.
    fn space(&self) -> Option<(u64, u64)>;
}

/// The sending end; clones share the thread.
pub struct Writer<J: Journal> {
    send: SyncSender<Job<J>>,
    stats: Arc<WriterStats>,
}

impl<J: Journal> Clone for Writer<J> {
    fn clone(&self) -> Self {
        Writer { send: self.send.clone(), stats: self.stats.clone() }
    }
}

/// What the thread has done, for metrics.
#[derive(Debug, Default)]
pub struct WriterStats {
    /// Groups synced.
    pub groups: AtomicU64,
    /// Requests answered after a sync.
    pub requests: AtomicU64,
    /// Requests refused for want of room.
    pub full: AtomicU64,
}

/// Called with the reason when the log failed for good; ends the process when deployed.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

impl<J: Journal> Writer<J> {
    /// Starts the thread `name`. It ends when the last clone of the writer is dropped.
    pub fn start(
        name: &str,
        journal: J,
        clock: SharedClock,
        reserve: Reserve,
        on_fatal: OnFatal,
    ) -> std::io::Result<(Writer<J>, JoinHandle<()>)> {
        let (send, receive) = sync_channel(QUEUE_MAX);
        let stats = Arc::new(WriterStats::default());
        let mut turn = Turn {
            group: Group::new(journal),
            receive,
            clock,
            reserve,
            stats: stats.clone(),
            last_group: 0,
            room: None,
            was_full: false,
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            if let Err(failure) = turn.run() {
                error!(error = %Chain(&failure), "the log failed, the process ends and recovers at its next start");
                on_fatal(&Chain(&failure).to_string());
            }
        })?;
        Ok((Writer { send, stats }, thread))
    }

    /// Asks, and waits for the sync.
    pub async fn ask(&self, request: J::Request) -> Result<J::Answer, WriteError> {
        answered(self.send(request)?).await
    }

    /// Asks for several in this order, which share syncs, and waits for all; the answer of the last one. After an error
    /// the first ones may have been done.
    pub async fn ask_all(&self, requests: Vec<J::Request>) -> Result<Option<J::Answer>, WriteError> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.send(request)?);
        }
        let mut last = None;
        for answer in answers {
            last = Some(answered(answer).await?);
        }
        Ok(last)
    }

    /// Asks at once; the answer comes after the sync. What is asked first is taken first.
    pub fn asked(&self, request: J::Request) -> impl Future<Output = Result<J::Answer, WriteError>> + use<J> {
        let sent = self.send(request);
        async move { answered(sent?).await }
    }

    fn send(&self, request: J::Request) -> Result<oneshot::Receiver<Result<J::Answer, WriteError>>, WriteError> {
        let (reply, answer) = oneshot::channel();
        match self.send.try_send(Job { request, reply }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(WriteError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(WriteError::Failed("its thread has ended".into())),
        }
    }

    /// Counters of the thread.
    pub fn stats(&self) -> &WriterStats {
        &self.stats
    }
}

async fn answered<A>(answer: oneshot::Receiver<Result<A, WriteError>>) -> Result<A, WriteError> {
    answer.await.unwrap_or_else(|_| Err(WriteError::Failed("its thread has ended".into())))
}

struct Turn<J: Journal> {
    group: Group<J>,
    receive: Receiver<Job<J>>,
    clock: SharedClock,
    reserve: Reserve,
    stats: Arc<WriterStats>,
    /// Size of the last group: how many senders are about.
    last_group: usize,
    /// When the space was last asked for, and whether there was room.
    room: Option<(Instant, bool)>,
    /// The last group that had bytes found no place on the disk, which was told.
    was_full: bool,
}

impl<J: Journal> Turn<J> {
    fn run(&mut self) -> Result<(), LogError> {
        while let Ok(first) = self.receive.recv() {
            let gathered = self.gather(first);
            let has_bytes = self.group.journal().pending_bytes() > 0;
            self.last_group = self.group.len();
            let synced = self.group.end(gathered);
            match &synced {
                Ok(()) => {
                    self.stats.groups.fetch_add(1, Ordering::Relaxed);
                    self.stats.requests.fetch_add(self.last_group as u64, Ordering::Relaxed);
                    if has_bytes && std::mem::take(&mut self.was_full) {
                        info!("there is room on the disk again");
                    }
                }
                // Once, and not for each upload of a full disk.
                Err(LogError::Full) if std::mem::replace(&mut self.was_full, true) => {}
                Err(LogError::Full) => warn!("the disk is full, senders are told so until there is room again"),
                Err(_) => {}
            }
            match synced {
                Ok(()) | Err(LogError::Full) => {}
                Err(failure) => return Err(failure),
            }
            match self.group.tidy(self.clock.now()) {
                Ok(()) | Err(LogError::Full) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Takes requests into the group until it is full or nobody else is about.
    fn gather(&mut self, first: Job<J>) -> Result<(), LogError> {
        let began = Instant::now();
        let mut next = Some(first);
        loop {
            if let Some(job) = next.take() {
                self.take(job)?;
            }
            if self.group.len() >= GROUP_MAX || self.group.journal().pending_bytes() as usize >= GROUP_BYTES {
                return Ok(());
            }
            let wait = GROUP_WAIT.saturating_sub(began.elapsed());
            let more_expected = self.group.len() < self.last_group / 2;
            let received = match self.receive.try_recv() {
                Ok(job) => Ok(job),
                Err(_) if more_expected && !wait.is_zero() => {
                    self.receive.recv_timeout(wait.min(Duration::from_micros(300)))
                }
                Err(_) => Err(RecvTimeoutError::Timeout),
            };
            match received {
                Ok(job) => next = Some(job),
                Err(_) => return Ok(()),
            }
        }
    }

    fn take(&mut self, job: Job<J>) -> Result<(), LogError> {
        if J::needs_room(&job.request) && !self.has_room() {
            self.stats.full.fetch_add(1, Ordering::Relaxed);
            self.group.refuse(job);
            return Ok(());
        }
        self.group.take(self.clock.now(), job)
    }

    fn has_room(&mut self) -> bool {
        match self.room {
            Some((asked, room)) if asked.elapsed() < SPACE_EVERY => room,
            _ => {
                let reserve = self.reserve;
                let space = self.group.journal().space();
                let room = space.is_none_or(|(free, total)| reserve.is_kept(free, total));
                if !room && self.room.is_none_or(|(_, had)| had) {
                    warn!("less than the reserve is free on the disk, uploads are refused until there is room again");
                }
                self.room = Some((Instant::now(), room));
                room
            }
        }
    }
}

/// What can be asked of the package log.
#[derive(Debug)]
pub enum PackageRequest {
    /// Take custody.
    Hold {
        /// Encoded key.
        key: Bytes,
        /// Stored envelope.
        envelope: Bytes,
        /// The bytes.
        body: Bytes,
    },
    /// Let go of what was delivered; noted so that a restart need not deliver it again.
    Release(Vec<Arc<[u8]>>),
    /// Let go of what a fact says is settled and not wanted any more.
    Forget(Vec<Arc<[u8]>>),
    /// Nothing, but answered only when a package could be taken now.
    Probe,
}

impl Journal for Packages {
    type Request = PackageRequest;
    type Answer = Taken;

    fn take(&mut self, now: Timestamp, request: PackageRequest) -> Result<Taken, LogError> {
        match request {
            PackageRequest::Hold { key, envelope, body } => self.hold(now, key, envelope, body),
            PackageRequest::Release(keys) => {
                keys.iter().try_for_each(|key| self.release(now, key, true))?;
                Ok(Taken::Known)
            }
            PackageRequest::Forget(keys) => {
                keys.iter().try_for_each(|key| self.release(now, key, false))?;
                Ok(Taken::Known)
            }
            PackageRequest::Probe => Ok(Taken::Known),
        }
    }

    fn needs_room(request: &PackageRequest) -> bool {
        matches!(request, PackageRequest::Hold { .. } | PackageRequest::Probe)
    }

    fn pending_bytes(&self) -> u64 {
        Packages::pending_bytes(self)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Packages::sync(self)
    }

    fn tidy(&mut self, now: Timestamp) -> Result<(), LogError> {
        let (freed, rotten) = self.compact(now)?;
        if freed > 0 {
            info!(freed_bytes = freed, "a segment of the package log was rewritten");
        }
        for key in rotten {
            error!(key = %crate::errors::Hex(&key), "a held package can no longer be read from the disk");
        }
        Ok(())
    }

    fn space(&self) -> Option<(u64, u64)> {
        self.disk().space().ok().map(|space| (space.free_bytes, space.total_bytes))
    }
}

impl Journal for Facts {
    type Request = Vec<FactWrite>;
    type Answer = Option<Position>;

    fn take(&mut self, now: Timestamp, request: Vec<FactWrite>) -> Result<Option<Position>, LogError> {
        self.commit(now, request)
    }

    fn needs_room(_: &Vec<FactWrite>) -> bool {
        true
    }

    fn pending_bytes(&self) -> u64 {
        Facts::pending_bytes(self)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Facts::sync(self)
    }

    fn tidy(&mut self, now: Timestamp) -> Result<(), LogError> {
        let (freed, rotten) = self.compact(now)?;
        if freed > 0 {
            info!(freed_bytes = freed, "a segment of the facts log was rewritten");
        }
        for key in rotten {
            error!(key = %crate::errors::Hex(&key), "a fact can no longer be read from the disk");
        }
        Ok(())
    }

    fn space(&self) -> Option<(u64, u64)> {
        self.disk().space().ok().map(|space| (space.free_bytes, space.total_bytes))
    }
}

/// The package log's writer.
pub type PackageWriter = Writer<Packages>;
/// The facts log's writer.
pub type FactWriter = Writer<Facts>;
