//! `agent-status.json`: what the agent is about, for `muster agent status`. A view: never read back, never synced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use muster::model::package::Receipt;
use muster::roles::agent::{AgentCore, Denied, Listed};
use muster::time::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::agent::why_unordered;
use super::outbox::Outbox;
use crate::node::NodeFolder;

const FILE: &str = "agent-status.json";

/// The last receipt, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReceipt {
    /// What the server said.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// Its base address.
    pub server: String,
    /// When.
    pub at: String,
}

/// A queued package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedStatus {
    /// Its file.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// Its stream.
    pub stream: String,
    /// Its sequence.
    pub sequence: Option<u64>,
    /// When it was collected.
    pub collected_at: Option<String>,
}

/// When what is planned happens next; `None` for never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextEvents {
    /// The next inventory.
    pub inventory: Option<String>,
    /// The next policy question.
    pub policy: Option<String>,
    /// The next upload of what is queued.
    pub upload: Option<String>,
    /// The next catch-up.
    pub catch_up: Option<String>,
    /// Every event of the schedule in force.
    #[serde(default)]
    pub events: Vec<EventStatus>,
}

/// An event of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStatus {
    /// Its name.
    pub name: String,
    /// When it is due next; `None` for never.
    pub due: Option<String>,
}

/// A server in the order in which it would be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Base address of uploads.
    pub address: String,
    /// Why it stands here.
    pub why: String,
    /// Whether it may be asked now; if not, it is down or asked to be left alone for a while.
    pub is_open: bool,
    /// How it denied this agent's identity, when that was its last word: nothing is sent until `next.upload`.
    #[serde(default)]
    pub denied: Option<String>,
}

/// Policies, or contents of one, that were refused since the agent began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRefusals {
    /// How many.
    pub count: u64,
    /// Why the last one was; `None` while there was none.
    pub reason: Option<String>,
    /// When.
    pub at: Option<String>,
}

impl PolicyRefusals {
    /// One more.
    pub fn add(&mut self, reason: String, now: Timestamp) {
        self.count += 1;
        (self.reason, self.at) = (Some(reason), Some(now.to_rfc3339()));
    }
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Who the agent is.
    pub agent: String,
    /// Epoch of its sequences; text, because it has 64 bits.
    pub epoch: String,
    /// The server that is asked first.
    pub server: String,
    /// All servers, the one that is asked first in front.
    #[serde(default)]
    pub servers: Vec<ServerStatus>,
    /// Revision of the policy in force; text, because it has 64 bits. `None` before the first.
    #[serde(default)]
    pub policy_revision: Option<String>,
    /// What of policies was refused.
    #[serde(default)]
    pub refused_policies: PolicyRefusals,
    /// What is queued.
    pub queue: Vec<QueuedStatus>,
    /// The last receipt of this life.
    pub last_receipt: Option<LastReceipt>,
    /// When the last published inventory was collected.
    pub last_collected: Option<String>,
    /// What comes.
    pub next: NextEvents,
}

impl AgentStatus {
    /// What `outbox` holds and `core` is about to do at `now`. What was received and refused the caller knows.
    pub fn of(outbox: &Outbox, core: &AgentCore, policy_revision: u64, now: Timestamp) -> AgentStatus {
        let plan = core.plan(now);
        let servers: Vec<ServerStatus> = core.servers().listed(core.rules(), now).map(server_status).collect();
        let queue = outbox.envelopes().map(|envelope| QueuedStatus {
            name: envelope.file_name.to_string(),
            digest: envelope.digest.to_string(),
            size: envelope.size,
            stream: envelope.stream.as_ref().map(ToString::to_string).unwrap_or_default(),
            sequence: envelope.sequence.map(|sequence| sequence.number),
            collected_at: envelope.collected_at.map(Timestamp::to_rfc3339),
        });
        let at = |at: Timestamp| (at != Timestamp::NEVER).then(|| at.to_rfc3339());
        AgentStatus {
            agent: outbox.guid().to_string(),
            epoch: outbox.epoch().to_string(),
            server: core
                .rules()
                .servers
                .get(usize::from(plan.server.0))
                .map(|server| server.upload.clone())
                .unwrap_or_default(),
            servers,
            policy_revision: (policy_revision > 0).then(|| policy_revision.to_string()),
            refused_policies: PolicyRefusals::default(),
            queue: queue.collect(),
            last_receipt: None,
            last_collected: outbox.last_collected().map(Timestamp::to_rfc3339),
            next: NextEvents {
                inventory: at(plan.collect),
                policy: at(plan.policy),
                upload: at(plan.upload),
                catch_up: at(plan.catch_up),
                events: plan.events.into_iter().map(|(name, due)| EventStatus { name, due: at(due) }).collect(),
            },
        }
    }

