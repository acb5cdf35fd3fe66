//! The faults of a scenario, for real processes: which befall which node or link, and when, in a time as long as a run.
//!
//! A scenario's time up to its quiet days becomes the run's length, so a window of two hours in two days lasts 0.75 s of
//! 18 s. Leaves are the child and the failover beacon, middle beacons the parent, agents the agents.

use muster::rng::mix;
use muster::time::DAY_MS;

use super::hierarchy::{LINKS, Role};
use super::plan::{NodeFault, Plan, Strike, length_ms};
use super::points::Point;
use crate::proxy::{LinkFault, LinkWindow};
use crate::scenario::{FaultKind, Scenario, Target};

/// Shorter ones would pass between two requests.
const WINDOW_MS_MIN: i64 = 300;
/// A node is paused for at least this long.
const PAUSE_MS_MIN: i64 = 1_000;
/// How long a node stays away, a clock is off, or a disk full, at most.
const LASTS_MS_MAX: i64 = 3_000;
/// Strikes of one kind other than kills, at most: each costs a run time.
const OTHERS_MAX: usize = 3;

impl Plan {
    /// The faults of `scenario`, at most `kills` kills among them; pauses last a second to `pause_ms_max`.
    pub fn of_scenario(scenario: &Scenario, seed: u64, kills: u32, pause_ms_max: i64) -> Plan {
        let mut plan = Plan { length_ms: length_ms(kills), ..Plan::default() };
        let span_ms = scenario.heal.ms_since(scenario.start).max(1);
        let scaled = |ms: i64| (i128::from(ms) * i128::from(plan.length_ms) / i128::from(span_ms)) as i64;
        let day_ms = scaled(DAY_MS);
        let (mut windows, mut strikes) = (Vec::new(), Vec::new());
        for (place, fault) in scenario.faults.iter().enumerate() {
            let (links, nodes) = (link_faults(fault.kind), node_fault(fault.kind));
            if links.is_empty() && nodes.is_none() {
                plan.not_shown.push(fault.kind.as_str());
                continue;
            }
            plan.kinds.extend(links.iter().map(|fault| fault.as_str()));
            let at_nodes = roles(fault.of).iter().filter_map(|node| Some(at_node(nodes?, *node).as_str()));
            plan.kinds.extend(at_nodes);
            plan.has_skewed_agents |= fault.kind.is_of_clock() && is_agents(fault.of);
            let periods = fault.period_ms().map_or(1, |period| span_ms.div_euclid(period).max(1) as u64);
            let shown = |number: usize| {
                let drawn = (0..periods).filter_map(move |period| fault.window(seed, place, number as u32, period));
                drawn.filter(|(from, _)| *from < span_ms).map(|(from, to)| (scaled(from), scaled(to - from)))
            };
            for (number, link) in senders(fault.of).into_iter().enumerate() {
                for (from_ms, for_ms) in shown(number) {
                    let to_ms = (from_ms + for_ms.max(WINDOW_MS_MIN)).min(plan.length_ms);
                    let share = 1.0 / links.len().max(1) as f64;
                    let window = |fault: &LinkFault| LinkWindow { link, fault: *fault, from_ms, to_ms, share };
                    windows.extend(links.iter().map(window));
                }
            }
            for (number, node) in roles(fault.of).iter().enumerate() {
                for (at_ms, for_ms) in shown(number) {
                    let Some(what) = nodes.map(|what| at_node(what, *node)) else { continue };
                    let for_ms = match what {
                        NodeFault::Pause => for_ms.clamp(PAUSE_MS_MIN, pause_ms_max),
                        NodeFault::Outage => for_ms.min(LASTS_MS_MAX),
                        _ => for_ms.clamp(WINDOW_MS_MIN, LASTS_MS_MAX),
                    };
                    strikes.push(Strike { at_ms, node: *node, what, for_ms });
                }
            }
        }
        windows.extend(of_network(scenario, plan.length_ms));
        plan.day_ms = Some(day_ms);
        plan.windows = windows;
        plan.strikes = thinned(strikes, seed, kills as usize);
        plan.kinds.extend(plan.windows.iter().map(|window| window.fault.as_str()));
        plan.kinds.extend(plan.strikes.iter().map(|strike| strike.what.as_str()));
        plan.not_shown.sort_unstable();
        plan.not_shown.dedup();
        plan
    }
}

