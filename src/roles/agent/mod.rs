//! The agent's decisions: when to ask for policy, when to collect, what to upload where.
//!
//! A try is one pass over the ordered servers, one attempt at each, beginning with the one that took the last package.
//! A package gets three tries by full jitter, then waits for the daily catch-up or the next start. A newer inventory of
//! a stream supersedes the queued one, but only after it is published. One package is sent at a time.
//!
//! Source: delivery contract, sections 2 and 5.

mod moments;
mod vocabulary;

use std::sync::Arc;

pub use vocabulary::*;

use moments::{next_in_window, next_inventory};

use super::{Core, IntentNumber, Sink};
use crate::config::agent::SERVERS_MAX;
use crate::model::package::Kind;
use crate::rng::RngStream;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::{Backoff, CLOCK_STEP_MS, RetryBudget};

/// Passes over the servers until a package waits for the catch-up.
const TRIES_MAX: u8 = 3;
/// Final refusals in a row after which the link to a server, not the packages, is at fault.
const REFUSALS_MAX: u8 = 5;
/// The catch-up has its own random minute in a window of this length, once a day.
const CATCH_UP_WINDOW_MS: i64 = HOUR_MS;
/// After so long at another server, the first is asked again; as much again is jitter.
const RETURN_AFTER_MS: i64 = 10 * MINUTE_MS;
/// An identity that is not accepted waits between these.
const UNIDENTIFIED_MS: (i64, i64) = (5 * MINUTE_MS, 6 * HOUR_MS);
/// An inventory that was missed while the machine was off is collected within this time.
const MISSED_WITHIN_MS: i64 = HOUR_MS;
#[derive(Clone, Copy, Debug)]
struct Entry {
    queued: Queued,
    due: Timestamp,
    /// Passes that failed since the last catch-up.
    tries: u8,
    /// Whether the next pass is a retry that the budget has to allow.
    is_retry: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServerState {
    /// It asked to be left alone until then.
    busy_until: Timestamp,
    /// Final refusals in a row.
    refusals: u8,
}

/// The pass under way.
#[derive(Clone, Copy, Debug)]
struct Pass {
    intent: IntentNumber,
    package: PackageNumber,
    to: ServerNumber,
    /// One bit for each server that was asked: that is why there are at most [`SERVERS_MAX`].
    asked: u64,
}

/// See the module's head.
pub struct AgentCore {
    settings: Arc<AgentSettings>,
    rng: RngStream,
    queue: Vec<Entry>,
    servers: Vec<ServerState>,
    pass: Option<Pass>,
    budget: RetryBudget,
    /// The server that took the last package.
    current: ServerNumber,
    /// From then on the first server is asked first again.
    return_at: Timestamp,
    /// The minute of each period at which this host is collected.
    inventory_minute: u32,
    collect_due: Timestamp,
    policy_due: Timestamp,
    /// The next period's question; one that failed is asked again before it.
    policy_planned: Timestamp,
    /// Where the present policy period ends.
    policy_period_end: Timestamp,
    catch_up_due: Timestamp,
    /// Nothing is sent before this: the identity was not accepted.
    hold_until: Timestamp,
    /// The latest time this core was told.
    seen: Timestamp,
    unidentified: u8,
    policy_failures: u8,
    collect_failures: u8,
    is_collecting: bool,
    is_asking: bool,
}

impl Core for AgentCore {
    type Durable = AgentDurable;
    type Input = AgentInput;
    type Intent = AgentIntent;

    fn recover(durable: AgentDurable, mut rng: RngStream, now: Timestamp) -> AgentCore {
        let AgentDurable { settings, mut queued, last_collected } = durable;
        assert!((1..=SERVERS_MAX).contains(&settings.servers), "an agent has 1 to {SERVERS_MAX} servers");
        queued.sort_by_key(|queued| queued.package);
        let fresh = |queued| Entry { queued, due: now, tries: 0, is_retry: false };
        let inventory_minute = rng.below(settings.inventory_every_ms.max(MINUTE_MS) / MINUTE_MS) as u32;
        let collect_due = match last_collected {
            _ if settings.collect_at_start => now,
            None => now,
            // Missed while the machine was off.
            Some(last) if now.ms_since(last) >= settings.inventory_every_ms => now.plus_ms(rng.below(MISSED_WITHIN_MS)),
            Some(_) => next_inventory(&settings, inventory_minute, now),
        };
        let catch_up_due = next_in_window(&settings, now, &mut rng);
        AgentCore {
            servers: vec![ServerState::default(); settings.servers],
            queue: queued.into_iter().map(fresh).collect(),
            policy_period_end: now.plus_ms(settings.policy_every_ms),
            settings,
            rng,
            pass: None,
            budget: RetryBudget::default(),
            current: ServerNumber(0),
            return_at: Timestamp::NEVER,
            inventory_minute,
            collect_due,
            policy_due: now,
            policy_planned: now,
            catch_up_due,
            hold_until: Timestamp(i64::MIN),
            seen: now,
            unidentified: 0,
            policy_failures: 0,
            collect_failures: 0,
            is_collecting: false,
            is_asking: false,
        }
    }

