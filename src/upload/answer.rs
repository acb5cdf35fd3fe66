//! What a sender does with a receiver's answer: the table of the delivery contract, section 5.
#![doc = include_str!("answer.md")]

use std::fmt;

use crate::id::{Digest, shorten};
use crate::model::package::Receipt;
use crate::time::{HOUR_MS, SECOND_MS};

/// What came back, as far as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A whole answer: status, the receipt its body held, `Retry-After` in milliseconds, the refusal's code.
    Status {
        /// HTTP status.
        status: u16,
        /// The receipt, when the body was one.
        receipt: Option<Receipt>,
        /// `Retry-After`.
        retry_after_ms: Option<i64>,
        /// The `code` of a refusal's body, empty when there was none.
        code: String,
    },
    /// Nothing whole: not connected, reset, timed out. What happened, for the log.
    Nothing(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Status { status: 200, receipt: None, .. } => f.write_str("answered 200 without a receipt"),
            Answer::Status { status, code, .. } if code.is_empty() => write!(f, "answered {status}"),
            Answer::Status { status, code, .. } => write!(f, "answered {status} ({})", shorten(code).escape_debug()),
            Answer::Nothing(why) => f.write_str(why),
        }
    }
}

/// What the sender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Custody is the receiver's: let go.
    Delivered,
    /// This package will never be taken: refuse or quarantine it, go on with the next.
    Refused,
    /// The identity is not accepted: keep everything, wait 5 minutes to 6 hours.
    Unidentified,
    /// The identity is revoked: keep everything, try once a day.
    Revoked,
    /// Later, at this parent or another; the time is the receiver's wish.
    Later {
        /// `Retry-After` within 1 s and 1 h.
        retry_after_ms: Option<i64>,
        /// Whether the parent's breaker counts it (429 and 503 say "busy", not "broken").
        broken: bool,
    },
    /// This receiver is full: the next parent, then backoff.
    Full,
    /// The package would run in a circle here: the next parent, and an alarm.
    Loop,
}

/// The verdict on `answer` to a package with this digest and size.
pub fn verdict(answer: &Answer, digest: Digest, size: u64) -> Verdict {
    let Answer::Status { status, receipt, retry_after_ms, code } = answer else {
        return Verdict::Later { retry_after_ms: None, broken: true };
    };
    let retry_after_ms = retry_after_ms.map(|ms| ms.clamp(SECOND_MS, HOUR_MS));
    match status {
        200 if receipt.is_some_and(|receipt| receipt.matches(digest, size)) => Verdict::Delivered,
        // The bytes were changed on the way: the sender's own copy was checked before it was sent.
        422 if code == DIGEST_MISMATCH => Verdict::Later { retry_after_ms, broken: true },
        400 | 404 | 405 | 411 | 413 | 414 | 415 | 422 | 431 => Verdict::Refused,
        401 => Verdict::Unidentified,
        403 => Verdict::Revoked,
        429 | 503 => Verdict::Later { retry_after_ms, broken: false },
        507 => Verdict::Full,
        508 => Verdict::Loop,
        _ => Verdict::Later { retry_after_ms, broken: true },
    }
}

/// Code of the refusal that says that the body is not the one its header names.
pub const DIGEST_MISMATCH: &str = "digest-mismatch";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Guid;
    use crate::model::package::ReceiptState;

    fn status(status: u16, receipt: Option<Receipt>) -> Answer {
        Answer::Status { status, receipt, retry_after_ms: None, code: String::new() }
    }

    #[test]
    fn every_row_of_the_table_is_what_the_code_does() {
        let (digest, size) = (Digest::of(b"x"), 1);
        let mut rows = 0;
        for line in include_str!("answer.md").lines().filter(|line| line.starts_with("| ") && !line.contains("---")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [answers, wanted] = cells[..] else { panic!("{line}") };
            for answer in answers.split(", ").filter_map(|answer| answer.parse::<u16>().ok()) {
                rows += 1;
                let verdict = verdict(&status(answer, None), digest, size);
                let word = format!("{verdict:?}");
                let word = word.split([' ', '{']).next().unwrap();
                let broken = matches!(verdict, Verdict::Later { broken: true, .. });
                let found = if broken { format!("`{word}` (broken)") } else { format!("`{word}`") };
                assert_eq!(found, wanted, "{answer}");
            }
        }
        assert_eq!(rows, 23);
    }

    #[test]
    fn only_a_receipt_for_these_very_bytes_lets_the_sender_let_go() {
        let (digest, size) = (Digest::of(b"x"), 1);
        let receipt = |digest, size| Some(Receipt { digest, size, node: Guid::NIL, state: ReceiptState::Duplicate });
        assert_eq!(verdict(&status(200, receipt(digest, size)), digest, size), Verdict::Delivered);
        for wrong in [None, receipt(Digest::of(b"y"), size), receipt(digest, 2)] {
            assert_eq!(
                verdict(&status(200, wrong), digest, size),
                Verdict::Later { retry_after_ms: None, broken: true }
            );
        }
        assert_ne!(verdict(&status(201, receipt(digest, size)), digest, size), Verdict::Delivered);
        assert_eq!(
            verdict(&Answer::Nothing("reset".into()), digest, size),
            Verdict::Later { retry_after_ms: None, broken: true }
        );
    }

    #[test]
    fn bytes_changed_on_the_way_are_sent_again() {
        let code = DIGEST_MISMATCH.to_string();
        let answer = Answer::Status { status: 422, receipt: None, retry_after_ms: None, code };
        assert_eq!(verdict(&answer, Digest::of(b"x"), 1), Verdict::Later { retry_after_ms: None, broken: true });
    }

    #[test]
    fn a_receivers_wish_is_honoured_within_a_second_and_an_hour() {
        for (wish, kept) in [(0, SECOND_MS), (5_000, 5_000), (i64::MAX, HOUR_MS), (-1, SECOND_MS)] {
            let answer = Answer::Status { status: 503, receipt: None, retry_after_ms: Some(wish), code: String::new() };
            let wanted = Verdict::Later { retry_after_ms: Some(kept), broken: false };
            assert_eq!(verdict(&answer, Digest::of(b"x"), 1), wanted);
        }
    }
}
