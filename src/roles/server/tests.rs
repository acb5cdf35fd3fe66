//! The server's core by plain numbers, and packages from their envelope to a device.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::*;
use crate::id::{Digest, Guid, TenantId};
use crate::model::business::{BusinessFile, BusinessHead, BusinessKey, BusinessKind, SOURCES_MAX};
use crate::model::device::RecordKey;
use crate::model::discovery::Discoveries;
use crate::model::draft::Draft;
use crate::model::fact::{FactKey, FactKind};
use crate::model::inventory::Inventory;
use crate::model::package::{Envelope, Hop, Kind, Origin, Sequence, Stream};
use crate::model::settlement::{ClockFlag, FinalState, Settlement};
use crate::model::staged::StagedRecord;
use crate::model::stored;
use crate::model::task::{TaskType, Trigger};
use crate::model::tenant::TenantState;
use crate::model::usage_periods::UsagePeriods;
use crate::rng::RngStream;
use crate::roles::{Core, IntentNumber, Intents};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use crate::upload::ledger::{Counts, StreamLedger};

const START: Timestamp = Timestamp(1_750_000_000_000);

fn own() -> TenantId {
    TenantId::default_tenant()
}

fn settings(import_on_arrival: bool) -> ServerSettings {
    ServerSettings {
        loaders: 2,
        schedules: vec![(TaskType::InventoryImport, Trigger::every(DAY_MS))],
        zone: TimeZone::UTC,
        import_on_arrival,
        exports: BTreeSet::from([own()]),
        missing_after_ms: DAY_MS,
    }
}

struct World {
    core: ServerCore,
    intents: Intents<ServerIntent>,
    now: Timestamp,
}

impl World {
    fn new(on_arrival: bool, waiting: std::ops::Range<u64>, state: TenantState) -> World {
        World::with(settings(on_arrival), waiting, state)
    }

    fn with(settings: ServerSettings, waiting: std::ops::Range<u64>, state: TenantState) -> World {
        let durable = ServerDurable {
            settings: Arc::new(settings),
            waiting: waiting.map(PackageNumber).collect(),
            states: BTreeMap::from([(own(), state)]),
            submitted: BTreeMap::new(),
        };
        let core = ServerCore::recover(durable, RngStream::new(1, 1, 0), START);
        World { core, intents: Intents::default(), now: START }
    }

    /// Wakes the core whenever it wants to, for `ms`; what it wanted, with the milliseconds since the start.
    fn pass(&mut self, ms: i64) -> Vec<(i64, IntentNumber, ServerIntent)> {
        let (end, mut wanted) = (self.now.plus_ms(ms), Vec::new());
        loop {
            // Policy and gaps are looked at each minute, whatever else there is to do.
            let is_task =
                |intent: &ServerIntent| !matches!(intent, ServerIntent::RenewPolicy | ServerIntent::LookAtGaps);
            let of_tasks = self.intents.take().into_iter().filter(|(_, intent)| is_task(intent));
            wanted.extend(of_tasks.map(|(n, intent)| (self.now.0 - START.0, n, intent)));
            let due = self.core.next_due();
            if due > end {
                self.now = end;
                return wanted;
            }
            self.now = due.max(self.now);
            self.core.wake(self.now, &mut self.intents);
        }
    }

    fn import_plan(&self) -> ImportPlan {
        let [(_, plan)] = self.core.import_plans().collect::<Vec<_>>()[..] else { panic!("one tenant") };
        plan
    }

    fn tell(&mut self, input: ServerInput) -> Vec<(i64, IntentNumber, ServerIntent)> {
        self.core.on(self.now, input, &mut self.intents);
        self.pass(0)
    }

    fn loaded(
        &mut self,
        intent: IntentNumber,
        packages: &[u64],
        outcome: LoadOutcome,
        state: Option<TenantState>,
    ) -> Vec<(i64, IntentNumber, ServerIntent)> {
        let packages = packages.iter().map(|&n| Loaded { package: PackageNumber(n), outcome }).collect();
        self.tell(ServerInput::Loaded {
            intent,
            packages,
            states: state.map(|state| (own(), state)).into_iter().collect(),
        })
    }
}

fn only(wanted: Vec<(i64, IntentNumber, ServerIntent)>) -> (IntentNumber, ServerIntent) {
    let [(_, number, intent)] = &wanted[..] else { panic!("{wanted:?}") };
    (*number, intent.clone())
}

fn numbers(range: std::ops::Range<u64>) -> ServerIntent {
    ServerIntent::Load(range.map(PackageNumber).collect())
}

#[test]
fn gaps_are_looked_at_each_minute_and_sooner_where_the_limit_is_shorter() {
    for (missing_after_ms, every_ms) in [(DAY_MS, MINUTE_MS), (5_000, 5_000), (1, 1_000)] {
        let settings = ServerSettings { missing_after_ms, ..settings(true) };
        let mut world = World::with(settings, 0..0, TenantState::default());
        let mut looks = Vec::new();
        while looks.len() < 3 {
            let now = world.core.next_due();
            world.core.wake(now, &mut world.intents);
            let looked = world.intents.take().into_iter().any(|(_, intent)| intent == ServerIntent::LookAtGaps);
            looks.extend(looked.then_some(now.0 - START.0));
        }
        assert_eq!(looks, [0, every_ms, 2 * every_ms]);
    }
}

#[test]
fn held_packages_are_loaded_oldest_first_a_few_batches_at_a_time() {
    let mut world = World::new(true, 0..100, TenantState::default());
    let wanted = world.pass(0);
    assert_eq!(wanted.iter().map(|(.., intent)| intent.clone()).collect::<Vec<_>>(), [numbers(0..32), numbers(32..64)]);
    assert_eq!(world.pass(10_000), [], "two at a time");
    let first: Vec<u64> = (0..32).collect();
    let next = only(world.loaded(wanted[0].1, &first, LoadOutcome::Settled, None));
    assert_eq!(next.1, numbers(64..96));
    assert_eq!(world.core.unsettled(), 68);
}

#[test]
fn what_could_not_be_loaded_is_tried_again_a_second_later_and_what_nobody_reads_waits() {
    let mut world = World::new(true, 0..2, TenantState::default());
    let (intent, _) = only(world.pass(0));
    // The answer does not name package 0: the loader died over it.
    assert_eq!(world.loaded(intent, &[1], LoadOutcome::NoReader, None), []);
    assert_eq!(world.pass(999), []);
    let (intent, again) = only(world.pass(1));
    assert_eq!(again, numbers(0..1));
    assert_eq!(world.loaded(intent, &[0], LoadOutcome::Settled, None), []);
    assert_eq!(world.core.unsettled(), 1);
    let swept: Vec<_> = world.pass(2 * HOUR_MS).into_iter().map(|(.., intent)| intent).collect();
    assert_eq!(swept, [ServerIntent::Sweep, numbers(1..2)], "looked at again with the daily sweep");
}

