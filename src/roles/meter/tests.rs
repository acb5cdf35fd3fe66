//! The meter against scripted processes: what it counts, what it reports, what survives a restart.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tally::{PAIRS_MAX, PROCESSES_MAX, USERS_MAX};
use super::*;
use crate::config::agent::UsageRules;
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

/// `/opt/NAME/FOLDER/FILE` is program FILE of package NAME; nothing else is known.
fn programs() -> Arc<dyn Attribution> {
    Arc::new(|path: &str| {
        let name = path.strip_prefix("/opt/")?.split('/').next()?;
        let (name, version, evidence) = (name.into(), "1".into(), "deb".into());
        Some(Arc::new(Application { name, version, evidence, ..Application::of_file(path) }))
    })
}

/// A process that lives from one uptime to another, in seconds.
#[derive(Clone, Debug)]
struct Script {
    pid: u32,
    parent: u32,
    path: String,
    user: &'static str,
    from: i64,
    to: i64,
    is_active: bool,
}

fn script(pid: u32, name: &str, from: i64, to: i64) -> Script {
    Script { pid, parent: 0, path: format!("/opt/{name}/bin/{name}"), user: "kim", from, to, is_active: false }
}

/// A process of the same program as its parent.
fn child(parent: u32, script: Script) -> Script {
    Script { parent, ..script }
}

