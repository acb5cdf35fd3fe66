//! The runs of the licence reconcile that are kept, and the few of them that stand in memory because somebody looks at them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hashbrown::{HashMap, HashSet};
use muster::id::TenantId;
use muster::model::estate::Number;
use muster::model::fact::{FactKey, FactKind};
use muster::model::folder::{Folder, GivenCells, LicenceTable, PROVENANCE_FILE, TableRows, given_cells};
use muster::model::reconciliation::RunRecord;
use muster::reconcile::RecogniserError;
use muster::reconcile::engine::{Found, Reconciled, assign};
use muster::reconcile::evidence::install;

use super::run_folder::{OpenRun, RunFolder, RunFolderError};
use crate::server::books::Books;
use crate::server::fleet::{Fleet, FleetError};

/// Runs that stand in memory at once: the newest, and one that it is compared with, of two tenants.
const IN_MEMORY_MAX: usize = 4;

/// Why a run cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// Its fact.
    #[error("cannot read the run")]
    Fact(#[from] FleetError),
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// Its rules: a run's folder has none.
    #[error(transparent)]
    Recogniser(#[from] RecogniserError),
    /// It was calculated once and cannot be again.
    #[error("the run does not calculate again: {0}")]
    Broken(String),
}

/// A run in memory.
pub struct Run {
    /// What is kept of it.
    pub record: RunRecord,
    folder: Folder,
    found: Arc<Found>,
    /// Where it stands.
    pub open: OpenRun,
    /// Names of devices by number, once somebody asked.
    names: OnceLock<Vec<Box<str>>>,
}

impl Run {
    /// A run that was just made, or read again.
    pub fn new(record: RunRecord, folder: Folder, found: Arc<Found>, open: OpenRun) -> Run {
        Run { record, folder, found, open, names: OnceLock::new() }
    }

    /// What it found.
    pub fn reconciled(&self) -> Reconciled<'_> {
        let Folder { estate, licensing, .. } = &self.folder;
        Reconciled::again(estate, licensing, self.record.as_of, self.found.clone()).expect("it was calculated before")
    }

    /// The name that a device had then; empty when it had none.
    pub fn device_name(&self, device: Number) -> Result<&str, RunsError> {
        if self.names.get().is_none() {
            let text = self.open.text(LicenceTable::Devices.file())?.unwrap_or_default();
            let rows = LicenceTable::Devices.rows(&text).map_err(RunFolderError::from)?;
            let column = |name: &str| rows.columns.iter().position(|column| *column == name);
            let mut names = vec![Box::<str>::default(); self.folder.estate.devices.len()];
            if let (Some(id), Some(name)) = (column("device"), column("name")) {
                for (_, cells) in &rows.lines {
                    if let Some(number) = self.folder.estate.device_ids.find(&cells[id]) {
                        names[number as usize].clone_from(&cells[name]);
                    }
                }
            }
            // Of two who read them at once both read the same.
            let _ = self.names.set(names);
        }
        Ok(self.names.get().map_or("", |names| &names[device as usize]))
    }

    /// What the run knew of a device: the filled cells of its row, each with who gave it.
    pub fn facts(&self, device: Number) -> Result<Vec<GivenCell>, RunsError> {
        let id = self.folder.estate.device_ids.name(device);
        let rows = self.rows_with(LicenceTable::Devices, "device", id)?;
        let given = self.given(LicenceTable::Devices, |row| row == id)?.remove(id).unwrap_or_default();
        let Some((_, cells)) = rows.lines.into_iter().next() else { return Ok(Vec::new()) };
        let cells =
            rows.columns.into_iter().zip(cells).filter(|(column, value)| *column != "device" && !value.is_empty());
        let giver = |column: &str| given.iter().find(|given| given.columns.iter().any(|known| known == column));
        Ok(cells.map(|(column, value)| GivenCell { column, value, giver: giver(column).cloned() }).collect())
    }

    /// The purchases of a licence: the cells of each row, and who gave it.
    pub fn purchases(&self, licence: &str) -> Result<Vec<Purchase>, RunsError> {
        let rows = self.rows_with(LicenceTable::Entitlements, "license", licence)?;
        let lines: HashSet<String> = rows.lines.iter().map(|(line, _)| line.to_string()).collect();
        let mut given = self.given(LicenceTable::Entitlements, |row| lines.contains(row))?;
        let columns = rows.columns;
        let purchase = |(line, cells): (usize, Vec<Box<str>>)| Purchase {
            cells: columns.iter().copied().zip(cells).collect(),
            source: given.remove(&line.to_string()).and_then(|given| Some(given.into_iter().next()?.source)),
        };
        Ok(rows.lines.into_iter().map(purchase).collect())
    }

    fn rows_with(&self, table: LicenceTable, column: &str, text: &str) -> Result<TableRows, RunsError> {
        let bytes = self.open.text(table.file())?.unwrap_or_default();
        Ok(table.rows_with(&bytes, column, text).map_err(RunFolderError::from)?)
    }

    /// What is noted of the rows of a table that are wanted; nothing in runs of versions that noted none.
    fn given(
        &self,
        table: LicenceTable,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<HashMap<String, Vec<GivenCells>>, RunsError> {
        let bytes = self.open.text(PROVENANCE_FILE)?.unwrap_or_default();
        Ok(given_cells(&String::from_utf8_lossy(&bytes), table.file(), is_wanted))
    }

    /// Its input.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

/// A cell of a device's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenCell {
    /// Its column.
    pub column: &'static str,
    /// What stands there.
    pub value: Box<str>,
    /// Who gave it; `None`: it follows from others.
    pub giver: Option<GivenCells>,
}

/// A purchase of a licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Its cells by their columns.
    pub cells: Vec<(&'static str, Box<str>)>,
    /// The business source that it came from; `None`: the operator's table.
    pub source: Option<String>,
}

/// Runs and whose they are; the one that was looked at last stands first.
type InMemory = Vec<(TenantId, Arc<Run>)>;

/// See the module's head. Clones share everything.
#[derive(Clone)]
pub struct Runs {
    data: PathBuf,
    in_memory: Arc<Mutex<InMemory>>,
    /// Held by whoever calculates one again: one at a time, each takes as much memory as a reconcile.
    loading: Arc<Mutex<()>>,
}

impl Runs {
    /// The runs below a data folder.
    pub fn new(data: PathBuf) -> Runs {
        Runs { data, in_memory: Arc::default(), loading: Arc::default() }
    }

    /// The folder of a run.
    pub fn folder(&self, tenant: &TenantId, number: u64) -> RunFolder {
        RunFolder::of(&self.data, tenant, number)
    }

    /// Numbers of the runs of which there is a folder, in no order. Waits for the disk.
    pub fn folders(&self, tenant: &TenantId) -> Vec<u64> {
        RunFolder::numbers(&self.data, tenant)
    }

    /// Numbers of the runs that are kept, newest first, below `before`.
    pub fn numbers(books: &Books, before: Option<u64>, limit: usize) -> Vec<u64> {
        let before = before.map(|number| FactKey::Run(books.tenant.clone(), number).encode());
        let keys = books.facts.keys_down(&FactKind::Run.prefix(Some(&books.tenant)), before.as_deref(), limit);
        let number = |key: Box<[u8]>| match FactKey::decode(&key) {
            Some(FactKey::Run(_, number)) => Some(number),
            _ => None,
        };
        keys.into_iter().filter_map(number).collect()
    }

    /// What is kept of a run, and of the newest one.
    pub fn record(books: &Books, number: u64) -> Result<Option<RunRecord>, FleetError> {
        Fleet::of(books).fact(&FactKey::Run(books.tenant.clone(), number))
    }

    /// The newest run; `None` before the first.
    pub fn newest(books: &Books) -> Result<Option<RunRecord>, FleetError> {
        let number = Runs::numbers(books, None, 1).first().copied();
        number.map_or(Ok(None), |number| Runs::record(books, number))
    }

    /// Keeps a run in memory, in place of the one that was looked at longest ago.
    pub fn remember(&self, tenant: &TenantId, run: Run) -> Arc<Run> {
        let run = Arc::new(run);
        let mut all = self.in_memory.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(owner, known)| owner != tenant || known.record.number != run.record.number);
        all.insert(0, (tenant.clone(), run.clone()));
        all.truncate(IN_MEMORY_MAX);
        run
    }

    /// The run of this record, calculated again from its folder unless it stands in memory.
    pub fn load(&self, books: &Books, record: RunRecord) -> Result<Arc<Run>, RunsError> {
        let in_memory = || {
            let mut all = self.in_memory.lock().unwrap_or_else(PoisonError::into_inner);
            let is_it = |(tenant, run): &(TenantId, Arc<Run>)| *tenant == books.tenant && run.record == record;
            let entry = all.iter().position(is_it).map(|place| all.remove(place))?;
            all.insert(0, entry);
            Some(all[0].1.clone())
        };
        if let Some(run) = in_memory() {
            return Ok(run);
        }
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = in_memory() {
            return Ok(run);
        }
        let open = self.folder(&books.tenant, record.number).open(record.manifest)?;
        let mut folder = Folder::read(&mut &open)?;
        install(&mut folder)?;
        let found = match assign(&folder.estate, &folder.licensing, record.as_of) {
            Ok(assigned) => assigned.count().found(),
            Err(cycle) => return Err(RunsError::Broken(folder.cycle(&cycle.applications).to_string())),
        };
        Ok(self.remember(&books.tenant, Run::new(record, folder, found, open)))
    }
}
