//! What was wrong with a usage file that was read all the same.

use std::fmt;

/// One kind of fault at one attribute of one element, however often it was met.
///
/// Elements and attributes come from fixed tables, so a list of findings has a few dozen entries at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was wrong.
    pub kind: FindingKind,
    /// The element.
    pub element: &'static str,
    /// Its attribute; empty when the element itself is at fault.
    pub attribute: &'static str,
    /// How often.
    pub count: u64,
    /// Where it was met first: bytes of UTF-8 from the start of the document.
    pub first_at: u64,
}

/// Kinds of [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// A required attribute was missing; the element was skipped.
    Missing,
    /// The value was longer than its limit and was cut.
    Cut,
    /// A key value was over 1 KiB or held control characters; it was taken as null.
    Null,
    /// Not a number of 32 bits; taken as 0.
    NotANumber,
    /// Not a point in time; a period without one was skipped.
    NotATime,
    /// Not a GUID; a period without one was skipped.
    NotAGuid,
    /// Not a type of period that is known; the period was skipped.
    NotAType,
    /// A GUID came again and replaced what stood there, or another machine came and was left out.
    Again,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FindingKind::Missing => "is missing, the element was skipped",
            FindingKind::Cut => "was too long and was cut",
            FindingKind::Null => "was over 1 KiB or held control characters and was taken as null",
            FindingKind::NotANumber => "is not a number of 32 bits",
            FindingKind::NotATime => "is not a point in time",
            FindingKind::NotAGuid => "is not a GUID",
            FindingKind::NotAType => "is no known type of period, which was skipped",
            FindingKind::Again if self.attribute.is_empty() => "came a second time, what follows it was left out",
            FindingKind::Again => "came a second time and replaced the first",
        };
        let Finding { element, attribute, count, first_at, .. } = self;
        let gap = if attribute.is_empty() { "" } else { " " };
        write!(f, "{element}{gap}{attribute} {what} ({count} times, first at byte {first_at})")
    }
}

/// The list while a file is read.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, kind: FindingKind, element: &'static str, attribute: &'static str, at: u64) {
        let same = |known: &&mut Finding| (known.kind, known.element, known.attribute) == (kind, element, attribute);
        match self.0.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => self.0.push(Finding { kind, element, attribute, count: 1, first_at: at }),
        }
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}
