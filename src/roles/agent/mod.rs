//! The agent's decisions: when to ask for policy, when to collect, what to upload where.
//!
//! What is done when stands in the schedule: that of the policy, or one made of the agent's own file until there is a
//! policy. A try is one pass over the ordered servers, one attempt at each, beginning with the one that took the last
//! package. A package gets three tries by full jitter, then waits for the daily catch-up or the next start. A newer
//! inventory or discovery of a stream supersedes the queued one, but only after it is published. One package is sent at a time.
//!
//! Source: delivery contract, sections 2 and 5; Adopted: Normal Operation, steps 2, 3, 5 and 7.

mod choice;
mod polling;
mod resend;
mod rules;
mod sending;
mod surroundings;
mod vocabulary;

use std::sync::Arc;

pub use choice::{Denied, Listed, PASS_MAX, ServerChoice};
pub use resend::{Resend, resend};
pub use rules::{AgentRules, AgentServer, AgentSettings, SERVERS_MAX, Task};
pub use surroundings::Surroundings;
pub use vocabulary::*;

use polling::Polling;
use sending::{Entry, Pass};

use super::{Core, Sink};
use crate::rng::RngStream;
use crate::schedule::{Happening, Plan, Ran};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use crate::upload::backoff::{Backoff, CLOCK_STEP_MS, RetryBudget};

/// What was missed while the machine was off, or was lost, is collected within this time.
const MISSED_WITHIN_MS: i64 = HOUR_MS;
/// What is asked for again is collected within this time: who asks spreads it already, by the moments of the policy questions.
const ASKED_WITHIN_MS: i64 = MINUTE_MS;
/// From one collection that was asked for to the next there is at least this much: who asks has no identity yet.
const ASKED_APART_MS: i64 = DAY_MS;
/// From one policy question or collection to the next there is at least this much, whatever a schedule says: a policy is
/// not signed yet.
const APART_MS: i64 = MINUTE_MS;

/// See the module's head.
pub struct AgentCore {
    rules: Arc<AgentRules>,
    rng: RngStream,
    plan: Plan,
    servers: ServerChoice,
    queue: Vec<Entry>,
    pass: Option<Box<Pass>>,
    polling: Polling,
    budget: RetryBudget,
    /// When to collect beside the schedule: at a first start, after a failure. `NEVER` for not.
    collect_due: Timestamp,
    /// Nothing is sent before this: the identity was not accepted.
    hold_until: Timestamp,
    /// The latest time this core was told.
    seen: Timestamp,
    unidentified: u8,
    collect_failures: u8,
    is_collecting: bool,
    /// No collection sooner than this, whatever a schedule says.
    collect_floor: Timestamp,
    /// A collection that is asked for is not begun before this.
    asked_floor: Timestamp,
    /// What the plan decided at the start is not remembered yet.
    is_fresh: bool,
}

impl Core for AgentCore {
    type Durable = AgentDurable;
    type Input = AgentInput;
    type Intent = AgentIntent;

    fn recover(durable: AgentDurable, mut rng: RngStream, now: Timestamp) -> AgentCore {
        let AgentDurable { settings, rules, has_policy, agent, device, mut queued, last_collected, .. } = durable;
        let AgentDurable { ran, policy_by, measures, is_heard, .. } = durable;
        assert!((1..=SERVERS_MAX).contains(&rules.servers.len()), "an agent has 1 to {SERVERS_MAX} servers");
        queued.sort_by_key(|queued| queued.package);
        let fresh = |queued| Entry { queued, due: now, tries: 0, is_retry: false };
        let mut plan = Plan::begin(rules.timetable.clone(), agent, &ran, now);
        // Missed while the machine was off: after a power cut a whole site starts together.
        let is_missed = plan.planned().any(|(event, due)| due <= now && Task::of(event) == Some(Task::Collect));
        let collect_floor = if is_missed { now.plus_ms(rng.below(MISSED_WITHIN_MS)) } else { Timestamp(i64::MIN) };
        plan.happened(Happening::OnStartup, now);
        let collect_due = match last_collected {
            _ if settings.collect_at_start => now,
            None => now,
            // All that was published was refused, or lost: the server does not know this host, and waits for no schedule.
            Some(_) if !is_heard && queued.iter().all(Queued::is_beside) => now,
            // Missed while the machine was off. A schedule of the policy says itself what becomes of that.
            Some(last) if !has_policy && now.ms_since(last) >= settings.inventory_every_ms => {
                now.plus_ms(rng.below(MISSED_WITHIN_MS))
            }
            // One that was begun and not published before the end of the last life.
            Some(last) if ran.iter().any(|ran| is_collection(&rules, ran) && ran.occurrence > last) => {
                now.plus_ms(rng.below(MISSED_WITHIN_MS))
            }
            Some(_) => Timestamp::NEVER,
        };
        let servers = ServerChoice::new(&rules, device, measures, now, &mut rng);
        let polling = Polling::begin(has_policy, policy_by, &rules, now, &mut rng);
        AgentCore {
            servers,
            queue: queued.into_iter().map(fresh).collect(),
            rules,
            rng,
            plan,
            pass: None,
            polling,
            budget: RetryBudget::default(),
            collect_due,
            hold_until: Timestamp(i64::MIN),
            seen: now,
            unidentified: 0,
            collect_failures: 0,
            is_collecting: false,
            collect_floor,
            asked_floor: Timestamp(i64::MIN),
            is_fresh: true,
        }
    }

