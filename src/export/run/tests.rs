//! The run against an endpoint that loses, refuses and forgets as told. Numbers of checks: servicenow reference, section 8.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::export::{ComputerRow, Row, Segment, SegmentLimits, SourceRow};
use crate::formats::servicenow_xml::{Counts, ReturnCode};
use crate::id::{DeviceId, Digest};

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answer,
    Refuse,
    LoseRequest,
    LoseAnswer,
    Deny,
    Code(u16),
    /// The exporter dies before the call leaves, or after it was answered.
    CrashBefore,
    CrashAfter,
}

#[derive(Default)]
struct Endpoint {
    transactions: BTreeMap<Guid, (Digest, Guid)>,
    /// Accepted segments and their number by run; the total once it is known.
    runs: BTreeMap<Guid, (u32, Option<u32>)>,
    staged: Vec<u64>,
    foreign_open: bool,
    fails_imports: bool,
    never_ends: bool,
}

struct World {
    source: BTreeMap<u64, Timestamp>,
    endpoint: Endpoint,
    saved: ExportRecord,
    now: Timestamp,
    lives: u64,
    sends: Vec<u32>,
    settings: ExportSettings,
    database_down: bool,
    token_refused: bool,
    saves: u32,
}

fn world(computers: u64) -> World {
    World {
        source: (1..=computers).map(|id| (id, Timestamp(1_000))).collect(),
        endpoint: Endpoint::default(),
        saved: ExportRecord::default(),
        now: Timestamp(10_000),
        lives: 0,
        sends: Vec::new(),
        settings: ExportSettings::default(),
        database_down: false,
        token_refused: false,
        saves: 0,
    }
}

impl Endpoint {
    fn open_run(&self) -> Option<Guid> {
        self.runs.iter().find(|(_, (received, total))| Some(*received) != *total).map(|(run, _)| *run)
    }

    fn question(&self, question: Question) -> Response {
        let mut response = Response::of(ReturnCode::Accepted, "");
        match question {
            Question::ConnectionTest { run } => {
                if self.foreign_open || self.open_run().is_some_and(|open| Some(open) != run) {
                    response.code = ReturnCode::Busy;
                }
            }
            Question::Status { run, transaction: Some(id) } => {
                let known = self.transactions.get(&id).is_some_and(|(_, of)| *of == run);
                response.state = known.then_some(ImportState::New);
            }
            Question::Status { run, transaction: None } => {
                if let Some((received, total)) = self.runs.get(&run) {
                    let done = *total == Some(*received) && !self.never_ends;
                    response.state = Some(match done {
                        true if self.fails_imports => ImportState::Failed,
                        true => ImportState::Succeeded,
                        false => ImportState::Processing,
                    });
                    response.counts = Some(Counts { received: *received, ..Counts::default() });
                }
            }
        }
        response
    }

    fn segment(&mut self, head: &Head, ids: &[u64]) -> Response {
        let mut response = Response::of(ReturnCode::Accepted, "");
        response.state = Some(ImportState::New);
        response.run = "IMR0000001".into();
        if let Some((digest, _)) = self.transactions.get(&head.id) {
            response.duplicate = true;
            if *digest != head.digest {
                response.code = ReturnCode::Conflict;
            }
            return response;
        }
        if self.foreign_open || self.open_run().is_some_and(|open| open != head.run) {
            return Response::of(ReturnCode::Busy, "");
        }
        self.transactions.insert(head.id, (head.digest, head.run));
        let run = self.runs.entry(head.run).or_default();
        run.0 += 1;
        assert_eq!(run.0, head.sequence, "segments arrive in order, each once");
        if head.total > 0 {
            run.1 = Some(head.total);
        }
        self.staged.extend(ids);
        response
    }
}

impl World {
    fn rows(&self, since: Option<Timestamp>, after: Option<&Cursor>) -> Vec<SourceRow> {
        let after = after.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        let changed = |at: Timestamp| since.is_none_or(|since| at > since);
        let ids = self.source.iter().filter(|(id, at)| **id > after && changed(**at)).map(|(id, _)| *id);
        ids.take(self.settings.segment.records as usize + 1)
            .map(|id| SourceRow {
                cursor: Cursor::new(id.to_string()),
                row: Row::Computer(Box::new(ComputerRow { id: Some(DeviceId(id)), ..ComputerRow::default() })),
            })
            .collect()
    }

