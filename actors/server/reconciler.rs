//! The reconciler: recognises the installed titles and compares licences with their use, when it is asked to.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use hashbrown::HashSet;
use muster::config::library::{Library, read_library, standard_libraries};
use muster::config::licences::read_licences;
use muster::config::{ConfigError, Document};
use muster::id::{DeviceId, TenantId};
use muster::model::day::Day;
use muster::model::fact::FactKey;
use muster::model::licence::Licence;
use muster::model::reconciled::{Installed, Reconciled};
use muster::model::software::{ApplicationId, InstalledTitle, TitleId};
use muster::model::tenant::TenantState;
use muster::reconcile::{DeviceSoftware, Recognised, Recogniser, RecogniserError, Reconciliation, reconcile};
use tracing::{error, info};

use super::batch::Worked;
use super::books::{Books, News, TurnError};
use super::fleet::{Fleet, FleetError};
use super::view::View;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::supervision::DeathWatch;

/// How long is waited for a view that is behind.
const BEHIND_MAX: Duration = Duration::from_secs(60);
/// How often it looks.
const BEHIND_LOOK: Duration = Duration::from_millis(20);
/// Devices that are read together.
const PAGE: usize = 1_000;

/// Where rules and licences are written down; they are read at each reconcile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFiles {
    /// Recognition rules instead of those built in.
    pub recognition: Option<PathBuf>,
    /// Licences.
    pub licences: Option<PathBuf>,
    /// Where recognition rules stand that were imported, once they were.
    pub imported: PathBuf,
}

/// Rules as read.
pub struct Rules {
    /// Applications and rules.
    pub library: Library,
    /// Licences.
    pub licences: Vec<Licence>,
}

