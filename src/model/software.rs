//! What is installed: titles as package managers report them, and applications as people buy and count them.
//!
//! A title is the raw evidence (`postgresql-15`, `15.18-0+deb12u1`, `Debian PostgreSQL Maintainers`, `deb`); recognition
//! turns titles into applications (PostgreSQL 15). A fleet has perhaps a million distinct titles on a billion places, so
//! a title is stored once and a device holds numbers.
//!
//! Source: reconcile reference, section 2; limits of the texts: agent-beacon-batch reference, section 4.2.

use std::fmt;

use hashbrown::Equivalent;
use serde::{Deserialize, Serialize};

use super::day::Day;
use super::name::name;

/// Number of a title within one tenant of one server; given at the first sight of the title, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TitleId(pub u32);

impl fmt::Display for TitleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Characters of a title's name at most.
pub const NAME_CHARS_MAX: usize = 256;
/// Characters of a title's version at most.
pub const VERSION_CHARS_MAX: usize = 72;
/// Characters of a title's publisher at most.
pub const PUBLISHER_CHARS_MAX: usize = 200;
/// Characters of a title's type of evidence at most.
pub const EVIDENCE_CHARS_MAX: usize = 32;

/// How an installed package is identified: name, version, publisher and type of evidence, exactly as reported.
///
/// Two packages are the same title when all four texts are the same, byte by byte; only rules fold them. In the order of
/// those four. Packed into one block of text (24 bytes and the text), since a server holds a million.
///
/// Stored as the four texts.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(String, String, String, String)", into = "(String, String, String, String)")]
pub struct Title {
    /// Name, version, publisher and evidence, one after the other.
    text: Box<str>,
    /// Where the first three end in `text`. The four together have at most 560 characters, so a place fits.
    ends: [u16; 3],
}

impl Title {
    /// The title of these texts; each is cut at its number of characters, as the reader of inventories cuts it.
    pub fn new(name: &str, version: &str, publisher: &str, evidence: &str) -> Title {
        let parts = cut_all([name, version, publisher, evidence]);
        Title { text: parts.concat().into(), ends: ends_of(parts) }
    }

    /// The same, borrowed.
    pub fn borrowed(&self) -> TitleRef<'_> {
        TitleRef { text: &self.text, ends: self.ends }
    }

    /// Name of the package.
    pub fn name(&self) -> &str {
        self.borrowed().name()
    }

    /// Version as its package manager prints it; empty when not reported.
    pub fn version(&self) -> &str {
        self.borrowed().version()
    }

    /// Maintainer or vendor; empty when not reported.
    pub fn publisher(&self) -> &str {
        self.borrowed().publisher()
    }

    /// Type of evidence: `deb`, `rpm`, `msi`, `uninstall`, `pkg`, `managesoft`.
    pub fn evidence(&self) -> &str {
        self.borrowed().evidence()
    }

    fn parts(&self) -> (&str, &str, &str, &str) {
        (self.name(), self.version(), self.publisher(), self.evidence())
    }
}

/// A title that stands in the text of something else. Equal ones have equal hashes, whichever of the two types they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TitleRef<'a> {
    text: &'a str,
    ends: [u16; 3],
}

impl<'a> TitleRef<'a> {
    /// As [`Title::name`].
    pub fn name(self) -> &'a str {
        &self.text[..usize::from(self.ends[0])]
    }

    /// As [`Title::version`].
    pub fn version(self) -> &'a str {
        &self.text[usize::from(self.ends[0])..usize::from(self.ends[1])]
    }

    /// As [`Title::publisher`].
    pub fn publisher(self) -> &'a str {
        &self.text[usize::from(self.ends[1])..usize::from(self.ends[2])]
    }

    /// As [`Title::evidence`].
    pub fn evidence(self) -> &'a str {
        &self.text[usize::from(self.ends[2])..]
    }

    /// A title of its own.
    pub fn to_title(self) -> Title {
        Title { text: self.text.into(), ends: self.ends }
    }
}

impl Equivalent<Title> for TitleRef<'_> {
    fn equivalent(&self, title: &Title) -> bool {
        *self == title.borrowed()
    }
}

impl fmt::Debug for TitleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_title().fmt(f)
    }
}

