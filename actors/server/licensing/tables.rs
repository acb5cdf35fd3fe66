//! Tables of licences: imported whole, checked together with all others before they are in force.
//!
//! The text of a table goes into the log in parts that bear its number; then one commit of the `TableState`s puts all
//! tables of the import in force, and the parts of those before are dropped. Killed before that commit, what was in force
//! stays; in either case the next import drops what is in no force.

use std::collections::BTreeMap;

use muster::model::day::Day;
use muster::model::estate::{Estate, Installations};
use muster::model::fact::FactKey;
use muster::model::folder::{
    EditError, Folder, FolderError, LicenceTable, Notes, RowCounts, Source, TABLE_BYTES_MAX, TableEdit, TablePart,
    TableState, parts, with_library,
};
use muster::model::reconciliation::WarningCode;
use muster::model::software::Application;
use muster::model::stored;
use muster::model::tenant::TenantState;
use muster::reconcile::engine::assign;
use muster::time::Timestamp;
use tracing::{info, warn};

use super::RuleFiles;
use super::rule_files::RulesError;
use crate::errors::Chain;
use crate::server::books::{Books, News, TurnError};

/// Parts that are committed together.
const PARTS_AT_ONCE: usize = 40;
/// How often a table is read again that is replaced meanwhile.
const READS_MAX: usize = 8;
/// Findings that are told of one import.
const FINDINGS_MAX: usize = 100;

/// Why tables are not taken, or not read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Their content is wrong: file, line, column.
    #[error(transparent)]
    Wrong(#[from] FolderError),
    /// An edit that means nothing.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// More than is kept.
    #[error("{}: has {bytes} bytes, at most {TABLE_BYTES_MAX} are kept: split users and devices by tenant", table.file())]
    Large {
        /// Which.
        table: LicenceTable,
        /// How many.
        bytes: usize,
    },
    /// The rules do not read.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The log does not take it.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// What is in force cannot be read.
    #[error("the table `{table}` cannot be read ({why}): import its file again")]
    Unreadable {
        /// Which.
        table: LicenceTable,
        /// What is wrong.
        why: String,
    },
    /// The work died.
    #[error("the import did not end")]
    Panicked,
}

impl TableError {
    /// Whether the same may be taken later: the disk is full, or the log is busy.
    pub fn is_for_now(&self) -> bool {
        matches!(self, TableError::Turn(TurnError::Write(_)))
    }

    /// Whether whoever sent the tables can mend it.
    pub fn is_of_sender(&self) -> bool {
        matches!(self, TableError::Wrong(_) | TableError::Edit(_) | TableError::Large { .. })
    }
}

/// What an import did to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// Which.
    pub table: LicenceTable,
    /// Rows now.
    pub rows: u64,
    /// Rows that were not there before.
    pub added: u64,
    /// Rows that are not there any more.
    pub removed: u64,
}

/// The tables by their files, as a folder.
pub type Files = BTreeMap<&'static str, Vec<u8>>;

/// Files in memory.
pub struct TextFiles<'f>(pub &'f Files);

