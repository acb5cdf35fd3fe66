use super::*;
use crate::formats::client_configuration::ClientConfiguration;
use crate::formats::failover::Failover;
use crate::model::package::Kind;
use crate::policy::apply::Content;
use crate::roles::{IntentNumber, Intents};
use crate::time::{DAY_MS, SECOND_MS};
use crate::upload::answer::Verdict;
use crate::upload::selector::{Measures, Ping, Probe};
use proptest::prelude::*;

/// Midnight of some day.
const START: Timestamp = Timestamp(20_000 * DAY_MS);
const LATER: Verdict = Verdict::Later { retry_after_ms: None, broken: true };

fn settings(servers: usize) -> AgentSettings {
    AgentSettings {
        servers: (0..servers).map(|number| format!("http://127.0.0.1:{}", 7_000 + number)).collect(),
        allow_plain: false,
        collect_at_start: false,
        inventory_every_ms: DAY_MS,
        policy_every_ms: 12 * HOUR_MS,
        catch_up_from_ms: 11 * HOUR_MS,
        clocks_ahead_ms: 0,
    }
}

fn durable(settings: AgentSettings, queued: Vec<Queued>, last_collected: Option<Timestamp>) -> AgentDurable {
    AgentDurable {
        rules: Arc::new(AgentRules::new(0, &settings, vec![])),
        settings: Arc::new(settings),
        has_policy: false,
        agent: 7,
        device: Arc::default(),
        policy_by: None,
        queued,
        is_heard: true,
        last_collected,
        ran: vec![],
        measures: Measures::default(),
    }
}

fn inventory(package: u64) -> Queued {
    Queued { package: PackageNumber(package), stream: StreamNumber(0), kind: Kind::Inventories }
}

fn usage(package: u64) -> Queued {
    Queued { package: PackageNumber(package), stream: StreamNumber(1), kind: Kind::UsageData }
}

fn log(package: u64) -> Queued {
    Queued { package: PackageNumber(package), stream: StreamNumber(2), kind: Kind::Logs }
}

fn upload(package: u64, to: u16) -> AgentIntent {
    AgentIntent::Upload { package: PackageNumber(package), to: ServerNumber(to) }
}

fn delete(package: u64, why: LetGo) -> AgentIntent {
    AgentIntent::Delete { package: PackageNumber(package), why }
}

/// A core, its wishes, and the time.
struct Bench {
    core: AgentCore,
    out: Intents<AgentIntent>,
    now: Timestamp,
    sending: Option<IntentNumber>,
    asking: Option<IntentNumber>,
    measuring: Option<IntentNumber>,
}

impl Bench {
    fn new(settings: AgentSettings, queued: Vec<Queued>, last_collected: Option<Timestamp>) -> Bench {
        Bench::of(durable(settings, queued, last_collected))
    }

    fn of(durable: AgentDurable) -> Bench {
        let core = AgentCore::recover(durable, RngStream::new(7, 7, 0), START);
        Bench { core, out: Intents::default(), now: START, sending: None, asking: None, measuring: None }
    }

    /// With `queued` packages, a recent collection, and the policy question answered.
    fn holding(servers: usize, queued: Vec<Queued>) -> (Bench, Vec<AgentIntent>) {
        let mut bench = Bench::new(settings(servers), queued, Some(START));
        let first = bench.wake();
        bench.policy(true);
        (bench, first.into_iter().filter(|intent| !matches!(intent, AgentIntent::AskPolicy(_))).collect())
    }

    fn taken(&mut self) -> Vec<AgentIntent> {
        let taken = self.out.take();
        let mut sends = taken.iter().filter(|(_, intent)| matches!(intent, AgentIntent::Upload { .. }));
        if let Some((number, _)) = sends.next_back() {
            self.sending = Some(*number);
        }
        if let Some((number, _)) = taken.iter().find(|(_, intent)| matches!(intent, AgentIntent::AskPolicy(_))) {
            self.asking = Some(*number);
        }
        if let Some((number, _)) = taken.iter().find(|(_, intent)| matches!(intent, AgentIntent::Measure(_))) {
            self.measuring = Some(*number);
        }
        let told = taken.into_iter().map(|(_, intent)| intent);
        told.filter(|intent| *intent != AgentIntent::Remember).collect()
    }

    fn policy(&mut self, answered: bool) -> Vec<AgentIntent> {
        self.policy_answer(if answered { PolicyAnswer::Taken } else { PolicyAnswer::Silent })
    }

    fn policy_answer(&mut self, answer: PolicyAnswer) -> Vec<AgentIntent> {
        let intent = self.asking.take().expect("policy is being asked");
        self.on(AgentInput::PolicyAnswered { intent, answer })
    }

    fn measured(&mut self, round_trips: &[(u16, u32)]) -> Vec<AgentIntent> {
        let at = self.now;
        let probe = |round_trip_ms| Probe { at, ping: Ping::Reached { round_trip_ms, hops: None }, addresses: vec![] };
        let probes = round_trips.iter().map(|(place, ms)| (ServerNumber(*place), probe(*ms))).collect();
        let intent = self.measuring.take().expect("something is being measured");
        self.on(AgentInput::Measured { intent, probes })
    }

    fn wake(&mut self) -> Vec<AgentIntent> {
        self.core.wake(self.now, &mut self.out);
        self.taken()
    }

    fn on(&mut self, input: AgentInput) -> Vec<AgentIntent> {
        self.now = self.now.plus_ms(1);
        self.core.on(self.now, input, &mut self.out);
        self.taken()
    }

    fn answer(&mut self, verdict: Verdict) -> Vec<AgentIntent> {
        let intent = self.sending.take().expect("something is being sent");
        self.on(AgentInput::Uploaded { intent, verdict, transfer: None })
    }

    /// Sleeps until the core wants to be woken, answering its policy questions.
    fn next(&mut self) -> Vec<AgentIntent> {
        loop {
            self.now = self.core.next_due().max(self.now);
            let intents = self.wake();
            if intents.iter().any(|intent| matches!(intent, AgentIntent::AskPolicy(_))) {
                self.policy(true);
            }
            if intents.contains(&AgentIntent::Collect) {
                self.on(AgentInput::CollectionFailed { published: vec![] });
            }
            let rest: Vec<AgentIntent> = intents
                .into_iter()
                .filter(|intent| !matches!(intent, AgentIntent::AskPolicy(_) | AgentIntent::Collect))
                .collect();
            if !rest.is_empty() || self.core.next_due() == Timestamp::NEVER {
                return rest;
            }
        }
    }
}

#[test]
fn a_million_agents_fit() {
    // With its choice of servers, which stands in it.
    assert!(size_of::<AgentCore>() <= 336, "{}", size_of::<AgentCore>());
}

#[test]
fn the_first_start_asks_for_policy_collects_uploads_and_deletes_after_the_receipt() {
    let mut bench = Bench::new(settings(1), vec![], None);
    assert_eq!(bench.wake(), [AgentIntent::AskPolicy(ServerNumber(0)), AgentIntent::Collect]);
    assert_eq!(bench.on(AgentInput::Published(vec![inventory(1)])), [upload(1, 0)]);
    assert_eq!(bench.answer(Verdict::Delivered), [delete(1, LetGo::Delivered)]);
    assert_eq!(bench.core.queued(), 0);
}

