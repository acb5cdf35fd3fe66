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
    fn died(&mut self, stage: &mut Stage);

    /// What the core is told before it wakes because it is due.
    fn before_wake(&mut self, now: Timestamp) -> Option<<Self::Core as Core>::Input>;

    /// Takes an event of this life, or a request, and says what the core is told of it.
    fn receive(&mut self, at: &Place, now: Timestamp, event: &Event, stage: &mut Stage) -> Vec<<Self::Core as Core>::Input>;

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

    fn befall(&mut self, kind: FaultKind, begins: bool) {
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
        let at = Place { id, life: 0, is_installed: false, down: 0, cut_requests: 0, cut_answers: 0, disk_full: 0, disk_slow: 0 };
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

    /// One millisecond of it: `events` are its own, in their order.
    pub fn step(&mut self, now: Timestamp, events: &[Event], stage: &mut Stage) {
        let mut told = events;
        while let Some((event, rest)) = told.split_first()
            && matches!(event.body, Body::Fault { .. } | Body::Installed)
        {
            self.befall(now, event, stage);
            told = rest;
        }
        if self.core.as_ref().is_some_and(|core| core.next_due() <= now) {
            if let Some(input) = self.hands.before_wake(now) {
                self.tell(now, stage, |core, out| core.on(now, input, out));
            }
            self.tell(now, stage, |core, out| core.wake(now, out));
        }
        for event in told {
            let is_request = matches!(event.body, Body::Request { .. });
            if self.core.is_none() && is_request {
                stage.record.probe("connection-refused", 1);
                stage.answer(now, event, Reply::Nothing);
            } else if self.core.is_some() && (is_request || event.life == self.at.life) {
                for input in self.hands.receive(&self.at, now, event, stage) {
                    self.tell(now, stage, |core, out| core.on(now, input, out));
                }
            }
        }
        self.due = self.core.as_ref().map_or(Timestamp::NEVER, |core| core.next_due().max(now.plus_ms(1)));
    }

    /// Tells the core something and does at once what it wants then, as the deployed actor does.
    fn tell(&mut self, now: Timestamp, stage: &mut Stage, what: impl FnOnce(&mut H::Core, &mut Taker<'_, <H::Core as Core>::Intent>)) {
        let Node { at, hands, core: Some(core), next_intent, .. } = self else { return };
        let mut out = Taker { next: next_intent, taken: Vec::new() };
        what(core, &mut out);
        for (number, intent) in out.taken {
            hands.carry_out(at, now, Wanted { number, intent, core }, stage);
        }
    }

    fn befall(&mut self, now: Timestamp, event: &Event, stage: &mut Stage) {
        let had_run = self.core.is_some();
        match event.body {
            Body::Installed => self.at.is_installed = true,
            Body::Fault { kind, begins } => self.at.befall(kind, begins),
            Body::Request { .. } | Body::Reply(_) | Body::Done => {}
        }
        let runs = self.at.is_installed && self.at.down == 0;
        if had_run && !runs {
            self.core = None;
            self.hands.died(stage);
        } else if !had_run && runs {
            self.at.life += 1;
            self.next_intent = 0;
            self.core = Some(self.hands.recover(&self.at, now, stage));
        }
    }
}
