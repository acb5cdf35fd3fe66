//! What a beacon changes in the policy it hands on: the time of the catch-up, and nothing else.

use crate::formats::nds::Nds;
use crate::id::Guid;
use crate::policy::BeaconPolicy;
use crate::rng::{RngStream, mix};
use crate::schedule::with_catch_up_at;

/// Seconds of a day.
const DAY_SECS: i64 = 86_400;

/// The schedule of `policy` as `beacon` hands it out: its catch-up begins at a time of the day that is drawn anew for each
/// schedule. All agents of a beacon share that hour, those of another one have another. Drawn from beacon and schedule
/// alone: a restart hands out the same file, and so does a revision that changes something else, whose agents would take
/// a moved catch-up for a new schedule, ask once more, and might miss it on that day.
///
/// Source: Adopted: Normal Operation, step 7; `agent-beacon-batch` reference, section 7.
pub fn own_schedule(policy: &BeaconPolicy, beacon: Guid) -> String {
    let schedule = &policy.content.schedule;
    // A policy that reads has a schedule that reads.
    let Ok(nds) = Nds::read(schedule.as_bytes()) else { return schedule.clone() };
    let of_schedule = schedule.bytes().fold(0, |hash, byte| mix(hash, u64::from(byte)));
    let secs = RngStream::new(beacon.seed(), of_schedule, 0).below(DAY_SECS) as u32;
    let mut out = Vec::new();
    let written = with_catch_up_at(nds, secs).write(&mut out);
    written.ok().and_then(|()| String::from_utf8(out).ok()).unwrap_or_else(|| schedule.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::beacon_policy::Content;
    use crate::schedule::{AgentSchedule, standard_schedule};
    use crate::time::Timestamp;

    fn policy(revision: u64, schedule: &AgentSchedule, failover: &str) -> BeaconPolicy {
        let mut out = Vec::new();
        standard_schedule(schedule, Timestamp(0)).write(&mut out).unwrap();
        let schedule = String::from_utf8(out).unwrap();
        let content = Content { schedule, failover: failover.to_owned(), ..Content::default() };
        BeaconPolicy::new(revision, Timestamp(revision as i64), content).unwrap()
    }

    #[test]
    fn another_list_of_beacons_leaves_the_schedule_as_it_is_byte_for_byte() {
        let (usual, beacon) = (AgentSchedule::default(), Guid::NIL);
        let list = "[ManageSoft\\Common\\UploadSettings\\{3a1c9e52-6d0b-4f7e-9b1a-77c0d2e4a801}]\nProtocol=http\n\
                    Host=beacon1.lab.example\nPort=7082\nDirectory=ManageSoftRL\n";
        let first = own_schedule(&policy(7, &usual, ""), beacon);
        assert_eq!(own_schedule(&policy(8, &usual, list), beacon), first);
        assert_ne!(
            own_schedule(
                &policy(7, &usual, ""),
                Guid::from_random([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
            ),
            first,
            "each beacon has its hour"
        );
        let other = AgentSchedule { inventory_start_secs: 60, ..AgentSchedule::default() };
        let moved = Nds::read(own_schedule(&policy(7, &other, ""), beacon).as_bytes()).unwrap();
        let catch_up = |nds: &Nds| nds.events[2].triggers[0].start;
        assert_ne!(catch_up(&moved), catch_up(&Nds::read(first.as_bytes()).unwrap()), "drawn anew with the schedule");
    }
}
