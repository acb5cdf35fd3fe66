//! The reconciler: freezes the fleet of a tenant, calculates its licence position, and keeps the run.

use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use muster::id::TenantId;
use muster::model::day::Day;
use muster::model::fact::FactKey;
use muster::model::folder::{LicenceTable, PROVENANCE_FILE, TableState};
use muster::model::tenant::TenantState;
use muster::reconcile::engine::assign;
use muster::reconcile::minutes::{Minutes, unrecognised_table, warning_table};
use muster::reconcile::output::{Output, Table};
use tracing::{error, info, warn};

use super::batch::Worked;
use super::books::{Books, News, TurnError};
use super::business_rows::BusinessRows;
use super::fleet::{Fleet, FleetError};
use super::licensing::{
    FreezeError, Frozen, RuleFiles, RulesError, Run, RunFolderError, Runs, Standing, TableError, drop_replaced, freeze,
    put_parts, table_state,
};
use super::view::View;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::log::PackageIndex;
use crate::supervision::DeathWatch;

/// How long is waited for a view that is behind.
const BEHIND_MAX: Duration = Duration::from_secs(60);
/// How often it looks.
const BEHIND_LOOK: Duration = Duration::from_millis(20);

/// What the reconciler needs.
#[derive(Clone)]
pub struct ReconcilerWorld {
    /// What it reads and commits.
    pub books: Books,
    /// Where business files are.
    pub packages: PackageIndex,
    /// Where rules stand.
    pub files: RuleFiles,
    /// Where runs are kept.
    pub runs: Runs,
    /// How many of a tenant are kept.
    pub runs_kept: u32,
    /// What the last reconcile of each tenant read.
    pub standing: Standing,
    /// The source whose details of a device win.
    pub primary: Option<std::sync::Arc<str>>,
    /// The present.
    pub clock: SharedClock,
}

/// See the module's head.
pub struct Reconciler {
    world: ReconcilerWorld,
    _watch: DeathWatch,
}

impl Reconciler {
    /// A reconciler.
    pub fn new(world: ReconcilerWorld, watch: DeathWatch) -> Reconciler {
        Reconciler { world, _watch: watch }
    }
}

impl Actor for Reconciler {
    type Context = Context<Reconciler>;
}

/// Reconcile all devices of a tenant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Worked")]
pub struct ReconcileLicences(pub TenantId);

impl Handler<ReconcileLicences> for Reconciler {
    type Result = ResponseFuture<Worked>;

