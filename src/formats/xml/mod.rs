//! Bounded XML: one streaming reader and one writer for every document of the house.
//!
//! A document is hostile until it is read to its end. The reader stands on quick-xml and adds what that leaves open:
//! every limit below, well-formedness (one root, matched tags, legal characters, unique attributes) and the encodings.
//! It reads from any [`Read`], through a window of its own, holds one token at a time and follows no reference out of the document.
//! A tag `<a/>` that stands whole in the window, as most do, is read where it stands; whatever is otherwise is quick-xml's.
//!
//! Source: `delivery-contract` reference, section 7.

mod attributes;
mod error;
mod names;
mod prolog;
mod source;
mod text;
mod token;
mod writer;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::str;

use quick_xml::events::Event;

use self::attributes::Attributes;
use self::error::Fault;
pub use self::error::{MissingAttribute, XmlError};
pub use self::names::{SYMBOLS_MAX, Symbol};
use self::source::Source;
pub use self::token::{Numbered, Tag, Token};
pub use self::writer::XmlWriter;
use crate::id::shorten;

/// Elements may be nested this deep, the root counted.
pub const DEPTH_MAX: usize = 64;
/// Attributes of one element.
pub const ATTRIBUTES_MAX: usize = 64;
/// Bytes of one token: a tag with its attributes, a run of text, a comment.
pub const TOKEN_BYTES_MAX: usize = 1 << 20;
/// Bytes of one attribute value, or of the text between two tags, after references are resolved.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of an element's or attribute's name. The contract sets none; without one, 64 open elements could hold 64 MiB.
pub const NAME_BYTES_MAX: usize = 1 << 10;
/// Elements of one document.
pub const ELEMENTS_MAX: u64 = 2_000_000;
/// Bytes that the reading of one package may keep in our own buffers.
pub const KEPT_BYTES_MAX: usize = 64 << 20;

/// Counts the bytes that one reading keeps, up to [`KEPT_BYTES_MAX`].
#[derive(Debug, Default)]
pub struct Kept(usize);

impl Kept {
    /// Counts `bytes` more.
    pub fn add(&mut self, bytes: usize) -> Result<(), XmlError> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > KEPT_BYTES_MAX { Err(XmlError::Kept) } else { Ok(()) }
    }
}

/// Streaming reader of one document; after an error or [`Token::End`] it is spent.
pub struct XmlReader<R> {
    reader: quick_xml::Reader<Source<R>>,
    /// The token at hand, as written.
    token: Vec<u8>,
    attributes: Attributes,
    text: String,
    depth: usize,
    elements: u64,
    place: Place,
    /// The last tag was a start tag: what follows may be the content of an element without children.
    leaf: bool,
    /// The tag at hand was `<a/>`: its close is still to be told.
    close_due: bool,
}

/// How far the document has come. The order is that of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Start,
    BeforeDoctype,
    BeforeRoot,
    Inside,
    AfterRoot,
}

/// An event of quick-xml without its borrow; the text of the token stays in `XmlReader::token`.
enum Kind {
    Open { tag_end: usize, name_end: usize, empty: bool },
    Close,
    Other,
    End,
}

/// A tag `<a/>` in the window.
struct Usual {
    /// Bytes of white space before it.
    before: usize,
    name_bytes: usize,
    /// Bytes between `<` and `/>`.
    inner_bytes: usize,
}

impl<R: Read> XmlReader<R> {
    /// A reader of the document that `inner` delivers.
    pub fn new(inner: R) -> XmlReader<R> {
        let mut reader = quick_xml::Reader::from_reader(Source::new(inner));
        reader.config_mut().check_comments = true;
        XmlReader {
            reader,
            token: Vec::new(),
            attributes: Attributes::default(),
            text: String::new(),
            depth: 0,
            elements: 0,
            place: Place::Start,
            leaf: false,
            close_due: false,
        }
    }

    /// Bytes of UTF-8 read so far, to name a place in a message.
    pub fn position(&self) -> u64 {
        self.reader.get_ref().position()
    }

