//! The reconciler: freezes the fleet of a tenant, calculates its licence position, and keeps the run.

use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use hashbrown::HashMap;
use muster::id::TenantId;
use muster::model::day::Day;
use muster::model::estate::Number;
use muster::model::fact::FactKey;
use muster::model::folder::{LicenceTable, PROVENANCE_FILE, TableState, push_row};
use muster::model::reconciliation::{Installed, LicencePosition, Outcome, RunRecord, RunWarning, WARNINGS_MAX};
use muster::model::software::ApplicationId;
use muster::model::tenant::TenantState;
use muster::reconcile::engine::{Reconciled, assign};
use muster::reconcile::output::{Output, Table};
use muster::reconcile::sentences::why;
use muster::time::Timestamp;
use rayon::prelude::*;
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
    /// What the last reconcile read.
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
    let mut frozen = freeze(books, &business, &library, world.primary.as_deref(), at, &mut known)?;
    if let Some(known) = known {
        world.standing.put(&books.tenant, known);
    }
    let number = Runs::numbers(books, None, 1).first().map_or(1, |last| last + 1);
    let as_of = Day::of(at);
    let assigned = assign(&frozen.folder.estate, &frozen.folder.licensing, as_of)
        .map_err(|cycle| ReconcileError::Cycle(frozen.folder.cycle(&cycle.applications).to_string()))?;
    let reconciled = assigned.count();
    let warned = warnings(&reconciled, &frozen);
    let mut record = record(&reconciled, &frozen, &warned, number, (at, as_of));
    let output = Output { found: &reconciled, unrecognised: &[], warnings: &frozen.folder.notes.warnings };
    let table = |table: Table| {
        let mut text = Vec::new();
        output.write(table, &mut text).map_err(ReconcileError::Output)?;
        Ok::<_, ReconcileError>(text)
    };
    let results = [
        ("license_result.csv", table(Table::LicenseResult)?),
        ("warnings.csv", warning_table(&warned)),
        ("unrecognised.csv", unrecognised_table(&frozen)),
        (PROVENANCE_FILE, std::mem::take(&mut frozen.provenance).into_bytes()),
    ];
    let mut peaks = table(Table::Peaks)?;
    peaks.extend(uncounted_peaks(&reconciled, &frozen).into_bytes());
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

/// Rows of the table of peaks whose licences were not calculated, because a cell of theirs is bad or they are not in the tables
/// now: a slip in a table must not end a period. Bad rows stay with the others, until an operator mends them.
fn uncounted_peaks(found: &Reconciled<'_>, frozen: &Frozen) -> String {
    let (form, licensing) = (LicenceTable::Peaks.form(), found.context().licensing);
    let before = frozen.files.get(form.file).map_or(&[][..], Vec::as_slice);
    // It was read by the reconcile itself.
    let rows = LicenceTable::Peaks.rows(before).unwrap_or_default();
    let mut text = String::new();
    for (_, cells) in &rows.lines {
        let cell = |column: &str| {
            let place = rows.columns.iter().position(|known| *known == column);
            place.map_or("", |place| &*cells[place])
        };
        let licence = licensing.ids.find(cell(form.columns[0])).map(|number| &licensing.licences[number as usize]);
        if licence.is_none_or(|licence| licence.bad_data.is_some()) {
            push_row(&mut text, form.columns.iter().map(|column| cell(column)));
        }
    }
    text
}

/// What is to be said of the data, ascending by code, licence and subject, each once.
fn warnings(found: &Reconciled<'_>, frozen: &Frozen) -> Vec<RunWarning> {
    let licensing = found.context().licensing;
    let said = frozen.problems.iter().map(|(code, subject)| RunWarning {
        code: (*code).into(),
        license: None,
        subject: subject.as_str().into(),
    });
    let of_tables = frozen.folder.notes.warnings.iter().cloned();
    // The working of many licences: on all threads, sorted below.
    let licences = (0..licensing.licences.len() as Number).into_par_iter();
    let of_licences = licences.flat_map_iter(|licence| found.warnings(licence)).collect::<Vec<_>>();
    let told = of_tables.chain(of_licences).map(|warning| RunWarning {
        code: warning.code.as_str().into(),
        license: warning.licence.map(|licence| licensing.ids.name(licence).into()),
        subject: warning.subject,
    });
    let mut warnings: Vec<RunWarning> = said.chain(told).collect();
    warnings.sort_by(|a, b| (&a.code, &a.license, &a.subject).cmp(&(&b.code, &b.license, &b.subject)));
    warnings.dedup();
    warnings
}

