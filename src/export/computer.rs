//! A computer as a row of the inventory export.

use crate::id::DeviceId;
use crate::model::computer::Property;
use crate::model::device::{Device, Provenance};
use crate::model::inventory::Detail;
use crate::time::{SECOND_MS, Timestamp};

/// Longest value sent: the longest string of a ServiceNow column, in characters.
pub const MAX_VALUE_CHARS: usize = 4_000;

/// What is known of one device; empty text and `None` mean "not known" and become no column at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComputerRow {
    /// The device.
    pub id: Option<DeviceId>,
    /// Name.
    pub name: String,
    /// Serial number of the system.
    pub serial: String,
    /// BIOS or hardware UUID.
    pub uuid: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// `Computer`, `VM Host`, `Virtual Machine`, `Mobile Device`.
    pub computer_type: String,
    /// Operating system.
    pub operating_system: String,
    /// Its version.
    pub os_version: String,
    /// Its service pack.
    pub service_pack: String,
    /// DNS or Windows domain.
    pub domain: String,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Disk space in bytes, all disks together.
    pub disk_bytes: Option<u64>,
    /// Clock speed in MHz.
    pub clock_mhz: Option<u64>,
    /// Processor.
    pub processor_type: String,
    /// Sockets.
    pub processors: Option<u64>,
    /// Cores of all sockets together.
    pub cores: Option<u64>,
    /// Threads of all cores together.
    pub logical_processors: Option<u64>,
    /// Chassis.
    pub chassis_type: String,
    /// What virtualises it; empty for a physical machine.
    pub vm_type: String,
    /// Name of the virtual machine on its host.
    pub vm_name: String,
    /// Host of the virtual machine.
    pub host: Option<DeviceId>,
    /// State of the virtual machine.
    pub vm_state: String,
    /// IP addresses.
    pub ip_addresses: Vec<String>,
    /// MAC addresses, in the order of the IP addresses where they belong together.
    pub mac_addresses: Vec<String>,
    /// Account the machine is assigned to.
    pub assigned_user: String,
    /// When it was last inventoried.
    pub last_inventory: Option<Timestamp>,
}

impl ComputerRow {
    /// A device with the `details` its records know beyond its own values. A serial number that is not trusted is not
    /// sent; where none is known the firmware's is.
    pub fn of(device: &Device, details: &[(Detail, String, Provenance)]) -> ComputerRow {
        let value = |property| device.values.get(property).map(|(text, _)| text.to_owned()).unwrap_or_default();
        let detail = |wanted| {
            details.iter().find(|(detail, ..)| *detail == wanted).map(|(_, text, _)| text.clone()).unwrap_or_default()
        };
        let number = |wanted| detail(wanted).trim().parse().ok();
        let list = |wanted| detail(wanted).split(';').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        let serial = match value(Property::SerialNo) {
            serial if value(Property::UntrustedSerialNo) == "true" && !serial.is_empty() => String::new(),
            serial if serial.is_empty() => value(Property::FirmwareSerialNumber),
            serial => serial,
        };
        let computer_type = match value(Property::ComputerType).as_str() {
            "VM" => "Virtual Machine".to_owned(),
            other => other.to_owned(),
        };
        ComputerRow {
            id: Some(device.id),
            name: value(Property::ComputerName),
            serial,
            uuid: value(Property::UUID),
            manufacturer: value(Property::Manufacturer),
            model: value(Property::ModelNo),
            computer_type,
            operating_system: value(Property::OperatingSystem),
            os_version: detail(Detail::OSVersion),
            service_pack: detail(Detail::ServicePack),
            domain: value(Property::ComplianceDomainID),
            memory_bytes: number(Detail::TotalMemory),
            disk_bytes: number(Detail::TotalDiskSpace),
            clock_mhz: number(Detail::MaxClockSpeed),
            processor_type: detail(Detail::ProcessorType),
            processors: number(Detail::NumberOfProcessors),
            cores: number(Detail::NumberOfCores),
            logical_processors: number(Detail::NumberOfLogicalProcessors),
            chassis_type: value(Property::HostType),
            vm_type: value(Property::VMType),
            vm_name: value(Property::VMName),
            host: None,
            vm_state: String::new(),
            ip_addresses: list(Detail::IPAddress),
            mac_addresses: list(Detail::MACAddress),
            assigned_user: String::new(),
            last_inventory: Some(Timestamp(device.inventory_date.saturating_mul(SECOND_MS))),
        }
    }

