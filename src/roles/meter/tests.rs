//! The meter against scripted processes: what it counts, what it reports, what survives a restart.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tally::{PAIRS_MAX, PROCESSES_MAX, USERS_MAX};
use super::*;
use crate::formats::client_configuration::ClientConfiguration;
use crate::id::Digest;
use crate::model::usage::{Application, ProcessSample};
use crate::roles::Intents;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

const AGENT: Guid = Guid::NIL;
const ON: UsagePolicy =
    UsagePolicy { is_enabled: true, unattributed: false, sample_every_ms: MINUTE_MS, session_ms: 8 * HOUR_MS };
const OFF: UsagePolicy = UsagePolicy { is_enabled: false, ..ON };

/// A Wednesday, and a whole minute.
fn begin() -> Timestamp {
    Timestamp::from_stamp("20250312T090000").unwrap()
}

/// `/opt/NAME/anything` belongs to package NAME; nothing else is known.
fn programs() -> Arc<dyn Attribution> {
    Arc::new(|path: &str| {
        let name = path.strip_prefix("/opt/")?.split('/').next()?;
        let (name, version, evidence) = (name.into(), "1".into(), "deb".into());
        Some(Arc::new(Application { name, version, evidence, ..Application::default() }))
    })
}

/// A process that lives from one uptime to another, in seconds.
#[derive(Clone, Debug)]
struct Script {
    pid: u32,
    path: String,
    user: &'static str,
    from: i64,
    to: i64,
    is_active: bool,
}

fn script(pid: u32, name: &str, from: i64, to: i64) -> Script {
    Script { pid, path: format!("/opt/{name}/bin/{name}"), user: "kim", from, to, is_active: false }
}

fn sample(scripts: &[Script], uptime_ms: i64) -> Sample {
    let lives = |script: &&Script| script.from * SECOND_MS <= uptime_ms && uptime_ms < script.to * SECOND_MS;
    let processes = scripts.iter().filter(lives).map(|script| ProcessSample {
        pid: script.pid,
        start: script.from as u64,
        age_ms: (uptime_ms - script.from * SECOND_MS) as u64,
        path: script.path.as_str().into(),
        user: script.user.into(),
        is_active: script.is_active,
    });
    Sample { uptime_ms: uptime_ms as u64, processes: processes.collect() }
}

struct Bench {
    core: MeterCore,
    out: Intents<MeterIntent>,
    uptime_ms: i64,
    /// What the clock shows at uptime 0.
    booted: Timestamp,
    remembered: Vec<u8>,
    reports: Vec<UsageReport>,
    publishes: bool,
}

fn recover(state: Option<MeterState>, policy: UsagePolicy, now: Timestamp) -> MeterCore {
    let durable = MeterDurable { agent: AGENT, policy, programs: programs(), state };
    MeterCore::recover(durable, RngStream::new(1, 1, 1), now)
}

impl Bench {
    fn new() -> Bench {
        Bench::at(begin())
    }

    fn at(now: Timestamp) -> Bench {
        Bench {
            core: recover(None, ON, now),
            out: Intents::default(),
            uptime_ms: 0,
            booted: now,
            remembered: Vec::new(),
            reports: Vec::new(),
            publishes: true,
        }
    }

    fn now(&self) -> Timestamp {
        self.booted.plus_ms(self.uptime_ms)
    }

    fn input(&mut self, input: MeterInput) {
        self.core.on(self.now(), input, &mut self.out);
        self.settle(&[]);
    }

    /// Wakes the core at its next moment and answers what it wants.
    fn step(&mut self, scripts: &[Script]) {
        self.uptime_ms = self.uptime_ms.max(self.core.next_due().0 - self.booted.0);
        self.core.wake(self.now(), &mut self.out);
        self.settle(scripts);
    }

    /// Wakes the core a minute later, whatever the clock shows.
    fn minute(&mut self, scripts: &[Script]) {
        self.uptime_ms += MINUTE_MS;
        self.core.wake(self.now(), &mut self.out);
        self.settle(scripts);
    }

