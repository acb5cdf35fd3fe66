//! The devices of a server with true contents, beside what its fleet is.
//!
//! At the end of a run the staged records go once more through the deployed import, and the view is built by the deployed
//! `apply`, as a server does that lost it. Machines that share a disk image share a record: nothing is claimed of them but
//! that their records hold the newest that was imported.

use std::collections::{BTreeMap, BTreeSet};

use muster::formats::ndi::read_ndi_gz;
use muster::id::DeviceId;
use muster::matching::{Forbidden, Matchers, Placeholders, standard_matchers};
use muster::model::computer::Property;
use muster::model::device::{DeviceFact, RecordKey};
use muster::model::inventory::Inventory;
use muster::model::package::PackageKey;
use muster::model::software::Title;
use muster::model::staged::{StagedRecord, StagedReport};
use muster::model::tenant::TenantState;
use muster::roles::server::view::key;
use muster::roles::server::{AGENT_SOURCE, ImportRules, KnownTitles, Shown, Staged, apply, import};
use muster::time::Timestamp;
use muster_actors::log::Position;
use muster_actors::store::{MemStore, Store};

use super::Stage;
use super::content::{self, Contents, tenant};
use super::event::PackageId;

/// What the server has on its disk.
pub struct Shelves {
    /// Staged records.
    pub records: Vec<(RecordKey, StagedRecord)>,
    /// Devices of the last import.
    pub devices: Vec<DeviceFact>,
    /// The tenant's counters.
    pub state: TenantState,
    /// Every package with a final state.
    pub packages: BTreeMap<PackageKey, PackageId>,
}

/// As the deployed server imports that has no matchers and no primary source of its own.
pub fn rules() -> ImportRules {
    ImportRules {
        matchers: Matchers::load(standard_matchers(), None).expect("the standard Matchers are read by a test"),
        placeholders: Placeholders::default(),
        forbidden: Forbidden::default(),
        primary: Some(AGENT_SOURCE.into()),
    }
}

