//! Frames and segments of the log: what stands on disk, byte by byte.
//!
//! ```text
//! segment  = head frame* [footer trailer]
//! head     = "MUSTRLOG" version:u8 kind:u8 zero:u16 number:u64 salt:u64 crc:u32                        32 bytes
//! frame    = salt:u64 length:u32 crc:u32 version:u8 zero:u8 count:u16 durable:u64 time:u64 record*     36 bytes + records
//! record   = tag:u8 zero:u8 key_length:u16 head_length:u16 zero:u16 body_length:u32 key head body
//! footer   = entry*
//! entry    = offset:u32 length:u32 time:u64 body_length:u32 index:u16 tag:u8 zero:u8 key_length:u16 key
//! trailer  = magic:u32 crc:u32 offset:u64 length:u64 entries:u32 version:u8 zero:[u8;3]                32 bytes
//! ```
//!
//! All numbers little endian. A frame's `length` counts its records; its `crc` covers everything behind the crc and
//! the length. One frame is one commit: whole or not there. `durable` is how far this segment was known to be synced
//! when the frame was written: a broken frame *before* that point had been synced and has rotted (it is skipped and
//! reported, what follows counts), a broken frame at or behind the last such point is the torn tail of a crash (it and
//! what follows were never answered and are cut away). Frames are looked for by the segment's `salt`, a random number
//! that never leaves the node: a body that contains a well-made frame cannot pass for one.

use crate::time::Timestamp;

/// Version byte written into heads, frames and trailers.
pub const VERSION: u8 = 1;
/// Bytes of a segment's head.
pub const SEGMENT_HEAD_BYTES: usize = 32;
/// Bytes of a frame before its records.
pub const FRAME_HEAD_BYTES: usize = 36;
/// Bytes of a record before its key.
pub const RECORD_HEAD_BYTES: usize = 12;
/// Bytes of the trailer at the end of a sealed segment.
pub const TRAILER_BYTES: usize = 32;
/// Most bytes the records of one frame may take.
pub const MAX_FRAME_BYTES: usize = 64 << 20;

const SEGMENT_MAGIC: &[u8; 8] = b"MUSTRLOG";
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"seal");
const ENTRY_HEAD_BYTES: usize = 26;

/// Which of a node's two logs a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Bodies with their envelopes.
    Packages,
    /// What cannot be derived from kept packages.
    Facts,
}

/// What a record does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// The key has this value from now on.
    Put,
    /// The key is gone.
    Tombstone,
    /// Advice about the key that may be lost without harm.
    Hint,
}

impl Tag {
    fn byte(self) -> u8 {
        match self {
            Tag::Put => 0,
            Tag::Tombstone => 1,
            Tag::Hint => 2,
        }
    }

    fn from_byte(byte: u8) -> Option<Tag> {
        [Tag::Put, Tag::Tombstone, Tag::Hint].into_iter().find(|tag| tag.byte() == byte)
    }
}

/// One record, lent by its writer or by the frame it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it does.
    pub tag: Tag,
    /// At most 64 KiB - 1.
    pub key: &'a [u8],
    /// Small part that is read without the body (an envelope); at most 64 KiB - 1.
    pub head: &'a [u8],
    /// Large part.
    pub body: &'a [u8],
}

impl Record<'_> {
    /// Bytes this record takes in a frame.
    pub fn encoded_bytes(&self) -> usize {
        RECORD_HEAD_BYTES + self.key.len() + self.head.len() + self.body.len()
    }
}

