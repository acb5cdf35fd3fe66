use proptest::prelude::*;

use super::*;
use crate::formats::nds::{EVENTS_MAX, Nds, Repeat, SECONDS_MAX, TRIGGERS_MAX, Trigger, TriggerKind};
use crate::schedule::LATE_MS;
use crate::schedule::tests::any_timed;

const AGENT: u64 = 7;
const DAILY: TriggerKind = TriggerKind::Daily { every_days: 1 };

fn at(stamp: &str) -> Timestamp {
    Timestamp::from_stamp(stamp).unwrap()
}

fn trigger(kind: TriggerKind, start: &str, window_secs: u32) -> Trigger {
    Trigger { kind, start: Timestamp::from_stamp(start), repeat: None, window_secs }
}

fn hourly(start: &str) -> Trigger {
    Trigger { repeat: Some(Repeat { every_secs: 3_600, for_secs: 86_400 }), ..trigger(DAILY, start, 0) }
}

fn event(number: u8, catch_up: CatchUp, triggers: &[Trigger]) -> Event {
    Event { id: Guid::from_random([number; 16]), catch_up, triggers: triggers.to_vec(), ..Event::default() }
}

fn timetable(events: Vec<Event>) -> Arc<Timetable> {
    Arc::new(Timetable::new(Nds { events, ..Nds::default() }, 0))
}

fn one(catch_up: CatchUp, triggers: &[Trigger]) -> Arc<Timetable> {
    timetable(vec![event(1, catch_up, triggers)])
}

fn ran(number: u8, occurrence: &str) -> Ran {
    Ran { event: Guid::from_random([number; 16]), occurrence: at(occurrence) }
}

/// What is due, as event and occurrence.
fn take(plan: &mut Plan, now: &str) -> Vec<(usize, String)> {
    taken(plan, at(now)).into_iter().map(|(index, occurrence)| (index, occurrence.to_stamp())).collect()
}

fn taken(plan: &mut Plan, now: Timestamp) -> Vec<(usize, Timestamp)> {
    let due = plan.take(now).into_iter().map(|due| (due.index, due.ran.occurrence)).collect();
    assert!(plan.next_due() > now, "after {now} comes {}", plan.next_due());
    due
}

fn run_of(occurrence: &str) -> Vec<(usize, String)> {
    vec![(0, occurrence.into())]
}

fn nothing() -> Vec<(usize, String)> {
    Vec::new()
}

/// Wakes at each due time up to `end`.
fn follow(plan: &mut Plan, end: &str) -> Vec<(usize, String)> {
    let mut runs = Vec::new();
    while plan.next_due() <= at(end) {
        let due = plan.next_due();
        runs.extend(taken(plan, due));
    }
    runs.into_iter().map(|(index, occurrence)| (index, occurrence.to_stamp())).collect()
}

#[test]
fn a_schedule_is_read_by_the_clocks_of_its_site() {
    // Mondays at one in the morning: in Berlin it is Sunday in Greenwich, and in New York still to come there.
    let monday = trigger(TriggerKind::Weekly { days: 1 }, "20250303T010000", 0);
    for (ahead_hours, runs) in [(0, "20250310T010000"), (2, "20250309T230000"), (-5, "20250310T060000")] {
        let events = vec![event(1, CatchUp::Never, &[monday])];
        let timetable = Arc::new(Timetable::new(Nds { events, ..Nds::default() }, ahead_hours * HOUR_MS));
        let mut plan = Plan::begin(timetable, AGENT, &[], at("20250304T120000"));
        assert_eq!(plan.next_due(), at(runs));
        assert_eq!(take(&mut plan, runs), run_of(runs));
        assert_eq!(plan.next_due(), at(runs).plus_ms(7 * DAY_MS));
    }
}

