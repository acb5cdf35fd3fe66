//! Calls to the instance: one token, one endpoint, answers bounded, no redirect followed.

use std::time::Duration;

use bytes::Bytes;
use muster::export::Answer;
use muster::formats::servicenow_xml::read_response;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::errors::Chain;

/// Longest answer that is read; ours have some hundred bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What proves who we are.
#[derive(Clone)]
pub enum Credentials {
    /// OAuth refresh token, as the integration app makes it.
    RefreshToken(String),
    /// Account and password, exchanged for a token.
    Password {
        /// Account.
        user: String,
        /// Its password.
        password: String,
    },
}

/// An instance.
#[derive(Clone)]
pub struct Target {
    /// Base URL, `https://x.service-now.com`.
    pub url: String,
    /// Integration endpoint below it.
    pub endpoint: String,
    /// Who we are.
    pub credentials: Credentials,
    /// `client_id` and `client_secret`, where the instance asks for them.
    pub client: Option<(String, String)>,
}

/// Why a target cannot be one: exit 2.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not a URL that can be called.
    #[error("`{0}` is no http or https URL: mend `url` of section [servicenow], or -url")]
    Url(String),
    /// The HTTP client.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Why there is no token.
pub enum TokenError {
    /// The credentials are refused.
    Refused(String),
    /// Any other reason: worth another try.
    Failed(String),
}

/// The connection of one export.
pub struct Connection {
    client: Client,
    target: Target,
    endpoint: Url,
    token_url: Url,
    token: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Connection {
    /// Sets up calls to `target`, of at most `timeout` each.
    pub fn new(target: Target, timeout: Duration) -> Result<Connection, TargetError> {
        let wrong = || TargetError::Url(target.url.chars().take(100).flat_map(char::escape_debug).collect());
        let base = Url::parse(&target.url).map_err(|_| wrong())?;
        let plain = base.query().is_none() && base.fragment().is_none();
        // Userinfo in a URL would end up in every error line.
        let nobody = base.username().is_empty() && base.password().is_none();
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() || !plain || !nobody {
            return Err(wrong());
        }
        let below = |path: &str| {
            let url = format!("{}/{}", base.as_str().trim_end_matches('/'), path.trim_start_matches('/'));
            Url::parse(&url).map_err(|_| wrong())
        };
        let (endpoint, token_url) = (below(&target.endpoint)?, below("oauth_token.do")?);
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(TargetError::Client)?;
        Ok(Connection { client, target, endpoint, token_url, token: String::new() })
    }

    /// Whether credentials travel in clear text over a network.
    pub fn is_exposed(&self) -> bool {
        let near = |host: &str| host == "localhost" || host == "[::1]" || host.starts_with("127.");
        self.endpoint.scheme() == "http" && !self.endpoint.host_str().is_some_and(near)
    }

    /// Fetches an access token.
    pub async fn renew(&mut self) -> Result<(), TokenError> {
        let mut form: Vec<(&str, &str)> = match &self.target.credentials {
            Credentials::RefreshToken(token) => vec![("grant_type", "refresh_token"), ("refresh_token", token)],
            Credentials::Password { user, password } => {
                vec![("grant_type", "password"), ("username", user), ("password", password)]
            }
        };
        if let Some((id, secret)) = &self.target.client {
            form.extend([("client_id", id.as_str()), ("client_secret", secret.as_str())]);
        }
        let request = self.client.post(self.token_url.clone()).header(ACCEPT, "application/json").form(&form);
        let url = &self.token_url;
        let failed =
            |error: &reqwest::Error| TokenError::Failed(format!("cannot reach ServiceNow at {url}: {}", why(error)));
        let response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let body = read(response).await.map_err(TokenError::Failed)?;
        if status == 200 {
            let granted: Granted = serde_json::from_slice(&body)
                .map_err(|_| TokenError::Failed(format!("{url} answers without an access token: is the URL right?")))?;
            self.token = granted.access_token;
            return Ok(());
        }
        let said = serde_json::from_slice::<Refusal>(&body).ok();
        let said = said.map(|said| format!(" ({}: {})", said.error, said.error_description)).unwrap_or_default();
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        match status {
            400 | 401 | 403 => Err(TokenError::Refused(format!(
                "ServiceNow refuses the credentials: check user, password or token{said}"
            ))),
            _ => Err(TokenError::Failed(format!("{url} answers HTTP status {status}{said}"))),
        }
    }

    /// Posts a document to the endpoint.
    pub async fn post(&self, document: Bytes) -> Answer {
        let request = self.client.post(self.endpoint.clone()).bearer_auth(&self.token);
        let request = request.header(CONTENT_TYPE, "application/xml; charset=UTF-8").header(ACCEPT, "application/xml");
        let response = match request.body(document).send().await {
            Ok(response) => response,
            Err(error) => {
                return Answer::Lost(format!("cannot reach ServiceNow at {}: {}", self.endpoint, why(&error)));
            }
        };
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = header.map(|secs| Duration::from_secs(secs).min(RETRY_AFTER_MAX));
        match read(response).await {
            Ok(body) => Answer::Http { status, retry_after, response: read_response(&body).ok() },
            Err(why) => Answer::Lost(why),
        }
    }
}

/// The body of an answer.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(format!("the answer broke off: {}", why(&error))),
        }
    }
}

/// The innermost cause: the outer ones repeat the URL.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Chain(cause).to_string()
}
