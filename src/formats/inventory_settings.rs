//! `InventorySettings.xml`: what an agent may look for beyond the ordinary, delivered by policy.
//!
//! ```text
//! InventorySettings Version
//!   Feature*    Name Enabled RequiresRoot         a collection that is switched on or off
//!   Include*    Directory Extensions MaxDepth     a folder whose files are listed
//! ```
//!
//! These settings decide what runs with the agent's full rights, so nothing in them is guessed: settings that leave a
//! doubt are refused as a whole and the agent keeps those it has. Unknown elements and attributes are skipped.
//!
//! Source: `agent-beacon-batch` reference, sections 1.4 and 7.

use std::io::{self, Read, Write};

use super::xml::{MissingAttribute, Tag, XmlError, XmlReader, XmlWriter};
use crate::id::shorten;

/// The feature that Oracle discovery and inventory need.
pub const ORACLE_INVENTORY: &str = "OracleInventory";
/// Features of one file. The limits from here on are this project's.
pub const FEATURES_MAX: usize = 256;
/// Included folders of one file.
pub const INCLUDES_MAX: usize = 256;
/// File name extensions of one included folder.
pub const EXTENSIONS_MAX: usize = 64;
/// Folders below an included one that are entered at most.
pub const MAX_DEPTH_MAX: u8 = 64;
/// Folders below an included one that are entered when the file does not say. Source: the example of the reference.
pub const MAX_DEPTH_DEFAULT: u8 = 6;
/// Bytes of a folder's path; that of Linux.
pub const DIRECTORY_BYTES_MAX: usize = 4_096;
/// Bytes of a feature's name.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of an extension.
const EXTENSION_BYTES_MAX: usize = 32;

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum InventorySettingsError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("inventory settings XML is refused")]
    Xml(#[from] XmlError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `InventorySettings`")]
    Root(String),
    /// An element lacks what it must have.
    #[error(transparent)]
    Missing(#[from] MissingAttribute),
    /// A value that means nothing.
    #[error("`{attribute}` is `{met}`, which is not {expected}")]
    Value {
        /// The attribute.
        attribute: &'static str,
        /// What stands there, shortened.
        met: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// Two features of one name: which one counts?
    #[error("feature `{0}` is there twice")]
    Twice(String),
    /// Too many elements of a kind.
    #[error("more than {max} elements `{element}`")]
    TooMany {
        /// The element.
        element: &'static str,
        /// Its limit.
        max: usize,
    },
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventorySettings {
    /// Counts up with each publication.
    pub version: u32,
    /// In document order; no two have one name.
    pub features: Vec<Feature>,
    /// In document order.
    pub includes: Vec<Include>,
}

/// A collection that is switched on or off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    /// `OracleInventory`, `FileScan`: 1 to 64 letters, digits, `.`, `-`, `_`; case counts.
    pub name: String,
    /// Whether it may run.
    pub enabled: bool,
    /// Whether it runs only as root (on UNIX); false when the file does not say.
    pub requires_root: bool,
}

/// A folder whose files are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// Its full path, without `..`.
    pub directory: String,
    /// File name extensions without the dot; all files when empty.
    pub extensions: Vec<String>,
    /// Folders below it that are entered: 0 for none, at most [`MAX_DEPTH_MAX`].
    pub max_depth: u8,
}

impl InventorySettings {
    /// Reads settings.
    pub fn read(xml: impl Read) -> Result<InventorySettings, InventorySettingsError> {
        let mut xml = XmlReader::new(xml);
        let mut settings = match xml.child()? {
            Some(tag) if tag.name() == "InventorySettings" => {
                let text = tag.required("Version")?;
                let version = text.parse().map_err(|_| value("Version", text, "a whole number"))?;
                InventorySettings { version, ..InventorySettings::default() }
            }
            other => return Err(InventorySettingsError::Root(shorten(other.map_or("", |tag| tag.name())))),
        };
        let too_many = |element, max| InventorySettingsError::TooMany { element, max };
        while let Some(tag) = xml.child()? {
            match tag.name() {
                "Feature" if settings.features.len() == FEATURES_MAX => return Err(too_many("Feature", FEATURES_MAX)),
                "Feature" => {
                    let feature = Feature::read(&tag)?;
                    if settings.feature(&feature.name).is_some() {
                        return Err(InventorySettingsError::Twice(feature.name));
                    }
                    settings.features.push(feature);
                }
                "Include" if settings.includes.len() == INCLUDES_MAX => return Err(too_many("Include", INCLUDES_MAX)),
                "Include" => settings.includes.push(Include::read(&tag)?),
                _ => {}
            }
            xml.skip()?;
        }
        // A document that goes on after its root is not well-formed.
        xml.child()?;
        Ok(settings)
    }

    /// The feature named `name`; case counts.
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// Prints the settings; equal settings give equal bytes.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut xml = XmlWriter::new(out, None)?;
        xml.open("InventorySettings")?;
        xml.number("Version", u64::from(self.version))?;
        xml.children()?;
        let flag = |flag: bool| if flag { "True" } else { "False" };
        for feature in &self.features {
            xml.open("Feature")?;
            xml.attribute("Name", &feature.name)?;
            xml.attribute("Enabled", flag(feature.enabled))?;
            xml.optional("RequiresRoot", if feature.requires_root { "True" } else { "" })?;
            xml.empty()?;
        }
        for include in &self.includes {
            xml.open("Include")?;
            xml.attribute("Directory", &include.directory)?;
            xml.optional("Extensions", &include.extensions.join(";"))?;
            xml.number("MaxDepth", u64::from(include.max_depth))?;
            xml.empty()?;
        }
        xml.close("InventorySettings")?;
        xml.into_inner().map(|_| ())
    }
}

