//! `GET /inventory-beacons/{guid}/policy` for beacons and `GET /ManageSoftDL/{folder}/{name}` for agents.

use std::sync::{Arc, RwLock};

use actix_web::http::header::{ETAG, IF_NONE_MATCH};
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use muster::formats::wire::Refusal;
use muster::id::Digest;
use muster::policy::PolicyBundle;

use crate::intake::refuse;

/// The file of every agent that has none of its own.
const DEFAULT_POLICY: &str = "Policies/default.npl";

/// The bundle a node hands out; none until it was made or its parent gave one.
#[derive(Default)]
pub struct Downloads(RwLock<Option<Arc<PolicyBundle>>>);

impl Downloads {
    /// The bundle now.
    pub fn bundle(&self) -> Option<Arc<PolicyBundle>> {
        self.0.read().expect("no holder of this lock panics").clone()
    }

    /// Hands out `bundle` from now on.
    pub fn replace(&self, bundle: PolicyBundle) {
        *self.0.write().expect("no holder of this lock panics") = Some(Arc::new(bundle));
    }
}

/// The routes for downloads.
pub fn downloads(config: &mut ServiceConfig, downloads: Data<Downloads>) {
    let policy = web::resource("/inventory-beacons/{guid}/policy").app_data(downloads.clone());
    config.service(policy.route(web::get().to(bundle)));
    let file_of = web::resource("/ManageSoftDL/{folder}/{name}").app_data(downloads);
    config.service(file_of.route(web::get().to(file)).route(web::head().to(file)));
}

async fn bundle(request: HttpRequest, downloads: Data<Downloads>) -> HttpResponse {
    match downloads.bundle() {
        Some(bundle) => unless_known(&request, bundle.revision(), || HttpResponse::Ok().json(&*bundle)),
        None => later(),
    }
}

async fn file(request: HttpRequest, path: Path<(String, String)>, downloads: Data<Downloads>) -> HttpResponse {
    let (folder, name) = path.into_inner();
    let Some(bundle) = downloads.bundle() else { return later() };
    // An agent asks for the policy of its own name; one without a policy of its own gets everybody's.
    let own = bundle.file(&format!("{folder}/{name}"));
    let found = own.or_else(|| bundle.file(DEFAULT_POLICY).filter(|_| folder == "Policies" && name.ends_with(".npl")));
    match found {
        Some(text) => {
            let revision = Digest::of(text.as_bytes()).to_string();
            let full = || HttpResponse::Ok().content_type("application/xml; charset=utf-8").body(text.to_owned());
            unless_known(&request, &revision[..16], full)
        }
        None => refuse(&Refusal::new(404, "not-found", "no such file to download"), None),
    }
}

/// Nothing was given to this node yet.
fn later() -> HttpResponse {
    refuse(&Refusal::new(503, "no-policy", "this node has no policy yet"), Some(60))
}

fn unless_known(request: &HttpRequest, revision: &str, full: impl FnOnce() -> HttpResponse) -> HttpResponse {
    let tag = format!("\"{revision}\"");
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut answer = match known {
        Some(known) if known.split(',').any(|one| one.trim() == tag) => HttpResponse::NotModified().finish(),
        _ => full(),
    };
    if let Ok(value) = tag.parse() {
        answer.headers_mut().insert(ETAG, value);
    }
    answer
}
