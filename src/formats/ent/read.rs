//! Reads entitlements out of a document.

use super::lines::Lines;
use super::{
    ENT_BYTES_MAX, ENTITLEMENTS_MAX, Ent, EntDocument, EntError, EntNames, EntProblem, Field, Said, UNREAD_MAX,
};
use crate::formats::xml::{Kept, Tag, Token, XmlReader};
use crate::id::shorten;

/// Elements of an entitlement that are known to say nothing that a row has a place for: who sold, who bought.
const KNOWN: [&str; 1] = ["Entity"];

/// Reads a document to its end: one that is not well-formed is no proof of anything.
pub fn read_ent(bytes: &[u8], names: &EntNames) -> Result<EntDocument, EntError> {
    let fault = |line, problem| EntError { line, problem };
    if bytes.len() > ENT_BYTES_MAX {
        return Err(fault(1, EntProblem::TooLarge));
    }
    let (mut lines, mut xml) = (Lines::new(bytes), XmlReader::new(bytes));
    let mut reading = Reading::new(names);
    loop {
        let opened = match xml.next_token() {
            Ok(Token::Open(tag)) => reading.open(&tag),
            Ok(Token::Close { text }) => {
                reading.close(text).map_err(|problem| fault(reading.line, problem))?;
                continue;
            }
            Ok(Token::End) => return reading.finish().map_err(|problem| fault(1, problem)),
            Err(error) => return Err(fault(lines.of(xml.position()), EntProblem::Xml(error))),
        };
        let line = lines.of_tag(xml.position());
        match opened.and_then(|opened| reading.settle(line).map(|()| opened)) {
            Ok(Opened::Entered) => {}
            Ok(Opened::PassedOver) => {
                xml.skip().map_err(|error| fault(lines.of(xml.position()), EntProblem::Xml(error)))?;
            }
            Err(problem) => return Err(fault(line, problem)),
        }
    }
}

/// What became of a start tag.
enum Opened {
    /// Its content is to be told.
    Entered,
    /// Its content says nothing here.
    PassedOver,
}

/// The state of a reading.
struct Reading<'n> {
    names: &'n EntNames,
    document: EntDocument,
    kept: Kept,
    /// Name of the root element.
    root: String,
    /// Open elements down to the entitlement at hand, that one not counted.
    outside: usize,
    /// Namespaces that they declare: how deep, prefix, namespace.
    declared: Vec<(usize, Box<str>, Box<str>)>,
    /// The entitlement at hand.
    ent: Option<Open>,
    /// What the tag at hand says, until its line is known.
    found: Vec<(Field, usize, Box<str>)>,
    related: Vec<(Box<str>, Box<str>)>,
    /// The line of the last tag.
    line: u32,
}

/// An entitlement that is open.
struct Open {
    ent: Ent,
    prefix: Box<str>,
    namespace: Box<str>,
    /// Names of the open elements below it.
    at: Vec<Box<str>>,
    /// Their lines, the entitlement's first.
    lines: Vec<u32>,
}

/// Prefix, empty where there is none, and local name.
fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// The namespace that a tag declares for a prefix.
fn declared_by<'t>(tag: &Tag<'t>) -> impl Iterator<Item = (&'t str, &'t str)> {
    tag.attributes().filter_map(|(name, value)| match split(name) {
        ("", "xmlns") => Some(("", value)),
        ("xmlns", prefix) => Some((prefix, value)),
        _ => None,
    })
}

