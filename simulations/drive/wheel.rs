//! A calendar queue: a bucket for each slot of time ahead, and a heap for the present one.
//!
//! A fleet's timers are hours ahead and spread evenly, so putting one in is a push and taking it out a share of sorting
//! its slot. A slot is a second, or more where few entries would lie in one. What is farther ahead than the wheel reaches
//! waits by its turn of the wheel.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use muster::time::{SECOND_MS, Timestamp};

/// Seconds that the wheel reaches: a day and a half.
const REACH_SECS: u64 = 1 << 17;
/// Longest slot.
const SLOT_SECS_MAX: u64 = 64;
/// Entries that a slot should have at least: a slot's vector costs more than they do.
const ENTRIES_WANTED: u64 = 16;
/// Entries of a chunk.
const CHUNK: usize = 8;
/// No chunk.
const NONE: u32 = u32::MAX;
/// Entries are spread over so much.
const DAY_SECS: u64 = 86_400;

/// See the module's head. `T` is ordered by its time first.
pub struct Wheel<T> {
    /// Of each slot its first chunk, by place among `chunks`; `NONE` for none.
    slots: Vec<u32>,
    chunks: Vec<Chunk<T>>,
    /// Chunks that are in no slot.
    free: Vec<u32>,
    slot_ms: i64,
    /// The present slot, counted from 1970.
    slot: i64,
    /// What was ahead of the present slot, the next one last.
    sorted: Vec<T>,
    /// What came into it since.
    heap: BinaryHeap<Reverse<T>>,
    /// By slot.
    far: BTreeMap<i64, Vec<T>>,
    len: usize,
}

/// Some entries of one slot. All slots share one vector of them: each with one of its own would hold twice as much.
#[derive(Clone, Copy)]
struct Chunk<T> {
    /// The next one of the slot.
    next: u32,
    len: u32,
    entries: [T; CHUNK],
}

/// What a driver takes its next entry from.
pub trait Queue<T> {
    /// An empty one that stands at `now`, for about so many entries.
    fn empty(now: Timestamp, entries: u32) -> Self;
    /// Puts an entry in; one that is past is due at once.
    fn put(&mut self, entry: T);
    /// The next entry that is due at `end` or before it. `seen` may be shown entries that are near.
    fn take(&mut self, end: Timestamp, seen: impl FnMut(&T)) -> Option<T>;
    /// The next entry, when it is due in the same slot as the last one.
    fn near(&self) -> Option<&T>;
}

impl<T: Timed> Queue<T> for Wheel<T> {
    fn empty(now: Timestamp, entries: u32) -> Wheel<T> {
        Wheel::new(now, entries)
    }

    fn put(&mut self, entry: T) {
        self.push(entry);
    }

    fn take(&mut self, end: Timestamp, seen: impl FnMut(&T)) -> Option<T> {
        self.pop_and(end, seen)
    }

    fn near(&self) -> Option<&T> {
        self.peek()
    }
}

/// The plain loop: what the wheel is measured against.
impl<T: Timed> Queue<T> for BinaryHeap<Reverse<T>> {
    fn empty(_: Timestamp, _: u32) -> Self {
        BinaryHeap::new()
    }

    fn put(&mut self, entry: T) {
        self.push(Reverse(entry));
    }

    fn take(&mut self, end: Timestamp, _: impl FnMut(&T)) -> Option<T> {
        self.near().filter(|entry| entry.at() <= end)?;
        self.pop().map(|Reverse(entry)| entry)
    }

    fn near(&self) -> Option<&T> {
        self.peek().map(|Reverse(entry)| entry)
    }
}

/// Something with a time.
pub trait Timed: Ord + Copy {
    /// When it is due.
    fn at(&self) -> Timestamp;
}

impl<T: Timed> Wheel<T> {
    /// An empty wheel that stands at `now`, for about so many entries; more or less of them cost time only.
    pub fn new(now: Timestamp, entries: u32) -> Wheel<T> {
        let wanted = (ENTRIES_WANTED * DAY_SECS / u64::from(entries.max(1))).clamp(1, SLOT_SECS_MAX);
        let secs = wanted.next_power_of_two().min(SLOT_SECS_MAX);
        let slot_ms = secs as i64 * SECOND_MS;
        Wheel {
            slots: vec![NONE; (REACH_SECS / secs) as usize],
            chunks: Vec::new(),
            free: Vec::new(),
            slot_ms,
            slot: now.0.div_euclid(slot_ms),
            sorted: Vec::new(),
            heap: BinaryHeap::new(),
            far: BTreeMap::new(),
            len: 0,
        }
    }

