//! Events a second of both drivers, and of the calendar in regions, beside a plain binary heap over the same cores, in one run.
//!
//! ```text
//! cargo bench -p muster-simulations --bench drivers [-- AGENTS [DAYS [ROUNDS]]]     default: 100000 1 3
//! ```

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use muster::config::Document;
use muster_simulations::drive::calendar::{Calendar, Entry};
use muster_simulations::drive::regions::Regions;
use muster_simulations::drive::wheel::{Queue, Wheel};
use muster_simulations::drive::{Closed, actors};
use muster_simulations::figures::median;
use muster_simulations::scenario::{Overrides, Scenario};

const MILLION: &str = include_str!("../config/simulations/million.toml");

type Drive = fn(&Arc<Scenario>) -> Closed;

fn by_queue<Q: Queue<Entry>>(scenario: &Arc<Scenario>) -> Closed {
    let mut calendar: Calendar<Q> = Calendar::new(1, scenario.clone());
    calendar.run(scenario.end(), None);
    calendar.close()
}

fn by_regions(scenario: &Arc<Scenario>) -> Closed {
    Regions::new(1, scenario).map_or_else(|| by_queue::<Wheel<Entry>>(scenario), Regions::close)
}

fn by_actors(scenario: &Arc<Scenario>) -> Closed {
    actors::run(1, scenario.clone(), |_| ()).expect("a runtime")
}

fn main() {
    // Cargo adds `--bench`.
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, usual: u32| numbers.get(place).copied().unwrap_or(usual);
    let (agents, days, rounds) = (number(0, 100_000), number(1, 1), number(2, 3));
    let overrides = Overrides { agents: Some(agents), days: Some(days), ..Overrides::default() };
    let file = Document { text: MILLION, file: "config/simulations/million.toml" };
    let scenario = Arc::new(Scenario::read(&file, overrides).unwrap_or_else(|error| panic!("{error}")));
    let drivers: [(&str, Drive); 4] = [
        ("heap", by_queue::<BinaryHeap<Reverse<Entry>>>),
        ("calendar", by_queue::<Wheel<Entry>>),
        ("regions", by_regions),
        ("actors", by_actors),
    ];
    let (mut seconds, mut digests) = ([const { Vec::new() }; 4], Vec::new());
    let mut events = 0;
    for _ in 0..rounds {
        for (place, (_, run)) in drivers.iter().enumerate() {
            let began = Instant::now();
            let closed = run(&scenario);
            seconds[place].push(began.elapsed().as_secs_f64());
            digests.push(closed.digest);
            // That of the heap: the actors' timers fire in vain now and then.
            events = if place == 0 { closed.events } else { events };
        }
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "drivers disagree: {digests:x?}");
    let medians = seconds.map(|seconds| median(seconds).unwrap_or(f64::NAN));
    for ((name, _), seconds) in drivers.iter().zip(medians) {
        println!(
            "{name:9} {:>10.0} events/s  {:.2} of the heap  ({seconds:.2} s)",
            events as f64 / seconds,
            medians[0] / seconds
        );
    }
    println!("{agents} agents, {days} days, {events} events, median of {rounds} rounds, digest {:016x}", digests[0]);
}
