//! The facts log with its index: keyed values that were committed, newest of each key.
//!
//! [`Facts::commit`] is the only commit point of a node: one frame, one checksum, so all of it is there or none.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use muster::formats::journal::{LogKind, RECORD_HEAD_BYTES, Tag};
use muster::model::fact::FACT_KEY_BYTES_MAX;
use muster::time::Timestamp;

use super::disk::Disk;
use super::log::{Compacted, Listed, Log, LogError, LogOptions, Place, Recovery, Write};
use super::reader::{LogReader, ReadError};

/// One upsert or, without a value, one tombstone.
pub type FactWrite = (Bytes, Option<Bytes>);

/// Where a commit stands in the log: later commits compare greater. A view says up to which one it covers the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment.
    pub segment: u64,
    /// Where the frame begins.
    pub offset: u32,
}

impl Position {
    /// Behind every commit: nothing reads the log as a view.
    pub const END: Position = Position { segment: u64::MAX, offset: u32::MAX };
}

/// Keys that are looked at under one lock.
const SCAN_KEYS: usize = 50_000;

/// Most records one frame holds; a longer commit is the caller's error.
pub const COMMIT_RECORDS_MAX: usize = u16::MAX as usize;

/// Where the newest value of a key stands, and the bytes it takes there.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Newest {
    place: Place,
    bytes: u64,
}

#[derive(Default)]
struct Index {
    by_key: BTreeMap<Box<[u8]>, Newest>,
    /// Bytes of newest values by segment.
    live: BTreeMap<u64, u64>,
    /// The greatest place a value was put at.
    newest: Position,
}

impl Index {
    fn put(&mut self, key: &[u8], place: Place, value_bytes: u64) {
        self.remove(key);
        let bytes = (RECORD_HEAD_BYTES + key.len()) as u64 + value_bytes;
        self.by_key.insert(key.into(), Newest { place, bytes });
        self.newest = self.newest.max(place.position());
        *self.live.entry(place.segment).or_default() += bytes;
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(newest) = self.by_key.remove(key)
            && let Some(live) = self.live.get_mut(&newest.place.segment)
        {
            *live -= newest.bytes;
        }
    }

    fn moved(&mut self, key: &[u8], from: Place, to: Place) {
        if let Some(newest) = self.by_key.get_mut(key)
            && newest.place == from
        {
            newest.place = to;
            self.newest = self.newest.max(to.position());
            let bytes = newest.bytes;
            *self.live.entry(from.segment).or_default() -= bytes;
            *self.live.entry(to.segment).or_default() += bytes;
        }
    }

    fn is_newest(&self, key: &[u8], place: Place) -> bool {
        self.by_key.get(key).is_some_and(|newest| newest.place == place)
    }
}

/// What can be asked of the facts from any thread.
#[derive(Clone)]
pub struct FactIndex {
    index: Arc<Mutex<Index>>,
    reader: LogReader,
    covered: Arc<Mutex<Position>>,
}

