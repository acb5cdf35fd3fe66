//! Tests of the discovery file.

use proptest::prelude::*;

use super::*;
use crate::formats::xml::XmlError;

const EXAMPLE: &str = include_str!("../../../tests/golden/formats/web07.disco");

fn write(disco: &Disco) -> String {
    let mut out = Vec::new();
    disco.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn read(document: &str) -> (Disco, Vec<String>) {
    let (disco, findings) = Disco::read(document.as_bytes()).unwrap();
    (disco, findings.iter().map(DiscoFinding::to_string).collect())
}

fn reason(document: &str) -> String {
    Disco::read(document.as_bytes()).expect_err(document).to_string()
}

/// A document with `inside` in its one device.
fn device(inside: &str) -> String {
    format!(
        "<Discovery Version='1' Source='agent' MachineName='m' DateTime='20250314T031530'>\
         <Device Name='d'>{inside}</Device></Discovery>"
    )
}

/// The kinds of findings of a document with `inside` in its one device, and how often each was met.
fn found(inside: &str) -> Vec<(DiscoFindingKind, &'static str, &'static str, u64)> {
    let (_, findings) = Disco::read(device(inside).as_bytes()).unwrap();
    findings.iter().map(|one| (one.kind, one.element, one.attribute, one.count)).collect()
}

#[test]
fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
    let (disco, findings) = read(EXAMPLE);
    assert_eq!(findings, [""; 0]);
    let expected = Disco {
        source: DiscoSource::Agent,
        machine_name: "web07".into(),
        collected_at: Timestamp::from_stamp("20250314T031530"),
        machine_id: "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11".parse().ok(),
        tenant_uid: String::new(),
        devices: vec![Device {
            name: "web07".into(),
            domain: "lab.example".into(),
            device_type: "Computer".into(),
            addresses: vec![Address {
                value: "10.20.4.17".parse().unwrap(),
                mac: "02:1f:5a:00:12:9c".into(),
                subnet: String::new(),
            }],
            services: vec![Service {
                kind: "OracleListener".into(),
                name: "LISTENER".into(),
                port: Some(1521),
                version: "19.3".into(),
                state: String::new(),
                properties: vec![ServiceProperty { name: "OracleHome".into(), value: "/u01/app/oracle/19".into() }],
                instances: vec![Instance { name: "SALES".into(), status: "READY".into() }],
            }],
        }],
    };
    assert_eq!(disco, expected);
    assert_eq!(disco.devices[0].services[0].property("OracleHome"), Some("/u01/app/oracle/19"));
    assert_eq!(disco.devices[0].services[0].property("oraclehome"), None);
    assert_eq!(write(&disco), EXAMPLE);
}

#[test]
fn a_file_that_leaves_in_doubt_what_it_replaces_is_refused() {
    assert_eq!(reason("<Inventory/>"), "the root element is `Inventory`, not `Discovery`");
    for (from, to, expected) in [
        ("Version=\"1\"", "Version=\"2\"", "version `2` of a discovery is not known, only `1` is"),
        ("Version=\"1\" ", "", "`Discovery` has no attribute `Version`"),
        ("\"agent\"", "\"Agent\"", "source `Agent` of a discovery is not agent, network or ad"),
        ("Source=\"agent\" ", "", "`Discovery` has no attribute `Source`"),
        ("MachineName=\"web07\" ", "", "`Discovery` has no attribute `MachineName`"),
        (" DateTime=\"20250314T031530\"", "", "`Discovery` has no attribute `DateTime`"),
    ] {
        let document = EXAMPLE.replace(from, to);
        assert_ne!(document, EXAMPLE, "{from}");
        assert_eq!(reason(&document), expected);
    }
}

#[test]
fn every_source_is_read() {
    for source in DiscoSource::ALL {
        let document = EXAMPLE.replace("\"agent\"", &format!("\"{source}\""));
        assert_eq!(read(&document).0.source, source);
        assert_eq!(serde_json::to_value(source).unwrap(), source.as_str());
    }
}

#[test]
fn a_bad_value_of_the_root_is_taken_as_absent_with_a_finding() {
    let document = EXAMPLE.replace("20250314T031530", "yesterday").replace("{5b0a7d0e", "{5b0a");
    let (disco, findings) = read(&document);
    assert_eq!((disco.collected_at, disco.machine_id, disco.devices.len()), (None, None, 1));
    assert_eq!(
        findings,
        [
            "Discovery DateTime is not a point in time (1 times, first at byte 0)",
            "Discovery MachineId is not a GUID (1 times, first at byte 0)"
        ]
    );
}

