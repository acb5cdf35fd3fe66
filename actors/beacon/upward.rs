//! Questions and reports to a parent that are no packages: policy and status.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster::id::Guid;
use muster::model::beacon_status::{BeaconQueue, BeaconStatus};
use muster::model::fact::FactKey;
use muster::model::package::PackageKey;
use muster::policy::PolicyBundle;
use muster::policy::bundle::BUNDLE_BYTES_MAX;
use muster::roles::beacon::ParentNumber;
use tracing::{debug, warn};

use super::relay::Effect;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::hierarchy::{Downloads, Statuses};
use crate::log::{FolderDisk, Handle, read_file, replace_file};
use crate::node::Logs;

/// The bundle a beacon keeps, so that it can answer while its parent is away.
const BUNDLE_FILE: &str = "policy.json";
/// JSON may double the bytes of a bundle's text.
const BUNDLE_FILE_BYTES_MAX: usize = 2 * BUNDLE_BYTES_MAX;
/// Longest wait for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Held packages looked at in one turn.
const PAGE: usize = 1_000;

/// Questions and reports to a parent that are no packages.
pub trait Upward: Send + Sync {
    /// Asks for policy; whether there was an answer.
    fn ask_policy(&self, parent: ParentNumber) -> Effect<bool>;
    /// Reports the newest status.
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
}

/// Hands out the bundle of the last life, if there is a whole one.
pub fn restore_bundle(folder: &std::path::Path, downloads: &Downloads) {
    let read = FolderDisk::open(folder).and_then(|disk| read_file(&disk, BUNDLE_FILE, BUNDLE_FILE_BYTES_MAX as u64));
    match read {
        Ok(Some(bytes)) => match serde_json::from_slice::<PolicyBundle>(&bytes) {
            Ok(bundle) if bundle.check().is_ok() => downloads.replace(bundle),
            _ => warn!("the kept policy is damaged, the parent is asked for a new one"),
        },
        Ok(None) => {}
        Err(error) => warn!(%error, "the kept policy cannot be read, the parent is asked for a new one"),
    }
}

impl HttpUpward {
    async fn fetch_policy(&self, parent: &str) -> Result<(), String> {
        let address = format!("{parent}/inventory-beacons/{}/policy", self.node);
        let mut request = self.client.get(address).timeout(ANSWER_TIME);
        if let Some(bundle) = self.downloads.bundle() {
            request = request.header("if-none-match", format!("\"{}\"", bundle.revision()));
        }
        let mut answer = request.send().await.map_err(|error| Chain(&error).to_string())?;
        match answer.status().as_u16() {
            304 => return Ok(()),
            200 => {}
            status => return Err(format!("the parent answered {status}")),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| Chain(&error).to_string())? {
            if bytes.len() + chunk.len() > BUNDLE_FILE_BYTES_MAX {
                return Err("the parent's policy is too large".into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let bundle: PolicyBundle = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        bundle.check().map_err(|error| error.to_string())?;
        let folder = self.folder.clone();
        let kept = tokio::task::spawn_blocking(move || replace_file(&FolderDisk::open(&folder)?, BUNDLE_FILE, &bytes));
        kept.await.map_err(|error| error.to_string())?.map_err(|error| format!("cannot keep it: {error}"))?;
        self.downloads.replace(bundle);
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
        })
    }
}