    fn begin(&mut self, request: &ExportRequest) -> (ExportRun, Vec<Action>) {
        self.lives += 1;
        let rng = RngStream::new(7, 7, self.lives);
        ExportRun::start(self.now, Arc::new(self.settings.clone()), request.clone(), self.saved.clone(), rng)
    }

    /// Drives one export; `fate` says what becomes of each call (segment sequence, or 0 for a question).
    fn export(&mut self, request: &ExportRequest, mut fate: impl FnMut(u32) -> Fate) -> RunReport {
        let (mut run, mut actions) = self.begin(request);
        let mut held: Option<Segment> = None;
        for _ in 0..100_000 {
            assert_eq!(actions.len(), 1, "one thing at a time");
            self.now = self.now.plus_ms(1);
            let (sequence, call) = match actions.remove(0) {
                Action::Finish(report) => {
                    assert_eq!(run.report(), &*report);
                    return *report;
                }
                Action::WakeAt(at) => {
                    self.now = self.now.max(at);
                    actions = run.on(self.now, Event::Due);
                    continue;
                }
                Action::Authorise => {
                    let refused = || Event::AuthorisationRefused("invalid_grant".into());
                    actions = run.on(self.now, if self.token_refused { refused() } else { Event::Authorised });
                    continue;
                }
                Action::Snapshot => {
                    let down = || Event::SourceFailed("down".into());
                    actions =
                        run.on(self.now, if self.database_down { down() } else { Event::SnapshotTaken(self.now) });
                    continue;
                }
                Action::Read { data_type, since, after } => {
                    let rows = match data_type {
                        DataType::Inventory => self.rows(since, after.as_ref()),
                        DataType::Contract | DataType::Application => Vec::new(),
                    };
                    let segment = Segment::fill(self.settings.segment, &rows);
                    actions = run.on(self.now, Event::SegmentRead(segment.info.clone()));
                    held = Some(segment);
                    continue;
                }
                Action::Save(record) => {
                    self.saved = record;
                    self.saves += 1;
                    actions = run.on(self.now, Event::Saved);
                    continue;
                }
                Action::Ask(_, question) => (0, Err(question)),
                Action::Send(head) => (head.sequence, Ok(head)),
            };
            if sequence > 0 {
                self.sends.push(sequence);
            }
            let fate = fate(sequence);
            let arrives = matches!(fate, Fate::Answer | Fate::LoseAnswer | Fate::CrashAfter);
            let answer = arrives.then(|| match call {
                Err(question) => self.endpoint.question(question),
                Ok(head) => {
                    let text = String::from_utf8(held.as_ref().unwrap().rows.clone()).unwrap();
                    let ids = text.split("<ComputerID>").skip(1).map(|rest| rest.split('<').next().unwrap());
                    self.endpoint.segment(&head, &ids.map(|id| id.parse().unwrap()).collect::<Vec<_>>())
                }
            });
            let http = |status, response| Answer::Http { status, retry_after: None, response };
            let answer = match fate {
                Fate::Answer => http(200, answer),
                Fate::Refuse => http(503, None),
                Fate::Deny => http(401, None),
                Fate::Code(code) => http(200, Some(Response::of(ReturnCode::from_number(code), ""))),
                Fate::LoseRequest | Fate::LoseAnswer => Answer::Lost("reset".into()),
                Fate::CrashBefore | Fate::CrashAfter => {
                    held = None;
                    (run, actions) = self.begin(request);
                    continue;
                }
            };
            actions = run.on(self.now, Event::Answered(answer));
        }
        panic!("the export does not end");
    }

    fn staged(&self) -> Vec<u64> {
        let mut staged = self.endpoint.staged.clone();
        staged.sort_unstable();
        staged
    }
}

fn everything() -> ExportRequest {
    ExportRequest::default()
}

fn state(report: &RunReport, data_type: DataType) -> TypeStatus {
    report.types[data_type as usize].state
}

