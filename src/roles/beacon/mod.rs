//! The beacon's decisions: what of the held packages goes to which parent, and when.
//!
//! Each minute a cycle begins and drains what is waiting as long as a parent takes it: kinds in turn, new and deferred
//! packages in turn, oldest first. A failed package waits by full jitter; three failures in a row open the parent's
//! breaker, a success closes it and clears all waits. Source: delivery contract, section 5; `agent-beacon-batch`
//! reference, section 9.

mod hand_on;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use hand_on::own_schedule;
pub use vocabulary::*;

use super::{Core, IntentNumber, Sink};
use crate::model::package::Kind;
use crate::rng::RngStream;
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::{Backoff, Breaker, CLOCK_STEP_MS, RetryBudget};

/// Forwards under way at one parent at a time.
pub const PARALLEL_MAX: usize = 8;
/// Packages under consideration at once.
const ACTIVE_MAX: usize = 1_000;
/// Of these, at most so many of one origin.
const ACTIVE_OF_ORIGIN_MAX: usize = ACTIVE_MAX / 10;
/// Final refusals in a row after which the link, not the packages, is at fault.
const REFUSALS_MAX: usize = 5;
/// Refusals of one package after which it is quarantined although nothing else went through.
const REFUSALS_OF_PACKAGE_MAX: u8 = 3;
/// Sticky at another parent for so long, then back to the first.
const RETURN_AFTER_MS: i64 = 10 * MINUTE_MS;
/// A refused identity waits between these.
const UNIDENTIFIED_MS: (i64, i64) = (5 * MINUTE_MS, 360 * MINUTE_MS);

#[derive(Clone, Copy, Debug)]
struct Tries {
    waiting: Waiting,
    failures: u32,
    refusals: u8,
}

/// See the module's head.
pub struct BeaconCore {
    settings: Arc<BeaconSettings>,
    rng: RngStream,
    /// Never tried yet, oldest first, by kind.
    fresh: BTreeMap<Kind, VecDeque<Waiting>>,
    /// Tried and failed: due time and package.
    deferred: BTreeSet<(Timestamp, PackageNumber)>,
    /// What is known of each package that was tried.
    tries: BTreeMap<PackageNumber, Tries>,
    /// Under way: intent to package and parent.
    sending: BTreeMap<IntentNumber, (PackageNumber, ParentNumber)>,
    /// Refused since a parent last took something.
    suspects: BTreeSet<PackageNumber>,
    /// Final refusals in a row by each parent.
    refusals: Vec<usize>,
    breakers: Vec<Breaker>,
    budget: RetryBudget,
    current: usize,
    moved_at: Timestamp,
    next_kind: usize,
    deferred_turn: bool,
    cycle_due: Timestamp,
    draining: bool,
    policy_due: Timestamp,
    status_due: Timestamp,
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
        let offset = (guid_seed % settings.cycle_ms.max(1) as u64) as i64;
        let cycle_due = if settings.relay_on_arrival { now } else { now.plus_ms(offset) };
        let mut core = BeaconCore {
            breakers: vec![Breaker::default(); settings.parents],
            refusals: vec![0; settings.parents],
            settings,
            rng,
            fresh: BTreeMap::new(),
            deferred: BTreeSet::new(),
            tries: BTreeMap::new(),
            sending: BTreeMap::new(),
            suspects: BTreeSet::new(),
            budget: RetryBudget::default(),
            current: 0,
            moved_at: now,
            next_kind: 0,
            deferred_turn: false,
            cycle_due,
            draining: false,
            policy_due: now,
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
        cycle.min(self.policy_due).min(self.status_due)
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        self.follow_clock(now);
        if now >= self.policy_due {
            self.policy_due = now.plus_ms(self.settings.policy_every_ms);
            out.intend(BeaconIntent::AskPolicy(self.parent(now)));
        }
        if now >= self.status_due {
            self.status_due = now.plus_ms(self.settings.status_every_ms);
            out.intend(BeaconIntent::SendStatus(self.parent(now)));
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
                self.take(packages);
                if self.settings.relay_on_arrival && !self.draining {
                    self.cycle_due = self.cycle_due.min(now);
                }
            }
            BeaconInput::Forwarded { intent, verdict } => self.forwarded(now, intent, verdict, out),
            BeaconInput::Unsendable { intent, why } => {
                if let Some((package, _)) = self.sending.remove(&intent) {
                    self.forget(package);
                    out.intend(BeaconIntent::SetAside { package, why });
                }
            }
            BeaconInput::PolicyAnswered { answered: false } => {
                let wait = Backoff::BEACON.wait_ms(0, &mut self.rng).max(SECOND_MS);
                self.policy_due = self.policy_due.min(now.plus_ms(wait));
            }
            BeaconInput::PolicyAnswered { answered: true } | BeaconInput::Done => {}
        }
        if self.draining {
            self.pump(now, out);
        }
    }
}

