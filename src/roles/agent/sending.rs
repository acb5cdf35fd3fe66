//! What an agent sends: its queue, and the pass of a package round the servers.

use super::rules::Task;
use super::vocabulary::{AgentIntent, LetGo, PackageNumber, Queued, ServerNumber};
use super::{AgentCore, NOBODY};
use crate::formats::nds::Event;
use crate::model::package::Kind;
use crate::roles::{IntentNumber, Sink};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;

/// Passes over the servers until a package waits for the catch-up.
const TRIES_MAX: u8 = 3;
/// An identity that is not accepted waits between these.
const UNIDENTIFIED_MS: (i64, i64) = (5 * MINUTE_MS, 6 * HOUR_MS);

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) queued: Queued,
    pub(super) due: Timestamp,
    /// Passes that failed since the last catch-up.
    pub(super) tries: u8,
    /// Whether the next pass is a retry that the budget has to allow.
    pub(super) is_retry: bool,
}

/// The pass of a package that is under way.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) intent: IntentNumber,
    pub(super) package: PackageNumber,
    pub(super) to: ServerNumber,
    pub(super) asked: Vec<u16>,
}

impl AgentCore {
    pub(super) fn upload_due(&self) -> Timestamp {
        self.queue.iter().map(|entry| entry.due).min().unwrap_or(Timestamp::NEVER).max(self.hold_until)
    }

    /// A newer inventory or discovery lets the older ones of its stream go. The one being sent goes too: its answer is then nobody's.
    pub(super) fn supersede(&mut self, out: &mut impl Sink<AgentIntent>) {
        let is_old = |queue: &[Entry], old: Queued| {
            let newer = |entry: &Entry| entry.queued.stream == old.stream && entry.queued.package > old.package;
            matches!(old.kind, Kind::Inventories | Kind::Discovery) && queue.iter().any(newer)
        };
        let old: Vec<PackageNumber> = (self.queue.iter().map(|entry| entry.queued))
            .filter(|queued| is_old(&self.queue, *queued))
            .map(|queued| queued.package)
            .collect();
        for package in old {
            self.leave_queue(package);
            out.intend(AgentIntent::Delete { package, why: LetGo::Superseded });
        }
    }

    /// Whether it was still queued.
    pub(super) fn leave_queue(&mut self, package: PackageNumber) -> bool {
        let before = self.queue.len();
        self.queue.retain(|entry| entry.queued.package != package);
        if self.queue.is_empty() {
            // It is empty nearly always, and a million agents hold one each.
            self.queue = Vec::new();
        }
        self.queue.len() < before
    }

    /// Begins passes until one is under way or nothing is due.
    pub(super) fn send(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) {
        while self.pass.is_none() && now >= self.hold_until {
            let due = self.queue.iter().filter(|entry| entry.due <= now);
            let Some(entry) = due.min_by_key(|entry| (entry.due, entry.queued.package)).copied() else { return };
            let package = entry.queued.package;
            if entry.is_retry && !self.budget.spend() {
                self.leave_to_catch_up(now, package);
                continue;
            }
            self.change(package, |entry| entry.is_retry = false);
            self.attempt(now, package, Vec::new(), out);
        }
    }

    /// Asks the next server of a pass, or ends the pass when none is left.
    pub(super) fn attempt(
        &mut self,
        now: Timestamp,
        package: PackageNumber,
        mut asked: Vec<u16>,
        out: &mut impl Sink<AgentIntent>,
    ) {
        if let Some(to) = self.servers.next(now, &asked) {
            asked.push(to.0);
            self.servers.sent(to);
            let intent = out.intend(AgentIntent::Upload { package, to });
            self.pass = Some(Box::new(Pass { intent, package, to, asked }));
            return;
        }
        // The soonest moment at which a server may be asked again.
        let free = self.servers.free_at(now);
        if asked.is_empty() {
            self.change(package, |entry| entry.due = free);
            return;
        }
        let Some(entry) = self.queue.iter().find(|entry| entry.queued.package == package).copied() else { return };
        let tries = entry.tries.saturating_add(1);
        if tries >= TRIES_MAX {
            self.leave_to_catch_up(now, package);
            return;
        }
        let due = now.plus_ms(Backoff::AGENT.wait_ms(u32::from(entry.tries), &mut self.rng)).max(free);
        self.change(package, |entry| (entry.due, entry.tries, entry.is_retry) = (due, tries, true));
    }

