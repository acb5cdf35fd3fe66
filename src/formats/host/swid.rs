//! A software identification tag (`*.swidtag`): what a vendor says is installed, of the form ISO/IEC 19770-2:2015.
//!
//! ```xml
//! <SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
//!                   name="Red Hat Enterprise Linux" version="8.4" tagId="com.redhat.RHEL-8.4-x86_64">
//!   <Entity name="Red Hat, Inc." regid="redhat.com" role="softwareCreator tagCreator"/>
//! </SoftwareIdentity>
//! ```
//!
//! Anyone who may write into a folder of tags may write anything: a tag is read as a stream with hard bounds, and one
//! that declares a document type is refused whole, so there is nothing to expand or to fetch.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// A tag with its files listed has some hundred kilobytes; a larger one is not read.
pub const SWID_BYTES_LIMIT: usize = 4 * 1024 * 1024;

// The elements of interest stand at the top; lists of files below may be long.
const EVENTS_LIMIT: usize = 400_000;
const DEPTH_LIMIT: usize = 64;
const ATTRIBUTES_LIMIT: usize = 64;
const VALUE_BYTES_LIMIT: usize = 1_024;

/// Why a tag is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwidError {
    /// Not well-formed, not UTF-8, or an entity that is none of the five.
    #[error("tag is not well-formed XML in UTF-8")]
    Malformed,
    /// Declares a document type.
    #[error("tag declares a document type")]
    DocumentType,
    /// Too large, too deep or with too many attributes.
    #[error("tag is larger or deeper than any honest one")]
    TooLarge,
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

/// Reads one tag.
pub fn read_swid(bytes: &[u8]) -> Result<SwidTag, SwidError> {
    if bytes.len() > SWID_BYTES_LIMIT {
        return Err(SwidError::TooLarge);
    }
    let mut reader = Reader::from_reader(bytes);
    let mut tag: Option<SwidTag> = None;
    let mut depth = 0usize;
    for _ in 0..EVENTS_LIMIT {
        let event = reader.read_event().map_err(|_| SwidError::Malformed)?;
        match &event {
            Event::DocType(_) => return Err(SwidError::DocumentType),
            Event::Eof if depth > 0 => return Err(SwidError::Malformed),
            Event::Eof => return finish(tag),
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Start(element) | Event::Empty(element) => {
                match (depth, element.local_name().as_ref()) {
                    (0, b"SoftwareIdentity") if tag.is_none() => tag = Some(read_identity(element)?),
                    (0, _) => return Err(SwidError::NoSoftwareIdentity),
                    (1, b"Entity") => read_entity(element, tag.get_or_insert_default())?,
                    _ => {}
                }
                if matches!(event, Event::Start(_)) {
                    depth += 1;
                }
                if depth > DEPTH_LIMIT {
                    return Err(SwidError::TooLarge);
                }
            }
            _ => {}
        }
    }
    Err(SwidError::TooLarge)
}

fn finish(tag: Option<SwidTag>) -> Result<SwidTag, SwidError> {
    let tag = tag.ok_or(SwidError::NoSoftwareIdentity)?;
    if tag.name.is_empty() || tag.tag_id.is_empty() { Err(SwidError::Nameless) } else { Ok(tag) }
}

fn read_identity(element: &BytesStart<'_>) -> Result<SwidTag, SwidError> {
    let mut tag = SwidTag::default();
    each_attribute(element, |name, value| match name {
        b"name" => tag.name = value.into(),
        b"version" => tag.version = value.into(),
        b"tagId" => tag.tag_id = value.into(),
        b"corpus" => tag.is_corpus = matches!(value, "true" | "1"),
        b"patch" => tag.is_patch = matches!(value, "true" | "1"),
        b"supplemental" => tag.is_supplemental = matches!(value, "true" | "1"),
        _ => {}
    })?;
    Ok(tag)
}

fn read_entity(element: &BytesStart<'_>, tag: &mut SwidTag) -> Result<(), SwidError> {
    let (mut name, mut creates) = (String::new(), false);
    each_attribute(element, |key, value| match key {
        b"name" => name = value.into(),
        b"role" => creates = value.split_whitespace().any(|role| role == "softwareCreator"),
        _ => {}
    })?;
    if creates && tag.software_creator.is_empty() {
        tag.software_creator = name;
    }
    Ok(())
}

/// Gives each attribute's local name and value. quick-xml's own search for doubled names is quadratic, so it is off.
fn each_attribute(element: &BytesStart<'_>, mut take: impl FnMut(&[u8], &str)) -> Result<(), SwidError> {
    for (count, attribute) in element.attributes().with_checks(false).enumerate() {
        if count == ATTRIBUTES_LIMIT {
            return Err(SwidError::TooLarge);
        }
        let attribute = attribute.map_err(|_| SwidError::Malformed)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| SwidError::Malformed)?;
        let value = &value[..value.floor_char_boundary(VALUE_BYTES_LIMIT)];
        take(attribute.key.local_name().as_ref(), value.trim());
    }
    Ok(())
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
    fn what_could_expand_fetch_or_fill_memory_is_refused() {
        let deep = format!("<SoftwareIdentity name='a' tagId='b'>{}", "<a>".repeat(100));
        let wide = format!("<SoftwareIdentity {}/>", (0..100).map(|i| format!("a{i}='' ")).collect::<String>());
        for (text, error) in [
            ("<!DOCTYPE a SYSTEM 'http://x/'><SoftwareIdentity name='a' tagId='b'/>", SwidError::DocumentType),
            ("<SoftwareIdentity name='&lol;' tagId='b'/>", SwidError::Malformed),
            ("<SoftwareIdentity name='a' tagId='b'>", SwidError::Malformed),
            ("<SoftwareIdentity name='a'/>", SwidError::Nameless),
            ("<software_identification_tag/>", SwidError::NoSoftwareIdentity),
            ("", SwidError::NoSoftwareIdentity),
            (&deep, SwidError::TooLarge),
            (&wide, SwidError::TooLarge),
        ] {
            assert_eq!(read_swid(text.as_bytes()), Err(error), "{}", &text[..text.len().min(60)]);
        }
        assert_eq!(read_swid(&vec![b' '; SWID_BYTES_LIMIT + 1]), Err(SwidError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = read_swid(&bytes);
        }

        #[test]
        fn any_damage_reads_without_panic(at in 0usize..RED_HAT.len(), byte in any::<u8>()) {
            let mut bytes = RED_HAT.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = read_swid(&bytes);
        }
    }
}