impl BeaconCore {
    /// Packages that wait or are under way.
    pub fn waiting(&self) -> usize {
        self.fresh.values().map(VecDeque::len).sum::<usize>() + self.deferred.len() + self.sending.len()
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
        self.breakers.iter_mut().for_each(|breaker| breaker.step_back(step));
        for due in
            [&mut self.moved_at, &mut self.cycle_due, &mut self.policy_due, &mut self.status_due, &mut self.hold_until]
        {
            *due = due.plus_ms(-step);
        }
    }

    fn take(&mut self, packages: Vec<Waiting>) {
        for waiting in packages {
            self.fresh.entry(waiting.kind).or_default().push_back(waiting);
        }
    }

    /// Sends while the parent takes; ends the cycle when nothing is left to send or under way.
    fn pump(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        while self.sending.len() < PARALLEL_MAX && now >= self.hold_until {
            let Some(to) = self.open_parent(now) else { break };
            // A parent that failed gets one probe, not eight.
            let is_probe = self.breakers[to.0].is_open();
            if is_probe && !self.sending.is_empty() {
                break;
            }
            let Some(package) = (if is_probe { self.next_probe() } else { self.next(now) }) else { break };
            let intent = out.intend(BeaconIntent::Forward { package, to });
            self.sending.insert(intent, (package, to));
        }
        if self.sending.is_empty() {
            self.draining = false;
            self.end_cycle(now, out);
        }
    }

    fn end_cycle(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        let worn: Vec<PackageNumber> = self.suspects.iter().copied().filter(|p| self.is_worn(*p)).collect();
        for package in worn {
            self.quarantine(package, out);
        }
        self.cycle_due = now.plus_ms(self.settings.cycle_ms);
        if self.settings.relay_on_arrival {
            // Waits of its own end the pause early; the breaker's probe too.
            let due = self.deferred.first().map_or(Timestamp::NEVER, |(due, _)| *due);
            let probe = self.breakers.iter().filter(|b| b.is_open()).map(Breaker::next_probe).min().unwrap_or(now);
            let fresh = self.fresh.values().any(|queue| !queue.is_empty());
            let soonest = if fresh { probe } else { due.max(probe) };
            self.cycle_due = self.cycle_due.min(soonest.max(now.plus_ms(SECOND_MS)));
        }
    }

    fn is_worn(&self, package: PackageNumber) -> bool {
        self.tries.get(&package).is_some_and(|tries| tries.refusals >= REFUSALS_OF_PACKAGE_MAX)
    }

    /// The next package to send: new and deferred in turn, kinds in turn, oldest first, no origin more than its share.
    fn next(&mut self, now: Timestamp) -> Option<PackageNumber> {
        self.deferred_turn = !self.deferred_turn;
        if self.deferred_turn {
            self.next_deferred(now).or_else(|| self.next_fresh())
        } else {
            self.next_fresh().or_else(|| self.next_deferred(now))
        }
    }

    /// A package to ask a failed parent with: the wait of a package is none of the parent's, and the breaker bounds
    /// probes already, so they cost nothing of the retry budget.
    fn next_probe(&mut self) -> Option<PackageNumber> {
        let trusted = self.deferred.iter().find(|(_, package)| !self.suspects.contains(package)).copied();
        if let Some(entry) = trusted {
            self.deferred.remove(&entry);
            return Some(entry.1);
        }
        self.next_fresh().or_else(|| self.deferred.pop_first().map(|(_, package)| package))
    }

    fn next_fresh(&mut self) -> Option<PackageNumber> {
        for turn in 0..Kind::ALL.len() {
            let at = (self.next_kind + turn) % Kind::ALL.len();
            let Some(queue) = self.fresh.get_mut(&Kind::ALL[at]) else { continue };
            // One origin may not fill the active set: its surplus steps behind the others of this look.
            let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
            let look = queue.len().min(ACTIVE_MAX);
            let fair = queue.iter().take(look).position(|waiting| {
                let sending = self.tries.len();
                let count = seen.entry(waiting.origin).or_default();
                *count += 1;
                sending < ACTIVE_MAX || *count <= ACTIVE_OF_ORIGIN_MAX
            });
            if let Some(waiting) = fair.and_then(|position| queue.remove(position)) {
                self.next_kind = at + 1;
                self.budget.first_send();
                self.tries.insert(waiting.package, Tries { waiting, failures: 0, refusals: 0 });
                return Some(waiting.package);
            }
        }
        None
    }

    fn next_deferred(&mut self, now: Timestamp) -> Option<PackageNumber> {
        let &(due, package) = self.deferred.first().filter(|(due, _)| *due <= now)?;
        if !self.budget.spend() {
            return None;
        }
        self.deferred.remove(&(due, package));
        Some(package)
    }