    /// The next pass of `package` is the catch-up's, or takes its place a day later: no retry, whatever the budget holds.
    fn leave_to_catch_up(&mut self, now: Timestamp, package: PackageNumber) {
        let due = self.at_catch_up(now);
        self.change(package, |entry| (entry.due, entry.tries, entry.is_retry) = (due, 0, false));
    }

    /// The rules have changed: what was left to a catch-up that is no longer planned goes a day later.
    pub(super) fn follow_catch_up(&mut self, now: Timestamp) {
        let due = self.at_catch_up(now);
        for entry in self.queue.iter_mut().filter(|entry| entry.due == Timestamp::NEVER) {
            entry.due = due;
        }
    }

    /// When a package goes again whose tries are over: the catch-up says so itself. A schedule without one, or one that is
    /// switched off, must not leave it for ever.
    pub(super) fn at_catch_up(&self, now: Timestamp) -> Timestamp {
        let is_due =
            |(event, due): (&Event, Timestamp)| Task::of(event) == Some(Task::CatchUp) && due != Timestamp::NEVER;
        let is_planned = self.rules.configuration.is_catch_up_on && self.plan.planned().any(is_due);
        if is_planned { Timestamp::NEVER } else { now.plus_ms(DAY_MS) }
    }

    pub(super) fn change(&mut self, package: PackageNumber, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.queue.iter_mut().find(|entry| entry.queued.package == package) {
            change(entry);
        }
    }

    pub(super) fn uploaded(
        &mut self,
        now: Timestamp,
        intent: IntentNumber,
        verdict: Verdict,
        transfer: Option<(u64, i64)>,
        out: &mut impl Sink<AgentIntent>,
    ) {
        let Some(pass) = self.pass.take_if(|pass| pass.intent == intent) else { return };
        let Pass { package, to, asked, .. } = *pass;
        let is_fair = self.servers.answered(&self.rules, to, now, verdict, &mut self.rng);
        match verdict {
            Verdict::Delivered => {
                self.unidentified = 0;
                if let Some((bytes, ms)) = transfer {
                    self.servers.transferred(&self.rules, to, bytes, ms);
                }
                if self.leave_queue(package) {
                    out.intend(AgentIntent::Delete { package, why: LetGo::Delivered });
                }
                return;
            }
            Verdict::Refused if is_fair => {
                if self.leave_queue(package) {
                    out.intend(AgentIntent::Refuse(package));
                }
                return;
            }
            Verdict::Unidentified | Verdict::Revoked => {
                let (base_ms, cap_ms) = UNIDENTIFIED_MS;
                let backoff = Backoff { base_ms, cap_ms };
                let wait = backoff.wait_ms(u32::from(self.unidentified), &mut self.rng).clamp(base_ms, cap_ms);
                self.unidentified = self.unidentified.saturating_add(1);
                self.hold_until = now.plus_ms(if verdict == Verdict::Revoked { DAY_MS } else { wait });
                // No try of its own: all packages wait together.
                self.change(package, |entry| entry.due = now);
                return;
            }
            // Refused too often in a row: a fault of the link, not of the packages.
            Verdict::Refused | Verdict::Later { .. } | Verdict::Full | Verdict::Loop => {}
        }
        if to == NOBODY {
            // The list it went round is no longer in force: it goes round the new one, once that is in order.
            self.change(package, |entry| entry.due = now);
            return;
        }
        if self.queue.iter().any(|entry| entry.queued.package == package) {
            self.attempt(now, package, asked, out);
        }
    }
}
