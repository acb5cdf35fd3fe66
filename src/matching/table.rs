//! Records or devices of a file, packed: five million of them, with no block of memory of their own.
//!
//! ```text
//! block of some MiB of the file   text  the set values behind each other, trimmed
//!                                 lens  u16 per set value, and one for the external id
//! place of a row                  16 bytes: its text, its lengths, which values are set; a quarter of a cache line
//! head of a row                   24 bytes: record_id, date, source, line
//! ```
//!
//! A null takes nothing. Beyond the text itself a row of 10 values takes 62 bytes, keys apart.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use rayon::prelude::*;

use super::group::deal;
use super::keys::Keys;
use super::normalise::{Slots, object_type, trim};
use super::rows::{RawRows, Rows, Texts};
use crate::model::computer::Property;

/// Bit of `Place::set`: each length takes two places, the lower half first.
const WIDE: u32 = 1 << 31;

/// A part of a [`Table`], made on its own from some lines of a file.
#[derive(Debug, Default)]
pub struct Block {
    text: String,
    lens: Vec<u16>,
    places: Vec<Place>,
    heads: Vec<Head>,
    /// Numbered by the rows of this block.
    sources: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Number of its block, and where its text begins there.
    block: u32,
    text: u32,
    /// Where its lengths begin in the block: that of the external id, then one per set value.
    lens: u32,
    /// Bit per property that is set, and [`WIDE`].
    set: u32,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    id: u64,
    inventory_date: i64,
    source: u32,
    line: u32,
}

/// What a row is beside its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHead<'a> {
    /// record_id, or the id of a device.
    pub id: u64,
    /// The connection that brought it; empty for a device.
    pub source: &'a str,
    /// The source's own key; empty for a device.
    pub external_id: &'a str,
    /// Unix seconds.
    pub inventory_date: i64,
    /// The line where it begins, counted from 1 in the block.
    pub line: u32,
}

impl Block {
    /// An empty block with room for `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Block {
        Block { text: String::with_capacity(bytes), ..Block::default() }
    }

    /// How many rows it has.
    pub fn count(&self) -> usize {
        self.heads.len()
    }

    /// Adds a row. Values are trimmed, and empty ones are null.
    pub fn push(&mut self, head: RowHead<'_>, slots: &Slots<'_>) {
        let mut place = Place { block: 0, text: self.text.len() as u32, lens: self.lens.len() as u32, set: 0 };
        let fits = |text: &str| text.len() <= usize::from(u16::MAX);
        if !fits(head.external_id) || !slots.iter().flatten().all(|text| fits(text)) {
            place.set |= WIDE;
        }
        self.add(head.external_id, place.set);
        for (property, slot) in slots.iter().enumerate() {
            let Some(text) = slot.map(trim).filter(|text| !text.is_empty()) else { continue };
            place.set |= 1 << property;
            self.add(text, place.set);
        }
        let source = self.source(head.source);
        self.places.push(place);
        self.heads.push(Head { id: head.id, inventory_date: head.inventory_date, source, line: head.line });
    }

    fn add(&mut self, text: &str, set: u32) {
        self.text.push_str(text);
        self.lens.push(text.len() as u16);
        if set & WIDE != 0 {
            self.lens.push((text.len() >> 16) as u16);
        }
    }

    /// Nearly every row has the source of the one before it, and there are few.
    fn source(&mut self, source: &str) -> u32 {
        let last = self.heads.last().map(|head| head.source as usize);
        let known = last.filter(|&last| *self.sources[last] == *source);
        let known = known.or_else(|| self.sources.iter().position(|known| **known == *source));
        known.unwrap_or_else(|| {
            self.sources.push(source.into());
            self.sources.len() - 1
        }) as u32
    }
}

/// Two rows that say they are the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DuplicateRow {
    /// By their number.
    #[error("line {second}: the number {id} is on line {first} already; every row needs its own")]
    Id {
        /// The number.
        id: u64,
        /// The earlier line.
        first: u32,
        /// The later one.
        second: u32,
    },
    /// By source and external id.
    #[error(
        "line {second}: external_id `{external_id}` of source `{source_name}` is on line {first} already; a source names each computer once"
    )]
    Key {
        /// The source.
        source_name: String,
        /// The source's own key.
        external_id: String,
        /// The earlier line.
        first: u32,
        /// The later one.
        second: u32,
    },
}

