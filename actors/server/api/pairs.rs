//! Names and values of a JSON object, each as often as it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::{Problem, shorten};

/// An object's names and values, also those that are given twice: of two no one may be taken silently.
#[derive(Debug)]
pub struct Pairs<V = Box<str>>(pub Vec<(Box<str>, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Pairs<V> {
        Pairs(Vec::new())
    }
}

impl<V> Pairs<V> {
    /// Each name once.
    pub fn once(self) -> Result<BTreeMap<Box<str>, V>, Problem> {
        let mut map = BTreeMap::new();
        for (name, value) in self.0 {
            if map.contains_key(&name) {
                return Err(Problem::wrong("json", format!("`{}` stands there twice, remove one", shorten(&name))));
            }
            map.insert(name, value);
        }
        Ok(map)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<V>, D::Error> {
        struct OfObject<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for OfObject<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = object.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(OfObject(PhantomData))
    }
}
