//! The host the tests run on, compared with what its files say.

use std::fs;
use std::path::Path;

use muster::formats::ndi::read_ndi;
use muster::time::Timestamp;

use super::super::{Collected, Identity, account_of_process, collect};

fn collected() -> Collected {
    let identity = Identity { account: account_of_process(), ..Identity::default() };
    collect(Path::new("/"), &identity, Timestamp(0))
}

#[test]
fn every_package_that_dpkg_has_installed_is_in_the_report() {
    let status = fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    let is_installed = |line: &&str| line.starts_with("Status: ") && line.ends_with(" ok installed");
    let installed = status.lines().filter(is_installed).count();
    let collected = collected();
    let (file, findings) = read_ndi(&collected.ndi[..]).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(file.packages().filter(|(package, _)| package.evidence == "deb").count(), installed);
}

#[test]
fn this_host_has_a_name_processors_memory_and_a_disk() {
    let collected = collected();
    let summary = collected.summary();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(summary.computer_name, name.trim().split('.').next().unwrap());
    assert!(summary.sockets >= 1 && summary.memory_bytes.unwrap() > 64 << 20 && !summary.os.is_empty(), "{summary:?}");
    let threads = collected.record.of_class("Processor").map(|cpu| cpu.value("NumberOfLogicalProcessors"));
    let threads: usize = threads.map(|count| count.parse::<usize>().unwrap()).sum();
    let online = fs::read_to_string("/proc/cpuinfo").unwrap();
    assert_eq!(threads, online.lines().filter(|line| line.starts_with("processor")).count());
    let root = collected.record.of_class("LogicalDisk").find(|disk| disk.name == "/").expect("the root is on a disk");
    assert!(root.value("Size").parse::<u64>().unwrap() >= root.value("FreeSpace").parse().unwrap());
}
