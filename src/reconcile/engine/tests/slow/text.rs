//! Texts of section 4, and versions of section 5.1.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization;

/// "Texts are trimmed, brought to NFC, then lower-cased (full Unicode)" (section 4).
pub fn fold(text: &str) -> String {
    text.trim().nfc().collect::<String>().to_lowercase()
}

/// "In a rule, `%` stands for zero or more characters, every other character for itself" (section 4). Folds both.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = fold(pattern).chars().collect();
    let text: Vec<char> = fold(text).chars().collect();
    matches_from(&pattern, &text)
}

fn matches_from(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skipped| matches_from(rest, &text[skipped..])),
        Some((first, rest)) => text.first() == Some(first) && matches_from(rest, &text[1..]),
    }
}

/// "Versions: split at `.`; parts of ASCII digits only compare as numbers (of any length) and before other parts, others
/// as folded text; a missing part counts as 0" (section 5.1). A part without characters is taken for a missing one.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    let (one, other) = (fold(one), fold(other));
    let one: Vec<&str> = one.split('.').collect();
    let other: Vec<&str> = other.split('.').collect();
    for place in 0..one.len().max(other.len()) {
        let order = compare_parts(part(&one, place), part(&other, place));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn part<'a>(parts: &[&'a str], place: usize) -> &'a str {
    match parts.get(place) {
        Some(part) if !part.is_empty() => part,
        _ => "0",
    }
}

fn compare_parts(one: &str, other: &str) -> Ordering {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    match (digits(one), digits(other)) {
        (true, true) => {
            let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            one.len().cmp(&other.len()).then(one.cmp(other))
        }
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::{compare_versions, matches};

    #[test]
    fn a_percent_sign_stands_for_any_characters_and_nothing_else_does() {
        assert!(matches("10.1.%", "10.1.126.0000"));
        assert!(!matches("10.1.%", "10.10.1"));
        assert!(!matches("10.1.%", "10.1"));
        assert!(matches("%", "") && matches("a%%b", "ab") && matches("A_b", "a_B") && !matches("a_b", "axb"));
        assert!(matches("é", "E\u{301}"));
    }

    #[test]
    fn versions_compare_part_by_part() {
        for (one, order, other) in [
            ("1.10", Greater, "1.9"),
            ("1", Equal, "1.0.0"),
            ("1.beta", Greater, "1.99999999999999999999999"),
            ("007", Equal, "7"),
            ("1.A", Equal, "1.a"),
            ("", Less, "1"),
            ("2.0a", Greater, "2"),
        ] {
            assert_eq!(compare_versions(one, other), order, "{one} {other}");
        }
    }
}
