//! `Packages.db`, the native rpm database of SUSE: a table of slots that point at blobs, one package header each.
//!
//! ```text
//! head    RpmP | version u32 = 0 | generation u32 | slot pages u32 | next package u32 | 12 bytes       (little-endian)
//! slots   Slot | package u32 | block u32 | blocks u32          fill the slot pages (4096 bytes) behind the head
//! blob    BlbS | package u32 | generation u32 | length u32 | bytes | zeros | adler32 u32 | length u32 | BlbE
//! ```
//!
//! A block has 16 bytes; a slot of package 0 is free. The checksum covers the blob's head, bytes and zeros. The reader
//! is asked piece by piece, since a database may have hundreds of megabytes and a header needs a few kilobytes of them.
//!
//! Source: rpm 4.18, `lib/backend/ndb/rpmpkg.c` (layout and checks).

use super::Findings;

/// Bytes of the head, to be given to [`slot_table_bytes`].
pub const HEAD_BYTES: usize = 32;
/// Slot pages read at most: room for 262,000 packages.
const SLOT_PAGES_LIMIT: u32 = 1_024;
/// A blob beyond this is no package header (rpm's own limit for the header's data, and a little more).
const BLOB_BYTES_LIMIT: u64 = 260 * 1024 * 1024;

const PAGE_BYTES: u32 = 4_096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: u64 = 16;
const BLOB_HEAD_BYTES: usize = 16;
const BLOB_TAIL_BYTES: usize = 12;

/// Why a file is no rpm database of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NdbError {
    /// Does not begin with `RpmP`, or is shorter than the head.
    #[error("file does not begin with the mark of an rpm package database")]
    NoDatabase,
    /// A later layout.
    #[error("version {0} of the package database is not known")]
    Version(u32),
    /// More slot pages than are read.
    #[error("{0} slot pages are beyond what is read")]
    TooManySlots(u32),
}

/// Why a blob is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Not the blob its slot promised.
    #[error("blob does not carry the mark, number or length of its slot")]
    Mismatch,
    /// Damaged.
    #[error("checksum of the blob is wrong")]
    Checksum,
}

/// Where one package's blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    package: u32,
    block: u32,
    blocks: u32,
}

impl Slot {
    /// Number of the package in this database.
    pub fn package(self) -> u32 {
        self.package
    }

    /// First byte of the blob in the file.
    pub fn offset_bytes(self) -> u64 {
        u64::from(self.block) * BLOCK_BYTES
    }

    /// Bytes of the blob with head and tail.
    pub fn length_bytes(self) -> u64 {
        u64::from(self.blocks) * BLOCK_BYTES
    }
}

/// How many bytes from the start of the file hold head and slots; `head` is its first [`HEAD_BYTES`].
pub fn slot_table_bytes(head: &[u8]) -> Result<usize, NdbError> {
    if head.len() < HEAD_BYTES || &head[..4] != b"RpmP" {
        return Err(NdbError::NoDatabase);
    }
    match (number(head, 4), number(head, 12)) {
        (0, pages @ ..=SLOT_PAGES_LIMIT) => Ok((pages * PAGE_BYTES) as usize),
        (0, pages) => Err(NdbError::TooManySlots(pages)),
        (version, _) => Err(NdbError::Version(version)),
    }
}

/// The used slots of `table` (the bytes that [`slot_table_bytes`] asked for), by ascending place in the file.
///
/// A slot with a wrong mark or an impossible place is a finding at its number; the others are still good.
pub fn read_slots(table: &[u8]) -> (Vec<Slot>, Findings) {
    let mut slots = Vec::new();
    let mut findings = Findings::default();
    for (at, bytes) in (0u64..).zip(table.chunks_exact(SLOT_BYTES)).skip(HEAD_BYTES / SLOT_BYTES) {
        let slot = Slot { package: number(bytes, 4), block: number(bytes, 8), blocks: number(bytes, 12) };
        let least = (BLOB_HEAD_BYTES + BLOB_TAIL_BYTES) as u64;
        if &bytes[..4] != b"Slot" {
            findings.add(at, "slot without its mark");
        } else if slot.package == 0 {
            continue;
        } else if slot.offset_bytes() < table.len() as u64 || !(least..=BLOB_BYTES_LIMIT).contains(&slot.length_bytes())
        {
            findings.add(at, "slot points at an impossible place");
        } else {
            slots.push(slot);
        }
    }
    slots.sort_unstable_by_key(|slot| (slot.block, slot.package));
    (slots, findings)
}

