//! Keys of many rows: one number for each value that some Matcher compares.
//!
//! ```text
//! chunk of 2^15 rows   shape_of  u32 per row         which Matchers it may take part in, and which keys it has
//!                      first     u32 per row         where its keys begin
//!                      keys      u64 per value       hash of the folded text
//!                      checks    u32 per value       another hash of it
//! ```
//!
//! A shape (which properties are set, which tests with a text pass) stands for all rows that look the same to the
//! Matchers, some hundreds in a fleet: whether a Matcher admits a row is one look-up in a table of some hundred bits. A
//! value is folded and hashed once, however many Matchers compare it, and only where one that admits its shape does. So
//! memory follows the values that are set and asked for, not the columns: 8 bytes a row and 12 for each such value; 5
//! million rows with 5 of them take 340 MB.
//!
//! Values are the same when both hashes are, 96 bits together; their texts are not read again, since those stand all
//! over the memory and every look is a wait. In 5 million rows that 21 Matchers compare, two different values pass for
//! the same by chance once in some 10^14 imports. Whoever makes such a value on purpose gains nothing that writing the
//! same value would not give. Decision 070 weighs this against comparing texts.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rayon::prelude::*;
use std::hash::{BuildHasher as _, Hasher as _};

use super::condition::Key;
use super::normalise::{Placeholders, normalise};
use super::plan::{Plan, PlannedMatcher, Shape};
use super::rows::RawRows;
use super::uuid_key::UuidKey;

/// Rows of a chunk.
const CHUNK_ROWS: usize = 1 << 15;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    shapes: Vec<Shape>,
    /// Per shape: bit per column of the plan that its rows have a key in.
    columns: Vec<u64>,
    chunks: Vec<Chunk>,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    shape_of: Vec<u32>,
    first: Vec<u32>,
    keys: Vec<u64>,
    checks: Vec<u32>,
}

/// Numbers of the shapes of [`Keys`] that grow.
pub(super) type KnownShapes = HashMap<Shape, u32, FixedState>;

/// Both hashes of what a Matcher compares, and the row. Rows with the same values have the same hashes, others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) hash: u64,
    pub(super) check: u32,
    pub(super) node: u32,
}

impl Candidate {
    /// Whether both have the same values.
    pub(super) fn is_like(&self, other: &Candidate) -> bool {
        (self.hash, self.check) == (other.hash, other.check)
    }
}

impl Keys {
    /// Normalises the rows and makes their keys; on all threads of the pool it is called in.
    pub fn new(plan: &Plan, rows: &dyn RawRows, placeholders: &Placeholders) -> Keys {
        let count = rows.count();
        let starts: Vec<usize> = (0..count).step_by(CHUNK_ROWS).collect();
        let made: Vec<(Chunk, Vec<Shape>)> = starts
            .par_iter()
            .map(|&start| Chunk::new(plan, rows, placeholders, start..count.min(start + CHUNK_ROWS)))
            .collect();
        let mut known = KnownShapes::default();
        let mut shapes = Vec::new();
        let mut chunks = Vec::with_capacity(made.len());
        let mut numbers_of = Vec::with_capacity(made.len());
        for (chunk, own) in made {
            let number = |shape: &Shape| number(&mut known, &mut shapes, shape);
            numbers_of.push(own.iter().map(number).collect::<Vec<u32>>());
            chunks.push(chunk);
        }
        chunks.par_iter_mut().zip(&numbers_of).for_each(|(chunk, numbers)| {
            chunk.shape_of.iter_mut().for_each(|shape| *shape = numbers[*shape as usize]);
        });
        let columns = shapes.iter().map(|shape| plan.columns_of(shape)).collect();
        Keys { shapes, columns, chunks, count }
    }

    /// Puts those rows of `other`, made by the same plan, that `wants` wants behind its own. `known` are the shapes of
    /// this one.
    pub(super) fn extend(&mut self, known: &mut KnownShapes, other: &Keys, wants: impl Fn(usize) -> bool) {
        for row in (0..other.count).filter(|row| wants(*row)) {
            let from = &other.chunks[row / CHUNK_ROWS];
            let shape = from.shape_of[row % CHUNK_ROWS] as usize;
            let number = number(known, &mut self.shapes, &other.shapes[shape]);
            if number as usize == self.columns.len() {
                self.columns.push(other.columns[shape]);
            }
            if self.count.is_multiple_of(CHUNK_ROWS) {
                self.chunks.push(Chunk::default());
            }
            let Some(to) = self.chunks.last_mut() else { continue };
            let first = from.first[row % CHUNK_ROWS] as usize;
            let range = first..first + other.columns[shape].count_ones() as usize;
            to.shape_of.push(number);
            to.first.push(to.keys.len() as u32);
            to.keys.extend_from_slice(&from.keys[range.clone()]);
            to.checks.extend_from_slice(&from.checks[range]);
            self.count += 1;
        }
    }

