//! Explanations of one record, in the words that an operator reads.

use expect_test::{Expect, expect};

use super::fixture::*;
use crate::matching::*;

/// The sentences for the record of this number.
fn told(matchers: &Matchers, records: &[Record], forbidden: &Forbidden, number: u64) -> Vec<String> {
    let (rows, plan) = (Records::new(records), Plan::new(matchers));
    let keys = Keys::new(&plan, &rows, &Placeholders::default());
    let sets = phase1(&plan, &rows, &keys, forbidden);
    let row = (0..records.len()).find(|&row| rows.record_id(row) == number).unwrap();
    sentences::of_record(&explain_record(matchers, &plan, &rows, &keys, &sets, forbidden, row))
}

fn told_by(lines: &[&str], texts: &[&str], number: u64) -> String {
    told(&matchers(lines), &records(texts), &Forbidden::default(), number).join("\n")
}

/// A pair of records for each of the 21 Matchers.
const PAIRS: [(i64, &str, &str); 21] = [
    (10, "Manufacturer=Dell|ModelNo=R1|FirmwareSerialNumber=F1", ""),
    (20, "Manufacturer=Dell|HostType=T1|FirmwareSerialNumber=F1", ""),
    (30, "MachineID=M1", ""),
    (40, "Manufacturer=Dell|HostID=H1|FirmwareSerialNumber=F1", ""),
    (50, "VMType=LPAR|PartitionID=P1", ""),
    (60, "VMType=LPAR|FirmwareSerialNumber=F1|PartitionNumber=3", ""),
    (70, "VMType=LPAR|MachineID=M1|PartitionNumber=3", ""),
    (80, "VMType=vPar|MachineID=M1|VMName=v1", ""),
    (90, "VMType=nPar|FirmwareSerialNumber=F1|VMName=v1", ""),
    (100, "VMType=Zone|HostID=H1|VMName=v1", ""),
    (110, "HostIdentifyingNumber=N1|HostType=T1|Manufacturer=Dell", ""),
    (120, "HostIdentifyingNumber=N1|HostType=T1", "Manufacturer=Dell"),
    (130, "HostIdentifyingNumber=N1|Manufacturer=Dell", "HostType=T1"),
    (140, "HostIdentifyingNumber=N1", "HostType=T1|Manufacturer=Dell"),
    (150, "OperatingSystem=VMware ESXi|UUID=00112233445566778899AABBCCDDEEFF", ""),
    (160, "SerialNo=S1|ComputerName=pc", ""),
    (170, "ILMTAgentID=I1", ""),
    (180, "ComputerName=pc|ComplianceDomainID=d|ModelNo=R1", ""),
    (190, "ComputerName=pc|ModelNo=R1", "ComplianceDomainID=d"),
    (200, "ComputerName=pc|ComplianceDomainID=d", ""),
    (210, "ComputerName=pc", "ComplianceDomainID=d"),
];