#[test]
fn an_answer_to_an_earlier_life_is_not_heard() {
    let mut world = World::new(true, 0..1, TenantState::default());
    world.pass(0);
    world.loaded(IntentNumber(99), &[0], LoadOutcome::Settled, None);
    assert_eq!(world.core.unsettled(), 1);
}

#[test]
fn tasks_follow_each_other_and_end_when_nothing_changed() {
    let mut world = World::new(true, 0..1, TenantState::default());
    let (intent, _) = only(world.pass(0));
    let mut state = TenantState { staged: 1, ..TenantState::default() };
    let (intent, task) = only(world.loaded(intent, &[0], LoadOutcome::Settled, Some(state.clone())));
    assert_eq!(
        (task, world.core.running(&own()).collect::<Vec<_>>()),
        (ServerIntent::Run(own(), Task::Import, None), vec![Task::Import])
    );
    (state.imported, state.devices, state.last_import) = (1, 1, Some(world.now));
    let (intent, task) = only(world.tell(ServerInput::Ended { intent, state: Some(state.clone()) }));
    assert_eq!(task, ServerIntent::Run(own(), Task::Reconcile, None));
    state.reconciled = 1;
    let (intent, task) = only(world.tell(ServerInput::Ended { intent, state: Some(state.clone()) }));
    assert_eq!(task, ServerIntent::Run(own(), Task::Export, None));
    state.exported = 1;
    assert_eq!(world.tell(ServerInput::Ended { intent, state: Some(state) }), []);
    assert_eq!(world.pass(MINUTE_MS), []);
}

#[test]
fn a_deployed_server_imports_the_first_report_at_once_and_then_once_a_day() {
    let mut world = World::new(false, 0..0, TenantState::default());
    let (load, _) = only(world.tell(ServerInput::Arrived(vec![PackageNumber(0)])));
    let state = |staged, imported, last| TenantState { staged, imported, last_import: last, ..TenantState::default() };
    let (import, task) = only(world.loaded(load, &[0], LoadOutcome::Settled, Some(state(1, 0, None))));
    assert_eq!(task, ServerIntent::Run(own(), Task::Import, None));
    let first = Some(world.now);
    assert_eq!(world.tell(ServerInput::Ended { intent: import, state: Some(state(1, 1, first)) }), []);
    assert_eq!(world.import_plan(), ImportPlan::default());
    let (load, _) = only(world.tell(ServerInput::Arrived(vec![PackageNumber(1)])));
    assert_eq!(world.loaded(load, &[1], LoadOutcome::Settled, Some(state(2, 1, first))), []);
    // Whoever looks for the second machine is told when it comes.
    let plan = ImportPlan { waiting: 1, due: first.map(|first| first.plus_ms(DAY_MS)) };
    assert_eq!(world.import_plan(), plan);
    let wanted = world.pass(DAY_MS);
    assert_eq!(imports(&wanted), [DAY_MS]);
}

#[test]
fn tasks_are_submitted_at_their_times_and_what_was_missed_is_made_up_for_once() {
    // 2025-06-15T15:06:40Z, a Sunday.
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let daily = |at| Trigger::parse(at).unwrap();
    let sunday = daily("03:00").on(1 << 6).unwrap();
    let schedules = vec![
        (TaskType::InventoryImport, daily("00:00")),
        (TaskType::SpoolMaintenance, daily("04:00")),
        (TaskType::DataWarehouseUpdate, sunday),
        (TaskType::ServiceNowExport, sunday),
    ];
    let settings = ServerSettings { schedules, zone: berlin, ..settings(false) };
    let at = |text: &str| Timestamp::from_rfc3339(text).unwrap();
    // It was down for three nights.
    let submitted = BTreeMap::from([((TaskType::SpoolMaintenance, None), at("2025-06-12T02:00:00Z"))]);
    let durable = ServerDurable {
        settings: Arc::new(settings),
        waiting: Vec::new(),
        states: BTreeMap::from([(own(), TenantState::default())]),
        submitted,
    };
    let mut core = ServerCore::recover(durable, RngStream::new(1, 1, 0), START);
    let (mut now, mut out, mut told) = (START, Intents::default(), Vec::new());
    while now < START.plus_ms(8 * DAY_MS) {
        core.wake(now, &mut out);
        for (intent, wanted) in out.take() {
            match wanted {
                ServerIntent::Submit(_, task, due) => told.push((task, due.to_rfc3339(), now.ms_since(due) / 1_000)),
                ServerIntent::Run(_, task, due) => {
                    let task =
                        if task == Task::Import { TaskType::InventoryImport } else { TaskType::ServiceNowExport };
                    told.push((task, due.unwrap().to_rfc3339(), 0));
                    core.on(now, ServerInput::Ended { intent, state: Some(TenantState::default()) }, &mut out);
                }
                _ => {}
            }
        }
        now = core.next_due().max(now.plus_ms(1));
    }
    let of = |task: TaskType| told.iter().filter(move |(of, ..)| *of == task).collect::<Vec<_>>();
    let spool = of(TaskType::SpoolMaintenance);
    assert_eq!((&*spool[0].1, spool[0].2 > 100_000), ("2025-06-13T02:00:00.000Z", true), "late, and once");
    assert_eq!((&*spool[1].1, spool[1].2, spool.len()), ("2025-06-16T02:00:00.000Z", 0, 9));
    let imports = of(TaskType::InventoryImport);
    assert_eq!((&*imports[0].1, imports.len()), ("2025-06-15T22:00:00.000Z", 8), "midnight in Berlin");
    for task in [TaskType::DataWarehouseUpdate, TaskType::ServiceNowExport] {
        let [(_, due, 0)] = of(task)[..] else { panic!("{told:?}") };
        assert_eq!(due, "2025-06-22T01:00:00.000Z");
    }
}

#[test]
fn a_scheduled_import_that_fails_is_tried_again_before_the_next_day() {
    let mut world = World::new(false, 0..0, TenantState { last_import: Some(START), ..TenantState::default() });
    let wanted = world.pass(DAY_MS);
    let import =
        wanted.iter().find(|(.., intent)| matches!(intent, ServerIntent::Run(_, Task::Import, Some(_)))).unwrap();
    world.tell(ServerInput::Ended { intent: import.1, state: None });
    assert_eq!(imports(&world.pass(MINUTE_MS)), [DAY_MS + 10_000]);
}

