//! What the agent has published and may not forget: the queue, its counters, and the last readable inventory.
//!
//! ```text
//! DATA/agent-state                 GUID, epoch, counters: synced before a sequence is used
//! DATA/uploads/{Kind}/NAME         bytes of a published package, fixed for ever
//! DATA/uploads/{Kind}/NAME.envelope  its envelope, durable before the bytes appear
//! DATA/inventories/NAME.ndi        the last inventory, readable; not that of Oracle
//! DATA/sent/STAMP NAME             delivered usage, for 8 days, to be sent again on request
//! DATA/refused/STAMP NAME          what no server takes, the last 5
//! DATA/damaged/STAMP NAME          what is not what was published, the last 20
//! ```
//!
//! *Write*: raise and sync the sequence; envelope: temporary file, sync, rename, folder sync; bytes: the same. Only then
//! is a package published. A file that could not be synced is written anew under another sequence, its sync is not
//! tried again. *Delete*: bytes first, then envelope, neither synced: what comes back is sent once more. *Recover*:
//! temporary files and envelopes without bytes are removed, bytes without a matching envelope are set aside; one bad
//! file never keeps the agent from starting.
//!
//! Source: delivery contract, sections 2 and 3; `agent-beacon-batch` reference, section 4.4.

mod discovery;
mod error;
mod files;
mod put_away;
mod recovery;
mod report;
mod sent;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use muster::formats::wire::BODY_BYTES_MAX;
use muster::id::{Digest, Guid};
use muster::model::package::{Envelope, Kind, Origin, Sequence, Stream};
use muster::model::stored;
use muster::roles::agent::{PackageNumber, Queued, StreamNumber};
use muster::time::{SECOND_MS, Timestamp};
use muster::upload::gaps::Abandoned;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::errors::Chain;
use crate::log::{Disk, FolderDisk, read_file};
use files::store;
use sent::Kept;

pub use error::OutboxError;
pub use report::{ORACLE, Report};

const STATE: &str = "agent-state";
const ENVELOPE: &str = ".envelope";
/// Kinds an agent sends.
const KINDS: [Kind; 4] = [Kind::Discovery, Kind::Inventories, Kind::UsageData, Kind::Logs];
/// Refused packages that are kept.
const REFUSED_KEPT: usize = 5;
/// Damaged files that are kept.
const DAMAGED_KEPT: usize = 20;
/// Longest state file or envelope that is read.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// A package as it is sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its bytes, whose digest was checked.
    pub bytes: Bytes,
}

/// Counters of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// The last sequence that was used; never used again.
    pub published: u64,
    /// The largest sequence a receiver took custody of.
    pub acked: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    guid: Guid,
    epoch: u64,
    streams: BTreeMap<Stream, StreamState>,
    last_collected: Option<Timestamp>,
    /// Whether the last discovery told of services, or may have.
    #[serde(default)]
    has_services: bool,
    /// Streams that were asked for and of which a collection brought nothing: this host has no such report any more.
    #[serde(default)]
    ended: BTreeSet<Stream>,
    /// What was published and will never be taken.
    #[serde(default)]
    abandoned: Abandoned,
}

impl State {
    fn new(guid: Guid, epoch: u64, has_services: bool) -> State {
        let (streams, last_collected) = (BTreeMap::new(), None);
        let (ended, abandoned) = (BTreeSet::new(), Abandoned::default());
        State { guid, epoch, streams, last_collected, has_services, ended, abandoned }
    }
}

/// The folders of the outbox.
#[derive(Clone)]
pub struct OutboxDisks {
    /// `DATA`.
    pub data: Arc<dyn Disk>,
    /// `DATA/uploads/{Kind}` of each kind an agent sends.
    pub uploads: BTreeMap<Kind, Arc<dyn Disk>>,
    /// `DATA/inventories`.
    pub inventories: Arc<dyn Disk>,
    /// `DATA/sent`.
    pub sent: Arc<dyn Disk>,
    /// `DATA/refused`.
    pub refused: Arc<dyn Disk>,
    /// `DATA/damaged`.
    pub damaged: Arc<dyn Disk>,
}

impl OutboxDisks {
    /// The folders below `data`, made when they are missing.
    pub fn open(data: &Path) -> Result<OutboxDisks, OutboxError> {
        let open = |path: PathBuf| -> Result<Arc<dyn Disk>, OutboxError> {
            match FolderDisk::open(&path) {
                Ok(disk) => Ok(Arc::new(disk)),
                Err(source) => Err(OutboxError::Folder { path, source }),
            }
        };
        let uploads = KINDS.into_iter().map(|kind| Ok((kind, open(data.join("uploads").join(kind.as_str()))?)));
        Ok(OutboxDisks {
            data: open(data.into())?,
            uploads: uploads.collect::<Result<_, OutboxError>>()?,
            inventories: open(data.join("inventories"))?,
            sent: open(data.join("sent"))?,
            refused: open(data.join("refused"))?,
            damaged: open(data.join("damaged"))?,
        })
    }
}

