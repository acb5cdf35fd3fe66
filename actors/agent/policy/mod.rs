//! Asks a server for this agent's policy, follows it, and puts it in force as a whole or not at all.
//!
//! An unchanged policy is one small request. 404 is an answer: an agent that nothing is aimed at keeps what it has.
//! Source: `agent-beacon-batch` reference, sections 2.3 and 8.2.

mod store;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use muster::formats::marks::{Mark, Told, read_marks};
use muster::formats::npl::policy_file_name;
use muster::formats::wire::{self, header};
use muster::id::Guid;
use muster::policy::apply::{Held, Refused, SMALL_BYTES_MAX, Step, Update, begin};
use muster::upload::pace::secs;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::host::addresses_of_this_host;
use super::limits::Limit;
use super::uploader::Pending;
use crate::errors::Chain;

pub use store::{InForce, PolicyStore};

/// Longest time for one question and its answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Most bytes of an ETag that is remembered.
const ETAG_BYTES_MAX: usize = 200;

/// What a poll came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Nothing that is in force changes.
    Unchanged,
    /// This is in force now.
    Updated(Box<InForce>),
    /// What came is not taken, or could not be stored.
    NotTaken,
    /// Nothing that was an answer.
    Silent,
}

/// What is asked, and told with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub agent: Guid,
    /// Download base address of the server that is asked.
    pub base: String,
    /// What became of the packages of each stream.
    pub told: Told,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What the poll came to.
    pub polled: Polled,
    /// What is to be sent again.
    pub resend: Vec<Mark>,
}

/// Asks for policy.
pub trait PolicySource: Send + Sync {
    /// Polls once.
    fn poll(&self, question: Question) -> Pending<Answered>;
}

/// Asks over HTTP. One poll at a time.
pub struct PolicyClient {
    http: reqwest::Client,
    store: Arc<PolicyStore>,
    limit: Limit,
    one_at_a_time: Arc<Mutex<()>>,
}

