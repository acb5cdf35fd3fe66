//! What the reader lends out.

use super::attributes::Attribute;
use super::{MissingAttribute, Symbol};
use crate::id::shorten;

/// What the reader met. `<a/>` is met as an opening and a close.
#[derive(Debug)]
pub enum Token<'a> {
    /// A start tag.
    Open(Tag<'a>),
    /// An end tag.
    Close {
        /// The content of an element without children, references resolved; empty for one with children.
        text: &'a str,
    },
    /// The document ended where it may.
    End,
}

/// A start tag. Its attributes have unique names and are resolved.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'a> {
    pub(super) name: &'a str,
    pub(super) raw: &'a str,
    pub(super) resolved: &'a str,
    pub(super) attributes: &'a [Attribute],
}

impl<'a> Tag<'a> {
    /// Its name, prefix included.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Names and values, in document order.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        self.numbered().map(|attribute| (attribute.name(), attribute.value()))
    }

    /// The same, with the symbols of the names.
    pub fn numbered(&self) -> impl ExactSizeIterator<Item = Numbered<'a>> + use<'a> {
        let Tag { raw, resolved, .. } = *self;
        self.attributes.iter().map(move |attribute| Numbered { raw, resolved, attribute })
    }

    /// The value of an attribute that the element must have.
    pub fn required(&self, attribute: &'static str) -> Result<&'a str, MissingAttribute> {
        self.get(attribute).ok_or_else(|| MissingAttribute { element: shorten(self.name), attribute })
    }

    /// The value of attribute `name`.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes().find(|&(known, _)| known == name).map(|(_, value)| value)
    }
}

/// An attribute, looked at only as far as it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Numbered<'a> {
    raw: &'a str,
    resolved: &'a str,
    attribute: &'a Attribute,
}

impl<'a> Numbered<'a> {
    /// Symbol of its name: short names have one, unless a document uses very many.
    pub fn symbol(&self) -> Option<Symbol> {
        self.attribute.symbol
    }

    /// Its name, prefix included.
    pub fn name(&self) -> &'a str {
        self.attribute.name(self.raw)
    }

    /// Its value, references resolved.
    pub fn value(&self) -> &'a str {
        self.attribute.value(self.raw, self.resolved)
    }
}
