//! Files of computers that other programs write: one is taken whole or not at all, and replaces the one before of its
//! source. The way is told in `muster::model::source`.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use muster::config::column_map::read_computers_map;
use muster::model::business::Spelling;
use muster::model::device::RecordKey;
use muster::model::fact::{FactKey, FactKind};
use muster::model::source::{FileStamp, PART_BYTES, PartKey, RowChange, SourceState};
use muster::model::staged::StagedRecord;
use muster::roles::server::sources::{RowCounts, stage_part, switch};
use muster::time::Timestamp;
use tracing::{error, info, warn};

use super::books::{Books, News, TurnError};
use super::business_import::check_file;
use super::sheet_reading::SheetReading;
use super::task_parameters::{flag, source_name, whole_path};
use crate::business_file::{BadRows, spelling_by};
use crate::errors::Chain;

/// Keys that are looked at, or taken away, at once.
pub(super) const BATCH_KEYS: usize = 2_000;

/// What is to be taken.
#[derive(Clone, Debug)]
pub(super) struct SourceImport {
    /// The source.
    pub source: Arc<str>,
    pub file: PathBuf,
    pub map: Option<PathBuf>,
    /// Whether good rows are taken although others are bad.
    pub good_rows: bool,
    /// Whether a file without rows takes the source away; else it is refused.
    pub may_empty: bool,
}

/// How a file was taken.
#[derive(Debug)]
pub(super) struct Taken {
    rows: u32,
    counts: RowCounts,
    bad: BadRows,
    names_all: bool,
}

impl SourceImport {
    /// Reads the parameters of a task.
    pub fn of(parameter: impl Fn(&str) -> Option<String>) -> Result<SourceImport, String> {
        let file = whole_path("file", parameter("file").ok_or("name the file: file=/path/of/computers.csv")?)?;
        let source = source_name(parameter("source").ok_or("name the source whose computers they are: source=cmdb")?)?;
        let good_rows = flag("good_rows", parameter("good_rows").as_deref())?;
        let map = parameter("map").map(|map| whole_path("map", map)).transpose()?;
        Ok(SourceImport { source: source.into(), file, map, good_rows, may_empty: true })
    }

    /// What was done, for the output of a task.
    pub fn told(&self, taken: &Taken) -> String {
        let RowCounts { added, changed, removed } = taken.counts;
        let bad = taken.bad.left_out(&self.file);
        let (rows, kept) = match taken.names_all {
            true => (taken.rows, ""),
            false => (taken.rows, "; nothing was taken away, because some of them do not say which computer they are"),
        };
        format!("{rows} rows of `{}`: {added} added, {changed} changed, {removed} removed{bad}{kept}", self.source)
    }

    /// What file and map look like. Waits for the disk.
    pub fn stamp(&self) -> Result<FileStamp, String> {
        let look = |path: &Path| {
            check_file(path)?;
            let metadata = std::fs::metadata(path);
            metadata.map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
        };
        let (file, map) = (look(&self.file)?, self.map.as_deref().map(look).transpose()?);
        let shown = |path: Option<&Path>| path.map(|path| path.display().to_string()).unwrap_or_default().into();
        let written = |metadata: &Metadata| {
            let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or_default()
        };
        Ok(FileStamp {
            paths: (shown(Some(&self.file)), shown(self.map.as_deref())),
            bytes: (file.len(), map.as_ref().map_or(0, Metadata::len)),
            written: (written(&file), map.as_ref().map_or(0, written)),
            good_rows: self.good_rows,
        })
    }

    /// How the file spells what it says. Waits for the disk.
    pub fn spelling(&self) -> Result<Spelling, String> {
        let read = |map: &PathBuf| spelling_by(map, read_computers_map).map_err(|failure| failure.text);
        self.map.as_ref().map_or(Ok(Spelling::canonical()), read)
    }
}

/// Takes a file. Nothing is in force of one that is refused.
pub(super) async fn take_file(books: &Books, import: &SourceImport, now: Timestamp) -> Result<Taken, String> {
    let told = |error: TurnError| Chain(&error).to_string();
    // Not beside an earlier life's that has not ended yet.
    let _task = books.one_task.lock().await;
    finish_source(books, &import.source).await.map_err(told)?;
    drop_parts(books, &import.source).await.map_err(told)?;
    let opening = import.clone();
    let opened = tokio::task::spawn_blocking(move || SheetReading::open(opening, now)).await;
    let (mut reading, stamp) = opened.map_err(|_| "the file was not read")??;
    let (mut parts, mut counts) = (Parts::new(books, import.source.clone()), RowCounts::default());
    loop {
        let (facts, tenant) = (books.facts.clone(), books.tenant.clone());
        let read = tokio::task::spawn_blocking(move || {
            let batch = reading.rows(&facts, &tenant, &mut counts);
            (reading, batch, counts)
        });
        let batch;
        (reading, batch, counts) = read.await.map_err(|_| "the file was not read to its end")?;
        match batch {
            Ok(None) => break,
            Ok(Some(_)) if reading.is_refused() => {}
            Ok(Some(changes)) => parts.add(changes).await.map_err(told)?,
            Err(why) => return refused(books, import, why).await,
        }
    }
    if let Err(why) = reading.judge() {
        return refused(books, import, why).await;
    }
    let (mut after, names_all) = (None, reading.names_all());
    loop {
        let (facts, tenant) = (books.facts.clone(), books.tenant.clone());
        let read = tokio::task::spawn_blocking(move || {
            let batch = reading.gone(&facts, &tenant, &mut after, &mut counts);
            (reading, batch, after, counts)
        });
        let batch;
        (reading, batch, after, counts) = read.await.map_err(|_| "the records of the source were not read")?;
        let Some(changes) = batch? else { break };
        parts.add(changes).await.map_err(told)?;
    }
    let end = parts.finish().await.map_err(told)?;
    let (rows, bad) = reading.good_and_bad();
    let state = SourceState { rows, taken: now, file: Some(stamp), next: 0, end };
    let (tenant, source) = (books.tenant.clone(), import.source.clone());
    let switched = books.turn(move |draft| {
        switch(draft, &tenant, &source, &state)?;
        Ok(((), News::default()))
    });
    switched.await.map_err(told)?;
    finish_source(books, &import.source).await.map_err(told)?;
    let RowCounts { added, changed, removed } = counts;
    info!(source = ?import.source, rows, added, changed, removed, "a file of computers was taken");
    Ok(Taken { rows, counts, bad, names_all })
}

