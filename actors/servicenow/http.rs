//! HTTP around the stand-in: bodies are bounded before they are read, and the tables are locked off the workers.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use muster::formats::gzip::Inflate;
use muster::formats::servicenow_xml::{Response, ReturnCode, write_response};
use tracing::{info, warn};

use super::auth::{Auth, basic};
use super::faults::Armed;
use super::imports::Received;
use super::processor::Shared;
use super::rest::{Reply, Request};
use super::store::{Store, StoreError};
use super::{import_set_api, table_api};
use crate::errors::Chain;

/// Most bytes of a segment, as sent and as unpacked: eight times the segment this project sends. [P]
pub const SEGMENT_BYTES_MAX: usize = 8 << 20;
/// Most bytes of any other body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Between the answer to a body that is not read to its end and the end of the connection.
const HANG_UP_AFTER: Duration = Duration::from_secs(2);
/// Bodies held at once; more wait.
const BODIES_MAX: usize = 8;
/// Integration endpoint of app 4.x and of app 5.x. Source: command line document.
const ENDPOINTS: [&str; 2] = ["/fnmp.do", "/api/x_fls_flexera_fnms/integration/fnmstosn"];

/// What every handler shares.
pub struct Site {
    /// The tables.
    pub shared: Arc<Shared>,
    /// Who may ask.
    pub auth: Auth,
    /// Faults to make.
    pub faults: Armed,
    bodies: tokio::sync::Semaphore,
}

impl Site {
    /// Around the tables.
    pub fn new(shared: Arc<Shared>, auth: Auth, faults: Armed) -> Site {
        Site { shared, auth, faults, bodies: tokio::sync::Semaphore::new(BODIES_MAX) }
    }

    /// Runs `work` on the tables, off the worker.
    async fn with_store<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, String> {
        let shared = self.shared.clone();
        let done = web::block(move || work(&mut shared.lock())).await;
        done.map_err(|error| error.to_string())?.map_err(|error| {
            warn!(error = %Chain(&error), "request not answered");
            Chain(&error).to_string()
        })
    }
}

/// The socket below a request, to close it from here.
#[derive(Clone)]
pub struct Socket(pub Arc<OwnedFd>);

impl Socket {
    fn shut(&self) {
        // It may be closed already: just as well.
        let _ = rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Both);
    }
}

/// Closes the connection of a body that was not read to its end, once the answer had time to leave: the server alone
/// would wait for the rest of the body for ever.
fn hang_up(request: &HttpRequest) {
    if let Some(socket) = request.conn_data::<Socket>().cloned() {
        actix_web::rt::spawn(async move {
            tokio::time::sleep(HANG_UP_AFTER).await;
            socket.shut();
        });
    }
}

/// All resources.
pub fn routes(config: &mut web::ServiceConfig) {
    for path in ENDPOINTS {
        config.route(path, web::to(endpoint));
    }
    config.route("/oauth_token.do", web::to(oauth));
    config.route("/api/now/{tail:.*}", web::to(rest));
    config.default_service(web::to(|| async {
        reply(Reply::error(400, "Requested URI does not represent any resource", "no such path"))
    }));
}