#[test]
fn a_day_of_the_references_example_has_one_inventory_two_policy_polls_and_one_catch_up() {
    let example = Nds::read(&include_bytes!("../../../tests/golden/formats/default.nds")[..]).unwrap();
    let timetable = Arc::new(Timetable::new(example, 0));
    for agent in 0..50 {
        let mut plan = Plan::begin(timetable.clone(), agent, &[], at("20250320T000000"));
        let planned: Vec<_> = plan.planned().map(|(event, due)| (event.name.as_str(), due)).collect();
        assert!((at("20250320T010000")..at("20250320T050000")).contains(&planned[0].1));
        assert_eq!(planned[1].0, "Update Machine Policy");
        assert!((at("20250320T172241")..at("20250320T182241")).contains(&planned[2].1));
        // The poll of the evening before may still be due in the first five minutes.
        plan.take(at("20250320T000500").plus_ms(-1));
        let mut runs = follow(&mut plan, "20250321T000459");
        runs.sort();
        let expected = [(0, "20250320T010000"), (1, "20250320T000500"), (1, "20250320T120500"), (2, "20250320T172241")];
        assert_eq!(runs, expected.map(|(index, occurrence)| (index, occurrence.to_owned())));
    }
}

#[test]
fn a_plan_is_40_bytes_and_32_for_each_event() {
    assert_eq!((size_of::<Plan>(), size_of::<Entry>()), (40, 32));
}

#[test]
fn a_fresh_install_has_missed_nothing_but_runs_what_is_due_later_in_its_window() {
    for catch_up in [CatchUp::Never, CatchUp::OnStartup, CatchUp::Always] {
        let mut plan =
            Plan::begin(one(catch_up, &[trigger(DAILY, "20250301T010000", 0)]), AGENT, &[], at("20250314T010001"));
        assert_eq!(take(&mut plan, "20250314T010002"), nothing());
        assert_eq!(plan.next_due(), at("20250315T010000"));
    }
    let wide = one(CatchUp::Never, &[trigger(DAILY, "20250301T010000", 14_400)]);
    let due = Plan::begin(wide.clone(), AGENT, &[], at("20250314T000000")).next_due();
    let mut plan = Plan::begin(wide, AGENT, &[], due.plus_ms(-1));
    assert_eq!(plan.next_due(), due);
    assert_eq!(taken(&mut plan, due), [(0, at("20250314T010000"))]);
}

#[test]
fn at_start_a_missed_occurrence_is_caught_up_by_one_run_or_passed_over() {
    let start = |catch_up| {
        let daily = one(catch_up, &[trigger(DAILY, "20250301T010000", 0)]);
        Plan::begin(daily, AGENT, &[ran(1, "20250310T010000")], at("20250314T040000"))
    };
    for catch_up in [CatchUp::OnStartup, CatchUp::Always] {
        let mut plan = start(catch_up);
        assert_eq!(plan.next_due(), at("20250314T040000"));
        assert_eq!(take(&mut plan, "20250314T040000"), run_of("20250314T010000"));
        assert_eq!(plan.next_due(), at("20250315T010000"));
    }
    let mut plan = start(CatchUp::Never);
    assert_eq!(take(&mut plan, "20250314T040000"), nothing());
    assert_eq!(plan.next_due(), at("20250315T010000"));
}

#[test]
fn at_start_nothing_is_caught_up_when_the_latest_occurrence_was_run() {
    let daily = one(CatchUp::Always, &[trigger(DAILY, "20250301T010000", 0)]);
    let plan = Plan::begin(daily, AGENT, &[ran(1, "20250314T010000")], at("20250314T040000"));
    assert_eq!(plan.next_due(), at("20250315T010000"));
}

#[test]
fn of_two_memories_of_an_event_the_later_one_counts() {
    let daily = one(CatchUp::Always, &[trigger(DAILY, "20250301T010000", 0)]);
    let memory = [ran(1, "20250314T010000"), ran(1, "20250312T010000")];
    let plan = Plan::begin(daily, AGENT, &memory, at("20250314T040000"));
    assert_eq!(plan.next_due(), at("20250314T040000"));
}

