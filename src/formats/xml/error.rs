//! Why a document is refused.

use std::io;

use super::{
    ATTRIBUTES_MAX, DEPTH_MAX, ELEMENTS_MAX, KEPT_BYTES_MAX, NAME_BYTES_MAX, TOKEN_BYTES_MAX, VALUE_BYTES_MAX,
};

/// Why a document is refused. Each text can stand as the reason of a quarantined package.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// What the document is read from failed; a limit of the inflation arrives here too.
    #[error("cannot read the document")]
    Read(#[source] io::Error),
    /// Not UTF-8, and not UTF-16 with a byte order mark.
    #[error("the encoding is refused: {0}; only UTF-8 and UTF-16 with a byte order mark are read")]
    Encoding(String),
    /// Nested too deep.
    #[error("elements are nested deeper than {DEPTH_MAX}")]
    Depth,
    /// Too many attributes.
    #[error("element `{element}` has more than {ATTRIBUTES_MAX} attributes")]
    Attributes {
        /// Its name, shortened.
        element: String,
    },
    /// A tag, text or comment that does not end in time.
    #[error("a token that begins at byte {at} is longer than {TOKEN_BYTES_MAX} bytes")]
    Token {
        /// Where it begins, in bytes of UTF-8.
        at: u64,
    },
    /// A value that is too long.
    #[error("a value has {met} bytes or more, the limit is {VALUE_BYTES_MAX}")]
    Value {
        /// Its length; of text, as far as it was read.
        met: usize,
    },
    /// A name that is too long.
    #[error("a name has {met} bytes, the limit is {NAME_BYTES_MAX}")]
    Name {
        /// Its length.
        met: usize,
    },
    /// Too many elements.
    #[error("more than {ELEMENTS_MAX} elements")]
    Elements,
    /// The reading would keep too much.
    #[error("more than {KEPT_BYTES_MAX} bytes would be kept in memory")]
    Kept,
    /// `<!DOCTYPE name [ ... ]>`.
    #[error("the document type has an internal subset, which is refused")]
    InternalSubset,
    /// A reference to anything but the five predefined entities.
    #[error("entity `&{0};` is refused: only amp, lt, gt, quot and apos are known")]
    Entity(String),
    /// Not well-formed.
    #[error("not well-formed at byte {at}: {what}")]
    Malformed {
        /// Where, in bytes of UTF-8.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

/// A tag lacks an attribute that it must have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{element}` has no attribute `{attribute}`")]
pub struct MissingAttribute {
    /// The element, shortened.
    pub element: String,
    /// What it lacks.
    pub attribute: &'static str,
}

/// What is wrong with a piece of the document, before it is known where that stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed(&'static str),
    NotUtf8,
    TooMany,
    Value(usize),
    Name(usize),
    Entity(String),
    InternalSubset,
    Encoding(String),
}

impl Fault {
    pub(super) fn at(self, at: u64) -> XmlError {
        match self {
            Fault::Malformed(what) => XmlError::Malformed { at, what: what.into() },
            Fault::NotUtf8 => XmlError::Encoding(format!("the token at byte {at} is not UTF-8")),
            Fault::TooMany => XmlError::Attributes { element: String::new() },
            Fault::Value(met) => XmlError::Value { met },
            Fault::Name(met) => XmlError::Name { met },
            Fault::Entity(name) => XmlError::Entity(name),
            Fault::InternalSubset => XmlError::InternalSubset,
            Fault::Encoding(what) => XmlError::Encoding(what),
        }
    }
}
