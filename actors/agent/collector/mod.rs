//! Takes stock of this host: hardware, operating system, packages, tags and services, as one inventory file.
//!
//! Only files are read (and the kernel asked for addresses and free space): no child process, no shell, no package
//! manager's lock. Below another root than `/` the same is read from a mounted image, without what only a kernel knows.
//! No environment variable and no argument of a command ever reaches the record. What cannot be read is a finding;
//! collecting itself never fails, and a host without firmware tables still gives a useful record.
//!
//! # Where each matching property is written
//!
//! | record field | element | property | source |
//! | --- | --- | --- | --- |
//! | ComputerName | computer | `Name` | kernel's host name, `etc/hostname`, up to the first dot |
//! | ComplianceDomainID | computer | `Domain` | rest of the name, `etc/hosts`, `domain` of `etc/resolv.conf` |
//! | Manufacturer | computer | `Manufacturer` | SMBIOS system |
//! | ModelNo | computer | `Model` | SMBIOS system |
//! | HostType | computer | `HostType` | SMBIOS chassis type in words |
//! | HostID | computer | `HostId` | `etc/hostid`, only when there is one; eight hex digits |
//! | MachineID | computer | `MachineID` | `etc/machine-id`; see the next |
//! | - | computer | `MachineIDSource` | `file`, or why there is no MachineID: `container`, `image` |
//! | FirmwareSerialNumber | BIOS | `SerialNumber` | SMBIOS system serial; of an LPAR its machine's `system-id` |
//! | SerialNo | computer | `SerialNo` | the same, or the base board's serial when that is empty |
//! | HostIdentifyingNumber | computer | `HostIdentifyingNumber` | physical: system serial; LPAR: `system-id` |
//! | UUID | computer | `UUID` | SMBIOS system UUID in the kernel's byte order; Xen, device tree |
//! | ComputerType | computer | `ComputerType` | `Computer`, or `VM` for every guest and container |
//! | VMType | computer | `VMType` | words of `formats::host::container`; none for a physical machine |
//! | VMName | computer | `VMName` | Hyper-V's key and value pool; the LPAR's name |
//! | PartitionID | computer | `PartitionID` | LPAR name in the device tree |
//! | PartitionNumber | computer | `PartitionNumber` | LPAR number in the device tree |
//! | OperatingSystem | OS | `Caption` | `PRETTY_NAME` of `etc/os-release` |
//!
//! Computer is `MGS_ComputerSystem`, BIOS `MGS_BIOS`, OS `MGS_OperatingSystem`; on Windows they begin with `Win32_`.
//! Besides: `NumberOfProcessors` (sockets) and `TotalPhysicalMemory` (bytes) of the computer, the agent in
//! `MGS_Identity`, one `MGS_Processor` a socket, `MGS_PhysicalMemory` a module, `MGS_LogicalDisk` a file system on a
//! local disk, `MGS_NetworkAdapterConfiguration` an adapter (`IPAddress`, `IPSubnet`: lists of the same order).
//!
//! Software in users' homes is looked for only when told by which technologies, see `homes`. The services that stand on
//! the host are told in a file of their own, and Oracle in a second inventory, see `discovery`.
//!
//! A property without value is not written. Of a container nothing of the firmware is written: it is its host's, and a
//! container must never become one device with its host. Placeholders of vendors are written as they are.

pub mod record;

mod finding;
mod identity;
mod report;

mod firmware;
mod networks;

#[cfg(target_os = "linux")]
mod host_root;

#[cfg(target_os = "linux")]
mod adapters;
#[cfg(target_os = "linux")]
pub(super) mod deb;
#[cfg(target_os = "linux")]
mod discovery;
#[cfg(target_os = "linux")]
mod disks;
#[cfg(target_os = "linux")]
mod homes;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod processors;
#[cfg(target_os = "linux")]
pub(super) mod rpm;
#[cfg(target_os = "linux")]
mod services;
#[cfg(target_os = "linux")]
pub(super) mod tags;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as platform;

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use muster::formats::disco::Disco;
use muster::formats::host::home::Technology;
use muster::formats::host::host_name::HostName;
use muster::formats::inventory_settings::InventorySettings;
use muster::roles::discover::{HostFacts, discover};
use muster::time::Timestamp;
use tracing::{debug, info};

