//! `PUT /ManageSoftRL/{Kind}/{name}` and `GET /health`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::{Method, header};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use muster::formats::wire::{self, Refusal};
use muster::id::{Digest, Guid, TenantId};
use muster::model::fact::FactKey;
use muster::model::package::{Kind, PackageKey, Receipt, ReceiptState};
use muster::model::stored;
use muster::upload::{admission, answer};
use tracing::debug;

use super::answer::refuse;
use super::body;
use super::gate::{Connection, Gate};
use crate::clock::SharedClock;
use crate::log::{FactIndex, PackageIndex, PackageRequest, PackageWriter, Taken, WriteError};
use crate::node::Logs;

/// Told after a package was newly taken into custody. A hint: the node also looks by itself.
pub type Arrived = Arc<dyn Fn() + Send + Sync>;

/// Gives up what a node keeps of a package whose bytes there are worth nothing, for the same package that comes again. Says
/// whether it did: else the final state stands.
pub type GiveUp = Box<dyn Fn(PackageKey) -> Pin<Box<dyn Future<Output = Result<bool, WriteError>>>> + Send + Sync>;

/// Says whose an upload is by the beacon that it came by first; never by what a file says of itself.
pub type Whose = Box<dyn Fn(Option<Guid>) -> TenantId + Send + Sync>;

/// What the upload handlers of a node share.
pub struct Intake {
    /// This node.
    pub node: Guid,
    /// Whose an upload is that came by this beacon first, or by none.
    pub whose: Whose,
    /// Takes bodies.
    pub packages: PackageWriter,
    /// The ledger: a package that has a final state here is answered `settled`.
    pub facts: FactIndex,
    /// For a node whose final states are not all final.
    pub give_up: Option<GiveUp>,
    /// Whether packages go on from here, so that this is one more hop.
    pub hands_on: bool,
    /// Limits.
    pub gate: Arc<Gate>,
    /// The present.
    pub clock: SharedClock,
    /// Who wants to hear of new packages.
    pub arrived: Arrived,
    /// What is held.
    pub held: PackageIndex,
    /// Packages that were held at the start or taken since.
    pub taken: AtomicU64,
    /// Deliveries of packages that were known.
    pub duplicates: AtomicU64,
    /// Uploads that were not taken, for good or for now.
    pub refusals: AtomicU64,
}

/// The routes of the upload listener, without those that differ between roles.
pub fn routes(config: &mut ServiceConfig, intake: Arc<Intake>) {
    config
        .app_data(Data::from(intake))
        // A plain prefix: a pattern would be matched for every upload, and the handler parts the path itself.
        .service(web::scope("/ManageSoftRL").default_service(web::to(upload)))
        .service(web::resource("/inventory-beacons/{guid}/intermediate/{name}").to(intermediate))
        .service(web::resource("/health").route(web::get().to(health)));
}

async fn upload(request: HttpRequest, payload: Payload, intake: Data<Intake>) -> HttpResponse {
    let path = request.uri().path().strip_prefix("/ManageSoftRL/").unwrap_or_default();
    let (folder, name) = path.split_once('/').unwrap_or((path, ""));
    answer_to(take(&request, payload, &intake, folder, name, None).await, &intake)
}

/// Third-party inventory and business files, which the beacon that the address names hands over.
async fn intermediate(request: HttpRequest, payload: Payload, intake: Data<Intake>) -> HttpResponse {
    // The last part of the path, still percent-encoded.
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let guid = request.match_info().get("guid").unwrap_or_default();
    let taken = match guid.parse::<Guid>() {
        Err(_) => Err(final_refusal(400, "guid", "the address names no GUID")),
        // It would go on as this beacon's own, whoever's it is.
        Ok(beacon)
            if intake.hands_on && beacon != intake.node && !request.headers().contains_key(wire::header::VIA) =>
        {
            let message = "this is another beacon than the address names: hand the file to that one, or to the server";
            Err(final_refusal(409, "beacon", message))
        }
        Ok(beacon) => take(&request, payload, &intake, Kind::IntermediateData.as_str(), name, Some(beacon)).await,
    };
    answer_to(taken, &intake)
}

