//! What is measured of a run, for reports: bounded, however long the run is.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use muster::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

use super::event::NodeId;
use super::layout::{Layout, Level};
use crate::scenario::{FaultKind, Scenario};

/// Most faults that a report lists.
const STRUCK_MAX: usize = 2_000;
/// Rows of the heat map; more beacons share rows.
const HEAT_ROWS_MAX: usize = 64;

/// A fault that struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: FaultKind,
    /// Whom.
    pub node: NodeId,
    /// For how long, in milliseconds.
    pub for_ms: i64,
}

/// What the beacons of a level held at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spool {
    /// Packages of all its beacons.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packages of the fullest one.
    pub most: u64,
}

/// One hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Uploads.
    pub sent: u64,
    /// First ones of a package by its holder.
    pub first: u64,
    /// Milliseconds for which beacons and the server were struck by a fault, over all of them.
    pub struck_ms: i64,
}

/// What one beacon had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests in all.
    pub requests: u64,
    /// Bytes it was sent.
    pub bytes: u64,
    /// Requests in its busiest minute.
    pub most_in_a_minute: u32,
    /// Most packages it held, at a look.
    pub most_held: u64,
    /// Most bytes it held, at a look.
    pub most_held_bytes: u64,
    minute: i64,
    in_minute: u32,
}

/// See the module's head.
pub struct Record {
    start: Timestamp,
    heat_rows: usize,
    /// First arrivals at the server in each minute.
    pub arrivals: Vec<u32>,
    /// Uploads in each hour.
    pub hours: Vec<Hour>,
    /// Requests to beacons: by row, then hour.
    pub heat: Vec<Vec<u32>>,
    /// What each beacon had to do, by its number from 1.
    pub loads: Vec<Load>,
    /// From the collection of a package to its first custody at the server.
    pub time_to_server_ms: Histogram<u64>,
    /// What was held, by the minute it was looked at: leaves and middles.
    pub spool: Vec<(Timestamp, [Spool; 2])>,
    /// Faults that struck, the first of them.
    pub struck: Vec<Struck>,
    /// Faults that struck in all.
    pub struck_count: u64,
    probes: BTreeMap<&'static str, u64>,
    /// Packages that beacons have set aside, at the end.
    pub quarantined: u64,
    /// Devices and distinct titles that the server shows at the end, in runs with true contents.
    pub shown: Option<(usize, usize)>,
    /// Hash over every arrival at the server, in order.
    pub digest: u64,
    /// Whether probes are left out: what happens is measured elsewhere.
    pub(super) is_muted: bool,
}

impl Spool {
    fn add(&mut self, other: Spool) {
        self.packages += other.packages;
        self.bytes += other.bytes;
        self.most = self.most.max(other.most);
    }
}

/// Adds looks to those of other parts of the world at the same moments, which begin at place `from`.
pub fn add_spools(
    spools: &mut Vec<(Timestamp, [Spool; 2])>,
    from: usize,
    others: impl IntoIterator<Item = (Timestamp, [Spool; 2])>,
) {
    for (place, (at, others)) in (from..).zip(others) {
        match spools.get_mut(place) {
            Some((_, levels)) => levels.iter_mut().zip(others).for_each(|(level, other)| level.add(other)),
            None => spools.push((at, others)),
        }
    }
}

/// Of a part with arrivals and one without.
fn mix_of(digest: u64, other: u64) -> u64 {
    if digest == 0 { other } else { digest }
}