impl<'n> Reading<'n> {
    fn new(names: &'n EntNames) -> Reading<'n> {
        Reading {
            names,
            document: EntDocument::default(),
            kept: Kept::default(),
            root: String::new(),
            outside: 0,
            declared: Vec::new(),
            ent: None,
            found: Vec::new(),
            related: Vec::new(),
            line: 1,
        }
    }

    fn open(&mut self, tag: &Tag<'_>) -> Result<Opened, EntProblem> {
        let (prefix, name) = split(tag.name());
        let is_entitlement = self.names.entitlements.iter().any(|known| **known == *name);
        let Some(open) = &mut self.ent else {
            if self.outside == 0 {
                self.root = shorten(tag.name());
                if name == "SoftwareIdentity" {
                    return Err(EntProblem::SwidTag);
                }
            }
            return if is_entitlement { self.begin(tag, prefix) } else { self.enter(tag) };
        };
        let is_foreign =
            prefix != &*open.prefix || declared_by(tag).any(|(of, is)| of == prefix && is != &*open.namespace);
        if is_entitlement && !is_foreign {
            return Err(EntProblem::Nested);
        }
        open.at.push(name.into());
        if is_foreign || !self.names.leads_below(&open.at) {
            let is_known = !is_foreign && open.at.len() == 1 && KNOWN.contains(&name);
            let path = if is_foreign { shorten(tag.name()) } else { shorten(&open.at.join("/")) };
            open.at.pop();
            if !is_known {
                self.pass_over(path);
            }
            return Ok(Opened::PassedOver);
        }
        self.attributes(tag);
        Ok(Opened::Entered)
    }

    /// An element around entitlements.
    fn enter(&mut self, tag: &Tag<'_>) -> Result<Opened, EntProblem> {
        self.outside += 1;
        self.declare(tag)?;
        Ok(Opened::Entered)
    }

    fn declare(&mut self, tag: &Tag<'_>) -> Result<(), EntProblem> {
        for (prefix, namespace) in declared_by(tag) {
            self.kept.add(prefix.len() + namespace.len()).map_err(EntProblem::Xml)?;
            self.declared.push((self.outside, prefix.into(), namespace.into()));
        }
        Ok(())
    }

    fn begin(&mut self, tag: &Tag<'_>, prefix: &str) -> Result<Opened, EntProblem> {
        if self.document.entitlements.len() == ENTITLEMENTS_MAX {
            return Err(EntProblem::TooMany);
        }
        let own = declared_by(tag).find(|(of, _)| *of == prefix).map(|(_, namespace)| namespace);
        let around =
            || self.declared.iter().rev().find(|(_, of, _)| **of == *prefix).map(|(.., namespace)| &**namespace);
        let namespace: Box<str> = own.or_else(around).unwrap_or_default().into();
        if !namespace.starts_with(&*self.names.namespace) {
            return Err(EntProblem::Namespace {
                element: shorten(tag.name()),
                found: match &*namespace {
                    "" => "no namespace".into(),
                    other => format!("the namespace `{}`", shorten(other)),
                },
                wanted: self.names.namespace.to_string(),
            });
        }
        let open = Open { ent: Ent::default(), prefix: prefix.into(), namespace, at: Vec::new(), lines: Vec::new() };
        self.ent = Some(open);
        self.attributes(tag);
        Ok(Opened::Entered)
    }

    /// Takes note of what the attributes of a tag say, and of those that say nothing.
    fn attributes(&mut self, tag: &Tag<'_>) {
        let Some(open) = &self.ent else { return };
        let mut unread = Vec::new();
        for (name, value) in tag.attributes() {
            // Declarations of namespaces, `xml:lang`, `xsi:type` and whatever else is not the document's own.
            if name == "xmlns" || name.contains(':') {
                continue;
            }
            let (mut is_read, value) = (false, value.trim());
            for (field, rank) in self.names.values(&open.at, Some(name)) {
                is_read = true;
                let rel = tag.get("rel").map(str::trim).filter(|_| field == Field::Tag);
                match rel.filter(|rel| self.names.related.iter().any(|related| **related == **rel)) {
                    _ if value.is_empty() => {}
                    Some(rel) => self.related.push((rel.into(), value.into())),
                    None => self.found.push((field, rank, value.into())),
                }
            }
            let tells_of_tag = || name == "rel" && tag.attributes().any(|(beside, _)| self.is_tag(&open.at, beside));
            if !is_read && !tells_of_tag() {
                let at = open.at.iter().map(|element| format!("{element}/")).collect::<String>();
                unread.push(shorten(&format!("{at}@{name}")));
            }
        }
        unread.into_iter().for_each(|path| self.pass_over(path));
    }

    fn is_tag(&self, at: &[Box<str>], attribute: &str) -> bool {
        self.names.values(at, Some(attribute)).any(|(field, _)| field == Field::Tag)
    }

    fn pass_over(&mut self, path: String) {
        let unread = &mut self.document.unread;
        if unread.len() < UNREAD_MAX {
            unread.insert(path);
        }
    }

    /// The tag at hand stands on `line`: takes what it says into the entitlement.
    fn settle(&mut self, line: u32) -> Result<(), EntProblem> {
        self.line = line;
        let Some(open) = &mut self.ent else { return Ok(()) };
        if open.lines.is_empty() {
            open.ent.line = line;
        }
        // Of an element that is passed over no line is needed.
        if open.lines.len() <= open.at.len() {
            open.lines.push(line);
        }
        for (field, rank, text) in self.found.drain(..) {
            self.kept.add(text.len() + size_of::<(Field, usize, Said)>()).map_err(EntProblem::Xml)?;
            open.ent.add(field, rank, Said { text, line });
        }
        for (rel, text) in self.related.drain(..) {
            self.kept.add(rel.len() + text.len() + size_of::<(Box<str>, Said)>()).map_err(EntProblem::Xml)?;
            open.ent.related.push((rel, Said { text, line }));
        }
        Ok(())
    }

    fn close(&mut self, text: &str) -> Result<(), EntProblem> {
        let Some(open) = &mut self.ent else {
            self.declared.retain(|(depth, ..)| *depth < self.outside);
            self.outside = self.outside.saturating_sub(1);
            return Ok(());
        };
        let (text, line) = (text.trim(), open.lines.pop().unwrap_or(self.line));
        if !text.is_empty() && !open.at.is_empty() {
            for (field, rank) in self.names.values(&open.at, None) {
                self.kept.add(text.len() + size_of::<(Field, usize, Said)>()).map_err(EntProblem::Xml)?;
                open.ent.add(field, rank, Said { text: text.into(), line });
            }
        }
        if open.at.pop().is_none() {
            self.kept.add(size_of::<Ent>()).map_err(EntProblem::Xml)?;
            self.document.entitlements.extend(self.ent.take().map(|open| open.ent));
        }
        Ok(())
    }

    fn finish(self) -> Result<EntDocument, EntProblem> {
        if self.document.entitlements.is_empty() {
            return Err(EntProblem::NoEntitlement { root: self.root });
        }
        Ok(self.document)
    }
}