/// What befalls requests for a scenario's kind; each of several strikes its part.
fn link_faults(kind: FaultKind) -> &'static [LinkFault] {
    match kind {
        FaultKind::CutRequests => &[LinkFault::CutRequests, LinkFault::Blackhole],
        FaultKind::CutAnswers => &[LinkFault::CutAnswers, LinkFault::DropAnswer],
        // Neighbours lose their connections one by one: the windows are staggered so.
        FaultKind::Refuse | FaultKind::Swizzle => &[LinkFault::Refuse],
        FaultKind::Reset => &[LinkFault::Reset],
        FaultKind::Truncate => &[LinkFault::Truncate, LinkFault::TruncateAnswer, LinkFault::HalfClose],
        FaultKind::Doubled => &[LinkFault::Duplicate],
        FaultKind::Reordered => &[LinkFault::LateDuplicate],
        FaultKind::Corrupted => &[LinkFault::Corrupt, LinkFault::CorruptAnswer],
        FaultKind::Latency => &[LinkFault::Delay, LinkFault::Bandwidth],
        _ => &[],
    }
}

fn node_fault(kind: FaultKind) -> Option<NodeFault> {
    match kind {
        FaultKind::Outage | FaultKind::Crash => Some(NodeFault::Outage),
        FaultKind::Pause => Some(NodeFault::Pause),
        FaultKind::ClockAhead => Some(NodeFault::ClockAhead),
        FaultKind::ClockBehind => Some(NodeFault::ClockBehind),
        FaultKind::DiskFull => Some(NodeFault::Reserve),
        _ => None,
    }
}

fn is_agents(of: Target) -> bool {
    matches!(of, Target::Agent | Target::Laptop | Target::OneAgent(_))
}

fn roles(of: Target) -> &'static [Role] {
    match of {
        Target::Server => &[Role::Server],
        Target::Middle | Target::OneMiddle(_) => &[Role::Parent],
        Target::Leaf => &[Role::Child, Role::Spare],
        Target::OneLeaf(number) if number % 2 == 0 => &[Role::Child],
        Target::OneLeaf(_) => &[Role::Spare],
        Target::Agent | Target::Laptop | Target::OneAgent(_) => &[Role::Agent],
    }
}

/// As what `what` shows at `node`: the one with a disk of its own has that filled.
fn at_node(what: NodeFault, node: Role) -> NodeFault {
    if what == NodeFault::Reserve && node == Role::Spare { NodeFault::DiskFull } else { what }
}

/// Links that lead up from these; nothing leads up from the server, so there it is those that lead to it.
fn senders(of: Target) -> Vec<usize> {
    let leads = |(_, (_, sender, receiver)): &(usize, &(&str, Option<Role>, Role))| match of {
        Target::Server => *receiver == Role::Server,
        _ if is_agents(of) => sender.is_none_or(|sender| sender == Role::Agent),
        _ => sender.is_some_and(|sender| roles(of).contains(&sender)),
    };
    LINKS.iter().enumerate().filter(leads).map(|(place, _)| place).collect()
}

/// What befalls a part of all calls.
fn of_network(scenario: &Scenario, length_ms: i64) -> Vec<LinkWindow> {
    let network = &scenario.network;
    let parts = [
        (LinkFault::Reset, network.lost_requests),
        (LinkFault::DropAnswer, network.lost_answers),
        (LinkFault::Duplicate, network.doubled),
        (LinkFault::Corrupt, network.corrupted),
    ];
    let parts = parts.into_iter().filter(|(_, share)| *share > 0.0);
    let on =
        |link| move |(fault, share): (LinkFault, f64)| LinkWindow { link, fault, from_ms: 0, to_ms: length_ms, share };
    (0..LINKS.len()).flat_map(|link| parts.clone().map(on(link))).collect()
}