impl Record {
    /// Nothing measured yet.
    pub fn new(scenario: &Scenario, layout: &Layout) -> Record {
        let days = scenario.days as usize;
        let heat_rows = (layout.beacons() as usize).clamp(1, HEAT_ROWS_MAX);
        let longest = (DAY_MS as u64) * 4_000;
        Record {
            start: scenario.start,
            heat_rows,
            arrivals: vec![0; days * 24 * 60],
            hours: vec![Hour::default(); days * 24],
            heat: vec![vec![0; days * 24]; heat_rows],
            loads: vec![Load::default(); layout.beacons() as usize],
            time_to_server_ms: Histogram::new_with_bounds(1, longest, 3).expect("bounds of a histogram"),
            spool: Vec::new(),
            struck: Vec::new(),
            struck_count: 0,
            probes: PROBES.iter().copied().chain(of_fleet(scenario)).map(|name| (name, 0)).collect(),
            quarantined: 0,
            shown: None,
            digest: 0,
            is_muted: false,
        }
    }

    /// Adds what was measured of another part of the same world in the same time. Only one part has arrivals.
    pub(super) fn add(&mut self, other: Record) {
        let add = |sums: &mut [u32], others: &[u32]| sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        add(&mut self.arrivals, &other.arrivals);
        self.heat.iter_mut().zip(&other.heat).for_each(|(row, other)| add(row, other));
        for (hour, other) in self.hours.iter_mut().zip(other.hours) {
            hour.sent += other.sent;
            hour.first += other.first;
            hour.struck_ms += other.struck_ms;
        }
        for (load, other) in self.loads.iter_mut().zip(other.loads) {
            // A beacon is of one part.
            if other.requests > 0 || other.most_held > 0 {
                *load = other;
            }
        }
        // Both were made with the same bounds.
        let _ = self.time_to_server_ms.add(&other.time_to_server_ms);
        add_spools(&mut self.spool, 0, other.spool);
        self.struck.extend(other.struck);
        self.struck.sort_by_key(|struck| (struck.at, struck.node, struck.kind));
        self.struck.truncate(STRUCK_MAX);
        self.struck_count += other.struck_count;
        other.probes.into_iter().for_each(|(name, hits)| self.probe(name, hits));
        self.quarantined += other.quarantined;
        self.digest = mix_of(self.digest, other.digest);
    }

    fn hour(&self, at: Timestamp) -> usize {
        (at.ms_since(self.start) / HOUR_MS) as usize
    }

    /// A node calls another.
    pub(super) fn called(&mut self, layout: &Layout, now: Timestamp, to: NodeId, bytes: u64) {
        if !matches!(layout.level(to), Level::Leaf | Level::Middle) {
            return;
        }
        let beacon = to.0 as usize - 1;
        let (row, hour) = (beacon * self.heat_rows / self.loads.len(), self.hour(now));
        let minute = now.ms_since(self.start) / MINUTE_MS;
        let load = &mut self.loads[beacon];
        load.requests += 1;
        load.bytes += bytes;
        if load.minute != minute {
            (load.minute, load.in_minute) = (minute, 0);
        }
        load.in_minute += 1;
        load.most_in_a_minute = load.most_in_a_minute.max(load.in_minute);
        if let Some(cell) = self.heat[row].get_mut(hour) {
            *cell += 1;
        }
    }

    /// A beacon holds so much now.
    pub(super) fn holds(&mut self, beacon: NodeId, packages: u64, bytes: u64) {
        let load = &mut self.loads[beacon.0 as usize - 1];
        load.most_held = load.most_held.max(packages);
        load.most_held_bytes = load.most_held_bytes.max(bytes);
    }

    /// A holder sends a package, for the first time or again.
    pub(super) fn sent(&mut self, now: Timestamp, is_first: bool) {
        let hour = self.hour(now);
        if let Some(hour) = self.hours.get_mut(hour) {
            hour.sent += 1;
            hour.first += u64::from(is_first);
        }
    }

    /// The server has it for the first time.
    pub(super) fn arrived(&mut self, now: Timestamp, published: Timestamp) {
        if let Some(minute) = self.arrivals.get_mut((now.ms_since(self.start) / MINUTE_MS) as usize) {
            *minute += 1;
        }
        self.time_to_server_ms.saturating_record((now.ms_since(published) as u64).max(1));
    }

