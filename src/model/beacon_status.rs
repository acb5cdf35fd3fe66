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
    /// When it made this status. In a report that is by the clock of the report's sender, for every status of it: only
    /// how much older one is than the sender's own counts. Once taken, by the clock of the node that took it.
    pub at: Timestamp,
    /// What it holds.
    pub queue: BeaconQueue,
    /// Revision of the policy that it hands out; 0 for none.
    #[serde(default)]
    pub policy_revision: u64,
    /// How agents reach it; `None` for one that they are not to use.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Policies from its parent that it did not take since its start, because they were not whole or not sound.
    #[serde(default)]
    pub policies_refused: u64,
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

/// A status of a node that is younger than this when its report is sent is of the present hierarchy. Reports go every
/// minute; a beacon that a moment ago was above its present child is not one in a circle for long.
const CIRCLE_MS: i64 = 5 * MINUTE_MS;

/// Whether `report`, which has come to `node`, tells of `node` itself as one below its sender: each would hand on to the
/// other, and nothing would ever reach the server.
pub fn is_circle(report: &[BeaconStatus], node: Guid) -> bool {
    let Some(sent_at) = report.first().map(|own| own.at) else { return false };
    report.iter().any(|status| status.id == node && sent_at.ms_since(status.at) < CIRCLE_MS)
}

/// The statuses that came up to a node, newest of each beacon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeaconStatuses(BTreeMap<Guid, BeaconStatus>);

impl BeaconStatuses {
    /// Takes what a child reported: its own status first, then those of the beacons below it. Beyond [`BEACONS_MAX`]
    /// unknown beacons are left out. Tells whether agents can reach another beacon than before, or one in another way.
    ///
    /// No clock but this node's is believed, so none keeps a beacon out by being ahead, behind or set back. The child is
    /// heard now. The others were heard as long ago as the child says, by how much younger its own status is; one that it
    /// merely repeats grows old, and never takes the place of a younger word that came another way.
    pub fn take(&mut self, report: Vec<BeaconStatus>, now: Timestamp) -> bool {
        let mut has_changed = false;
        // One that is gone makes room for others.
        self.0.retain(|_, known| now.ms_since(known.at) < FORGOTTEN_MS);
        let Some(sent_at) = report.first().map(|own| own.at) else { return false };
        for (place, mut status) in report.into_iter().take(BEACONS_MAX).enumerate() {
            let age_ms = sent_at.ms_since(status.at);
            if age_ms >= FORGOTTEN_MS {
                continue;
            }
            status.at = now.plus_ms(-age_ms);
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
            let known = self.0.get(&status.id);
            // After this node's own clock was set back what it knows is of a future that says nothing.
            let is_newer = |known: &BeaconStatus| place == 0 || known.at <= status.at || known.at > now;
            if known.map_or(self.0.len() < BEACONS_MAX, is_newer) {
                has_changed |= known.and_then(|known| known.endpoint.as_ref()) != status.endpoint.as_ref();
                self.0.insert(status.id, status);
            }
        }
        has_changed
    }

    /// The last word of one beacon.
    pub fn get(&self, beacon: Guid) -> Option<&BeaconStatus> {
        self.0.get(&beacon)
    }

