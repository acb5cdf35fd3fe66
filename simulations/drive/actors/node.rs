//! A node of this driver: what outlives its actor, and the actor while there is one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;
use muster_actors::role::{self, FOREVER, Role};

use super::Shared;
use crate::world::{Body, Change, Event, Hands, NodeId, Place, Wanted, refuse, state_of};

/// What outlives an actor: a node's disk, and where it stands.
pub(super) struct Seat<H> {
    at: Place,
    pub(super) hands: H,
    /// What its core drew, as told at the end.
    fingerprint: Option<u64>,
}

impl<H> Seat<H> {
    fn new(id: NodeId, hands: H) -> Rc<RefCell<Seat<H>>> {
        Rc::new(RefCell::new(Seat { at: Place::new(id), hands, fingerprint: None }))
    }
}

/// The effects of a node in this driver.
pub(super) struct SimHands<H> {
    shared: Rc<Shared>,
    seat: Rc<RefCell<Seat<H>>>,
    /// Its clock has just stepped.
    is_stepping: bool,
}

impl<H: Hands + Unpin + 'static> role::Hands for SimHands<H>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    type Core = H::Core;

    fn now(&self) -> Timestamp {
        self.seat.borrow().at.local(self.shared.now())
    }

    fn sleep_max(&self, _: &H::Core) -> Duration {
        // Deployed, a core wakes each minute and so follows a clock that was set. Here it wakes at the step, and its timer,
        // which is by the clock before, is armed anew.
        if self.is_stepping { Duration::ZERO } else { FOREVER }
    }

    fn before_wake(&mut self, _: &H::Core, _: &mut Context<Role<Self>>) -> Option<<H::Core as Core>::Input> {
        let told = self.seat.borrow_mut().hands.before_wake(self.shared.now());
        // It is asked until there is nothing more, once for each wake.
        self.shared.woken.set(self.shared.woken.get() + u64::from(told.is_none()));
        told
    }

    fn carry_out(
        &mut self,
        number: IntentNumber,
        intent: <H::Core as Core>::Intent,
        core: &H::Core,
        _: &mut Context<Role<Self>>,
    ) {
        let Seat { at, hands, .. } = &mut *self.seat.borrow_mut();
        hands.carry_out(at, self.shared.now(), Wanted { number, intent, core }, &mut self.shared.stage.borrow_mut());
    }

    fn turned(&mut self, _: &H::Core) {
        self.shared.send_off();
    }
}

/// The events of one millisecond of a node.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Deliver(Vec<Event>);

impl<H: Hands + Unpin + 'static> Handler<Deliver> for Role<SimHands<H>>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, Deliver(events): Deliver, ctx: &mut Context<Self>) {
        // It wakes before it hears, whichever of the two was scheduled first.
        self.turn(ctx);
        let (shared, seat) = (self.hands().shared.clone(), self.hands().seat.clone());
        let now = shared.now();
        for event in events {
            if event.body.befalls() {
                self.befall(now, &event, ctx);
                continue;
            }
            let is_let_in = {
                let (at, stage) = (&mut seat.borrow_mut().at, &mut *shared.stage.borrow_mut());
                if !at.runs() {
                    refuse(now, &event, stage);
                }
                at.runs() && at.lets_in(now, &event, stage)
            };
            if is_let_in {
                self.receive(now, &event, ctx);
            }
        }
        shared.send_off();
        self.rest(ctx);
    }
}

/// What reaches a running node.
trait Receive: Actor {
    /// A fault begins or ends.
    fn befall(&mut self, now: Timestamp, event: &Event, ctx: &mut Self::Context);
    /// Its clock is another than before: it wakes, and its timer is armed anew.
    fn wake_anew(&mut self, ctx: &mut Self::Context);
    /// An event that its hands take.
    fn receive(&mut self, now: Timestamp, event: &Event, ctx: &mut Self::Context);
}