#[test]
fn a_restart_collects_only_when_it_is_time_or_the_machine_stands_alone() {
    let is_collected = |settings: AgentSettings, last| Bench::new(settings, vec![], last).wake().len() == 2;
    assert!(is_collected(settings(1), None));
    assert!(!is_collected(settings(1), Some(START)));
    assert!(is_collected(AgentSettings { collect_at_start: true, ..settings(1) }, Some(START)));
    let missed = Bench::new(settings(1), vec![], Some(START.plus_ms(-2 * DAY_MS)));
    assert!(missed.core.plan(START).collect.ms_since(START) < HOUR_MS);
}

#[test]
fn a_host_is_collected_once_a_day_at_a_moment_of_its_own() {
    let times_of = |agent| {
        let mut bench = Bench::of(AgentDurable { agent, ..durable(settings(1), vec![], Some(START)) });
        let mut times = Vec::new();
        while times.len() < 3 {
            bench.now = bench.core.next_due();
            let intents = bench.wake();
            if bench.asking.is_some() {
                bench.policy(true);
            }
            if intents.contains(&AgentIntent::Collect) {
                times.push(bench.now.ms_since(START));
                bench.on(AgentInput::Published(vec![inventory(times.len() as u64)]));
                bench.answer(Verdict::Delivered);
            }
        }
        times
    };
    let all: Vec<Vec<i64>> = (0..50).map(times_of).collect();
    for times in &all {
        let days: Vec<i64> = times.iter().map(|at| at / DAY_MS).collect();
        assert_eq!(days, [0, 1, 2], "{times:?}");
    }
    let first = all.iter().map(|times| times[0]);
    assert!(first.clone().max().unwrap() - first.min().unwrap() > DAY_MS * 3 / 4, "spread over the day");
}

#[test]
fn a_newer_inventory_supersedes_the_queued_one_but_no_usage() {
    let (mut bench, first) = Bench::holding(1, vec![inventory(1), usage(2)]);
    assert_eq!(first, [upload(1, 0)]);
    assert_eq!(bench.on(AgentInput::Published(vec![inventory(3)])), [delete(1, LetGo::Superseded)]);
    assert_eq!(bench.answer(Verdict::Delivered), [upload(2, 0)], "the answer for a superseded one deletes nothing");
    assert_eq!(bench.on(AgentInput::Published(vec![usage(4)])), []);
    assert_eq!(bench.answer(Verdict::Delivered), [delete(2, LetGo::Delivered), upload(3, 0)]);
    assert_eq!(bench.core.queued(), 2);
}

#[test]
fn a_newer_discovery_supersedes_the_queued_one_and_what_a_collection_stored_of_itself_is_sent_although_it_failed() {
    let discovery = |number| Queued { kind: Kind::Discovery, ..usage(number) };
    let (mut bench, _) = Bench::holding(1, vec![inventory(1), discovery(2)]);
    let failed = AgentInput::CollectionFailed { published: vec![discovery(3)] };
    assert_eq!(bench.on(failed), [delete(2, LetGo::Superseded)]);
    assert!(bench.core.plan(bench.now).collect <= bench.now.plus_ms(HOUR_MS), "it is tried again");
    assert_eq!(bench.answer(Verdict::Delivered), [delete(1, LetGo::Delivered), upload(3, 0)]);
}

#[test]
fn usage_that_is_published_meanwhile_ends_no_collection() {
    let mut bench = Bench::new(settings(1), vec![], None);
    let first = bench.wake();
    assert!(first.contains(&AgentIntent::Collect), "{first:?}");
    assert_eq!(bench.on(AgentInput::Published(vec![usage(1)])), [upload(1, 0)]);
    assert!(bench.core.is_collecting, "it is still under way");
    bench.on(AgentInput::Published(vec![inventory(2)]));
    assert!(!bench.core.is_collecting);
}

#[test]
fn a_crash_between_publishing_and_superseding_is_made_good_at_start() {
    let (_, first) = Bench::holding(1, vec![inventory(2), inventory(1)]);
    assert_eq!(first, [delete(1, LetGo::Superseded), upload(2, 0)]);
}

#[test]
fn a_try_asks_every_server_once_in_order_and_the_next_ones_wait() {
    let (mut bench, first) = Bench::holding(3, vec![inventory(1)]);
    assert_eq!(first, [upload(1, 0)]);
    for longest in [30 * SECOND_MS, MINUTE_MS] {
        assert_eq!(bench.answer(LATER), [upload(1, 1)]);
        assert_eq!(bench.answer(Verdict::Full), [upload(1, 2)]);
        assert_eq!(bench.answer(Verdict::Loop), []);
        let before = bench.now;
        assert_eq!(bench.next(), [upload(1, 0)]);
        assert!(bench.now.ms_since(before) <= longest);
    }
    bench.answer(LATER);
    bench.answer(LATER);
    assert_eq!(bench.answer(LATER), [], "three tries");
    let catch_up = bench.core.plan(bench.now).catch_up;
    assert_eq!(bench.core.plan(bench.now).upload, Timestamp::NEVER);
    assert_eq!(bench.next(), [upload(1, 0)]);
    assert_eq!(bench.now, catch_up);
    let of_day = bench.now.0 % DAY_MS;
    assert!((11 * HOUR_MS..12 * HOUR_MS).contains(&of_day), "{of_day}");
    assert_eq!(bench.core.queued(), 1);
}

#[test]
fn the_server_that_took_it_stays_chosen_and_the_first_gets_another_chance() {
    let (mut bench, _) = Bench::holding(2, vec![usage(1)]);
    bench.answer(LATER);
    assert_eq!(bench.answer(Verdict::Delivered), [delete(1, LetGo::Delivered)]);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(2)])), [upload(2, 1)], "sticky");
    bench.answer(Verdict::Delivered);
    bench.now = bench.now.plus_ms(20 * MINUTE_MS);
    assert!(bench.on(AgentInput::Published(vec![usage(3)])).contains(&upload(3, 0)));
    bench.answer(LATER);
    bench.answer(Verdict::Delivered);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(4)])), [upload(4, 1)]);
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let (mut bench, _) = Bench::holding(1, vec![inventory(1)]);
    let asked = bench.now;
    bench.answer(Verdict::Later { retry_after_ms: Some(40 * MINUTE_MS), broken: false });
    assert_eq!(bench.on(AgentInput::Published(vec![usage(2)])), [], "for another package too");
    bench.next();
    assert!(bench.now.ms_since(asked) >= 40 * MINUTE_MS);
}

#[test]
fn a_refused_package_leaves_the_queue_and_the_next_one_goes() {
    let (mut bench, _) = Bench::holding(1, vec![inventory(1), usage(2)]);
    assert_eq!(bench.answer(Verdict::Refused), [AgentIntent::Refuse(PackageNumber(1)), upload(2, 0)]);
}

