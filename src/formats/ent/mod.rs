//! Entitlement documents (ENT) in the manner of ISO/IEC 19770-3: what a maker says was bought.
//!
//! ```xml
//! <Entitlement xmlns="http://standards.iso.org/iso/19770/-3/2016/schema.xsd" entId="example.com-4711"
//!              name="Example Office, 250 devices" effectiveDate="2026-01-01" expiryDate="2026-12-31">
//!   <Entity name="Example" regid="example.com" role="licensor entCreator"/>
//!   <Meta product="Example Office"/>
//!   <Link rel="component" href="swid:example.com-office-2026"/>
//!   <Metric type="device" quantity="250"/>
//! </Entitlement>
//! ```
//!
//! Entitlements stand at the root or in other elements, at any depth. Which element and which attribute says what is
//! told by [`EntNames`]. Texts come as written with their lines; what they mean is the model's to say. An element or
//! attribute that says nothing here is named, so that nothing is left out in silence.
//!
//! A document may come from anyone, so it goes through the bounded XML reader, which expands and fetches nothing.
//! Signatures are not checked. Source: decision 085.

mod lines;
mod names;
mod read;

pub use names::{EntNames, Field, Path, PathError};
pub use read::read_ent;

use crate::formats::xml::XmlError;

/// Bytes of a document at most.
pub const ENT_BYTES_MAX: usize = 16 << 20;
/// Entitlements of a document at most.
pub const ENTITLEMENTS_MAX: usize = 100_000;
/// Names told of what is not read.
const UNREAD_MAX: usize = 32;

/// Why a document is not read.
#[derive(Debug, thiserror::Error)]
#[error("{line}: {problem}")]
pub struct EntError {
    /// Line of the document, from 1; its file's name belongs before it.
    pub line: u32,
    /// What is wrong there, and what to do.
    pub problem: EntProblem,
}

/// What is wrong with a document.
#[derive(Debug, thiserror::Error)]
pub enum EntProblem {
    /// Too large.
    #[error("the document has more than {ENT_BYTES_MAX} bytes: part it")]
    TooLarge,
    /// Not the XML that is read here.
    #[error("{0}")]
    Xml(XmlError),
    /// Part 2 of the standard, not part 3.
    #[error("this is a software identification tag (ISO/IEC 19770-2): it says what is installed, not what was bought")]
    SwidTag,
    /// No entitlement in it.
    #[error(
        "no entitlement is in this document, whose root is `{root}`: name the element that is one in the map (--map)"
    )]
    NoEntitlement {
        /// The root element.
        root: String,
    },
    /// An element of that name, but of another form.
    #[error(
        "`{element}` is of {found}, not of one that begins with `{wanted}`: if it is an entitlement all the same, set `namespace` in the map (--map)"
    )]
    Namespace {
        /// The element.
        element: String,
        /// `no namespace`, or which one.
        found: String,
        /// What is asked for.
        wanted: String,
    },
    /// One in another.
    #[error("an entitlement stands inside another one, which is not read: part them")]
    Nested,
    /// Too many.
    #[error("the document has more than {ENTITLEMENTS_MAX} entitlements: part it")]
    TooMany,
}

/// A text, and the line that its element begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Without blanks around it; never empty.
    pub text: Box<str>,
    /// From 1.
    pub line: u32,
}

/// One entitlement, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ent {
    /// Where it begins.
    pub line: u32,
    /// Where two places that count the same give a field two values.
    pub twice: Vec<(Field, u32)>,
    /// Links that say something else than what is covered: relation and target.
    pub related: Vec<(Box<str>, Said)>,
    said: Vec<(Field, usize, Said)>,
}

impl Ent {
    /// What it says of a field that does not repeat.
    pub fn get(&self, field: Field) -> Option<&Said> {
        self.all(field).next()
    }

    /// All that it says of a field.
    pub fn all(&self, field: Field) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |(known, ..)| *known == field).map(|(.., said)| said)
    }

    /// Takes note of a value; the place of the lowest `rank` counts.
    fn add(&mut self, field: Field, rank: usize, said: Said) {
        if !field.repeats()
            && let Some((_, known_rank, known)) = self.said.iter_mut().find(|(known, ..)| *known == field)
        {
            if rank < *known_rank {
                (*known_rank, *known) = (rank, said);
                self.twice.retain(|(twice, _)| *twice != field);
            } else if rank == *known_rank && known.text != said.text {
                self.twice.push((field, said.line));
            }
            return;
        }
        self.said.push((field, rank, said));
    }
}

/// A document as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntDocument {
    /// In the order of the document; one at least.
    pub entitlements: Vec<Ent>,
    /// What is in entitlements and says nothing here: `Element`, `Element/@attribute`; the first of them by name.
    pub unread: std::collections::BTreeSet<String>,
}

#[cfg(test)]
mod tests;
