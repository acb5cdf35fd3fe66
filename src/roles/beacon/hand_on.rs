//! What a beacon changes in the policy it hands on: the time of the catch-up, and nothing else.

use crate::formats::nds::Nds;
use crate::id::Guid;
use crate::policy::BeaconPolicy;
use crate::rng::RngStream;
use crate::schedule::with_catch_up_at;

/// Seconds of a day.
const DAY_SECS: i64 = 86_400;

/// The schedule of `policy` as `beacon` hands it out: its catch-up begins at a time of the day that is drawn anew for each
/// revision. All agents of a beacon share that hour, those of another one have another. Drawn from beacon and revision
/// alone, so that a restart hands out the same file.
///
/// Source: Adopted: Normal Operation, step 7; `agent-beacon-batch` reference, section 7.
pub fn own_schedule(policy: &BeaconPolicy, beacon: Guid) -> String {
    let schedule = &policy.content.schedule;
    // A policy that reads has a schedule that reads.
    let Ok(nds) = Nds::read(schedule.as_bytes()) else { return schedule.clone() };
    let secs = RngStream::new(beacon.seed(), policy.revision, 0).below(DAY_SECS) as u32;
    let mut out = Vec::new();
    let written = with_catch_up_at(nds, secs).write(&mut out);
    written.ok().and_then(|()| String::from_utf8(out).ok()).unwrap_or_else(|| schedule.clone())
}
