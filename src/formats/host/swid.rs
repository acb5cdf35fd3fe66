//! A software identification tag (`*.swidtag`): what a vendor says is installed, of the form ISO/IEC 19770-2:2015.
//!
//! ```xml
//! <SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
//!                   name="Red Hat Enterprise Linux" version="8.4" tagId="com.redhat.RHEL-8.4-x86_64">
//!   <Entity name="Red Hat, Inc." regid="redhat.com" role="softwareCreator tagCreator"/>
//! </SoftwareIdentity>
//! ```
//!
//! Anyone who may write into a folder of tags may write anything, so a tag goes through the bounded XML reader, which
//! expands and fetches nothing.

use crate::formats::xml::{Tag, Token, XmlError, XmlReader};

/// A tag with its files listed has some hundred kilobytes; a larger one is not read.
pub const SWID_BYTES_LIMIT: usize = 4 * 1024 * 1024;

const VALUE_BYTES_LIMIT: usize = 1_024;
/// Files told of one tag.
const FILES_LIMIT: usize = 50_000;
/// Longest path that is told, as the kernel has it.
const PATH_BYTES_LIMIT: usize = 4_096;

/// Why a tag is not used.
#[derive(Debug, thiserror::Error)]
pub enum SwidError {
    /// Not the XML that is read here, or more of it.
    #[error("tag is refused")]
    Xml(#[from] XmlError),
    /// Too large.
    #[error("tag has {0} bytes, the limit is {SWID_BYTES_LIMIT}")]
    TooLarge(usize),
    /// Another kind of document, or the older form of 2009.
    #[error("document is no SoftwareIdentity")]
    NoSoftwareIdentity,
    /// Without the attributes the standard requires.
    #[error("tag has no name or tagId")]
    Nameless,
}

/// One tag. Empty text where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwidTag {
    /// Product.
    pub name: String,
    /// Its version; the standard's default `0.0` is kept as written.
    pub version: String,
    /// Names the tag the world over.
    pub tag_id: String,
    /// Name of the entity in the role `softwareCreator`.
    pub software_creator: String,
    /// Describes the medium before installation: not evidence of an installation.
    pub is_corpus: bool,
    /// Describes a patch of another product.
    pub is_patch: bool,
    /// Only adds to another tag.
    pub is_supplemental: bool,
}

/// Reads one tag, to its end: a document that is not well-formed is no evidence.
pub fn read_swid(bytes: &[u8]) -> Result<SwidTag, SwidError> {
    read(bytes, |_| {})
}

/// Reads one tag and the paths of the files that its payload or evidence lists. A path that does not begin with `/` is
/// told relative to the tag or its product: vendors differ. One of another system (`%PROGRAMFILES%`, `\`) is left out.
pub fn read_swid_with_files(bytes: &[u8]) -> Result<(SwidTag, Vec<String>), SwidError> {
    let mut files = Vec::new();
    let tag = read(bytes, |path| {
        if files.len() < FILES_LIMIT && path.len() <= PATH_BYTES_LIMIT && !path.contains(['\\', '%']) {
            files.push(path);
        }
    })?;
    Ok((tag, files))
}

fn read(bytes: &[u8], mut file: impl FnMut(String)) -> Result<SwidTag, SwidError> {
    if bytes.len() > SWID_BYTES_LIMIT {
        return Err(SwidError::TooLarge(bytes.len()));
    }
    let mut xml = XmlReader::new(bytes);
    let mut swid = SwidTag::default();
    let mut depth = 0;
    // Of the open elements of a payload or evidence; `None` where no files stand.
    let mut folders: Vec<Option<String>> = Vec::new();
    loop {
        match xml.next_token()? {
            Token::Open(tag) => {
                let around = folders.last().and_then(Option::as_deref);
                let folder = match (local(tag.name()), around) {
                    ("Payload" | "Evidence", _) if depth == 1 => Some(String::new()),
                    ("Directory", Some(around)) => Some(item(&tag, around)),
                    ("File", Some(around)) => {
                        file(item(&tag, around));
                        None
                    }
                    _ => None,
                };
                folders.push(folder);
                match (depth, local(tag.name())) {
                    (0, "SoftwareIdentity") => swid = read_identity(&tag),
                    (0, _) => return Err(SwidError::NoSoftwareIdentity),
                    (1, "Entity") => read_entity(&tag, &mut swid),
                    _ => {}
                }
                depth += 1;
            }
            Token::Close { .. } => {
                depth -= 1;
                folders.pop();
            }
            Token::End if swid.name.is_empty() || swid.tag_id.is_empty() => return Err(SwidError::Nameless),
            Token::End => return Ok(swid),
        }
    }
}

fn read_identity(tag: &Tag<'_>) -> SwidTag {
    let is = |name: &str| matches!(tag.get(name), Some("true" | "1"));
    SwidTag {
        name: text(tag, "name"),
        version: text(tag, "version"),
        tag_id: text(tag, "tagId"),
        software_creator: String::new(),
        is_corpus: is("corpus"),
        is_patch: is("patch"),
        is_supplemental: is("supplemental"),
    }
}

fn read_entity(tag: &Tag<'_>, swid: &mut SwidTag) {
    let creates = tag.get("role").is_some_and(|roles| roles.split_whitespace().any(|role| role == "softwareCreator"));
    if creates && swid.software_creator.is_empty() {
        swid.software_creator = text(tag, "name");
    }
}

