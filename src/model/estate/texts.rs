//! Texts that many things share, each stored once.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Number;

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
        let Texts { list, table, hasher } = self;
        let hash = hasher.hash_one(text);
        let is_text = |&number: &Number| *list[number as usize] == *text;
        if let Some(&number) = table.find(hash, is_text) {
            return number;
        }
        let number = list.len() as Number;
        list.push(text.into());
        table.insert_unique(hash, number, |&number| hasher.hash_one(&*list[number as usize]));
        number
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
}
