//! Which server an agent asks: the order of its list, the one it stays with, and whether each may be asked at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rules::{AgentRules, AgentServer, SERVERS_MAX};
use super::vocabulary::ServerNumber;
use crate::id::Guid;
use crate::rng::RngStream;
use crate::roles::IntentNumber;
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;
use crate::upload::selector::{Circuit, Device, Health, Measures, Order, Probe, Reason, Sticky, order, to_measure};

/// Servers that one pass asks at most: of a list of hundreds the nearest are tried, not all of them.
pub const PASS_MAX: usize = 16;
/// Waits of an agent's circuit breaker.
const BREAKER: Backoff = Backoff::BEACON;

/// What is known of one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    health: Health,
    /// It asked to be left alone until then.
    busy_until: Timestamp,
    /// It has nothing to say to a question for policy until then; packages it may take all the same.
    no_policy_until: Timestamp,
    /// Its last word on a package was that this agent is nobody, or no longer somebody.
    denied: Option<Denied>,
}

/// How a server denies an agent's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It does not know it, 401.
    Unidentified,
    /// It is revoked, 403.
    Revoked,
}

/// A server, for the operator.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'c> {
    /// The server.
    pub server: &'c AgentServer,
    /// Why it stands where it stands; `None` for a configured one, and as long as the list is not ordered.
    pub reason: Option<&'c Reason>,
    /// Whether the policy's list names it.
    pub is_of_policy: bool,
    /// Whether it may be asked now.
    pub is_open: bool,
    /// How it denied this agent's identity, when that was its last word.
    pub denied: Option<Denied>,
}

/// See the module's head.
#[derive(Debug)]
pub struct ServerChoice {
    device: Arc<Device>,
    measures: Measures,
    /// By place; empty while nothing is known of any that a new one would not have.
    known: Vec<Known>,
    sticky: Sticky,
    /// The last order of the policy's list, for the operator.
    order: Option<Arc<Order>>,
    /// The measurements under way.
    measuring: Option<IntentNumber>,
    /// The server that took the last package of this life; nobody else is kept to when the order changes.
    taken_by: Option<Guid>,
    /// What MgsRandom draws from: the agent's own, and the same each time, so that an agent is moved by what was measured
    /// and not by chance.
    draw: u64,
}

impl ServerChoice {
    /// Begins with the servers of `rules` in the order of the list.
    pub fn new(
        rules: &AgentRules,
        device: Arc<Device>,
        measures: Measures,
        now: Timestamp,
        rng: &mut RngStream,
    ) -> ServerChoice {
        // A number that no list has: the first look orders it.
        let number = rules.number.wrapping_sub(1);
        let sticky = Sticky::new(rules.unordered.clone(), number, now).expect("rules name a server");
        let known = Vec::new();
        ServerChoice { device, measures, known, sticky, order: None, measuring: None, taken_by: None, draw: rng.bits() }
    }

    /// Goes on with another list; what is known of a server that is in both stays. Places mean other servers from now on:
    /// nothing is sent before the list is ordered.
    pub fn follow(&mut self, before: &AgentRules, rules: &AgentRules, now: Timestamp) {
        let number = rules.number.wrapping_sub(1);
        self.sticky = Sticky::new(rules.unordered.clone(), number, now).expect("rules name a server");
        self.order = None;
        let place = |id: Guid| before.servers.iter().position(|server| server.id == id);
        let known = |id| place(id).and_then(|place| self.known.get(place)).copied().unwrap_or_default();
        if !self.known.is_empty() {
            self.known = rules.servers.iter().map(|server| known(server.id)).collect();
        }
        if let Some(list) = &rules.failover {
            self.measures.keep_only(&list.uploads);
        }
        self.measuring = None;
    }

    /// Takes what is known of this host now. One that has moved to another network chooses anew, and what was measured
    /// from the old one tells nothing.
    pub fn see(&mut self, device: Arc<Device>) {
        if *device != *self.device {
            self.device = device;
            self.measures.forget_probes();
            self.order = None;
            self.sticky.failed(self.sticky.chosen());
        }
    }

    /// Servers that have to be measured before the next transfer. Empty when it may begin: then the list is ordered.
    /// `None` while measurements are under way.
    pub fn ready(&mut self, rules: &AgentRules, now: Timestamp, rng: &mut RngStream) -> Option<Vec<ServerNumber>> {
        if self.measuring.is_some() {
            return None;
        }
        if self.sticky.reorder(now, rules.number).is_none() {
            return Some(Vec::new());
        }
        if let Some(list) = &rules.failover {
            let wanted = to_measure(list, &list.uploads, &self.measures, now);
            let places = wanted.iter().filter_map(|id| list.uploads.iter().position(|server| server.id == *id));
            let places: Vec<ServerNumber> = places.map(|place| ServerNumber(place as u16)).collect();
            if !places.is_empty() {
                return Some(places);
            }
        }
        self.reorder(rules, now, rng);
        Some(Vec::new())
    }

