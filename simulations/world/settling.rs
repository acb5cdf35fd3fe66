//! The server's facts log in virtual time: the deployed one, with the deployed rules of settling, on a simulated disk.

use std::sync::Arc;

use bytes::Bytes;
use muster::formats::ndi::read_ndi_gz;
use muster::model::device::DeviceFact;
use muster::model::draft::Draft;
use muster::model::fact::{FactKey, FactKind};
use muster::model::inventory::Inventory;
use muster::model::package::Envelope;
use muster::model::settlement::{FinalState, Settlement};
use muster::model::staged::StagedRecord;
use muster::model::stored;
use muster::model::tenant::TenantState;
use muster::rng::RngStream;
use muster::roles::server::{Content, ImportRules, import, settle};
use muster::time::Timestamp;
use muster::upload::ledger::StreamLedger;
use muster_actors::log::{Answer, Facts, Group, Job};
use tokio::sync::oneshot;

use super::book::Ended;
use super::content::{self, Contents, tenant};
use super::custody::SEGMENT_BYTES;
use super::devices::{self, Shelves};
use super::event::{PackageId, Parcel};
use crate::disk::SimDisk;

/// A package and how it ended.
pub type EndedPackage = (PackageId, Ended);

/// A commit that is not synced yet.
struct Commit {
    number: u64,
    ended: Vec<EndedPackage>,
    answer: oneshot::Receiver<Answer<Facts>>,
}

/// A commit that was answered.
pub struct Committed {
    /// What tells it from others.
    pub number: u64,
    /// What it settled.
    pub ended: Vec<EndedPackage>,
    /// Whether it is on the disk; else nothing of it is.
    pub is_durable: bool,
}

/// See the module's head.
pub struct Settling {
    disk: SimDisk,
    seed: u64,
    contents: Arc<Contents>,
    rules: ImportRules,
    group: Option<Group<Facts>>,
    commits: Vec<Commit>,
    /// A sync is planned.
    pub is_open: bool,
}

fn ended_of(state: FinalState) -> Ended {
    match state {
        FinalState::Imported => Ended::Imported,
        FinalState::Stale => Ended::Stale,
        FinalState::Quarantined => Ended::Quarantined,
        FinalState::Expired => Ended::Expired,
    }
}

impl Settling {
    /// An empty disk.
    pub fn new(seed: u64, contents: Arc<Contents>) -> Settling {
        let (disk, rules) = (SimDisk::default(), devices::rules());
        Settling { disk, seed, contents, rules, group: None, commits: Vec::new(), is_open: false }
    }

    /// Opens the log.
    pub fn open(&mut self, life: u32) -> Result<(), String> {
        let opened = Facts::open(Arc::new(self.disk.clone()), SEGMENT_BYTES, self.seed ^ u64::from(life));
        let (facts, _) = opened.map_err(|error| format!("the facts log does not open: {error}"))?;
        self.group = Some(Group::new(facts));
        Ok(())
    }

    /// The process or the power is gone.
    pub fn die(&mut self, rng: &mut RngStream) {
        self.group = None;
        self.commits.clear();
        self.is_open = false;
        self.disk = if rng.below(2) == 0 { self.disk.killed() } else { self.disk.outcome(rng) };
    }

    fn read<T: serde::de::DeserializeOwned>(&self, key: &FactKey) -> Option<T> {
        let value = self.group.as_ref()?.journal().index().get(&key.encode()).ok()??;
        stored::unpack(&value).ok()
    }

    /// Whether a package has a final state.
    pub fn is_settled(&self, parcel: &Parcel) -> bool {
        let key = FactKey::Package(tenant(), self.contents.key(parcel)).encode();
        self.group.as_ref().is_some_and(|group| group.journal().index().contains(&key))
    }

    /// The ledger of an origin's stream, by the first agent of that id.
    pub fn ledger(&self, agent: u32) -> StreamLedger {
        self.read(&FactKey::Ledger(tenant(), content::origin(agent), content::stream())).unwrap_or_default()
    }

    /// The tenant's counters.
    pub fn state(&self) -> TenantState {
        self.read(&FactKey::Tenant(tenant())).unwrap_or_default()
    }

    /// Every package with a final state.
    pub fn settled(&self) -> Vec<EndedPackage> {
        let mut settled = Vec::new();
        if let Some(group) = &self.group {
            group.journal().index().each(&FactKind::Package.prefix(None), |_, _, value| {
                let Ok(entry) = stored::unpack::<Settlement>(&value) else { return };
                settled.extend(content::parcel(&entry.envelope, 0).map(|parcel| (parcel.id, ended_of(entry.state))));
            });
        }
        settled
    }

