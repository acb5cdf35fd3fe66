//! The order of a failover list for one device.

use std::sync::Arc;

use super::chain::{Algorithm, Call, Chain, SelectorFinding};
use super::device::Device;
use super::measure::Measures;
use super::reason::{Exclusion, Fact, Reason};
use super::standing::{Class, Standing, standing};
use crate::formats::failover::{ENTRIES_MAX, Failover, Priority, Server};
use crate::id::Guid;
use crate::rng::RngStream;

/// A server that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the list it came from, counted from 0.
    pub server: u16,
    /// Its id.
    pub id: Guid,
    /// Its priority; lower is tried earlier.
    pub priority: u32,
    /// Why it stands here.
    pub reason: Reason,
}

/// A server that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its id.
    pub id: Guid,
    /// Why not.
    pub why: Exclusion,
}

/// A list in the order in which one device tries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Never empty; ascending by priority, and in the order to try where two are equal.
    pub choices: Vec<Choice>,
    /// The servers that are not used, in the order in which they dropped out.
    pub left_out: Vec<LeftOut>,
    /// Calls of the chain that were skipped.
    pub findings: Vec<SelectorFinding>,
}

impl Order {
    /// The places in the list, in order: what a [`Sticky`](super::Sticky) keeps.
    pub fn servers(&self) -> Arc<[u16]> {
        self.choices.iter().map(|choice| choice.server).collect()
    }
}

/// Why there is no order. The caller keeps the one it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A list without a server.
    #[error("the failover list names no server")]
    Empty,
    /// No server of the list may be used.
    #[error("none of the {} servers of the failover list may be used", left_out.len())]
    NoneUsable {
        /// All of them, and why.
        left_out: Vec<LeftOut>,
        /// Calls of the chain that were skipped.
        findings: Vec<SelectorFinding>,
    },
}

/// Orders `servers` (the downloads or the uploads of `settings`) for `device`.
///
/// The automatic servers begin in the order of the priorities they came with, those without one behind, equal ones as
/// in the list. Each call of the chain then re-orders the result of the one before; servers it cannot tell apart keep
/// their order. Their places become numbers from HighestPriority on; when there are more servers than numbers, the rest
/// shares LowestPriority and is still tried in its order. A server with AutoPriority=False keeps its own number and
/// stands where that puts it; one without a number stands at LowestPriority. Where an own number meets a given one, the
/// list decides.
///
/// `limit` is how many matching servers a call moves; the other matching ones follow in the order they had, then what
/// is not known, then the foreign ones, so that a limit shortens nothing and every server stays a way out.
///
/// A measure counts however old it is; [`to_measure`](super::to_measure) tells whose is due. Two calls with a stream in
/// the same state give the same order: a caller that begins its stream afresh each time is moved by what was measured,
/// not by chance. Cost: calls x servers, and a sort for each call.
///
/// Source: section 3.3, common rules. What happens past a limit and to numbers that run out is this project's choice.
pub fn order(
    settings: &Failover,
    servers: &[Server],
    device: &Device,
    measures: &Measures,
    rng: &mut RngStream,
) -> Result<Order, OrderError> {
    if servers.is_empty() {
        return Err(OrderError::Empty);
    }
    let (chain, findings) = Chain::read(&settings.selector, device.is_windows);
    let (looked_at, past) = servers.split_at(servers.len().min(ENTRIES_MAX));
    let mut left_out: Vec<LeftOut> =
        past.iter().map(|server| LeftOut { id: server.id, why: Exclusion::PastList }).collect();
    let (mut automatic, mut own) = (Vec::new(), Vec::new());
    for (place, server) in (0u16..).zip(looked_at) {
        if server.auto_priority {
            automatic.push(Candidate { place, server, facts: Vec::new() });
            continue;
        }
        match server.priority {
            Some(Priority::Invalid) => left_out.push(LeftOut { id: server.id, why: Exclusion::OwnPriority }),
            Some(Priority::Number(priority)) => own.push((priority, place, server)),
            None => own.push((settings.lowest_priority, place, server)),
        }
    }
    // What stands there as `invalid` is what an earlier order found; this one finds anew.
    automatic.sort_by_key(|candidate| match candidate.server.priority {
        Some(Priority::Number(priority)) => (0, priority),
        None | Some(Priority::Invalid) => (1, 0),
    });
    for call in chain.calls() {
        automatic = match call.algorithm {
            Algorithm::Random => draw(call.limit, automatic, rng),
            _ => apply(call, automatic, device, measures, &mut left_out),
        };
    }
    own.sort_by_key(|&(priority, place, _)| (priority, place));
    let choices = merge(settings, automatic, own);
    if choices.is_empty() {
        return Err(OrderError::NoneUsable { left_out, findings });
    }
    Ok(Order { choices, left_out, findings })
}

/// An automatic server on its way through the chain.
struct Candidate<'a> {
    place: u16,
    server: &'a Server,
    facts: Vec<Fact>,
}

