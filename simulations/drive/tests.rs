use std::sync::Arc;
use std::thread;

use muster::config::Document;

use super::regions::Regions;
use super::{Closed, actors, calendar::Calendar};
use crate::scenario::{Overrides, Scenario};

/// Everything that can go wrong, often enough for a small fleet.
const ROUGH: &str = r#"
[agents]
laptops = 0.2
[hierarchy]
agents_per_leaf = 1_000
leaves_per_middle = 4
parents = 2
[network]
lost_requests = 0.004
lost_answers = 0.004
doubled = 0.002
corrupted = 0.001
timeout_secs = 30
[beacons]
spool_packages = 300
[[fault]]
kind = "outage"
of = "leaf"
every_secs = 86_400
for_secs = [600, 7_200]
[[fault]]
kind = "crash"
of = "middle"
every_secs = 21_600
for_secs = [1, 600]
[[fault]]
kind = "cut-answers"
of = "leaf"
every_secs = 43_200
for_secs = [60, 900]
[[fault]]
kind = "disk-full"
of = "leaf"
every_secs = 86_400
for_secs = [600, 3_600]
[[fault]]
kind = "crash"
of = "server"
every_secs = 43_200
for_secs = [1, 60]
"#;

fn scenario(agents: u32, days: u32, is_full: bool) -> Arc<Scenario> {
    let overrides = Overrides { agents: Some(agents), days: Some(days), is_full, ..Overrides::default() };
    Arc::new(Scenario::read(&Document { text: ROUGH, file: "rough" }, overrides).unwrap())
}

fn by_calendar(seed: u64, scenario: &Arc<Scenario>) -> Closed {
    let mut calendar: Calendar = Calendar::new(seed, scenario.clone());
    calendar.run(scenario.end(), None);
    calendar.close()
}

fn by_actors(seed: u64, scenario: &Arc<Scenario>) -> Closed {
    actors::run(seed, scenario.clone(), |_| ()).unwrap()
}

fn assert_sound(closed: &Closed, seed: u64) {
    let broken: Vec<(&str, &str)> = closed.stage.book.checks.broken().collect();
    assert_eq!(broken, [], "seed {seed}");
}

/// I21, and that the deployed actors do what the bare cores do.
#[test]
fn both_drivers_give_one_digest_for_each_of_five_seeds() {
    let scenario = scenario(10_000, 7, false);
    let seeds = || (1..=5).collect::<Vec<u64>>();
    let digests = |run: fn(u64, &Arc<Scenario>) -> Closed| {
        let scenario = scenario.clone();
        thread::spawn(move || {
            let digest = |seed| {
                let closed = run(seed, &scenario);
                assert_sound(&closed, seed);
                (closed.digest, closed.stage.book.totals())
            };
            seeds().into_iter().map(digest).collect::<Vec<_>>()
        })
    };
    let both = [digests(by_calendar), digests(by_actors)].map(|thread| thread.join().unwrap());
    assert_eq!(both[0], both[1]);
    let distinct: std::collections::BTreeSet<u64> = both[0].iter().map(|(digest, _)| *digest).collect();
    assert_eq!(distinct.len(), 5);
}

/// Machines that come, go, are installed anew and copied, with two operating systems and the clocks of four places.
const MOVING: &str = r#"
[agents]
joins_per_day = 0.03
leaves_per_day = 0.03
reinstalls_per_day = 0.05
clones = 0.03
[packages]
titles = 500
per_machine = [5, 40]
[[fleet.source]]
name = "scanner"
share = 0.3
[[fleet.os]]
name = "Debian GNU/Linux 12"
share = 0.6
[[fleet.os]]
name = "Windows 11"
share = 0.3
[[fleet.zone]]
name = "New York"
utc_offset = "-05:00"
share = 0.25
[[fleet.zone]]
name = "Berlin"
utc_offset = "+01:00"
share = 0.5
[[fleet.zone]]
name = "Kolkata"
utc_offset = "+05:30"
share = 0.125
"#;

fn moving(agents: u32, days: u32, is_full: bool) -> Arc<Scenario> {
    let overrides = Overrides { agents: Some(agents), days: Some(days), is_full, ..Overrides::default() };
    let text = format!("{}{MOVING}", ROUGH.replace("[agents]\nlaptops = 0.2\n", ""))
        .replace("[agents]", "[agents]\nlaptops = 0.2");
    Arc::new(Scenario::read(&Document { text: &text, file: "moving" }, overrides).unwrap())
}

