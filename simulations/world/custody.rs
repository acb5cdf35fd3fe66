//! A node's package log in virtual time: the deployed one, on a simulated disk that forgets what was not synced.
//!
//! A group opens with the first upload and is synced some milliseconds later; a crash between the two leaves what such a
//! crash may leave. What is answered when is decided by the deployed [`Group`] alone.

use std::sync::Arc;

use muster::id::Digest;
use muster::model::package::{Envelope, PackageKey};
use muster::model::stored;
use muster::rng::RngStream;
use muster::time::Timestamp;
use muster_actors::log::{Answer, Group, Handle, Job, PackageRequest, Packages, Taken, WriteError};
use tokio::sync::oneshot;

use super::Stage;
use super::content::{self, Contents};
use super::event::{Body, Event, PackageId, Parcel, Reply};
use super::place::Place;
use crate::disk::SimDisk;

/// Small, so that sealing and compaction happen within days.
pub const SEGMENT_BYTES: u64 = 64 << 10;

/// An upload in the group.
struct Waiting {
    event: Event,
    parcel: Parcel,
    answer: Option<oneshot::Receiver<Answer<Packages>>>,
}

/// See the module's head.
pub struct Custody {
    disk: SimDisk,
    seed: u64,
    contents: Arc<Contents>,
    group: Option<Group<Packages>>,
    waiting: Vec<Waiting>,
    /// A sync is planned.
    pub is_open: bool,
}

/// A parcel on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Its number in this life.
    pub number: u64,
    /// What it is.
    pub parcel: Parcel,
}

impl Custody {
    /// An empty disk.
    pub fn new(seed: u64, contents: Arc<Contents>) -> Custody {
        Custody { disk: SimDisk::default(), seed, contents, group: None, waiting: Vec::new(), is_open: false }
    }

    /// Opens the log and tells what it holds, oldest first. Error: it does not open, or something held does not read.
    pub fn open(&mut self, life: u32) -> Result<Vec<Stored>, String> {
        let opened = Packages::open(Arc::new(self.disk.clone()), SEGMENT_BYTES, self.seed ^ u64::from(life));
        let (packages, _) = opened.map_err(|error| format!("the package log does not open: {error}"))?;
        let index = packages.index();
        let mut stored = Vec::new();
        for held in index.after(None, usize::MAX) {
            let (envelope, _) = read(&packages, held.handle)?;
            let parcel = content::parcel(&envelope, 0).ok_or("an envelope that nobody wrote")?;
            stored.push(Stored { number: held.handle.0, parcel });
        }
        self.group = Some(Group::new(packages));
        Ok(stored)
    }

    /// The process or the power is gone: what is on the disk now. Nobody is answered any more.
    pub fn die(&mut self, rng: &mut RngStream) {
        self.group = None;
        self.waiting.clear();
        self.is_open = false;
        self.disk = if rng.below(2) == 0 { self.disk.killed() } else { self.disk.outcome(rng) };
    }

    /// Takes an upload into the group; the first one opens it, and event `sync` of the node's own tells when to end it.
    pub fn take(&mut self, at: &Place, now: Timestamp, event: &Event, parcel: Parcel, sync: u64, stage: &mut Stage) {
        if !std::mem::replace(&mut self.is_open, true) {
            let ms = stage.sync_ms(at.id, event.from, event.life, event.number);
            stage.post(now.plus_ms(ms), at.id, at.id, sync, at.life, Body::Done);
        }
        let (key, envelope, body) = self.contents.stored_form(&parcel);
        let (reply, answer) = oneshot::channel();
        if let Some(group) = &mut self.group {
            // A log that fails tells so to all by the group's end.
            let _ = group.take(now, Job { request: PackageRequest::Hold { key, envelope, body }, reply });
        }
        self.waiting.push(Waiting { event: *event, parcel, answer: Some(answer) });
    }

    /// Who was answered since the last look.
    pub fn answered(&mut self) -> Vec<(Event, Parcel, Answer<Packages>)> {
        let answered = |waiting: &mut Waiting| {
            let answer = waiting.answer.as_mut()?.try_recv().ok()?;
            waiting.answer = None;
            Some((waiting.event, waiting.parcel, answer))
        };
        self.waiting.iter_mut().filter_map(answered).collect()
    }

    /// Syncs the group. [`Custody::answered`] tells who hears of it; these parcels are held from now on.
    pub fn end(&mut self, now: Timestamp) -> Vec<Stored> {
        self.is_open = false;
        let Some(group) = &mut self.group else { return Vec::new() };
        let synced = group.end(Ok(()));
        let tidied = group.tidy(now);
        debug_assert!(synced.is_ok() && tidied.is_ok(), "a simulated disk fails only where it is told to");
        let index = group.journal().index();
        let held = |waiting: &Waiting| {
            let (key, ..) = self.contents.stored_form(&waiting.parcel);
            index.find(&key).map(|held| Stored { number: held.handle.0, parcel: waiting.parcel })
        };
        self.waiting.iter().filter_map(held).collect()
    }

    /// Forgets those who were answered. Call it when [`Custody::answered`] has told all.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Lets go of what was delivered.
    pub fn release(&mut self, now: Timestamp, parcel: &Parcel) {
        let (key, ..) = self.contents.stored_form(parcel);
        let (reply, _) = oneshot::channel();
        if let Some(group) = &mut self.group {
            let _ = group.take(now, Job { request: PackageRequest::Release(vec![Arc::from(&key[..])]), reply });
        }
    }

    /// The body of a package by its key, whether it has a final state or not.
    pub fn body(&self, key: &PackageKey) -> Result<Vec<u8>, String> {
        let packages = self.group.as_ref().ok_or("the log is closed")?.journal();
        let held = packages.index().find(&key.encode(&content::tenant())).ok_or("no longer kept")?;
        Ok(read(packages, held.handle)?.1.to_vec())
    }

    /// Envelope and body of a held package, whole and with the digest of its envelope.
    pub fn read(&self, number: u64) -> Result<(Envelope, bytes::Bytes), String> {
        read(self.group.as_ref().ok_or("the log is closed")?.journal(), Handle(number))
    }
}

fn read(packages: &Packages, handle: Handle) -> Result<(Envelope, bytes::Bytes), String> {
    let record = packages
        .index()
        .read(handle)
        .ok_or("held no longer")?
        .map_err(|error| format!("held and not whole: {error}"))?;
    let envelope: Envelope = stored::unpack(&record.head).map_err(|error| error.to_string())?;
    if Digest::of(&record.body) != envelope.digest {
        return Err(format!("{:?}: other bytes than were received", envelope.sequence));
    }
    Ok((envelope, record.body))
}

/// What a sender hears of its upload; `duplicate` is the probe of a node that had it already.
pub fn reply(stage: &mut Stage, id: PackageId, answer: &Answer<Packages>, duplicate: &'static str) -> Reply {
    match answer {
        Ok(Taken::New) => {
            stage.book.receipted(id);
            Reply::Receipt(id)
        }
        Ok(Taken::Known) => {
            stage.record.probe(duplicate, 1);
            stage.book.delivered_again(id);
            Reply::Receipt(id)
        }
        Err(WriteError::Full) => Reply::Status { status: 507, retry_after_ms: None },
        Err(_) => Reply::Status { status: 503, retry_after_ms: None },
    }
}
