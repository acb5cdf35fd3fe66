//! Numbers from a seed (splitmix64).

/// One stream of draws.
pub struct Draw(u64);

impl Draw {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both inclusive.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + (self.next() % (most - least + 1) as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of them.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() - 1)].clone()
    }

    /// `text` that often, else blank.
    pub fn maybe(&mut self, percent: usize, text: &str) -> String {
        if self.chance(percent) { text.to_string() } else { String::new() }
    }

    /// One of them that often, else blank.
    pub fn maybe_pick(&mut self, percent: usize, from: &[&str]) -> String {
        let text = self.pick(from);
        self.maybe(percent, text)
    }

    /// The same in another order.
    pub fn shuffled<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        let mut left = from.to_vec();
        let mut order = Vec::new();
        while !left.is_empty() {
            order.push(left.remove(self.between(0, left.len() - 1)));
        }
        order
    }
}
