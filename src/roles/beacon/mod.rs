//! The beacon's decisions: what of the held packages goes to which parent, and when.
//!
//! Each minute a cycle begins and drains what is waiting as long as a parent takes it: kinds in turn, new and deferred
//! packages in turn, origins in turn, oldest first. A failed package waits by full jitter. A parent that fails three
//! times in a row, that asks for time or that does not know this beacon gets one package for each wait from then on;
//! the first that it takes clears all waits, and more go with each that follows. Once a day everything held is compared
//! with what is known here.
//! Source: delivery contract, section 5; `agent-beacon-batch` reference, section 9.

mod backlog;
mod hand_on;
mod parents;
mod rescan;
mod sending;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use hand_on::own_schedule;
pub use parents::{ParentsError, parents_in_force};
pub use vocabulary::*;

use self::backlog::Backlog;
use self::parents::Parents;
use self::sending::Sent;

use super::{Core, IntentNumber, Sink};
use crate::rng::RngStream;
use crate::time::{DAY_MS, SECOND_MS, Timestamp};
use crate::upload::backoff::{Backoff, CLOCK_STEP_MS, RetryBudget};

#[derive(Clone, Copy, Debug)]
struct Tries {
    waiting: Waiting,
    failures: u32,
    refusals: u8,
    /// How often a parent that was back cleared its wait.
    cleared: u8,
}

/// See the module's head.
pub struct BeaconCore {
    settings: Arc<BeaconSettings>,
    rng: RngStream,
    /// What waits for its turn: never tried, or cleared to go again.
    backlog: Backlog,
    /// Tried and failed: due time and package.
    deferred: BTreeSet<(Timestamp, PackageNumber)>,
    /// What is known of each package that was tried: the active set.
    tries: BTreeMap<PackageNumber, Tries>,
    /// Under way.
    sending: BTreeMap<IntentNumber, Sent>,
    /// Refused since a parent last took something.
    suspects: BTreeSet<PackageNumber>,
    /// Would go in a circle by the word of this parent. When it takes another after that, they are at fault themselves.
    looped: BTreeMap<PackageNumber, Parent>,
    parents: Parents,
    budget: RetryBudget,
    /// Up to then time has paid into the budget.
    budget_paid: Timestamp,
    /// What a parent was last asked with that took nothing before.
    last_probe: Option<PackageNumber>,
    deferred_turn: bool,
    cycle_due: Timestamp,
    draining: bool,
    policy_due: Timestamp,
    policy_failures: u32,
    status_due: Timestamp,
    rescan_due: Timestamp,
    /// While what is held is looked through.
    rescan: Option<rescan::Known>,
    /// Nothing is sent before this: the identity was not accepted, or the node is full of retries.
    hold_until: Timestamp,
    unidentified: u32,
    /// The latest time it was told, to notice a clock that steps back.
    seen: Timestamp,
}

impl Core for BeaconCore {
    type Durable = BeaconDurable;
    type Input = BeaconInput;
    type Intent = BeaconIntent;

    fn recover(durable: BeaconDurable, rng: RngStream, now: Timestamp) -> BeaconCore {
        let BeaconDurable { settings, guid_seed, held } = durable;
        let mut rng = rng;
        let offset = (guid_seed % settings.cycle_ms.max(1) as u64) as i64;
        let cycle_due = if settings.relay_on_arrival { now } else { now.plus_ms(offset) };
        let mut core = BeaconCore {
            parents: Parents::new(settings.parents.clone(), now),
            settings,
            // Each beacon at an hour of its own.
            rescan_due: now.plus_ms(rng.below(DAY_MS)),
            rescan: None,
            rng,
            backlog: Backlog::default(),
            deferred: BTreeSet::new(),
            tries: BTreeMap::new(),
            sending: BTreeMap::new(),
            suspects: BTreeSet::new(),
            looped: BTreeMap::new(),
            budget: RetryBudget::default(),
            budget_paid: now,
            last_probe: None,
            deferred_turn: false,
            cycle_due,
            draining: false,
            policy_due: now,
            policy_failures: 0,
            status_due: now,
            hold_until: now,
            unidentified: 0,
            seen: now,
        };
        core.take(held);
        core
    }

    fn next_due(&self) -> Timestamp {
        let cycle = if self.draining { Timestamp::NEVER } else { self.cycle_due.max(self.hold_until) };
        cycle.min(self.policy_due).min(self.status_due).min(self.rescan_due)
    }

