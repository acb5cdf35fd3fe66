//! Asks a server for this agent's policy, and keeps the last one.
//!
//! ```text
//! DATA/policy/policy.npl   the policy as it came
//! DATA/policy/etag         its ETag, so that an unchanged policy is one small answer
//! ```
//!
//! 404 is an answer: an agent that nothing is aimed at keeps what it has. Source: `agent-beacon-batch` reference, 8.2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster::formats::npl::Npl;
use muster::formats::wire::{self, header};
use muster::id::{Digest, Guid};
use muster::roles::agent::ServerNumber;
use tracing::{debug, info, warn};

use super::uploader::Pending;

/// Longest time for question and answer.
const POLICY_TIME: Duration = Duration::from_secs(60);
/// Longest policy that is read.
const POLICY_BYTES_MAX: usize = 4 << 20;

/// Asks for policy.
pub trait PolicySource: Send + Sync {
    /// Asks server `from`; whether there was an answer.
    fn ask(&self, agent: Guid, from: ServerNumber) -> Pending<bool>;
}

/// Asks over HTTP.
pub struct PolicyClient {
    http: reqwest::Client,
    servers: Arc<[String]>,
    folder: PathBuf,
    file: String,
}

impl PolicyClient {
    /// For this host, with the policy kept below `data`.
    pub fn new(http: reqwest::Client, servers: Arc<[String]>, data: &Path) -> PolicyClient {
        PolicyClient { http, servers, folder: data.join("policy"), file: policy_file() }
    }
}

impl PolicySource for PolicyClient {
    fn ask(&self, agent: Guid, from: ServerNumber) -> Pending<bool> {
        let Some(server) = self.servers.get(usize::from(from.0)) else { return Box::pin(async { false }) };
        let address = format!("{server}/ManageSoftDL/Policies/{}", wire::percent_encode(&self.file));
        let mut request = self.http.get(address).timeout(POLICY_TIME).header(header::AGENT, agent.to_string());
        let folder = self.folder.clone();
        if let Ok(etag) = fs::read_to_string(folder.join("etag")) {
            request = request.header(reqwest::header::IF_NONE_MATCH, etag);
        }
        Box::pin(async move {
            let Ok(answer) = request.send().await else { return false };
            match answer.status().as_u16() {
                200 => {}
                304 | 404 => return true,
                status => {
                    debug!(status, "no policy");
                    return false;
                }
            }
            let etag = answer.headers().get(reqwest::header::ETAG).and_then(|etag| etag.to_str().ok());
            let etag = etag.unwrap_or_default().to_owned();
            let Some(policy) = bounded(answer).await else { return false };
            if let Err(error) = Npl::read(policy.as_slice()) {
                warn!(%error, "the policy that came does not read, the present one is kept");
                return false;
            }
            match keep(&folder, &policy, &etag) {
                Ok(()) => info!(bytes = policy.len(), "new policy"),
                Err(error) => warn!(%error, "the policy was not stored"),
            }
            true
        })
    }
}

async fn bounded(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > POLICY_BYTES_MAX {
            return None;
        }
    }
    Some(bytes)
}

/// Stored without a sync: a policy that is lost is asked for again.
fn keep(folder: &Path, policy: &[u8], etag: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // The ETag goes first and comes last, so that it never stands beside another policy.
    match fs::remove_file(folder.join("etag")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(folder.join("policy.npl.tmp"), policy)?;
    fs::rename(folder.join("policy.npl.tmp"), folder.join("policy.npl"))?;
    if etag.is_empty() { Ok(()) } else { fs::write(folder.join("etag"), etag) }
}

/// `{machine}-{uid}.npl`: uid are the first 16 hexadecimal digits of the digest of the sorted hardware addresses.
fn policy_file() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = name.trim().split('.').next().unwrap_or_default().to_owned();
    let mut addresses: Vec<String> = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("address")).ok())
        .map(|address| address.trim().to_ascii_uppercase())
        .filter(|address| address.bytes().any(|byte| !matches!(byte, b'0' | b':')))
        .collect();
    addresses.sort();
    addresses.dedup();
    let digest = Digest::of(addresses.join(",").as_bytes()).to_string();
    format!("{}-{}.npl", wire::name_part(&machine), &digest[..16])
}
