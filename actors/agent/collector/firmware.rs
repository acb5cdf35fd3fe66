//! What the firmware says of the machine: the SMBIOS tables, or the texts the kernel took from them.
//!
//! The tables and all serial numbers are readable by root only; without that right the rest is still collected and each
//! refused file is a finding. A host without SMBIOS (most arm64 boards, containers, small virtual machines) has none.

use muster::formats::host::chassis::chassis_words;
use smbioslib::{
    MemorySize, MemorySizeExtended, SMBiosBaseboardInformation, SMBiosData, SMBiosInformation, SMBiosMemoryDevice,
    SMBiosString, SMBiosSystemChassisInformation, SMBiosSystemInformation, SystemUuidData,
};

/// Tables are some kilobytes; the largest servers have a few hundred.
#[cfg(target_os = "linux")]
const TABLES_BYTES_LIMIT: usize = 4 * 1024 * 1024;
/// Memory devices read at most.
const MEMORY_DEVICES_LIMIT: usize = 4_096;

/// The firmware's texts, as it gives them. Empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// Manufacturer of the system.
    pub manufacturer: String,
    /// Model of the system.
    pub product: String,
    /// Serial number of the system.
    pub serial: String,
    /// UUID of the system, in the kernel's byte order and lower case.
    pub uuid: String,
    /// Shape of the machine in words.
    pub chassis: String,
    /// Serial number of the base board.
    pub board_serial: String,
    /// Vendor of the firmware.
    pub bios_vendor: String,
    /// Version of the firmware.
    pub bios_version: String,
    /// Release date of the firmware, `MM/DD/YYYY`.
    pub bios_date: String,
    /// Installed memory devices, in the order of the tables.
    pub memory: Vec<MemoryDevice>,
}

/// One memory module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDevice {
    /// Socket, as printed on the board.
    pub locator: String,
    /// Capacity.
    pub capacity_bytes: u64,
    /// Manufacturer.
    pub manufacturer: String,
    /// Serial number.
    pub serial: String,
    /// Part number.
    pub part: String,
}

impl Firmware {
    /// Reads the tables, then fills what they leave empty from the kernel's texts.
    #[cfg(target_os = "linux")]
    pub fn of_host(host: &super::host_root::HostRoot) -> Firmware {
        let mut firmware = match host.read("sys/firmware/dmi/tables/DMI", TABLES_BYTES_LIMIT) {
            Some(tables) => {
                let entry_point = host.read_or_empty("sys/firmware/dmi/tables/smbios_entry_point", 64);
                Firmware::of_tables(tables, version_of(&entry_point))
            }
            None => Firmware::default(),
        };
        let text = |name: &str| host.read_line(&format!("sys/class/dmi/id/{name}"));
        let fill = |field: &mut String, name: &str| {
            if field.is_empty() {
                *field = text(name);
            }
        };
        fill(&mut firmware.manufacturer, "sys_vendor");
        fill(&mut firmware.product, "product_name");
        fill(&mut firmware.serial, "product_serial");
        fill(&mut firmware.board_serial, "board_serial");
        fill(&mut firmware.bios_vendor, "bios_vendor");
        fill(&mut firmware.bios_version, "bios_version");
        fill(&mut firmware.bios_date, "bios_date");
        if firmware.chassis.is_empty() {
            let words = text("chassis_type").parse().ok().and_then(chassis_words);
            firmware.chassis = words.unwrap_or_default().into();
        }
        // The kernel knows the version's byte order best.
        let kernels = text("product_uuid");
        if !kernels.is_empty() {
            firmware.uuid = kernels;
        }
        firmware
    }

    /// Reads the tables of a system that is not Linux.
    #[cfg(not(target_os = "linux"))]
    pub fn of_device() -> Result<Firmware, std::io::Error> {
        smbioslib::table_load_from_device().map(|tables| Firmware::of_smbios(&tables))
    }

    /// Reads tables of the given version. Structures after the first damaged one are lost.
    #[cfg(any(target_os = "linux", test))]
    pub fn of_tables(tables: Vec<u8>, version: Option<(u8, u8)>) -> Firmware {
        let version = version.map(|(major, minor)| smbioslib::SMBiosVersion::new(major, minor, 0));
        Firmware::of_smbios(&SMBiosData::from_vec_and_version(tables, version))
    }

    fn of_smbios(tables: &SMBiosData) -> Firmware {
        let mut firmware = Firmware::default();
        if let Some(system) = tables.first::<SMBiosSystemInformation<'_>>() {
            firmware.manufacturer = text(system.manufacturer());
            firmware.product = text(system.product_name());
            firmware.serial = text(system.serial_number());
            if let Some(SystemUuidData::Uuid(uuid)) = system.uuid() {
                firmware.uuid = uuid_text(uuid.raw, tables.version.map(|version| (version.major, version.minor)));
            }
        }
        if let Some(bios) = tables.first::<SMBiosInformation<'_>>() {
            firmware.bios_vendor = text(bios.vendor());
            firmware.bios_version = text(bios.version());
            firmware.bios_date = text(bios.release_date());
        }
        if let Some(chassis) = tables.first::<SMBiosSystemChassisInformation<'_>>().and_then(|c| c.chassis_type()) {
            firmware.chassis = chassis_words(chassis.raw).unwrap_or_default().into();
        }
        if let Some(board) = tables.first::<SMBiosBaseboardInformation<'_>>() {
            firmware.board_serial = text(board.serial_number());
        }
        let devices = tables.defined_struct_iter::<SMBiosMemoryDevice<'_>>().take(MEMORY_DEVICES_LIMIT);
        firmware.memory = devices.filter_map(|device| memory_device(&device)).collect();
        firmware
    }
}

