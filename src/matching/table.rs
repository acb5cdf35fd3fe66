//! Records or devices of a file, packed: five million of them, with no block of memory of their own.
//!
//! ```text
//! block of some MiB of the file   text  the set values behind each other, trimmed
//!                                 lens  u16 per set value, and one for the external id
//! row                             40 bytes: record_id, date, place of its text, set values, source, line
//! ```
//!
//! A null takes nothing. Beyond the text itself a row of 10 values takes 62 bytes, keys apart.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use rayon::prelude::*;

use super::group::deal;
use super::keys::Keys;
use super::normalise::{Slots, object_type, trim};
use super::rows::{RawRows, Rows, StoredDevices, Texts};
use super::uuid_key::uuid_key;
use crate::id::DeviceId;
use crate::model::computer::Property;
use crate::model::device::StrongKeys;

/// Bit of `Row::set`: each length takes two places, the lower half first.
const WIDE: u32 = 1 << 31;

/// A part of a [`Table`], made on its own from some lines of a file.
#[derive(Debug, Default)]
pub struct Block {
    text: String,
    lens: Vec<u16>,
    rows: Vec<Row>,
    /// Numbered by the rows of this block.
    sources: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    record_id: u64,
    inventory_date: i64,
    /// Number of its block, and where its text begins there.
    block: u32,
    text: u32,
    /// Where its lengths begin in the block: that of the external id, then one per set value.
    lens: u32,
    /// Bit per property that is set, and [`WIDE`].
    set: u32,
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
        self.rows.len()
    }

    /// Adds a row. Values are trimmed, and empty ones are null.
    pub fn push(&mut self, head: RowHead<'_>, slots: &Slots<'_>) {
        let mut row = Row {
            record_id: head.id,
            inventory_date: head.inventory_date,
            block: 0,
            text: self.text.len() as u32,
            lens: self.lens.len() as u32,
            set: 0,
            source: self.source(head.source),
            line: head.line,
        };
        let fits = |text: &str| text.len() <= usize::from(u16::MAX);
        if !fits(head.external_id) || !slots.iter().flatten().all(|text| fits(text)) {
            row.set |= WIDE;
        }
        self.add(head.external_id, row.set);
        for (place, slot) in slots.iter().enumerate() {
            let Some(text) = slot.map(trim).filter(|text| !text.is_empty()) else { continue };
            row.set |= 1 << place;
            self.add(text, row.set);
        }
        self.rows.push(row);
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
        let last = self.rows.last().map(|row| row.source as usize);
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
    #[error("line {second}: external_id `{external_id}` of source `{source_name}` is on line {first} already; a source names each computer once")]
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
    rows: Vec<Row>,
    blocks: Vec<(String, Vec<u16>)>,
    sources: Vec<Box<str>>,
}

impl Table {
    /// Puts blocks together; each with the number of lines of the file before it.
    pub fn new(blocks: Vec<(Block, u32)>) -> Table {
        let mut table = Table::default();
        table.rows.reserve_exact(blocks.iter().map(|(block, _)| block.rows.len()).sum());
        for (number, (mut block, lines_before)) in (0..).zip(blocks) {
            let sources: Vec<u32> = block.sources.iter().map(|source| table.source(source)).collect();
            table.rows.extend(block.rows.iter().map(|row| Row {
                block: number,
                source: sources[row.source as usize],
                line: row.line + lines_before,
                ..*row
            }));
            block.text.shrink_to_fit();
            block.lens.shrink_to_fit();
            table.blocks.push((block.text, block.lens));
        }
        if !table.rows.is_sorted_by_key(|row| row.record_id) {
            table.rows.par_sort_unstable_by_key(|row| (row.record_id, row.line));
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
        let same = self.rows.windows(2).find(|pair| pair[0].record_id == pair[1].record_id);
        same.map_or(Ok(()), |pair| {
            Err(DuplicateRow::Id { id: pair[0].record_id, first: pair[0].line, second: pair[1].line })
        })
    }

    /// Finds two rows of one source and external id; of several the one that stands first in the file.
    pub fn check_keys(&self) -> Result<(), DuplicateRow> {
        let hashing = FixedState::with_seed(0x6b65_7973);
        let starts: Vec<usize> = (0..self.rows.len()).step_by(1 << 15).collect();
        let hashes = |&start: &usize| {
            let rows = start..self.rows.len().min(start + (1 << 15));
            rows.map(|row| (hashing.hash_one((self.rows[row].source, self.external_id(row))), row as u32)).collect()
        };
        let pieces: Vec<Vec<(u64, u32)>> = starts.par_iter().map(hashes).collect();
        let doubles = |mut part: Vec<(u64, u32)>| {
            part.sort_unstable();
            let mut found = Vec::new();
            for run in part.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
                let mut run: Vec<u32> = run.iter().map(|&(_, row)| row).collect();
                run.sort_by_key(|&row| (self.key_of(row), self.rows[row as usize].line));
                let same = run.windows(2).filter(|pair| self.key_of(pair[0]) == self.key_of(pair[1]));
                found.extend(same.map(|pair| (self.rows[pair[1] as usize].line, pair[0], pair[1])));
            }
            found
        };
        let doubles: Vec<(u32, u32, u32)> = deal(pieces).into_par_iter().flat_map_iter(doubles).collect();
        doubles.into_iter().min().map_or(Ok(()), |(second, a, b)| {
            let (source, external_id) = self.key(b as usize);
            let (source_name, external_id) = (source.to_owned(), external_id.to_owned());
            Err(DuplicateRow::Key { source_name, external_id, first: self.rows[a as usize].line, second })
        })
    }

