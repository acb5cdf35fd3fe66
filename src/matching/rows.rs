//! What the engine reads of the records and devices it is given, wherever they are kept.

use super::normalise::{Normalised, Placeholders, Record, Slots};
use crate::id::DeviceId;
use crate::model::computer::{Property, Values};
use crate::model::device::{Binding, Device, StrongKeys};

/// Rows as they came; their keys are made from these.
pub trait RawRows: Sync {
    /// How many there are; at most `u32::MAX` of records and devices together.
    fn count(&self) -> usize;

    /// The values of a row, not normalised.
    fn slots(&self, row: usize) -> Slots<'_>;
}

/// Normalised values of rows.
pub trait Texts: Sync {
    /// A normalised value; `None` when it is null.
    fn text(&self, row: usize, property: Property) -> Option<&str>;
}

/// The records of an import, ascending by record_id, so that the order of the input never shows.
pub trait Rows: Texts {
    /// How many there are.
    fn count(&self) -> usize;

    /// Unique; the larger one is the younger record.
    fn record_id(&self, row: usize) -> u64;

    /// Source and the source's own key; unique together.
    fn key(&self, row: usize) -> (&str, &str);

    /// Unix seconds.
    fn inventory_date(&self, row: usize) -> i64;
}

/// The stored devices that are not merged into others, ascending by id.
pub trait StoredDevices: Texts {
    /// How many there are.
    fn count(&self) -> usize;

    /// Its id.
    fn id(&self, row: usize) -> DeviceId;

    /// How many records are bound to devices.
    fn bindings_count(&self) -> usize;

    /// The row of the device, and source and external id of the record bound to it.
    fn binding(&self, place: usize) -> (usize, (&str, &str));

    /// The strong keys of that record.
    fn strong_keys(&self, place: usize) -> StrongKeys;
}

/// [`Rows`] of records in memory.
#[derive(Clone, Debug)]
pub struct Records<'a>(Vec<&'a Record>);

impl<'a> Records<'a> {
    /// Puts them in order of record_id.
    pub fn new(records: &'a [Record]) -> Records<'a> {
        let mut list: Vec<&Record> = records.iter().collect();
        list.sort_by(|a, b| (a.record_id, &a.source, &a.external_id).cmp(&(b.record_id, &b.source, &b.external_id)));
        Records(list)
    }

    /// The record of a row.
    pub fn get(&self, row: u32) -> &'a Record {
        self.0[row as usize]
    }
}

impl RawRows for Records<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn slots(&self, row: usize) -> Slots<'_> {
        slots_of(self.0[row].values.values())
    }
}

impl Texts for Records<'_> {
    fn text(&self, row: usize, property: Property) -> Option<&str> {
        self.0[row].values.get(property)
    }
}

impl Rows for Records<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn record_id(&self, row: usize) -> u64 {
        self.0[row].record_id
    }

    fn key(&self, row: usize) -> (&str, &str) {
        (&self.0[row].source, &self.0[row].external_id)
    }

    fn inventory_date(&self, row: usize) -> i64 {
        self.0[row].inventory_date
    }
}

/// [`StoredDevices`] in memory. Source: matching reference, section 7, step 1.
#[derive(Clone, Debug)]
pub struct Devices<'a> {
    list: Vec<&'a Device>,
    values: Vec<Normalised>,
    /// Each with the row of its device.
    bindings: Vec<(usize, &'a Binding)>,
}

impl<'a> Devices<'a> {
    /// Takes those that are no aliases, in order of their ids.
    pub fn new(devices: &'a [Device], placeholders: &Placeholders) -> Devices<'a> {
        let mut list: Vec<&Device> = devices.iter().filter(|device| device.merged_into.is_none()).collect();
        list.sort_by_key(|device| device.id);
        let values = list.iter().map(|device| Normalised::of_device(device, placeholders)).collect();
        let of_device = |(row, device): (usize, &&'a Device)| device.bindings.iter().map(move |binding| (row, binding));
        let bindings = list.iter().enumerate().flat_map(of_device).collect();
        Devices { list, values, bindings }
    }
}

impl RawRows for Devices<'_> {
    fn count(&self) -> usize {
        self.list.len()
    }

    fn slots(&self, row: usize) -> Slots<'_> {
        slots_of(self.values[row].values())
    }
}

impl Texts for Devices<'_> {
    fn text(&self, row: usize, property: Property) -> Option<&str> {
        self.values[row].get(property)
    }
}

impl StoredDevices for Devices<'_> {
    fn count(&self) -> usize {
        self.list.len()
    }

    fn id(&self, row: usize) -> DeviceId {
        self.list[row].id
    }

    fn bindings_count(&self) -> usize {
        self.bindings.len()
    }

    fn binding(&self, place: usize) -> (usize, (&str, &str)) {
        let (row, binding) = &self.bindings[place];
        (*row, (&binding.record.source, &binding.record.external_id))
    }

    fn strong_keys(&self, place: usize) -> StrongKeys {
        self.bindings[place].1.strong.clone()
    }
}

/// The values as a row.
pub fn slots_of(values: &Values) -> Slots<'_> {
    let mut slots: Slots<'_> = [None; Property::COUNT];
    values.iter().for_each(|(property, text)| slots[property as usize] = Some(text));
    slots
}
