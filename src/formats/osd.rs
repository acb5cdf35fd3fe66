//! The catalog `.osd`: about a kilobyte that says whether a larger target file has changed.
//!
//! Source: `agent-beacon-batch` reference, sections 2.2 and 7.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use md5::{Digest as _, Md5};

use super::xml::{MissingAttribute, Tag, XmlError, XmlReader, XmlWriter};
use crate::id::{Digest, IdError, shorten};

/// Format number that is written. Source: the example of the reference.
const FORMAT: &str = "1.5";

/// Why a catalog is refused.
#[derive(Debug, thiserror::Error)]
pub enum OsdError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("catalog XML is refused")]
    Xml(#[from] XmlError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `SOFTPKG`")]
    Root(String),
    /// An element lacks what it must have.
    #[error(transparent)]
    Missing(#[from] MissingAttribute),
    /// Not one of the kinds that muster knows.
    #[error("`{0}` is no kind of catalog")]
    Kind(String),
    /// Not four numbers.
    #[error("version `{0}` is not of the form `1,0,0,0`")]
    Version(String),
    /// The size of the target is no number.
    #[error("size `{0}` is not a number of bytes")]
    Size(String),
    /// The digest that decides is none.
    #[error("the target has no usable SHA256")]
    Sha256(#[source] IdError),
    /// The digest kept for the model is none.
    #[error("`{0}` is not an MD5 in hexadecimal")]
    Md5(String),
    /// There must be exactly one target.
    #[error("the catalog names {0} targets, not one")]
    Targets(usize),
}

/// What the target of a catalog is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CatalogKind {
    /// A schedule `.nds`.
    #[default]
    Schedule,
    /// Settings of the agent.
    ClientConfiguration,
    /// What to collect.
    InventorySettings,
    /// The failover list.
    ClientSettings,
    /// A newer agent.
    AgentUpgrade,
}

impl CatalogKind {
    const NAMES: [(CatalogKind, &'static str); 5] = [
        (CatalogKind::Schedule, "Schedule"),
        (CatalogKind::ClientConfiguration, "ClientConfiguration"),
        (CatalogKind::InventorySettings, "InventorySettings"),
        (CatalogKind::ClientSettings, "ClientSettings"),
        (CatalogKind::AgentUpgrade, "AgentUpgrade"),
    ];
}

impl FromStr for CatalogKind {
    type Err = OsdError;
    fn from_str(text: &str) -> Result<CatalogKind, OsdError> {
        let named = CatalogKind::NAMES.iter().find(|(_, name)| *name == text);
        named.map(|(kind, _)| *kind).ok_or_else(|| OsdError::Kind(shorten(text)))
    }
}

impl fmt::Display for CatalogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CatalogKind::NAMES.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// One catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Osd {
    /// Name of the package.
    pub name: String,
    /// What the target is.
    pub kind: CatalogKind,
    /// Version of the target, `1,0,0,7` in the file; four numbers that compare from the left.
    pub version: [u32; 4],
    /// Title for people.
    pub title: String,
    /// The target.
    pub target: Target,
}

/// The file that a catalog stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path below the download folder, percent-encoded.
    pub href: String,
    /// Bytes.
    pub size: u64,
    /// MD5 in 32 lower-case hexadecimal digits; kept for the model, it decides nothing.
    pub md5: String,
    /// The digest that decides.
    pub sha256: Digest,
}

impl Target {
    /// The target at `href` with these bytes.
    pub fn of(href: &str, bytes: &[u8]) -> Target {
        Target { href: href.into(), size: bytes.len() as u64, md5: md5(bytes), sha256: Digest::of(bytes) }
    }
}

