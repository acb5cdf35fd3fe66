//! Whether the host is a container or a guest of a hypervisor, from what it shows of itself.
//!
//! A container is decided before a hypervisor: a container on a virtual machine is a container, whose firmware, machine
//! id and serial numbers are those of somebody else. Among the signs of a hypervisor the firmware's names come before
//! the processor's: KVM can pose as Hyper-V towards the guest's kernel, but seldom in its tables.
//!
//! Source: systemd 252, manual page `systemd-detect-virt(1)` (which signs there are); `agent-beacon-batch` reference,
//! section 4.3 (the words of VMType).

use super::{lines, mounts};

/// What a host shows. Empty or false where the file is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signs<'a> {
    /// `/.dockerenv` exists.
    pub has_docker_file: bool,
    /// `/run/.containerenv` exists (podman).
    pub has_podman_file: bool,
    /// `/run/systemd/container`: the manager's name, written by systemd as first process of a container.
    pub systemd_container: &'a [u8],
    /// `/proc/1/environ`. Only `container=` is looked at; nothing of it is kept.
    pub init_environment: &'a [u8],
    /// `/proc/1/cgroup`.
    pub init_cgroup: &'a [u8],
    /// `/proc/self/mountinfo`.
    pub mountinfo: &'a [u8],
    /// The processor says that it runs on a hypervisor.
    pub has_hypervisor_flag: bool,
    /// The twelve bytes in which the hypervisor names itself to the processor's `cpuid` instruction.
    pub cpuid_vendor: &'a [u8],
    /// Manufacturer, product and firmware vendor of the SMBIOS tables.
    pub firmware_names: &'a [&'a str],
    /// `/sys/hypervisor/type`.
    pub hypervisor_type: &'a [u8],
    /// `/proc/xen/capabilities`; `None` when there is no such file.
    pub xen_capabilities: Option<&'a [u8]>,
    /// `/proc/device-tree/hypervisor/compatible`.
    pub device_tree_hypervisor: &'a [u8],
    /// `/proc/device-tree/ibm,partition-name` exists.
    pub has_partition_name: bool,
}

/// The word for VMType.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmType {
    /// Shares its host's kernel.
    Container,
    /// VMware ESXi, Workstation, Fusion.
    VMware,
    /// Microsoft Hyper-V, Azure.
    HyperV,
    /// Linux KVM and the clouds built on it.
    Kvm,
    /// Xen, but not its controlling domain.
    Xen,
    /// Logical partition of an IBM Power machine.
    Lpar,
    /// Oracle VirtualBox.
    VirtualBox,
    /// Parallels.
    Parallels,
    /// FreeBSD bhyve.
    Bhyve,
    /// A guest of a hypervisor that is not known.
    Other,
}

impl VmType {
    /// As it is written into a report.
    pub fn as_str(self) -> &'static str {
        match self {
            VmType::Container => "Container",
            VmType::VMware => "VMware",
            VmType::HyperV => "Hyper-V",
            VmType::Kvm => "KVM",
            VmType::Xen => "Xen",
            VmType::Lpar => "LPAR",
            VmType::VirtualBox => "VirtualBox",
            VmType::Parallels => "Parallels",
            VmType::Bhyve => "bhyve",
            VmType::Other => "Other",
        }
    }
}

/// What the host is a guest of; `None` for a physical machine, the controlling domain of Xen included.
pub fn vm_type(signs: &Signs<'_>) -> Option<VmType> {
    if is_container(signs) {
        return Some(VmType::Container);
    }
    let controls_xen = |text: &[u8]| text.windows(9).any(|word| word == b"control_d");
    if signs.xen_capabilities.is_some_and(controls_xen) {
        return None;
    }
    hypervisor_in_firmware(signs.firmware_names)
        .or_else(|| (signs.hypervisor_type.trim_ascii() == b"xen").then_some(VmType::Xen))
        .or_else(|| signs.xen_capabilities.map(|_| VmType::Xen))
        .or_else(|| hypervisor_in_device_tree(signs))
        .or_else(|| hypervisor_of_vendor(signs.cpuid_vendor))
        .or_else(|| signs.has_hypervisor_flag.then_some(VmType::Other))
}