#[test]
fn five_refusals_in_a_row_are_a_fault_of_the_link_and_the_rest_is_held() {
    let (mut bench, _) = Bench::holding(1, (1..=7).map(usage).collect());
    for package in 1..=4 {
        let wanted = [AgentIntent::Refuse(PackageNumber(package)), upload(package + 1, 0)];
        assert_eq!(bench.answer(Verdict::Refused), wanted);
    }
    assert_eq!(bench.answer(Verdict::Refused), [], "the server counts as down");
    assert_eq!(bench.core.queued(), 3);
    bench.next();
    assert!(matches!(bench.answer(Verdict::Delivered)[..], [AgentIntent::Delete { why: LetGo::Delivered, .. }, ..]));
}

#[test]
fn an_identity_that_is_not_accepted_holds_everything_together() {
    let (mut bench, _) = Bench::holding(2, vec![inventory(1), usage(2)]);
    let asked = bench.now;
    assert_eq!(bench.answer(Verdict::Unidentified), []);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(3)])), []);
    assert!(!bench.next().is_empty());
    assert!((5 * MINUTE_MS..=6 * HOUR_MS).contains(&bench.now.ms_since(asked)));
    let asked = bench.now;
    bench.answer(Verdict::Revoked);
    bench.next();
    assert!(bench.now.ms_since(asked) >= DAY_MS);
    assert_eq!(bench.core.queued(), 3);
}

#[test]
fn retries_of_a_long_outage_are_bounded_and_the_catch_up_still_asks() {
    let (mut bench, _) = Bench::holding(1, (1..=30).map(usage).collect());
    let end = START.plus_ms(10 * HOUR_MS);
    let mut sends = 1;
    loop {
        let sent = match bench.sending {
            Some(_) => bench.answer(LATER),
            None if bench.core.next_due() >= end => break,
            None => bench.next(),
        };
        if bench.now >= end {
            break;
        }
        sends += sent.iter().filter(|intent| matches!(intent, AgentIntent::Upload { .. })).count();
    }
    assert_eq!(sends, 30 + 10, "each once, and the burst of retries");
    assert_eq!(bench.core.queued(), 30);
}

#[test]
fn damaged_bytes_are_set_aside_and_the_host_is_asked_again() {
    let (mut bench, _) = Bench::holding(1, vec![inventory(1)]);
    let intent = bench.sending.unwrap();
    assert_eq!(bench.on(AgentInput::Unsendable { intent }), [AgentIntent::SetAside(PackageNumber(1))]);
    assert!(bench.core.plan(bench.now).collect.ms_since(bench.now) <= HOUR_MS);
}

#[test]
fn a_clock_set_back_by_a_year_delays_nothing_by_a_year() {
    let (mut bench, _) = Bench::holding(1, vec![inventory(1)]);
    bench.answer(LATER);
    bench.now = bench.now.plus_ms(-365 * DAY_MS);
    bench.wake();
    let plan = bench.core.plan(bench.now);
    for due in [plan.collect, plan.policy, plan.catch_up, plan.upload] {
        assert!(due.ms_since(bench.now) <= 2 * DAY_MS, "{due}");
    }
}

#[test]
fn policy_is_asked_once_in_each_period_and_soon_again_without_an_answer() {
    let mut bench = Bench::new(settings(1), vec![], Some(START));
    bench.wake();
    bench.policy(true);
    let first = bench.core.plan(bench.now).policy.ms_since(START);
    assert!((0..12 * HOUR_MS).contains(&first), "{first}");
    let mut bench = Bench::new(settings(1), vec![], Some(START));
    bench.wake();
    bench.policy(false);
    assert!(bench.core.plan(bench.now).policy.ms_since(START) <= HOUR_MS + 1);
    // However often it failed, the next period's question stays where it was.
    for _ in 0..20 {
        bench.now = bench.core.plan(bench.now).policy;
        bench.wake();
        bench.policy(false);
    }
    bench.now = bench.core.plan(bench.now).policy;
    bench.wake();
    bench.policy(true);
    assert!(bench.core.plan(bench.now).policy.ms_since(bench.now) <= 24 * HOUR_MS);
}

/// Beacons on ports 8001 and so on, as policy names them.
fn listed(count: u8, selector: &str) -> Content {
    let mut text = format!("[ManageSoft\\NetSelector\\CurrentVersion]\nSelectorAlgorithm={selector}\n");
    for number in 1..=count {
        let id = crate::id::Guid::from_random([number; 16]);
        text += &format!(
            "[ManageSoft\\Common\\UploadSettings\\{{{id}}}]\nProtocol=http\nHost=127.0.0.1\nPort={}\nDirectory=RL\n",
            8_000 + u16::from(number)
        );
    }
    Content::Failover(Failover::read(text.as_bytes()).unwrap().0)
}

#[test]
fn the_beacons_of_a_policy_are_measured_once_and_the_nearest_is_used() {
    let settings = settings(1);
    let rules = Arc::new(AgentRules::new(1, &settings, vec![listed(3, "MgsPing")]));
    let mut bench =
        Bench::of(AgentDurable { rules, has_policy: true, ..durable(settings, vec![usage(1)], Some(START)) });
    let all = [0, 1, 2].map(ServerNumber).to_vec();
    assert_eq!(bench.wake(), [AgentIntent::Measure(all.clone())]);
    assert_eq!(bench.wake(), [], "not twice, and nothing is sent meanwhile");
    bench.now = bench.now.plus_ms(30);
    assert_eq!(bench.measured(&[(0, 30), (1, 5), (2, 9)]), [upload(1, 1)]);
    assert_eq!(bench.answer(LATER), [upload(1, 2)], "then the next nearest");
    assert_eq!(bench.answer(LATER), [upload(1, 0)]);
    assert_eq!(bench.answer(LATER), [upload(1, 3)], "and its own configuration is the last resort");
    assert_eq!(bench.answer(Verdict::Delivered), [delete(1, LetGo::Delivered)]);
    bench.now = bench.now.plus_ms(HOUR_MS - MINUTE_MS);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(2)])).len(), 1, "measured less than an hour ago");
    bench.answer(Verdict::Delivered);
    bench.now = bench.now.plus_ms(2 * MINUTE_MS);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(3)])), [AgentIntent::Measure(all)]);
}

#[test]
fn a_new_list_is_followed_at_once_and_what_is_under_way_ends_by_its_number() {
    let (mut bench, first) = Bench::holding(2, vec![usage(1), usage(2)]);
    assert_eq!(first, [upload(1, 0)]);
    let rules = Arc::new(AgentRules::new(1, &settings(2), vec![listed(2, "MgsPing")]));
    assert_eq!(bench.on(AgentInput::RulesChanged(rules)), []);
    assert_eq!(
        bench.answer(Verdict::Delivered),
        [delete(1, LetGo::Delivered), AgentIntent::Measure(vec![ServerNumber(0), ServerNumber(1)])]
    );
    assert_eq!(bench.measured(&[(0, 1), (1, 1)]), [upload(2, 0)]);
    // The answer of the old list's third server must not be taken for one of the new list.
    let rules = Arc::new(AgentRules::new(2, &settings(2), vec![listed(1, "")]));
    bench.on(AgentInput::RulesChanged(rules));
    assert_eq!(bench.answer(LATER), [upload(2, 0)]);
}