#[test]
fn each_of_the_21_matchers_says_what_it_found_and_each_before_it_why_it_did_not() {
    let mut text = String::new();
    for (order, both, second) in PAIRS {
        let list = records(&[both, &format!("{both}|{second}")]);
        let lines = told(&standard(), &list, &Forbidden::default(), 1);
        assert_eq!(lines.len() as i64, order / 10, "{order}");
        text += &format!("{}\n", lines[0]);
        // Of each the Matcher just before it, so that all kinds of tests are seen.
        text += &lines.last().filter(|_| lines.len() > 1).map(|line| format!("    {line}\n")).unwrap_or_default();
    }
    expect![[r#"
        Record 1 is one device with record 2: Matcher 10 (physical: manufacturer, model, firmware serial) found Manufacturer `Dell` in both, ModelNo `R1` in both and FirmwareSerialNumber `F1` in both.
        Record 1 is one device with record 2: Matcher 20 (physical: manufacturer, host type, firmware serial) found Manufacturer `Dell` in both, HostType `T1` in both and FirmwareSerialNumber `F1` in both.
            Matcher 10 (physical: manufacturer, model, firmware serial) did not: ModelNo is missing in record 1.
        Record 1 is one device with record 2: Matcher 30 (physical: machine ID) found MachineID `M1` in both.
            Matcher 20 (physical: manufacturer, host type, firmware serial) did not: Manufacturer is missing in record 1.
        Record 1 is one device with record 2: Matcher 40 (physical: manufacturer, host ID, firmware serial) found Manufacturer `Dell` in both, HostID `H1` in both and FirmwareSerialNumber `F1` in both.
            Matcher 30 (physical: machine ID) did not: MachineID is missing in record 1.
        Record 1 is one device with record 2: Matcher 50 (partition: type, partition ID) found VMType `LPAR` in both and PartitionID `P1` in both.
            Matcher 40 (physical: manufacturer, host ID, firmware serial) did not: VMType has to be missing, and in record 1 it is `LPAR`.
        Record 1 is one device with record 2: Matcher 60 (LPAR: firmware serial, partition number) found FirmwareSerialNumber `F1` in both and PartitionNumber `3` in both.
            Matcher 50 (partition: type, partition ID) did not: PartitionID is missing in record 1.
        Record 1 is one device with record 2: Matcher 70 (LPAR: machine ID, partition number) found MachineID `M1` in both and PartitionNumber `3` in both.
            Matcher 60 (LPAR: firmware serial, partition number) did not: FirmwareSerialNumber is missing in record 1.
        Record 1 is one device with record 2: Matcher 80 (partition: machine ID, type, partition name) found MachineID `M1` in both, VMType `vPar` in both and VMName `v1` in both.
            Matcher 70 (LPAR: machine ID, partition number) did not: VMType has to be `LPAR`, and in record 1 it is `vPar`.
        Record 1 is one device with record 2: Matcher 90 (partition: firmware serial, type, partition name) found FirmwareSerialNumber `F1` in both, VMType `nPar` in both and VMName `v1` in both.
            Matcher 80 (partition: machine ID, type, partition name) did not: VMType has to be one of `vPar, LPAR, Zone`, and in record 1 it is `nPar`.
        Record 1 is one device with record 2: Matcher 100 (zone: host ID, partition name) found HostID `H1` in both and VMName `v1` in both.
            Matcher 90 (partition: firmware serial, type, partition name) did not: FirmwareSerialNumber is missing in record 1.
        Record 1 is one device with record 2: Matcher 110 (host identifying number, host type, manufacturer) found HostIdentifyingNumber `N1` in both, HostType `T1` in both and Manufacturer `Dell` in both.
            Matcher 100 (zone: host ID, partition name) did not: VMType has to be `Zone`, and in record 1 it is missing.
        Record 1 is one device with record 2: Matcher 120 (host identifying number, host type; manufacturer missing) found Manufacturer `Dell` in one of the two, HostIdentifyingNumber `N1` in both and HostType `T1` in both.
            Matcher 110 (host identifying number, host type, manufacturer) did not: Manufacturer is missing in record 1.
        Record 1 is one device with record 2: Matcher 130 (host identifying number, manufacturer; host type missing) found HostType `T1` in one of the two, HostIdentifyingNumber `N1` in both and Manufacturer `Dell` in both.
            Matcher 120 (host identifying number, host type; manufacturer missing) did not: HostType is missing in record 1.
        Record 1 is one device with record 2: Matcher 140 (host identifying number; host type and manufacturer missing) found HostType `T1` in one of the two, Manufacturer `Dell` in one of the two and HostIdentifyingNumber `N1` in both.
            Matcher 130 (host identifying number, manufacturer; host type missing) did not: Manufacturer is missing in record 1.
        Record 1 is one device with record 2: Matcher 150 (VMware ESX: UUID in either byte order) found UUID `00112233445566778899AABBCCDDEEFF` in both.
            Matcher 140 (host identifying number; host type and manufacturer missing) did not: HostIdentifyingNumber is missing in record 1.
        Record 1 is one device with record 2: Matcher 160 (serial number, computer name) found SerialNo `S1` in both and ComputerName `pc` in both.
            Matcher 150 (VMware ESX: UUID in either byte order) did not: OperatingSystem has to contain `vmware`, and in record 1 it is missing.
        Record 1 is one device with record 2: Matcher 170 (ILMT agent ID) found ILMTAgentID `I1` in both.
            Matcher 160 (serial number, computer name) did not: SerialNo is missing in record 1.
        Record 1 is one device with record 2: Matcher 180 (incomplete: computer name, domain) found ComputerName `pc` in both and ComplianceDomainID `d` in both.
            Matcher 170 (ILMT agent ID) did not: ILMTAgentID is missing in record 1.
        Record 1 is one device with record 2: Matcher 190 (incomplete: computer name; domain missing) found ComplianceDomainID `d` in one of the two and ComputerName `pc` in both.
            Matcher 180 (incomplete: computer name, domain) did not: ComplianceDomainID is missing in record 1.
        Record 1 is one device with record 2: Matcher 200 (unmatched: computer name, domain) found ComputerName `pc` in both and ComplianceDomainID `d` in both.
            Matcher 190 (incomplete: computer name; domain missing) did not: ObjectType has to be `Incomplete`, and in record 1 it is `Unmatched`.
        Record 1 is one device with record 2: Matcher 210 (unmatched: computer name; domain missing) found ComplianceDomainID `d` in one of the two and ComputerName `pc` in both.
            Matcher 200 (unmatched: computer name, domain) did not: ComplianceDomainID is missing in record 1.
    "#]].assert_eq(&text);
}

fn check(lines: &[&str], texts: &[&str], number: u64, expected: Expect) {
    expected.assert_eq(&told_by(lines, texts, number));
}

#[test]
fn a_record_alone_hears_who_has_its_values_and_why_that_did_not_do() {
    let lines = ["1: => MachineID", "2: => ILMTAgentID", "3: HostType Like:T% => HostID"];
    let texts = ["MachineID=m", "MachineID=m|ILMTAgentID=i", "ILMTAgentID=i|HostID=h|HostType=X"];
    check(
        &lines,
        &texts,
        3,
        expect![[r#"
        Record 3 stands alone: no Matcher joined it to another record.
        Matcher 1 (m1) did not: MachineID is missing in record 3.
        Matcher 2 (m2) did not: the records with the same values had been joined before (record 2 by Matcher 1).
        Matcher 3 (m3) did not: HostType has to be like `T% `, and in record 3 it is `X`."#]],
    );
    check(
        &lines[1..2],
        &texts[2..],
        1,
        expect![[r#"
        Record 1 stands alone: no Matcher joined it to another record.
        Matcher 2 (m2) did not: no other record that takes part has ILMTAgentID `i`."#]],
    );
}

#[test]
fn rules_between_records_are_told_with_the_record_that_stands_in_the_way() {
    let either = ["1: Manufacturer NullInEither => ComputerName"];
    check(
        &either,
        &["ComputerName=a|Manufacturer=IBM", "ComputerName=a|Manufacturer=IBM"],
        1,
        expect![[r#"
        Record 1 stands alone: no Matcher joined it to another record.
        Matcher 1 (m1) did not: Manufacturer has to be missing in one of the two, but is `IBM` in record 1 and `IBM` in record 2."#]],
    );
    let contradicting = ["ComputerName=a", "ComputerName=a|Manufacturer=IBM", "ComputerName=a|Manufacturer=HP"];
    check(
        &either,
        &contradicting,
        1,
        expect![[r#"
        Record 1 stands alone: no Matcher joined it to another record.
        Matcher 1 (m1) did not: the records with the same values contradict each other in Manufacturer: `IBM` in record 2, `HP` in record 3."#]],
    );
    check(
        &either,
        &contradicting,
        2,
        expect![[r#"
        Record 2 stands alone: no Matcher joined it to another record.
        Matcher 1 (m1) did not: Manufacturer has to be missing in one of the two, but is `IBM` in record 2 and `HP` in record 3."#]],
    );
    check(
        &["1: => ComputerName; ModelNo NotEqual"],
        &["ComputerName=a|ModelNo=m", "ComputerName=a|ModelNo=M"],
        1,
        expect![[r#"
            Record 1 stands alone: no Matcher joined it to another record.
            Matcher 1 (m1) did not: ModelNo has to differ, and no record with the same values differs from record 1 in it: record 2 for one."#]],
    );
    // Of two Matchers of one Order the first took the others.
    check(
        &["1: => UUID", "1: => MachineID"],
        &["UUID=u|MachineID=m", "UUID=u", "MachineID=m"],
        3,
        expect![[r#"
        Record 3 stands alone: no Matcher joined it to another record.
        Matcher 1 (m1) did not: UUID is missing in record 3.
        Matcher 1 (m1) did not: the records with the same values had been joined before (record 1 by Matcher 1)."#]],
    );
}

#[test]
fn records_that_an_operator_took_apart_are_told() {
    let list = records(&["MachineID=m", "MachineID=m"]);
    let lines = told(&matchers(&["1: => MachineID"]), &list, &forbidden(&[(1, 2)]), 2);
    expect![[r#"
        Record 2 stands alone: no Matcher joined it to another record.
        Matcher 1 (m1) did not: an operator took record 2 and record 1 apart."#]]
    .assert_eq(&lines.join("\n"));
}
