//! Every row of section 9's table: what it joins, and what it does not.

use super::fixture::*;
use crate::formats::matcher_xml::{Method, Place};
use crate::matching::*;

/// The table of section 9, typed by hand.
const TABLE: &str = "\
10 VMType NotSet, Manufacturer Set, ModelNo Set, FirmwareSerialNumber Set => Manufacturer, ModelNo, FirmwareSerialNumber
20 VMType NotSet, Manufacturer Set, HostType Set, FirmwareSerialNumber Set => Manufacturer, HostType, FirmwareSerialNumber
30 VMType NotSet, MachineID Set => MachineID
40 VMType NotSet, Manufacturer Set, HostID Set, FirmwareSerialNumber Set => Manufacturer, HostID, FirmwareSerialNumber
50 VMType InRange(vPar, LPAR, Zone), PartitionID Set => VMType, PartitionID
60 VMType Equal(LPAR), FirmwareSerialNumber Set, PartitionNumber Set => FirmwareSerialNumber, PartitionNumber
70 VMType Equal(LPAR), MachineID Set, PartitionNumber Set => MachineID, PartitionNumber
80 VMType InRange(vPar, LPAR, Zone), VMName Set, MachineID Set => MachineID, VMType, VMName
90 VMType InRange(vPar, nPar, LPAR, Zone), FirmwareSerialNumber Set, VMName Set => FirmwareSerialNumber, VMType, VMName
100 VMType Equal(Zone), HostID Set, VMName Set => HostID, VMName
110 HostIdentifyingNumber Set, HostType Set, Manufacturer Set => HostIdentifyingNumber, HostType, Manufacturer
120 HostIdentifyingNumber Set, HostType Set, Manufacturer NullInEither => HostIdentifyingNumber, HostType
130 HostIdentifyingNumber Set, HostType NullInEither, Manufacturer Set => HostIdentifyingNumber, Manufacturer
140 HostIdentifyingNumber Set, HostType NullInEither, Manufacturer NullInEither => HostIdentifyingNumber
150 OperatingSystem Contains(vmware), UUID Set => UUID BigOrLittleEndianEqual
160 UntrustedSerialNo Equal(false), SerialNo Set, ComputerName Set => SerialNo, ComputerName
170 ILMTAgentID Set => ILMTAgentID
180 ObjectType Equal(Incomplete), ComputerName Set, ComplianceDomainID Set => ComputerName, ComplianceDomainID
190 ObjectType Equal(Incomplete), ComputerName Set, ComplianceDomainID NullInEither => ComputerName
200 ObjectType Equal(Unmatched), ComputerName Set, ComplianceDomainID Set => ComputerName, ComplianceDomainID
210 ObjectType Equal(Unmatched), ComputerName Set, ComplianceDomainID NullInEither => ComputerName
";

