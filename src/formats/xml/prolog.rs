//! What may stand before the root element: the declaration, the document type, processing instructions.

use super::Fault;
use super::attributes::{Attributes, check_name};
use crate::id::shorten;

/// Checks a processing instruction; nothing of it is used.
pub(super) fn check_instruction(text: &str) -> Result<(), Fault> {
    let target = text.split(['\t', '\n', '\r', ' ']).next().unwrap_or("");
    check_name(target)?;
    if target.eq_ignore_ascii_case("xml") {
        return Err(Fault::Malformed("an XML declaration that is not at the start"));
    }
    Ok(())
}

/// Checks `xml version="1.0" encoding=".." standalone=".."`.
pub(super) fn check_declaration(raw: &str, first: bool, utf16: bool) -> Result<(), Fault> {
    if !first {
        return Err(Fault::Malformed("an XML declaration that is not at the start"));
    }
    let mut found = Attributes::default();
    found.scan(raw, "xml".len())?;
    let mut parts = found.list.iter().map(|part| (part.name(raw), part.value(raw, &found.resolved))).peekable();
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
pub(super) fn check_doctype(text: &str, allowed: bool) -> Result<(), Fault> {
    if !allowed {
        return Err(Fault::Malformed("a document type that is not before the root element, or a second one"));
    }
    let text = text.trim_end();
    let (name, rest) = text.split_at(text.find(|c: char| c.is_ascii_whitespace() || c == '[').unwrap_or(text.len()));
    check_name(name)?;
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
