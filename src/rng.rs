//! The random stream of one entity: the same seed and id give the same draws, whoever else draws.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

/// Draws of one agent, beacon or server. 16 bytes, because a million agents hold one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RngStream(Pcg32);

impl RngStream {
    /// The stream of entity `id` in its `incarnation`-th life under `seed`.
    pub fn new(seed: u64, id: u64, incarnation: u64) -> RngStream {
        RngStream(Pcg32::seed_from_u64(mix(seed, mix(id, incarnation))))
    }

    /// Uniform in `0..bound`; 0 when `bound` is not positive.
    pub fn below(&mut self, bound: i64) -> i64 {
        if bound <= 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// 64 bits that hang on its state, which stays as it is: two streams that drew the same have the same.
    pub fn fingerprint(&self) -> u64 {
        self.clone().bits()
    }

    /// 16 uniform bytes, for GUIDs.
    pub fn bytes(&mut self) -> [u8; 16] {
        self.0.random()
    }
}

/// A well-mixed 64-bit hash of two numbers (SplitMix64's finaliser), stable for ever: digests of simulations rest on it.
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_seed_its_id_and_its_life() {
        let draws = |seed, id, life| {
            let mut stream = RngStream::new(seed, id, life);
            [stream.bits(), stream.bits()]
        };
        assert_eq!(draws(1, 2, 3), draws(1, 2, 3));
        assert_ne!(draws(1, 2, 3), draws(2, 2, 3));
        assert_ne!(draws(1, 2, 3), draws(1, 3, 3));
        assert_ne!(draws(1, 2, 3), draws(1, 2, 4));
    }

    #[test]
    fn draws_stay_below_their_bound() {
        let mut stream = RngStream::new(7, 7, 0);
        assert!((0..1_000).all(|_| (0..10).contains(&stream.below(10))));
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(-5), 0);
    }

    #[test]
    fn draws_do_not_change_between_releases() {
        assert_eq!(mix(1, 2), 17_911_839_290_282_890_590);
        assert_eq!(RngStream::new(1, 1, 0).bits(), 421_757_921_442_281_351);
    }
}
