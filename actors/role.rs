//! The one frame of every role's actor: a core, one timer for what it wants next, and the hands that do what it wants.
//!
//! A role brings its [`Hands`]: its clock and its effects. Deployed those are disks and sockets, in a simulation a drawn
//! delay; the frame is the same, and a million of them live in one process.
//!
//! *Order*: an input is heard, what the core wants then is done, and the core wakes when that made it due. Otherwise it
//! wakes by the timer, at the soonest a millisecond after it was woken last. A deployed clock can step: there the timer
//! is never armed for longer than [`SLEEP_MAX`], and the core wakes each time although nothing is due, because then it
//! follows a clock that was set back. Where a clock never steps, [`Hands::sleep_max`] is [`FOREVER`], and nothing wakes
//! a core that is not due.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, SpawnHandle};
use muster::roles::{Core, IntentNumber, Intents};
use muster::time::Timestamp;

use crate::supervision::DeathWatch;

/// The longest sleep by a clock that can step and on a machine that can sleep.
pub const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The longest sleep by a clock that never steps, and of a role for which there is nothing to do.
pub const FOREVER: Duration = Duration::MAX;

type Input<H> = <<H as Hands>::Core as Core>::Input;
type Intent<H> = <<H as Hands>::Core as Core>::Intent;

/// What one role's core needs of the world, and how it is done there.
pub trait Hands: Sized + Unpin + 'static {
    /// Who decides.
    type Core: Core<Intent: Unpin + 'static> + Unpin + 'static;

    /// The present.
    fn now(&self) -> Timestamp;

    /// The timer is never armed for longer: [`SLEEP_MAX`] or [`FOREVER`], see the module's head.
    fn sleep_max(&self, core: &Self::Core) -> Duration;

    /// The actor begins.
    fn started(role: &mut Role<Self>, ctx: &mut Context<Role<Self>>) {
        role.turn(ctx);
    }

    /// What the core has to hear before it wakes; asked until there is nothing more.
    fn before_wake(&mut self, core: &Self::Core, ctx: &mut Context<Role<Self>>) -> Option<Input<Self>>;

    /// Does what `core` wants, or begins it: what comes of it is told by [`when_done`].
    fn carry_out(
        &mut self,
        number: IntentNumber,
        intent: Intent<Self>,
        core: &Self::Core,
        ctx: &mut Context<Role<Self>>,
    );

    /// Something may have changed: for those who watch from outside.
    fn turned(&mut self, _core: &Self::Core) {}
}

/// See the module's head.
pub struct Role<H: Hands> {
    core: H::Core,
    hands: H,
    intents: Intents<Intent<H>>,
    timer: Timer,
    /// The timer does not wake it before this: there is one wake in a millisecond.
    rests_until: Timestamp,
    _watch: Option<DeathWatch>,
}

enum Timer {
    Unarmed,
    Armed {
        handle: SpawnHandle,
        at: Timestamp,
    },
    /// There is none any more, and the core hears nothing.
    Stopped,
}

impl<H: Hands> Role<H> {
    /// A life of `core`. `watch` is that of its supervisor, when it has one.
    pub fn new(core: H::Core, hands: H, watch: Option<DeathWatch>) -> Role<H> {
        let (timer, rests_until) = (Timer::Unarmed, Timestamp(i64::MIN));
        Role { core, hands, intents: Intents::default(), timer, rests_until, _watch: watch }
    }

    /// Who decides.
    pub fn core(&self) -> &H::Core {
        &self.core
    }

    /// Who does it.
    pub fn hands(&self) -> &H {
        &self.hands
    }

    /// Who does it.
    pub fn hands_mut(&mut self) -> &mut H {
        &mut self.hands
    }

    /// Tells the core something. It wakes as well when it is due then.
    pub fn tell(&mut self, input: Input<H>, ctx: &mut Context<Self>) {
        self.hear(input, ctx);
        if !self.is_stopped() && self.core.next_due() <= self.hands.now() {
            self.wake(ctx);
        }
        self.rest(ctx);
    }

    /// Wakes the core when it is due, and whenever its clock can step.
    pub fn turn(&mut self, ctx: &mut Context<Self>) {
        let is_due = self.core.next_due().max(self.rests_until) <= self.hands.now();
        if !self.is_stopped() && (is_due || self.hands.sleep_max(&self.core) != FOREVER) {
            self.wake(ctx);
        }
        self.rest(ctx);
    }

    /// Tells the core one of several things that reach it together; [`Role::turn`] or [`Role::rest`] comes after the
    /// last of them.
    pub fn hear(&mut self, input: Input<H>, ctx: &mut Context<Self>) {
        if !self.is_stopped() {
            self.core.on(self.hands.now(), input, &mut self.intents);
            self.carry_out(ctx);
        }
    }

    /// Sleeps until the core is due, at least to the next millisecond.
    pub fn rest(&mut self, ctx: &mut Context<Self>) {
        if !self.is_stopped() {
            self.hands.turned(&self.core);
            self.arm(ctx);
        }
    }

    /// Begins nothing any more. What is under way ends, and the actor lives until nobody can reach it.
    pub fn stop(&mut self, ctx: &mut Context<Self>) {
        if let Timer::Armed { handle, .. } = std::mem::replace(&mut self.timer, Timer::Stopped) {
            ctx.cancel_future(handle);
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.timer, Timer::Stopped)
    }

    fn wake(&mut self, ctx: &mut Context<Self>) {
        while let Some(input) = self.hands.before_wake(&self.core, ctx) {
            self.hear(input, ctx);
        }
        self.core.wake(self.hands.now(), &mut self.intents);
        self.carry_out(ctx);
    }

    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        for (number, intent) in self.intents.take() {
            self.hands.carry_out(number, intent, &self.core, ctx);
        }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let now = self.hands.now();
        self.rests_until = now.plus_ms(1);
        let due = self.core.next_due().max(self.rests_until);
        let at = due.min(now.after(self.hands.sleep_max(&self.core)));
        if let Timer::Armed { handle, at: armed } = self.timer {
            // An early one fires in vain and is armed anew then: that is rarer than what puts a due time off. One whose
            // time is over has not fired because the clock stepped.
            if now < armed && armed <= at {
                return;
            }
            ctx.cancel_future(handle);
        }
        self.timer = Timer::Unarmed;
        if at != Timestamp::NEVER {
            let handle = ctx.run_later(at.since(now), Role::fired);
            self.timer = Timer::Armed { handle, at };
        }
    }

    fn fired(&mut self, ctx: &mut Context<Self>) {
        // One that was cancelled fires all the same when it is due in the very poll in which it was cancelled.
        if matches!(self.timer, Timer::Armed { handle, .. } if handle == ctx.handle()) {
            self.timer = Timer::Unarmed;
            self.turn(ctx);
        }
    }
}

/// Runs `effect` beside the actor and goes on with what comes of it; both are dropped with the actor.
pub fn when_done<H: Hands, T: 'static>(
    ctx: &mut Context<Role<H>>,
    effect: impl Future<Output = T> + 'static,
    go_on: impl FnOnce(T, &mut Role<H>, &mut Context<Role<H>>) + 'static,
) {
    ctx.spawn(wrap_future::<_, Role<H>>(effect).map(go_on));
}

impl<H: Hands> Actor for Role<H> {
    type Context = Context<Role<H>>;

    fn started(&mut self, ctx: &mut Context<Role<H>>) {
        H::started(self, ctx);
    }
}

#[cfg(test)]
mod tests;
