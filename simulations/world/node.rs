//! A node: a deployed core, and hands that do in virtual time what it wants.

use muster::roles::{Core, IntentNumber, Sink};
use muster::time::Timestamp;

use super::Stage;
use super::event::{Body, Event, NodeId};
use super::place::{Change, Place, refuse};

/// What a role's effects do here.
pub trait Hands {
    /// The role's core.
    type Core: Core;

    /// A new life from what is on its disk, at a time of its own clock.
    fn recover(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> Self::Core;

    /// Its disk is gone for good, whether it ran or not; what it had and nobody else has is lost with it.
    fn gone(&mut self, _: &Place, _: &mut Stage) {}

    /// Its process is gone; what was not synced is lost.
    fn died(&mut self, at: &Place, stage: &mut Stage);

    /// What the core is told before it wakes because it is due.
    fn before_wake(&mut self, now: Timestamp) -> Option<<Self::Core as Core>::Input>;

    /// Takes an event of this life, or a request, and says what the core is told of it.
    fn receive(
        &mut self,
        at: &Place,
        now: Timestamp,
        event: &Event,
        stage: &mut Stage,
    ) -> Vec<<Self::Core as Core>::Input>;

    /// Does what the core wants.
    fn carry_out(&mut self, at: &Place, now: Timestamp, wanted: Wanted<'_, Self::Core>, stage: &mut Stage);
}

/// An intent, and the core that has it.
pub struct Wanted<'c, C: Core> {
    /// Its number.
    pub number: IntentNumber,
    /// What.
    pub intent: C::Intent,
    /// Whose.
    pub core: &'c C,
}

/// See the module's head.
pub struct Node<H: Hands> {
    at: Place,
    hands: H,
    core: Option<H::Core>,
    /// Of this life.
    next_intent: u32,
    due: Timestamp,
}

struct Taker<'n, I> {
    next: &'n mut u32,
    taken: Vec<(IntentNumber, I)>,
}

impl<I> Sink<I> for Taker<'_, I> {
    fn intend(&mut self, intent: I) -> IntentNumber {
        let number = IntentNumber(u64::from(*self.next));
        *self.next += 1;
        self.taken.push((number, intent));
        number
    }
}

impl<H: Hands> Node<H> {
    /// A node that is not there yet: it begins with `Body::Installed`.
    pub fn new(id: NodeId, hands: H) -> Node<H> {
        let at = Place::new(id);
        Node { at, hands, core: None, next_intent: 0, due: Timestamp::NEVER }
    }

    /// When it wants to be stepped although nothing reaches it; `NEVER` for not.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// What its effects hold.
    pub fn hands(&self) -> &H {
        &self.hands
    }

    /// Its core, while it runs.
    pub fn core(&self) -> Option<&H::Core> {
        self.core.as_ref()
    }

    /// Lives so far.
    pub fn life(&self) -> u32 {
        self.at.life
    }

    /// One millisecond of it: `events` are its own, in their order. It wakes first when it is due, and again when it has
    /// begun a life.
    pub fn step(&mut self, now: Timestamp, events: &[Event], stage: &mut Stage) {
        self.wake_if_due(now, stage);
        for event in events {
            if event.body.befalls() {
                self.befall(now, event, stage);
            } else if !self.at.runs() {
                refuse(now, event, stage);
            } else if self.at.lets_in(now, event, stage) {
                self.receive(now, event, stage);
            }
        }
        let soonest = self.at.local(now).plus_ms(1);
        let due = self.core.as_ref().filter(|_| !self.at.is_paused()).map(|core| core.next_due().max(soonest));
        self.due = self.at.world(due.unwrap_or(Timestamp::NEVER));
    }

    fn befall(&mut self, now: Timestamp, event: &Event, stage: &mut Stage) {
        match self.at.befall(event) {
            Change::Nothing => {}
            Change::Begins => {
                self.next_intent = 0;
                self.core = Some(self.hands.recover(&self.at, self.at.local(now), stage));
                self.wake_if_due(now, stage);
            }
            Change::Ends => {
                self.core = None;
                self.hands.died(&self.at, stage);
            }
            Change::ClockSteps => {
                stage.record.probe("woke-at-a-step-of-its-clock", 1);
                self.wake(now, stage);
            }
            Change::GoesOn => {
                self.wake(now, stage);
                for event in self.at.take_backlog(now, stage) {
                    self.receive(now, &event, stage);
                }
            }
        }
        if event.body == Body::Gone {
            self.hands.gone(&self.at, stage);
        }
    }

    fn receive(&mut self, now: Timestamp, event: &Event, stage: &mut Stage) {
        if self.core.is_none() || !self.at.is_meant(event) {
            return;
        }
        for input in self.hands.receive(&self.at, now, event, stage) {
            self.tell(now, stage, |core, local, out| core.on(local, input, out));
        }
    }

    fn wake_if_due(&mut self, now: Timestamp, stage: &mut Stage) {
        let local = self.at.local(now);
        if !self.at.is_paused() && self.core.as_ref().is_some_and(|core| core.next_due() <= local) {
            self.wake(now, stage);
        }
    }

    fn wake(&mut self, now: Timestamp, stage: &mut Stage) {
        while let Some(input) = self.hands.before_wake(now) {
            self.tell(now, stage, |core, local, out| core.on(local, input, out));
        }
        self.tell(now, stage, |core, local, out| core.wake(local, out));
    }

    /// Tells the core something at the time of its own clock, and does at once what it wants then, as the deployed actor
    /// does.
    fn tell(
        &mut self,
        now: Timestamp,
        stage: &mut Stage,
        what: impl FnOnce(&mut H::Core, Timestamp, &mut Taker<'_, <H::Core as Core>::Intent>),
    ) {
        let Node { at, hands, core: Some(core), next_intent, .. } = self else { return };
        let mut out = Taker { next: next_intent, taken: Vec::new() };
        what(core, at.local(now), &mut out);
        for (number, intent) in out.taken {
            hands.carry_out(at, now, Wanted { number, intent, core }, stage);
        }
    }
}
