//! Users and groups, who may be named in many files before anybody lists them.
//!
//! While files are read each name has a provisional number; when all are read, numbers follow the order of the names.

use rayon::prelude::*;

use crate::model::estate::{Ids, Number, Slot, Texts};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Names {
    users: Texts,
    groups: Texts,
}

/// The numbers that provisional ones became.
#[derive(Debug)]
pub struct Renumbered {
    /// Ids in their order.
    pub ids: Ids,
    /// By provisional number; the first is the blank one's and means nothing.
    numbers: Vec<Number>,
}

impl Names {
    /// The provisional number of a user; `None` for a blank.
    pub fn user(&mut self, name: &str) -> Option<Slot> {
        slot(&mut self.users, name)
    }

    /// The provisional number of a group; `None` for a blank.
    pub fn group(&mut self, name: &str) -> Option<Slot> {
        slot(&mut self.groups, name)
    }

    /// Takes the names of another part of a file; what its provisional numbers became.
    pub fn absorb(&mut self, part: Names) -> Absorbed {
        Absorbed { users: self.users.absorb(part.users), groups: self.groups.absorb(part.groups) }
    }

    /// Users and groups by the order of their names.
    pub fn renumbered(self) -> (Renumbered, Renumbered) {
        (Renumbered::of(&self.users), Renumbered::of(&self.groups))
    }
}

/// The provisional numbers that those of a part became.
#[derive(Debug)]
pub struct Absorbed {
    users: Vec<Number>,
    groups: Vec<Number>,
}

impl Absorbed {
    /// What the number of a user became.
    pub fn user(&self, user: Option<Slot>) -> Option<Slot> {
        user.map(|user| Slot::new(self.users[user.get() as usize]))
    }

    /// What the number of a group became.
    pub fn group(&self, group: Option<Slot>) -> Option<Slot> {
        group.map(|group| Slot::new(self.groups[group.get() as usize]))
    }
}

fn slot(texts: &mut Texts, name: &str) -> Option<Slot> {
    (!name.is_empty()).then(|| Slot::new(texts.number(name)))
}

impl Renumbered {
    fn of(texts: &Texts) -> Renumbered {
        let mut order: Vec<Number> = (1..texts.count() as Number).collect();
        order.par_sort_unstable_by_key(|&number| texts.text(number));
        let mut numbers = vec![Number::MAX; texts.count()];
        for (number, &provisional) in (0..).zip(&order) {
            numbers[provisional as usize] = number;
        }
        Renumbered { ids: Ids::of(order.iter().map(|&number| texts.text(number))), numbers }
    }

    /// What a provisional number became.
    pub fn number(&self, provisional: Number) -> Number {
        self.numbers[provisional as usize]
    }

    /// The same of a number that may be absent.
    pub fn slot(&self, provisional: Option<Slot>) -> Option<Slot> {
        provisional.map(|provisional| Slot::new(self.number(provisional.get())))
    }
}