fn is_container(signs: &Signs<'_>) -> bool {
    signs.has_docker_file
        || signs.has_podman_file
        || !signs.systemd_container.trim_ascii().is_empty()
        || signs
            .init_environment
            .split(|&byte| byte == 0)
            .any(|entry| entry.len() > 10 && entry.starts_with(b"container="))
        || lines(signs.init_cgroup).any(|line| names_a_container(&line))
        || has_root_of_a_container(signs.mountinfo)
}

/// A line of `/proc/1/cgroup` such as `4:memory:/docker/3f2a...`. Containers of this host are not in it: they are
/// groups of other processes.
fn names_a_container(line: &str) -> bool {
    let Some(path) = line.splitn(3, ':').nth(2) else { return false };
    let starts = ["docker", "kubepods", "lxc", "libpod-", "crio-", "cri-containerd-", "machine-", "garden"];
    path.split('/').any(|folder| {
        let at = starts.iter().find(|start| folder.starts_with(**start));
        at.is_some_and(|start| !folder.ends_with(".service") && (*start != "machine-" || folder.ends_with(".scope")))
    })
}

/// The root is layered from a container manager's folders. A live system has a layered root too, but of other folders.
fn has_root_of_a_container(mountinfo: &[u8]) -> bool {
    let managers = ["/docker/", "/containers/storage/", "containerd", "/kubelet/", "/crio/"];
    mounts::read_mountinfo(mountinfo).iter().any(|mount| {
        mount.mount_point == "/"
            && mount.kind == "overlay"
            && managers.iter().any(|manager| mount.options.contains(manager))
    })
}

fn hypervisor_in_firmware(names: &[&str]) -> Option<VmType> {
    let has = |word: &str| names.iter().any(|name| name.contains(word));
    let is = |word: &str| names.contains(&word);
    // Servers of these clouds that are sold whole carry the same names, but end in `.metal`.
    if names.iter().any(|name| name.ends_with(".metal")) {
        return None;
    }
    if has("VMware") {
        Some(VmType::VMware)
    } else if is("Microsoft Corporation") && is("Virtual Machine") {
        Some(VmType::HyperV)
    } else if has("VirtualBox") || has("innotek") {
        Some(VmType::VirtualBox)
    } else if has("Parallels") {
        Some(VmType::Parallels)
    } else if is("BHYVE") {
        Some(VmType::Bhyve)
    } else if is("Xen") || has("HVM domU") {
        Some(VmType::Xen)
    } else if [
        "QEMU",
        "KVM",
        "Google Compute Engine",
        "Amazon EC2",
        "OpenStack",
        "RHEV",
        "oVirt",
        "AHV",
        "Droplet",
        "vServer",
    ]
    .into_iter()
    .any(has)
    {
        Some(VmType::Kvm)
    } else {
        None
    }
}

fn hypervisor_in_device_tree(signs: &Signs<'_>) -> Option<VmType> {
    let mut words = signs.device_tree_hypervisor.split(|&byte| byte == 0);
    let known = words.find_map(|word| match word {
        b"linux,kvm" => Some(VmType::Kvm),
        b"vmware" => Some(VmType::VMware),
        _ if word.starts_with(b"xen") => Some(VmType::Xen),
        _ => None,
    });
    known.or_else(|| signs.has_partition_name.then_some(VmType::Lpar))
}

