//! The driver of large fleets: all nodes in vectors, stepped from one calendar queue.

use std::sync::Arc;

use muster::time::Timestamp;

use super::wheel::{Timed, Wheel};
use crate::scenario::Scenario;
use crate::world::{Director, Event, Level, NodeId, Stage, World};

/// A node that is due, or that something reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Timestamp,
    node: NodeId,
    /// Place of the event; `WAKE` for none.
    event: u32,
}

const WAKE: u32 = u32::MAX;

impl Timed for Entry {
    fn at(&self) -> Timestamp {
        self.at
    }
}

/// See the module's head.
pub struct Calendar {
    world: World,
    director: Director,
    wheel: Wheel<Entry>,
    events: Vec<Event>,
    free: Vec<u32>,
    stepped: u64,
}

impl Calendar {
    /// A world at its start.
    pub fn new(seed: u64, scenario: Arc<Scenario>) -> Calendar {
        let stage = Stage::new(seed, scenario);
        let director = Director::new(&stage);
        let wheel = Wheel::new(stage.scenario.start);
        Calendar { world: World::new(stage), director, wheel, events: Vec::new(), free: Vec::new(), stepped: 0 }
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Timers that fired, requests and answers that arrived, effects that ended.
    pub fn events(&self) -> u64 {
        self.stepped
    }

    /// Goes on to `until`, and at the end of the scenario closes the books.
    pub fn run(&mut self, until: Timestamp, mut trace: Option<&mut dyn FnMut(&Event)>) {
        let end = until.min(self.world.stage.scenario.end());
        let mut batch: Vec<Event> = Vec::new();
        loop {
            let due = self.director.due();
            let Some(entry) = self.wheel.pop(due.min(end)) else {
                if due > end {
                    return;
                }
                let cue = self.director.act(due, &mut self.world.stage);
                self.take_posts();
                if cue.look {
                    self.world.look(due);
                }
                if cue.check {
                    self.world.check(due);
                }
                continue;
            };
            // The director acts before anything that happens at the same moment.
            if due <= entry.at {
                self.wheel.push(entry);
                let cue = self.director.act(due, &mut self.world.stage);
                self.take_posts();
                if cue.look {
                    self.world.look(due);
                }
                if cue.check {
                    self.world.check(due);
                }
                continue;
            }
            let (now, node) = (entry.at, entry.node);
            batch.clear();
            self.gather(entry, &mut batch);
            while let Some(next) = self.wheel.peek().filter(|next| (next.at, next.node) == (now, node)).copied() {
                self.wheel.pop(now);
                self.gather(next, &mut batch);
            }
            let due = self.world.due(node);
            if batch.is_empty() && due != now {
                continue;
            }
            batch.sort_unstable_by_key(Event::order);
            self.stepped += batch.len() as u64 + u64::from(due == now);
            if let Some(trace) = &mut trace {
                batch.iter().for_each(&mut **trace);
            }
            self.world.step(node, now, &batch);
            let next = self.world.due(node);
            if next != Timestamp::NEVER && (next != due || due <= now) {
                self.wheel.push(Entry { at: next, node, event: WAKE });
            }
            self.take_posts();
        }
    }

    fn gather(&mut self, entry: Entry, batch: &mut Vec<Event>) {
        if entry.event != WAKE {
            batch.push(self.events[entry.event as usize]);
            self.free.push(entry.event);
        }
    }

    fn take_posts(&mut self) {
        let mut posted = std::mem::take(&mut self.world.stage.posted);
        for event in posted.drain(..) {
            let place = match self.free.pop() {
                Some(place) => {
                    self.events[place as usize] = event;
                    place
                }
                None => {
                    self.events.push(event);
                    (self.events.len() - 1) as u32
                }
            };
            self.wheel.push(Entry { at: event.at, node: event.to, event: place });
        }
        self.world.stage.posted = posted;
    }

    /// Every level of the world, for reports.
    pub fn level(&self, node: NodeId) -> Level {
        self.world.stage.layout.level(node)
    }
}
