//! The inside of a start tag: names, values and references, in one pass over the bytes.
//!
//! quick-xml's own iterator compares each name with all before it; here attributes are counted before they are compared.

use std::str;

use super::names::{Names, Symbol};
use super::text::check_value;
use super::{ATTRIBUTES_MAX, Fault, NAME_BYTES_MAX, is_legal_char, is_space};
use crate::id::shorten;

/// Where an attribute stands in its tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    name: (u32, u32),
    value: (u32, u32),
    /// The value stands among the resolved ones, not in the tag.
    resolved: bool,
    pub(super) symbol: Option<Symbol>,
}

impl Attribute {
    pub(super) fn name<'a>(&self, raw: &'a str) -> &'a str {
        &raw[self.name.0 as usize..self.name.1 as usize]
    }

    pub(super) fn value<'a>(&self, raw: &'a str, resolved: &'a str) -> &'a str {
        let from = if self.resolved { resolved } else { raw };
        &from[self.value.0 as usize..self.value.1 as usize]
    }
}

/// The attributes of the tag at hand.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) list: Vec<Attribute>,
    /// Values that held references or line breaks.
    pub(super) resolved: String,
    names: Names,
    /// A bit for the symbol of each one in the list.
    met: u64,
    /// One in the list has no symbol.
    has_unnumbered: bool,
}

impl Attributes {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.resolved.clear();
        self.met = 0;
        self.has_unnumbered = false;
    }

    /// Lists the attributes of the tag `raw`, which stand after its name of `from` bytes.
    pub(super) fn scan(&mut self, raw: &str, from: usize) -> Result<(), Fault> {
        let bytes = raw.as_bytes();
        let mut at = from;
        loop {
            let begin = skip_space(bytes, at);
            if begin == bytes.len() {
                return Ok(());
            }
            at = self.add(bytes, at, begin)?;
        }
    }

    /// Lists the attributes that stand behind `from` in `bytes`, which go on behind the tag; where they end. The faults
    /// are not those of the document: the tag may go on where `bytes` end.
    pub(super) fn scan_open(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        let mut at = from;
        loop {
            let begin = skip_space(bytes, at);
            if matches!(bytes.get(begin), None | Some(b'/' | b'>')) {
                return Ok(begin);
            }
            at = self.add(bytes, at, begin)?;
        }
    }

    /// Adds the attribute that begins at `begin`, after what ended at `before`; where it ends.
    ///
    /// A value with references or line breaks is appended to `resolved`. Cost: one pass; names are compared only when they
    /// have no symbol.
    #[inline]
    fn add(&mut self, bytes: &[u8], before: usize, begin: usize) -> Result<usize, Fault> {
        if begin == before {
            return Err(Fault::Malformed("no white space before an attribute"));
        }
        if self.list.len() == ATTRIBUTES_MAX {
            return Err(Fault::TooMany);
        }
        let previous = self.list.last().and_then(|attribute| attribute.symbol);
        let (name_end, symbol) = match self.names.find(previous, &bytes[begin..]) {
            Some((length, symbol)) => (begin + length, Some(symbol)),
            None => {
                let (name_end, is_ascii) = name_end(bytes, begin);
                let name = str::from_utf8(&bytes[begin..name_end]).map_err(|_| Fault::NotUtf8)?;
                check_scanned_name(name, is_ascii)?;
                (name_end, self.names.number(previous, name.as_bytes()))
            }
        };
        let is_new = match symbol {
            Some(symbol) => self.met & symbol.bit() == 0,
            None => true,
        };
        let name = &bytes[begin..name_end];
        let of_known = |known: &Attribute| &bytes[known.name.0 as usize..known.name.1 as usize] == name;
        if !is_new || (symbol.is_none() || self.has_unnumbered) && self.list.iter().any(of_known) {
            return Err(Fault::Malformed("an attribute stands twice in one tag"));
        }
        self.met |= symbol.map_or(0, Symbol::bit);
        self.has_unnumbered |= symbol.is_none();

        let equals = skip_space(bytes, name_end);
        if bytes.get(equals) != Some(&b'=') {
            return Err(Fault::Malformed("an attribute without `=`"));
        }
        let open = skip_space(bytes, equals + 1);
        let Some(&quote @ (b'"' | b'\'')) = bytes.get(open) else {
            return Err(Fault::Malformed("an attribute without quotes"));
        };
        let start = open + 1;
        let (end, is_plain) = value_end(bytes, start, quote)?;
        let value = if is_plain {
            if end - start > super::VALUE_BYTES_MAX {
                return Err(Fault::Value(end - start));
            }
            (start, end)
        } else {
            let from = self.resolved.len();
            let value = str::from_utf8(&bytes[start..end]).map_err(|_| Fault::NotUtf8)?;
            resolve_value(value, &mut self.resolved)?;
            check_value(&self.resolved[from..])?;
            (from, self.resolved.len())
        };
        // A tag is at most a token long, so its offsets fit.
        self.list.push(Attribute {
            name: (begin as u32, name_end as u32),
            value: (value.0 as u32, value.1 as u32),
            resolved: !is_plain,
            symbol,
        });
        Ok(end + 1)
    }
}

