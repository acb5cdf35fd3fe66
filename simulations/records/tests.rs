//! The files are what they say they are. Here and not beside the fleet, because a benchmark takes that file in.

use super::fleet::*;

fn records(seed: u64, count: u64) -> String {
    let mut bytes = Vec::new();
    RecordFleet::new(seed).write_records(count, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_one_another() {
    assert_eq!(records(1, 500), records(1, 500));
    assert_ne!(records(1, 500), records(2, 500));
}

#[test]
fn each_record_has_all_columns_and_several_tools_know_a_machine() {
    let text = records(1, 3_000);
    let width = COLUMNS.split(',').count();
    assert_eq!(text.lines().count(), 3_001);
    assert!(text.lines().all(|line| line.split(',').count() == width));
    let machines: std::collections::BTreeSet<&str> =
        text.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
    assert!((1_200..2_000).contains(&machines.len()), "{}", machines.len());
}

#[test]
fn devices_and_bindings_stand_for_the_first_machines() {
    let fleet = RecordFleet::new(1);
    let (mut devices, mut bindings) = (Vec::new(), Vec::new());
    fleet.write_devices(50, &mut devices).unwrap();
    fleet.write_bindings(50, &mut bindings).unwrap();
    let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() - 1;
    assert_eq!((lines(&devices), lines(&bindings)), (51, 51));
}