#[test]
fn a_schedule_of_the_policy_moves_what_comes_next() {
    use crate::schedule::{AgentSchedule, Frequency, standard_schedule};
    let mut bench = Bench::new(settings(1), vec![], Some(START));
    bench.wake();
    bench.policy(true);
    let schedule = AgentSchedule {
        inventory: Frequency::Weekly { days: 1 },
        inventory_start_secs: 3_600,
        inventory_within_secs: 600,
        ..AgentSchedule::default()
    };
    let nds = standard_schedule(&schedule, START);
    let rules = Arc::new(AgentRules::new(1, &settings(1), vec![Content::Schedule(nds)]));
    bench.on(AgentInput::RulesChanged(rules));
    let collect = bench.core.plan(bench.now).collect;
    let monday = (collect.0 / DAY_MS + 3) % 7;
    assert_eq!(monday, 0, "1970-01-01 was a Thursday");
    assert!((HOUR_MS..HOUR_MS + 10 * MINUTE_MS).contains(&(collect.0 % DAY_MS)));
    assert_eq!(bench.core.plan(bench.now).events.len(), 3);
}

#[test]
fn what_was_run_is_not_run_again_after_a_restart() {
    let mut bench = Bench::new(settings(1), vec![], Some(START));
    let mut collections = 0;
    for _ in 0..40 {
        bench.now = bench.core.next_due();
        let intents = bench.wake();
        if bench.asking.is_some() {
            bench.policy(true);
        }
        if intents.contains(&AgentIntent::Collect) {
            collections += 1;
        }
        // A crash after each step; what it remembers is all that the next life knows.
        let (ran, now) = (bench.core.ran(), bench.now.plus_ms(1));
        let durable = AgentDurable { ran, has_policy: true, ..durable(settings(1), vec![], Some(now)) };
        bench.core = AgentCore::recover(durable, RngStream::new(7, 7, 1), now);
        bench.now = now;
    }
    let days = bench.now.ms_since(START) / DAY_MS;
    assert!((days..=days + 1).contains(&collections), "{collections} in {days} days");
}

#[test]
fn a_policy_question_goes_round_the_servers_and_then_waits() {
    let mut bench = Bench::new(settings(3), vec![], Some(START));
    assert_eq!(bench.wake(), [AgentIntent::AskPolicy(ServerNumber(0))]);
    assert_eq!(bench.policy(false), [AgentIntent::AskPolicy(ServerNumber(1))]);
    assert_eq!(bench.policy(false), [AgentIntent::AskPolicy(ServerNumber(2))]);
    let before = bench.now;
    assert_eq!(bench.policy(false), []);
    let again = bench.core.plan(bench.now).policy.ms_since(before);
    assert!((MINUTE_MS..=HOUR_MS).contains(&again), "{again}");
}

#[test]
fn an_upload_that_fails_after_its_list_was_replaced_goes_round_the_new_one() {
    let (mut bench, first) = Bench::holding(4, vec![usage(1)]);
    assert_eq!(first, [upload(1, 0)]);
    let rules = |number, count| Arc::new(AgentRules::new(number, &settings(1), vec![listed(count, "MgsPing")]));
    bench.on(AgentInput::RulesChanged(rules(1, 1)));
    assert_eq!(bench.answer(LATER), [AgentIntent::Measure(vec![ServerNumber(0)])]);
    // A list that comes while the one before is measured: its own measurements count, the others do not.
    let old = bench.measuring.take().unwrap();
    let measured = bench.on(AgentInput::RulesChanged(rules(2, 3)));
    let all = [0, 1, 2].map(ServerNumber).to_vec();
    assert_eq!(measured, [AgentIntent::Measure(all)]);
    let stale = AgentInput::Measured { intent: old, probes: vec![] };
    assert_eq!(bench.on(stale), [], "still measured");
    assert_eq!(bench.measured(&[(0, 9), (1, 9), (2, 1)]), [upload(1, 2)]);
}

#[test]
fn a_probe_that_a_new_list_overtakes_closes_no_server_for_ever() {
    let (mut bench, _) = Bench::holding(1, vec![usage(1)]);
    bench.answer(LATER);
    bench.next();
    bench.answer(LATER);
    bench.next();
    bench.answer(LATER);
    // Down: three failures. The probe of the catch-up is on its way when another policy comes.
    bench.next();
    bench.on(AgentInput::RulesChanged(Arc::new(AgentRules::new(1, &settings(1), vec![]))));
    assert_eq!(bench.answer(LATER), [upload(1, 0)], "the wait that let the probe pass is over");
    assert_eq!(bench.answer(Verdict::Delivered), [delete(1, LetGo::Delivered)]);
}

#[test]
fn nobody_to_ask_is_no_reason_to_look_each_millisecond() {
    let settings = settings(1);
    // The second one's priority keeps it out: it must not count as one that may be asked.
    let rules = Arc::new(AgentRules::new(1, &settings, vec![listed(1, "MgsNameMatch")]));
    let mut bench =
        Bench::of(AgentDurable { rules, has_policy: true, ..durable(settings, vec![usage(1)], Some(START)) });
    let (end, mut turns) = (START.plus_ms(HOUR_MS), 0);
    bench.wake();
    while bench.now < end {
        turns += 1;
        if bench.sending.is_some() {
            bench.answer(Verdict::Later { retry_after_ms: None, broken: true });
        } else {
            bench.now = bench.core.next_due().max(bench.now);
            bench.wake();
            if bench.asking.is_some() {
                bench.policy(false);
            }
        }
    }
    assert!(turns < 200, "{turns} turns in an hour");
}

#[test]
fn a_schedule_that_never_asks_for_policy_gets_the_question_of_the_agents_own() {
    let none = crate::formats::nds::Nds { schema: 60, ..Default::default() };
    let rules = AgentRules::new(1, &settings(1), vec![Content::Schedule(none)]);
    let tasks: Vec<Option<Task>> = rules.timetable.events().iter().map(Task::of).collect();
    assert_eq!(tasks, [Some(Task::AskPolicy)]);
}

#[test]
fn a_policy_that_is_not_taken_is_asked_for_later_and_is_no_fault_of_the_server() {
    let mut bench = Bench::new(settings(1), vec![], Some(START));
    for _ in 0..9 {
        bench.now = bench.core.plan(bench.now).policy.max(bench.now);
        bench.wake();
        assert_eq!(bench.policy_answer(PolicyAnswer::NotTaken), []);
        assert!(bench.core.plan(bench.now).policy.ms_since(bench.now) >= MINUTE_MS - 1);
    }
    assert_eq!(bench.on(AgentInput::Published(vec![usage(1)])), [upload(1, 0)]);
}