/// The path of a `File` or `Directory` below `around`: its root, or else what is around it; its location there; its name.
fn item(tag: &Tag<'_>, around: &str) -> String {
    let root = text(tag, "root");
    let mut path = if root.is_empty() { around.to_owned() } else { root };
    for part in [text(tag, "location"), text(tag, "name")] {
        // A name is none by the standard that leads elsewhere, but vendors write whole paths into it.
        if part.starts_with('/') {
            path = part;
        } else if !part.is_empty() {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(&part);
        }
        // Nested folders must not make a path longer than any can be.
        path.truncate(path.floor_char_boundary(2 * PATH_BYTES_LIMIT));
    }
    path
}

fn text(tag: &Tag<'_>, name: &str) -> String {
    let value = tag.get(name).unwrap_or_default();
    value[..value.floor_char_boundary(VALUE_BYTES_LIMIT)].trim().into()
}

/// A name without its namespace's prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RED_HAT: &str = r#"<?xml version="1.0" encoding="utf-8" standalone="no"?>
<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
    xmlns:sha256="http://www.w3.org/2001/04/xmlenc#sha256" xml:lang="en-US"
    name="Red Hat Enterprise Linux" tagId="com.redhat.RHEL-8.4-x86_64" tagVersion="1"
    version="8.4" versionScheme="multipartnumeric" media="(OS:linux)">
  <Entity name="Tools &amp; Co" role="tagCreator"/>
  <Entity name="Red Hat, Inc." regid="redhat.com" role="softwareCreator tagCreator"/>
  <Link href="swid:com.redhat.RHEL-8" rel="component"/>
  <Meta product="Red Hat Enterprise Linux" colloquialVersion="8"/>
  <Payload><File name="a" size="1"><Entity name="not a creator" role="softwareCreator"/></File></Payload>
</SoftwareIdentity>
"#;

    #[test]
    fn the_tag_of_a_distribution_is_read() {
        assert_eq!(
            read_swid(RED_HAT.as_bytes()).unwrap(),
            SwidTag {
                name: "Red Hat Enterprise Linux".into(),
                version: "8.4".into(),
                tag_id: "com.redhat.RHEL-8.4-x86_64".into(),
                software_creator: "Red Hat, Inc.".into(),
                ..SwidTag::default()
            }
        );
    }

    #[test]
    fn prefixed_names_and_the_corpus_mark_are_read() {
        let tag = r#"<s:SoftwareIdentity xmlns:s="urn:x" name="A" tagId="a" corpus="true">
            <s:Entity name="B" role="softwareCreator"/></s:SoftwareIdentity>"#;
        let tag = read_swid(tag.as_bytes()).unwrap();
        assert_eq!((tag.is_corpus, tag.software_creator.as_str()), (true, "B"));
    }

    #[test]
    fn the_files_of_payload_and_evidence_are_told_with_their_folders() {
        let tag = r#"<SoftwareIdentity name="Acme" tagId="a">
            <File name="outside"/><Meta><File name="no-file"/></Meta>
            <Payload>
              <Directory root="/opt" location="acme" name="bin">
                <File name="draw" size="1"/>
                <Directory name="tools"><File name="pick"/></Directory>
                <File name="/usr/bin/draw"/>
              </Directory>
              <File location="lib" name="run"/>
              <File root="%PROGRAMFILES%" name="draw.exe"/>
            </Payload>
            <Evidence date="2025-01-01T00:00:00Z"><File root="/srv" location="/data/" name="serve"/></Evidence>
            </SoftwareIdentity>"#;
        let (tag, files) = read_swid_with_files(tag.as_bytes()).unwrap();
        assert_eq!(tag.name, "Acme");
        assert_eq!(
            files,
            ["/opt/acme/bin/draw", "/opt/acme/bin/tools/pick", "/usr/bin/draw", "lib/run", "/data/serve"]
        );
        assert_eq!(read_swid_with_files(RED_HAT.as_bytes()).unwrap().1, ["a"]);
    }

    #[test]
    fn what_could_expand_fetch_or_fill_memory_is_refused() {
        let refused = |text: &str| read_swid(text.as_bytes()).unwrap_err();
        let subset = refused("<!DOCTYPE a [<!ENTITY b 'c'>]><SoftwareIdentity name='&b;' tagId='b'/>");
        assert!(matches!(subset, SwidError::Xml(XmlError::InternalSubset)), "{subset:?}");
        let entity = refused("<SoftwareIdentity name='&lol;' tagId='b'/>");
        assert!(matches!(entity, SwidError::Xml(XmlError::Entity(_))), "{entity:?}");
        let deep = refused(&format!("<SoftwareIdentity name='a' tagId='b'>{}", "<a>".repeat(100)));
        assert!(matches!(deep, SwidError::Xml(XmlError::Depth)), "{deep:?}");
        assert!(matches!(refused("<SoftwareIdentity name='a' tagId='b'>"), SwidError::Xml(_)));
        assert!(matches!(refused("<SoftwareIdentity name='a'/>"), SwidError::Nameless));
        assert!(matches!(refused("<software_identification_tag/>"), SwidError::NoSoftwareIdentity));
        assert!(matches!(read_swid(&vec![b' '; SWID_BYTES_LIMIT + 1]), Err(SwidError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = read_swid_with_files(&bytes);
        }

        #[test]
        fn any_damage_reads_without_panic(at in 0usize..RED_HAT.len(), byte in any::<u8>()) {
            let mut bytes = RED_HAT.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = read_swid(&bytes);
        }
    }
}
