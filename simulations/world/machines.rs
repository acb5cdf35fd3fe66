//! Which machines are there when, and as which agents they report.
//!
//! A machine that is installed anew reports as another agent from then on: its disk and all that was on it are gone, its
//! id and its queue among that. Agents are numbered: the first one of each machine has the machine's number, those that
//! come of reinstallations have the numbers behind them. All of it is a function of the seed, known before the run, so a
//! fleet in which nobody comes or goes keeps nothing for it.

use std::collections::HashMap;

use muster::rng::mix;
use muster::time::{DAY_MS, MINUTE_MS};

use super::event::NodeId;
use crate::scenario::{Range, Scenario};

/// How long a machine is away while it is installed anew.
const REINSTALL_MS: Range = Range([20 * MINUTE_MS, 90 * MINUTE_MS]);

/// What becomes of a machine at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It is new in the fleet.
    Joins,
    /// It is gone for good.
    Leaves,
    /// Its disk is erased: it is installed anew.
    Erased,
    /// That is done.
    Renewed,
}

/// Something that becomes of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coming {
    /// In milliseconds after the start.
    pub at_ms: i64,
    /// Which.
    pub machine: u32,
    /// What.
    pub step: Step,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Machines {
    machines: u32,
    comings: Vec<Coming>,
    /// Machines of the agents behind the first ones, in their order.
    renewed: Vec<u32>,
    /// Agents of the machines that are installed anew, after their first, ascending.
    agents: HashMap<u32, Vec<u32>>,
    /// Machines whose disk is a copy, with the one it was copied from.
    copies: HashMap<u32, u32>,
    /// Of each that was copied: its copies, ascending.
    copied: HashMap<u32, Vec<u32>>,
}

/// 64 bits that hang on the seed, on whose `number`-th act of its `life` this is, and on what is drawn.
pub fn draw(seed: u64, whose: NodeId, life: u32, number: u64, what: u64) -> u64 {
    mix(mix(seed, u64::from(whose.0)), mix(mix(u64::from(life), number), what))
}