    fn next_due(&self) -> Timestamp {
        let collect = if self.is_collecting { Timestamp::NEVER } else { self.collect_due };
        let (policy, upload) = match self.servers.is_measuring() {
            true => (Timestamp::NEVER, Timestamp::NEVER),
            false => (self.polling.next_due(), if self.pass.is_some() { Timestamp::NEVER } else { self.upload_due() }),
        };
        collect.min(policy).min(upload).min(self.plan.next_due())
    }

    fn fingerprint(&self) -> u64 {
        self.rng.fingerprint()
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) {
        self.follow_clock(now);
        self.advance(now, out);
    }

    fn on(&mut self, now: Timestamp, input: AgentInput, out: &mut impl Sink<AgentIntent>) {
        self.follow_clock(now);
        match input {
            AgentInput::Published(queued) => {
                // The meter publishes whenever it likes, and so does the log: that ends no collection.
                if queued.is_empty() || !queued.iter().all(Queued::is_beside) {
                    (self.is_collecting, self.collect_failures) = (false, 0);
                }
                self.enqueue(now, queued);
            }
            AgentInput::Requeued(queued) => self.queue_up(now, queued),
            AgentInput::CollectionAsked => {
                if now >= self.asked_floor {
                    self.asked_floor = now.plus_ms(ASKED_APART_MS);
                    self.collect_due = self.collect_due.min(now.plus_ms(self.rng.below(ASKED_WITHIN_MS)));
                }
            }
            AgentInput::CollectionFailed { published } => {
                self.enqueue(now, published);
                self.is_collecting = false;
                let wait = Backoff::AGENT.wait_ms(u32::from(self.collect_failures), &mut self.rng).max(MINUTE_MS);
                self.collect_failures = self.collect_failures.saturating_add(1);
                self.collect_due = self.collect_due.min(now.plus_ms(wait));
            }
            AgentInput::Uploaded { intent, verdict, transfer } => self.uploaded(now, intent, verdict, transfer, out),
            AgentInput::Unsendable { intent } => {
                let Some(pass) = self.pass.take_if(|pass| pass.intent == intent) else { return };
                self.servers.abandoned(pass.to);
                let entry = self.queue.iter().find(|entry| entry.queued.package == pass.package);
                let is_collected = entry.is_some_and(|entry| !entry.queued.is_beside());
                if self.leave_queue(pass.package) {
                    out.intend(AgentIntent::SetAside(pass.package));
                    if is_collected {
                        // What it said is lost; the host can still be asked.
                        self.collect_soon(now);
                    }
                }
            }
            AgentInput::PolicyAnswered { intent, answer } => self.policy_answered(now, intent, answer, out),
            AgentInput::Happened(happening) => self.plan.happened(happening, now),
            AgentInput::RulesChanged(rules) => self.follow_rules(now, rules, out),
            AgentInput::DeviceSeen(device) => self.servers.see(device),
            AgentInput::Measured { intent, probes } => {
                self.servers.measured(&self.rules, intent, probes);
                out.intend(AgentIntent::Remember);
            }
        }
        self.advance(now, out);
    }
}

impl AgentCore {
    /// Packages that are queued or under way.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What it goes by.
    pub fn rules(&self) -> &Arc<AgentRules> {
        &self.rules
    }

    /// How it chooses servers.
    pub fn servers(&self) -> &ServerChoice {
        &self.servers
    }

    /// The last run of each event, to be remembered over a restart.
    pub fn ran(&self) -> Vec<Ran> {
        self.plan.memory().collect()
    }

    /// What is planned, for the operator.
    pub fn plan(&self, now: Timestamp) -> AgentPlan {
        let of = |task, beside: Timestamp| {
            let planned = self.plan.planned().filter(|(event, _)| Task::of(event) == Some(task));
            planned.map(|(_, due)| due).min().unwrap_or(Timestamp::NEVER).min(beside)
        };
        AgentPlan {
            collect: of(Task::Collect, self.collect_due),
            policy: of(Task::AskPolicy, self.polling.planned()),
            catch_up: of(Task::CatchUp, Timestamp::NEVER),
            upload: self.upload_due(),
            server: self.servers.first(now),
            events: self.plan.planned().map(|(event, due)| (event.name.clone(), due)).collect(),
        }
    }