    fn settle(&mut self, scripts: &[Script]) {
        loop {
            let taken = self.out.take();
            if taken.is_empty() {
                return;
            }
            for (intent, wanted) in taken {
                let input = match wanted {
                    MeterIntent::Sample => MeterInput::Sampled(sample(scripts, self.uptime_ms)),
                    MeterIntent::Remember(bytes) => {
                        self.remembered = bytes;
                        continue;
                    }
                    MeterIntent::Report(report) if self.publishes => {
                        self.reports.push(report);
                        MeterInput::Reported { intent }
                    }
                    MeterIntent::Report(_) => MeterInput::ReportFailed { intent },
                };
                self.core.on(self.now(), input, &mut self.out);
            }
        }
    }

    /// Samples each minute up to `secs` of uptime.
    fn run(&mut self, scripts: &[Script], secs: i64) {
        while self.core.next_due() <= self.booted.plus_ms(secs * SECOND_MS) {
            self.step(scripts);
        }
    }

    fn restart(&mut self) {
        let state = MeterState::read(&self.remembered).unwrap();
        self.core = recover(Some(state), ON, self.now().plus_ms(1));
        self.out = Intents::default();
    }

    /// Ends both periods and gives all rows of sessions.
    fn finish(mut self) -> Vec<Row> {
        self.input(MeterInput::Policy(OFF));
        rows(&self.reports, PeriodType::Session)
    }
}

/// User, application, runs, seconds run, seconds active.
type Row = (String, String, u64, u64, u64);

/// Sums over all reports of one type.
fn rows(reports: &[UsageReport], kind: PeriodType) -> Vec<Row> {
    let mut sums = BTreeMap::<(String, String), [u64; 3]>::new();
    for user in reports.iter().filter(|report| report.kind == kind).flat_map(|report| &report.users) {
        for (application, usage) in &user.applications {
            let sum = sums.entry((user.user.to_string(), application.name.to_string())).or_default();
            for (sum, more) in sum.iter_mut().zip([usage.runs, usage.run_secs, usage.active_secs]) {
                *sum += more;
            }
        }
    }
    sums.into_iter().map(|((user, name), [runs, run, active])| (user, name, runs, run, active)).collect()
}

fn row(user: &str, name: &str, runs: u64, run_secs: u64, active_secs: u64) -> Row {
    (user.into(), name.into(), runs, run_secs, active_secs)
}

fn counted(scripts: &[Script], secs: i64) -> Vec<Row> {
    let mut bench = Bench::new();
    bench.run(scripts, secs);
    bench.finish()
}

#[test]
fn metering_is_on_only_when_policy_says_so_and_the_device_lets_it() {
    let told = ClientConfiguration { is_usage_metered: true, ..ClientConfiguration::default() };
    assert_eq!(UsagePolicy::told(&told, true), UsagePolicy { is_enabled: true, ..UsagePolicy::default() });
    assert_eq!(UsagePolicy::told(&told, false), UsagePolicy::default());
    assert_eq!(UsagePolicy::told(&ClientConfiguration::default(), true), UsagePolicy::default());
    let told = ClientConfiguration { usage_sample_secs: 30, usage_upload_secs: 3_600, ..told };
    let wanted = UsagePolicy { is_enabled: true, sample_every_ms: 30_000, session_ms: HOUR_MS, unattributed: false };
    assert_eq!(UsagePolicy::told(&told, true), wanted);
}

#[test]
fn a_process_is_one_run_and_its_time_is_known_to_half_a_minute() {
    // Seen at 120, 180, 240; began 30 s before the first of them, ended somewhere in the minute after the last.
    assert_eq!(counted(&[script(7, "draw", 90, 250)], 600), [row("kim", "draw", 1, 180, 0)]);
    // Older than the meter: one run, and time only from its first sight.
    assert_eq!(counted(&[script(7, "draw", -9_000, 310)], 600), [row("kim", "draw", 1, 330, 0)]);
}

#[test]
fn active_time_is_that_of_samples_in_which_a_process_was_at_work() {
    let busy = Script { is_active: true, ..script(7, "draw", 90, 250) };
    assert_eq!(counted(std::slice::from_ref(&busy), 600), [row("kim", "draw", 1, 180, 180)]);
    let idle_beside = [busy, script(8, "draw", 100, 490)];
    assert_eq!(counted(&idle_beside, 600), [row("kim", "draw", 1, 420, 150)]);
}