    fn handle(&mut self, of: ReconcileLicences, _: &mut Context<Reconciler>) -> Self::Result {
        let world = ReconcilerWorld { books: self.world.books.of(&of.0), ..self.world.clone() };
        Box::pin(async move {
            run(world).await.map_err(|error| {
                error!(error = %Chain(&error), "licence reconcile failed");
                Chain(&error).to_string()
            })
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("{0}")]
    Cycle(String),
    #[error("cannot read the last run")]
    Fleet(#[from] FleetError),
    #[error("cannot keep the run")]
    Folder(#[from] RunFolderError),
    #[error("cannot write a table of the run")]
    Output(#[source] std::io::Error),
    #[error(transparent)]
    Turn(#[from] TurnError),
    #[error("the view is behind the log: software that is not shown yet would not be counted")]
    Behind,
    #[error("the reconcile did not end")]
    Panicked,
}

/// Waits a while for a view that is behind. The answer: how often it was rebuilt; what is read of it is whole if that is the
/// same behind the last read, and it is not behind. `None`: it stays behind.
pub(super) async fn when_caught_up(view: &View) -> Option<u64> {
    let (built, until) = (view.rebuilt(), Instant::now() + BEHIND_MAX);
    while view.is_behind() {
        if Instant::now() > until {
            return None;
        }
        tokio::time::sleep(BEHIND_LOOK).await;
    }
    Some(built)
}

async fn run(world: ReconcilerWorld) -> Result<(TenantState, String), ReconcileError> {
    let view = world.books.view.clone();
    let built = when_caught_up(&view).await.ok_or(ReconcileError::Behind)?;
    let _task = world.books.one_task.lock().await;
    let (books, own) = (world.books.clone(), world.clone());
    let decided = tokio::task::spawn_blocking(move || decide(&own));
    let Decided { seen, run, peaks, read_anew } = decided.await.map_err(|_| ReconcileError::Panicked)??;
    if view.is_behind() || view.rebuilt() != built {
        return Err(ReconcileError::Behind);
    }
    let record = run.record.clone();
    let output = format!(
        "run {}: {} devices, {} titles, {} unrecognised; {} applications, {} licences",
        record.number,
        record.devices,
        record.titles,
        record.unrecognised,
        record.installed.len(),
        record.positions.len()
    );
    let table = LicenceTable::Peaks;
    let peaks = match peaks {
        Some((generation, text, rows)) => {
            let parts = put_parts(&books, table, generation, &text).await?;
            Some(TableState { generation, parts, bytes: text.len() as u64, rows, taken: record.at })
        }
        None => None,
    };
    let (tenant, kept, written) = (books.tenant.clone(), record.clone(), peaks.clone());
    let committed = books.turn(move |draft| {
        let key = FactKey::Tenant(tenant.clone());
        let now: TenantState = draft.read(&key)?.unwrap_or_default();
        let next = TenantState { reconciled: seen.devices, terms_reconciled: seen.terms, ..now };
        draft.write(&key, &next);
        draft.write(&FactKey::Run(tenant.clone(), kept.number), &kept);
        if let Some(state) = &written {
            draft.write(&FactKey::LicenceTable(tenant, table), state);
        }
        Ok((next, News::default()))
    });
    let next = committed.await?;
    info!(
        tenant = %books.tenant,
        run = record.number,
        read_anew,
        titles = record.titles,
        unrecognised = record.unrecognised,
        applications = record.installed.len(),
        licences = record.positions.len(),
        "licences reconciled"
    );
    world.runs.remember(&books.tenant, run);
    if let Some(state) = peaks {
        drop_replaced(&books, table, Some(state.generation)).await;
    }
    // The run stands, whatever becomes of those before it.
    if let Err(error) = forget_old(&world).await {
        warn!(error = %Chain(&error), "old runs are kept longer, the next reconcile forgets them");
    }
    Ok((next, output))
}

/// Forgets the runs beyond those that are kept: the facts first, so that none names a folder that is gone. Then the folders
/// that no fact names, also those of a life that ended in between.
async fn forget_old(world: &ReconcilerWorld) -> Result<(), TurnError> {
    let Some(newest) = Runs::numbers(&world.books, None, 1).first().copied() else { return Ok(()) };
    let oldest = newest.saturating_sub(u64::from(world.runs_kept.max(1)) - 1);
    let old = Runs::numbers(&world.books, Some(oldest), FORGOTTEN_AT_ONCE);
    if !old.is_empty() {
        let tenant = world.books.tenant.clone();
        let forgotten = world.books.turn(move |draft| {
            old.iter().for_each(|number| draft.remove(&FactKey::Run(tenant.clone(), *number)));
            Ok(((), News::default()))
        });
        forgotten.await?;
    }
    let (runs, tenant) = (world.runs.clone(), world.books.tenant.clone());
    let named = Runs::numbers(&world.books, None, usize::MAX);
    let removed = tokio::task::spawn_blocking(move || {
        let is_unnamed = |number: &u64| *number < newest && named.binary_search_by(|one| number.cmp(one)).is_err();
        for number in runs.folders(&tenant).into_iter().filter(is_unnamed).take(FORGOTTEN_AT_ONCE) {
            if let Err(error) = runs.folder(&tenant, number).remove() {
                warn!(%tenant, run = number, %error, "the folder of an old run stays, remove it");
            }
        }
    });
    removed.await.map_err(|_| TurnError::Panicked)
}

/// Old runs that one reconcile forgets at most.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// What is to be committed.
struct Decided {
    /// The counters that the fleet was read by.
    seen: TenantState,
    /// Devices that were not known from the reconcile before.
    read_anew: u64,
    run: Run,
    /// The new table of peaks, where there is any: number of its file, text, rows.
    peaks: Option<(u32, String, u64)>,
}

fn decide(world: &ReconcilerWorld) -> Result<Decided, ReconcileError> {
    let (books, at) = (&world.books, world.clock.now());
    // The counters first: what changes meanwhile is seen by the next reconcile.
    let seen: TenantState = Fleet::of(books).fact(&FactKey::Tenant(books.tenant.clone()))?.unwrap_or_default();
    let library = world.files.read()?;
    let business = BusinessRows { books: books.clone(), packages: world.packages.clone() };
    let mut known = world.standing.take(&books.tenant);
    let frozen = freeze(books, &business, &library, world.primary.as_deref(), at, &mut known)?;
    if let Some(known) = known {
        world.standing.put(&books.tenant, known);
    }
    let number = Runs::numbers(books, None, 1).first().map_or(1, |last| last + 1);
    let as_of = Day::of(at);
    let assigned = assign(&frozen.folder.estate, &frozen.folder.licensing, as_of)
        .map_err(|cycle| ReconcileError::Cycle(frozen.folder.cycle(&cycle.applications).to_string()))?;
    let reconciled = assigned.count();
    let Frozen { folder: ref read, ref problems, counts: titles, .. } = frozen;
    let minutes = Minutes { found: &reconciled, problems, of_tables: &read.notes.warnings, titles };
    let kept = |table: LicenceTable| frozen.files.get(table.file()).map_or(&[][..], Vec::as_slice);
    let warned = minutes.warnings();
    let mut record = minutes.record(number, (at, as_of), kept(LicenceTable::Licenses), &warned);
    let output = Output { found: &reconciled, unrecognised: &[], warnings: &frozen.folder.notes.warnings };
    let table = |table: Table| {
        let mut text = Vec::new();
        output.write(table, &mut text).map_err(ReconcileError::Output)?;
        Ok::<_, ReconcileError>(text)
    };
    let (result, warnings) = (table(Table::LicenseResult)?, warning_table(&warned));
    let unrecognised = unrecognised_table(&frozen.unrecognised);
    let results = [
        ("license_result.csv", &result[..]),
        ("warnings.csv", &warnings),
        ("unrecognised.csv", &unrecognised),
        (PROVENANCE_FILE, frozen.provenance.as_bytes()),
    ];
    let mut peaks = table(Table::Peaks)?;
    peaks.extend(minutes.uncounted_peaks(kept(LicenceTable::Peaks)).into_bytes());
    let found = reconciled.found();
    let folder = world.runs.folder(&books.tenant, number);
    record.manifest = folder.write(&frozen, &results)?;
    let open = folder.open(record.manifest)?;
    let known = table_state(books, LicenceTable::Peaks)?;
    let rows = peaks.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1) as u64;
    let has_changed = || frozen.files.get(LicenceTable::Peaks.file()) != Some(&peaks);
    let generation = TableState::next_generation(known.as_ref(), at);
    let is_new = (rows > 0 || known.is_some()) && has_changed();
    let peaks = is_new.then(|| (generation, String::from_utf8_lossy(&peaks).into_owned(), rows));
    let read_anew = frozen.read_anew;
    Ok(Decided { seen, read_anew, run: Run::new(record, frozen.folder, found, open), peaks })
}
