//! What a driver shows of its nodes, and the comparison of what is true with what they hold.

use std::collections::HashSet;

use muster::rng::mix;
use muster::time::{MINUTE_MS, Timestamp};

use super::Stage;
use super::beacon::BeaconHands;
use super::devices;
use super::event::{NodeId, PackageId, Parcel};
use super::layout::Level;
use super::record::Spool;
use super::server::ServerHands;

/// Source: delivery contract, section 6, I10.
const HOP_MS: i64 = 20 * MINUTE_MS;
/// Hours with fewer first uploads tell nothing of a rate.
const STORM_FIRST_MIN: u64 = 1_000;

/// The nodes of a driver, read only.
pub trait View {
    /// Shows each beacon.
    fn each_beacon(&self, see: &mut dyn FnMut(NodeId, &BeaconHands));
    /// Shows the server.
    fn server(&self, see: &mut dyn FnMut(&ServerHands));
    /// Whether a machine has this package queued.
    fn has(&self, machine: u32, id: PackageId) -> bool;
    /// Packages that agents have queued.
    fn queued(&self) -> u64;
    /// Shows the state of each node, in their order; see [`state_of`].
    fn each_state(&self, see: &mut dyn FnMut(u64));
}

/// What the digest has of a node: its lives, and what the present one drew.
pub fn state_of(life: u32, fingerprint: Option<u64>) -> u64 {
    mix(u64::from(life), fingerprint.unwrap_or(0))
}

impl Stage {
    /// Notes what beacons hold.
    pub fn look(&mut self, now: Timestamp, nodes: &dyn View) {
        let mut levels = [Spool::default(); 2];
        nodes.each_beacon(&mut |node, beacon| {
            let level = usize::from(self.layout.level(node) == Level::Middle);
            let (packages, bytes) = beacon.spool();
            self.record.holds(node, packages, bytes);
            let is_bounded = !beacon.is_over_limit();
            let name = self.layout.name(node);
            self.book.checks.check("I12", is_bounded, || format!("{name} holds {packages} packages, {bytes} bytes"));
            let spool = &mut levels[level];
            spool.packages += packages;
            spool.bytes += bytes;
            spool.most = spool.most.max(packages);
        });
        self.record.spool.push((now, levels));
    }

    /// Compares sets: what has a receipt is held or final, what has none is with its agent or given up, and the newest
    /// imported one of each agent is the one its ledger names.
    pub fn check(&mut self, now: Timestamp, nodes: &dyn View) {
        let mut held: HashSet<PackageId> = HashSet::new();
        each_held(nodes, |parcel| {
            held.insert(parcel.id);
        });
        let (mut lost, mut astray) = (Vec::new(), Vec::new());
        let (mut receipted, mut others) = (0, 0);
        for (id, has_receipt, is_given_up) in self.book.unsettled() {
            if has_receipt {
                if held.contains(&id) {
                    receipted += 1;
                } else {
                    lost.push(id);
                }
            } else {
                if is_given_up || nodes.has(self.layout.machines.machine_of(id.agent), id) {
                    others += 1;
                } else {
                    astray.push(id);
                }
            }
        }
        let at = now.to_rfc3339();
        let checks = &mut self.book.checks;
        checks.held("I1", receipted);
        checks.held("I7", others);
        for id in lost {
            checks.check("I1", false, || format!("{at}: {id} has a receipt, and no node holds it"));
        }
        for id in astray {
            checks.check("I7", false, || format!("{at}: {id} has no receipt, and its agent does not have it"));
        }
        nodes.server(&mut |server| {
            let machines = &self.layout.machines;
            for agent in self.scope.agents(&self.layout).filter(|agent| machines.origin_of(*agent) == *agent) {
                let newest = machines.sharers(agent).map(|sharer| self.book.newest_imported(sharer)).max();
                let (number, wanted) = (server.newest(agent), newest.unwrap_or(0));
                self.book.checks.check("I8", number == u64::from(wanted), || {
                    format!("{at}: the ledger of agent {agent} names {number} as the newest, {wanted} is")
                });
            }
            let Some(settled) = server.settled() else { return };
            let mut seen = HashSet::new();
            let (on_disk, told) = (settled.len() as u64, self.book.totals().ended());
            self.book.checks.check("I2", on_disk == told, || {
                format!("{at}: {told} packages got a final state, {on_disk} are on the disk")
            });
            for (id, ended) in settled {
                let is_once = seen.insert(id) && self.book.is_settled(id);
                self.book
                    .checks
                    .check("I2", is_once, || format!("{at}: {id} is {ended:?} on the disk a second time, or unknown"));
            }
        });
    }