#[test]
fn processes_of_one_user_and_application_that_overlap_are_one_run() {
    let browser = [script(1, "web", 60, 300), script(2, "web", 70, 290), script(3, "web", 130, 600)];
    assert_eq!(counted(&browser, 900), [row("kim", "web", 1, 510, 0)], "its children outlive it");
    let other_file = Script { path: "/opt/web/lib/helper".into(), ..script(2, "web", 70, 290) };
    assert_eq!(counted(&[script(1, "web", 60, 300), other_file], 900), [row("kim", "web", 1, 210, 0)]);
    let other_user = Script { user: "lee", ..script(2, "web", 60, 300) };
    let rows = counted(&[script(1, "web", 60, 300), other_user], 900);
    assert_eq!(rows, [row("kim", "web", 1, 210, 0), row("lee", "web", 1, 210, 0)]);
}

#[test]
fn a_process_that_follows_another_is_a_new_run_even_within_one_minute() {
    let one_after_the_other = [script(1, "draw", 60, 190), script(2, "draw", 200, 310)];
    let [(_, _, runs, run_secs, _)] = &counted(&one_after_the_other, 900)[..] else { panic!() };
    assert_eq!((*runs, *run_secs), (2, 260), "240 in truth");
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let again = [script(7, "draw", 60, 150), script(7, "draw", 170, 300)];
    assert_eq!(counted(&again, 900)[0].2, 2);
}

#[test]
fn a_process_that_becomes_another_program_is_a_run_of_that() {
    let launcher = Script { path: "/bin/sh".into(), to: 100, ..script(7, "draw", 50, 100) };
    let become_ = script(7, "draw", 50, 400);
    let mut bench = Bench::new();
    bench.run(&[launcher], 60);
    bench.run(std::slice::from_ref(&become_), 300);
    bench.run(&[Script { path: "/opt/paint/bin/paint".into(), ..become_ }], 600);
    let rows = bench.finish();
    assert_eq!(rows.iter().map(|row| (&*row.1, row.2)).collect::<Vec<_>>(), [("draw", 1), ("paint", 1)]);
}

#[test]
fn nothing_is_looked_at_unless_policy_asks() {
    let mut core = recover(None, UsagePolicy::default(), begin());
    let mut out = Intents::default();
    assert_eq!(core.next_due(), Timestamp::NEVER);
    core.wake(begin(), &mut out);
    core.on(begin(), MeterInput::Sampled(sample(&[script(1, "draw", 0, 99)], 0)), &mut out);
    assert_eq!(out.take(), []);
    core.on(begin(), MeterInput::Policy(ON), &mut out);
    assert_eq!(core.next_due(), begin());
    core.wake(begin(), &mut out);
    assert!(out.take().iter().any(|(_, intent)| *intent == MeterIntent::Sample));
}

#[test]
fn switching_off_reports_what_was_counted_and_on_again_begins_a_new_run_under_another_guid() {
    let scripts = [script(1, "draw", 0, 9_000)];
    let mut bench = Bench::new();
    bench.run(&scripts, 600);
    bench.input(MeterInput::Policy(OFF));
    let kinds: Vec<_> = bench.reports.iter().map(|report| report.kind).collect();
    assert_eq!(kinds, [PeriodType::Session, PeriodType::WeeklySummary]);
    assert_eq!(bench.core.next_due(), Timestamp::NEVER);
    bench.uptime_ms += 600 * SECOND_MS;
    bench.input(MeterInput::Policy(ON));
    bench.run(&scripts, 1_800);
    bench.input(MeterInput::Policy(OFF));
    let guids: BTreeSet<_> = bench.reports.iter().map(|report| report.users[0].guid).collect();
    assert_eq!((bench.reports.len(), guids.len()), (4, 4));
    assert_eq!(rows(&bench.reports, PeriodType::Session), [row("kim", "draw", 2, 1_200, 0)]);
}

#[test]
fn programs_without_installation_data_are_metered_only_while_policy_asks_for_them() {
    let scripts = [Script { path: "/home/kim/tool".into(), ..script(1, "x", 0, 9_000) }, script(2, "draw", 0, 9_000)];
    let names = |rows: &[Row]| rows.iter().map(|row| row.1.clone()).collect::<Vec<_>>();
    assert_eq!(names(&counted(&scripts, 600)), ["draw"]);
    let mut bench = Bench::new();
    bench.input(MeterInput::Policy(UsagePolicy { unattributed: true, ..ON }));
    bench.run(&scripts, 600);
    bench.input(MeterInput::Policy(ON));
    bench.run(&scripts, 1_200);
    assert_eq!(bench.finish(), [row("kim", "draw", 1, 1_200, 0), row("kim", "tool", 1, 600, 0)]);
}