    pub(super) fn shape(&self, row: usize) -> &Shape {
        &self.shapes[self.chunks[row / CHUNK_ROWS].shape_of[row % CHUNK_ROWS] as usize]
    }

    /// The rows that `matcher` admits and `takes` wants, with their hashes; row n is named `offset` + n. In pieces,
    /// ascending.
    pub(super) fn candidates(
        &self,
        matcher: &PlannedMatcher,
        offset: u32,
        takes: impl Fn(usize, u64) -> bool + Sync,
        is_left: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Vec<Candidate>> {
        // Per shape: the places of the Matcher's keys among the row's own, or nothing if it is not admitted.
        let places: Vec<Option<Vec<u32>>> = self
            .shapes
            .iter()
            .zip(&self.columns)
            .map(|(shape, own)| matcher.admits(shape).then(|| places(matcher.columns, *own)))
            .collect();
        if places.iter().all(Option::is_none) {
            return Vec::new();
        }
        let of_chunk = |(number, chunk): (usize, &Chunk)| {
            let mut found = Vec::new();
            for (place, &shape) in chunk.shape_of.iter().enumerate() {
                let Some(places) = &places[shape as usize] else { continue };
                let row = number * CHUNK_ROWS + place;
                if !is_left(row) {
                    continue;
                }
                let first = chunk.first[place] as usize;
                let (mut hash, mut check) = (0, 0);
                for &place in places {
                    hash = combined(hash, chunk.keys[first + place as usize]);
                    check = combined(u64::from(check), u64::from(chunk.checks[first + place as usize])) as u32;
                }
                if takes(row, hash) {
                    found.push(Candidate { hash, check, node: offset + row as u32 });
                }
            }
            found
        };
        self.chunks.par_iter().enumerate().map(of_chunk).collect()
    }
}

impl Chunk {
    /// The shapes it uses are numbered for itself.
    fn new(
        plan: &Plan,
        rows: &dyn RawRows,
        placeholders: &Placeholders,
        range: std::ops::Range<usize>,
    ) -> (Chunk, Vec<Shape>) {
        let mut chunk = Chunk::default();
        chunk.shape_of.reserve_exact(range.len());
        chunk.first.reserve_exact(range.len());
        // What is not used of it is given back untouched.
        chunk.keys.reserve_exact(range.len() * plan.columns.len());
        chunk.checks.reserve_exact(range.len() * plan.columns.len());
        let mut known = KnownShapes::default();
        let mut shapes: Vec<Shape> = Vec::new();
        // Per shape: what its rows have keys of.
        let mut columns: Vec<u64> = Vec::new();
        let mut shape = plan.shape(&Default::default());
        let mut buffer = Vec::new();
        for row in range {
            let mut slots = rows.slots(row);
            normalise(&mut slots, placeholders);
            plan.shape_into(&slots, &mut shape);
            let number = number(&mut known, &mut shapes, &shape);
            if number as usize == columns.len() {
                columns.push(plan.columns_of(&shape));
            }
            chunk.shape_of.push(number);
            chunk.first.push(chunk.keys.len() as u32);
            let mut left = columns[number as usize];
            while left != 0 {
                let key = plan.columns[left.trailing_zeros() as usize];
                let (hash, check) = hashes(key, slots[key.property as usize].unwrap_or_default(), &mut buffer);
                chunk.keys.push(hash);
                chunk.checks.push(check);
                left &= left - 1;
            }
        }
        chunk.keys.shrink_to_fit();
        chunk.checks.shrink_to_fit();
        (chunk, shapes)
    }
}

/// The number of a shape, which becomes a known one.
fn number(known: &mut KnownShapes, shapes: &mut Vec<Shape>, shape: &Shape) -> u32 {
    known.get(shape).copied().unwrap_or_else(|| {
        let number = shapes.len() as u32;
        known.insert(shape.clone(), number);
        shapes.push(shape.clone());
        number
    })
}

/// The same numbers for two values that `key` takes for the same. `buffer` is for folding.
fn hashes(key: Key, text: &str, buffer: &mut Vec<u8>) -> (u64, u32) {
    buffer.clear();
    match key.uuid.then(|| UuidKey::of(text)) {
        Some(UuidKey::Bytes(bytes)) => {
            buffer.extend_from_slice(&bytes);
            // In no text, so that a text of these very bytes is another value.
            buffer.push(0xff);
        }
        _ => {
            buffer.extend_from_slice(text.as_bytes());
            buffer.make_ascii_lowercase();
        }
    }
    // Not keyed by chance, so that one input always takes one way.
    let hash = |seed: u64| {
        let mut hasher = FixedState::with_seed(seed).build_hasher();
        hasher.write(buffer);
        hasher.finish()
    };
    (hash(HASH_SEED), hash(CHECK_SEED) as u32)
}

const HASH_SEED: u64 = 0x6d75_7374_6572_2068;
const CHECK_SEED: u64 = 0x6368_6563_6b73_2121;

/// A hash of hashes, in which order counts.
fn combined(hash: u64, key: u64) -> u64 {
    let product = u128::from(hash.rotate_left(29) ^ key) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// For each column of `wanted`, all of them among `own`: how many of `own` come before it.
fn places(wanted: u64, own: u64) -> Vec<u32> {
    let columns = (0..u64::BITS).filter(|column| wanted >> column & 1 == 1);
    columns.map(|column| (own & ((1 << column) - 1)).count_ones()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::computer::Property;

    fn of(uuid: bool, text: &str) -> (u64, u32) {
        hashes(Key { property: Property::UUID, uuid }, text, &mut Vec::new())
    }

    #[test]
    fn what_is_folded_alike_has_one_hash() {
        for (uuid, a, b) in [
            (false, "Abc", "aBC"),
            (true, "Abc", "aBC"),
            (true, "00112233445566778899AABBCCDDEEFF", "{33221100-5544-7766-8899-aabbccddeeff}"),
        ] {
            assert_eq!(of(uuid, a), of(uuid, b), "{a} {b}");
        }
        assert_ne!(of(false, "00112233445566778899AABBCCDDEEFF"), of(false, "33221100-5544-7766-8899-AABBCCDDEEFF"));
        assert_ne!(of(false, "É"), of(false, "é"));
    }

    #[test]
    fn a_uuid_is_no_text_that_has_its_bytes() {
        // Smaller than its twin in the other byte order, so these are the bytes of the key.
        assert_ne!(of(true, "6162636465666768696a6b6c6d6e6f70"), of(true, "abcdefghijklmnop"));
    }

    #[test]
    fn values_that_differ_in_length_or_in_one_place_have_other_hashes_both_of_them() {
        let mut texts: Vec<String> = (1..200).map(|length| "a".repeat(length)).collect();
        for length in [3, 8, 9, 16, 17, 40, 130] {
            for place in 0..length {
                texts.push(format!("{}b{}", "a".repeat(place), "a".repeat(length - place - 1)));
            }
        }
        texts.extend((0..50_000).map(|number| format!("sn{number:06}")));
        let count = texts.len();
        let unlike = |part: fn((u64, u32)) -> u64| {
            let mut list: Vec<u64> = texts.iter().map(|text| part(of(false, text))).collect();
            list.sort_unstable();
            list.dedup();
            list.len()
        };
        assert_eq!(unlike(|(hash, _)| hash), count);
        // 32 bits: less than one double is to be expected among so many.
        assert!(unlike(|(_, check)| u64::from(check)) + 3 > count);
        // The two do not follow from each other: equal low bits of one say nothing of the other.
        let mut both: Vec<(u16, u16)> =
            texts.iter().map(|text| of(false, text)).map(|(h, c)| (h as u16, c as u16)).collect();
        both.sort_unstable();
        both.dedup();
        assert!(both.len() + 10 > count, "{} of {count}", both.len());
    }

    #[test]
    fn the_order_of_several_values_counts() {
        assert_ne!(combined(combined(0, 1), 2), combined(combined(0, 2), 1));
        assert_eq!(places(0b1010, 0b1110), [0, 2]);
    }
}
