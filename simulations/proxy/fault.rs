//! What a link does to the requests that pass it, and when.
//!
//! Whether a request is struck is a pure function of (seed, link, number of the request, moment): not of what befell others.

use muster::rng::{RngStream, mix};

/// One kind of fault of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkFault {
    /// Request and answer each come later: mostly a little, sometimes more than a second.
    Delay,
    /// Both go at a few KiB a second.
    Bandwidth,
    /// The connection is reset (RST) on both sides after so many bytes of the request.
    Reset,
    /// What is sent is taken, nothing is passed on, nothing answered; reset when the window ends.
    Blackhole,
    /// The node has a connection on which nothing comes: only the way up is cut.
    CutRequests,
    /// The node serves the request; of its answer nothing comes: only the way down is cut.
    CutAnswers,
    /// One direction is closed (FIN) amid the request or before the answer, the other stays open.
    HalfClose,
    /// Something between passes only a part of an upload's body on, as if it were the whole.
    Truncate,
    /// The answer to an upload ends amid its bytes.
    TruncateAnswer,
    /// A bit of an upload's body is another.
    Corrupt,
    /// A bit of a receipt is another.
    CorruptAnswer,
    /// The request was served, its answer arrives here and is dropped; the sender's connection is reset.
    DropAnswer,
    /// The upload arrives twice at once.
    Duplicate,
    /// The upload arrives a second time, seconds later.
    LateDuplicate,
    /// Nobody listens, and connections that stand are reset.
    Refuse,
}

impl LinkFault {
    /// Every kind.
    pub const ALL: [LinkFault; 15] = [
        LinkFault::Delay,
        LinkFault::Bandwidth,
        LinkFault::Reset,
        LinkFault::Blackhole,
        LinkFault::CutRequests,
        LinkFault::CutAnswers,
        LinkFault::HalfClose,
        LinkFault::Truncate,
        LinkFault::TruncateAnswer,
        LinkFault::Corrupt,
        LinkFault::CorruptAnswer,
        LinkFault::DropAnswer,
        LinkFault::Duplicate,
        LinkFault::LateDuplicate,
        LinkFault::Refuse,
    ];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkFault::Delay => "delay",
            LinkFault::Bandwidth => "bandwidth",
            LinkFault::Reset => "reset",
            LinkFault::Blackhole => "blackhole",
            LinkFault::CutRequests => "cut-requests",
            LinkFault::CutAnswers => "cut-answers",
            LinkFault::HalfClose => "half-close",
            LinkFault::Truncate => "truncate",
            LinkFault::TruncateAnswer => "truncate-answer",
            LinkFault::Corrupt => "corrupt",
            LinkFault::CorruptAnswer => "corrupt-answer",
            LinkFault::DropAnswer => "drop-answer",
            LinkFault::Duplicate => "duplicate",
            LinkFault::LateDuplicate => "late-duplicate",
            LinkFault::Refuse => "refuse",
        }
    }

    /// Whether it can only befall an upload: a question for policy has no body and no receipt.
    pub fn is_of_uploads(self) -> bool {
        use LinkFault::{Corrupt, CorruptAnswer, Duplicate, LateDuplicate, Truncate, TruncateAnswer};
        matches!(self, Truncate | TruncateAnswer | Corrupt | CorruptAnswer | Duplicate | LateDuplicate)
    }

    /// Its place in [`LinkFault::ALL`].
    pub fn place(self) -> usize {
        LinkFault::ALL.iter().position(|fault| *fault == self).expect("one of all")
    }
}

/// A fault of one link, from when to when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkWindow {
    /// Place of the link in its proxy.
    pub link: usize,
    /// What.
    pub fault: LinkFault,
    /// From when, in milliseconds after the faults' start.
    pub from_ms: i64,
    /// To when; not included.
    pub to_ms: i64,
    /// Part of the requests that it strikes. Refusing strikes all.
    pub share: f64,
}

impl LinkWindow {
    fn covers(&self, link: usize, now_ms: i64) -> bool {
        self.link == link && (self.from_ms..self.to_ms).contains(&now_ms)
    }
}