    /// Measurements were begun.
    pub fn measures_by(&mut self, intent: IntentNumber) {
        self.measuring = Some(intent);
    }

    /// Measurements came back; those of a list that is no longer in force tell nothing.
    pub fn measured(&mut self, rules: &AgentRules, intent: IntentNumber, probes: Vec<(ServerNumber, Probe)>) {
        if self.measuring.take_if(|measuring| *measuring == intent).is_none() {
            return;
        }
        for (place, probe) in probes {
            if let Some(server) = rules.servers.get(usize::from(place.0)) {
                self.measures.probed(server.id, probe);
            }
        }
    }

    fn reorder(&mut self, rules: &AgentRules, now: Timestamp, rng: &mut RngStream) {
        let ordered = match &rules.fixed {
            Some(fixed) => Some(fixed.order.clone()),
            None => rules.failover.as_ref().and_then(|list| {
                let mut stream = RngStream::new(self.draw, 0, 0);
                order(list, &list.uploads, &self.device, &self.measures, &mut stream).ok().map(Arc::new)
            }),
        };
        if ordered.is_none() && self.order.is_some() {
            // All of the list are foreign now and discarded; the order of this list and this network is the better guess.
            self.sticky.kept(rules.number, now);
            return;
        }
        let places: Arc<[u16]> = match &rules.fixed {
            Some(fixed) => fixed.places.clone(),
            None => {
                let listed = ordered.iter().flat_map(|order| order.choices.iter().map(|choice| choice.server));
                listed.chain(rules.bootstrap()).collect()
            }
        };
        let keep = rules.servers.iter().position(|server| Some(server.id) == self.taken_by).map(|place| place as u16);
        // A configured one is the last resort as soon as there is a list, also the one that the list came from.
        let keep = keep.filter(|place| ordered.is_none() || rules.bootstrap().all(|last| last != *place));
        if places.is_empty() {
            // All of them foreign and discarded: the list as it stands is better than none.
            self.sticky.reordered(rules.unordered.clone(), rules.number, keep, now, rng);
        } else {
            self.sticky.reordered(places, rules.number, keep, now, rng);
        }
        self.order = ordered;
    }

    /// The next server of a pass that has asked `asked`; `None` when the pass is over.
    pub fn next(&self, now: Timestamp, asked: &[u16]) -> Option<ServerNumber> {
        self.next_of(now, asked, |known| now >= known.busy_until)
    }

    /// The same for a question for policy.
    pub fn next_for_policy(&self, now: Timestamp, asked: &[u16]) -> Option<ServerNumber> {
        self.next_of(now, asked, |known| now >= known.busy_until.max(known.no_policy_until))
    }

    fn next_of(&self, now: Timestamp, asked: &[u16], is_free: impl Fn(&Known) -> bool) -> Option<ServerNumber> {
        if asked.len() >= PASS_MAX {
            return None;
        }
        let may = |place: &u16| {
            let known = self.known.get(usize::from(*place)).copied().unwrap_or_default();
            !asked.contains(place) && is_free(&known) && known.health.lets_pass(now)
        };
        self.sticky.pass(now).find(may).map(ServerNumber)
    }

    /// The soonest moment at which some server of the order may be asked again; a second from `now` at the soonest.
    pub fn free_at(&self, now: Timestamp) -> Timestamp {
        self.free_of(now, |known| known.busy_until)
    }

    /// The same for a question for policy.
    pub fn free_for_policy_at(&self, now: Timestamp) -> Timestamp {
        self.free_of(now, |known| known.busy_until.max(known.no_policy_until))
    }

    fn free_of(&self, now: Timestamp, busy_until: impl Fn(&Known) -> Timestamp) -> Timestamp {
        let free = |place: u16| {
            let known = self.known.get(usize::from(place)).copied().unwrap_or_default();
            let health = match known.health.circuit() {
                Circuit::Closed => now,
                Circuit::Open => known.health.next_probe().unwrap_or(now),
                // Its probe is on its way, and may take a minute.
                Circuit::HalfOpen => now.plus_ms(MINUTE_MS),
            };
            busy_until(&known).max(health)
        };
        self.sticky.pass(now).map(free).min().unwrap_or(now).max(now.plus_ms(SECOND_MS))
    }

    /// The server that is asked first.
    pub fn first(&self, now: Timestamp) -> ServerNumber {
        self.next(now, &[]).unwrap_or(ServerNumber(self.sticky.first(now)))
    }