impl Feature {
    fn read(tag: &Tag) -> Result<Feature, InventorySettingsError> {
        let name = tag.required("Name")?;
        if !is_word(name, NAME_BYTES_MAX) {
            return Err(value("Name", name, "1 to 64 letters, digits, `.`, `-`, `_`"));
        }
        let flag = |attribute, text: &str| match text {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            text => Err(value(attribute, text, "True or False")),
        };
        Ok(Feature {
            name: name.into(),
            enabled: flag("Enabled", tag.required("Enabled")?)?,
            requires_root: tag.get("RequiresRoot").map_or(Ok(false), |text| flag("RequiresRoot", text))?,
        })
    }
}

impl Include {
    fn read(tag: &Tag) -> Result<Include, InventorySettingsError> {
        let directory = tag.required("Directory")?;
        if !is_directory(directory) {
            return Err(value("Directory", directory, "a full path without `..`"));
        }
        let text = tag.get("Extensions").unwrap_or("");
        let extensions: Vec<String> = text.split(';').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        if extensions.len() > EXTENSIONS_MAX || !extensions.iter().all(|one| is_word(one, EXTENSION_BYTES_MAX)) {
            return Err(value("Extensions", text, "at most 64 extensions separated by `;`"));
        }
        let max_depth = match tag.get("MaxDepth") {
            None => MAX_DEPTH_DEFAULT,
            Some(text) => {
                let depth = text.parse().ok().filter(|&depth| depth <= MAX_DEPTH_MAX);
                depth.ok_or_else(|| value("MaxDepth", text, "0 to 64"))?
            }
        };
        Ok(Include { directory: directory.into(), extensions, max_depth })
    }
}

fn is_word(text: &str, bytes_max: usize) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether `text` is a full path, of UNIX or with a drive letter, that does not climb.
fn is_directory(text: &str) -> bool {
    let mut start = text.chars();
    let is_drive = matches!(
        (start.next(), start.next(), start.next()),
        (Some(letter), Some(':'), Some('\\' | '/')) if letter.is_ascii_alphabetic()
    );
    (text.starts_with('/') || is_drive)
        && text.len() <= DIRECTORY_BYTES_MAX
        && !text.chars().any(char::is_control)
        && !text.split(['/', '\\']).any(|part| part == "..")
}