fn answer_to(taken: Result<Receipt, Refused>, intake: &Intake) -> HttpResponse {
    match taken {
        Ok(receipt) => HttpResponse::Ok().json(receipt),
        Err((refusal, retry_after_secs)) => {
            intake.refusals.fetch_add(1, Ordering::Relaxed);
            debug!(status = refusal.status, code = refusal.code, "upload refused");
            refuse(&refusal, retry_after_secs)
        }
    }
}

/// A refusal and after how many seconds to come again.
type Refused = (Refusal, Option<u64>);

fn final_refusal(status: u16, code: &'static str, message: impl Into<String>) -> Refused {
    (Refusal::new(status, code, message), None)
}

fn changed_on_the_way() -> Refused {
    let message = "the body's SHA-256 is not the one its header names: it was changed on the way, send it again";
    final_refusal(422, answer::DIGEST_MISMATCH, message)
}

async fn take(
    request: &HttpRequest,
    payload: Payload,
    intake: &Intake,
    folder: &str,
    name: &str,
    beacon: Option<Guid>,
) -> Result<Receipt, Refused> {
    let length = check_head(request)?;
    let plain = |refusal| (refusal, None);
    let name = wire::upload_name(folder, name).map_err(plain)?;
    let head = wire::upload_head(name.folder, intake.node, |header| text_header(request, header)).map_err(plain)?;
    if length == 0 {
        // What has a digest was not empty when it was sent.
        let was_empty = head.digest.is_none_or(|digest| digest == Digest::of(b""));
        return Err(if was_empty { final_refusal(400, "empty", "the body is empty") } else { changed_on_the_way() });
    }
    if intake.hands_on && head.via.len() >= wire::HOPS_MAX {
        let message =
            format!("{} hops, and this node would be one more than the {} allowed", head.via.len(), wire::HOPS_MAX);
        return Err(final_refusal(508, "loop", message));
    }
    if head.via.is_empty() {
        let origin = admission::origin(&head, &name, intake.node);
        let admitted = intake.gate.admit(intake.clock.now(), &origin, length);
        admitted.map_err(|(refusal, secs)| (refusal, Some(secs)))?;
    }
    intake.has_room()?;
    let mut room = intake.gate.body().map_err(|refusal| (refusal, intake.come_again()))?;
    let read = body::read(payload, length, &name, head.digest, intake.gate.times(), &mut room).await;
    let (bytes, digest) = read.map_err(|refusal| {
        let retry = if refusal.status == 503 { intake.come_again() } else { None };
        (refusal, retry)
    })?;
    if head.digest.is_some_and(|wanted| wanted != digest) {
        return Err(changed_on_the_way());
    }
    let tenant = (intake.whose)(head.via.first().map(|hop| hop.node).or(beacon));
    let envelope = admission::envelope(head, name, length, digest, intake.clock.now(), intake.node);
    let key = envelope.key();
    let receipt = |state| Receipt { digest, size: length, node: intake.node, state };
    if intake.facts.contains(&FactKey::Package(tenant.clone(), key.clone()).encode())
        && !intake.gives_up(&key).await.map_err(|error| intake.not_written(error))?
    {
        intake.duplicates.fetch_add(1, Ordering::Relaxed);
        return Ok(receipt(ReceiptState::Settled));
    }
    let (key, envelope) = (Bytes::from(key.encode(&tenant)), Bytes::from(stored::pack(&envelope)));
    match intake.packages.ask(PackageRequest::Hold { key, envelope, body: bytes }).await {
        Ok(Taken::New) => {
            intake.taken.fetch_add(1, Ordering::Relaxed);
            intake.gate.served();
            (intake.arrived)();
            Ok(receipt(ReceiptState::Held))
        }
        Ok(Taken::Known) => {
            intake.duplicates.fetch_add(1, Ordering::Relaxed);
            Ok(receipt(ReceiptState::Duplicate))
        }
        Err(error) => Err(intake.not_written(error)),
    }
}