/// The titles that one report lists, in its order, with their install days: one piece of text, since a machine has
/// thousands and most are known.
#[derive(Clone, Default)]
pub struct TitleList {
    text: String,
    rows: Vec<Listed>,
}

/// Sixteen bytes.
#[derive(Clone, Copy)]
struct Listed {
    start: u32,
    ends: [u16; 4],
    install_date: Option<Day>,
}

impl TitleList {
    /// An empty list with room for `titles`.
    pub fn with_room(titles: usize) -> TitleList {
        TitleList { text: String::with_capacity(titles * TITLE_BYTES), rows: Vec::with_capacity(titles) }
    }

    /// Adds a title of these texts, each cut as [`Title::new`] cuts it.
    ///
    /// Panics when the list has 4 GiB of text; readers keep far less.
    pub fn push(&mut self, parts: [&str; 4], install_date: Option<Day>) {
        let start = u32::try_from(self.text.len()).expect("a reader keeps less than 4 GiB");
        let parts = cut_all(parts);
        let [name, version, publisher] = ends_of(parts);
        parts.into_iter().for_each(|part| self.text.push_str(part));
        let ends = [name, version, publisher, (self.text.len() - start as usize) as u16];
        self.rows.push(Listed { start, ends, install_date });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TitleRef<'_>, Option<Day>)> {
        self.rows.iter().map(|&Listed { start, ends: [name, version, publisher, end], install_date }| {
            let text = &self.text[start as usize..start as usize + usize::from(end)];
            (TitleRef { text, ends: [name, version, publisher] }, install_date)
        })
    }
}

impl PartialEq for TitleList {
    fn eq(&self, other: &TitleList) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for TitleList {}

impl fmt::Debug for TitleList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Bytes that a title mostly has.
const TITLE_BYTES: usize = 64;

fn cut_all([name, version, publisher, evidence]: [&str; 4]) -> [&str; 4] {
    [
        cut(name, NAME_CHARS_MAX),
        cut(version, VERSION_CHARS_MAX),
        cut(publisher, PUBLISHER_CHARS_MAX),
        cut(evidence, EVIDENCE_CHARS_MAX),
    ]
}

/// Where the first three end when they stand one behind the other.
fn ends_of([name, version, publisher, _]: [&str; 4]) -> [u16; 3] {
    let (name, version, publisher) = (name.len() as u16, version.len() as u16, publisher.len() as u16);
    [name, name + version, name + version + publisher]
}

fn cut(text: &str, chars: usize) -> &str {
    // No more characters than bytes: most are not looked at one by one.
    if text.len() <= chars {
        return text;
    }
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

impl PartialOrd for Title {
    fn partial_cmp(&self, other: &Title) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Title {
    fn cmp(&self, other: &Title) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl From<(String, String, String, String)> for Title {
    fn from((name, version, publisher, evidence): (String, String, String, String)) -> Title {
        Title::new(&name, &version, &publisher, &evidence)
    }
}

impl From<Title> for (String, String, String, String) {
    fn from(title: Title) -> (String, String, String, String) {
        let (name, version, publisher, evidence) = title.parts();
        (name.into(), version.into(), publisher.into(), evidence.into())
    }
}

impl fmt::Debug for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Title{:?}", self.parts())
    }
}

/// A title on a device. Eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstalledTitle {
    /// Which title.
    pub title: TitleId,
    /// When it was installed; `None` where the package manager does not say.
    pub install_date: Option<Day>,
}

name! {
    /// Id of an application, as a library writes it: `postgresql-15`.
    ApplicationId
}

/// What kind of software an application is: what an operator filters by first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classification {
    /// Sold, under a licence with terms that are counted.
    Commercial,
    /// Free of charge, source or not.
    Freeware,
    /// Under an open source licence; support may still be sold by the device.
    OpenSource,
    /// Part of another product, never bought alone.
    Component,
    /// Made in the house.
    InHouse,
    /// Nobody has said.
    #[default]
    Unknown,
}

impl Classification {
    /// Every kind, in the order of declaration.
    pub const ALL: [Classification; 6] = [
        Classification::Commercial,
        Classification::Freeware,
        Classification::OpenSource,
        Classification::Component,
        Classification::InHouse,
        Classification::Unknown,
    ];