#[test]
fn an_event_that_is_missed_since_its_install_is_caught_up_at_the_next_start() {
    // A laptop that is off each night.
    let daily = one(CatchUp::OnStartup, &[trigger(DAILY, "20250301T010000", 0)]);
    let first = Plan::begin(daily.clone(), AGENT, &[], at("20250313T100000"));
    let memory: Vec<Ran> = first.memory().collect();
    let mut second = Plan::begin(daily, AGENT, &memory, at("20250314T090000"));
    assert_eq!(take(&mut second, "20250314T090000"), run_of("20250314T010000"));
}

#[test]
fn a_clock_that_jumps_over_days_makes_one_run_of_what_always_catches_up_and_none_of_the_rest() {
    let jump = |catch_up| {
        let daily = one(catch_up, &[trigger(DAILY, "20250301T010000", 0)]);
        let mut plan = Plan::begin(daily, AGENT, &[], at("20250310T120000"));
        let runs = take(&mut plan, "20250314T120000");
        assert_eq!(plan.next_due(), at("20250315T010000"));
        runs
    };
    assert_eq!(jump(CatchUp::Always), run_of("20250314T010000"));
    assert_eq!(jump(CatchUp::OnStartup), nothing());
    assert_eq!(jump(CatchUp::Never), nothing());
}

#[test]
fn a_busy_agent_still_runs_what_is_ten_minutes_late_or_in_its_window() {
    let late = |window_secs: u32, ms: i64| {
        let daily = one(CatchUp::Never, &[trigger(DAILY, "20250301T010000", window_secs)]);
        let mut plan = Plan::begin(daily, AGENT, &[], at("20250314T000000"));
        let due = plan.next_due();
        (taken(&mut plan, due.plus_ms(ms)).len(), due)
    };
    assert_eq!(late(0, 600_000).0, 1);
    assert_eq!(late(0, 600_001).0, 0);
    let (_, due) = late(14_400, 0);
    let rest = at("20250314T050000").ms_since(due);
    assert!(rest > LATE_MS, "the draw of this agent leaves room");
    assert_eq!(late(14_400, rest - 1).0, 1);
    assert_eq!(late(14_400, rest).0, 0);
}

#[test]
fn after_a_jump_what_is_due_just_now_is_run() {
    let daily = one(CatchUp::Never, &[trigger(DAILY, "20250301T010000", 0)]);
    let mut plan = Plan::begin(daily, AGENT, &[], at("20250310T120000"));
    assert_eq!(take(&mut plan, "20250314T010300"), run_of("20250314T010000"));
}

#[test]
fn a_clock_set_back_by_an_hour_or_a_day_does_not_run_again_what_was_run() {
    for (back_to, runs_at) in [
        ("20250314T003000", "20250315T010000"),
        ("20250313T013100", "20250315T010000"),
        // A day and a bit: as of a wrong clock.
        ("20250313T005900", "20250313T010000"),
    ] {
        let daily = one(CatchUp::Always, &[trigger(DAILY, "20250301T010000", 0)]);
        let mut plan = Plan::begin(daily.clone(), AGENT, &[], at("20250314T000000"));
        assert_eq!(take(&mut plan, "20250314T010000"), run_of("20250314T010000"));
        assert_eq!(take(&mut plan, "20250314T013000"), nothing());
        let memory: Vec<Ran> = plan.memory().collect();
        assert_eq!(take(&mut plan, back_to), nothing(), "{back_to}");
        assert_eq!(plan.next_due(), at(runs_at), "{back_to}");
        // A restart makes no difference.
        let restarted = Plan::begin(daily, AGENT, &memory, at(back_to));
        assert_eq!(restarted.next_due(), at(runs_at), "{back_to}");
    }
}

#[test]
fn a_clock_that_was_a_year_ahead_and_came_back_costs_no_day_and_no_run_at_once() {
    for catch_up in [CatchUp::Never, CatchUp::OnStartup, CatchUp::Always] {
        let daily = one(catch_up, &[trigger(DAILY, "20250301T010000", 0)]);
        let mut plan = Plan::begin(daily.clone(), AGENT, &[ran(1, "20250314T010000")], at("20250314T120000"));
        plan.take(at("20260314T120000"));
        assert_eq!(take(&mut plan, "20260315T010000"), run_of("20260315T010000"));
        let memory: Vec<Ran> = plan.memory().collect();
        for mut plan in [plan, Plan::begin(daily, AGENT, &memory, at("20250314T130000"))] {
            assert_eq!(take(&mut plan, "20250314T130000"), nothing());
            assert_eq!(plan.next_due(), at("20250315T010000"));
            assert_eq!(take(&mut plan, "20250315T010000"), run_of("20250315T010000"));
        }
    }
}

