//! Memory: the modules the firmware lists, or the sum the kernel has.

use muster::formats::host::meminfo::read_meminfo;

use super::firmware::Firmware;
use super::host_root::HostRoot;
use super::record::HardwareObject;

/// What the kernel can use, in bytes.
pub fn total_bytes(host: &HostRoot) -> Option<u64> {
    read_meminfo(&host.read_or_empty("proc/meminfo", 64 * 1024)).total_bytes
}

/// `MGS_PhysicalMemory` for each module; where the firmware lists none, one object with all of it.
pub fn objects(firmware: &Firmware, total_bytes: Option<u64>) -> Vec<HardwareObject> {
    if firmware.memory.is_empty() {
        let whole = HardwareObject::new("MGS_PhysicalMemory", "System Memory", "os");
        return total_bytes.map(|bytes| whole.with("Capacity", bytes.to_string())).into_iter().collect();
    }
    let module = |module: &super::firmware::MemoryDevice| {
        HardwareObject::new("MGS_PhysicalMemory", &module.locator, "dmi")
            .with("Capacity", module.capacity_bytes.to_string())
            .with("Manufacturer", &module.manufacturer)
            .with("SerialNumber", &module.serial)
            .with("PartNumber", &module.part)
    };
    firmware.memory.iter().map(module).collect()
}
