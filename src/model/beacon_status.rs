//! What a beacon reports of itself, and of those below it.
//!
//! A report is a flat list: newest only, no custody, no ledger. Source: `agent-beacon-batch` reference, section 9.1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::aside::{ASIDE_OF_STATUS_MAX, AsideReport};
use super::package::Kind;
use crate::id::Guid;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

/// Most beacons one report tells of.
pub const BEACONS_MAX: usize = 10_000;
/// A beacon that was not heard for so long is no longer known.
const FORGOTTEN_MS: i64 = DAY_MS;
/// A package held for longer is an alarm. Source: delivery contract, section 8, health.
const OVERDUE_MS: i64 = 2 * HOUR_MS;
/// Most bytes of a name, a parent's address or a version; longer ones are cut.
const TEXT_BYTES_MAX: usize = 200;

/// Packages of one kind that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindQueue {
    /// How many.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the oldest has waited, in milliseconds.
    pub oldest_ms: i64,
    /// Packages of this kind that were set aside for good.
    #[serde(default)]
    pub rejected: u64,
}

/// Everything a beacon holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconQueue {
    /// What waits, by kind's name.
    pub waiting: BTreeMap<String, KindQueue>,
    /// Packages that were set aside for good.
    pub quarantined: u64,
}

impl BeaconQueue {
    /// Counts one held package.
    pub fn add(&mut self, kind: Kind, bytes: u64, age_ms: i64, is_aside: bool) {
        let queue = self.waiting.entry(kind.as_str().to_owned()).or_default();
        if is_aside {
            queue.rejected += 1;
            self.quarantined += 1;
            return;
        }
        queue.packages += 1;
        queue.bytes += bytes;
        queue.oldest_ms = queue.oldest_ms.max(age_ms);
    }
}

impl BeaconQueue {
    /// How long the oldest of all kinds has waited, in milliseconds.
    pub fn oldest_ms(&self) -> i64 {
        self.waiting.values().map(|queue| queue.oldest_ms).max().unwrap_or(0)
    }

    /// Whether something waits for so long that a person has to look.
    pub fn is_overdue(&self) -> bool {
        self.oldest_ms() > OVERDUE_MS
    }
}

/// One beacon's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconStatus {
    /// The beacon.
    pub id: Guid,
    /// Its name.
    pub name: String,
    /// The address of the parent it reports to.
    pub parent: String,
    /// Its program's version.
    pub version: String,
    /// When it made this status, by its own clock.
    pub at: Timestamp,
    /// What it holds.
    pub queue: BeaconQueue,
    /// Revision of the policy that it hands out; 0 for none.
    #[serde(default)]
    pub policy_revision: u64,
    /// How agents reach it; `None` for one that they are not to use.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Packages that it set aside and of which it has no word from the server yet; a page of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<AsideReport>,
}

/// How agents reach a beacon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Base address, `http://host:port`.
    pub address: String,
    /// Its site; empty for none.
    pub site: String,
    /// Whether agents have to log on to it. Such a beacon stands in no failover list.
    pub needs_credentials: bool,
}

/// A status of a node that is younger than this, by its own clock, is of the present hierarchy. Reports go every minute; a
/// beacon that a moment ago was above its present child is not one in a circle for long.
const CIRCLE_MS: i64 = 5 * MINUTE_MS;

/// Whether `report`, which has come to `node`, tells of `node` itself as one below its sender: each would hand on to the
/// other, and nothing would ever reach the server.
pub fn is_circle(report: &[BeaconStatus], node: Guid, now: Timestamp) -> bool {
    report.iter().any(|status| status.id == node && now.ms_since(status.at) < CIRCLE_MS)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    /// When this status came, by the clock of the node that took it.
    at: Timestamp,
    status: BeaconStatus,
}

/// The statuses that came up to a node, newest of each beacon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeaconStatuses(BTreeMap<Guid, Heard>);

