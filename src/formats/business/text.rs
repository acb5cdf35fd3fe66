//! What a cell may not hold, whatever it means.

use crate::id::shorten;

/// Why `text` is not taken as a text of at most `bytes_max` bytes, and what to write; `None` when it is.
pub fn unsuitable(text: &str, bytes_max: usize) -> Option<String> {
    if text.len() > bytes_max {
        return Some(format!("has {} bytes, write at most {bytes_max}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Some(format!("`{}` holds a line break or another control character, leave it out", shorten(text)));
    }
    let problem = "would be a formula in a spreadsheet, write it without its first character";
    is_formula(text).then(|| format!("`{}` {problem}", shorten(text)))
}

/// What a spreadsheet would take for a formula, and run, when somebody opens an answer of ours in it.
fn is_formula(text: &str) -> bool {
    let is_number = |rest: &str| {
        rest.bytes().any(|byte| byte.is_ascii_digit())
            && rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
    };
    match text.as_bytes().first() {
        Some(b'=' | b'@') => true,
        Some(b'+' | b'-') => !is_number(&text[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_control_characters_and_long_texts_are_refused_with_what_to_write() {
        for text in ["", "pc-1", "-5", "+1,5", "a=b", "x@y"] {
            assert_eq!(unsuitable(text, 10), None, "{text}");
        }
        for (text, part) in [
            ("=1+1", "would be a formula"),
            ("@SUM", "would be a formula"),
            ("-cmd", "would be a formula"),
            ("+", "would be a formula"),
            ("a\nb", "line break"),
            ("a\0b", "control character"),
            ("01234567890", "has 11 bytes, write at most 10"),
        ] {
            let problem = unsuitable(text, 10).unwrap();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
