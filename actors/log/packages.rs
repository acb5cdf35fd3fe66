//! The package log with its index: which bodies this node holds, and where.
//!
//! The index lives in memory and is built from footers; it holds nothing that the log does not. A package enters it
//! only after its sync, so whoever finds a key here may give a receipt for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use hashbrown::HashMap;
use muster::formats::journal::{LogKind, Tag};
use muster::time::Timestamp;

use super::disk::Disk;
use super::log::{Compacted, Listed, Log, LogError, LogOptions, Place, Recovery, Write};
use super::reader::{LogReader, ReadError, ReadRecord};

/// Number of a held package in this process, ascending in the order of custody. Not stored: the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

/// One held package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub handle: Handle,
    /// Its encoded key.
    pub key: Arc<[u8]>,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// When this node took it.
    pub time: Timestamp,
    place: Place,
    /// Its bytes are gone; it stays in the index until its node has noted that.
    is_lost: bool,
}

/// What [`Packages::hold`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// New; durable after the next sync.
    New,
    /// Held already, or taken in this very group; durable after the next sync.
    Known,
}

/// What can be asked of the held packages from any thread.
#[derive(Clone)]
pub struct PackageIndex {
    index: Arc<Mutex<Index>>,
    reader: LogReader,
}

#[derive(Default)]
struct Index {
    by_key: HashMap<Arc<[u8]>, Handle>,
    held: BTreeMap<Handle, Held>,
    /// Bytes of held frames by segment.
    live: BTreeMap<u64, u64>,
    next: u64,
    bytes: u64,
}

impl Index {
    fn insert(&mut self, key: &[u8], place: Place, body_bytes: u32, time: Timestamp) {
        self.remove(key);
        let key: Arc<[u8]> = key.into();
        let handle = Handle(self.next);
        self.next += 1;
        self.by_key.insert(key.clone(), handle);
        self.held.insert(handle, Held { handle, key, body_bytes, time, place, is_lost: false });
        *self.live.entry(place.segment).or_default() += u64::from(place.length);
        self.bytes += u64::from(body_bytes);
    }

    fn remove(&mut self, key: &[u8]) -> Option<Held> {
        let handle = self.by_key.remove(key)?;
        let held = self.held.remove(&handle).expect("both maps hold the same packages");
        if !held.is_lost {
            self.unlive(held.place);
        }
        self.bytes -= u64::from(held.body_bytes);
        Some(held)
    }

    /// Whether a receipt may be given for `key`: one whose bytes are gone is not held, and may come again.
    fn holds(&self, key: &[u8]) -> bool {
        self.by_key.get(key).and_then(|handle| self.held.get(handle)).is_some_and(|held| !held.is_lost)
    }

    fn lose(&mut self, key: &[u8]) {
        let Some(held) = self.by_key.get(key).and_then(|handle| self.held.get_mut(handle)) else { return };
        if !std::mem::replace(&mut held.is_lost, true) {
            let place = held.place;
            self.unlive(place);
        }
    }

    fn unlive(&mut self, place: Place) {
        if let Some(bytes) = self.live.get_mut(&place.segment) {
            *bytes -= u64::from(place.length);
            if *bytes == 0 {
                self.live.remove(&place.segment);
            }
        }
    }

    fn moved(&mut self, key: &[u8], from: Place, to: Place) {
        let Some(&handle) = self.by_key.get(key) else { return };
        let held = self.held.get_mut(&handle).expect("both maps hold the same packages");
        if held.place == from {
            held.place = to;
            self.unlive(from);
            *self.live.entry(to.segment).or_default() += u64::from(to.length);
        }
    }
}

impl PackageIndex {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no holder of this lock panics")
    }

    /// Up to `limit` packages taken after `after`, in order of custody.
    pub fn after(&self, after: Option<Handle>, limit: usize) -> Vec<Held> {
        let from = after.map_or(0, |handle| handle.0 + 1);
        self.lock().held.range(Handle(from)..).take(limit).map(|(_, held)| held.clone()).collect()
    }

    /// The package with this encoded key.
    pub fn find(&self, key: &[u8]) -> Option<Held> {
        let index = self.lock();
        let handle = index.by_key.get(key)?;
        index.held.get(handle).cloned()
    }

    /// Packages held and the bytes of their bodies.
    pub fn totals(&self) -> (usize, u64) {
        let index = self.lock();
        (index.held.len(), index.bytes)
    }

    /// Envelope and body of a held package; `None` when it is held no longer.
    pub fn read(&self, handle: Handle) -> Option<Result<ReadRecord, ReadError>> {
        // A rewrite may move the entry between the look and the read: then look again.
        for _ in 0..8 {
            let (place, is_lost) = {
                let index = self.lock();
                let held = index.held.get(&handle)?;
                (held.place, held.is_lost)
            };
            if is_lost {
                return Some(Err(ReadError::Lost));
            }
            match self.reader.read(place) {
                Err(ReadError::Gone(_)) => continue,
                other => return Some(other),
            }
        }
        None
    }
}

/// The log and its index, on their writer's thread.
pub struct Packages {
    log: Log,
    index: PackageIndex,
    /// The group being collected: keys that become held by the next sync.
    pending: HashMap<Bytes, (Place, u32, Timestamp)>,
    order: Vec<Bytes>,
}