    /// The next tag, or the end.
    pub fn next_token(&mut self) -> Result<Token<'_>, XmlError> {
        self.text.clear();
        if self.close_due {
            self.close_due = false;
            self.leave();
            return Ok(Token::Close { text: &self.text });
        }
        if let Some(usual) = self.usual() {
            return self.open_usual(usual);
        }
        loop {
            match self.step()? {
                Kind::Open { tag_end, name_end, empty } => return self.open(tag_end, name_end, empty),
                Kind::Close => {
                    if !self.leaf {
                        self.text.clear();
                    }
                    self.leave();
                    return Ok(Token::Close { text: &self.text });
                }
                Kind::Other => {}
                Kind::End if self.place == Place::AfterRoot => return Ok(Token::End),
                Kind::End if self.place == Place::Inside => {
                    let what = format!("the document ends inside {} open elements", self.depth);
                    return Err(self.malformed(what));
                }
                Kind::End => return Err(self.malformed("the document has no root element")),
            }
        }
    }

    /// The next child of the element at hand, or `None` when that closes; at the start the root, after it `None`.
    ///
    /// A child has to be taken to its close before the next one: by its own children, [`XmlReader::text`] or
    /// [`XmlReader::skip`].
    pub fn child(&mut self) -> Result<Option<Tag<'_>>, XmlError> {
        match self.next_token()? {
            Token::Open(tag) => Ok(Some(tag)),
            Token::Close { .. } | Token::End => Ok(None),
        }
    }

    /// Takes the element at hand to its close, whatever is in it.
    pub fn skip(&mut self) -> Result<(), XmlError> {
        let depth = self.depth;
        while self.depth >= depth {
            self.next_token()?;
        }
        Ok(())
    }

    /// Takes the element at hand to its close and returns its text; empty when it has children.
    pub fn text(&mut self) -> Result<&str, XmlError> {
        self.skip()?;
        Ok(&self.text)
    }

    fn step(&mut self) -> Result<Kind, XmlError> {
        self.token.clear();
        self.reader.get_mut().begin_token(!self.leaf && self.place > Place::Start);
        let at = self.position();
        let event = match self.reader.read_event_into(&mut self.token) {
            Ok(event) => event,
            Err(error) => return Err(self.explain(error, at)),
        };
        let suspect = self.reader.get_ref().is_suspect();
        let first = self.place == Place::Start;
        if first {
            self.place = Place::BeforeDoctype;
        }
        let (place, leaf) = (self.place, self.leaf);
        let content = &mut self.text;
        let mut is_doctype = false;
        // quick-xml leaves the bytes of the token as they are in the buffer it was given: `<` + content + `>` or `/>`.
        let outcome = match event {
            Event::Start(tag) => {
                return Ok(Kind::Open {
                    tag_end: 1 + tag.len(),
                    name_end: 1 + tag.name().as_ref().len(),
                    empty: false,
                });
            }
            Event::Empty(tag) => {
                return Ok(Kind::Open { tag_end: 1 + tag.len(), name_end: 1 + tag.name().as_ref().len(), empty: true });
            }
            Event::End(_) => return Ok(Kind::Close),
            Event::Eof => return Ok(Kind::End),
            Event::Text(bytes) => legal(&bytes, suspect).and_then(|piece| text::add_text(piece, place, leaf, content)),
            Event::CData(bytes) => legal(&bytes, suspect).and_then(|piece| text::add_cdata(piece, place, content)),
            Event::GeneralRef(bytes) => {
                legal(&bytes, suspect).and_then(|name| text::add_reference(name, place, content))
            }
            Event::Comment(bytes) => legal(&bytes, suspect).map(|_| ()),
            Event::PI(bytes) => legal(&bytes, suspect).and_then(prolog::check_instruction),
            Event::Decl(bytes) => {
                let utf16 = self.reader.get_ref().is_utf16();
                legal(&bytes, suspect).and_then(|text| prolog::check_declaration(text, first, utf16))
            }
            Event::DocType(bytes) => {
                self.place = Place::BeforeRoot;
                is_doctype = true;
                legal(&bytes, suspect).and_then(|text| prolog::check_doctype(text, place == Place::BeforeDoctype))
            }
        };
        outcome.map_err(|fault| fault.at(at))?;
        // quick-xml takes the word in any case, and the name right behind it.
        if is_doctype
            && !self.token.strip_prefix(b"<!DOCTYPE").and_then(<[u8]>::first).is_some_and(|&byte| is_space(byte))
        {
            return Err(Fault::Malformed("`<!DOCTYPE` is not in capitals or no white space follows it").at(at));
        }
        Ok(Kind::Other)
    }

    fn open(&mut self, tag_end: usize, name_end: usize, empty: bool) -> Result<Token<'_>, XmlError> {
        let at = self.reader.get_ref().position().saturating_sub(self.token.len() as u64);
        if self.place == Place::AfterRoot {
            return Err(Fault::Malformed("a second root element").at(at));
        }
        self.place = Place::Inside;
        self.enter()?;
        let suspect = self.reader.get_ref().is_suspect();
        let raw = legal(&self.token[1..tag_end], suspect).map_err(|fault| fault.at(at))?;
        let name = &raw[..name_end - 1];
        attributes::check_name(name).map_err(|fault| fault.at(at))?;
        self.attributes.clear();
        self.attributes.scan(raw, name.len()).map_err(|fault| match fault {
            Fault::TooMany => XmlError::Attributes { element: shorten(name) },
            other => other.at(at),
        })?;
        self.close_due = empty;
        self.leaf = true;
        Ok(Token::Open(Tag { name, raw, resolved: &self.attributes.resolved, attributes: &self.attributes.list }))
    }

    /// The tag `<a/>` that comes next, perhaps after white space, when it stands whole in the window and is without fault.
    ///
    /// Most tags of a large document are such ones, and quick-xml would copy each of them and search it for its end. It
    /// need not know of them, since it keeps the names of open elements only. Whatever is found here to be otherwise is
    /// left to it.
    fn usual(&mut self) -> Option<Usual> {
        if self.place != Place::Inside {
            return None;
        }
        let ready = self.reader.get_ref().ready();
        let begin = ready.iter().position(|&byte| !is_space(byte))?;
        let tag = &ready[begin..];
        let (name_end, is_ascii) = match tag {
            [b'<', first, ..] if first.is_ascii_alphabetic() => attributes::name_end(tag, 1),
            _ => return None,
        };
        if !is_ascii || name_end > NAME_BYTES_MAX {
            return None;
        }
        self.attributes.clear();
        let end = self.attributes.scan_open(&tag[1..], name_end - 1).ok()?;
        let is_empty = tag[1 + end..].starts_with(b"/>");
        is_empty.then_some(Usual { before: begin, name_bytes: name_end - 1, inner_bytes: end })
    }

    fn open_usual(&mut self, usual: Usual) -> Result<Token<'_>, XmlError> {
        self.enter()?;
        self.close_due = true;
        self.leaf = true;
        let at = self.position() + usual.before as u64;
        let source = self.reader.get_mut();
        let suspect = source.is_suspect();
        let tag = source.take(usual.before + 1 + usual.inner_bytes + 2);
        let raw = legal(&tag[usual.before + 1..][..usual.inner_bytes], suspect).map_err(|fault| fault.at(at))?;
        let name = &raw[..usual.name_bytes];
        Ok(Token::Open(Tag { name, raw, resolved: &self.attributes.resolved, attributes: &self.attributes.list }))
    }

    /// Counts an element that begins.
    fn enter(&mut self) -> Result<(), XmlError> {
        if self.depth == DEPTH_MAX {
            return Err(XmlError::Depth);
        }
        self.depth += 1;
        self.elements += 1;
        if self.elements > ELEMENTS_MAX { Err(XmlError::Elements) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.leaf = false;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.place = Place::AfterRoot;
        }
    }

    fn explain(&mut self, error: quick_xml::Error, at: u64) -> XmlError {
        use quick_xml::errors::IllFormedError::{MismatchedEndTag, UnmatchedEndTag};
        match (self.reader.get_mut().take_failure(), error) {
            (Some(source::Failure::Token), _) => XmlError::Token { at },
            (Some(source::Failure::Control), _) => Fault::Malformed("a control character").at(self.position()),
            (Some(source::Failure::Encoding(what)), _) => XmlError::Encoding(what),
            (Some(source::Failure::Read(error)), _) => XmlError::Read(error),
            (None, quick_xml::Error::IllFormed(MismatchedEndTag { expected, found })) => {
                let what = format!("`</{}>` stands where `</{}>` belongs", shorten(&found), shorten(&expected));
                XmlError::Malformed { at, what }
            }
            (None, quick_xml::Error::IllFormed(UnmatchedEndTag(found))) => {
                XmlError::Malformed { at, what: format!("`</{}>` closes nothing", shorten(&found)) }
            }
            (None, error) => XmlError::Malformed { at, what: error.to_string() },
        }
    }

    fn malformed(&self, what: impl Into<String>) -> XmlError {
        XmlError::Malformed { at: self.position(), what: what.into() }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// `bytes` as text. `suspect`: U+FFFE or U+FFFF may be among them; control characters cannot, the source holds them off.
fn legal(bytes: &[u8], suspect: bool) -> Result<&str, Fault> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
    if suspect && text.contains(['\u{fffe}', '\u{ffff}']) {
        return Err(Fault::Malformed("a character that XML does not allow"));
    }
    Ok(text)
}

/// Whether XML 1.0 allows the character, written out or as a reference.
fn is_legal_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => c >= ' ',
    }
}
