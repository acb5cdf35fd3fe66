//! What is true of every package, whatever nodes believe: published, receipted, given up, settled.
//!
//! An agent's latest packages stand in one word, four bits each; of the older ones only those that have not ended are
//! kept. So a million agents take some tens of megabytes, and every question is answered exactly.

use std::collections::HashMap;
use std::ops::Range;

use super::event::PackageId;
use crate::invariants::Invariants;

/// Some node gave a receipt for it.
const RECEIPTED: u8 = 1;
/// Its agent let it go without one: superseded or refused, or it is gone with its machine.
const GIVEN_UP: u8 = 2;
/// It has a final state at the server.
const SETTLED: u8 = 4;
/// That state is imported.
const IMPORTED: u8 = 8;

/// Packages of one agent whose states stand in a word.
const WINDOW: u32 = 16;

/// How a package ended at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Imported.
    Imported,
    /// Overtaken.
    Stale,
    /// Too old.
    Expired,
    /// Set aside by the server: unreadable, or its number is another package's.
    Quarantined,
}

/// One agent's packages: up to `base` they have ended or stand in `Book::open`, the next ones in the word.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    base: u32,
    published: u32,
    newest_imported: u32,
    states: u64,
}

/// Sums over the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packages that agents published.
    pub published: u64,
    /// For which some node gave a receipt.
    pub receipted: u64,
    /// That their agents let go for a newer one.
    pub superseded: u64,
    /// That will never be taken.
    pub refused: u64,
    /// That were queued on a disk that is gone: their machine left the fleet or was installed anew.
    pub gone: u64,
    /// Imported.
    pub imported: u64,
    /// Overtaken.
    pub stale: u64,
    /// Too old.
    pub expired: u64,
    /// Set aside by the server.
    pub quarantined: u64,
    /// Deliveries of what the receiver had already.
    pub duplicate_deliveries: u64,
    /// Given up by their agents or gone with their machines, and in custody or settled all the same: an answer was lost.
    pub given_up_in_custody: u64,
}

impl Totals {
    fn add(&mut self, other: Totals) {
        self.published += other.published;
        self.receipted += other.receipted;
        self.superseded += other.superseded;
        self.refused += other.refused;
        self.gone += other.gone;
        self.imported += other.imported;
        self.stale += other.stale;
        self.expired += other.expired;
        self.quarantined += other.quarantined;
        self.duplicate_deliveries += other.duplicate_deliveries;
        self.given_up_in_custody += other.given_up_in_custody;
    }
}

/// What the server tells of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// See [`Book::receipted`].
    Receipted(PackageId),
    /// See [`Book::delivered_again`].
    DeliveredAgain(PackageId),
    /// See [`Book::overtaken`].
    Overtaken(PackageId, Ended),
    /// See [`Book::settled`].
    Settled(PackageId, Ended),
}

impl Told {
    /// Whose package it is.
    pub fn agent(self) -> u32 {
        match self {
            Told::Receipted(id) | Told::DeliveredAgain(id) | Told::Overtaken(id, _) | Told::Settled(id, _) => id.agent,
        }
    }
}

/// See the module's head.
pub struct Book {
    /// The first agent of `rows`.
    first: u32,
    rows: Vec<Row>,
    /// What is for the books of other parts of the world, where this one is only the server's.
    told: Option<Vec<Told>>,
    /// Packages beyond their agent's window that have not ended.
    open: HashMap<PackageId, u8>,
    totals: Totals,
    /// What was found.
    pub checks: Invariants,
}

/// Whether nothing can happen to it any more but duplicates.
fn has_ended(state: u8) -> bool {
    state & SETTLED != 0 && state & (RECEIPTED | GIVEN_UP) != 0
}

impl Totals {
    /// Packages with a final state at the server.
    pub fn ended(&self) -> u64 {
        self.imported + self.stale + self.expired + self.quarantined
    }
}

impl Book {
    /// The book of some agents.
    pub fn new(agents: Range<u32>) -> Book {
        Book {
            first: agents.start,
            rows: vec![Row::default(); agents.len()],
            told: None,
            open: HashMap::new(),
            totals: Totals::default(),
            checks: Invariants::default(),
        }
    }

    /// The book of a server alone: what it tells is kept for those of the agents.
    pub fn of_server() -> Book {
        Book { told: Some(Vec::new()), ..Book::new(0..0) }
    }

