use std::collections::BTreeMap;
use std::sync::Arc;

use muster::config::Document;

use super::*;
use crate::fleet::drive;
use crate::scenario::{FaultKind, Overrides, Scenario};

#[test]
fn seeds_include_the_last_one() {
    assert_eq!("3..5".parse::<Seeds>().unwrap().0.count(), 3);
    assert_eq!("7".parse::<Seeds>().unwrap().0.collect::<Vec<_>>(), [7]);
    for text in ["", "5..3", "a..b", "1.."] {
        assert!(text.parse::<Seeds>().is_err(), "{text}");
    }
}

fn read(text: &str, overrides: Overrides<'_>) -> Result<Scenario, String> {
    Scenario::read(&Document { text, file: "s.toml" }, overrides).map_err(|error| error.to_string())
}

/// One run by each driver, which have to agree.
fn both(seed: u64, scenario: &Arc<Scenario>) -> Outcome {
    let run = |driver| Outcome::of(seed, &drive(driver, seed, scenario.clone(), |_| {}).unwrap());
    let [calendar, actors] = [Driver::Calendar, Driver::Actors].map(run);
    assert_eq!(calendar, actors, "seed {seed}");
    calendar
}

/// What is seen of a fault, and whom it has to befall for that.
fn reached_by(kind: FaultKind) -> (&'static [&'static str], &'static str) {
    match kind {
        FaultKind::Outage => (&["agent-restarted", "off-for-a-day"], "agent"),
        FaultKind::Crash => (&["beacon-restarted", "connection-refused"], "leaf"),
        FaultKind::Pause => (&["went-on-after-a-pause", "went-on-with-a-backlog"], "leaf"),
        FaultKind::ClockAhead => (&["woke-at-a-step-of-its-clock", "clock-ahead-flagged"], "agent"),
        FaultKind::ClockBehind => (&["woke-at-a-step-of-its-clock"], "middle"),
        FaultKind::CutRequests => (&["request-lost"], "agent"),
        FaultKind::CutAnswers => (&["answer-lost", "duplicate-settled"], "agent"),
        FaultKind::Refuse => (&["refused-on-the-way"], "agent"),
        FaultKind::NoNames => (&["name-not-found"], "leaf"),
        FaultKind::Reset => (&["upload-reset", "body-cut-short"], "agent"),
        FaultKind::Truncate => (&["body-cut-short"], "leaf"),
        FaultKind::Doubled => (&["request-doubled", "duplicate-at-beacon"], "agent"),
        FaultKind::Reordered => (&["request-doubled-late", "duplicate-settled"], "agent"),
        FaultKind::Corrupted => (&["mismatch"], "agent"),
        FaultKind::Latency => (&["latency-storm"], "leaf"),
        FaultKind::Swizzle => (&["connections-clogged", "request-lost"], "leaf"),
        FaultKind::DiskFull => (&["disk-full", "agent-passed-over-a-server"], "leaf"),
        FaultKind::DiskSlow => (&[], "server"),
        FaultKind::Rejects => (&["upload-rejected", "beacon-set-aside"], "middle"),
        FaultKind::LoaderFails => (&["load-failed"], "server"),
        FaultKind::PolicyHerd => (&["policy-herd-taken"], "server"),
        FaultKind::ListEmpty => (&["policy-without-servers-taken"], "server"),
        FaultKind::ListStale => (&["policy-with-gone-servers-taken", "called-what-is-gone"], "server"),
        FaultKind::ParentsMoved => (&["beacon-moved-to-another-parent"], "server"),
    }
}

