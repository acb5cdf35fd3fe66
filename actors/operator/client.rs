//! Questions to the operator listener of a server.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::command::Failure;
use crate::errors::Chain;

/// Longest wait for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Longest wait for an answer; a filter over a large fleet takes seconds.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// Longest wait for what a server has to work out over all its records.
const WORK_TIME: Duration = Duration::from_secs(3_600);
/// What to try when `https` was written for a listener that has no certificate.
const PLAIN_HINT: &str =
    "; a server of muster speaks plain HTTP: write http:// unless there is a proxy with TLS in front";
/// Items of a page: the most that the API gives.
const PAGE: usize = 1_000;

/// The address of a server's operator listener, checked: `http` or `https`, and a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<ServerUrl, String> {
        let wrong = || "write an address like http://127.0.0.1:8080".to_owned();
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_server = matches!(url.scheme(), "http" | "https") && url.has_host() && !url.cannot_be_a_base();
        if is_server { Ok(ServerUrl(url)) } else { Err(wrong()) }
    }
}

impl ServerUrl {
    fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// What a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(pub Vec<(&'static str, String)>);

/// Asks one server.
pub struct Client {
    http: reqwest::Client,
    server: ServerUrl,
    /// Exit status when the server does not answer.
    unreachable: u8,
    /// Whose data it asks for, where that is not the server's own tenant's.
    tenant: Option<String>,
}

impl Client {
    /// A client for `server`. It follows no redirect, and asks loopback without a proxy.
    pub fn new(server: &ServerUrl) -> Result<Client, Failure> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")));
        let builder = if server.is_loopback() { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| Failure::work(&error))?;
        Ok(Client { http, server: server.clone(), unreachable: 1, tenant: None })
    }

    /// The same, for the data of a tenant.
    pub fn of_tenant(self, tenant: Option<&str>) -> Client {
        Client { tenant: tenant.map(str::to_owned), ..self }
    }

    /// The same with another exit status for a server that does not answer, or cannot now.
    pub fn exits_unreachable(self, exit: u8) -> Client {
        Client { unreachable: exit, ..self }
    }

    /// The answer at `/api/v1/` and these segments.
    pub async fn get(&self, path: &[&str], query: &[(&'static str, String)]) -> Result<Value, Failure> {
        let (status, text) = self.ask(path, query).await?;
        let value: Value = serde_json::from_slice(&text).map_err(|_| self.strange(status))?;
        if status.is_success() { Ok(value) } else { Err(self.refused(status, &value)) }
    }

    /// The same for what the server may work on for long.
    pub async fn get_worked(&self, path: &[&str], query: &[(&'static str, String)]) -> Result<Value, Failure> {
        let (status, text) = self.send(self.http.get(self.url(path, query)).timeout(WORK_TIME)).await?;
        let value: Value = serde_json::from_slice(&text).map_err(|_| self.strange(status))?;
        if status.is_success() { Ok(value) } else { Err(self.refused(status, &value)) }
    }

    /// The answer to a JSON body at `/api/v1/` and these segments.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.post_bytes(path, "application/json", body.to_string().into()).await
    }

    /// The answer to a body of this type at `/api/v1/` and these segments.
    pub async fn post_bytes(&self, path: &[&str], content_type: &str, body: Bytes) -> Result<Value, Failure> {
        let request = self.http.post(self.url(path, &[])).header("content-type", content_type).timeout(WORK_TIME);
        let (status, text) = self.send(request.body(body)).await?;
        let value: Value = serde_json::from_slice(&text).map_err(|_| self.strange(status))?;
        if status.is_success() { Ok(value) } else { Err(self.refused(status, &value)) }
    }

    /// The file at `/api/v1/` and these segments.
    pub async fn get_bytes(&self, path: &[&str]) -> Result<Bytes, Failure> {
        self.get_file(path, &[]).await
    }

    /// The same with parameters.
    pub async fn get_file(&self, path: &[&str], query: &[(&'static str, String)]) -> Result<Bytes, Failure> {
        let (status, bytes) = self.send(self.http.get(self.url(path, query)).timeout(WORK_TIME)).await?;
        if status.is_success() {
            return Ok(bytes);
        }
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| self.strange(status))?;
        Err(self.refused(status, &value))
    }

    async fn ask(&self, path: &[&str], query: &[(&'static str, String)]) -> Result<(StatusCode, Bytes), Failure> {
        self.send(self.http.get(self.url(path, query))).await
    }

    fn url(&self, path: &[&str], query: &[(&'static str, String)]) -> Url {
        let mut url = self.server.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        if let Some(tenant) = &self.tenant {
            url.query_pairs_mut().append_pair("tenant", tenant);
        }
        url
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Bytes), Failure> {
        let unreachable = |error: reqwest::Error| {
            // The address stands in the line already.
            let why = Chain(&error.without_url()).to_string();
            let hint = if self.is_answered_in_plain(&why) { PLAIN_HINT } else { "" };
            Failure {
                text: format!("cannot ask the server at {} (--server): {why}{hint}", self.server),
                exit: self.unreachable,
            }
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        Ok((status, answer.bytes().await.map_err(unreachable)?))
    }

    /// Whether a TLS connection failed because the other side does not speak TLS: its answer is no record of it.
    fn is_answered_in_plain(&self, why: &str) -> bool {
        let not_tls = ["corrupt message", "InvalidContentType", "wrong version number"];
        self.server.0.scheme() == "https" && not_tls.iter().any(|part| why.contains(part))
    }

    fn strange(&self, status: StatusCode) -> Failure {
        let text = format!("{} (--server) is no operator listener of muster: it answers {status}", self.server);
        Failure { text, exit: 1 }
    }

    fn refused(&self, status: StatusCode, answer: &Value) -> Failure {
        let Some(message) = answer["error"]["message"].as_str() else { return self.strange(status) };
        // What the server does not understand was written on the command line.
        let exit = match status {
            StatusCode::BAD_REQUEST => 2,
            StatusCode::SERVICE_UNAVAILABLE => self.unreachable,
            _ => 1,
        };
        Failure { text: format!("{}: {message}", self.server), exit }
    }

    /// Calls `each` for every item of a list, `limit` of them at most; says how many the list has.
    pub async fn each<E: From<Failure>>(
        &self,
        path: &str,
        query: &Query,
        limit: usize,
        mut each: impl FnMut(Value) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (mut left, mut after) = (limit, None::<String>);
        loop {
            let mut asked = query.0.clone();
            asked.push(("limit", left.clamp(1, PAGE).to_string()));
            asked.extend(after.take().map(|after| ("after", after)));
            let mut page = self.get(&[path], &asked).await?;
            let total = page["total"].as_u64().unwrap_or(0);
            let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else { return Ok(total) };
            for item in items.into_iter().take(left) {
                each(item)?;
                left -= 1;
            }
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() || left == 0 {
                return Ok(total);
            }
        }
    }
}