fn sample(scripts: &[Script], uptime_ms: i64) -> Sample {
    let lives = |script: &&Script| script.from * SECOND_MS <= uptime_ms && uptime_ms < script.to * SECOND_MS;
    let processes = scripts.iter().filter(lives).map(|script| ProcessSample {
        pid: script.pid,
        start: script.from as u64,
        parent: script.parent,
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
    assert_eq!(
        UsagePolicy::told(&told, UsageRules::default()),
        UsagePolicy { is_enabled: true, ..UsagePolicy::default() }
    );
    assert_eq!(UsagePolicy::told(&told, UsageRules { is_allowed: false, period_secs: None }), UsagePolicy::default());
    assert_eq!(UsagePolicy::told(&ClientConfiguration::default(), UsageRules::default()), UsagePolicy::default());
    let told = ClientConfiguration { usage_sample_secs: 30, usage_upload_secs: 3_600, ..told };
    let wanted = UsagePolicy { is_enabled: true, sample_every_ms: 30_000, session_ms: HOUR_MS, unattributed: false };
    assert_eq!(UsagePolicy::told(&told, UsageRules::default()), wanted);
    let own = UsageRules { is_allowed: true, period_secs: Some(600) };
    assert_eq!(UsagePolicy::told(&told, own), UsagePolicy { session_ms: 600_000, ..wanted });
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
    assert_eq!(counted(&idle_beside, 600), [row("kim", "draw", 2, 180 + 410, 180)]);
}

#[test]
fn two_processes_of_one_program_are_two_runs_one_after_the_other_or_at_one_time() {
    let overlapping = [script(1, "draw", 60, 310), script(2, "draw", 70, 430)];
    assert_eq!(counted(&overlapping, 900), [row("kim", "draw", 2, 270 + 380, 0)]);
    let one_after_the_other = [script(1, "draw", 60, 190), script(2, "draw", 200, 310)];
    assert_eq!(counted(&one_after_the_other, 900), [row("kim", "draw", 2, 120 + 30 + 40 + 60 + 30, 0)], "240 in truth");
    let other_user = Script { user: "lee", ..script(2, "draw", 60, 310) };
    let rows = counted(&[script(1, "draw", 60, 310), other_user], 900);
    assert_eq!(rows, [row("kim", "draw", 1, 270, 0), row("lee", "draw", 1, 270, 0)]);
}

#[test]
fn a_process_and_its_descendants_of_the_same_program_are_one_run_whose_time_counts_once() {
    let browser = [
        script(1, "web", 60, 310),
        child(1, script(2, "web", 70, 290)),
        child(2, script(3, "web", 70, 300)),
        child(1, script(4, "web", 130, 610)),
    ];
    assert_eq!(counted(&browser, 900), [row("kim", "web", 1, 570, 0)], "a child outlives it");
    let reversed: Vec<Script> = browser.iter().rev().cloned().collect();
    assert_eq!(counted(&reversed, 900), counted(&browser, 900), "a child may be listed before its parent");
    // Descendants by another program between them are not: the chain is broken there.
    let by_a_shell = [
        script(1, "web", 60, 310),
        Script { path: "/bin/sh".into(), ..child(1, script(2, "x", 70, 310)) },
        child(2, script(3, "web", 70, 310)),
    ];
    assert_eq!(counted(&by_a_shell, 900)[0].2, 2);
    let of_lee = Script { user: "lee", ..child(1, script(2, "web", 60, 310)) };
    assert_eq!(
        counted(&[script(1, "web", 60, 310), of_lee].map(|one| one), 900).iter().map(|row| row.2).sum::<u64>(),
        2
    );
}

#[test]
fn two_programs_of_one_package_are_two_rows_and_one_starts_the_other_anew() {
    let helper = Script { path: "/opt/web/lib/helper".into(), ..child(1, script(2, "x", 70, 310)) };
    let mut bench = Bench::new();
    bench.run(&[script(1, "web", 60, 310), helper], 900);
    bench.input(MeterInput::Policy(OFF));
    let session = bench.reports.iter().find(|report| report.kind == PeriodType::Session).unwrap();
    let rows: Vec<_> = session.users[0]
        .applications
        .iter()
        .map(|(application, usage)| (&*application.name, &*application.file_name, usage.runs, usage.run_secs))
        .collect();
    assert_eq!(rows, [("web", "helper", 1, 260), ("web", "web", 1, 270)]);
}

#[test]
fn a_launcher_that_ends_goes_on_as_its_child_when_one_sample_showed_both() {
    let seen_together = [script(1, "draw", 60, 130), child(1, script(2, "draw", 110, 430))];
    assert_eq!(counted(&seen_together, 900), [row("kim", "draw", 1, 390, 0)]);
    // At its first sight the child has another parent.
    let never_together = [script(1, "draw", 60, 130), script(2, "draw", 125, 430)];
    assert_eq!(counted(&never_together, 900)[0].2, 2);
    // The number of the parent belongs to another process by now.
    let other = [script(1, "draw", 60, 130), script(1, "draw", 140, 430), child(1, script(3, "draw", 200, 430))];
    assert_eq!(counted(&other, 900)[0].2, 2);
}

#[test]
fn processes_that_are_each_others_parents_are_counted_and_end_the_count() {
    let circle =
        [child(2, script(1, "draw", 0, 310)), child(1, script(2, "draw", 0, 310)), child(3, script(3, "draw", 0, 9))];
    assert_eq!(counted(&circle, 600)[0].2, 2);
}

#[test]
fn the_active_time_of_a_run_is_that_in_which_any_of_its_processes_worked() {
    let busy = Script { is_active: true, ..script(1, "web", 60, 250) };
    let idle = child(1, script(2, "web", 60, 490));
    assert_eq!(counted(&[busy.clone(), idle], 900), [row("kim", "web", 1, 450, 180)]);
    let both = [busy, Script { is_active: true, ..script(2, "web", 60, 250) }];
    assert_eq!(counted(&both, 900), [row("kim", "web", 2, 420, 420)]);
}

#[test]
fn the_time_of_runs_that_overlap_passes_the_period_and_that_of_one_run_never_does() {
    let scripts: Vec<Script> = (1..=3).map(|pid| script(pid, "draw", -9, 999_999)).collect();
    let mut bench = Bench::new();
    bench.input(MeterInput::Policy(UsagePolicy { session_ms: 10 * MINUTE_MS, ..ON }));
    for _ in 0..40 {
        bench.minute(&scripts);
        // A clock that is put back a little each minute, within what counts as a correction.
        bench.booted = bench.booted.plus_ms(-20 * SECOND_MS);
    }
    let sessions = bench.reports.iter().filter(|report| report.kind == PeriodType::Session);
    let secs: Vec<u64> = sessions.map(|report| report.users[0].applications[0].1.run_secs).collect();
    assert!(secs.len() >= 2 && secs.contains(&1_800) && secs.iter().all(|&secs| secs <= 1_800), "{secs:?}");
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
    let full = PROCESSES_MAX as u64;
    assert_eq!(rows.iter().map(|row| (&*row.1, row.2)).collect::<Vec<_>>(), [("draw", full), ("paint", 1)]);
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
    assert!(bench.remembered.len() < 40_000, "{}", bench.remembered.len());
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

/// When a run begins, for how many seconds its first process lives, and its other processes: whose child each is, where
/// in the first minutes of that one it begins, and for how many seconds it lives.
type Run = (i64, i64, Vec<(usize, f64, i64)>);

/// Runs of one program at any times.
fn schedule() -> impl Strategy<Value = Vec<Run>> {
    let child = (0..9usize, 0.0..1.0, 60..480i64);
    proptest::collection::vec((0..2_400i64, 120..480i64, proptest::collection::vec(child, 0..4)), 1..6)
}

/// The processes, and for each program the runs that they are, counted from the schedule alone: from when until when.
fn scripts_of(schedules: &[Vec<Run>]) -> (Vec<Script>, Vec<Vec<(i64, i64)>>) {
    let (mut scripts, mut truths) = (Vec::new(), Vec::new());
    for (name, schedule) in ["draw", "paint"].into_iter().zip(schedules) {
        let mut truth = Vec::new();
        for (from, length, children) in schedule {
            let first = scripts.len();
            scripts.push(script(1_000 + first as u32, name, *from, from + length));
            for (parent, share, length) in children {
                let parent: &Script = &scripts[first + parent % (scripts.len() - first)];
                // A minute before it ends at the latest, so that a sample shows both.
                let from = parent.from + (share * (parent.to - parent.from - 60) as f64) as i64;
                let pid = 1_000 + scripts.len() as u32;
                scripts.push(child(parent.pid, script(pid, name, from, from + length)));
            }
            let until = scripts[first..].iter().map(|script| script.to).max().unwrap();
            truth.push((*from, until));
        }
        truths.push(truth);
    }
    // The kernel may list them in any order.
    scripts.sort_by_key(|script| script.pid.reverse_bits());
    (scripts, truths)
}

/// Any process of few, with any age; the same number and start may change its program.
fn any_process() -> impl Strategy<Value = ProcessSample> {
    let age = prop_oneof![0..400_000u64, any::<u64>()];
    (0..6u32, 0..3u64, 0..7u32, age, 0..3usize, 0..2usize, any::<bool>()).prop_map(
        |(pid, start, parent, age_ms, path, user, is_active)| ProcessSample {
            pid,
            start,
            parent,
            age_ms,
            path: ["/opt/draw/x", "/opt/paint/x", "/bin/sh"][path].into(),
            user: ["kim", "lee"][user].into(),
            is_active,
        },
    )
}

proptest! {
    #[test]
    fn runs_of_two_minutes_and_more_are_counted_exactly_and_timed_within_half_a_minute_each(
        schedules in proptest::collection::vec(schedule(), 2),
    ) {
        let (scripts, truths) = scripts_of(&schedules);
        let rows = counted(&scripts, 6 * 1_000);
        for (name, truth) in ["draw", "paint"].into_iter().zip(&truths) {
            let (_, _, runs, run_secs, _) = rows.iter().find(|row| row.1 == name).unwrap();
            prop_assert_eq!(*runs, truth.len() as u64);
            let true_secs: i64 = truth.iter().map(|(from, to)| to - from).sum();
            let error = (*run_secs as i64 - true_secs).abs();
            prop_assert!(error <= 30 * truth.len() as i64 + 1, "{} s off", error);
        }
    }

    #[test]
    fn a_restart_at_any_sample_gives_the_same_reports_as_none(
        schedules in proptest::collection::vec(schedule(), 2),
        restarts in proptest::collection::btree_set(0..40usize, 0..6),
        hours in 0..4i64,
    ) {
        let (scripts, _) = scripts_of(&schedules);
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
                // At most eight processes at a time, each at most one run.
                prop_assert!(active_secs <= run_secs && run_secs <= 8 * (passed_secs + 1), "{user} {name} {run_secs}");
                prop_assert!(runs <= samples.iter().map(|(.., processes)| processes.len() as u64).sum());
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

/// What a version left that knew one run of a pair at a time: two processes of `draw`, one that ran and ended of `paint`,
/// a shell that no package names, and a session that waits to be published.
const OLDER_STATE: &str = "\
    0196c41000000000000000000000000000000000ce000dbba094839201009200cf89cace0708f69bb592021e9200cf89cace\
    0708f69bb592040092c0cf390eb37e9b00227a820095a36b696d96a464726177a131a0a0a0a36465629400ce000668a0ce00\
    0668a0cf0000019589a2c2209401ce000dbba0ce000dbba0cf0000019589a2c220c30195a36b696d96a57061696e74a131a0\
    a0a0a364656294000000c09401cdc35000cf000001958996db40c2c2940000000094a753657373696f6e93cf00000195899c\
    5980cf0000019589a5814000cf0000019589a581400094ad5765656b6c7953756d6d61727993cf000001957d59ec00cf0000\
    0195a166700000cf00000195a1667000009192cf00000195899c598095a753657373696f6ecf00000195899331c0cf000001\
    95899c59809193a36b696dc4109350dda75eb04380a6e21410d52b4364929296a464726177a131a0a0a0a36465629401cd01\
    e0cd01e0cf00000195899c59809296a57061696e74a131a0a0a0a364656294013200cf000001958996db409400000000\
";

#[test]
fn what_an_older_version_left_is_read_and_its_processes_go_on_as_one_run() {
    let digit = |at: usize| u8::from_str_radix(&OLDER_STATE[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..OLDER_STATE.len()).step_by(2).map(digit).collect();
    let mut bench = Bench::new();
    bench.remembered = bytes;
    bench.uptime_ms = 900 * SECOND_MS;
    bench.restart();
    // One of the two goes on, and another one begins.
    bench.run(&[script(2, "draw", 30, 999_999), script(5, "draw", 950, 999_999)], 1_140);
    bench.core.on(bench.now(), MeterInput::Policy(OFF), &mut bench.out);
    bench.settle(&[]);
    let waited = &bench.reports[0];
    assert_eq!((waited.kind, waited.start), (PeriodType::Session, Timestamp(1_741_769_880_000)));
    let weeks = rows(&bench.reports, PeriodType::WeeklySummary);
    // Its sums name no file, so they stand in a row of their own until that run ends.
    assert_eq!(weeks, [row("kim", "draw", 2, 900 + 240 + 190, 900), row("kim", "paint", 1, 50, 0)]);
}
