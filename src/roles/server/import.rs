//! One inventory import: staged records into sets, sets onto devices, values merged.
//!
//! It runs over the records that changed since the last import that ended, and over the devices they may meet: all others
//! stay as they are, whatever an import looks at. What one that was cut short has left is put right by the next one,
//! because that begins where the last whole one began. When the rules have changed, all records are imported again.
//! Source: Identifying Related Inventory; matching reference, sections 5 to 8.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Digest};
use crate::matching::import_report::SAMPLES_MAX;
use crate::matching::{
    Devices, Forbidden, HeldKeys, ImportReport, Keys, Matchers, PlaceholderCounts, Placeholders, Plan, Record, Records,
    Stored, phase1, phase2, slots_of, updated_devices, without_gone,
};
use crate::model::device::{Device, DeviceFact, RecordKey};
use crate::model::staged::StagedRecord;
use crate::model::tenant::TenantState;
use crate::time::Timestamp;

/// How an operator has set matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRules {
    /// The Matchers, standard and own.
    pub matchers: Matchers,
    /// Values that say nothing.
    pub placeholders: Placeholders,
    /// Records that never meet.
    pub forbidden: Forbidden,
    /// The source whose values win; `None` for none.
    pub primary: Option<String>,
}

impl ImportRules {
    /// A number that changes when the rules do, so that records which were imported by others are imported again. Pairs
    /// that were taken apart do not count: their devices have been written then.
    pub fn fingerprint(&self) -> u64 {
        let text = format!("{:?}", (&self.matchers, &self.placeholders, &self.primary));
        let Digest([a, b, c, d, e, f, g, h, ..]) = Digest::of(text.as_bytes());
        // 0 stands for no rules.
        u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
    }
}

/// Keys of the stored devices by the rules, as of some commit.
#[derive(Clone, Debug)]
pub struct HeldDevices {
    plan: Plan,
    keys: HeldKeys,
}

impl HeldDevices {
    /// None yet.
    pub fn new(rules: &ImportRules) -> HeldDevices {
        HeldDevices { plan: Plan::new(&rules.matchers), keys: HeldKeys::default() }
    }

    /// Takes devices that are new or changed.
    pub fn put(&mut self, rules: &ImportRules, devices: &[Device]) {
        self.keys.put(&self.plan, devices, &rules.placeholders);
    }

    /// The devices that an import of `records` has to read, ascending.
    pub fn met_by(&self, rules: &ImportRules, records: &[(RecordKey, StagedRecord)]) -> Vec<DeviceId> {
        // With those that are gone: their devices lose them.
        let (ready, _) = ready(rules, records);
        let rows = Records::new(&ready);
        let keys = Keys::new(&self.plan, &rows, &rules.placeholders);
        self.keys.met_by(&self.plan, &rows, &keys)
    }
}

/// The records, normalised, and how many of their values say nothing.
pub(super) fn ready<'r>(
    rules: &ImportRules,
    records: impl IntoIterator<Item = &'r (RecordKey, StagedRecord)>,
) -> (Vec<Record>, PlaceholderCounts) {
    let records = records.into_iter();
    let mut counts = PlaceholderCounts::default();
    let mut ready = Vec::with_capacity(records.size_hint().0);
    for (key, staged) in records {
        let computer = staged.computer(key);
        counts.count(&slots_of(&computer.values), &rules.placeholders);
        ready.push(Record::new(computer, &rules.placeholders));
    }
    (ready, counts)
}

/// Imports whose reports are kept of a tenant.
pub const REPORTS_KEPT: u8 = 50;

/// Value of a `FactKey::Import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportEnded {
    /// Number of the import; the place it is kept in is its remainder by [`REPORTS_KEPT`].
    pub number: u64,
    /// When it began.
    pub started: Timestamp,
    /// When its last commit was made.
    pub finished: Timestamp,
    /// Devices that are new or changed.
    pub changed: u64,
    /// What it did.
    pub report: ImportReport,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Devices that are new or changed, ascending by id.
    pub devices: Vec<DeviceFact>,
    /// The counters afterwards.
    pub state: TenantState,
    /// What was matched, and how.
    pub report: ImportReport,
}

