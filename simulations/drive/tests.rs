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
    let overrides = Overrides { agents: Some(agents), days: Some(days), is_full };
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
"#;

#[test]
fn regions_of_a_world_and_their_server_are_one_world() {
    let text = ROUGH.replace("agents_per_leaf = 1_000", "agents_per_leaf = 50").replace("parents = 2", "") + APART;
    for seed in 1..=3 {
        let overrides = Overrides { agents: Some(2_000), days: Some(3), is_full: false };
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
    let overrides = Overrides { agents: Some(2_000), days: Some(2), is_full: false };
    let scenario = Arc::new(Scenario::read(&Document { text, file: "slow" }, overrides).unwrap());
    let found = |closed: &Closed| closed.stage.book.checks.broken().map(|(id, _)| id).collect::<Vec<_>>();
    let one = by_calendar(1, &scenario);
    assert_eq!(found(&one), ["I10"]);
    assert_eq!(found(&Regions::new(1, &scenario).unwrap().close()), found(&one));
}