    /// The status an agent with this data folder left.
    pub fn read(data: &Path) -> io::Result<AgentStatus> {
        serde_json::from_slice(&fs::read(data.join(FILE))?).map_err(io::Error::from)
    }
}

/// What an operator is shown: the status, and what is true of the folder now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownStatus {
    /// What the agent said last.
    #[serde(flatten)]
    pub status: AgentStatus,
    /// Whether it runs.
    pub running: bool,
    /// When it said so.
    pub as_of: String,
    /// Reports that no server took.
    pub refused: RefusedReports,
}

/// Reports in `refused/`, which holds the last few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReports {
    /// How many are there.
    pub count: usize,
    /// File of the newest: when it was refused, and its name.
    pub newest: Option<String>,
}

impl ShownStatus {
    /// That of the agent with this data folder.
    pub fn read(data: &Path) -> io::Result<ShownStatus> {
        // Before the status: one that ends meanwhile is said to run, and not the other way round.
        let running = NodeFolder::is_in_use(data)?;
        let status = AgentStatus::read(data)?;
        let written = fs::metadata(data.join(FILE))?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let as_of = Timestamp(i64::try_from(written.as_millis()).unwrap_or(i64::MAX)).to_rfc3339();
        Ok(ShownStatus { status, running, as_of, refused: RefusedReports::read(data)? })
    }
}

impl RefusedReports {
    fn read(data: &Path) -> io::Result<RefusedReports> {
        let entries = match fs::read_dir(data.join("refused")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RefusedReports::default()),
            Err(error) => return Err(error),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let names: Vec<String> = names.filter(|name| is_report(name)).collect();
        // Names begin with the moment of the refusal.
        Ok(RefusedReports { count: names.len(), newest: names.into_iter().max() })
    }
}

/// Not an envelope, and not a file that is just being written.
fn is_report(name: &str) -> bool {
    ![".envelope", ".tmp"].iter().any(|beside| name.ends_with(beside))
}

fn server_status(listed: Listed<'_>) -> ServerStatus {
    ServerStatus {
        address: listed.server.upload.clone(),
        why: listed.reason.map_or_else(|| why_unordered(listed.is_of_policy).to_owned(), ToString::to_string),
        is_open: listed.is_open,
        denied: listed.denied.map(|denied| {
            let denied = match denied {
                Denied::Unidentified => "401: the identity is not accepted",
                Denied::Revoked => "403: the identity is revoked",
            };
            denied.to_owned()
        }),
    }
}

/// Writes the status when it changed.
pub struct StatusFile {
    path: PathBuf,
    written: Option<AgentStatus>,
}

impl StatusFile {
    /// In this data folder.
    pub fn new(data: &Path) -> StatusFile {
        StatusFile { path: data.join(FILE), written: None }
    }

    /// Writes `status`; a full disk is no reason to stop.
    pub fn show(&mut self, status: AgentStatus) {
        if self.written.as_ref() == Some(&status) {
            return;
        }
        let temporary = self.path.with_extension("json.tmp");
        let text = serde_json::to_vec_pretty(&status).unwrap_or_default();
        match fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &self.path)) {
            Ok(()) => self.written = Some(status),
            Err(error) => debug!(%error, "the status was not written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_says_whether_the_agent_runs_and_what_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert_eq!(ShownStatus::read(&data).unwrap_err().kind(), io::ErrorKind::NotFound);
        let running = NodeFolder::open(&data).unwrap();
        StatusFile::new(&data).show(AgentStatus { agent: "a".into(), ..AgentStatus::default() });
        let shown = ShownStatus::read(&data).unwrap();
        assert_eq!((shown.running, &*shown.status.agent, shown.refused), (true, "a", RefusedReports::default()));
        drop(running);
        fs::create_dir(data.join("refused")).unwrap();
        for name in ["20250101T000000 old.ndi.gz", "20250102T000000 new.ndi.gz", "20250103T000000 x.ndi.gz.tmp"] {
            fs::write(data.join("refused").join(name), "").unwrap();
        }
        let shown = ShownStatus::read(&data).unwrap();
        let newest = Some("20250102T000000 new.ndi.gz".into());
        assert_eq!((shown.running, shown.refused), (false, RefusedReports { count: 2, newest }));
    }
}
