//! Questions and reports to a parent that are no packages: policy and status.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use muster::id::{Guid, TenantId};
use muster::model::aside::{ASIDE_OF_REPORT_MAX, ASIDE_OF_STATUS_MAX, AsideFact, AsideReport, StatusAnswer};
use muster::model::beacon_status::{BeaconQueue, BeaconStatus, Endpoint};
use muster::model::fact::FactKey;
use muster::model::package::{Envelope, PackageKey};
use muster::model::stored;
use muster::policy::BeaconPolicy;
use muster::policy::beacon_policy::POLICY_BYTES_MAX;
use muster::roles::beacon::{Asked, Parent, own_schedule};
use tracing::{debug, info, warn};

use super::gaps;
use super::outages::{Heard, Outages, Question};
use super::parents::ParentRules;
use super::policy::{Cause, RefusedPolicies};
use super::relay::Effect;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::hierarchy::{Downloads, Gaps, Statuses};
use crate::log::{FolderDisk, Handle, read_file, replace_file};
use crate::node::Logs;
use crate::upload_client::wait_wanted;

/// The policy a beacon keeps, so that it can answer while its parent is away.
const POLICY_FILE: &str = "policy.json";
/// Longest wait for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Most bytes of the answer to a report.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Held packages looked at in one turn.
const PAGE: usize = 1_000;

/// Questions and reports to a parent that are no packages.
pub trait Upward: Send + Sync {
    /// Asks for policy: how it went, and the parents that are in force now.
    fn ask_policy(&self, parent: Parent) -> Effect<(Asked, Arc<[Parent]>)>;
    /// Reports the newest status, passes gap reports on and asks what agents are to send again.
    fn send_status(&self, parent: Parent) -> Effect<Asked>;
}

/// [`Upward`] over HTTP.
#[derive(Clone)]
pub struct HttpUpward {
    /// This beacon.
    pub node: Guid,
    /// Whose packages it carries.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its data folder.
    pub folder: PathBuf,
    /// What it holds.
    pub logs: Logs,
    /// The present.
    pub clock: SharedClock,
    /// Its parents: the configured ones, and what it takes of policy.
    pub parents: Arc<ParentRules>,
    /// Sends.
    pub client: reqwest::Client,
    /// What it hands on to those below.
    pub downloads: actix_web::web::Data<Downloads>,
    /// What those below report.
    pub statuses: actix_web::web::Data<Statuses>,
    /// What agents told of acknowledged packages, and what they are to send again.
    pub gaps: actix_web::web::Data<Gaps>,
    /// Held while gap reports pass to a parent.
    pub gaps_turn: Arc<tokio::sync::Mutex<()>>,
    /// How agents reach it; `None` for one that they are not to use.
    pub endpoint: Option<Endpoint>,
    /// Policies of a parent that were kept out.
    pub refused_policies: Arc<RefusedPolicies>,
    /// What was told of parents that do not answer.
    pub outages: Arc<Outages>,
    /// Packages set aside of which there is nothing to report any more.
    pub told: Arc<Mutex<BTreeSet<Handle>>>,
}

/// The policy of the last life, if there is a whole one.
pub fn restore_policy(folder: &std::path::Path) -> Option<BeaconPolicy> {
    let read = FolderDisk::open(folder).and_then(|disk| read_file(&disk, POLICY_FILE, POLICY_BYTES_MAX as u64));
    let read = read.map(|json| json.map(|json| BeaconPolicy::read(&json)).transpose());
    match read {
        Ok(Ok(policy)) => policy,
        Ok(Err(error)) => {
            warn!(error = %Chain(&error), "the kept policy is damaged, the parent is asked for a new one");
            None
        }
        Err(error) => {
            warn!(%error, "the kept policy cannot be read, the parent is asked for a new one");
            None
        }
    }
}

/// Hands `policy` to those below from now on, with the catch-up at the time of this node.
pub fn hand_on(downloads: &Downloads, policy: BeaconPolicy, node: Guid) {
    let schedule = own_schedule(&policy, node);
    downloads.give(policy, &schedule);
}

/// How a question failed, and why.
type Failed = (Asked, String);

/// What an answer means that is not the wanted one.
fn unwanted(answer: &reqwest::Response) -> Failed {
    let status = answer.status().as_u16();
    let asked = match status {
        429 | 503 => Asked::Busy { retry_after_ms: wait_wanted(answer.headers()) },
        508 => Asked::Loop,
        // A parent that does not want this question is there all the same, and may take packages.
        400 | 401 | 403 | 409 | 411 | 413 | 415 | 422 => Asked::Busy { retry_after_ms: None },
        _ => Asked::Failed,
    };
    (asked, format!("the parent answered {status}"))
}