async fn endpoint(request: HttpRequest, payload: web::Payload, site: web::Data<Site>) -> HttpResponse {
    let delay = site.faults.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let refuse = |code, status, text: &str| document(Some(status), &Response::of(code, text));
    if request.method() != Method::POST {
        return refuse(ReturnCode::Malformed, 405, "the integration endpoint takes POST only");
    }
    let now = site.shared.lock().now();
    if site.auth.user(request.headers(), now).is_none() {
        return refuse(ReturnCode::NotAuthorised, 401, "the access token is missing, wrong or expired");
    }
    match media_type(request.headers()).as_deref() {
        Some("application/xml" | "text/xml") => {}
        None => return refuse(ReturnCode::Malformed, 400, "Content-Type is missing: application/xml is wanted"),
        Some(_) => return refuse(ReturnCode::Malformed, 415, "Content-Type is not application/xml"),
    }
    let Ok(_permit) = site.bodies.acquire().await else {
        return refuse(ReturnCode::Transient, 503, "the stand-in is stopping");
    };
    let body = match read_body(&request, payload, SEGMENT_BYTES_MAX).await {
        Ok(body) => body,
        Err((status, text)) => return refuse(ReturnCode::Malformed, status, &text),
    };
    let received = match web::block(move || Received::read(&body)).await {
        Ok(Ok(received)) => received,
        Ok(Err(response)) => return document(None, &response),
        Err(error) => return refuse(ReturnCode::Transient, 503, &error.to_string()),
    };
    let sequence = received.sequence();
    if sequence.is_some_and(|sequence| site.faults.refuses(sequence)) {
        return refuse(ReturnCode::Transient, 503, "refused by --fault fail");
    }
    let response = match site.with_store(|store| received.answer(store)).await {
        Ok(response) => response,
        Err(text) => return refuse(ReturnCode::Transient, 503, &text),
    };
    if sequence.is_some() {
        site.shared.ring();
    }
    let taken = response.code == ReturnCode::Accepted;
    if let Some(sequence) = sequence.filter(|sequence| taken && site.faults.loses(*sequence)) {
        info!(sequence, "answer lost by --fault drop");
        if let Some(socket) = request.conn_data::<Socket>() {
            socket.shut();
        }
    }
    document(None, &response)
}

async fn oauth(request: HttpRequest, payload: web::Payload, site: web::Data<Site>) -> HttpResponse {
    if request.method() != Method::POST {
        return reply(Reply::no_method());
    }
    if media_type(request.headers()).as_deref() != Some("application/x-www-form-urlencoded") {
        return reply(Reply::error(415, "Unsupported media type", "application/x-www-form-urlencoded is wanted"));
    }
    let body = match read_body(&request, payload, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err((status, text)) => return reply(Reply::error(status, "Exception while reading request", &text)),
    };
    let form = std::str::from_utf8(&body).ok().and_then(pairs);
    let Some(form) = form else {
        return reply(Reply::error(400, "Exception while reading request", "the body is not a form"));
    };
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let client = header.and_then(|value| value.strip_prefix("Basic ")).and_then(basic);
    let held = site.clone();
    match site.with_store(move |store| held.auth.exchange(store, &form, client)).await {
        Ok(answer) => reply(answer),
        Err(text) => reply(Reply::error(503, "Service unavailable", &text)),
    }
}

async fn rest(request: HttpRequest, payload: web::Payload, site: web::Data<Site>) -> HttpResponse {
    let now = site.shared.lock().now();
    let Some(user) = site.auth.user(request.headers(), now).map(str::to_owned) else {
        let mut answer = Reply::error(401, "User Not Authenticated", "Required to provide Auth information");
        answer.headers.push(("WWW-Authenticate", "BASIC realm=\"Service-now\"".to_owned()));
        return reply(answer);
    };
    let answer = match read_rest(&request, payload, user).await {
        Err(answer) => answer,
        Ok((api, asked)) => {
            let done = site.with_store(move |store| match api.as_str() {
                "table" => table_api::answer(store, &asked),
                _ => import_set_api::answer(store, &asked),
            });
            done.await.unwrap_or_else(|text| Reply::error(503, "Service unavailable", &text))
        }
    };
    reply(answer)
}