#[inline]
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).copied().is_some_and(is_space) {
        at += 1;
    }
    at
}

/// Where the value that begins at `start` ends, and whether it stands for itself: no reference in it and no white space
/// but blanks.
#[inline]
fn value_end(bytes: &[u8], start: usize, quote: u8) -> Result<(usize, bool), Fault> {
    let (mut at, mut is_plain) = (start, true);
    loop {
        at += special(&bytes[at..], quote).ok_or(Fault::Malformed("a value without its closing quote"))?;
        match bytes[at] {
            byte if byte == quote => return Ok((at, is_plain)),
            b'<' => return Err(Fault::Malformed("`<` in a value")),
            b'&' | b'\t' | b'\n' | b'\r' => is_plain = false,
            _ => return Err(Fault::Malformed("a control character")),
        }
        at += 1;
    }
}

/// Where the first byte stands that ends a value or keeps it from standing for itself: `quote`, `&`, `<` or one below the
/// blank. Eight bytes at a time: most values are shorter than what a search by a library takes to begin.
#[inline]
fn special(bytes: &[u8], quote: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let quotes = ONES * u64::from(quote);
    // The high bit of each byte of `word` that is below `least` (at most 128). Above a hit there may be false ones.
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & HIGH;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let met = below(word, 0x20)
            | below(word ^ quotes, 1)
            | below(word ^ (ONES * u64::from(b'&')), 1)
            | below(word ^ (ONES * u64::from(b'<')), 1);
        if met != 0 {
            return Some(at + met.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let is_special = |&byte: &u8| byte == quote || byte == b'&' || byte == b'<' || byte < b' ';
    bytes.get(at..)?.iter().position(is_special).map(|place| at + place)
}

/// Whether a byte may stand in a name. Bytes outside ASCII may; their characters are looked at one by one.
const NAME_BYTES: [bool; 256] = name_bytes();

const fn name_bytes() -> [bool; 256] {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        bytes[byte] = b.is_ascii_alphanumeric() || b >= 0x80 || matches!(b, b'_' | b':' | b'-' | b'.');
        byte += 1;
    }
    bytes
}

/// Where the name that begins at `at` ends, and whether all of it is ASCII.
pub(super) fn name_end(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut end = at;
    let mut met = 0;
    while let Some(&byte) = bytes.get(end).filter(|&&byte| NAME_BYTES[byte as usize]) {
        met |= byte;
        end += 1;
    }
    (end, met < 0x80)
}

/// Appends `value` with its references resolved and each line break and tab as a space, as XML asks.
fn resolve_value(value: &str, out: &mut String) -> Result<(), Fault> {
    let mut rest = value;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        out.push_str(&rest[..at]);
        let special = &rest[at..];
        if let Some(after) = special.strip_prefix('&') {
            let Some(end) = after.find(';') else { return Err(Fault::Malformed("`&` without `;`")) };
            out.push(resolve(&after[..end])?);
            rest = &after[end + 1..];
        } else {
            out.push(' ');
            rest = special.strip_prefix("\r\n").unwrap_or(&special[1..]);
        }
    }
    out.push_str(rest);
    Ok(())
}

/// The character of the reference `&name;`.
pub(super) fn resolve(name: &str) -> Result<char, Fault> {
    let number = match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(digits), _) => number(digits, 16),
            (None, Some(digits)) => number(digits, 10),
            (None, None) => return Err(Fault::Entity(shorten(name))),
        },
    };
    number
        .and_then(char::from_u32)
        .filter(|&c| is_legal_char(c))
        .ok_or(Fault::Malformed("a character reference that names no character of XML"))
}

fn number(digits: &str, radix: u32) -> Option<u32> {
    // from_str_radix would take a sign.
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// Checks a name of an element or processing instruction.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let (end, is_ascii) = name_end(name.as_bytes(), 0);
    if end != name.len() {
        return Err(Fault::Malformed("a name with characters that no name has"));
    }
    check_scanned_name(name, is_ascii)
}

/// Checks what is left to check of a name whose bytes [`name_end`] took.
fn check_scanned_name(name: &str, is_ascii: bool) -> Result<(), Fault> {
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b >= 0x80 || matches!(b, b'_' | b':'));
    if !starts {
        return Err(Fault::Malformed("a name that begins as no name does"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Fault::Name(name.len()));
    }
    if !is_ascii && !name.char_indices().all(|(at, c)| c.is_ascii() || is_name_char(c, at == 0)) {
        return Err(Fault::Malformed("a name with characters that no name has"));
    }
    Ok(())
}

/// Productions NameStartChar and NameChar of XML 1.0, fifth edition, outside ASCII.
fn is_name_char(c: char, first: bool) -> bool {
    match c {
        '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}' => !first,
        '\u{c0}'..='\u{d6}'
        | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}'
        | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}'
        | '\u{f900}'..='\u{fdcf}'
        | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}' => true,
        _ => false,
    }
}
