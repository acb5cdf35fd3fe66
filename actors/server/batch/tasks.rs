//! What each task does.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, Message};
use muster::id::TenantId;
use muster::model::business::Owners;
use muster::model::fact::{FactKey, FactKind};
use muster::model::stored;
use muster::model::task::{Parameters, TaskNumber, TaskOrigin, TaskRun, TaskScope, TaskSubmission, TaskType};
use muster::model::tenant::TenantState;
use muster::roles::batch::{NewTask, Outcome, SchedulerAnswer};

use super::scheduler::{AskScheduler, BatchScheduler};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::intake::hint;
use crate::node::Logs;
use crate::server::books::Books;
use crate::server::business_import::{BusinessImport, check_file, take};
use crate::server::counters::tenant_state;
use crate::server::directory::{DirectoryImport, take_directory};
use crate::server::exports::{ExportDevices, Exports};
use crate::server::importer::{ImportInventory, Importer};
use crate::server::library::import_library;
use crate::server::licensing::RuleFiles;
use crate::server::maintenance::maintain;
use crate::server::reconciler::{ReconcileLicences, Reconciler, when_caught_up};
use crate::server::server::{DevicesChanged, Server};
use crate::server::source_files::read_configured;
use crate::server::sources::{SourceImport, finish, take_file};
use crate::server::task_parameters::{LibraryImport, full};
use crate::server::to_load::ToLoad;
use crate::server::warehouse::update;
use crate::supervision::Directory;

/// An intake without progress ends after this.
const INTAKE_STALLED: Duration = Duration::from_secs(60);
/// An import waits no longer for packages that are being read.
const READERS_WAIT: Duration = Duration::from_secs(5);
/// How often it looks.
const INTAKE_LOOK: Duration = Duration::from_millis(50);
/// Ended tasks that are forgotten together.
const FORGET_MAX: usize = 1_000;

/// Tells how much of a task is done, in percent.
pub(super) type Progress = Box<dyn Fn(u8) + Send + Sync>;

/// Who does what tasks ask for.
#[derive(Clone)]
pub struct TaskDoers {
    /// Facts and their view; of the server's own tenant, or of the one that is worked for.
    pub books: Books,
    /// Both logs.
    pub logs: Logs,
    /// The present.
    pub clock: SharedClock,
    /// Settles packages.
    pub server: Directory<Server>,
    /// Makes devices.
    pub importer: Directory<Importer>,
    /// Counts licences.
    pub reconciler: Directory<Reconciler>,
    /// Exports, when there is somewhere to export to.
    pub exports: Option<Directory<Exports>>,
    /// Forgets tasks.
    pub scheduler: Directory<BatchScheduler>,
    /// Packages that are to be loaded, or are being loaded.
    pub to_load: Arc<ToLoad>,
    /// How long ended tasks are kept, in milliseconds.
    pub history_ms: i64,
    /// The data folder.
    pub data: PathBuf,
    /// Where recognition rules stand.
    pub files: RuleFiles,
    /// The file that names sources.
    pub sources: Option<PathBuf>,
}

/// What a piece of work leaves: its tenant's counters afterwards, and what it says of itself. Or why it failed.
pub type Worked = Result<(TenantState, String), String>;

impl TaskDoers {
    /// Does it; the future is dropped when nobody wants it any more.
    pub(super) fn perform(self, task: TaskSubmission, progress: Progress) -> Pin<Box<dyn Future<Output = Outcome>>> {
        Box::pin(async move {
            let (code, output) = match self.work(&task, progress).await {
                Ok(output) => (0, output),
                Err(why) => (1, why),
            };
            let unknown = unknown_parameters(&task);
            let output = if unknown.is_empty() { output } else { format!("{output}; no meaning here: {unknown}") };
            Outcome { return_code: code, output: output.into() }
        })
    }