/// MD5 of `bytes` in 32 lower-case hexadecimal digits.
pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Osd {
    /// Reads a catalog.
    pub fn read(xml: impl Read) -> Result<Osd, OsdError> {
        let mut xml = XmlReader::new(xml);
        let (name, kind, version) = match xml.child()? {
            Some(tag) if tag.name() == "SOFTPKG" => {
                let name: String = tag.required("NAME")?.into();
                let kind = tag.required("TYPE")?.parse()?;
                (name, kind, read_version(tag.required("VERSION")?)?)
            }
            other => return Err(OsdError::Root(shorten(other.map_or("", |tag| tag.name())))),
        };
        let mut title = String::new();
        let mut target = None;
        let mut targets = 0;
        while let Some(tag) = xml.child()? {
            match tag.name() {
                "TITLE" => title = xml.text()?.into(),
                "CODEBASE" => {
                    targets += 1;
                    target = Some(Target::read(&tag)?);
                    xml.skip()?;
                }
                _ => xml.skip()?,
            }
        }
        // A document that goes on after its root is not well-formed.
        xml.child()?;
        match target {
            Some(target) if targets == 1 => Ok(Osd { name, kind, version, title, target }),
            _ => Err(OsdError::Targets(targets)),
        }
    }

    /// Prints the catalog; equal catalogs give equal bytes.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let [major, minor, patch, build] = self.version;
        let mut xml = XmlWriter::new(out, Some(r#"SOFTPKG SYSTEM "urn:muster:softpkg""#))?;
        xml.open("SOFTPKG")?;
        xml.attribute("NAME", &self.name)?;
        xml.attribute("TYPE", &self.kind.to_string())?;
        xml.attribute("VERSION", &format!("{major},{minor},{patch},{build}"))?;
        xml.attribute("FORMAT", FORMAT)?;
        xml.children()?;
        xml.open("TITLE")?;
        xml.text("TITLE", &self.title)?;
        xml.open("CODEBASE")?;
        xml.attribute("HREF", &self.target.href)?;
        xml.number("SIZE", self.target.size)?;
        xml.wrap("<CODEBASE ".len())?;
        xml.attribute("MD5", &self.target.md5)?;
        xml.wrap("<CODEBASE ".len())?;
        xml.attribute("SHA256", &self.target.sha256.to_string())?;
        xml.empty()?;
        xml.close("SOFTPKG")?;
        xml.into_inner().map(|_| ())
    }
}

impl Target {
    fn read(tag: &Tag) -> Result<Target, OsdError> {
        let size = tag.required("SIZE")?;
        let md5 = tag.required("MD5")?.to_ascii_lowercase();
        if md5.len() != 32 || !md5.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(OsdError::Md5(shorten(&md5)));
        }
        Ok(Target {
            href: tag.required("HREF")?.into(),
            size: size.parse().map_err(|_| OsdError::Size(shorten(size)))?,
            md5,
            sha256: tag.required("SHA256")?.parse().map_err(OsdError::Sha256)?,
        })
    }
}

fn read_version(text: &str) -> Result<[u32; 4], OsdError> {
    let mut version = [0; 4];
    let mut parts = text.split(',');
    for number in &mut version {
        let part = parts.next().and_then(|part| part.parse().ok());
        *number = part.ok_or_else(|| OsdError::Version(shorten(text)))?;
    }
    if parts.next().is_none() { Ok(version) } else { Err(OsdError::Version(shorten(text))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCHEDULE: &str = include_str!("../../tests/golden/formats/schedule.osd");

    fn write(catalog: &Osd) -> String {
        let mut out = Vec::new();
        catalog.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn reason(document: &str) -> String {
        Osd::read(document.as_bytes()).expect_err(document).to_string()
    }

    #[test]
    fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
        let catalog = Osd::read(SCHEDULE.as_bytes()).unwrap();
        assert_eq!((catalog.kind, catalog.version), (CatalogKind::Schedule, [1, 0, 0, 7]));
        assert_eq!((catalog.title.as_str(), catalog.target.size), ("Default Machine Schedule", 1834));
        assert_eq!(write(&catalog), SCHEDULE);
    }

    #[test]
    fn a_catalog_that_leaves_a_doubt_is_refused() {
        assert_eq!(reason("<Policy/>"), "the root element is `Policy`, not `SOFTPKG`");
        for (from, to, expected) in [
            ("TYPE=\"Schedule\"", "TYPE=\"schedule\"", "`schedule` is no kind of catalog"),
            ("1,0,0,7", "1.0.0.7", "version `1.0.0.7` is not of the form `1,0,0,0`"),
            ("1,0,0,7", "1,0,0,7,1", "version `1,0,0,7,1` is not of the form `1,0,0,0`"),
            ("1,0,0,7", "1,0,7", "version `1,0,7` is not of the form `1,0,0,0`"),
            ("1834", "-1", "size `-1` is not a number of bytes"),
            ("SIZE=", "size=", "`CODEBASE` has no attribute `SIZE`"),
            ("6f5902ac", "6g5902ac", "`6g5902ac237024bdd0c176cb93063dc4` is not an MD5 in hexadecimal"),
            ("2c26b46b", "2c26b4", "the target has no usable SHA256"),
            ("<TITLE>", "<CODEBASE/><TITLE>", "`CODEBASE` has no attribute `SIZE`"),
        ] {
            let document = SCHEDULE.replace(from, to);
            assert_ne!(document, SCHEDULE, "{from}");
            assert_eq!(reason(&document), expected);
        }
        assert_eq!(
            reason("<SOFTPKG NAME='n' TYPE='Schedule' VERSION='1,0,0,0'/>"),
            "the catalog names 0 targets, not one"
        );
    }

    #[test]
    fn a_catalog_cut_anywhere_is_refused() {
        for end in 0..SCHEDULE.trim_end().len() {
            assert!(Osd::read(&SCHEDULE.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name in "[^\\p{Cc}\u{fffe}\u{ffff}]*",
            title in "[^\\p{Cc}\u{fffe}\u{ffff}]*",
            kind in 0usize..5,
            version: [u32; 4],
            size: u64,
            md5 in "[0-9a-f]{32}",
            sha256: [u8; 32],
        ) {
            let target = Target { href: format!("Schedules/{name}"), size, md5, sha256: Digest(sha256) };
            let catalog = Osd { name, kind: CatalogKind::NAMES[kind].0, version, title, target };
            prop_assert_eq!(Osd::read(write(&catalog).as_bytes()).unwrap(), catalog);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Osd::read(&bytes[..]);
        }
    }
}
