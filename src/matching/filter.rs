//! Which hashes occur.

use super::keys::Candidate;

/// Which hashes occur, by one bit each: some that do not occur may seem to.
pub(super) struct Filter {
    bits: Vec<u64>,
    /// By how much a hash is shifted to name its bit.
    shift: u32,
}

impl Filter {
    pub(super) fn of(candidates: &[Vec<Candidate>]) -> Filter {
        let count = candidates.iter().map(Vec::len).sum();
        Filter::new(count, candidates.iter().flatten().map(|candidate| candidate.hash))
    }

    pub(super) fn new(count: usize, hashes: impl Iterator<Item = u64>) -> Filter {
        // 16 bits a hash: of those that do not occur one in 16 seems to.
        let log = (count * 16).checked_ilog2().map_or(6, |log| (log + 1).clamp(6, 31));
        let mut filter = Filter { bits: vec![0; 1 << (log - 6)], shift: u64::BITS - log };
        for hash in hashes {
            let bit = hash >> filter.shift;
            filter.bits[(bit >> 6) as usize] |= 1 << (bit & 63);
        }
        filter
    }

    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let bit = hash >> self.shift;
        self.bits[(bit >> 6) as usize] >> (bit & 63) & 1 == 1
    }
}