#[test]
fn an_element_without_what_it_must_have_is_skipped_and_its_siblings_stay() {
    use DiscoFindingKind::Missing;
    let (disco, _) = read(&device(
        "<Address Value='10.0.0.1'/><Address Type='IPv4'/><Address Type='IPv4' Value='10.0.0.2'/>\
         <Service Type='t'><Instance Name='lost'/></Service><Service Name='n'/>\
         <Service Type='t' Name='n'><Property Name='p'/><Property Value='v'/><Property Name='p' Value=''/>\
         <Instance Status='s'/><Instance Name='i'/></Service>",
    ));
    let device = &disco.devices[0];
    assert_eq!((device.addresses.len(), device.services.len()), (1, 1));
    assert_eq!((device.services[0].properties.len(), device.services[0].instances.len()), (1, 1));
    for (inside, element, attribute) in [
        ("<Address Value='10.0.0.1'/>", "Address", "Type"),
        ("<Address Type='IPv4'/>", "Address", "Value"),
        ("<Service Name='n'/>", "Service", "Type"),
        ("<Service Type='n'/>", "Service", "Name"),
        ("<Service Type='t' Name='n'><Property Value='v'/></Service>", "Property", "Name"),
        ("<Service Type='t' Name='n'><Property Name='v'/></Service>", "Property", "Value"),
        ("<Service Type='t' Name='n'><Instance/></Service>", "Instance", "Name"),
        ("</Device><Device>", "Device", "Name"),
    ] {
        assert_eq!(found(inside), [(Missing, element, attribute, 1)], "{inside}");
    }
}

#[test]
fn an_address_is_of_its_type_or_it_is_skipped() {
    for (kind, value, is_read) in [
        ("IPv4", "10.20.4.17", true),
        ("IPv6", "2001:db8::7", true),
        ("IPv6", "10.20.4.17", false),
        ("IPv4", "2001:db8::7", false),
        ("ipv4", "10.20.4.17", false),
        ("IPv4", "10.20.4.256", false),
        ("IPv4", "web07", false),
    ] {
        let inside = format!("<Address Type='{kind}' Value='{value}'/>");
        let expected = if is_read { vec![] } else { vec![(DiscoFindingKind::NotAnAddress, "Address", "Value", 1)] };
        assert_eq!(found(&inside), expected, "{inside}");
    }
}

#[test]
fn a_port_is_a_port() {
    for (text, port) in [("1", Some(1)), ("65535", Some(65535)), ("0", None), ("65536", None), ("-1", None)] {
        let inside = format!("<Service Type='t' Name='n' Port='{text}'/>");
        assert_eq!(read(&device(&inside)).0.devices[0].services[0].port, port, "{text}");
        assert_eq!(found(&inside).is_empty(), port.is_some(), "{text}");
    }
}

#[test]
fn a_value_over_its_limit_is_cut_at_a_character_and_counted() {
    let long = "é".repeat(101);
    let inside = format!("<Service Type='t' Name='n' Version='{long}'/>").repeat(2);
    let version = read(&device(&inside)).0.devices.remove(0).services.remove(0).version;
    assert_eq!(version, "é".repeat(100));
    assert_eq!(found(&inside), [(DiscoFindingKind::Cut, "Service", "Version", 2)]);
    for (attributes, attribute, limit) in [("Type", "Name", 256), ("Name", "Type", 256), ("Name='n' Type", "State", 64)]
    {
        for (length, cuts) in [(limit, 0), (limit + 1, 1)] {
            let value = "ü".repeat(length);
            let inside = format!("<Service {attributes}='t' {attribute}='{value}'/>");
            assert_eq!(found(&inside).len(), cuts, "{attribute} {length}");
        }
    }
}

#[test]
fn a_name_that_tells_nothing_apart_is_null() {
    for name in ["x".repeat(KEY_BYTES_MAX + 1), "a&#9;b".into()] {
        let inside = format!("<Service Type='t' Name='{name}'/>");
        assert_eq!(read(&device(&inside)).0.devices[0].services[0].name, "");
        assert_eq!(found(&inside), [(DiscoFindingKind::Null, "Service", "Name", 1)]);
    }
}

#[test]
fn what_is_over_a_count_is_left_out_and_counted() {
    let service = |inside: String| format!("<Service Type='t' Name='n'>{inside}</Service>");
    for (inside, element, max) in [
        ("<Address Type='IPv4' Value='10.0.0.1'/>", "Address", ADDRESSES_MAX),
        ("<Service Type='t' Name='n'><Instance Name='i'/></Service>", "Service", SERVICES_MAX),
    ] {
        assert_eq!(found(&inside.repeat(max)), [], "{element}");
        let (disco, _) = read(&device(&inside.repeat(max + 2)));
        assert_eq!(disco.devices[0].addresses.len().max(disco.devices[0].services.len()), max);
        assert_eq!(found(&inside.repeat(max + 2)), [(DiscoFindingKind::TooMany, element, "", 2)]);
    }
    for (inside, element, max) in [
        ("<Property Name='p' Value='v'/>", "Property", PROPERTIES_MAX),
        ("<Instance Name='i'/>", "Instance", INSTANCES_MAX),
    ] {
        assert_eq!(found(&service(inside.repeat(max))), [], "{element}");
        assert_eq!(found(&service(inside.repeat(max + 2))), [(DiscoFindingKind::TooMany, element, "", 2)]);
    }
}

