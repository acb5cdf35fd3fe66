//! Numbers of streams as headers of policy questions and answers carry them.
//!
//! ```text
//! kind/account/type=epoch:number,kind/account/type=epoch:first-last,...
//! ```
//!
//! A stream may stand there more than once. `,`, `%` and what a header cannot carry are percent-encoded in its name. What
//! does not read is left out and counted: one bad part must not hide the others. Source: delivery contract, section 5,
//! gap healing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::wire::{self, escape_header, header, unescape_header};

/// Most marks of one header.
pub const MARKS_MAX: usize = 64;
/// Most bytes of one header's value.
pub const MARKS_BYTES_MAX: usize = 4 << 10;
/// Most numbers of one mark: more than any agent keeps.
pub const NUMBERS_MAX: u64 = 4_096;

/// The numbers from `first` to `last` of one epoch of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// `kind/account/type`.
    pub stream: Arc<str>,
    /// The epoch.
    pub epoch: u64,
    /// The first number, from 1.
    pub first: u64,
    /// The last number, `first` or above.
    pub last: u64,
}

impl Mark {
    /// The mark of one number.
    pub fn one(stream: Arc<str>, epoch: u64, number: u64) -> Mark {
        Mark { stream, epoch, first: number, last: number }
    }

    fn read(text: &str) -> Option<Mark> {
        // Names of accounts hold `=` themselves, numbers do not.
        let (stream, numbers) = text.trim().rsplit_once('=')?;
        let stream = unescape_header(stream)?;
        let mut parts = stream.split('/');
        let is_stream = parts.next().is_some_and(wire::is_folder) && parts.count() == 2;
        if !is_stream || stream.len() > wire::STREAM_BYTES_MAX || stream.chars().any(char::is_control) {
            return None;
        }
        let (epoch, numbers) = numbers.split_once(':')?;
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let mark = Mark {
            stream: stream.into(),
            epoch: epoch.parse().ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        };
        (mark.first >= 1 && mark.first <= mark.last && mark.last - mark.first < NUMBERS_MAX).then_some(mark)
    }

    fn text(&self) -> String {
        let stream = escape_header(&self.stream).replace(',', "%2C");
        match self.first == self.last {
            true => format!("{stream}={}:{}", self.epoch, self.first),
            false => format!("{stream}={}:{}-{}", self.epoch, self.first, self.last),
        }
    }
}

/// What an agent tells of its streams in the head of a policy question; each text as above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The last number used of each stream.
    pub published: String,
    /// What nodes took and the agent can make good.
    pub acked: String,
    /// What no node will ever take, or was damaged before one did.
    pub refused: String,
    /// What a later report took the place of before a node took it.
    pub superseded: String,
}

impl Told {
    /// The headers; an empty text is none.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            (header::PUBLISHED, &*self.published),
            (header::ACKED, &self.acked),
            (header::REFUSED, &self.refused),
            (header::SUPERSEDED, &self.superseded),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

/// The marks of a header's value, and how many parts were left out. A value that is too long is one bad part.
pub fn read_marks(text: &str) -> (Vec<Mark>, usize) {
    if text.len() > MARKS_BYTES_MAX {
        return (Vec::new(), 1);
    }
    let (mut marks, mut bad) = (Vec::new(), 0);
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match Mark::read(part) {
            Some(mark) if marks.len() < MARKS_MAX => marks.push(mark),
            _ => bad += 1,
        }
    }
    (marks, bad)
}

/// `marks` as a header's value: as many from the front as a header may carry.
pub fn marks_text<'m>(marks: impl IntoIterator<Item = &'m Mark>) -> String {
    let mut out = String::new();
    for text in marks.into_iter().take(MARKS_MAX).map(Mark::text) {
        if out.len() + 1 + text.len() > MARKS_BYTES_MAX {
            break;
        }
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(stream: &str, epoch: u64, first: u64, last: u64) -> Mark {
        Mark { stream: stream.into(), epoch, first, last }
    }

    #[test]
    fn what_is_written_reads_back_also_with_odd_names() {
        let marks = [
            mark("Inventories/root/Full", u64::MAX, 7, 7),
            mark("UsageData/LAB=5Ckim, a%b/", 1, 3, 9),
            mark("UsageData/ü/", 0, 1, NUMBERS_MAX),
        ];
        let text = marks_text(&marks);
        assert!(text.is_ascii() && text.starts_with("Inventories/root/Full=18446744073709551615:7,"), "{text}");
        assert_eq!(read_marks(&text), (marks.to_vec(), 0));
        assert_eq!(read_marks(""), (vec![], 0));
    }

    #[test]
    fn a_bad_part_is_left_out_and_counted_and_the_others_count() {
        for bad in [
            "x",
            "Inventories/root/Full",
            "Inventories/root/Full=1",
            "Inventories/root/Full=1:0",
            "Inventories/root/Full=1:3-2",
            "Inventories/root/Full=1:1-4097",
            "Inventories/root/Full=-1:1",
            "Nonsense/root/Full=1:1",
            "Inventories/root=1:1",
            "Inventories/ro%0Aot/Full=1:1",
            "Inventories/ro%Zot/Full=1:1",
            &format!("Inventories/{}/Full=1:1", "x".repeat(256)),
        ] {
            let text = format!("UsageData/root/=2:5, {bad},Inventories/kim/Full=3:1");
            let read = read_marks(&text);
            assert_eq!((read.0.len(), read.1), (2, 1), "{bad}");
        }
    }

    #[test]
    fn a_header_stays_within_its_bounds_in_both_directions() {
        let many: Vec<Mark> = (1..=200).map(|number| mark("UsageData/root/", 1, number, number)).collect();
        assert_eq!(read_marks(&marks_text(&many)), (many[..MARKS_MAX].to_vec(), 0));
        let long: Vec<Mark> = (0..64).map(|n| mark(&format!("UsageData/{}{n}/", "x".repeat(200)), 1, 1, 1)).collect();
        let text = marks_text(&long);
        assert!(text.len() <= MARKS_BYTES_MAX);
        assert_eq!(read_marks(&text).0[..], long[..read_marks(&text).0.len()]);
        assert_eq!(read_marks(&"x".repeat(MARKS_BYTES_MAX + 1)), (vec![], 1));
        let more = ["Inventories/root/Full=1:1"; 65].join(",");
        assert_eq!(read_marks(&more).1, 1);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let (marks, _) = read_marks(&text);
            prop_assert_eq!(read_marks(&marks_text(&marks)), (marks, 0));
        }
    }
}