/// Why bytes are not what they should be. Every case names what was read, so that an operator can find the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The bytes end before the structure does.
    #[error("bytes end inside a {what}")]
    Short {
        /// The structure.
        what: &'static str,
    },
    /// The magic number is missing.
    #[error("no {what} begins here")]
    Magic {
        /// The structure.
        what: &'static str,
    },
    /// The checksum does not fit.
    #[error("checksum of a {what} does not fit")]
    Checksum {
        /// The structure.
        what: &'static str,
    },
    /// A version this program does not know.
    #[error("a {what} has version {version}, this program reads {VERSION}")]
    Version {
        /// The structure.
        what: &'static str,
        /// Version met.
        version: u8,
    },
    /// The checksum fits, the content does not: written by something else.
    #[error("a {what} has impossible content")]
    Content {
        /// The structure.
        what: &'static str,
    },
    /// Larger than any writer makes.
    #[error("{bytes} bytes in a {what}, at most {limit} are allowed")]
    Large {
        /// The structure.
        what: &'static str,
        /// Bytes met.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// What the frames of a segment begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

/// The head of segment `number`.
pub fn segment_head(kind: LogKind, number: u64, salt: Salt) -> [u8; SEGMENT_HEAD_BYTES] {
    let mut out = [0; SEGMENT_HEAD_BYTES];
    out[..8].copy_from_slice(SEGMENT_MAGIC);
    out[8] = VERSION;
    out[9] = match kind {
        LogKind::Packages => b'P',
        LogKind::Facts => b'F',
    };
    out[12..20].copy_from_slice(&number.to_le_bytes());
    out[20..28].copy_from_slice(&salt.0.to_le_bytes());
    let crc = crc32fast::hash(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Checks that `bytes` begin segment `number` of a log of this kind; gives its salt.
pub fn read_segment_head(bytes: &[u8], kind: LogKind, number: u64) -> Result<Salt, JournalError> {
    let what = "segment head";
    let head = bytes.get(..SEGMENT_HEAD_BYTES).ok_or(JournalError::Short { what })?;
    if &head[..8] != SEGMENT_MAGIC {
        return Err(JournalError::Magic { what });
    }
    if head[8] != VERSION {
        return Err(JournalError::Version { what, version: head[8] });
    }
    let salt = Salt(u64_at(head, 20));
    if head == segment_head(kind, number, salt) { Ok(salt) } else { Err(JournalError::Checksum { what }) }
}

/// The parts of a frame that stand before and between the bodies, laid out for one gathered write.
///
/// `bytes` holds frame head, record heads, keys and heads in order; `splits[i]` is where the i-th body belongs.
#[derive(Debug, Default)]
pub struct FrameParts {
    /// Everything but the bodies.
    pub bytes: Vec<u8>,
    /// For each record the offset in `bytes` behind which its body stands.
    pub splits: Vec<usize>,
}

/// Lays out one frame of `records` whose bodies are written from where they are.
///
/// `durable` is the length up to which the segment is known to be synced. Errors: [`JournalError::Large`] for a frame,
/// key or head beyond its limit; [`JournalError::Content`] for no records or more than 65,535.
pub fn frame(records: &[Record<'_>], salt: Salt, durable: u64, time: Timestamp) -> Result<FrameParts, JournalError> {
    let what = "frame";
    let length: usize = records.iter().map(Record::encoded_bytes).sum();
    if length > MAX_FRAME_BYTES {
        return Err(JournalError::Large { what, bytes: length, limit: MAX_FRAME_BYTES });
    }
    let count = u16::try_from(records.len()).ok().filter(|&count| count > 0).ok_or(JournalError::Content { what })?;
    let small: usize = records.iter().map(|r| RECORD_HEAD_BYTES + r.key.len() + r.head.len()).sum();
    let mut parts =
        FrameParts { bytes: Vec::with_capacity(FRAME_HEAD_BYTES + small), splits: Vec::with_capacity(records.len()) };
    let out = &mut parts.bytes;
    out.extend_from_slice(&salt.0.to_le_bytes());
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[VERSION, 0]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&durable.to_le_bytes());
    out.extend_from_slice(&time.0.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[..12]);
    let mut hashed = 16;
    for record in records {
        let key_length = small_length(record.key, "key")?;
        let head_length = small_length(record.head, "head")?;
        out.extend_from_slice(&[record.tag.byte(), 0]);
        out.extend_from_slice(&key_length.to_le_bytes());
        out.extend_from_slice(&head_length.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(record.body.len() as u32).to_le_bytes());
        out.extend_from_slice(record.key);
        out.extend_from_slice(record.head);
        crc.update(&out[hashed..]);
        crc.update(record.body);
        hashed = out.len();
        parts.splits.push(hashed);
    }
    let crc = crc.finalize().to_le_bytes();
    parts.bytes[12..16].copy_from_slice(&crc);
    Ok(parts)
}

fn small_length(bytes: &[u8], what: &'static str) -> Result<u16, JournalError> {
    let limit = u16::MAX as usize;
    u16::try_from(bytes.len()).map_err(|_| JournalError::Large { what, bytes: bytes.len(), limit })
}

/// A frame's own numbers, read from its first [`FRAME_HEAD_BYTES`] bytes before its records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of the records behind the head.
    pub length: u32,
    /// Records.
    pub count: u16,
    /// How far the segment was synced when this frame was written.
    pub durable: u64,
    /// When it was written.
    pub time: Timestamp,
    crc: u32,
}

impl FrameHead {
    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> usize {
        FRAME_HEAD_BYTES + self.length as usize
    }
}

/// Reads a frame's head; the checksum is checked by [`read_frame`] once the records are there.
pub fn read_frame_head(bytes: &[u8], salt: Salt) -> Result<FrameHead, JournalError> {
    let what = "frame";
    let head: &[u8; FRAME_HEAD_BYTES] = bytes.first_chunk().ok_or(JournalError::Short { what })?;
    if u64_at(head, 0) != salt.0 {
        return Err(JournalError::Magic { what });
    }
    let length = u32_at(head, 8);
    if length as usize > MAX_FRAME_BYTES {
        return Err(JournalError::Large { what, bytes: length as usize, limit: MAX_FRAME_BYTES });
    }
    Ok(FrameHead {
        length,
        count: u16_at(head, 18),
        durable: u64_at(head, 20),
        time: Timestamp(u64_at(head, 28) as i64),
        crc: u32_at(head, 12),
    })
}

/// Reads a whole frame that begins at `bytes[0]`, with its checksum.
pub fn read_frame(bytes: &[u8], salt: Salt) -> Result<(FrameHead, Vec<Record<'_>>), JournalError> {
    let what = "frame";
    let head = read_frame_head(bytes, salt)?;
    let frame = bytes.get(..head.frame_bytes()).ok_or(JournalError::Short { what })?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame[..12]);
    crc.update(&frame[16..]);
    if crc.finalize() != head.crc {
        return Err(JournalError::Checksum { what });
    }
    if frame[16] != VERSION {
        return Err(JournalError::Version { what, version: frame[16] });
    }
    let mut rest = &frame[FRAME_HEAD_BYTES..];
    let mut records = Vec::with_capacity(usize::from(head.count));
    for _ in 0..head.count {
        let (record, behind) = read_record(rest).ok_or(JournalError::Content { what })?;
        records.push(record);
        rest = behind;
    }
    if rest.is_empty() { Ok((head, records)) } else { Err(JournalError::Content { what }) }
}

fn read_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<RECORD_HEAD_BYTES>()?;
    let tag = Tag::from_byte(head[0])?;
    let (key, rest) = rest.split_at_checked(usize::from(u16_at(head, 2)))?;
    let (small, rest) = rest.split_at_checked(usize::from(u16_at(head, 4)))?;
    let (body, rest) = rest.split_at_checked(u32_at(head, 8) as usize)?;
    Some((Record { tag, key, head: small, body }, rest))
}