    /// At the end: what was held in the quiet time has gone on, and no hour without a fault had too many retries.
    pub fn close(&mut self, now: Timestamp, nodes: &dyn View) {
        self.check(now, nodes);
        if let Some(contents) = self.contents.clone() {
            nodes.server(&mut |server| {
                if let Some(shelves) = server.shelves() {
                    devices::check(self, now, &contents, shelves, |key| server.body(key));
                }
            });
        }
        self.check_ends(now, nodes);
        self.check_whole();
    }

    /// Whether what was held in the quiet time has gone on.
    pub fn check_ends(&mut self, now: Timestamp, nodes: &dyn View) {
        let agents = self.scope.agents(&self.layout);
        let heal = self.scenario.heal;
        let within = i64::from(self.layout.hops()) * HOP_MS;
        let (mut held, mut late) = (0, None);
        let mut aside: HashSet<PackageId> = HashSet::new();
        nodes.each_beacon(&mut |_, beacon| aside.extend(beacon.aside()));
        self.record.quarantined = aside.len() as u64;
        each_held(nodes, |parcel| {
            if !agents.contains(&parcel.id.agent) {
                return;
            }
            held += 1;
            if !aside.contains(&parcel.id) && now.ms_since(parcel.taken.max(heal)) > within {
                late.get_or_insert(*parcel);
            }
        });
        let checks = &mut self.book.checks;
        if now.ms_since(heal) > within {
            checks.held("I10", held + 1);
            if let Some(parcel) = late {
                let (taken, since) = (parcel.taken.to_rfc3339(), heal.to_rfc3339());
                checks.check("I10", false, || {
                    format!(
                        "{}, taken at {taken}, is still held at the end; the last fault ended by {since}",
                        parcel.id
                    )
                });
            }
        }
    }

    /// What concerns all of a run: whether no hour without a fault had too many retries.
    pub fn check_whole(&mut self) {
        // What was taken and is not held any more has a final state, each noted by its own name.
        let ended = self.book.totals().ended();
        let checks = &mut self.book.checks;
        checks.held("I1", ended);
        for (hour, row) in self.record.hours.iter().enumerate() {
            // The hour after a fault still carries what it left.
            let before = hour.checked_sub(1).map_or(0, |hour| self.record.hours[hour].struck_ms);
            if row.struck_ms + before == 0 && row.first >= STORM_FIRST_MIN {
                checks.check("I13", row.sent * 100 <= row.first * 110, || {
                    format!("hour {hour}: {} uploads of {} packages", row.sent, row.first)
                });
            }
        }
    }
}

/// The digest of a run: every arrival at the server, and the final random state of every node, in their order.
pub fn digest(arrivals: u64, nodes: &dyn View) -> u64 {
    let mut digest = arrivals;
    nodes.each_state(&mut |state| digest = mix(digest, state));
    digest
}

fn each_held(nodes: &dyn View, mut see: impl FnMut(&Parcel)) {
    nodes.each_beacon(&mut |_, beacon| beacon.packages().for_each(&mut see));
    nodes.server(&mut |server| server.packages().for_each(&mut see));
}

/// Packages at agents and in spools.
pub fn waiting(nodes: &dyn View) -> (u64, u64) {
    let mut in_spools = 0;
    nodes.each_beacon(&mut |_, beacon| in_spools += beacon.spool().0);
    (nodes.queued(), in_spools)
}
