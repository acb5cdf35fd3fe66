//! How an agent asks for policy: a question goes round the servers like a package, and comes again.
//!
//! Whatever schedule is in force, from one question to the next there are at most two days (or two periods of the agent's
//! own file, where those are longer): a policy whose schedule asks too rarely, or never, can be put right by the next.
//! While the policy in force lists no server, an agent asks again after 1, 4, 16, 64 and 256 minutes.

use super::rules::AgentRules;
use super::vocabulary::{AgentIntent, PolicyAnswer, ServerNumber};
use super::{APART_MS, AgentCore, MISSED_WITHIN_MS, NOBODY};
use crate::rng::RngStream;
use crate::roles::{IntentNumber, Sink};
use crate::time::{HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;

/// What a server that names no time is left alone for.
const BUSY_MS: i64 = MINUTE_MS;
/// Waits of an agent that nobody has a policy for. In migration mode that is so for weeks, so they grow to some hours.
const NO_POLICY: Backoff = Backoff { base_ms: 30 * SECOND_MS, cap_ms: 4 * HOUR_MS };

/// From one question to the next while the policy in force lists no server: 1, 4, 16, 64 and 256 minutes, and up to half as
/// much again. A policy is given out before its server has heard of any beacon, and the schedule asks only twice a day.
const UNLISTED_MS: [i64; 5] = [MINUTE_MS, 4 * MINUTE_MS, 16 * MINUTE_MS, 64 * MINUTE_MS, 256 * MINUTE_MS];

/// One question on its way round the servers.
#[derive(Clone, Debug, Default)]
struct Round {
    asked: Vec<u16>,
    /// Some server was busy.
    is_busy: bool,
    /// Some server had no policy for this agent, and said so.
    is_none_here: bool,
}

/// The question that is under way.
#[derive(Clone, Debug)]
struct Poll {
    intent: IntentNumber,
    to: ServerNumber,
    round: Round,
}

/// What an agent keeps of its questions.
#[derive(Clone, Debug)]
pub(super) struct Polling {
    poll: Option<Box<Poll>>,
    /// When to ask beside the schedule; `NEVER` for not.
    pub(super) due: Timestamp,
    /// When to ask at the latest, whatever the schedule says.
    latest: Timestamp,
    /// No sooner than this, whatever a schedule says.
    floor: Timestamp,
    failures: u8,
    /// Questions of this life that were answered while no server was listed.
    unlisted: u8,
    /// Without a policy an agent has not been told anything yet, also not that there is nothing for it.
    has_policy: bool,
}

impl Polling {
    /// At a start; `latest` is what an earlier life left.
    pub(super) fn begin(
        has_policy: bool,
        latest: Option<Timestamp>,
        rules: &AgentRules,
        now: Timestamp,
        rng: &mut RngStream,
    ) -> Polling {
        let within = now.plus_ms(rules.policy_within_ms);
        let latest = match latest {
            // The machine was off: after a power cut a whole site starts together.
            Some(latest) if latest <= now => now.plus_ms(rng.below(MISSED_WITHIN_MS)),
            // What a clock that was ahead has left is no moment to wait for.
            latest => latest.unwrap_or(within).min(within),
        };
        let due = if has_policy { Timestamp::NEVER } else { now };
        let floor = Timestamp(i64::MIN);
        let mut polling = Polling { poll: None, due, latest, floor, failures: 0, unlisted: 0, has_policy };
        if has_policy {
            polling.ask_while_unlisted(rules, now, rng);
        }
        polling
    }

    /// Asks sooner than the schedule as long as the policy in force lists no server; after some hours the schedule goes on
    /// alone: then there is none to list.
    fn ask_while_unlisted(&mut self, rules: &AgentRules, now: Timestamp, rng: &mut RngStream) {
        if rules.failover.is_some() {
            self.unlisted = 0;
            return;
        }
        let Some(wait) = UNLISTED_MS.get(usize::from(self.unlisted)) else { return };
        self.unlisted += 1;
        self.due = self.due.min(now.plus_ms(wait + rng.below(wait / 2 + 1)));
    }

    /// When the next question is put; `NEVER` while one is under way.
    pub(super) fn next_due(&self) -> Timestamp {
        if self.poll.is_some() { Timestamp::NEVER } else { self.planned() }
    }

    /// When the next question beside the schedule is planned.
    pub(super) fn planned(&self) -> Timestamp {
        self.due.min(self.latest)
    }

    /// The schedule asks.
    pub(super) fn ask_by_schedule(&mut self, now: Timestamp) {
        self.due = self.due.min(now.max(self.floor));
    }

    /// Other rules are in force. Gives the server that is being asked: its place means another one now.
    pub(super) fn follow(&mut self, rules: &AgentRules, now: Timestamp) -> Option<ServerNumber> {
        self.latest = self.latest.min(now.plus_ms(rules.policy_within_ms));
        let poll = self.poll.as_mut()?;
        poll.round = Round::default();
        Some(std::mem::replace(&mut poll.to, NOBODY))
    }

    /// The clock was set back by so many milliseconds.
    pub(super) fn step_back(&mut self, ms: i64) {
        for time in [&mut self.due, &mut self.latest, &mut self.floor] {
            if *time != Timestamp::NEVER {
                *time = time.plus_ms(-ms);
            }
        }
    }
}

impl AgentCore {
    /// When policy is asked for at the latest, to be remembered over a restart.
    pub fn policy_by(&self) -> Timestamp {
        self.polling.latest
    }

    /// Begins a question.
    pub(super) fn ask_policy(&mut self, now: Timestamp, out: &mut impl Sink<AgentIntent>) {
        self.polling.due = Timestamp::NEVER;
        self.polling.latest = now.plus_ms(self.rules.policy_within_ms);
        out.intend(AgentIntent::Remember);
        self.ask_next(now, Round::default(), out);
    }

    /// Asks the next server; when none is left the question waits.
    fn ask_next(&mut self, now: Timestamp, mut round: Round, out: &mut impl Sink<AgentIntent>) {
        let Some(to) = self.servers.next_for_policy(now, &round.asked) else {
            self.ask_policy_later(now, &round);
            return;
        };
        round.asked.push(to.0);
        self.servers.sent(to);
        let intent = out.intend(AgentIntent::AskPolicy(to));
        self.polling.poll = Some(Box::new(Poll { intent, to, round }));
        self.polling.floor = now.plus_ms(APART_MS);
    }

    fn ask_policy_later(&mut self, now: Timestamp, round: &Round) {
        let free = self.servers.free_for_policy_at(now);
        // Who is busy has said when it is not; a longer wait of our own would be no answer to that.
        let due = if round.is_busy || round.asked.is_empty() {
            let soonest = free.max(now.plus_ms(MINUTE_MS));
            soonest.plus_ms(self.rng.below(soonest.ms_since(now) / 2 + 1))
        } else {
            let backoff = if round.is_none_here { NO_POLICY } else { Backoff::AGENT };
            let wait = backoff.wait_ms(u32::from(self.polling.failures), &mut self.rng).max(MINUTE_MS);
            self.polling.failures = self.polling.failures.saturating_add(1);
            free.max(now.plus_ms(wait))
        };
        self.polling.due = self.polling.due.min(due);
    }

    pub(super) fn policy_answered(
        &mut self,
        now: Timestamp,
        intent: IntentNumber,
        answer: PolicyAnswer,
        out: &mut impl Sink<AgentIntent>,
    ) {
        let Some(poll) = self.polling.poll.take_if(|poll| poll.intent == intent) else { return };
        let Poll { to, mut round, .. } = *poll;
        // That a server tells its policy says nothing of whether it takes packages; nor does it when it has none to tell.
        let verdict = Verdict::Later { retry_after_ms: None, broken: answer == PolicyAnswer::Silent };
        self.servers.answered(&self.rules, to, now, verdict, &mut self.rng);
        match answer {
            PolicyAnswer::Taken => {
                (self.polling.failures, self.polling.has_policy) = (0, true);
                self.polling.ask_while_unlisted(&self.rules, now, &mut self.rng);
            }
            // In migration mode an agent that is no target keeps what it has.
            PolicyAnswer::NoneHere if self.polling.has_policy => self.polling.failures = 0,
            PolicyAnswer::NotTaken => self.ask_policy_later(now, &Round { asked: vec![to.0], ..Round::default() }),
            PolicyAnswer::Busy { retry_after_ms } => {
                self.servers.leave_policy(to, now.plus_ms(retry_after_ms.unwrap_or(BUSY_MS)));
                round.is_busy = true;
                self.go_on(now, to, round, out);
            }
            PolicyAnswer::NoneHere => {
                round.is_none_here = true;
                self.go_on(now, to, round, out);
            }
            PolicyAnswer::Silent => self.go_on(now, to, round, out),
        }
    }

    /// Asks the next server, unless the list that was gone round is no longer in force.
    fn go_on(&mut self, now: Timestamp, to: ServerNumber, round: Round, out: &mut impl Sink<AgentIntent>) {
        if to == NOBODY {
            let asked = Round { asked: vec![to.0], ..round };
            self.ask_policy_later(now, &asked);
        } else {
            self.ask_next(now, round, out);
        }
    }
}
