//! A node: a deployed core, and hands that do in virtual time what it wants.

use muster::roles::{Core, IntentNumber, Sink};
use muster::time::Timestamp;

use super::Stage;
use super::event::{Body, Event, NodeId, Reply};
use crate::scenario::FaultKind;

/// What a role's effects do here.
pub trait Hands {
    /// The role's core.
    type Core: Core;

    /// A new life from what is on its disk.
    fn recover(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> Self::Core;

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

/// Where a node is and what befalls it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its number.
    pub id: NodeId,
    /// Its lives so far.
    pub life: u32,
    is_installed: bool,
    down: u8,
    cut_requests: u8,
    cut_answers: u8,
    disk_full: u8,
    disk_slow: u8,
}

impl Place {
    /// A node that is not installed yet.
    pub fn new(id: NodeId) -> Place {
        Place { id, life: 0, is_installed: false, down: 0, cut_requests: 0, cut_answers: 0, disk_full: 0, disk_slow: 0 }
    }

    /// Whether its requests go nowhere.
    pub fn is_cut(&self) -> bool {
        self.cut_requests > 0
    }

    /// Whether it hears no answers.
    pub fn are_answers_cut(&self) -> bool {
        self.cut_answers > 0
    }

    /// Whether its disk is full.
    pub fn is_full(&self) -> bool {
        self.disk_full > 0
    }

    /// Whether its disk is slow.
    pub fn is_slow(&self) -> bool {
        self.disk_slow > 0
    }

    /// Whether its process is there.
    pub fn runs(&self) -> bool {
        self.is_installed && self.down == 0
    }

    /// Whether an event is for this life.
    pub fn is_meant(&self, event: &Event) -> bool {
        event.life == self.life || matches!(event.body, Body::Request { .. })
    }

    /// A fault or its installation befalls it; `Some(true)` when a life begins, `Some(false)` when one ends.
    pub fn befall(&mut self, body: &Body) -> Option<bool> {
        let had_run = self.runs();
        match *body {
            Body::Installed => self.is_installed = true,
            Body::Fault { kind, begins } => self.count(kind, begins),
            Body::Request { .. } | Body::Reply(_) | Body::Done => {}
        }
        self.life += u32::from(!had_run && self.runs());
        (had_run != self.runs()).then(|| self.runs())
    }

    fn count(&mut self, kind: FaultKind, begins: bool) {
        let count = match kind {
            FaultKind::Outage | FaultKind::Crash => &mut self.down,
            FaultKind::CutRequests => &mut self.cut_requests,
            FaultKind::CutAnswers => &mut self.cut_answers,
            FaultKind::DiskFull => &mut self.disk_full,
            FaultKind::DiskSlow => &mut self.disk_slow,
        };
        *count = if begins { count.saturating_add(1) } else { count.saturating_sub(1) };
    }
}

/// Nobody is there to answer a request.
pub fn refuse(now: Timestamp, event: &Event, stage: &mut Stage) {
    if matches!(event.body, Body::Request { .. }) {
        stage.record.probe("connection-refused", 1);
        stage.answer(now, event, Reply::Nothing);
    }
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
            match event.body {
                Body::Fault { .. } | Body::Installed => {
                    if self.at.befall(&event.body) == Some(true) {
                        self.next_intent = 0;
                        self.core = Some(self.hands.recover(&self.at, now, stage));
                        self.wake_if_due(now, stage);
                    } else if !self.at.runs() && self.core.take().is_some() {
                        self.hands.died(&self.at, stage);
                    }
                }
                Body::Request { .. } if self.core.is_none() => refuse(now, event, stage),
                Body::Request { .. } | Body::Reply(_) | Body::Done => {
                    if self.core.is_none() || !self.at.is_meant(event) {
                        continue;
                    }
                    for input in self.hands.receive(&self.at, now, event, stage) {
                        self.tell(now, stage, |core, out| core.on(now, input, out));
                    }
                }
            }
        }
        self.due = self.core.as_ref().map_or(Timestamp::NEVER, |core| core.next_due().max(now.plus_ms(1)));
    }

    fn wake_if_due(&mut self, now: Timestamp, stage: &mut Stage) {
        if self.core.as_ref().is_none_or(|core| core.next_due() > now) {
            return;
        }
        while let Some(input) = self.hands.before_wake(now) {
            self.tell(now, stage, |core, out| core.on(now, input, out));
        }
        self.tell(now, stage, |core, out| core.wake(now, out));
    }

    /// Tells the core something and does at once what it wants then, as the deployed actor does.
    fn tell(
        &mut self,
        now: Timestamp,
        stage: &mut Stage,
        what: impl FnOnce(&mut H::Core, &mut Taker<'_, <H::Core as Core>::Intent>),
    ) {
        let Node { at, hands, core: Some(core), next_intent, .. } = self else { return };
        let mut out = Taker { next: next_intent, taken: Vec::new() };
        what(core, &mut out);
        for (number, intent) in out.taken {
            hands.carry_out(at, now, Wanted { number, intent, core }, stage);
        }
    }
}
