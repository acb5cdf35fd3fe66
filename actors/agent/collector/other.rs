//! A host that is not Linux: what the platform's own calls tell. Packages and services are not read there yet.

use std::path::Path;

use muster::formats::host::host_name::HostName;

use super::firmware::Firmware;
use super::record::{HardwareObject, HostRecord};
use super::{Finding, Host, Identity, Options, networks};

/// Name and domain of the running system.
pub fn name() -> HostName {
    let whole = sysinfo::System::host_name().unwrap_or_default();
    let (name, domain) = whole.split_once('.').unwrap_or((&whole, ""));
    HostName { name: name.into(), domain: domain.into() }
}

/// Reads the running system; `root` must be it, since there are no files to read elsewhere.
pub fn read(_root: &Path, identity: &Identity, _options: &Options) -> Host {
    let mut findings = Vec::new();
    let firmware = Firmware::of_device().unwrap_or_else(|error| {
        findings.push(Finding { source: "firmware tables".into(), problem: error.to_string() });
        Firmware::default()
    });
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    system.refresh_cpu_all();
    let HostName { name, domain } = name();
    let name = name.as_str();

    let mut hardware = vec![
        HardwareObject::new("MGS_ComputerSystem", name, "os")
            .with("Name", name)
            .with("Domain", &domain)
            .with("Manufacturer", &firmware.manufacturer)
            .with("Model", &firmware.product)
            .with("HostType", &firmware.chassis)
            .with("SerialNo", if firmware.serial.is_empty() { &firmware.board_serial } else { &firmware.serial })
            .with("UUID", &firmware.uuid)
            .with("ComputerType", "Computer")
            .with("HostIdentifyingNumber", &firmware.serial)
            .with("TotalPhysicalMemory", system.total_memory().to_string()),
        HardwareObject::new("MGS_BIOS", "BIOS", "dmi")
            .with("SerialNumber", &firmware.serial)
            .with("Manufacturer", &firmware.bios_vendor)
            .with("Version", &firmware.bios_version)
            .with("ReleaseDate", &firmware.bios_date),
        HardwareObject::new("MGS_OperatingSystem", &sysinfo::System::name().unwrap_or_default(), "os")
            .with("Caption", sysinfo::System::long_os_version().unwrap_or_default())
            .with("Name", sysinfo::System::name().unwrap_or_default())
            .with("Version", sysinfo::System::os_version().unwrap_or_default())
            .with("KernelVersion", sysinfo::System::kernel_version().unwrap_or_default())
            .with("OSArchitecture", sysinfo::System::cpu_arch()),
        HardwareObject::new("MGS_Identity", name, "os")
            .with("AgentId", format!("{{{}}}", identity.agent))
            .with("Organization", &identity.organization)
            .with("Location", &identity.location)
            .with("TenantUID", &identity.tenant_uid),
    ];
    // The platform's call does not tell sockets apart.
    if let Some(first) = system.cpus().first() {
        hardware.push(
            HardwareObject::new("MGS_Processor", "CPU0", "os")
                .with("Name", first.brand().trim())
                .with("Manufacturer", first.vendor_id())
                .with("MaxClockSpeed", first.frequency().to_string())
                .with_number("NumberOfCores", sysinfo::System::physical_core_count())
                .with("NumberOfLogicalProcessors", system.cpus().len().to_string()),
        );
    }
    for module in &firmware.memory {
        hardware.push(
            HardwareObject::new("MGS_PhysicalMemory", &module.locator, "dmi")
                .with("Capacity", module.capacity_bytes.to_string())
                .with("Manufacturer", &module.manufacturer)
                .with("SerialNumber", &module.serial)
                .with("PartNumber", &module.part),
        );
    }
    for (adapter, data) in &sysinfo::Networks::new_with_refreshed_list() {
        let networks: Vec<networks::Network> = data.ip_networks().iter().map(|net| (net.addr, net.prefix)).collect();
        if networks.iter().all(|(address, _)| !address.is_loopback()) {
            hardware.push(networks::object(adapter, &data.mac_address().to_string(), networks, name));
        }
    }
    for disk in &sysinfo::Disks::new_with_refreshed_list() {
        let mount_point = disk.mount_point().to_string_lossy();
        hardware.push(
            HardwareObject::new("MGS_LogicalDisk", &mount_point, "os")
                .with("Name", mount_point.as_ref())
                .with("FileSystem", disk.file_system().to_string_lossy())
                .with("Size", disk.total_space().to_string())
                .with("FreeSpace", disk.available_space().to_string()),
        );
    }
    hardware.retain(|object| !object.properties.is_empty());
    for object in &mut hardware {
        object.class = class_of_platform(object.class);
    }
    hardware.sort_by(|a, b| (a.class, &a.name).cmp(&(b.class, &b.name)));
    let record = HostRecord { name: name.into(), domain: domain.into(), hardware, ..HostRecord::default() };
    Host { record, facts: None, findings }
}

/// Windows has the same classes under the names its management interface gives them.
fn class_of_platform(class: &'static str) -> &'static str {
    if !cfg!(windows) {
        return class;
    }
    match class {
        "MGS_ComputerSystem" => "Win32_ComputerSystem",
        "MGS_BIOS" => "Win32_BIOS",
        "MGS_OperatingSystem" => "Win32_OperatingSystem",
        "MGS_Processor" => "Win32_Processor",
        "MGS_PhysicalMemory" => "Win32_PhysicalMemory",
        "MGS_NetworkAdapterConfiguration" => "Win32_NetworkAdapterConfiguration",
        "MGS_LogicalDisk" => "Win32_LogicalDisk",
        "MGS_Identity" => "Win32_Identity",
        other => other,
    }
}