async fn read_rest(request: &HttpRequest, payload: web::Payload, user: String) -> Result<(String, Request), Reply> {
    let headers = request.headers();
    let accepts = |part: &str| {
        let media = part.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/*", "application/json"].iter().any(|known| media.eq_ignore_ascii_case(known))
    };
    match headers.get(header::ACCEPT).map(|value| value.to_str().unwrap_or_default()) {
        None => return Err(Reply::error(400, "Bad Request", "Accept is missing: application/json is wanted")),
        Some(accept) if accept.split(',').any(accepts) => {}
        Some(_) => return Err(Reply::error(406, "Not acceptable", "answers are application/json only")),
    }
    let no_resource = || Reply::error(400, "Requested URI does not represent any resource", "no such path");
    let tail = request.match_info().get("tail").unwrap_or_default().trim_end_matches('/');
    let mut parts = tail.split('/').peekable();
    let version = parts.next_if(|part| matches!(*part, "v1" | "v2")).unwrap_or_default().to_owned();
    let (api, table) = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned());
    let rest = parts.next().map(str::to_owned);
    if !matches!(api.as_str(), "table" | "import") || table.is_empty() || parts.next().is_some() {
        return Err(no_resource());
    }
    let overridden = headers.get("x-http-method-override").and_then(|value| value.to_str().ok());
    let method = match overridden.map(|name| Method::from_bytes(name.to_uppercase().as_bytes())) {
        Some(Ok(method)) => method,
        Some(Err(_)) => return Err(Reply::no_method()),
        None => request.method().clone(),
    };
    let mut body = Vec::new();
    if matches!(method, Method::POST | Method::PUT | Method::PATCH) {
        match media_type(headers).as_deref() {
            Some("application/json") => {}
            None => {
                return Err(Reply::error(400, "Bad Request", "Content-Type is missing: application/json is wanted"));
            }
            Some(_) => return Err(Reply::error(415, "Unsupported media type", "application/json is wanted")),
        }
        let read = read_body(request, payload, BODY_BYTES_MAX).await;
        body = read.map_err(|(status, text)| Reply::error(status, "Exception while reading request", &text))?;
    }
    let connection = request.connection_info();
    let mut params = pairs(request.query_string()).unwrap_or_default();
    params.retain(|(_, value)| !value.is_empty());
    let asked = Request {
        method,
        version,
        table,
        rest,
        base: format!("{}://{}", connection.scheme(), connection.host()),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        params,
        no_response_body: headers.get("x-no-response-body").is_some_and(|value| value.as_bytes() == b"true"),
        body,
        user,
    };
    Ok((api, asked))
}

/// Name and value pairs of a query or a form.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    web::Query::<Vec<(String, String)>>::from_query(text).ok().map(web::Query::into_inner)
}

/// The media type without parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(value.split(';').next().unwrap_or_default().trim().to_lowercase())
}

/// The body, unpacked; or the HTTP status and why it is refused.
async fn read_body(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Vec<u8>, (u16, String)> {
    let headers = request.headers();
    let too_large = || (413, format!("the body is larger than {limit} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > limit as u64) {
        hang_up(request);
        return Err(too_large());
    }
    let refused = match tokio::time::timeout(BODY_TIMEOUT, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => return unpack(headers, body.into(), limit),
        Ok(Ok(Err(error))) => (400, format!("the body cannot be read: {error}")),
        Ok(Err(_)) => too_large(),
        Err(_) => (408, format!("the body took longer than {} s", BODY_TIMEOUT.as_secs())),
    };
    hang_up(request);
    Err(refused)
}

fn unpack(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, (u16, String)> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"identity") => Ok(body),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            let read = Inflate::new(&body[..]).take(limit as u64 + 1).read_to_end(&mut plain);
            read.map_err(|error| (400, format!("the body {error}")))?;
            match plain.len() > limit {
                true => Err((413, format!("the body unpacks to more than {limit} bytes"))),
                false => Ok(plain),
            }
        }
        Some(_) => Err((415, "Content-Encoding is not gzip".to_owned())),
    }
}

/// A response document; with the HTTP status of its code when no other is given.
fn document(status: Option<u16>, response: &Response) -> HttpResponse {
    let status = status.unwrap_or_else(|| response.code.http_status());
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    HttpResponse::build(status).content_type("application/xml; charset=UTF-8").body(write_response(response))
}

fn reply(reply: Reply) -> HttpResponse {
    let mut response = HttpResponse::build(reply.status);
    for (name, value) in reply.headers {
        // A value that is no header, from a strange Host for instance, is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            response.insert_header((name, value));
        }
    }
    match reply.body {
        Some(body) => response.content_type("application/json").body(body.to_string()),
        None => response.finish(),
    }
}