/// Draws servers to the front, up to `limit`; the others keep their order.
fn draw<'a>(limit: Option<u32>, candidates: Vec<Candidate<'a>>, rng: &mut RngStream) -> Vec<Candidate<'a>> {
    let count = candidates.len();
    if count < 2 {
        return candidates;
    }
    let drawn = taken(limit, count);
    let mut places: Vec<usize> = (0..count).collect();
    for place in 0..drawn {
        let left = i64::try_from(count - place).unwrap_or(i64::MAX);
        places.swap(place, place + usize::try_from(rng.below(left)).unwrap_or(0));
    }
    let mut keys: Vec<(bool, usize)> = (0..count).map(|place| (true, place)).collect();
    for (key, &place) in places[..drawn].iter().enumerate() {
        keys[place] = (false, key);
    }
    let fact = |key: &(bool, usize)| if key.0 { Fact::PastLimit } else { Fact::Drawn };
    let facts: Vec<Fact> = keys.iter().map(fact).collect();
    rearrange(candidates, keys, facts)
}

/// Lets a call that compares re-order the servers, and drop the foreign ones when it does that.
fn apply<'a>(
    call: &Call,
    candidates: Vec<Candidate<'a>>,
    device: &Device,
    measures: &Measures,
    left_out: &mut Vec<LeftOut>,
) -> Vec<Candidate<'a>> {
    let (mut kept, mut standings): (Vec<Candidate>, Vec<Standing>) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let found = standing(call.algorithm, device, candidate.server, measures.get(candidate.server.id));
        if found.class == Class::Foreign && call.discards_foreign {
            let why = Exclusion::Foreign { algorithm: call.algorithm.name(), fact: found.fact };
            left_out.push(LeftOut { id: candidate.server.id, why });
        } else {
            kept.push(candidate);
            standings.push(found);
        }
    }
    let rank = |found: &Standing| (found.class, found.rank);
    if standings.iter().all(|found| rank(found) == rank(&standings[0])) {
        return kept;
    }
    let mut best: Vec<usize> = (0..kept.len()).filter(|place| standings[*place].class == Class::Match).collect();
    best.sort_by_key(|place| standings[*place].rank);
    let (moved, past_limit) = best.split_at(taken(call.limit, best.len()));
    // Class, whether past the limit, place among its like.
    let mut keys: Vec<(Class, bool, usize)> =
        standings.iter().enumerate().map(|(place, found)| (found.class, true, place)).collect();
    for (key, &place) in moved.iter().enumerate() {
        keys[place] = (Class::Match, false, key);
    }
    let mut facts: Vec<Fact> = standings.iter().map(|found| found.fact).collect();
    for &place in past_limit {
        facts[place] = Fact::PastLimit;
    }
    rearrange(kept, keys, facts)
}

/// How many of `count` a limit lets through.
fn taken(limit: Option<u32>, count: usize) -> usize {
    limit.map_or(count, |limit| usize::try_from(limit).unwrap_or(usize::MAX).min(count))
}

/// Notes what a call found out and sorts by its keys; the three lists run side by side.
fn rearrange<K: Ord + Copy>(candidates: Vec<Candidate>, keys: Vec<K>, facts: Vec<Fact>) -> Vec<Candidate> {
    let mut keyed: Vec<(K, Candidate)> = keys.into_iter().zip(candidates).collect();
    for ((_, candidate), fact) in keyed.iter_mut().zip(facts) {
        candidate.facts.push(fact);
    }
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Gives the automatic servers their numbers and puts those with an own number between them. Both come sorted and stay
/// in their order; of two equal heads the one that stands first in the list goes first.
fn merge(settings: &Failover, automatic: Vec<Candidate>, own: Vec<(u32, u16, &Server)>) -> Vec<Choice> {
    let (highest, lowest) = (settings.highest_priority, settings.lowest_priority.max(settings.highest_priority));
    let mut automatic = (0u32..).zip(automatic).map(|(rank, candidate)| Choice {
        server: candidate.place,
        id: candidate.server.id,
        priority: highest.saturating_add(rank).min(lowest),
        reason: Reason::Selected(candidate.facts),
    });
    let mut own = own.into_iter().map(|(priority, place, server)| Choice {
        server: place,
        id: server.id,
        priority,
        reason: Reason::OwnPriority,
    });
    let (mut next_automatic, mut next_own) = (automatic.next(), own.next());
    let mut choices = Vec::new();
    loop {
        let key = |choice: &Choice| (choice.priority, choice.server);
        match (next_automatic, next_own) {
            (None, None) => return choices,
            (Some(given), None) => {
                choices.push(given);
                (next_automatic, next_own) = (automatic.next(), None);
            }
            (Some(given), Some(fixed)) if key(&given) < key(&fixed) => {
                choices.push(given);
                (next_automatic, next_own) = (automatic.next(), Some(fixed));
            }
            (given, Some(fixed)) => {
                choices.push(fixed);
                (next_automatic, next_own) = (given, own.next());
            }
        }
    }
}
