//! Questions and reports to a parent that are no packages: policy and status.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster::id::Guid;
use muster::model::beacon_status::{BeaconQueue, BeaconStatus, Endpoint};
use muster::model::fact::FactKey;
use muster::model::package::PackageKey;
use muster::policy::BeaconPolicy;
use muster::policy::beacon_policy::POLICY_BYTES_MAX;
use muster::roles::beacon::{ParentNumber, own_schedule};
use tracing::{debug, info, warn};

use super::gaps;
use super::relay::Effect;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::hierarchy::{Downloads, Gaps, Statuses};
use crate::log::{FolderDisk, Handle, read_file, replace_file};
use crate::node::Logs;

/// The policy a beacon keeps, so that it can answer while its parent is away.
const POLICY_FILE: &str = "policy.json";
/// Longest wait for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Held packages looked at in one turn.
const PAGE: usize = 1_000;

/// Questions and reports to a parent that are no packages.
pub trait Upward: Send + Sync {
    /// Asks for policy; whether there was an answer.
    fn ask_policy(&self, parent: ParentNumber) -> Effect<bool>;
    /// Reports the newest status, passes gap reports on and asks what agents are to send again.
    fn send_status(&self, parent: ParentNumber) -> Effect<()>;
}

/// [`Upward`] over HTTP.
#[derive(Clone)]
pub struct HttpUpward {
    /// This beacon.
    pub node: Guid,
    /// Its name.
    pub name: String,
    /// Its data folder.
    pub folder: PathBuf,
    /// What it holds.
    pub logs: Logs,
    /// The present.
    pub clock: SharedClock,
    /// Base addresses of its parents in the configured order.
    pub parents: Arc<[String]>,
    /// Sends.
    pub client: reqwest::Client,
    /// What it hands on to those below.
    pub downloads: actix_web::web::Data<Downloads>,
    /// What those below report.
    pub statuses: actix_web::web::Data<Statuses>,
    /// What agents told of acknowledged packages, and what they are to send again.
    pub gaps: actix_web::web::Data<Gaps>,
    /// How agents reach it; `None` for one that they are not to use.
    pub endpoint: Option<Endpoint>,
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

impl HttpUpward {
    async fn fetch_policy(&self, parent: &str) -> Result<(), String> {
        let address = format!("{parent}/inventory-beacons/{}/policy", self.node);
        let mut request = self.client.get(address).timeout(ANSWER_TIME);
        if let Some(etag) = self.downloads.etag() {
            request = request.header(reqwest::header::IF_NONE_MATCH, etag);
        }
        let mut answer = request.send().await.map_err(|error| Chain(&error).to_string())?;
        match answer.status().as_u16() {
            304 => return Ok(()),
            200 => {}
            status => return Err(format!("the parent answered {status}")),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| Chain(&error).to_string())? {
            if bytes.len() + chunk.len() > POLICY_BYTES_MAX {
                return Err("the parent's policy is too large".into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let policy = BeaconPolicy::read(&bytes).map_err(|error| Chain(&error).to_string())?;
        let held = self.downloads.revision();
        if policy.revision < held {
            return Err(format!("the parent's policy has revision {}, the present one {held}", policy.revision));
        }
        let folder = self.folder.clone();
        let kept = tokio::task::spawn_blocking(move || replace_file(&FolderDisk::open(&folder)?, POLICY_FILE, &bytes));
        kept.await.map_err(|error| error.to_string())?.map_err(|error| format!("cannot keep it: {error}"))?;
        info!(revision = policy.revision, parent, "a new policy is handed on");
        hand_on(&self.downloads, policy, self.node);
        Ok(())
    }

    /// Everything held, counted; one pass over the index in memory.
    fn queue(&self) -> BeaconQueue {
        let (mut queue, mut after, now) = (BeaconQueue::default(), None::<Handle>, self.clock.now());
        loop {
            let page = self.logs.package_index.after(after, PAGE);
            let Some(last) = page.last() else { return queue };
            after = Some(last.handle);
            for held in page {
                let Some((tenant, key)) = PackageKey::decode(&held.key) else { continue };
                let kind = key.kind;
                let is_aside = self.logs.fact_index.contains(&FactKey::Package(tenant, key).encode());
                queue.add(kind, u64::from(held.body_bytes), now.ms_since(held.time), is_aside);
            }
        }
    }

    async fn report(&self, parent: &str) -> Result<(), String> {
        let (own, parent_address) = (self.clone(), parent.to_owned());
        let report = tokio::task::spawn_blocking(move || {
            let mut report = vec![BeaconStatus {
                id: own.node,
                name: own.name.clone(),
                parent: parent_address,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                at: own.clock.now(),
                queue: own.queue(),
                policy_revision: own.downloads.revision(),
                endpoint: own.endpoint.clone(),
            }];
            report.extend(own.statuses.list().into_iter().filter(|status| status.id != own.node));
            serde_json::to_vec(&report)
        });
        let body = report.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let address = format!("{parent}/inventory-beacons/{}/status", self.node);
        let sent = self.client.put(address).timeout(ANSWER_TIME).body(body).send().await;
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the parent answered {}", answer.status().as_u16())),
            Err(error) => Err(Chain(&error).to_string()),
        }
    }

    fn parent(&self, parent: ParentNumber) -> String {
        self.parents.get(parent.0).cloned().unwrap_or_default()
    }
}

impl Upward for HttpUpward {
    fn ask_policy(&self, parent: ParentNumber) -> Effect<bool> {
        let (own, parent) = (self.clone(), self.parent(parent));
        Box::pin(async move {
            let answered = own.fetch_policy(&parent).await;
            if let Err(error) = &answered {
                debug!(%parent, %error, "no policy");
            }
            answered.is_ok()
        })
    }

    fn send_status(&self, parent: ParentNumber) -> Effect<()> {
        let (own, parent) = (self.clone(), self.parent(parent));
        Box::pin(async move {
            if let Err(error) = own.report(&parent).await {
                debug!(%parent, %error, "the status was not taken");
            }
            if let Err(error) = gaps::exchange(&own.client, own.node, &own.gaps, &parent).await {
                debug!(%parent, %error, "gap reports or the list of what is to be sent again did not pass");
            }
        })
    }
}
