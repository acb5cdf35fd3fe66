//! Which bodies the server keeps.
//!
//! Packages without a final state, what is staged, and everything younger than the kept time: so inventories can be
//! staged again, software lists be built again, and an operator can see what a machine said. Source: delivery contract,
//! section 2.

use crate::model::settlement::Settlement;
use crate::model::staged::StagedRecord;
use crate::time::{DAY_MS, Timestamp};

/// How long a settled body is kept at least.
pub const KEPT_MS: i64 = 30 * DAY_MS;

/// Whether the body of a settled package is wanted at `now`. `record` is what is staged in the record that the entry
/// names.
pub fn is_kept(settlement: &Settlement, record: Option<&StagedRecord>, now: Timestamp) -> bool {
    let key = settlement.envelope.key();
    let is_staged = record.is_some_and(|record| record.reports().iter().any(|report| report.package == key));
    is_staged || now.ms_since(settlement.settled) < KEPT_MS
}