    /// Name and value of every column, in the order of the table in the servicenow reference, section 5. The staging
    /// field is `u_` and the name in lower case. Numbers keep the units named there (bytes, MHz, totals); the receiving
    /// side converts. Lists are separated by `;`.
    pub fn columns(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let device = |id: Option<DeviceId>| id.map(|id| id.to_string()).unwrap_or_default();
        let mut columns = vec![
            ("ComputerID", device(self.id)),
            ("ComputerName", self.name.clone()),
            ("SerialNumber", self.serial.clone()),
            ("UUID", self.uuid.clone()),
            ("Manufacturer", self.manufacturer.clone()),
            ("ModelNo", self.model.clone()),
            ("ComputerType", self.computer_type.clone()),
            ("OperatingSystem", self.operating_system.clone()),
            ("OSVersion", self.os_version.clone()),
            ("ServicePack", self.service_pack.clone()),
            ("Domain", self.domain.clone()),
            ("TotalMemory", number(self.memory_bytes)),
            ("TotalDiskSpace", number(self.disk_bytes)),
            ("MaxClockSpeed", number(self.clock_mhz)),
            ("ProcessorType", self.processor_type.clone()),
            ("NumberOfProcessors", number(self.processors)),
            ("NumberOfCores", number(self.cores)),
            ("NumberOfLogicalProcessors", number(self.logical_processors)),
            ("ChassisType", self.chassis_type.clone()),
            ("VMType", self.vm_type.clone()),
            ("VMName", self.vm_name.clone()),
            ("HostComputerID", device(self.host)),
            ("VMState", self.vm_state.clone()),
            ("IPAddress", self.ip_addresses.join(";")),
            ("MACAddress", self.mac_addresses.join(";")),
            ("AssignedUser", self.assigned_user.clone()),
            ("LastInventoryDate", self.last_inventory.map(servicenow_time).unwrap_or_default()),
        ];
        columns.retain_mut(|(_, value)| {
            if let Some((cut, _)) = value.char_indices().nth(MAX_VALUE_CHARS) {
                value.truncate(cut);
            }
            !value.is_empty()
        });
        columns
    }
}

/// `YYYY-MM-DD hh:mm:ss` in UTC. Source: servicenow reference, section 6.
pub fn servicenow_time(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    format!("{} {}", &text[..10], &text[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_property_is_no_column_and_a_known_one_keeps_its_unit() {
        let row = ComputerRow {
            id: Some(DeviceId(17)),
            name: "PC-17".into(),
            memory_bytes: Some(8 << 30),
            ip_addresses: vec!["192.0.2.1".into(), "2001:db8::1".into()],
            last_inventory: Some(Timestamp(1_741_922_122_000)),
            ..ComputerRow::default()
        };
        let expected = [
            ("ComputerID", "17"),
            ("ComputerName", "PC-17"),
            ("TotalMemory", "8589934592"),
            ("IPAddress", "192.0.2.1;2001:db8::1"),
            ("LastInventoryDate", "2025-03-14 03:15:22"),
        ];
        assert_eq!(row.columns(), expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_device_becomes_a_row_without_a_serial_number_nobody_trusts() {
        let giver = Provenance { source: "agent".into(), date: 9 };
        let row = |values: &[(Property, &str)], details: &[(Detail, &str)]| {
            let values = values.iter().map(|&(property, text)| (property, text.to_owned(), giver.clone())).collect();
            let device =
                Device { id: DeviceId(4), values, inventory_date: 1_741_922_122, bindings: vec![], merged_into: None };
            let details: Vec<_> = details.iter().map(|&(one, text)| (one, text.to_owned(), giver.clone())).collect();
            ComputerRow::of(&device, &details)
        };
        let seen = row(
            &[(Property::ComputerName, "pc"), (Property::ComputerType, "VM"), (Property::SerialNo, "S1")],
            &[(Detail::TotalMemory, " 64 "), (Detail::NumberOfCores, "many"), (Detail::IPAddress, "192.0.2.1;;::1")],
        );
        let expected = ComputerRow {
            id: Some(DeviceId(4)),
            name: "pc".into(),
            serial: "S1".into(),
            computer_type: "Virtual Machine".into(),
            memory_bytes: Some(64),
            ip_addresses: vec!["192.0.2.1".into(), "::1".into()],
            last_inventory: Some(Timestamp(1_741_922_122_000)),
            ..ComputerRow::default()
        };
        assert_eq!(seen, expected);

        let firmware = (Property::FirmwareSerialNumber, "F1");
        let untrusted = (Property::UntrustedSerialNo, "true");
        assert_eq!(row(&[firmware], &[]).serial, "F1");
        assert_eq!(row(&[firmware, untrusted], &[]).serial, "F1");
        assert_eq!(row(&[(Property::SerialNo, "None"), firmware, untrusted], &[]).serial, "");
    }

    #[test]
    fn an_endless_value_is_cut_between_characters() {
        let row = ComputerRow { name: "ü".repeat(5_000), ..ComputerRow::default() };
        assert_eq!(row.columns(), [("ComputerName", "ü".repeat(MAX_VALUE_CHARS))]);
    }
}
