//! What was wrong with a file that was read all the same.

use std::fmt;

/// One kind of fault at one attribute of one element, however often it was met.
///
/// Elements and attributes come from fixed tables, so a list of findings has a few dozen entries at most, whatever
/// the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoFinding {
    /// What was wrong.
    pub kind: DiscoFindingKind,
    /// The element.
    pub element: &'static str,
    /// Its attribute; empty where the element as a whole is meant.
    pub attribute: &'static str,
    /// How often.
    pub count: u64,
    /// Where it was met first: bytes of UTF-8 from the start of the document.
    pub first_at: u64,
}

/// Kinds of [`DiscoFinding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscoFindingKind {
    /// A required attribute was missing; the element was skipped.
    Missing,
    /// The value was longer than its limit and was cut at a character.
    Cut,
    /// A name or id was over 1 KiB or held control characters; it was taken as null.
    Null,
    /// Not a GUID; taken as absent.
    NotAGuid,
    /// Not a port from 1 to 65535; taken as absent.
    NotAPort,
    /// Not a point in time; taken as absent.
    NotATime,
    /// Not an address of its `Type`; the element was skipped.
    NotAnAddress,
    /// More of them than are read; the element was skipped.
    TooMany,
}

impl fmt::Display for DiscoFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DiscoFindingKind::Missing => "is missing, the element was skipped",
            DiscoFindingKind::Cut => "was too long and was cut",
            DiscoFindingKind::Null => "was over 1 KiB or held control characters and was taken as null",
            DiscoFindingKind::NotAGuid => "is not a GUID",
            DiscoFindingKind::NotAPort => "is not a port",
            DiscoFindingKind::NotATime => "is not a point in time",
            DiscoFindingKind::NotAnAddress => "is not an address of its type, the element was skipped",
            DiscoFindingKind::TooMany => "is there more often than it is read",
        };
        let DiscoFinding { element, attribute, count, first_at, .. } = self;
        let place = [*element, *attribute].join(" ");
        write!(f, "{} {what} ({count} times, first at byte {first_at})", place.trim_end())
    }
}

/// The list while a file is read.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<DiscoFinding>);

impl Findings {
    pub(super) fn add(&mut self, kind: DiscoFindingKind, element: &'static str, attribute: &'static str, at: u64) {
        let same =
            |known: &&mut DiscoFinding| (known.kind, known.element, known.attribute) == (kind, element, attribute);
        match self.0.iter_mut().find(same) {
            Some(known) => known.count = known.count.saturating_add(1),
            None => self.0.push(DiscoFinding { kind, element, attribute, count: 1, first_at: at }),
        }
    }

    pub(super) fn into_vec(self) -> Vec<DiscoFinding> {
        self.0
    }
}