#[test]
fn a_collection_that_was_begun_and_never_published_is_made_after_the_restart() {
    let rules = Arc::new(AgentRules::new(0, &settings(1), vec![]));
    let event = rules.timetable.events()[0].id;
    let collect = |occurrence| {
        let ran = vec![Ran { event, occurrence }];
        let durable = durable(settings(1), vec![], Some(START.plus_ms(-HOUR_MS)));
        let mut bench = Bench::of(AgentDurable { ran, has_policy: true, rules: rules.clone(), ..durable });
        bench.wake();
        bench.core.plan(bench.now).collect.ms_since(START)
    };
    assert!(collect(START.plus_ms(-MINUTE_MS)) <= HOUR_MS);
}

#[test]
fn without_a_catch_up_a_package_whose_tries_are_over_waits_a_day_and_not_for_ever() {
    let queued = vec![usage(1)];
    let mut bench = Bench::of(AgentDurable { rules: without_catch_up(1), ..durable(settings(1), queued, Some(START)) });
    bench.wake();
    bench.policy(true);
    for _ in 0..3 {
        if bench.sending.is_none() {
            bench.next();
        }
        bench.answer(LATER);
    }
    let upload = bench.core.plan(bench.now).upload.ms_since(bench.now);
    assert!((DAY_MS - MINUTE_MS..=DAY_MS).contains(&upload), "{upload}");
}

/// Rules of revision `revision` with the catch-up switched off.
fn without_catch_up(revision: u32) -> Arc<AgentRules> {
    let off = ClientConfiguration { is_catch_up_on: false, ..Default::default() };
    Arc::new(AgentRules::new(revision, &settings(1), vec![Content::Configuration(off)]))
}

#[test]
fn without_a_catch_up_each_package_is_tried_each_day_whatever_the_retry_budget_holds() {
    let queued = (1..=30).map(usage).collect();
    let mut bench = Bench::of(AgentDurable { rules: without_catch_up(1), ..durable(settings(1), queued, Some(START)) });
    bench.wake();
    bench.policy(true);
    let mut by_day = [0; 5];
    while sends_before(&mut bench, 5 * DAY_MS) {
        by_day[(bench.now.ms_since(START) / DAY_MS) as usize] += 1;
        bench.answer(LATER);
    }
    assert_eq!(by_day[0], 30 + 10, "each once, and the burst of retries");
    assert!(by_day[1..].iter().all(|sent| (28..=32).contains(sent)), "each once: {by_day:?}");
    while sends_before(&mut bench, 7 * DAY_MS) {
        bench.answer(Verdict::Delivered);
    }
    assert_eq!(bench.core.queued(), 0, "gone within a day");
}

/// Goes on until something is being sent, so many milliseconds after the start at the latest. Whether something is.
fn sends_before(bench: &mut Bench, end_ms: i64) -> bool {
    while bench.sending.is_none() {
        let due = bench.core.next_due().max(bench.now);
        if due >= START.plus_ms(end_ms) {
            return false;
        }
        bench.now = due;
        bench.wake();
        if bench.asking.is_some() {
            bench.policy(true);
        }
    }
    bench.now < START.plus_ms(end_ms)
}

#[test]
fn what_waits_for_a_catch_up_that_is_switched_off_goes_a_day_later() {
    let (mut bench, _) = Bench::holding(1, vec![usage(1)]);
    for _ in 0..3 {
        if bench.sending.is_none() {
            bench.next();
        }
        bench.answer(LATER);
    }
    assert_eq!(bench.core.plan(bench.now).upload, Timestamp::NEVER);
    bench.on(AgentInput::RulesChanged(without_catch_up(1)));
    assert_eq!(bench.core.plan(bench.now).upload.ms_since(bench.now), DAY_MS);
}