#[test]
fn check_1_1201_computers_go_in_three_transactions_of_one_run() {
    let mut world = world(1_201);
    let report = world.export(&everything(), |_| Fate::Answer);
    assert_eq!((report.exit, world.sends.as_slice()), (ExitCode::Success, [1, 2, 3].as_slice()));
    assert_eq!((world.endpoint.runs.len(), world.staged().len()), (1, 1_201));
    let inventory = &report.types[0];
    assert_eq!((inventory.state, inventory.segments, inventory.records), (TypeStatus::Succeeded, 3, 1_201));
    assert_eq!(inventory.import_run, "IMR0000001");
    assert_eq!(state(&report, DataType::Contract), TypeStatus::Unchanged);
}

fn refuse_segment_2(times: u32) -> impl FnMut(u32) -> Fate {
    let mut left = times;
    move |sequence| match sequence {
        2 if left > 0 => {
            left -= 1;
            Fate::Refuse
        }
        _ => Fate::Answer,
    }
}

#[test]
fn check_2_a_segment_refused_nine_times_is_transmitted_ten_times() {
    let mut world = world(1_201);
    let report = world.export(&everything(), refuse_segment_2(9));
    assert_eq!((report.exit, world.sends.len()), (ExitCode::Success, 12));
    assert_eq!(world.sends.iter().filter(|sequence| **sequence == 2).count(), 10);
    assert_eq!(report.types[0].tries, 12);
}

#[test]
fn check_3_a_segment_refused_ten_times_ends_the_export_and_leaves_the_watermark() {
    let mut world = world(1_201);
    let report = world.export(&everything(), refuse_segment_2(10));
    assert_eq!((report.exit, report.exit_code), (ExitCode::TriesExhausted, 1));
    assert_eq!(world.sends.iter().filter(|sequence| **sequence == 2).count(), 10);
    assert_eq!(world.saved.watermarks, BTreeMap::new());
    assert_eq!(state(&report, DataType::Inventory), TypeStatus::Failed);
    assert_eq!(state(&report, DataType::Contract), TypeStatus::Skipped);
    // The next export takes the run up where it stopped, with all its tries.
    world.sends.clear();
    let report = world.export(&everything(), refuse_segment_2(9));
    assert_eq!((report.exit, world.sends.len()), (ExitCode::Success, 11));
    assert_eq!(world.staged(), (1..=1_201).collect::<Vec<_>>());
}

#[test]
fn check_4_a_segment_whose_answer_was_lost_is_asked_for_and_not_sent_again() {
    let mut world = world(600);
    let mut lost = false;
    let report = world.export(&everything(), |sequence| {
        if sequence == 1 && !std::mem::replace(&mut lost, true) { Fate::LoseAnswer } else { Fate::Answer }
    });
    assert_eq!((report.exit, world.sends.as_slice()), (ExitCode::Success, [1, 2].as_slice()));
    assert_eq!(world.endpoint.transactions.len(), 2);
}

#[test]
fn a_segment_that_never_arrived_is_sent_again_after_asking() {
    let mut world = world(10);
    let mut lost = false;
    let report = world.export(&everything(), |sequence| {
        if sequence == 1 && !std::mem::replace(&mut lost, true) { Fate::LoseRequest } else { Fate::Answer }
    });
    assert_eq!((report.exit, world.sends.as_slice()), (ExitCode::Success, [1, 1].as_slice()));
}

#[test]
fn the_tenth_transmission_is_asked_for_before_the_export_gives_up() {
    let mut world = world(10);
    let mut sent = 0;
    let report = world.export(&everything(), |sequence| {
        sent += sequence;
        match sequence {
            0 => Fate::Answer,
            _ if sent < 10 => Fate::LoseRequest,
            _ => Fate::LoseAnswer,
        }
    });
    assert_eq!((report.exit, world.sends.len()), (ExitCode::Success, 10));
}

#[test]
fn check_5_a_foreign_open_run_ends_the_export_before_any_segment() {
    let mut world = world(10);
    world.endpoint.foreign_open = true;
    let report = world.export(&everything(), |_| Fate::Answer);
    assert_eq!((report.exit_code, world.sends.len(), world.saves), (5, 0, 0));
}

