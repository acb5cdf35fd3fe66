//! The record as an inventory file.

use std::borrow::Cow;
use std::collections::HashMap;

use muster::formats::host::InstalledPackage;
use muster::formats::ndi::{File, Hardware, Head, NdiWriter, Package, Property, Service};
use muster::roles::discover::Oracle;
use muster::time::{SECOND_MS, Timestamp};

use super::record::{HostRecord, PackageRecord};
use super::{Finding, Identity, Options};

/// Bytes of one value in the file. What a host says of itself is far shorter, a long list of addresses excepted.
const VALUE_BYTES_LIMIT: usize = 16 * 1024;
/// Bytes of a name that others match by.
const NAME_BYTES_LIMIT: usize = 256;
/// 2100-01-01: an install time from a file's date may be anything, and one as late as that is none.
const INSTALL_TIME_SECS_END: i64 = 4_102_444_800;

/// Writes the file. Writing to memory does not fail; should it, what is there is kept and the reason is a finding.
pub fn write(
    record: &HostRecord,
    identity: &Identity,
    options: &Options,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = write_to(&mut out, record, identity, options, now) {
        findings.push(Finding { source: "inventory file".into(), problem: error.to_string() });
    }
    out
}

/// Writes the second inventory.
pub fn write_oracle(
    oracle: &Oracle,
    record: &HostRecord,
    identity: &Identity,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = with_head(record, identity, false, now, |head| oracle.write_ndi(&mut out, head).map(|_| ())) {
        findings.push(Finding { source: "Oracle inventory file".into(), problem: error.to_string() });
    }
    out
}

fn write_to(
    out: &mut Vec<u8>,
    record: &HostRecord,
    identity: &Identity,
    options: &Options,
    now: Timestamp,
) -> std::io::Result<()> {
    with_head(record, identity, options.has_software, now, |head| write_full(out, record, head))
}

