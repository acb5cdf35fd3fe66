//! Texts that many things share, each stored once.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Number, is_same};

/// Distinct texts, numbered as they came. Number 0 is the blank text.
#[derive(Clone, Debug)]
pub struct Texts {
    list: Vec<Box<str>>,
    table: HashTable<Number>,
    hasher: DefaultHashBuilder,
}

impl Default for Texts {
    fn default() -> Texts {
        let mut texts = Texts { list: Vec::new(), table: HashTable::new(), hasher: DefaultHashBuilder::default() };
        texts.number("");
        texts
    }
}

impl Texts {
    /// Number of the blank text.
    pub const BLANK: Number = 0;

    /// The number of `text`, which is kept from now on.
    pub fn number(&mut self, text: &str) -> Number {
        self.kept(text, |text| text.into())
    }

    /// The same of a text that is `boxed` in its own way where it is new.
    fn kept<T: AsRef<str>>(&mut self, text: T, boxed: impl FnOnce(T) -> Box<str>) -> Number {
        let Texts { list, table, hasher } = self;
        let hash = hasher.hash_one(text.as_ref());
        let is_text = |&number: &Number| is_same(&list[number as usize], text.as_ref());
        if let Some(&number) = table.find(hash, is_text) {
            return number;
        }
        let number = list.len() as Number;
        list.push(boxed(text));
        table.insert_unique(hash, number, |&number| hasher.hash_one(&*list[number as usize]));
        number
    }

    /// Takes the texts of another, in their order; by the number that each had there the one it has here.
    pub fn absorb(&mut self, other: Texts) -> Vec<Number> {
        other.list.into_iter().map(|text| self.kept(text, |text| text)).collect()
    }

    /// All texts by their numbers, the blank one first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|text| &**text)
    }

    /// The number of a text that is kept.
    pub fn find(&self, text: &str) -> Option<Number> {
        self.table.find(self.hasher.hash_one(text), |&number| *self.list[number as usize] == *text).copied()
    }

    /// The text with this number. Panics when there is none: numbers come from here.
    pub fn text(&self, number: Number) -> &str {
        &self.list[number as usize]
    }

    /// How many there are, the blank one included.
    pub fn count(&self) -> usize {
        self.list.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number() {
        let mut texts = Texts::default();
        assert_eq!(texts.number(""), Texts::BLANK);
        let (a, b) = (texts.number("a"), texts.number("b"));
        assert_eq!((texts.number("a"), texts.text(b), texts.find("c"), texts.count()), (a, "b", None, 3));
    }

    #[test]
    fn texts_of_others_are_numbered_behind_those_that_are_known() {
        let (mut texts, mut others) = (Texts::default(), Texts::default());
        ["a", "b"].iter().for_each(|text| {
            let _number = texts.number(text);
        });
        ["c", "a", "d"].iter().for_each(|text| {
            let _number = others.number(text);
        });
        assert_eq!(texts.absorb(others), [Texts::BLANK, 3, 1, 4]);
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["", "a", "b", "c", "d"]);
    }
}
