//! What waits for its turn: kinds take turns, origins of a kind take turns, and of one origin the oldest goes first.
//!
//! A package gets its round when it comes: the next one, or the one after the last round of its origin. Rounds go one
//! after the other, by age within each, so whoever has one package waits for two rounds at most, and whoever has
//! thousands gets one into each round, also while others keep coming. Where each origin has one package that is simply
//! the order of age. Each step costs O(log n) of what waits.
//!
//! Packages that were begun and are not settled are the active set: at most 1,000, of one origin at most 100.
//!
//! Source: delivery contract, section 5, queue.

use std::collections::{BTreeMap, VecDeque};

use super::vocabulary::{PackageNumber, Waiting};
use crate::model::package::Kind;

/// Packages under consideration at once.
pub const ACTIVE_MAX: usize = 1_000;
/// Of these, at most so many of one origin.
pub const ACTIVE_OF_ORIGIN_MAX: usize = ACTIVE_MAX / 10;
/// The round of what goes before all others: it was begun before.
const AGAIN: u64 = 0;

/// What an origin has in the rounds of a kind.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    last_round: u64,
    waiting: u32,
}

/// What waits of one kind.
#[derive(Debug, Default)]
struct Rounds {
    /// By round and age; the origin.
    turns: BTreeMap<(u64, PackageNumber), u64>,
    /// Origins that have a package in a round.
    shares: BTreeMap<u64, Share>,
    /// The round that is on.
    round: u64,
}

impl Rounds {
    fn push(&mut self, package: PackageNumber, origin: u64) {
        let share = self.shares.entry(origin).or_default();
        share.last_round = share.last_round.max(self.round) + 1;
        share.waiting += 1;
        self.turns.insert((share.last_round, package), origin);
    }

    /// The next one, and whether it was begun before; only such a one unless `may_begin`.
    fn pop(&mut self, may_begin: bool) -> Option<(PackageNumber, u64, bool)> {
        let first = self.turns.first_entry().filter(|first| may_begin || first.key().0 == AGAIN)?;
        let ((round, package), origin) = first.remove_entry();
        if round != AGAIN {
            self.round = round;
            let share = self.shares.get_mut(&origin).expect("an origin with a turn has a share");
            share.waiting -= 1;
            if share.waiting == 0 {
                self.shares.remove(&origin);
            }
        }
        Some((package, origin, round == AGAIN))
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    kinds: BTreeMap<Kind, Rounds>,
    next_kind: usize,
    /// Whose origin has its share of the active set; one comes back for each that is settled.
    parked: BTreeMap<u64, VecDeque<Waiting>>,
    /// Packages that were begun and are not settled, by origin.
    active: BTreeMap<u64, usize>,
    active_count: usize,
}

impl Backlog {
    /// Packages that wait here.
    pub(super) fn len(&self) -> usize {
        let parked: usize = self.parked.values().map(VecDeque::len).sum();
        self.kinds.values().map(|rounds| rounds.turns.len()).sum::<usize>() + parked
    }

    /// Whether one of them could go now.
    pub(super) fn has_next(&self) -> bool {
        let may_begin = self.active_count < ACTIVE_MAX;
        let has = |rounds: &Rounds| rounds.turns.first_key_value().is_some_and(|(at, _)| may_begin || at.0 == AGAIN);
        self.kinds.values().any(has)
    }

    /// Packages that wait here, in no order that means anything.
    pub(super) fn packages(&self) -> impl Iterator<Item = PackageNumber> + '_ {
        let turns = self.kinds.values().flat_map(|rounds| rounds.turns.keys().map(|(_, package)| *package));
        turns.chain(self.parked.values().flatten().map(|waiting| waiting.package))
    }