/// Gives the head of an inventory of the host to `write`.
fn with_head<T>(
    record: &HostRecord,
    identity: &Identity,
    has_software: bool,
    now: Timestamp,
    write: impl FnOnce(&Head<'_>) -> T,
) -> T {
    let scope =
        if record.domain.is_empty() { record.name.clone() } else { format!("{}.{}", record.name, record.domain) };
    let (date_time, machine_id) = (now.to_stamp(), format!("{{{}}}", identity.agent));
    write(&Head {
        tracker: env!("CARGO_PKG_VERSION"),
        audience: identity.audience(),
        scope: &clean(&scope, NAME_BYTES_LIMIT),
        machine_name: &clean(&record.name, NAME_BYTES_LIMIT),
        user_name: &clean(&identity.account, NAME_BYTES_LIMIT),
        has_hardware: true,
        has_software: has_software,
        has_service_providers: false,
        date_time: &date_time,
        kind: if has_software { "Full" } else { "Hardware" },
        machine_id: &machine_id,
        site: &clean(&identity.site, NAME_BYTES_LIMIT),
        tenant_uid: &clean(&identity.tenant_uid, NAME_BYTES_LIMIT),
    })
}

fn write_full(out: &mut Vec<u8>, record: &HostRecord, head: &Head<'_>) -> std::io::Result<()> {
    let mut writer = NdiWriter::new(out, head)?;
    write_hardware(&mut writer, record)?;
    for package in &record.packages {
        write_package(&mut writer, package)?;
    }
    for title in &record.in_homes {
        writer.package(
            &Package {
                name: &clean(&title.name, NAME_BYTES_LIMIT),
                version: &clean(&title.version, VALUE_BYTES_LIMIT),
                publisher: &clean(&title.publisher, VALUE_BYTES_LIMIT),
                evidence: title.evidence,
                user_name: &clean(&title.user_name, NAME_BYTES_LIMIT),
                ..Package::default()
            },
            &[],
        )?;
    }
    for tag in &record.tags {
        writer.file(&File {
            name: &clean(&tag.path, NAME_BYTES_LIMIT),
            path: &clean(&tag.path, VALUE_BYTES_LIMIT),
            company: &clean(&tag.company, VALUE_BYTES_LIMIT),
            product_name: &clean(&tag.product, VALUE_BYTES_LIMIT),
            product_version: &clean(&tag.version, VALUE_BYTES_LIMIT),
            size: Some(tag.size_bytes),
            evidence: "swidtag",
            ..File::default()
        })?;
    }
    for service in &record.services {
        writer.service(&Service {
            name: &clean(&service.name, NAME_BYTES_LIMIT),
            state: service.state,
            start_mode: service.start_mode,
            path: &clean(&service.path, VALUE_BYTES_LIMIT),
            account: &clean(&service.account, NAME_BYTES_LIMIT),
        })?;
    }
    writer.finish()?;
    Ok(())
}

fn write_hardware(writer: &mut NdiWriter<&mut Vec<u8>>, record: &HostRecord) -> std::io::Result<()> {
    // Objects of equal class and name are told apart by their number.
    let mut occurrences: HashMap<(&str, &str), u32> = HashMap::new();
    for object in &record.hardware {
        let occurrence = occurrences.entry((object.class, &object.name)).or_default();
        let values: Vec<Cow<'_, str>> =
            object.properties.iter().map(|(_, value)| clean(value, VALUE_BYTES_LIMIT)).collect();
        let properties: Vec<Property<'_>> =
            object.properties.iter().zip(&values).map(|((name, _), value)| Property { name, value }).collect();
        // A reader takes no object without a name; a host may have none.
        let name = if object.name.is_empty() { object.class } else { &object.name };
        let element = Hardware {
            class: object.class,
            name: &clean(name, NAME_BYTES_LIMIT),
            occurrence: *occurrence,
            evidence: object.evidence,
        };
        writer.hardware(&element, &properties)?;
        *occurrence += 1;
    }
    Ok(())
}

fn write_package(writer: &mut NdiWriter<&mut Vec<u8>>, record: &PackageRecord) -> std::io::Result<()> {
    let InstalledPackage { name, version, publisher, architecture, install_time_secs, .. } = &record.package;
    let known = install_time_secs.filter(|secs| (0..INSTALL_TIME_SECS_END).contains(secs));
    let stamp = known.map(|secs| Timestamp(secs * SECOND_MS).to_stamp()).unwrap_or_default();
    let package = Package {
        name: &clean(name, NAME_BYTES_LIMIT),
        version: &clean(version, VALUE_BYTES_LIMIT),
        publisher: &clean(publisher, VALUE_BYTES_LIMIT),
        evidence: record.evidence,
        install_date: stamp.split('T').next().unwrap_or_default(),
        ..Package::default()
    };
    let architecture = clean(architecture, NAME_BYTES_LIMIT);
    let property = Property { name: "Architecture", value: &architecture };
    writer.package(&package, if architecture.is_empty() { &[] } else { std::slice::from_ref(&property) })
}

/// The value without characters that no XML may hold or no name should, and not beyond `bytes_limit`.
fn clean(value: &str, bytes_limit: usize) -> Cow<'_, str> {
    let value = &value[..value.floor_char_boundary(bytes_limit)];
    let is_wrong = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    if value.contains(is_wrong) { value.replace(is_wrong, " ").into() } else { value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::collector::record::HardwareObject;

    #[test]
    fn control_characters_and_endless_values_do_not_reach_the_file() {
        assert_eq!(clean("a\u{1b}[31mb\nc", 100), "a [31mb c");
        assert_eq!(clean("ééé", 3), "é");
        assert_eq!(clean("plain", 100), "plain");
    }

    #[test]
    fn an_impossible_install_time_is_left_out() {
        for (install_time_secs, date) in
            [(1_735_776_000, "InstallDate=\"20250102\""), (i64::MAX, "deb\"/>"), (-1, "deb\"/>")]
        {
            let package = InstalledPackage {
                name: "a".into(),
                install_time_secs: Some(install_time_secs),
                ..InstalledPackage::default()
            };
            let packages = vec![PackageRecord { evidence: "deb", package }];
            let record = HostRecord { packages, ..HostRecord::default() };
            let ndi = write(&record, &Identity::default(), &Options::default(), Timestamp(0), &mut Vec::new());
            assert!(String::from_utf8(ndi).unwrap().contains(date), "{install_time_secs}");
        }
    }

    #[test]
    fn objects_of_one_name_are_numbered() {
        let module = || HardwareObject::new("MGS_PhysicalMemory", "DIMM", "dmi").with("Capacity", "1024");
        let record = HostRecord { hardware: vec![module(), module()], ..HostRecord::default() };
        let mut findings = Vec::new();
        let ndi = write(&record, &Identity::default(), &Options::default(), Timestamp(0), &mut findings);
        let text = String::from_utf8(ndi).unwrap();
        assert!(text.contains("Occurrence=\"0\"") && text.contains("Occurrence=\"1\""), "{text}");
        assert_eq!(findings, []);
    }
}
