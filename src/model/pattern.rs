//! Texts compared as people mean them, and patterns in which `%` stands for any characters.
//!
//! Source: reconcile-files reference, section 4.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Characters of one pattern at most; names of packages have 256, paths of files a few hundred.
pub const PATTERN_CHARS_MAX: usize = 1_000;

/// Stands for zero or more characters.
const WILDCARD: char = '%';

/// `text` as it is compared: trimmed (Unicode White_Space), in NFC, in lower case. Cost: linear; for ASCII one copy, for
/// ASCII without capitals none.
///
/// The two small sigmas become one: which of them a capital turns into depends on what follows, and in a pattern that
/// may be a wildcard.
pub fn fold(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.is_ascii() {
        let is_folded = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if is_folded { Cow::Borrowed(text) } else { Cow::Owned(text.to_ascii_lowercase()) };
    }
    let composed: Cow<str> = if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) };
    // Lower case of a composed text is composed again, but for a few capitals whose small letter is two characters.
    let folded = composed.to_lowercase().replace('ς', "σ");
    Cow::Owned(if is_nfc(&folded) { folded } else { folded.nfc().collect() })
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than [`PATTERN_CHARS_MAX`].
    #[error("a pattern has at most {PATTERN_CHARS_MAX} characters, this one has {0}")]
    Long(usize),
}

/// A folded text in which `%` stands for zero or more characters and every other character for itself.
///
/// Stored as its folded text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: Box<str>,
}

impl Pattern {
    /// The pattern that `text` writes; folded here, so it is compared with folded texts.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let folded = fold(text);
        match folded.chars().count() {
            chars if chars > PATTERN_CHARS_MAX => Err(PatternError::Long(chars)),
            _ => Ok(Pattern { text: folded.into() }),
        }
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Characters that stand for themselves: the more, the more specific is the pattern.
    pub fn literals(&self) -> usize {
        self.text.chars().count() - self.wildcards()
    }

    /// How many `%` it has, as written.
    pub fn wildcards(&self) -> usize {
        self.text.matches(WILDCARD).count()
    }

    /// Whether it stands for itself only.
    pub fn is_literal(&self) -> bool {
        !self.text.contains(WILDCARD)
    }

    /// Its longest run of literal characters in bytes, the first of several; `None` when it has only wildcards.
    ///
    /// Every text that it matches contains this run, so an index may look for it.
    pub fn longest_literal(&self) -> Option<&str> {
        let pieces = self.text.split(WILDCARD).filter(|piece| !piece.is_empty());
        // `max_by_key` would give the last of equals.
        pieces.reduce(|longest, piece| if piece.len() > longest.len() { piece } else { longest })
    }

    /// Whether it matches the whole of `folded`. Cost: linear in both lengths, whatever the wildcards.
    pub fn matches(&self, folded: &str) -> bool {
        let Some((start, rest)) = self.text.split_once(WILDCARD) else { return *self.text == *folded };
        let (middle, end) = rest.rsplit_once(WILDCARD).unwrap_or(("", rest));
        let Some(after_start) = folded.strip_prefix(start) else { return false };
        let Some(mut between) = after_start.strip_suffix(end) else { return false };
        // The leftmost place of each piece leaves the most room for the next, so no choice is ever taken back.
        for piece in middle.split(WILDCARD) {
            let Some(at) = memmem::find(between.as_bytes(), piece.as_bytes()) else { return false };
            between = &between[at + piece.len()..];
        }
        true
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Pattern, PatternError> {
        Pattern::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text.into()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&fold(text))
    }

    #[test]
    fn a_wildcard_stands_for_any_characters_and_a_dot_for_a_dot() {
        // Reconcile reference, worked case 26.
        assert!(matches("10.1.%", "10.1.126.0000"));
        assert!(!matches("10.1.%", "10.10.1"));
        assert!(!matches("10.1.%", "10.1"));
        assert!(matches("%", "") && matches("%%", "x") && matches("", "") && !matches("", "x"));
        assert!(matches("a%a", "aa") && !matches("a%a", "a"), "start and end do not share a character");
        assert!(matches("a%b%c", "a-b-b-c") && !matches("a%b%c", "a-c-b"));
        assert!(!matches("a_c", "abc"), "an underscore is no wildcard");
    }

    #[test]
    fn texts_are_compared_without_regard_to_case_space_at_the_ends_and_form_of_accents() {
        assert!(matches(" GREEN%", "\u{a0}green tea "));
        assert!(matches("Cafe\u{301}%", "CAFÉ de Paris"));
        assert!(matches("ΟΔΟΣ%", "οδος") && matches("ΟΔΟΣ%", "ΟΔΟΣ ΑΒ"));
        assert!(matches(&"é".repeat(PATTERN_CHARS_MAX), &"É".repeat(PATTERN_CHARS_MAX)));
        assert_eq!(Pattern::new(&"é".repeat(1_001)), Err(PatternError::Long(1_001)));
    }

    #[test]
    fn what_an_index_looks_for_is_the_first_longest_literal() {
        let literal = |text| Pattern::new(text).unwrap().longest_literal().map(str::to_owned);
        assert_eq!(literal("ab%cd%e").as_deref(), Some("ab"));
        assert_eq!(literal("%openssl%1.").as_deref(), Some("openssl"));
        assert_eq!(literal("%%"), None);
        let pattern = Pattern::new("%a%%bc").unwrap();
        assert_eq!((pattern.literals(), pattern.wildcards(), pattern.is_literal()), (3, 3, false));
    }

    /// What a pattern means, slowly.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['%', rest @ ..], _) => (0..=text.len()).any(|skip| oracle(rest, &text[skip..])),
            ([p, rest @ ..], [t, others @ ..]) => p == t && oracle(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab%é]{0,8}", text in "[abé]{0,10}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), oracle(&p, &t));
        }

        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once);
        }

        #[test]
        fn what_is_matched_holds_the_longest_literal(pattern in "[ab%]{0,8}", text in "[ab]{0,10}") {
            let pattern = Pattern::new(&pattern).unwrap();
            if pattern.matches(&text) {
                prop_assert!(text.contains(pattern.longest_literal().unwrap_or("")));
            }
        }
    }
}
