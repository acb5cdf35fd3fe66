//! What a sender does with a receiver's answer: the table of the delivery contract, section 5.
#![doc = include_str!("answer.md")]

use std::fmt;

use crate::formats::wire::UNKNOWN_KIND;
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
        /// Whether the body is an HTML page: written for people, by something that takes no uploads.
        is_page: bool,
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

impl Answer {
    /// Whether this is no answer of an upload listener: a redirect, a page for people, or that there is nothing at this
    /// address. It says nothing of the package; the address or something on the way is wrong.
    ///
    /// The codes are those of an upload listener that knows neither the kind nor the method. 404 and 405 without one say
    /// any web server, that of operators too.
    pub fn is_strange(&self) -> bool {
        let Answer::Status { status, code, is_page, .. } = self else { return false };
        match status {
            404 => code != UNKNOWN_KIND,
            405 => code != WRONG_METHOD,
            300..400 => true,
            // These say "later" whoever gives them.
            408 | 425 | 429 => false,
            200..500 => *is_page,
            _ => false,
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
    let Answer::Status { status, receipt, retry_after_ms, code, .. } = answer else {
        return Verdict::Later { retry_after_ms: None, broken: true };
    };
    let retry_after_ms = retry_after_ms.map(|ms| ms.clamp(SECOND_MS, HOUR_MS));
    match status {
        200 if receipt.is_some_and(|receipt| receipt.matches(digest, size)) => Verdict::Delivered,
        // The bytes were changed on the way: the sender's own copy was checked before it was sent.
        422 if code == DIGEST_MISMATCH => Verdict::Later { retry_after_ms, broken: true },
        _ if answer.is_strange() => Verdict::Later { retry_after_ms, broken: true },
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
/// Code of an upload listener's 405.
pub const WRONG_METHOD: &str = "upload-method";
/// What to look at when an answer [is strange](Answer::is_strange), for logs and messages.
pub const STRANGE_HINT: &str = "is this the address of an upload listener?";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Guid;
    use crate::model::package::ReceiptState;

    fn status(status: u16, receipt: Option<Receipt>) -> Answer {
        Answer::Status { status, receipt, retry_after_ms: None, code: String::new(), is_page: false }
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
        assert_eq!(rows, 26);
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
    fn only_an_upload_listener_refuses_a_package_for_good() {
        let answer = |status, code: &str, is_page| Answer::Status {
            status,
            receipt: None,
            retry_after_ms: None,
            code: code.into(),
            is_page,
        };
        let kept = Verdict::Later { retry_after_ms: None, broken: true };
        let check = |answer: Answer, wanted: Verdict, is_strange: bool| {
            assert_eq!(
                (verdict(&answer, Digest::of(b"x"), 1), answer.is_strange()),
                (wanted, is_strange),
                "{answer:?}"
            );
        };
        check(answer(404, UNKNOWN_KIND, false), Verdict::Refused, false);
        check(answer(405, WRONG_METHOD, false), Verdict::Refused, false);
        // The operator listener, any web server, a redirect to a login, the page of a proxy or of a TLS port.
        for (status, code, is_page) in [
            (404, "not-found", false),
            (404, "", true),
            (405, "method", false),
            (405, "", false),
            (302, "", false),
            (307, "", true),
            (200, "", true),
            (400, "", true),
            (403, "", true),
            (413, "", true),
        ] {
            check(answer(status, code, is_page), kept, true);
        }
        // Other makes say it by the status alone.
        for status in [400, 411, 413, 414, 415, 422, 431] {
            check(answer(status, "", false), Verdict::Refused, false);
        }
        check(answer(503, "", true), Verdict::Later { retry_after_ms: None, broken: false }, false);
        check(answer(429, "", true), Verdict::Later { retry_after_ms: None, broken: false }, false);
    }

    #[test]
    fn bytes_changed_on_the_way_are_sent_again() {
        let code = DIGEST_MISMATCH.to_string();
        let answer = Answer::Status { status: 422, receipt: None, retry_after_ms: None, code, is_page: false };
        assert_eq!(verdict(&answer, Digest::of(b"x"), 1), Verdict::Later { retry_after_ms: None, broken: true });
    }

    #[test]
    fn a_receivers_wish_is_honoured_within_a_second_and_an_hour() {
        for (wish, kept) in [(0, SECOND_MS), (5_000, 5_000), (i64::MAX, HOUR_MS), (-1, SECOND_MS)] {
            let mut answer = status(503, None);
            if let Answer::Status { retry_after_ms, .. } = &mut answer {
                *retry_after_ms = Some(wish);
            }
            let wanted = Verdict::Later { retry_after_ms: Some(kept), broken: false };
            assert_eq!(verdict(&answer, Digest::of(b"x"), 1), wanted);
        }
    }
}
