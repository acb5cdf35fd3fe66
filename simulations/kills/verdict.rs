//! What the stores say in the end. Source: delivery contract, section 6: from the stores, not from the logs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use muster::id::{Digest, Guid};
use muster::model::package::{Kind, Origin, PackageKey};
use muster::model::settlement::{FinalState, Settlement};
use muster::model::staged::StagedRecord;
use muster::upload::ledger::{Counts, StreamLedger};
use muster_actors::agent::status::AgentStatus;

use super::agents::{Published, Report};
use super::hierarchy::Role;
use super::stores::Stores;
use super::strikes::Struck;
use super::{KillError, Node, REST_MAX};
use crate::invariants::Invariants;
use crate::proxy::Tally;

/// So long nothing more is settled when all is at rest.
const AT_REST: Duration = Duration::from_secs(3);
/// How long the last import may take to be shown.
const SHOWN_MAX: Duration = Duration::from_secs(30);

/// What the contract takes for granted, and what is looked at beside its invariants.
pub const ALIVE: &str = "alive";

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Its id in the contract, or `ALIVE`.
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
    /// How often each invariant was looked at.
    #[serde(skip)]
    pub invariants: Invariants,
    /// Looks at whether a node ended of itself.
    #[serde(skip)]
    pub looks: u64,
    /// What is broken, the first of each kind; nothing is expected.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// One more look at `id`; `wrong` says what is broken.
    pub fn add(&mut self, id: &'static str, wrong: impl IntoIterator<Item = String>) {
        let mut wrong = wrong.into_iter().peekable();
        if wrong.peek().is_none() {
            self.invariants.held(id, 1);
        }
        for what in wrong {
            self.invariants.check(id, false, || what.clone());
            self.violations.push(Violation { id, what });
        }
    }
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
pub fn devices_shown(server: &Node, published: &Published) -> Result<Vec<String>, KillError> {
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
        let wrong: Vec<String> = wrong
            .map(|(name, wanted)| format!("{name} shows {:?}, its newest report is {wanted}", shown.get(name)))
            .collect();
        if wrong.is_empty() || Instant::now() > until {
            return Ok(wrong);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the agent with this data folder has nothing queued and a receipt of its last life; what that was for.
/// `published` counts its last report, too.
pub fn delivered_by(data: &Path, published: u64) -> Result<PackageKey, KillError> {
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
            return Err(KillError::NoRest { unsettled: 1, published });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Model and version of the counting package by name of each device.
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

/// Checks the invariants on what the nodes left, and what the run saw beside it.
pub fn judge(stores: &Stores, published: &Published, struck: &Struck, tally: &Tally) -> Verdict {
    let settled = &stores.settled;
    let mut broken = Broken::default();
    broken.note(ALIVE, stores.panics.iter().chain(&struck.crashed).cloned());
    broken.check("I16", published.refused.is_empty(), || format!("an agent was refused: {:?}", published.refused));
    broken.check("I3", tally.false_receipts.is_empty(), || format!("{:?}", tally.false_receipts));
    broken.check("I5", stores.unreadable.is_empty(), || format!("{:?}", stores.unreadable));
    broken.bodies(stores);
    for (role, packages) in &stores.packages {
        // A released package may come back after a kill and is then sent once more; at rest nothing is held.
        let held = packages.len();
        let is_server = *role == Role::Server;
        broken.check("I10", is_server || held == 0, || {
            format!("{held} packages are held at the {} at rest", role.as_str())
        });
    }
    for (role, aside) in &stores.aside {
        broken
            .check("I16", aside.is_empty(), || format!("the {} has set aside good packages: {aside:?}", role.as_str()));
    }
    broken.reports(&published.reports, settled);
    let host = published.of_this_host.as_ref();
    if let Some(key) = host {
        let is_imported = settled.get(key).is_some_and(|entry| entry.state == FinalState::Imported);
        broken.check("I1", is_imported, || format!("the last report of this host, {}, is not imported", key.digest));
        broken.host(&key.origin, &struck.host_receipts, settled);
    }
    let agents: BTreeSet<&Origin> = published.reports.iter().map(|report| &report.key.origin).collect();
    broken.ways(settled, &agents, host.map(|key| &key.origin));
    broken.ledger(&stores.ledgers, settled, host.map(|key| &key.origin));
    broken.staged(&stores.records, settled, &published.reports);
    let live = stores.devices.iter().filter(|fact| fact.device.merged_into.is_none()).count();
    let machines = agents.len() + usize::from(host.is_some());
    broken.check("I2", live == machines, || format!("{live} devices of {machines} machines"));
    let taken = &tally.receipts_without_room;
    broken.invariants.held("I17", tally.answers_without_room.saturating_sub(taken.len() as u64));
    for what in taken {
        broken.check("I17", false, || what.clone());
    }
    broken.invariants.held("I9", if broken.is_held("I8") { published.skewed } else { 0 });
    broken.invariants.held("I19", struck.revisions.looks);
    for what in &struck.revisions.went_down {
        broken.check("I19", false, || what.clone());
    }
    let mut by_state = BTreeMap::new();
    settled.values().for_each(|settlement| *by_state.entry(settlement.state.as_str()).or_default() += 1);
    Verdict {
        settled: by_state,
        devices: live as u64,
        invariants: broken.invariants,
        looks: struck.looks,
        violations: broken.violations,
    }
}

/// Violations of one invariant that are told; the others are counted.
const TOLD_MAX: u64 = 5;

#[derive(Default)]
struct Broken {
    invariants: Invariants,
    violations: Vec<Violation>,
    told: BTreeMap<&'static str, u64>,
}

impl Broken {
    fn check(&mut self, id: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if holds {
            self.invariants.held(id, 1);
        } else {
            let what = what();
            self.invariants.check(id, false, || what.clone());
            self.note(id, [what]);
        }
    }

    fn note(&mut self, id: &'static str, list: impl IntoIterator<Item = String>) {
        for what in list {
            let told = self.told.entry(id).or_default();
            *told += 1;
            if *told <= TOLD_MAX {
                self.violations.push(Violation { id, what });
            }
        }
    }

    fn is_held(&self, id: &str) -> bool {
        !self.told.contains_key(id)
    }

    /// I3, I5, I6: what the server keeps is whole, and what was received.
    fn bodies(&mut self, stores: &Stores) {
        let Some(kept) = stores.packages.get(&Role::Server) else { return };
        for (key, is_whole) in kept {
            for id in ["I3", "I5", "I6"] {
                self.check(id, *is_whole, || format!("a kept package is not what was received: {key:?}"));
            }
        }
        for key in stores.settled.keys() {
            self.check("I4", kept.contains_key(key), || {
                format!("the bytes of {} are gone before their time", key.digest)
            });
        }
    }

    /// I1 and I16: whatever the agent of this host was seen to have a receipt for has become a final state.
    fn host(&mut self, host: &Origin, receipts: &BTreeSet<Digest>, settled: &BTreeMap<PackageKey, Settlement>) {
        let of_host = settled.iter().filter(|(key, _)| key.origin == *host);
        let states: BTreeMap<Digest, FinalState> = of_host.map(|(key, entry)| (key.digest, entry.state)).collect();
        for digest in receipts {
            match states.get(digest) {
                Some(FinalState::Imported | FinalState::Stale) => self.check("I1", true, String::new),
                Some(state) => self.check("I16", false, || format!("a report of this host, {digest}, is {state}")),
                None => self.check("I1", false, || format!("a report of this host, {digest}, had a receipt")),
            }
        }
    }

    /// I14 and I7: the ways that packages came, and that somebody published them.
    fn ways(&mut self, settled: &BTreeMap<PackageKey, Settlement>, agents: &BTreeSet<&Origin>, host: Option<&Origin>) {
        for (key, settlement) in settled {
            let nodes: Vec<Guid> = settlement.envelope.hops.iter().map(|hop| hop.node).collect();
            let is_straight = nodes.len() <= 8 && nodes.iter().collect::<BTreeSet<_>>().len() == nodes.len();
            self.check("I14", is_straight, || format!("{} came by {nodes:?}", key.digest));
            let is_known = agents.contains(&key.origin) || host == Some(&key.origin);
            self.check("I7", is_known, || format!("nobody is {}, of whom {} is said to be", key.origin, key.digest));
        }
    }

    /// I1 and I16: every receipt has become a final state, and none of a good report is quarantine.
    fn reports(&mut self, reports: &[Report], settled: &BTreeMap<PackageKey, Settlement>) {
        for Report { key, sequence, .. } in reports {
            match settled.get(key).map(|settlement| settlement.state) {
                Some(FinalState::Imported | FinalState::Stale) => self.check("I1", true, String::new),
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
    fn staged(&mut self, records: &[StagedRecord], settled: &BTreeMap<PackageKey, Settlement>, reports: &[Report]) {
        let mut newest: BTreeMap<&Origin, u64> = BTreeMap::new();
        for Report { key, sequence, .. } in reports {
            let known = newest.entry(&key.origin).or_default();
            *known = (*known).max(*sequence);
        }
        for staged in records.iter().flat_map(StagedRecord::reports) {
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
        for origin in newest.keys() {
            self.check("I1", false, || format!("{origin} has no record"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receipt_of_this_host_is_looked_for_and_a_node_that_ended_is_told() {
        let host = Origin::agent(Guid::from_random([1; 16]));
        let digest = Digest::of(b"a report");
        let mut struck = Struck::default();
        struck.crashed.push("the child ended of itself".into());
        struck.host_receipts.insert(Digest::of(b"one before"));
        let of_this_host = Some(PackageKey { origin: host, kind: Kind::Inventories, digest });
        let published = Published { of_this_host, ..Published::default() };
        let verdict = judge(&Stores::default(), &published, &struck, &Tally::new(1));
        let told: Vec<&str> = verdict.violations.iter().map(|violation| violation.id).collect();
        assert_eq!(told, [ALIVE, "I1", "I1", "I2"], "{:?}", verdict.violations);
    }
}
