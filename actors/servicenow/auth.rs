//! Who may ask: HTTP Basic or an access token, and the exchange of a password or refresh token for one.
//!
//! Access tokens live in memory and end with the process; refresh tokens are kept, by digest. Source: servicenow
//! reference, section 6, OAuth.

use std::collections::VecDeque;
use std::sync::Mutex;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use muster::id::Digest;
use muster::time::{SECOND_MS, Timestamp};
use serde_json::json;

use super::imports::table;
use super::rest::Reply;
use super::schema::OAUTH_TOKENS;
use super::store::{Store, StoreError};
use crate::secret;

/// Life of an access token. Source: OAuth examples.
const EXPIRES_SECS: i64 = 1_799;
/// Characters of a token, as in the documented examples.
pub const TOKEN_CHARS: usize = 86;
/// Most access tokens, and most refresh tokens, kept; the oldest go first.
const TOKENS_MAX: usize = 1_000;

/// Name and secret of the one OAuth client, when there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
}

struct Access {
    token: String,
    refresh: Digest,
    until: Timestamp,
}

/// The one account, its client and the tokens given.
pub struct Auth {
    user: String,
    password: String,
    client: Option<Client>,
    /// The refresh token in the data folder.
    refresh_token: String,
    access: Mutex<VecDeque<Access>>,
}

impl Auth {
    /// With nobody signed in.
    pub fn new(user: String, password: String, refresh_token: String, client: Option<Client>) -> Auth {
        Auth { user, password, client, refresh_token, access: Mutex::default() }
    }

    /// The account that the headers prove, if they do.
    pub fn user(&self, headers: &HeaderMap, now: Timestamp) -> Option<&str> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, value) = header.split_once(' ')?;
        let known = if scheme.eq_ignore_ascii_case("bearer") {
            let access = self.access.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            access.iter().any(|known| known.until > now && secret::equal(&known.token, value.trim()))
        } else if scheme.eq_ignore_ascii_case("basic") {
            let (user, password) = basic(value)?;
            secret::equal(&user, &self.user) & secret::equal(&password, &self.password)
        } else {
            false
        };
        known.then_some(self.user.as_str())
    }

    /// Answers `/oauth_token.do`. Unknown form fields are ignored.
    pub fn exchange(
        &self,
        store: &mut Store,
        form: &[(String, String)],
        client: Option<(String, String)>,
    ) -> Result<Reply, StoreError> {
        let field = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
        if let Some(wanted) = &self.client {
            let (id, secret) = client.unwrap_or((field("client_id").into(), field("client_secret").into()));
            if !(secret::equal(&id, &wanted.id) & secret::equal(&secret, &wanted.secret)) {
                return Ok(refused(StatusCode::UNAUTHORIZED, "invalid_client", "client_id or client_secret is wrong"));
            }
        }
        let now = store.now();
        match field("grant_type") {
            "password" => {
                let (user, password) = (field("username"), field("password"));
                if !(secret::equal(user, &self.user) & secret::equal(password, &self.password)) {
                    let text = "username or password is wrong";
                    return Ok(refused(StatusCode::UNAUTHORIZED, "invalid_grant", text));
                }
                let refresh = secret::random_text(TOKEN_CHARS);
                keep(store, &refresh, &self.user)?;
                Ok(self.granted(now, &refresh, true))
            }
            "refresh_token" => {
                let refresh = field("refresh_token");
                let digest = Digest::of(refresh.as_bytes()).to_string();
                let known = store.tables().first(OAUTH_TOKENS, "token_digest", &digest).is_some();
                if !known && !secret::equal(refresh, &self.refresh_token) {
                    let text = "the refresh token is not known";
                    return Ok(refused(StatusCode::UNAUTHORIZED, "invalid_grant", text));
                }
                Ok(self.granted(now, refresh, false))
            }
            _ => {
                let text = "grant_type must be password or refresh_token";
                Ok(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", text))
            }
        }
    }

    /// An access token for a refresh token: within its life the same one again.
    fn granted(&self, now: Timestamp, refresh: &str, tell_refresh: bool) -> Reply {
        let digest = Digest::of(refresh.as_bytes());
        let mut access = self.access.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        access.retain(|known| known.until > now);
        if access.len() >= TOKENS_MAX {
            access.pop_front();
        }
        let known = access.iter().find(|known| known.refresh == digest).map(|known| (known.token.clone(), known.until));
        let (token, until) = known.unwrap_or_else(|| {
            let token = secret::random_text(TOKEN_CHARS);
            let until = now.plus_ms(EXPIRES_SECS * SECOND_MS);
            access.push_back(Access { token: token.clone(), refresh: digest, until });
            (token, until)
        });
        let mut body = json!({
            "scope": "useraccount",
            "token_type": "Bearer",
            "expires_in": until.ms_since(now) / SECOND_MS,
            "access_token": token,
        });
        if tell_refresh {
            body["refresh_token"] = json!(refresh);
        }
        Reply::json(StatusCode::OK, body)
    }
}