/// What a sealed segment's footer says of one record, so that a start needs no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What the record does.
    pub tag: Tag,
    /// Its key.
    pub key: &'a [u8],
    /// Where its frame begins in the segment.
    pub offset: u32,
    /// Bytes of its frame.
    pub length: u32,
    /// Which record of the frame.
    pub index: u16,
    /// Bytes of its body.
    pub body_length: u32,
    /// When it was written.
    pub time: Timestamp,
}

/// Collects entries while a segment is written; [`Footer::seal`] gives footer and trailer.
#[derive(Clone, Debug, Default)]
pub struct Footer {
    bytes: Vec<u8>,
    entries: u32,
}

impl Footer {
    /// Notes one record.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let out = &mut self.bytes;
        out.extend_from_slice(&entry.offset.to_le_bytes());
        out.extend_from_slice(&entry.length.to_le_bytes());
        out.extend_from_slice(&entry.time.0.to_le_bytes());
        out.extend_from_slice(&entry.body_length.to_le_bytes());
        out.extend_from_slice(&entry.index.to_le_bytes());
        out.extend_from_slice(&[entry.tag.byte(), 0]);
        out.extend_from_slice(&(entry.key.len() as u16).to_le_bytes());
        out.extend_from_slice(entry.key);
        self.entries += 1;
    }

    /// How much is noted, for [`Footer::cut`].
    pub fn mark(&self) -> (usize, u32) {
        (self.bytes.len(), self.entries)
    }

    /// Forgets what was noted since `mark` was taken.
    pub fn cut(&mut self, mark: (usize, u32)) {
        self.bytes.truncate(mark.0);
        self.entries = self.entries.min(mark.1);
    }

    /// Footer and trailer for a segment whose frames end at `offset`.
    pub fn seal(mut self, offset: u64) -> Vec<u8> {
        let length = self.bytes.len() as u64;
        let mut trailer = [0; TRAILER_BYTES];
        trailer[..4].copy_from_slice(&TRAILER_MAGIC.to_le_bytes());
        trailer[8..16].copy_from_slice(&offset.to_le_bytes());
        trailer[16..24].copy_from_slice(&length.to_le_bytes());
        trailer[24..28].copy_from_slice(&self.entries.to_le_bytes());
        trailer[28] = VERSION;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.bytes);
        crc.update(&trailer[8..]);
        let crc = crc.finalize();
        trailer[4..8].copy_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(&trailer);
        self.bytes
    }
}