#[derive(Clone, Debug)]
enum Step {
    Answer(Verdict),
    Unsendable,
    Publish(bool),
    Wake(i64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let verdicts = vec![
        Verdict::Delivered,
        Verdict::Refused,
        Verdict::Unidentified,
        Verdict::Revoked,
        LATER,
        Verdict::Later { retry_after_ms: Some(HOUR_MS), broken: false },
        Verdict::Full,
        Verdict::Loop,
    ];
    prop_oneof![
        6 => prop::sample::select(verdicts).prop_map(Step::Answer),
        1 => Just(Step::Unsendable),
        3 => any::<bool>().prop_map(Step::Publish),
        3 => (0..3 * DAY_MS).prop_map(Step::Wake),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    /// I1 at the agent: what is published leaves the queue only by a receipt, a newer one, a refusal or damage.
    #[test]
    fn nothing_is_let_go_without_a_reason(servers in 1usize..4, steps in prop::collection::vec(step(), 1..120)) {
        let mut bench = Bench::new(settings(servers), vec![], Some(START));
        let mut kept: Vec<Queued> = Vec::new();
        let mut sending: Option<PackageNumber> = None;
        let mut number = 0;
        for step in steps {
            let mut answered = None;
            let intents = match step {
                Step::Answer(verdict) if bench.sending.is_some() => {
                    answered = sending.take().map(|package| (package, Some(verdict)));
                    bench.answer(verdict)
                }
                Step::Unsendable if bench.sending.is_some() => {
                    answered = sending.take().map(|package| (package, None));
                    let intent = bench.sending.take().unwrap();
                    bench.on(AgentInput::Unsendable { intent })
                }
                Step::Answer(_) | Step::Unsendable => continue,
                Step::Publish(is_inventory) => {
                    number += 1;
                    let queued = if is_inventory { inventory(number) } else { usage(number) };
                    kept.push(queued);
                    bench.on(AgentInput::Published(vec![queued]))
                }
                Step::Wake(ms) => {
                    bench.now = bench.now.plus_ms(ms);
                    bench.wake()
                }
                Step::Crash => {
                    let now = bench.now;
                    bench = Bench::new(settings(servers), kept.clone(), Some(START));
                    (bench.now, sending) = (now, None);
                    bench.wake()
                }
            };
            for intent in intents {
                let verdict_on = |package| answered.filter(|(of, _)| *of == package).map(|(_, verdict)| verdict);
                match intent {
                    AgentIntent::Upload { package, to } => {
                        prop_assert!(usize::from(to.0) < servers);
                        prop_assert!(sending.replace(package).is_none(), "one at a time");
                        prop_assert!(kept.iter().any(|queued| queued.package == package));
                    }
                    AgentIntent::Delete { package, why } => {
                        let gone = *kept.iter().find(|queued| queued.package == package).expect("deleted once");
                        let is_newer = |queued: &Queued| queued.stream == gone.stream && queued.package > package;
                        match why {
                            LetGo::Delivered => prop_assert_eq!(verdict_on(package), Some(Some(Verdict::Delivered))),
                            LetGo::Superseded => {
                                prop_assert!(gone.kind == Kind::Inventories && kept.iter().any(is_newer));
                            }
                        }
                        kept.retain(|queued| queued.package != package);
                    }
                    AgentIntent::Refuse(package) => {
                        prop_assert_eq!(verdict_on(package), Some(Some(Verdict::Refused)));
                        kept.retain(|queued| queued.package != package);
                    }
                    AgentIntent::SetAside(package) => {
                        prop_assert_eq!(verdict_on(package), Some(None));
                        kept.retain(|queued| queued.package != package);
                    }
                    AgentIntent::Collect
                    | AgentIntent::PublishLog
                    | AgentIntent::AskPolicy(_)
                    | AgentIntent::Measure(_)
                    | AgentIntent::Remember => {}
                }
            }
            prop_assert_eq!(bench.core.queued(), kept.len());
            let inventories = kept.iter().filter(|queued| queued.kind == Kind::Inventories).count();
            prop_assert!(inventories <= 1, "at most one inventory of a stream");
        }
    }
}

#[test]
fn logs_go_with_each_collection_when_policy_asks_and_supersede_nothing() {
    let told = ClientConfiguration { are_logs_uploaded: true, ..ClientConfiguration::default() };
    for (contents, wanted) in [
        (vec![], vec![AgentIntent::AskPolicy(ServerNumber(0)), AgentIntent::Collect]),
        (
            vec![Content::Configuration(told)],
            vec![AgentIntent::AskPolicy(ServerNumber(0)), AgentIntent::Collect, AgentIntent::PublishLog],
        ),
    ] {
        let mut durable = durable(settings(1), vec![], None);
        durable.rules = Arc::new(AgentRules::new(0, &settings(1), contents));
        let mut bench = Bench::of(durable);
        assert_eq!(bench.wake(), wanted);
        assert_eq!(bench.on(AgentInput::Published(vec![log(1)])), [upload(1, 0)]);
        assert_eq!(bench.on(AgentInput::Published(vec![log(2), log(3)])), [], "neither log has let the other go");
        assert_eq!(bench.core.queued(), 3);
    }
}

/// When a laptop that is on from 08:00 to 18:00 is collected, over some days; off or asleep at night.
fn laptop(agent: u64, is_off: bool) -> Vec<i64> {
    use crate::schedule::{AgentSchedule, standard_schedule};
    let nds = standard_schedule(&AgentSchedule::default(), START.plus_ms(-DAY_MS));
    let rules = Arc::new(AgentRules::new(1, &settings(1), vec![Content::Schedule(nds)]));
    let durable = |now: Timestamp, ran, last| AgentDurable {
        rules: rules.clone(),
        has_policy: true,
        agent,
        ran,
        ..durable(settings(1), vec![], Some(last).filter(|last| *last <= now))
    };
    let morning = |day: i64| START.plus_ms(day * DAY_MS + 8 * HOUR_MS);
    let mut bench = Bench::of(durable(morning(0), vec![], START));
    let (mut times, mut last) = (Vec::new(), START);
    for day in 0..14 {
        bench.now = morning(day);
        if is_off || day == 0 {
            let ran = if day == 0 { vec![] } else { bench.core.ran() };
            let now = bench.now;
            bench.core = AgentCore::recover(durable(now, ran, last), RngStream::new(agent, agent, day as u64), now);
        }
        while bench.now < morning(day).plus_ms(10 * HOUR_MS) {
            if bench.wake().contains(&AgentIntent::Collect) {
                times.push(bench.now.ms_since(START));
                last = bench.now;
                bench.core.on(bench.now.plus_ms(1), AgentInput::Published(vec![]), &mut bench.out);
                bench.taken();
            }
            if bench.asking.is_some() {
                bench.policy(true);
            }
            bench.now = bench.core.next_due().max(bench.now.plus_ms(1));
        }
    }
    times
}

#[test]
fn a_laptop_that_is_off_or_asleep_each_night_is_collected_each_day() {
    for is_off in [true, false] {
        let all: Vec<Vec<i64>> = (0..40).map(|agent| laptop(agent, is_off)).collect();
        for times in &all {
            let days: Vec<i64> = times.iter().map(|at| at / DAY_MS).collect();
            // On its first day it has missed nothing.
            assert_eq!(days, (1..14).collect::<Vec<_>>(), "{is_off} {times:?}");
            let in_time = 8 * HOUR_MS..=9 * HOUR_MS;
            assert!(times.iter().all(|at| in_time.contains(&(at % DAY_MS))), "{is_off} {times:?}");
        }
        let second: Vec<i64> = all.iter().map(|times| times[1]).collect();
        let spread = second.iter().max().unwrap() - second.iter().min().unwrap();
        assert!(!is_off || spread > 40 * MINUTE_MS, "a site that is switched on together does not collect together");
    }
}

#[test]
fn a_logon_or_a_connection_runs_what_waits_for_it() {
    let nds = "<Schedule SCHEDSCHEMA=\"60\" NAME=\"n\" TIMEDATESTAMP=\"20240101T000000Z\">\
               <Event NAME=\"e\" ID=\"{22222222-0000-4000-8000-000000000001}\">\
               <LogicalCommand COMPONENT=\"Tracker\" ACTION=\"Report\" PARAM=\"\"/>\
               <Trigger TYPE=\"Logon\" TYPE_PARAM=\"0\" TIMEWINDOW=\"0\"/></Event></Schedule>";
    let nds = crate::formats::nds::Nds::read(nds.as_bytes()).unwrap();
    let rules = Arc::new(AgentRules::new(1, &settings(1), vec![Content::Schedule(nds)]));
    assert!(rules.looks_around() && !AgentRules::new(1, &settings(1), vec![]).looks_around());
    let mut bench = Bench::of(AgentDurable { rules, ..durable(settings(1), vec![], Some(START)) });
    bench.wake();
    bench.policy(true);
    assert_eq!(bench.on(AgentInput::Happened(Happening::OnConnect)), []);
    assert_eq!(bench.on(AgentInput::Happened(Happening::Logon)), [AgentIntent::Collect]);
}

#[test]
fn what_was_lost_on_its_way_goes_again_at_once_and_ends_no_collection() {
    let (mut bench, _) = Bench::holding(1, vec![]);
    bench.now = bench.core.plan(bench.now).collect;
    assert!(bench.wake().contains(&AgentIntent::Collect));
    assert_eq!(bench.on(AgentInput::Requeued(vec![usage(1), usage(2)])), [upload(1, 0)]);
    assert_eq!(bench.answer(Verdict::Delivered), [delete(1, LetGo::Delivered), upload(2, 0)]);
    assert_eq!(bench.answer(Verdict::Delivered), [delete(2, LetGo::Delivered)]);
    assert_eq!(bench.on(AgentInput::Published(vec![inventory(3)])), [upload(3, 0)]);
}

#[test]
fn a_lost_inventory_is_collected_anew_within_a_minute_and_at_most_once_a_day() {
    let rarely = AgentSettings { inventory_every_ms: 30 * DAY_MS, ..settings(1) };
    let mut bench = Bench::new(rarely, vec![], Some(START));
    let asked = |bench: &mut Bench| {
        bench.on(AgentInput::CollectionAsked);
        bench.core.plan(bench.now).collect
    };
    let due = asked(&mut bench);
    assert!(due.ms_since(bench.now) < MINUTE_MS, "{due:?}");
    bench.now = due;
    assert!(bench.wake().contains(&AgentIntent::Collect));
    bench.on(AgentInput::Published(vec![]));
    // Whoever asks at each question costs one collection a day.
    let planned = bench.core.plan(bench.now).collect;
    assert!(planned.ms_since(START) > DAY_MS);
    for hour in 1..24 {
        bench.now = START.plus_ms(hour * HOUR_MS);
        assert_eq!(asked(&mut bench), planned, "after {hour} hours");
    }
    bench.now = START.plus_ms(DAY_MS + MINUTE_MS);
    assert!(asked(&mut bench).ms_since(bench.now) < MINUTE_MS);
}

/// A schedule that asks for policy as `trigger` says, and does nothing else.
fn asking(trigger: &str) -> Content {
    let nds = format!(
        "<Schedule SCHEDSCHEMA=\"60\" NAME=\"n\" TIMEDATESTAMP=\"20240101T000000Z\">\
         <Event NAME=\"e\" ID=\"{{11111111-0000-4000-8000-000000000002}}\">\
         <LogicalCommand COMPONENT=\"PolicyClient\" ACTION=\"Apply\" PARAM=\"\"/>\
         <Trigger {trigger}/></Event></Schedule>"
    );
    Content::Schedule(crate::formats::nds::Nds::read(nds.as_bytes()).unwrap())
}

#[test]
fn whatever_schedule_is_in_force_policy_is_asked_for_within_two_days() {
    for trigger in [
        "TYPE=\"Daily\" TYPE_PARAM=\"1\" DATESTART=\"99991229\" TIMESTART=\"000000\"",
        "TYPE=\"Daily\" TYPE_PARAM=\"366\" DATESTART=\"20240101\" TIMESTART=\"000000\" TIMEWINDOW=\"31622400\"",
        "TYPE=\"Monthly\" TYPE_PARAM=\"1\" DATESTART=\"20240101\" TIMESTART=\"000000\" TIMEWINDOW=\"0\"",
    ] {
        let rules = Arc::new(AgentRules::new(1, &settings(1), vec![asking(trigger)]));
        let life = |policy_by, now| {
            let durable = AgentDurable {
                rules: rules.clone(),
                has_policy: true,
                policy_by,
                ..durable(settings(1), vec![], Some(START))
            };
            AgentCore::recover(durable, RngStream::new(7, 7, 0), now)
        };
        let mut bench = Bench::new(settings(1), vec![], Some(START));
        bench.core = life(None, START);
        let mut last = START;
        for _ in 0..4 {
            while bench.asking.is_none() {
                bench.now = bench.core.next_due();
                bench.wake();
                if bench.core.is_collecting {
                    bench.on(AgentInput::Published(vec![]));
                }
            }
            assert!(bench.now.ms_since(last) <= 2 * DAY_MS, "{trigger}: after {} ms", bench.now.ms_since(last));
            last = bench.now;
            bench.policy(true);
            assert_eq!(
                bench.core.plan(bench.now).policy.min(last.plus_ms(2 * DAY_MS)),
                bench.core.plan(bench.now).policy
            );
        }
        // A machine that is never on for two days asks all the same.
        let (mut by, mut now, mut is_asked) = (bench.core.policy_by(), last, false);
        for _ in 0..3 {
            now = now.plus_ms(DAY_MS);
            bench.core = life(Some(by), now);
            (bench.now, by) = (now, bench.core.policy_by());
            is_asked |= bench.core.plan(now).policy <= now.plus_ms(HOUR_MS);
        }
        assert!(is_asked, "{trigger}");
    }
}

#[test]
fn what_a_clock_that_was_ahead_remembered_puts_no_question_off() {
    let durable = AgentDurable {
        has_policy: true,
        policy_by: Some(START.plus_ms(3_650 * DAY_MS)),
        rules: Arc::new(AgentRules::new(
            1,
            &settings(1),
            vec![asking("TYPE=\"Daily\" TYPE_PARAM=\"1\" DATESTART=\"99991229\" TIMESTART=\"000000\"")],
        )),
        ..durable(settings(1), vec![], Some(START))
    };
    assert!(Bench::of(durable).core.plan(START).policy <= START.plus_ms(2 * DAY_MS));
}

#[test]
fn a_beacon_without_a_policy_is_left_alone_by_questions_and_takes_packages_all_the_same() {
    let busy = |ms| PolicyAnswer::Busy { retry_after_ms: Some(ms) };
    let mut bench = Bench::new(settings(2), vec![], Some(START));
    assert_eq!(bench.wake(), [AgentIntent::AskPolicy(ServerNumber(0))]);
    assert_eq!(bench.policy_answer(busy(10 * MINUTE_MS)), [AgentIntent::AskPolicy(ServerNumber(1))]);
    let before = bench.now;
    assert_eq!(bench.policy_answer(busy(4 * MINUTE_MS)), []);
    // The smallest wish, and jitter.
    let again = bench.core.plan(bench.now).policy;
    assert!((4 * MINUTE_MS..=6 * MINUTE_MS + 2).contains(&again.ms_since(before)), "{again}");
    assert_eq!(bench.on(AgentInput::Published(vec![usage(1)])), [upload(1, 0)]);
    bench.answer(Verdict::Delivered);
    bench.now = again;
    assert_eq!(bench.wake(), [AgentIntent::AskPolicy(ServerNumber(1))], "the other one still wants to be left alone");
    bench.policy_answer(PolicyAnswer::Busy { retry_after_ms: None });
    // However often it is asked, the circuit stays closed, and it is asked seldom.
    let mut questions = 0;
    let end = bench.now.plus_ms(HOUR_MS);
    while bench.now < end {
        bench.now = bench.core.plan(bench.now).policy.max(bench.now);
        bench.wake();
        while bench.asking.is_some() {
            questions += 1;
            bench.policy_answer(busy(MINUTE_MS));
        }
    }
    assert!((40..=122).contains(&questions), "{questions} questions to two servers in an hour");
    assert_eq!(bench.on(AgentInput::Published(vec![usage(2)])), [upload(2, 0)]);
}

#[test]
fn a_server_that_has_none_for_an_agent_without_policy_is_not_the_last_that_is_asked() {
    let mut bench = Bench::new(settings(2), vec![], Some(START));
    assert_eq!(bench.wake(), [AgentIntent::AskPolicy(ServerNumber(0))]);
    assert_eq!(bench.policy_answer(PolicyAnswer::NoneHere), [AgentIntent::AskPolicy(ServerNumber(1))]);
    assert_eq!(bench.policy_answer(PolicyAnswer::NoneHere), []);
    let mut waits = Vec::new();
    for _ in 0..12 {
        let due = bench.core.plan(bench.now).policy;
        waits.push(due.ms_since(bench.now));
        bench.now = due;
        bench.wake();
        while bench.asking.is_some() {
            bench.policy_answer(PolicyAnswer::NoneHere);
        }
        if bench.core.is_collecting {
            bench.on(AgentInput::Published(vec![]));
        }
    }
    assert!(waits[0] <= MINUTE_MS && waits.iter().all(|wait| *wait <= 4 * HOUR_MS), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 30 * MINUTE_MS), "in migration mode it is so for weeks: {waits:?}");
    // Somebody has one; from then on "none here" is an answer, as it is in migration mode.
    bench.now = bench.core.plan(bench.now).policy;
    bench.wake();
    assert_eq!(bench.policy(true), []);
    bench.now = bench.core.plan(bench.now).policy;
    bench.wake();
    assert_eq!(bench.policy_answer(PolicyAnswer::NoneHere), []);
}

#[test]
fn a_host_that_moved_measures_and_chooses_anew() {
    let at = |address: &str| {
        let interface = crate::upload::selector::Interface::new(address.parse().unwrap(), 24);
        Arc::new(crate::upload::selector::Device { interfaces: vec![interface], ..Default::default() })
    };
    let settings = settings(1);
    let rules = Arc::new(AgentRules::new(1, &settings, vec![listed(2, "MgsPing")]));
    let mut bench = Bench::of(AgentDurable {
        rules,
        has_policy: true,
        device: at("10.1.1.7"),
        ..durable(settings, vec![usage(1)], Some(START))
    });
    let all = [0, 1].map(ServerNumber).to_vec();
    assert_eq!(bench.wake(), [AgentIntent::Measure(all.clone())]);
    assert_eq!(bench.measured(&[(0, 1), (1, 9)]), [upload(1, 0)]);
    bench.answer(Verdict::Delivered);
    assert_eq!(bench.on(AgentInput::DeviceSeen(at("10.1.1.7"))), []);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(2)])), [upload(2, 0)], "nothing has changed");
    bench.answer(Verdict::Delivered);
    assert_eq!(bench.on(AgentInput::DeviceSeen(at("10.2.2.7"))), []);
    assert_eq!(bench.on(AgentInput::Published(vec![usage(3)])), [AgentIntent::Measure(all)]);
    assert_eq!(bench.measured(&[(0, 9), (1, 1)]), [upload(3, 1)], "the near one of here");
}