    /// Every beacon, by id.
    pub fn iter(&self) -> impl Iterator<Item = &BeaconStatus> {
        self.0.values()
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
            policies_refused: 0,
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
        let kept: Vec<&BeaconStatus> = statuses.iter().collect();
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[0].at, kept[0].name.as_str(), kept[0].version.len()), (Timestamp(9), "b", 200));
        assert!(kept[1].queue.waiting.is_empty() && kept[1].endpoint.is_none());
        assert_eq!((kept[1].aside.len(), kept[1].aside[0].origin.as_str()), (ASIDE_OF_STATUS_MAX, "0"));
    }

    /// The report of beacon 1, made at `at` by its clock, with a word of beacon 2 that is of `of_child` by that clock.
    fn relayed(at: i64, of_child: i64, version: &str) -> Vec<BeaconStatus> {
        vec![status(1, at), BeaconStatus { version: version.into(), ..status(2, of_child) }]
    }

    fn of(statuses: &BeaconStatuses, id: u8) -> (i64, &str) {
        let known = statuses.get(Guid::from_random([id; 16])).unwrap();
        (known.at.0, &known.version)
    }

    #[test]
    fn a_beacon_is_heard_when_it_reports_whatever_its_clock_says() {
        let mut statuses = BeaconStatuses::default();
        let mut now = DAY_MS;
        for clock in [now, now + 90 * DAY_MS, now - HOUR_MS, now - DAY_MS, 0, i64::MAX, i64::MIN] {
            now += MINUTE_MS;
            statuses.take(vec![status(1, clock)], Timestamp(now));
            assert_eq!(of(&statuses, 1).0, now, "{clock}");
        }
    }

    #[test]
    fn those_below_are_as_old_as_their_parent_says_whatever_its_clock_says() {
        for clock in [DAY_MS, DAY_MS + 3 * HOUR_MS, DAY_MS - 3 * HOUR_MS, -DAY_MS] {
            let mut statuses = BeaconStatuses::default();
            statuses.take(relayed(DAY_MS, DAY_MS - 20_000, "a"), Timestamp(DAY_MS));
            // The parent's clock is stepped, and a minute later both have reported.
            let now = DAY_MS + MINUTE_MS;
            statuses.take(relayed(clock, clock - 10_000, "b"), Timestamp(now));
            assert_eq!((of(&statuses, 1).0, of(&statuses, 2)), (now, (now - 10_000, "b")), "{clock}");
        }
    }

    #[test]
    fn a_word_that_a_parent_repeats_makes_no_silent_child_heard_and_none_that_reports_elsewhere_older() {
        let mut statuses = BeaconStatuses::default();
        let start = DAY_MS;
        for minute in 0..30 {
            let at = start + minute * MINUTE_MS;
            statuses.take(relayed(at, start - 5, "old"), Timestamp(at + 50 + minute % 7));
        }
        assert!((start..start + 60).contains(&of(&statuses, 2).0), "{:?}", of(&statuses, 2));
        let now = start + 30 * MINUTE_MS;
        // It has moved here, with a clock an hour behind.
        statuses.take(vec![BeaconStatus { version: "new".into(), ..status(2, now - HOUR_MS) }], Timestamp(now));
        statuses.take(relayed(now, start - 5, "old"), Timestamp(now + 1));
        assert_eq!(of(&statuses, 2), (now, "new"));
        statuses.take(relayed(now + MINUTE_MS, now + MINUTE_MS - 1, "back"), Timestamp(now + MINUTE_MS));
        assert_eq!(of(&statuses, 2), (now + MINUTE_MS - 1, "back"));
        statuses.take(relayed(now + DAY_MS, start, "old"), Timestamp(now + DAY_MS));
        assert_eq!(of(&statuses, 2).1, "back", "older than a day is nothing");
    }

    #[test]
    fn a_node_whose_own_clock_is_set_back_goes_on_hearing() {
        let mut statuses = BeaconStatuses::default();
        statuses.take(relayed(2 * DAY_MS, 2 * DAY_MS, "a"), Timestamp(2 * DAY_MS));
        statuses.take(relayed(2 * DAY_MS + 9, 2 * DAY_MS, "b"), Timestamp(DAY_MS));
        assert_eq!(of(&statuses, 2), (DAY_MS - 9, "b"));
    }

    #[test]
    fn only_an_endpoint_that_is_of_use_is_a_change() {
        let mut statuses = BeaconStatuses::default();
        let mut usable = status(1, 5);
        usable.endpoint.as_mut().unwrap().site = "hq".into();
        assert!(!statuses.take(vec![status(1, 4)], Timestamp(99)), "its site is too long");
        assert!(statuses.take(vec![usable.clone()], Timestamp(100)));
        assert!(!statuses.take(vec![usable], Timestamp(200)));
        assert!(!statuses.take(vec![], Timestamp(200)));
    }

    #[test]
    fn a_node_below_its_own_parent_is_seen_and_one_that_was_a_while_ago_is_not() {
        let own = status(1, MINUTE_MS);
        let id = own.id;
        let sent_at = 2 * MINUTE_MS;
        assert!(is_circle(&[status(2, sent_at), own.clone()], id));
        assert!(!is_circle(&[status(2, sent_at)], id) && !is_circle(&[], id));
        assert!(!is_circle(&[status(2, MINUTE_MS + CIRCLE_MS), own], id));
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
