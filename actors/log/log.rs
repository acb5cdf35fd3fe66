//! The log: segments of frames in one folder, appended in groups, durable after one sync.
//!
//! ```text
//! folder/0000000000000003.log      sealed: frames, footer, trailer
//! folder/0000000000000004.log      active: frames
//! folder/0000000000000002.log.bad  set aside: its head was not readable
//! ```
//!
//! *Write*: [`Log::append`] lays a frame out in memory, [`Log::sync`] writes the group in one call and syncs it. When the
//! active segment has grown past its size, the first frame of the next group seals it (footer, sync) and begins another
//! (head, sync of file and folder). *Read*: [`LogReader`], from any thread. *Recover*: [`Log::open`] reads footers and
//! scans what is not sealed; bodies of sealed segments stay unread. *Compact*: [`Log::rewrite_oldest`].
//!
//! A failed sync is final: the log refuses everything from then on, and its owner ends the process (delivery contract,
//! section 3, rule 3). A full disk is not: the group is taken back and answered [`LogError::Full`].

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use muster::formats::journal::{
    self, Entry, Footer, FrameParts, LogKind, Record, SEGMENT_HEAD_BYTES, Salt, TRAILER_BYTES, Tag,
};
use muster::rng::mix;
use muster::time::Timestamp;

use super::disk::{Disk, DiskFile};
use super::reader::{Files, LogReader, ReadError, ReadRecord};

/// Size at which a segment is sealed.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Most bytes a group should hold before it is synced, so that a segment's offsets stay below 4 GiB.
pub const GROUP_BYTES: usize = 32 << 20;

/// Why the log did not do something.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No room; nothing of the group was kept.
    #[error("the disk below the log is full")]
    Full,
    /// A call failed in a way that leaves the disk's state unknown: the process has to end and recover.
    #[error("cannot {doing} segment {segment} of the log")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// On which segment.
        segment: u64,
        /// What the disk said.
        source: io::Error,
    },
    /// An earlier call failed for good.
    #[error("the log failed earlier and takes nothing until the process is started anew")]
    Poisoned,
    /// The frame cannot be laid out.
    #[error("cannot lay out a frame")]
    Frame(#[from] journal::JournalError),
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment.
    pub segment: u64,
    /// Where its frame begins.
    pub offset: u32,
    /// Bytes of the frame.
    pub length: u32,
    /// Which record of the frame.
    pub index: u16,
}

/// One record as the start or a rewrite lists it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// What it does.
    pub tag: Tag,
    /// Its key.
    pub key: &'a [u8],
    /// Where it stands.
    pub place: Place,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// When it was written.
    pub time: Timestamp,
}

/// A record to write; its body is shared, not copied.
#[derive(Clone, Debug)]
pub struct Write {
    /// What it does.
    pub tag: Tag,
    /// Its key.
    pub key: Bytes,
    /// Its small part.
    pub head: Bytes,
    /// Its large part.
    pub body: Bytes,
}

/// What [`Log::open`] met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments read by their footers.
    pub sealed: usize,
    /// Segments read frame by frame.
    pub scanned: usize,
    /// Bytes behind the last whole frame that were never answered, cut away.
    pub cut_bytes: u64,
    /// Frames that had been synced and are damaged now: (segment, offset).
    pub rotten: Vec<(u64, u32)>,
    /// Files set aside because they are no segments of this log.
    pub set_aside: Vec<String>,
}

/// What a log is opened with.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Which of the node's logs it is.
    pub kind: LogKind,
    /// Size at which a segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// Random number of this start, the source of new segments' salts.
    pub seed: u64,
}

/// The live part of one log: see the module's head.
pub struct Log {
    disk: Arc<dyn Disk>,
    options: LogOptions,
    files: Arc<Files>,
    /// Bytes of each sealed segment, by number.
    sealed: BTreeMap<u64, u64>,
    active: Active,
    pending: Vec<(FrameParts, Vec<Bytes>)>,
    pending_bytes: u64,
    poisoned: bool,
}