/// Where a sealed segment's footer lies, as its last [`TRAILER_BYTES`] bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Where the frames end and the footer begins.
    pub offset: u64,
    /// Bytes of the footer.
    pub length: u64,
}

/// Reads the trailer of a segment of `file_length` bytes. Anything but a plausible trailer is an error: the segment is
/// not sealed.
pub fn read_trailer(bytes: &[u8; TRAILER_BYTES], file_length: u64) -> Result<Trailer, JournalError> {
    let what = "trailer";
    if u32_at(bytes, 0) != TRAILER_MAGIC {
        return Err(JournalError::Magic { what });
    }
    let (offset, length) = (u64_at(bytes, 8), u64_at(bytes, 16));
    let fits = offset >= SEGMENT_HEAD_BYTES as u64
        && offset.checked_add(length).and_then(|end| end.checked_add(TRAILER_BYTES as u64)) == Some(file_length);
    if fits { Ok(Trailer { offset, length }) } else { Err(JournalError::Content { what }) }
}

/// The entries of a footer, checked against its trailer.
pub fn read_footer<'a>(footer: &'a [u8], trailer: &[u8; TRAILER_BYTES]) -> Result<Entries<'a>, JournalError> {
    let what = "footer";
    let mut crc = crc32fast::Hasher::new();
    crc.update(footer);
    crc.update(&trailer[8..]);
    if crc.finalize() != u32_at(trailer, 4) {
        return Err(JournalError::Checksum { what });
    }
    if trailer[28] != VERSION {
        return Err(JournalError::Version { what, version: trailer[28] });
    }
    Ok(Entries { rest: footer, left: u32_at(trailer, 24) })
}