fn value(attribute: &'static str, met: &str, expected: &'static str) -> InventorySettingsError {
    InventorySettingsError::Value { attribute, met: shorten(met), expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = include_str!("../../tests/golden/formats/InventorySettings.xml");

    fn write(settings: &InventorySettings) -> String {
        let mut out = Vec::new();
        settings.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn reason(document: &str) -> String {
        InventorySettings::read(document.as_bytes()).expect_err(document).to_string()
    }

    #[test]
    fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
        let settings = InventorySettings::read(EXAMPLE.as_bytes()).unwrap();
        let feature = |name: &str, enabled, requires_root| Feature { name: name.into(), enabled, requires_root };
        assert_eq!(
            settings,
            InventorySettings {
                version: 12,
                features: vec![feature("OracleInventory", true, true), feature("FileScan", false, false)],
                includes: vec![Include {
                    directory: "/opt".into(),
                    extensions: vec!["jar".into(), "so".into()],
                    max_depth: 6,
                }],
            }
        );
        assert_eq!(write(&settings), EXAMPLE);
        assert!(settings.feature(ORACLE_INVENTORY).is_some_and(|feature| feature.enabled));
        assert_eq!(settings.feature("oracleinventory"), None);
    }

    #[test]
    fn settings_that_leave_a_doubt_are_refused() {
        assert_eq!(reason("<Settings/>"), "the root element is `Settings`, not `InventorySettings`");
        assert_eq!(reason("<InventorySettings/>"), "`InventorySettings` has no attribute `Version`");
        for (from, to, expected) in [
            ("\"12\"", "\"new\"", "`Version` is `new`, which is not a whole number"),
            ("Enabled=\"True\"", "", "`Feature` has no attribute `Enabled`"),
            ("Enabled=\"True\"", "Enabled=\"1\"", "`Enabled` is `1`, which is not True or False"),
            ("RequiresRoot=\"True\"", "RequiresRoot=\"\"", "`RequiresRoot` is ``, which is not True or False"),
            ("Name=\"FileScan\"", "", "`Feature` has no attribute `Name`"),
            ("\"FileScan\"", "\"\"", "`Name` is ``, which is not 1 to 64 letters, digits, `.`, `-`, `_`"),
            ("\"FileScan\"", "\"OracleInventory\"", "feature `OracleInventory` is there twice"),
            ("Directory=\"/opt\"", "", "`Include` has no attribute `Directory`"),
            ("\"/opt\"", "\"opt\"", "`Directory` is `opt`, which is not a full path without `..`"),
            ("\"/opt\"", "\"/opt/../etc\"", "`Directory` is `/opt/../etc`, which is not a full path without `..`"),
            ("jar;so", "*", "`Extensions` is `*`, which is not at most 64 extensions separated by `;`"),
            ("\"6\"", "\"65\"", "`MaxDepth` is `65`, which is not 0 to 64"),
            ("\"6\"", "\"-1\"", "`MaxDepth` is `-1`, which is not 0 to 64"),
        ] {
            let document = EXAMPLE.replacen(from, to, 1);
            assert_ne!(document, EXAMPLE, "{from}");
            assert_eq!(reason(&document), expected);
        }
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let document = "<InventorySettings Version='1'><Include Directory='C:\\Programs'/><New/></InventorySettings>";
        let settings = InventorySettings::read(document.as_bytes()).unwrap();
        let include = Include { directory: "C:\\Programs".into(), extensions: vec![], max_depth: MAX_DEPTH_DEFAULT };
        assert_eq!((settings.features, settings.includes), (vec![], vec![include]));
    }

    #[test]
    fn elements_and_extensions_are_bounded() {
        let features = |count: usize| -> String {
            (0..count).map(|number| format!("<Feature Name='f{number}' Enabled='True'/>")).collect()
        };
        let includes = |count: usize| "<Include Directory='/opt'/>".repeat(count);
        let settings = |inside: String| format!("<InventorySettings Version='1'>{inside}</InventorySettings>");
        assert!(InventorySettings::read(settings(features(FEATURES_MAX)).as_bytes()).is_ok());
        assert_eq!(reason(&settings(features(FEATURES_MAX + 1))), "more than 256 elements `Feature`");
        assert!(InventorySettings::read(settings(includes(INCLUDES_MAX)).as_bytes()).is_ok());
        assert_eq!(reason(&settings(includes(INCLUDES_MAX + 1))), "more than 256 elements `Include`");
        let include = |extensions: usize| {
            settings(format!("<Include Directory='/opt' Extensions='{}'/>", "so;".repeat(extensions)))
        };
        assert!(InventorySettings::read(include(EXTENSIONS_MAX).as_bytes()).is_ok());
        assert!(reason(&include(EXTENSIONS_MAX + 1)).ends_with("not at most 64 extensions separated by `;`"));
    }

    #[test]
    fn settings_cut_anywhere_are_refused() {
        for end in 0..EXAMPLE.trim_end().len() {
            assert!(InventorySettings::read(&EXAMPLE.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            version: u32,
            features in proptest::collection::btree_map("[A-Za-z0-9._-]{1,9}", any::<(bool, bool)>(), 0..5),
            includes in proptest::collection::vec(
                ("/[a-zé &\"]{0,9}", proptest::collection::vec("[a-z0-9]{1,4}", 0..4), 0..=MAX_DEPTH_MAX),
                0..4,
            ),
        ) {
            let features = features.into_iter();
            let settings = InventorySettings {
                version,
                features: features
                    .map(|(name, (enabled, requires_root))| Feature { name, enabled, requires_root })
                    .collect(),
                includes: includes
                    .into_iter()
                    .map(|(directory, extensions, max_depth)| Include { directory, extensions, max_depth })
                    .collect(),
            };
            prop_assert_eq!(InventorySettings::read(write(&settings).as_bytes()).unwrap(), settings);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = InventorySettings::read(&bytes[..]);
        }
    }
}
