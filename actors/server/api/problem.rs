//! Errors as every answer of this listener shows them.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::errors::Chain;
use crate::server::fleet::FleetError;
use crate::store::StoreError;

/// Why a question has no answer: `{"error":{"code","message","detail"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Value,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Problem {
        Problem { status, code, message: message.into(), detail: Value::Null }
    }

    /// 400: the question is wrong, and how it would be right.
    pub fn wrong(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404: there is no such thing.
    pub fn missing(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// 403: not in this way.
    pub fn forbidden(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 405: this listener is only asked, but for settings.
    pub fn method(method: &str) -> Problem {
        let method = shorten(method);
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            format!("{method} is not allowed here: use GET, or what /api/openapi.json names for this address"),
        )
    }

    /// 409: not now.
    pub fn busy(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "busy", message)
    }

    /// 413: more than is taken.
    pub fn too_large(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    /// 503: not now, and perhaps soon.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500: the server cannot read what it has.
    pub fn internal(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
    }

    /// Whether there is no such thing.
    pub fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The same, with something for programs.
    pub fn with_detail(self, detail: Value) -> Problem {
        Problem { detail, ..self }
    }
}

/// The beginning of what somebody sent, for messages; control characters are escaped.
pub fn shorten(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            answer.insert_header((actix_web::http::header::ALLOW, "GET"));
        }
        answer.json(json!({ "error": { "code": self.code, "message": self.message, "detail": self.detail } }))
    }
}

impl From<FleetError> for Problem {
    fn from(error: FleetError) -> Problem {
        Problem::internal("store", Chain(&error).to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Problem::internal("store", Chain(&error).to_string())
    }
}
