//! What goes wrong in a run, and when: drawn from the seed, of every kind there is, or of those of a scenario.

use std::collections::BTreeSet;

use muster::rng::RngStream;

use super::hierarchy::{LINKS, Role};
use super::points::Point;
use crate::proxy::{LinkFault, LinkWindow};

/// What befalls a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeFault {
    /// SIGKILL at a random moment; it is started again at once or a moment later.
    Kill,
    /// SIGKILL at a named point.
    KillAt(Point),
    /// SIGKILL, and it stays away.
    Outage,
    /// SIGSTOP, then SIGCONT.
    Pause,
    /// It runs with a disk reserve that no disk has: it must answer 507.
    Reserve,
    /// Its disk is filled to the last byte.
    DiskFull,
    /// Its clock steps a day ahead, and back.
    ClockAhead,
    /// Its clock steps a day back, and forth.
    ClockBehind,
}

impl NodeFault {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = NodeFault> {
        use NodeFault::{ClockAhead, ClockBehind, DiskFull, Kill, KillAt, Outage, Pause, Reserve};
        let others = [Kill, Outage, Pause, Reserve, DiskFull, ClockAhead, ClockBehind];
        others.into_iter().chain(Point::ALL.map(KillAt))
    }

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeFault::Kill => "kill",
            NodeFault::KillAt(point) => point.as_str(),
            NodeFault::Outage => "outage",
            NodeFault::Pause => "pause",
            NodeFault::Reserve => "disk-reserve",
            NodeFault::DiskFull => "disk-full",
            NodeFault::ClockAhead => "clock-ahead",
            NodeFault::ClockBehind => "clock-behind",
        }
    }

    /// Which faults of one node it would undo, or they it: those of its own lane.
    pub fn lane(self) -> Lane {
        match self {
            NodeFault::Kill | NodeFault::KillAt(_) | NodeFault::Outage | NodeFault::Pause | NodeFault::Reserve => {
                Lane::Process
            }
            NodeFault::DiskFull => Lane::Disk,
            NodeFault::ClockAhead | NodeFault::ClockBehind => Lane::Clock,
        }
    }

    /// Whether it ends a life.
    pub fn kills(self) -> bool {
        matches!(self, NodeFault::Kill | NodeFault::KillAt(_) | NodeFault::Outage)
    }
}

/// What of a node a fault takes for itself while it lasts. A process may well be killed while its clock is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Whether it runs, and with what.
    Process,
    /// Its disk.
    Disk,
    /// Its clock.
    Clock,
}

/// A fault of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When, in milliseconds after the faults' start.
    pub at_ms: i64,
    /// Whom.
    pub node: Role,
    /// What.
    pub what: NodeFault,
    /// How long.
    pub for_ms: i64,
}

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How long things go wrong, in milliseconds.
    pub length_ms: i64,
    /// As what a day of the scenario passes, in milliseconds, when there is one.
    pub day_ms: Option<i64>,
    /// What befalls links.
    pub windows: Vec<LinkWindow>,
    /// What befalls nodes, in order of time.
    pub strikes: Vec<Strike>,
    /// Agents state times that are a day off now and then.
    pub has_skewed_agents: bool,
    /// Names of all that may strike. A scenario may draw some of them at no moment of this seed.
    pub kinds: BTreeSet<&'static str>,
    /// Kinds of a scenario that real processes cannot show.
    pub not_shown: Vec<&'static str>,
}

/// Mean time from kill to kill, in milliseconds.
const KILL_EVERY_MS: i64 = 450;
/// Shortest time in which things go wrong, so that each link sees most kinds.
const LENGTH_MS_MIN: i64 = 10_000;
/// Windows of links, in milliseconds: how long, and the calm after one.
const WINDOW_MS: [i64; 2] = [400, 1_600];
const CALM_MS: [i64; 2] = [0, 600];
/// Part of the requests that a window strikes, so that something passes beside it.
const SHARE: f64 = 0.6;
/// A node that was killed stays away for less than this, so that one that is struck again soon is killed while it starts.
const AWAY_MS: i64 = 100;
/// How long faults last that come and go, in milliseconds.
const LASTS_MS: [i64; 2] = [1_000, 3_000];

/// How long things go wrong when so many nodes are killed.
pub fn length_ms(kills: u32) -> i64 {
    (i64::from(kills) * KILL_EVERY_MS).max(LENGTH_MS_MIN)
}

