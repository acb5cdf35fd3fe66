//! Sends one package to one receiver over HTTP and says what came back. Used by agents and beacons alike.

use std::time::Duration;

use bytes::Bytes;
use muster::formats::wire;
use muster::model::package::Receipt;
use muster::upload::answer::Answer;
use muster::upload::retry_after::retry_after_ms;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::clock::{Clock, WallClock};
use crate::errors::Chain;

/// Longest wait for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Longest time of an upload of no bytes; one more second for each [`BYTES_PER_SECOND`].
const UPLOAD_TIME: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: u64 = 64 << 10;
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A client whose clones share connections. It follows no redirect.
#[derive(Clone, Debug)]
pub struct UploadClient {
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Refused {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    code: String,
}

/// How long an upload of so many bytes may take, as fast as it goes.
pub fn upload_time(bytes: usize) -> Duration {
    UPLOAD_TIME + Duration::from_secs(bytes as u64 / BYTES_PER_SECOND)
}

/// How long an answer with these headers wants its sender to wait, in milliseconds; `None` when it does not say. The one
/// reader of `Retry-After` for uploads, questions for policy and reports.
pub fn wait_wanted(headers: &HeaderMap) -> Option<i64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    retry_after_ms(text(RETRY_AFTER)?, text(DATE), WallClock.now())
}

impl UploadClient {
    /// A client that goes through the proxy its environment names, if any.
    pub fn new() -> Result<UploadClient, reqwest::Error> {
        UploadClient::of(reqwest::Client::builder())
    }

    /// A client that goes through `proxy`, whatever its environment names.
    pub fn through(proxy: reqwest::Proxy) -> Result<UploadClient, reqwest::Error> {
        UploadClient::of(reqwest::Client::builder().proxy(proxy))
    }

    fn of(builder: reqwest::ClientBuilder) -> Result<UploadClient, reqwest::Error> {
        let http = builder
            .connect_timeout(CONNECT_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(10))
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(UploadClient { http })
    }

    /// The client below, for questions that are no uploads.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Puts `body` as `{kind}/{name}` below `base`, `http://host:port/ManageSoftRL`. Whatever goes wrong on the way is
    /// [`Answer::Nothing`]: the package is perhaps stored there.
    pub async fn put(
        &self,
        base: &str,
        kind: &str,
        name: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Answer {
        let time = upload_time(body.len());
        self.send(base, kind, name, headers, body.into(), time).await
    }

    /// The same with any body, which has to be there after `time`.
    pub async fn send(
        &self,
        base: &str,
        kind: &str,
        name: &str,
        headers: &[(&'static str, String)],
        body: reqwest::Body,
        time: Duration,
    ) -> Answer {
        let address = format!("{}/{kind}/{}", base.trim_end_matches('/'), wire::percent_encode(name));
        let mut request = self.http.put(address).timeout(time).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::Nothing(Chain(&error).to_string()),
        };
        let status = answer.status().as_u16();
        let retry_after_ms = wait_wanted(answer.headers());
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.trim_start().to_ascii_lowercase();
        let mut bytes = Vec::new();
        while bytes.len() <= ANSWER_BYTES_MAX {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                // A status without its whole body is no receipt; a refusal stands by its status alone.
                Err(error) if status == 200 => return Answer::Nothing(Chain(&error).to_string()),
                Err(_) => break,
            }
        }
        let receipt = serde_json::from_slice::<Receipt>(&bytes).ok();
        let is_page = content_type.starts_with("text/html") || is_page(&bytes);
        let code = serde_json::from_slice::<Refused>(&bytes).map(|refused| refused.error.code).unwrap_or_default();
        Answer::Status { status, receipt, retry_after_ms, code, is_page }
    }
}

/// Whether a body without a type begins as a page does.
fn is_page(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|start| body.get(..start.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(start)))
}