struct Item {
    queued: Queued,
    /// Name of the file.
    name: String,
    envelope: Envelope,
}

/// Which life of the agent's actor asks; an earlier one changes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(u64);

impl Life {
    /// Counted from 1.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// See the module's head.
pub struct Outbox {
    disks: OutboxDisks,
    state: State,
    items: Vec<Item>,
    /// Delivered, and kept to be sent again; the oldest first.
    kept: Vec<Kept>,
    /// Streams that the next collection is to make good, and what was published of them when they were asked for.
    wanted: BTreeMap<Stream, u64>,
    streams: Vec<Stream>,
    next: u64,
    life: Life,
}

impl Outbox {
    /// Opens the outbox and reads what it holds.
    pub fn open(disks: OutboxDisks, now: Timestamp) -> Result<Outbox, OutboxError> {
        let state = State::new(Guid::NIL, 0, false);
        let (items, kept, wanted, streams) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        let mut outbox = Outbox { disks, state, items, kept, wanted, streams, next: 0, life: Life(0) };
        outbox.recover(now)?;
        Ok(outbox)
    }

    /// Begins a life of the actor: reads everything again; from now on earlier lives change nothing. When the folder
    /// cannot be read, the life begins with what was read last.
    pub fn begin_life(&mut self, now: Timestamp) -> Result<Life, (Life, OutboxError)> {
        self.life.0 += 1;
        match self.recover(now) {
            Ok(()) => Ok(self.life),
            Err(error) => Err((self.life, error)),
        }
    }

    /// Refuses an earlier life.
    pub fn check(&self, life: Life) -> Result<(), OutboxError> {
        if life == self.life { Ok(()) } else { Err(OutboxError::Outdated) }
    }

    /// Who this agent is.
    pub fn guid(&self) -> Guid {
        self.state.guid
    }

    /// The epoch of the sequences used now.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// Counters of each stream.
    pub fn streams(&self) -> &BTreeMap<Stream, StreamState> {
        &self.state.streams
    }

    /// When the last published inventory was collected.
    pub fn last_collected(&self) -> Option<Timestamp> {
        self.state.last_collected
    }

    /// What is queued.
    pub fn queued(&self) -> Vec<Queued> {
        self.items.iter().map(|item| item.queued).collect()
    }

    /// Envelopes of what is queued.
    pub fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.items.iter().map(|item| &item.envelope)
    }

    /// Publishes a report. When it returns `Ok`, the package survives everything but the loss of the disk.
    pub fn publish(&mut self, report: Report<'_>, now: Timestamp) -> Result<Queued, OutboxError> {
        let bytes = report.packed();
        self.publish_packed(report, bytes, now)
    }

    /// The same for one whose bytes were packed before: that takes long, and the agent's actor waits for the outbox.
    pub fn publish_packed(
        &mut self,
        report: Report<'_>,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<Queued, OutboxError> {
        if bytes.len() as u64 > BODY_BYTES_MAX {
            return Err(OutboxError::TooLarge { bytes: bytes.len() as u64 });
        }
        let (kind, disk) = (report.kind, self.disk(report.kind));
        let name = self.free_name(&report, disk.as_ref())?;
        let stream = report.stream();
        let sequence = self.next_sequence(&stream)?;
        let envelope = Envelope {
            origin: Origin::agent(self.state.guid),
            kind,
            stream: Some(stream),
            file_name: name.as_str().into(),
            size: bytes.len() as u64,
            digest: Digest::of(&bytes),
            sequence: Some(sequence),
            collected_at: Some(report.collected_at),
            first_received: now,
            unproven: true,
            hops: vec![],
        };
        store(disk.as_ref(), &format!("{name}{ENVELOPE}"), &stored::pack(&envelope))?;
        if let Err(error) = store(disk.as_ref(), &name, &bytes) {
            // Whether the bytes stand under their name is unknown; then the next start finds both, or removes this.
            if matches!(disk.open(&name), Err(error) if error.kind() == io::ErrorKind::NotFound) {
                drop(disk.remove(&format!("{name}{ENVELOPE}")));
            }
            return Err(error);
        }
        let queued = self.enter(name, envelope);
        if kind == Kind::Inventories && report.kind_type != ORACLE {
            self.keep_readable(&report);
        }
        Ok(queued)
    }

