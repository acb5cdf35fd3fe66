//! The operator listener: answers as JSON below `/api/v1`, and the page.
//!
//! Everything here reads but the settings, tenants, tasks, unmerges, fillers and tables of licences, and nothing is decided. An answer is made on
//! a thread for calls that may wait for the disk, and at most `QUESTIONS_MAX` are made at once. Source: interfaces, operator API.

mod body;
mod listing;
mod problem;
mod remembered;
mod shared;

pub mod device;
mod devices;
mod explain;
mod history;
mod unmerge;

mod dry_run;
mod fillers;
mod imports;

mod ledger;
mod missing;
mod packages;

mod beacons;
mod exports;

mod business;

mod changes;
mod licences;
mod licensing;
mod recognition;
mod reconciles;
mod software;

mod settings;

mod pairs;
mod tasks;

mod tenants;

mod health;
mod metrics;
mod openapi;
mod pages;

use std::ops::{ControlFlow, Deref};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use actix_web::http::header::{self, ContentDisposition, DispositionParam, DispositionType};
use actix_web::web::{self, Data, PathConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use bytes::Bytes;
use muster::formats::matcher_xml::FILE_BYTES_MAX;
use muster::id::TenantId;
use muster::model::package::PackageKey;
use serde_json::Value;

use self::body::taking;
use self::listing::take_parameter;
use self::problem::Problem;
use self::shared::Kept;
pub use self::shared::{Load, Shared};
use super::batch::BatchOverview;
use super::books::Books;
use crate::log::Held;

/// Tenants whose answers are remembered at once.
const KEPT_MAX: usize = 64;

/// What answers are made of, for one tenant. Clones share everything.
#[derive(Clone)]
pub struct Api {
    /// The tenant's facts and their view.
    pub books: Books,
    /// What is the same for all tenants.
    shared: Arc<Shared>,
    kept: Arc<Kept>,
}

impl Deref for Api {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Api {
    /// Answers for the server's own tenant, whose books these are.
    pub fn new(books: Books, shared: Shared) -> Api {
        let kept = Arc::<Kept>::default();
        shared.load.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(books.tenant.clone(), kept.clone());
        Api { books, shared: Arc::new(shared), kept }
    }

    /// The same for another tenant.
    fn of(&self, tenant: &TenantId) -> Api {
        let mut all = self.load.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT_MAX && !all.contains_key(tenant) {
            // Any other one.
            let other = all.keys().find(|known| *known != self.books.tenants.now().own()).cloned();
            other.and_then(|other| all.remove(&other));
        }
        let kept = all.entry(tenant.clone()).or_default().clone();
        Api { books: self.books.of(tenant), shared: self.shared.clone(), kept }
    }

    /// The same for the tenant that `query` names, and the rest of the query.
    fn of_query(&self, query: &str) -> Result<(Api, String), Problem> {
        let (name, rest) = take_parameter(query, "tenant")?;
        let Some(name) = name else { return Ok((self.clone(), rest)) };
        let known = name.parse::<TenantId>().ok().filter(|tenant| self.books.tenants.now().get(tenant).is_some());
        let tenant = known.ok_or_else(|| {
            let name = problem::shorten(name);
            Problem::wrong("tenant", format!("there is no tenant `{name}`, see `GET /api/v1/tenants`"))
        })?;
        Ok((self.of(&tenant), rest))
    }

    /// The same for the tenant that a request with a body names.
    fn of_request(&self, request: &HttpRequest) -> Result<Api, Problem> {
        let (api, rest) = self.of_query(request.query_string())?;
        if rest.is_empty() { Ok(api) } else { Err(Problem::wrong("query", "the only parameter here is `tenant`")) }
    }

    /// Whether the answer is for the server's own tenant.
    fn is_own(&self) -> bool {
        self.books.tenants.now().own() == &self.books.tenant
    }

    /// What is put behind the links of a page, and behind those that have a parameter.
    fn link_ends(&self) -> (String, String) {
        match self.is_own() {
            true => (String::new(), String::new()),
            false => (format!("?tenant={}", self.books.tenant), format!("&tenant={}", self.books.tenant)),
        }
    }

    /// Calls `each` for every package of the tenant without a final state, in order of custody, until it breaks.
    fn each_unsettled(&self, mut each: impl FnMut(Held, PackageKey) -> ControlFlow<()>) {
        let own = |held, tenant, key| match tenant == self.books.tenant {
            true => each(held, key),
            false => ControlFlow::Continue(()),
        };
        self.load.settled_to.each_unsettled(&self.logs.package_index, &self.books, own);
    }

    /// How many packages of the tenant have no final state.
    pub(crate) fn in_custody(&self) -> usize {
        if self.books.tenants.now().count() == 1 {
            return self.unsettled.load(Ordering::Relaxed);
        }
        let mut count = 0;
        self.each_unsettled(|_, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        count
    }

    /// The batch tasks at a glance.
    fn overview(&self) -> BatchOverview {
        self.overview.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Raised by every commit: what was made of the facts before is perhaps not what they say now.
    fn facts_version(&self) -> u64 {
        self.logs.facts.stats().groups.load(Ordering::Acquire)
    }
}

/// What was asked.
#[derive(Debug)]
struct Question {
    /// The part of the path that names a thing; empty where there is none.
    id: String,
    /// The parameters, encoded.
    query: String,
}

impl Question {
    /// Refuses parameters where there are none, so that one is never silently without effect.
    fn takes_no_parameters(&self) -> Result<(), Problem> {
        if self.query.is_empty() { Ok(()) } else { Err(Problem::wrong("query", "this address takes no parameters")) }
    }
}

/// What is answered.
#[derive(Debug)]
enum Answer {
    Json(Value),
    Document(&'static str),
    Metrics(String),
    Page(String),
    /// A file to be kept, never one to be shown: whoever sent it chose what is in it.
    Bytes {
        bytes: Bytes,
        name: String,
    },
}

type Handler = fn(&Api, &Question) -> Result<Answer, Problem>;

/// Every address of this listener beside `/health`, and who answers there.
const ROUTES: [(&str, Handler); 42] = [
    ("/", pages::home),
    ("/devices/{id}", pages::device),
    ("/licenses/{id}", pages::licence),
    ("/reconciles", pages::runs),
    ("/reconciles/{id}", pages::run),
    ("/reconciles/{id}/changes", pages::changes),
    ("/api/v1/devices", devices::list),
    ("/api/v1/devices/{id}", device::get),
    ("/api/v1/devices/{id}/explain", explain::list),
    ("/api/v1/devices/{id}/history", history::list),
    ("/api/v1/packages", packages::list),
    ("/api/v1/packages/{digest}", packages::get),
    ("/api/v1/packages/{digest}/body", packages::body),
    ("/api/v1/ledger/summary", ledger::summary),
    ("/api/v1/beacons", beacons::list),
    ("/api/v1/software", software::list),
    ("/api/v1/applications", software::applications),
    ("/api/v1/licenses", licences::list),
    ("/api/v1/licenses/{id}", licences::get),
    ("/api/v1/licenses/{id}/consumption", licences::consumption),
    ("/api/v1/licenses/{id}/explain", licences::explain),
    ("/api/v1/devices/{id}/licenses", reconciles::of_device),
    ("/api/v1/licensing", licensing::list),
    ("/api/v1/licensing/{id}", licensing::get),
    ("/api/v1/reconciles", reconciles::list),
    ("/api/v1/reconciles/{id}", reconciles::get),
    ("/api/v1/reconciles/{id}/table", reconciles::table),
    ("/api/v1/reconciles/{id}/changes", changes::between),
    ("/api/v1/reconciles/{id}/savings", changes::saved),
    ("/api/v1/contracts", business::contracts),
    ("/api/v1/purchases", business::purchases),
    ("/api/v1/entitlements", business::entitlements),
    ("/api/v1/exports", exports::list),
    ("/api/v1/fillers", fillers::list),
    ("/api/v1/imports", imports::list),
    ("/api/v1/tenants", tenants::list),
    ("/api/v1/tasks", tasks::list),
    ("/api/v1/tasks/{id}", tasks::get),
    ("/api/v1/settings", settings::list),
    ("/api/v1/settings/{id}", settings::get),
    ("/api/openapi.json", openapi::get),
    ("/metrics", metrics::get),
];

/// Addresses that answer for all tenants at once.
const OF_ALL: [&str; 8] = [
    "/api/v1/beacons",
    "/api/v1/tenants",
    "/api/v1/tasks",
    "/api/v1/tasks/{id}",
    "/api/v1/settings",
    "/api/v1/settings/{id}",
    "/api/openapi.json",
    "/metrics",
];

/// What is done with tasks: pause, resume, cancel, and the question why one waits.
const TASKS: [&str; 4] =
    ["/api/v1/tasks/pause", "/api/v1/tasks/resume", "/api/v1/tasks/{id}/cancel", "/api/v1/tasks/{id}/why"];
/// What changes a device.
const UNMERGE: &str = "/api/v1/devices/{id}/unmerge";
/// What asks with a file of edits.
const WHAT_IF: &str = "/api/v1/reconciles/what-if";
/// What asks with a file of Matchers.
const DRY_RUN: &str = "/api/v1/matching/dry-run";

/// The routes of the operator listener.
pub fn routes(config: &mut ServiceConfig, api: Arc<Api>) {
    let path_errors = PathConfig::default()
        .error_handler(|_, _| Problem::missing("the address names something that cannot be").into());
    config.app_data(Data::from(api)).app_data(path_errors);
    // Before `/tasks/{id}`, whose ids are GUIDs.
    let routes = [web::post().to(tasks::pause), web::post().to(tasks::resume), web::post().to(tasks::cancel)];
    for (path, route) in TASKS.into_iter().zip(routes.into_iter().chain([web::get().to(tasks::why)])) {
        config.service(web::resource(path).route(route).default_service(web::to(wrong_method)));
    }
    // Before `/reconciles/{id}`, whose ids are numbers.
    let trying = taking(web::resource(WHAT_IF), changes::BYTES_MAX).route(web::post().to(changes::post));
    config.service(trying.default_service(web::to(wrong_method)));
    for (path, handler) in ROUTES {
        let answering = web::get().to(move |api: Data<Api>, request: HttpRequest| answer(api, request, path, handler));
        let mut resource = web::resource(path).route(answering);
        if path == "/api/v1/settings/{id}" {
            resource = taking(resource, settings::SETTING_BYTES_MAX).route(web::put().to(settings::put));
        }
        if path == "/api/v1/tasks" {
            resource = taking(resource, tasks::BYTES_MAX).route(web::post().to(tasks::post));
        }
        if path == "/api/v1/licensing" {
            resource = taking(resource, licensing::BYTES_MAX).route(web::post().to(licensing::post));
        }
        if path == "/api/v1/licensing/{id}" {
            resource = taking(resource, licensing::BYTES_MAX)
                .route(web::put().to(licensing::put))
                .route(web::delete().to(licensing::delete))
                .route(web::patch().to(licensing::patch));
        }
        if path == "/api/v1/tenants" {
            resource = taking(resource, tenants::BYTES_MAX).route(web::post().to(tenants::post));
        }
        if path == "/api/v1/fillers" {
            resource = taking(resource, fillers::BYTES_MAX).route(web::post().to(fillers::post));
        }
        config.service(resource.default_service(web::to(wrong_method)));
    }
    let trying = taking(web::resource(DRY_RUN), FILE_BYTES_MAX).route(web::post().to(dry_run::post));
    config.service(trying.default_service(web::to(wrong_method)));
    let unmerging = taking(web::resource(UNMERGE), unmerge::BYTES_MAX).route(web::post().to(unmerge::post));
    config.service(unmerging.default_service(web::to(wrong_method)));
    let health = web::resource("/health").route(web::get().to(health::get));
    config.service(health.default_service(web::to(wrong_method)));
}

/// On loopback only people on this host ask, by a number or as `localhost`. A page from elsewhere that has its own name lead
/// here does it by that name, and must read and set nothing.
fn check_host(request: &HttpRequest) -> Result<(), Problem> {
    let Some(host) = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()) else { return Ok(()) };
    if !request.app_config().local_addr().ip().is_loopback() {
        return Ok(());
    }
    if settings::is_address(host) {
        return Ok(());
    }
    let host = problem::shorten(host);
    Err(Problem::forbidden(format!("`{host}` is no name of this listener: ask it by its number, or as localhost")))
}

async fn answer(api: Data<Api>, request: HttpRequest, path: &str, handler: Handler) -> Result<HttpResponse, Problem> {
    check_host(&request)?;
    let id = request.match_info().iter().next().map(|(_, id)| decoded(id)).unwrap_or_default();
    let (api, query) = match OF_ALL.contains(&path) {
        true => (Api::clone(&api), request.query_string().to_owned()),
        false => api.of_query(request.query_string())?,
    };
    let question = Question { id, query };
    let permit = api.load.questions.clone().acquire_owned().await;
    let answered = tokio::task::spawn_blocking(move || {
        // Held as long as the work lasts: whoever asked may be gone before.
        let _permit = permit;
        handler(&api, &question)
    });
    let answered = answered.await;
    let answered = answered.map_err(|_| Problem::internal("internal", "the question was not answered"))?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-content-type-options", "nosniff")).insert_header(("cache-control", "no-store"));
    Ok(match answered? {
        Answer::Json(value) => response.json(value),
        Answer::Document(text) => response.content_type("application/json").body(text),
        Answer::Metrics(text) => response.content_type("text/plain; version=0.0.4; charset=utf-8").body(text),
        Answer::Page(text) => response
            .content_type("text/html; charset=utf-8")
            .insert_header(("content-security-policy", pages::SECURITY_POLICY))
            .insert_header(("referrer-policy", "no-referrer"))
            .body(text),
        Answer::Bytes { bytes, name } => {
            let disposition = ContentDisposition {
                disposition: DispositionType::Attachment,
                parameters: vec![DispositionParam::Filename(plain(&name))],
            };
            response.content_type("application/octet-stream").insert_header(disposition).body(bytes)
        }
    })
}

/// A file name that every file system and header takes.
fn plain(name: &str) -> String {
    let is_plain = |char: &char| char.is_ascii_alphanumeric() || " ._-()@".contains(*char);
    name.chars().map(|char| if is_plain(&char) { char } else { '_' }).collect()
}

/// The framework leaves these three encoded in a path.
fn decoded(segment: &str) -> String {
    let segment = segment.replace("%2F", "/").replace("%2f", "/").replace("%2B", "+").replace("%2b", "+");
    segment.replace("%25", "%")
}

async fn wrong_method(request: HttpRequest) -> HttpResponse {
    Problem::method(request.method().as_str()).error_response()
}

#[cfg(test)]
pub(crate) mod tests;