#[test]
fn an_hourly_event_is_silent_for_an_hour_at_most_when_the_clock_goes_back() {
    for (back_to, next) in [
        // Within an hour: not again.
        ("20250314T110000", "20250314T130000"),
        // Five hours, as when a zone was wrong: again from the next full hour on.
        ("20250314T070000", "20250314T080000"),
    ] {
        let mut plan =
            Plan::begin(one(CatchUp::Always, &[hourly("20250301T000000")]), AGENT, &[], at("20250314T113000"));
        assert_eq!(take(&mut plan, "20250314T120000"), run_of("20250314T120000"));
        assert_eq!(take(&mut plan, back_to), nothing());
        assert_eq!(plan.next_due(), at(next), "{back_to}");
    }
}

#[test]
fn a_decided_run_waits_as_long_as_it_would_have_when_the_clock_goes_back() {
    let logon = one(CatchUp::Never, &[trigger(TriggerKind::Logon, "20250301T000000", 3_600)]);
    let mut plan = Plan::begin(logon, AGENT, &[], at("20260314T120000"));
    plan.happened(Happening::Logon, at("20260314T120000"));
    let waits = plan.next_due().ms_since(at("20260314T120000"));
    assert!((1..HOUR_MS).contains(&waits), "{waits}");
    assert_eq!(take(&mut plan, "20250314T120000"), nothing());
    assert_eq!(plan.next_due(), at("20250314T120000").plus_ms(waits));
    // What is due at once stays due at once.
    let daily = one(CatchUp::OnStartup, &[trigger(DAILY, "20250301T010000", 0)]);
    let mut plan = Plan::begin(daily, AGENT, &[ran(1, "20250312T010000")], at("20250314T120000"));
    assert_eq!(take(&mut plan, "20250314T110000"), run_of("20250314T010000"));
}

#[test]
fn now_runs_when_another_schedule_arrives_and_not_at_a_restart() {
    let now = trigger(TriggerKind::Now, "20250314T000000", 0);
    let daily = trigger(DAILY, "20250301T010000", 0);
    let first = one(CatchUp::Never, &[now, daily]);
    let mut plan = Plan::begin(Arc::default(), AGENT, &[], at("20250314T120000"));
    assert_eq!(plan.next_due(), Timestamp::NEVER);
    assert!(plan.replace(first.clone(), at("20250314T120000")));
    assert_eq!(take(&mut plan, "20250314T120000"), run_of("20250314T120000"));
    // The same, and an equal one.
    for same in [first.clone(), one(CatchUp::Never, &[now, daily])] {
        assert!(!plan.replace(same, at("20250314T120100")));
    }
    assert_eq!(take(&mut plan, "20250314T120100"), nothing());
    let memory: Vec<Ran> = plan.memory().collect();
    let mut plan = Plan::begin(first, AGENT, &memory, at("20250314T120200"));
    assert_eq!(plan.next_due(), at("20250315T010000"));
    // The clock of a host may be behind the schedule's.
    let later = trigger(TriggerKind::Now, "20990101T000000", 0);
    assert!(plan.replace(one(CatchUp::Never, &[later]), at("20250314T120300")));
    assert_eq!(plan.next_due(), at("20250314T120300"));
}

