//! The driver of fleets whose hierarchy falls apart below the server: each region is a calendar of its own, and the server
//! is another that follows.
//!
//! ```text
//! region 1   |-- 20 min --|-- 20 min --|         what it asks the server is answered by its front, and kept
//! region 2   |-- 20 min --|-- 20 min --|
//! server                  |-- 20 min --|--      hears all of it, in the order of a single world
//! ```
//!
//! Two reasons: regions are stepped on all cores, and one at a time is small enough for a cache, where a million agents are
//! not. It is the same run: digest, sums and findings are those of one calendar.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use muster::rng::mix;
use muster::time::{MINUTE_MS, Timestamp};

use super::Closed;
use super::calendar::Calendar;
use crate::scenario::Scenario;
use crate::world::{Beside, CHECK_MS, Layout, NodeId, Scope, Stage, Told, add_spools, waiting};

/// Regions go on for so long before the server follows: what they ask it meanwhile is kept.
const TURN_MS: i64 = 20 * MINUTE_MS;

/// See the module's head.
pub struct Regions {
    scenario: Arc<Scenario>,
    server: Calendar,
    /// By their agents.
    regions: Vec<Region>,
    /// Regions have done all before this, the server all before `followed`.
    at: Timestamp,
    followed: Timestamp,
}

struct Region {
    calendar: Calendar,
    agents: std::ops::Range<u32>,
    /// What the server told of its packages, not yet heard.
    told: Vec<Told>,
}

impl Region {
    /// What the server told is of the past, so it is heard first.
    fn hear(&mut self) {
        let (stage, _) = self.calendar.parts();
        self.told.drain(..).for_each(|told| stage.book.hear(told));
    }
}

impl Regions {
    /// A world at its start; `None` when its hierarchy does not fall apart, when its server keeps logs (what that answers
    /// hangs on what it did before), or when machines report as other agents.
    pub fn new(seed: u64, scenario: &Arc<Scenario>) -> Option<Regions> {
        if scenario.is_full {
            return None;
        }
        let layout = Arc::new(Layout::new(seed, scenario));
        if layout.machines.agents() != layout.agents() || layout.machines.copies() > 0 {
            return None;
        }
        let parts = layout.regions();
        if parts.len() < 2 {
            return None;
        }
        let stage = |scope| Stage::of_part(seed, scenario.clone(), layout.clone(), scope);
        let region = |(beacons, agents): (Vec<NodeId>, std::ops::Range<u32>)| Region {
            calendar: Calendar::of(stage(Scope::Region { beacons, agents: agents.clone() })),
            agents,
            told: Vec::new(),
        };
        let mut regions: Vec<Region> = parts.into_iter().map(region).collect();
        regions.sort_by_key(|region| region.agents.start);
        let (server, start) = (Calendar::of(stage(Scope::Server)), scenario.start);
        Some(Regions { scenario: scenario.clone(), server, regions, at: start, followed: start })
    }

    /// Goes on by a turn; the moment that it reached.
    pub fn turn(&mut self) -> Timestamp {
        let Regions { scenario, server, regions, at, followed } = self;
        let day = scenario.start.plus_ms((at.ms_since(scenario.start) / CHECK_MS + 1) * CHECK_MS);
        let end = scenario.end();
        let next = at.plus_ms(TURN_MS).min(day).min(end);
        // The last moment is of the last turn, others of the turn that they begin.
        let last = |until: Timestamp| if until == end { end } else { until.plus_ms(-1) };
        let tasks = Mutex::new(regions.iter_mut());
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let work = || {
                loop {
                    // A thread that panics ends the scope, and with it the run.
                    let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(region) = task else { return };
                    region.hear();
                    region.calendar.run(last(next), None);
                }
            };
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            if *followed < *at {
                server.run(last(*at), None);
            }
            work();
        });
        (*followed, *at) = (*at, next);
        self.pass_on();
        if next == day || next == end {
            self.follow();
            self.check(next);
        }
        next
    }

    /// What regions asked goes to the server, and what it told of their packages to them.
    fn pass_on(&mut self) {
        let mut spool = std::mem::take(&mut self.server.parts().0.record.spool);
        let from = spool.len();
        for region in &mut self.regions {
            self.server.deliver(region.calendar.take_outbox());
            // A look a minute in each of many regions would be more than all that they hold.
            add_spools(&mut spool, from, region.calendar.parts().0.record.spool.drain(..));
        }
        self.server.parts().0.record.spool = spool;
        for told in self.server.parts().0.book.take_told() {
            let place = self.regions.partition_point(|region| region.agents.end <= told.agent());
            if let Some(region) = self.regions.get_mut(place) {
                region.told.push(told);
            }
        }
    }

    /// The server catches up with the regions.
    fn follow(&mut self) {
        let end = self.scenario.end();
        self.server.run(if self.at == end { end } else { self.at.plus_ms(-1) }, None);
        self.followed = self.at;
        self.pass_on();
        self.regions.iter_mut().for_each(Region::hear);
    }

    fn check(&mut self, now: Timestamp) {
        let (_, server) = self.server.parts();
        for region in &mut self.regions {
            let (stage, region) = region.calendar.parts();
            stage.check(now, &Beside { region, server });
        }
    }

    /// The end of the scenario, as [`Calendar::close`].
    pub fn close(mut self) -> Closed {
        let end = self.scenario.end();
        while self.at < end {
            self.turn();
        }
        let (server_stage, server) = self.server.parts();
        let mut digest = server_stage.record.digest;
        let (mut beacons, mut held) = (Vec::new(), (0, 0));
        let (server_state, _) = server.beacon_states();
        for region in &mut self.regions {
            let (stage, region) = region.calendar.parts();
            stage.check_ends(end, &Beside { region, server });
            beacons.extend(region.beacon_states().1);
            let (queued, in_spools) = waiting(region);
            held = (held.0 + queued, held.1 + in_spools);
        }
        beacons.sort_unstable();
        let states = server_state.into_iter().chain(beacons.into_iter().map(|(_, state)| state));
        digest = states.fold(digest, mix);
        for region in &mut self.regions {
            region.calendar.parts().1.each_agent_state(&mut |state| digest = mix(digest, state));
        }
        let (mut stage, mut events) = self.server.into_stage();
        for region in self.regions {
            let (part, stepped) = region.calendar.into_stage();
            stage.add(part);
            events += stepped;
        }
        stage.check_whole();
        Closed { stage, digest, waiting: held, events }
    }
}