/// The same as a table, in the form of `warnings.csv`.
fn warning_table(warnings: &[RunWarning]) -> Vec<u8> {
    let mut text = "code,license,subject\n".to_owned();
    for RunWarning { code, license, subject } in warnings {
        push_row(&mut text, [&**code, license.as_deref().unwrap_or_default(), &**subject].into_iter());
    }
    text.into_bytes()
}

/// Titles that no rule knows, in the form of `unrecognised.csv`.
fn unrecognised_table(frozen: &Frozen) -> Vec<u8> {
    let mut text = "kind,name,version,publisher,type,company,description,size,path,devices\n".to_owned();
    for (title, devices) in &frozen.unrecognised {
        let (name, version, publisher, evidence) = (title.name(), title.version(), title.publisher(), title.evidence());
        let cells = ["installer", name, version, publisher, evidence, "", "", "", "", &devices.to_string()];
        push_row(&mut text, cells.into_iter());
    }
    text.into_bytes()
}

fn record(
    found: &Reconciled<'_>,
    frozen: &Frozen,
    warnings: &[RunWarning],
    number: u64,
    (at, as_of): (Timestamp, Day),
) -> RunRecord {
    let (estate, licensing) = (found.context().estate, found.context().licensing);
    let names = LicenceTable::Licenses.rows(frozen.files.get("licenses.csv").map_or(&[], Vec::as_slice));
    let names = names.unwrap_or_default();
    let column = |name: &str| names.columns.iter().position(|column| *column == name);
    let (id_column, name_column) = (column("license"), column("name"));
    let named = |(_, cells): &(usize, Vec<Box<str>>)| Some((cells[id_column?].clone(), cells[name_column?].clone()));
    let names: HashMap<Box<str>, Box<str>> = names.lines.iter().filter_map(named).collect();
    let name = |id: &str| names.get(id).cloned().unwrap_or_default();
    let positions = (0..).zip(found.positions()).map(|(licence, position): (Number, _)| {
        let id = licensing.ids.name(licence);
        LicencePosition {
            license: id.into(),
            name: name(id),
            manual_status: licensing.licences[licence as usize].settings.manual_status.clone(),
            why: why(found, licence).unwrap_or_default().into(),
            position: position.clone(),
        }
    });
    RunRecord {
        number,
        at,
        as_of,
        devices: estate.devices.len() as u64,
        installations: estate.installations.count() as u64,
        titles: frozen.counts[0],
        unrecognised: frozen.counts[1],
        ignored: frozen.counts[2],
        installed: installed(found),
        positions: positions.collect(),
        warnings: warnings.iter().take(WARNINGS_MAX).cloned().collect(),
        warned: warnings.len() as u64,
        manifest: muster::id::Digest::of(b""),
    }
}

/// Every application that is installed, on how many devices, and on how many nothing covers it.
fn installed(found: &Reconciled<'_>) -> Vec<Installed> {
    let estate = found.context().estate;
    let mut installed = Vec::new();
    for (number, id) in (0..).zip(estate.application_ids.iter()) {
        let devices = estate.installations.of_application(number).len();
        // An id that no library takes is none of ours to list.
        let Some(application) = id.parse::<ApplicationId>().ok().filter(|_| devices > 0) else { continue };
        let unlicensed = (0..devices).filter(|place| found.outcome(number, *place) == Outcome::Unlicensed).count();
        installed.push(Installed { application, devices: devices as u64, unlicensed: unlicensed as u64 });
    }
    installed
}