/// Rows of a whole file, ascending by their id, whatever their order in the file.
#[derive(Debug, Default)]
pub struct Table {
    places: Vec<Place>,
    heads: Vec<Head>,
    blocks: Vec<(String, Vec<u16>)>,
    sources: Vec<Box<str>>,
}

impl Table {
    /// Puts blocks together; each with the number of lines of the file before it.
    pub fn new(blocks: Vec<(Block, u32)>) -> Table {
        let mut table = Table::default();
        let count = blocks.iter().map(|(block, _)| block.count()).sum();
        table.places.reserve_exact(count);
        table.heads.reserve_exact(count);
        for (number, (mut block, lines_before)) in (0..).zip(blocks) {
            let sources: Vec<u32> = block.sources.iter().map(|source| table.source(source)).collect();
            table.places.extend(block.places.iter().map(|place| Place { block: number, ..*place }));
            table.heads.extend(block.heads.iter().map(|head| Head {
                source: sources[head.source as usize],
                line: head.line + lines_before,
                ..*head
            }));
            block.text.shrink_to_fit();
            block.lens.shrink_to_fit();
            table.blocks.push((block.text, block.lens));
        }
        if !table.heads.is_sorted_by_key(|head| head.id) {
            let mut rows: Vec<(Head, Place)> = table.heads.into_iter().zip(table.places).collect();
            rows.par_sort_unstable_by_key(|(head, _)| (head.id, head.line));
            (table.heads, table.places) = rows.into_iter().unzip();
        }
        table
    }

    fn source(&mut self, source: &str) -> u32 {
        let known = self.sources.iter().position(|known| **known == *source);
        known.unwrap_or_else(|| {
            self.sources.push(source.into());
            self.sources.len() - 1
        }) as u32
    }

    /// Finds the first id that two rows have.
    pub fn check_ids(&self) -> Result<(), DuplicateRow> {
        let same = self.heads.windows(2).find(|pair| pair[0].id == pair[1].id);
        same.map_or(Ok(()), |pair| Err(DuplicateRow::Id { id: pair[0].id, first: pair[0].line, second: pair[1].line }))
    }

    /// Finds two rows of one source and external id; of several the one that stands first in the file.
    pub fn check_keys(&self) -> Result<(), DuplicateRow> {
        let hashing = FixedState::with_seed(0x6b65_7973);
        let starts: Vec<usize> = (0..self.count()).step_by(1 << 15).collect();
        let hashes = |&start: &usize| {
            let rows = start..self.count().min(start + (1 << 15));
            rows.map(|row| (hashing.hash_one((self.heads[row].source, self.external_id(row))), row as u32)).collect()
        };
        let pieces: Vec<Vec<(u64, u32)>> = starts.par_iter().map(hashes).collect();
        let doubles = |mut part: Vec<(u64, u32)>| {
            part.sort_unstable();
            let mut found = Vec::new();
            for run in part.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
                let mut run: Vec<u32> = run.iter().map(|&(_, row)| row).collect();
                run.sort_by_key(|&row| (self.key_of(row), self.heads[row as usize].line));
                let same = run.windows(2).filter(|pair| self.key_of(pair[0]) == self.key_of(pair[1]));
                found.extend(same.map(|pair| (self.heads[pair[1] as usize].line, pair[0], pair[1])));
            }
            found
        };
        let doubles: Vec<(u32, u32, u32)> =
            deal(pieces, |item| item.0).into_par_iter().flat_map_iter(doubles).collect();
        doubles.into_iter().min().map_or(Ok(()), |(second, a, b)| {
            let (source, external_id) = self.key(b as usize);
            let (source_name, external_id) = (source.to_owned(), external_id.to_owned());
            Err(DuplicateRow::Key { source_name, external_id, first: self.heads[a as usize].line, second })
        })
    }

    fn key_of(&self, row: u32) -> (u32, &str) {
        (self.heads[row as usize].source, self.external_id(row as usize))
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.heads.len()
    }

    /// The record_id of a row, or the id of a device.
    pub fn id(&self, row: usize) -> u64 {
        self.heads[row].id
    }

    /// The row with this id.
    pub fn row_of(&self, id: u64) -> Option<usize> {
        self.heads.binary_search_by_key(&id, |head| head.id).ok()
    }

    /// Source and external id.
    pub fn key(&self, row: usize) -> (&str, &str) {
        (&self.sources[self.heads[row].source as usize], self.external_id(row))
    }

    /// Unix seconds.
    pub fn inventory_date(&self, row: usize) -> i64 {
        self.heads[row].inventory_date
    }

    fn external_id(&self, row: usize) -> &str {
        let place = &self.places[row];
        let (text, lens) = &self.blocks[place.block as usize];
        &text[place.text as usize..place.text as usize + len(lens, place, 0)]
    }

    /// The value as it came, trimmed; `None` when it is null.
    pub(super) fn raw(&self, row: usize, property: Property) -> Option<&str> {
        let place = &self.places[row];
        let (start, end) = self.span(place, property);
        let is_set = place.set >> property as u32 & 1 == 1;
        is_set.then(|| &self.blocks[place.block as usize].0[start as usize..end as usize])
    }

    /// Where a value stands in its block; nothing when it is null.
    fn span(&self, place: &Place, property: Property) -> (u32, u32) {
        let bit = 1_u32 << property as u32;
        if place.set & bit == 0 {
            return (0, 0);
        }
        let (_, lens) = &self.blocks[place.block as usize];
        let nth = 1 + (place.set & (bit - 1)).count_ones() as usize;
        let start = place.text as usize + (0..nth).map(|before| len(lens, place, before)).sum::<usize>();
        (start as u32, (start + len(lens, place, nth)) as u32)
    }
}