    fn fingerprint(&self) -> u64 {
        self.rng.fingerprint()
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        self.follow_clock(now);
        if now >= self.policy_due {
            self.policy_due = now.plus_ms(self.settings.policy_every_ms);
            let parent = self.question(now);
            out.intend(BeaconIntent::AskPolicy(parent));
        }
        if now >= self.status_due {
            self.status_due = now.plus_ms(self.settings.status_every_ms);
            let parent = self.question(now);
            out.intend(BeaconIntent::SendStatus(parent));
        }
        if now >= self.rescan_due {
            self.rescan_due = now.plus_ms(DAY_MS);
            out.intend(BeaconIntent::Purge);
            out.intend(BeaconIntent::Rescan { after: None });
        }
        if now >= self.cycle_due.max(self.hold_until) && !self.draining {
            self.draining = true;
            self.pump(now, out);
        }
    }

    fn on(&mut self, now: Timestamp, input: BeaconInput, out: &mut impl Sink<BeaconIntent>) {
        self.follow_clock(now);
        match input {
            BeaconInput::Arrived(packages) => {
                if let Some(known) = &mut self.rescan {
                    known.arrived(&packages);
                }
                self.take(packages);
                if self.settings.relay_on_arrival && !self.draining {
                    self.cycle_due = self.cycle_due.min(now);
                }
            }
            BeaconInput::Forwarded { intent, verdict } => self.forwarded(now, intent, verdict, out),
            BeaconInput::Unsendable { intent, why } => {
                if let Some(package) = self.not_sent(intent) {
                    out.intend(BeaconIntent::SetAside { package, why });
                }
            }
            BeaconInput::Gone { intent } => {
                self.not_sent(intent);
            }
            BeaconInput::Postponed { intent } => self.postponed(now, intent, out),
            BeaconInput::PolicyAnswered { from, asked, parents } => {
                self.question_answered(now, &from, asked);
                self.plan_policy(now, asked);
                if self.parents.follow(parents, now) {
                    // The new parent, and whoever looks at the list of beacons, hears of it at once.
                    self.status_due = now;
                }
            }
            BeaconInput::StatusAnswered { from, asked } => {
                self.question_answered(now, &from, asked);
                if let Some(ms) = asked.come_again_ms() {
                    self.status_due = self.status_due.max(now.plus_ms(ms));
                }
            }
            BeaconInput::Rescanned { after, through, packages } => self.rescanned(after, through, packages, out),
            BeaconInput::Done => {}
        }
        if self.draining {
            self.pump(now, out);
        }
    }
}

impl BeaconCore {
    /// Packages that wait or are under way.
    pub fn waiting(&self) -> usize {
        self.backlog.len() + self.deferred.len() + self.sending.len()
    }

    /// A clock that was set back takes the plan with it, so that nothing waits for a time that is far away again.
    fn follow_clock(&mut self, now: Timestamp) {
        let step = self.seen.ms_since(now);
        self.seen = self.seen.max(now);
        if step <= CLOCK_STEP_MS {
            return;
        }
        self.seen = now;
        self.deferred = self.deferred.iter().map(|(due, package)| (due.plus_ms(-step), *package)).collect();
        self.parents.step_back(step);
        let dues = [&mut self.cycle_due, &mut self.policy_due, &mut self.status_due, &mut self.rescan_due];
        for due in dues.into_iter().chain([&mut self.hold_until, &mut self.budget_paid]) {
            *due = due.plus_ms(-step);
        }
    }

    /// The parent for a question, which is on its way from now on.
    fn question(&mut self, now: Timestamp) -> Parent {
        let parent = self.parents.for_question(now);
        self.parents.asked(now, &parent);
        parent
    }

    fn question_answered(&mut self, now: Timestamp, from: &Parent, asked: Asked) {
        self.parents.question_answered(now, from, asked, &mut self.rng);
        if self.settings.relay_on_arrival && !self.draining && self.waiting() > 0 {
            // The probe that an answer lets pass need not wait for the cycle.
            self.cycle_due = self.cycle_due.min(self.parents.free_at(now));
        }
    }

    /// When policy is asked for again: after a failure sooner than usual, by waits that grow to the usual one.
    fn plan_policy(&mut self, now: Timestamp, asked: Asked) {
        if asked == Asked::Answered {
            self.policy_failures = 0;
            return;
        }
        let cap_ms = self.settings.policy_every_ms;
        let backoff = Backoff { base_ms: Backoff::BEACON.base_ms.min(cap_ms), cap_ms };
        let wait = backoff.wait_ms(self.policy_failures, &mut self.rng).max(SECOND_MS);
        self.policy_failures = self.policy_failures.saturating_add(1);
        self.policy_due = self.policy_due.min(now.plus_ms(wait));
        if let Some(ms) = asked.come_again_ms() {
            self.policy_due = self.policy_due.max(now.plus_ms(ms));
        }
    }

    fn take(&mut self, packages: Vec<Waiting>) {
        packages.into_iter().for_each(|waiting| self.backlog.push(waiting));
    }
}

#[cfg(test)]
mod tests;
