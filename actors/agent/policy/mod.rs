//! Asks a server for this agent's policy, follows it, and puts it in force as a whole or not at all.
//!
//! An unchanged policy is one small request. 404 is an answer: an agent that nothing is aimed at keeps what it has. So is
//! 429 or 503: whoever gives it is busy, or has no policy yet, and is no worse for it.
//!
//! Source: `agent-beacon-batch` reference, sections 2.3 and 8.2; delivery contract, section 5.

mod store;

use std::sync::Arc;
use std::time::Duration;

use muster::formats::marks::{Mark, Told, read_marks};
use muster::formats::npl::policy_file_name;
use muster::formats::wire::{self, header};
use muster::id::Guid;
use muster::policy::apply::{Held, Refused, SMALL_BYTES_MAX, Stamps, Step, Update, begin};
use muster::policy::{Findings, Reach, Recipient};
use muster::time::Timestamp;
use muster::upload::pace::secs;
use reqwest::header::{DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::collector::name_of_this_host;
use super::host::addresses_of_this_host;
use super::limits::Limit;
use super::uploader::Pending;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::upload_client::wait_wanted;

pub use store::{InForce, PolicyStore};

/// Longest time for one question and its answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Most bytes of an ETag or a date that is remembered.
const STAMP_BYTES_MAX: usize = 200;

/// What a poll came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Nothing that is in force changes.
    Unchanged,
    /// This is in force now.
    Updated(Box<InForce>),
    /// What came is not taken, or could not be stored.
    NotTaken,
    /// The server has no policy for this agent.
    NoneHere,
    /// The server wants to be left alone.
    Busy {
        /// For so long, in milliseconds, if it said so.
        retry_after_ms: Option<i64>,
    },
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
    /// Why what came was refused, all of it or a content of it.
    pub refused: Option<String>,
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
    reach: Reach,
    clock: SharedClock,
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
    /// 429 or 503.
    #[error("`{path}` was answered {status}: later")]
    Busy { path: String, status: u16, retry_after_ms: Option<i64> },
    /// 404, and no policy to keep to.
    #[error("the server has no policy for this agent")]
    NoneHere,
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
    /// For this host, with what `store` holds in force, no faster than `limit`. A list of which nothing is within `reach`
    /// is not taken.
    pub fn new(
        http: reqwest::Client,
        store: Arc<PolicyStore>,
        limit: Limit,
        reach: Reach,
        clock: SharedClock,
    ) -> PolicyClient {
        PolicyClient { http, store, limit, reach, clock, one_at_a_time: Arc::default() }
    }
}

impl PolicySource for PolicyClient {
    fn poll(&self, question: Question) -> Pending<Answered> {
        let (http, store, turn) = (self.http.clone(), self.store.clone(), self.one_at_a_time.clone());
        let (limit, clock, reach) = (self.limit.clone(), self.clock.clone(), self.reach);
        Box::pin(async move {
            let _turn = turn.lock().await;
            // Files are read for it, and packages wait for this thread.
            let look = || {
                let host = name_of_this_host();
                (policy_path(&host.name), host)
            };
            let Ok((path, host)) = tokio::task::spawn_blocking(look).await else {
                return Answered { polled: Polled::NotTaken, resend: Vec::new(), refused: None };
            };
            let recipient = Recipient { agent: question.agent, host, reach, present: clock.now() };
            let mut source = Source { http, question, limit, path, recipient, resend: Vec::new(), refused: None };
            let polled = source.poll(store).await;
            Answered { polled, resend: source.resend, refused: source.refused }
        })
    }
}

/// One server, asked by one agent.
struct Source {
    http: reqwest::Client,
    question: Question,
    limit: Limit,
    /// Path of the policy.
    path: String,
    recipient: Recipient,
    /// What the answer says is to be sent again.
    resend: Vec<Mark>,
    /// Why what came was refused.
    refused: Option<String>,
}

/// An answer to the question for policy.
enum Policy {
    /// What is asked for has not changed, or is not there for this agent.
    Same,
    /// Another one.
    Other(Vec<u8>, Stamps),
}