/// The part of 1 that 64 bits stand for: 53 of them, as many as a float has.
pub fn part(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// When a machine is installed that is there from the beginning, in milliseconds after the start.
pub fn installed_ms(seed: u64, scenario: &Scenario, node: NodeId) -> i64 {
    let within = i64::from(scenario.fleet.installed_within_secs) * 1_000;
    Range([1, within.max(1)]).pick(draw(seed, node, 0, 0, 31))
}

/// When a machine joins that is not there from the beginning, in milliseconds after the start.
pub fn joins_ms(seed: u64, scenario: &Scenario, node: NodeId) -> Option<i64> {
    let rate = scenario.fleet.joins_per_day;
    let at = moment(draw(seed, node, 0, 0, 41), rate);
    at.filter(|at| *at < i64::from(scenario.days) * DAY_MS)
}

/// From when to when a machine is there, in milliseconds after the start.
pub fn stays_ms(seed: u64, scenario: &Scenario, node: NodeId) -> (i64, Option<i64>) {
    let begins = joins_ms(seed, scenario, node).unwrap_or_else(|| installed_ms(seed, scenario, node));
    let stays = moment(draw(seed, node, 0, 0, 42), scenario.fleet.leaves_per_day);
    (begins, stays.map(|after| begins + after))
}

/// The moment at which something happens that befalls a part `rate` of a fleet each day.
fn moment(bits: u64, rate: f64) -> Option<i64> {
    // Farther than any run, and still a number.
    (rate > 0.0).then(|| 1 + (part(bits) / rate * DAY_MS as f64).min(1e15) as i64)
}

impl Machines {
    /// Those of a run, whose first agent is the node `first`.
    pub fn new(seed: u64, scenario: &Scenario, first: u32) -> Machines {
        let mut machines = Machines { machines: scenario.agents, ..Machines::default() };
        let fleet = &scenario.fleet;
        machines.copy(seed, scenario, first);
        if fleet.joins_per_day + fleet.leaves_per_day + fleet.reinstalls_per_day == 0.0 {
            return machines;
        }
        let mut renewals = Vec::new();
        for machine in (0..scenario.agents).filter(|machine| scenario.is_installed(*machine)) {
            let node = NodeId(first + machine);
            machines.follow(seed, scenario, machine, node, &mut renewals);
        }
        machines.comings.sort_unstable();
        renewals.sort_unstable();
        for (_, machine) in renewals {
            let agent = machines.agents();
            machines.agents.entry(machine).or_default().push(agent);
            machines.renewed.push(machine);
        }
        machines
    }

    fn copy(&mut self, seed: u64, scenario: &Scenario, first: u32) {
        let clones = if scenario.fleet.clones > 0.0 { scenario.agents } else { 0 };
        for machine in 1..clones {
            let node = NodeId(first + machine);
            if part(draw(seed, node, 0, 0, 46)) >= scenario.fleet.clones {
                continue;
            }
            let of = Range([0, i64::from(machine) - 1]).pick(draw(seed, node, 0, 0, 47)) as u32;
            // What was copied from a copy is a copy of the first.
            let of = self.origin_of(of);
            self.copies.insert(machine, of);
            self.copied.entry(of).or_default().push(machine);
        }
    }

    fn follow(&mut self, seed: u64, scenario: &Scenario, machine: u32, node: NodeId, renewals: &mut Vec<(i64, u32)>) {
        let end_ms = i64::from(scenario.days) * DAY_MS;
        let mut come = |at_ms, step| self.comings.push(Coming { at_ms, machine, step });
        let joins = joins_ms(seed, scenario, node);
        if let Some(at) = joins {
            come(at, Step::Joins);
        }
        let (begins, leaves) = stays_ms(seed, scenario, node);
        let ends = leaves.unwrap_or(end_ms).min(end_ms);
        if leaves.is_some_and(|at| at < end_ms) {
            come(ends, Step::Leaves);
        }
        let mut since = begins;
        let rate = scenario.fleet.reinstalls_per_day;
        for day in 0..if rate > 0.0 { scenario.days } else { 0 } {
            if part(draw(seed, node, 0, u64::from(day), 43)) >= rate {
                continue;
            }
            let from = i64::from(day) * DAY_MS + Range([0, DAY_MS - 1]).pick(draw(seed, node, 0, u64::from(day), 44));
            let to = from + REINSTALL_MS.pick(draw(seed, node, 0, u64::from(day), 45));
            if from > since && to < ends {
                come(from, Step::Erased);
                come(to, Step::Renewed);
                renewals.push((from, machine));
                since = to;
            }
        }
    }

    /// What becomes of machines, in its order.
    pub fn comings(&self) -> &[Coming] {
        &self.comings
    }

    /// Agents that there ever are.
    pub fn agents(&self) -> u32 {
        self.machines + self.renewed.len() as u32
    }

    /// The agent under whose id, epoch and numbers an agent reports: another one's where a disk image was copied with them.
    pub fn origin_of(&self, agent: u32) -> u32 {
        if self.copies.is_empty() { agent } else { self.copies.get(&agent).copied().unwrap_or(agent) }
    }

    /// Whether several machines report under this agent's id.
    pub fn is_shared(&self, agent: u32) -> bool {
        !self.copies.is_empty() && (self.copies.contains_key(&agent) || self.copied.contains_key(&agent))
    }

    /// Agents that report under the id of `origin`, itself included.
    pub fn sharers(&self, origin: u32) -> impl Iterator<Item = u32> {
        std::iter::once(origin).chain(self.copied.get(&origin).into_iter().flatten().copied())
    }

    /// Machines whose disk is a copy.
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// The machine of an agent.
    pub fn machine_of(&self, agent: u32) -> u32 {
        agent.checked_sub(self.machines).map_or(agent, |place| self.renewed[place as usize])
    }

    /// The agent that a machine reports as after it was `agent`; `None` when it is not installed anew any more.
    pub fn next_agent(&self, machine: u32, agent: u32) -> Option<u32> {
        self.agents.get(&machine)?.iter().copied().find(|next| *next > agent)
    }

    /// An agent as reports call it: that of machine 17 is `17`, and `17.2` after its second reinstallation.
    pub fn name(&self, agent: u32) -> String {
        let machine = self.machine_of(agent);
        let place = self.agents.get(&machine).and_then(|agents| agents.iter().position(|known| *known == agent));
        place.map_or(machine.to_string(), |place| format!("{machine}.{}", place + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::config::Document;

    fn machines(seed: u64, lines: &str) -> Machines {
        let text = format!("[fleet]\nagents = 2000\ndays = 10\n[agents]\n{lines}");
        let scenario = Scenario::read(&Document { text: &text, file: "s" }, Default::default()).unwrap();
        Machines::new(seed, &scenario, 5)
    }

    fn count(machines: &Machines, step: Step) -> usize {
        machines.comings().iter().filter(|coming| coming.step == step).count()
    }

    #[test]
    fn machines_come_and_go_as_often_as_is_said() {
        let some = machines(1, "joins_per_day = 0.02\nleaves_per_day = 0.01\nreinstalls_per_day = 0.005");
        let near = |step, wanted: usize| {
            let met = count(&some, step);
            assert!((wanted * 3 / 4..wanted * 5 / 4).contains(&met), "{step:?}: {met}");
        };
        near(Step::Joins, 400);
        near(Step::Leaves, 190);
        near(Step::Erased, 85);
        assert_eq!(count(&some, Step::Erased), count(&some, Step::Renewed));
        assert!(some.comings().is_sorted_by_key(|coming| coming.at_ms));
        assert_eq!(some.agents() as usize, 2_000 + count(&some, Step::Erased));
        assert!(machines(1, "laptops = 0.5").comings().is_empty());
    }

    #[test]
    fn a_copied_disk_reports_under_the_id_of_the_first() {
        let some = machines(4, "clones = 0.1\nreinstalls_per_day = 0.01");
        assert!((150..250).contains(&some.copies()), "{}", some.copies());
        for (copy, of) in &some.copies {
            assert!(of < copy && some.origin_of(*of) == *of, "{copy} of {of}");
            assert!(some.is_shared(*of) && some.is_shared(*copy) && some.sharers(*of).any(|sharer| sharer == *copy));
        }
        let own = (0..some.agents()).filter(|agent| !some.is_shared(*agent));
        assert!(own.clone().all(|agent| some.origin_of(agent) == agent && some.sharers(agent).eq([agent])));
        assert!(own.count() > 1_500);
    }

    #[test]
    fn nothing_becomes_of_a_machine_before_it_is_there_or_after_it_is_gone() {
        let some = machines(2, "joins_per_day = 0.05\nleaves_per_day = 0.1\nreinstalls_per_day = 0.4");
        for machine in 0..2_000 {
            let steps: Vec<Step> =
                some.comings().iter().filter(|coming| coming.machine == machine).map(|coming| coming.step).collect();
            let middle = steps.strip_prefix(&[Step::Joins]).unwrap_or(&steps);
            let middle = middle.strip_suffix(&[Step::Leaves]).unwrap_or(middle);
            assert!(middle.chunks(2).all(|pair| pair == [Step::Erased, Step::Renewed]), "{steps:?}");
        }
    }

    #[test]
    fn each_reinstallation_makes_another_agent_of_the_machine() {
        let some = machines(3, "reinstalls_per_day = 0.4");
        let (&machine, agents) = some.agents.iter().find(|(_, agents)| agents.len() == 3).unwrap();
        assert_eq!(some.next_agent(machine, machine), Some(agents[0]));
        assert_eq!(some.next_agent(machine, agents[1]), Some(agents[2]));
        assert_eq!(some.next_agent(machine, agents[2]), None);
        assert!(agents.iter().all(|agent| some.machine_of(*agent) == machine));
        assert_eq!((some.name(agents[1]), some.name(machine)), (format!("{machine}.2"), machine.to_string()));
    }
}
