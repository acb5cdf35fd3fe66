//! The sections of a scenario.

use muster::model::task::Trigger;
use muster::rng::mix;
use muster::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use muster::upload::rates::Rates;
use muster_actors::log::Reserve;
use serde::Deserialize;

use crate::configured::{BeaconRules, ServerRules};
use crate::world::PackageId;

/// A number that is drawn for each use, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Range(pub [i64; 2]);

impl Range {
    /// Uniform by 64 bits of a hash.
    pub fn pick(self, bits: u64) -> i64 {
        let span = (self.0[1] - self.0[0]) as u64 + 1;
        self.0[0] + ((u128::from(bits) * u128::from(span)) >> 64) as i64
    }

    pub(super) fn problem(self, name: &str, least: i64, most: i64) -> Option<String> {
        let [low, high] = self.0;
        if low > high {
            Some(format!("`{name}` ends at {high} before it begins at {low}"))
        } else if low < least || high > most {
            Some(format!("`{name}` is {low} to {high}, write numbers from {least} to {most}"))
        } else {
            None
        }
    }
}

/// What the agents of a fleet are and do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// They are installed at random moments within so many seconds after the start.
    pub installed_within_secs: u32,
    /// Bytes of an inventory, compressed.
    pub inventory_bytes: Range,
    /// Milliseconds that a collection takes.
    pub collect_ms: Range,
    /// Part of them that is switched off each night.
    pub laptops: f64,
    /// Hours that a laptop is off for.
    pub off_hours: Range,
    /// Part of all machines that joins on each day; the others are there from the beginning.
    pub joins_per_day: f64,
    /// Part of the machines that are there that leaves on each day, for ever.
    pub leaves_per_day: f64,
    /// Part of them that is installed anew on each day: the same machine with an empty disk and another agent.
    pub reinstalls_per_day: f64,
    /// Part of the machines whose disk is a copy of another one's, its agent's id and numbers among that.
    pub clones: f64,
}

impl Default for Agents {
    fn default() -> Agents {
        Agents {
            installed_within_secs: 86_400,
            inventory_bytes: Range([30_000, 110_000]),
            collect_ms: Range([2_000, 20_000]),
            laptops: 0.0,
            off_hours: Range([8, 16]),
            joins_per_day: 0.0,
            leaves_per_day: 0.0,
            reinstalls_per_day: 0.0,
            clones: 0.0,
        }
    }
}

impl Agents {
    /// Bytes of an agent's package: of its name alone, so that nobody has to remember them.
    pub(super) fn bytes_of(&self, seed: u64, id: PackageId) -> u32 {
        let draw = mix(mix(seed, 11), u64::from(id.agent) << 32 | u64::from(id.number));
        u32::try_from(self.inventory_bytes.pick(draw)).unwrap_or(u32::MAX)
    }

    pub(super) fn problem(&self, days: u32) -> Option<String> {
        let joined = self.joins_per_day * f64::from(days);
        share(self.laptops, "laptops")
            .or_else(|| share(self.joins_per_day, "joins_per_day"))
            .or_else(|| share(self.leaves_per_day, "leaves_per_day"))
            .or_else(|| share(self.reinstalls_per_day, "reinstalls_per_day"))
            .or_else(|| share(self.clones, "clones"))
            .or_else(|| {
                let most = 1.0 / f64::from(days);
                (joined > 1.0).then(|| {
                    let of = self.joins_per_day;
                    format!("`joins_per_day` is {of}, more than all machines in {days} days: write at most {most:.4}")
                })
            })
            .or_else(|| self.inventory_bytes.problem("inventory_bytes", 1, 32 << 20))
            .or_else(|| self.collect_ms.problem("collect_ms", 1, HOUR_MS))
            .or_else(|| self.off_hours.problem("off_hours", 1, 23))
    }
}

/// Who uploads where: agents to leaves, leaves to middle beacons, these to the server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hierarchy {
    /// Agents of one leaf beacon.
    pub agents_per_leaf: u32,
    /// Leaves below one middle beacon; 0: leaves send to the server.
    pub leaves_per_middle: u32,
    /// Fewest leaves, however few agents there are.
    pub leaves_min: u32,
    /// Beacons of each agent's failover list: its own leaf first, then the next ones.
    pub failover: u32,
    /// Parents of each beacon: its own first, then the next ones of that level.
    pub parents: u32,
}

impl Default for Hierarchy {
    fn default() -> Hierarchy {
        Hierarchy { agents_per_leaf: 5_000, leaves_per_middle: 10, leaves_min: 4, failover: 3, parents: 1 }
    }
}

impl Hierarchy {
    /// Leaf beacons of so many agents.
    pub fn leaves(&self, agents: u32) -> u32 {
        agents.div_ceil(self.agents_per_leaf.max(1)).max(self.leaves_min)
    }

    /// Middle beacons above so many agents.
    pub fn middles(&self, agents: u32) -> u32 {
        if self.leaves_per_middle == 0 { 0 } else { self.leaves(agents).div_ceil(self.leaves_per_middle) }
    }