impl Plan {
    /// Every kind, with this many kills; pauses last a second to `pause_ms_max`.
    pub fn of_everything(seed: u64, kills: u32, pause_ms_max: i64) -> Plan {
        let length_ms = length_ms(kills);
        let mut rng = RngStream::new(seed, 0, 0);
        let mut windows = Vec::new();
        for link in 0..LINKS.len() {
            let mut deck = Vec::new();
            let mut at = between(&mut rng, CALM_MS);
            while at < length_ms {
                if deck.is_empty() {
                    deck = shuffled(LinkFault::ALL.to_vec(), &mut rng);
                }
                let fault = deck.pop().expect("not empty");
                let to = (at + between(&mut rng, WINDOW_MS)).min(length_ms);
                windows.push(LinkWindow { link, fault, from_ms: at, to_ms: to, share: SHARE });
                at = to + between(&mut rng, CALM_MS);
            }
        }
        let mut what: Vec<NodeFault> = Point::ALL.map(NodeFault::KillAt).to_vec();
        what.truncate(kills as usize);
        while what.len() < kills as usize {
            what.push(match rng.below(4) {
                0 => NodeFault::KillAt(Point::ALL[rng.below(Point::ALL.len() as i64) as usize]),
                _ => NodeFault::Kill,
            });
        }
        let mut strikes = Vec::new();
        for (turn, what) in shuffled(what, &mut rng).into_iter().enumerate() {
            let at_ms = (turn as i64 * length_ms + rng.below(length_ms)) / i64::from(kills.max(1));
            strikes.push(Strike { at_ms, node: victim(what, &mut rng), what, for_ms: rng.below(AWAY_MS) });
        }
        let once = [
            NodeFault::Outage,
            NodeFault::Pause,
            NodeFault::Reserve,
            NodeFault::DiskFull,
            NodeFault::ClockAhead,
            NodeFault::ClockBehind,
        ];
        for _ in 0..(kills / 25).max(1) {
            for what in once {
                let longest = if what == NodeFault::Pause { pause_ms_max } else { LASTS_MS[1] };
                let for_ms = between(&mut rng, [LASTS_MS[0], longest]);
                let at_ms = rng.below((length_ms - for_ms).max(1));
                strikes.push(Strike { at_ms, node: victim(what, &mut rng), what, for_ms });
            }
        }
        strikes.sort_by_key(|strike| strike.at_ms);
        let kinds = LinkFault::ALL.into_iter().map(LinkFault::as_str).chain(NodeFault::all().map(NodeFault::as_str));
        Plan { length_ms, windows, strikes, has_skewed_agents: true, kinds: kinds.collect(), ..Plan::default() }
    }
}

/// Whom a fault can befall, one of them.
fn victim(what: NodeFault, rng: &mut RngStream) -> Role {
    let of = |roles: &[Role], rng: &mut RngStream| roles[rng.below(roles.len() as i64) as usize];
    match what {
        NodeFault::KillAt(point) => of(point.victims(), rng),
        NodeFault::Reserve => of(&Role::RECEIVERS, rng),
        // The only one with a disk of its own.
        NodeFault::DiskFull => Role::Spare,
        _ => of(&Role::ALL, rng),
    }
}

fn between(rng: &mut RngStream, [low, high]: [i64; 2]) -> i64 {
    low + rng.below(high - low + 1)
}

fn shuffled<T>(mut list: Vec<T>, rng: &mut RngStream) -> Vec<T> {
    for place in (1..list.len()).rev() {
        list.swap(place, rng.below(place as i64 + 1) as usize);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_draws_every_kind_and_the_kills_it_was_told() {
        for seed in 0..50 {
            let plan = Plan::of_everything(seed, 40, 4_000);
            assert_eq!(plan.strikes.iter().filter(|strike| strike.what.kills()).count(), 41);
            let drawn: BTreeSet<&str> = plan.strikes.iter().map(|strike| strike.what.as_str()).collect();
            assert_eq!(drawn, NodeFault::all().map(NodeFault::as_str).collect());
            let links: BTreeSet<LinkFault> = plan.windows.iter().map(|window| window.fault).collect();
            assert_eq!(links.len(), LinkFault::ALL.len());
            assert!(plan.strikes.is_sorted_by_key(|strike| strike.at_ms));
            assert!(plan.strikes.iter().all(|strike| strike.at_ms < plan.length_ms));
            let paused = plan.strikes.iter().filter(|strike| strike.what == NodeFault::Pause);
            assert!(paused.map(|strike| strike.for_ms).all(|ms| (1_000..=4_000).contains(&ms)));
        }
    }

    #[test]
    fn a_seed_draws_the_same_again_and_windows_of_a_link_do_not_overlap() {
        let plan = Plan::of_everything(3, 40, 4_000);
        let again = Plan::of_everything(3, 40, 4_000);
        assert_eq!((&plan.strikes, &plan.windows), (&again.strikes, &again.windows));
        assert_ne!(plan.strikes, Plan::of_everything(4, 40, 4_000).strikes);
        for link in 0..LINKS.len() {
            let of: Vec<&LinkWindow> = plan.windows.iter().filter(|window| window.link == link).collect();
            assert!(of.is_sorted_by(|one, next| one.to_ms <= next.from_ms), "{of:?}");
            assert!(of.len() > 8);
        }
    }

    #[test]
    fn few_kills_are_as_few_as_they_were_told() {
        let plan = Plan::of_everything(1, 2, 1_000);
        assert_eq!(plan.strikes.iter().filter(|strike| strike.what.kills()).count(), 3);
    }
}