impl Intake {
    /// That of the node with these logs.
    pub fn new(logs: &Logs, whose: Whose, gate: Arc<Gate>, clock: SharedClock, arrived: Arrived) -> Intake {
        Intake {
            node: logs.node,
            whose,
            packages: logs.packages.clone(),
            facts: logs.fact_index.clone(),
            give_up: None,
            hands_on: false,
            gate,
            clock,
            arrived,
            held: logs.package_index.clone(),
            taken: AtomicU64::new(logs.package_index.totals().0 as u64),
            duplicates: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    fn has_room(&self) -> Result<(), Refused> {
        let held = self.held.totals();
        let released = self.taken.load(Ordering::Relaxed).saturating_sub(held.0 as u64);
        self.gate.room(self.clock.now(), held, released)
    }

    fn come_again(&self) -> Option<u64> {
        Some(self.gate.come_again_secs(self.clock.now()))
    }

    fn not_written(&self, error: WriteError) -> Refused {
        match error {
            WriteError::Full => final_refusal(507, "full", "this node's disk is full: try another one"),
            WriteError::Busy => (Refusal::new(503, "busy", "this node's log is busy"), self.come_again()),
            WriteError::Failed(_) => (Refusal::new(503, "log", error.to_string()), Some(10)),
        }
    }

    async fn gives_up(&self, key: &PackageKey) -> Result<bool, WriteError> {
        match &self.give_up {
            Some(give_up) => give_up(key.clone()).await,
            None => Ok(false),
        }
    }
}

/// Method, sizes and the headers that change what a body means; the declared length. Source: delivery contract, 7.
fn check_head(request: &HttpRequest) -> Result<u64, Refused> {
    if request.conn_data::<Connection>().is_some_and(|connection| connection.over) {
        return Err((Refusal::new(429, "connections", "too many connections from this address"), Some(10)));
    }
    if request.method() != Method::PUT {
        return Err(final_refusal(
            405,
            answer::WRONG_METHOD,
            format!("{} is not allowed here: uploads use PUT", request.method()),
        ));
    }
    let headers = request.headers();
    let url_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if url_bytes > wire::URL_BYTES_MAX {
        return Err(final_refusal(414, "url", format!("the URL has more than {} bytes", wire::URL_BYTES_MAX)));
    }
    let head_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > wire::HEADERS_MAX || head_bytes + url_bytes > wire::HEAD_BYTES_MAX {
        let message = format!("a head has at most {} headers and {} bytes", wire::HEADERS_MAX, wire::HEAD_BYTES_MAX);
        return Err(final_refusal(431, "head", message));
    }
    let is_identity = |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).all(is_identity) {
        return Err(final_refusal(415, "content-encoding", "a package is sent as it is: no Content-Encoding"));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(final_refusal(400, "content-range", "a package is sent whole: no Content-Range"));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let Some(length) = length else {
        return Err(final_refusal(411, "length", "an upload needs a Content-Length"));
    };
    if length > wire::BODY_BYTES_MAX {
        let message = format!("{length} bytes, at most {} are taken", wire::BODY_BYTES_MAX);
        return Err(final_refusal(413, "size", message));
    }
    Ok(length)
}

fn text_header<'a>(request: &'a HttpRequest, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let mut values = request.headers().get_all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::new(400, "header", format!("header {name} is given twice")));
    }
    let text = first.map(|value| value.to_str()).transpose();
    text.map_err(|_| Refusal::new(400, "header", format!("header {name} is not plain text")))
}

/// 200 without detail when the node can take custody.
async fn health(intake: Data<Intake>) -> HttpResponse {
    let probe = intake.packages.ask(PackageRequest::Probe);
    match tokio::time::timeout(std::time::Duration::from_secs(2), probe).await {
        Ok(Ok(_)) => HttpResponse::Ok().finish(),
        _ => HttpResponse::ServiceUnavailable().finish(),
    }
}
