//! What happens by the clock of the world and not by a node: installation, faults, looks at the spools, checks.

use std::sync::Arc;

use muster::rng::mix;
use muster::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

use super::event::{Body, NodeId};
use super::layout::Level;
use super::machines::{Coming, Step, installed_ms, joins_ms, part};
use super::record::Struck;
use super::{Scope, Stage};
use crate::scenario::{Scenario, Target, Window};

/// Spools are looked at this often.
const LOOK_MS: i64 = MINUTE_MS;
/// Sets are compared this often, and at the end.
pub const CHECK_MS: i64 = 24 * HOUR_MS;

/// Source: two questions a day by the standard schedule, and a collection a day.
const FOLLOWED_MS: i64 = 36 * HOUR_MS;

/// What the driver does at a moment of the director's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cue {
    /// Note what beacons hold.
    pub look: bool,
    /// Compare what is true with what nodes hold.
    pub check: bool,
}

/// See the module's head.
pub struct Director {
    install_due: Timestamp,
    /// Of what becomes of machines.
    next_coming: usize,
    coming_due: Timestamp,
    look_due: Timestamp,
    check_due: Timestamp,
    /// Of each fault: the next period and when it begins.
    faults: Vec<(u64, Timestamp)>,
    /// The soonest of these.
    fault_due: Timestamp,
}

impl Director {
    /// At the start of the world.
    pub fn new(stage: &Stage) -> Director {
        let start = stage.scenario.start;
        Director {
            install_due: start,
            next_coming: 0,
            coming_due: coming_due(stage, 0),
            look_due: if stage.scope == Scope::Server { Timestamp::NEVER } else { start },
            check_due: if stage.scope == Scope::All { start.plus_ms(CHECK_MS) } else { Timestamp::NEVER },
            faults: vec![(0, start); stage.scenario.faults.len()],
            fault_due: if stage.scenario.faults.is_empty() { Timestamp::NEVER } else { start },
        }
    }

    /// Its next moment.
    pub fn due(&self) -> Timestamp {
        self.fault_due.min(self.install_due).min(self.coming_due).min(self.look_due).min(self.check_due)
    }

    /// Posts what begins now.
    pub fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Cue {
        if self.install_due <= now {
            self.install(now, stage);
        }
        if self.coming_due <= now {
            self.move_machines(now, stage);
        }
        if self.fault_due <= now {
            for place in 0..self.faults.len() {
                while self.faults[place].1 <= now {
                    self.begin_period(place, stage);
                }
            }
            self.fault_due = self.faults.iter().map(|(_, due)| *due).min().unwrap_or(Timestamp::NEVER);
        }
        let mut cue = Cue::default();
        if self.look_due <= now {
            (cue.look, self.look_due) = (true, now.plus_ms(LOOK_MS));
        }
        if self.check_due <= now {
            (cue.check, self.check_due) = (true, now.plus_ms(CHECK_MS));
        }
        cue
    }

    /// Those that are installed within the hour.
    fn install(&mut self, now: Timestamp, stage: &mut Stage) {
        let scenario = stage.scenario.clone();
        if now == scenario.start {
            for node in (0..=stage.layout.beacons()).map(NodeId) {
                if stage.scope.steps(&stage.layout, node) {
                    stage.post(now, node, node, 0, 0, Body::Installed);
                }
            }
        }
        let within = i64::from(scenario.fleet.installed_within_secs) * 1_000;
        let passed = now.ms_since(scenario.start);
        for machine in stage.scope.machines(&stage.layout).filter(|machine| scenario.is_installed(*machine)) {
            let node = stage.layout.agent_node(machine);
            let at = installed_ms(stage.seed, &scenario, node);
            if (passed..passed + HOUR_MS).contains(&at) && joins_ms(stage.seed, &scenario, node).is_none() {
                stage.post(scenario.start.plus_ms(at), node, node, 0, 0, Body::Installed);
            }
        }
        self.install_due = if passed + HOUR_MS > within { Timestamp::NEVER } else { now.plus_ms(HOUR_MS) };
    }

