//! What the server keeps of a package that has its final state.
//!
//! The body of what is staged, and of everything younger than the kept time: so inventories can be staged again, software
//! lists be built again, and an operator can see what a machine said. What is shown of usage and discovery stands in
//! facts of its own, so their bodies are not needed beyond the kept time. The rows of a business file stand in its body
//! alone, so that stays until another file has taken its place.
//!
//! The ledger's entry stays longer than any copy of the package can live; afterwards the ledger of its stream still
//! knows the number. Source: delivery contract, sections 2 and 4.

use crate::model::business::BusinessFile;
use crate::model::settlement::Settlement;
use crate::model::staged::StagedRecord;
use crate::time::{DAY_MS, Timestamp};
use crate::upload::ledger::DIGEST_WINDOW_MS;

/// How long a settled body is kept at least.
pub const KEPT_MS: i64 = 30 * DAY_MS;

/// What is wanted of a settled package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Its body and its entry.
    Body,
    /// Its entry: how it ended and which way it came.
    Entry,
    /// Nothing of its own.
    Nothing,
}

/// What is wanted at `now` of the package that `settlement` tells of. `record` is what is staged in the record that the
/// entry names, `business` the file in force of the source and kind that it names.
pub fn keep(
    settlement: &Settlement,
    record: Option<&StagedRecord>,
    business: Option<&BusinessFile>,
    now: Timestamp,
) -> Keep {
    let key = settlement.envelope.key();
    let is_staged = record.is_some_and(|record| record.reports().iter().any(|report| report.package == key));
    let is_in_force = business.is_some_and(|file| file.package == key);
    match now.ms_since(settlement.settled) {
        age if is_staged || is_in_force || age < KEPT_MS => Keep::Body,
        age if age < DIGEST_WINDOW_MS => Keep::Entry,
        _ => Keep::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::model::business::{BusinessKey, BusinessKind};
    use crate::model::device::RecordKey;
    use crate::model::inventory::ReportType;
    use crate::model::package::{Envelope, Kind, Origin, Stream};
    use crate::model::settlement::FinalState;
    use crate::model::staged::StagedReport;

    const SETTLED: Timestamp = Timestamp(1_750_000_000_000);

    fn envelope(text: &str) -> Envelope {
        Envelope {
            origin: Origin("a".into()),
            kind: Kind::Inventories,
            stream: None,
            file_name: "x.ndi.gz".into(),
            size: 1,
            digest: Digest::of(text.as_bytes()),
            sequence: None,
            collected_at: None,
            first_received: SETTLED,
            unproven: true,
            hops: vec![],
        }
    }

    fn staged(text: &str) -> StagedRecord {
        let mut record = StagedRecord::new(1);
        record.stage(StagedReport {
            stream: Stream("Inventories/root/Full".into()),
            package: envelope(text).key(),
            report_type: ReportType::Full,
            effective: SETTLED,
            values: Default::default(),
            details: Default::default(),
            titles: 0,
        });
        record
    }

    #[test]
    fn what_is_staged_stays_and_of_the_rest_first_the_body_goes_and_then_the_entry() {
        let settlement = Settlement {
            state: FinalState::Imported,
            reason: None,
            clock: None,
            settled: SETTLED,
            record: Some(RecordKey { source: "agent".into(), external_id: "a".into() }),
            envelope: envelope("mine"),
            business: None,
        };
        let after = |days: i64, record| keep(&settlement, record, None, SETTLED.plus_ms(days * DAY_MS));
        let (newer, mine) = (staged("newer"), staged("mine"));
        for (days, wanted) in [(0, Keep::Body), (29, Keep::Body), (30, Keep::Entry), (34, Keep::Entry)] {
            assert_eq!(after(days, Some(&newer)), wanted, "after {days} days");
        }
        assert_eq!([after(35, Some(&newer)), after(35, None)], [Keep::Nothing; 2]);
        assert_eq!(after(4_000, Some(&mine)), Keep::Body);
        // A clock that was set back purges nothing.
        assert_eq!(after(-4_000, None), Keep::Body);
    }
    #[test]
    fn a_business_file_stays_until_another_one_is_in_force() {
        let file = |text: &str| BusinessFile {
            package: envelope(text).key(),
            stream: Stream("IntermediateData/erp/Contracts".into()),
            effective: SETTLED,
            rows: 3,
        };
        let settlement = Settlement {
            state: FinalState::Imported,
            reason: None,
            clock: None,
            settled: SETTLED,
            record: None,
            envelope: envelope("mine"),
            business: Some(BusinessKey { source: "erp".into(), kind: BusinessKind::Contracts }),
        };
        let after = |days: i64, text: &str| keep(&settlement, None, Some(&file(text)), SETTLED.plus_ms(days * DAY_MS));
        for days in [0, 30, 31, 35, 4_000] {
            assert_eq!(after(days, "mine"), Keep::Body, "after {days} days");
        }
        assert_eq!([29, 30, 35].map(|days| after(days, "newer")), [Keep::Body, Keep::Entry, Keep::Nothing]);
    }
}
