//! `GET /settings`, `GET /settings/{id}` and `PUT /settings/{id}`: what an operator sets for agents and beacons, and for the
//! times of tasks.

use std::net::IpAddr;

use actix_web::http::header::HOST;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use muster::roles::server::SettingName;
use serde_json::{Map, Value, json};

use super::body::Sent;
use super::problem::{Problem, shorten};
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::policy::PolicyError;
use crate::server::schedules::{SetError, TASK_SCHEDULES};

/// Most bytes of one setting.
pub(super) const SETTING_BYTES_MAX: usize = 4 << 20;

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    let settings = api.policy.settings().map_err(unreadable)?;
    let all = SettingName::ALL.map(|name| (name.as_str().to_owned(), settings.get(name)));
    let schedules = (TASK_SCHEDULES.to_owned(), api.schedules.set_ones().map_err(unreadable)?.value());
    Ok(Answer::Json(Value::Object(Map::from_iter(all.into_iter().chain([schedules])))))
}

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    if question.id == TASK_SCHEDULES {
        return Ok(Answer::Json(api.schedules.set_ones().map_err(unreadable)?.value()));
    }
    let name = named(&question.id)?;
    Ok(Answer::Json(api.policy.settings().map_err(unreadable)?.get(name)))
}

pub(super) async fn put(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    Sent(body): Sent,
) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let value = || -> Result<Value, Problem> {
        serde_json::from_slice(&body).map_err(|error| Problem::wrong("json", format!("the body is no JSON: {error}")))
    };
    if *id == TASK_SCHEDULES {
        return put_schedules(&api, &value()?).await;
    }
    let (name, value) = (named(&id)?, value()?);
    match api.policy.set(name, value).await {
        Ok((value, revision)) => {
            Ok(HttpResponse::Ok().json(json!({ "value": value, "policy_revision": revision.to_string() })))
        }
        Err(error @ PolicyError::Setting(_)) => {
            Err(Problem::wrong("setting", format!("`{}` is not taken: {}", name.as_str(), Chain(&error))))
        }
        Err(error @ (PolicyError::Turn(_) | PolicyError::Stored(..) | PolicyError::Work(_))) => Err(unreadable(error)),
    }
}

/// Sets the times of tasks: no part of any policy.
async fn put_schedules(api: &Api, value: &Value) -> Result<HttpResponse, Problem> {
    match api.schedules.set(value, api.server.get()).await {
        Ok(value) => Ok(HttpResponse::Ok().json(json!({ "value": value, "policy_revision": null }))),
        Err(SetError::Wrong(error)) => {
            Err(Problem::wrong("setting", format!("`{TASK_SCHEDULES}` is not taken: {}", Chain(&error))))
        }
        Err(SetError::Turn(error)) => Err(unreadable(error)),
    }
}

/// A page of elsewhere whose name was made to mean this host could else change what a fleet does.
pub(super) fn check_address(request: &HttpRequest) -> Result<(), Problem> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let why = "what changes something is asked for under the listener's address, not under a name";
    let Some(host) = host.filter(|host| is_address(host)) else { return Err(Problem::forbidden(why)) };
    // Nor may a page from elsewhere have a browser send what needs no leave of the listener.
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let is_own_page = text("origin").is_none_or(|origin| {
        let authority = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    let is_own_site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let foreign = "what changes something is not asked for by a page from elsewhere";
    if is_own_page && is_own_site { Ok(()) } else { Err(Problem::forbidden(foreign)) }
}

/// Whether a `Host` is an address or this host itself.
pub(super) fn is_address(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    bare == "localhost" || bare.parse::<IpAddr>().is_ok()
}

fn named(id: &str) -> Result<SettingName, Problem> {
    let names = || format!("{}, {TASK_SCHEDULES}", SettingName::ALL.map(SettingName::as_str).join(", "));
    let unknown = || Problem::missing(format!("there is no setting `{}`: there are {}", shorten(id), names()));
    SettingName::of(id).ok_or_else(unknown)
}

fn unreadable(error: impl std::error::Error) -> Problem {
    Problem::internal("settings", Chain(&error).to_string())
}