/// All windows of a run.
#[derive(Clone, Debug, Default)]
pub struct LinkWindows {
    seed: u64,
    windows: Vec<LinkWindow>,
}

impl LinkWindows {
    /// These, with draws from `seed`.
    pub fn new(seed: u64, windows: Vec<LinkWindow>) -> LinkWindows {
        LinkWindows { seed, windows }
    }

    /// What befalls request `number` of `link` at `now_ms`, and until when. Of several in force the first drawn one.
    pub fn strike(&self, link: usize, number: u64, is_upload: bool, now_ms: i64) -> Option<LinkWindow> {
        let fits = |window: &&LinkWindow| {
            window.covers(link, now_ms)
                && window.fault != LinkFault::Refuse
                && (is_upload || !window.fault.is_of_uploads())
        };
        let drawn = |window: &&LinkWindow| {
            let draw = mix(mix(self.seed, window.fault.place() as u64), mix(link as u64, number));
            ((draw >> 11) as f64 / (1u64 << 53) as f64) < window.share
        };
        let turn = |window: &LinkWindow| mix(mix(self.seed, number), window.fault.place() as u64);
        self.windows.iter().filter(fits).filter(drawn).min_by_key(|window| turn(window)).copied()
    }

    /// When nobody listens at `link`, in order.
    pub fn refused(&self, link: usize) -> Vec<(i64, i64)> {
        let of = |window: &&LinkWindow| window.link == link && window.fault == LinkFault::Refuse;
        let mut spans: Vec<_> = self.windows.iter().filter(of).map(|window| (window.from_ms, window.to_ms)).collect();
        spans.sort_unstable();
        spans
    }

    /// Draws of one request: where bytes end, how late it comes.
    pub fn draws(&self, link: usize, number: u64) -> RngStream {
        RngStream::new(mix(self.seed, 0x11), link as u64, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(fault: LinkFault, from_ms: i64, to_ms: i64, share: f64) -> LinkWindow {
        LinkWindow { link: 1, fault, from_ms, to_ms, share }
    }

    #[test]
    fn only_the_links_own_windows_strike_and_only_while_they_last() {
        let windows = LinkWindows::new(7, vec![window(LinkFault::Reset, 100, 200, 1.0)]);
        let strikes = |link, now_ms| windows.strike(link, 3, true, now_ms).is_some();
        assert_eq!([strikes(1, 99), strikes(1, 100), strikes(1, 199), strikes(1, 200)], [false, true, true, false]);
        assert!(!strikes(0, 150));
    }

    #[test]
    fn a_share_of_the_requests_is_struck_and_always_the_same() {
        let windows = LinkWindows::new(7, vec![window(LinkFault::Delay, 0, 100, 0.3)]);
        let struck = |_| (0..10_000).filter(|number| windows.strike(1, *number, false, 50).is_some()).count();
        assert!((2_800..3_200).contains(&struck(())), "{}", struck(()));
        assert_eq!(struck(()), struck(()));
    }

    #[test]
    fn a_question_without_a_body_is_spared_what_strikes_bodies() {
        for fault in LinkFault::ALL {
            let windows = LinkWindows::new(7, vec![window(fault, 0, 100, 1.0)]);
            let struck = |is_upload| windows.strike(1, 0, is_upload, 5).is_some();
            assert_eq!(struck(true), fault != LinkFault::Refuse, "{fault:?}");
            assert_eq!(struck(false), fault != LinkFault::Refuse && !fault.is_of_uploads(), "{fault:?}");
        }
        let windows = LinkWindows::new(7, vec![window(LinkFault::Refuse, 5, 9, 1.0)]);
        assert_eq!((windows.refused(1), windows.refused(0)), (vec![(5, 9)], vec![]));
    }

    #[test]
    fn of_two_faults_at_once_both_strike_some() {
        let windows = vec![window(LinkFault::Corrupt, 0, 100, 1.0), window(LinkFault::DropAnswer, 0, 100, 1.0)];
        let windows = LinkWindows::new(7, windows);
        let corrupted = (0..1_000).filter(|number| {
            windows.strike(1, *number, true, 5).is_some_and(|window| window.fault == LinkFault::Corrupt)
        });
        assert!((400..600).contains(&corrupted.count()));
    }
}
