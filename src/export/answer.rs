//! What an answer of the endpoint means for the next step.

use std::time::Duration;

use crate::formats::servicenow_xml::{Response, ReturnCode};

/// What came back of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP answer, with a response document when there was a readable one.
    Http {
        /// HTTP status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
        /// The document.
        response: Option<Response>,
    },
    /// Time out, reset, or not even a connection: whether the call arrived is unknown.
    Lost(String),
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Code 0.
    Accepted(Response),
    /// Refused for now: try again.
    Transient {
        /// Why.
        message: String,
        /// Not earlier than this.
        retry_after: Option<Duration>,
    },
    /// May or may not have been accepted: ask.
    Lost(String),
    /// The token is not good (any more).
    Denied(String),
    /// The instance cannot take an import now.
    NotReady(String),
    /// No further try can help.
    Fatal(String),
}

impl Answer {
    /// The verdict. Source: servicenow reference, section 3, table of codes; statuses without a document are \[P\]:
    /// 502 and 504 come from a gateway that lost the answer, 200 without a document from something in between.
    pub fn verdict(self) -> Verdict {
        let (status, retry_after, response) = match self {
            Answer::Lost(why) => return Verdict::Lost(why),
            Answer::Http { status, retry_after, response } => (status, retry_after, response),
        };
        let Some(response) = response else {
            let message = format!("HTTP status {status} without a response document");
            return match status {
                401 | 403 => Verdict::Denied(message),
                429 | 500 | 503 | 505..=599 => Verdict::Transient { message, retry_after },
                200..=299 | 408 | 502 | 504 => Verdict::Lost(message),
                _ => Verdict::Fatal(message),
            };
        };
        let message = |meaning: &str| match response.message.as_str() {
            "" => format!("return code {}: {meaning}", response.code.number()),
            said => format!("return code {}: {said}", response.code.number()),
        };
        match response.code {
            _ if matches!(status, 401 | 403) => Verdict::Denied(message("not authorised")),
            ReturnCode::Accepted => Verdict::Accepted(response),
            ReturnCode::Transient => Verdict::Transient { message: message("transient failure"), retry_after },
            ReturnCode::NotAuthorised => Verdict::Denied(message("not authorised")),
            ReturnCode::Busy => Verdict::NotReady(message("an import is already in progress")),
            ReturnCode::NotConfigured => {
                Verdict::NotReady(message("a Scheduled Data Import or Data Source record is missing"))
            }
            ReturnCode::SamMissing => Verdict::Fatal(message("SAM tables are selected and the SAM plugin is missing")),
            ReturnCode::Malformed => Verdict::Fatal(message("payload not well-formed or over the size limit")),
            ReturnCode::Conflict => Verdict::Fatal(message("transaction id reused with other content")),
            ReturnCode::UnknownType => Verdict::Fatal(message("unknown transaction type")),
            ReturnCode::Other(_) => Verdict::Fatal(message("unknown return code")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(answer: Answer) -> &'static str {
        match answer.verdict() {
            Verdict::Accepted(_) => "accepted",
            Verdict::Transient { .. } => "transient",
            Verdict::Lost(_) => "lost",
            Verdict::Denied(_) => "denied",
            Verdict::NotReady(_) => "not ready",
            Verdict::Fatal(_) => "fatal",
        }
    }

    #[test]
    fn only_transient_codes_are_tried_again() {
        let words = (0..=9).map(|number| {
            let response = Some(Response::of(ReturnCode::from_number(number), ""));
            word(Answer::Http { status: 200, retry_after: None, response })
        });
        let expected =
            ["accepted", "transient", "denied", "not ready", "not ready", "fatal", "fatal", "fatal", "fatal", "fatal"];
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_answer_without_a_document_is_judged_by_its_status() {
        let bare = |status| word(Answer::Http { status, retry_after: None, response: None });
        assert_eq!([429, 500, 503].map(bare), ["transient"; 3]);
        assert_eq!([200, 502, 504].map(bare), ["lost"; 3]);
        assert_eq!([401, 403].map(bare), ["denied"; 2]);
        assert_eq!([302, 400, 404, 405].map(bare), ["fatal"; 4]);
        assert_eq!(word(Answer::Lost("reset".into())), "lost");
    }
}
