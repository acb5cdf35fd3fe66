mod drain;

use super::sending::PARALLEL_MAX;
use super::*;
use crate::model::package::Kind;
use crate::roles::Intents;
use crate::time::MINUTE_MS;
use crate::upload::answer::Verdict;

const START: Timestamp = Timestamp(1_000_000);

/// The parent number `number`, from 0.
fn parent(number: usize) -> Parent {
    Parent(format!("http://parent{number}").as_str().into())
}

fn package(number: u64) -> Waiting {
    Waiting { package: PackageNumber(number), kind: Kind::Inventories, origin: number }
}

fn number_of(parent: &Parent) -> usize {
    parent.0.trim_start_matches("http://parent").parse().unwrap()
}

/// A beacon with a parent that answers by a rule, driven by plain numbers for time.
struct Drill {
    core: BeaconCore,
    out: Intents<BeaconIntent>,
    now: Timestamp,
    log: Vec<(i64, BeaconIntent)>,
}

impl Drill {
    fn new(parents: usize, held: Vec<Waiting>) -> Drill {
        let settings = Arc::new(BeaconSettings {
            parents: (0..parents).map(parent).collect(),
            cycle_ms: MINUTE_MS,
            relay_on_arrival: false,
            policy_every_ms: 15 * MINUTE_MS,
            status_every_ms: MINUTE_MS,
        });
        let durable = BeaconDurable { settings, guid_seed: 7_000, held };
        let core = BeaconCore::recover(durable, RngStream::new(1, 2, 0), START);
        Drill { core, out: Intents::default(), now: START, log: Vec::new() }
    }

    /// Runs until `end`, answering each forward one millisecond later with `answer(now, package, parent)`, and each
    /// question as a package that no test has.
    fn run(&mut self, end: i64, mut answer: impl FnMut(i64, u64, usize) -> Verdict) -> &mut Drill {
        let end = START.plus_ms(end);
        let mut answers: BTreeMap<(Timestamp, IntentNumber), BeaconInput> = BTreeMap::new();
        loop {
            let next_answer = answers.first_key_value().map_or(Timestamp::NEVER, |((at, _), _)| *at);
            let due = self.core.next_due().min(next_answer);
            if due > end {
                self.now = end;
                return self;
            }
            self.now = self.now.max(due);
            if self.core.next_due() <= self.now {
                self.core.wake(self.now, &mut self.out);
            }
            while let Some(first) = answers.first_entry().filter(|first| first.key().0 <= self.now) {
                self.core.on(self.now, first.remove(), &mut self.out);
            }
            for (number, intent) in self.out.take() {
                let at = self.now.ms_since(START);
                let mut asked = |to: &Parent| match answer(at, u64::MAX, number_of(to)) {
                    Verdict::Delivered => Asked::Answered,
                    Verdict::Later { broken: false, retry_after_ms } => Asked::Busy { retry_after_ms },
                    Verdict::Loop => Asked::Loop,
                    _ => Asked::Failed,
                };
                let input = match &intent {
                    BeaconIntent::AskPolicy(to) => {
                        let parents = self.core.settings.parents.clone();
                        Some(BeaconInput::PolicyAnswered { asked: asked(to), from: to.clone(), parents })
                    }
                    BeaconIntent::SendStatus(to) => {
                        Some(BeaconInput::StatusAnswered { asked: asked(to), from: to.clone() })
                    }
                    BeaconIntent::Forward { package, to } => {
                        let verdict = answer(at, package.0, number_of(to));
                        Some(BeaconInput::Forwarded { intent: number, verdict })
                    }
                    _ => None,
                };
                answers.extend(input.map(|input| ((self.now.plus_ms(1), number), input)));
                self.log.push((at, intent));
            }
        }
    }

    fn sent(&self) -> Vec<(i64, u64)> {
        let sent = |(at, intent): &(i64, BeaconIntent)| match intent {
            BeaconIntent::Forward { package, .. } => Some((*at, package.0)),
            _ => None,
        };
        self.log.iter().filter_map(sent).collect()
    }

    fn released(&self) -> BTreeSet<u64> {
        let released = |(_, intent): &(i64, BeaconIntent)| match intent {
            BeaconIntent::Release(package) => Some(package.0),
            _ => None,
        };
        self.log.iter().filter_map(released).collect()
    }