/// The hypervisor that gives this name in leaf 0x40000000.
fn hypervisor_of_vendor(vendor: &[u8]) -> Option<VmType> {
    match vendor {
        b"KVMKVMKVM\0\0\0" | b"Linux KVM Hv" => Some(VmType::Kvm),
        b"VMwareVMware" => Some(VmType::VMware),
        b"Microsoft Hv" => Some(VmType::HyperV),
        b"XenVMMXenVMM" => Some(VmType::Xen),
        b"VBoxVBoxVBox" => Some(VmType::VirtualBox),
        b" lrpepyh  vr" | b"prl hyperv  " => Some(VmType::Parallels),
        b"bhyve bhyve " => Some(VmType::Bhyve),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(signs: Signs<'_>, word: Option<&str>) {
        assert_eq!(vm_type(&signs).map(VmType::as_str), word, "{signs:?}");
    }

    #[test]
    fn each_sign_of_a_container_is_enough() {
        let container = Some("Container");
        check(Signs { has_docker_file: true, firmware_names: &["VMware, Inc."], ..Signs::default() }, container);
        check(Signs { has_podman_file: true, ..Signs::default() }, container);
        check(Signs { systemd_container: b"lxc\n", ..Signs::default() }, container);
        check(Signs { init_environment: b"PATH=/bin\0container=podman\0", ..Signs::default() }, container);
        check(Signs { init_cgroup: b"12:cpu:/docker/3f2a\n0::/\n", ..Signs::default() }, container);
        check(
            Signs {
                init_cgroup: b"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-ab.scope\n",
                ..Signs::default()
            },
            container,
        );
        let root = b"700 600 0:110 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB\n";
        check(Signs { mountinfo: root, ..Signs::default() }, container);
    }

    #[test]
    fn a_host_of_containers_is_none_itself() {
        let mountinfo = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            90 27 0:60 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/var/lib/docker/x\n";
        check(Signs { mountinfo, init_cgroup: b"0::/init.scope\n", ..Signs::default() }, None);
        check(Signs { init_cgroup: b"0::/system.slice/docker.service\n", ..Signs::default() }, None);
        check(Signs { init_environment: b"not_container=x\0container=\0", ..Signs::default() }, None);
        let live = b"27 1 0:30 / / rw - overlay overlay rw,lowerdir=/run/rootfsbase,upperdir=/run/overlayfs\n";
        check(Signs { mountinfo: live, ..Signs::default() }, None);
    }

    #[test]
    fn firmware_processor_and_device_tree_name_the_hypervisor() {
        let firmware =
            |names, word| check(Signs { firmware_names: names, has_hypervisor_flag: true, ..Signs::default() }, word);
        firmware(&["VMware, Inc.", "VMware Virtual Platform", "Phoenix Technologies LTD"], Some("VMware"));
        firmware(&["Microsoft Corporation", "Virtual Machine", "American Megatrends Inc."], Some("Hyper-V"));
        firmware(&["QEMU", "Standard PC (Q35 + ICH9, 2009)", "SeaBIOS"], Some("KVM"));
        firmware(&["Amazon EC2", "m5.large", "Amazon EC2"], Some("KVM"));
        firmware(&["Xen", "HVM domU", "Xen"], Some("Xen"));
        firmware(&["Acme Metal", "R-220", "Acme"], Some("Other"));
        let bare = |names| check(Signs { firmware_names: names, ..Signs::default() }, None);
        bare(&["Dell Inc.", "PowerEdge R740", "Dell Inc."]);
        bare(&["Microsoft Corporation", "Surface Pro 7", "Microsoft Corporation"]);
        bare(&["Amazon EC2", "m5.metal", "Amazon EC2"]);
        check(Signs { cpuid_vendor: b"KVMKVMKVM\0\0\0", has_hypervisor_flag: true, ..Signs::default() }, Some("KVM"));
        check(
            Signs { device_tree_hypervisor: b"linux,kvm\0", has_partition_name: true, ..Signs::default() },
            Some("KVM"),
        );
        check(Signs { has_partition_name: true, ..Signs::default() }, Some("LPAR"));
    }

    #[test]
    fn the_controlling_domain_of_xen_is_the_machine_itself() {
        let signs = Signs { hypervisor_type: b"xen\n", has_hypervisor_flag: true, ..Signs::default() };
        check(signs, Some("Xen"));
        check(Signs { xen_capabilities: Some(b""), ..signs }, Some("Xen"));
        check(Signs { xen_capabilities: Some(b"control_d\n"), ..signs }, None);
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            text in "[0-9:/a-z.-]{0,80}",
        ) {
            vm_type(&Signs {
                systemd_container: &bytes,
                init_environment: &bytes,
                init_cgroup: text.as_bytes(),
                mountinfo: &bytes,
                cpuid_vendor: &bytes,
                firmware_names: &[&text],
                hypervisor_type: &bytes,
                device_tree_hypervisor: &bytes,
                ..Signs::default()
            });
        }
    }
}