    /// What the server told since this was asked last, in its order.
    pub fn take_told(&mut self) -> Vec<Told> {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Hears what the server told.
    pub fn hear(&mut self, told: Told) {
        match told {
            Told::Receipted(id) => self.receipted(id),
            Told::DeliveredAgain(id) => self.delivered_again(id),
            Told::Overtaken(id, how) => self.overtaken(id, how),
            Told::Settled(id, how) => self.settled(id, how),
        }
    }

    /// Whether this is for another book, which will hear it.
    fn passes_on(&mut self, told: Told) -> bool {
        self.told.as_mut().map(|kept| kept.push(told)).is_some()
    }

    /// Adds the sums and the findings of another part of the world.
    pub fn add(&mut self, other: &Book) {
        self.totals.add(other.totals);
        self.checks.add(&other.checks);
    }

    fn row(&self, agent: u32) -> &Row {
        &self.rows[(agent - self.first) as usize]
    }

    fn row_mut(&mut self, agent: u32) -> &mut Row {
        &mut self.rows[(agent - self.first) as usize]
    }

    /// Sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether it has a final state.
    pub fn is_settled(&self, id: PackageId) -> bool {
        self.state(id) & SETTLED != 0
    }

    /// The highest number of an agent's that was imported.
    pub fn newest_imported(&self, agent: u32) -> u32 {
        self.row(agent).newest_imported
    }

    fn state(&self, id: PackageId) -> u8 {
        let row = self.row(id.agent);
        match id.number.checked_sub(row.base + 1) {
            Some(place) if place < WINDOW => (row.states >> (place * 4)) as u8 & 15,
            Some(_) => 0,
            None => self.open.get(&id).copied().unwrap_or(SETTLED | RECEIPTED),
        }
    }

    /// Adds `bits` and gives the state before.
    fn mark(&mut self, id: PackageId, bits: u8) -> u8 {
        let before = self.state(id);
        let row = self.row_mut(id.agent);
        if id.number > row.base {
            row.states |= u64::from(bits) << ((id.number - row.base - 1) * 4);
            while row.published > row.base && has_ended(row.states as u8 & 15) {
                row.base += 1;
                row.states >>= 4;
            }
        } else if let Some(state) = self.open.get_mut(&id) {
            *state |= bits;
            if has_ended(*state) {
                self.open.remove(&id);
            }
        }
        before
    }

    /// An agent publishes its next package.
    pub fn published(&mut self, agent: u32) -> PackageId {
        self.totals.published += 1;
        let row = &mut self.rows[(agent - self.first) as usize];
        row.published += 1;
        if row.published - row.base > WINDOW {
            row.base += 1;
            let state = row.states as u8 & 15;
            row.states >>= 4;
            if !has_ended(state) {
                self.open.insert(PackageId { agent, number: row.base }, state);
            }
        }
        PackageId { agent, number: row.published }
    }

    /// Some node gives a receipt.
    pub fn receipted(&mut self, id: PackageId) {
        if self.passes_on(Told::Receipted(id)) {
            return;
        }
        let is_known = (1..=self.row(id.agent).published).contains(&id.number);
        self.checks.check("I6", is_known, || format!("{id} was never published and got a receipt"));
        if is_known {
            let before = self.mark(id, RECEIPTED);
            self.totals.receipted += u64::from(before & RECEIPTED == 0);
            self.totals.given_up_in_custody += u64::from(before & (RECEIPTED | GIVEN_UP) == GIVEN_UP);
        }
    }

    /// A receiver had it already.
    pub fn delivered_again(&mut self, id: PackageId) {
        if self.passes_on(Told::DeliveredAgain(id)) {
            return;
        }
        self.totals.duplicate_deliveries += 1;
    }

    /// Its agent lets it go because it was delivered.
    pub fn let_go(&mut self, id: PackageId) {
        let state = self.state(id);
        self.checks.check("I4", state & RECEIPTED != 0, || {
            format!("{id} was deleted by its agent, and no node gave a receipt for it")
        });
    }

    /// Its agent lets it go for a newer one.
    pub fn superseded(&mut self, id: PackageId) {
        let newest = self.row(id.agent).published;
        self.checks
            .check("I4", id.number < newest, || format!("{id} was superseded, and it is the newest of its agent"));
        self.totals.superseded += 1;
        self.give_up(id);
    }

    /// Its agent keeps it among the refused ones.
    pub fn refused(&mut self, id: PackageId) {
        self.totals.refused += 1;
        self.give_up(id);
    }

    /// It goes with the disk of its machine.
    pub fn gone(&mut self, id: PackageId) {
        self.totals.gone += 1;
        self.give_up(id);
    }

    fn give_up(&mut self, id: PackageId) {
        let before = self.mark(id, GIVEN_UP);
        self.totals.given_up_in_custody += u64::from(before & RECEIPTED != 0);
    }

    /// What the ledger makes of a package, before it is settled: one that is later than every imported one is not behind.
    pub fn overtaken(&mut self, id: PackageId, how: Ended) {
        if self.passes_on(Told::Overtaken(id, how)) {
            return;
        }
        let newest = self.newest_imported(id.agent);
        self.checks.check("I9", how != Ended::Stale || id.number <= newest, || {
            format!("{id} is behind, and {newest} is the newest that was imported of its agent")
        });
    }

    /// It reaches a final state at the server.
    pub fn settled(&mut self, id: PackageId, how: Ended) {
        if self.passes_on(Told::Settled(id, how)) {
            return;
        }
        let bits = if how == Ended::Imported { SETTLED | IMPORTED } else { SETTLED };
        let before = self.state(id);
        self.checks.check("I2", before & SETTLED == 0, || format!("{id} has a final state a second time, now {how:?}"));
        self.checks.check("I3", before & RECEIPTED != 0, || format!("{id} is settled, and nobody had custody of it"));
        self.mark(id, bits);
        match how {
            Ended::Imported => {
                self.totals.imported += 1;
                let row = self.row_mut(id.agent);
                row.newest_imported = row.newest_imported.max(id.number);
            }
            Ended::Stale => self.totals.stale += 1,
            Ended::Expired => self.totals.expired += 1,
            Ended::Quarantined => self.totals.quarantined += 1,
        }
    }

    /// Every package that has not ended, with whether it got a receipt, and whether its agent gave it up.
    pub fn unsettled(&self) -> impl Iterator<Item = (PackageId, bool, bool)> {
        let in_rows = self.rows.iter().zip(self.first..).flat_map(|(row, agent)| {
            let numbers = row.base + 1..=row.published;
            numbers.map(move |number| {
                (PackageId { agent, number }, (row.states >> ((number - row.base - 1) * 4)) as u8 & 15)
            })
        });
        let all = in_rows.chain(self.open.iter().map(|(id, state)| (*id, *state)));
        all.filter(|(_, state)| state & SETTLED == 0)
            .map(|(id, state)| (id, state & RECEIPTED != 0, state & GIVEN_UP != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> PackageId {
        PackageId { agent: 0, number }
    }

    #[test]
    fn a_package_is_followed_to_its_end_however_many_come_after_it() {
        let mut book = Book::new(0..1);
        for number in 1..=100 {
            assert_eq!(book.published(0), id(number));
        }
        assert_eq!(book.unsettled().count(), 100);
        for number in [1, 50, 84, 85, 100] {
            book.receipted(id(number));
            assert!(book.unsettled().any(|one| one == (id(number), true, false)), "{number}");
            book.settled(id(number), Ended::Imported);
            assert!(book.unsettled().all(|(open, ..)| open != id(number)), "{number}");
        }
        assert_eq!((book.unsettled().count(), book.newest_imported(0)), (95, 100));
        assert_eq!(book.checks.violations(), 0);
        book.settled(id(50), Ended::Stale);
        book.settled(id(100), Ended::Imported);
        assert_eq!(book.checks.violations(), 2, "a second final state");
    }

    #[test]
    fn one_that_was_given_up_may_end_later_once() {
        let mut book = Book::new(0..1);
        book.published(0);
        book.receipted(id(1));
        for _ in 0..40 {
            book.published(0);
        }
        book.superseded(id(1));
        assert_eq!(book.totals().given_up_in_custody, 1);
        book.settled(id(1), Ended::Stale);
        assert_eq!(book.checks.violations(), 0);
        book.settled(id(1), Ended::Stale);
        assert_eq!(book.checks.violations(), 1);
    }

    #[test]
    fn what_must_not_be_is_found() {
        let broken = |act: fn(&mut Book)| {
            let mut book = Book::new(0..1);
            book.published(0);
            act(&mut book);
            book.checks.broken().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(broken(|book| book.let_go(id(1))), ["I4"]);
        assert_eq!(broken(|book| book.superseded(id(1))), ["I4"]);
        assert_eq!(broken(|book| book.settled(id(1), Ended::Imported)), ["I3"]);
        assert_eq!(broken(|book| book.receipted(id(2))), ["I6"]);
    }
}