    /// A fault strikes.
    pub fn struck(&mut self, struck: Struck) {
        self.struck_count += 1;
        self.shade(struck.at, struck.for_ms);
        if self.struck.len() < STRUCK_MAX {
            self.struck.push(struck);
        }
    }

    /// Retries are no wonder in this time.
    pub(super) fn shade(&mut self, at: Timestamp, for_ms: i64) {
        let (mut at, until) = (at, at.plus_ms(for_ms));
        while at < until {
            let hour = self.hour(at);
            let next = self.start.plus_ms((hour as i64 + 1) * HOUR_MS).min(until);
            if let Some(hour) = self.hours.get_mut(hour) {
                hour.struck_ms += next.ms_since(at);
            }
            at = next;
        }
    }

    /// A rare path ran.
    pub fn probe(&mut self, name: &'static str, hits: u64) {
        if hits == 0 || self.is_muted {
            return;
        }
        *self.probes.entry(name).or_default() += hits;
    }

    /// An agent goes by another policy, with which this is wrong.
    pub(super) fn policy_taken(&mut self, wrong: Option<FaultKind>) {
        match wrong {
            Some(FaultKind::PolicyHerd) => self.probe("policy-herd-taken", 1),
            Some(FaultKind::ListEmpty) => self.probe("policy-without-servers-taken", 1),
            Some(FaultKind::ListStale) => self.probe("policy-with-gone-servers-taken", 1),
            _ => {}
        }
    }

    /// Every probe with its hits, by name.
    pub fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.probes.iter().map(|(name, hits)| (*name, *hits))
    }
}

/// Probes of what a fleet's template asks for; a fleet without it cannot reach them.
fn of_fleet(scenario: &Scenario) -> impl Iterator<Item = &'static str> {
    let (fleet, zones) = (&scenario.fleet, &scenario.template.zones);
    let goes = fleet.leaves_per_day + fleet.reinstalls_per_day > 0.0;
    let probes = [
        ("clone-not-imported", fleet.clones > 0.0),
        ("collected-by-a-sites-clocks", zones.iter().any(|zone| zone.ahead_ms != 0)),
        ("gone-with-its-machine", goes),
        ("machine-erased", fleet.reinstalls_per_day > 0.0),
        ("machine-joined", fleet.joins_per_day > 0.0),
        ("machine-left", fleet.leaves_per_day > 0.0),
        ("machine-reinstalled", fleet.reinstalls_per_day > 0.0),
        ("reported-by-another-source", scenario.is_full && !scenario.template.sources.is_empty()),
    ];
    probes.into_iter().filter(|(_, is_asked_for)| *is_asked_for).map(|(name, _)| name)
}

/// Every probe: a run that reached none of one says 0.
const PROBES: [&str; 43] = [
    "agent-passed-over-a-server",
    "agent-restarted",
    "agent-superseded",
    "answer-lost",
    "beacon-busy",
    "beacon-full",
    "beacon-moved-to-another-parent",
    "beacon-passed-over-a-parent",
    "beacon-restarted",
    "beacon-restarted-holding",
    "beacon-set-aside",
    "body-cut-short",
    "called-what-is-gone",
    "clock-ahead-flagged",
    "connection-refused",
    "connections-clogged",
    "disk-full",
    "duplicate-at-beacon",
    "duplicate-at-server",
    "duplicate-settled",
    "imported-out-of-order",
    "latency-storm",
    "load-failed",
    "loaded-during-import",
    "mismatch",
    "name-not-found",
    "off-for-a-day",
    "policy-changed",
    "policy-herd-taken",
    "policy-older-not-taken",
    "policy-with-gone-servers-taken",
    "policy-without-servers-taken",
    "refused-on-the-way",
    "request-doubled",
    "request-doubled-late",
    "request-lost",
    "server-restarted",
    "server-restarted-loading",
    "upload-rejected",
    "upload-reset",
    "went-on-after-a-pause",
    "went-on-with-a-backlog",
    "woke-at-a-step-of-its-clock",
];
