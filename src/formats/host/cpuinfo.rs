//! The processors of a host, from `proc/cpuinfo` and the topology that sysfs tells.
//!
//! x86 names each logical processor with model, socket and core. arm64 gives part numbers only, and no sockets, so
//! there the topology decides. sysfs lists for each logical processor all that share its socket (`core_siblings_list`)
//! and all that share its core (`thread_siblings_list`): equal texts are one socket, one core. Core numbers are not
//! used where these lists exist, since they repeat from cluster to cluster.
//!
//! Source: Linux `Documentation/admin-guide/cputopology.rst`; part numbers from Arm's list of `MIDR_EL1` values.

use std::collections::{BTreeMap, BTreeSet};

use super::lines;

/// Logical processors read at most; Linux itself is built for 8192.
pub const PROCESSORS_LIMIT: usize = 8_192;

/// One logical processor in `proc/cpuinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogicalProcessor {
    /// Number, as sysfs counts it.
    pub number: u32,
    /// Name of the model, or of the part on arm64.
    pub model: String,
    /// `GenuineIntel`, `AuthenticAMD`; the implementer on arm64.
    pub vendor: String,
    /// Present clock rate.
    pub mhz: Option<u32>,
    /// Runs on a hypervisor (x86 only).
    pub has_hypervisor_flag: bool,
    socket: String,
    core: String,
}

/// What sysfs tells of one logical processor, as its files' texts; empty where there is no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Number in the folder's name `cpu7`.
    pub number: u32,
    /// `topology/core_siblings_list`: `0-3`.
    pub socket_members: String,
    /// `topology/thread_siblings_list`: `0,2`.
    pub core_members: String,
    /// `cpufreq/cpuinfo_max_freq`, in kHz.
    pub max_khz: String,
}

/// One processor package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Name of the model.
    pub model: String,
    /// Vendor.
    pub vendor: String,
    /// Highest clock rate: what sysfs says, else the rate in the model's name, else the present one.
    pub max_mhz: Option<u32>,
    /// Cores that are online.
    pub cores: u32,
    /// Logical processors that are online.
    pub threads: u32,
}

/// Reads `proc/cpuinfo`. Paragraphs without a processor number (as on a Raspberry Pi, the board) are left out.
pub fn read_cpuinfo(bytes: &[u8]) -> Vec<LogicalProcessor> {
    let mut processors: Vec<LogicalProcessor> = Vec::new();
    let mut implementer = 0;
    for line in lines(bytes) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let value = &value[..value.floor_char_boundary(4_096)];
        if key.trim_end() == "processor"
            && let Ok(number) = value.parse()
        {
            if processors.len() == PROCESSORS_LIMIT {
                break;
            }
            processors.push(LogicalProcessor { number, ..LogicalProcessor::default() });
            continue;
        }
        let Some(processor) = processors.last_mut() else { continue };
        match key.trim_end() {
            "model name" | "cpu" if processor.model.is_empty() => processor.model = words(value),
            "vendor_id" => processor.vendor = value.into(),
            "cpu MHz" | "clock" => processor.mhz = megahertz(value.trim_end_matches("MHz")),
            "physical id" => processor.socket = value.into(),
            "core id" => processor.core = value.into(),
            "flags" => processor.has_hypervisor_flag = value.split(' ').any(|flag| flag == "hypervisor"),
            "CPU implementer" => {
                implementer = hexadecimal(value).unwrap_or_default();
                processor.vendor = implementer_name(implementer).into();
            }
            "CPU part" if processor.model.is_empty() => {
                processor.model = part_name(implementer, hexadecimal(value).unwrap_or_default());
            }
            _ => {}
        }
    }
    processors
}