impl<H: Hands + Unpin + 'static> Receive for Role<SimHands<H>>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    fn befall(&mut self, now: Timestamp, event: &Event, ctx: &mut Context<Self>) {
        let (shared, seat) = (self.hands().shared.clone(), self.hands().seat.clone());
        let change = seat.borrow_mut().at.befall(event);
        match change {
            Change::Nothing | Change::Begins => {}
            Change::Ends => {
                let Seat { at, hands, .. } = &mut *seat.borrow_mut();
                hands.died(at, &mut shared.stage.borrow_mut());
                if event.body == Body::Gone {
                    hands.gone(at, &mut shared.stage.borrow_mut());
                }
                // Nothing that it wanted is done any more.
                self.stop(ctx);
                ctx.stop();
            }
            Change::ClockSteps => {
                shared.stage.borrow_mut().record.probe("woke-at-a-step-of-its-clock", 1);
                self.wake_anew(ctx);
            }
            Change::GoesOn => {
                self.wake_anew(ctx);
                let backlog = seat.borrow_mut().at.take_backlog(now, &mut shared.stage.borrow_mut());
                backlog.iter().for_each(|event| self.receive(now, event, ctx));
            }
        }
    }

    fn wake_anew(&mut self, ctx: &mut Context<Self>) {
        self.hands_mut().is_stepping = true;
        self.turn(ctx);
        self.hands_mut().is_stepping = false;
    }

    fn receive(&mut self, now: Timestamp, event: &Event, ctx: &mut Context<Self>) {
        let (shared, seat) = (self.hands().shared.clone(), self.hands().seat.clone());
        let inputs = {
            let Seat { at, hands, .. } = &mut *seat.borrow_mut();
            let stage = &mut *shared.stage.borrow_mut();
            if at.is_meant(event) { hands.receive(at, now, event, stage) } else { Vec::new() }
        };
        inputs.into_iter().for_each(|input| self.hear(input, ctx));
    }
}

/// The run is over: tell what was drawn.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Tell;

impl<H: Hands + Unpin + 'static> Handler<Tell> for Role<SimHands<H>>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, _: Tell, ctx: &mut Context<Self>) {
        let seat = self.hands().seat.clone();
        seat.borrow_mut().fingerprint = Some(self.core().fingerprint());
        self.stop(ctx);
        ctx.stop();
    }
}

/// See the module's head.
pub(super) struct Node<H: Hands + Unpin + 'static>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    pub(super) seat: Rc<RefCell<Seat<H>>>,
    actor: Option<Addr<Role<SimHands<H>>>>,
}

impl<H: Hands + Unpin + 'static> Node<H>
where
    H::Core: Unpin + 'static,
    <H::Core as Core>::Intent: Unpin + 'static,
{
    /// One that is not installed yet.
    pub(super) fn new(id: NodeId, hands: H) -> Node<H> {
        Node { seat: Seat::new(id, hands), actor: None }
    }

    /// Hands its events to the actor; while there is none, they befall the node.
    pub(super) fn deliver(&mut self, now: Timestamp, mut events: Vec<Event>, shared: &Rc<Shared>) {
        if !self.seat.borrow().at.runs() {
            self.actor = None;
            let mut told = 0;
            for event in &events {
                if self.seat.borrow().at.runs() {
                    break;
                }
                told += 1;
                let change = self.seat.borrow_mut().at.befall(event);
                if change == Change::Begins {
                    let core = {
                        let Seat { at, hands, .. } = &mut *self.seat.borrow_mut();
                        hands.recover(at, at.local(now), &mut shared.stage.borrow_mut())
                    };
                    let hands = SimHands { shared: shared.clone(), seat: self.seat.clone(), is_stepping: false };
                    self.actor = Some(Role::new(core, hands, None).start());
                } else {
                    refuse(now, event, &mut shared.stage.borrow_mut());
                }
                if event.body == Body::Gone {
                    let Seat { at, hands, .. } = &mut *self.seat.borrow_mut();
                    hands.gone(at, &mut shared.stage.borrow_mut());
                }
            }
            events.drain(..told);
        }
        if let (Some(actor), false) = (&self.actor, events.is_empty()) {
            actor.do_send(Deliver(events));
        }
    }

    /// The run is over.
    pub(super) fn tell(&self) {
        if let Some(actor) = &self.actor {
            actor.do_send(Tell);
        }
    }

    /// What the digest has of it.
    pub(super) fn state(&self) -> u64 {
        let seat = self.seat.borrow();
        state_of(seat.at.life, seat.fingerprint.filter(|_| seat.at.runs()))
    }
}
