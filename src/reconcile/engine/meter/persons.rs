//! Licences counted by person: users, and devices that nobody is known to use.
//!
//! Source: reconcile-files reference, sections 5.2 and 6.1.

use hashbrown::HashMap;

use super::super::bits::Bits;
use super::super::context::Context;
use super::Offered;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Allocated, Licence};

/// See the module's head.
#[derive(Debug)]
pub enum Persons {
    /// Who counts.
    Once(Bits),
    /// For how many installations each counts: where a member of a suite may be taken before its suite, it is let go
    /// when the suite comes.
    Counted(HashMap<Number, u64>),
}

impl Persons {
    /// Nobody counted yet.
    pub fn new(context: &Context<'_>, number: Number, licence: &Licence) -> Persons {
        let covered = context.links.covered(number);
        // Only what is allocated by a person is offered before its suite.
        let is_by_person = licence.allocations.iter().any(|allocation| matches!(allocation.to, Allocated::User(_)));
        let has_member = || covered.iter().any(|link| context.estate.suites.of(link.application).next().is_some());
        if is_by_person && has_member() {
            Persons::Counted(HashMap::new())
        } else {
            Persons::Once(Bits::new(context.persons_bound()))
        }
    }

    /// The figure if this installation were taken too.
    pub fn figure_with(&self, offered: &Offered<'_>) -> Decimal {
        let is_new = |&&person: &&Number| match self {
            Persons::Once(persons) => !persons.contains(person),
            Persons::Counted(persons) => !persons.contains_key(&person),
        };
        self.figure() + Decimal::from(offered.persons.iter().filter(is_new).count() as u64)
    }

    /// Takes an installation.
    pub fn take(&mut self, offered: &Offered<'_>) {
        for &person in offered.persons {
            match self {
                Persons::Once(persons) => {
                    persons.insert(person);
                }
                Persons::Counted(persons) => *persons.entry(person).or_default() += 1,
            }
        }
    }

    /// Takes an installation away again.
    pub fn give_back(&mut self, persons: &[Number]) {
        let Persons::Counted(counted) = self else { return };
        for person in persons {
            if let Some(count) = counted.get_mut(person) {
                *count -= 1;
                if *count == 0 {
                    counted.remove(person);
                }
            }
        }
    }

    /// How many persons count.
    pub fn figure(&self) -> Decimal {
        match self {
            Persons::Once(persons) => persons.count().into(),
            Persons::Counted(persons) => (persons.len() as u64).into(),
        }
    }
}