#[test]
fn a_replaced_timetable_moves_the_next_events_and_keeps_the_memory_of_each() {
    let at_hour = |start: &str| trigger(DAILY, start, 0);
    let old = timetable(vec![
        event(1, CatchUp::Always, &[at_hour("20250301T010000")]),
        event(2, CatchUp::Always, &[at_hour("20250301T020000")]),
    ]);
    let new = timetable(vec![
        event(3, CatchUp::Always, &[at_hour("20250301T030000")]),
        event(2, CatchUp::Always, &[at_hour("20250301T180000")]),
    ]);
    let mut plan = Plan::begin(old, AGENT, &[], at("20250314T000000"));
    follow(&mut plan, "20250314T120000");
    assert!(plan.replace(new, at("20250314T120000")));
    let dues: Vec<Timestamp> = plan.planned().map(|(_, due)| due).collect();
    assert_eq!(dues, [at("20250315T030000"), at("20250314T180000")]);
    let memory: Vec<Ran> = plan.memory().collect();
    assert_eq!(memory, [ran(3, "20250314T120000"), ran(2, "20250314T020000")]);
}

#[test]
fn what_is_due_when_another_timetable_comes_is_still_run() {
    let mut plan = Plan::begin(one(CatchUp::Never, &[hourly("20250301T000000")]), AGENT, &[], at("20250314T113000"));
    assert!(plan.replace(one(CatchUp::Never, &[trigger(DAILY, "20250301T200000", 0)]), at("20250314T120001")));
    assert_eq!(take(&mut plan, "20250314T120001"), run_of("20250314T120000"));
    assert_eq!(plan.next_due(), at("20250314T200000"));
}

#[test]
fn each_happening_makes_its_own_triggers_due() {
    let kinds = [TriggerKind::OnStartup, TriggerKind::OnConnect, TriggerKind::Logon];
    let happenings = [Happening::OnStartup, Happening::OnConnect, Happening::Logon];
    let events = (1..).zip(kinds).map(|(number, kind)| {
        event(number, CatchUp::Never, &[Trigger { start: None, ..trigger(kind, "20250301T000000", 0) }])
    });
    let timetable = timetable(events.collect());
    for (index, happening) in happenings.into_iter().enumerate() {
        let mut plan = Plan::begin(timetable.clone(), AGENT, &[], at("20250314T120000"));
        plan.happened(happening, at("20250314T120000"));
        assert_eq!(take(&mut plan, "20250314T120000"), [(index, "20250314T120000".to_owned())]);
        assert_eq!(plan.next_due(), Timestamp::NEVER);
    }
}

#[test]
fn a_happening_before_the_start_of_its_trigger_does_not_count() {
    let logon = one(CatchUp::Never, &[trigger(TriggerKind::Logon, "20250401T000000", 0)]);
    let mut plan = Plan::begin(logon, AGENT, &[], at("20250314T120000"));
    plan.happened(Happening::Logon, at("20250331T235959"));
    assert_eq!(plan.next_due(), Timestamp::NEVER);
    plan.happened(Happening::Logon, at("20250401T000000"));
    assert_eq!(plan.next_due(), at("20250401T000000"));
}

#[test]
fn many_happenings_in_one_window_are_one_run() {
    let connect = one(CatchUp::Never, &[trigger(TriggerKind::OnConnect, "20250301T000000", 3_600)]);
    let mut plan = Plan::begin(connect, AGENT, &[], at("20250314T120000"));
    for second in 0..60 {
        plan.happened(Happening::OnConnect, at("20250314T120000").plus_ms(second));
    }
    assert_eq!(follow(&mut plan, "20250315T120000").len(), 1);
}

#[test]
fn a_run_stands_for_what_began_before_it() {
    let triggers = [trigger(DAILY, "20250301T010000", 14_400), trigger(TriggerKind::Logon, "20250301T000000", 0)];
    let mut plan = Plan::begin(one(CatchUp::Never, &triggers), AGENT, &[], at("20250314T000000"));
    assert!(plan.next_due() > at("20250314T010500"), "the draw of this agent leaves room");
    plan.happened(Happening::Logon, at("20250314T010500"));
    assert_eq!(take(&mut plan, "20250314T010500"), run_of("20250314T010500"));
    assert!(plan.next_due() > at("20250315T010000"));
}