#[test]
fn check_6_a_fatal_code_is_never_tried_again() {
    for (code, exit) in [(5, 8), (6, 8), (7, 8), (8, 8), (99, 8), (3, 5), (4, 5)] {
        let mut world = world(10);
        let report = world.export(&everything(), |sequence| if sequence > 0 { Fate::Code(code) } else { Fate::Answer });
        assert_eq!((report.exit_code, world.sends.len()), (exit, 1), "code {code}");
    }
}

#[test]
fn check_7_an_export_without_changes_sends_nothing() {
    let mut world = world(10);
    world.export(&everything(), |_| Fate::Answer);
    let (sends, saved) = (world.sends.len(), world.saved.clone());
    let report = world.export(&everything(), |_| Fate::Answer);
    assert_eq!((report.exit, world.sends.len(), &world.saved), (ExitCode::Success, sends, &saved));
    assert_eq!(state(&report, DataType::Inventory), TypeStatus::Unchanged);
    // A change after the snapshot goes with the next export, alone.
    world.now = world.now.plus_ms(5_000);
    world.source.insert(3, world.now);
    let report = world.export(&everything(), |_| Fate::Answer);
    assert_eq!(report.types[0].records, 1);
    assert_eq!(world.endpoint.staged.last(), Some(&3));
}

#[test]
fn check_14_a_killed_export_goes_on_after_the_last_accepted_segment() {
    for fate_of_3 in [Fate::CrashBefore, Fate::CrashAfter] {
        let mut world = world(1_201);
        let mut crashed = false;
        let report = world.export(&everything(), |sequence| {
            if sequence == 3 && !std::mem::replace(&mut crashed, true) { fate_of_3 } else { Fate::Answer }
        });
        assert_eq!((report.exit, world.endpoint.runs.len()), (ExitCode::Success, 1));
        assert!(report.types[0].resumed);
        assert_eq!((report.types[0].segments, report.types[0].records), (3, 1_201));
        let expected: &[u32] = if fate_of_3 == Fate::CrashAfter { &[1, 2, 3] } else { &[1, 2, 3, 3] };
        assert_eq!(world.sends, expected);
        assert_eq!(world.staged(), (1..=1_201).collect::<Vec<_>>());
    }
}

#[test]
fn an_unfinished_run_of_a_type_not_wanted_now_is_ended_first() {
    let mut world = world(1_201);
    world.export(&everything(), refuse_segment_2(10));
    let contracts = ExportRequest { types: vec![DataType::Contract], ..everything() };
    let report = world.export(&contracts, |_| Fate::Answer);
    assert_eq!((report.exit, world.staged().len()), (ExitCode::Success, 1_201));
    assert_eq!(state(&report, DataType::Contract), TypeStatus::Unchanged);
    assert_eq!(report.warnings.len(), 1);
}

#[test]
fn an_unfinished_run_that_servicenow_gave_up_begins_anew() {
    let mut world = world(1_201);
    world.export(&everything(), refuse_segment_2(10));
    world.endpoint = Endpoint::default();
    world.sends.clear();
    let report = world.export(&everything(), |_| Fate::Answer);
    assert_eq!((report.exit, world.sends.as_slice()), (ExitCode::Success, [1, 2, 3].as_slice()));
    assert_eq!(world.staged(), (1..=1_201).collect::<Vec<_>>());
}

#[test]
fn a_baseline_after_the_watermark_does_not_move_it() {
    let mut world = world(10);
    world.export(&everything(), |_| Fate::Answer);
    let watermark = world.saved.watermarks[&DataType::Inventory];
    world.source.insert(1, watermark.plus_ms(1));
    world.source.insert(2, watermark.plus_ms(60_000));
    world.now = watermark.plus_ms(100_000);
    let late = ExportRequest { changes: Changes::Since(watermark.plus_ms(30_000)), ..everything() };
    assert_eq!(world.export(&late, |_| Fate::Answer).types[0].records, 1);
    assert_eq!(world.saved.watermarks[&DataType::Inventory], watermark);
    assert_eq!(world.export(&everything(), |_| Fate::Answer).types[0].records, 2);
    assert!(world.saved.watermarks[&DataType::Inventory] > watermark);
}

