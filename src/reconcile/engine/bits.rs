//! Which devices, or persons, of an estate: a bit each.

use crate::model::estate::Number;

/// A set of numbers below a bound. 125 KB for a million; nothing while it is empty.
#[derive(Clone, Debug)]
pub struct Bits {
    bound: usize,
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    /// The empty set of numbers below `bound`.
    pub fn new(bound: usize) -> Bits {
        Bits { bound, words: Vec::new(), count: 0 }
    }

    /// Adds a number; whether it was not there yet.
    pub fn insert(&mut self, number: Number) -> bool {
        if self.words.is_empty() {
            self.words = vec![0; self.bound.div_ceil(64)];
        }
        let (word, bit) = (&mut self.words[number as usize / 64], 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    /// Whether a number is there.
    pub fn contains(&self, number: Number) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_there_once_it_was_added() {
        let mut bits = Bits::new(130);
        assert!(!bits.contains(129) && bits.count() == 0);
        assert!(bits.insert(129) && bits.insert(0) && !bits.insert(129));
        assert!(bits.contains(129) && bits.contains(0) && !bits.contains(64));
        assert_eq!(bits.count(), 2);
    }
}