    fn slot_of(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.slot_ms)
    }

    /// Entries in it.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.len
    }

    /// Puts an entry in; one that is past is due at once.
    pub fn push(&mut self, entry: T) {
        self.len += 1;
        // A wheel that was turned ahead by a look takes what comes sooner as due.
        let slot = self.slot_of(entry.at());
        let count = self.slots.len() as i64;
        if slot <= self.slot {
            self.heap.push(Reverse(entry));
        } else if slot - self.slot < count {
            self.put_ahead(slot.rem_euclid(count) as usize, entry);
        } else {
            self.far.entry(slot).or_default().push(entry);
        }
    }

    fn put_ahead(&mut self, slot: usize, entry: T) {
        let first = self.slots[slot];
        if let Some(chunk) = self.chunks.get_mut(first as usize)
            && (chunk.len as usize) < CHUNK
        {
            chunk.entries[chunk.len as usize] = entry;
            chunk.len += 1;
            return;
        }
        let chunk = Chunk { next: first, len: 1, entries: [entry; CHUNK] };
        self.slots[slot] = match self.free.pop() {
            Some(place) => {
                self.chunks[place as usize] = chunk;
                place
            }
            None => {
                if self.chunks.len() == self.chunks.capacity() {
                    self.chunks.reserve_exact(64 + self.chunks.len() / 8);
                }
                self.chunks.push(chunk);
                (self.chunks.len() - 1) as u32
            }
        };
    }

    /// The next entry that is due at `end` or before it.
    pub fn pop(&mut self, end: Timestamp) -> Option<T> {
        self.pop_and(end, |_| ())
    }

    /// The same; `seen` is shown each entry of a slot that begins, before the first of them is taken.
    pub fn pop_and(&mut self, end: Timestamp, mut seen: impl FnMut(&T)) -> Option<T> {
        loop {
            if let Some(first) = self.peek() {
                if first.at() > end {
                    return None;
                }
                self.len -= 1;
                return self.take_first();
            }
            if self.len == 0 || self.slot >= self.slot_of(end) {
                return None;
            }
            self.turn();
            self.sorted.iter().for_each(&mut seen);
        }
    }

    fn take_first(&mut self) -> Option<T> {
        let is_sorted_first = match (self.sorted.last(), self.heap.peek()) {
            (Some(sorted), Some(Reverse(heaped))) => sorted <= heaped,
            (sorted, _) => sorted.is_some(),
        };
        if is_sorted_first { self.sorted.pop() } else { self.heap.pop().map(|Reverse(entry)| entry) }
    }

    /// When the next entry is due, as far as it is due in the present slot.
    pub fn peek(&self) -> Option<&T> {
        match (self.sorted.last(), self.heap.peek()) {
            (Some(sorted), Some(Reverse(heaped))) => Some(sorted.min(heaped)),
            (sorted, heaped) => sorted.or(heaped.map(|Reverse(entry)| entry)),
        }
    }

    /// When the next entry is due; the wheel turns so far.
    pub fn next_at(&mut self) -> Option<Timestamp> {
        while self.peek().is_none() && self.len > 0 {
            self.turn();
        }
        self.peek().map(Timed::at)
    }

    fn turn(&mut self) {
        self.slot += 1;
        let slot = self.slot.rem_euclid(self.slots.len() as i64) as usize;
        let mut place = std::mem::replace(&mut self.slots[slot], NONE);
        while let Some(chunk) = self.chunks.get(place as usize) {
            self.sorted.extend_from_slice(&chunk.entries[..chunk.len as usize]);
            self.free.push(place);
            place = chunk.next;
        }
        self.sorted.extend(self.far.remove(&self.slot).into_iter().flatten());
        self.sorted.sort_unstable_by(|one, other| other.cmp(one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::rng::RngStream;

    #[derive(PartialEq, Eq, PartialOrd, Ord, Debug, Clone, Copy)]
    struct Entry(Timestamp, u32);

    impl Timed for Entry {
        fn at(&self) -> Timestamp {
            self.0
        }
    }

    #[test]
    fn entries_come_out_as_from_a_sorted_list() {
        [1, 100_000, 1_000_000].into_iter().for_each(sorts);
    }

    fn sorts(entries: u32) {
        let mut rng = RngStream::new(1, 2, 3);
        let start = Timestamp(1_767_571_200_000);
        let (mut wheel, mut model) = (Wheel::new(start, entries), std::collections::BTreeSet::new());
        let mut now = start;
        for number in 0..20_000u32 {
            let ahead = match rng.below(4) {
                0 => rng.below(5),
                1 => rng.below(5_000),
                2 => rng.below(100_000_000),
                _ => rng.below(400_000_000),
            };
            let entry = Entry(now.plus_ms(ahead), number);
            wheel.push(entry);
            model.insert(entry);
            if rng.below(3) == 0 {
                let end = now.plus_ms(rng.below(3_000_000));
                while let Some(entry) = wheel.pop(end) {
                    assert_eq!(Some(entry), model.pop_first());
                    now = entry.0;
                }
                assert!(model.first().is_none_or(|entry| entry.0 > end));
            }
            assert_eq!(wheel.len(), model.len());
        }
        while let Some(entry) = wheel.pop(Timestamp(i64::MAX)) {
            assert_eq!(Some(entry), model.pop_first());
        }
        assert!(model.is_empty());
    }
}