    fn enqueue(&mut self, now: Timestamp, published: Vec<Queued>) {
        published.iter().for_each(|_| self.budget.first_send());
        self.queue_up(now, published);
    }

    /// What is sent again is nothing new: it earns no retries.
    fn queue_up(&mut self, now: Timestamp, queued: Vec<Queued>) {
        self.queue.reserve_exact(queued.len());
        self.queue.extend(queued.into_iter().map(|queued| Entry { queued, due: now, tries: 0, is_retry: false }));
    }

    /// Does what has become due, as far as nothing of its kind is under way.
    fn advance(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) {
        self.supersede(out);
        let due = self.plan.take(now);
        for due in &due {
            match self.plan.timetable().events().get(due.index).and_then(Task::of) {
                Some(Task::Collect) => self.collect_due = self.collect_due.min(now.max(self.collect_floor)),
                Some(Task::AskPolicy) => self.polling.ask_by_schedule(now),
                Some(Task::CatchUp) if self.rules.configuration.is_catch_up_on => self.catch_up(now),
                Some(Task::CatchUp) | None => {}
            }
        }
        if std::mem::take(&mut self.is_fresh) || !due.is_empty() {
            out.intend(AgentIntent::Remember);
        }
        let wants_policy = now >= self.polling.next_due();
        let wants_upload = self.pass.is_none() && self.upload_due() <= now;
        if (wants_policy || wants_upload) && self.is_ready(now, out) {
            if wants_policy {
                self.ask_policy(now, out);
            }
            self.send(now, out);
        }
        if now >= self.collect_due && !self.is_collecting {
            (self.is_collecting, self.collect_due) = (true, Timestamp::NEVER);
            self.collect_floor = now.plus_ms(APART_MS);
            out.intend(AgentIntent::Collect);
            // The rhythm of collections is spread over the fleet, and a host that fails to collect tells why.
            if self.rules.configuration.are_logs_uploaded {
                out.intend(AgentIntent::PublishLog);
            }
        }
    }

    /// Whether the servers are in order; when measurements are missing they are asked for.
    fn is_ready(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) -> bool {
        match self.servers.ready(&self.rules, now, &mut self.rng) {
            Some(missing) if missing.is_empty() => true,
            Some(missing) => {
                let intent = out.intend(AgentIntent::Measure(missing));
                self.servers.measures_by(intent);
                false
            }
            None => false,
        }
    }

    fn follow_rules(&mut self, now: Timestamp, rules: Arc<AgentRules>, out: &mut impl Sink<AgentIntent>) {
        // Places mean other servers now. What is under way ends by its number, and tells nothing of a server.
        if let Some(pass) = &mut self.pass {
            self.servers.abandoned(pass.to);
            (pass.to, pass.asked) = (NOBODY, Vec::new());
        }
        if let Some(asked) = self.polling.follow(&rules, now) {
            self.servers.abandoned(asked);
        }
        self.servers.follow(&self.rules, &rules, now);
        self.plan.replace(rules.timetable.clone(), now);
        self.rules = rules;
        self.follow_catch_up(now);
        out.intend(AgentIntent::Remember);
    }

    fn collect_soon(&mut self, now: Timestamp) {
        let soon = now.plus_ms(self.rng.below(MISSED_WITHIN_MS));
        self.collect_due = self.collect_due.min(soon);
    }

    fn catch_up(&mut self, now: Timestamp) {
        for entry in &mut self.queue {
            (entry.due, entry.tries, entry.is_retry) = (now, 0, false);
        }
    }

    /// A clock that was set back takes what is planned with it, so that nothing waits for a time that is far away again.
    /// The schedule's own plan follows by itself.
    fn follow_clock(&mut self, now: Timestamp) {
        let step = self.seen.ms_since(now);
        if step > CLOCK_STEP_MS {
            let back = |due: &mut Timestamp| {
                if *due != Timestamp::NEVER {
                    *due = due.plus_ms(-step);
                }
            };
            self.queue.iter_mut().for_each(|entry| back(&mut entry.due));
            let times = [&mut self.collect_due, &mut self.hold_until];
            times.into_iter().chain([&mut self.collect_floor, &mut self.asked_floor]).for_each(back);
            self.polling.step_back(step);
            self.servers.step_back(step);
            self.seen = now;
        }
        self.seen = self.seen.max(now);
    }
}

fn is_collection(rules: &AgentRules, ran: &Ran) -> bool {
    let event = rules.timetable.events().iter().find(|event| event.id == ran.event);
    event.and_then(Task::of) == Some(Task::Collect)
}

/// Stands for a server of a list that is no longer in force.
const NOBODY: ServerNumber = ServerNumber(u16::MAX);

#[cfg(test)]
mod tests;