/// The parent answers, and it is here that its answer is of no use now.
fn of_no_use(why: String) -> Failed {
    (Asked::Busy { retry_after_ms: None }, why)
}

fn failed(why: impl ToString) -> Failed {
    (Asked::Failed, why.to_string())
}

pub(super) async fn read_bounded(mut answer: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(Chain(&error)))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(failed(format!("the parent's answer has more than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

impl HttpUpward {
    async fn fetch_policy(&self, parent: &Parent) -> Result<(), Failed> {
        let address = format!("{parent}/inventory-beacons/{}/policy", self.node);
        let mut request = self.client.get(address).timeout(ANSWER_TIME);
        if let Some(etag) = self.downloads.etag() {
            request = request.header(reqwest::header::IF_NONE_MATCH, etag);
        }
        let answer = self.heard(parent, Question::Policy, request.send().await)?;
        match answer.status().as_u16() {
            304 => {
                self.refused_policies.is_good(parent);
                return Ok(());
            }
            200 => {}
            _ => return Err(unwanted(&answer)),
        }
        let bytes = read_bounded(answer, POLICY_BYTES_MAX).await;
        let bytes = bytes.map_err(|(_, why)| self.refused_policies.refuse(parent, Cause::NotWhole, why))?;
        let (own, parent) = (self.clone(), parent.clone());
        // Reading it and making its files takes too long for a thread that serves others meanwhile.
        let taken = tokio::task::spawn_blocking(move || own.take_policy(&bytes, &parent));
        taken.await.map_err(|error| of_no_use(format!("the policy was not read: {error}")))?
    }

    fn take_policy(&self, bytes: &[u8], parent: &Parent) -> Result<(), Failed> {
        let refused = &self.refused_policies;
        let refuse = |error| refused.refuse(parent, Cause::from(&error), Chain(&error).to_string());
        let policy = BeaconPolicy::read(bytes).map_err(refuse)?;
        refused.is_good(parent);
        let held = self.downloads.revision();
        // An alternate may be behind, and is a parent all the same.
        if policy.revision < held {
            let why = format!("the parent's policy has revision {}, the present one {held}", policy.revision);
            return Err(of_no_use(why));
        }
        let kept = FolderDisk::open(&self.folder).and_then(|disk| replace_file(&disk, POLICY_FILE, bytes));
        // A disk that does not take it is no fault of the parent.
        kept.map_err(|error| of_no_use(format!("cannot keep it: {error}")))?;
        info!(revision = policy.revision, %parent, "a new policy is handed on");
        hand_on(&self.downloads, policy, self.node);
        Ok(())
    }

    /// Everything held, counted, and a page of what was set aside without a word from the server; one pass over the
    /// index in memory.
    fn queue(&self) -> (BeaconQueue, Vec<AsideReport>) {
        let (mut queue, mut aside, mut after) = (BeaconQueue::default(), Vec::new(), None::<Handle>);
        let now = self.clock.now();
        loop {
            let page = self.logs.package_index.after(after, PAGE);
            let Some(last) = page.last() else { return (queue, aside) };
            after = Some(last.handle);
            for held in page {
                let Some((tenant, key)) = PackageKey::decode(&held.key) else { continue };
                let kind = key.kind;
                let fact = FactKey::Package(tenant, key.clone()).encode();
                let is_aside = self.logs.fact_index.contains(&fact);
                queue.add(kind, u64::from(held.body_bytes), now.ms_since(held.time), is_aside);
                if is_aside && aside.len() < ASIDE_OF_STATUS_MAX {
                    aside.extend(self.to_report(held.handle, key, &fact));
                }
            }
        }
    }

    /// What there is to tell of a package that was set aside; what the server knows is read once in a life only.
    fn to_report(&self, handle: Handle, key: PackageKey, fact: &[u8]) -> Option<AsideReport> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(&handle) {
            return None;
        }
        let read = self.logs.fact_index.get(fact).map(|fact| fact.map(|fact| stored::unpack::<AsideFact>(&fact)));
        match read {
            Ok(Some(Ok(fact @ AsideFact { acknowledged: None, .. }))) => {
                let record = self.logs.package_index.read(handle).and_then(Result::ok);
                let envelope = record.and_then(|record| stored::unpack::<Envelope>(&record.head).ok());
                let place = envelope.and_then(|envelope| Some((envelope.stream?, envelope.sequence?)));
                Some(AsideReport::new(key, &fact, place))
            }
            Ok(Some(Ok(_))) => {
                told.insert(handle);
                None
            }
            Ok(None) => None,
            Ok(Some(Err(_))) | Err(_) => {
                warn!(package = %key.digest, "why a package was set aside does not read any more, it stays");
                told.insert(handle);
                None
            }
        }
    }

    /// Notes which of its packages the server knows of; what is for those below waits for their next report.
    async fn acknowledged(&self, mut answer: StatusAnswer) {
        let own = answer.acknowledged.remove(&self.node).unwrap_or_default();
        self.statuses.pass_on(answer);
        let mut writes = Vec::new();
        for key in own.into_iter().take(ASIDE_OF_STATUS_MAX) {
            let fact = FactKey::Package(self.tenant.clone(), key).encode();
            let read = self.logs.fact_index.get(&fact).ok().flatten();
            if let Some(known @ AsideFact { acknowledged: None, .. }) = read.and_then(|fact| stored::unpack(&fact).ok())
            {
                let known = AsideFact { acknowledged: Some(self.clock.now()), ..known };
                writes.push((Bytes::from(fact), Some(Bytes::from(stored::pack(&known)))));
            }
        }
        if let Err(error) = self.logs.facts.ask(writes).await {
            warn!(error = %Chain(&error), "the server's word on quarantine is not noted, it is asked for again");
        }
    }

    async fn report(&self, parent: &Parent) -> Result<(), Failed> {
        let (own, parent_address) = (self.clone(), parent.to_string());
        let report = tokio::task::spawn_blocking(move || {
            let (queue, aside) = own.queue();
            let mut report = vec![BeaconStatus {
                id: own.node,
                name: own.name.clone(),
                parent: parent_address,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                at: own.clock.now(),
                queue,
                policy_revision: own.downloads.revision(),
                policies_refused: own.refused_policies.count(),
                endpoint: own.endpoint.clone(),
                aside,
            }];
            report.extend(own.statuses.list().into_iter().filter(|status| status.id != own.node));
            let mut left = ASIDE_OF_REPORT_MAX;
            for status in &mut report {
                status.aside.truncate(left);
                left -= status.aside.len();
            }
            serde_json::to_vec(&report)
        });
        let body = report.await.map_err(failed)?.map_err(failed)?;
        let address = format!("{parent}/inventory-beacons/{}/status", self.node);
        let sent = self.client.put(address).timeout(ANSWER_TIME).body(body).send().await;
        let answer = self.heard(parent, Question::Status, sent)?;
        if !answer.status().is_success() {
            return Err(unwanted(&answer));
        }
        // One of an earlier version says nothing.
        let bytes = read_bounded(answer, ANSWER_BYTES_MAX).await?;
        if let Ok(answer) = serde_json::from_slice::<StatusAnswer>(&bytes) {
            self.acknowledged(answer).await;
        }
        Ok(())
    }

    /// What came back of a question, told to the operator where it is news.
    fn heard(
        &self,
        parent: &Parent,
        question: Question,
        sent: Result<reqwest::Response, reqwest::Error>,
    ) -> Result<reqwest::Response, Failed> {
        // The address stands in the line already.
        let sent = sent.map_err(|error| Chain(&error.without_url()).to_string());
        let heard = match &sent {
            Ok(answer) => Heard::Status(answer.status().as_u16()),
            Err(why) => Heard::Nothing(why),
        };
        self.outages.note(parent, question, heard);
        sent.map_err(failed)
    }

    /// Behind the status, and nothing waits for it: a slow link may need minutes. One at a time, so that no page goes twice.
    fn exchange_gaps(&self, parent: Parent) {
        let Ok(turn) = self.gaps_turn.clone().try_lock_owned() else { return };
        let (client, node, gaps) = (self.client.clone(), self.node, self.gaps.clone());
        actix::spawn(async move {
            let _turn = turn;
            if let Err(error) = gaps::exchange(&client, node, &gaps, &parent.0).await {
                debug!(%parent, error, "gap reports or the list of what is to be sent again did not pass");
            }
        });
    }
}

impl Upward for HttpUpward {
    fn ask_policy(&self, parent: Parent) -> Effect<(Asked, Arc<[Parent]>)> {
        let own = self.clone();
        Box::pin(async move {
            let answered = own.fetch_policy(&parent).await;
            let asked = told(answered, &parent, "no policy");
            (asked, own.parents.in_force(own.downloads.policy().as_ref(), own.node))
        })
    }

    fn send_status(&self, parent: Parent) -> Effect<Asked> {
        let own = self.clone();
        Box::pin(async move {
            let sent = own.report(&parent).await;
            if sent.is_ok() {
                own.exchange_gaps(parent.clone());
            }
            told(sent, &parent, "the status was not taken")
        })
    }
}

fn told(answered: Result<(), Failed>, parent: &Parent, what: &'static str) -> Asked {
    match answered {
        Ok(()) => Asked::Answered,
        Err((asked, error)) => {
            debug!(%parent, error, "{what}");
            asked
        }
    }
}
