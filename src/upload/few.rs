//! A list that nearly always has one element, which then stands in place and not on the heap: a million ledgers hold some.

use std::ops::{Deref, DerefMut};

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// See the module's head. Stored as a list.
#[derive(Clone, Debug)]
pub enum Few<T> {
    /// One element.
    One(T),
    /// None, or several.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// Inserts an element at a place, at most the list's length.
    pub fn insert(&mut self, at: usize, element: T) {
        let mut list = self.take();
        list.insert(at, element);
        *self = Few::from(list);
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: T) {
        self.insert(self.len(), element);
    }

    /// Takes the element at a place out, which has to be one of the list's.
    pub fn remove(&mut self, at: usize) -> T {
        let mut list = self.take();
        let element = list.remove(at);
        *self = Few::from(list);
        element
    }

    fn take(&mut self) -> Vec<T> {
        match std::mem::take(self) {
            Few::One(only) => vec![only],
            Few::Many(list) => list,
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few::Many(Vec::new())
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut list: Vec<T>) -> Few<T> {
        match list.pop() {
            Some(only) if list.is_empty() => Few::One(only),
            last => {
                list.extend(last);
                Few::Many(list)
            }
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Few::One(only) => std::slice::from_ref(only),
            Few::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Few::One(only) => std::slice::from_mut(only),
            Few::Many(many) => many,
        }
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Few<T>) -> bool {
        self[..] == other[..]
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Few<T>, D::Error> {
        Vec::deserialize(from).map(Few::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_vector(steps in proptest::collection::vec((any::<bool>(), any::<usize>(), any::<u8>()), 0..40)) {
            let (mut few, mut model): (Few<u8>, Vec<u8>) = Default::default();
            for (is_taken, at, value) in steps {
                if is_taken && !model.is_empty() {
                    let at = at % model.len();
                    prop_assert_eq!(few.remove(at), model.remove(at));
                } else {
                    let at = at % (model.len() + 1);
                    few.insert(at, value);
                    model.insert(at, value);
                }
                prop_assert_eq!(&few[..], &model[..]);
                prop_assert_eq!(model.len() == 1, matches!(few, Few::One(_)));
                prop_assert_eq!(&Few::from(model.clone()), &few);
                let stored = rmp_serde::to_vec(&few).unwrap();
                prop_assert_eq!(&stored, &rmp_serde::to_vec(&model).unwrap());
                prop_assert_eq!(&rmp_serde::from_slice::<Few<u8>>(&stored).unwrap(), &few);
            }
        }
    }
}
