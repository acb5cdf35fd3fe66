//! What an import leaves behind: values, bindings, aliases.

use super::fixture::*;
use crate::id::DeviceId;
use crate::matching::*;
use crate::model::computer::Property;
use crate::model::device::{Device, RecordKey};

/// Imports `records` into `devices` (which then hold the new state) and returns the changed ids.
pub fn import(devices: &mut Vec<Device>, records: &[Record], forbidden: &Forbidden, primary: Option<&str>) -> Vec<u64> {
    let matchers = standard();
    let rows = Records::new(records);
    let sets = sets_in(&matchers, &rows, forbidden);
    let mut outcome = aligned_in(&matchers, &rows, &sets, devices, forbidden);
    let next = devices.iter().map(|device| device.id.0 + 1).max().unwrap_or(1);
    outcome.number_new_devices(DeviceId(next));
    let changed = updated_devices(&rows, &sets, devices, &outcome, primary);
    devices.retain(|device| changed.iter().all(|new| new.id != device.id));
    let ids = changed.iter().map(|device| device.id.0).collect();
    devices.extend(changed);
    devices.sort_by_key(|device| device.id);
    ids
}

fn bound_records(device: &Device) -> Vec<RecordKey> {
    device.bindings.iter().map(|binding| binding.record.clone()).collect()
}

#[test]
fn a_new_device_holds_the_values_and_bindings_of_its_set() {
    let mut devices = vec![];
    let list = records(&["MachineID=m|ComputerName=PC", "MachineID=m|UUID=U", "UUID=x"]);
    assert_eq!(import(&mut devices, &list, &Forbidden::default(), None), [1, 2]);
    assert_eq!(devices[0].values.get(Property::ComputerName).unwrap().0, "PC");
    assert_eq!(devices[0].values.get(Property::UUID).unwrap().0, "U");
    assert_eq!(bound_records(&devices[0]), [key(1), key(2)]);
    assert_eq!(devices[0].bindings[1].strong, list[1].values.strong_keys());
    assert_eq!((devices[0].inventory_date, devices[0].merged_into), (100, None));
    assert_eq!(bound_records(&devices[1]), [key(3)]);
}

#[test]
fn only_changed_devices_are_returned() {
    let mut devices = vec![device(1, "MachineID=a"), device(2, "MachineID=b")];
    assert_eq!(import(&mut devices, &[record(1, "MachineID=b")], &Forbidden::default(), None), [2]);
}

#[test]
fn a_merged_device_gives_values_and_bindings_to_the_winner_and_stays_as_an_alias() {
    let older = Device { merged_into: Some(DeviceId(5)), ..device(3, "") };
    let mut devices = vec![
        bound(device(2, "MachineID=m|ComputerName=two"), 8, ""),
        older,
        bound(device(5, "MachineID=m|ComputerName=five|ModelNo=x"), 9, "UUID=u"),
    ];
    devices[2].inventory_date = 700;
    assert_eq!(import(&mut devices, &[record(1, "MachineID=M")], &Forbidden::default(), None), [2, 3, 5]);
    let winner = &devices[0];
    assert_eq!(bound_records(winner), [key(1), key(8), key(9)]);
    assert_eq!(winner.bindings[2].strong, normalised("UUID=u").strong_keys());
    assert_eq!(winner.values.get(Property::ComputerName).unwrap().0, "two", "of equal rank the winner's value stays");
    assert_eq!(winner.values.get(Property::ModelNo).unwrap().0, "x");
    assert_eq!(winner.values.get(Property::MachineID).unwrap().0, "M");
    assert_eq!(winner.inventory_date, 700);
    for (place, id) in [(1, 3), (2, 5)] {
        let alias = &devices[place];
        assert_eq!((alias.id, alias.merged_into), (DeviceId(id), Some(DeviceId(2))));
        assert!(alias.bindings.is_empty() && alias.values.values().is_empty());
    }
}

#[test]
fn a_record_that_belongs_elsewhere_leaves_the_device_it_was_bound_to() {
    let mut devices = vec![bound(bound(device(1, "MachineID=a"), 1, "MachineID=a"), 2, ""), device(2, "MachineID=b")];
    let changed = import(&mut devices, &[record(1, "MachineID=b")], &Forbidden::default(), None);
    assert_eq!(changed, [1, 2]);
    assert_eq!(bound_records(&devices[0]), [key(2)]);
    assert_eq!(devices[0].values.get(Property::MachineID).unwrap().0, "a", "what it gave stays");
    assert_eq!(bound_records(&devices[1]), [key(1)]);
}

#[test]
fn a_binding_takes_the_strong_keys_of_the_newest_report() {
    let mut devices = vec![bound(device(1, "MachineID=a"), 1, "MachineID=a|UUID=u")];
    import(&mut devices, &[record(1, "MachineID=a|UUID=w")], &Forbidden::default(), None);
    assert_eq!(devices[0].bindings.len(), 1);
    assert_eq!(devices[0].bindings[0].strong, normalised("MachineID=a|UUID=w").strong_keys());
}

#[test]
fn the_date_of_a_device_is_the_latest_of_its_records_and_never_goes_back() {
    let mut devices = vec![device(1, "MachineID=a")];
    import(&mut devices, &[record(1, "MachineID=a")], &Forbidden::default(), None);
    assert_eq!(devices[0].inventory_date, 100);
    let old = Record { inventory_date: 60, ..record(1, "MachineID=a") };
    import(&mut devices, &[old], &Forbidden::default(), None);
    assert_eq!(devices[0].inventory_date, 100);
}

#[test]
fn a_primary_value_stays_until_the_primary_source_reports_another() {
    let report = |source: &str, date: i64, name: &str| {
        let mut record = record(1, &format!("MachineID=m|ComputerName={name}"));
        record.source = source.into();
        record.inventory_date = date;
        record
    };
    let name = |devices: &[Device]| devices[0].values.get(Property::ComputerName).unwrap().0.to_owned();
    let mut devices = vec![];
    for (source, date, given, expected) in
        [("first", 10, "a", "a"), ("other", 20, "b", "a"), ("first", 15, "c", "c"), ("first", 12, "d", "c")]
    {
        import(&mut devices, &[report(source, date, given)], &Forbidden::default(), Some("first"));
        assert_eq!(name(&devices), expected, "{source} {date}");
    }
}

#[test]
fn a_record_that_joins_later_changes_no_value_of_the_same_source_and_date_nor_does_reading_it_again() {
    let list = records(&["MachineID=M|ComputerName=one", "MachineID=m|ComputerName=two|ModelNo=r"]);
    let (mut apart, mut together) = (vec![], vec![]);
    import(&mut together, &list, &Forbidden::default(), None);
    import(&mut apart, &list[..1], &Forbidden::default(), None);
    assert_eq!(apart[0].bindings[0].matcher, None, "it is alone");
    import(&mut apart, &list[1..], &Forbidden::default(), None);
    // Whether in one import or one after the other, the device is the same: also who joined whom.
    assert_eq!(apart, together);
    for again in [&list[1..], &list[..1], &list[..]] {
        assert_eq!(import(&mut apart, again, &Forbidden::default(), None), [1]);
        assert_eq!(apart, together);
    }
    // The only one of its source may mend what it said.
    let mended = [record(1, "MachineID=M|ComputerName=mended")];
    let mut sole = vec![];
    import(&mut sole, &list[..1], &Forbidden::default(), None);
    import(&mut sole, &mended, &Forbidden::default(), None);
    assert_eq!(sole[0].values.get(Property::ComputerName).unwrap().0, "mended");
}
