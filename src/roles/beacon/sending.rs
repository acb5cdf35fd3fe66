//! What a beacon sends: which package is next, and what becomes of one that was answered.

use std::collections::BTreeMap;

use super::parents::Change;
use super::vocabulary::{Aside, BeaconIntent, PackageNumber};
use super::{BeaconCore, Tries};
use crate::model::package::Kind;
use crate::roles::{IntentNumber, Sink};
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;

/// Forwards under way at one parent at a time.
pub const PARALLEL_MAX: usize = 8;
/// Packages under consideration at once.
const ACTIVE_MAX: usize = 1_000;
/// Of these, at most so many of one origin.
const ACTIVE_OF_ORIGIN_MAX: usize = ACTIVE_MAX / 10;
/// Refusals of one package after which it is quarantined although nothing else went through.
const REFUSALS_OF_PACKAGE_MAX: u8 = 3;
/// A refused identity waits between these.
const UNIDENTIFIED_MS: (i64, i64) = (5 * MINUTE_MS, 360 * MINUTE_MS);

impl BeaconCore {
    /// Sends while the parent takes; ends the cycle when nothing is left to send or under way.
    pub(super) fn pump(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        while self.sending.len() < PARALLEL_MAX && now >= self.hold_until {
            // A parent that failed gets one probe, not eight.
            let Some((to, is_probe)) = self.parents.next(now) else { break };
            if is_probe && !self.sending.is_empty() {
                break;
            }
            let Some(package) = (if is_probe { self.next_probe() } else { self.next(now) }) else { break };
            self.parents.sent(now, &to);
            let intent = out.intend(BeaconIntent::Forward { package, to: to.clone() });
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
            // Waits of its own end the pause early; the probe of a parent too.
            let due = self.deferred.first().map_or(Timestamp::NEVER, |(due, _)| *due);
            let probe = self.parents.free_at(now);
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

    /// A package to ask a failed parent with: the wait of a package is none of the parent's, and the circuit bounds
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

    pub(super) fn forwarded(
        &mut self,
        now: Timestamp,
        intent: IntentNumber,
        verdict: Verdict,
        out: &mut impl Sink<BeaconIntent>,
    ) {
        let Some((package, parent)) = self.sending.remove(&intent) else { return };
        let Change { is_fair, is_back } = self.parents.answered(now, &parent, verdict, &mut self.rng);
        match verdict {
            Verdict::Delivered => {
                self.forget(package);
                out.intend(BeaconIntent::Release(package));
                self.succeeded(now, is_back, out);
            }
            Verdict::Refused => self.refused(now, package, is_fair),
            Verdict::Later { broken: false, retry_after_ms } => self.defer(now, package, retry_after_ms.unwrap_or(0)),
            Verdict::Later { .. } | Verdict::Full | Verdict::Loop => self.defer(now, package, 0),
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

    /// A forward was not tried after all, and its package is not waited for any more. The package.
    pub(super) fn not_sent(&mut self, intent: IntentNumber) -> Option<PackageNumber> {
        let (package, parent) = self.sending.remove(&intent)?;
        self.parents.abandoned(&parent);
        self.forget(package);
        Some(package)
    }

    fn succeeded(&mut self, now: Timestamp, is_back: bool, out: &mut impl Sink<BeaconIntent>) {
        self.unidentified = 0;
        if is_back {
            self.clear_waits(now);
        }
        // The parent takes others: what it refused is at fault itself.
        while let Some(package) = self.suspects.first().copied() {
            self.quarantine(package, out);
        }
    }

    fn refused(&mut self, now: Timestamp, package: PackageNumber, is_fair: bool) {
        if is_fair {
            self.tries.entry(package).and_modify(|tries| tries.refusals = tries.refusals.saturating_add(1));
            self.suspects.insert(package);
        } else {
            // A fault of the link, not of the packages: hold everything, ask again by probes.
            for suspect in std::mem::take(&mut self.suspects) {
                self.tries.entry(suspect).and_modify(|tries| tries.refusals = 0);
            }
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

    pub(super) fn clear_waits(&mut self, now: Timestamp) {
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
}
