//! What a beacon sends: which package is next, and what becomes of one that was answered.

use super::parents::Change;
use super::vocabulary::{Aside, BeaconIntent, PackageNumber, Parent};
use super::{BeaconCore, Tries};
use crate::roles::{IntentNumber, Sink};
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;

/// Forwards under way at one parent at a time.
pub const PARALLEL_MAX: usize = 8;
/// Refusals of one package after which it is quarantined although nothing else went through.
const REFUSALS_OF_PACKAGE_MAX: u8 = 3;
/// So often a parent that is back clears the wait of one package. One that fails again and again while others go through
/// then waits on its own account, and by the retry budget.
const CLEARED_MAX: u8 = 2;
/// A refused identity waits between these.
const UNIDENTIFIED_MS: (i64, i64) = (5 * MINUTE_MS, 360 * MINUTE_MS);

/// A forward that is under way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) package: PackageNumber,
    pub(super) to: Parent,
    /// Whether it asks a parent that took nothing before, alone.
    is_probe: bool,
    /// Whether it was taken from the retry budget.
    is_paid: bool,
}

impl BeaconCore {
    /// Sends while the parent takes; ends the cycle when nothing is left to send or under way.
    pub(super) fn pump(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        while now >= self.hold_until {
            // A parent that failed gets one probe, not eight, and one that is back a few more with each that it takes.
            let Some((to, is_probe)) = self.parents.next(now) else { break };
            if self.sending.len() >= self.parents.room(&to) {
                break;
            }
            let next = if is_probe { self.next_probe().map(|package| (package, false)) } else { self.next(now) };
            let Some((package, is_paid)) = next else { break };
            self.parents.sent(now, &to);
            let intent = out.intend(BeaconIntent::Forward { package, to: to.clone() });
            self.sending.insert(intent, Sent { package, to, is_probe, is_paid });
        }
        if self.sending.is_empty() {
            self.end_cycle(now, out);
        }
    }

    fn end_cycle(&mut self, now: Timestamp, out: &mut impl Sink<BeaconIntent>) {
        self.draining = false;
        let worn: Vec<PackageNumber> = self.suspects.iter().copied().filter(|p| self.is_worn(*p)).collect();
        for package in worn {
            self.quarantine(package, out);
        }
        self.cycle_due = now.plus_ms(self.settings.cycle_ms);
        if self.settings.relay_on_arrival {
            // Waits of its own end the pause early; the probe of a parent too.
            let due = self.deferred.first().map_or(Timestamp::NEVER, |(due, _)| *due);
            let probe = self.parents.free_at(now);
            let soonest = if self.backlog.has_next() { probe } else { due.max(probe) };
            self.cycle_due = self.cycle_due.min(soonest.max(now.plus_ms(SECOND_MS)));
        }
    }

    fn is_worn(&self, package: PackageNumber) -> bool {
        self.tries.get(&package).is_some_and(|tries| tries.refusals >= REFUSALS_OF_PACKAGE_MAX)
    }

    /// The next package to send, and whether the retry budget paid for it: new and deferred in turn.
    fn next(&mut self, now: Timestamp) -> Option<(PackageNumber, bool)> {
        self.deferred_turn = !self.deferred_turn;
        if self.deferred_turn
            && let Some(package) = self.next_deferred(now)
        {
            return Some((package, true));
        }
        let fresh = self.next_waiting().map(|package| (package, false));
        fresh.or_else(|| self.next_deferred(now).map(|package| (package, true)))
    }

    /// A package to ask a failed parent with: the wait of a package is none of the parent's, and the parent's own wait
    /// bounds probes already, so they cost nothing of the retry budget. Never the same one twice while there is another,
    /// which might be at fault itself.
    fn next_probe(&mut self) -> Option<PackageNumber> {
        let is_blamed = |package: &PackageNumber| self.suspects.contains(package) || self.looped.contains_key(package);
        let is_fit = |package: &PackageNumber| !is_blamed(package) && self.last_probe != Some(*package);
        let trusted = self.deferred.iter().find(|(_, package)| is_fit(package)).copied();
        let probe = match trusted {
            Some(entry) => {
                self.deferred.remove(&entry);
                Some(entry.1)
            }
            None => self.next_waiting().or_else(|| self.deferred.pop_first().map(|(_, package)| package)),
        };
        self.last_probe = probe;
        probe
    }

    fn next_waiting(&mut self) -> Option<PackageNumber> {
        let (waiting, is_again) = self.backlog.next()?;
        if !is_again {
            self.budget.first_send();
            self.tries.insert(waiting.package, Tries { waiting, failures: 0, refusals: 0, cleared: 0 });
        }
        Some(waiting.package)
    }