/// The segment that is written, and what is known to be synced of it.
struct Active {
    number: u64,
    salt: Salt,
    file: Arc<dyn DiskFile>,
    /// Length up to which everything is synced.
    durable: u64,
    footer: Footer,
    /// The footer as of `durable`, to take a group back.
    footer_durable: (usize, u32),
}

/// Bytes that a compaction freed, and the keys whose bytes had rotted.
pub type Compacted<Key> = (u64, Vec<Key>);

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}.log")
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
}

impl Log {
    /// Opens the log in `disk`, listing every record to `list`, oldest first; an empty folder becomes an empty log.
    ///
    /// What a crash left behind the last whole frame is cut away; what had been synced and is damaged is skipped and
    /// named in the report. Afterwards everything listed is durable, so a receipt may be given for it again.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        list: &mut dyn FnMut(Listed<'_>),
    ) -> Result<(Log, Recovery), LogError> {
        let failed = |doing, segment| move |source| LogError::Failed { doing, segment, source };
        let names = disk.list().map_err(failed("list", 0))?;
        // A number that no log reaches in its life is none of ours, and would leave no room for the next one.
        let is_ours = |number: &u64| *number < u64::MAX / 2;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).filter(is_ours).collect();
        numbers.sort_unstable();
        let files = Arc::new(Files { disk: disk.clone(), kind: options.kind, open: Mutex::default() });
        let mut report = Recovery::default();
        let mut sealed = BTreeMap::new();
        let mut active = None;
        for &number in &numbers {
            let last = numbers.last() == Some(&number);
            let file = files.file(number).map_err(failed("open", number))?;
            let length = file.length().map_err(failed("measure", number))?;
            if let Some(entries) = read_sealed(&*file, options.kind, number, length).map_err(failed("read", number))? {
                entries.each(number, list);
                sealed.insert(number, length);
                report.sealed += 1;
                continue;
            }
            let mut bytes = vec![0; length as usize];
            file.read_at(0, &mut bytes).map_err(failed("read", number))?;
            let Ok(salt) = journal::read_segment_head(&bytes, options.kind, number) else {
                // Either its creation was not finished, then it is empty, or it is somebody else's.
                files.forget(number);
                let name = segment_name(number);
                if last && bytes.len() <= SEGMENT_HEAD_BYTES {
                    disk.remove(&name).map_err(failed("remove", number))?;
                } else {
                    disk.rename(&name, &format!("{name}.bad")).map_err(failed("set aside", number))?;
                    report.set_aside.push(name);
                }
                continue;
            };
            let scan = scan(&bytes, number, salt, list, &mut report);
            report.scanned += 1;
            if last {
                if scan.end < length {
                    report.cut_bytes = length - scan.end;
                    file.truncate(scan.end).map_err(failed("cut", number))?;
                }
                // A killed process may have left whole frames in the page cache only.
                file.sync().map_err(failed("sync", number))?;
                active = Some(Active::at(number, salt, file, scan.end, scan.footer));
            } else {
                sealed.insert(number, length);
            }
        }
        disk.sync_folder().map_err(failed("sync the folder of", 0))?;
        let active = match active {
            Some(active) => active,
            None => begin(&*disk, options, numbers.last().map_or(1, |last| last + 1))?,
        };
        files.note(active.number, active.file.clone(), active.salt);
        let log = Log { disk, options, files, sealed, active, pending: Vec::new(), pending_bytes: 0, poisoned: false };
        Ok((log, report))
    }

    /// A reader that works from any thread.
    pub fn reader(&self) -> LogReader {
        LogReader(self.files.clone())
    }

    /// What the log was opened with.
    pub fn options(&self) -> LogOptions {
        self.options
    }

    /// The disk below, to ask for its space.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Lays out one frame, to be written by the next [`Log::sync`]; gives the place of its first record, the others
    /// follow by index.
    pub fn append(&mut self, time: Timestamp, writes: &[Write]) -> Result<Place, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if self.pending.is_empty() && self.active.durable >= self.options.segment_bytes {
            self.roll()?;
        }
        let records: Vec<Record<'_>> =
            writes.iter().map(|w| Record { tag: w.tag, key: &w.key, head: &w.head, body: &w.body }).collect();
        let parts = journal::frame(&records, self.active.salt, self.active.durable, time)?;
        let length = parts.bytes.len() + writes.iter().map(|write| write.body.len()).sum::<usize>();
        let offset = self.active.durable + self.pending_bytes;
        let place = Place { segment: self.active.number, offset: offset as u32, length: length as u32, index: 0 };
        for (index, record) in (0u16..).zip(&records) {
            self.active.footer.push(&Entry {
                tag: record.tag,
                key: record.key,
                offset: place.offset,
                length: place.length,
                index,
                body_length: record.body.len() as u32,
                time,
            });
        }
        self.pending_bytes += length as u64;
        self.pending.push((parts, writes.iter().map(|write| write.body.clone()).collect()));
        Ok(place)
    }

    /// Bytes waiting for [`Log::sync`].
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Writes and syncs the group. After `Ok` every frame appended before is durable; after [`LogError::Full`] none is
    /// kept; after any other error the log is of no more use.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut slices = Vec::with_capacity(self.pending.len() * 3);
        for (parts, bodies) in &self.pending {
            let mut from = 0;
            for (&split, body) in parts.splits.iter().zip(bodies) {
                slices.push(IoSlice::new(&parts.bytes[from..split]));
                slices.push(IoSlice::new(body));
                from = split;
            }
        }
        let written = self.active.file.write_at(self.active.durable, &mut slices);
        drop(slices);
        if let Err(source) = written {
            return Err(self.take_back("write", source));
        }
        if let Err(source) = self.active.file.sync() {
            return Err(self.poison("sync", source));
        }
        self.active.durable += self.pending_bytes;
        self.active.footer_durable = self.active.footer.mark();
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    /// Bytes of the segments that are sealed, oldest first: (number, bytes).
    pub fn sealed(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.sealed.iter().map(|(&number, &bytes)| (number, bytes))
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.sealed.values().sum::<u64>() + self.active.durable
    }

    /// The oldest segment's records in order, for [`Log::rewrite_oldest`]; `None` when only the active one is left.
    fn oldest(&self) -> Option<u64> {
        self.sealed.first_key_value().map(|(&number, _)| number)
    }

    /// Compaction: copies forward the records of the oldest sealed segment for which `keep` says so, syncs the copies,
    /// then removes the segment. Each kept record is reported to `moved` with its new place, once that is durable.
    ///
    /// Must be called with nothing pending. Records that cannot be read any more are reported to `rotten` and go.
    /// Returns the bytes freed, 0 when there is no sealed segment.
    pub fn rewrite_oldest(
        &mut self,
        now: Timestamp,
        keep: &mut dyn FnMut(&Listed<'_>) -> bool,
        moved: &mut dyn FnMut(&[u8], Place, Place),
        rotten: &mut dyn FnMut(&[u8], Place),
    ) -> Result<u64, LogError> {
        assert!(self.pending.is_empty(), "compaction runs in a turn with nothing unapplied");
        let Some(number) = self.oldest() else { return Ok(0) };
        let bytes = self.sealed[&number];
        let mut kept: Vec<(Bytes, Tag, Place)> = Vec::new();
        let mut collect = |listed: Listed<'_>| {
            if keep(&listed) {
                kept.push((Bytes::copy_from_slice(listed.key), listed.tag, listed.place));
            }
        };
        let failed = |doing| move |source| LogError::Failed { doing, segment: number, source };
        let (file, salt) = self.files.salted(number).map_err(failed("open"))?;
        match read_sealed(&*file, self.options.kind, number, bytes).map_err(failed("read"))? {
            Some(entries) => entries.each(number, &mut collect),
            None => {
                let mut content = vec![0; bytes as usize];
                file.read_at(0, &mut content).map_err(failed("read"))?;
                let salt = salt.ok_or(LogError::Frame(journal::JournalError::Magic { what: "segment head" }))?;
                scan(&content, number, salt, &mut collect, &mut Recovery::default());
            }
        }
        let reader = self.reader();
        let mut copies = Vec::new();
        for group in kept.chunk_by(|a, b| a.2.offset == b.2.offset) {
            // Once for all records of a frame: it is read and checked whole.
            let records = match reader.read_frame(group.iter().map(|(.., place)| *place)) {
                Ok(records) => records,
                Err(ReadError::Rotten { .. } | ReadError::Lost) => {
                    group.iter().for_each(|(key, _, place)| rotten(key, *place));
                    continue;
                }
                Err(ReadError::Gone(_)) => return Err(self.poison("find", io::ErrorKind::NotFound.into())),
                Err(ReadError::Disk { source, .. }) => return Err(self.poison("read", source)),
            };
            let time = records.first().map_or(now, |record| record.time);
            let write = |((_, tag, _), ReadRecord { key, head, body, .. }): (&(Bytes, Tag, Place), ReadRecord)| Write {
                tag: *tag,
                key,
                head,
                body,
            };
            let writes: Vec<Write> = group.iter().zip(records).map(write).collect();
            let place = self.append(time, &writes)?;
            // With keys of their own: a part of what was read would hold the whole frame in memory.
            let moved = (0u16..).zip(group).map(|(index, (key, _, old))| (key.clone(), *old, Place { index, ..place }));
            copies.extend(moved);
            if self.pending_bytes as usize >= GROUP_BYTES {
                self.sync()?;
            }
        }
        self.sync()?;
        for (key, old, new) in copies {
            moved(&key, old, new);
        }
        self.files.forget(number);
        self.disk.remove(&segment_name(number)).map_err(failed("remove"))?;
        // A segment that came back after a later one with its tombstones is gone would bring dead keys back.
        self.disk.sync_folder().map_err(failed("sync the folder of"))?;
        self.sealed.remove(&number);
        Ok(bytes)
    }

    /// Seals the active segment and begins the next.
    fn roll(&mut self) -> Result<(), LogError> {
        let number = self.active.number;
        let footer = std::mem::take(&mut self.active.footer);
        let sealed = footer.clone().seal(self.active.durable);
        self.active.footer = footer;
        if let Err(source) = self.active.file.write_at(self.active.durable, &mut [IoSlice::new(&sealed)]) {
            return Err(self.take_back("seal", source));
        }
        if let Err(source) = self.active.file.sync() {
            return Err(self.poison("sync", source));
        }
        let next = match begin(&*self.disk, self.options, number + 1) {
            Ok(next) => next,
            Err(LogError::Full) => {
                // The sealed segment goes on as the active one: its footer is cut off again.
                let error = self.take_back("begin", io::ErrorKind::StorageFull.into());
                return Err(error);
            }
            Err(error) => {
                self.poisoned = true;
                return Err(error);
            }
        };
        self.files.note(next.number, next.file.clone(), next.salt);
        self.sealed.insert(number, self.active.durable + sealed.len() as u64);
        self.active = next;
        Ok(())
    }

    /// Forgets the group after a failed write: a full disk leaves the log as it was, anything else ends it.
    fn take_back(&mut self, doing: &'static str, source: io::Error) -> LogError {
        self.pending.clear();
        self.pending_bytes = 0;
        self.active.footer.cut(self.active.footer_durable);
        if !matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return self.poison(doing, source);
        }
        match self.active.file.truncate(self.active.durable) {
            Ok(()) => LogError::Full,
            Err(source) => self.poison("cut", source),
        }
    }

    fn poison(&mut self, doing: &'static str, source: io::Error) -> LogError {
        self.poisoned = true;
        LogError::Failed { doing, segment: self.active.number, source }
    }
}