#[test]
fn the_standard_file_holds_exactly_the_21_matchers_of_the_table() {
    let mut text = String::new();
    for matcher in standard().iter() {
        let show = |place| {
            let tests = matcher.tests().iter().filter(move |test| test.place == place);
            let shown = tests.map(|test| {
                let value = test.value.as_ref().map(|value| format!("({value})")).unwrap_or_default();
                match test.method {
                    Method::Equal if value.is_empty() => test.property.to_string(),
                    method => format!("{} {method}{value}", test.property),
                }
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        text += &format!("{} {} => {}\n", matcher.order(), show(Place::Condition), show(Place::Rule));
        assert!(!matcher.name().is_empty());
    }
    assert_eq!(text, TABLE);
}

/// A row of the table: what two records must share, and the VMTypes it takes (empty: physical only; `any`: all).
struct Row {
    order: i64,
    /// Set in both and the same; each of them is a Rule.
    keys: &'static str,
    /// Further values of both that the Conditions ask for.
    also: &'static str,
    /// Values that no member may have.
    never: &'static [&'static str],
    types: &'static [&'static str],
}

const TYPES: [&str; 6] = ["", "vPar", "nPar", "LPAR", "Zone", "VMware"];
const ANY: &[&str] = &TYPES;

const ROWS: [Row; 18] = [
    Row { order: 10, keys: "Manufacturer=Dell|ModelNo=R1|FirmwareSerialNumber=F1", also: "", never: &[], types: &[""] },
    Row {
        order: 20,
        keys: "Manufacturer=Dell|HostType=T1|FirmwareSerialNumber=F1",
        also: "",
        never: &[],
        types: &[""],
    },
    Row { order: 30, keys: "MachineID=M1", also: "", never: &[], types: &[""] },
    Row { order: 40, keys: "Manufacturer=Dell|HostID=H1|FirmwareSerialNumber=F1", also: "", never: &[], types: &[""] },
    Row { order: 50, keys: "PartitionID=P1", also: "", never: &[], types: &["vPar", "LPAR", "Zone"] },
    Row { order: 60, keys: "FirmwareSerialNumber=F1|PartitionNumber=3", also: "", never: &[], types: &["LPAR"] },
    Row { order: 70, keys: "MachineID=M1|PartitionNumber=3", also: "", never: &[], types: &["LPAR"] },
    Row { order: 80, keys: "MachineID=M1|VMName=v1", also: "", never: &[], types: &["vPar", "LPAR", "Zone"] },
    Row {
        order: 90,
        keys: "FirmwareSerialNumber=F1|VMName=v1",
        also: "",
        never: &[],
        types: &["vPar", "nPar", "LPAR", "Zone"],
    },
    Row { order: 100, keys: "HostID=H1|VMName=v1", also: "", never: &[], types: &["Zone"] },
    // A VMType takes the host's number away (section 3, step 5).
    Row {
        order: 110,
        keys: "HostIdentifyingNumber=H1|HostType=T1|Manufacturer=Dell",
        also: "",
        never: &[],
        types: &[""],
    },
    Row {
        order: 150,
        keys: "UUID=00112233445566778899AABBCCDDEEFF",
        also: "OperatingSystem=The VMWARE ESX",
        never: &["OperatingSystem=Windows", "OperatingSystem=VM ware", "OperatingSystem="],
        types: ANY,
    },
    Row {
        order: 160,
        keys: "SerialNo=S1|ComputerName=pc",
        also: "",
        never: &["UntrustedSerialNo=true", "UntrustedSerialNo=yes"],
        types: ANY,
    },
    Row { order: 170, keys: "ILMTAgentID=I1", also: "", never: &[], types: ANY },
    Row {
        order: 180,
        keys: "ComputerName=pc|ComplianceDomainID=d",
        also: "ModelNo=R1",
        never: &["ModelNo=", "UUID=u1", "ObjectType=Complete"],
        types: ANY,
    },
    Row {
        order: 190,
        keys: "ComputerName=pc",
        also: "ModelNo=R1",
        never: &["ModelNo=", "UUID=u1", "ObjectType=Complete"],
        types: ANY,
    },
    Row {
        order: 200,
        keys: "ComputerName=pc|ComplianceDomainID=d",
        also: "",
        never: &["ModelNo=R1", "UUID=u1", "ObjectType=Complete"],
        types: ANY,
    },
    Row {
        order: 210,
        keys: "ComputerName=pc",
        also: "",
        never: &["ModelNo=R1", "UUID=u1", "ObjectType=Complete"],
        types: ANY,
    },
];

/// The Matcher that joins two records, if one does.
fn joining(first: &str, second: &str) -> Option<i64> {
    let list = records(&[first, second]);
    let sets = sets_in(&standard(), &Records::new(&list), &Forbidden::default());
    let set = sets.get(0);
    assert_eq!(set.matcher.is_some(), set.members.len() == 2);
    set.matcher
}

#[test]
fn each_row_joins_two_records_that_share_its_keys_in_any_case() {
    for Row { order, keys, also, types, .. } in ROWS {
        for vm in types {
            let first = format!("{keys}|{also}|VMType={vm}");
            let second = first.to_ascii_uppercase();
            assert_eq!(joining(&first, &second), Some(order), "{first}");
        }
    }
}

#[test]
fn no_row_joins_records_of_a_type_it_does_not_take() {
    for Row { order, keys, also, types, .. } in ROWS {
        let base = format!("{keys}|{also}");
        for vm in TYPES.iter().filter(|vm| !types.contains(vm)) {
            let other = format!("{base}|VMType={vm}");
            assert_ne!(joining(&other, &other), Some(order), "{other}");
            let first = format!("{base}|VMType={}", types[0]);
            assert_ne!(joining(&first, &other), Some(order), "{first} with {other}");
        }
    }
}

#[test]
fn no_row_joins_records_that_differ_in_a_key_or_lack_one() {
    for Row { order, keys, also, types, .. } in ROWS {
        let base = format!("{keys}|{also}|VMType={}", types[types.len() - 1]);
        for field in keys.split('|') {
            let (name, text) = field.split_once('=').unwrap();
            for other in [format!("{name}={text}x"), format!("{name}=")] {
                let second = format!("{base}|{other}");
                assert_ne!(joining(&base, &second), Some(order), "{base} with {second}");
            }
            let lacking = format!("{base}|{name}=");
            assert_ne!(joining(&lacking, &lacking), Some(order), "{lacking}");
        }
    }
}

#[test]
fn no_row_joins_a_record_that_fails_its_other_conditions() {
    for Row { order, keys, also, never, types } in ROWS {
        let base = format!("{keys}|{also}|VMType={}", types[0]);
        for fault in never {
            let other = format!("{base}|{fault}");
            for (first, second) in [(&base, &other), (&other, &base), (&other, &other)] {
                assert_ne!(joining(first, second), Some(order), "{first} with {second}");
            }
        }
    }
}

#[test]
fn partitions_of_different_types_are_joined_only_where_the_type_is_no_rule() {
    for (keys, order) in
        [("PartitionID=P1", 50), ("MachineID=M1|VMName=v1", 80), ("FirmwareSerialNumber=F1|VMName=v1", 90)]
    {
        let of = |vm: &str| format!("{keys}|VMType={vm}");
        assert_eq!(joining(&of("LPAR"), &of("lpar")), Some(order));
        assert_eq!(joining(&of("LPAR"), &of("Zone")), None, "{keys}");
    }
}

#[test]
fn row_120_joins_when_the_manufacturer_is_null_in_either_and_not_when_both_differ() {
    let with = |manufacturer: &str| format!("HostIdentifyingNumber=H1|HostType=T1|Manufacturer={manufacturer}");
    assert_eq!(joining(&with("IBM"), &with("")), Some(120));
    assert_eq!(joining(&with(""), &with("IBM")), Some(120));
    assert_eq!(joining(&with(""), &with("")), Some(120));
    assert_eq!(joining(&with("IBM"), &with("HP")), None);
    let other = with("").replace("T1", "T2");
    assert_eq!(joining(&with("IBM"), &other), None);
}

#[test]
fn row_130_joins_when_the_host_type_is_null_in_either_and_not_when_both_differ() {
    let with = |host_type: &str| format!("HostIdentifyingNumber=H1|Manufacturer=IBM|HostType={host_type}");
    assert_eq!(joining(&with("T1"), &with("")), Some(130));
    assert_eq!(joining(&with(""), &with("T1")), Some(130));
    assert_eq!(joining(&with(""), &with("")), Some(130));
    assert_eq!(joining(&with("T1"), &with("T2")), None);
    let other = with("").replace("IBM", "HP");
    assert_eq!(joining(&with("T1"), &other), None);
}

#[test]
fn row_140_joins_a_host_type_with_a_manufacturer_and_not_two_that_have_the_same_one_only() {
    let with = |host_type: &str, manufacturer: &str| {
        format!("HostIdentifyingNumber=H1|HostType={host_type}|Manufacturer={manufacturer}")
    };
    assert_eq!(joining(&with("T1", ""), &with("", "IBM")), Some(140));
    assert_eq!(joining(&with("", ""), &with("", "")), Some(140));
    assert_eq!(joining(&with("T1", "IBM"), &with("", "")), Some(140));
    assert_eq!(joining(&with("T1", ""), &with("T2", "IBM")), None);
    let other = with("", "").replace("H1", "H2");
    assert_eq!(joining(&with("", ""), &other), None);
    let guest = |n: &str| format!("{}|VMType=VMware|ComputerName={n}", with("", ""));
    assert_eq!(joining(&guest("a"), &guest("b")), None, "guests of one host stay apart");
}

#[test]
fn row_150_joins_both_byte_orders_of_a_uuid() {
    let with = |uuid: &str| format!("OperatingSystem=VMware ESXi 7|UUID={uuid}");
    let big = with("00112233445566778899AABBCCDDEEFF");
    assert_eq!(joining(&big, &with("33221100-5544-7766-8899-AABBCCDDEEFF")), Some(150));
    assert_eq!(joining(&big, &with("FFEEDDCCBBAA99887766554433221100")), None);
    let windows = "OperatingSystem=Windows|UUID=00112233445566778899AABBCCDDEEFF";
    assert_eq!(joining(windows, windows), None);
}

#[test]
fn row_160_ignores_a_placeholder_serial() {
    assert_eq!(joining("SerialNo=None|ComputerName=pc|UUID=u1", "SerialNo=None|ComputerName=pc|UUID=u2"), None);
}

#[test]
fn rows_190_and_210_join_when_the_domain_is_null_in_either_and_not_when_both_differ() {
    for (order, hardware) in [(190, "ModelNo=R1"), (210, "")] {
        let with = |domain: &str| format!("{hardware}|ComputerName=pc|ComplianceDomainID={domain}");
        assert_eq!(joining(&with("d1"), &with("")), Some(order));
        assert_eq!(joining(&with(""), &with("d1")), Some(order));
        assert_eq!(joining(&with("d1"), &with("d2")), None);
        assert_eq!(joining(&with("d1"), &with("d1")), Some(order - 10));
    }
}

#[test]
fn a_record_that_carries_only_a_name_never_joins_a_complete_or_incomplete_one() {
    assert_eq!(joining("ComputerName=pc|ComplianceDomainID=d", "ComputerName=pc|ComplianceDomainID=d|UUID=u1"), None);
    assert_eq!(joining("ComputerName=pc|ComplianceDomainID=d", "ComputerName=pc|ComplianceDomainID=d|ModelNo=m"), None);
}

#[test]
fn the_fourth_row_needs_the_firmware_serial_and_not_the_computer_name() {
    let with = |name: &str| format!("Manufacturer=Dell|HostID=H1|ComputerName={name}");
    assert_eq!(joining(&with("pc"), &with("pc")), None);
    let with = |name: &str| format!("Manufacturer=Dell|HostID=H1|FirmwareSerialNumber=F1|ComputerName={name}");
    assert_eq!(joining(&with("a"), &with("b")), Some(40));
}