/// Why rules do not read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read.
    #[error("cannot read `{}` ({option})", path.display())]
    File {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl RuleFiles {
    /// The file of the recognition rules; `None`: those built in.
    pub fn rules(&self) -> Option<&Path> {
        let imported = Some(self.imported.as_path()).filter(|path| path.exists());
        self.recognition.as_deref().or(imported)
    }

    /// Reads the files.
    pub fn read(&self) -> Result<Rules, RulesError> {
        let text = |path: &Path, option| {
            std::fs::read_to_string(path).map_err(|source| {
                let path = path.to_path_buf();
                RulesError::File { option, path, source }
            })
        };
        let (recognition, licences) = ("import.recognition_file", "import.licences_file");
        let library = match self.rules() {
            Some(path) => {
                let text = text(path, recognition)?;
                match read_library(&[Document { text: &text, file: &path.display().to_string() }]) {
                    Ok(library) => library,
                    Err(error) if self.recognition.is_some() => return Err(error.into()),
                    // Another version took it, and this one must start all the same.
                    Err(error) => {
                        error!(%error, "the imported rules do not read, those built in are in force");
                        read_library(&standard_libraries())?
                    }
                }
            }
            None => read_library(&standard_libraries())?,
        };
        let licences = match &self.licences {
            Some(path) => {
                read_licences(&Document { text: &text(path, licences)?, file: &path.display().to_string() }, &library)?
            }
            None => Vec::new(),
        };
        Ok(Rules { library, licences })
    }
}

/// What the reconciler needs.
#[derive(Clone)]
pub struct ReconcilerWorld {
    /// What it reads and commits.
    pub books: Books,
    /// Where rules and licences stand.
    pub files: RuleFiles,
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
    Recogniser(#[from] RecogniserError),
    #[error("cannot read the fleet")]
    Fleet(#[from] FleetError),
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
    let (books, files, clock) = (world.books.clone(), world.files.clone(), world.clock.clone());
    let tenant_key = FactKey::Tenant(books.tenant.clone());
    let (own, key) = (books.clone(), tenant_key.clone());
    let decided = tokio::task::spawn_blocking(move || {
        // The counters first: what changes meanwhile is seen by the next reconcile.
        let state: TenantState = Fleet::of(&own).fact(&key)?.unwrap_or_default();
        let rules = files.read()?;
        Ok::<_, ReconcileError>((state, reconcile_fleet(&own, &rules, &clock)?))
    });
    let (seen, result) = decided.await.map_err(|_| ReconcileError::Panicked)??;
    if view.is_behind() || view.rebuilt() != built {
        return Err(ReconcileError::Behind);
    }
    info!(
        tenant = %books.tenant,
        titles = result.titles,
        unrecognised = result.unrecognised,
        applications = result.installed.len(),
        licences = result.positions.len(),
        "licences reconciled"
    );
    let output = format!(
        "{} titles, {} unrecognised; {} applications, {} licences",
        result.titles,
        result.unrecognised,
        result.installed.len(),
        result.positions.len()
    );
    let result_key = FactKey::Reconciled(books.tenant.clone());
    let committed = books.turn(move |draft| {
        let now: TenantState = draft.read(&tenant_key)?.unwrap_or_default();
        let next = TenantState { reconciled: seen.devices, ..now };
        draft.write(&tenant_key, &next);
        draft.write(&result_key, &result);
        Ok((next, News::default()))
    });
    Ok((committed.await?, output))
}

fn reconcile_fleet(books: &Books, rules: &Rules, clock: &SharedClock) -> Result<Reconciled, ReconcileError> {
    let fleet = Fleet::of(books);
    let recogniser = Recogniser::new(rules.library.rules().iter().cloned())?;
    let titles = fleet.all_titles()?;
    let recognised = recogniser.recognise_all(titles.iter().map(|(number, title)| (*number, title)));
    let (devices, seen) = recognised_titles(&fleet, &recognised)?;
    // The view knows titles that no device has any more.
    let count = |titles: &[TitleId]| titles.iter().filter(|title| seen.contains(*title)).count() as u64;
    let at = clock.now();
    let software = devices.iter().map(|(device, titles)| DeviceSoftware { device: *device, role: None, titles });
    let applications = rules.library.applications();
    let found = reconcile(&recognised, applications, &rules.licences, software, Day::of(at));
    let installed = installed(&recognised, &devices, &found);
    let Reconciliation { consumptions, positions, .. } = found;
    let reconciled = Reconciled {
        at,
        as_of: Day::of(at),
        titles: seen.len() as u64,
        unrecognised: count(recognised.unrecognised()),
        ignored: count(recognised.ignored()),
        installed,
        positions,
        consumptions,
    };
    Ok(reconciled.bounded())
}

/// A device and those of its titles that are some application.
type OnDevice = (DeviceId, Vec<InstalledTitle>);

/// Each device with those of its titles that are some application, few of what is installed; and every title that some
/// device has.
fn recognised_titles(
    fleet: &Fleet<'_>,
    recognised: &Recognised<'_>,
) -> Result<(Vec<OnDevice>, HashSet<TitleId>), FleetError> {
    let (mut devices, mut seen, mut after) = (Vec::new(), HashSet::new(), None);
    loop {
        let page = fleet.devices(after, PAGE)?;
        let Some(last) = page.last() else { return Ok((devices, seen)) };
        after = Some(last.device.id);
        for fact in page.into_iter().filter(|fact| fact.device.merged_into.is_none()) {
            let id = fact.device.id;
            let mut titles = fleet.titles(&fleet.whole(fact.device)?)?;
            seen.extend(titles.iter().map(|installed| installed.title));
            titles.retain(|installed| recognised.applications(installed.title).next().is_some());
            titles.shrink_to_fit();
            devices.push((id, titles));
        }
    }
}

/// Every application that is installed, on how many devices, and whether a licence covers it or none has to.
fn installed(recognised: &Recognised<'_>, devices: &[OnDevice], found: &Reconciliation) -> Vec<Installed> {
    let mut counts = std::collections::BTreeMap::<&ApplicationId, u64>::new();
    for (_, titles) in devices {
        let on_device: std::collections::BTreeSet<&ApplicationId> = titles
            .iter()
            .flat_map(|installed| recognised.applications(installed.title).map(|(application, _)| application))
            .collect();
        on_device.into_iter().for_each(|application| *counts.entry(application).or_default() += 1);
    }
    let uncovered = |application: &ApplicationId| {
        found.unlicensed.binary_search_by(|unlicensed| unlicensed.application.cmp(application)).is_ok()
    };
    counts
        .into_iter()
        .map(|(application, devices)| Installed {
            application: application.clone(),
            devices,
            covered: !uncovered(application),
        })
        .collect()
}