    async fn work(&self, task: &TaskSubmission, progress: Progress) -> Result<String, String> {
        let tenants = match &task.scope {
            TaskScope::System => return self.work_of(task, progress).await,
            TaskScope::Tenant { tenant, .. } => vec![tenant.clone()],
            TaskScope::Group(group) => self.books.tenants.now().of_group(group).cloned().collect(),
        };
        if let [tenant] = &tenants[..] {
            return self.of(tenant).work_of(task, progress).await;
        }
        if tenants.is_empty() {
            // There were some when it was submitted.
            return Err(format!("no tenant is of {} any more", task.scope));
        }
        if task.task == TaskType::BusinessAdapterImport {
            return self.work_of(task, progress).await;
        }
        // One that fails keeps no other.
        let (progress, count) = (Arc::new(progress), tenants.len());
        let (mut outputs, mut failed) = (Vec::with_capacity(count), 0);
        for (place, tenant) in tenants.iter().enumerate() {
            let own = progress.clone();
            let part = Box::new(move |percent: u8| {
                let done = (place * 100 + usize::from(percent)) / count;
                own(u8::try_from(done).unwrap_or(100));
            });
            let (Ok(told) | Err(told)) = self.of(tenant).work_of(task, part).await.inspect_err(|_| failed += 1);
            outputs.push(format!("{tenant}: {told}"));
        }
        let told = outputs.join("; ");
        if failed == 0 { Ok(told) } else { Err(format!("{failed} of {count} tenants failed: {told}")) }
    }

    /// The same for a tenant.
    fn of(&self, tenant: &TenantId) -> TaskDoers {
        TaskDoers { books: self.books.of(tenant), ..self.clone() }
    }

    /// Does a task for the tenant of the books.
    async fn work_of(&self, task: &TaskSubmission, progress: Progress) -> Result<String, String> {
        let tenant = || self.books.tenant.clone();
        match task.task {
            TaskType::InventoryIntake => Ok(self.settle(Duration::MAX, &*progress).await),
            TaskType::InventoryImportReaders => {
                let settled = self.settle(Duration::MAX, |percent| progress(percent / 2)).await;
                let (told, are_read) = self.read_sources().await?;
                if are_read { Ok(format!("{settled}{told}")) } else { Err(format!("{settled}{told}")) }
            }
            TaskType::InventoryImport => {
                let full = full(&task.parameters)?;
                // Its readers' part: what arrives all the time must not keep it from what is there.
                let read = self.settle(READERS_WAIT, |percent| progress(percent / 4)).await;
                // What is there is imported all the same.
                let (sources, _) = self.read_sources().await?;
                let written = self.ask(self.importer.get(), ImportInventory { tenant: tenant(), full }).await?;
                Ok(format!("{read}{sources}; {written}"))
            }
            TaskType::InventoryImportWriters => {
                let full = full(&task.parameters)?;
                finish(&self.books).await?;
                self.ask(self.importer.get(), ImportInventory { tenant: tenant(), full }).await
            }
            TaskType::LicenseReconcile => self.ask(self.reconciler.get(), ReconcileLicences(tenant())).await,
            TaskType::ServiceNowExport => match &self.exports {
                Some(exports) => self.ask(exports.get(), ExportDevices(tenant())).await,
                None => Err("no instance is set: `servicenow.url` of server.toml is empty".into()),
            },
            TaskType::RecognitionLibraryImport => self.import_library(task).await,
            TaskType::DataWarehouseUpdate => self.update_warehouse(progress).await,
            TaskType::ActivityHistoryPurge => self.purge(&*progress).await,
            TaskType::SpoolMaintenance => maintain(&self.books, &self.logs, &self.clock, &self.data, progress).await,
            TaskType::BusinessAdapterImport => self.import_business(task, progress).await,
            TaskType::InventoryImportSpreadsheet => self.import_spreadsheet(task, progress).await,
            TaskType::ActiveDirectoryImport => {
                self.refuse_group(task)?;
                let import = DirectoryImport::of(|name| task.parameters.get(name).map(str::to_owned))?;
                take_directory(&self.books, &import, self.clock.now()).await
            }
        }
    }

    /// Orders a piece of work and tells the server's core what came of it.
    async fn ask<A, M>(&self, doer: Option<actix::Addr<A>>, order: M) -> Result<String, String>
    where
        A: Actor<Context: ToEnvelope<A, M>> + Handler<M>,
        M: Message<Result = Worked> + Send + 'static,
    {
        let doer = doer.ok_or("its actor is being started anew")?;
        let (state, output) = doer.send(order).await.map_err(|_| "its actor died")??;
        if let Some(server) = self.server.get() {
            let _ = server.send(DevicesChanged(self.books.tenant.clone(), state)).await;
        }
        Ok(output)
    }

