//! What a device shows of the records bound to it, beyond its own merged values.
//!
//! Source: matching reference, section 8: values by precedence, software united over all sources.

use std::cmp::Reverse;

use crate::model::device::{Provenance, RecordKey};
use crate::model::inventory::Detail;
use crate::model::software::InstalledTitle;
use crate::model::staged::StagedRecord;
use crate::time::SECOND_MS;

/// Each detail that some record knows, with who gave it and when, in the order of [`Detail::ALL`]. Of several the best
/// record's, by the rule that device values follow: the primary source, the later date, the source's name, the smaller
/// record. The order of `records` does not matter.
pub fn details<'r>(
    records: impl Iterator<Item = (&'r RecordKey, &'r StagedRecord)>,
    primary: Option<&str>,
) -> Vec<(Detail, String, Provenance)> {
    let date = |staged: &StagedRecord| staged.effective().0.div_euclid(SECOND_MS);
    let mut best_first: Vec<_> = records.collect();
    best_first.sort_by_key(|(key, staged)| {
        (primary != Some(&*key.source), Reverse(date(staged)), key.source.clone(), staged.number)
    });
    let known: Vec<_> = best_first.iter().map(|(key, staged)| (key, date(staged), staged.details())).collect();
    let best = |detail: Detail| {
        known.iter().find_map(|(key, date, details)| {
            let provenance = Provenance { source: key.source.clone(), date: *date };
            Some((detail, details.get(detail)?.to_owned(), provenance))
        })
    };
    Detail::ALL.into_iter().filter_map(best).collect()
}

/// Both lists together; what stands in both stays as often as in the one that has it more often.
pub fn unite(a: &[InstalledTitle], b: &[InstalledTitle]) -> Vec<InstalledTitle> {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    let mut union = Vec::new();
    loop {
        match (a.peek(), b.peek()) {
            (Some(first), Some(second)) if first.title == second.title => {
                let title = first.title;
                let of = |list: &mut std::iter::Peekable<_>| -> Vec<InstalledTitle> {
                    std::iter::from_fn(|| list.next_if(|one: &InstalledTitle| one.title == title)).collect()
                };
                let (mine, theirs) = (of(&mut a), of(&mut b));
                union.extend(if mine.len() >= theirs.len() { mine } else { theirs });
            }
            (Some(first), second) if second.is_none_or(|second| first < second) => union.extend(a.next()),
            (_, Some(_)) => union.extend(b.next()),
            _ => return union,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::model::inventory::ReportType;
    use crate::model::package::{Kind, Origin, PackageKey, Stream};
    use crate::model::software::TitleId;
    use crate::model::staged::StagedReport;
    use crate::time::Timestamp;

    fn list(numbers: &[u32]) -> Vec<InstalledTitle> {
        numbers.iter().map(|&number| InstalledTitle { title: TitleId(number), install_date: None }).collect()
    }

    #[test]
    fn software_is_united_and_what_one_record_has_twice_stays_twice() {
        assert_eq!(unite(&list(&[1, 2, 2, 5]), &list(&[2, 3, 5, 5, 5])), list(&[1, 2, 2, 3, 5, 5, 5]));
        assert_eq!(unite(&list(&[]), &list(&[7])), list(&[7]));
        assert_eq!(unite(&list(&[7]), &list(&[])), list(&[7]));
    }

    #[test]
    fn each_detail_comes_from_the_best_record_that_knows_it_in_any_order() {
        let record = |source: &str, number: u64, effective: i64, known: &[(Detail, &str)]| {
            let key = RecordKey { source: source.into(), external_id: number.to_string().into() };
            let package = PackageKey {
                origin: Origin("o".into()),
                kind: Kind::Inventories,
                digest: Digest::of(source.as_bytes()),
            };
            let mut staged = StagedRecord::new(number);
            staged.stage(StagedReport {
                stream: Stream::new(Kind::Inventories, "root", "Full"),
                package,
                report_type: ReportType::Full,
                effective: Timestamp(effective),
                values: Default::default(),
                details: known.iter().copied().collect(),
                titles: 0,
            });
            (key, staged)
        };
        let mut records = vec![
            record("agent", 1, 5_000, &[(Detail::OSVersion, "old")]),
            record("agent", 2, 9_000, &[(Detail::OSVersion, "new"), (Detail::Site, "lab")]),
            record("scan", 3, 99_000, &[(Detail::OSVersion, "scanned"), (Detail::Location, "cellar")]),
        ];
        for primary in [Some("agent"), None] {
            let of = |records: &[(RecordKey, StagedRecord)]| {
                let best = details(records.iter().map(|(key, staged)| (key, staged)), primary);
                best.into_iter()
                    .map(|(_, text, giver)| format!("{text} {} {}", giver.source, giver.date))
                    .collect::<Vec<_>>()
            };
            let expected = match primary {
                Some(_) => ["new agent 9", "lab agent 9", "cellar scan 99"],
                None => ["scanned scan 99", "lab agent 9", "cellar scan 99"],
            };
            assert_eq!(of(&records), expected);
            records.reverse();
            assert_eq!(of(&records), expected);
        }
    }
}
