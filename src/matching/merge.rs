//! Which value a device shows for each property, and who gave it.
//!
//! Source: matching reference, section 8.

use std::cmp::Reverse;

use super::normalise::{Record, Slots};
use super::rows::Rows;
use crate::model::computer::Property;
use crate::model::device::{DeviceValues, Provenance};

/// Merges the values of `records` and of `stored` devices (the winner first), each with its provenance.
///
/// Best first: the primary source, then the later inventory date, then the source's name, then the smaller record_id.
/// Each property takes the first value that is set, so a null never overwrites a value. A stored value competes with
/// its own source and date; where those are the same, the record being imported goes first, because a report that is
/// read again may bring a mended value. UntrustedSerialNo travels with SerialNo; ObjectType is never stored.
///
/// The result does not depend on the order of `records`.
pub fn merge(records: &[&Record], stored: &[&DeviceValues], primary: Option<&str>) -> DeviceValues {
    merge_yielding(records, &|_| false, stored, primary)
}

/// The same where some records cannot have given what is stored of their own source and date, or may not have: they go
/// behind it. So the record that came first keeps its values, as it does when all come in one import, and reading a
/// report once more changes nothing.
pub(super) fn merge_yielding(
    records: &[&Record],
    yields: &dyn Fn(&Record) -> bool,
    stored: &[&DeviceValues],
    primary: Option<&str>,
) -> DeviceValues {
    let mut merged = Vec::new();
    for property in Property::ALL {
        if matches!(property, Property::UntrustedSerialNo | Property::ObjectType) {
            continue;
        }
        let Some(best) = best(property, records, yields, stored, primary) else { continue };
        merged.push((property, best.text, best.giver.clone()));
        if property == Property::SerialNo
            && let Some(untrusted) = best.untrusted
        {
            merged.push((Property::UntrustedSerialNo, untrusted, best.giver));
        }
    }
    merged.into_iter().collect()
}

/// The values and the date of one device made of rows alone, for where nothing is stored; by the same order. ObjectType
/// is that of the best row.
pub fn merge_rows<'r>(rows: &'r dyn Rows, members: &[u32], primary: Option<&str>) -> (Slots<'r>, i64) {
    let mut ranked: Vec<usize> = members.iter().map(|&member| member as usize).collect();
    ranked.sort_by_key(|&row| (rank(primary, rows.key(row).0, rows.inventory_date(row)), rows.record_id(row)));
    let text = |property: Property| ranked.iter().find_map(|&row| rows.text(row, property));
    let mut slots = Property::ALL.map(text);
    let serial = ranked.iter().find(|&&row| rows.text(row, Property::SerialNo).is_some());
    let untrusted = serial.and_then(|&row| rows.text(row, Property::UntrustedSerialNo));
    slots[Property::UntrustedSerialNo as usize] = untrusted.or(Some("false"));
    (slots, ranked.iter().map(|&row| rows.inventory_date(row)).max().unwrap_or_default())
}

/// The smaller, the better; of equal ones the smaller record_id goes first.
fn rank<'s>(primary: Option<&str>, source: &'s str, date: i64) -> (bool, Reverse<i64>, &'s str) {
    (primary != Some(source), Reverse(date), source)
}

/// A value that competes.
struct Candidate<'a> {
    text: &'a str,
    giver: Provenance,
    /// UntrustedSerialNo beside it.
    untrusted: Option<&'a str>,
}

