//! Bounded XML: one streaming reader and one writer for every document of the house.
//!
//! A document is hostile until it is read to its end. The reader stands on quick-xml and adds what that leaves open:
//! every limit below, well-formedness (one root, matched tags, legal characters, unique attributes) and the encodings.
//! It reads from any [`BufRead`], holds one token at a time and follows no reference out of the document.
//!
//! Source: `delivery-contract` reference, section 7.

mod attributes;
mod source;
mod writer;

use std::io::{self, BufRead};
use std::str;

use quick_xml::events::Event;

use self::attributes::Attribute;
use self::source::Source;
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

/// Why a document is refused. Each text can stand as the reason of a quarantined package.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// What the document is read from failed; a limit of the inflation arrives here too.
    #[error("cannot read the document")]
    Read(#[source] io::Error),
    /// Not UTF-8, and not UTF-16 with a byte order mark.
    #[error("the encoding is refused: {0}; only UTF-8 and UTF-16 with a byte order mark are read")]
    Encoding(String),
    /// Nested too deep.
    #[error("elements are nested deeper than {DEPTH_MAX}")]
    Depth,
    /// Too many attributes.
    #[error("element `{element}` has more than {ATTRIBUTES_MAX} attributes")]
    Attributes {
        /// Its name, shortened.
        element: String,
    },
    /// A tag, text or comment that does not end in time.
    #[error("a token that begins at byte {at} is longer than {TOKEN_BYTES_MAX} bytes")]
    Token {
        /// Where it begins, in bytes of UTF-8.
        at: u64,
    },
    /// A value that is too long.
    #[error("a value has {met} bytes, the limit is {VALUE_BYTES_MAX}")]
    Value {
        /// Its length; of text, as far as it was read.
        met: usize,
    },
    /// A name that is too long.
    #[error("a name has {met} bytes, the limit is {NAME_BYTES_MAX}")]
    Name {
        /// Its length.
        met: usize,
    },
    /// Too many elements.
    #[error("more than {ELEMENTS_MAX} elements")]
    Elements,
    /// The reading would keep too much.
    #[error("more than {KEPT_BYTES_MAX} bytes would be kept in memory")]
    Kept,
    /// `<!DOCTYPE name [ ... ]>`.
    #[error("the document type has an internal subset, which is refused")]
    InternalSubset,
    /// A reference to anything but the five predefined entities.
    #[error("entity `&{0};` is refused: only amp, lt, gt, quot and apos are known")]
    Entity(String),
    /// Not well-formed.
    #[error("not well-formed at byte {at}: {what}")]
    Malformed {
        /// Where, in bytes of UTF-8.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

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

/// What the reader met. `<a/>` is met as an opening and a close.
#[derive(Debug)]
pub enum Token<'a> {
    /// A start tag.
    Open(Tag<'a>),
    /// An end tag.
    Close {
        /// The text since the tag before it, references resolved: the content of an element without children.
        text: &'a str,
    },
    /// The document ended where it may.
    End,
}

/// A start tag. Its attributes have unique names and are resolved.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'a> {
    name: &'a str,
    raw: &'a str,
    resolved: &'a str,
    attributes: &'a [Attribute],
}

impl<'a> Tag<'a> {
    /// Its name, prefix included.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Names and values, in document order.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let Tag { raw, resolved, .. } = *self;
        self.attributes.iter().map(move |attribute| (attribute.name(raw), attribute.value(raw, resolved)))
    }

    /// The value of attribute `name`.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes().find(|&(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Streaming reader of one document; after an error or [`Token::End`] it is spent.
pub struct XmlReader<R> {
    reader: quick_xml::Reader<Source<R>>,
    /// The token at hand, as written.
    token: Vec<u8>,
    attributes: Vec<Attribute>,
    /// Values of the tag at hand that held references or line breaks.
    resolved: String,
    text: String,
    depth: usize,
    elements: u64,
    place: Place,
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

impl<R: BufRead> XmlReader<R> {
    /// A reader of the document that `inner` delivers.
    pub fn new(inner: R) -> XmlReader<R> {
        let mut reader = quick_xml::Reader::from_reader(Source::new(inner));
        reader.config_mut().check_comments = true;
        XmlReader {
            reader,
            token: Vec::new(),
            attributes: Vec::new(),
            resolved: String::new(),
            text: String::new(),
            depth: 0,
            elements: 0,
            place: Place::Start,
            close_due: false,
        }
    }

    /// Bytes of UTF-8 read so far, to name a place in a message.
    pub fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    /// The next tag, or the end.
    pub fn next_token(&mut self) -> Result<Token<'_>, XmlError> {
        if self.close_due {
            self.close_due = false;
            self.leave();
            return Ok(Token::Close { text: "" });
        }
        self.text.clear();
        loop {
            match self.step()? {
                Kind::Open { tag_end, name_end, empty } => return self.open(tag_end, name_end, empty),
                Kind::Close => {
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

    fn step(&mut self) -> Result<Kind, XmlError> {
        self.token.clear();
        self.reader.get_mut().begin_token();
        let at = self.reader.buffer_position();
        let event = match self.reader.read_event_into(&mut self.token) {
            Ok(event) => event,
            Err(error) => return Err(self.explain(error, at)),
        };
        let first = self.place == Place::Start;
        if first {
            self.place = Place::BeforeDoctype;
        }
        // quick-xml leaves the bytes of the token as they are in the buffer it was given: `<` + content + `>` or `/>`.
        match event {
            Event::Start(tag) => {
                Ok(Kind::Open { tag_end: 1 + tag.len(), name_end: 1 + tag.name().as_ref().len(), empty: false })
            }
            Event::Empty(tag) => {
                Ok(Kind::Open { tag_end: 1 + tag.len(), name_end: 1 + tag.name().as_ref().len(), empty: true })
            }
            Event::End(_) => Ok(Kind::Close),
            Event::Eof => Ok(Kind::End),
            Event::Text(text) => {
                add_text(&text, self.place, &mut self.text).map_err(|fault| fault.at(at))?;
                Ok(Kind::Other)
            }
            Event::CData(text) => {
                add_cdata(&text, self.place, &mut self.text).map_err(|fault| fault.at(at))?;
                Ok(Kind::Other)
            }
            Event::GeneralRef(reference) => {
                add_reference(&reference, self.place, &mut self.text).map_err(|fault| fault.at(at))?;
                Ok(Kind::Other)
            }
            Event::Comment(comment) => {
                legal(&comment).map_err(|fault| fault.at(at))?;
                Ok(Kind::Other)
            }
            Event::PI(instruction) => {
                check_instruction(&instruction).map_err(|fault| fault.at(at))?;
                Ok(Kind::Other)
            }
            Event::Decl(declaration) => {
                let wide = self.reader.get_ref().is_utf16();
                check_declaration(&declaration, first, wide).map_err(|fault| fault.at(at))?;
                Ok(Kind::Other)
            }
            Event::DocType(content) => {
                let allowed = self.place == Place::BeforeDoctype;
                check_doctype(&content, allowed).map_err(|fault| fault.at(at))?;
                self.place = Place::BeforeRoot;
                if !self.token.starts_with(b"<!DOCTYPE") {
                    return Err(Fault::Malformed("DOCTYPE is not in capitals").at(at));
                }
                Ok(Kind::Other)
            }
        }
    }

    fn open(&mut self, tag_end: usize, name_end: usize, empty: bool) -> Result<Token<'_>, XmlError> {
        let at = self.reader.buffer_position().saturating_sub(self.token.len() as u64);
        if self.place == Place::AfterRoot {
            return Err(Fault::Malformed("a second root element").at(at));
        }
        self.place = Place::Inside;
        if self.depth == DEPTH_MAX {
            return Err(XmlError::Depth);
        }
        self.depth += 1;
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(XmlError::Elements);
        }
        let raw = legal(&self.token[1..tag_end]).map_err(|fault| fault.at(at))?;
        let name = &raw[..name_end - 1];
        attributes::check_name(name).map_err(|fault| fault.at(at))?;
        self.attributes.clear();
        self.resolved.clear();
        attributes::scan(raw, name.len(), &mut self.attributes, &mut self.resolved).map_err(|fault| match fault {
            Fault::TooMany => XmlError::Attributes { element: shorten(name) },
            other => other.at(at),
        })?;
        self.close_due = empty;
        Ok(Token::Open(Tag { name, raw, resolved: &self.resolved, attributes: &self.attributes }))
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.place = Place::AfterRoot;
        }
    }

    fn explain(&mut self, error: quick_xml::Error, at: u64) -> XmlError {
        use quick_xml::errors::IllFormedError::{MismatchedEndTag, UnmatchedEndTag};
        match (self.reader.get_mut().take_failure(), error) {
            (Some(source::Failure::Token), _) => XmlError::Token { at },
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

/// What is wrong with a piece of the document, before it is known where that stands.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Malformed(&'static str),
    NotUtf8,
    TooMany,
    Value(usize),
    Name(usize),
    Entity(String),
    InternalSubset,
    Encoding(String),
}

impl Fault {
    fn at(self, at: u64) -> XmlError {
        match self {
            Fault::Malformed(what) => XmlError::Malformed { at, what: what.into() },
            Fault::NotUtf8 => XmlError::Encoding(format!("the token at byte {at} is not UTF-8")),
            Fault::TooMany => XmlError::Attributes { element: String::new() },
            Fault::Value(met) => XmlError::Value { met },
            Fault::Name(met) => XmlError::Name { met },
            Fault::Entity(name) => XmlError::Entity(name),
            Fault::InternalSubset => XmlError::InternalSubset,
            Fault::Encoding(what) => XmlError::Encoding(what),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// `bytes` as text, when each character may stand in an XML document.
///
/// Control characters are left to whoever walks the bytes anyway ([`attributes::scan`]); [`legal`] checks them.
fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
    if !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
        return Err(Fault::Malformed("a character that XML does not allow"));
    }
    Ok(text)
}

/// `bytes` as text, every character checked.
fn legal(bytes: &[u8]) -> Result<&str, Fault> {
    let text = utf8(bytes)?;
    if bytes.iter().any(|&byte| byte < b' ' && !is_space(byte)) {
        return Err(Fault::Malformed("a control character"));
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

fn add_text(bytes: &[u8], place: Place, text: &mut String) -> Result<(), Fault> {
    if bytes.iter().copied().all(is_space) && place != Place::Inside {
        return Ok(());
    }
    if place != Place::Inside {
        return Err(Fault::Malformed("text outside the root element"));
    }
    let piece = legal(bytes)?;
    if piece.contains("]]>") {
        return Err(Fault::Malformed("`]]>` in text"));
    }
    push_text(piece, text)
}

fn add_cdata(bytes: &[u8], place: Place, text: &mut String) -> Result<(), Fault> {
    if place != Place::Inside {
        return Err(Fault::Malformed("text outside the root element"));
    }
    push_text(legal(bytes)?, text)
}

fn add_reference(bytes: &[u8], place: Place, text: &mut String) -> Result<(), Fault> {
    if place != Place::Inside {
        return Err(Fault::Malformed("a reference outside the root element"));
    }
    let c = attributes::resolve(utf8(bytes)?)?;
    text.push(c);
    check_value(text)
}

/// Appends `piece`, its line breaks made `\n` as XML asks.
fn push_text(piece: &str, text: &mut String) -> Result<(), Fault> {
    if text.len() + piece.len() > VALUE_BYTES_MAX {
        return Err(Fault::Value(text.len() + piece.len()));
    }
    let mut rest = piece;
    while let Some(at) = rest.find('\r') {
        text.push_str(&rest[..at]);
        text.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    text.push_str(rest);
    Ok(())
}

fn check_value(value: &str) -> Result<(), Fault> {
    if value.len() > VALUE_BYTES_MAX { Err(Fault::Value(value.len())) } else { Ok(()) }
}

fn check_instruction(bytes: &[u8]) -> Result<(), Fault> {
    let text = legal(bytes)?;
    let target = text.split(['\t', '\n', '\r', ' ']).next().unwrap_or("");
    attributes::check_name(target)?;
    if target.eq_ignore_ascii_case("xml") {
        return Err(Fault::Malformed("an XML declaration that is not at the start"));
    }
    Ok(())
}

/// Checks `xml version="1.0" encoding=".." standalone=".."`.
fn check_declaration(bytes: &[u8], first: bool, utf16: bool) -> Result<(), Fault> {
    if !first {
        return Err(Fault::Malformed("an XML declaration that is not at the start"));
    }
    let raw = legal(bytes)?;
    let (mut found, mut resolved) = (Vec::new(), String::new());
    attributes::scan(raw, "xml".len(), &mut found, &mut resolved)?;
    let mut parts = found.iter().map(|part| (part.name(raw), part.value(raw, &resolved))).peekable();
    match parts.next() {
        Some(("version", version)) if is_version(version) => {}
        _ => return Err(Fault::Malformed("an XML declaration without version 1.x")),
    }
    if let Some((_, claimed)) = parts.next_if(|(name, _)| *name == "encoding") {
        let expected = if utf16 { "utf-16" } else { "utf-8" };
        if !claimed.eq_ignore_ascii_case(expected) {
            return Err(Fault::Encoding(format!("`{}` is declared, the bytes are {expected}", shorten(claimed))));
        }
    }
    if let Some((_, value)) = parts.next_if(|(name, _)| *name == "standalone")
        && !matches!(value, "yes" | "no")
    {
        return Err(Fault::Malformed("standalone is neither yes nor no"));
    }
    if parts.next().is_some() { Err(Fault::Malformed("an XML declaration with other parts")) } else { Ok(()) }
}

fn is_version(text: &str) -> bool {
    text.strip_prefix("1.").is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

/// Checks `Name`, `Name SYSTEM "literal"` or `Name PUBLIC "literal" "literal"`. Nothing of it is used.
fn check_doctype(bytes: &[u8], allowed: bool) -> Result<(), Fault> {
    if !allowed {
        return Err(Fault::Malformed("a document type that is not before the root element, or a second one"));
    }
    let text = legal(bytes)?.trim_end();
    let (name, rest) = text.split_at(text.find(|c: char| c.is_ascii_whitespace() || c == '[').unwrap_or(text.len()));
    attributes::check_name(name)?;
    let mut rest = rest.trim_start();
    let literals = if let Some(after) = rest.strip_prefix("SYSTEM") {
        rest = after;
        1
    } else if let Some(after) = rest.strip_prefix("PUBLIC") {
        rest = after;
        2
    } else {
        0
    };
    for _ in 0..literals {
        let literal = rest.trim_start();
        let quote = literal.chars().next().filter(|c| matches!(c, '"' | '\''));
        let Some((quote, end)) = quote.and_then(|quote| Some((quote, literal[1..].find(quote)?))) else {
            return Err(Fault::Malformed("a document type without its external identifier"));
        };
        if literal.len() == rest.len() {
            return Err(Fault::Malformed("a document type without white space between its parts"));
        }
        rest = &literal[1 + end + quote.len_utf8()..];
    }
    match rest.trim_start() {
        "" => Ok(()),
        subset if subset.starts_with('[') => Err(Fault::InternalSubset),
        _ => Err(Fault::Malformed("a document type with other parts")),
    }
}