/// Iterates over a footer. Its checksum has been checked, so a malformed entry ends it early only if a writer erred.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;
    fn next(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (head, rest) = self.rest.split_first_chunk::<ENTRY_HEAD_BYTES>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16_at(head, 24)))?;
        self.rest = rest;
        Some(Entry {
            tag: Tag::from_byte(head[22])?,
            key,
            offset: u32_at(head, 0),
            length: u32_at(head, 4),
            index: u16_at(head, 20),
            body_length: u32_at(head, 16),
            time: Timestamp(u64_at(head, 8) as i64),
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: Salt = Salt(0x5a17);

    /// The frame as it stands on disk: parts and bodies in order.
    fn written(records: &[Record<'_>], durable: u64) -> Vec<u8> {
        let parts = frame(records, SALT, durable, Timestamp(7)).unwrap();
        let mut out = Vec::new();
        let mut from = 0;
        for (record, &split) in records.iter().zip(&parts.splits) {
            out.extend_from_slice(&parts.bytes[from..split]);
            out.extend_from_slice(record.body);
            from = split;
        }
        out
    }

    fn put<'a>(key: &'a [u8], head: &'a [u8], body: &'a [u8]) -> Record<'a> {
        Record { tag: Tag::Put, key, head, body }
    }

    #[test]
    fn any_flipped_bit_of_a_frame_is_noticed() {
        let good = written(&[put(b"key", b"head", b"body"), put(b"k2", b"", b"")], 99);
        let (head, records) = read_frame(&good, SALT).unwrap();
        assert_eq!((head.durable, head.time, records.len()), (99, Timestamp(7), 2));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_frame(&bad, SALT).is_err(), "bit {bit}");
        }
        for end in 0..good.len() {
            assert!(read_frame(&good[..end], SALT).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_frame_of_another_segment_is_none_of_this_one() {
        let frame = written(&[put(b"k", b"", b"v")], 0);
        assert_eq!(read_frame(&frame, Salt(1)), Err(JournalError::Magic { what: "frame" }));
    }

    #[test]
    fn a_frame_of_another_version_is_named_as_such() {
        let mut frame = written(&[put(b"k", b"", b"v")], 0);
        frame[16] = 9;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&frame[..12]);
        crc.update(&frame[16..]);
        let crc = crc.finalize().to_le_bytes();
        frame[12..16].copy_from_slice(&crc);
        assert_eq!(read_frame(&frame, SALT), Err(JournalError::Version { what: "frame", version: 9 }));
    }

    #[test]
    fn what_no_frame_may_hold_is_refused_when_it_is_written() {
        let large = vec![0; u16::MAX as usize + 1];
        assert!(matches!(
            frame(&[put(&large, b"", b"")], SALT, 0, Timestamp(0)),
            Err(JournalError::Large { what: "key", .. })
        ));
        assert!(matches!(
            frame(&[put(b"", &large, b"")], SALT, 0, Timestamp(0)),
            Err(JournalError::Large { what: "head", .. })
        ));
        assert!(matches!(frame(&[], SALT, 0, Timestamp(0)), Err(JournalError::Content { .. })));
    }

    #[test]
    fn a_segment_head_fits_only_its_own_number_and_kind() {
        let head = segment_head(LogKind::Facts, 7, SALT);
        assert_eq!(read_segment_head(&head, LogKind::Facts, 7), Ok(SALT));
        assert!(read_segment_head(&head, LogKind::Packages, 7).is_err());
        assert!(read_segment_head(&head, LogKind::Facts, 8).is_err());
        assert!(read_segment_head(&head[..20], LogKind::Facts, 7).is_err());
        for bit in 0..head.len() * 8 {
            let mut bad = head;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_segment_head(&bad, LogKind::Facts, 7).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_footer_gives_back_its_entries_and_notices_every_flipped_bit() {
        let mut footer = Footer::default();
        let entry = |key: &'static [u8], offset| Entry {
            tag: Tag::Put,
            key,
            offset,
            length: 50,
            index: 0,
            body_length: 9,
            time: Timestamp(3),
        };
        let entries = [entry(b"one", 24), entry(b"two", 74)];
        entries.iter().for_each(|entry| footer.push(entry));
        let sealed = footer.seal(124);
        let file_length = 124 + sealed.len() as u64;
        let read = |sealed: &[u8]| -> Result<usize, JournalError> {
            let (footer, trailer) = sealed.split_last_chunk::<TRAILER_BYTES>().unwrap();
            let place = read_trailer(trailer, file_length)?;
            assert_eq!((place.offset, place.length), (124, footer.len() as u64));
            Ok(read_footer(footer, trailer)?.zip(&entries).filter(|(read, wrote)| read == *wrote).count())
        };
        assert_eq!(read(&sealed), Ok(2));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_reads_back(records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..200)), 1..9)) {
            let records: Vec<_> = records.iter().map(|(key, head, body)| put(key, head, body)).collect();
            let bytes = written(&records, 5);
            prop_assert_eq!(read_frame(&bytes, SALT).unwrap().1, records);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_frame(&bytes, SALT);
            let _ = read_segment_head(&bytes, LogKind::Facts, 0);
            if let Some((footer, trailer)) = bytes.split_last_chunk::<TRAILER_BYTES>() {
                let _ = read_trailer(trailer, bytes.len() as u64);
                let _ = read_footer(footer, trailer).map(Iterator::count);
            }
        }
    }
}
