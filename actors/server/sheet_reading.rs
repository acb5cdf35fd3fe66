//! A file of computers on its way into the log: what its rows change of what is staged. All of it waits for the disk.

use std::io::BufRead;

use muster::id::TenantId;
use muster::model::device::RecordKey;
use muster::model::fact::FactKey;
use muster::model::sheet::SheetReader;
use muster::model::source::{FileStamp, RowChange};
use muster::model::staged::StagedRecord;
use muster::model::stored;
use muster::roles::server::sources::{RowCounts, change_of, gone_of};
use muster::time::Timestamp;
use tracing::error;

use super::sources::{BATCH_KEYS, SourceImport};
use crate::business_file::{BadRows, open_csv};
use crate::errors::{Chain, Hex};
use crate::log::{FactIndex, ReadError};

/// Rows that are compared with what is staged at once.
const BATCH_ROWS: usize = 2_000;

/// See the module's head.
pub(super) struct SheetReading {
    import: SourceImport,
    reader: SheetReader<Box<dyn BufRead + Send>>,
    bad: BadRows,
}

impl SheetReading {
    /// Reads the header.
    pub fn open(import: SourceImport, now: Timestamp) -> Result<(SheetReading, FileStamp), String> {
        // The stamp first: what changes meanwhile is read again.
        let (stamp, spelling) = (import.stamp()?, import.spelling()?);
        let shown = import.file.display();
        let source = open_csv(&import.file).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        let reader = SheetReader::open(source, spelling, now);
        let reader = reader.map_err(|error| format!("`{shown}`: {}", Chain(&error)))?;
        Ok((SheetReading { import, reader, bad: BadRows::default() }, stamp))
    }

    /// What the next rows change; `None` at the end.
    pub fn rows(
        &mut self,
        facts: &FactIndex,
        tenant: &TenantId,
        counts: &mut RowCounts,
    ) -> Result<Option<Vec<RowChange>>, String> {
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        let told = |error| format!("`{}`: {}", self.import.file.display(), Chain(&error));
        let mut is_at_end = false;
        while rows.len() < BATCH_ROWS {
            match self.reader.next_row().map_err(told)? {
                None => {
                    is_at_end = true;
                    break;
                }
                Some(Err(bad)) => self.bad.add(bad.error),
                Some(Ok(row)) => {
                    let (source, external_id) = (self.import.source.clone(), row.external_id.clone());
                    keys.push(FactKey::Record(tenant.clone(), RecordKey { source, external_id }).encode());
                    rows.push(Some(row));
                }
            }
        }
        if is_at_end && rows.is_empty() {
            return Ok(None);
        }
        let mut changes = Vec::new();
        each_record(facts, &keys, |place, staged| {
            if let Some(row) = rows[place].take() {
                changes.extend(change_of(&self.import.source, row, staged.as_ref(), counts));
            }
        })?;
        Ok(Some(changes))
    }

    /// How many good rows there are, and the bad ones.
    pub fn good_and_bad(self) -> (u32, BadRows) {
        (self.reader.rows() - self.bad.count, self.bad)
    }

    /// Whether what was read may be in force.
    pub fn judge(&self) -> Result<(), String> {
        let rows = self.reader.rows();
        self.bad.judge(rows - self.bad.count, self.import.good_rows, &self.import.file)?;
        if rows == 0 && !self.import.may_empty {
            let (file, source) = (self.import.file.display(), &self.import.source);
            return Err(format!(
                "`{file}` has no rows, nothing is taken: to take away all computers of `{source}`, run \
                 InventoryImportSpreadsheet with it"
            ));
        }
        Ok(())
    }

    /// Whether nothing more need be written of it: it is refused whatever follows.
    pub fn is_refused(&self) -> bool {
        self.bad.count > 0 && !self.import.good_rows
    }

    /// Whether it says of every computer whether it is there: a bad row without an id that reads may be any one's.
    pub fn names_all(&self) -> bool {
        self.reader.unnamed() == 0
    }

    /// What it changes that some of the records behind `after` have no row any more; `None` at their end, or when that cannot
    /// be told.
    pub fn gone(
        &self,
        facts: &FactIndex,
        tenant: &TenantId,
        after: &mut Option<Box<[u8]>>,
        counts: &mut RowCounts,
    ) -> Result<Option<Vec<RowChange>>, String> {
        if !self.names_all() {
            return Ok(None);
        }
        let prefix = FactKey::records_prefix(tenant, &self.import.source);
        let page = facts.keys(&prefix, after.as_deref(), BATCH_KEYS);
        let Some((last, _)) = page.last() else { return Ok(None) };
        *after = Some(last.clone());
        let (mut records, mut keys) = (Vec::new(), Vec::new());
        for (key, _) in page {
            if let Some(FactKey::Record(_, record)) = FactKey::decode(&key)
                && !self.reader.has(&record.external_id)
            {
                records.push(record);
                keys.push(key);
            }
        }
        let mut changes = Vec::new();
        each_record(facts, &keys, |place, staged| {
            if let Some(staged) = staged {
                changes.extend(gone_of(&self.import.source, &records[place], &staged, counts));
            }
        })?;
        Ok(Some(changes))
    }
}

/// Shows the staged record of each key by its place. One that has rotted is none.
fn each_record<K: AsRef<[u8]>>(
    facts: &FactIndex,
    keys: &[K],
    mut see: impl FnMut(usize, Option<StagedRecord>),
) -> Result<(), String> {
    let mut failed = None;
    facts.get_all(keys, |place, value| match value {
        Ok(Some(value)) => match stored::unpack(&value) {
            Ok(staged) => see(place, Some(staged)),
            Err(error) => failed = Some(Chain(&error).to_string()),
        },
        Ok(None) => see(place, None),
        Err(error @ ReadError::Rotten { .. }) => {
            error!(key = %Hex(keys[place].as_ref()), error = %Chain(&error), "a record has rotted and is staged anew");
            see(place, None);
        }
        Err(error) => failed = Some(Chain(&error).to_string()),
    });
    failed.map_or(Ok(()), Err)
}