    fn key_of(&self, row: u32) -> (u32, &str) {
        (self.rows[row as usize].source, self.external_id(row as usize))
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The record_id of a row, or the id of a device.
    pub fn id(&self, row: usize) -> u64 {
        self.rows[row].record_id
    }

    /// The row with this id.
    pub fn row_of(&self, id: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |row| row.record_id).ok()
    }

    /// Source and external id.
    pub fn key(&self, row: usize) -> (&str, &str) {
        (&self.sources[self.rows[row].source as usize], self.external_id(row))
    }

    /// Unix seconds.
    pub fn inventory_date(&self, row: usize) -> i64 {
        self.rows[row].inventory_date
    }

    fn external_id(&self, row: usize) -> &str {
        self.cell(&self.rows[row], 0)
    }

    /// The value as it came, trimmed; `None` when it is null.
    fn raw(&self, row: usize, property: Property) -> Option<&str> {
        let row = &self.rows[row];
        let bit = 1_u32 << property as u32;
        (row.set & bit != 0).then(|| self.cell(row, 1 + (row.set & (bit - 1)).count_ones() as usize))
    }

    fn cell(&self, row: &Row, nth: usize) -> &str {
        let (text, lens) = &self.blocks[row.block as usize];
        let start = row.text as usize + (0..nth).map(|before| len(lens, row, before)).sum::<usize>();
        &text[start..start + len(lens, row, nth)]
    }
}

/// Length of the external id (0) or of a set value.
fn len(lens: &[u16], row: &Row, nth: usize) -> usize {
    let at = row.lens as usize;
    if row.set & WIDE == 0 {
        usize::from(lens[at + nth])
    } else {
        usize::from(lens[at + 2 * nth]) | usize::from(lens[at + 2 * nth + 1]) << 16
    }
}

impl RawRows for Table {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn slots(&self, row: usize) -> Slots<'_> {
        let row = &self.rows[row];
        let (text, lens) = &self.blocks[row.block as usize];
        let mut slots: Slots<'_> = [None; Property::COUNT];
        let mut start = row.text as usize + len(lens, row, 0);
        let mut left = row.set & !WIDE;
        let mut nth = 1;
        while left != 0 {
            let end = start + len(lens, row, nth);
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

/// Devices of a file with the records bound to them, for phase 2.
#[derive(Clone, Debug)]
pub struct TableDevices<'a> {
    devices: KeyedTable<'a>,
    bindings: &'a Table,
    /// Per row of the bindings: the row of the device.
    device_of: Vec<u32>,
}

impl<'a> TableDevices<'a> {
    /// `bindings` has a row for each bound record, its id that of the device. A device that is not among `devices` is
    /// the error.
    pub fn new(devices: KeyedTable<'a>, bindings: &'a Table) -> Result<TableDevices<'a>, u64> {
        let device_of = |row: usize| {
            let id = bindings.id(row);
            devices.table.row_of(id).map(|row| row as u32).ok_or(id)
        };
        let device_of = (0..bindings.count()).map(device_of).collect::<Result<_, u64>>()?;
        Ok(TableDevices { devices, bindings, device_of })
    }
}

impl Texts for TableDevices<'_> {
    fn text(&self, row: usize, property: Property) -> Option<&str> {
        self.devices.text(row, property)
    }
}

impl StoredDevices for TableDevices<'_> {
    fn count(&self) -> usize {
        self.devices.table.count()
    }

    fn id(&self, row: usize) -> DeviceId {
        DeviceId(self.devices.table.id(row))
    }

    fn bindings<'s>(&'s self, see: &mut dyn FnMut(usize, usize, &'s str, &'s str)) {
        for (place, &device) in self.device_of.iter().enumerate() {
            let (source, external_id) = self.bindings.key(place);
            see(device as usize, place, source, external_id);
        }
    }

    /// A UUID may stand there as its key or as it is.
    fn strong_keys(&self, _: usize, place: usize) -> StrongKeys {
        let folded = |property| self.bindings.raw(place, property).map(|text| text.to_ascii_lowercase().into());
        let uuid = |text: Box<str>| {
            let is_key = text.starts_with("u:") || text.starts_with("t:");
            if is_key { text } else { uuid_key(&text).into() }
        };
        StrongKeys {
            firmware_serial_number: folded(Property::FirmwareSerialNumber),
            trusted_serial_no: folded(Property::SerialNo),
            uuid_key: folded(Property::UUID).map(uuid),
            machine_id: folded(Property::MachineID),
            ilmt_agent_id: folded(Property::ILMTAgentID),
        }
    }
}
