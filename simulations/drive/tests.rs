use std::sync::Arc;
use std::thread;

use muster::config::Document;

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