impl Source {
    async fn poll(&mut self, store: Arc<PolicyStore>) -> Polled {
        let known = store.clone();
        let Ok(held) = tokio::task::spawn_blocking(move || known.held()).await else { return Polled::NotTaken };
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                warn!(error = %Chain(&PollError::Store(error)), "the policy in force is kept");
                return Polled::NotTaken;
            }
        };
        let update = match self.follow(&held).await {
            Ok(Some(update)) => update,
            Ok(None) => return Polled::Unchanged,
            Err(error) => return self.failed(error),
        };
        self.tell(&update.findings);
        let put = move || store.put(&update).map(|()| store.load());
        let stored = tokio::task::spawn_blocking(put).await;
        match stored {
            Ok(Ok(in_force)) => {
                info!(revision = in_force.held.revision, server = self.question.base, "a new policy is in force");
                Polled::Updated(Box::new(in_force))
            }
            Ok(Err(error)) => {
                warn!(error = %Chain(&PollError::Store(error)), "the policy in force is kept");
                Polled::NotTaken
            }
            Err(_) => Polled::NotTaken,
        }
    }

    fn failed(&mut self, error: PollError) -> Polled {
        let server = &self.question.base;
        match error {
            PollError::Busy { retry_after_ms, .. } => {
                info!(server, error = %Chain(&error), "no policy now");
                Polled::Busy { retry_after_ms }
            }
            PollError::NoneHere => {
                warn!(server, error = %Chain(&error), "no policy");
                Polled::NoneHere
            }
            PollError::Http(_) | PollError::Status { .. } => {
                warn!(server, error = %Chain(&error), "no policy");
                Polled::Silent
            }
            // A beacon that lags behind another one; it follows.
            PollError::Refused(Refused::Older { .. }) => {
                debug!(server, error = %Chain(&error), "the policy in force is newer");
                Polled::Unchanged
            }
            PollError::Large { .. } | PollError::Refused(_) => {
                let why = Chain(&error).to_string();
                warn!(server, error = why, "the policy in force is kept");
                self.refused = Some(why);
                Polled::NotTaken
            }
            PollError::Store(_) => {
                warn!(server, error = %Chain(&error), "the policy in force is kept");
                Polled::NotTaken
            }
        }
    }

    /// Says once what of a policy is left out.
    fn tell(&mut self, findings: &Findings) {
        let server = &self.question.base;
        for finding in &findings.kept {
            warn!(server, %finding, "part of the policy is not taken");
        }
        if findings.count > findings.kept.len() {
            warn!(server, more = findings.count - findings.kept.len(), "more of the policy is not taken");
        }
        self.refused = findings.kept.iter().find(|finding| finding.is_refusal()).map(ToString::to_string);
    }

    /// Follows the policy; `None` when it changes nothing.
    async fn follow(&mut self, held: &Held) -> Result<Option<Update>, PollError> {
        let known = Stamps { etag: held.etag.clone(), modified: held.modified.clone() };
        let Policy::Other(policy, stamps) = self.policy(&known, held.is_some(), true).await? else { return Ok(None) };
        let mut step = begin(held, &policy, stamps, &self.recipient)?;
        loop {
            step = match step {
                Step::Fetch(following, path, limit) => following.take(self.get(path, limit).await?)?,
                Step::Confirm(following) => {
                    let answer = self.policy(&following.stamps(), true, false).await?;
                    following.confirm(match answer {
                        Policy::Same => None,
                        Policy::Other(policy, stamps) => Some((policy, stamps)),
                    })?
                }
                Step::Done(update) => return Ok(Some(update)),
                Step::Unchanged => return Ok(None),
            };
        }
    }

    /// Asks for the policy unless it is that of `known`. A question that `is_first` also tells what was published and
    /// hears what is to be sent again; one after it only looks once more.
    async fn policy(&mut self, known: &Stamps, has_policy: bool, is_first: bool) -> Result<Policy, PollError> {
        let path = self.path.clone();
        let mut request = self.request(&path, SMALL_BYTES_MAX);
        for (name, told) in self.question.told.headers().filter(|_| is_first) {
            request = request.header(name, told);
        }
        // The tag decides where the server has one; there are servers and proxies that know the date only.
        for (name, stamp) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.modified)] {
            if !stamp.is_empty() {
                request = request.header(name, stamp);
            }
        }
        let answer = request.send().await?;
        if is_first {
            self.hear_resend(&answer);
            let theirs = text(&answer, DATE).and_then(Timestamp::from_http_date);
            self.recipient.present = self.recipient.present.max(theirs.unwrap_or_default());
        }
        match answer.status().as_u16() {
            200 => {}
            // An answer that was not asked for, of a cache on the way: there is nothing that could be the same.
            304 if !has_policy => return Err(PollError::NoneHere),
            304 => return Ok(Policy::Same),
            404 if is_first && has_policy => return Ok(Policy::Same),
            404 => return Err(PollError::NoneHere),
            status @ (429 | 503) => {
                return Err(PollError::Busy { path, status, retry_after_ms: wait_wanted(answer.headers()) });
            }
            status => return Err(PollError::Status { path, status }),
        }
        let stamps = Stamps { etag: stamp(&answer, ETAG), modified: stamp(&answer, LAST_MODIFIED) };
        Ok(Policy::Other(self.bounded(answer, path, SMALL_BYTES_MAX).await?, stamps))
    }

    fn hear_resend(&mut self, answer: &reqwest::Response) {
        let asked = answer.headers().get(header::RESEND).and_then(|asked| asked.to_str().ok()).unwrap_or_default();
        let (resend, bad) = read_marks(asked);
        if bad > 0 {
            debug!(server = self.question.base, bad, "part of what is to be sent again does not read");
        }
        self.resend = resend;
    }

    async fn get(&self, path: String, limit: u64) -> Result<Vec<u8>, PollError> {
        let answer = self.request(&path, limit).send().await?;
        match answer.status().as_u16() {
            200 => self.bounded(answer, path, limit).await,
            status @ (429 | 503) => {
                Err(PollError::Busy { path, status, retry_after_ms: wait_wanted(answer.headers()) })
            }
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

/// Path of the policy of the host with this name. Asked anew each time: addresses come and go.
fn policy_path(machine: &str) -> String {
    format!("Policies/{}", wire::percent_encode(&policy_file_name(machine, addresses_of_this_host())))
}

fn text(answer: &reqwest::Response, name: HeaderName) -> Option<&str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

/// What an answer says of its version. It goes into every later question: one that is too long for a head would be the
/// last that was answered.
fn stamp(answer: &reqwest::Response, name: HeaderName) -> String {
    text(answer, name).filter(|stamp| stamp.len() <= STAMP_BYTES_MAX).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
