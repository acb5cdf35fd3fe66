//! The scenario of failover in virtual time, as `config/simulations/failover.toml` has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use muster::config::Document;
use muster_simulations::chaos::Outcome;
use muster_simulations::fleet::{Driver, drive};
use muster_simulations::scenario::{Overrides, Scenario};

use crate::tidy::project;

#[test]
fn five_seeds_of_failover_break_nothing_and_are_the_same_on_both_drivers() {
    let text = std::fs::read_to_string(project().join("config/simulations/failover.toml")).unwrap();
    let overrides = Overrides { agents: Some(1_000), days: Some(2), ..Overrides::default() };
    let scenario = Scenario::read(&Document { text: &text, file: "failover.toml" }, overrides);
    let scenario = Arc::new(scenario.unwrap_or_else(|error| panic!("{error}")));
    let run = |driver: Driver| {
        let scenario = scenario.clone();
        let outcome = move |seed| Outcome::of(seed, &drive(driver, seed, scenario.clone(), |_| {}).unwrap());
        thread::spawn(move || (1..=5).map(outcome).collect::<Vec<Outcome>>())
    };
    let [calendar, actors] = [Driver::Calendar, Driver::Actors].map(run).map(|run| run.join().unwrap());
    assert_eq!(calendar, actors);
    for outcome in &calendar {
        assert_eq!(outcome.broken, [], "again: muster-sim replay --seed {}", outcome.seed);
    }
    assert_eq!(calendar.iter().map(|outcome| outcome.digest).collect::<BTreeSet<u64>>().len(), 5);
}