impl FactIndex {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no holder of this lock panics")
    }

    /// The view has applied every commit up to `position` durably: older segments may be rewritten.
    pub fn cover(&self, position: Position) {
        let mut covered = self.covered.lock().expect("no holder of this lock panics");
        *covered = (*covered).max(position);
    }

    fn covered(&self) -> Position {
        *self.covered.lock().expect("no holder of this lock panics")
    }

    /// Where the newest fact was put; the very beginning when there was none.
    pub fn newest(&self) -> Position {
        self.lock().newest
    }

    /// The keys that begin with `prefix` whose values were put behind `since`, ascending. A value that was moved by a
    /// compaction counts as put anew.
    pub fn put_since(&self, prefix: &[u8], since: Position) -> Vec<Box<[u8]>> {
        let (mut found, mut after) = (Vec::new(), None::<Box<[u8]>>);
        loop {
            // In parts, so that nobody waits long for the index.
            let index = self.lock();
            let from = after.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
            let range = index.by_key.range::<[u8], _>((from, Bound::Unbounded));
            let mut last = None;
            for (key, newest) in range.take_while(|(key, _)| key.starts_with(prefix)).take(SCAN_KEYS) {
                last = Some(key);
                if newest.place.position() > since {
                    found.push(key.clone());
                }
            }
            let Some(last) = last.cloned() else { return found };
            after = Some(last);
        }
    }

    /// Whether `key` has a value.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.lock().by_key.contains_key(key)
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        // A rewrite may move the entry between the look and the read: then look again.
        for _ in 0..8 {
            let Some(newest) = self.lock().by_key.get(key).copied() else { return Ok(None) };
            match self.reader.read(newest.place) {
                Err(ReadError::Gone(_)) => continue,
                other => return other.map(|record| Some(record.body)),
            }
        }
        Ok(None)
    }

    /// Calls `each` for every one of these keys with its place among them and its value, in the order in which they stand
    /// in the log: a frame that holds several is read once.
    pub fn get_all<K: AsRef<[u8]>>(&self, keys: &[K], mut each: impl FnMut(usize, Result<Option<Bytes>, ReadError>)) {
        let mut found: Vec<(Place, usize)> = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        for (part, number) in keys.chunks(SCAN_KEYS).zip(0..) {
            // In parts, so that nobody waits long for the index.
            let index = self.lock();
            for (key, place) in part.iter().zip(number * SCAN_KEYS..) {
                match index.by_key.get(key.as_ref()) {
                    Some(newest) => found.push((newest.place, place)),
                    None => missing.push(place),
                }
            }
        }
        missing.into_iter().for_each(|place| each(place, Ok(None)));
        found.sort_unstable_by_key(|(at, _)| (at.segment, at.offset, at.index));
        for of_frame in found.chunk_by(|(a, _), (b, _)| a.position() == b.position()) {
            match self.reader.read_frame(of_frame.iter().map(|(at, _)| *at)) {
                Ok(records) => {
                    for ((_, place), record) in of_frame.iter().zip(records) {
                        each(*place, Ok(Some(record.body)));
                    }
                }
                // A rewrite has moved them meanwhile, or the frame has rotted: each has its own answer.
                Err(_) => of_frame.iter().for_each(|(_, place)| each(*place, self.get(keys[*place].as_ref()))),
            }
        }
    }

    /// Up to `limit` keys that begin with `prefix`, greater than `after`, ascending, with where they stand.
    pub fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Box<[u8]>, Position)> {
        let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        let index = self.lock();
        let range = index.by_key.range::<[u8], _>((from, Bound::Unbounded));
        let within = range.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        within.map(|(key, newest)| (key.clone(), newest.place.position())).collect()
    }

    /// Up to `limit` keys that begin with `prefix`, less than `before`, descending.
    pub fn keys_down(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Vec<Box<[u8]>> {
        // No key that begins with the prefix is longer.
        let end = [prefix, &[u8::MAX; FACT_KEY_BYTES_MAX]].concat();
        let index = self.lock();
        let range = index.by_key.range::<[u8], _>((Bound::Included(prefix), Bound::Excluded(before.unwrap_or(&end))));
        range.rev().take_while(|(key, _)| key.starts_with(prefix)).take(limit).map(|(key, _)| key.clone()).collect()
    }

    /// How many keys begin with `prefix`.
    pub fn count(&self, prefix: &[u8]) -> u64 {
        let (mut count, mut after) = (0, None::<Box<[u8]>>);
        loop {
            // In parts, so that nobody waits long for the index.
            let index = self.lock();
            let from = after.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
            let range = index.by_key.range::<[u8], _>((from, Bound::Unbounded));
            let mut last = None;
            for (key, _) in range.take_while(|(key, _)| key.starts_with(prefix)).take(SCAN_KEYS) {
                (last, count) = (Some(key), count + 1);
            }
            let Some(last) = last.cloned() else { return count };
            after = Some(last);
        }
    }

    /// Calls `each` for every fact whose key begins with `prefix`, by key. A value that cannot be read any more is left
    /// out and named in the answer: one damaged fact must not stop a start.
    pub fn each(&self, prefix: &[u8], mut each: impl FnMut(&[u8], Position, Bytes)) -> Vec<(Box<[u8]>, ReadError)> {
        let mut damaged = Vec::new();
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let page = self.keys(prefix, after.as_deref(), 1_000);
            let keys: Vec<&[u8]> = page.iter().map(|(key, _)| &key[..]).collect();
            let mut values: Vec<Option<Bytes>> = vec![None; page.len()];
            self.get_all(&keys, |place, value| match value {
                Ok(value) => values[place] = value,
                Err(error) => damaged.push((page[place].0.clone(), error)),
            });
            for ((key, position), value) in page.iter().zip(values) {
                if let Some(value) = value {
                    each(key, *position, value);
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { return damaged };
            after = Some(last);
        }
    }
}

impl Place {
    fn position(self) -> Position {
        Position { segment: self.segment, offset: self.offset }
    }
}

/// The log and its index, on their writer's thread.
pub struct Facts {
    log: Log,
    index: FactIndex,
    pending: Vec<(Place, Vec<FactWrite>)>,
}

impl Facts {
    /// Opens the facts log in `disk`.
    pub fn open(disk: Arc<dyn Disk>, segment_bytes: u64, seed: u64) -> Result<(Facts, Recovery), LogError> {
        let mut index = Index::default();
        let options = LogOptions { kind: LogKind::Facts, segment_bytes, seed };
        let (log, recovery) = Log::open(disk, options, &mut |listed| match listed.tag {
            Tag::Put => index.put(listed.key, listed.place, u64::from(listed.body_bytes)),
            Tag::Tombstone | Tag::Hint => index.remove(listed.key),
        })?;
        let index = FactIndex { index: Arc::new(Mutex::new(index)), reader: log.reader(), covered: Arc::default() };
        Ok((Facts { log, index, pending: Vec::new() }, recovery))
    }

    /// What other threads may ask.
    pub fn index(&self) -> FactIndex {
        self.index.clone()
    }

    /// The disk below.
    pub fn disk(&self) -> &dyn Disk {
        self.log.disk()
    }

    /// Takes one commit into the group; true once [`Facts::sync`] returned `Ok`. Empty commits are nothing.
    pub fn commit(&mut self, now: Timestamp, facts: Vec<FactWrite>) -> Result<Option<Position>, LogError> {
        if facts.is_empty() {
            return Ok(None);
        }
        let none = Bytes::new();
        let writes: Vec<Write> = facts
            .iter()
            .map(|(key, value)| Write {
                tag: if value.is_some() { Tag::Put } else { Tag::Tombstone },
                key: key.clone(),
                head: none.clone(),
                body: value.clone().unwrap_or_default(),
            })
            .collect();
        let place = self.log.append(now, &writes)?;
        self.pending.push((place, facts));
        Ok(Some(place.position()))
    }

    /// Bytes waiting for [`Facts::sync`].
    pub fn pending_bytes(&self) -> u64 {
        self.log.pending_bytes()
    }

    /// Makes the group durable, then visible. On an error nothing of it is committed.
    pub fn sync(&mut self) -> Result<(), LogError> {
        let synced = self.log.sync();
        let pending = std::mem::take(&mut self.pending);
        if synced.is_ok() {
            let mut index = self.index.lock();
            for (place, facts) in pending {
                for (number, (key, value)) in (0u16..).zip(facts) {
                    match value {
                        Some(value) => index.put(&key, Place { index: number, ..place }, value.len() as u64),
                        None => index.remove(&key),
                    }
                }
            }
        }
        synced
    }

    /// Rewrites the oldest segment when that is worth it: at least half of it is dead, or the log is twice as large as
    /// what is live and four segments more. A segment that the view has not applied yet stays. Returns the bytes freed
    /// and the keys whose bytes had rotted.
    pub fn compact(&mut self, now: Timestamp) -> Result<Compacted<Box<[u8]>>, LogError> {
        let nothing = Ok((0, Vec::new()));
        let Some((oldest, bytes)) = self.log.sealed().next() else { return nothing };
        let (live, live_all) = {
            let index = self.index.lock();
            (index.live.get(&oldest).copied().unwrap_or(0), index.live.values().sum::<u64>())
        };
        let slack = 4 * self.log.options().segment_bytes;
        let covered = self.index.covered();
        if oldest >= covered.segment || (live * 2 > bytes && self.log.bytes() <= 2 * live_all + slack) {
            return nothing;
        }
        let index = &self.index;
        let mut rotten: Vec<Box<[u8]>> = Vec::new();
        let freed = self.log.rewrite_oldest(
            now,
            &mut |listed: &Listed<'_>| index.lock().is_newest(listed.key, listed.place),
            &mut |key, from, to| index.lock().moved(key, from, to),
            &mut |key, _| rotten.push(key.into()),
        )?;
        rotten.iter().for_each(|key| index.lock().remove(key));
        Ok((freed, rotten))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice};
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::disk::{DiskFile, Space};
    use super::super::{Disk, FolderDisk};
    use super::*;

    #[test]
    fn what_was_put_since_a_place_is_found_also_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Facts::open(Arc::new(FolderDisk::open(folder.path()).unwrap()), 1 << 20, 1).unwrap().0;
        let mut facts = open();
        let put = |facts: &mut Facts, keys: &[&'static str]| {
            let writes = keys.iter().map(|key| (Bytes::from_static(key.as_bytes()), Some(Bytes::from_static(b"x"))));
            facts.commit(Timestamp(1), writes.collect()).unwrap();
            facts.sync().unwrap();
            facts.index().newest()
        };
        let since = |facts: &Facts, place: Position| -> Vec<String> {
            let keys = facts.index().put_since(b"a", place);
            keys.into_iter().map(|key| String::from_utf8(key.into()).unwrap()).collect()
        };
        assert_eq!((since(&facts, Position::default()), facts.index().newest()), (vec![], Position::default()));
        let first = put(&mut facts, &["a1", "a2", "b1"]);
        assert_eq!(since(&facts, Position::default()), ["a1", "a2"]);
        let second = put(&mut facts, &["a2", "a3"]);
        assert!(Position::default() < first && first < second);
        put(&mut facts, &["b2"]);
        let check = |facts: &Facts| {
            assert_eq!(since(facts, first), ["a2", "a3"]);
            assert!(since(facts, second).is_empty() && since(facts, facts.index().newest()).is_empty());
        };
        check(&facts);
        drop(facts);
        check(&open());
    }

    #[test]
    fn many_facts_are_read_together_as_each_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(FolderDisk::open(folder.path()).unwrap());
        let mut facts = Facts::open(disk, 1 << 16, 1).unwrap().0;
        let key = |number: usize| Bytes::from(format!("a{number:04}"));
        for round in 0..3 {
            for part in (0..300).collect::<Vec<usize>>().chunks(70) {
                let writes = part.iter().filter(|number| *number % 3 == round || round == 0).map(|&number| {
                    let value = (number % 50 != 7 || round == 0).then(|| Bytes::from(vec![round as u8; number]));
                    (key(number), value)
                });
                facts.commit(Timestamp(1), writes.collect()).unwrap();
                facts.sync().unwrap();
            }
        }
        let index = facts.index();
        // In any order, some twice, some that are not there.
        let keys: Vec<Bytes> = (0..700).map(|place| key(place * 37 % 350)).collect();
        let mut read: Vec<Option<Option<Bytes>>> = vec![None; keys.len()];
        index.get_all(&keys, |place, value| assert!(read[place].replace(value.unwrap()).is_none(), "{place} twice"));
        for (key, value) in keys.iter().zip(read) {
            assert_eq!(value.unwrap(), index.get(key).unwrap(), "{key:?}");
        }
        assert!(index.get(&key(7)).unwrap().is_none() && index.get(&key(57)).unwrap().is_some());
    }

    #[test]
    fn more_keys_than_one_look_takes_are_all_found() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(FolderDisk::open(folder.path()).unwrap());
        let mut facts = Facts::open(disk, 64 << 20, 1).unwrap().0;
        let keys: Vec<Bytes> = (0..SCAN_KEYS + 7).map(|number| Bytes::from(format!("a{number:06}"))).collect();
        for part in keys.chunks(COMMIT_RECORDS_MAX / 2) {
            facts.commit(Timestamp(1), part.iter().map(|key| (key.clone(), Some(Bytes::new()))).collect()).unwrap();
            facts.sync().unwrap();
        }
        assert!(
            facts
                .index()
                .put_since(b"a", Position::default())
                .iter()
                .map(|key| &key[..])
                .eq(keys.iter().map(|key| &key[..]))
        );
    }

    /// A disk that counts what is read.
    struct Counted(FolderDisk, Arc<AtomicU64>);
    struct CountedFile(Arc<dyn DiskFile>, Arc<AtomicU64>);

    impl Disk for Counted {
        fn list(&self) -> io::Result<Vec<String>> {
            self.0.list()
        }
        fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(CountedFile(self.0.create(name)?, self.1.clone())))
        }
        fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(CountedFile(self.0.open(name)?, self.1.clone())))
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.0.rename(from, to)
        }
        fn sync_folder(&self) -> io::Result<()> {
            self.0.sync_folder()
        }
        fn space(&self) -> io::Result<Space> {
            self.0.space()
        }
    }

    impl DiskFile for CountedFile {
        fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
            self.0.write_at(offset, parts)
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.0.read_at(offset, buffer)
        }
        fn length(&self) -> io::Result<u64> {
            self.0.length()
        }
        fn truncate(&self, length: u64) -> io::Result<()> {
            self.0.truncate(length)
        }
        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }
    }

    #[test]
    fn a_segment_is_rewritten_by_reading_each_of_its_frames_once() {
        let (folder, read) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(0)));
        let disk = Counted(FolderDisk::open(folder.path()).unwrap(), read.clone());
        let mut facts = Facts::open(Arc::new(disk), 1 << 18, 1).unwrap().0;
        let write = |number: u32| (Bytes::from(format!("a{number:05}")), Some(Bytes::from(vec![7; 40])));
        // A thousand facts in one frame; then all but every tenth anew, until the first segment is sealed and mostly dead.
        facts.commit(Timestamp(1), (0..1_000).map(write).collect()).unwrap();
        facts.sync().unwrap();
        while facts.index().newest().segment < 3 {
            facts.commit(Timestamp(1), (0..1_000).filter(|number| number % 10 != 0).map(write).collect()).unwrap();
            facts.sync().unwrap();
        }
        facts.index().cover(facts.index().newest());
        read.store(0, Ordering::Relaxed);
        let (freed, rotten) = facts.compact(Timestamp(2)).unwrap();
        assert!(freed > 1 << 17 && rotten.is_empty(), "{freed}");
        let bytes = read.load(Ordering::Relaxed);
        assert!(bytes < 3 * freed, "{bytes} read of {freed}");
        for number in 0..1_000 {
            assert_eq!(facts.index().get(&write(number).0).unwrap(), write(number).1);
        }
    }
}
