//! The inside of a start tag: names, values and references, in one pass over the bytes.
//!
//! quick-xml's own iterator compares each name with all before it; here attributes are counted before they are compared.

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

/// Names of the attributes of earlier tags, by their place: mostly the next tag has the same ones, and a name that is equal to
/// one that was checked needs no second check.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Option<ExpectedName>>);

/// A name of less than 16 bytes with the `=` behind it, as a number: one comparison instead of a loop whose length nobody
/// can predict.
#[derive(Clone, Copy, Debug)]
struct ExpectedName {
    text: u128,
    mask: u128,
    length: usize,
    bit: u64,
}

impl Names {
    /// Length and filter bit of the name at the beginning of `bytes`, if it is the one that was met at this place before.
    fn find(&self, place: usize, bytes: &[u8]) -> Option<(usize, u64)> {
        let expected = self.0.get(place)?.as_ref()?;
        let met = u128::from_le_bytes(*bytes.first_chunk()?);
        (met & expected.mask == expected.text).then_some((expected.length, expected.bit))
    }

    /// Expects a name that was checked at this place from now on.
    fn learn(&mut self, place: usize, name: &[u8], bit: u64) {
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place] = (name.len() < 16).then(|| {
            let mut text = [0; 16];
            text[..name.len()].copy_from_slice(name);
            text[name.len()] = b'=';
            let mask = u128::MAX >> (8 * (15 - name.len()));
            ExpectedName { text: u128::from_le_bytes(text), mask, length: name.len(), bit }
        });
    }
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

/// Lists the attributes of the tag `raw`, which stand after its name of `from` bytes.
///
/// Values with references or line breaks are appended to `resolved`. Cost: two passes over the bytes; names are
/// compared only where a 64-bit filter cannot tell them apart.
pub(super) fn scan(
    raw: &str,
    from: usize,
    names: &mut Names,
    out: &mut Vec<Attribute>,
    resolved: &mut String,
) -> Result<(), Fault> {
    let bytes = raw.as_bytes();
    // In the usual tag there is none of these, and a value is only searched for its end.
    let special = memchr::memchr3(b'&', b'<', b'\n', bytes).or_else(|| memchr::memchr2(b'\t', b'\r', bytes)).is_some();
    let skip_space = |mut at: usize| {
        while bytes.get(at).copied().is_some_and(is_space) {
            at += 1;
        }
        at
    };
    let mut filter = 0_u64;
    let mut at = from;
    loop {
        let begin = skip_space(at);
        if begin == bytes.len() {
            return Ok(());
        }
        if begin == at {
            return Err(Fault::Malformed("no white space before an attribute"));
        }
        if out.len() == ATTRIBUTES_MAX {
            return Err(Fault::TooMany);
        }
        let (name_end, bit) = match names.find(out.len(), &bytes[begin..]) {
            Some((length, bit)) => (begin + length, bit),
            None => {
                let (name_end, is_ascii) = name_end(bytes, begin);
                let name = &raw[begin..name_end];
                check_scanned_name(name, is_ascii)?;
                let bit = filter_bit(name.as_bytes());
                names.learn(out.len(), name.as_bytes(), bit);
                (name_end, bit)
            }
        };
        if filter & bit != 0 && out.iter().any(|known| known.name(raw) == &raw[begin..name_end]) {
            return Err(Fault::Malformed("an attribute stands twice in one tag"));
        }
        filter |= bit;

        let equals = skip_space(name_end);
        if bytes.get(equals) != Some(&b'=') {
            return Err(Fault::Malformed("an attribute without `=`"));
        }
        let open = skip_space(equals + 1);
        let Some(&quote @ (b'"' | b'\'')) = bytes.get(open) else {
            return Err(Fault::Malformed("an attribute without quotes"));
        };
        let start = open + 1;
        let Some(length) = memchr::memchr(quote, &bytes[start..]) else {
            return Err(Fault::Malformed("a value without its closing quote"));
        };
        let value = &raw[start..start + length];
        let plain = !special || is_plain(value)?;
        let value_range = if plain {
            check_value(value)?;
            (start, start + length)
        } else {
            let from = resolved.len();
            resolve_value(value, resolved)?;
            check_value(&resolved[from..])?;
            (from, resolved.len())
        };
        // A tag is at most a token long, so its offsets fit.
        out.push(Attribute {
            name: (begin as u32, name_end as u32),
            value: (value_range.0 as u32, value_range.1 as u32),
            resolved: !plain,
        });
        at = start + length + 1;
    }
}

/// Where the name that begins at `at` ends, and whether all of it is ASCII.
fn name_end(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut end = at;
    let mut met = 0;
    while let Some(&byte) = bytes.get(end).filter(|&&byte| NAME_BYTES[byte as usize]) {
        met |= byte;
        end += 1;
    }
    (end, met < 0x80)
}

/// One of 64 bits. Equal names have equal bits; different names mostly have different ones.
fn filter_bit(name: &[u8]) -> u64 {
    match name {
        [first, .., last] => 1 << ((first.wrapping_mul(5) ^ last.wrapping_mul(11) ^ name.len() as u8) % 64),
        _ => 1,
    }
}

/// Whether `value` stands for itself: no reference in it and no white space but blanks.
fn is_plain(value: &str) -> Result<bool, Fault> {
    let mut plain = true;
    for byte in value.bytes() {
        match byte {
            b'<' => return Err(Fault::Malformed("`<` in a value")),
            b'&' | b'\t' | b'\n' | b'\r' => plain = false,
            0..b' ' => return Err(Fault::Malformed("a control character")),
            _ => {}
        }
    }
    Ok(plain)
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