#[test]
fn when_all_are_discarded_the_order_before_stays() {
    let settings = settings(1);
    let rules = Arc::new(AgentRules::new(1, &settings, vec![listed(2, "MgsPing(,true)")]));
    let mut bench =
        Bench::of(AgentDurable { rules, has_policy: true, ..durable(settings, vec![usage(1)], Some(START)) });
    bench.wake();
    assert_eq!(bench.measured(&[(0, 9), (1, 1)]), [upload(1, 1)]);
    bench.answer(Verdict::Delivered);
    bench.now = bench.now.plus_ms(2 * HOUR_MS);
    assert!(matches!(bench.on(AgentInput::Published(vec![usage(2)]))[..], [AgentIntent::Measure(_)]));
    let at = bench.now;
    let silent = |place| (ServerNumber(place), Probe { at, ping: Ping::Unreachable, addresses: vec![] });
    let intent = bench.measuring.take().unwrap();
    let sent = bench.on(AgentInput::Measured { intent, probes: vec![silent(0), silent(1)] });
    assert_eq!(sent, [upload(2, 1)], "a network that swallows pings may take packages");
}

#[test]
fn a_server_that_denied_the_identity_is_told_until_it_accepts_it() {
    let (mut bench, _) = Bench::holding(2, vec![usage(1)]);
    let denied = |bench: &Bench| -> Vec<Option<Denied>> {
        bench.core.servers().listed(bench.core.rules(), bench.now).map(|listed| listed.denied).collect()
    };
    assert_eq!(denied(&bench), [None, None]);
    bench.answer(Verdict::Unidentified);
    assert_eq!(denied(&bench), [Some(Denied::Unidentified), None]);
    bench.next();
    bench.answer(Verdict::Revoked);
    assert_eq!(denied(&bench), [Some(Denied::Revoked), None]);
    bench.next();
    bench.answer(Verdict::Delivered);
    assert_eq!(denied(&bench), [None, None]);
}

