//! Tells when a beacon holds something for too long.

use std::collections::BTreeMap;

use muster::id::Guid;
use muster::model::beacon_status::BeaconStatus;
use muster::time::{HOUR_MS, SECOND_MS, Timestamp};
use tracing::warn;

/// When each overdue beacon was told of last; one that has caught up is forgotten.
#[derive(Debug, Default)]
pub struct Overdue(BTreeMap<Guid, Timestamp>);

impl Overdue {
    /// Warns of each beacon that is overdue, once an hour.
    pub fn look(&mut self, statuses: &[BeaconStatus], now: Timestamp) {
        for status in self.untold(statuses, now) {
            warn!(
                beacon = %status.id,
                name = status.name,
                parent = status.parent,
                oldest_secs = status.queue.oldest_ms() / SECOND_MS,
                "a beacon holds packages for more than two hours: see whether its parent takes them"
            );
        }
    }

    fn untold<'s>(&mut self, statuses: &'s [BeaconStatus], now: Timestamp) -> Vec<&'s BeaconStatus> {
        let overdue: Vec<&BeaconStatus> = statuses.iter().filter(|status| status.queue.is_overdue()).collect();
        self.0.retain(|beacon, _| overdue.iter().any(|status| status.id == *beacon));
        // A clock that was set back tells once more rather than not for long.
        let is_told = |told: Option<&Timestamp>| told.is_some_and(|at| (0..HOUR_MS).contains(&(now.0 - at.0)));
        let to_tell: Vec<&BeaconStatus> =
            overdue.into_iter().filter(|status| !is_told(self.0.get(&status.id))).collect();
        self.0.extend(to_tell.iter().map(|status| (status.id, now)));
        to_tell
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_beacon_that_holds_something_for_too_long_is_told_of_once_an_hour() {
        let status = |oldest_ms: i64| -> BeaconStatus {
            let waiting = json!({ "Inventories": { "packages": 1, "bytes": 1, "oldest_ms": oldest_ms } });
            serde_json::from_value(json!({
                "id": Guid::from_random([1; 16]), "name": "b", "parent": "http://p", "version": "1", "at": 1,
                "queue": { "waiting": waiting, "quarantined": 0 },
            }))
            .unwrap()
        };
        let mut overdue = Overdue::default();
        let mut told = |oldest_ms, at| overdue.untold(&[status(oldest_ms)], Timestamp(at)).len();
        assert_eq!(told(2 * HOUR_MS, 0), 0);
        assert_eq!([told(3 * HOUR_MS, 1), told(3 * HOUR_MS, HOUR_MS), told(3 * HOUR_MS, HOUR_MS + 1)], [1, 0, 1]);
        assert_eq!([told(0, HOUR_MS + 2), told(3 * HOUR_MS, HOUR_MS + 3)], [0, 1], "it had caught up meanwhile");
    }
}