#[test]
fn a_task_that_fails_waits_longer_each_time_and_does_not_stop_the_loading() {
    let state = TenantState { devices: 1, reconciled: 1, ..TenantState::default() };
    let mut world = World::new(true, 0..0, state.clone());
    // The reconcile of the start is over.
    world.now = START.plus_ms(10_000);
    world.core.wake(world.now, &mut world.intents);
    let (reconcile, _) = only(world.pass(0));
    let input = ServerInput::Ended { intent: reconcile, state: Some(state) };
    world.core.on(world.now, input, &mut world.intents);
    let (mut intent, _) = only(world.pass(0));
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(world.tell(ServerInput::Ended { intent, state: None }), []);
        let told = world.now.ms_since(START);
        // The daily sweep may be among them.
        let wanted = world.pass(30 * MINUTE_MS);
        let is_export = |intent: &ServerIntent| *intent == ServerIntent::Run(own(), Task::Export, None);
        let (at, number, _) = wanted.into_iter().find(|(.., intent)| is_export(intent)).unwrap();
        waits.push((at - told) / 1_000);
        intent = number;
        assert!(world.core.running(&own()).all(|task| task == Task::Export));
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_280, 1_800]);
    assert_eq!(only(world.tell(ServerInput::Arrived(vec![PackageNumber(9)]))).1, numbers(9..10));
}

#[test]
fn a_start_goes_on_where_the_log_stands() {
    let state = TenantState { staged: 5, imported: 5, devices: 2, reconciled: 1, ..TenantState::default() };
    let mut world = World::new(false, 0..0, state.clone());
    assert_eq!(only(world.pass(0)).1, ServerIntent::Run(own(), Task::Reconcile, None));
    let mut world = World::new(true, 0..0, TenantState { imported: 4, reconciled: 2, exported: 2, ..state });
    assert_eq!(only(world.pass(0)).1, ServerIntent::Run(own(), Task::Import, None));
    let last_import = Some(START.plus_ms(99 * DAY_MS));
    let state = TenantState { staged: 5, imported: 4, last_import, ..TenantState::default() };
    let mut ahead = World::new(false, 0..0, state);
    assert_eq!(imports(&ahead.pass(DAY_MS)), [DAY_MS]);
}

#[test]
fn import_and_reconcile_take_turns_and_an_export_that_hangs_stops_neither() {
    let mut state = TenantState { staged: 2, imported: 1, devices: 1, reconciled: 1, ..TenantState::default() };
    let mut world = World::new(true, 0..0, state.clone());
    let wanted = world.pass(0);
    let tasks: Vec<_> = wanted.iter().map(|(.., intent)| intent.clone()).collect();
    assert_eq!(tasks, [ServerIntent::Run(own(), Task::Import, None), ServerIntent::Run(own(), Task::Export, None)]);
    // More was staged while the import ran: the reconcile goes first all the same.
    let mut intent = wanted[0].1;
    for turn in 1..6 {
        (state.staged, state.imported, state.devices) = (2 + turn, 1 + turn, 1 + turn);
        state.last_import = Some(world.now);
        let (reconcile, task) = only(world.tell(ServerInput::Ended { intent, state: Some(state.clone()) }));
        assert_eq!(task, ServerIntent::Run(own(), Task::Reconcile, None));
        state.reconciled = state.devices;
        let (import, task) = only(world.tell(ServerInput::Ended { intent: reconcile, state: Some(state.clone()) }));
        assert_eq!(task, ServerIntent::Run(own(), Task::Import, None));
        intent = import;
    }
}

#[test]
fn licences_are_looked_at_again_although_no_device_changes() {
    let state = TenantState { devices: 1, reconciled: 1, exported: 1, ..TenantState::default() };
    let mut world = World::new(false, 0..0, state.clone());
    let runs = |wanted: Vec<(i64, IntentNumber, ServerIntent)>| -> Vec<(i64, IntentNumber)> {
        let is_reconcile = |intent: &ServerIntent| matches!(intent, ServerIntent::Run(_, Task::Reconcile, _));
        let of_tasks = wanted.into_iter().filter(|(.., intent)| is_reconcile(intent));
        of_tasks.map(|(at, number, _)| (at, number)).collect()
    };
    let [(2_000, first)] = runs(world.pass(DAY_MS))[..] else { panic!("not at the start") };
    let (import, task) = only(world.tell(ServerInput::Ended { intent: first, state: Some(state.clone()) }));
    assert!(matches!(task, ServerIntent::Run(_, Task::Import, Some(_))), "its time has come meanwhile");
    world.tell(ServerInput::Ended { intent: import, state: Some(state) });
    let [(again, _)] = runs(world.pass(2 * DAY_MS - 1))[..] else { panic!("not once a day") };
    assert_eq!(again, 2 * DAY_MS);
}

#[test]
fn tables_of_licences_are_followed_by_one_reconcile_when_the_last_of_them_has_come() {
    let state = TenantState { imported: 1, staged: 1, last_import: Some(START), ..TenantState::default() };
    let mut world = World::new(true, 0..0, state.clone());
    assert!(world.pass(MINUTE_MS).iter().all(|(.., intent)| !matches!(intent, ServerIntent::Run(..))));
    let tables = |terms| TenantState { terms, ..state.clone() };
    world.tell(ServerInput::Counted(own(), tables(1)));
    assert_eq!(world.pass(9_000), []);
    world.tell(ServerInput::Counted(own(), tables(2)));
    let told = world.now.ms_since(START);
    let (at, reconcile, task) =
        world.pass(MINUTE_MS).into_iter().find(|(.., intent)| matches!(intent, ServerIntent::Run(..))).unwrap();
    assert_eq!((at - told, task), (10_000, ServerIntent::Run(own(), Task::Reconcile, None)));
    // One that follows the other does not put it off for ever.
    let mut other = World::new(true, 0..0, state.clone());
    let begun = (1..60).find(|terms| {
        other.tell(ServerInput::Counted(own(), tables(*terms)));
        other.pass(9_000).iter().any(|(.., intent)| matches!(intent, ServerIntent::Run(_, Task::Reconcile, _)))
    });
    assert_eq!(begun, Some(14), "two minutes after the first");
    // A third came while it ran.
    world.tell(ServerInput::Counted(own(), tables(3)));
    let ended = TenantState { terms_reconciled: 2, ..tables(3) };
    world.tell(ServerInput::Ended { intent: reconcile, state: Some(ended.clone()) });
    let again = world.pass(MINUTE_MS);
    let (_, reconcile, _) = again.iter().find(|(.., intent)| matches!(intent, ServerIntent::Run(..))).unwrap();
    world.tell(ServerInput::Ended { intent: *reconcile, state: Some(TenantState { terms_reconciled: 3, ..ended }) });
    assert!(
        world
            .pass(60 * MINUTE_MS)
            .iter()
            .all(|(.., intent)| !matches!(intent, ServerIntent::Run(_, Task::Reconcile, _)))
    );
}

#[test]
fn a_clock_set_back_by_a_year_delays_nothing_by_a_year() {
    let mut world = World::new(false, 0..0, TenantState { devices: 1, ..TenantState::default() });
    let (reconcile, _) = only(world.pass(0));
    world.now = START.plus_ms(-365 * DAY_MS);
    let state =
        TenantState { devices: 1, reconciled: 1, staged: 1, last_import: Some(START), ..TenantState::default() };
    assert_eq!(world.tell(ServerInput::Ended { intent: reconcile, state: Some(state) }), []);
    assert_eq!(imports(&world.pass(DAY_MS)).len(), 1);
}

