//! The three role cores, and the meter's beside the agent's: they are told the time and what happened, and say what to do.
//!
//! A core never waits and never fails for the world's sake. What it wants done it gives to a [`Sink`] as a numbered
//! intent; the effect's outcome comes back as an input at least one millisecond later. Within one millisecond a core
//! first wakes if it is due, then takes inputs by (sender, intent number).

pub mod agent;
pub mod batch;
pub mod beacon;
pub mod discover;
pub mod meter;
pub mod server;

use crate::rng::RngStream;
use crate::time::Timestamp;

/// Number of an intent within one life of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentNumber(pub u64);

/// Takes intents and numbers them.
pub trait Sink<Intent> {
    /// Wants `intent` done.
    fn intend(&mut self, intent: Intent) -> IntentNumber;
}

/// The sink of actors and tests: collects intents in order.
#[derive(Debug)]
pub struct Intents<Intent> {
    next: u64,
    taken: Vec<(IntentNumber, Intent)>,
}

impl<Intent> Default for Intents<Intent> {
    fn default() -> Self {
        Intents { next: 0, taken: Vec::new() }
    }
}

impl<Intent> Intents<Intent> {
    /// What was wanted since the last call, in order.
    pub fn take(&mut self) -> Vec<(IntentNumber, Intent)> {
        std::mem::take(&mut self.taken)
    }
}

impl<Intent> Sink<Intent> for Intents<Intent> {
    fn intend(&mut self, intent: Intent) -> IntentNumber {
        let number = IntentNumber(self.next);
        self.next += 1;
        self.taken.push((number, intent));
        number
    }
}

/// One role's decisions.
pub trait Core: Sized {
    /// What survives a crash: read from the log; nothing remembered is trusted.
    type Durable;
    /// What can happen to it.
    type Input;
    /// What it can want.
    type Intent;
    /// Begins a life at `now` from what the log holds. The stream is (seed, id, incarnation).
    fn recover(durable: Self::Durable, rng: RngStream, now: Timestamp) -> Self;
    /// When it wants to be woken next.
    fn next_due(&self) -> Timestamp;
    /// The time has come.
    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<Self::Intent>);
    /// 64 bits that hang on all it has drawn so far: two lives that decided the same have the same.
    fn fingerprint(&self) -> u64;
    /// Something happened.
    fn on(&mut self, now: Timestamp, input: Self::Input, out: &mut impl Sink<Self::Intent>);
}
