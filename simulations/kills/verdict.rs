//! What the stores say in the end. Source: delivery contract, section 6: from the stores, not from the logs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::id::{Digest, TenantId};
use muster::model::device::DeviceFact;
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::{Envelope, Kind, Origin, PackageKey};
use muster::model::settlement::{FinalState, Settlement};
use muster::model::staged::StagedRecord;
use muster::model::stored;
use muster::upload::ledger::{Counts, StreamLedger};
use muster_actors::agent::status::AgentStatus;
use muster_actors::log::{Disk, FactIndex, Facts, FolderDisk, Packages, SEGMENT_BYTES};

use super::agents::{Published, Report};
use super::{KillError, Node, REST_MAX};

/// So long nothing more is settled when all is at rest.
const AT_REST: Duration = Duration::from_secs(3);
/// How long the last import may take to be shown.
const SHOWN_MAX: Duration = Duration::from_secs(30);

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Its id in the contract.
    pub id: &'static str,
    /// What is broken.
    pub what: String,
}

/// What the stores say.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Verdict {
    /// Packages by final state.
    pub settled: BTreeMap<&'static str, u64>,
    /// Devices.
    pub devices: u64,
    /// What is broken; nothing is expected.
    pub violations: Vec<Violation>,
}

/// Waits until every published report has a final state: as many have one, and for a while no more follow, because the
/// agent of this host may have published some that nobody counted.
pub fn wait_for_rest(server: &Node, published: u64) -> Result<(), KillError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| KillError::World { doing: "start a runtime".into(), source })?;
    let until = Instant::now() + REST_MAX;
    let (client, mut last) = (reqwest::Client::new(), (0, Instant::now()));
    loop {
        let settled = runtime.block_on(settled(&client, server)).unwrap_or(0);
        if settled != last.0 {
            last = (settled, Instant::now());
        }
        if settled >= published && last.1.elapsed() > AT_REST {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(KillError::NoRest { unsettled: published.saturating_sub(settled), published });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until the list of devices and their software show each agent's newest report, as operators see it. What is not
/// shown in the end is a broken promise of the view.
pub fn devices_shown(server: &Node, published: &Published) -> Result<Vec<Violation>, KillError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| KillError::World { doing: "start a runtime".into(), source })?;
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    for Report { agent, sequence, .. } in &published.reports {
        let known = newest.entry(format!("pc{agent}")).or_default();
        *known = (*known).max(*sequence);
    }
    let (until, client) = (Instant::now() + SHOWN_MAX, reqwest::Client::new());
    loop {
        let shown = runtime.block_on(shown(&client, server)).unwrap_or_default();
        let wrong = newest.iter().filter(|(name, wanted)| {
            // A report that was stored but not answered may be one newer.
            !shown.get(*name).is_some_and(|(model, counter)| model == counter && model >= wanted)
        });
        let wrong: Vec<Violation> = wrong
            .map(|(name, wanted)| {
                let what = format!("{name} shows {:?}, its newest report is {wanted}", shown.get(name));
                Violation { id: "I8", what }
            })
            .collect();
        if wrong.is_empty() || Instant::now() > until {
            return Ok(wrong);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Model and version of the counting package by name of each device.
/// Waits until the agent with this data folder has nothing queued and a receipt of its last life; what that was for.
pub fn delivered_by(data: &Path) -> Result<PackageKey, KillError> {
    let until = Instant::now() + REST_MAX;
    loop {
        if let Ok(status) = AgentStatus::read(data)
            && let (true, Some(last)) = (status.queue.is_empty(), &status.last_receipt)
            && let Ok(guid) = status.agent.parse()
        {
            let digest = last.receipt.digest;
            return Ok(PackageKey { origin: Origin::agent(guid), kind: Kind::Inventories, digest });
        }
        if Instant::now() > until {
            let why = "its last report has no receipt".into();
            return Err(KillError::Store { role: "agent", why });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

async fn shown(client: &reqwest::Client, server: &Node) -> Option<BTreeMap<String, (u64, u64)>> {
    let get = async |path: String| {
        let url = format!("http://{}/api/v1/{path}", server.operator()?);
        let text = client.get(url).send().await.ok()?.text().await.ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    };
    let mut shown = BTreeMap::new();
    for item in get("devices?limit=1000".into()).await?["items"].as_array()? {
        let device = get(format!("devices/{}", item["id"].as_str()?)).await?;
        let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
        let numbers = number(&item["model"]).zip(number(&device["software"][0]["version"]));
        shown.extend(numbers.map(|numbers| (item["name"].as_str().unwrap_or_default().to_owned(), numbers)));
    }
    Some(shown)
}

async fn settled(client: &reqwest::Client, server: &Node) -> Option<u64> {
    let url = format!("http://{}/api/v1/ledger/summary", server.operator()?);
    let text = client.get(url).send().await.ok()?.text().await.ok()?;
    let summary: serde_json::Value = serde_json::from_str(&text).ok()?;
    let of = |field: &str| summary[field].as_u64();
    Some(of("imported")? + of("stale")? + of("quarantined")? + of("expired")?)
}

fn packages(folder: &Path, role: &'static str) -> Result<Packages, KillError> {
    let failed = |why: String| KillError::Store { role, why };
    let disk: Arc<dyn Disk> =
        Arc::new(FolderDisk::open(&folder.join(role).join("packages")).map_err(|error| failed(error.to_string()))?);
    Ok(Packages::open(disk, SEGMENT_BYTES, 1).map_err(|error| failed(error.to_string()))?.0)
}

fn all<K, T: serde::de::DeserializeOwned>(
    facts: &FactIndex,
    kind: FactKind,
    part: impl Fn(FactKey) -> Option<K>,
) -> Result<Vec<(K, T)>, KillError> {
    let (mut found, mut wrong) = (Vec::new(), None);
    let damaged = facts.each(&kind.prefix(None), |key, _, value| {
        match (FactKey::decode(key).and_then(&part), stored::unpack(&value)) {
            (Some(part), Ok(value)) => found.push((part, value)),
            (_, value) => wrong = Some(format!("a fact does not read: {:?}", value.err())),
        }
    });
    let wrong = wrong.or(damaged.into_iter().next().map(|(_, error)| error.to_string()));
    wrong.map_or(Ok(found), |why| Err(KillError::Store { role: "server", why }))
}

/// Checks the invariants on the stores that the nodes left below `folder`.
pub fn judge(folder: &Path, published: &Published) -> Result<Verdict, KillError> {
    let failed = |why: String| KillError::Store { role: "server", why };
    let disk = FolderDisk::open(&folder.join("server/facts")).map_err(|error| failed(error.to_string()))?;
    let (facts, _) = Facts::open(Arc::new(disk), SEGMENT_BYTES, 1).map_err(|error| failed(error.to_string()))?;
    let facts = facts.index();
    let settled: BTreeMap<PackageKey, Settlement> = all(&facts, FactKind::Package, |key| match key {
        FactKey::Package(_, package) => Some(package),
        _ => None,
    })?
    .into_iter()
    .collect();
    let mut broken = Broken::default();
    for role in ["server", "parent", "child", "agent"] {
        let log = std::fs::read_to_string(folder.join(format!("{role}.log"))).unwrap_or_default();
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        broken.extend("no panic", panics.map(|line| format!("the {role}: {line}")));
    }
    broken.extend("I16", published.refused.iter().map(|refused| format!("an agent was refused: {refused}")));
    broken.bodies(&packages(folder, "server")?, &settled);
    for role in ["parent", "child"] {
        let held = packages(folder, role)?.index().totals().0;
        // A released package may come back after a kill and is then sent once more; at rest nothing is held.
        broken.check("I10", held == 0, || format!("{held} packages are held at the {role} at rest"));
    }
    broken.reports(&published.reports, &settled);
    let host = published.of_this_host.as_ref();
    if let Some(key) = host {
        let is_imported = settled.get(key).is_some_and(|entry| entry.state == FinalState::Imported);
        broken.check("I1", is_imported, || format!("the last report of this host, {}, is not imported", key.digest));
    }
    let ledgers = all(&facts, FactKind::Ledger, |key| match key {
        FactKey::Ledger(_, origin, _) => Some(origin),
        _ => None,
    })?;
    broken.ledger(&ledgers, &settled, host.map(|key| &key.origin));
    let records: Vec<((), StagedRecord)> = all(&facts, FactKind::Record, |_| Some(()))?;
    broken.staged(&records, &settled, &published.reports);
    let devices: Vec<((), DeviceFact)> = all(&facts, FactKind::Device, |_| Some(()))?;
    let live = devices.iter().filter(|(_, fact)| fact.device.merged_into.is_none()).count();
    let agents: BTreeSet<&Origin> = published.reports.iter().map(|report| &report.key.origin).collect();
    let machines = agents.len() + usize::from(host.is_some());
    broken.check("I2", live == machines, || format!("{live} devices of {machines} machines"));
    let mut by_state = BTreeMap::new();
    settled.values().for_each(|settlement| *by_state.entry(settlement.state.as_str()).or_default() += 1);
    Ok(Verdict { settled: by_state, devices: live as u64, violations: broken.0 })
}

#[derive(Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn check(&mut self, id: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { id, what: what() });
        }
    }

    fn extend(&mut self, id: &'static str, list: impl IntoIterator<Item = String>) {
        self.0.extend(list.into_iter().map(|what| Violation { id, what }));
    }

    /// I3, I5, I6: what the server keeps is whole, and what was received.
    fn bodies(&mut self, packages: &Packages, settled: &BTreeMap<PackageKey, Settlement>) {
        let tenant = TenantId::default_tenant();
        for held in packages.index().after(None, usize::MAX) {
            let read = packages.index().read(held.handle).expect("held");
            let envelope = read.as_ref().ok().and_then(|record| stored::unpack::<Envelope>(&record.head).ok());
            let is_whole = match (&read, &envelope) {
                (Ok(record), Some(envelope)) => {
                    Digest::of(&record.body) == envelope.digest && envelope.key().encode(&tenant) == *held.key
                }
                _ => false,
            };
            self.check("I6", is_whole, || format!("a kept package is not what was received: {envelope:?}"));
        }
        for key in settled.keys() {
            let is_kept = packages.index().find(&key.encode(&tenant)).is_some();
            self.check("I4", is_kept, || format!("the bytes of {} are gone before their time", key.digest));
        }
    }

    /// I1 and I16: every receipt has become a final state, and none of a good report is quarantine.
    fn reports(&mut self, reports: &[Report], settled: &BTreeMap<PackageKey, Settlement>) {
        for Report { key, sequence, .. } in reports {
            match settled.get(key).map(|settlement| settlement.state) {
                Some(FinalState::Imported | FinalState::Stale) => {}
                Some(state) => self.check("I16", false, || format!("report {sequence} of {} is {state}", key.origin)),
                None => self.check("I1", false, || format!("report {sequence} of {} had a receipt", key.origin)),
            }
        }
    }

    /// I2 and I7: one entry for each package that the ledgers counted. Only the agent of this `host` supersedes what it
    /// has published, so its sequences have gaps.
    fn ledger(
        &mut self,
        ledgers: &[(Origin, StreamLedger)],
        settled: &BTreeMap<PackageKey, Settlement>,
        host: Option<&Origin>,
    ) {
        let mut counts = Counts::default();
        ledgers.iter().for_each(|(_, ledger)| counts.add(ledger.counts()));
        let entries = settled.len() as u64;
        self.check("I2", counts.settled() == entries, || format!("{entries} entries, counted {counts:?}"));
        let others = ledgers.iter().filter(|(origin, _)| Some(origin) != host);
        let gaps: u64 = others.map(|(_, ledger)| ledger.gaps()).sum();
        self.check("I7", gaps == 0, || format!("{gaps} sequences are missing"));
    }

    /// I2 and I8: what is staged has an entry, and is the newest of its agent.
    fn staged(
        &mut self,
        records: &[((), StagedRecord)],
        settled: &BTreeMap<PackageKey, Settlement>,
        reports: &[Report],
    ) {
        let mut newest: BTreeMap<&Origin, u64> = BTreeMap::new();
        for Report { key, sequence, .. } in reports {
            let known = newest.entry(&key.origin).or_default();
            *known = (*known).max(*sequence);
        }
        for staged in records.iter().flat_map(|((), record)| record.reports()) {
            let entry = settled.get(&staged.package);
            let origin = &staged.package.origin;
            let is_imported = entry.is_some_and(|entry| entry.state == FinalState::Imported);
            self.check("I2", is_imported, || format!("{origin} is staged without an entry"));
            let sequence = entry.and_then(|entry| entry.envelope.sequence).map(|sequence| sequence.number);
            let wanted = newest.remove(origin);
            // A report that was stored but not answered may be one newer.
            let is_newest = sequence.is_some_and(|found| wanted.is_none_or(|wanted| found >= wanted));
            self.check("I8", is_newest, || format!("{origin} shows report {sequence:?}, {wanted:?} is the newest"));
        }
        self.extend("I1", newest.keys().map(|origin| format!("{origin} has no record")));
    }
}