#[test]
fn an_agent_that_no_server_ever_heard_collects_at_its_start() {
    let starts = |is_heard, queued| {
        let intents = Bench::of(AgentDurable { is_heard, ..durable(settings(1), queued, Some(START)) }).wake();
        intents.contains(&AgentIntent::Collect)
    };
    assert!(starts(false, vec![]));
    assert!(starts(false, vec![usage(1)]), "usage does not tell what this host is");
    // What is queued is sent first, and a server that took one has it.
    assert!(!starts(false, vec![inventory(1)]));
    assert!(!starts(true, vec![]));
}

/// Minutes after `START` at which an agent asks for policy in its first twelve hours, when each answer leaves in force what
/// the agent has.
fn asked_after_minutes(bench: &mut Bench) -> Vec<i64> {
    let mut asked = Vec::new();
    while bench.now.ms_since(START) < 12 * HOUR_MS {
        bench.wake();
        if bench.measuring.is_some() {
            bench.measured(&[(0, 1)]);
        }
        if bench.asking.is_some() {
            asked.push(bench.now.ms_since(START) / MINUTE_MS);
            bench.policy(true);
        }
        if bench.core.is_collecting {
            bench.on(AgentInput::Published(vec![]));
        }
        bench.now = bench.core.next_due();
    }
    asked
}

/// Never asks by itself within these tests.
fn asking_never() -> Content {
    asking("TYPE=\"Daily\" TYPE_PARAM=\"1\" DATESTART=\"99991229\" TIMESTART=\"000000\"")
}

#[test]
fn while_a_policy_lists_no_server_it_is_asked_for_again_after_minutes() {
    let rules = |contents| Arc::new(AgentRules::new(1, &settings(1), contents));
    let bench =
        |rules, has_policy| Bench::of(AgentDurable { rules, has_policy, ..durable(settings(1), vec![], Some(START)) });
    let unlisted = rules(vec![asking_never()]);
    for mut bench in [bench(unlisted.clone(), false), bench(unlisted, true)] {
        let asked = asked_after_minutes(&mut bench);
        // At the start when there is no policy; then 1, 4, 16, 64 and 256 minutes apart, and up to half as much again.
        let asked = if asked[0] == 0 { asked } else { [vec![0], asked].concat() };
        let apart: Vec<i64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let least = [1, 4, 16, 64, 256];
        assert_eq!(apart.len(), least.len(), "{apart:?}");
        assert!(apart.iter().zip(least).all(|(apart, least)| (least..=least * 3 / 2 + 1).contains(apart)), "{apart:?}");
    }
    let mut listed = bench(rules(vec![listed(1, "MgsPing"), asking_never()]), true);
    assert!(asked_after_minutes(&mut listed).is_empty(), "a listed server is no reason to ask");
}

#[test]
fn a_server_of_the_policys_list_is_told_from_a_configured_one_before_the_list_is_ordered() {
    let rules = Arc::new(AgentRules::new(1, &settings(1), vec![listed(2, "MgsPing")]));
    let bench = Bench::of(AgentDurable { rules, has_policy: true, ..durable(settings(1), vec![], Some(START)) });
    let listed = bench.core.servers().listed(bench.core.rules(), START);
    let found: Vec<(bool, bool)> = listed.map(|listed| (listed.reason.is_some(), listed.is_of_policy)).collect();
    assert_eq!(found, [(false, true), (false, true), (false, false)]);
}
