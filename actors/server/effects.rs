//! The actors of a server that work by themselves: what they have and how they start.

use std::rc::Rc;
use std::sync::Arc;

use muster::config::server::ServerConfig;
use muster::roles::server::ImportRules;

use super::batch::{BatchScheduler, SchedulerWorld};
use super::books::Books;
use super::exports::{Exports, ExportsWorld, Reports};
use super::importer::{Importer, ImporterWorld};
use super::licensing::{RuleFiles, Runs, Standing};
use super::loader::{Loader, LoaderWorld};
use super::prepared::ExportTarget;
use super::reading::Reading;
use super::reconciler::{Reconciler, ReconcilerWorld};
use crate::clock::SharedClock;
use crate::log::PackageIndex;
use crate::supervision::{Supervised, supervise};
use crate::workers::Workers;

/// The actors that the server's orders go to.
pub(super) struct Effects {
    pub(super) loader: Supervised<Loader>,
    pub(super) importer: Supervised<Importer>,
    pub(super) scheduler: Supervised<BatchScheduler>,
    pub(super) reconciler: Supervised<Reconciler>,
    pub(super) exports: Option<Supervised<Exports>>,
}

/// What they are made of.
pub(super) struct EffectsWorld {
    pub(super) books: Books,
    pub(super) packages: PackageIndex,
    pub(super) reading: Reading,
    pub(super) workers: Workers,
    pub(super) clock: SharedClock,
    pub(super) rules: Arc<ImportRules>,
    pub(super) files: RuleFiles,
    pub(super) runs: Runs,
    pub(super) export: Option<ExportTarget>,
    pub(super) reports: Reports,
    pub(super) scheduler: SchedulerWorld,
}

impl Effects {
    /// Starts them under their supervisors.
    pub(super) fn start(config: &ServerConfig, world: EffectsWorld, give_up: &Rc<dyn Fn(&str)>) -> Effects {
        let EffectsWorld { books, packages, reading, workers, clock, rules, files, runs, export, reports, scheduler } =
            world;
        let loader = LoaderWorld { reading, workers, books: books.clone(), clock: clock.clone() };
        let held = Arc::default();
        let importer = ImporterWorld { books: books.clone(), rules, clock: clock.clone(), held };
        let primary: Option<Arc<str>> =
            (!config.primary_source.is_empty()).then(|| config.primary_source.as_str().into());
        let reconciler = ReconcilerWorld {
            books: books.clone(),
            packages,
            files,
            runs,
            runs_kept: config.runs_kept,
            standing: Standing::default(),
            primary: primary.clone(),
            clock: clock.clone(),
        };
        let exports = export.map(|ExportTarget { target, settings }| ExportsWorld {
            books,
            target,
            settings,
            primary,
            clock,
            one_export: Arc::default(),
            reports: reports.clone(),
        });
        Effects {
            loader: supervise("loader", move |watch| Loader::new(loader.clone(), watch), give_up.clone()),
            scheduler: supervise(
                "batch scheduler",
                move |watch| BatchScheduler::begin(scheduler.clone(), watch),
                give_up.clone(),
            ),
            importer: supervise("importer", move |watch| Importer::new(importer.clone(), watch), give_up.clone()),
            reconciler: supervise(
                "reconciler",
                move |watch| Reconciler::new(reconciler.clone(), watch),
                give_up.clone(),
            ),
            exports: exports.map(|exports| {
                supervise("exports", move |watch| Exports::new(exports.clone(), watch), give_up.clone())
            }),
        }
    }
}