    fn next_deferred(&mut self, now: Timestamp) -> Option<PackageNumber> {
        let &(due, package) = self.deferred.first().filter(|(due, _)| *due <= now)?;
        self.budget_paid = self.budget.passed(self.budget_paid, now);
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
        let Some(Sent { package, to, is_probe, is_paid }) = self.sending.remove(&intent) else { return };
        let Change { is_fair, is_back } = self.parents.answered(now, &to, verdict, is_probe, &mut self.rng);
        match verdict {
            Verdict::Delivered => {
                if is_paid {
                    self.budget.taken();
                }
                self.forget(package);
                out.intend(BeaconIntent::Release(package));
                self.succeeded(now, is_back, out);
                self.quarantine_looped(&to, out);
            }
            Verdict::Refused => self.refused(now, package, is_fair),
            // A parent that asks for time is left alone by itself; its wait is none of the package's.
            Verdict::Later { .. } | Verdict::Full => self.defer(now, package),
            Verdict::Loop => {
                self.looped.insert(package, to);
                self.defer(now, package);
            }
            Verdict::Unidentified | Verdict::Revoked => {
                self.hold(now, verdict == Verdict::Revoked);
                self.defer(now, package);
            }
        }
    }

    /// Nothing is sent for a while: the identity is not accepted. Those that were under way with the first that was told
    /// so say nothing new.
    fn hold(&mut self, now: Timestamp, is_revoked: bool) {
        let (base_ms, cap_ms) = UNIDENTIFIED_MS;
        if now >= self.hold_until {
            let wait = Backoff { base_ms, cap_ms }.wait_ms(self.unidentified, &mut self.rng).max(base_ms);
            self.unidentified = self.unidentified.saturating_add(1);
            self.hold_until = now.plus_ms(wait);
        }
        if is_revoked {
            self.hold_until = self.hold_until.max(now.plus_ms(DAY_MS));
        }
    }

    /// A forward was not tried: its package could not be read just now. No parent is to blame.
    pub(super) fn postponed(&mut self, now: Timestamp, intent: IntentNumber, out: &mut impl Sink<BeaconIntent>) {
        let Some(Sent { package, to, .. }) = self.sending.remove(&intent) else { return };
        self.parents.abandoned(&to);
        self.defer(now, package);
        if self.draining && self.sending.is_empty() {
            // What is left may be this one only, and the disk needs time.
            self.end_cycle(now, out);
        }
    }

    /// A forward was not tried after all, and its package is not waited for any more. The package.
    pub(super) fn not_sent(&mut self, intent: IntentNumber) -> Option<PackageNumber> {
        let Sent { package, to, .. } = self.sending.remove(&intent)?;
        self.parents.abandoned(&to);
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

    /// `parent` takes others: what would go in a circle there has come from there, or has come too far, and never gets through.
    fn quarantine_looped(&mut self, parent: &Parent, out: &mut impl Sink<BeaconIntent>) {
        let at_fault = self.looped.iter().filter(|(_, at)| *at == parent).map(|(package, _)| *package);
        for package in at_fault.collect::<Vec<_>>() {
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
        self.defer(now, package);
    }

    fn quarantine(&mut self, package: PackageNumber, out: &mut impl Sink<BeaconIntent>) {
        self.suspects.remove(&package);
        if self.sending.values().any(|sent| sent.package == package) {
            return;
        }
        self.forget(package);
        self.deferred.retain(|(_, deferred)| *deferred != package);
        out.intend(BeaconIntent::SetAside { package, why: Aside::Refused });
    }

    fn forget(&mut self, package: PackageNumber) {
        if let Some(tries) = self.tries.remove(&package) {
            self.backlog.settled(tries.waiting.origin);
        }
        self.suspects.remove(&package);
        self.looped.remove(&package);
    }

    fn defer(&mut self, now: Timestamp, package: PackageNumber) {
        let Some(tries) = self.tries.get_mut(&package) else { return };
        let wait = Backoff::BEACON.wait_ms(tries.failures, &mut self.rng).max(SECOND_MS);
        tries.failures = tries.failures.saturating_add(1);
        self.deferred.insert((now.plus_ms(wait), package));
    }

    /// A parent is back: nothing failed on its own account, so what waited goes again before what came later.
    fn clear_waits(&mut self, now: Timestamp) {
        for (due, package) in std::mem::take(&mut self.deferred) {
            let Some(tries) = self.tries.get_mut(&package) else { continue };
            if self.suspects.contains(&package) {
                self.deferred.insert((now, package));
            } else if tries.cleared >= CLEARED_MAX {
                self.deferred.insert((due, package));
            } else {
                (tries.cleared, tries.failures) = (tries.cleared + 1, 0);
                self.backlog.push_again(tries.waiting);
            }
        }
    }
}