#[test]
fn of_several_triggers_the_earliest_counts_and_two_on_one_instant_are_one_run() {
    let triggers = [
        trigger(DAILY, "20250301T020000", 0),
        trigger(TriggerKind::Weekly { days: 127 }, "20250301T010000", 0),
        trigger(TriggerKind::Monthly { day: 14 }, "20250301T010000", 0),
    ];
    let mut plan = Plan::begin(one(CatchUp::Never, &triggers), AGENT, &[], at("20250314T000000"));
    let expected = ["20250314T010000", "20250314T020000", "20250315T010000", "20250315T020000"];
    assert_eq!(follow(&mut plan, "20250315T230000"), expected.map(|occurrence| (0, occurrence.to_owned())));
}

#[test]
fn a_trigger_with_a_wide_window_does_not_hold_back_another() {
    let triggers = [trigger(TriggerKind::Once, "20250314T000000", SECONDS_MAX), trigger(DAILY, "20250301T010000", 0)];
    let mut plan = Plan::begin(one(CatchUp::Never, &triggers), AGENT, &[], at("20250313T120000"));
    assert_eq!(follow(&mut plan, "20250316T120000").len(), 3);
}

#[test]
fn a_schedule_full_of_yearlong_repetitions_of_a_second_goes_on() {
    let kinds = [DAILY, TriggerKind::Weekly { days: 127 }, TriggerKind::Monthly { day: 0 }, TriggerKind::Once];
    let triggers: Vec<Trigger> = (0..TRIGGERS_MAX as u32)
        .map(|number| Trigger {
            repeat: Some(Repeat { every_secs: 1 + number % 3 * 86_399, for_secs: SECONDS_MAX }),
            ..trigger(kinds[number as usize % kinds.len()], "19700101T000000", SECONDS_MAX)
        })
        .collect();
    let events = (0..EVENTS_MAX).map(|number| event(number as u8, CatchUp::Always, &triggers));
    let mut plan = Plan::begin(timetable(events.collect()), AGENT, &[], at("20250314T000000"));
    let end = at("20250314T000000").plus_ms(20);
    let mut runs = 0;
    while plan.next_due() <= end {
        let due = plan.next_due();
        runs += taken(&mut plan, due).len();
    }
    assert!(runs > 0);
    assert!(taken(&mut plan, at("20260314T000000")).len() == EVENTS_MAX);
}

fn any_event() -> impl Strategy<Value = (CatchUp, Vec<Trigger>)> {
    let catch_up = prop_oneof![Just(CatchUp::Never), Just(CatchUp::OnStartup), Just(CatchUp::Always)];
    (catch_up, proptest::collection::vec(any_timed(), 0..4))
}

fn any_timetable() -> impl Strategy<Value = Arc<Timetable>> {
    proptest::collection::vec(any_event(), 1..4).prop_map(|events| {
        timetable((1..).zip(events).map(|(number, (catch_up, triggers))| event(number, catch_up, &triggers)).collect())
    })
}

/// What an agent stores: the latest memory of each event.
#[derive(Default)]
struct Store(Vec<Ran>);