    /// What becomes of machines within the hour.
    fn move_machines(&mut self, now: Timestamp, stage: &mut Stage) {
        let layout = stage.layout.clone();
        let passed = now.ms_since(stage.scenario.start);
        for Coming { at_ms, machine, step } in &layout.machines.comings()[self.next_coming..] {
            if *at_ms >= passed + HOUR_MS {
                break;
            }
            self.next_coming += 1;
            let (body, probe) = match step {
                Step::Joins => (Body::Installed, "machine-joined"),
                Step::Renewed => (Body::Installed, "machine-reinstalled"),
                Step::Leaves => (Body::Gone, "machine-left"),
                Step::Erased => (Body::Gone, "machine-erased"),
            };
            let node = layout.agent_node(*machine);
            if !stage.scope.steps(&layout, node) {
                continue;
            }
            stage.record.probe(probe, 1);
            stage.post(stage.scenario.start.plus_ms(*at_ms), node, node, 0, 0, body);
        }
        self.coming_due = coming_due(stage, self.next_coming);
    }

    fn begin_period(&mut self, place: usize, stage: &mut Stage) {
        let (scenario, layout) = (stage.scenario.clone(), stage.layout.clone());
        let (period, began) = self.faults[place];
        let fault = &scenario.faults[place];
        self.faults[place] = match fault.period_ms() {
            Some(every) if began.plus_ms(every) < scenario.heal => (period + 1, began.plus_ms(every)),
            _ => (period, Timestamp::NEVER),
        };
        for node in layout.targets(fault.of).map(NodeId) {
            if !stage.scope.steps(&layout, node) {
                continue;
            }
            let Some((from, to)) = window(stage, place, node, period) else { continue };
            let (kind, for_ms) = (fault.kind, to.ms_since(from));
            if !stage.scope.owns(&layout, node) {
                // Measured where it is.
            } else if layout.level(node) != Level::Agent {
                stage.record.struck(Struck { at: from, kind, node, for_ms });
            } else if !kind.kills() {
                stage.record.shade(from, for_ms);
            } else if for_ms >= DAY_MS {
                stage.record.probe("off-for-a-day", 1);
            }
            if kind.is_of_policy() && stage.scope.owns(&layout, node) {
                // Agents go by it until they have asked again and their day is over.
                stage.record.shade(to, FOLLOWED_MS);
            }
            // The number keeps two faults that begin together apart.
            let number = place as u64;
            stage.post(from, node, node, number, 0, Body::Fault { kind, begins: true });
            stage.post(to, node, node, number, 0, Body::Fault { kind, begins: false });
        }
    }
}

/// When something becomes of a machine for the `place`-th time.
fn coming_due(stage: &Stage, place: usize) -> Timestamp {
    let coming = stage.layout.machines.comings().get(place);
    coming.map_or(Timestamp::NEVER, |coming| stage.scenario.start.plus_ms(coming.at_ms))
}

/// From when to when the fault at `place` of the scenario befalls a node in a period, within the time of faults.
fn window(stage: &Stage, place: usize, node: NodeId, period: u64) -> Option<(Timestamp, Timestamp)> {
    let scenario = &stage.scenario;
    let fault = &scenario.faults[place];
    if fault.of == Target::Laptop && !is_laptop(stage, node) {
        return None;
    }
    let (from, to) = fault.window(stage.seed, place, node.0, period)?;
    let (from, to) = (scenario.start.plus_ms(from), scenario.start.plus_ms(to).min(scenario.heal));
    (from < to).then_some((from, to))
}

/// Every window of a run, at most `most` of them: those that a run of the same seed plays, one by one.
pub fn windows(seed: u64, scenario: &Arc<Scenario>, most: usize) -> Vec<Window> {
    let stage = Stage::new(seed, scenario.clone());
    let mut drawn = Vec::new();
    for (place, fault) in scenario.faults.iter().enumerate() {
        let every = fault.period_ms().unwrap_or(i64::MAX);
        let within = scenario.heal.ms_since(scenario.start);
        for period in 0..(1 + (within - 1).max(0) / every) as u64 {
            for node in stage.layout.targets(fault.of).map(NodeId) {
                if drawn.len() == most {
                    return drawn;
                }
                if let Some((from, to)) = window(&stage, place, node, period) {
                    let [from_ms, to_ms] = [from, to].map(|at| at.ms_since(scenario.start));
                    drawn.push(Window { kind: fault.kind, node: stage.layout.name(node), from_ms, to_ms });
                }
            }
        }
    }
    drawn
}

/// Whether an agent is switched off at night.
fn is_laptop(stage: &Stage, node: NodeId) -> bool {
    part(mix(stage.draw(node, 0, 0, 32), 0)) < stage.scenario.fleet.laptops
}