    /// Takes a package that was never tried.
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.kinds.entry(waiting.kind).or_default().push(waiting.package, waiting.origin);
    }

    /// Takes back one that was begun: it goes before those that were not.
    pub(super) fn push_again(&mut self, waiting: Waiting) {
        let rounds = self.kinds.entry(waiting.kind).or_default();
        rounds.turns.insert((AGAIN, waiting.package), waiting.origin);
    }

    /// The package whose turn it is, and whether it was begun before. It is active until [`Backlog::settled`].
    pub(super) fn next(&mut self) -> Option<(Waiting, bool)> {
        for turn in 0..Kind::ALL.len() {
            let at = (self.next_kind + turn) % Kind::ALL.len();
            let kind = Kind::ALL[at];
            let Some(rounds) = self.kinds.get_mut(&kind) else { continue };
            while let Some((package, origin, is_again)) = rounds.pop(self.active_count < ACTIVE_MAX) {
                let waiting = Waiting { package, kind, origin };
                if !is_again {
                    let active = self.active.entry(origin).or_default();
                    if *active >= ACTIVE_OF_ORIGIN_MAX {
                        self.parked.entry(origin).or_default().push_back(waiting);
                        continue;
                    }
                    *active += 1;
                    self.active_count += 1;
                }
                self.next_kind = at + 1;
                return Some((waiting, is_again));
            }
        }
        None
    }

    /// A package of `origin` that was begun is settled or forgotten.
    pub(super) fn settled(&mut self, origin: u64) {
        let Some(active) = self.active.get_mut(&origin) else { return };
        *active -= 1;
        self.active_count -= 1;
        if *active == 0 {
            self.active.remove(&origin);
        }
        let Some(parked) = self.parked.get_mut(&origin) else { return };
        let next = parked.pop_front();
        if parked.is_empty() {
            self.parked.remove(&origin);
        }
        next.into_iter().for_each(|waiting| self.push(waiting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(number: u64, origin: u64) -> Waiting {
        Waiting { package: PackageNumber(number), kind: Kind::Inventories, origin }
    }

    fn backlog(packages: impl IntoIterator<Item = Waiting>) -> Backlog {
        let mut backlog = Backlog::default();
        packages.into_iter().for_each(|waiting| backlog.push(waiting));
        backlog
    }

    /// Numbers in the order in which they go when each is settled at once.
    fn order(backlog: &mut Backlog, count: usize) -> Vec<u64> {
        let mut order = Vec::new();
        while order.len() < count
            && let Some((waiting, _)) = backlog.next()
        {
            order.push(waiting.package.0);
            backlog.settled(waiting.origin);
        }
        order
    }

    #[test]
    fn whoever_has_one_package_does_not_wait_for_the_thousands_of_another() {
        let mut held = backlog((0..5_000).map(|number| waiting(number, 1)));
        assert_eq!(order(&mut held, 100).len(), 100);
        held.push(waiting(5_000, 2));
        let next = order(&mut held, 5_000);
        assert_eq!(next.iter().position(|number| *number == 5_000), Some(1), "behind one of the other");
        assert_eq!(next.len(), 4_901);
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn one_after_the_heaps_of_fifty_waits_for_one_round() {
        let mut held = backlog((0..5_000).map(|number| waiting(number, number / 100)));
        held.push(waiting(5_000, 99));
        let next = order(&mut held, 51);
        assert_eq!(next[..3], [0, 100, 200], "of each origin the oldest");
        assert_eq!(next[50], 5_000);
    }

    #[test]
    fn a_heap_goes_on_although_others_keep_coming() {
        let mut held = backlog((0..50).map(|number| waiting(number, 1)));
        let mut of_heap = 0;
        for number in 50..150 {
            // As many newcomers as go: the heap is one of more and more, and has its turn in each round.
            held.push(waiting(number, number));
            of_heap += usize::from(order(&mut held, 1)[0] < 50);
        }
        assert!(of_heap >= 10, "{of_heap}");
    }

    #[test]
    fn origins_with_one_package_each_go_by_age() {
        let mut held = backlog((0..500).map(|number| waiting(number, number * 7_919 % 500)));
        assert_eq!(order(&mut held, 500), (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_begun_and_not_settled_is_bounded_in_sum_and_by_origin() {
        let mut held = backlog((0..20_000).map(|number| waiting(number, number % 4)));
        let mut begun: Vec<Waiting> = std::iter::from_fn(|| held.next().map(|(waiting, _)| waiting)).collect();
        assert_eq!(begun.len(), 4 * ACTIVE_OF_ORIGIN_MAX);
        (20_000..40_000).for_each(|number| held.push(waiting(number, number)));
        begun.extend(std::iter::from_fn(|| held.next().map(|(waiting, _)| waiting)));
        assert_eq!(begun.len(), ACTIVE_MAX);
        assert!(!held.has_next() && held.len() == 39_000);
        // One that was begun goes again although the set is full.
        held.push_again(begun[7]);
        assert_eq!((held.has_next(), held.next()), (true, Some((begun[7], true))));
        for waiting in begun {
            held.settled(waiting.origin);
        }
        let rest = order(&mut held, usize::MAX);
        assert_eq!((rest.len(), held.len()), (39_000, 0), "nothing is left behind");
        let of_first = rest.iter().filter(|number| **number < 20_000 && **number % 4 == 0);
        assert!(of_first.is_sorted(), "the oldest of an origin first");
    }

    #[test]
    fn kinds_have_rounds_of_their_own() {
        let mut held = backlog((0..300).map(|number| waiting(number, 1)));
        held.push(Waiting { kind: Kind::Discovery, ..waiting(300, 1) });
        assert!(order(&mut held, 2).contains(&300));
    }
}
