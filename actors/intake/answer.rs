//! Answers of the upload listener as HTTP.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use muster::formats::wire::Refusal;
use serde_json::json;

/// A refusal with its stable word and a sentence; `retry_after_secs` where it makes sense to come again.
pub fn refuse(refusal: &Refusal, retry_after_secs: Option<u64>) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = HttpResponse::build(status);
    if let Some(secs) = retry_after_secs {
        answer.insert_header((header::RETRY_AFTER, secs.to_string()));
    }
    if matches!(status, StatusCode::METHOD_NOT_ALLOWED) {
        answer.insert_header((header::ALLOW, "PUT"));
    }
    // A body that is not read to its end leaves the connection in the middle of it.
    answer.force_close();
    answer.json(json!({ "error": { "code": refusal.code, "message": refusal.message, "detail": null } }))
}
