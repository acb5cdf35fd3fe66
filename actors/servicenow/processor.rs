//! The scheduled import: one transaction at a time, its rows a hundred to a commit.
//!
//! A row says itself whether it is done, and is marked in the commit that brings it in: after a crash the import goes
//! on with the next one, and no row is brought in twice.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use muster::formats::servicenow_xml::ImportState;
use tracing::warn;

use super::imports::{Outcomes, RUNS};
use super::imports::{PENDING, STAGED_COMPUTERS, TRANSACTIONS, USER, is_complete, is_open, number, table};
use super::store::{Edit, Store, StoreError};
use super::tables::{Record, SysId};
use super::transform::{self, Outcome};
use crate::errors::Chain;

/// Rows of one commit, so that questions are answered in between.
const ROWS_PER_COMMIT: usize = 100;
/// Before a commit that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The store, and the bell that wakes the processor.
pub struct Shared {
    store: Mutex<Store>,
    bell: Condvar,
}

impl Shared {
    /// Around an open store.
    pub fn new(store: Store) -> Arc<Shared> {
        Arc::new(Shared { store: Mutex::new(store), bell: Condvar::new() })
    }

    /// The store. A holder that panicked left memory ahead of the disk at most by one edit; the next commit of the same
    /// records writes them whole.
    pub fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// There is something to import.
    pub fn ring(&self) {
        self.bell.notify_all();
    }
}

/// The thread that imports.
pub struct Processor {
    shared: Arc<Shared>,
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Processor {
    /// Starts it; it takes up what an earlier one left.
    pub fn start(shared: Arc<Shared>) -> std::io::Result<Processor> {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (theirs, stopping) = (shared.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("servicenow-import".into()).spawn(move || {
            while !stopping.load(std::sync::atomic::Ordering::Acquire) {
                let mut store = theirs.lock();
                match step(&mut store) {
                    // The lock goes to whoever is quickest: without a pause no question would be answered meanwhile.
                    Ok(true) => {
                        drop(store);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    // Also looked at without a bell: a ring between two locks is not lost for long.
                    Ok(false) => drop(theirs.bell.wait_timeout(store, Duration::from_millis(500))),
                    Err(error) => {
                        warn!(error = %Chain(&error), "import not committed, tried again");
                        drop(theirs.bell.wait_timeout(store, RETRY));
                    }
                }
            }
        })?;
        Ok(Processor { shared, stop, thread: Some(thread) })
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Release);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Brings in some rows; false when there is nothing to do.
fn step(store: &mut Store) -> Result<bool, StoreError> {
    let tables = store.tables();
    let open = tables.all(table(TRANSACTIONS)).filter(|row| is_open(row));
    // The one under way before the others, those in order of arrival.
    let next = open.min_by_key(|row| (row.text("state") != "Processing", row.text("number").to_owned()));
    let Some(transaction) = next.map(|row| row.sys_id) else { return Ok(false) };
    let pending = tables.find(STAGED_COMPUTERS, "sys_import_set", &transaction.to_string());
    let mut rows: Vec<(u64, SysId)> = pending
        .filter(|row| row.text("sys_import_state") == PENDING)
        .map(|row| (number(row, "sys_import_row"), row.sys_id))
        .collect();
    rows.sort_unstable();
    let is_last = rows.len() <= ROWS_PER_COMMIT;
    rows.truncate(ROWS_PER_COMMIT);
    store.edit(USER, |edit| import(edit, transaction, &rows, is_last))?;
    Ok(true)
}

fn import(edit: &mut Edit<'_>, transaction: SysId, rows: &[(u64, SysId)], is_last: bool) {
    let Some(record) = edit.tables().get(table(TRANSACTIONS), transaction) else { return };
    let run = record.text("import_run").parse::<SysId>().ok();
    let stamp = edit.stamp();
    if record.text("state") != "Processing" {
        let set = [("state", ImportState::Processing.to_string()), ("started", stamp.clone())];
        edit.update(table(TRANSACTIONS), transaction, set);
    }
    let mut outcomes = Outcomes::new();
    for (_, sys_id) in rows {
        let Some(row) = edit.tables().get(table(STAGED_COMPUTERS), *sys_id).cloned() else { continue };
        let outcome = stage_done(edit, &row);
        *outcomes.entry(column_of(outcome)).or_default() += 1;
    }
    if is_last {
        let set = [("state", ImportState::Succeeded.to_string()), ("ended", stamp.clone())];
        edit.update(table(TRANSACTIONS), transaction, set);
        outcomes.insert("segments_succeeded", 1);
    }
    let Some(run) = run else { return };
    let Some(record) = edit.tables().get(table(RUNS), run) else { return };
    let counts = outcomes.into_iter().map(|(name, more)| (name, (number(record, name) + more).to_string()));
    let mut set: Vec<(&str, String)> = counts.collect();
    set.push(("state", ImportState::Processing.to_string()));
    edit.update(table(RUNS), run, set);
    let Some(record) = edit.tables().get(table(RUNS), run) else { return };
    if is_complete(record) && number(record, "segments_succeeded") == number(record, "segments_expected") {
        let set = [("state", ImportState::Succeeded.to_string()), ("ended", stamp)];
        edit.update(table(RUNS), run, set);
    }
}

/// Transforms a staged row and writes on it what became of it.
pub fn stage_done(edit: &mut Edit<'_>, row: &Record) -> Outcome {
    let done = transform::computer(edit, row);
    let (target_table, target) = done.target.map(|(table, id)| (table, id.to_string())).unwrap_or_default();
    let set = [
        ("sys_import_state", done.outcome.as_str().to_owned()),
        ("sys_import_state_comment", done.comment),
        ("sys_target_table", target_table.to_owned()),
        ("sys_target_sys_id", target),
    ];
    edit.update(table(STAGED_COMPUTERS), row.sys_id, set);
    done.outcome
}

fn column_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Inserted => "inserted",
        Outcome::Updated => "updated",
        Outcome::Ignored => "ignored",
        Outcome::Error => "errors",
    }
}