/// Compares devices, records and titles with the fleet; `body` reads a package.
pub fn check(
    stage: &mut Stage,
    now: Timestamp,
    contents: &Contents,
    shelves: Shelves,
    body: impl Fn(&PackageKey) -> Result<Vec<u8>, String>,
) {
    let Shelves { records, mut devices, state, packages } = shelves;
    let imported = import(&rules(), &records, &devices, &state, now);
    let all = devices.drain(..).chain(imported.devices).map(|fact| (fact.device.id, fact));
    let mut by_id: BTreeMap<DeviceId, DeviceFact> = all.collect();
    by_id.retain(|_, fact| fact.device.merged_into.is_none());
    let devices: Vec<DeviceFact> = by_id.values().cloned().collect();

    let layout = stage.layout.clone();
    let machines = &layout.machines;
    let bound = devices.iter().flat_map(|DeviceFact { device, .. }| {
        device.bindings.iter().map(|binding| (binding.record.clone(), device.id))
    });
    let bound: BTreeMap<RecordKey, DeviceId> = bound.collect();
    let on_device =
        |(key, staged): &'_ (RecordKey, StagedRecord)| Some((key.clone(), (*bound.get(key)?, staged.clone())));
    let by_record: BTreeMap<RecordKey, (DeviceId, StagedRecord)> = records.iter().filter_map(on_device).collect();
    let mut of_machine: BTreeMap<u32, BTreeSet<DeviceId>> = BTreeMap::new();
    let (mut shared_devices, mut expected_records, mut titles) = (BTreeSet::new(), 0, BTreeSet::new());
    for agent in (0..machines.agents()).filter(|agent| machines.origin_of(*agent) == *agent) {
        let newest = machines.sharers(agent).map(|sharer| (stage.book.newest_imported(sharer), sharer)).max();
        let Some((number, sharer)) = newest.filter(|(number, _)| *number > 0) else { continue };
        expected_records += 1;
        let external_id = content::origin(agent).as_str().into();
        let record = RecordKey { source: AGENT_SOURCE.into(), external_id };
        let Some((device, staged)) = by_record.get(&record) else {
            stage
                .book
                .checks
                .check("I2", false, || format!("agent {agent} was imported, and has no record on a device"));
            continue;
        };
        let held = staged.reports().first().and_then(|report| packages.get(&report.package)).copied();
        let is_newest = held.is_some_and(|held| held.number == number);
        stage.book.checks.check("I8", is_newest, || {
            format!("the record of agent {agent} is of {held:?}, {number} of agent {sharer} is the newest imported")
        });
        titles.extend(held.iter().flat_map(|held| contents.titles(machines.machine_of(held.agent))));
        // Later agents of a machine that once shared an id may be bound to the device of that id's record.
        let machine = machines.machine_of(agent);
        if machines.is_shared(machine) {
            shared_devices.insert(*device);
        } else {
            of_machine.entry(machine).or_default().insert(*device);
        }
    }
    for (record, (device, _)) in by_record.iter().filter(|(record, _)| *record.source != *AGENT_SOURCE) {
        // Whatever a tool tells, it tells of a machine that its agent makes a device of too.
        let Some(machine) = content::machine_of(&record.external_id) else { continue };
        expected_records += 1;
        if machines.is_shared(machine) {
            shared_devices.insert(*device);
        } else {
            of_machine.entry(machine).or_default().insert(*device);
        }
    }
    let checks = &mut stage.book.checks;
    checks.check("I2", records.len() == expected_records, || {
        format!(
            "{} records are staged, {expected_records} agents and machines of other tools were imported",
            records.len()
        )
    });
    for (machine, own) in &of_machine {
        checks.check("I8", own.len() == 1, || format!("machine {machine} is {} devices: {own:?}", own.len()));
    }
    let own: BTreeSet<DeviceId> = of_machine.values().flatten().copied().collect();
    checks.check("I8", own.len() == of_machine.len() && own.is_disjoint(&shared_devices), || {
        format!("{} machines are {} devices, or share one with a copied image", of_machine.len(), own.len())
    });
    // The record of a copied disk moves from one machine's device to the other's, and leaves one that nobody reports.
    let is_left = |fact: &&DeviceFact| {
        let name = fact.device.values.get(Property::ComputerName).and_then(|(name, _)| content::machine_of(name));
        fact.device.bindings.is_empty() && name.is_some_and(|machine| machines.is_shared(machine))
    };
    shared_devices.extend(devices.iter().filter(is_left).map(|fact| fact.device.id));
    let of_fleet: BTreeSet<DeviceId> = own.union(&shared_devices).copied().collect();
    checks.check("I8", devices.len() == of_fleet.len(), || {
        let other = devices.iter().find(|fact| !of_fleet.contains(&fact.device.id)).map(|fact| &fact.device);
        format!("{} devices are there for {} machines; one more is {other:?}", devices.len(), of_fleet.len())
    });
    for (machine, own) in &of_machine {
        let Some(fact) = own.first().and_then(|id| by_id.get(id)) else { continue };
        let value = |property| fact.device.values.get(property).map_or("", |(text, _)| text);
        let (name, system) = (value(Property::ComputerName), value(Property::OperatingSystem));
        let is_it = name == content::name(*machine) && system == contents.system(*machine);
        checks.check("I6", is_it, || format!("machine {machine} is shown as `{name}` with `{system}`"));
        let dates = fact.device.bindings.iter().filter_map(|binding| by_record.get(&binding.record));
        let newest = dates.map(|(_, staged)| staged.effective().0.div_euclid(1_000)).max();
        checks.check("I8", newest == Some(fact.device.inventory_date), || {
            format!(
                "the device of machine {machine} is of {}, its newest record of {newest:?}",
                fact.device.inventory_date
            )
        });
    }
    let body = |record: &RecordKey, report: &StagedReport| match &*record.source {
        AGENT_SOURCE => body(&report.package),
        _ => contents.body_of_other(record, report),
    };
    let shown = show(&devices, &records, body, |record, software| {
        let Some(agent) = record.external_id.strip_prefix("agent-").and_then(|agent| agent.parse().ok()) else {
            return;
        };
        if machines.is_shared(agent) {
            return;
        }
        let machine = machines.machine_of(agent);
        let wanted: BTreeSet<Title> = contents.titles(machine).into_iter().map(content::title).collect();
        let met: BTreeSet<Title> = software.iter().cloned().collect();
        checks.check("I6", met == wanted && software.len() == met.len(), || {
            format!("machine {machine} reported {} titles and has {}", met.len(), wanted.len())
        });
    });
    let wanted = (devices.len(), titles.len());
    checks.check("I6", shown.as_ref().is_ok_and(|shown| *shown == wanted), || {
        format!("the view shows {shown:?} devices and titles, the fleet has {wanted:?}")
    });
    stage.record.shown = shown.ok();
}

/// Builds the view by the deployed writes: how many devices and titles it shows then.
fn show(
    devices: &[DeviceFact],
    records: &[(RecordKey, StagedRecord)],
    body: impl Fn(&RecordKey, &StagedReport) -> Result<Vec<u8>, String>,
    mut see: impl FnMut(&RecordKey, &[Title]),
) -> Result<(usize, usize), String> {
    let store = MemStore::default();
    let mut known = KnownTitles::default();
    let mut write = |shown: Shown<'_>| -> Result<(), String> {
        let rows =
            apply(&tenant(), shown, &mut known, |key: &[u8]| store.get(key)).map_err(|error| error.to_string())?;
        store.apply(rows, Position::default()).map_err(|error| error.to_string())
    };
    devices.iter().try_for_each(|fact| write(Shown::Device(fact)))?;
    for (record, staged) in records {
        for report in staged.software_streams() {
            let (file, _) = read_ndi_gz(&body(record, report)?[..]).map_err(|error| error.to_string())?;
            let software = Inventory::of(&file).map_err(|error| error.to_string())?.software;
            see(record, &software.iter().map(|(title, _)| title.to_title()).collect::<Vec<Title>>());
            let staged = Staged { record: record.clone(), stream: report.stream.clone(), software, evicted: None };
            write(Shown::Software(&staged, &report.package))?;
        }
    }
    let rows =
        |prefix: Vec<u8>| store.scan(&prefix, None, usize::MAX).map(|rows| rows.len()).map_err(|e| e.to_string());
    Ok((rows(key::devices(&tenant()))?, rows(key::all_titles(&tenant()))?))
}
