//! Where an entitlement document says what: names of elements and attributes, which whoever reads may set.
//!
//! The schema of ISO/IEC 19770-3 was not at hand when this was written, so no name is more than a reading of ours. A
//! document that names things otherwise is met by a line in a map, not by another program.
//!
//! Source: decision 085.

use std::fmt;
use std::str::FromStr;

use crate::id::shorten;

/// Elements of a path at most.
const PATH_ELEMENTS_MAX: usize = 8;
/// Bytes of a path at most.
const PATH_BYTES_MAX: usize = 200;
/// Ways to say one thing at most.
const PATHS_MAX: usize = 16;

/// What is read of an entitlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Names the entitlement the world over.
    Id,
    /// Its name for people.
    Name,
    /// What is counted.
    Metric,
    /// How many of it.
    Quantity,
    /// From when on.
    Effective,
    /// Until when.
    Expiry,
    /// A product by its name; there may be several.
    Product,
    /// A product by the id of its software identification tag; there may be several.
    Tag,
}

impl Field {
    /// All of them, in the order of the map.
    pub const ALL: [Field; 8] = [
        Field::Id,
        Field::Name,
        Field::Metric,
        Field::Quantity,
        Field::Effective,
        Field::Expiry,
        Field::Product,
        Field::Tag,
    ];

    /// Its name in messages and in the map.
    pub fn as_str(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::Name => "name",
            Field::Metric => "metric",
            Field::Quantity => "quantity",
            Field::Effective => "effective",
            Field::Expiry => "expiry",
            Field::Product => "product",
            Field::Tag => "tag",
        }
    }

    /// Whether an entitlement may have several.
    pub fn repeats(self) -> bool {
        matches!(self, Field::Product | Field::Tag)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a value stands below an entitlement: `@a` an attribute of it, `B/@a` one of a child `B`, `B/C` the text of a
/// grandchild. Names are without prefix; case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// From the entitlement's child down.
    pub(super) elements: Vec<Box<str>>,
    /// `None`: the text.
    pub(super) attribute: Option<Box<str>>,
}

/// The text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` leads nowhere: write `@attribute`, `Element/@attribute` or `Element`, at most {PATH_ELEMENTS_MAX} elements deep"
)]
pub struct PathError(String);

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        let wrong = || PathError(shorten(text));
        let is_name = |name: &str| {
            let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@/:<>&\"'=".contains(c);
            !name.is_empty() && !name.contains(is_odd)
        };
        let mut parts: Vec<&str> = text.split('/').collect();
        let attribute = match parts.last().and_then(|last| last.strip_prefix('@')) {
            Some(name) => {
                parts.pop();
                Some(name)
            }
            None => None,
        };
        let is_path = text.len() <= PATH_BYTES_MAX
            && parts.len() <= PATH_ELEMENTS_MAX
            && (!parts.is_empty() || attribute.is_some())
            && parts.iter().copied().chain(attribute).all(is_name);
        if !is_path {
            return Err(wrong());
        }
        Ok(Path { elements: parts.into_iter().map(Into::into).collect(), attribute: attribute.map(Into::into) })
    }
}

/// The names of a kind of document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntNames {
    /// How the namespace of an entitlement begins; empty: any, also none.
    pub namespace: Box<str>,
    /// Names of the element that is one entitlement.
    pub entitlements: Vec<Box<str>>,
    /// Values of `rel` beside a tag that do not say that the tag's product is covered.
    pub related: Vec<Box<str>>,
    paths: Vec<(Field, usize, Path)>,
}

/// How the namespaces of all editions of the standard's part 3 begin, as those of part 2 do with `-2`.
const NAMESPACE: &str = "http://standards.iso.org/iso/19770/-3/";

/// Relations of ISO/IEC 19770-2:2015 that point at something else than what a tag's product is made of.
const RELATED: [&str; 9] = [
    "ancestor",
    "installationmedia",
    "packageinstaller",
    "parent",
    "patches",
    "requires",
    "see-also",
    "supersedes",
    "supplemental",
];

/// Our reading, each in the order of preference.
const PATHS: [(Field, &[&str]); 8] = [
    (Field::Id, &["@entId", "@entitlementId", "@tagId", "@id"]),
    (Field::Name, &["@name"]),
    (Field::Metric, &["Metric/@type", "Metric/@name", "Metric", "@metric"]),
    (Field::Quantity, &["Metric/@quantity", "Quantity", "@quantity"]),
    (Field::Effective, &["@effectiveDate", "@startDate", "EffectiveDate"]),
    (Field::Expiry, &["@expiryDate", "@endDate", "ExpiryDate"]),
    (Field::Product, &["Meta/@product"]),
    (Field::Tag, &["Link/@href"]),
];

impl EntNames {
    /// Our reading of the standard.
    pub fn standard() -> EntNames {
        let boxed = |names: &[&str]| names.iter().copied().map(Into::into).collect();
        let mut names = EntNames {
            namespace: NAMESPACE.into(),
            entitlements: boxed(&["Entitlement", "Ent"]),
            related: boxed(&RELATED),
            paths: Vec::new(),
        };
        for (field, paths) in PATHS {
            let paths = paths.iter().map(|path| path.parse().expect("our paths are paths")).collect();
            names.set(field, paths).expect("our paths are few");
        }
        names
    }

    /// Sets where a field stands, in the order of preference; `None` when these are too many ways.
    pub fn set(&mut self, field: Field, paths: Vec<Path>) -> Option<()> {
        if paths.len() > PATHS_MAX {
            return None;
        }
        self.paths.retain(|(known, ..)| *known != field);
        self.paths.extend(paths.into_iter().enumerate().map(|(rank, path)| (field, rank, path)));
        // The same names are the same value, in whatever order they were set.
        self.paths.sort_by_key(|&(field, rank, _)| (field, rank));
        Some(())
    }

    /// What stands in the element `at`, by attribute or, with `None`, as its text.
    pub(super) fn values(&self, at: &[Box<str>], attribute: Option<&str>) -> impl Iterator<Item = (Field, usize)> {
        let is_here = move |path: &Path| path.elements == at && path.attribute.as_deref() == attribute;
        self.paths.iter().filter(move |(.., path)| is_here(path)).map(|&(field, rank, _)| (field, rank))
    }

    /// Whether anything in the element `at` or below it is read.
    pub(super) fn leads_below(&self, at: &[Box<str>]) -> bool {
        self.paths.iter().any(|(.., path)| path.elements.starts_with(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_elements_and_perhaps_an_attribute() {
        let path = |text: &str| text.parse::<Path>().map(|path| (path.elements.len(), path.attribute.is_some()));
        assert_eq!(path("@id"), Ok((0, true)));
        assert_eq!(path("A/B/@c"), Ok((2, true)));
        assert_eq!(path("A/B"), Ok((2, false)));
        let long = ["A"; 9].join("/");
        for text in ["", "@", "/", "A/", "/A", "@a/B", "A//B", "A b", "x:A", "A/@b/@c", long.as_str()] {
            assert!(path(text).is_err(), "{text}");
        }
    }
}