/// A part of the strikes, drawn by hash; of the kills among them every second at a named point.
fn thinned(mut strikes: Vec<Strike>, seed: u64, kills: usize) -> Vec<Strike> {
    strikes.sort_by_key(|strike| (strike.at_ms, strike.node, strike.what));
    let mut order: Vec<usize> = (0..strikes.len()).collect();
    order.sort_by_key(|place| mix(seed, *place as u64));
    let mut taken = std::collections::BTreeMap::<NodeFault, usize>::new();
    let mut kept: Vec<Strike> = Vec::new();
    for place in order {
        let mut strike = strikes[place];
        let count = taken.entry(strike.what).or_default();
        let most = if strike.what.kills() { kills } else { OTHERS_MAX };
        if *count == most {
            continue;
        }
        *count += 1;
        if strike.what.kills() && count.is_multiple_of(2) {
            let comes_by = |point: &&Point| point.victims().contains(&strike.node);
            let points: Vec<&Point> = Point::ALL.iter().filter(comes_by).collect();
            strike.what = NodeFault::KillAt(*points[(*count / 2) % points.len()]);
        }
        kept.push(strike);
    }
    kept.sort_by_key(|strike| strike.at_ms);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::config::Document;
    use std::collections::BTreeSet;

    fn plan(text: &str, seed: u64) -> Plan {
        let scenario = Scenario::read(&Document { text, file: "s.toml" }, Default::default()).unwrap();
        Plan::of_scenario(&scenario, seed, 40, 4_000)
    }

    #[test]
    fn a_window_of_a_scenario_strikes_at_the_same_part_of_the_run() {
        // Two days that are not quiet become 18 s, so an hour 375 ms.
        let text = "[[fault]]\nkind = \"cut-answers\"\nof = \"leaf 0\"\nat_secs = 86_400\nfor_secs = 7_200\n";
        let plan = plan(text, 1);
        let links = LINKS.iter().enumerate().filter(|(_, link)| link.1 == Some(Role::Child)).map(|(place, _)| place);
        let wanted = links.flat_map(|link| {
            let of = |fault| LinkWindow { link, fault, from_ms: 9_000, to_ms: 9_750, share: 0.5 };
            [of(LinkFault::CutAnswers), of(LinkFault::DropAnswer)]
        });
        assert_eq!(plan.windows, wanted.collect::<Vec<_>>());
        assert!(plan.strikes.is_empty() && plan.not_shown.is_empty());
        assert_eq!((plan.length_ms, plan.day_ms), (18_000, Some(9_000)));
    }

    #[test]
    fn only_the_kinds_of_the_scenario_are_drawn_and_the_others_are_named() {
        let text = "[[fault]]\nkind = \"pause\"\nof = \"middle\"\nevery_secs = 3_600\nfor_secs = 5\n\n\
                    [[fault]]\nkind = \"disk-slow\"\nof = \"server\"\nevery_secs = 3_600\nfor_secs = 60\n";
        let plan = plan(text, 1);
        assert_eq!(plan.not_shown, ["disk-slow"]);
        let wanted = |strike: &Strike| {
            (strike.node, strike.what, strike.for_ms) == (Role::Parent, NodeFault::Pause, PAUSE_MS_MIN)
        };
        assert_eq!(plan.strikes.iter().filter(|strike| wanted(strike)).count(), OTHERS_MAX);
        assert_eq!((plan.strikes.len(), plan.windows.len()), (OTHERS_MAX, 0));
        assert_eq!(plan.kinds.into_iter().collect::<Vec<_>>(), ["pause"]);
    }

    #[test]
    fn a_kind_that_this_seed_draws_at_no_moment_is_a_probe_all_the_same() {
        let text =
            "[[fault]]\nkind = \"clock-ahead\"\nof = \"leaf\"\nevery_secs = 86_400\nfor_secs = 60\nshare = 0.0001\n";
        let plan = plan(text, 1);
        assert!(plan.strikes.is_empty());
        assert_eq!(plan.kinds.into_iter().collect::<Vec<_>>(), ["clock-ahead"]);
    }

    #[test]
    fn a_full_disk_is_a_probe_of_those_nodes_alone_that_it_befalls() {
        let text =
            |of: &str| format!("[[fault]]\nkind = \"disk-full\"\nof = \"{of}\"\nevery_secs = 3_600\nfor_secs = 60\n");
        let kinds = |of: &str| plan(&text(of), 1).kinds.into_iter().collect::<Vec<_>>();
        assert_eq!(kinds("leaf 1"), ["disk-full"]);
        assert_eq!(kinds("leaf 0"), ["disk-reserve"]);
        assert_eq!(kinds("leaf"), ["disk-full", "disk-reserve"]);
    }

    #[test]
    fn the_scenario_of_failover_draws_what_real_processes_can_show() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/simulations/failover.toml"));
        let plan = plan(&text.unwrap(), 7);
        assert_eq!(plan.strikes.iter().filter(|strike| strike.what.kills()).count(), 40);
        let links: BTreeSet<LinkFault> = plan.windows.iter().map(|window| window.fault).collect();
        assert_eq!(links.len(), LinkFault::ALL.len());
        let wanted = [
            "disk-slow",
            "list-empty",
            "list-stale",
            "loader-fails",
            "no-names",
            "parents-moved",
            "policy-herd",
            "rejects",
        ];
        assert_eq!(plan.not_shown, wanted);
        assert!(plan.windows.iter().all(|window| window.from_ms < window.to_ms && window.to_ms <= plan.length_ms));
    }
}