/// The sockets, in the order of their first logical processors.
///
/// Without topology the numbers in `proc/cpuinfo` tell sockets and cores; without those all is one socket and each
/// logical processor one core.
pub fn sockets(processors: &[LogicalProcessor], topology: &[Topology]) -> Vec<Socket> {
    let known: BTreeMap<u32, &Topology> = topology.iter().map(|cpu| (cpu.number, cpu)).collect();
    let mut members: BTreeMap<String, Vec<&LogicalProcessor>> = BTreeMap::new();
    let has_lists = processors.iter().any(|cpu| known.get(&cpu.number).is_some_and(|t| !t.socket_members.is_empty()));
    for processor in processors {
        let listed = known.get(&processor.number).map(|cpu| cpu.socket_members.trim().to_owned());
        members
            .entry(listed.filter(|_| has_lists).unwrap_or_else(|| processor.socket.clone()))
            .or_default()
            .push(processor);
    }
    let mut sockets: Vec<(u32, Socket)> = members
        .values()
        .map(|members| {
            let first = members.iter().min_by_key(|cpu| cpu.number).expect("a group has a member");
            let cores: BTreeSet<String> = members.iter().map(|cpu| core_of(cpu, &known)).collect();
            let max_khz =
                members.iter().filter_map(|cpu| known.get(&cpu.number)?.max_khz.trim().parse::<u32>().ok()).max();
            let socket = Socket {
                model: first.model.clone(),
                vendor: first.vendor.clone(),
                max_mhz: max_khz
                    .map(|khz| khz / 1_000)
                    .filter(|&mhz| mhz > 0)
                    .or_else(|| rate_in_name(&first.model))
                    .or(first.mhz),
                cores: cores.len() as u32,
                threads: members.len() as u32,
            };
            (first.number, socket)
        })
        .collect();
    sockets.sort_by_key(|(number, _)| *number);
    sockets.into_iter().map(|(_, socket)| socket).collect()
}

fn core_of(processor: &LogicalProcessor, known: &BTreeMap<u32, &Topology>) -> String {
    match known.get(&processor.number).map(|cpu| cpu.core_members.trim()) {
        Some(members) if !members.is_empty() => format!("list {members}"),
        _ if !processor.core.is_empty() => format!("core {}", processor.core),
        _ => format!("alone {}", processor.number),
    }
}

/// `2.50GHz` at the end of `Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz`, in MHz.
fn rate_in_name(model: &str) -> Option<u32> {
    let rate = model.rsplit_once('@')?.1.trim();
    let gigahertz = rate.strip_suffix("GHz")?.trim().parse::<f64>().ok()?;
    megahertz(&(gigahertz * 1_000.0).to_string())
}

fn megahertz(text: &str) -> Option<u32> {
    let rate = text.trim().parse::<f64>().ok()?.round();
    (1.0..1_000_000.0).contains(&rate).then_some(rate as u32)
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Names of some models are padded with spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn implementer_name(implementer: u32) -> &'static str {
    match implementer {
        0x41 => "ARM",
        0x42 => "Broadcom",
        0x43 => "Cavium",
        0x46 => "Fujitsu",
        0x48 => "HiSilicon",
        0x4e => "NVIDIA",
        0x50 => "APM",
        0x51 => "Qualcomm",
        0x61 => "Apple",
        0x6d => "Microsoft",
        0x70 => "Phytium",
        0xc0 => "Ampere",
        _ => "",
    }
}