#[test]
fn devices_are_bounded() {
    let document = |count: usize| {
        let devices = "<Device Name='d'><Service Type='t' Name='n'/></Device>".repeat(count);
        format!(
            "<Discovery Version='1' Source='network' MachineName='m' DateTime='20250314T031530'>{devices}</Discovery>"
        )
    };
    assert_eq!(read(&document(DEVICES_MAX)).1, [""; 0]);
    let (disco, findings) = read(&document(DEVICES_MAX + 1));
    assert_eq!((disco.devices.len(), findings.len()), (DEVICES_MAX, 1));
    assert!(findings[0].starts_with("Device is there more often than it is read (1 times"), "{}", findings[0]);
}

#[test]
fn a_file_that_invents_property_names_without_end_is_refused() {
    let document = |names: usize| {
        let property = |number: usize| format!("<Property Name='p{number}' Value=''/>");
        let service = |from: usize| {
            let properties: String = (from..names.min(from + 200)).map(property).collect();
            format!("<Service Type='t' Name='n'>{properties}</Service>")
        };
        device(&(0..names).step_by(200).map(service).collect::<String>())
    };
    assert_eq!(read(&document(PROPERTY_NAMES_MAX)).1, [""; 0]);
    assert_eq!(reason(&document(PROPERTY_NAMES_MAX + 1)), "more than 10000 distinct property names");
}

#[test]
fn the_limits_of_xml_hold() {
    assert!(matches!(Disco::read(device(&"<a>".repeat(63)).as_bytes()), Err(DiscoError::Xml(XmlError::Depth))));
    let subset = "<!DOCTYPE Discovery [<!ENTITY a 'b'>]>".to_owned() + &device("");
    assert!(matches!(Disco::read(subset.as_bytes()), Err(DiscoError::Xml(XmlError::InternalSubset))));
}

#[test]
fn unknown_elements_and_attributes_are_skipped() {
    let document = EXAMPLE
        .replace("<Device ", "<New><Device Name='x'/></New><Device Colour='red' ")
        .replace("<Instance ", "<New><Instance Name='x'/></New><Instance Colour='red' ");
    assert_eq!(read(&document), read(EXAMPLE));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for end in 0..EXAMPLE.trim_end().len() {
        assert!(Disco::read(&EXAMPLE.as_bytes()[..end]).is_err(), "{end}");
    }
}

fn names() -> impl Strategy<Value = String> {
    "[^\\p{Cc}\u{fffe}\u{ffff}]{0,12}"
}

fn services() -> impl Strategy<Value = Service> {
    let pairs = || proptest::collection::vec((names(), names()), 0..3);
    (names(), names(), proptest::option::of(1..=u16::MAX), names(), pairs(), pairs()).prop_map(
        |(kind, name, port, text, properties, instances)| Service {
            kind,
            name,
            port,
            version: text.clone(),
            state: text,
            properties: properties.into_iter().map(|(name, value)| ServiceProperty { name, value }).collect(),
            instances: instances.into_iter().map(|(name, status)| Instance { name, status }).collect(),
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        source in proptest::sample::select(&DiscoSource::ALL[..]),
        machine in names(),
        at in proptest::option::of(0..253_402_300_800i64),
        id in proptest::option::of(any::<[u8; 16]>()),
        devices in proptest::collection::vec(
            (names(), names(), proptest::collection::vec((any::<IpAddr>(), names()), 0..3),
             proptest::collection::vec(services(), 0..3)),
            0..3,
        ),
    ) {
        let devices = devices.into_iter().map(|(name, text, addresses, services)| Device {
            name,
            domain: text.clone(),
            device_type: text,
            addresses: addresses
                .into_iter()
                .map(|(value, text)| Address { value, mac: text.clone(), subnet: text })
                .collect(),
            services,
        });
        let disco = Disco {
            source,
            tenant_uid: machine.clone(),
            machine_name: machine,
            collected_at: at.map(|seconds| Timestamp(seconds * 1_000)),
            machine_id: id.map(Guid::from_random),
            devices: devices.collect(),
        };
        let (back, findings) = Disco::read(write(&disco).as_bytes()).unwrap();
        let times = findings.iter().filter(|finding| finding.kind == DiscoFindingKind::NotATime).count();
        prop_assert_eq!((findings.len(), times), (usize::from(at.is_none()), usize::from(at.is_none())));
        prop_assert_eq!(back, disco);
    }

    #[test]
    fn any_text_in_any_place_reads_and_what_was_read_is_a_fixed_point(text in "\\PC{0,300}|(a|&#[0-9]{1,3};){0,40}") {
        let text = text.replace(['<', '\''], " ");
        let inside = format!(
            "<Address Type='IPv4' Value='10.0.0.1' Mac='{text}'/><Service Type='{text}' Name='{text}' Port='{text}'>\
             <Property Name='{text}' Value='{text}'/><Instance Name='{text}' Status='{text}'/></Service>"
        );
        if let Ok((disco, _)) = Disco::read(device(&inside).as_bytes()) {
            let (again, findings) = Disco::read(write(&disco).as_bytes()).unwrap();
            prop_assert_eq!(findings, vec![]);
            prop_assert_eq!(again, disco);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Disco::read(&bytes[..]);
    }

    #[test]
    fn no_change_of_one_byte_makes_it_panic(at in 0..EXAMPLE.len(), byte: u8) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = Disco::read(&bytes[..]);
    }
}