impl Store {
    fn put(&mut self, ran: Ran) {
        self.0.retain(|old| old.event != ran.event);
        self.0.push(ran);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_agent_that_is_always_on_runs_every_occurrence_of_a_trigger_once(
        trigger in any_timed(), days in 0..1_000i64, agent: u64,
    ) {
        let from = trigger.start.unwrap().plus_ms(days * DAY_MS / 7);
        let rule = crate::schedule::recurrence::Recurrence::new(&trigger).unwrap();
        let mut plan = Plan::begin(one(CatchUp::Never, &[trigger]), agent, &[], from);
        let mut expected = rule.after(from.0);
        for _ in 0..30 {
            let due = plan.next_due();
            if due == Timestamp::NEVER {
                break;
            }
            let runs = taken(&mut plan, due);
            prop_assert_eq!(runs.len(), 1);
            // The first may have begun before the plan did.
            if runs[0].1 > from {
                prop_assert_eq!(Some(runs[0].1.0), expected);
                expected = rule.after(runs[0].1.0);
            }
        }
        if plan.next_due() == Timestamp::NEVER {
            prop_assert_eq!(expected, None);
        }
    }

    #[test]
    fn while_the_clock_goes_forward_no_occurrence_is_run_twice_over_any_restarts(
        timetable in any_timetable(),
        from in 0..3_155_760_000i64,
        steps in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..200_000_000i64), 1..60),
    ) {
        let mut now = Timestamp(from * 1_000);
        let mut store = Store::default();
        let mut last = vec![Timestamp(i64::MIN); timetable.events().len()];
        let mut plan = Plan::begin(timetable.clone(), AGENT, &[], now);
        plan.memory().for_each(|ran| store.put(ran));
        for (restarts, waits, ms) in steps {
            now = match plan.next_due() {
                due if waits && due != Timestamp::NEVER => due,
                _ => now.plus_ms(ms),
            };
            if restarts {
                plan = Plan::begin(timetable.clone(), AGENT, &store.0, now);
                plan.memory().for_each(|ran| store.put(ran));
            }
            for due in plan.take(now) {
                prop_assert!(due.ran.occurrence > last[due.index], "{:?} after {}", due, last[due.index]);
                prop_assert!(due.ran.occurrence <= now);
                last[due.index] = due.ran.occurrence;
                store.put(due.ran);
            }
            prop_assert!(plan.next_due() > now);
            let kept: Vec<Ran> = plan.memory().collect();
            prop_assert!(kept.iter().all(|ran| store.0.contains(ran)), "what a plan knows is what is stored");
        }
    }

    #[test]
    fn no_history_of_the_clock_silences_a_daily_event_for_more_than_two_days_and_its_window(
        window_secs in 0..=86_400u32,
        memory in proptest::option::of(any::<i64>()),
        clocks in proptest::collection::vec((0..4_000i64, 0..DAY_MS, any::<bool>()), 1..40),
    ) {
        let daily = one(CatchUp::Always, &[trigger(DAILY, "19700101T010000", window_secs)]);
        let remembered = |at| Ran { occurrence: Timestamp(at), ..ran(1, "19700101T000000") };
        let memory: Vec<Ran> = memory.into_iter().map(remembered).collect();
        let mut plan = Plan::begin(daily, AGENT, &memory, Timestamp(0));
        for (day, ms, waits) in clocks {
            let now = if waits { plan.next_due() } else { Timestamp(day * DAY_MS + ms) };
            plan.take(now);
            let silent = plan.next_due().ms_since(now);
            prop_assert!(silent <= 2 * DAY_MS + i64::from(window_secs) * 1_000, "{silent}");
        }
    }

    #[test]
    fn no_clock_and_no_memory_make_it_panic_or_stand_still(
        tables in proptest::collection::vec(any_timetable(), 1..3),
        memory in proptest::collection::vec((0..5u8, any::<i64>()), 0..6),
        steps in proptest::collection::vec((0..6u8, any::<i64>()), 1..30),
    ) {
        let memory: Vec<Ran> = memory
            .into_iter()
            .map(|(number, at)| Ran { event: Guid::from_random([number; 16]), occurrence: Timestamp(at) })
            .collect();
        let mut plan = Plan::begin(tables[0].clone(), AGENT, &memory, Timestamp(steps[0].1));
        for (step, clock) in steps {
            // Half of the clocks are of the years in which the triggers are.
            let now = Timestamp(if clock % 2 == 0 { clock } else { clock.rem_euclid(3_000_000_000_000) });
            match step {
                0 => plan.happened(Happening::OnStartup, now),
                1 => drop(plan.replace(tables[step as usize % tables.len()].clone(), now)),
                2 => plan = Plan::begin(tables[0].clone(), AGENT, &memory, now),
                _ => {}
            }
            plan.take(now);
            let sane = Timestamp(now.0.clamp(-FAR_MS, FAR_MS));
            prop_assert!(plan.next_due() > sane);
            plan.planned().for_each(|(_, due)| assert!(due > sane));
        }
    }
}