    fn aside(&self) -> Vec<u64> {
        let aside = |(_, intent): &(i64, BeaconIntent)| match intent {
            BeaconIntent::SetAside { package, .. } => Some(package.0),
            _ => None,
        };
        self.log.iter().filter_map(aside).collect()
    }
}

fn later() -> Verdict {
    Verdict::Later { retry_after_ms: None, broken: true }
}

#[test]
fn the_first_cycle_is_offset_by_the_guid_and_drains_everything_oldest_first() {
    let mut drill = Drill::new(1, (0..100).map(package).collect());
    drill.run(59_000, |_, _, _| Verdict::Delivered);
    let sent = drill.sent();
    assert_eq!(sent[0], (7_000, 0));
    assert_eq!(sent.iter().map(|(_, package)| *package).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(drill.released().len(), 100);
    assert!(sent.iter().filter(|(at, _)| *at == 7_000).count() == PARALLEL_MAX, "eight at once");
}

#[test]
fn what_arrives_between_cycles_waits_for_the_minute() {
    let mut drill = Drill::new(1, vec![]);
    drill.run(10_000, |_, _, _| Verdict::Delivered);
    drill.core.on(drill.now, BeaconInput::Arrived(vec![package(5)]), &mut drill.out);
    drill.run(200_000, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.sent(), [(67_000, 5)]);
}

#[test]
fn on_one_machine_an_arrival_begins_a_cycle_at_once() {
    let mut drill = Drill::new(1, vec![]);
    drill.core.settings = Arc::new(BeaconSettings { relay_on_arrival: true, ..(*drill.core.settings).clone() });
    drill.run(10_000, |_, _, _| Verdict::Delivered);
    drill.core.on(drill.now, BeaconInput::Arrived(vec![package(5)]), &mut drill.out);
    drill.run(200_000, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.sent(), [(10_000, 5)]);
}

#[test]
fn nothing_is_released_without_a_delivery_and_an_outage_costs_few_retries() {
    let mut drill = Drill::new(1, (0..500).map(package).collect());
    let outage = 60 * MINUTE_MS;
    drill.run(outage, |_, _, _| later());
    assert_eq!(drill.released().len(), 0);
    let during = drill.sent().len();
    assert!(during <= PARALLEL_MAX + 20, "{during} sends into an outage: eight at once, then one probe per wait");
    drill.run(outage + 40 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.released().len(), 500, "healed within a probe's wait and a cycle");
    assert_eq!(drill.core.waiting(), 0);
}

#[test]
fn one_poisoned_package_delays_nobody_and_ends_in_quarantine() {
    let mut drill = Drill::new(1, (0..50).map(package).collect());
    drill.run(59_000, |_, package, _| if package == 0 { Verdict::Refused } else { Verdict::Delivered });
    assert_eq!(drill.aside(), [0]);
    assert_eq!(drill.released().len(), 49);
}

#[test]
fn a_poisoned_package_alone_on_the_link_is_quarantined_after_three_refusals() {
    let mut drill = Drill::new(1, vec![package(9)]);
    drill.run(180 * MINUTE_MS, |_, _, _| Verdict::Refused);
    assert_eq!(drill.sent().len(), 3);
    assert_eq!(drill.aside(), [9]);
}

#[test]
fn refusals_of_everything_are_a_fault_of_the_link_and_lose_nothing() {
    let mut drill = Drill::new(1, (0..40).map(package).collect());
    drill.run(30 * MINUTE_MS, |_, _, _| Verdict::Refused);
    assert_eq!(drill.aside(), Vec::<u64>::new());
    drill.run(120 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert_eq!((drill.released().len(), drill.aside().len()), (40, 0));
}

#[test]
fn a_second_parent_takes_over_and_the_first_is_tried_again_later() {
    let mut drill = Drill::new(2, (0..30).map(package).collect());
    drill.run(59_000, |_, _, parent| if parent == 0 { later() } else { Verdict::Delivered });
    let released = drill.released().len();
    assert!(
        (20..30).contains(&released),
        "{released}: what was sent to the first parent before it counted as down waits"
    );
    drill.run(5 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.released().len(), 30);
    drill.core.on(drill.now, BeaconInput::Arrived(vec![package(99)]), &mut drill.out);
    drill.run(30 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    drill.core.on(drill.now, BeaconInput::Arrived(vec![package(100)]), &mut drill.out);
    drill.log.clear();
    drill.run(32 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert!(
        drill.log.contains(&(drill.sent()[0].0, BeaconIntent::Forward { package: PackageNumber(100), to: parent(0) }))
    );
}

#[test]
fn a_busy_parent_is_left_alone_for_as_long_as_it_asks() {
    let mut drill = Drill::new(1, (0..5).map(package).collect());
    let busy = Verdict::Later { retry_after_ms: Some(300_000), broken: false };
    drill.run(59_000, |_, _, _| busy);
    let first = drill.sent().len();
    drill.run(7_000 + 300_000, |_, _, _| busy);
    assert_eq!(drill.sent().len(), first);
    drill.run(30 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.released().len(), 5);
}

#[test]
fn kinds_take_turns() {
    let of = |number, kind| Waiting { kind, ..package(number) };
    let mut held: Vec<Waiting> = (0..20).map(|number| of(number, Kind::Inventories)).collect();
    held.push(of(99, Kind::Discovery));
    held.push(of(98, Kind::UsageData));
    let mut drill = Drill::new(1, held);
    drill.run(59_000, |_, _, _| Verdict::Delivered);
    let first: BTreeSet<u64> = drill.sent().iter().take(3).map(|(_, package)| *package).collect();
    assert_eq!(first, BTreeSet::from([0, 98, 99]));
}

#[test]
fn policy_is_asked_for_every_quarter_hour_and_status_goes_each_minute() {
    let mut drill = Drill::new(1, vec![]);
    drill.run(60 * MINUTE_MS - 1, |_, _, _| Verdict::Delivered);
    let count = |wanted: BeaconIntent| drill.log.iter().filter(|(_, intent)| *intent == wanted).count();
    assert_eq!(count(BeaconIntent::AskPolicy(parent(0))), 4);
    assert_eq!(count(BeaconIntent::SendStatus(parent(0))), 60);
}

#[test]
fn a_clock_set_back_by_a_day_delays_nothing_by_a_day() {
    let mut drill = Drill::new(1, vec![]);
    drill.run(10 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    let back = drill.now.plus_ms(-24 * 60 * MINUTE_MS);
    drill.core.on(back, BeaconInput::Arrived(vec![package(1)]), &mut drill.out);
    assert!(drill.core.next_due() <= back.plus_ms(MINUTE_MS), "{}", drill.core.next_due());
}

#[test]
fn what_failed_in_an_outage_is_sent_first_and_oldest_first_when_the_parent_is_back() {
    let mut drill = Drill::new(1, (0..20).map(package).collect());
    drill.run(20 * MINUTE_MS, |at, _, _| if at < 5 * MINUTE_MS { later() } else { Verdict::Delivered });
    let mut delivered: Vec<u64> = Vec::new();
    for (_, intent) in &drill.log {
        if let BeaconIntent::Release(package) = intent {
            delivered.push(package.0);
        }
    }
    // The probe that got through, then the rest as they came.
    delivered.remove(0);
    assert_eq!(delivered.len(), 19);
    assert!(delivered.is_sorted(), "{delivered:?}");
    let first_sends = drill.sent().iter().filter(|(at, _)| *at < MINUTE_MS).count();
    assert!(first_sends < 2 * PARALLEL_MAX, "eight, and few probes: {first_sends}");
}

#[test]
fn another_list_of_parents_is_followed_at_once_and_told_at_once() {
    let mut drill = Drill::new(1, vec![package(1)]);
    drill.run(6_000, |_, _, _| Verdict::Delivered);
    let list: Arc<[Parent]> = [parent(7), parent(0)].into();
    drill.core.settings = Arc::new(BeaconSettings { parents: list.clone(), ..(*drill.core.settings).clone() });
    let answered = BeaconInput::PolicyAnswered { from: parent(0), asked: Asked::Answered, parents: list };
    drill.log.clear();
    drill.core.on(drill.now, answered, &mut drill.out);
    drill.run(59_000, |_, _, _| Verdict::Delivered);
    let forward = BeaconIntent::Forward { package: PackageNumber(1), to: parent(7) };
    assert_eq!(drill.log[0], (6_000, BeaconIntent::SendStatus(parent(7))));
    assert!(drill.log.contains(&(7_000, forward)), "{:?}", drill.log);
}

#[test]
fn an_idle_beacon_whose_parent_is_gone_asks_its_alternate_for_policy() {
    let mut drill = Drill::new(2, vec![]);
    drill.run(40 * MINUTE_MS, |_, _, to| if to == 0 { later() } else { Verdict::Delivered });
    let asks = |(_, intent): &(i64, BeaconIntent)| match intent {
        BeaconIntent::AskPolicy(to) => Some(number_of(to)),
        _ => None,
    };
    let asked: Vec<usize> = drill.log.iter().filter_map(asks).collect();
    assert_eq!(asked.first(), Some(&0));
    assert!(asked.iter().filter(|to| **to == 1).count() >= 2, "{asked:?}");
}

#[test]
fn once_a_day_what_was_lost_sight_of_is_queued_again_and_nothing_twice() {
    let mut drill = Drill::new(1, (0..3).map(package).collect());
    let day = 24 * 60 * MINUTE_MS;
    drill.run(3 * day, |_, _, _| later());
    let rescans = |drill: &Drill| {
        drill.log.iter().filter(|(_, intent)| matches!(intent, BeaconIntent::Rescan { after: None })).count()
    };
    assert_eq!(rescans(&drill), 3);
    let page = |after, through: u64, of: &[u64]| BeaconInput::Rescanned {
        after,
        through: Some(PackageNumber(through)),
        packages: of.iter().map(|number| package(*number)).collect(),
    };
    drill.core.on(drill.now, page(None, 4, &[0, 1, 2, 4]), &mut drill.out);
    assert_eq!(drill.core.waiting(), 4, "only the one that it did not know");
    // What arrives meanwhile is told by itself.
    drill.core.on(drill.now, BeaconInput::Arrived(vec![package(8)]), &mut drill.out);
    drill.core.on(drill.now, page(Some(PackageNumber(4)), 9, &[8, 9]), &mut drill.out);
    assert_eq!(drill.core.waiting(), 6);
    drill.core.on(
        drill.now,
        BeaconInput::Rescanned { after: Some(PackageNumber(9)), through: None, packages: vec![] },
        &mut drill.out,
    );
    drill.log.clear();
    drill.run(3 * day + 60 * MINUTE_MS, |_, _, _| Verdict::Delivered);
    assert_eq!(drill.released(), BTreeSet::from([0, 1, 2, 4, 8, 9]));
    let next: Vec<&BeaconIntent> =
        drill.log.iter().map(|(_, intent)| intent).filter(|i| matches!(i, BeaconIntent::Rescan { .. })).collect();
    let after = |number| BeaconIntent::Rescan { after: Some(PackageNumber(number)) };
    assert_eq!(next, [&after(4), &after(9)]);
}

fn times(drill: &Drill, is_wanted: impl Fn(&BeaconIntent) -> bool) -> Vec<i64> {
    drill.log.iter().filter(|(_, intent)| is_wanted(intent)).map(|(at, _)| *at).collect()
}

#[test]
fn a_parent_that_is_gone_is_asked_for_policy_less_and_less_and_soon_when_it_is_back() {
    let mut drill = Drill::new(1, vec![]);
    let day = 24 * 60 * MINUTE_MS;
    drill.run(day + 20 * MINUTE_MS, |at, _, _| if at < day { later() } else { Verdict::Delivered });
    let asked = times(&drill, |intent| matches!(intent, BeaconIntent::AskPolicy(_)));
    let within = |from: i64, to: i64| asked.iter().filter(|at| (from..to).contains(*at)).count();
    assert!(within(0, 2 * MINUTE_MS) >= 2, "at first within a minute or two");
    assert!((96..250).contains(&within(0, day)), "{} in a day: 7 or 8 minutes on the average", within(0, day));
    assert!((1..=2).contains(&within(day, day + 15 * MINUTE_MS + 1)), "a usual interval at most");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= 15 * MINUTE_MS + 1));
}

#[test]
fn a_parent_that_asks_for_time_is_asked_for_policy_and_told_the_status_after_it() {
    for wish in [5 * MINUTE_MS, 40 * MINUTE_MS] {
        let mut drill = Drill::new(1, vec![]);
        let busy = Verdict::Later { retry_after_ms: Some(wish), broken: false };
        drill.run(120 * MINUTE_MS, |_, _, _| busy);
        for asked in [
            times(&drill, |intent| matches!(intent, BeaconIntent::AskPolicy(_))),
            times(&drill, |intent| matches!(intent, BeaconIntent::SendStatus(_))),
        ] {
            assert!(asked.len() >= 2 && asked.windows(2).all(|pair| pair[1] - pair[0] >= wish), "{asked:?}");
        }
    }
}