    /// Waits until every package of the tenant that is here was looked at; no longer than `most`, nor than a while without progress.
    async fn settle(&self, most: Duration, progress: impl Fn(u8)) -> String {
        let (at_first, began) = (self.to_load.of(&self.books.tenant), Instant::now());
        let (mut left, mut changed) = (at_first, began);
        while left > 0 && began.elapsed() < most && changed.elapsed() < INTAKE_STALLED {
            tokio::time::sleep(INTAKE_LOOK).await;
            let now = self.to_load.of(&self.books.tenant);
            if now < left {
                let done = at_first.saturating_sub(now) * 100 / at_first.max(1);
                progress(u8::try_from(done).unwrap_or(100));
                (left, changed) = (now, Instant::now());
            }
        }
        match left {
            0 => format!("{at_first} packages settled"),
            left => format!("{} packages settled, {left} still wait", at_first.saturating_sub(left)),
        }
    }

    /// Takes other rules of recognition, by which a reconcile follows.
    async fn import_library(&self, task: &TaskSubmission) -> Result<String, String> {
        let LibraryImport { file, digest } = LibraryImport::of(|name| task.parameters.get(name).map(str::to_owned))?;
        let (files, data) = (self.files.clone(), self.data.clone());
        let imported = tokio::task::spawn_blocking(move || {
            file.as_deref().map(check_file).transpose()?;
            let imported = import_library(&files, &data, file.as_deref(), digest);
            imported.map_err(|error| Chain(&error).to_string())
        });
        let change = imported.await.map_err(|_| "the import did not end")??;
        let Some(change) = change else { return Ok("nothing has come in".into()) };
        let tenants = self.books.tenants.now();
        for (tenant, registration) in tenants.iter().filter(|_| !change.is_none()) {
            let reconcile = NewTask {
                task: TaskType::LicenseReconcile,
                scope: TaskScope::Tenant { tenant: tenant.clone(), group: registration.group.clone() },
                parameters: Parameters::default(),
                not_before: None,
                origin: TaskOrigin::Task,
                login: None,
            };
            // One that waits already does the same.
            let scheduler = self.scheduler.get().ok_or("the scheduler is being started anew")?;
            let _ = scheduler.send(AskScheduler::Submit(reconcile)).await;
        }
        Ok(change.to_string())
    }

    /// Stages the sources that are configured and have changed; says what became of each, and whether all were read.
    async fn read_sources(&self) -> Result<(String, bool), String> {
        finish(&self.books).await?;
        let Some(path) = &self.sources else { return Ok((String::new(), true)) };
        let told = read_configured(&self.books, path, self.clock.now()).await;
        self.tell_counters().await;
        let are_read = told.iter().all(Result::is_ok);
        let sentence = |(Ok(told) | Err(told)): Result<String, String>| format!("; {told}");
        Ok((told.into_iter().map(sentence).collect(), are_read))
    }

    /// Tells the server's core that there is something to import.
    async fn tell_counters(&self) {
        let (facts, tenant) = (self.books.facts.clone(), self.books.tenant.clone());
        let read = tokio::task::spawn_blocking(move || tenant_state(&facts, &tenant)).await;
        if let (Ok(Ok(state)), Some(server)) = (read, self.server.get()) {
            let _ = server.send(DevicesChanged(self.books.tenant.clone(), state)).await;
        }
    }

    /// A file is that of one tenant: for a group it would be taken by each.
    fn refuse_group(&self, task: &TaskSubmission) -> Result<(), String> {
        match &task.scope {
            TaskScope::Group(group) if self.books.tenants.now().of_group(group).count() > 1 => {
                Err(format!("group {group} has several tenants: name the one whose file it is (-t)"))
            }
            _ => Ok(()),
        }
    }

    /// Takes a file of computers, and matches what it changes.
    async fn import_spreadsheet(&self, task: &TaskSubmission, progress: Progress) -> Result<String, String> {
        self.refuse_group(task)?;
        let import = SourceImport::of(|name| task.parameters.get(name).map(str::to_owned))?;
        let taken = take_file(&self.books, &import, self.clock.now()).await?;
        // Should what follows fail, an import is due all the same.
        self.tell_counters().await;
        progress(50);
        let written =
            self.ask(self.importer.get(), ImportInventory { tenant: self.books.tenant.clone(), full: false }).await?;
        Ok(format!("{}; {written}", import.told(&taken)))
    }