/// Leaves nothing in the log of a file that is not taken.
async fn refused(books: &Books, import: &SourceImport, why: String) -> Result<Taken, String> {
    if let Err(error) = drop_parts(books, &import.source).await {
        warn!(source = ?import.source, error = %Chain(&error), "what was read of a refused file is dropped by the next one");
    }
    Err(why)
}

/// Stages what files that are in force have changed and what was not staged when an earlier run was cut short.
pub(super) async fn finish(books: &Books) -> Result<(), String> {
    let mut after = None::<Box<[u8]>>;
    loop {
        let keys = books.facts.keys(&FactKind::Source.prefix(Some(&books.tenant)), after.as_deref(), BATCH_KEYS);
        let Some((last, _)) = keys.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, _) in &keys {
            let Some(FactKey::Source(_, source)) = FactKey::decode(key) else { continue };
            let _task = books.one_task.lock().await;
            finish_source(books, &source).await.map_err(|error| Chain(&error).to_string())?;
        }
    }
}

async fn finish_source(books: &Books, source: &Arc<str>) -> Result<(), TurnError> {
    loop {
        let (tenant, own) = (books.tenant.clone(), source.clone());
        let staged = books.turn(move |draft| Ok((stage_part(draft, &tenant, &own)?, News::default()))).await?;
        match staged {
            None => return Ok(()),
            Some(true) => {}
            Some(false) => error!(?source, "a part of a file of computers has rotted, the file has to be read again"),
        }
    }
}

/// Drops what an earlier run has left that did not come to its end.
async fn drop_parts(books: &Books, source: &Arc<str>) -> Result<(), TurnError> {
    loop {
        let prefix = FactKey::parts_prefix(&books.tenant, source);
        let keys = books.facts.keys(&prefix, None, BATCH_KEYS);
        if keys.is_empty() {
            return Ok(());
        }
        let dropped = books.turn(move |draft| {
            keys.iter().filter_map(|(key, _)| FactKey::decode(key)).for_each(|key| draft.remove(&key));
            Ok(((), News::default()))
        });
        dropped.await?;
    }
}

/// Takes away the records that are gone, now that no device has them; one that has come back meanwhile stays.
pub(super) async fn forget_gone(books: &Books, gone: Vec<RecordKey>) -> Result<(), TurnError> {
    for part in gone.chunks(BATCH_KEYS) {
        let (tenant, part) = (books.tenant.clone(), part.to_vec());
        let forgotten = books.turn(move |draft| {
            for record in part {
                let key = FactKey::Record(tenant.clone(), record);
                if draft.read::<StagedRecord>(&key)?.is_some_and(|staged| staged.is_gone()) {
                    draft.remove(&key);
                }
            }
            Ok(((), News::default()))
        });
        forgotten.await?;
    }
    Ok(())
}

/// Changes on their way into parts.
struct Parts<'b> {
    books: &'b Books,
    source: Arc<str>,
    part: Vec<RowChange>,
    bytes: usize,
    /// Parts that are in the log.
    count: u32,
}

impl<'b> Parts<'b> {
    fn new(books: &'b Books, source: Arc<str>) -> Parts<'b> {
        Parts { books, source, part: Vec::new(), bytes: 0, count: 0 }
    }

    async fn add(&mut self, changes: Vec<RowChange>) -> Result<(), TurnError> {
        for change in changes {
            self.bytes += change.bytes();
            self.part.push(change);
            if self.bytes >= PART_BYTES {
                self.commit().await?;
            }
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), TurnError> {
        let part = std::mem::take(&mut self.part);
        let key = PartKey { source: self.source.clone(), number: self.count };
        let key = FactKey::SourcePart(self.books.tenant.clone(), key);
        let committed = self.books.turn(move |draft| {
            draft.write(&key, &part);
            Ok(((), News::default()))
        });
        committed.await?;
        self.bytes = 0;
        self.count += 1;
        Ok(())
    }

    /// How many parts there are.
    async fn finish(mut self) -> Result<u32, TurnError> {
        if !self.part.is_empty() {
            self.commit().await?;
        }
        Ok(self.count)
    }
}

/// The file of `source` that is in force.
pub(super) fn in_force(books: &Books, source: &Arc<str>) -> Result<Option<SourceState>, String> {
    let key = FactKey::Source(books.tenant.clone(), source.clone());
    // One that has rotted is none: its file is read again.
    books.draft().read(&key).map_err(|error| Chain(&error).to_string())
}