/// The package header in `bytes`, which are those at [`Slot::offset_bytes`].
pub fn read_blob(slot: Slot, bytes: &[u8]) -> Result<&[u8], BlobError> {
    if bytes.len() as u64 != slot.length_bytes() || bytes.len() < BLOB_HEAD_BYTES + BLOB_TAIL_BYTES {
        return Err(BlobError::Mismatch);
    }
    let (sum_over, tail) = bytes.split_at(bytes.len() - BLOB_TAIL_BYTES);
    let length = number(bytes, 12);
    let room = (sum_over.len() - BLOB_HEAD_BYTES) as u64;
    let fits = (room.saturating_sub(BLOCK_BYTES - 1)..=room).contains(&u64::from(length));
    if &bytes[..4] != b"BlbS"
        || &tail[8..] != b"BlbE"
        || number(bytes, 4) != slot.package
        || number(tail, 4) != length
        || !fits
    {
        return Err(BlobError::Mismatch);
    }
    if adler32(sum_over) != number(tail, 0) {
        return Err(BlobError::Checksum);
    }
    Ok(&bytes[BLOB_HEAD_BYTES..BLOB_HEAD_BYTES + length as usize])
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    // 5552 is the longest run after which the sums still fit 32 bits.
    for run in bytes.chunks(5_552) {
        for &byte in run {
            a += u32::from(byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A database of one page of slots with these contents.
    fn database(contents: &[&[u8]]) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut file = b"RpmP".to_vec();
        file.extend(words(&[0, 1, 1, contents.len() as u32 + 1, 0, 0, 0]));
        let mut blobs = Vec::new();
        for (package, content) in (1u32..).zip(contents) {
            let length = content.len() as u32;
            let blocks = (BLOB_HEAD_BYTES + content.len() + BLOB_TAIL_BYTES).div_ceil(16) as u32;
            let mut blob = b"BlbS".to_vec();
            blob.extend(words(&[package, 1, length]));
            blob.extend(*content);
            blob.resize(blocks as usize * 16 - BLOB_TAIL_BYTES, 0);
            let sum = adler32(&blob);
            blob.extend(words(&[sum, length]));
            blob.extend(b"BlbE");
            file.extend(b"Slot");
            file.extend(words(&[package, (4_096 + blobs.len() as u32) / 16, blocks]));
            blobs.extend(blob);
        }
        while file.len() < 4_096 {
            file.extend(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
        }
        file.extend(blobs);
        file
    }

    fn contents(file: &[u8]) -> Result<Vec<Result<Vec<u8>, BlobError>>, NdbError> {
        let table_bytes = slot_table_bytes(file)?;
        let (slots, _) = read_slots(file.get(..table_bytes).unwrap_or_default());
        Ok(slots
            .into_iter()
            .map(|slot| {
                let from = slot.offset_bytes() as usize;
                let bytes = file.get(from..from + slot.length_bytes() as usize).unwrap_or_default();
                read_blob(slot, bytes).map(<[u8]>::to_vec)
            })
            .collect())
    }

    #[test]
    fn what_was_stored_comes_back_and_damage_is_seen() {
        let mut file = database(&[b"first header", &[7; 5_000], b""]);
        let back = contents(&file).unwrap();
        assert_eq!(back, [Ok(b"first header".to_vec()), Ok(vec![7; 5_000]), Ok(Vec::new())]);
        file[4_096 + 20] ^= 1;
        assert_eq!(contents(&file).unwrap()[0], Err(BlobError::Checksum));
    }

    #[test]
    fn another_file_or_a_later_version_is_refused() {
        assert_eq!(slot_table_bytes(b"SQLite format 3\0"), Err(NdbError::NoDatabase));
        let mut file = database(&[]);
        file[4] = 9;
        assert_eq!(slot_table_bytes(&file), Err(NdbError::Version(9)));
        file[4] = 0;
        file[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(slot_table_bytes(&file), Err(NdbError::TooManySlots(u32::MAX)));
    }

    #[test]
    fn a_slot_into_the_slot_table_is_a_finding() {
        let mut file = database(&[b"first header"]);
        file[HEAD_BYTES + 8..HEAD_BYTES + 12].copy_from_slice(&3u32.to_le_bytes());
        let (slots, findings) = read_slots(&file[..4_096]);
        assert_eq!((slots.len(), findings.kept().len()), (0, 1));
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = contents(&bytes);
            read_slots(&bytes);
            let _ = read_blob(Slot { package: 1, block: 1, blocks: (bytes.len() / 16) as u32 }, &bytes);
        }

        #[test]
        fn any_damage_reads_without_panic(at in 0usize..9_300, byte in any::<u8>()) {
            let mut file = database(&[b"first header", &[7; 5_000]]);
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            let _ = contents(&file);
        }
    }
}
