//! What a file of a source changes, and how that is staged: one part of it in one commit.
//!
//! The way is told in `model::source`. Everything here can be done again: a part that is staged is gone, and one that is
//! not is staged by whoever comes next.

use std::sync::Arc;

use crate::id::{Digest, TenantId};
use crate::model::device::RecordKey;
use crate::model::draft::{Draft, DraftError};
use crate::model::fact::FactKey;
use crate::model::inventory::{Details, ReportType};
use crate::model::package::{Kind, Origin, PackageKey};
use crate::model::sheet::SheetRow;
use crate::model::source::{PartKey, RowChange, SourceState, stream};
use crate::model::staged::{StagedRecord, StagedReport};
use crate::model::stored;
use crate::model::tenant::TenantState;
use crate::time::Timestamp;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that no record was of.
    pub added: u64,
    /// Rows that say something else than before.
    pub changed: u64,
    /// Records that no row is of any more.
    pub removed: u64,
}

/// What `row` changes of the record that is `staged`; `None`: it says the same. A date that goes back does not count, as
/// for every stream.
pub fn change_of(
    source: &str,
    row: SheetRow,
    staged: Option<&StagedRecord>,
    counts: &mut RowCounts,
) -> Option<RowChange> {
    match staged.and_then(|staged| staged.report(&stream(source))) {
        Some(known) => {
            let is_newer = row.collected_at.is_some_and(|at| at > known.effective);
            if !is_newer && known.values == row.values {
                return None;
            }
            counts.changed += 1;
        }
        None => counts.added += 1,
    }
    let SheetRow { external_id, collected_at, values } = row;
    Some(RowChange::Put { external_id, collected_at, values })
}

/// What it changes that no row of the file is of this record, which is `staged`; `None`: it has other reports only.
pub fn gone_of(source: &str, record: &RecordKey, staged: &StagedRecord, counts: &mut RowCounts) -> Option<RowChange> {
    staged.report(&stream(source))?;
    counts.removed += 1;
    Some(RowChange::Gone { external_id: record.external_id.clone() })
}

/// Puts a file in force whose changes stand in the parts `next..end`. An import of them is due from then on.
pub fn switch<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    source: &Arc<str>,
    state: &SourceState,
) -> Result<(), DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    draft.write(&FactKey::Source(tenant.clone(), source.clone()), state);
    if state.is_pending() {
        note_staged(draft, tenant)?;
    }
    Ok(())
}

fn note_staged<L, V, E>(draft: &mut Draft<L>, tenant: &TenantId) -> Result<(), DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let key = FactKey::Tenant(tenant.clone());
    let mut counters: TenantState = draft.read(&key)?.unwrap_or_default();
    counters.note_staged(true);
    draft.write(&key, &counters);
    Ok(())
}

/// Stages the next part of the file in force. `None`: all are staged, or there is no such source. Whether the part was
/// whole: one that has rotted is passed over, and the file is then read again, whatever it looks like.
pub fn stage_part<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    source: &Arc<str>,
) -> Result<Option<bool>, DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let source_key = FactKey::Source(tenant.clone(), source.clone());
    let Some(mut state) = draft.read::<SourceState>(&source_key)?.filter(SourceState::is_pending) else {
        return Ok(None);
    };
    let part_key = FactKey::SourcePart(tenant.clone(), PartKey { source: source.clone(), number: state.next });
    let part: Option<Vec<RowChange>> = draft.read(&part_key)?;
    let is_whole = part.is_some();
    let counters_key = FactKey::Tenant(tenant.clone());
    let mut counters: TenantState = draft.read(&counters_key)?.unwrap_or_default();
    for change in part.unwrap_or_default() {
        stage_row(draft, (tenant, source), change, state.taken, &mut counters)?;
    }
    counters.note_staged(true);
    draft.write(&counters_key, &counters);
    draft.remove(&part_key);
    state.next += 1;
    if !is_whole {
        state.file = None;
    }
    draft.write(&source_key, &state);
    Ok(Some(is_whole))
}