impl BeaconStatuses {
    /// Takes what a child reported. Beyond [`BEACONS_MAX`] unknown beacons are left out.
    /// One that comes from the future is of `now`: a clock that was ahead once must not keep later ones out. Tells
    /// whether agents can reach another beacon than before, or one in another way.
    pub fn take(&mut self, report: Vec<BeaconStatus>, now: Timestamp) -> bool {
        let mut has_changed = false;
        // One that is gone makes room for others.
        self.0.retain(|_, heard| now.ms_since(heard.at) < FORGOTTEN_MS);
        for mut status in report.into_iter().take(BEACONS_MAX) {
            status.at = status.at.min(now);
            for text in [&mut status.name, &mut status.parent, &mut status.version] {
                let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|&at| text.is_char_boundary(at));
                text.truncate(end.unwrap_or(0));
                text.retain(|c| !c.is_control());
            }
            // An address that had to be cut is none.
            let is_usable = |end: &Endpoint| end.address.len().max(end.site.len()) <= TEXT_BYTES_MAX;
            status.endpoint = status.endpoint.filter(is_usable);
            status.queue.waiting.retain(|kind, _| kind.parse::<Kind>().is_ok());
            status.aside.retain(AsideReport::is_sound);
            status.aside.truncate(ASIDE_OF_STATUS_MAX);
            let is_known = self.0.get(&status.id);
            let is_newer = is_known.is_some_and(|known| known.status.at <= status.at);
            if is_newer || (is_known.is_none() && self.0.len() < BEACONS_MAX) {
                // A parent repeats the last word of a child that has gone silent.
                let is_repeated = is_known.is_some_and(|known| known.status.at == status.at);
                has_changed |= is_known.and_then(|known| known.status.endpoint.as_ref()) != status.endpoint.as_ref();
                let at = is_known.filter(|_| is_repeated).map_or(now, |known| known.at.min(now));
                self.0.insert(status.id, Heard { at, status });
            }
        }
        has_changed
    }

    /// The last word of one beacon.
    pub fn get(&self, beacon: Guid) -> Option<&BeaconStatus> {
        self.0.get(&beacon).map(|heard| &heard.status)
    }

    /// Every beacon, by id.
    pub fn iter(&self) -> impl Iterator<Item = &BeaconStatus> {
        self.0.values().map(|heard| &heard.status)
    }

    /// Every beacon, by id, with when its last status came, by the clock of this node: a beacon's own may be wrong.
    pub fn heard(&self) -> impl Iterator<Item = (Timestamp, &BeaconStatus)> {
        self.0.values().map(|heard| (heard.at, &heard.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::model::aside::Aside;
    use crate::model::package::{Origin, Sequence, Stream};

    #[test]
    fn what_waits_and_what_is_set_aside_are_counted_by_kind_and_two_hours_are_an_alarm() {
        let mut queue = BeaconQueue::default();
        queue.add(Kind::Inventories, 5, 2 * HOUR_MS, false);
        queue.add(Kind::Inventories, 9, 99 * HOUR_MS, true);
        let inventories = KindQueue { packages: 1, bytes: 5, oldest_ms: 2 * HOUR_MS, rejected: 1 };
        assert_eq!((queue.waiting["Inventories"], queue.quarantined), (inventories, 1));
        assert!(!queue.is_overdue(), "what is set aside waits for nothing");
        queue.add(Kind::UsageData, 5, 2 * HOUR_MS + 1, false);
        assert!(queue.is_overdue());
    }

    fn status(id: u8, at: i64) -> BeaconStatus {
        BeaconStatus {
            id: Guid::from_random([id; 16]),
            name: "b\n".into(),
            parent: "http://p".into(),
            version: "1".repeat(500),
            at: Timestamp(at),
            queue: BeaconQueue::default(),
            policy_revision: 0,
            endpoint: Some(Endpoint { address: "http://b".into(), site: "x".repeat(201), needs_credentials: false }),
            aside: Vec::new(),
        }
    }

    #[test]
    fn the_newest_status_of_each_beacon_is_kept_and_hostile_text_is_cut() {
        let mut statuses = BeaconStatuses::default();
        let mut odd = status(2, 1);
        odd.queue.waiting.insert("Nonsense".into(), KindQueue::default());
        let aside = |origin: String| AsideReport {
            origin: Origin(origin.into()),
            kind: Kind::Inventories,
            digest: Digest::of(b"x"),
            why: Aside::Refused,
            since: Timestamp(1),
            place: None,
        };
        let place = Some((Stream("x".repeat(5_000).into()), Sequence { epoch: 1, number: 1 }));
        odd.aside = vec![aside("x".repeat(5_000)), AsideReport { place, ..aside("o".into()) }];
        odd.aside.extend((0..30).map(|number| aside(number.to_string())));
        statuses.take(vec![status(1, 5), odd], Timestamp(9));
        statuses.take(vec![status(1, 4)], Timestamp(9));
        let kept: Vec<&BeaconStatus> = statuses.iter().collect();
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[0].at, kept[0].name.as_str(), kept[0].version.len()), (Timestamp(5), "b", 200));
        assert!(kept[1].queue.waiting.is_empty() && kept[1].endpoint.is_none());
        assert_eq!((kept[1].aside.len(), kept[1].aside[0].origin.as_str()), (ASIDE_OF_STATUS_MAX, "0"));
    }

    #[test]
    fn a_beacon_whose_clock_was_ahead_is_heard_again() {
        let mut statuses = BeaconStatuses::default();
        statuses.take(vec![status(1, 9_000)], Timestamp(10));
        statuses.take(vec![status(1, 12)], Timestamp(12));
        assert_eq!(statuses.iter().next().unwrap().at, Timestamp(12));
    }

    #[test]
    fn a_word_that_a_parent_repeats_does_not_make_a_silent_child_heard() {
        let mut statuses = BeaconStatuses::default();
        let heard = |statuses: &BeaconStatuses| statuses.heard().next().unwrap().0;
        let mut changed = status(1, 5);
        changed.endpoint = None;
        assert!(!statuses.take(vec![status(1, 4)], Timestamp(99)), "its endpoint was of no use");
        assert!(!statuses.take(vec![changed.clone()], Timestamp(100)));
        statuses.take(vec![changed], Timestamp(200));
        assert_eq!(heard(&statuses), Timestamp(100));
        // One whose clock stands an hour behind is heard all the same.
        statuses.take(vec![status(1, 6)], Timestamp(300));
        assert_eq!(heard(&statuses), Timestamp(300));
    }

    #[test]
    fn a_node_below_its_own_parent_is_seen_and_one_that_was_a_while_ago_is_not() {
        let now = Timestamp(60 * MINUTE_MS);
        let own = status(1, now.plus_ms(-MINUTE_MS).0);
        let id = own.id;
        assert!(is_circle(&[status(2, now.0), own], id, now));
        assert!(!is_circle(&[status(2, now.0)], id, now));
        let before = status(1, now.plus_ms(-CIRCLE_MS).0);
        assert!(!is_circle(&[status(2, now.0), before], id, now));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut statuses = BeaconStatuses::default();
        for batch in 0..3u64 {
            let report = (0..5_000u64).map(|n| {
                let mut bytes = [0; 16];
                bytes[8..].copy_from_slice(&(batch * 5_000 + n).to_be_bytes());
                BeaconStatus { id: Guid::from_random(bytes), ..status(0, 1) }
            });
            statuses.take(report.collect(), Timestamp(9));
        }
        assert_eq!(statuses.iter().count(), BEACONS_MAX);
    }
}