#[test]
fn both_drivers_agree_on_a_fleet_whose_machines_come_and_go() {
    for (seed, is_full) in [(1, false), (2, false), (3, false), (4, false), (5, true)] {
        let scenario = moving(400, 4, is_full);
        let [calendar, actors] = [by_calendar(seed, &scenario), by_actors(seed, &scenario)];
        [&calendar, &actors].into_iter().for_each(|closed| assert_sound(closed, seed));
        assert_eq!((calendar.digest, calendar.stage.book.totals()), (actors.digest, actors.stage.book.totals()));
        let probes: Vec<(&str, u64)> = calendar.stage.record.probes().collect();
        assert_eq!(probes, actors.stage.record.probes().collect::<Vec<_>>());
        for asked in [
            "clone-not-imported",
            "collected-by-a-sites-clocks",
            "machine-joined",
            "machine-left",
            "machine-reinstalled",
        ] {
            assert!(probes.iter().any(|(name, hits)| *name == asked && *hits > 0), "{asked}");
        }
        if is_full {
            let (devices, titles) = calendar.stage.record.shown.unwrap();
            assert!(devices > 350 && (300..=500).contains(&titles), "{devices} devices, {titles} titles");
        }
    }
}

#[test]
fn agents_collect_by_the_clocks_of_their_zone() {
    // From one to five in the morning: on the other side of the world that is in the afternoon of the day before.
    for (offset, hours) in [("+00:00", 1..5), ("+12:00", 13..17), ("-05:00", 6..10), ("+05:30", 19..24)] {
        let text = format!(
            "[fleet]\nagents = 300\ndays = 4\n[[fleet.zone]]\nutc_offset = '{offset}'\nshare = 1\n\
             [agents]\ninstalled_within_secs = 3_600\n"
        );
        let scenario = Arc::new(Scenario::read(&Document { text: &text, file: "s" }, Overrides::default()).unwrap());
        let closed = by_calendar(1, &scenario);
        assert_sound(&closed, 1);
        // The first collection comes with the installation; from the third day on all have a schedule.
        let by_hour: Vec<u32> = closed.stage.record.arrivals.chunks(60).map(|minutes| minutes.iter().sum()).collect();
        let third = &by_hour[48..72];
        let within: u32 = hours.clone().map(|hour| third[hour]).sum();
        // What is collected in the last minutes arrives later.
        let after = third.get(hours.end).copied().unwrap_or(by_hour[72]);
        assert!(within > 280 && within + after == 300, "{offset}: {third:?}");
    }
}

#[test]
fn what_is_queued_on_a_disk_that_is_erased_is_gone_and_not_lost() {
    // No beacon answers, so every package waits at its agent.
    let text = "[fleet]\nagents = 200\ndays = 3\nquiet_days = 0\n[agents]\nreinstalls_per_day = 0.3\nleaves_per_day = 0.2\n\
                [[fault]]\nkind = 'refuse'\nof = 'agent'\nat_secs = 0\nfor_secs = 259_200\n";
    let scenario = Arc::new(Scenario::read(&Document { text, file: "s" }, Overrides::default()).unwrap());
    let closed = by_calendar(1, &scenario);
    assert_sound(&closed, 1);
    let totals = closed.stage.book.totals();
    assert!(totals.gone > 60, "{}", totals.gone);
    assert_eq!(totals.published, totals.superseded + totals.gone + closed.waiting.0);
}

#[test]
fn the_devices_of_a_server_are_the_machines_of_its_fleet() {
    // Every machine is installed anew about twice, so most devices are made of several agents' records.
    let text = "[fleet]\nagents = 60\ndays = 5\n[agents]\nreinstalls_per_day = 0.5\n\
                [packages]\ntitles = 100\nper_machine = [10, 60]\nexponent = 0.5\n\
                [[fleet.os]]\nname = 'Debian GNU/Linux 12'\nshare = 1\n\
                [[fleet.source]]\nname = 'scanner'\nshare = 0.5\n[[fleet.source]]\nname = 'asset list'\nshare = 1\n\
                [[fault]]\nkind = 'crash'\nof = 'server'\nevery_secs = 7_200\nfor_secs = [1, 60]\n";
    let overrides = Overrides { is_full: true, ..Overrides::default() };
    let scenario = Arc::new(Scenario::read(&Document { text, file: "s" }, overrides).unwrap());
    let closed = by_calendar(7, &scenario);
    assert_sound(&closed, 7);
    assert!(closed.stage.layout.machines.agents() > 150);
    let by_others = closed.stage.record.probes().find(|(name, _)| *name == "reported-by-another-source").unwrap().1;
    assert!(by_others > 350, "{by_others}");
    assert_eq!(closed.stage.record.shown, Some((60, 100)));
}

#[test]
fn true_bytes_in_the_deployed_logs_survive_crashes_on_both_drivers() {
    let scenario = scenario(300, 2, true);
    let [calendar, actors] = [by_calendar(1, &scenario), by_actors(1, &scenario)];
    [&calendar, &actors].into_iter().for_each(|closed| assert_sound(closed, 1));
    assert_eq!(calendar.digest, actors.digest);
    assert!(calendar.stage.book.totals().imported > 300);
}