#[test]
fn a_running_process_is_metered_from_when_installation_data_names_it() {
    let scripts = [Script { path: "/srv/new".into(), ..script(1, "x", 0, 9_000) }];
    let mut bench = Bench::new();
    bench.run(&scripts, 300);
    bench.input(MeterInput::Programs(Arc::new(|path: &str| Some(Arc::new(Application::of_file(path))))));
    bench.run(&scripts, 600);
    assert_eq!(bench.finish(), [row("kim", "new", 1, 240, 0)]);
}

#[test]
fn a_gap_of_more_than_three_samples_counts_no_time_and_three_samples_count() {
    let scripts = [script(1, "draw", 0, 1_000_000)];
    let with_gap = |gap_secs: i64| {
        let mut bench = Bench::new();
        bench.run(&scripts, 600);
        bench.uptime_ms += gap_secs * SECOND_MS;
        bench.step(&scripts);
        bench.finish()
    };
    assert_eq!(with_gap(180), [row("kim", "draw", 1, 780, 0)]);
    assert_eq!(with_gap(181), [row("kim", "draw", 1, 600, 0)]);
    assert_eq!(with_gap(9 * 3_600), [row("kim", "draw", 1, 600, 0)]);
}

#[test]
fn a_new_process_over_a_gap_counts_its_age_only_when_it_is_younger_than_a_sample() {
    let after_gap = |from: i64| {
        let mut bench = Bench::new();
        bench.run(&[], 600);
        bench.uptime_ms = 9_000 * SECOND_MS;
        bench.step(&[script(1, "draw", from, 99_999)]);
        bench.finish()
    };
    assert_eq!(after_gap(8_960), [row("kim", "draw", 1, 40, 0)]);
    assert_eq!(after_gap(8_900), [row("kim", "draw", 1, 0, 0)]);
}

#[test]
fn a_restart_of_the_machine_is_a_gap_and_its_processes_are_new_runs() {
    let mut bench = Bench::new();
    bench.run(&[script(1, "draw", 0, 99_999)], 600);
    bench.booted = bench.now();
    bench.uptime_ms = 0;
    bench.restart();
    // The same number and start on another boot would be told apart by `start`; here the start differs.
    bench.run(&[script(1, "draw", 5, 99_999)], 300);
    let [(_, _, runs, run_secs, _)] = &bench.finish()[..] else { panic!() };
    assert_eq!(*runs, 2);
    assert!((600 + 240..=600 + 300).contains(run_secs), "{run_secs}");
}

#[test]
fn a_clock_that_is_set_makes_no_time_and_loses_none() {
    for step in [DAY_MS, -DAY_MS, 90 * MINUTE_MS, -90 * MINUTE_MS, 20 * 365 * DAY_MS, -20 * 365 * DAY_MS, 7_000] {
        let scripts = [script(1, "draw", 0, 99_999)];
        let mut bench = Bench::new();
        bench.run(&scripts, 600);
        bench.booted = bench.booted.plus_ms(step);
        (0..10).for_each(|_| bench.minute(&scripts));
        bench.booted = bench.booted.plus_ms(-step);
        (0..10).for_each(|_| bench.minute(&scripts));
        let uptime_secs = (bench.uptime_ms / SECOND_MS) as u64;
        bench.input(MeterInput::Policy(OFF));
        // A week that ended when the clock was set is reported some hours later.
        bench.uptime_ms += 8 * HOUR_MS;
        bench.minute(&[]);
        for kind in [PeriodType::Session, PeriodType::WeeklySummary] {
            let [(_, _, runs, run_secs, _)] = &rows(&bench.reports, kind)[..] else { panic!() };
            assert_eq!(*runs, 1, "{step}");
            // Each report drops less than a second.
            assert!((uptime_secs - 3..=uptime_secs).contains(run_secs), "{step}: {run_secs} of {uptime_secs}");
        }
        let guids: Vec<_> = bench.reports.iter().map(|report| report.users[0].guid).collect();
        assert_eq!(guids.iter().collect::<BTreeSet<_>>().len(), guids.len(), "{step}");
        for report in &bench.reports {
            let (_, usage) = &report.users[0].applications[0];
            assert!(usage.last_used.is_some_and(|at| at >= report.start && at <= report.end), "{step}");
        }
    }
}