    /// Settles packages in one commit, which [`Settling::end`] makes durable. `number` tells it from others.
    pub fn settle(&mut self, number: u64, packages: Vec<(Envelope, Bytes)>, now: Timestamp) -> Result<(), String> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let index = group.journal().index();
        let mut draft = Draft::new(|key: &[u8]| index.get(key));
        let mut ended = Vec::new();
        for (envelope, body) in packages {
            let id = content::parcel(&envelope, 0).map(|parcel| parcel.id);
            let content = match read_ndi_gz(&body[..]).map(|(file, _)| Inventory::of(&file)) {
                Ok(Ok(inventory)) => Content::Inventory(Box::new(inventory)),
                Ok(Err(error)) => Content::Bad(error.to_string()),
                Err(error) => Content::Bad(error.to_string()),
            };
            let settled = settle(&mut draft, &tenant(), envelope, content, now).map_err(|error| error.to_string())?;
            ended.extend(id.zip(settled).map(|(id, settled)| (id, ended_of(settled.state))));
        }
        let writes = draft.into_writes().map(|(key, value)| (Bytes::from(key), value.map(Bytes::from))).collect();
        self.commit(number, writes, ended, now);
        Ok(())
    }

    fn all<K, T: serde::de::DeserializeOwned>(
        &self,
        kind: FactKind,
        part: impl Fn(FactKey, &T) -> Option<K>,
    ) -> Vec<(K, T)> {
        let mut all = Vec::new();
        if let Some(group) = &self.group {
            group.journal().index().each(&kind.prefix(Some(&tenant())), |key, _, value| {
                let Ok(value) = stored::unpack::<T>(&value) else { return };
                let part = FactKey::decode(key).and_then(|key| part(key, &value));
                all.extend(part.map(|part| (part, value)));
            });
        }
        all
    }

    /// What is on the disk of records, devices and packages.
    pub fn shelves(&self) -> Shelves {
        let record = |key, _: &StagedRecord| match key {
            FactKey::Record(_, record) => Some(record),
            _ => None,
        };
        let packages = self.all(FactKind::Package, |_, entry: &Settlement| {
            content::parcel(&entry.envelope, 0).map(|parcel| parcel.id)
        });
        Shelves {
            records: self.all(FactKind::Record, record),
            devices: self
                .all(FactKind::Device, |_, _: &DeviceFact| Some(()))
                .into_iter()
                .map(|(_, fact)| fact)
                .collect(),
            state: self.state(),
            packages: packages.into_iter().map(|(id, entry)| (entry.envelope.key(), id)).collect(),
        }
    }

    /// Imports what is staged into devices, in one commit.
    pub fn import(&mut self, number: u64, now: Timestamp) {
        let Shelves { records, devices, state, .. } = self.shelves();
        let imported = import(&self.rules, &records, &devices, &state, now);
        let device = |fact: &DeviceFact| {
            let key = FactKey::Device(tenant(), fact.device.id).encode();
            (Bytes::from(key), Some(Bytes::from(stored::pack(fact))))
        };
        let counters = (Bytes::from(FactKey::Tenant(tenant()).encode()), Some(stored::pack(&imported.state).into()));
        let writes = imported.devices.iter().map(device).chain(std::iter::once(counters)).collect();
        self.commit(number, writes, Vec::new(), now);
    }

    /// Writes the tenant's counters.
    pub fn note(&mut self, number: u64, state: &TenantState, now: Timestamp) {
        let write = (Bytes::from(FactKey::Tenant(tenant()).encode()), Some(Bytes::from(stored::pack(state))));
        self.commit(number, vec![write], Vec::new(), now);
    }

    fn commit(&mut self, number: u64, request: Vec<(Bytes, Option<Bytes>)>, ended: Vec<EndedPackage>, now: Timestamp) {
        let (reply, answer) = oneshot::channel();
        if let Some(group) = &mut self.group {
            let _ = group.take(now, Job { request, reply });
        }
        self.commits.push(Commit { number, ended, answer });
    }

    /// Syncs what was committed, when it is time.
    pub fn end(&mut self, now: Timestamp) {
        self.is_open = false;
        if let Some(group) = &mut self.group {
            let synced = group.end(Ok(()));
            group.journal().index().cover(group.journal().index().newest());
            let tidied = group.tidy(now);
            debug_assert!(synced.is_ok() && tidied.is_ok(), "a simulated disk fails only where it is told to");
        }
    }

    /// Commits that were answered since the last look.
    pub fn answered(&mut self) -> Vec<Committed> {
        let mut answered = Vec::new();
        self.commits.retain_mut(|commit| match commit.answer.try_recv() {
            Ok(answer) => {
                let (number, ended) = (commit.number, std::mem::take(&mut commit.ended));
                answered.push(Committed { number, ended, is_durable: answer.is_ok() });
                false
            }
            Err(_) => true,
        });
        answered
    }
}
