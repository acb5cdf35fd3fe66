//! `GET /tenants` and `POST /tenants`: the tenants of the server, their groups, and the beacons that are theirs.

use std::collections::BTreeSet;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use muster::id::{Guid, TenantId};
use muster::model::task::GroupName;
use muster::model::tenants::{Registration, TenantChange};
use muster::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Sent;
use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::settings::check_address;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::counters::tenant_state;
use crate::server::server::DevicesChanged;
use crate::server::tenants::TenantError;

/// Most bytes of a question: the beacons of a large tenant.
pub(super) const BYTES_MAX: usize = 1 << 20;

const FORM: Form = Form { fields: &["tenant", "group", "beacons", "since"], parameters: &["group"] };

struct Row(TenantId, Registration);

impl Fields for Row {
    fn cell(&self, field: &str) -> Cell<'_> {
        let Row(tenant, Registration { group, beacons, since }) = self;
        match field {
            "tenant" => Cell::text(tenant.as_str()),
            "group" => Cell::text(group.as_str()),
            "beacons" => Cell::text(beacons.iter().map(Guid::to_string).collect::<Vec<_>>().join(" ")),
            "since" if *since > Timestamp::default() => Cell::Time(*since),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &FORM)?;
    let (mut window, tenants) = (Window::new(&asked), api.books.tenants.now());
    for (tenant, registration) in tenants.iter() {
        let id = tenant.as_str().as_bytes();
        window.offer(id, Row(tenant.clone(), registration.clone()), |row| row);
    }
    Ok(Answer::Json(window.page().json(|Row(tenant, registration)| item(&tenant, &registration, tenants.own()))))
}

fn item(tenant: &TenantId, Registration { group, beacons, since }: &Registration, own: &TenantId) -> Value {
    json!({
        "tenant": tenant.as_str(),
        "group": group.as_str(),
        "beacons": beacons.iter().map(Guid::to_string).collect::<Vec<String>>(),
        "own": tenant == own,
        "since": (*since > Timestamp::default()).then(|| since.to_rfc3339()),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    tenant: String,
    group: Option<String>,
    #[serde(default)]
    beacons: Vec<String>,
    #[serde(default)]
    without_beacons: Vec<String>,
}

impl Body {
    fn change(&self) -> Result<TenantChange, String> {
        let guids = |texts: &[String]| -> Result<BTreeSet<Guid>, String> {
            texts.iter().map(|text| text.parse::<Guid>().map_err(|error| error.to_string())).collect()
        };
        let group = self.group.as_deref().map(|group| group.parse::<GroupName>().map_err(|error| error.to_string()));
        Ok(TenantChange {
            tenant: self.tenant.parse().map_err(|error: muster::id::IdError| error.to_string())?,
            group: group.transpose()?,
            add: guids(&self.beacons)?,
            remove: guids(&self.without_beacons)?,
        })
    }
}

pub(super) async fn post(api: Data<Api>, request: HttpRequest, Sent(body): Sent) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let like = r#"the body has to be like {"tenant": "acme", "group": "emea", "beacons": ["5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11"]}"#;
    let body: Body =
        serde_json::from_slice(&body).map_err(|error| Problem::wrong("tenant", format!("{like}: {error}")))?;
    let change = body.change().map_err(|why| Problem::wrong("tenant", why))?;
    let tenant = change.tenant.clone();
    let changed = api.books.tenants.change(&api.books, change, api.clock.now()).await;
    let (registration, is_new) = changed.map_err(|error| match error {
        TenantError::Refused(why) => Problem::wrong("tenant", why.to_string()),
        TenantError::Turn(error) => Problem::internal("books", Chain(&error).to_string()),
    })?;
    if is_new && let Some(server) = api.server.get() {
        // It has a plan from now on.
        let (facts, of) = (api.books.facts.clone(), tenant.clone());
        let state = tokio::task::spawn_blocking(move || tenant_state(&facts, &of).unwrap_or_default()).await;
        let _ = server.send(DevicesChanged(tenant.clone(), state.unwrap_or_default())).await;
    }
    let item = item(&tenant, &registration, api.books.tenants.now().own());
    Ok(if is_new { HttpResponse::Created().json(item) } else { HttpResponse::Ok().json(item) })
}
