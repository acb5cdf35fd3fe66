//! Devices of a file for phase 2.

use super::rows::{StoredDevices, Texts};
use super::table::{KeyedTable, Table};
use super::uuid_key::uuid_key;
use crate::id::DeviceId;
use crate::model::computer::Property;
use crate::model::device::StrongKeys;

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

    fn bindings_count(&self) -> usize {
        self.device_of.len()
    }

    fn binding(&self, place: usize) -> (usize, (&str, &str)) {
        (self.device_of[place] as usize, self.bindings.key(place))
    }

    /// A UUID may stand there as its key or as it is.
    fn strong_keys(&self, place: usize) -> StrongKeys {
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
