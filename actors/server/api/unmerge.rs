//! `POST /devices/{id}/unmerge`: takes records out of a device, and keeps them apart.

use std::collections::BTreeSet;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::body::Sent;
use super::problem::Problem;
use super::settings::check_address;
use super::{Api, Question, device};
use crate::errors::Chain;
use crate::server::server::DevicesChanged;
use crate::server::unmerge::{TakenOut, UnmergeError, take_out};

/// Most bytes of a question.
pub(super) const BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    records: Vec<String>,
}

pub(super) async fn post(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    Sent(body): Sent,
) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    let device = device::id(&Question { id: id.into_inner(), query: String::new() })?;
    let wrong = |why: String| Problem::wrong("records", why);
    let Body { records } = serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("the body has to be like {{\"records\": [\"12\"]}}: {error}")))?;
    let number = |text: &String| {
        text.parse().map_err(|_| wrong(format!("`{}` is no number of a record", super::problem::shorten(text))))
    };
    let records: BTreeSet<u64> = records.iter().map(number).collect::<Result<_, Problem>>()?;
    match take_out(&api.books, &api.rules, &api.clock, device, records).await {
        Ok(TakenOut { device, pairs, state }) => {
            if let Some(server) = api.server.get() {
                let _ = server.send(DevicesChanged(api.books.tenant.clone(), state)).await;
            }
            Ok(HttpResponse::Ok().json(json!({ "device": device.to_string(), "pairs": pairs })))
        }
        Err(UnmergeError::NoDevice) => Err(device::missing()),
        Err(UnmergeError::Fault(fault)) => Err(wrong(fault.to_string())),
        Err(UnmergeError::Turn(error)) => Err(Problem::internal("books", Chain(&error).to_string())),
    }
}