    fn forwarded(&mut self, now: Timestamp, intent: IntentNumber, verdict: Verdict, out: &mut impl Sink<BeaconIntent>) {
        let Some((package, parent)) = self.sending.remove(&intent) else { return };
        match verdict {
            Verdict::Delivered => {
                self.forget(package);
                out.intend(BeaconIntent::Release(package));
                self.succeeded(now, parent, out);
            }
            Verdict::Refused => self.refused(now, package, parent),
            Verdict::Later { retry_after_ms, broken } => {
                if broken {
                    self.fail(now, parent);
                } else {
                    // Busy, not broken: everything waits as long as it asks.
                    let wait = retry_after_ms.unwrap_or_else(|| Backoff::BEACON.wait_ms(0, &mut self.rng));
                    self.hold_until = self.hold_until.max(now.plus_ms(wait.max(SECOND_MS)));
                }
                self.defer(now, package, retry_after_ms.unwrap_or(0));
            }
            Verdict::Full | Verdict::Loop => {
                self.fail(now, parent);
                self.next_parent(now, parent);
                self.defer(now, package, 0);
            }
            Verdict::Unidentified | Verdict::Revoked => {
                let (base_ms, cap_ms) = UNIDENTIFIED_MS;
                let backoff = Backoff { base_ms, cap_ms };
                let wait = backoff.wait_ms(self.unidentified, &mut self.rng).max(base_ms);
                self.unidentified += 1;
                self.hold_until = now.plus_ms(if verdict == Verdict::Revoked { cap_ms * 4 } else { wait });
                self.defer(now, package, 0);
            }
        }
    }

    fn succeeded(&mut self, now: Timestamp, parent: ParentNumber, out: &mut impl Sink<BeaconIntent>) {
        self.unidentified = 0;
        self.refusals[parent.0] = 0;
        if self.breakers[parent.0] != Breaker::default() {
            self.breakers[parent.0].succeed();
            self.clear_waits(now);
        }
        // The parent takes others: what it refused is at fault itself.
        while let Some(package) = self.suspects.first().copied() {
            self.quarantine(package, out);
        }
    }

    fn refused(&mut self, now: Timestamp, package: PackageNumber, parent: ParentNumber) {
        self.refusals[parent.0] += 1;
        if self.refusals[parent.0] >= REFUSALS_MAX {
            // A fault of the link, not of the packages: hold everything, ask again by the breaker's probes.
            for suspect in std::mem::take(&mut self.suspects) {
                self.tries.entry(suspect).and_modify(|tries| tries.refusals = 0);
            }
            self.fail(now, parent);
            while !self.breakers[parent.0].is_open() {
                self.fail(now, parent);
            }
        } else {
            // It answers, so it is not down.
            self.breakers[parent.0].succeed();
            self.tries.entry(package).and_modify(|tries| tries.refusals = tries.refusals.saturating_add(1));
            self.suspects.insert(package);
        }
        self.defer(now, package, 0);
    }

    fn quarantine(&mut self, package: PackageNumber, out: &mut impl Sink<BeaconIntent>) {
        self.suspects.remove(&package);
        if self.sending.values().any(|(sending, _)| *sending == package) {
            return;
        }
        self.forget(package);
        self.deferred.retain(|(_, deferred)| *deferred != package);
        out.intend(BeaconIntent::SetAside { package, why: Aside::Refused });
    }

    fn forget(&mut self, package: PackageNumber) {
        self.tries.remove(&package);
        self.suspects.remove(&package);
    }

    fn defer(&mut self, now: Timestamp, package: PackageNumber, least_ms: i64) {
        let Some(tries) = self.tries.get_mut(&package) else { return };
        let wait = Backoff::BEACON.wait_ms(tries.failures, &mut self.rng).max(least_ms).max(SECOND_MS);
        tries.failures += 1;
        self.deferred.insert((now.plus_ms(wait), package));
    }

    fn clear_waits(&mut self, now: Timestamp) {
        self.deferred = self.deferred.iter().map(|(_, package)| (now, *package)).collect();
        // Nothing failed on its own account: what waited goes again as a first send would, and before what came later.
        for (_, package) in std::mem::take(&mut self.deferred).into_iter().rev() {
            if self.suspects.contains(&package) {
                self.deferred.insert((now, package));
            } else if let Some(tries) = self.tries.remove(&package) {
                self.fresh.entry(tries.waiting.kind).or_default().push_front(tries.waiting);
            }
        }
    }

    fn fail(&mut self, now: Timestamp, parent: ParentNumber) {
        self.breakers[parent.0].fail(now, Backoff::BEACON, &mut self.rng);
        if self.breakers[parent.0].is_open() {
            self.next_parent(now, parent);
        }
    }

    fn next_parent(&mut self, now: Timestamp, from: ParentNumber) {
        if self.current == from.0 && self.settings.parents > 1 {
            self.current = (self.current + 1) % self.settings.parents;
            self.moved_at = now;
        }
    }

    /// The parent for questions that are not packages.
    fn parent(&self, now: Timestamp) -> ParentNumber {
        self.open_parent(now).unwrap_or(ParentNumber(self.current))
    }

    /// The parent that may be sent to: the first again after a while, else the one that works.
    fn open_parent(&self, now: Timestamp) -> Option<ParentNumber> {
        let first_again = self.current != 0 && now.ms_since(self.moved_at) >= RETURN_AFTER_MS;
        let order = std::iter::once(0)
            .filter(|_| first_again)
            .chain((0..self.settings.parents).map(|step| (self.current + step) % self.settings.parents));
        order.filter(|&parent| self.breakers[parent].lets_pass(now)).map(ParentNumber).next()
    }
}

#[cfg(test)]
mod tests;