impl<'f> Source for TextFiles<'f> {
    type Bytes = &'f [u8];
    type Error = FolderError;
    fn file(&mut self, name: &'static str) -> Result<Option<&'f [u8]>, FolderError> {
        Ok(self.0.get(name).map(Vec::as_slice))
    }
}

/// What is in force of a table. Waits for the disk.
pub fn table_state(books: &Books, table: LicenceTable) -> Result<Option<TableState>, TableError> {
    let key = FactKey::LicenceTable(books.tenant.clone(), table);
    books.draft().read(&key).map_err(|error| unreadable(table, &Chain(&error)))
}

fn unreadable(table: LicenceTable, why: &dyn std::fmt::Display) -> TableError {
    TableError::Unreadable { table, why: why.to_string() }
}

/// The text of a table that is in force. Waits for the disk.
pub fn read_table(books: &Books, table: LicenceTable) -> Result<Option<Vec<u8>>, TableError> {
    let mut last = String::new();
    for _ in 0..READS_MAX {
        let Some(state) = table_state(books, table)? else { return Ok(None) };
        match text_of(books, table, &state) {
            Ok(text) => return Ok(Some(text)),
            // Replaced between the two reads, most likely.
            Err(why) => last = why,
        }
    }
    Err(unreadable(table, &last))
}

fn text_of(books: &Books, table: LicenceTable, state: &TableState) -> Result<Vec<u8>, String> {
    let key = |number| {
        let part = TablePart { table, generation: state.generation, number };
        FactKey::LicenceTablePart(books.tenant.clone(), part).encode()
    };
    let keys: Vec<Vec<u8>> = (0..state.parts).map(key).collect();
    let mut found: Vec<Option<String>> = vec![None; keys.len()];
    let mut failed = None;
    books.facts.get_all(&keys, |place, value| match value.map(|value| value.map(|bytes| stored::unpack(&bytes))) {
        Ok(Some(Ok(text))) => found[place] = Some(text),
        Ok(None) => failed = Some("a part is missing".to_owned()),
        Ok(Some(Err(error))) => failed = Some(Chain(&error).to_string()),
        Err(error) => failed = Some(Chain(&error).to_string()),
    });
    match failed {
        Some(why) => Err(why),
        None => Ok(found.into_iter().flatten().collect::<String>().into_bytes()),
    }
}

/// All tables that are in force.
pub(super) fn all_tables(books: &Books) -> Result<BTreeMap<LicenceTable, Vec<u8>>, TableError> {
    let read = |table| Ok(read_table(books, table)?.map(|text| (table, text)));
    LicenceTable::ALL.into_iter().filter_map(|table| read(table).transpose()).collect()
}

/// The rules of points that are in force when nobody imported any: those that we ship.
pub const SHIPPED_POINTS: &str = include_str!("../../../config/points/points_rules.csv");

/// The folder of the tables, without devices and what they have.
pub(super) fn folder_of(
    tables: &BTreeMap<LicenceTable, Vec<u8>>,
    library: &[Application],
) -> Result<Files, FolderError> {
    let mut files = Files::new();
    for (&table, text) in tables.iter().filter(|(table, _)| **table != LicenceTable::Devices) {
        files.insert(table.file(), text.clone());
    }
    files.entry(LicenceTable::Licenses.file()).or_insert_with(|| b"license,type\n".to_vec());
    files.entry(LicenceTable::PointsRules.file()).or_insert_with(|| SHIPPED_POINTS.as_bytes().to_vec());
    let said = tables.get(&LicenceTable::Applications).map(Vec::as_slice);
    files.insert(LicenceTable::Applications.file(), with_library(said, library)?.into_bytes());
    Ok(files)
}

/// Checks tables as the next reconcile will read them. The findings: what is not refused and should be looked at.
fn check(
    tables: &BTreeMap<LicenceTable, Vec<u8>>,
    library: &[Application],
    today: Day,
) -> Result<Vec<String>, TableError> {
    let mut files = folder_of(tables, library)?;
    let devices = tables.get(&LicenceTable::Devices).cloned().unwrap_or_else(|| b"device\n".to_vec());
    files.insert(LicenceTable::Devices.file(), devices);
    let mut folder = Folder::read(&mut TextFiles(&files))?;
    let findings = findings(&folder);
    // Without devices: only whether applications wait for themselves.
    let (estate, licensing) = (std::mem::take(&mut folder.estate), std::mem::take(&mut folder.licensing));
    let estate = Estate { installations: Installations::of(estate.applications.len(), vec![]), ..estate };
    if let Err(cycle) = assign(&estate, &licensing, today) {
        return Err(folder.cycle(&cycle.applications).into());
    }
    Ok(findings)
}

fn findings(folder: &Folder) -> Vec<String> {
    let Folder { licensing, notes: Notes { warnings, unknown_columns }, .. } = folder;
    let columns = unknown_columns
        .iter()
        .map(|(file, column)| format!("{file}: column `{}` is not known and is ignored", column.escape_debug()));
    let names = warnings.iter().filter_map(|warning| {
        let subject = warning.subject.escape_debug();
        match warning.code {
            WarningCode::UnknownApplication => {
                Some(format!("no application is called `{subject}`: rows that name it have no effect"))
            }
            WarningCode::UnknownLicense => {
                Some(format!("no licence is called `{subject}`: rows that name it have no effect"))
            }
            // Which devices there are is known when the fleet is frozen.
            _ => None,
        }
    });
    let spoiled = licensing.licences.iter().zip(licensing.ids.iter()).filter_map(|(licence, id)| {
        let place = licence.bad_data.as_ref()?;
        let problem = &licence.problem;
        Some(format!("{place}: {problem}; licence `{id}` takes nothing until it is mended"))
    });
    columns.chain(spoiled).chain(names).take(FINDINGS_MAX).collect()
}

/// What becomes of a table.
#[derive(Clone, Debug)]
pub enum NewTable {
    /// This text is the whole of it.
    Whole(Vec<u8>),
    /// Rows of it change.
    Edited(TableEdit),
    /// It is empty.
    None,
}

impl NewTable {
    /// The text that is to be in force, given the one that is.
    fn text(self, table: LicenceTable, known: Option<&[u8]>) -> Result<Option<Vec<u8>>, TableError> {
        Ok(match self {
            NewTable::Whole(text) => Some(text),
            NewTable::Edited(edit) => Some(edit.of(table, known.unwrap_or_default())?.into_bytes()),
            NewTable::None => None,
        })
    }
}

/// What an import of tables did.
#[derive(Debug)]
pub struct TablesTaken {
    /// Table by table.
    pub changes: Vec<TableChange>,
    /// What should be looked at.
    pub findings: Vec<String>,
    /// The tenant's counters now: a reconcile is due.
    pub state: TenantState,
}

/// Puts tables in force, all or none. Rows are changed in the table that is in force
/// then: nobody else changes it meanwhile.
pub async fn put_tables(
    books: &Books,
    files: &RuleFiles,
    tables: BTreeMap<LicenceTable, NewTable>,
    now: Timestamp,
) -> Result<TablesTaken, TableError> {
    // Not beside a reconcile, which writes peaks, nor beside another import.
    let _task = books.one_task.clone().lock_owned().await;
    let (own, files) = (books.clone(), files.clone());
    let checked = tokio::task::spawn_blocking(move || {
        let library = files.read()?;
        let mut all = all_tables(&own)?;
        let (mut changes, mut texts) = (Vec::new(), Vec::new());
        for (table, new) in tables {
            let text = new.text(table, all.get(&table).map(Vec::as_slice))?;
            if let Some(bytes) = text.as_ref().map(Vec::len).filter(|&bytes| bytes > TABLE_BYTES_MAX) {
                return Err(TableError::Large { table, bytes });
            }
            let before = all.get(&table).map(Vec::as_slice);
            changes.push(change(table, before, text.as_deref())?);
            match &text {
                Some(text) => all.insert(table, text.clone()),
                None => all.remove(&table),
            };
            texts.push((table, text));
        }
        let findings = check(&all, library.applications(), Day::of(now))?;
        Ok((texts, changes, findings))
    });
    let (texts, changes, findings) = checked.await.map_err(|_| TableError::Panicked)??;
    let mut states = Vec::new();
    for ((table, text), change) in texts.into_iter().zip(&changes) {
        let (own, looked) = (books.clone(), table);
        let known = tokio::task::spawn_blocking(move || table_state(&own, looked)).await;
        let known = known.map_err(|_| TableError::Panicked)??;
        drop_other_parts(books, table, known.as_ref().map(|state| state.generation)).await?;
        let generation = TableState::next_generation(known.as_ref(), now);
        let state = match text {
            None => None,
            Some(text) => {
                let bytes = text.len() as u64;
                // Checked: every file of the folder is UTF-8.
                let text = String::from_utf8(text).map_err(|_| FolderError::whole(table.file(), "is not UTF-8"))?;
                let parts = put_parts(books, table, generation, &text).await?;
                Some(TableState { generation, parts, bytes, rows: change.rows, taken: now })
            }
        };
        states.push((table, state));
    }
    let (tenant, written) = (books.tenant.clone(), states.clone());
    let has_changed = changes.iter().any(|change| change.added + change.removed > 0);
    let switched = books.turn(move |draft| {
        for (table, state) in written {
            let key = FactKey::LicenceTable(tenant.clone(), table);
            match state {
                Some(state) => draft.write(&key, &state),
                None => draft.remove(&key),
            }
        }
        let key = FactKey::Tenant(tenant);
        let mut state: TenantState = draft.read(&key)?.unwrap_or_default();
        // The same table once more is no reason for a run.
        state.terms += u64::from(has_changed);
        draft.write(&key, &state);
        Ok((state, News::default()))
    });
    let counters = switched.await?;
    for (table, state) in states {
        drop_replaced(books, table, state.map(|state| state.generation)).await;
    }
    for TableChange { table, rows, added, removed } in &changes {
        info!(tenant = %books.tenant, %table, rows, added, removed, "a table of licences was taken");
    }
    Ok(TablesTaken { changes, findings, state: counters })
}

/// What comes and goes, row by row as written.
fn change(table: LicenceTable, before: Option<&[u8]>, after: Option<&[u8]>) -> Result<TableChange, TableError> {
    let mut counts = RowCounts::default();
    // What is in force was good once; should a newer version refuse it, everything is new.
    counts.before(table, before.unwrap_or_default());
    let rows = counts.after(table, after.unwrap_or_default())?;
    let (added, removed) = counts.changed();
    Ok(TableChange { table, rows, added, removed })
}

/// Puts the parts of a text, of which nothing is in force yet; how many there are.
pub async fn put_parts(books: &Books, table: LicenceTable, generation: u32, text: &str) -> Result<u32, TurnError> {
    let mut number = 0;
    for some in parts(text).chunks(PARTS_AT_ONCE) {
        let (tenant, first) = (books.tenant.clone(), number);
        number += some.len() as u32;
        let some: Vec<String> = some.iter().map(|&part| part.to_owned()).collect();
        let committed = books.turn_in_frames(move |draft| {
            for (number, part) in (first..).zip(&some) {
                draft.write(&FactKey::LicenceTablePart(tenant.clone(), TablePart { table, generation, number }), part);
            }
            Ok(((), News::default()))
        });
        committed.await?;
    }
    Ok(number)
}

/// Drops the parts of all files but the one that was just put in force: that it is in force is no less true without, and the
/// next import drops them.
pub async fn drop_replaced(books: &Books, table: LicenceTable, generation: Option<u32>) {
    if let Err(error) = drop_other_parts(books, table, generation).await {
        warn!(tenant = %books.tenant, %table, error = %Chain(&error), "parts of a replaced table stay until its next import");
    }
}

/// Drops the parts of all files but this one.
async fn drop_other_parts(books: &Books, table: LicenceTable, generation: Option<u32>) -> Result<(), TurnError> {
    let prefix = FactKey::licence_table_prefix(&books.tenant, table);
    let is_kept =
        |key: &FactKey| matches!(key, FactKey::LicenceTablePart(_, part) if Some(part.generation) == generation);
    books.drop_others(&prefix, is_kept).await
}