    pub(super) fn problem(&self, agents: u32, is_configured: bool) -> Option<String> {
        let least = |name: &str, value: u32| (value == 0).then(|| format!("`{name}` is 0, write at least 1"));
        let leaves = if is_configured { 1 } else { self.leaves(agents) };
        least("agents_per_leaf", self.agents_per_leaf)
            .or_else(|| least("leaves_min", self.leaves_min))
            .or_else(|| least("failover", self.failover))
            .or_else(|| least("parents", self.parents))
            .or_else(|| {
                (leaves > 20_000)
                    .then(|| format!("makes {leaves} leaves, at most 20000 can be simulated: raise `agents_per_leaf`"))
            })
            .or_else(|| {
                (self.failover > 16)
                    .then(|| format!("`failover` is {}, agents ask at most 16 servers in a pass", self.failover))
            })
    }
}

/// What lies between two nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Milliseconds one way.
    pub delay_ms: Range,
    /// Bytes a second of one transfer; 0 for no limit.
    pub bytes_per_s: u64,
    /// Part of the requests that never arrive.
    pub lost_requests: f64,
    /// Part of the answers that never arrive although the request was served.
    pub lost_answers: f64,
    /// Part of the requests that arrive twice.
    pub doubled: f64,
    /// Part of the uploads whose bytes are changed on the way.
    pub corrupted: f64,
    /// A caller waits no longer than this.
    pub timeout_secs: u32,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            delay_ms: Range([5, 36]),
            bytes_per_s: 1_250_000,
            lost_requests: 0.0,
            lost_answers: 0.0,
            doubled: 0.0,
            corrupted: 0.0,
            timeout_secs: 60,
        }
    }
}

impl Network {
    /// A caller waits no longer than this.
    pub fn timeout_ms(&self) -> i64 {
        i64::from(self.timeout_secs) * SECOND_MS
    }

    pub(super) fn problem(&self) -> Option<String> {
        if self.delay_ms.0[0] < 1 {
            return Some(format!("`delay_ms` begins at {}, nothing crosses in less than 1 ms", self.delay_ms.0[0]));
        }
        self.delay_ms
            .problem("delay_ms", 1, DAY_MS)
            .or_else(|| share(self.lost_requests, "lost_requests"))
            .or_else(|| share(self.lost_answers, "lost_answers"))
            .or_else(|| share(self.doubled, "doubled"))
            .or_else(|| share(self.corrupted, "corrupted"))
            .or_else(|| (self.timeout_secs == 0).then(|| "`timeout_secs` is 0, nobody would hear an answer".into()))
    }
}

/// How beacons are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Beacons {
    /// Milliseconds from the last byte of an upload to its receipt: the sync.
    pub sync_ms: Range,
    /// Most packages that one holds; 0 for no limit.
    pub spool_packages: u64,
    /// Most bytes that one holds; 0 for no limit.
    pub spool_bytes: u64,
    /// Bytes of its disk, of which uploads leave free what is to be kept; 0 for as many as are wanted.
    pub disk_bytes: u64,
}

impl Default for Beacons {
    fn default() -> Beacons {
        Beacons { sync_ms: Range([1, 8]), spool_packages: 2_000_000, spool_bytes: 20 << 30, disk_bytes: 0 }
    }
}

impl Beacons {
    /// As the operator's file would say it.
    pub(super) fn rules(&self) -> BeaconRules {
        BeaconRules {
            cycle_ms: MINUTE_MS,
            relay_on_arrival: false,
            policy_every_ms: 15 * MINUTE_MS,
            status_every_ms: MINUTE_MS,
            spool_packages: self.spool_packages,
            spool_bytes: self.spool_bytes,
            rates: Rates { uploads_per_hour: 0, burst: 0, bytes_per_day: 0 },
            reserve: Reserve::UPLOADS,
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.sync_ms.problem("sync_ms", 1, HOUR_MS)
    }
}

/// How the server is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Milliseconds from the last byte of an upload to its receipt: the sync.
    pub sync_ms: Range,
    /// Batches that are loaded at once.
    pub loaders: u32,
    /// Milliseconds that loading a package takes.
    pub load_ms: Range,
    /// From one import to the next.
    pub import_every_secs: u32,
    /// Milliseconds that an import, a reconcile or an export takes.
    pub task_ms: Range,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            sync_ms: Range([1, 8]),
            loaders: 2,
            load_ms: Range([2, 6]),
            import_every_secs: 86_400,
            task_ms: Range([60_000, 1_800_000]),
        }
    }
}

impl Server {
    /// As the operator's file would say it.
    pub(super) fn rules(&self) -> ServerRules {
        ServerRules {
            loaders: self.loaders as usize,
            import: Trigger::every(i64::from(self.import_every_secs) * SECOND_MS),
            import_on_arrival: false,
            exports: true,
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.sync_ms
            .problem("sync_ms", 1, HOUR_MS)
            .or_else(|| self.load_ms.problem("load_ms", 1, HOUR_MS))
            .or_else(|| self.task_ms.problem("task_ms", 1, DAY_MS))
            .or_else(|| (self.loaders == 0).then(|| "`loaders` is 0, nothing would be loaded: write at least 1".into()))
            .or_else(|| {
                (self.import_every_secs == 0).then(|| "`import_every_secs` is 0, write 86400 for once a day".into())
            })
    }
}

/// What is wrong with a part of 1.
pub(super) fn share(part: f64, name: &str) -> Option<String> {
    (!(0.0..=1.0).contains(&part)).then(|| format!("`{name}` is {part}, write a part of 1 such as 0.004"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_drawn_from_end_to_end() {
        let range = Range([3, 5]);
        assert_eq!((range.pick(0), range.pick(u64::MAX), range.pick(u64::MAX / 2)), (3, 5, 4));
        assert_eq!(Range([7, 7]).pick(u64::MAX), 7);
    }
}
