//! The text between tags.

use super::attributes::resolve;
use super::{Fault, Place, VALUE_BYTES_MAX, is_space};

const OUTSIDE_ROOT: Fault = Fault::Malformed("text outside the root element");

/// Appends a run of text as it stands between two tags. Only in a `leaf` white space is content.
pub(super) fn add_text(piece: &str, place: Place, leaf: bool, text: &mut String) -> Result<(), Fault> {
    // Most text is the indentation between tags.
    let blank = piece.bytes().all(|byte| matches!(byte, b' ' | b'\n' | b'\t'));
    if place != Place::Inside {
        return if blank || piece.bytes().all(is_space) { Ok(()) } else { Err(OUTSIDE_ROOT) };
    }
    if blank && !leaf {
        return Ok(());
    }
    if piece.contains("]]>") {
        return Err(Fault::Malformed("`]]>` in text"));
    }
    push_text(piece, text)
}

/// Appends the inside of a `<![CDATA[` section.
pub(super) fn add_cdata(piece: &str, place: Place, text: &mut String) -> Result<(), Fault> {
    if place == Place::Inside { push_text(piece, text) } else { Err(OUTSIDE_ROOT) }
}

/// Appends the character of `&name;`.
pub(super) fn add_reference(name: &str, place: Place, text: &mut String) -> Result<(), Fault> {
    if place != Place::Inside {
        return Err(OUTSIDE_ROOT);
    }
    text.push(resolve(name)?);
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

/// Refuses a value over its limit.
pub(super) fn check_value(value: &str) -> Result<(), Fault> {
    if value.len() > VALUE_BYTES_MAX { Err(Fault::Value(value.len())) } else { Ok(()) }
}
