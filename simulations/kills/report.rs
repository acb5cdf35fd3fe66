//! What came out of a run, as one line.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::agents::Published;
use super::hierarchy::LINKS;
use super::plan::{NodeFault, Plan};
use super::strikes::Struck;
use super::verdict::{ALIVE, Verdict};
use crate::proxy::Tally;

/// Invariants that a run with real processes has no part of, and why.
const NOT_CHECKED: [(&str, &str); 9] = [
    ("I9", "no agent's clock was off"),
    ("I11", "every package of a run is a good one"),
    ("I12", "limits of queues are those of virtual time and of the load tests; a run is too short to meet them"),
    ("I13", "counts hours without an outage, and a run has none"),
    ("I17", "no upload met a node that had to take its disk for full"),
    ("I18", "no identity is proven in a run: an agent is whom it says it is"),
    ("I19", "no node told of a policy"),
    ("I20", "the run has no export target"),
    ("I21", "real processes share a machine: a seed repeats the faults, not what is under way"),
];

/// See the module's head.
#[derive(Clone, Debug)]
pub struct KillReport {
    /// The seed.
    pub seed: u64,
    /// Kills by node.
    pub kills: BTreeMap<&'static str, u32>,
    /// Faults of nodes by kind.
    pub node_faults: BTreeMap<&'static str, u64>,
    /// Requests that each fault of links struck.
    pub link_faults: BTreeMap<&'static str, u64>,
    /// Requests of each link, and how many of them were struck.
    pub links: BTreeMap<&'static str, (u64, u64)>,
    /// Answers to uploads, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Nodes that ended of themselves.
    pub ended: BTreeMap<&'static str, u32>,
    /// Reports with a receipt.
    pub published: u64,
    /// Receipts that agents got, those for duplicates included.
    pub receipts: u64,
    /// Uploads without a usable answer.
    pub unanswered: u64,
    /// Reports whose agent's clock was a day off.
    pub skewed: u64,
    /// Settings that the server took from its operator.
    pub policies_set: u64,
    /// What no fault does by itself, with its hits: what it stands for was not tried without.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// What the stores say.
    pub verdict: Verdict,
    /// Kinds of faults that were planned and struck nothing, or that this host cannot make.
    pub never_reached: Vec<&'static str>,
    /// As what a day of the scenario passed, in milliseconds.
    pub day_ms: Option<i64>,
    /// Kinds of the scenario that real processes cannot show.
    pub not_shown: Vec<&'static str>,
}

impl KillReport {
    /// Of a run that has come to its end.
    pub(super) fn of(
        seed: u64,
        plan: &Plan,
        published: &Published,
        struck: &Struck,
        tally: &Tally,
        verdict: Verdict,
    ) -> KillReport {
        let mut link_faults = tally.by_fault();
        link_faults.retain(|name, _| plan.kinds.contains(name));
        let mut node_faults: BTreeMap<&'static str, u64> =
            NodeFault::all().map(|fault| (fault.as_str(), 0)).filter(|(name, _)| plan.kinds.contains(name)).collect();
        for (name, times) in &struck.faults {
            *node_faults.entry(name).or_default() += times;
        }
        let never = |faults: &BTreeMap<&'static str, u64>| -> Vec<&'static str> {
            faults.iter().filter(|(_, times)| **times == 0).map(|(name, _)| *name).collect()
        };
        let mut outcomes = BTreeMap::from([("policy moved", struck.revisions.moves)]);
        if ["disk-reserve", "disk-full"].iter().any(|name| node_faults.contains_key(name)) {
            outcomes.insert("answer 507", tally.statuses.get(&507).copied().unwrap_or(0));
        }
        let never_reached = [never(&link_faults), never(&node_faults), never(&outcomes)].concat();
        let links = LINKS.iter().enumerate();
        KillReport {
            seed,
            kills: struck.kills.clone(),
            node_faults,
            link_faults,
            links: links.map(|(place, (name, ..))| (*name, (tally.requests[place], tally.struck(place)))).collect(),
            statuses: tally.statuses.clone(),
            ended: struck.ended.clone(),
            published: published.reports.len() as u64 + 1,
            receipts: published.receipts,
            unanswered: published.unanswered,
            skewed: published.skewed,
            policies_set: struck.policies_set,
            outcomes,
            verdict,
            never_reached,
            day_ms: plan.day_ms,
            not_shown: plan.not_shown.clone(),
        }
    }

    /// Every probe with its hits.
    pub fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.link_faults.iter().chain(&self.node_faults).chain(&self.outcomes).map(|(name, times)| (*name, *times))
    }

    /// As one line.
    pub fn to_json(&self) -> Value {
        let links: Map<String, Value> = self
            .links
            .iter()
            .map(|(name, (requests, struck))| ((*name).to_owned(), json!({ "requests": requests, "struck": struck })))
            .collect();
        let mut invariants = self.verdict.invariants.to_json();
        for row in invariants.as_array_mut().into_iter().flatten() {
            if let Some((_, why)) = NOT_CHECKED.iter().find(|(id, _)| row["id"] == *id)
                && row["checked"].is_null()
            {
                row["why_not"] = (*why).into();
            }
        }
        let dead: Vec<&str> = violations(&self.verdict, ALIVE).collect();
        let row = json!({
            "id": ALIVE,
            "text": "no node panics, and none ends of itself unless its disk is full",
            "checked": self.verdict.looks,
            "violations": dead.len(),
            "first": dead.first(),
        });
        invariants.as_array_mut().into_iter().for_each(|rows| rows.push(row.clone()));
        json!({
            "seed": self.seed,
            "kills": self.kills,
            "node_faults": self.node_faults,
            "link_faults": self.link_faults,
            "links": links,
            "statuses": self.statuses,
            "ended_of_themselves": self.ended,
            "published": self.published,
            "receipts": self.receipts,
            "unanswered": self.unanswered,
            "clocks_off": self.skewed,
            "policies_set": self.policies_set,
            "outcomes": self.outcomes,
            "settled": self.verdict.settled,
            "devices": self.verdict.devices,
            "invariants": invariants,
            "violations": self.verdict.violations,
            "never_reached": self.never_reached,
            "scenario_day_ms": self.day_ms,
            "not_shown": self.not_shown,
        })
    }
}

fn violations<'v>(verdict: &'v Verdict, id: &'v str) -> impl Iterator<Item = &'v str> {
    verdict.violations.iter().filter(move |violation| violation.id == id).map(|violation| violation.what.as_str())
}