/// Why a poll gave nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    /// No whole answer.
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    /// A status that says so.
    #[error("`{path}` was answered {status}")]
    Status { path: String, status: u16 },
    /// An answer without end.
    #[error("`{path}` has more than {limit} bytes")]
    Large { path: String, limit: u64 },
    /// What came is not taken.
    #[error("the policy is not taken")]
    Refused(#[from] Refused),
    /// It was not stored.
    #[error("the policy is not stored")]
    Store(#[source] std::io::Error),
}

impl PolicyClient {
    /// For this host, with what `store` holds in force, no faster than `limit`.
    pub fn new(http: reqwest::Client, store: Arc<PolicyStore>, limit: Limit) -> PolicyClient {
        PolicyClient { http, store, limit, one_at_a_time: Arc::default() }
    }
}

impl PolicySource for PolicyClient {
    fn poll(&self, question: Question) -> Pending<Answered> {
        let (http, store, turn) = (self.http.clone(), self.store.clone(), self.one_at_a_time.clone());
        let limit = self.limit.clone();
        let path = format!("Policies/{}", wire::percent_encode(&policy_file()));
        Box::pin(async move {
            let _turn = turn.lock().await;
            let mut source = Source { http, question, limit, resend: Vec::new() };
            let polled = source.poll(store, path).await;
            Answered { polled, resend: source.resend }
        })
    }
}

/// One server, asked by one agent.
struct Source {
    http: reqwest::Client,
    question: Question,
    limit: Limit,
    /// What the answer says is to be sent again.
    resend: Vec<Mark>,
}

impl Source {
    async fn poll(&mut self, store: Arc<PolicyStore>, path: String) -> Polled {
        let known = store.clone();
        let Ok(held) = tokio::task::spawn_blocking(move || known.held()).await else { return Polled::NotTaken };
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                warn!(error = %Chain(&PollError::Store(error)), "the policy in force is kept");
                return Polled::NotTaken;
            }
        };
        let followed = self.follow(&held, path).await;
        let server = &self.question.base;
        let update = match followed {
            Ok(Some(update)) => update,
            Ok(None) => return Polled::Unchanged,
            Err(error) => {
                return match &error {
                    PollError::Http(_) | PollError::Status { .. } => {
                        debug!(server, error = %Chain(&error), "no policy");
                        Polled::Silent
                    }
                    // A beacon that lags behind another one; it follows.
                    PollError::Refused(Refused::Older { .. }) => {
                        debug!(server, error = %Chain(&error), "the policy in force is newer");
                        Polled::Unchanged
                    }
                    _ => {
                        warn!(server, error = %Chain(&error), "the policy in force is kept");
                        Polled::NotTaken
                    }
                };
            }
        };
        let put = move || store.put(&update).map(|()| store.load());
        let stored = tokio::task::spawn_blocking(put).await;
        match stored {
            Ok(Ok(in_force)) => {
                info!(revision = in_force.held.revision, server, "a new policy is in force");
                Polled::Updated(Box::new(in_force))
            }
            Ok(Err(error)) => {
                warn!(error = %Chain(&PollError::Store(error)), "the policy in force is kept");
                Polled::NotTaken
            }
            Err(_) => Polled::NotTaken,
        }
    }

    /// Follows the policy at `path`; `None` when it changes nothing.
    async fn follow(&mut self, held: &Held, path: String) -> Result<Option<Update>, PollError> {
        let Some((policy, etag)) = self.policy(held, path).await? else { return Ok(None) };
        let mut step = begin(held, &policy, &etag)?;
        loop {
            step = match step {
                Step::Fetch(following, path, limit) => following.take(self.get(path, limit).await?)?,
                Step::Done(update) => return Ok(Some(update)),
                Step::Unchanged => return Ok(None),
            };
        }
    }

    async fn policy(&mut self, held: &Held, path: String) -> Result<Option<(Vec<u8>, String)>, PollError> {
        let mut request = self.request(&path, SMALL_BYTES_MAX);
        for (name, told) in self.question.told.headers() {
            request = request.header(name, told);
        }
        if !held.etag.is_empty() {
            request = request.header(IF_NONE_MATCH, &held.etag);
        }
        let answer = request.send().await?;
        let asked = answer.headers().get(header::RESEND).and_then(|asked| asked.to_str().ok()).unwrap_or_default();
        let (resend, bad) = read_marks(asked);
        if bad > 0 {
            debug!(server = self.question.base, bad, "part of what is to be sent again does not read");
        }
        self.resend = resend;
        match answer.status().as_u16() {
            200 => {}
            304 | 404 => return Ok(None),
            status => return Err(PollError::Status { path, status }),
        }
        let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
        // It goes into every later question: one that is too long for a head would be the last that was answered.
        let etag = if etag.len() > ETAG_BYTES_MAX { String::new() } else { etag.to_owned() };
        Ok(Some((self.bounded(answer, path, SMALL_BYTES_MAX).await?, etag)))
    }

    async fn get(&self, path: String, limit: u64) -> Result<Vec<u8>, PollError> {
        let answer = self.request(&path, limit).send().await?;
        match answer.status().as_u16() {
            200 => self.bounded(answer, path, limit).await,
            status => Err(PollError::Status { path, status }),
        }
    }

    /// The answer may have `bytes` and be read as slowly as the limit wants.
    fn request(&self, path: &str, bytes: u64) -> reqwest::RequestBuilder {
        let address = format!("{}/{path}", self.question.base.trim_end_matches('/'));
        let time = ANSWER_TIME + Duration::from_secs(secs(bytes, self.limit.download_rate()));
        self.http.get(address).timeout(time).header(header::AGENT, self.question.agent.to_string())
    }

    async fn bounded(&self, mut answer: reqwest::Response, path: String, limit: u64) -> Result<Vec<u8>, PollError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(PollError::Large { path, limit });
            }
            // What is not fetched holds the sender back.
            if let Some(rate) = self.limit.download_rate() {
                tokio::time::sleep(self.limit.after(chunk.len(), rate)).await;
            }
        }
        Ok(bytes)
    }
}

/// The file of this host's policy. Asked anew each time: addresses come and go.
fn policy_file() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = name.trim().split('.').next().unwrap_or_default();
    policy_file_name(machine, addresses_of_this_host())
}
