use super::*;
use crate::drive::Closed;
use crate::drive::calendar::Calendar;

const TEXT: &str = "
[fleet]
agents = 40
days = 3

[agents]
laptops = 0.2

[hierarchy]
agents_per_leaf = 10
leaves_per_middle = 2

[network]
lost_answers = 0.02

[[fault]]
kind = 'outage'
of = 'leaf'
every_secs = 43_200
for_secs = [600, 7_200]

[[fault]]
kind = 'crash'
of = 'leaf'
every_secs = 1_800
for_secs = [5, 60]

[[fault]]
kind = 'cut-answers'
of = 'server'
every_secs = 86_400
for_secs = [600, 7_200]
";

const BUDGET: Budget = Budget { tries: 2_000, time: Duration::from_secs(60) };

fn played(seed: u64, scenario: Scenario) -> Closed {
    let end = scenario.end();
    let mut calendar: Calendar = Calendar::new(seed, Arc::new(scenario));
    calendar.run(end, None);
    calendar.close()
}

fn hits(closed: &Closed, probe: &str) -> u64 {
    closed.stage.record.probes().find(|(name, _)| *name == probe).unwrap().1
}

#[test]
fn windows_that_are_written_out_are_the_same_run() {
    let scenario = Scenario::read(&Document { text: TEXT, file: "s" }, Overrides::default()).unwrap();
    let drawn = windows(3, &Arc::new(scenario.clone()), 10_000);
    assert!(drawn.len() > 50, "{}", drawn.len());
    let base: Table = TEXT.parse().unwrap();
    let text = Candidate { base, windows: Some(drawn), agents: None, days: (3, 1) }.text().unwrap();
    let written = Scenario::read(&Document { text: &text, file: "s" }, Overrides::default()).unwrap();
    assert_eq!(played(3, written).digest, played(3, scenario).digest);
}

/// A beacon that forgot a package at its restart would do so here.
#[test]
fn of_many_windows_the_one_is_found_that_matters() {
    let mut fails = |scenario| hits(&played(3, scenario), "beacon-restarted-holding") > 0;
    let shrunk = shrink(3, TEXT, Overrides::default(), BUDGET, &mut fails).unwrap();
    assert_eq!((shrunk.windows, shrunk.agents), (Some(1), 1), "{shrunk}\n{}", shrunk.text);
    let alone = Scenario::read(&Document { text: &shrunk.text, file: "s" }, Overrides::default()).unwrap();
    assert!(fails(alone), "it fails by itself:\n{}", shrunk.text);
}

#[test]
fn where_loss_is_enough_no_window_is_left() {
    let mut fails = |scenario| hits(&played(3, scenario), "answer-lost") > 0;
    let shrunk = shrink(3, TEXT, Overrides::default(), BUDGET, &mut fails).unwrap();
    assert_eq!((shrunk.windows, shrunk.agents, shrunk.days), (Some(0), 1, 1), "{}", shrunk.text);
}

#[test]
fn the_budget_bounds_the_tries_and_what_never_fails_is_not_shrunk() {
    let mut tries = 0;
    let mut never = |_| {
        tries += 1;
        false
    };
    assert!(shrink(3, TEXT, Overrides::default(), BUDGET, &mut never).is_none());
    assert_eq!(tries, 2, "with the windows written out, and as they are drawn");
    let mut tries = 0;
    let mut always = |_| {
        tries += 1;
        tries == 1 || tries > 100
    };
    let shrunk = shrink(3, TEXT, Overrides::default(), Budget { tries: 10, ..BUDGET }, &mut always).unwrap();
    assert_eq!((shrunk.tries, tries), (10, 10));
}