/// A module, unless its socket is empty or its size not known.
fn memory_device(device: &SMBiosMemoryDevice<'_>) -> Option<MemoryDevice> {
    let capacity_bytes = match device.size()? {
        MemorySize::Kilobytes(size) => u64::from(size) << 10,
        MemorySize::Megabytes(size) => u64::from(size) << 20,
        MemorySize::SeeExtendedSize => match device.extended_size()? {
            MemorySizeExtended::Megabytes(size) => u64::from(size) << 20,
            MemorySizeExtended::SeeSize => return None,
        },
        MemorySize::NotInstalled | MemorySize::Unknown => return None,
    };
    Some(MemoryDevice {
        locator: text(device.device_locator()),
        capacity_bytes,
        manufacturer: text(device.manufacturer()),
        serial: text(device.serial_number()),
        part: text(device.part_number()),
    })
}

/// A text of the tables; one that is damaged or not there is empty.
fn text(string: SMBiosString) -> String {
    string.to_utf8_lossy().map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// From version 2.6 on the first three fields are little-endian; before, the whole was written in order.
fn uuid_text(raw: [u8; 16], version: Option<(u8, u8)>) -> String {
    let mut bytes = raw;
    if version.is_none_or(|version| version >= (2, 6)) {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let mut out = String::with_capacity(36);
    for (at, byte) in bytes.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// The version in an entry point of 32 or 64 bits.
#[cfg(target_os = "linux")]
fn version_of(entry_point: &[u8]) -> Option<(u8, u8)> {
    let at = if entry_point.starts_with(b"_SM3_") {
        7
    } else if entry_point.starts_with(b"_SM_") {
        6
    } else {
        return None;
    };
    Some((*entry_point.get(at)?, *entry_point.get(at + 1)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One structure: kind, fields behind the header, strings.
    fn structure(kind: u8, fields: &[u8], strings: &[&str]) -> Vec<u8> {
        let mut out = vec![kind, fields.len() as u8 + 4, kind, 0];
        out.extend(fields);
        for string in strings {
            out.extend(string.as_bytes());
            out.push(0);
        }
        if strings.is_empty() {
            out.push(0);
        }
        out.push(0);
        out
    }

    /// The tables of a rack server with two modules and an empty socket.
    pub fn tables() -> Vec<u8> {
        let uuid = [0x44, 0x45, 0x4c, 0x4c, 0x34, 0x00, 0x10, 0x5a, 0x80, 0x42, 0xb7, 0xc0, 0x4f, 0x33, 0x50, 0x32];
        let mut out = structure(0, &[1, 2, 0, 0xf0, 3, 0xff], &["Acme BIOS", "2.19.1", "02/28/2024"]);
        let mut system = vec![1, 2, 0, 3];
        system.extend(uuid);
        system.push(6);
        out.extend(structure(1, &system, &["Acme Metal", "R-220", "AM-0099317"]));
        out.extend(structure(2, &[1, 2, 0, 3], &["Acme Metal", "R-220 board", "BOARD-1"]));
        out.extend(structure(3, &[1, 23 | 0x80, 0, 2], &["Acme Metal", "CHASSIS-1"]));
        let module = |size: u16, extended: u32| {
            let mut fields = vec![0; 0x1c];
            fields[0x08..0x0a].copy_from_slice(&size.to_le_bytes());
            fields[0x0c] = 1;
            fields[0x13] = 2;
            fields[0x14] = 3;
            fields[0x16] = 4;
            fields[0x18..0x1c].copy_from_slice(&extended.to_le_bytes());
            structure(17, &fields, &["DIMM A1", "Memory Works", "S-1", "P-1"])
        };
        out.extend(module(16_384, 0));
        out.extend(module(0x7fff, 65_536));
        out.extend(module(0, 0));
        out.extend(structure(127, &[], &[]));
        out
    }

    #[test]
    fn the_tables_of_a_server_are_read() {
        let firmware = Firmware::of_tables(tables(), Some((3, 3)));
        let module = |capacity_bytes| MemoryDevice {
            locator: "DIMM A1".into(),
            capacity_bytes,
            manufacturer: "Memory Works".into(),
            serial: "S-1".into(),
            part: "P-1".into(),
        };
        assert_eq!(
            firmware,
            Firmware {
                manufacturer: "Acme Metal".into(),
                product: "R-220".into(),
                serial: "AM-0099317".into(),
                uuid: "4c4c4544-0034-5a10-8042-b7c04f335032".into(),
                chassis: "Rack Mount Chassis".into(),
                board_serial: "BOARD-1".into(),
                bios_vendor: "Acme BIOS".into(),
                bios_version: "2.19.1".into(),
                bios_date: "02/28/2024".into(),
                memory: vec![module(16 << 30), module(64 << 30)],
            }
        );
    }

    #[test]
    fn the_byte_order_of_the_uuid_follows_the_version() {
        let old = Firmware::of_tables(tables(), Some((2, 5)));
        assert_eq!(old.uuid, "44454c4c-3400-105a-8042-b7c04f335032");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn both_kinds_of_entry_point_tell_the_version() {
        assert_eq!(version_of(b"_SM3_\x00\x18\x03\x03\x00"), Some((3, 3)));
        assert_eq!(version_of(b"_SM_\x00\x1f\x02\x08"), Some((2, 8)));
        assert_eq!(version_of(b"_SM_"), None);
        assert_eq!(version_of(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Firmware::of_tables(bytes, None);
        }

        #[test]
        fn any_damage_reads_without_panic(at in 0usize..300, byte in any::<u8>(), length in 0usize..400) {
            let mut bytes = tables();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(length);
            Firmware::of_tables(bytes, Some((3, 3)));
        }
    }
}
