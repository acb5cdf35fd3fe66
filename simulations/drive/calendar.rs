//! The driver of large fleets: all nodes in vectors, stepped from one calendar queue.

use std::hint::black_box;
use std::sync::Arc;

use muster::time::Timestamp;

use super::Closed;
use super::wheel::{Queue, Timed, Wheel};
use crate::scenario::Scenario;
use crate::world::{Body, Director, Event, NodeId, Nodes, Scope, Stage, World, digest, waiting};

/// A node that is due, or that something reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
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

/// What a watcher is shown.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'e> {
    /// Something reaches a node.
    Event(&'e Event),
    /// An invariant is broken, now or before, and one is now.
    Broken {
        /// When.
        at: Timestamp,
        /// By whom; nobody for a comparison of sets.
        node: Option<NodeId>,
        /// Which.
        id: &'static str,
        /// Its first violation.
        first: &'e str,
    },
}

type Watch<'w> = &'w mut dyn FnMut(Seen<'_>);

/// See the module's head.
pub struct Calendar<Q = Wheel<Entry>> {
    world: World,
    director: Director,
    queue: Q,
    events: Vec<Event>,
    free: Vec<u32>,
    /// Of each node, when it is in the queue to wake: the two soonest times, `NEVER` for none. A node whose due time comes
    /// nearer and goes back again is then not put in once more.
    wakes: Vec<[Timestamp; 2]>,
    stepped: u64,
    /// What a region asked the server that stands apart from it.
    outbox: Vec<Event>,
}

impl<Q: Queue<Entry>> Calendar<Q> {
    /// A world at its start.
    pub fn new(seed: u64, scenario: Arc<Scenario>) -> Calendar<Q> {
        Calendar::of(Stage::new(seed, scenario))
    }

    /// The stage's part of a world, at its start.
    pub fn of(stage: Stage) -> Calendar<Q> {
        let director = Director::new(&stage);
        let queue = Q::empty(stage.scenario.start, stage.scope.agents(&stage.layout).len() as u32);
        let (world, events, free, outbox) = (World::new(stage), Vec::new(), Vec::new(), Vec::new());
        let wakes = vec![[Timestamp::NEVER; 2]; world.count()];
        Calendar { world, director, queue, events, free, wakes, stepped: 0, outbox }
    }

    /// The stage, and the nodes as those see them who check.
    pub fn parts(&mut self) -> (&mut Stage, &Nodes) {
        self.world.parts()
    }

    /// What was asked of a server that stands apart since this was asked last; all of it is yet to arrive there.
    pub fn take_outbox(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.outbox)
    }

    /// Events that come from other parts of the world, none of them past.
    pub fn deliver(&mut self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|event| self.put(event));
    }

    /// Goes on to `until`, at most to the end of the scenario.
    pub fn run(&mut self, until: Timestamp, mut watch: Option<Watch<'_>>) {
        let end = until.min(self.world.stage.scenario.end());
        let mut batch: Vec<Event> = Vec::new();
        loop {
            let due = self.director.due();
            // All of them are looked at first, so that their memory is on its way while the first ones are stepped.
            let touch = |entry: &Entry| {
                black_box(self.world.touch(entry.node));
            };
            let Some(entry) = self.queue.take(due.min(end), touch) else {
                if due > end {
                    return;
                }
                self.direct(due, &mut watch);
                continue;
            };
            // The director acts before anything that happens at the same moment.
            if due <= entry.at {
                self.queue.put(entry);
                self.direct(due, &mut watch);
                continue;
            }
            let (now, node) = (entry.at, entry.node);
            batch.clear();
            self.gather(entry, &mut batch);
            while let Some(next) = self.queue.near().filter(|next| (next.at, next.node) == (now, node)).copied() {
                self.queue.take(now, |_| ());
                self.gather(next, &mut batch);
            }
            let due = self.world.due(node);
            if batch.is_empty() && due != now {
                self.plan(node, due);
                continue;
            }
            batch.sort_unstable_by_key(Event::order);
            // What a server does is counted where it stands.
            if node != NodeId::SERVER || !matches!(self.world.stage.scope, Scope::Region { .. }) {
                self.stepped += batch.len() as u64 + u64::from(due == now);
            }
            let before = watch.as_ref().map(|_| self.world.stage.book.checks.violations());
            if let Some(watch) = &mut watch {
                batch.iter().for_each(|event| watch(Seen::Event(event)));
            }
            self.world.step(node, now, &batch);
            self.show_broken(before, now, Some(node), &mut watch);
            self.plan(node, self.world.due(node));
            self.take_posts();
        }
    }

    fn direct(&mut self, now: Timestamp, watch: &mut Option<Watch<'_>>) {
        let before = watch.as_ref().map(|_| self.world.stage.book.checks.violations());
        let cue = self.director.act(now, &mut self.world.stage);
        self.take_posts();
        let (stage, nodes) = self.world.parts();
        if cue.look {
            stage.look(now, nodes);
        }
        if cue.check {
            stage.check(now, nodes);
        }
        self.show_broken(before, now, None, watch);
    }

    /// Shows what is broken when something more is than `before`.
    fn show_broken(&self, before: Option<u64>, at: Timestamp, node: Option<NodeId>, watch: &mut Option<Watch<'_>>) {
        let checks = &self.world.stage.book.checks;
        if let (Some(watch), Some(before)) = (watch, before)
            && checks.violations() > before
        {
            checks.broken().for_each(|(id, first)| watch(Seen::Broken { at, node, id, first }));
        }
    }

    fn gather(&mut self, entry: Entry, batch: &mut Vec<Event>) {
        if entry.event != WAKE {
            batch.push(self.events[entry.event as usize]);
            self.free.push(entry.event);
            return;
        }
        let [first, second] = &mut self.wakes[self.world.number(entry.node)];
        if entry.at == *first {
            (*first, *second) = (*second, Timestamp::NEVER);
        } else if entry.at == *second {
            *second = Timestamp::NEVER;
        }
    }

    /// Sees to it that the node is looked at when it is due, or sooner.
    fn plan(&mut self, node: NodeId, due: Timestamp) {
        let [first, second] = &mut self.wakes[self.world.number(node)];
        if due < *first {
            (*first, *second) = (due, *first);
            self.queue.put(Entry { at: due, node, event: WAKE });
        }
    }

    fn take_posts(&mut self) {
        let mut posted = std::mem::take(&mut self.world.stage.posted);
        for event in posted.drain(..) {
            let is_request = matches!(event.body, Body::Request { .. });
            match self.world.stage.scope {
                // Its callers have heard already, of its front.
                Scope::Server if event.to != NodeId::SERVER => continue,
                Scope::Region { .. } if event.to == NodeId::SERVER && is_request => self.outbox.push(event),
                _ => {}
            }
            self.put(event);
        }
        self.world.stage.posted = posted;
    }

    fn put(&mut self, event: Event) {
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
        self.queue.put(Entry { at: event.at, node: event.to, event: place });
    }

    /// The end of the scenario: the last comparison, and the stage with all that was found.
    pub fn close(mut self) -> Closed {
        let (stage, nodes) = self.world.parts();
        let end = stage.scenario.end();
        stage.close(end, nodes);
        let (digest, waiting) = (digest(stage.record.digest, nodes), waiting(nodes));
        Closed { stage: self.world.stage, digest, waiting, events: self.stepped }
    }

    /// Its stage, and how much was stepped.
    pub fn into_stage(self) -> (Stage, u64) {
        (self.world.stage, self.stepped)
    }
}