    /// The bytes and envelope of a queued package, checked against its digest.
    pub fn load(&self, package: PackageNumber) -> Result<Parcel, OutboxError> {
        let item = self.item(package)?;
        let name = || item.name.clone();
        let read = read_file(self.disk(item.queued.kind).as_ref(), &item.name, BODY_BYTES_MAX);
        let bytes = match read {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(OutboxError::Damaged { name: name() }),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
                return Err(OutboxError::Damaged { name: name() });
            }
            Err(source) => return Err(OutboxError::Read { name: name(), source }),
        };
        if bytes.len() as u64 != item.envelope.size || Digest::of(&bytes) != item.envelope.digest {
            return Err(OutboxError::Damaged { name: name() });
        }
        Ok(Parcel { envelope: item.envelope.clone(), bytes: bytes.into() })
    }

    fn delete(&mut self, package: PackageNumber) {
        let Some(item) = self.leave(package) else { return };
        let disk = self.disk(item.queued.kind);
        for name in [item.name.clone(), format!("{}{ENVELOPE}", item.name)] {
            if let Err(error) = disk.remove(&name) {
                warn!(file = name, %error, "queued file was not deleted, it is sent once more after a restart");
            }
        }
    }

    /// Notes that a receiver has custody of a package that is still queued.
    fn acknowledge(&mut self, package: PackageNumber) {
        let Ok(item) = self.item(package) else { return };
        let (Some(stream), Some(sequence)) = (item.envelope.stream.clone(), item.envelope.sequence) else { return };
        if sequence.epoch != self.state.epoch {
            return;
        }
        let counters = self.state.streams.entry(stream).or_default();
        counters.acked = counters.acked.max(sequence.number);
        self.note_state();
    }

    fn disk(&self, kind: Kind) -> Arc<dyn Disk> {
        self.disks.uploads.get(&kind).expect("agents publish only the kinds they have folders for").clone()
    }

    fn item(&self, package: PackageNumber) -> Result<&Item, OutboxError> {
        self.items.iter().find(|item| item.queued.package == package).ok_or(OutboxError::Gone)
    }

    fn leave(&mut self, package: PackageNumber) -> Option<Item> {
        let at = self.items.iter().position(|item| item.queued.package == package)?;
        Some(self.items.remove(at))
    }

    fn enter(&mut self, name: String, envelope: Envelope) -> Queued {
        let stream = envelope.stream.clone().unwrap_or(Stream("".into()));
        let at = self.streams.iter().position(|known| *known == stream).unwrap_or_else(|| {
            self.streams.push(stream);
            self.streams.len() - 1
        });
        let package = PackageNumber(self.next);
        self.next += 1;
        let queued = Queued { package, stream: StreamNumber(at as u32), kind: envelope.kind };
        self.items.push(Item { queued, name, envelope });
        queued
    }

    /// The next sequence of a stream, synced before it is used.
    fn next_sequence(&mut self, stream: &Stream) -> Result<Sequence, OutboxError> {
        // Raised in memory even when the sync fails: whether the file holds it is unknown then.
        let counters = self.state.streams.entry(stream.clone()).or_default();
        counters.published += 1;
        let number = counters.published;
        self.state.ended.remove(stream);
        store(self.disks.data.as_ref(), STATE, &stored::pack(&self.state))?;
        Ok(Sequence { epoch: self.state.epoch, number })
    }

    /// A name that no queued file has: the stamp is moved on by a second until one is free.
    fn free_name(&self, report: &Report<'_>, disk: &dyn Disk) -> Result<String, OutboxError> {
        let mut stamp = report.collected_at;
        loop {
            let name = report.file_name(stamp);
            match disk.open(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
                Err(source) => return Err(OutboxError::Write { name, source }),
                Ok(_) => stamp = stamp.plus_ms(SECOND_MS),
            }
        }
    }

    /// The copy that people and re-sends read; the queue does not rest on it.
    fn keep_readable(&mut self, report: &Report<'_>) {
        if let Err(error) = store(self.disks.inventories.as_ref(), &report.readable_name(), report.content) {
            warn!(error = %Chain(&error), "the readable copy of the inventory was not stored");
        }
        self.state.last_collected = Some(report.collected_at);
        self.note_state();
    }

    /// Stores what may be lost without harm.
    fn note_state(&self) {
        if let Err(error) = store(self.disks.data.as_ref(), STATE, &stored::pack(&self.state)) {
            warn!(error = %Chain(&error), "the agent's counters were not noted");
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], OutboxError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(OutboxError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
