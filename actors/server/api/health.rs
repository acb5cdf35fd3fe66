//! `GET /health`: 200 without detail when the server can take custody.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::Api;
use crate::log::PackageRequest;

/// A log that answers later than this is as good as none.
const PROBE_TIME: Duration = Duration::from_secs(2);

pub(super) async fn get(api: Data<Api>) -> HttpResponse {
    match tokio::time::timeout(PROBE_TIME, api.logs.packages.ask(PackageRequest::Probe)).await {
        Ok(Ok(_)) => HttpResponse::Ok().finish(),
        _ => HttpResponse::ServiceUnavailable().finish(),
    }
}