fn refused(status: StatusCode, error: &str, text: &str) -> Reply {
    Reply::json(status, json!({ "error": error, "error_description": text }))
}

fn keep(store: &mut Store, refresh: &str, user: &str) -> Result<(), StoreError> {
    let digest = Digest::of(refresh.as_bytes()).to_string();
    let tokens = store.tables().all(table(OAUTH_TOKENS));
    let mut tokens: Vec<_> = tokens.map(|row| (row.text("sys_created_on").to_owned(), row.sys_id)).collect();
    tokens.sort_unstable();
    let gone = tokens.len().saturating_sub(TOKENS_MAX - 1);
    store.edit(user, |edit| {
        for (_, sys_id) in &tokens[..gone] {
            edit.delete(table(OAUTH_TOKENS), *sys_id);
        }
        edit.insert(OAUTH_TOKENS, [("token_digest", digest), ("user_name", user.to_owned())]);
    })
}

/// Name and password of a Basic header's value.
pub fn basic(value: &str) -> Option<(String, String)> {
    let text = String::from_utf8(base64(value.trim())?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Standard base64, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(digit);
        }
        match group.len() {
            4 => out.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => out.extend_from_slice(&(bits << 6).to_be_bytes()[1..3]),
            2 => out.push((bits << 12).to_be_bytes()[1]),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallClock;

    #[test]
    fn a_basic_header_reads_with_and_without_padding() {
        assert_eq!(basic("YWRtaW46cGE6c3M="), Some(("admin".into(), "pa:ss".into())));
        assert_eq!(basic("YWRtaW46cGE6c3M"), Some(("admin".into(), "pa:ss".into())));
        for text in ["", "YWRtaW4=", "!!!!", "A", "/////w=="] {
            assert_eq!(basic(text), None, "{text}");
        }
    }

    #[test]
    fn a_refresh_token_gives_the_same_access_token_within_its_life() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), std::sync::Arc::new(WallClock)).unwrap();
        let client = Some(Client { id: "c".into(), secret: "s".into() });
        let auth = Auth::new("admin".into(), "secret".into(), "r".repeat(86), client);
        let mut ask = |form: &[(&str, &str)], client: Option<(&str, &str)>| {
            let form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let client = client.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
            let reply = auth.exchange(&mut store, &form, client).unwrap();
            (reply.status.as_u16(), reply.body.unwrap())
        };
        let right = Some(("c", "s"));
        let password = [("grant_type", "password"), ("username", "admin"), ("password", "secret"), ("x", "y")];
        let (status, first) = ask(&password, right);
        assert_eq!((status, first["access_token"].as_str().unwrap().len()), (200, 86));
        let refresh = first["refresh_token"].as_str().unwrap();
        let (_, second) = ask(&[("grant_type", "refresh_token"), ("refresh_token", refresh)], right);
        assert_eq!((&second["access_token"], second.get("refresh_token")), (&first["access_token"], None));
        assert_eq!(ask(&[("grant_type", "refresh_token"), ("refresh_token", &"r".repeat(86))], right).0, 200);
        assert_eq!(ask(&[("grant_type", "refresh_token"), ("refresh_token", "x")], right).0, 401);
        assert_eq!(ask(&[("grant_type", "client_credentials")], right).0, 400);
        let wrong = [("grant_type", "password"), ("username", "admin"), ("password", "no")];
        assert_eq!(ask(&wrong, right).1["error"], "invalid_grant");
        assert_eq!(ask(&password, Some(("c", "no"))).1["error"], "invalid_client");
        let mut form = password.to_vec();
        form.extend([("client_id", "c"), ("client_secret", "s")]);
        assert_eq!(ask(&form, None).0, 200);
    }
}