fn part_name(implementer: u32, part: u32) -> String {
    let name = match (implementer, part) {
        (0x41, 0xd03) => "Cortex-A53",
        (0x41, 0xd05) => "Cortex-A55",
        (0x41, 0xd07) => "Cortex-A57",
        (0x41, 0xd08) => "Cortex-A72",
        (0x41, 0xd09) => "Cortex-A73",
        (0x41, 0xd0a) => "Cortex-A75",
        (0x41, 0xd0b) => "Cortex-A76",
        (0x41, 0xd0c) => "Neoverse-N1",
        (0x41, 0xd40) => "Neoverse-V1",
        (0x41, 0xd41) => "Cortex-A78",
        (0x41, 0xd49) => "Neoverse-N2",
        (0x41, 0xd4a) => "Neoverse-E1",
        (0x41, 0xd4f) => "Neoverse-V2",
        (0x43, 0x0a1) => "ThunderX",
        (0x43, 0x0af) => "ThunderX2",
        (0x46, 0x001) => "A64FX",
        (0x48, 0xd01) => "Kunpeng-920",
        (0x6d, 0xd49) => "Azure-Cobalt-100",
        (0x70, 0x662) => "FT2000PLUS",
        (0x70, 0x663) => "S2500",
        (0xc0, 0xac3) => "Ampere-1",
        (0xc0, 0xac4) => "Ampere-1A",
        _ => return format!("{} part 0x{part:03x}", implementer_name(implementer)).trim_start().into(),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn x86(sockets: u32, cores: u32, threads: u32, model: &str) -> String {
        let mut text = String::new();
        let mut number = 0;
        for _ in 0..threads {
            for socket in 0..sockets {
                for core in 0..cores {
                    text += &format!(
                        "processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: {model}\n\
                        cpu MHz\t: 1799.512\nphysical id\t: {socket}\ncore id\t: {core}\nflags\t: fpu hypervisor lm\n\n"
                    );
                    number += 1;
                }
            }
        }
        text
    }

    #[test]
    fn a_server_of_two_sockets_is_counted_without_topology() {
        let processors = read_cpuinfo(x86(2, 12, 2, "Intel(R) Xeon(R) Gold 6136 CPU @ 3.00GHz").as_bytes());
        let socket = Socket {
            model: "Intel(R) Xeon(R) Gold 6136 CPU @ 3.00GHz".into(),
            vendor: "GenuineIntel".into(),
            max_mhz: Some(3_000),
            cores: 12,
            threads: 24,
        };
        assert!(processors[0].has_hypervisor_flag);
        assert_eq!(sockets(&processors, &[]), [socket.clone(), socket]);
    }

    const ARM: &str = "\
processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\n\
CPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n\
processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n\
processor\t: 2\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n\
processor\t: 3\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";

    #[test]
    fn arm_is_counted_by_topology_and_named_by_its_part() {
        let topology: Vec<Topology> = (0..4)
            .map(|number| Topology {
                number,
                socket_members: if number < 2 { "0-1\n".into() } else { "2-3\n".into() },
                core_members: format!("{number}\n"),
                max_khz: "2600000\n".into(),
            })
            .collect();
        let socket =
            Socket { model: "Neoverse-N1".into(), vendor: "ARM".into(), max_mhz: Some(2_600), cores: 2, threads: 2 };
        assert_eq!(sockets(&read_cpuinfo(ARM.as_bytes()), &topology), [socket.clone(), socket]);
        let unlisted = &sockets(&read_cpuinfo(ARM.as_bytes()), &[])[..];
        assert_eq!(unlisted.iter().map(|socket| (socket.cores, socket.max_mhz)).collect::<Vec<_>>(), [(4, None)]);
    }

    #[test]
    fn an_unknown_part_is_told_by_its_number() {
        assert_eq!(part_name(0x41, 0xfff), "ARM part 0xfff");
        assert_eq!(part_name(0x99, 0x1), "part 0x001");
    }

    #[test]
    fn a_rate_is_present_measured_or_named() {
        let processors = read_cpuinfo(b"processor : 0\nmodel name : AMD EPYC\ncpu MHz : 2596.126\n");
        assert_eq!(sockets(&processors, &[])[0].max_mhz, Some(2_596));
        assert_eq!(rate_in_name("x @ 1e99GHz"), None);
        assert_eq!(sockets(&[], &[]), []);
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..1_000)) {
            sockets(&read_cpuinfo(&bytes), &[]);
        }

        #[test]
        fn any_lists_read_without_panic(
            text in "((processor|physical id|core id|cpu MHz|CPU part|flags)\t: [-0-9a-fx]{0,9}\n){0,40}",
            lists in prop::collection::vec(("[0-9,-]{0,5}", "[0-9,-]{0,5}", "[0-9]{0,12}"), 0..9),
        ) {
            let topology: Vec<Topology> = (0u32..)
                .zip(lists)
                .map(|(number, (socket_members, core_members, max_khz))| {
                    Topology { number, socket_members, core_members, max_khz }
                })
                .collect();
            sockets(&read_cpuinfo(text.as_bytes()), &topology);
        }
    }
}
