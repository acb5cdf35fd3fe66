//! `muster agent collect` held against what the host's own tools say.

use std::collections::BTreeSet;
use std::process::Command;

use muster::formats::ndi::{NdiFile, read_ndi};

use crate::support::run;

/// What `program` prints; `None` on a host without it.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn value<'f>(file: &'f NdiFile, class: &str, property: &str) -> &'f str {
    let object = file.hardware().find(|(object, _)| object.class == class);
    object.and_then(|(_, properties)| properties.get(property)).unwrap_or_default()
}

fn values<'f>(file: &'f NdiFile, class: &str, property: &str) -> Vec<&'f str> {
    let objects = file.hardware().filter(|(object, _)| object.class == class);
    objects.filter_map(|(_, properties)| properties.get(property)).collect()
}

#[test]
fn a_collection_is_well_formed_and_says_what_the_host_s_own_tools_say() {
    let output = run(&["agent", "collect"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host.ndi");
    std::fs::write(&path, &output.stdout).unwrap();
    let xmllint = Command::new("xmllint").args(["--noout", "--nonet"]).arg(&path).output();
    let xmllint = xmllint.expect("xmllint runs: Debian's libxml2-utils, see scripts/packages");
    assert!(xmllint.status.success(), "{}", String::from_utf8_lossy(&xmllint.stderr));
    let (file, findings) = read_ndi(&output.stdout[..]).unwrap();
    assert!(findings.is_empty(), "{findings:?}");

    if let Some(packages) = said("dpkg-query", &["-W", "-f=${db:Status-Status} ${Package} ${Version}\n"]) {
        let dpkg: BTreeSet<String> =
            packages.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect();
        let deb = file.packages().filter(|(package, _)| package.evidence == "deb");
        let ours: BTreeSet<String> = deb.map(|(package, _)| format!("{} {}", package.name, package.version)).collect();
        assert_eq!(ours, dpkg);
    }
    if let Some(lscpu) = said("lscpu", &[]) {
        let field = |name: &str| {
            let line = lscpu.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).unwrap_or_default().to_owned()
        };
        let sum = |property| -> u64 {
            values(&file, "MGS_Processor", property).iter().map(|count| count.parse::<u64>().unwrap()).sum()
        };
        assert_eq!(sum("NumberOfLogicalProcessors").to_string(), field("CPU(s)"));
        assert_eq!(values(&file, "MGS_Processor", "Name").len().to_string(), field("Socket(s)"));
        assert_eq!(value(&file, "MGS_Processor", "Name"), field("Model name"));
        let cores: u64 = field("Core(s) per socket").parse().unwrap();
        assert_eq!(sum("NumberOfCores"), cores * field("Socket(s)").parse::<u64>().unwrap());
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    assert_eq!(value(&file, "MGS_OperatingSystem", "Caption"), field("PRETTY_NAME"));
    assert_eq!(value(&file, "MGS_OperatingSystem", "Version"), field("VERSION_ID"));
    if let Some(addresses) = said("ip", &["-o", "addr", "show", "scope", "global"]) {
        let theirs: BTreeSet<&str> =
            addresses.lines().filter_map(|line| line.split_whitespace().nth(3)?.split('/').next()).collect();
        let lists = values(&file, "MGS_NetworkAdapterConfiguration", "IPAddress");
        let ours: BTreeSet<&str> = lists.iter().flat_map(|list| list.split(';')).collect();
        assert!(theirs.is_subset(&ours), "{theirs:?} {ours:?}");
    }
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kib: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    let ours: u64 = value(&file, "MGS_ComputerSystem", "TotalPhysicalMemory").parse().unwrap();
    assert!(ours >= kib * 1_024 && ours < kib * 1_024 * 5 / 4, "{ours} bytes, the kernel uses {kib} KiB");
}