impl Active {
    fn at(number: u64, salt: Salt, file: Arc<dyn DiskFile>, durable: u64, footer: Footer) -> Active {
        let footer_durable = footer.mark();
        Active { number, salt, file, durable, footer, footer_durable }
    }
}

/// Begins segment `number`: its head, file and folder are synced before the first answer.
fn begin(disk: &dyn Disk, options: LogOptions, number: u64) -> Result<Active, LogError> {
    let salt = Salt(mix(options.seed, number));
    let name = segment_name(number);
    let attempt = || -> io::Result<Arc<dyn DiskFile>> {
        let file = disk.create(&name)?;
        file.write_at(0, &mut [IoSlice::new(&journal::segment_head(options.kind, number, salt))])?;
        Ok(file)
    };
    let failed = |source| LogError::Failed { doing: "begin", segment: number, source };
    let file = attempt().map_err(|source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => match disk.remove(&name) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => failed(source),
            _ => LogError::Full,
        },
        _ => failed(source),
    })?;
    file.sync().map_err(failed)?;
    disk.sync_folder().map_err(failed)?;
    Ok(Active::at(number, salt, file, SEGMENT_HEAD_BYTES as u64, Footer::default()))
}

/// A sealed segment's footer.
struct SealedEntries {
    footer: Vec<u8>,
    trailer: [u8; TRAILER_BYTES],
}