impl Packages {
    /// Opens the package log in `disk`.
    pub fn open(disk: Arc<dyn Disk>, segment_bytes: u64, seed: u64) -> Result<(Packages, Recovery), LogError> {
        let mut index = Index::default();
        let options = LogOptions { kind: LogKind::Packages, segment_bytes, seed };
        let (log, recovery) = Log::open(disk, options, &mut |listed| match listed.tag {
            Tag::Put => index.insert(listed.key, listed.place, listed.body_bytes, listed.time),
            Tag::Tombstone | Tag::Hint => drop(index.remove(listed.key)),
        })?;
        let index = PackageIndex { index: Arc::new(Mutex::new(index)), reader: log.reader() };
        Ok((Packages { log, index, pending: HashMap::new(), order: Vec::new() }, recovery))
    }

    /// What other threads may ask.
    pub fn index(&self) -> PackageIndex {
        self.index.clone()
    }

    /// The disk below.
    pub fn disk(&self) -> &dyn Disk {
        self.log.disk()
    }

    /// Takes a package into the group: held, and worth a receipt, once [`Packages::sync`] returned `Ok`.
    pub fn hold(&mut self, now: Timestamp, key: Bytes, envelope: Bytes, body: Bytes) -> Result<Taken, LogError> {
        if self.pending.contains_key(&key) || self.index.lock().holds(&key) {
            return Ok(Taken::Known);
        }
        let body_bytes = body.len() as u32;
        let write = Write { tag: Tag::Put, key: key.clone(), head: envelope, body };
        let place = self.log.append(now, std::slice::from_ref(&write))?;
        self.pending.insert(key.clone(), (place, body_bytes, now));
        self.order.push(key);
        Ok(Taken::New)
    }

    /// Bytes waiting for [`Packages::sync`].
    pub fn pending_bytes(&self) -> u64 {
        self.log.pending_bytes()
    }

    /// Makes the group durable, then visible. On an error nothing of it is held.
    pub fn sync(&mut self) -> Result<(), LogError> {
        let synced = self.log.sync();
        if synced.is_ok() {
            let mut index = self.index.lock();
            for key in self.order.drain(..) {
                let (place, body_bytes, time) = self.pending[&key];
                index.insert(&key, place, body_bytes, time);
            }
        }
        self.order.clear();
        self.pending.clear();
        synced
    }

    /// Lets a package go: nothing of it is needed any more. `hint` also notes that in the log with the next group, so
    /// that a restart need not deliver it again; the note may be lost without harm.
    pub fn release(&mut self, now: Timestamp, key: &[u8], hint: bool) -> Result<(), LogError> {
        if self.index.lock().remove(key).is_some() && hint {
            let (key, none) = (Bytes::copy_from_slice(key), Bytes::new());
            self.log.append(now, &[Write { tag: Tag::Hint, key, head: none.clone(), body: none }])?;
        }
        Ok(())
    }

    /// Rewrites the oldest segment when that is worth it: at least half of it is dead, or the log is twice as large as
    /// what it holds and four segments more. Returns the bytes freed and the keys whose bytes had rotted.
    pub fn compact(&mut self, now: Timestamp) -> Result<Compacted<Arc<[u8]>>, LogError> {
        let (oldest_live, all_live) = {
            let index = self.index.lock();
            let oldest = self.log.sealed().next();
            (
                oldest.map(|(n, bytes)| (bytes, index.live.get(&n).copied().unwrap_or(0))),
                index.live.values().sum::<u64>(),
            )
        };
        let Some((bytes, live)) = oldest_live else { return Ok((0, Vec::new())) };
        let slack = 4 * self.log.options().segment_bytes;
        if live * 2 > bytes && self.log.bytes() <= 2 * all_live + slack {
            return Ok((0, Vec::new()));
        }
        let index = &self.index;
        let mut keep = |listed: &Listed<'_>| {
            let index = index.lock();
            let held = index.by_key.get(listed.key).and_then(|handle| index.held.get(handle));
            listed.tag == Tag::Put && held.is_some_and(|held| held.place == listed.place)
        };
        let mut rotten: Vec<Arc<[u8]>> = Vec::new();
        let freed = self.log.rewrite_oldest(
            now,
            &mut keep,
            &mut |key, from, to| index.lock().moved(key, from, to),
            &mut |key, _| rotten.push(key.into()),
        )?;
        rotten.iter().for_each(|key| index.lock().lose(key));
        Ok((freed, rotten))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FolderDisk;
    use super::*;

    #[test]
    fn a_package_whose_bytes_are_gone_is_told_and_gets_no_receipt_until_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(FolderDisk::open(folder.path()).unwrap());
        let (mut packages, _) = Packages::open(disk, 1 << 20, 1).unwrap();
        let (key, body) = (Bytes::from_static(b"key"), Bytes::from_static(b"body"));
        let mut hold = || {
            let taken = packages.hold(Timestamp(1), key.clone(), Bytes::new(), body.clone()).unwrap();
            packages.sync().unwrap();
            taken
        };
        assert_eq!([hold(), hold()], [Taken::New, Taken::Known]);
        let index = packages.index();
        index.lock().lose(&key);
        assert!(matches!(index.read(index.find(&key).unwrap().handle), Some(Err(ReadError::Lost))));
        assert_eq!(packages.hold(Timestamp(2), key.clone(), Bytes::new(), body.clone()).unwrap(), Taken::New);
        packages.sync().unwrap();
        assert_eq!(index.read(index.find(&key).unwrap().handle).unwrap().unwrap().body, body);
        assert_eq!(index.totals(), (1, 4));
    }
}
