//! Users and groups, who may be named in many files before anybody lists them.
//!
//! While files are read each name has a provisional number; when all are read, numbers follow the order of the names.

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

    /// Users and groups by the order of their names.
    pub fn renumbered(self) -> (Renumbered, Renumbered) {
        (Renumbered::of(&self.users), Renumbered::of(&self.groups))
    }
}

fn slot(texts: &mut Texts, name: &str) -> Option<Slot> {
    (!name.is_empty()).then(|| Slot::new(texts.number(name)))
}

impl Renumbered {
    fn of(texts: &Texts) -> Renumbered {
        let all = || (1..texts.count() as Number).map(|number| texts.text(number));
        let ids = Ids::of(all());
        let numbers = all().map(|name| ids.find(name).expect("every name was numbered"));
        let numbers = std::iter::once(Number::MAX).chain(numbers).collect();
        Renumbered { ids, numbers }
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
