//! An import that reads only the devices its records meet decides as one that reads all.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::fixture::*;
use crate::id::DeviceId;
use crate::matching::*;
use crate::model::device::Device;

/// A record or device of few values, so that they meet all the time.
fn values() -> impl Strategy<Value = String> {
    let field = |name: &'static str, values: &'static [&'static str]| {
        select(values).prop_map(move |value| format!("{name}={value}"))
    };
    (
        field("MachineID", &["", "", "m1", "M1", "m2"]),
        field("ComputerName", &["", "pc1", "PC1", "pc2"]),
        field("ComplianceDomainID", &["", "d1"]),
        field("ILMTAgentID", &["", "", "i1", "i2"]),
        field("SerialNo", &["", "", "s1", "None"]),
    )
        .prop_map(|(a, b, c, d, e)| format!("{a}|{b}|{c}|{d}|{e}"))
}

/// One import through held keys: reads what it needs, and puts what it changed.
fn import(
    held: &mut HeldKeys,
    plan: &Plan,
    store: &mut Vec<Device>,
    records: &[Record],
    forbidden: &Forbidden,
) -> (Outcome, usize) {
    let (rows, placeholders) = (Records::new(records), Placeholders::default());
    let keys = Keys::new(plan, &rows, &placeholders);
    let met = held.met_by(plan, &rows, &keys);
    assert!(met.is_sorted_by(|a, b| a < b));
    let read: Vec<Device> = store.iter().filter(|device| met.contains(&device.id)).cloned().collect();
    let sets = phase1(plan, &rows, &keys, forbidden);
    let fleet = Devices::new(&read, &placeholders);
    let stored = Stored { devices: &fleet, keys: &Keys::new(plan, &fleet, &placeholders) };
    let mut outcome = phase2(plan, &rows, &keys, &sets, stored, forbidden);
    outcome.number_new_devices(DeviceId(store.last().map_or(1, |device| device.id.0 + 1)));
    let changed = updated_devices(&rows, &sets, &read, &outcome, None);
    store.retain(|device| changed.iter().all(|new| new.id != device.id));
    store.extend(changed.iter().cloned());
    store.sort_by_key(|device| device.id);
    held.put(plan, &changed, &placeholders);
    (outcome, read.len())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn held_keys_lose_no_device(
        rounds in prop::collection::vec(prop::collection::vec((0..12_u64, values()), 0..6), 1..8),
        pairs in prop::collection::vec((1..12_u64, 1..12_u64), 0..3),
    ) {
        let (plan, apart) = (Plan::new(&standard()), forbidden(&pairs));
        let (mut held, mut store, mut whole) = (HeldKeys::default(), vec![], vec![]);
        for rows in rounds {
            let mut records: Vec<Record> = rows.iter().map(|(id, text)| record(*id, text)).collect();
            records.sort_by_key(|record| record.record_id);
            records.dedup_by_key(|record| record.record_id);
            let (outcome, _) = import(&mut held, &plan, &mut store, &records, &apart);
            let list = Records::new(&records);
            let sets = sets_in(&standard(), &list, &apart);
            let mut expected = aligned_in(&standard(), &list, &sets, &whole, &apart);
            super::update::import(&mut whole, &records, &apart, None);
            expected.number_new_devices(DeviceId(1_000_000));
            let known = |outcome: &Outcome, n: usize| outcome.sets[n].how;
            prop_assert_eq!(&outcome.merges, &expected.merges);
            prop_assert_eq!(&outcome.duplicates, &expected.duplicates);
            for n in 0..outcome.sets.len() {
                prop_assert_eq!(known(&outcome, n), known(&expected, n));
            }
            prop_assert_eq!(&store, &whole);
            prop_assert_eq!(held.count(), whole.iter().filter(|device| device.merged_into.is_none()).count());
        }
    }
}

#[test]
fn only_devices_that_records_meet_are_read() {
    let plan = Plan::new(&standard());
    let mut store: Vec<Device> = (1..=50).map(|id| device(id, &format!("MachineID=m{id}"))).collect();
    store[9] = bound(store[9].clone(), 777, "UUID=u");
    let mut held = HeldKeys::default();
    held.put(&plan, &store, &Placeholders::default());
    let records = [record(1, "MachineID=M7"), record(777, "UUID=u"), record(3, "MachineID=new")];
    let (outcome, read) = import(&mut held, &plan, &mut store, &records, &Forbidden::default());
    assert_eq!(read, 2);
    let devices: Vec<u64> = outcome.sets.iter().filter_map(|set| set.device).map(|device| device.0).collect();
    assert_eq!(devices, [7, 51, 10]);
    // What was put is met by its new values, and no more by those it had.
    let moved = [device(7, "MachineID=other")];
    held.put(&plan, &moved, &Placeholders::default());
    let met = |held: &HeldKeys, text: &str| {
        let list = [record(9, text)];
        let rows = Records::new(&list);
        held.met_by(&plan, &rows, &Keys::new(&plan, &rows, &Placeholders::default()))
    };
    assert_eq!((met(&held, "MachineID=m7"), met(&held, "MachineID=other")), (vec![], vec![DeviceId(7)]));
}

#[test]
fn rows_that_were_replaced_are_let_go_and_the_rest_is_still_met() {
    let plan = Plan::new(&standard());
    let mut held = HeldKeys::default();
    let fleet = |round: u64| -> Vec<Device> {
        (1..=6_000).map(|id| device(id, &format!("MachineID=m{id}-{round}|ILMTAgentID=i{id}"))).collect()
    };
    for round in 0..6 {
        held.put(&plan, &fleet(round), &Placeholders::default());
    }
    assert_eq!(held.count(), 6_000);
    let list = [record(1, "MachineID=m5999-5"), record(2, "ILMTAgentID=i17"), record(3, "MachineID=m9-2")];
    let rows = Records::new(&list);
    let met = held.met_by(&plan, &rows, &Keys::new(&plan, &rows, &Placeholders::default()));
    assert_eq!(met, [DeviceId(17), DeviceId(5_999)]);
}
