//! The Matchers as they run over rows of keys: what they ask of one row, and which columns of keys they compare.

use std::collections::BTreeSet;

use super::condition::{Alone, Key, Kind};
use super::matchers::Matchers;
use super::normalise::Slots;
use crate::model::computer::Property;

/// The Matchers, compiled. Rows that are matched together have had their keys made by the same plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The columns of keys that some Matcher compares, each once.
    pub(super) columns: Vec<Key>,
    /// The tests of one row that look at its text, each once.
    pub(super) tests: Vec<(Property, Alone)>,
    pub(super) matchers: Vec<PlannedMatcher>,
}

/// One Matcher of a [`Plan`].
#[derive(Clone, Debug)]
pub(super) struct PlannedMatcher {
    pub(super) order: i64,
    /// Bit per property that has to be set.
    set: u32,
    /// Bit per property that has to be null.
    null: u32,
    /// Places in the plan's tests.
    tests: Vec<usize>,
    /// The equality keys. Never empty.
    pub(super) keys: Vec<Key>,
    /// Bit per column of the plan: the equality keys.
    pub(super) columns: u64,
    /// The property that must differ within a group.
    pub(super) differs: Option<Property>,
    /// The properties that no two linked rows may both have set; ascending, each once.
    pub(super) null_in_either: Vec<Property>,
}

/// What of a row says which Matchers it may take part in. A fleet has few of them: a row names its shape by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Bit per property that is set.
    pub(super) set: u32,
    /// Whether SerialNo may be shared by unrelated machines.
    pub(super) is_untrusted: bool,
    /// Bit per test of the plan that the row passes.
    pub(super) passes: Vec<u64>,
}

impl Plan {
    /// Compiles the Matchers.
    pub fn new(matchers: &Matchers) -> Plan {
        let mut plan = Plan { columns: Vec::new(), tests: Vec::new(), matchers: Vec::new() };
        for matcher in matchers.iter() {
            let (mut set, mut null, mut columns) = (0, 0, 0);
            let (mut tests, mut keys, mut differs, mut null_in_either) = (vec![], vec![], None, BTreeSet::new());
            for test in matcher.tests() {
                let bit = 1_u32 << test.property as u32;
                match &test.kind {
                    Kind::Alone(Alone::Set) => set |= bit,
                    Kind::Alone(Alone::NotSet) => null |= bit,
                    Kind::Alone(alone) => tests.push(place(&mut plan.tests, (test.property, alone.clone()))),
                    Kind::Key(key) => {
                        set |= bit;
                        columns |= 1 << place(&mut plan.columns, *key);
                        keys.push(*key);
                    }
                    Kind::Differ => (set, differs) = (set | bit, Some(test.property)),
                    Kind::NullInEither => _ = null_in_either.insert(test.property),
                }
            }
            let null_in_either = null_in_either.into_iter().collect();
            let order = matcher.order();
            plan.matchers.push(PlannedMatcher { order, set, null, tests, keys, columns, differs, null_in_either });
        }
        plan
    }

    /// The shape of a normalised row.
    pub(super) fn shape(&self, slots: &Slots<'_>) -> Shape {
        let mut shape = Shape { passes: vec![0; self.tests.len().div_ceil(64)], ..Shape::default() };
        self.shape_into(slots, &mut shape);
        shape
    }

    /// The same, into a shape of this plan.
    pub(super) fn shape_into(&self, slots: &Slots<'_>, shape: &mut Shape) {
        let is_set = |(place, slot): (usize, &Option<&str>)| u32::from(slot.is_some()) << place;
        shape.set = slots.iter().enumerate().map(is_set).sum();
        shape.is_untrusted = slots[Property::UntrustedSerialNo as usize] == Some("true");
        shape.passes.fill(0);
        for (place, (property, test)) in self.tests.iter().enumerate() {
            if test.holds(slots[*property as usize]) {
                shape.passes[place / 64] |= 1 << (place % 64);
            }
        }
    }

    /// Bit per column that some Matcher which admits the shape compares: no other key of its rows is ever asked for.
    pub(super) fn columns_of(&self, shape: &Shape) -> u64 {
        let admitting = self.matchers.iter().filter(|matcher| matcher.admits(shape));
        admitting.fold(0, |columns, matcher| columns | matcher.columns)
    }
}

impl PlannedMatcher {
    /// Whether rows of this shape meet every one-row test and have all properties of Equal and NotEqual set.
    pub(super) fn admits(&self, shape: &Shape) -> bool {
        shape.set & self.set == self.set
            && shape.set & self.null == 0
            && self.tests.iter().all(|test| shape.passes[test / 64] >> (test % 64) & 1 == 1)
    }
}

/// The place of `item` in `list`, which gets it if it is not there.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