pub use finding::Finding;
#[cfg(target_os = "linux")]
pub(super) use host_root::HostRoot;
pub use identity::{Identity, account_of_process};
pub use networks::live_networks;
use record::HostRecord;

/// What to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Packages, tags and services too: a report of type `Full`; without them one of type `Hardware`.
    pub has_software: bool,
    /// The machine id is part of the image this host was made from, so it is not its own and is not reported.
    pub is_machine_id_of_image: bool,
    /// What may be looked for in the homes of accounts; nothing by default.
    pub home_technologies: BTreeSet<Technology>,
    /// What policy says of Oracle; without it Oracle is not looked for.
    pub inventory_settings: Option<InventorySettings>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            has_software: true,
            is_machine_id_of_image: false,
            home_technologies: BTreeSet::new(),
            inventory_settings: None,
        }
    }
}

/// One collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The inventory file, not compressed.
    pub ndi: Vec<u8>,
    /// What it was made from; its hardware tells whether the hardware changed since the last time.
    pub record: HostRecord,
    /// The services of the host, none maybe; `None` when they were not looked for.
    pub disco: Option<Disco>,
    /// The second inventory, not compressed; `None` when Oracle was not looked for or is not there.
    pub oracle_ndi: Option<Vec<u8>>,
    /// What could not be collected.
    pub findings: Vec<Finding>,
}

/// What a platform read.
struct Host {
    record: HostRecord,
    /// What services are told from; `None` when they were not looked for.
    facts: Option<HostFacts>,
    findings: Vec<Finding>,
}

/// The host in a line, for a log or a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Short name.
    pub computer_name: String,
    /// Manufacturer and model; empty without firmware tables.
    pub model: String,
    /// Serial number of the firmware.
    pub serial: String,
    /// What it is a guest of; empty for a physical machine.
    pub vm_type: String,
    /// Operating system with version.
    pub os: String,
    /// Processor sockets.
    pub sockets: usize,
    /// What the kernel can use; `None` when not told.
    pub memory_bytes: Option<u64>,
    /// Installed packages.
    pub packages: usize,
    /// System services.
    pub services: usize,
}

impl Collected {
    /// The host in a line.
    pub fn summary(&self) -> Summary {
        let computer = |property: &str| self.record.value("ComputerSystem", property);
        Summary {
            computer_name: self.record.name.clone(),
            model: format!("{} {}", computer("Manufacturer"), computer("Model")).trim().into(),
            serial: self.record.value("BIOS", "SerialNumber").into(),
            vm_type: computer("VMType").into(),
            os: self.record.value("OperatingSystem", "Caption").into(),
            sockets: self.record.of_class("Processor").count(),
            memory_bytes: computer("TotalPhysicalMemory").parse().ok(),
            packages: self.record.packages.len(),
            services: self.record.services.len(),
        }
    }
}

/// Name and domain of the running system.
pub fn name_of_this_host() -> HostName {
    platform::name()
}

/// Collects the host whose files lie below `root`, `/` for the running system, with the default [`Options`].
///
/// Takes a fraction of a second to some seconds of mostly reading, more on a host with a hundred thousand files in
/// `usr/share`. Blocks; call it on a thread of its own after [`crate::priority::lower_priority`].
pub fn collect(root: &Path, identity: &Identity, now: Timestamp) -> Collected {
    collect_with(root, identity, Options::default(), now)
}

/// Like [`collect`], with options.
pub fn collect_with(root: &Path, identity: &Identity, options: Options, now: Timestamp) -> Collected {
    let Host { record, facts, mut findings } = platform::read(root, identity, &options);
    let ndi = report::write(&record, identity, &options, now, &mut findings);
    let discovered = facts.map(|facts| discover(&facts, now));
    let oracle = discovered.as_ref().map(|found| &found.oracle);
    if let Some(Err(why)) = oracle {
        debug!("{why}");
    }
    let oracle = oracle.and_then(|oracle| oracle.as_ref().ok()).filter(|oracle| !oracle.is_empty());
    let oracle_ndi = oracle.map(|oracle| report::write_oracle(oracle, &record, identity, now, &mut findings));
    let disco = discovered.map(|found| found.disco);
    let services = disco.iter().flat_map(|disco| &disco.devices).map(|device| device.services.len()).sum::<usize>();
    let packages = record.packages.len();
    info!(packages, services, findings = findings.len(), ndi_bytes = ndi.len(), "host collected");
    Collected { ndi, record, disco, oracle_ndi, findings }
}
