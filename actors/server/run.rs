//! Puts a server together: folder, logs, view, listeners, supervised actors.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use actix_web::web::Data;
use muster::config::ConfigError;
use muster::config::server::ServerConfig;
use muster::id::Guid;
use muster::matching::MatcherError;
use muster::roles::server::ServerSettings;
use tracing::info;

use super::api::{self, Api, Load, Shared};
use super::batch::{BatchProcessor, StopTasks, TaskDoers, scheduler_world, start_processor};
use super::books::{Books, TurnError};
use super::effects::{Effects, EffectsWorld};
use super::exports::Reports;
use super::gaps::GapKeeper;
use super::licensing::{RulesError, Runs};
use super::policy::PolicyKeeper;
use super::prepared::Prepared;
use super::quarantine::record;
use super::reading::Reading;
use super::rules::import_by_new_rules;
use super::schedules::ScheduleKeeper;
use super::server::{BeaconsChanged, ImportPlans, Server, ServerWorld, StopServer};
use super::to_load::ToLoad;
use super::view::{View, ViewFailure};
use super::zone::ZoneError;
use crate::clock::SharedClock;
use crate::hierarchy::{Downloads, Gaps, Statuses, downloads, gaps, statuses};
use crate::intake::{self, Gate, Intake, IntakeLimits, ListenError, Listener};
use crate::log::{OnFatal, Reserve};
use crate::node::{FolderError, LogThreads, Logs, LogsError, NodeFolder};
use crate::supervision::{Supervised, supervise};
use crate::workers::Workers;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its logs.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A listener's threads.
    #[error("cannot start a listener")]
    Serve(#[source] std::io::Error),
    /// The view can neither be opened nor built again.
    #[error("cannot build the view of the server")]
    View(#[source] ViewFailure),
    /// A file of the configuration cannot be read.
    #[error("cannot read `{}` ({option})", path.display())]
    File {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Matchers.
    #[error("`{}` (import.matchers_file)", path.display())]
    Matchers {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: MatcherError,
    },
    /// Recognition rules or licences.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The file of batch tasks.
    #[error(transparent)]
    Tasks(#[from] ConfigError),
    /// The file of sources.
    #[error("{0}")]
    Sources(String),
    /// The zone of its times.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Its books.
    #[error("cannot note that the rules of matching have changed")]
    Books(#[source] TurnError),
    /// A thread.
    #[error("cannot start a thread of the server")]
    Thread(#[source] std::io::Error),
}

impl ServerError {
    /// Whether the configuration is to blame: exit status 2.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            ServerError::File { .. }
                | ServerError::Matchers { .. }
                | ServerError::Rules(_)
                | ServerError::Tasks(_)
                | ServerError::Sources(_)
                | ServerError::Zone(_)
                | ServerError::Listen(ListenError::Plain { .. })
        )
    }
}

/// A running server.
pub struct RunningServer {
    /// Where it takes uploads.
    pub upload: SocketAddr,
    /// Where operators ask.
    pub operator: SocketAddr,
    /// Who it is.
    pub node: Guid,
    /// Its facts and their view, for those in the same process.
    pub books: Books,
    /// What it answers to operators, for those in the same process.
    pub api: Arc<Api>,
    logs: Logs,
    listeners: [Listener; 2],
    server: Supervised<Server>,
    processor: Supervised<BatchProcessor>,
    effects: Effects,
    view_thread: JoinHandle<()>,
    threads: LogThreads,
}

/// Starts a server on this arbiter.
pub async fn start(config: &ServerConfig, clock: SharedClock, on_fatal: OnFatal) -> Result<RunningServer, ServerError> {
    let prepared = Prepared::of(config)?;
    start_prepared(config, prepared, clock, on_fatal).await
}

/// Starts a server whose files were read, exporting to `prepared`'s target.
pub async fn start_prepared(
    config: &ServerConfig,
    prepared: Prepared,
    clock: SharedClock,
    on_fatal: OnFatal,
) -> Result<RunningServer, ServerError> {
    let Prepared { rules, files, tasks, zone, export } = prepared;
    let upload_socket = intake::bind(config.listen, "server.listen", config.allow_plain)?;
    let operator_socket = intake::bind(config.operator, "server.operator", config.allow_plain)?;
    let folder = NodeFolder::open(&config.data)?;
    let reserve = Reserve { bytes: config.disk.reserve_bytes, percent: config.disk.reserve_percent };
    let path = folder.path().to_path_buf();
    let (logs, threads) = Logs::open(folder, clock.clone(), reserve, on_fatal.clone())?;
    let reading = Reading { packages: logs.package_index.clone(), node: logs.node };
    let view = View::open(&path.join("view"), logs.fact_index.clone(), reading.clone());
    let view = Arc::new(view.map_err(ServerError::View)?);
    if logs.facts_damaged {
        view.rebuild().map_err(ServerError::View)?;
    }
    let keeping = view.clone();
    let view_thread = std::thread::Builder::new().name("view".into()).spawn(move || keeping.keep_up());
    let view_thread = view_thread.map_err(ServerError::Thread)?;
    let workers = Workers::start("load", config.loaders).map_err(ServerError::Thread)?;
    let (facts, writer) = (logs.fact_index.clone(), logs.facts.clone());
    let books = Books::new(config.tenant.clone(), facts, writer, workers.clone(), view);
    let give_up: Rc<dyn Fn(&str)> = Rc::new(move |reason: &str| on_fatal(reason));
    let rules = Arc::new(rules);
    for (tenant, _) in books.tenants.now().iter() {
        import_by_new_rules(&books.of(tenant), &rules).await.map_err(ServerError::Books)?;
    }
    let reports = Reports::default();
    let scheduler = scheduler_world(&tasks, &logs, &clock, &path);
    let overview = scheduler.overview.clone();
    let settings = Arc::new(ServerSettings {
        // One batch more than threads: while it is synced, the threads read the others.
        loaders: config.loaders + 1,
        schedules: tasks.schedules.clone(),
        zone,
        import_on_arrival: config.import_on_arrival,
        exports: export.iter().map(|_| config.tenant.clone()).collect(),
        missing_after_ms: config.missing_after_ms,
    });
    let schedules = ScheduleKeeper::new(books.clone(), tasks.schedules.clone());
    let runs = Runs::new(config.data.clone());
    let world = EffectsWorld {
        books: books.clone(),
        packages: logs.package_index.clone(),
        reading,
        workers,
        clock: clock.clone(),
        rules: rules.clone(),
        files: files.clone(),
        runs: runs.clone(),
        export,
        reports: reports.clone(),
        scheduler,
    };
    let effects = Effects::start(config, world, &give_up);
    let (hand_on, below) = (Data::new(Downloads::of(logs.node)), Data::new(Statuses::new(logs.node, clock.clone())));
    let policy = PolicyKeeper::new(books.clone(), below.clone().into_inner(), hand_on.clone(), clock.clone());
    let (noting, at) = (books.clone(), clock.clone());
    below.record_by(Box::new(move |aside| Box::pin(record(noting.clone(), aside, at.now()))));
    let gap_reports = Data::new(Gaps::new(logs.node));
    let (packages, limit_ms) = (logs.package_index.clone(), config.missing_after_ms);
    let gap_keeper = GapKeeper::new(books.clone(), packages, gap_reports.clone(), clock.clone(), limit_ms);
    let (unsettled, to_load) = (Arc::new(AtomicUsize::new(0)), Arc::new(ToLoad::default()));
    let import_plans = ImportPlans::default();
    let world = ServerWorld {
        policy: policy.clone(),
        statuses: below.clone().into_inner(),
        gaps: gap_keeper.clone(),
        logs: logs.clone(),
        books: books.clone(),
        clock: clock.clone(),
        settings: settings.clone(),
        schedules: schedules.clone(),
        loader: effects.loader.directory().clone(),
        scheduler: effects.scheduler.directory().clone(),
        overview: overview.clone(),
        unsettled: unsettled.clone(),
        to_load: to_load.clone(),
        import_plans: import_plans.clone(),
    };
    let server = supervise("server", move |watch| Server::begin(world.clone(), watch), give_up.clone());
    let doers = TaskDoers {
        books: books.clone(),
        logs: logs.clone(),
        clock: clock.clone(),
        server: server.directory().clone(),
        importer: effects.importer.directory().clone(),
        reconciler: effects.reconciler.directory().clone(),
        exports: effects.exports.as_ref().map(|exports| exports.directory().clone()),
        scheduler: effects.scheduler.directory().clone(),
        to_load,
        history_ms: tasks.history_ms,
        data: path.clone(),
        files: files.clone(),
        sources: config.sources_file.clone(),
    };
    let instance = overview.lock().unwrap_or_else(PoisonError::into_inner).instance;
    let processor = start_processor(&tasks, doers, &path, instance, give_up);
    let told = server.directory().clone();
    below.tell(move || {
        if let Some(server) = told.get() {
            // A word that is lost costs a minute: the server also looks by itself.
            actix::spawn(async move {
                let _ = server.send(BeaconsChanged).await;
            });
        }
    });
    let gate = Arc::new(Gate::new(IntakeLimits::of(&config.limits), logs.rng("gate", clock.now())));
    let arrived = intake::hint(server.directory().clone());
    let register = books.tenants.clone();
    let whose = Box::new(move |beacon| register.now().of_beacon(beacon).clone());
    let intake = Arc::new(Intake::new(&logs, whose, gate.clone(), clock.clone(), arrived));
    let shared = Shared {
        name: config.name.clone(),
        data: config.data.clone(),
        logs: logs.clone(),
        settings,
        rules,
        files,
        runs,
        policy,
        schedules,
        statuses: below.clone().into_inner(),
        gaps: gap_reports.clone().into_inner(),
        intake: intake.clone(),
        reports,
        unsettled,
        import_plans,
        server: server.directory().clone(),
        scheduler: effects.scheduler.directory().clone(),
        overview,
        clock,
        load: Load::default(),
    };
    let api = Arc::new(Api::new(books.clone(), shared));
    let answering = api.clone();
    let upload_routes = Arc::new(move |routes: &mut actix_web::web::ServiceConfig| {
        intake::routes(routes, intake.clone());
        downloads(routes, hand_on.clone(), gap_reports.clone());
        statuses(routes, below.clone());
        gaps(routes, gap_reports.clone(), Arc::new(gap_keeper.clone()));
    });
    let operator_routes =
        Arc::new(move |routes: &mut actix_web::web::ServiceConfig| api::routes(routes, answering.clone()));
    let upload = intake::serve(upload_socket, Some(gate), config.workers, upload_routes).map_err(ServerError::Serve)?;
    let operator = intake::serve(operator_socket, None, 1, operator_routes).map_err(ServerError::Serve)?;
    let held = logs.package_index.totals().0;
    info!(node = %logs.node, upload = %upload.address, operator = %operator.address, held, "server ready");
    Ok(RunningServer {
        upload: upload.address,
        operator: operator.address,
        node: logs.node,
        books,
        api,
        logs,
        listeners: [upload, operator],
        server,
        processor,
        effects,
        view_thread,
        threads,
    })
}

impl RunningServer {
    /// Ends it: no new uploads, answers under way get their time, the view and the logs close.
    pub async fn stop(self) {
        let RunningServer { listeners, server, processor, effects, books, logs, view_thread, threads, .. } = self;
        if let Some(address) = processor.directory().get() {
            let _ = address.send(StopTasks).await;
        }
        if let Some(address) = effects.scheduler.directory().get() {
            let _ = address.send(StopTasks).await;
        }
        if let Some(address) = server.directory().get() {
            let _ = address.send(StopServer).await;
        }
        for listener in &listeners {
            listener.stop(true).await;
        }
        books.view.stop();
        view_thread.thread().unpark();
        drop((server, processor, effects, books, logs));
        let _ = tokio::task::spawn_blocking(move || drop(view_thread.join())).await;
        // The actors and their effects hold writers until their last future has ended; a log needs no farewell.
        drop(threads);
    }
}

#[cfg(test)]
mod tests;