/// Imports `records` into `devices`, ascending: all of them, or those that the records meet. `state` are the counters when
/// both were read; the result names its `staged` as seen. Records that are gone are matched with nothing and leave their
/// devices.
pub fn import(
    rules: &ImportRules,
    records: &[(RecordKey, StagedRecord)],
    devices: &[DeviceFact],
    state: &TenantState,
    now: Timestamp,
) -> Imported {
    let is_live = |record: &&(RecordKey, StagedRecord)| !record.1.is_gone();
    let gone: BTreeSet<RecordKey> =
        records.iter().filter(|record| !is_live(record)).map(|(key, _)| key.clone()).collect();
    let (ready, placeholders) = ready(rules, records.iter().filter(is_live));
    let stored: Vec<Device> = devices.iter().map(|fact| fact.device.clone()).collect();
    let (plan, rows) = (Plan::new(&rules.matchers), Records::new(&ready));
    let keys = Keys::new(&plan, &rows, &rules.placeholders);
    let sets = phase1(&plan, &rows, &keys, &rules.forbidden);
    let fleet = Devices::new(&stored, &rules.placeholders);
    let of_fleet = Stored { devices: &fleet, keys: &Keys::new(&plan, &fleet, &rules.placeholders) };
    let mut outcome = phase2(&plan, &rows, &keys, &sets, of_fleet, &rules.forbidden);
    let mut report = ImportReport::new(&rules.matchers, &sets, Some(&outcome), &placeholders);
    let cloned = || records.iter().filter(|(_, staged)| staged.identities.is_cloned(staged.effective()));
    report.clones = cloned().count() as u64;
    report.clone_samples = cloned().map(|(_, staged)| staged.number).take(SAMPLES_MAX).collect();
    let next_device = outcome.number_new_devices(state.next_device);
    let changed = updated_devices(&rows, &sets, &stored, &outcome, rules.primary.as_deref());
    let mut changed = without_gone(&gone, &stored, changed);
    changed.retain(|device| {
        let known = stored.binary_search_by_key(&device.id, |known| known.id);
        known.map_or(true, |place| stored[place] != *device)
    });
    let is_changed = !changed.is_empty();
    // Greater than every stamp given before, also when the clock has stepped back.
    let stamp = now.max(state.last_change.plus_ms(1));
    Imported {
        devices: changed.into_iter().map(|device| DeviceFact { device, changed: stamp }).collect(),
        report,
        state: TenantState {
            next_device,
            imported: state.staged,
            devices: state.devices + u64::from(is_changed),
            last_import: Some(now),
            last_change: if is_changed { stamp } else { state.last_change },
            imports: state.imports + 1,
            ..state.clone()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeviceId, Digest};
    use crate::matching::standard_matchers;
    use crate::model::computer::Property;
    use crate::model::inventory::{Details, ReportType};
    use crate::model::package::{Kind, Origin, PackageKey, Stream};

    fn rules() -> ImportRules {
        ImportRules {
            matchers: Matchers::load(standard_matchers(), None).unwrap(),
            placeholders: Placeholders::default(),
            forbidden: Forbidden::default(),
            primary: Some("agent".into()),
        }
    }

    fn record(number: u64, effective: i64, values: &[(Property, &str)]) -> (RecordKey, StagedRecord) {
        let origin = Origin(format!("agent-{number}").into());
        let mut staged = StagedRecord::new(number);
        staged.stage(StagedReport {
            stream: Stream::new(Kind::Inventories, "root", "Full"),
            package: PackageKey { origin, kind: Kind::Inventories, digest: Digest::of(&effective.to_be_bytes()) },
            report_type: ReportType::Full,
            effective: Timestamp(effective),
            values: values.iter().copied().collect(),
            details: Details::default(),
            titles: 0,
        });
        (RecordKey { source: "agent".into(), external_id: format!("agent-{number}").into() }, staged)
    }

    use crate::model::staged::StagedReport;

    /// Imports and stores.
    fn run(
        records: &[(RecordKey, StagedRecord)],
        devices: &mut Vec<DeviceFact>,
        state: &mut TenantState,
        now: i64,
    ) -> Imported {
        let imported = import(&rules(), records, devices, state, Timestamp(now));
        devices.retain(|known| imported.devices.iter().all(|new| new.device.id != known.device.id));
        devices.extend(imported.devices.iter().cloned());
        devices.sort_by_key(|fact| fact.device.id);
        *state = imported.state.clone();
        imported
    }

    #[test]
    fn two_records_of_one_machine_are_one_device_and_a_second_import_changes_nothing() {
        let serial = [(Property::MachineID, "m1"), (Property::ComputerName, "pc")];
        let records =
            [record(1, 5_000, &serial), record(2, 6_000, &serial), record(3, 7_000, &[(Property::UUID, "u")])];
        let (mut devices, mut state) = (vec![], TenantState { staged: 3, ..TenantState::default() });
        let first = run(&records, &mut devices, &mut state, 10);
        assert_eq!((first.report.created, first.report.records, devices.len()), (2, 3, 2));
        assert_eq!(devices[0].device.bindings.iter().map(|binding| binding.matcher).collect::<Vec<_>>(), [Some(30); 2]);
        assert_eq!(devices[1].device.bindings[0].matcher, None);
        assert_eq!((state.imported, state.devices, state.next_device), (3, 1, DeviceId(3)));
        let again = run(&records, &mut devices, &mut state, 20);
        assert_eq!(
            (again.devices, again.report.created, state.devices, state.last_import),
            (vec![], 0, 1, Some(Timestamp(20)))
        );
    }

    #[test]
    fn a_newer_report_changes_its_device_only() {
        let of = |effective, model| record(1, effective, &[(Property::MachineID, "m"), (Property::ModelNo, model)]);
        let other = record(2, 5_000, &[(Property::MachineID, "n")]);
        let (mut devices, mut state) = (vec![], TenantState::default());
        run(&[of(5_000, "a"), other.clone()], &mut devices, &mut state, 10);
        let second = run(&[of(9_000, "b"), other], &mut devices, &mut state, 20);
        let [changed] = &second.devices[..] else { panic!("{second:?}") };
        assert_eq!(
            (changed.device.id, changed.device.inventory_date, changed.changed),
            (DeviceId(1), 9, Timestamp(20))
        );
        assert_eq!(changed.device.values.get(Property::ModelNo).unwrap().0, "b");
        assert_eq!(changed.device.bindings[0].matcher, None, "it was joined to nothing but itself");
    }

    #[test]
    fn changes_are_stamped_in_order_although_the_clock_steps_back() {
        let of = |effective, model| record(1, effective, &[(Property::MachineID, "m"), (Property::ModelNo, model)]);
        let (mut devices, mut state) = (vec![], TenantState::default());
        run(&[of(5_000, "a")], &mut devices, &mut state, 1_000);
        let second = run(&[of(9_000, "b")], &mut devices, &mut state, 10);
        assert_eq!((second.devices[0].changed, state.last_change), (Timestamp(1_001), Timestamp(1_001)));
        run(&[of(9_000, "b")], &mut devices, &mut state, 5_000);
        assert_eq!(state.last_change, Timestamp(1_001), "nothing changed");
    }

    #[test]
    fn a_record_that_is_gone_leaves_its_device_and_the_last_one_ends_it_also_when_only_it_is_read() {
        let serial = [(Property::SerialNo, "S1"), (Property::ComputerName, "pc")];
        let records =
            [record(1, 5_000, &serial), record(2, 6_000, &serial), record(3, 7_000, &[(Property::UUID, "u")])];
        let (mut devices, mut state) = (vec![], TenantState::default());
        run(&records, &mut devices, &mut state, 10);
        let gone = |n: usize| (records[n].0.clone(), StagedRecord::new(records[n].1.number));
        let second = run(&[gone(0), gone(2)], &mut devices, &mut state, 20);
        let shown: Vec<(u64, usize, bool)> = second
            .devices
            .iter()
            .map(|fact| (fact.device.id.0, fact.device.bindings.len(), fact.device.has_ended()))
            .collect();
        assert_eq!((shown, second.report.records), (vec![(1, 1, false), (2, 0, true)], 0));
        assert_eq!(run(&[gone(0), gone(2)], &mut devices, &mut state, 30).devices, []);
        // Listed again it is a new device: a number is never given twice.
        let again = run(&records[2..], &mut devices, &mut state, 40);
        assert_eq!((again.devices[0].device.id, again.report.created), (DeviceId(3), 1));

        let mut held = HeldDevices::new(&rules());
        held.put(&rules(), &[devices[0].device.clone(), devices[1].device.clone(), devices[2].device.clone()]);
        assert_eq!(held.met_by(&rules(), &[gone(1)]), [DeviceId(1)], "it is found by the record that it loses");
    }

    #[test]
    fn an_import_that_was_cut_short_is_put_right_by_the_next() {
        let records: Vec<_> =
            (1..=4).map(|n| record(n, 5_000, &[(Property::MachineID, &*format!("m{}", n % 2))])).collect();
        let (mut devices, mut state) = (vec![], TenantState::default());
        let whole = import(&rules(), &records, &devices, &state, Timestamp(10));
        // Only the first device was committed, with the counter behind it.
        devices.push(whole.devices[0].clone());
        state.next_device = DeviceId(2);
        let second = run(&records, &mut devices, &mut state, 20);
        assert_eq!((second.report.created, devices.len()), (1, 2));
        assert_eq!(devices.iter().map(|fact| fact.device.bindings.len()).collect::<Vec<_>>(), [2, 2]);
    }
}