impl SealedEntries {
    fn each(&self, segment: u64, list: &mut dyn FnMut(Listed<'_>)) {
        let entries = journal::read_footer(&self.footer, &self.trailer).expect("checked when it was read");
        for entry in entries {
            let place = Place { segment, offset: entry.offset, length: entry.length, index: entry.index };
            list(Listed { tag: entry.tag, key: entry.key, place, body_bytes: entry.body_length, time: entry.time });
        }
    }
}

/// The footer of a segment, or `None` when it has no whole one and must be scanned.
fn read_sealed(file: &dyn DiskFile, kind: LogKind, number: u64, length: u64) -> io::Result<Option<SealedEntries>> {
    if length < (SEGMENT_HEAD_BYTES + TRAILER_BYTES) as u64 {
        return Ok(None);
    }
    let mut head = [0; SEGMENT_HEAD_BYTES];
    file.read_at(0, &mut head)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_at(length - TRAILER_BYTES as u64, &mut trailer)?;
    let Ok(place) = journal::read_trailer(&trailer, length) else { return Ok(None) };
    if journal::read_segment_head(&head, kind, number).is_err() {
        return Ok(None);
    }
    let mut footer = vec![0; place.length as usize];
    file.read_at(place.offset, &mut footer)?;
    let whole = journal::read_footer(&footer, &trailer).is_ok();
    Ok(whole.then_some(SealedEntries { footer, trailer }))
}

/// What a scan found: where the whole frames end, and the footer they would have.
struct Scan {
    end: u64,
    footer: Footer,
}

/// Reads a segment frame by frame. A broken frame that a later one proves to have been synced is skipped and reported;
/// one that nothing proves is the torn tail.
fn scan(bytes: &[u8], segment: u64, salt: Salt, list: &mut dyn FnMut(Listed<'_>), report: &mut Recovery) -> Scan {
    let mut footer = Footer::default();
    let mut at = SEGMENT_HEAD_BYTES;
    while at < bytes.len() {
        match journal::read_frame(&bytes[at..], salt) {
            Ok((head, records)) => {
                let length = head.frame_bytes();
                for (index, record) in (0u16..).zip(&records) {
                    let (tag, key, time) = (record.tag, record.key, head.time);
                    let (offset, body_length) = (at as u32, record.body.len() as u32);
                    footer.push(&Entry { tag, key, offset, length: length as u32, index, body_length, time });
                    let place = Place { segment, offset, length: length as u32, index };
                    list(Listed { tag, key, place, body_bytes: body_length, time });
                }
                at += length;
            }
            Err(_) => match next_synced_frame(bytes, at, salt) {
                Some(next) => {
                    report.rotten.push((segment, at as u32));
                    at = next;
                }
                None => break,
            },
        }
    }
    Scan { end: at as u64, footer }
}

/// The next whole frame behind `broken` that proves that what stood at `broken` had been synced.
fn next_synced_frame(bytes: &[u8], broken: usize, salt: Salt) -> Option<usize> {
    let mut at = broken + 1;
    loop {
        at += memchr::memmem::find(bytes.get(at..)?, &salt.0.to_le_bytes())?;
        match journal::read_frame(&bytes[at..], salt) {
            Ok((head, _)) if head.durable > broken as u64 => return Some(at),
            _ => at += 1,
        }
    }
}