    fn next_due(&self) -> Timestamp {
        let collect = if self.is_collecting { Timestamp::NEVER } else { self.collect_due };
        let policy = if self.is_asking { Timestamp::NEVER } else { self.policy_due };
        let upload = if self.pass.is_some() { Timestamp::NEVER } else { self.upload_due() };
        collect.min(policy).min(upload).min(self.catch_up_due)
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) {
        self.follow_clock(now);
        if now >= self.policy_due && !self.is_asking {
            self.is_asking = true;
            // The moment within the next period is drawn now: the answer, whenever it comes, moves nothing.
            if now >= self.policy_planned {
                let (end, every) = (self.policy_period_end.max(now), self.settings.policy_every_ms);
                (self.policy_planned, self.policy_period_end) =
                    (end.plus_ms(self.rng.below(every)), end.plus_ms(every));
            }
            self.policy_due = self.policy_planned;
            out.intend(AgentIntent::AskPolicy(self.first_server(now)));
        }
        if now >= self.collect_due && !self.is_collecting {
            self.is_collecting = true;
            self.collect_due = next_inventory(&self.settings, self.inventory_minute, now);
            out.intend(AgentIntent::Collect);
        }
        if now >= self.catch_up_due {
            self.catch_up_due = next_in_window(&self.settings, now, &mut self.rng);
            for entry in &mut self.queue {
                (entry.due, entry.tries, entry.is_retry) = (now, 0, false);
            }
        }
        self.supersede(out);
        self.send(now, out);
    }

    fn on(&mut self, now: Timestamp, input: AgentInput, out: &mut impl Sink<AgentIntent>) {
        self.follow_clock(now);
        match input {
            AgentInput::Published(queued) => {
                (self.is_collecting, self.collect_failures) = (false, 0);
                self.budget.first_send();
                self.queue.push(Entry { queued, due: now, tries: 0, is_retry: false });
                self.supersede(out);
            }
            AgentInput::CollectionFailed => {
                self.is_collecting = false;
                let wait = Backoff::AGENT.wait_ms(u32::from(self.collect_failures), &mut self.rng).max(MINUTE_MS);
                self.collect_failures = self.collect_failures.saturating_add(1);
                self.collect_due = self.collect_due.min(now.plus_ms(wait));
            }
            AgentInput::Uploaded { intent, verdict } => self.uploaded(now, intent, verdict, out),
            AgentInput::Unsendable { intent } => {
                let Some(pass) = self.pass.take_if(|pass| pass.intent == intent) else { return };
                if self.leave_queue(pass.package) {
                    out.intend(AgentIntent::SetAside(pass.package));
                    // What it said is lost; the host can still be asked.
                    let soon = now.plus_ms(self.rng.below(MISSED_WITHIN_MS));
                    self.collect_due = self.collect_due.min(soon);
                }
            }
            AgentInput::PolicyAnswered { answered: true } => (self.is_asking, self.policy_failures) = (false, 0),
            AgentInput::PolicyAnswered { answered: false } => {
                self.is_asking = false;
                let wait = Backoff::AGENT.wait_ms(u32::from(self.policy_failures), &mut self.rng).max(MINUTE_MS);
                self.policy_failures = self.policy_failures.saturating_add(1);
                self.policy_due = self.policy_due.min(now.plus_ms(wait));
            }
        }
        self.send(now, out);
    }
}

impl AgentCore {
    /// Packages that are queued or under way.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What is planned, for the operator.
    pub fn plan(&self, now: Timestamp) -> Plan {
        Plan {
            collect: self.collect_due,
            policy: self.policy_due,
            catch_up: self.catch_up_due,
            upload: self.upload_due(),
            server: self.first_server(now),
        }
    }

    fn upload_due(&self) -> Timestamp {
        self.queue.iter().map(|entry| entry.due).min().unwrap_or(Timestamp::NEVER).max(self.hold_until)
    }

    fn first_server(&self, now: Timestamp) -> ServerNumber {
        if now >= self.return_at { ServerNumber(0) } else { self.current }
    }

