//! A Linux host, x86-64 or arm64, put together from its parts.

use std::path::Path;

use muster::formats::host::host_name::HostName;

use super::host_root::HostRoot;
use super::machine::{Machine, host_name};
use super::processors::Processors;
use super::record::HostRecord;
use super::{Host, Identity, Options};
use super::{adapters, deb, discovery, disks, homes, memory, rpm, services, tags};

/// Name and domain of the running system.
pub fn name() -> HostName {
    host_name(&HostRoot::new(Path::new("/")))
}

/// Reads the host whose files lie below `root`.
pub fn read(root: &Path, identity: &Identity, options: &Options) -> Host {
    let host = HostRoot::new(root);
    let processors = Processors::read(&host);
    let memory_bytes = memory::total_bytes(&host);
    let machine = Machine::read(&host, processors.has_hypervisor_flag);

    let mut record = HostRecord {
        name: machine.name.name.clone(),
        domain: machine.name.domain.clone(),
        hardware: machine.objects(&host, identity, options, processors.sockets.len(), memory_bytes),
        ..HostRecord::default()
    };
    record.hardware.extend(processors.objects());
    record.hardware.extend(memory::objects(&machine.firmware, memory_bytes));
    record.hardware.extend(adapters::objects(&host, &machine.name.name));
    record.hardware.extend(disks::objects(&host));
    if options.has_software {
        record.packages = deb::packages(&host);
        record.packages.extend(rpm::packages(&host));
        record.tags = tags::tags(&host);
        record.services = services::services(&host);
        record.in_homes = homes::titles_in_homes(&host, &options.home_technologies);
    }
    record.sort();
    let settings = options.inventory_settings.clone();
    let facts = options.has_software.then(|| discovery::facts(&host, &record, identity, settings));
    Host { record, facts, findings: host.into_findings() }
}