    /// Something is sent to a server.
    pub fn sent(&mut self, to: ServerNumber) {
        self.change(to, |known| known.health.sent());
    }

    /// Changes what is known of a server; as long as nothing is, nothing is kept.
    fn change<R>(&mut self, server: ServerNumber, change: impl FnOnce(&mut Known) -> R) -> R {
        let place = usize::from(server.0);
        if let Some(known) = self.known.get_mut(place) {
            let changed = change(known);
            if *known == Known::default() && self.known.iter().all(|known| *known == Known::default()) {
                self.known = Vec::new();
            }
            return changed;
        }
        let mut known = Known::default();
        let changed = change(&mut known);
        if known != Known::default() && place < SERVERS_MAX {
            self.known.reserve_exact(place + 1);
            self.known.resize(place + 1, Known::default());
            self.known[place] = known;
        }
        changed
    }

    /// A server is not asked for policy until then.
    pub fn leave_policy(&mut self, server: ServerNumber, until: Timestamp) {
        self.change(server, |known| known.no_policy_until = until);
    }

    /// A server answered, or not. `false` when a final refusal is the link's fault and not the package's.
    pub fn answered(
        &mut self,
        rules: &AgentRules,
        to: ServerNumber,
        now: Timestamp,
        verdict: Verdict,
        rng: &mut RngStream,
    ) -> bool {
        let Some(server) = rules.servers.get(usize::from(to.0)) else { return true };
        let (is_fair, circuit) = self.change(to, |known| {
            let is_fair = known.health.answered(now, verdict, BREAKER, rng);
            match verdict {
                Verdict::Delivered => (known.busy_until, known.denied) = (Timestamp::default(), None),
                Verdict::Later { retry_after_ms: Some(ms), .. } => known.busy_until = now.plus_ms(ms),
                Verdict::Unidentified => known.denied = Some(Denied::Unidentified),
                Verdict::Revoked => known.denied = Some(Denied::Revoked),
                // Who judges a package has accepted whose it is.
                Verdict::Refused => known.denied = None,
                Verdict::Later { .. } | Verdict::Full | Verdict::Loop => {}
            }
            (is_fair, known.health.circuit())
        });
        if verdict == Verdict::Delivered {
            self.taken_by = Some(server.id);
            self.sticky.succeeded(now, to.0, rng);
        }
        if circuit == Circuit::Open {
            self.sticky.failed(to.0);
        }
        is_fair
    }

    /// What was sent was not tried after all.
    pub fn abandoned(&mut self, to: ServerNumber) {
        self.change(to, |known| known.health.abandoned());
    }

    /// A transfer of so many bytes to a server took so long.
    pub fn transferred(&mut self, rules: &AgentRules, to: ServerNumber, bytes: u64, ms: i64) {
        let listed = rules.failover.as_ref().and_then(|list| list.uploads.get(usize::from(to.0)));
        if let Some(server) = listed {
            self.measures.transferred(server.id, bytes, ms);
        }
    }

    /// Whether measurements are under way: nothing is sent until they are back.
    pub fn is_measuring(&self) -> bool {
        self.measuring.is_some()
    }

    /// Every server in the order in which a pass that begins at `now` would ask them.
    pub fn listed<'c>(&'c self, rules: &'c AgentRules, now: Timestamp) -> impl Iterator<Item = Listed<'c>> {
        let choices = self.order.iter().flat_map(|order| &order.choices);
        let reasons: BTreeMap<u16, &Reason> = choices.map(|choice| (choice.server, &choice.reason)).collect();
        self.sticky.pass(now).filter_map(move |place| {
            let server = rules.servers.get(usize::from(place))?;
            let known = self.known.get(usize::from(place)).copied().unwrap_or_default();
            let is_open = now >= known.busy_until && known.health.lets_pass(now);
            let (reason, is_of_policy) = (reasons.get(&place).copied(), rules.is_of_policy(server.id));
            Some(Listed { server, reason, is_of_policy, is_open, denied: known.denied })
        })
    }

    /// The last order of the policy's list.
    pub fn order(&self) -> Option<&Order> {
        self.order.as_deref()
    }

    /// What was measured, to be remembered over a restart.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// The clock was set back by so many milliseconds.
    pub fn step_back(&mut self, ms: i64) {
        self.sticky.step_back(ms);
        for known in &mut self.known {
            known.health.step_back(ms);
            known.busy_until = known.busy_until.plus_ms(ms.saturating_neg());
            known.no_policy_until = known.no_policy_until.plus_ms(ms.saturating_neg());
        }
    }
}
