//! Texts that many things share, each stored once.

use hashbrown::HashMap;

use super::Number;

/// Distinct texts, numbered as they came. Number 0 is the blank text.
#[derive(Debug)]
pub struct Texts {
    list: Vec<Box<str>>,
    numbers: HashMap<Box<str>, Number>,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { list: vec!["".into()], numbers: HashMap::from_iter([("".into(), Texts::BLANK)]) }
    }
}

impl Texts {
    /// Number of the blank text.
    pub const BLANK: Number = 0;

    /// The number of `text`, which is kept from now on.
    pub fn number(&mut self, text: &str) -> Number {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.list.len() as Number;
        self.list.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }

    /// The number of a text that is kept.
    pub fn find(&self, text: &str) -> Option<Number> {
        self.numbers.get(text).copied()
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
