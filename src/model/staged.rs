//! What is staged of one machine: the newest report of each of its streams, seen as one record.
//!
//! The newest Full report makes the record; a newer Hardware report overlays its hardware; reports of other accounts add
//! software only. Source: agent-beacon-batch reference, section 4.3, last paragraph of the table of properties.

use serde::{Deserialize, Serialize};

use super::computer::{ImportedComputer, Values};
use super::device::RecordKey;
use super::identities::Identities;
use super::inventory::{Detail, Details, ReportType};
use super::package::{PackageKey, Stream};
use crate::time::{SECOND_MS, Timestamp};

/// Streams of one record at most: accounts that report, three types each. Beyond it the oldest report goes.
pub const STREAMS_MAX: usize = 64;

/// The newest report of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedReport {
    /// Its stream.
    pub stream: Stream,
    /// The package it came in.
    pub package: PackageKey,
    /// What it covers.
    pub report_type: ReportType,
    /// The date it counts from.
    pub effective: Timestamp,
    /// What Matchers read.
    pub values: Values,
    /// What else is known of the machine.
    pub details: Details,
    /// How many titles it lists.
    pub titles: u32,
}

impl StagedReport {
    /// Newer first; of two of one date the one whose package has the greater key, so that there is one answer.
    fn age(&self) -> (Timestamp, &PackageKey) {
        (self.effective, &self.package)
    }
}

/// Value of a `FactKey::Record`: see the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedRecord {
    /// Number of the record within its tenant, given when it was first seen; the larger one is the younger record.
    pub number: u64,
    /// One report of each stream, ascending by stream.
    reports: Vec<StagedReport>,
    /// What it has said to be before.
    #[serde(default)]
    pub identities: Identities,
}

impl StagedRecord {
    /// A record that nothing is staged of yet.
    pub fn new(number: u64) -> StagedRecord {
        StagedRecord { number, reports: Vec::new(), identities: Identities::default() }
    }

    /// The reports, ascending by stream.
    pub fn reports(&self) -> &[StagedReport] {
        &self.reports
    }

    /// The report of `stream`.
    pub fn report(&self, stream: &Stream) -> Option<&StagedReport> {
        self.place(stream).ok().map(|place| &self.reports[place])
    }

    /// Puts `report` in the place of its stream's. A sender that invents streams without end drives out its own oldest.
    /// Gives the stream that was driven out.
    ///
    /// A stream's date never goes back: the newer report of a sender whose clock was set back, or whose first beacon's
    /// was, counts from the older one's date. Else the values of that one would stay until the clock has come as far.
    pub fn stage(&mut self, mut report: StagedReport) -> Option<Stream> {
        match self.place(&report.stream) {
            Ok(place) => {
                report.effective = report.effective.max(self.reports[place].effective);
                self.reports[place] = report;
                None
            }
            Err(_) => {
                let mut evicted = None;
                if self.reports.len() >= STREAMS_MAX {
                    let oldest =
                        (0..self.reports.len()).min_by(|&a, &b| self.reports[a].age().cmp(&self.reports[b].age()));
                    evicted = oldest.map(|place| self.reports.remove(place).stream);
                }
                let place = self.place(&report.stream).unwrap_or_else(|place| place);
                self.reports.insert(place, report);
                evicted
            }
        }
    }

    /// Takes the report of `stream` away; whether there was one.
    pub fn unstage(&mut self, stream: &Stream) -> bool {
        self.place(stream).map(|place| self.reports.remove(place)).is_ok()
    }

    /// Whether nobody reports of it any more. It is kept until an import has taken it off its device.
    pub fn is_gone(&self) -> bool {
        self.reports.is_empty()
    }

    fn place(&self, stream: &Stream) -> Result<usize, usize> {
        self.reports.binary_search_by(|report| report.stream.cmp(stream))
    }

    /// The report that makes the record: the newest Full one, without one the newest about hardware.
    fn base(&self) -> Option<&StagedReport> {
        let newest = |report_type| {
            let of_type = self.reports.iter().filter(move |report| report.report_type == report_type);
            of_type.max_by(|a, b| a.age().cmp(&b.age()))
        };
        newest(ReportType::Full).or_else(|| newest(ReportType::Hardware)).or_else(|| newest(ReportType::Oracle))
    }

    /// The newest Hardware report, when it is newer than what makes the record.
    fn overlay(&self) -> Option<&StagedReport> {
        let base = self.base()?;
        let hardware = self.reports.iter().filter(|report| report.report_type == ReportType::Hardware);
        hardware.max_by(|a, b| a.age().cmp(&b.age())).filter(|hardware| hardware.age() > base.age())
    }

    /// The date of the record.
    pub fn effective(&self) -> Timestamp {
        self.overlay().or(self.base()).map(|report| report.effective).unwrap_or_default()
    }

    /// The record as the Matchers read it.
    pub fn computer(&self, key: &RecordKey) -> ImportedComputer {
        let base = self.base().into_iter().chain(self.overlay());
        // Of a value given twice the last one counts: the overlay's.
        let values = base.flat_map(|report| report.values.iter()).collect();
        ImportedComputer {
            record_id: self.number,
            source: key.source.clone(),
            external_id: key.external_id.clone(),
            inventory_date: self.effective().0.div_euclid(SECOND_MS),
            values,
        }
    }

    /// What else is known of the machine.
    pub fn details(&self) -> Details {
        let reports = self.overlay().into_iter().chain(self.base());
        let list: Vec<(Detail, &str)> = reports.flat_map(|report| report.details.iter()).collect();
        list.into_iter().collect()
    }