#[test]
fn every_failing_check_has_its_exit_status() {
    let exit = |prepare: &dyn Fn(&mut World)| {
        let mut world = world(10);
        prepare(&mut world);
        let report = world.export(&everything(), |_| Fate::Answer);
        assert_eq!(world.saved.watermarks, BTreeMap::new());
        report.exit_code
    };
    assert_eq!(exit(&|world| world.settings.enabled = false), 3);
    assert_eq!(exit(&|world| world.token_refused = true), 4);
    assert_eq!(exit(&|world| world.endpoint.foreign_open = true), 5);
    assert_eq!(exit(&|world| world.database_down = true), 6);
    assert_eq!(exit(&|world| world.endpoint.fails_imports = true), 7);
    assert_eq!(exit(&|world| world.endpoint.never_ends = true), 9);
    let mut cloud = world(10);
    cloud.settings.mode = ExportMode::Cloud;
    let full = ExportRequest { changes: Changes::Everything, ..everything() };
    assert_eq!(cloud.export(&full, |_| Fate::Answer).exit_code, 2);
}

#[test]
fn a_token_that_ran_out_is_renewed_once_and_a_second_refusal_is_final() {
    let mut first = true;
    let mut once = world(10);
    let report = once.export(&everything(), |sequence| {
        if sequence == 1 && std::mem::replace(&mut first, false) { Fate::Deny } else { Fate::Answer }
    });
    assert_eq!(report.exit, ExitCode::Success);
    let mut always = world(10);
    let report = always.export(&everything(), |sequence| if sequence == 1 { Fate::Deny } else { Fate::Answer });
    assert_eq!((report.exit, always.sends.len()), (ExitCode::CredentialsRefused, 2));
}

#[test]
fn a_connection_test_sends_no_row_and_reads_no_database() {
    let mut world = world(10);
    world.database_down = true;
    let report = world.export(&ExportRequest { connection_test: true, ..everything() }, |_| Fate::Answer);
    assert_eq!((report.exit, world.sends.len(), world.saves), (ExitCode::Success, 0, 0));
}

#[test]
fn an_event_out_of_turn_changes_nothing() {
    let mut world = world(10);
    let (mut run, actions) = world.begin(&everything());
    assert_eq!(actions, [Action::Authorise]);
    for event in [Event::Due, Event::Saved, Event::SnapshotTaken(world.now), Event::Answered(Answer::Lost("x".into()))]
    {
        assert_eq!(run.on(world.now, event), []);
    }
    assert_eq!(run.call(), (Call::ConnectionTest, Attempt::Renewing));
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answer),
        2 => Just(Fate::LoseAnswer),
        2 => Just(Fate::LoseRequest),
        2 => Just(Fate::Refuse),
        1 => Just(Fate::Deny),
        1 => Just(Fate::CrashBefore),
        1 => Just(Fate::CrashAfter),
    ]
}

proptest! {
    #[test]
    fn rows_at_the_target_are_the_rows_of_the_run_each_once_whatever_is_lost(
        computers in 0u64..40,
        per_segment in 1u32..7,
        fates in proptest::collection::vec(any_fate(), 0..60),
        max_tries in 1u32..5,
    ) {
        let mut world = world(computers);
        world.settings.segment = SegmentLimits { records: per_segment, bytes: 1 << 20 };
        world.settings.max_tries = max_tries;
        world.settings.retry_base = Duration::from_millis(10);
        let mut fates = fates.into_iter();
        let mut exits = Vec::new();
        // Whatever ends an export, the next one goes on; at last the network heals.
        loop {
            let report = world.export(&everything(), |_| fates.next().unwrap_or(Fate::Answer));
            exits.push(report.exit);
            let staged = world.staged();
            prop_assert!(staged.windows(2).all(|pair| pair[0] < pair[1]), "a row arrived twice: {staged:?}");
            if report.exit == ExitCode::Success {
                break;
            }
            prop_assert!(exits.len() < 100, "{exits:?}");
        }
        prop_assert_eq!(world.staged(), (1..=computers).collect::<Vec<_>>());
        prop_assert_eq!(world.saved.unfinished, None);
    }
}
