//! Who the machine is: name, guest or not, serial numbers, ids, operating system.

use muster::formats::host::container::{Signs, VmType, vm_type};
use muster::formats::host::host_name::{HostName, read_host_name};
use muster::formats::host::hyperv::{POOL_BYTES_LIMIT, read_virtual_machine_name};
use muster::formats::host::os_release::{OsRelease, read_os_release, read_release_line};

use super::firmware::Firmware;
use super::host_root::HostRoot;
use super::record::HardwareObject;
use super::{Identity, Options};

/// The largest of the texts read here; `proc/1/environ` and `proc/self/mountinfo` of a busy host are some of it.
const TEXT_BYTES_LIMIT: usize = 4 * 1024 * 1024;

/// What is known before the objects are made.
pub struct Machine {
    /// Name and domain.
    pub name: HostName,
    /// What it is a guest of.
    pub vm_type: Option<VmType>,
    /// The firmware's texts; empty for a container, which sees those of its host.
    pub firmware: Firmware,
    /// Distribution.
    pub os: OsRelease,
}

impl Machine {
    /// Reads it all. `has_hypervisor_flag` is what the processors say.
    pub fn read(host: &HostRoot, has_hypervisor_flag: bool) -> Machine {
        let (vm_type, firmware) = guest(host, has_hypervisor_flag);
        Machine { name: host_name(host), vm_type, firmware, os: os_release(host) }
    }

    /// `MGS_ComputerSystem`, `MGS_BIOS`, `MGS_OperatingSystem` and `MGS_Identity`, as the table in the head of
    /// [`collector`](super) maps them.
    pub fn objects(
        &self,
        host: &HostRoot,
        identity: &Identity,
        options: &Options,
        sockets: usize,
        memory_bytes: Option<u64>,
    ) -> Vec<HardwareObject> {
        let partition = Partition::read(host, self.vm_type);
        let firmware = &self.firmware;
        let evidence = if firmware.manufacturer.is_empty() { "os" } else { "dmi" };
        let (machine_id, machine_id_source) = machine_id(host, self.vm_type, options);
        let firmware_serial = first_set([&partition.system_id, &firmware.serial]);
        let computer = HardwareObject::new("MGS_ComputerSystem", &self.name.name, evidence)
            .with("Name", &self.name.name)
            .with("Domain", &self.name.domain)
            .with("Manufacturer", &firmware.manufacturer)
            .with("Model", &firmware.product)
            .with("HostType", &firmware.chassis)
            .with("SerialNo", first_set([&partition.system_id, &firmware.serial, &firmware.board_serial]))
            .with("UUID", self.uuid(host))
            .with("ComputerType", if self.vm_type.is_some() { "VM" } else { "Computer" })
            .with("VMType", self.vm_type.map(VmType::as_str).unwrap_or_default())
            .with("VMName", self.vm_name(host, &partition))
            .with("PartitionID", &partition.name)
            .with("PartitionNumber", &partition.number)
            .with(
                "HostIdentifyingNumber",
                match self.vm_type {
                    None => &firmware.serial,
                    Some(_) => &partition.system_id,
                },
            )
            .with("MachineID", machine_id)
            .with("MachineIDSource", machine_id_source)
            .with("HostId", host_id(host))
            .with_number("NumberOfProcessors", (sockets > 0).then_some(sockets))
            .with_number("TotalPhysicalMemory", memory_bytes);
        let bios = HardwareObject::new("MGS_BIOS", "BIOS", "dmi")
            .with("SerialNumber", firmware_serial)
            .with("Manufacturer", &firmware.bios_vendor)
            .with("Version", &firmware.bios_version)
            .with("ReleaseDate", &firmware.bios_date);
        let os = HardwareObject::new("MGS_OperatingSystem", &self.os.name, "os")
            .with("Caption", first_set([&self.os.pretty_name, &self.os.name]))
            .with("Name", &self.os.name)
            .with("Version", &self.os.version_id)
            .with("ServicePack", self.os.service_pack())
            .with("KernelVersion", kernel_release(host))
            .with("OSArchitecture", architecture(host));
        let origin = HardwareObject::new("MGS_Identity", &self.name.name, "os")
            .with("AgentId", format!("{{{}}}", identity.agent))
            .with("Organization", &identity.organization)
            .with("Location", &identity.location)
            .with("TenantUID", &identity.tenant_uid);
        [computer, bios, os, origin].into_iter().filter(|object| !object.properties.is_empty()).collect()
    }

    fn uuid(&self, host: &HostRoot) -> String {
        match self.vm_type {
            Some(VmType::Container) => String::new(),
            _ if !self.firmware.uuid.is_empty() => self.firmware.uuid.clone(),
            Some(VmType::Xen) => host.read_line("sys/hypervisor/uuid"),
            Some(_) => host.read_line("proc/device-tree/vm,uuid"),
            None => String::new(),
        }
    }

    fn vm_name(&self, host: &HostRoot, partition: &Partition) -> String {
        match self.vm_type {
            Some(VmType::HyperV) => {
                read_virtual_machine_name(&host.read_or_empty("var/lib/hyperv/.kvp_pool_3", POOL_BYTES_LIMIT))
            }
            _ => partition.name.clone(),
        }
    }
}

/// What the device tree tells a logical partition about itself and its machine.
#[derive(Default)]
struct Partition {
    name: String,
    number: String,
    system_id: String,
}