fn assert_reached(kind: FaultKind) {
    let (probes, of) = reached_by(kind);
    // One that is off for a day and more takes longer.
    let (days, lasts) = if kind.kills() && of == "agent" { (4, 100_000) } else { (2, 20_000) };
    let (name, every, least) = (kind.as_str(), (days - 1) * 43_200, lasts / 10 * 9);
    let text = format!(
        "[fleet]\nagents = 30\ndays = {days}\n[agents]\ninstalled_within_secs = 20_000\n\
         [hierarchy]\nagents_per_leaf = 15\nleaves_min = 2\nleaves_per_middle = 1\n[server]\nimport_every_secs = 3_600\n\
         [[fault]]\nkind = '{name}'\nof = '{of}'\nevery_secs = {every}\nfor_secs = [{least}, {lasts}]\n"
    );
    let outcome = both(2, &Arc::new(read(&text, Overrides::default()).unwrap()));
    assert_eq!(outcome.broken, [], "{name}");
    let hits: BTreeMap<&str, u64> = outcome.probes.iter().copied().collect();
    for probe in probes {
        assert!(hits[probe] > 0, "{name} does not reach {probe}: {hits:?}");
    }
}

#[test]
fn every_fault_is_reached_and_breaks_nothing_on_either_driver() {
    let halves = FaultKind::ALL.chunks(FaultKind::ALL.len().div_ceil(2));
    let threads = halves.map(|half| std::thread::spawn(move || half.iter().copied().for_each(assert_reached)));
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_scenario_of_failover_is_the_same_on_both_drivers_and_breaks_nothing() {
    let text = include_str!("../../config/simulations/failover.toml");
    let overrides = Overrides { agents: Some(200), days: Some(2), ..Overrides::default() };
    let scenario = Arc::new(read(text, overrides).unwrap());
    for seed in [1, 2] {
        assert_eq!(both(seed, &scenario).broken, [], "seed {seed}");
    }
}

#[test]
fn what_cannot_be_simulated_is_refused_with_its_line_and_what_to_write() {
    for (text, part) in [
        (
            "[[fault]]\nkind = 'clock-ahed'\nof = 'leaf'\nat_secs = 1\nfor_secs = 1",
            "s.toml:2: `fault[1].kind`: no fault is called `clock-ahed`, did you mean `clock-ahead`?",
        ),
        (
            "[[fault]]\nkind = 'loader-fails'\nof = 'leaf'\nat_secs = 1\nfor_secs = 1",
            "s.toml:3: `fault[1].of`: has no part in that, only the server has: write `server`",
        ),
        (
            "[[fault]]\nkind = 'outage'\nof = 'agent x'\nat_secs = 1\nfor_secs = 1",
            "s.toml:3: `fault[1].of`: is no node",
        ),
        (
            "[[fault]]\nkind = 'outage'\nof = 'leaf'\nat_secs = nan\nfor_secs = 1",
            "s.toml:4: `fault[1].at_secs`: is no moment",
        ),
        (
            "[[fault]]\nkind = 'outage'\nof = 'leaf'\nat_secs = -1\nfor_secs = 1",
            "s.toml:4: `fault[1].at_secs`: is no moment",
        ),
        (
            "[[fault]]\nkind = 'outage'\nof = 'leaf'\nat_secs = 1\nfor_secs = -5",
            "s.toml:5: `fault[1].for_secs`: is no duration",
        ),
        (
            "[[fault]]\nkind = 'outage'\nof = 'leaf'\nevery_secs = 60\nfor_secs = [0.5, 1]",
            "s.toml:5: `fault[1].for_secs`: is no duration",
        ),
        ("[fleet]\nagents = 0", "s.toml:2: `fleet.agents`: is 0, write 1 to 20000000 agents"),
        ("[fleet]\ndays = 99_999", "s.toml:2: `fleet.days`: is 99999, write 1 to 3660 days"),
        ("[fleet]\nonly_agents = [3, 1]", "s.toml:2: `fleet.only_agents`: is not ascending"),
        ("[fleet]\nonly_agents = [5_000]", "s.toml:2: `fleet.only_agents`: names no agent that is there"),
        ("[hierarchy]\nparents = 0", "s.toml:1: `hierarchy`: `parents` is 0"),
        ("[hierarchy]\nagents_per_leaf = 0", "s.toml:1: `hierarchy`: `agents_per_leaf` is 0"),
        (
            "[[fault]]\nkind = 'outage'\nof = 'leaf 99'\nat_secs = 1\nfor_secs = 1",
            "s.toml:3: `fault[1].of`: there is no",
        ),
    ] {
        let error = read(text, Overrides::default()).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