/// Length of the external id (0) or of a set value.
fn len(lens: &[u16], place: &Place, nth: usize) -> usize {
    let at = place.lens as usize;
    if place.set & WIDE == 0 {
        usize::from(lens[at + nth])
    } else {
        usize::from(lens[at + 2 * nth]) | usize::from(lens[at + 2 * nth + 1]) << 16
    }
}

impl RawRows for Table {
    fn count(&self) -> usize {
        self.heads.len()
    }

    fn slots(&self, row: usize) -> Slots<'_> {
        let place = &self.places[row];
        let (text, lens) = &self.blocks[place.block as usize];
        let mut slots: Slots<'_> = [None; Property::COUNT];
        let mut start = place.text as usize + len(lens, place, 0);
        let mut left = place.set & !WIDE;
        let mut nth = 1;
        while left != 0 {
            let end = start + len(lens, place, nth);
            slots[left.trailing_zeros() as usize] = Some(&text[start..end]);
            (start, nth, left) = (end, nth + 1, left & (left - 1));
        }
        slots
    }
}

/// A table with its keys: what is normalised of it.
#[derive(Clone, Copy, Debug)]
pub struct KeyedTable<'a> {
    /// The rows.
    pub table: &'a Table,
    /// Their keys.
    pub keys: &'a Keys,
}

impl Texts for KeyedTable<'_> {
    fn text(&self, row: usize, property: Property) -> Option<&str> {
        let shape = self.keys.shape(row);
        let is_set = |property: Property| shape.set >> property as u32 & 1 == 1;
        match property {
            Property::UntrustedSerialNo => Some(if shape.is_untrusted { "true" } else { "false" }),
            Property::ObjectType => {
                Some(self.table.raw(row, property).unwrap_or_else(|| object_type(is_set, shape.is_untrusted)))
            }
            _ if is_set(property) => self.table.raw(row, property),
            _ => None,
        }
    }
}