    /// The name in libraries and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Classification::Commercial => "commercial",
            Classification::Freeware => "freeware",
            Classification::OpenSource => "open-source",
            Classification::Component => "component",
            Classification::InHouse => "in-house",
            Classification::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What titles are recognised as, and what licences cover.
///
/// Source: reconcile reference, section 10; reconcile-files reference, section 2, applications.csv.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Unique in a library.
    pub id: ApplicationId,
    /// Who makes it.
    pub publisher: Box<str>,
    /// Name without version and edition: `PostgreSQL`.
    pub product: Box<str>,
    /// `15`; empty when one application stands for all versions.
    pub version: Box<str>,
    /// `Enterprise`; empty when there is one only.
    pub edition: Box<str>,
    /// What kind of software it is.
    pub classification: Classification,
    /// Whether installations are offered to licences at all.
    pub licensable: bool,
}

impl Application {
    /// `PostgreSQL 15`, `Acme Server 3 Enterprise`: product, version and edition, without those that are empty.
    pub fn name(&self) -> String {
        let parts = [&self.product, &self.version, &self.edition];
        parts.into_iter().filter(|part| !part.is_empty()).map(AsRef::as_ref).collect::<Vec<&str>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_title_gives_back_its_four_texts() {
        let title = Title::new("postgresql-15", "15.18", "", "deb");
        assert_eq!(title.parts(), ("postgresql-15", "15.18", "", "deb"));
        assert_eq!(format!("{title:?}"), r#"Title("postgresql-15", "15.18", "", "deb")"#);
        assert_ne!(Title::new("ab", "c", "", ""), Title::new("a", "bc", "", ""), "borders count");
        assert_eq!(size_of::<Title>(), 24);
        assert_eq!(size_of::<InstalledTitle>(), 8);
    }

    #[test]
    fn a_list_gives_back_its_titles_and_finds_them_by_their_texts() {
        let day = "20240229".parse().ok();
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        let mut list = TitleList::with_room(1);
        list.push(["a", "1", "b", "deb"], day);
        list.push([&long, "", "", ""], None);
        let titles = [Title::new("a", "1", "b", "deb"), Title::new(&long, "", "", "")];
        let read: Vec<_> = list.iter().map(|(title, day)| (title.to_title(), day)).collect();
        assert_eq!(read, [(titles[0].clone(), day), (titles[1].clone(), None)]);
        let numbers: hashbrown::HashMap<Title, usize> = titles.into_iter().zip(0..).collect();
        let found: Vec<_> = list.iter().map(|(title, _)| numbers[&title]).collect();
        assert_eq!(found, [0, 1]);
        let mut borders = TitleList::default();
        borders.push(["a1", "", "b", "deb"], day);
        assert!(borders.iter().all(|(title, _)| !numbers.contains_key(&title)), "borders count");
        assert_eq!(size_of::<Listed>(), 16);
    }

    #[test]
    fn an_application_is_named_by_what_is_known_of_it() {
        let application = |version: &str, edition: &str| Application {
            id: "x".parse().unwrap(),
            publisher: "Acme".into(),
            product: "Server".into(),
            version: version.into(),
            edition: edition.into(),
            classification: Classification::Commercial,
            licensable: true,
        };
        assert_eq!(application("", "").name(), "Server");
        assert_eq!(application("3", "Gold").name(), "Server 3 Gold");
        assert_eq!(application("", "Gold").name(), "Server Gold");
    }

    #[test]
    fn a_classification_is_written_as_it_is_shown() {
        for kind in Classification::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    proptest! {
        #[test]
        fn titles_survive_message_pack_and_keep_the_order_of_their_texts(
            a in (".{0,300}", ".{0,90}", ".{0,9}", ".{0,40}"), b in (".{0,3}", ".{0,3}", ".{0,3}", ".{0,3}"),
        ) {
            let (a, b) = (Title::from(a), Title::from(b));
            prop_assert_eq!(&rmp_serde::from_slice::<Title>(&rmp_serde::to_vec(&a).unwrap()).unwrap(), &a);
            prop_assert_eq!(a.cmp(&b), a.parts().cmp(&b.parts()));
            prop_assert!(a.name().chars().count() <= NAME_CHARS_MAX && a.evidence().chars().count() <= 32);
        }
    }
}