#[test]
fn each_session_is_one_report_and_a_run_over_its_end_is_started_once() {
    let mut bench = Bench::new();
    bench.run(&[script(1, "draw", 0, 999_999)], 24 * 3_600);
    let sessions: Vec<_> = bench.reports.iter().filter(|report| report.kind == PeriodType::Session).collect();
    assert_eq!(sessions.len(), 3);
    let usages: Vec<_> = sessions.iter().map(|report| report.users[0].applications[0].1).collect();
    assert_eq!(usages.iter().map(|usage| usage.runs).collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(usages[1].run_secs, 28_800);
    for (report, usage) in sessions.iter().zip(&usages) {
        assert_eq!(report.end.ms_since(report.start), 8 * HOUR_MS);
        assert_eq!(usage.last_used, Some(report.end));
    }
    assert!(sessions.windows(2).all(|pair| pair[0].end == pair[1].start));
}

#[test]
fn the_week_ends_on_monday_and_is_reported_within_eight_hours_with_the_sums_of_its_sessions() {
    let mut bench = Bench::at(Timestamp::from_stamp("20250316T200000").unwrap());
    let scripts = [script(1, "draw", 0, 999_999), script(2, "paint", 600, 4_000)];
    bench.run(&scripts, 4 * 3_600);
    let monday = Timestamp::from_stamp("20250317T000000").unwrap();
    let due = bench.core.next_due();
    assert!(due > monday && due <= monday.plus_ms(MINUTE_MS));
    bench.run(&scripts, 12 * 3_600);
    let weeks: Vec<_> = bench.reports.iter().filter(|report| report.kind == PeriodType::WeeklySummary).collect();
    let [week] = weeks[..] else { panic!("{weeks:?}") };
    assert_eq!((week.start, week.end), (monday.plus_ms(-7 * DAY_MS), monday));
    let usages: Vec<_> = week.users[0].applications.iter().map(|(_, usage)| (usage.runs, usage.run_secs)).collect();
    assert_eq!(usages, [(1, 4 * 3_600), (1, 3_390)]);
    bench.input(MeterInput::Policy(OFF));
    let (sessions, weeks) =
        (rows(&bench.reports, PeriodType::Session), rows(&bench.reports, PeriodType::WeeklySummary));
    assert_eq!(sessions, weeks);
}

#[test]
fn a_report_that_could_not_be_stored_is_tried_again_until_it_is_and_then_never() {
    let mut bench = Bench::new();
    let scripts = [script(1, "draw", 0, 999_999)];
    bench.publishes = false;
    bench.run(&scripts, 10 * 3_600);
    assert_eq!(bench.reports, []);
    // What waits survives a restart, and is then the same report.
    bench.restart();
    bench.publishes = true;
    bench.run(&scripts, 10 * 3_600 + 300);
    assert_eq!(bench.reports.len(), 1);
    let first = bench.reports[0].users[0].guid;
    bench.restart();
    bench.run(&scripts, 11 * 3_600);
    assert_eq!(bench.reports.len(), 1);
    let mut other = Bench::new();
    other.run(&scripts, 10 * 3_600);
    assert_eq!(other.reports[0].users[0].guid, first);
}

#[test]
fn a_report_that_was_not_confirmed_before_a_crash_comes_again_under_the_same_guid() {
    let mut bench = Bench::new();
    let scripts = [script(1, "draw", 0, 999_999)];
    bench.run(&scripts, 3_600);
    bench.core.on(bench.now(), MeterInput::Policy(OFF), &mut bench.out);
    let (mut sent, mut stored) = (None, None);
    for (_, intent) in bench.out.take() {
        match intent {
            MeterIntent::Remember(bytes) => stored = Some(bytes),
            MeterIntent::Report(report) => sent = Some(report),
            MeterIntent::Sample => panic!(),
        }
    }
    bench.remembered = stored.unwrap();
    bench.restart();
    bench.step(&[]);
    assert_eq!(bench.reports.first(), sent.as_ref());
}

#[test]
fn reports_that_wait_too_long_give_way_to_newer_ones_and_that_is_told() {
    let mut bench = Bench::new();
    bench.publishes = false;
    bench.input(MeterInput::Policy(UsagePolicy { session_ms: 10 * MINUTE_MS, ..ON }));
    let scripts = [script(1, "draw", 0, 999_999)];
    bench.run(&scripts, 3 * 3_600);
    bench.publishes = true;
    bench.run(&scripts, 3 * 3_600 + 600);
    assert!(bench.reports.len() <= 10, "{}", bench.reports.len());
    let lost: u64 = bench.reports.iter().map(|report| report.dropped.reports).sum();
    assert!((8..=12).contains(&lost), "{lost}");
}

#[test]
fn processes_pairs_and_users_beyond_the_bounds_are_dropped_and_told() {
    let check = |scripts: &[Script], kept: usize, wanted: Dropped| {
        let mut bench = Bench::new();
        bench.run(scripts, 120);
        bench.input(MeterInput::Policy(OFF));
        let rows: usize = bench.reports[0].users.iter().map(|user| user.applications.len()).sum();
        assert_eq!((rows, bench.reports[0].dropped), (kept, wanted));
        assert_eq!(bench.reports[1].dropped, Dropped::default(), "told once");
    };
    let many = |count: usize, name: fn(usize) -> String| -> Vec<Script> {
        (0..count).map(|n| Script { path: name(n), ..script(n as u32, "x", 0, 999) }).collect()
    };
    let one = many(PROCESSES_MAX + 3, |_| "/opt/one/x".into());
    check(&one, 1, Dropped { processes: 3, ..Dropped::default() });
    let pairs = many(PAIRS_MAX + 2, |n| format!("/opt/a{n}/x"));
    check(&pairs, PAIRS_MAX, Dropped { pairs: 2, ..Dropped::default() });
    let users: Vec<Script> = (0..USERS_MAX + 1)
        .map(|n| Script { user: format!("user{n}").leak(), ..script(n as u32, "draw", 0, 999) })
        .collect();
    check(&users, USERS_MAX, Dropped { users: 1, ..Dropped::default() });
}

#[test]
fn room_that_ended_processes_leave_is_used() {
    let full: Vec<Script> = (0..PROCESSES_MAX as u32).map(|pid| script(pid, "draw", 0, 100)).collect();
    let mut bench = Bench::new();
    bench.run(&full, 60);
    bench.run(&[script(9_999, "paint", 70, 999)], 180);
    let rows = bench.finish();
    assert_eq!(rows.iter().map(|row| (&*row.1, row.2)).collect::<Vec<_>>(), [("draw", 1), ("paint", 1)]);
}

#[test]
fn long_names_of_users_are_cut_and_keep_their_bounds() {
    let long = Script { user: "\u{e9}".repeat(300).leak(), ..script(1, "draw", 0, 999) };
    let rows = counted(&[long], 120);
    assert_eq!(rows[0].0.chars().count(), 256);
}

#[test]
fn the_state_of_five_hundred_processes_is_small_and_that_of_another_agent_is_not_taken() {
    let scripts: Vec<Script> = (0..500).map(|n| script(n, &format!("package-{}", n % 60), 0, 9_999)).collect();
    let mut bench = Bench::new();
    bench.run(&scripts, 300);
    assert!(bench.remembered.len() < 25_000, "{}", bench.remembered.len());
    let state = MeterState::read(&bench.remembered).unwrap();
    assert_eq!(MeterState::read(&state.bytes()).unwrap(), state);
    let agent = Guid::from_random([5; 16]);
    let durable = MeterDurable { agent, policy: ON, programs: programs(), state: Some(state) };
    assert_eq!(MeterCore::recover(durable, RngStream::new(1, 1, 1), begin()).state, MeterState::new(agent));
}

#[test]
fn policy_that_cannot_be_followed_is_brought_to_the_nearest_that_can() {
    let of = |sample_every_ms, session_ms| {
        let policy = recover(None, UsagePolicy { sample_every_ms, session_ms, ..ON }, begin()).policy();
        (policy.sample_every_ms, policy.session_ms)
    };
    assert_eq!(of(0, 0), (1_000, 1_000));
    assert_eq!(of(i64::MAX, i64::MAX), (10 * MINUTE_MS, 7 * DAY_MS));
    assert_eq!(of(i64::MIN, i64::MIN), (1_000, 1_000));
    assert_eq!(of(MINUTE_MS, 8 * HOUR_MS), (MINUTE_MS, 8 * HOUR_MS));
}

#[test]
fn a_sample_is_asked_for_once_until_it_comes_and_again_after_a_failure() {
    let mut core = recover(None, ON, begin());
    let mut out = Intents::default();
    core.wake(begin(), &mut out);
    assert_eq!(out.take().len(), 1);
    core.wake(begin().plus_ms(5 * MINUTE_MS), &mut out);
    assert_eq!((out.take(), core.next_due()), (vec![], Timestamp::NEVER));
    core.on(begin().plus_ms(5 * MINUTE_MS + 1), MeterInput::SampleFailed, &mut out);
    assert!(core.next_due() <= begin().plus_ms(6 * MINUTE_MS));
}

/// Seconds of pause, seconds of length, and children: where in it each begins and how much of the rest it lives.
type Run = (i64, i64, Vec<(f64, f64)>);

/// Runs of one application one after the other.
fn schedule() -> impl Strategy<Value = Vec<Run>> {
    let child = (0.0..1.0, 0.0..1.0);
    proptest::collection::vec((1..400i64, 120..480i64, proptest::collection::vec(child, 0..3)), 1..6)
}

fn scripts_of(schedules: &[Vec<Run>]) -> Vec<Script> {
    let (mut scripts, mut pid) = (Vec::new(), 0);
    for (name, schedule) in ["draw", "paint"].into_iter().zip(schedules) {
        let mut at = 0;
        for (pause, length, children) in schedule {
            at += pause;
            pid += 1;
            scripts.push(script(pid, name, at, at + length));
            for (from, share) in children {
                let from = at + (from * *length as f64) as i64;
                pid += 1;
                scripts.push(script(pid, name, from, from + ((at + length - from) as f64 * share) as i64));
            }
            at += length;
        }
    }
    scripts
}

/// Any process of few, with any age; the same number and start may change its program.
fn any_process() -> impl Strategy<Value = ProcessSample> {
    let age = prop_oneof![0..400_000u64, any::<u64>()];
    (0..6u32, 0..3u64, age, 0..3usize, 0..2usize, any::<bool>()).prop_map(
        |(pid, start, age_ms, path, user, is_active)| ProcessSample {
            pid,
            start,
            age_ms,
            path: ["/opt/draw/x", "/opt/paint/x", "/bin/sh"][path].into(),
            user: ["kim", "lee"][user].into(),
            is_active,
        },
    )
}

proptest! {
    #[test]
    fn runs_of_two_to_eight_minutes_are_counted_exactly_and_timed_within_half_a_minute_each(
        schedules in proptest::collection::vec(schedule(), 2),
    ) {
        let rows = counted(&scripts_of(&schedules), 6 * 1_000);
        for (name, schedule) in ["draw", "paint"].into_iter().zip(&schedules) {
            let (_, _, runs, run_secs, _) = rows.iter().find(|row| row.1 == name).unwrap();
            prop_assert_eq!(*runs, schedule.len() as u64);
            let true_secs: i64 = schedule.iter().map(|run| run.1).sum();
            let error = (*run_secs as i64 - true_secs).abs();
            prop_assert!(error <= 30 * schedule.len() as i64 + 1, "{} s off", error);
        }
    }

    #[test]
    fn a_restart_at_any_sample_gives_the_same_reports_as_none(
        schedules in proptest::collection::vec(schedule(), 2),
        restarts in proptest::collection::btree_set(0..40usize, 0..6),
        hours in 0..4i64,
    ) {
        let scripts = scripts_of(&schedules);
        let policy = UsagePolicy { session_ms: 20 * MINUTE_MS, ..ON };
        let of = |restarts: &BTreeSet<usize>| {
            let mut bench = Bench::at(Timestamp::from_stamp("20250316T233000").unwrap().plus_ms(-hours * HOUR_MS));
            bench.input(MeterInput::Policy(policy));
            for step in 0..60 {
                bench.minute(&scripts);
                if restarts.contains(&step) {
                    let state = MeterState::read(&bench.remembered).unwrap();
                    bench.core = recover(Some(state), policy, bench.now());
                    bench.out = Intents::default();
                }
            }
            bench.input(MeterInput::Policy(OFF));
            bench.reports
        };
        prop_assert_eq!(of(&restarts), of(&BTreeSet::new()));
    }

    #[test]
    fn whatever_is_sampled_sums_stay_within_the_time_that_passed_and_order_does_not_show(
        samples in proptest::collection::vec(
            (
                prop_oneof![4 => Just(MINUTE_MS), 2 => 0..400_000i64, 1 => -10 * DAY_MS..10 * DAY_MS],
                prop_oneof![4 => Just(0i64), 1 => -40 * DAY_MS..40 * DAY_MS],
                proptest::collection::vec(any_process(), 0..8),
            ),
            1..40,
        ),
    ) {
        let of = |is_reversed: bool| {
            let mut bench = Bench::new();
            bench.input(MeterInput::Policy(UsagePolicy { session_ms: 30 * MINUTE_MS, ..ON }));
            let mut passed_ms = 0;
            for (uptime_step, clock_step, processes) in &samples {
                let before = bench.uptime_ms;
                bench.uptime_ms = (bench.uptime_ms + uptime_step).max(0);
                bench.booted = bench.booted.plus_ms(*clock_step);
                // Over a gap at most the age of a process that is younger than a sample.
                passed_ms += match bench.uptime_ms - before {
                    step @ 1..=180_000 => step,
                    _ => MINUTE_MS,
                };
                // One process has one number and start within a sample.
                let unique: BTreeMap<_, _> =
                    processes.iter().map(|process| ((process.pid, process.start), process.clone())).collect();
                let mut processes: Vec<_> = unique.into_values().collect();
                if is_reversed {
                    processes.reverse();
                }
                let sample = Sample { uptime_ms: bench.uptime_ms as u64, processes };
                bench.input(MeterInput::Sampled(sample));
            }
            bench.input(MeterInput::Policy(OFF));
            (bench.reports, passed_ms as u64 / 1_000)
        };
        let (reports, passed_secs) = of(false);
        for kind in [PeriodType::Session, PeriodType::WeeklySummary] {
            for (user, name, runs, run_secs, active_secs) in rows(&reports, kind) {
                prop_assert!(active_secs <= run_secs && run_secs <= passed_secs, "{user} {name} {run_secs}");
                prop_assert!(runs <= samples.len() as u64);
            }
        }
        for report in &reports {
            let length_secs = (report.end.ms_since(report.start) / SECOND_MS) as u64;
            for (_, usage) in report.users.iter().flat_map(|user| &user.applications) {
                prop_assert!(usage.run_secs <= length_secs);
            }
        }
        let bytes = |reports: &[UsageReport]| -> Vec<Vec<u8>> {
            reports.iter().map(|report| report.to_mmi(&Reporter::default()).write(Vec::new()).unwrap()).collect()
        };
        prop_assert_eq!(bytes(&reports), bytes(&of(true).0));
        let guids: Vec<_> = reports.iter().flat_map(|report| &report.users).map(|user| user.guid).collect();
        prop_assert_eq!(guids.iter().collect::<BTreeSet<_>>().len(), guids.len());
    }

    #[test]
    fn no_stored_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..6),
    ) {
        let _ = MeterState::read(&bytes);
        let mut bench = Bench::new();
        let scripts = [script(1, "draw", 0, 9_999), script(2, "paint", 100, 400)];
        bench.run(&scripts, 300);
        let mut stored = bench.remembered.clone();
        for (at, byte) in flips {
            let at = usize::from(at) % stored.len();
            stored[at] = byte;
        }
        if let Ok(state) = MeterState::read(&stored) {
            let mut core = recover(Some(state), ON, begin());
            let mut out = Intents::default();
            core.wake(begin(), &mut out);
            core.on(begin(), MeterInput::Sampled(sample(&scripts, 360_000)), &mut out);
            core.on(begin(), MeterInput::Policy(OFF), &mut out);
            prop_assert!(!out.take().is_empty());
        }
    }
}

#[test]
fn agents_have_their_own_sessions_and_guids() {
    let reports = |agent: Guid| {
        let mut state = MeterState::new(agent);
        let naming = Naming { programs: &*programs(), unattributed: false };
        state.count(begin(), &sample(&[script(1, "draw", 0, 99)], 60_000), &ON, &naming);
        state.end_periods(begin());
        state.due_report(begin()).cloned().unwrap()
    };
    let agent = |n: u8| Guid::from_random(Digest::of(&[n]).0[..16].try_into().unwrap());
    let (a, b) = (reports(agent(1)), reports(agent(2)));
    assert_eq!(reports(agent(1)), a);
    assert_ne!(a.start, b.start);
    assert_ne!(a.users[0].guid, b.users[0].guid);
}
