//! Ids of one kind of thing, numbered in their order, so that comparing numbers is comparing ids byte by byte.

use std::hash::BuildHasher as _;
use std::num::NonZeroU32;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Number of a thing among those of its kind, in the order of their ids.
pub type Number = u32;

/// A number that may be absent at no cost of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// The slot of `number`, which is below [`Number::MAX`]: no kind of thing is that many.
    pub fn new(number: Number) -> Slot {
        Slot(NonZeroU32::MIN.saturating_add(number))
    }

    /// Its number.
    pub fn get(self) -> Number {
        self.0.get() - 1
    }
}

/// Sorted ids and a table to find them by. One block of text: a fleet has a million. About 30 bytes an id.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    text: String,
    /// Where each id ends in `text`.
    ends: Vec<usize>,
    table: HashTable<Number>,
    hasher: DefaultHashBuilder,
}

impl Ids {
    /// The distinct ids among `names`, which may come in any order and more than once.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Ids {
        let mut names: Vec<&str> = names.into_iter().collect();
        if !names.is_sorted_by(|a, b| a < b) {
            names.sort_unstable();
            names.dedup();
        }
        let mut ids = Ids { text: String::new(), ends: Vec::with_capacity(names.len()), ..Ids::default() };
        ids.text.reserve_exact(names.iter().map(|name| name.len()).sum());
        for name in names {
            ids.text.push_str(name);
            ids.ends.push(ids.text.len());
        }
        let Ids { text, ends, table, hasher } = &mut ids;
        let hash = |number: &Number| hasher.hash_one(slice(text, ends, *number));
        table.reserve(ends.len(), hash);
        for number in 0..ends.len() as Number {
            table.insert_unique(hash(&number), number, hash);
        }
        ids
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The id with this number. Panics when there is none: numbers come from here.
    pub fn name(&self, number: Number) -> &str {
        slice(&self.text, &self.ends, number)
    }

    /// The number of an id.
    pub fn find(&self, name: &str) -> Option<Number> {
        let hash = self.hasher.hash_one(name);
        self.table.find(hash, |&number| is_same(self.name(number), name)).copied()
    }

    /// The number of an id, which is probably the one at `guess` or the one after it: files are mostly sorted.
    pub fn find_near(&self, name: &str, guess: Number) -> Option<Number> {
        let is_at = |&number: &Number| (number as usize) < self.ends.len() && is_same(self.name(number), name);
        [guess, guess.wrapping_add(1)].into_iter().find(is_at).or_else(|| self.find(name))
    }

    /// All ids in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len() as Number).map(|number| self.name(number))
    }
}

/// Whether two texts are equal. Most ids are short: two words of each are compared where `==` would call a function.
pub fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() || a.len() > 16 {
        return a == b;
    }
    // Both ends, which overlap or meet.
    if let (Some(first), Some(last)) = (a.first_chunk::<8>(), a.last_chunk::<8>()) {
        return b.first_chunk() == Some(first) && b.last_chunk() == Some(last);
    }
    if let (Some(first), Some(last)) = (a.first_chunk::<4>(), a.last_chunk::<4>()) {
        return b.first_chunk() == Some(first) && b.last_chunk() == Some(last);
    }
    a.iter().zip(b).all(|(a, b)| a == b)
}

fn slice<'t>(text: &'t str, ends: &[usize], number: Number) -> &'t str {
    let at = number as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] };
    &text[start..ends[at]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_in_their_order_and_found_by_their_bytes() {
        let ids = Ids::of(["b", "B", "a", "b", "é", "aa"]);
        assert_eq!(ids.iter().collect::<Vec<_>>(), ["B", "a", "aa", "b", "é"]);
        assert_eq!(ids.find("b"), Some(3));
        assert_eq!(ids.find("c"), None);
        for guess in [0, 2, 3, 4, 77, u32::MAX] {
            assert_eq!(ids.find_near("b", guess), Some(3), "{guess}");
        }
        let texts = [
            "",
            "a",
            "b",
            "1234567",
            "1234568",
            "12345678",
            "12345679",
            "x2345678",
            "1234567890123456",
            "1234567890123457",
        ];
        let longer = ["123456789", "12345678901234567", "12345678901234568"];
        let all = || texts.into_iter().chain(longer);
        assert!(all().all(|a| all().all(|b| is_same(a, b) == (a == b))));
        assert!(Ids::of([]).is_empty() && Ids::of([]).find("").is_none() && Ids::of([]).find_near("x", 0).is_none());
    }
}