/// What the server may suffer in a world that is stepped in parts.
const APART: &str = r#"
[[fault]]
kind = "pause"
of = "server"
every_secs = 14_400
for_secs = [5, 90]
[[fault]]
kind = "disk-full"
of = "server"
every_secs = 43_200
for_secs = [60, 3_600]
[[fault]]
kind = "swizzle"
of = "server"
every_secs = 43_200
for_secs = [60, 900]
[[fault]]
kind = "rejects"
of = "server"
every_secs = 86_400
for_secs = [5, 60]
[[fault]]
kind = "list-empty"
of = "server"
every_secs = 86_400
for_secs = [3_600, 43_200]
[[fault]]
kind = "truncate"
of = "middle"
every_secs = 43_200
for_secs = [600, 3_600]
[[fault]]
kind = "reordered"
of = "middle"
every_secs = 86_400
for_secs = [3_600, 28_800]
[[fleet.zone]]
utc_offset = "-05:00"
share = 0.3
[[fleet.zone]]
utc_offset = "+01:00"
share = 0.55
"#;

#[test]
fn regions_of_a_world_and_their_server_are_one_world() {
    let text = ROUGH.replace("agents_per_leaf = 1_000", "agents_per_leaf = 50").replace("parents = 2", "") + APART;
    for seed in 1..=3 {
        let overrides = Overrides { agents: Some(2_000), days: Some(3), ..Overrides::default() };
        let scenario = Arc::new(Scenario::read(&Document { text: &text, file: "apart" }, overrides).unwrap());
        let one = by_calendar(seed, &scenario);
        let regions = Regions::new(seed, &scenario).expect("ten groups");
        let apart = regions.close();
        assert_eq!((apart.digest, apart.waiting, apart.events), (one.digest, one.waiting, one.events), "seed {seed}");
        assert_eq!(apart.stage.book.totals(), one.stage.book.totals());
        let probes = |closed: &Closed| closed.stage.record.probes().collect::<Vec<_>>();
        assert_eq!(probes(&apart), probes(&one));
        assert!(probes(&one).iter().any(|(name, hits)| *name == "went-on-with-a-backlog" && *hits > 0));
        let (one, apart) = (one.stage.record, apart.stage.record);
        assert!(apart.hours == one.hours && apart.heat == one.heat && apart.loads == one.loads);
        assert!(apart.spool == one.spool && apart.arrivals == one.arrivals && apart.quarantined == one.quarantined);
        assert_eq!((apart.struck_count, apart.time_to_server_ms), (one.struck_count, one.time_to_server_ms));
        let sorted = |mut struck: Vec<crate::world::Struck>| {
            struck.sort_by_key(|struck| (struck.at, struck.node, struck.kind));
            struck
        };
        assert_eq!(sorted(apart.struck), sorted(one.struck));
    }
}

#[test]
fn findings_are_the_same_in_parts() {
    // A server so slow that it does not get through in the quiet time.
    let text = "[hierarchy]\nagents_per_leaf = 50\nleaves_per_middle = 2\nfailover = 2\n[server]\nload_ms = [600000, 600000]\n";
    let overrides = Overrides { agents: Some(2_000), days: Some(2), ..Overrides::default() };
    let scenario = Arc::new(Scenario::read(&Document { text, file: "slow" }, overrides).unwrap());
    let found = |closed: &Closed| closed.stage.book.checks.broken().map(|(id, _)| id).collect::<Vec<_>>();
    let one = by_calendar(1, &scenario);
    assert_eq!(found(&one), ["I10"]);
    assert_eq!(found(&Regions::new(1, &scenario).unwrap().close()), found(&one));
}

#[test]
fn shipped_scenarios_run_and_break_nothing() {
    let shipped = std::fs::read_dir("../config/simulations").unwrap().map(|entry| entry.unwrap().path());
    let shipped: Vec<std::path::PathBuf> =
        shipped.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    assert!(shipped.len() >= 3, "{shipped:?}");
    for file in shipped {
        let text = std::fs::read_to_string(&file).unwrap();
        let overrides = Overrides { agents: Some(300), days: Some(3), ..Overrides::default() };
        let name = file.display().to_string();
        let scenario = Arc::new(Scenario::read(&Document { text: &text, file: &name }, overrides).unwrap());
        let closed = crate::fleet::drive(crate::fleet::Driver::Calendar, 1, scenario, |_| ()).unwrap();
        let broken: Vec<_> = closed.stage.book.checks.broken().collect();
        assert!(broken.is_empty() && closed.stage.book.totals().imported > 100, "{name}: {broken:?}");
    }
}