fn stage_row<L, V, E>(
    draft: &mut Draft<L>,
    (tenant, source): (&TenantId, &Arc<str>),
    change: RowChange,
    taken: Timestamp,
    counters: &mut TenantState,
) -> Result<(), DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let key = |external_id| FactKey::Record(tenant.clone(), RecordKey { source: source.clone(), external_id });
    match change {
        RowChange::Gone { external_id } => {
            let key = key(external_id);
            if let Some(mut staged) = draft.read::<StagedRecord>(&key)?
                && staged.unstage(&stream(source))
            {
                draft.write(&key, &staged);
            }
        }
        RowChange::Put { external_id, collected_at, values } => {
            let key = key(external_id);
            let mut staged = match draft.read::<StagedRecord>(&key)? {
                Some(staged) => staged,
                None => {
                    counters.next_record += 1;
                    StagedRecord::new(counters.next_record - 1)
                }
            };
            // No package brought it; the digest is that of what it says.
            let digest = Digest::of(&stored::pack(&values));
            let origin = Origin(format!("file/{source}").into());
            staged.stage(StagedReport {
                stream: stream(source),
                package: PackageKey { origin, kind: Kind::IntermediateData, digest },
                report_type: ReportType::Hardware,
                effective: collected_at.unwrap_or(taken),
                values,
                details: Details::default(),
                titles: 0,
            });
            draft.write(&key, &staged);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::computer::Property;

    type Facts = BTreeMap<Vec<u8>, Vec<u8>>;

    fn tenant() -> TenantId {
        TenantId::default_tenant()
    }

    fn source() -> Arc<str> {
        "cmdb".into()
    }

    fn row(id: &str, serial: &str, at: Option<i64>) -> SheetRow {
        let values = [(Property::SerialNo, serial)].into_iter().collect();
        SheetRow { external_id: id.into(), collected_at: at.map(Timestamp), values }
    }

    fn key(id: &str) -> RecordKey {
        RecordKey { source: source(), external_id: id.into() }
    }

    fn staged(facts: &Facts, id: &str) -> Option<StagedRecord> {
        facts.get(&FactKey::Record(tenant(), key(id)).encode()).map(|value| stored::unpack(value).unwrap())
    }

    type Look = Box<dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, ()>>;

    fn commit<T>(facts: &mut Facts, decide: impl FnOnce(&mut Draft<Look>) -> T) -> T {
        let before = facts.clone();
        let mut draft: Draft<Look> = Draft::new(Box::new(move |key: &[u8]| Ok(before.get(key).cloned())));
        let answer = decide(&mut draft);
        for (key, value) in draft.into_writes() {
            match value {
                Some(value) => facts.insert(key, value),
                None => facts.remove(&key),
            };
        }
        answer
    }

    /// Takes a file, a part for each row; stages so many parts.
    fn take(facts: &mut Facts, rows: &[SheetRow], at: i64, most: usize) -> RowCounts {
        let mut counts = RowCounts::default();
        let mut changes: Vec<RowChange> = rows
            .iter()
            .filter_map(|row| change_of("cmdb", row.clone(), staged(facts, &row.external_id).as_ref(), &mut counts))
            .collect();
        for id in ["a", "b", "c"].iter().filter(|id| rows.iter().all(|row| row.external_id != (**id).into())) {
            let known = staged(facts, id);
            changes.extend(known.and_then(|known| gone_of("cmdb", &key(id), &known, &mut counts)));
        }
        let end = changes.len() as u32;
        for (number, change) in (0..).zip(changes) {
            let part = FactKey::SourcePart(tenant(), PartKey { source: source(), number });
            commit(facts, |draft| draft.write(&part, &vec![change]));
        }
        let state = SourceState { rows: rows.len() as u32, taken: Timestamp(at), file: None, next: 0, end };
        commit(facts, |draft| switch(draft, &tenant(), &source(), &state)).unwrap();
        for _ in 0..most {
            if commit(facts, |draft| stage_part(draft, &tenant(), &source())).unwrap().is_none() {
                break;
            }
        }
        counts
    }

    fn counts(added: u64, changed: u64, removed: u64) -> RowCounts {
        RowCounts { added, changed, removed }
    }

    #[test]
    fn a_file_replaces_the_one_before_and_the_same_again_changes_nothing() {
        let mut facts = Facts::new();
        let first = [row("a", "S1", None), row("b", "S2", Some(5_000))];
        assert_eq!(take(&mut facts, &first, 9_000, 9), counts(2, 0, 0));
        let dates = ["a", "b"].map(|id| staged(&facts, id).unwrap().effective().0);
        assert_eq!(dates, [9_000, 5_000]);
        let before = facts.clone();
        assert_eq!(take(&mut facts, &first, 12_000, 9), counts(0, 0, 0));
        let records = |facts: &Facts| {
            facts
                .iter()
                .filter(|(key, _)| key[0] == 5 || key[0] == 7)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(records(&facts), records(&before), "no record, no counter");

        assert_eq!(take(&mut facts, &[row("a", "S9", None), row("c", "S3", None)], 20_000, 9), counts(1, 1, 1));
        assert!(staged(&facts, "b").unwrap().is_gone());
        let a = staged(&facts, "a").unwrap();
        assert_eq!((a.number, a.effective()), (1, Timestamp(20_000)));
        assert_eq!(a.computer(&key("a")).values.get(Property::SerialNo), Some("S9"));
        // What comes back before an import has seen that it was gone is the record that it was.
        assert_eq!(take(&mut facts, &[row("b", "S2", None)], 30_000, 9), counts(1, 0, 2));
        let b = staged(&facts, "b").unwrap();
        assert_eq!((b.number, b.is_gone(), b.effective()), (2, false, Timestamp(30_000)));
    }

    #[test]
    fn what_was_cut_short_is_staged_by_the_next_and_an_import_is_due_meanwhile() {
        let mut facts = Facts::new();
        take(&mut facts, &[row("a", "S1", None), row("b", "S2", None)], 9_000, 1);
        let counters =
            |facts: &Facts| -> TenantState { stored::unpack(&facts[&FactKey::Tenant(tenant()).encode()]).unwrap() };
        assert!(staged(&facts, "a").is_some() && staged(&facts, "b").is_none() && counters(&facts).has_third_party());
        let mut next = || commit(&mut facts, |draft| stage_part(draft, &tenant(), &source())).unwrap();
        assert_eq!([next(), next()], [Some(true), None]);
        assert_eq!((staged(&facts, "b").unwrap().number, counters(&facts).next_record), (2, 3));
        assert!(facts.keys().all(|key| key[0] != 31), "no part is left");
    }

    #[test]
    fn a_part_that_is_lost_makes_the_file_be_read_again() {
        let mut facts = Facts::new();
        take(&mut facts, &[row("a", "S1", None)], 9_000, 0);
        facts.retain(|key, _| key[0] != 31);
        let is_whole = commit(&mut facts, |draft| stage_part(draft, &tenant(), &source())).unwrap();
        assert_eq!(is_whole, Some(false));
        assert_eq!(take(&mut facts, &[row("a", "S1", None)], 9_000, 9), counts(1, 0, 0));
    }

    #[test]
    fn a_record_that_packages_report_of_too_stays_when_its_row_goes() {
        let mut facts = Facts::new();
        take(&mut facts, &[row("a", "S1", None)], 9_000, 9);
        let mut record = staged(&facts, "a").unwrap();
        let mut other = record.reports()[0].clone();
        other.stream = crate::model::package::Stream::new(Kind::IntermediateData, "cmdb", "Full");
        record.stage(other);
        commit(&mut facts, |draft| draft.write(&FactKey::Record(tenant(), key("a")), &record));
        assert_eq!(take(&mut facts, &[], 20_000, 9), counts(0, 0, 1));
        assert_eq!((staged(&facts, "a").unwrap().is_gone(), staged(&facts, "a").unwrap().reports().len()), (false, 1));
        assert_eq!(take(&mut facts, &[], 30_000, 9), counts(0, 0, 0));
    }
}