fn best<'a>(
    property: Property,
    records: &[&'a Record],
    yields: &dyn Fn(&Record) -> bool,
    stored: &[&'a DeviceValues],
    primary: Option<&str>,
) -> Option<Candidate<'a>> {
    let from_record = |record: &&'a Record| {
        let giver = Provenance { source: record.source.clone(), date: record.inventory_date };
        let untrusted = record.values.get(Property::UntrustedSerialNo);
        let turn = if yields(record) { 2 } else { 0 };
        Some(((turn, record.record_id), Candidate { text: record.values.get(property)?, giver, untrusted }))
    };
    let from_stored = |(place, values): (usize, &&'a DeviceValues)| {
        let (text, giver) = values.get(property)?;
        let untrusted = values.get(Property::UntrustedSerialNo).map(|(text, _)| text);
        Some(((1, place as u64), Candidate { text, giver: giver.clone(), untrusted }))
    };
    let all = records.iter().filter_map(from_record).chain(stored.iter().enumerate().filter_map(from_stored));
    let first = all.min_by(|(one, a), (other, b)| {
        let (a, b) = (&a.giver, &b.giver);
        (rank(primary, &a.source, a.date), one).cmp(&(rank(primary, &b.source, b.date), other))
    });
    first.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::fixture::{pairs, record};

    fn report(source: &str, date: i64, record_id: u64, text: &str) -> Record {
        Record { source: source.into(), inventory_date: date, ..record(record_id, text) }
    }

    fn stored(source: &str, date: i64, text: &str) -> DeviceValues {
        let giver = Provenance { source: source.into(), date };
        pairs(text).into_iter().map(|(property, text)| (property, text, giver.clone())).collect()
    }

    /// Merges in both orders of the records and shows `property=value source date` for each value.
    fn merged(records: &[Record], devices: &[DeviceValues], primary: Option<&str>) -> Vec<String> {
        let mut list: Vec<&Record> = records.iter().collect();
        let devices: Vec<&DeviceValues> = devices.iter().collect();
        let values = merge(&list, &devices, primary);
        list.reverse();
        assert_eq!(merge(&list, &devices, primary), values, "the order of the records shows");
        let show = |(property, text, giver): (Property, &str, &Provenance)| {
            format!("{property}={text} {} {}", giver.source, giver.date)
        };
        values.iter().map(show).collect()
    }

    #[test]
    fn the_worked_example_takes_8_from_the_primary_and_16_from_the_one_that_knows_it() {
        // Cores as ModelNo, threads as HostType; dates in May.
        let list = [
            report("source 1", 10, 1, "ModelNo=4|HostType=16"),
            report("source 2", 12, 2, "ModelNo=8"),
            report("source 3", 14, 3, "ModelNo=6"),
        ];
        assert_eq!(merged(&list, &[], Some("source 2")), ["ModelNo=8 source 2 12", "HostType=16 source 1 10"]);
        assert_eq!(merged(&list, &[], None), ["ModelNo=6 source 3 14", "HostType=16 source 1 10"]);
    }

    #[test]
    fn best_is_the_primary_then_the_later_date_then_the_source_name_then_the_smaller_record() {
        let a = report("a", 5, 9, "HostID=a9");
        let b = report("b", 5, 1, "HostID=b1");
        let later = report("b", 6, 8, "HostID=b8");
        let twin = report("a", 5, 7, "HostID=a7");
        let best = |records: &[&Record], primary| {
            let records: Vec<Record> = records.iter().map(|&record| record.clone()).collect();
            merged(&records, &[], primary).remove(0)
        };
        assert_eq!(best(&[&a, &b, &later, &twin], None), "HostID=b8 b 6");
        assert_eq!(best(&[&a, &b, &later, &twin], Some("a")), "HostID=a7 a 5");
        assert_eq!(best(&[&a, &b], None), "HostID=a9 a 5");
        assert_eq!(best(&[&a, &twin, &b], None), "HostID=a7 a 5");
        assert_eq!(best(&[&a, &b, &later], Some("A")), "HostID=b8 b 6", "source names are compared as they are");
    }

    #[test]
    fn a_null_or_a_placeholder_never_overwrites_a_value() {
        let list = [report("a", 1, 1, "ModelNo=m"), report("b", 9, 2, "ModelNo=None|HostID= ")];
        assert_eq!(merged(&list, &[stored("c", 0, "HostID=h")], Some("b")), ["ModelNo=m a 1", "HostID=h c 0"]);
    }

    #[test]
    fn a_stored_value_competes_with_its_own_source_and_date() {
        let name = |source: &str, date, primary| {
            merged(&[report(source, date, 1, "HostID=new")], &[stored("b", 5, "HostID=old")], primary).remove(0)
        };
        assert_eq!(name("a", 4, None), "HostID=old b 5");
        assert_eq!(name("a", 6, None), "HostID=new a 6");
        assert_eq!(name("a", 5, None), "HostID=new a 5");
        assert_eq!(name("c", 5, None), "HostID=old b 5");
        assert_eq!(name("a", 6, Some("b")), "HostID=old b 5");
        assert_eq!(name("b", 4, Some("b")), "HostID=old b 5");
        assert_eq!(name("a", 4, Some("a")), "HostID=new a 4");
        assert_eq!(name("b", 5, None), "HostID=new b 5", "the same report read again may be mended");
    }

    #[test]
    fn of_equal_stored_values_the_winning_device_keeps_its_own() {
        let devices = [stored("b", 5, "HostID=winner"), stored("b", 5, "HostID=loser|ModelNo=m")];
        assert_eq!(merged(&[], &devices, None), ["ModelNo=m b 5", "HostID=winner b 5"]);
        let devices = [stored("b", 5, "HostID=winner"), stored("b", 6, "HostID=loser")];
        assert_eq!(merged(&[], &devices, None), ["HostID=loser b 6"]);
    }

    #[test]
    fn trust_travels_with_the_serial_number_and_the_object_type_is_not_stored() {
        let list = [
            report("a", 9, 1, "UntrustedSerialNo=true|ObjectType=Complete"),
            report("b", 5, 2, "SerialNo=S1"),
            report("c", 3, 3, "SerialNo=None"),
        ];
        assert_eq!(merged(&list, &[], None), ["SerialNo=S1 b 5", "UntrustedSerialNo=false b 5"]);
        assert_eq!(merged(&list, &[], Some("c")), ["SerialNo=None c 3", "UntrustedSerialNo=true c 3"]);
        assert_eq!(merged(&list[..1], &[], None), Vec::<String>::new());
        let devices = [stored("d", 9, "SerialNo=S2|UntrustedSerialNo=true|ObjectType=Complete")];
        assert_eq!(merged(&list, &devices, None), ["SerialNo=S2 d 9", "UntrustedSerialNo=true d 9"]);
        assert_eq!(merged(&list[1..2], &devices, Some("b")), ["SerialNo=S1 b 5", "UntrustedSerialNo=false b 5"]);
    }

    #[test]
    fn a_value_keeps_the_case_its_source_wrote() {
        assert_eq!(merged(&[report("A", 1, 1, "ComputerName= PC-One ")], &[], None), ["ComputerName=PC-One A 1"]);
    }
}
