//! The known word that somebody meant.

/// Characters of a word at most; nobody mistypes a longer one by hand.
const WORD_CHARS_MAX: usize = 64;

/// The known word nearest to `word`, when one is near enough to have been meant; of equally near ones the first.
///
/// Near enough: at most a third of the longer word has to be changed, inserted, dropped or swapped with its neighbour,
/// and at least one character may always be; or one is the other without its last words (`interval`, `interval_secs`:
/// a unit that was left out). Case, and `-` for `_`, do not count. Cost: at most 64 x 64 steps per known word.
///
/// ```
/// use muster::config::nearest;
/// assert_eq!(nearest("upload_intervall", ["upload_interval_secs", "parents"]), Some("upload_interval_secs"));
/// assert_eq!(nearest("colour", ["parents"]), None);
/// ```
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = characters(word)?;
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let Some(other) = characters(candidate) else { continue };
        let limit = (word.len().max(other.len()) / 3).max(1);
        let mut distance = distance(&word, &other);
        if is_start(&word, &other) || is_start(&other, &word) {
            distance = distance.min(limit);
        }
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The characters that are compared; `None` when there are too many, or none.
fn characters(word: &str) -> Option<Vec<char>> {
    let plain = |c: char| if c == '-' { '_' } else { c };
    let characters: Vec<char> = word.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase).map(plain).collect();
    (1..=WORD_CHARS_MAX).contains(&characters.len()).then_some(characters)
}

/// Whether `long` is `short` and further words.
fn is_start(short: &[char], long: &[char]) -> bool {
    short.len() > 1 && long.strip_prefix(short).is_some_and(|rest| rest.first() == Some(&'_'))
}

/// Optimal string alignment: least number of changes, insertions, deletions and swaps of neighbours, no place edited
/// twice.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slip_of_the_finger_finds_what_was_meant() {
        let known = ["spool_dir", "parents", "upload_interval_secs", "listen"];
        for (word, meant) in [
            ("spool_dri", Some("spool_dir")),
            ("Spool-Dir", Some("spool_dir")),
            ("parent", Some("parents")),
            ("upload_interval", Some("upload_interval_secs")),
            ("upload", Some("upload_interval_secs")),
            ("lisen", Some("listen")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
        assert_eq!(nearest("ac", ["ab", "ad"]), Some("ab"), "the first of equally near ones");
    }

    proptest! {
        #[test]
        fn distance_is_a_measure(a in "[abc]{0,6}", b in "[abc]{0,6}") {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert!(distance(&a, &b) >= a.len().abs_diff(b.len()) && distance(&a, &b) <= a.len().max(b.len()));
        }

        #[test]
        fn a_known_word_is_nearest_to_itself(words in prop::collection::vec("[a-z]{1,8}", 1..9)) {
            for word in &words {
                prop_assert_eq!(nearest(word, words.iter().map(String::as_str)), Some(word.as_str()));
            }
        }
    }
}