    /// The streams whose software the machine has, ascending: the Full report of every account.
    pub fn software_streams(&self) -> impl Iterator<Item = &StagedReport> {
        self.reports.iter().filter(|report| report.report_type == ReportType::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::model::computer::Property;
    use crate::model::package::{Kind, Origin};
    use crate::model::stored;

    fn report(account: &str, report_type: ReportType, effective: i64, values: &[(Property, &str)]) -> StagedReport {
        let stream = Stream::new(Kind::Inventories, account, &format!("{report_type:?}"));
        let digest = Digest::of(format!("{stream} {effective}").as_bytes());
        StagedReport {
            package: PackageKey { origin: Origin("o".into()), kind: Kind::Inventories, digest },
            stream,
            report_type,
            effective: Timestamp(effective),
            values: values.iter().copied().collect(),
            details: [(Detail::TotalMemory, effective.to_string())].into_iter().collect(),
            titles: 1,
        }
    }

    fn staged(reports: &[StagedReport]) -> StagedRecord {
        let mut record = StagedRecord::new(7);
        reports.iter().cloned().for_each(|report| drop(record.stage(report)));
        record
    }

    fn key() -> RecordKey {
        RecordKey { source: "agent".into(), external_id: "x".into() }
    }

    #[test]
    fn a_newer_hardware_report_overlays_and_an_older_one_does_not() {
        let full = report("root", ReportType::Full, 5_000, &[(Property::ModelNo, "a"), (Property::HostID, "h")]);
        let hardware = |at| report("root", ReportType::Hardware, at, &[(Property::ModelNo, "b")]);
        let of = |record: &StagedRecord| {
            let computer = record.computer(&key());
            let values: Vec<_> = computer.values.iter().map(|(_, text)| text.to_owned()).collect();
            (computer.inventory_date, values, record.details().get(Detail::TotalMemory).unwrap().to_owned())
        };
        let texts = |list: [&str; 2]| list.map(str::to_owned).to_vec();
        assert_eq!(of(&staged(&[full.clone(), hardware(9_000)])), (9, texts(["b", "h"]), "9000".into()));
        assert_eq!(of(&staged(&[hardware(4_000), full])), (5, texts(["a", "h"]), "5000".into()));
    }

    #[test]
    fn the_report_of_a_clock_that_was_set_back_counts_from_the_date_of_the_one_before() {
        let before = report("root", ReportType::Full, 90_000, &[(Property::ModelNo, "a")]);
        let after = report("root", ReportType::Full, 4_000, &[(Property::ModelNo, "b")]);
        let record = staged(&[before, after.clone()]);
        let computer = record.computer(&key());
        assert_eq!((computer.inventory_date, computer.values.get(Property::ModelNo)), (90, Some("b")));
        assert_eq!(record.report(&after.stream).unwrap().package, after.package);
    }

    #[test]
    fn a_record_is_gone_when_its_last_report_is_taken_away() {
        let of = |account| report(account, ReportType::Hardware, 1, &[]);
        let mut record = staged(&[of("a"), of("b")]);
        assert!(record.unstage(&of("a").stream) && !record.unstage(&of("a").stream) && !record.is_gone());
        assert!(record.unstage(&of("b").stream) && record.is_gone());
        record.stage(of("a"));
        assert_eq!((record.is_gone(), record.number), (false, 7));
    }

    #[test]
    fn other_accounts_give_software_only() {
        let root = report("root", ReportType::Full, 9_000, &[(Property::HostID, "root's")]);
        let kim = report("kim", ReportType::Full, 4_000, &[(Property::HostID, "kim's"), (Property::UUID, "u")]);
        let record = staged(&[root, kim]);
        let values: Vec<_> = record.computer(&key()).values.iter().map(|(p, text)| (p, text.to_owned())).collect();
        assert_eq!(values, [(Property::HostID, "root's".to_owned())]);
        let streams: Vec<_> = record.software_streams().map(|report| report.stream.as_str()).collect();
        assert_eq!(streams, ["Inventories/kim/Full", "Inventories/root/Full"]);
    }

    #[test]
    fn a_sender_that_invents_streams_drives_out_its_oldest() {
        let mut record = StagedRecord::new(1);
        for n in 0..3 * STREAMS_MAX as i64 {
            record.stage(report(&format!("user{}", n * 7 % 997), ReportType::Full, n, &[]));
        }
        assert_eq!(record.reports().len(), STREAMS_MAX);
        assert!(record.reports().iter().all(|report| report.effective.0 >= 2 * STREAMS_MAX as i64));
        assert!(record.reports().is_sorted_by(|a, b| a.stream < b.stream));
    }

    #[test]
    fn a_record_that_was_stored_before_identities_were_noted_reads() {
        let record = staged(&[report("root", ReportType::Full, 1, &[])]);
        let earlier = stored::pack(&(record.number, record.reports.clone()));
        assert_eq!(stored::unpack::<StagedRecord>(&earlier).unwrap(), record);
    }

    #[test]
    fn a_stream_has_one_report_and_the_order_of_staging_does_not_show() {
        let reports = [
            report("root", ReportType::Full, 1, &[]),
            report("root", ReportType::Hardware, 2, &[]),
            report("kim", ReportType::Full, 3, &[]),
        ];
        let mut turned = reports.clone();
        turned.reverse();
        assert_eq!(staged(&reports), staged(&turned));
        let mut record = staged(&reports);
        record.stage(report("kim", ReportType::Full, 9, &[]));
        assert_eq!((record.reports().len(), record.effective()), (3, Timestamp(9)));
    }
}
