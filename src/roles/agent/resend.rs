//! What an agent does when it is asked to send again.
//!
//! Usage and logs are sent again as they were: the same bytes under the same number. A lost inventory or discovery is not
//! worth the bytes of yesterday: the host is collected anew, and a later report settles all gaps before it. Source:
//! delivery contract, section 5, gap healing.

use std::collections::BTreeSet;

use crate::formats::marks::Mark;
use crate::model::package::{Sequence, Stream};
use crate::upload::gaps::supersedes;

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resend {
    /// Places of the kept packages that are queued again.
    pub again: Vec<usize>,
    /// Streams for which the host is collected anew, each once.
    pub collect: BTreeSet<Stream>,
}

/// What `asked` comes to for an agent that counts in `epoch`, has published up to `published` of each stream in it, and
/// keeps `kept`, the delivered packages that it can send again.
///
/// A collection that was published since makes up for what was lost: asking for what is before it is in vain.
pub fn resend(asked: &[Mark], epoch: u64, published: impl Fn(&Stream) -> u64, kept: &[(Stream, Sequence)]) -> Resend {
    let is_asked = |(stream, sequence): &(Stream, Sequence)| {
        asked.iter().any(|mark| {
            mark.stream == stream.0
                && mark.epoch == sequence.epoch
                && (mark.first..=mark.last).contains(&sequence.number)
        })
    };
    let again = (0..kept.len()).filter(|&at| is_asked(&kept[at])).collect();
    let is_lost = |mark: &&Mark| {
        let stream = Stream(mark.stream.clone());
        let since = match mark.epoch == epoch {
            true => mark.last,
            // The state was lost since: whatever was published in this epoch came later.
            false => 0,
        };
        supersedes(&stream) && published(&stream) <= since
    };
    let collect = asked.iter().filter(is_lost).map(|mark| Stream(mark.stream.clone())).collect();
    Resend { again, collect }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 7;

    fn mark(stream: &str, epoch: u64, first: u64, last: u64) -> Mark {
        Mark { stream: stream.into(), epoch, first, last }
    }

    fn kept(stream: &str, epoch: u64, number: u64) -> (Stream, Sequence) {
        (Stream(stream.into()), Sequence { epoch, number })
    }

    /// An agent that has published 4 of each stream, and keeps usage 2 to 4 of this epoch and 9 of an earlier one.
    fn asked(marks: &[Mark]) -> Resend {
        let usage = "UsageData/root/";
        let kept = [kept(usage, 3, 9), kept(usage, EPOCH, 2), kept(usage, EPOCH, 3), kept(usage, EPOCH, 4)];
        resend(marks, EPOCH, |_| 4, &kept)
    }

    #[test]
    fn usage_is_sent_again_by_its_numbers_also_those_of_an_earlier_epoch() {
        let usage = |epoch, first, last| mark("UsageData/root/", epoch, first, last);
        let again = |marks: &[Mark]| asked(marks).again;
        assert_eq!(again(&[usage(EPOCH, 1, 3)]), [1, 2]);
        assert_eq!(again(&[usage(EPOCH, 4, 4), usage(3, 9, 9), usage(EPOCH, 4, 4)]), [0, 3]);
        assert_eq!(again(&[usage(3, 2, 4), usage(EPOCH, 1, 1), mark("UsageData/kim/", EPOCH, 2, 2)]), [0; 0]);
        assert!(asked(&[usage(EPOCH, 1, 4096)]).collect.is_empty());
    }

    #[test]
    fn a_lost_stock_is_taken_anew_unless_a_later_one_is_published() {
        let collect = |marks: &[Mark]| !asked(marks).collect.is_empty();
        for stream in ["Inventories/root/Full", "Discovery/root/"] {
            assert!(collect(&[mark(stream, EPOCH, 4, 4)]));
            assert!(collect(&[mark(stream, EPOCH, 1, 1), mark(stream, EPOCH, 3, 4)]));
            assert!(!collect(&[mark(stream, EPOCH, 3, 3)]), "4 is on its way");
            assert!(!collect(&[mark(stream, 3, 9, 9)]), "this epoch began later");
        }
        assert!(!collect(&[mark("Logs/root/", EPOCH, 4, 4)]));
        let none = resend(&[mark("Inventories/root/Full", 3, 9, 9)], EPOCH, |_| 0, &[]);
        assert_eq!(none.collect.len(), 1, "nothing was published since the state was lost");
    }
}
