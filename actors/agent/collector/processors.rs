//! The processors: one object for each socket.

use muster::formats::host::cpuinfo::{
    LogicalProcessor, PROCESSORS_LIMIT, Socket, Topology, read_cpuinfo, sockets as count_sockets,
};

use super::host_root::HostRoot;
use super::record::HardwareObject;

/// `proc/cpuinfo` has about 1.5 KB for each logical processor.
const CPUINFO_BYTES_LIMIT: usize = 32 * 1024 * 1024;

/// What the host runs on.
pub struct Processors {
    /// The sockets, in the host's order.
    pub sockets: Vec<Socket>,
    /// Whether the processors say that they are virtual.
    pub has_hypervisor_flag: bool,
}

impl Processors {
    /// Reads `proc/cpuinfo` and the topology in sysfs.
    pub fn read(host: &HostRoot) -> Processors {
        let logical = read_cpuinfo(&host.read_or_empty("proc/cpuinfo", CPUINFO_BYTES_LIMIT));
        if logical.len() == PROCESSORS_LIMIT {
            host.report("proc/cpuinfo", format_args!("{PROCESSORS_LIMIT} processors or more, read up to there"));
        }
        let topology: Vec<Topology> = logical.iter().map(|processor| topology(host, processor)).collect();
        Processors {
            has_hypervisor_flag: logical.iter().any(|processor| processor.has_hypervisor_flag),
            sockets: count_sockets(&logical, &topology),
        }
    }

    /// `MGS_Processor` for each socket.
    pub fn objects(&self) -> impl Iterator<Item = HardwareObject> + '_ {
        self.sockets.iter().enumerate().map(|(number, socket)| {
            HardwareObject::new("MGS_Processor", &format!("CPU{number}"), "os")
                .with("Name", &socket.model)
                .with("Manufacturer", &socket.vendor)
                .with_number("MaxClockSpeed", socket.max_mhz)
                .with_number("NumberOfCores", Some(socket.cores))
                .with_number("NumberOfLogicalProcessors", Some(socket.threads))
        })
    }
}

fn topology(host: &HostRoot, processor: &LogicalProcessor) -> Topology {
    let text = |path: &str| host.read_line(&format!("sys/devices/system/cpu/cpu{}/{path}", processor.number));
    Topology {
        number: processor.number,
        socket_members: text("topology/core_siblings_list"),
        core_members: text("topology/thread_siblings_list"),
        max_khz: text("cpufreq/cpuinfo_max_freq"),
    }
}
