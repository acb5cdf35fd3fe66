//! The operator listener: answers as JSON below `/api/v1`, and the page.
//!
//! Everything here reads; nothing is decided. Source: interfaces, operator API.

pub mod device;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use muster::roles::server::ImportRules;

use super::books::Books;
use super::exports::Reports;
use crate::clock::SharedClock;
use crate::hierarchy::Statuses;
use crate::intake::Intake;
use crate::node::Logs;

/// What answers are made of.
pub struct Api {
    /// Name of the server.
    pub name: String,
    /// Facts and their view.
    pub books: Books,
    /// What is held.
    pub logs: Logs,
    /// How records are matched.
    pub rules: Arc<ImportRules>,
    /// The beacons below.
    pub statuses: Arc<Statuses>,
    /// Counters of the upload listener.
    pub intake: Arc<Intake>,
    /// The last exports.
    pub reports: Reports,
    /// Packages without a final state.
    pub unsettled: Arc<AtomicUsize>,
    /// The present.
    pub clock: SharedClock,
}

/// The routes of the operator listener.
pub fn routes(config: &mut ServiceConfig, api: Arc<Api>) {
    config.app_data(Data::from(api)).service(web::resource("/api/v1/devices/{id}").route(web::get().to(device::get)));
}

/// Runs what may wait for the disk on a thread for such calls.
pub(super) async fn blocking<T: Send + 'static>(
    api: Data<Api>,
    ask: impl FnOnce(&Api) -> T + Send + 'static,
) -> Result<T, HttpResponse> {
    let asked = tokio::task::spawn_blocking(move || ask(&api)).await;
    asked.map_err(|_| problem(500, "internal", "the question was not answered"))
}

/// An error as every answer of the API shows it.
pub(super) fn problem(status: u16, code: &str, message: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).expect("a status of ours");
    let error = serde_json::json!({ "error": { "code": code, "message": message, "detail": null } });
    HttpResponse::build(status).json(error)
}