    /// Takes a file of contracts or purchases.
    async fn import_business(&self, task: &TaskSubmission, progress: Progress) -> Result<String, String> {
        let import = BusinessImport::of(|name| task.parameters.get(name).map(str::to_owned))?;
        let (reading, books, now) = (import.clone(), self.books.clone(), self.clock.now());
        let owners = Owners::of(&task.scope, &self.books.tenants.now());
        let prepared = tokio::task::spawn_blocking(move || {
            reading.map.iter().chain([&reading.file]).try_for_each(|path| check_file(path))?;
            reading.prepare(&books, &owners, now)
        });
        let prepared = prepared.await.map_err(|_| "the file was not read")??;
        progress(50);
        let arrived = hint(self.server.clone());
        let (told, several) = (import.told(&prepared), prepared.parts.len() > 1);
        let mut failed = Vec::new();
        for (tenant, (body, _)) in prepared.parts {
            let books = self.books.of(&tenant);
            // One that fails keeps no other.
            if let Err(why) = take(&books, &self.logs, &import, body, now, &*arrived).await {
                failed.push(if several { format!("not taken of tenant {tenant}: {why}") } else { why });
            }
        }
        match (failed.is_empty(), several) {
            (true, _) => Ok(told),
            (false, true) => Err(format!("{told}; {}", failed.join("; "))),
            (false, false) => Err(failed.join("; ")),
        }
    }

    /// Writes the tables of other tools.
    async fn update_warehouse(&self, progress: Progress) -> Result<String, String> {
        let (books, data, now) = (self.books.clone(), self.data.clone(), self.clock.now());
        let behind = "the view is behind the log: software that is not shown yet would be missing";
        when_caught_up(&books.view).await.ok_or(behind)?;
        // Held by the work itself: it goes on when nobody waits for it any more, and a next task must not run beside it.
        let alone = books.one_task.clone().lock_owned().await;
        let updated = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            update(&books, &data, now, &*progress)
        });
        let rows = updated.await.map_err(|_| "the update did not end")?.map_err(|error| error.told())?;
        let rows = rows.iter().map(|(table, rows)| format!("{} {rows}", table.as_str()));
        Ok(format!("rows: {}", rows.collect::<Vec<String>>().join(", ")))
    }

    /// Forgets tasks that ended longer ago than they are kept.
    async fn purge(&self, progress: &dyn Fn(u8)) -> Result<String, String> {
        let before = self.clock.now().plus_ms(-self.history_ms);
        let facts = self.books.facts.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut old = Vec::new();
            facts.each(&FactKind::TaskRun.prefix(None), |key, _, value| {
                let run = stored::unpack::<TaskRun>(&value).ok();
                let is_old = run.is_some_and(|run| run.status.is_final() && run.finished.is_some_and(|at| at < before));
                if let Some(FactKey::TaskRun(number)) = FactKey::decode(key).filter(|_| is_old) {
                    old.push(number);
                }
            });
            old
        });
        let old: Vec<TaskNumber> = looked.await.map_err(|_| "the look at old tasks did not end")?;
        let mut forgotten = 0;
        for (place, part) in old.chunks(FORGET_MAX).enumerate() {
            let scheduler = self.scheduler.get().ok_or("the scheduler is being started anew")?;
            match scheduler.send(AskScheduler::Forget(part.to_vec())).await {
                Ok(SchedulerAnswer::Forgotten(count)) => forgotten += count,
                _ => return Err(format!("the log does not let go of tasks; {forgotten} are gone")),
            }
            progress(u8::try_from((place + 1) * FORGET_MAX * 100 / old.len().max(1)).unwrap_or(100).min(100));
        }
        Ok(format!("{forgotten} tasks forgotten that ended before {}", before.to_rfc3339()))
    }
}

/// Parameters that a task does not know: they make it another task, and change nothing.
fn unknown_parameters(task: &TaskSubmission) -> String {
    let known: &[&str] = match task.task {
        TaskType::InventoryImport | TaskType::InventoryImportWriters => &["full"],
        TaskType::RecognitionLibraryImport => &["file", "sha256"],
        TaskType::BusinessAdapterImport => &["file", "kind", "source", "map", "good_rows"],
        TaskType::InventoryImportSpreadsheet => &["file", "source", "map", "good_rows"],
        TaskType::ActiveDirectoryImport => &["file", "kind", "map", "good_rows"],
        _ => &[],
    };
    let names: Vec<&str> = task.parameters.iter().map(|(name, _)| name).filter(|name| !known.contains(name)).collect();
    names.join(", ")
}