// Settlement.

#[derive(Default)]
struct Facts(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Facts {
    fn settle(&self, envelope: &Envelope, content: Content) -> Option<Ended> {
        self.settle_at(envelope, content, START.plus_ms(9))
    }

    fn settle_at(&self, envelope: &Envelope, content: Content, now: Timestamp) -> Option<Ended> {
        let look = |key: &[u8]| Ok::<_, ()>(self.0.borrow().get(key).cloned());
        let mut draft = Draft::new(look);
        let ended = settle(&mut draft, &tenant(), envelope.clone(), content, now).unwrap();
        let writes: Vec<_> = draft.into_writes().collect();
        for (key, value) in writes {
            match value {
                Some(value) => drop(self.0.borrow_mut().insert(key, value)),
                None => drop(self.0.borrow_mut().remove(&key)),
            }
        }
        ended
    }

    fn get<T: serde::de::DeserializeOwned>(&self, key: &FactKey) -> Option<T> {
        self.0.borrow().get(&key.encode()).map(|value| stored::unpack(value).unwrap())
    }

    fn settlement(&self, envelope: &Envelope) -> Settlement {
        self.get(&FactKey::Package(tenant(), envelope.key())).unwrap()
    }

    fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for (_, value) in self.0.borrow().iter().filter(|(key, _)| key[0] == FactKind::Ledger as u8) {
            all.add(stored::unpack::<StreamLedger>(value).unwrap().counts());
        }
        all
    }

    fn records(&self) -> Vec<StagedRecord> {
        let facts = self.0.borrow();
        let records = facts.iter().filter(|(key, _)| key[0] == FactKind::Record as u8);
        records.map(|(_, value)| stored::unpack(value).unwrap()).collect()
    }
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn package(origin: &str, number: u64, collected: i64) -> Envelope {
    Envelope {
        origin: Origin(origin.into()),
        kind: Kind::Inventories,
        stream: Some(Stream::new(Kind::Inventories, "root", "Full")),
        file_name: "x.ndi.gz".into(),
        size: 1,
        digest: Digest::of(format!("{origin} {number} {collected}").as_bytes()),
        sequence: (number > 0).then_some(Sequence { epoch: 7, number }),
        collected_at: Some(START.plus_ms(collected)),
        first_received: START,
        unproven: true,
        hops: vec![Hop { node: Guid::NIL, received: START }],
    }
}

fn content(machine: &str, model: &str) -> Content {
    let xml = format!(
        r#"<Inventory Tracker="1" Audience="Machine" Scope="{machine}.lab" MachineName="{machine}" UserName="root"
            DateTime="20250314T031522" Type="Full"><Hardware Class="MGS_ComputerSystem" Name="x">
            <Property Name="Model" Value="{model}"/></Hardware>
            <Software><Package Name="bash" Version="5" Evidence="deb"/></Software></Inventory>"#
    );
    let (file, _) = crate::formats::ndi::read_ndi(xml.as_bytes()).unwrap();
    Content::Inventory(Box::new(Inventory::of(&file).unwrap()))
}

fn model_of(record: &StagedRecord) -> String {
    let key = crate::model::device::RecordKey { source: "agent".into(), external_id: "x".into() };
    record.computer(&key).values.get(crate::model::computer::Property::ModelNo).unwrap().to_owned()
}

#[test]
fn a_package_is_imported_once_and_its_settlement_names_its_way() {
    let facts = Facts::default();
    let first = package("a", 1, -50);
    let ended = facts.settle(&first, content("pc", "m1")).unwrap();
    assert_eq!(ended.state, FinalState::Imported);
    assert_eq!(ended.staged.unwrap().software.len(), 1);
    assert_eq!(facts.settle(&first, content("pc", "m1")), None);
    let settlement = facts.settlement(&first);
    assert_eq!((settlement.state, settlement.reason, settlement.clock), (FinalState::Imported, None, None));
    assert_eq!((settlement.envelope, settlement.settled), (first, START.plus_ms(9)));
    assert_eq!(facts.counts(), Counts { imported: 1, ..Counts::default() });
    let state: TenantState = facts.get(&FactKey::Tenant(tenant())).unwrap();
    assert_eq!((state.staged, state.next_record), (1, 2));
}

#[test]
fn inventory_of_another_tool_is_staged_under_its_source_which_is_never_that_of_agents() {
    let facts = Facts::default();
    let of = |number: u64, source: &str| Envelope {
        kind: Kind::IntermediateData,
        stream: Some(Stream::new(Kind::IntermediateData, source, "Full")),
        ..package(&format!("anon/x/{number}.ndi.gz"), 0, -50)
    };
    let mut sources = Vec::new();
    for (number, source) in [(1, "scanner"), (2, "")] {
        let ended = facts.settle(&of(number, source), content("PC", "m")).unwrap();
        let record = ended.staged.unwrap().record;
        assert_eq!(&*record.external_id, "pc.lab");
        sources.push(record.source.to_string());
    }
    assert_eq!(sources, ["scanner", "third-party"]);
    for (number, source) in [(3, "agent"), (4, "AGENT"), (5, "a;b"), (6, " x")] {
        let refused = of(number, source);
        assert_eq!(facts.settle(&refused, content("pc", "m")).unwrap().state, FinalState::Quarantined, "{source}");
        assert!(facts.settlement(&refused).reason.unwrap().contains("source"));
    }
}

#[test]
fn an_older_package_is_history_and_a_bad_one_is_set_aside_with_its_reason() {
    let facts = Facts::default();
    facts.settle(&package("a", 3, -10), content("pc", "new"));
    assert_eq!(facts.settle(&package("a", 2, -20), content("pc", "old")).unwrap().state, FinalState::Stale);
    let bad = package("a", 4, 0);
    assert_eq!(facts.settle(&bad, Content::Bad("no gzip".into())).unwrap().state, FinalState::Quarantined);
    assert_eq!(facts.settlement(&bad).reason.as_deref(), Some("no gzip"));
    let reused = Envelope { digest: Digest::of(b"another"), ..package("a", 3, -10) };
    assert_eq!(facts.settle(&reused, content("pc", "clone")).unwrap().state, FinalState::Quarantined);
    let old = Envelope { first_received: START.plus_ms(-31 * DAY_MS), ..package("a", 9, -31 * DAY_MS) };
    assert_eq!(facts.settle(&old, content("pc", "m")).unwrap().state, FinalState::Expired);
    let [record] = &facts.records()[..] else { panic!() };
    assert_eq!(model_of(record), "new");
    assert_eq!(facts.counts(), Counts { imported: 1, stale: 1, quarantined: 2, expired: 1, duplicate_deliveries: 0 });
}

#[test]
fn files_of_senders_without_identity_meet_in_one_record_whose_newest_report_wins() {
    let facts = Facts::default();
    let file = |name: &str, collected| Envelope { sequence: None, ..package(&format!("anon/n/{name}"), 0, collected) };
    assert_eq!(facts.settle(&file("2", -10), content("pc", "new")).unwrap().state, FinalState::Imported);
    assert_eq!(facts.settle(&file("1", -20), content("PC", "old")).unwrap().state, FinalState::Stale);
    assert_eq!(facts.settle(&file("3", -20), content("other", "x")).unwrap().state, FinalState::Imported);
    let models: Vec<_> = facts.records().iter().map(model_of).collect();
    assert_eq!(models, ["new", "x"]);
}

#[test]
fn the_date_in_the_file_counts_when_the_sender_names_none_and_a_clock_ahead_locks_nothing() {
    let facts = Facts::default();
    let silent = Envelope { collected_at: None, sequence: None, ..package("anon/n/1", 0, 0) };
    facts.settle(&silent, content("pc", "m"));
    assert_eq!(facts.records()[0].effective(), Timestamp::from_stamp("20250314T031522").unwrap());
    assert_eq!(facts.settlement(&silent).envelope.collected_at, None, "an envelope is not changed");
    let ahead = package("b", 1, DAY_MS);
    facts.settle(&ahead, content("other", "ahead"));
    assert_eq!(facts.settlement(&ahead).clock, Some(ClockFlag::ClockAhead));
    let later = Envelope { first_received: START.plus_ms(5), ..package("b", 2, 4) };
    assert_eq!(facts.settle(&later, content("other", "true")).unwrap().state, FinalState::Imported);
}

#[test]
fn a_report_that_a_beacon_of_another_year_took_counts_from_no_time_that_has_not_come() {
    let facts = Facts::default();
    let ahead = Envelope { first_received: START.plus_ms(3_650 * DAY_MS), ..package("a", 1, 3_650 * DAY_MS) };
    facts.settle(&ahead, content("pc", "old"));
    assert!(facts.records()[0].effective() <= START.plus_ms(HOUR_MS));
    let right = Envelope { first_received: START.plus_ms(2 * DAY_MS), ..package("a", 2, 2 * DAY_MS) };
    facts.settle_at(&right, content("pc", "new"), START.plus_ms(2 * DAY_MS));
    assert_eq!(facts.records()[0].effective(), START.plus_ms(2 * DAY_MS));
}

// Usage and discovery.

fn usage_package(number: u64, collected: i64) -> Envelope {
    let stream = Some(Stream::new(Kind::UsageData, "root", "Session"));
    Envelope { kind: Kind::UsageData, stream, file_name: "x.mmi.gz".into(), ..package("a", number, collected) }
}

/// A usage file of one session that began so many hours before [`START`].
fn usage(hours: i64, runs: u32) -> Content {
    let xml = format!(
        r#"<USAGE VERSION="1.00" USAGEAGENT="1"><MD NAME="pc" DOMAIN="lab"><USAGE USER="kim" TYPE="Session"
            STARTDATE="{}" GUID="{}">
            <APPUSAGE NAME="bash" VERSION="5" RUNS="{runs}" RUNTIME="60"/></USAGE></MD></USAGE>"#,
        START.plus_ms(-hours * HOUR_MS).to_stamp(),
        Guid::from_random([hours as u8; 16]),
    );
    Content::Usage(Box::new(crate::formats::mmi::read_mmi(xml.as_bytes()).unwrap().0))
}

fn found_package(origin: &str, number: u64, collected: i64) -> Envelope {
    let stream = Some(Stream::new(Kind::Discovery, "root", "Agent"));
    Envelope { kind: Kind::Discovery, stream, file_name: "x.disco".into(), ..package(origin, number, collected) }
}

/// A discovery file of `machine` that knows one service.
fn found(source: &str, machine: &str, service: &str) -> Content {
    let xml = format!(
        r#"<Discovery Version="1" Source="{source}" MachineName="{machine}" DateTime="20250314T031530">
            <Device Name="pc" Domain="lab"><Service Type="PostgreSQL" Name="{service}"/></Device>
            <Device Name="other"/></Discovery>"#
    );
    Content::Discovery(Box::new(crate::formats::disco::Disco::read(xml.as_bytes()).unwrap().0))
}

fn beside(external_id: &str) -> RecordKey {
    RecordKey { source: AGENT_SOURCE.into(), external_id: external_id.into() }
}

impl Facts {
    /// Runs of the periods that are staged of agent `a`, ascending.
    fn runs(&self) -> Vec<u64> {
        let periods: UsagePeriods = self.get(&FactKey::Usage(tenant(), beside("a"))).unwrap_or_default();
        let mut runs: Vec<u64> = periods.iter().map(|(_, period)| period.rows()[0].1.runs).collect();
        runs.sort();
        runs
    }

    /// Names of the services that were found of this record.
    fn services(&self, external_id: &str) -> Vec<String> {
        let found: Discoveries = self.get(&FactKey::Discovery(tenant(), beside(external_id))).unwrap_or_default();
        found.iter().flat_map(|one| one.services.iter().map(|service| service.name.clone())).collect()
    }
}

#[test]
fn every_usage_file_of_a_stream_counts_once_in_whatever_order_they_arrive() {
    let files = [(1, 30, 3), (2, 20, 5), (3, 10, 7)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let facts = Facts::default();
        for (number, hours, runs) in order.map(|at| files[at]) {
            let envelope = usage_package(number, -hours * HOUR_MS);
            assert_eq!(facts.settle(&envelope, usage(hours, runs)).unwrap().state, FinalState::Imported);
            assert_eq!(facts.settle(&envelope, usage(hours, runs)), None);
            let settlement = facts.settlement(&envelope);
            assert_eq!((settlement.reason, settlement.record), (None, Some(beside("a"))));
        }
        assert_eq!(facts.runs(), [3, 5, 7], "{order:?}");
        assert_eq!(facts.counts(), Counts { imported: 3, ..Counts::default() });
        // One that came late is not the newest because of it.
        let stream = usage_package(1, 0).stream.unwrap();
        let ledger: StreamLedger = facts.get(&FactKey::Ledger(tenant(), Origin("a".into()), stream)).unwrap();
        assert_eq!(ledger.newest().unwrap().sequence.unwrap().number, 3);
        assert_eq!((facts.records().len(), facts.get::<TenantState>(&FactKey::Tenant(tenant()))), (0, None));
    }
}

#[test]
fn a_period_told_again_replaces_and_one_that_has_no_place_is_history_with_its_reason() {
    let facts = Facts::default();
    facts.settle(&usage_package(1, -9), usage(10, 3));
    assert_eq!(facts.settle(&usage_package(3, -7), usage(10, 5)).unwrap().state, FinalState::Imported);
    assert_eq!(facts.runs(), [5], "replaced, not added");
    assert_eq!(facts.settle(&usage_package(2, -8), usage(10, 4)).unwrap().state, FinalState::Stale);
    assert!(facts.settlement(&usage_package(2, -8)).reason.unwrap().starts_with("1 of its 1 periods"));
    assert_eq!(facts.runs(), [5]);
    // Longer ago than 13 weeks.
    assert_eq!(facts.settle(&usage_package(4, -6), usage(24 * 92, 1)).unwrap().state, FinalState::Stale);
    let bad = facts.settle(&usage_package(6, -5), Content::Bad("no gzip".into())).unwrap();
    assert_eq!((bad.state, bad.staged, facts.runs()), (FinalState::Quarantined, None, vec![5]));
    let old = Envelope { first_received: START.plus_ms(-31 * DAY_MS), ..usage_package(7, -31 * DAY_MS) };
    assert_eq!(facts.settle(&old, usage(24 * 31, 1)).unwrap().state, FinalState::Expired);
}

#[test]
fn use_that_a_clock_ahead_dated_is_taken_and_flagged_and_takes_no_place_of_what_comes_later() {
    let year = 365 * 24;
    let facts = Facts::default();
    let ahead = usage_package(1, year * HOUR_MS);
    assert_eq!(facts.settle(&ahead, usage(-year + 8, 3)).unwrap().state, FinalState::Imported);
    let settlement = facts.settlement(&ahead);
    assert_eq!((settlement.clock, settlement.record), (Some(ClockFlag::ClockAhead), Some(beside("a"))));
    assert!(settlement.reason.unwrap().starts_with("1 of its 1 periods were dated by a wrong clock"));
    // The clock was set right before it was reported.
    let corrected = usage_package(2, -1);
    assert_eq!(facts.settle(&corrected, usage(-50, 5)).unwrap().state, FinalState::Imported);
    assert_eq!(facts.settlement(&corrected).clock, Some(ClockFlag::ClockBad));
    let right = usage_package(3, 0);
    assert_eq!(facts.settle(&right, usage(8, 7)).unwrap().state, FinalState::Imported);
    assert_eq!((facts.settlement(&right).clock, facts.settlement(&right).reason), (None, None));
    assert_eq!(facts.runs(), [3, 5, 7]);
    let periods: UsagePeriods = facts.get(&FactKey::Usage(tenant(), beside("a"))).unwrap();
    assert!(periods.iter().all(|(_, period)| period.start <= START && START.ms_since(period.start) <= DAY_MS));
}

#[test]
fn use_whose_file_is_dated_long_before_it_counts_when_it_was() {
    let facts = Facts::default();
    let sent = Envelope { first_received: START, ..usage_package(1, -500 * 24 * HOUR_MS) };
    assert_eq!(facts.settle(&sent, usage(24 * 7, 3)).unwrap().state, FinalState::Imported);
    let periods: UsagePeriods = facts.get(&FactKey::Usage(tenant(), beside("a"))).unwrap();
    assert!(periods.iter().all(|(_, period)| START.ms_since(period.start) == 7 * DAY_MS));
    assert_eq!(facts.settlement(&sent).reason, None);
}

#[test]
fn the_newest_discovery_counts_in_whatever_order_they_arrive() {
    for order in [[1, 2], [2, 1]] {
        let facts = Facts::default();
        let states = order.map(|number| {
            let envelope = found_package("a", number, -100 + number as i64);
            let ended = facts.settle(&envelope, found("agent", "PC", &number.to_string())).unwrap();
            assert_eq!(facts.settle(&envelope, found("agent", "PC", "again")), None);
            ended.state
        });
        assert_eq!(facts.services("a"), ["2"]);
        let second = if order == [1, 2] { FinalState::Imported } else { FinalState::Stale };
        assert_eq!(states, [FinalState::Imported, second]);
        assert!(facts.records().is_empty(), "discovery makes no record");
    }
}

#[test]
fn a_discovery_that_does_not_speak_of_its_sender_is_set_aside_and_a_scan_waits() {
    let facts = Facts::default();
    let envelope = found_package("a", 1, -1);
    assert_eq!(facts.settle(&envelope, found("agent", "web07", "x")).unwrap().state, FinalState::Quarantined);
    let reason = facts.settlement(&envelope).reason.unwrap();
    assert_eq!(reason, "none of its 2 devices is the machine `web07`");
    assert!(facts.services("a").is_empty());
    assert!(found("agent", "web07", "x").has_reader());
    assert!(!found("network", "pc", "x").has_reader());
}

#[test]
fn files_without_identity_are_staged_beside_the_record_of_the_machine_they_name() {
    let facts = Facts::default();
    let sent = |name: &str, collected| Envelope { sequence: None, ..found_package(name, 0, collected) };
    facts.settle(&Envelope { sequence: None, ..package("anon/n/0", 0, -9) }, content("pc", "m"));
    let states = [("anon/n/1", -30, "first"), ("anon/n/2", -10, "newest"), ("anon/n/3", -20, "late")].map(
        |(name, collected, service)| facts.settle(&sent(name, collected), found("agent", "pc", service)).unwrap().state,
    );
    assert_eq!(states, [FinalState::Imported, FinalState::Imported, FinalState::Stale]);
    assert_eq!(facts.services("anon/pc.lab"), ["newest"], "one finder, although each file has its own origin");
    let record: Option<StagedRecord> = facts.get(&FactKey::Record(tenant(), beside("anon/pc.lab")));
    assert!(record.is_some(), "the record of its inventory");
}

// Third-party inventory, and files of the business.

/// A server that imports daily and did so an hour ago.
fn daily(staged: u64, imported: u64, third_party: u64) -> TenantState {
    let last_import = Some(START.plus_ms(-HOUR_MS));
    TenantState { staged, imported, third_party, last_import, ..TenantState::default() }
}

fn imports(wanted: &[(i64, IntentNumber, ServerIntent)]) -> Vec<i64> {
    let is_import = |intent: &ServerIntent| matches!(intent, ServerIntent::Run(_, Task::Import, _));
    wanted.iter().filter(|(.., intent)| is_import(intent)).map(|(at, ..)| *at).collect()
}

#[test]
fn third_party_inventory_is_imported_at_once_and_what_agents_report_waits_for_its_day() {
    let mut world = World::new(false, 0..0, daily(5, 5, 3));
    assert_eq!(imports(&world.pass(MINUTE_MS)), [0; 0]);
    let (load, _) = only(world.tell(ServerInput::Arrived(vec![PackageNumber(0)])));
    assert_eq!(world.loaded(load, &[0], LoadOutcome::Settled, Some(daily(6, 5, 3))), [], "an agent's");
    assert_eq!(imports(&world.pass(MINUTE_MS)), [0; 0]);
    let (load, _) = only(world.tell(ServerInput::Arrived(vec![PackageNumber(1)])));
    let (import, task) = only(world.loaded(load, &[1], LoadOutcome::Settled, Some(daily(7, 5, 7))));
    assert_eq!((task, world.now), (ServerIntent::Run(own(), Task::Import, None), START.plus_ms(2 * MINUTE_MS)));
    let done = TenantState { last_import: Some(world.now), ..daily(7, 7, 7) };
    assert_eq!(world.tell(ServerInput::Ended { intent: import, state: Some(done.clone()) }), []);
    // The next report of an agent waits again.
    let (load, _) = only(world.tell(ServerInput::Arrived(vec![PackageNumber(2)])));
    world.loaded(load, &[2], LoadOutcome::Settled, Some(TenantState { staged: 8, ..done }));
    assert_eq!(imports(&world.pass(DAY_MS)), [23 * HOUR_MS]);
}

#[test]
fn an_import_of_third_party_inventory_waits_for_the_files_that_came_with_it() {
    let mut world = World::new(false, 0..0, daily(6, 5, 3));
    world.pass(HOUR_MS);
    let many: Vec<PackageNumber> = (0..3 * BATCH_MAX as u64).map(PackageNumber).collect();
    let loads = world.tell(ServerInput::Arrived(many));
    assert_eq!(loads.len(), 2);
    let wanted = world.loaded(loads[0].1, &[0], LoadOutcome::Settled, Some(daily(7, 5, 7)));
    assert_eq!(imports(&wanted), [0; 0]);
    assert_eq!(imports(&world.pass(MINUTE_MS)), [HOUR_MS + 5_000], "but no longer than five seconds");
}

#[test]
fn third_party_inventory_that_a_crash_left_is_imported_after_it() {
    let mut world = World::new(false, 0..0, daily(7, 6, 7));
    assert_eq!(imports(&world.pass(0)), [0]);
    let mut waits = World::new(false, 0..0, daily(7, 6, 6));
    assert_eq!(imports(&waits.pass(0)), [0; 0]);
}

/// A business file that the sender `origin` sent as `kind_type` of `source`, collected so many milliseconds from
/// [`START`].
fn business_package(origin: &str, source: &str, kind_type: &str, collected: i64) -> Envelope {
    let stream = Some(Stream::new(Kind::IntermediateData, source, kind_type));
    let file_name = "x.csv.gz".into();
    Envelope { kind: Kind::IntermediateData, stream, file_name, ..package(origin, 0, collected) }
}

fn contracts(rows: u32) -> Content {
    Content::Business(BusinessHead { kind: BusinessKind::Contracts, rows })
}

#[test]
fn a_business_file_takes_the_place_of_the_one_before_of_its_source_and_kind() {
    let facts = Facts::default();
    let in_force = |source: &str, kind| -> Option<BusinessFile> {
        facts.get(&FactKey::Business(tenant(), BusinessKey { source: source.into(), kind }))
    };
    let rows = |source: &str| in_force(source, BusinessKind::Contracts).map(|file| file.rows);
    let settle = |package: &Envelope, rows| facts.settle(package, contracts(rows)).unwrap().state;
    let first = business_package("a", "erp", "Contracts", -100);
    assert_eq!(settle(&first, 3), FinalState::Imported);
    let named = BusinessKey { source: "erp".into(), kind: BusinessKind::Contracts };
    assert_eq!((facts.settlement(&first).business, facts.settlement(&first).record), (Some(named), None));
    assert_eq!(settle(&business_package("a", "erp", "Contracts", -50), 2), FinalState::Imported);
    assert_eq!(rows("erp"), Some(2));
    // Within an origin the ledger tells what is older, between origins the date.
    for (origin, at, wanted) in [
        ("a", -60, FinalState::Stale),
        ("b", -60, FinalState::Stale),
        ("b", -40, FinalState::Imported),
        ("a", -45, FinalState::Stale),
    ] {
        let late = business_package(origin, "erp", "Contracts", at);
        assert_eq!(settle(&late, 9), wanted, "{origin} {at}");
        assert_eq!(facts.settlement(&late).reason.is_some(), wanted == FinalState::Stale);
    }
    assert_eq!(rows("erp"), Some(9));
    let newest = business_package("b", "erp", "Contracts", -40);
    assert_eq!(in_force("erp", BusinessKind::Contracts).unwrap().package, newest.key());
    // Other sources and kinds stand beside it; a file without a stream belongs to the source without a name.
    assert_eq!(settle(&business_package("c", "", "", -70), 1), FinalState::Imported);
    assert_eq!((rows("third-party"), in_force("erp", BusinessKind::Purchases)), (Some(1), None));
    let state: TenantState = facts.get(&FactKey::Tenant(tenant())).unwrap();
    assert_eq!((state.business_files, state.staged, state.third_party), (2, 0, 0), "no import has anything to do");
}

#[test]
fn a_business_file_of_another_kind_than_it_says_or_of_no_true_source_is_set_aside() {
    let facts = Facts::default();
    for (at, source, kind_type, part) in [
        (-50, "erp", "Purchases", "sent as Purchases, but has the columns of Contracts"),
        (-51, "agent", "Contracts", "cannot be the source"),
    ] {
        let package = business_package("a", source, kind_type, at);
        assert_eq!(facts.settle(&package, contracts(1)).unwrap().state, FinalState::Quarantined);
        let settlement = facts.settlement(&package);
        assert!(settlement.reason.unwrap().contains(part));
        assert_eq!(settlement.business, None);
    }
}

#[test]
fn sources_without_end_are_refused_until_one_is_emptied_and_those_that_are_known_go_on() {
    let facts = Facts::default();
    let settle = |source: u32, at, rows| {
        let package = business_package("a", &format!("s{source}"), "Contracts", at);
        let digest = Digest::of(format!("{source} {at}").as_bytes());
        facts.settle(&Envelope { digest, ..package }, contracts(rows)).unwrap().state
    };
    for source in 0..SOURCES_MAX {
        assert_eq!(settle(source, -50, 1), FinalState::Imported);
    }
    assert_eq!(settle(SOURCES_MAX, -50, 1), FinalState::Quarantined);
    assert_eq!(settle(7, -40, 1), FinalState::Imported);
    assert_eq!(
        (settle(7, -45, 0), settle(7, -30, 0), settle(7, -20, 0)),
        (FinalState::Stale, FinalState::Imported, FinalState::Imported)
    );
    assert_eq!((settle(SOURCES_MAX, -10, 1), settle(7, -10, 1)), (FinalState::Imported, FinalState::Quarantined));
    let state: TenantState = facts.get(&FactKey::Tenant(tenant())).unwrap();
    assert_eq!(state.business_files, SOURCES_MAX);
}

#[test]
fn third_party_inventory_moves_the_counter_of_its_own_and_an_agents_does_not() {
    let facts = Facts::default();
    let state = || -> TenantState { facts.get(&FactKey::Tenant(tenant())).unwrap() };
    facts.settle(&package("a", 1, -50), content("pc", "m"));
    assert_eq!((state().staged, state().third_party), (1, 0));
    let theirs = Envelope {
        kind: Kind::IntermediateData,
        stream: Some(Stream::new(Kind::IntermediateData, "scanner", "Full")),
        ..package("anon/x/1.ndi.gz", 0, -50)
    };
    facts.settle(&theirs, content("pc", "m"));
    facts.settle(&package("b", 1, -50), content("other", "m"));
    assert_eq!((state().staged, state().third_party), (3, 2));
}

#[test]
fn each_tenant_has_its_own_plan_and_one_that_fails_keeps_no_other() {
    let tenant = |name: &str| name.parse::<TenantId>().unwrap();
    let settings = ServerSettings { exports: BTreeSet::from([tenant("a")]), ..settings(true) };
    let staged = TenantState { staged: 1, ..TenantState::default() };
    let states = BTreeMap::from([(tenant("a"), staged.clone()), (tenant("b"), staged.clone())]);
    let durable = ServerDurable { settings: Arc::new(settings), waiting: vec![], states, submitted: BTreeMap::new() };
    let core = ServerCore::recover(durable, RngStream::new(1, 1, 0), START);
    let mut world = World { core, intents: Intents::default(), now: START };
    let import = |name: &str| ServerIntent::Run(tenant(name), Task::Import, None);
    let [(_, of_a, a), (_, of_b, b)] = &world.pass(0)[..] else { panic!("two imports") };
    assert_eq!((a, b), (&import("a"), &import("b")));
    assert_eq!(world.tell(ServerInput::Ended { intent: *of_a, state: None }), [], "later");
    let imported = TenantState { imported: 1, devices: 1, last_import: Some(world.now), ..staged.clone() };
    let (reconcile, task) = only(world.tell(ServerInput::Ended { intent: *of_b, state: Some(imported.clone()) }));
    assert_eq!(task, ServerIntent::Run(tenant("b"), Task::Reconcile, None));
    // There is nowhere to export the devices of b to.
    let reconciled = TenantState { reconciled: 1, ..imported };
    assert_eq!(world.tell(ServerInput::Ended { intent: reconcile, state: Some(reconciled) }), []);
    assert_eq!(only(world.pass(10_000)).1, import("a"));
    // One that is new while the server runs, and counters of b that are told for a change by hand.
    assert_eq!(only(world.tell(ServerInput::Counted(tenant("c"), staged))).1, import("c"));
    let waiting: Vec<u64> = world.core.import_plans().map(|(_, plan)| plan.waiting).collect();
    assert_eq!(waiting, [1, 0, 1]);
}

#[test]
fn a_schedule_is_for_every_tenant_and_what_the_scheduler_did_not_take_is_submitted_again() {
    let names: Vec<TenantId> = (0..1_000).map(|number| format!("t{number:03}").parse().unwrap()).collect();
    let states = names.iter().map(|name| (name.clone(), TenantState::default())).collect();
    let schedules = vec![
        (TaskType::InventoryImport, Trigger::every(HOUR_MS)),
        (TaskType::DataWarehouseUpdate, Trigger::every(HOUR_MS)),
        (TaskType::SpoolMaintenance, Trigger::every(HOUR_MS)),
    ];
    let settings = Arc::new(ServerSettings { schedules, ..settings(false) });
    let durable = ServerDurable { settings, waiting: vec![], states, submitted: BTreeMap::new() };
    let core = ServerCore::recover(durable, RngStream::new(1, 1, 0), START);
    let mut world = World { core, intents: Intents::default(), now: START };
    let wanted = world.pass(HOUR_MS);
    let count = |is: fn(&ServerIntent) -> bool| wanted.iter().filter(|(.., intent)| is(intent)).count();
    assert_eq!(count(|intent| matches!(intent, ServerIntent::Run(_, Task::Import, Some(_)))), 1_000);
    let is_update =
        |intent: &ServerIntent| matches!(intent, ServerIntent::Submit(Some(_), TaskType::DataWarehouseUpdate, _));
    assert_eq!(count(is_update), 1_000);
    assert_eq!(count(|intent| matches!(intent, ServerIntent::Submit(None, TaskType::SpoolMaintenance, _))), 1);
    let at = START.plus_ms(HOUR_MS);
    let lost = ServerIntent::Submit(Some(names[7].clone()), TaskType::DataWarehouseUpdate, at);
    world.tell(ServerInput::NotSubmitted(Some(names[7].clone()), TaskType::DataWarehouseUpdate, at));
    assert_eq!(only(world.pass(MINUTE_MS)).1, lost);
}

#[test]
fn other_times_count_from_now_and_those_that_stay_keep_their_turn() {
    let hourly = Trigger::every(HOUR_MS);
    let schedules = vec![(TaskType::SpoolMaintenance, hourly), (TaskType::ActivityHistoryPurge, hourly)];
    let settings = ServerSettings { schedules, ..settings(false) };
    let mut world = World::with(settings, 0..0, TenantState::default());
    world.pass(30 * MINUTE_MS);
    let others = vec![(TaskType::SpoolMaintenance, hourly), (TaskType::RecognitionLibraryImport, hourly)];
    world.tell(ServerInput::SchedulesChanged(others));
    let wanted: Vec<_> =
        world.pass(HOUR_MS).into_iter().filter(|(.., intent)| *intent != ServerIntent::Sweep).collect();
    let submit = |task, at| ServerIntent::Submit(None, task, START.plus_ms(at));
    let [(_, _, first), (_, _, second)] = &wanted[..] else { panic!("{wanted:?}") };
    assert_eq!(*first, submit(TaskType::SpoolMaintenance, HOUR_MS));
    assert_eq!(*second, submit(TaskType::RecognitionLibraryImport, 90 * MINUTE_MS));
}

#[test]
fn a_crash_between_the_tasks_of_two_tenants_leaves_none_out() {
    let tenant = |name: &str| name.parse::<TenantId>().unwrap();
    let schedules = vec![
        (TaskType::InventoryImport, Trigger::every(DAY_MS)),
        (TaskType::DataWarehouseUpdate, Trigger::every(DAY_MS)),
    ];
    let settings = Arc::new(ServerSettings { schedules, ..settings(false) });
    let states = ["a", "b", "new"].map(|name| (tenant(name), TenantState::default())).into();
    let at = START.plus_ms(-MINUTE_MS);
    let mut submitted = BTreeMap::new();
    for task in [TaskType::InventoryImport, TaskType::DataWarehouseUpdate] {
        submitted.insert((task, Some(tenant("a"))), at);
        submitted.insert((task, Some(tenant("b"))), at.plus_ms(-DAY_MS));
    }
    let durable = ServerDurable { settings, waiting: vec![], states, submitted };
    let core = ServerCore::recover(durable, RngStream::new(1, 1, 0), START);
    let mut world = World { core, intents: Intents::default(), now: START };
    let wanted: Vec<ServerIntent> = world.pass(0).into_iter().map(|(.., intent)| intent).collect();
    let made_up = [
        ServerIntent::Submit(Some(tenant("b")), TaskType::DataWarehouseUpdate, at),
        ServerIntent::Run(tenant("b"), Task::Import, Some(at)),
    ];
    assert_eq!(wanted, made_up);
}