impl Partition {
    fn read(host: &HostRoot, vm_type: Option<VmType>) -> Partition {
        if vm_type != Some(VmType::Lpar) {
            return Partition::default();
        }
        let number = host.read_or_empty("proc/device-tree/ibm,partition-no", 4);
        Partition {
            name: host.read_line("proc/device-tree/ibm,partition-name"),
            number: <[u8; 4]>::try_from(number).map(|n| u32::from_be_bytes(n).to_string()).unwrap_or_default(),
            system_id: host.read_line("proc/device-tree/system-id").trim_start_matches("IBM,").into(),
        }
    }
}

/// A container is decided without the firmware, which is its host's and stays unread.
fn guest(host: &HostRoot, has_hypervisor_flag: bool) -> (Option<VmType>, Firmware) {
    let read = |path: &str| host.read_or_empty(path, TEXT_BYTES_LIMIT);
    let systemd_container = read("run/systemd/container");
    // One sign of many, which only root sees: each collection of another account would tell of it.
    let init_environment = host.read_if_permitted("proc/1/environ", TEXT_BYTES_LIMIT);
    let init_cgroup = read("proc/1/cgroup");
    let mountinfo = read(if host.is_live() { "proc/self/mountinfo" } else { "proc/1/mountinfo" });
    let signs = Signs {
        has_docker_file: host.exists(".dockerenv"),
        has_podman_file: host.exists("run/.containerenv"),
        systemd_container: &systemd_container,
        init_environment: &init_environment,
        init_cgroup: &init_cgroup,
        mountinfo: &mountinfo,
        ..Signs::default()
    };
    if let container @ Some(VmType::Container) = vm_type(&signs) {
        return (container, Firmware::default());
    }
    let firmware = Firmware::of_host(host);
    let hypervisor_type = read("sys/hypervisor/type");
    let xen_capabilities = host.exists("proc/xen").then(|| read("proc/xen/capabilities"));
    let device_tree_hypervisor = read("proc/device-tree/hypervisor/compatible");
    let cpuid_vendor = if host.is_live() && has_hypervisor_flag { cpuid_vendor() } else { Vec::new() };
    let signs = Signs {
        has_hypervisor_flag,
        cpuid_vendor: &cpuid_vendor,
        firmware_names: &[&firmware.manufacturer, &firmware.product, &firmware.bios_vendor, &firmware.bios_version],
        hypervisor_type: &hypervisor_type,
        xen_capabilities: xen_capabilities.as_deref(),
        device_tree_hypervisor: &device_tree_hypervisor,
        has_partition_name: host.exists("proc/device-tree/ibm,partition-name"),
        ..signs
    };
    (vm_type(&signs), firmware)
}

/// The twelve bytes of leaf 0x40000000; only to be asked where the processor says that there is a hypervisor.
#[cfg(target_arch = "x86_64")]
fn cpuid_vendor() -> Vec<u8> {
    let leaf = core::arch::x86_64::__cpuid(0x4000_0000);
    [leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpuid_vendor() -> Vec<u8> {
    Vec::new()
}

/// Name and domain of the host.
pub fn host_name(host: &HostRoot) -> HostName {
    let read = |path: &str| host.read_or_empty(path, TEXT_BYTES_LIMIT);
    let mut name = read("proc/sys/kernel/hostname");
    if name.trim_ascii().is_empty() {
        name = read("etc/hostname");
    }
    read_host_name(&name, &read("etc/hosts"), &read("etc/resolv.conf"))
}

fn os_release(host: &HostRoot) -> OsRelease {
    for path in ["etc/os-release", "usr/lib/os-release"] {
        if let Some(bytes) = host.read(path, TEXT_BYTES_LIMIT) {
            return read_os_release(&bytes);
        }
    }
    let lines = ["etc/redhat-release", "etc/SuSE-release", "etc/system-release"];
    lines
        .iter()
        .find_map(|path| host.read(path, TEXT_BYTES_LIMIT))
        .map(|bytes| read_release_line(&bytes))
        .unwrap_or_default()
}

/// The machine id and where it is from. In a container, and where the caller says so, the file is part of the image and
/// the same on all its hosts: two hosts of one image must not become one device.
fn machine_id(host: &HostRoot, vm_type: Option<VmType>, options: &Options) -> (String, &'static str) {
    if vm_type == Some(VmType::Container) {
        return (String::new(), "container");
    }
    if options.is_machine_id_of_image {
        return (String::new(), "image");
    }
    let ids = ["etc/machine-id", "var/lib/dbus/machine-id"].map(|path| host.read_line(path));
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match ids.into_iter().find(is_id) {
        Some(id) => (id, "file"),
        None => (String::new(), ""),
    }
}

/// The id that `gethostid` gives, only where an administrator has set it: else it is made up from an IP address.
fn host_id(host: &HostRoot) -> String {
    let bytes = host.read_or_empty("etc/hostid", 4);
    <[u8; 4]>::try_from(bytes).map(|id| format!("{:08x}", u32::from_le_bytes(id))).unwrap_or_default()
}

fn kernel_release(host: &HostRoot) -> String {
    host.read_line("proc/sys/kernel/osrelease")
}

fn architecture(host: &HostRoot) -> String {
    let told = host.read_line("proc/sys/kernel/arch");
    if told.is_empty() && host.is_live() {
        return rustix::system::uname().machine().to_string_lossy().into_owned();
    }
    told
}

fn first_set<const N: usize>(values: [&str; N]) -> String {
    values.into_iter().find(|value| !value.is_empty()).unwrap_or_default().into()
}
