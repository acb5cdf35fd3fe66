//! Bodies that no node has seen: valid gzip of random bytes, which nothing can compress.
//!
//! The load shares the machine with the node it measures, so a body must be cheap. A few are made beforehand up to
//! their last bytes, with the states of their digest and checksum there; each upload gets an end of its own.

use bytes::Bytes;
use crc32fast::Hasher as Crc32;
use muster::id::Digest;
use muster::rng::RngStream;
use sha2::{Digest as _, Sha256};

/// Smallest body that has room for all its parts.
pub const SIZE_MIN: usize = 64;
/// Random bytes at the end of a body that are its own.
const OWN: usize = 16;
/// Own bytes, checksum, length.
pub const END: usize = OWN + 8;
/// What a gzip file begins with: magic, deflate, no flags, no time, unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Most bytes of a stored deflate block, and what stands before them.
const BLOCK_MAX: usize = 65_535;
const BLOCK_HEAD: usize = 5;
/// Memory for prepared bodies.
const PREPARED_BYTES: usize = 8 << 20;
const PREPARED_MAX: usize = 64;

/// Bodies of one size.
pub struct Bodies {
    prepared: Vec<Prepared>,
    content_bytes: u32,
    rng: RngStream,
    next: usize,
}

struct Prepared {
    start: Bytes,
    sha256: Sha256,
    crc32: Crc32,
}

/// One body, in two parts.
pub struct Body {
    /// Shared with others.
    pub start: Bytes,
    /// Its own.
    pub end: [u8; END],
    /// Of both.
    pub digest: Digest,
}

impl Body {
    /// Both parts as one.
    pub fn whole(&self) -> Bytes {
        [&self.start[..], &self.end].concat().into()
    }
}

impl Bodies {
    /// Bodies of `size` bytes, at least [`SIZE_MIN`].
    pub fn new(size: usize, seed: u64) -> Bodies {
        assert!(size >= SIZE_MIN, "a body of {size} bytes has no room for its parts");
        let mut rng = RngStream::new(seed, 0, 0);
        let inner = size - GZIP_HEAD.len() - 8;
        let blocks = inner.div_ceil(BLOCK_MAX + BLOCK_HEAD);
        let content = inner - blocks * BLOCK_HEAD;
        let prepared = (0..(PREPARED_BYTES / size).clamp(1, PREPARED_MAX)).map(|_| prepare(content, blocks, &mut rng));
        Bodies { prepared: prepared.collect(), content_bytes: content as u32, rng, next: 0 }
    }

    /// A body like no other.
    pub fn make(&mut self) -> Body {
        let prepared = &self.prepared[self.next % self.prepared.len()];
        self.next += 1;
        let own = self.rng.bytes();
        let (mut sha256, mut crc32) = (prepared.sha256.clone(), prepared.crc32.clone());
        crc32.update(&own);
        let mut end = [0; END];
        end[..OWN].copy_from_slice(&own);
        end[OWN..OWN + 4].copy_from_slice(&crc32.finalize().to_le_bytes());
        end[OWN + 4..].copy_from_slice(&self.content_bytes.to_le_bytes());
        sha256.update(end);
        Body { start: prepared.start.clone(), end, digest: Digest(sha256.finalize().into()) }
    }
}

/// All of a body but its end. The blocks are of one length, give or take a byte, so the end never falls between two.
fn prepare(content: usize, blocks: usize, rng: &mut RngStream) -> Prepared {
    let mut start = GZIP_HEAD.to_vec();
    let mut crc32 = Crc32::new();
    for block in 0..blocks {
        let last = block + 1 == blocks;
        let length = content / blocks + usize::from(block < content % blocks);
        let mark = (length as u16).to_le_bytes();
        start.extend_from_slice(&[u8::from(last), mark[0], mark[1], !mark[0], !mark[1]]);
        let from = start.len();
        let random = length - if last { OWN } else { 0 };
        while start.len() < from + random {
            start.extend_from_slice(&rng.bits().to_le_bytes());
        }
        start.truncate(from + random);
        crc32.update(&start[from..]);
    }
    Prepared { sha256: Sha256::new_with_prefix(&start), crc32, start: start.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;

    use super::*;
    use muster::formats::gzip::Inflate;

    #[test]
    fn each_body_is_gzip_of_its_own_with_the_right_digest_and_size() {
        for size in [SIZE_MIN, 1_000, 40_960, 65_558, 65_559, 200_000] {
            let mut bodies = Bodies::new(size, 7);
            let mut seen = BTreeSet::new();
            for _ in 0..130 {
                let body = bodies.make();
                let bytes = body.whole();
                assert_eq!(bytes.len(), size);
                assert_eq!(body.digest, Digest::of(&bytes));
                assert!(seen.insert(body.digest));
                let mut content = Vec::new();
                Inflate::new(&bytes[..]).read_to_end(&mut content).unwrap();
                assert!(content.len() < size);
            }
        }
    }
}