impl Rows for KeyedTable<'_> {
    fn count(&self) -> usize {
        self.table.count()
    }

    fn record_id(&self, row: usize) -> u64 {
        self.table.id(row)
    }

    fn key(&self, row: usize) -> (&str, &str) {
        self.table.key(row)
    }

    fn inventory_date(&self, row: usize) -> i64 {
        self.table.inventory_date(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Matchers, Placeholders, Plan, standard_matchers};

    fn slots<'a>(pairs: &[(Property, &'a str)]) -> Slots<'a> {
        let mut slots: Slots<'a> = [None; Property::COUNT];
        pairs.iter().for_each(|&(property, text)| slots[property as usize] = Some(text));
        slots
    }

    /// Id, source, external id and values of a row.
    type Given<'a> = (u64, &'a str, &'a str, &'a [(Property, &'a str)]);

    fn block(rows: &[Given<'_>]) -> Block {
        let mut block = Block::with_capacity(64);
        for (line, &(id, source, external_id, pairs)) in (1..).zip(rows) {
            block.push(RowHead { id, source, external_id, inventory_date: -7, line }, &slots(pairs));
        }
        block
    }

    #[test]
    fn rows_of_several_blocks_read_back_in_order_of_their_ids() {
        let first: &[(Property, &str)] =
            &[(Property::UUID, " u1 "), (Property::ComputerName, "pc-ü"), (Property::HostID, " ")];
        let table = Table::new(vec![
            (block(&[(9, "a", "k9", &[]), (3, "b", "k3", first)]), 1),
            (block(&[(5, "b", "", &[(Property::ObjectType, "x")])]), 3),
        ]);
        assert_eq!(
            (0..3).map(|row| (table.id(row), table.key(row))).collect::<Vec<_>>(),
            [(3, ("b", "k3")), (5, ("b", "")), (9, ("a", "k9"))]
        );
        assert_eq!(table.slots(0), slots(&[(Property::UUID, "u1"), (Property::ComputerName, "pc-ü")]));
        assert_eq!((table.raw(0, Property::UUID), table.raw(0, Property::HostID)), (Some("u1"), None));
        assert_eq!(table.raw(1, Property::ObjectType), Some("x"));
        assert_eq!((table.inventory_date(2), table.row_of(9), table.row_of(4)), (-7, Some(2), None));
    }

    #[test]
    fn a_value_longer_than_64_kib_is_whole_and_so_are_its_neighbours() {
        let long = "x".repeat(200_001);
        let pairs = [(Property::ComputerName, "pc"), (Property::VMName, &*long), (Property::UUID, "u")];
        let table = Table::new(vec![(block(&[(1, "s", "k", &pairs), (2, "s", &long, &pairs[..1])]), 0)]);
        assert_eq!(table.slots(0), slots(&pairs));
        assert_eq!((table.raw(0, Property::UUID), table.key(1).1.len()), (Some("u"), 200_001));
        assert_eq!(table.raw(1, Property::ComputerName), Some("pc"));
    }

    #[test]
    fn what_two_rows_share_is_told_with_the_lines_of_both() {
        let one = |id: u64, source: &'static str, key: &'static str| block(&[(id, source, key, &[])]);
        let table = |list: Vec<Block>| Table::new((0..).zip(list).map(|(before, block)| (block, before)).collect());
        let ids = table(vec![one(7, "a", "1"), one(8, "a", "2"), one(7, "b", "3")]);
        assert_eq!(ids.check_ids(), Err(DuplicateRow::Id { id: 7, first: 1, second: 3 }));
        assert_eq!(ids.check_keys(), Ok(()));
        let keys = table(vec![one(9, "a", "1"), one(8, "b", "1"), one(2, "a", "1"), one(1, "a", "1")]);
        assert_eq!(keys.check_ids(), Ok(()));
        let same = DuplicateRow::Key { source_name: "a".into(), external_id: "1".into(), first: 1, second: 3 };
        assert_eq!(keys.check_keys(), Err(same));
    }

    #[test]
    fn texts_are_what_a_record_in_memory_has() {
        let rows: [&[(Property, &str)]; 4] = [
            &[(Property::Manufacturer, "None"), (Property::SerialNo, "0000"), (Property::ComputerName, "None")],
            &[(Property::VMType, "x"), (Property::HostIdentifyingNumber, "h"), (Property::UUID, "u1")],
            &[(Property::ObjectType, "mine"), (Property::UntrustedSerialNo, "YES"), (Property::SerialNo, "s")],
            &[],
        ];
        let listed: Vec<_> = (1..).zip(rows).map(|(id, pairs)| (id, "s", "k", pairs)).collect();
        let table = Table::new(vec![(block(&listed), 0)]);
        let placeholders = Placeholders::default();
        let plan = Plan::new(&Matchers::load(standard_matchers(), None).unwrap());
        let keys = Keys::new(&plan, &table, &placeholders);
        let keyed = KeyedTable { table: &table, keys: &keys };
        for (row, pairs) in rows.iter().enumerate() {
            let values = pairs.iter().copied().collect();
            let expected = crate::matching::Normalised::new(&values, &placeholders);
            for property in Property::ALL {
                assert_eq!(keyed.text(row, property), expected.get(property), "{row} {property}");
            }
        }
    }
}
