//! Records read back from any thread, each with its frame's checksum.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use muster::formats::journal::{self, LogKind, SEGMENT_HEAD_BYTES, Salt};
use muster::time::Timestamp;

use super::disk::{Disk, DiskFile};
use super::log::{Place, segment_name};

/// Why a record could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment is gone: its live entries were copied forward.
    #[error("segment {0} is no longer there")]
    Gone(u64),
    /// The bytes are not the ones that were written.
    #[error("segment {segment} is damaged at {offset}")]
    Rotten {
        /// The segment.
        segment: u64,
        /// Where its frame begins.
        offset: u32,
        /// What does not fit.
        source: journal::JournalError,
    },
    /// Its bytes had rotted, and its segment was rewritten without it.
    #[error("its bytes had rotted and are gone")]
    Lost,
    /// The disk refused.
    #[error("cannot read segment {segment}")]
    Disk {
        /// The segment.
        segment: u64,
        /// What the disk said.
        source: io::Error,
    },
}

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its key.
    pub key: Bytes,
    /// Its small part.
    pub head: Bytes,
    /// Its large part.
    pub body: Bytes,
    /// When it was written.
    pub time: Timestamp,
}

/// A segment's file, with its salt once the head was read.
pub(super) type OpenSegment = (Arc<dyn DiskFile>, Option<Salt>);

/// Open segments, shared with readers.
pub(super) struct Files {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) kind: LogKind,
    pub(super) open: Mutex<BTreeMap<u64, OpenSegment>>,
}

/// Most segments a reader keeps open.
const OPEN_FILES_MAX: usize = 64;

impl Files {
    pub(super) fn file(&self, segment: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        if let Some((file, _)) = open.get(&segment) {
            return Ok(file.clone());
        }
        let file = self.disk.open(&segment_name(segment))?;
        if open.len() >= OPEN_FILES_MAX {
            open.pop_first();
        }
        open.insert(segment, (file.clone(), None));
        Ok(file)
    }

    /// The file and what its frames begin with; `None` when its head is damaged.
    pub(super) fn salted(&self, segment: u64) -> io::Result<(Arc<dyn DiskFile>, Option<Salt>)> {
        let file = self.file(segment)?;
        if let Some((_, Some(salt))) = self.open.lock().expect("no holder of this lock panics").get(&segment) {
            return Ok((file, Some(*salt)));
        }
        let mut head = [0; SEGMENT_HEAD_BYTES];
        file.read_at(0, &mut head)?;
        let Ok(salt) = journal::read_segment_head(&head, self.kind, segment) else { return Ok((file, None)) };
        self.note(segment, file.clone(), salt);
        Ok((file, Some(salt)))
    }

    pub(super) fn note(&self, segment: u64, file: Arc<dyn DiskFile>, salt: Salt) {
        self.open.lock().expect("no holder of this lock panics").insert(segment, (file, Some(salt)));
    }

    pub(super) fn forget(&self, segment: u64) {
        self.open.lock().expect("no holder of this lock panics").remove(&segment);
    }
}

/// Reads records from any thread while the log goes on.
#[derive(Clone)]
pub struct LogReader(pub(super) Arc<Files>);

impl LogReader {
    /// The record at `place`, with the frame's checksum checked.
    pub fn read(&self, place: Place) -> Result<ReadRecord, ReadError> {
        let mut records = self.read_frame(std::iter::once(place))?;
        let content = || journal::JournalError::Content { what: "frame" };
        records.pop().ok_or_else(|| ReadError::Rotten {
            segment: place.segment,
            offset: place.offset,
            source: content(),
        })
    }

    /// The records at these places, all of one frame, in their order; nothing for none.
    pub fn read_frame(&self, places: impl IntoIterator<Item = Place>) -> Result<Vec<ReadRecord>, ReadError> {
        let mut places = places.into_iter().peekable();
        let Some(place) = places.peek().copied() else { return Ok(Vec::new()) };
        let segment = place.segment;
        let (file, salt) = self.0.salted(segment).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ReadError::Gone(segment),
            _ => ReadError::Disk { segment, source },
        })?;
        let mut frame = vec![0; place.length as usize];
        file.read_at(u64::from(place.offset), &mut frame).map_err(|source| ReadError::Disk { segment, source })?;
        let rotten = |source| ReadError::Rotten { segment, offset: place.offset, source };
        let salt = salt.ok_or_else(|| rotten(journal::JournalError::Magic { what: "segment head" }))?;
        let (head, records) = journal::read_frame(&frame, salt).map_err(rotten)?;
        let content = || journal::JournalError::Content { what: "frame" };
        let within = |part: &[u8]| {
            let start = part.as_ptr() as usize - frame.as_ptr() as usize;
            start..start + part.len()
        };
        let wanted: Option<Vec<_>> = places
            .map(|place| records.get(usize::from(place.index)))
            .map(|record| record.map(|record| [within(record.key), within(record.head), within(record.body)]))
            .collect();
        let wanted = wanted.ok_or_else(|| rotten(content()))?;
        let frame = Bytes::from(frame);
        let record = |[key, small, body]: [std::ops::Range<usize>; 3]| ReadRecord {
            key: frame.slice(key),
            head: frame.slice(small),
            body: frame.slice(body),
            time: head.time,
        };
        Ok(wanted.into_iter().map(record).collect())
    }
}