    /// A newer inventory lets the older ones of its stream go. The one being sent goes too: its answer is then nobody's.
    fn supersede(&mut self, out: &mut impl Sink<AgentIntent>) {
        let is_old = |queue: &[Entry], old: Queued| {
            let newer = |entry: &Entry| entry.queued.stream == old.stream && entry.queued.package > old.package;
            old.kind == Kind::Inventories && queue.iter().any(newer)
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
    fn leave_queue(&mut self, package: PackageNumber) -> bool {
        let before = self.queue.len();
        self.queue.retain(|entry| entry.queued.package != package);
        self.queue.len() < before
    }

    /// Begins passes until one is under way or nothing is due.
    fn send(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) {
        while self.pass.is_none() && now >= self.hold_until {
            let due = self.queue.iter().filter(|entry| entry.due <= now);
            let Some(entry) = due.min_by_key(|entry| (entry.due, entry.queued.package)).copied() else { return };
            let package = entry.queued.package;
            if entry.is_retry && !self.budget.spend() {
                self.change(package, |entry| entry.due = Timestamp::NEVER);
                continue;
            }
            self.change(package, |entry| entry.is_retry = false);
            self.attempt(now, package, 0, out);
        }
    }

    /// Asks the next server of a pass, or ends the pass when none is left.
    fn attempt(&mut self, now: Timestamp, package: PackageNumber, asked: u64, out: &mut impl Sink<AgentIntent>) {
        let first = usize::from(self.first_server(now).0);
        let count = self.servers.len();
        let order = std::iter::once(first).chain((0..count).filter(|server| *server != first));
        let is_open = |server: &usize| asked & (1 << *server) == 0 && now >= self.servers[*server].busy_until;
        if let Some(server) = order.into_iter().find(is_open) {
            let to = ServerNumber(server as u8);
            let intent = out.intend(AgentIntent::Upload { package, to });
            self.pass = Some(Pass { intent, package, to, asked: asked | 1 << server });
            return;
        }
        self.pass = None;
        // The soonest moment at which a server may be asked that did ask for time.
        let free = self.servers.iter().map(|server| server.busy_until).min().unwrap_or(now);
        if asked == 0 {
            self.change(package, |entry| entry.due = free);
            return;
        }
        let Some(entry) = self.queue.iter().find(|entry| entry.queued.package == package).copied() else { return };
        let tries = entry.tries.saturating_add(1);
        let due = if tries < TRIES_MAX {
            now.plus_ms(Backoff::AGENT.wait_ms(u32::from(entry.tries), &mut self.rng)).max(free)
        } else {
            Timestamp::NEVER
        };
        self.change(package, |entry| (entry.due, entry.tries, entry.is_retry) = (due, tries, true));
    }

    fn change(&mut self, package: PackageNumber, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.queue.iter_mut().find(|entry| entry.queued.package == package) {
            change(entry);
        }
    }

    fn uploaded(&mut self, now: Timestamp, intent: IntentNumber, verdict: Verdict, out: &mut impl Sink<AgentIntent>) {
        let Some(pass) = self.pass.take_if(|pass| pass.intent == intent) else { return };
        let Pass { package, to, asked, .. } = pass;
        let is_queued = self.queue.iter().any(|entry| entry.queued.package == package);
        let server = &mut self.servers[usize::from(to.0)];
        match verdict {
            Verdict::Delivered => {
                *server = ServerState::default();
                self.unidentified = 0;
                if self.current != to || now >= self.return_at {
                    self.return_at = match to.0 {
                        0 => Timestamp::NEVER,
                        _ => now.plus_ms(RETURN_AFTER_MS + self.rng.below(RETURN_AFTER_MS)),
                    };
                    self.current = to;
                }
                if self.leave_queue(package) {
                    out.intend(AgentIntent::Delete { package, why: LetGo::Delivered });
                }
                return;
            }
            Verdict::Refused => {
                server.refusals = server.refusals.saturating_add(1);
                if server.refusals < REFUSALS_MAX {
                    if self.leave_queue(package) {
                        out.intend(AgentIntent::Refuse(package));
                    }
                    return;
                }
                // A fault of the link, not of the packages: this server counts as down until it takes something.
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
            Verdict::Later { retry_after_ms, .. } => {
                server.busy_until = retry_after_ms.map_or(server.busy_until, |ms| now.plus_ms(ms));
            }
            Verdict::Full | Verdict::Loop => {}
        }
        if is_queued {
            self.attempt(now, package, asked, out);
        }
    }

    /// A clock that was set back takes the plan with it, so that nothing waits for a time that is far away again.
    fn follow_clock(&mut self, now: Timestamp) {
        let step = self.seen.ms_since(now);
        if step > CLOCK_STEP_MS {
            let back = |due: &mut Timestamp| {
                if *due != Timestamp::NEVER {
                    *due = due.plus_ms(-step);
                }
            };
            self.queue.iter_mut().for_each(|entry| back(&mut entry.due));
            self.servers.iter_mut().for_each(|server| back(&mut server.busy_until));
            for due in [
                &mut self.return_at,
                &mut self.collect_due,
                &mut self.policy_due,
                &mut self.policy_planned,
                &mut self.policy_period_end,
                &mut self.catch_up_due,
                &mut self.hold_until,
            ] {
                back(due);
            }
            self.seen = now;
        }
        self.seen = self.seen.max(now);
    }
}

#[cfg(test)]
mod tests;
