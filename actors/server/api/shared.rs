//! What the answers to all tenants have in common, and what is remembered of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use muster::id::TenantId;
use muster::roles::server::{ImportRules, ServerSettings};
use tokio::sync::Semaphore;

use super::problem::Problem;
use super::{devices, ledger, licences, recognition};
use crate::clock::SharedClock;
use crate::hierarchy::{Gaps, Statuses};
use crate::intake::Intake;
use crate::node::Logs;
use crate::server::batch::{BatchOverview, BatchScheduler};
use crate::server::exports::Reports;
use crate::server::licensing::{RuleFiles, Runs};
use crate::server::policy::PolicyKeeper;
use crate::server::schedules::ScheduleKeeper;
use crate::server::server::{ImportPlans, Server};
use crate::server::unsettled::SettledTo;
use crate::supervision::Directory;

/// Questions that are worked on at once; further ones wait. Each may read a whole list once.
const QUESTIONS_MAX: usize = 8;

/// What answers are made of, whichever tenant they are for.
pub struct Shared {
    /// Name of the server.
    pub name: String,
    /// Its data folder.
    pub data: PathBuf,
    /// What is held.
    pub logs: Logs,
    /// What the server is set to.
    pub settings: Arc<ServerSettings>,
    /// How records are matched.
    pub rules: Arc<ImportRules>,
    /// Where recognition rules stand.
    pub files: RuleFiles,
    /// The runs of the licence reconcile.
    pub runs: Runs,
    /// What agents and beacons are told.
    pub policy: PolicyKeeper,
    /// When tasks are submitted by themselves.
    pub schedules: ScheduleKeeper,
    /// The beacons below.
    pub statuses: Arc<Statuses>,
    /// What agents tell of acknowledged packages.
    pub gaps: Arc<Gaps>,
    /// Counters of the upload listener.
    pub intake: Arc<Intake>,
    /// The last exports.
    pub reports: Reports,
    /// Packages without a final state.
    pub unsettled: Arc<AtomicUsize>,
    /// What waits for the next import of each tenant.
    pub import_plans: ImportPlans,
    /// Where the server's actor is.
    pub server: Directory<Server>,
    /// Where the batch scheduler is.
    pub scheduler: Directory<BatchScheduler>,
    /// What it shows without being asked.
    pub overview: Arc<Mutex<BatchOverview>>,
    /// The present.
    pub clock: SharedClock,
    /// How much is worked on.
    pub load: Load,
}

/// How much is worked on at once, for all tenants together.
pub struct Load {
    pub(super) kept: Mutex<BTreeMap<TenantId, Arc<Kept>>>,
    pub(super) settled_to: SettledTo,
    /// Of all tenants together.
    pub(super) ledger: ledger::Sums,
    pub(super) questions: Arc<Semaphore>,
    pub(super) whole_fleet: Mutex<()>,
    pub(super) dry_run: Mutex<()>,
}

impl Load {
    /// Held by an answer that needs all records in memory: one at a time, each takes as much.
    pub(super) fn whole_fleet(&self) -> MutexGuard<'_, ()> {
        self.whole_fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for one that takes long: whoever comes meanwhile is told so, and keeps nobody else waiting.
    pub(super) fn whole_fleet_now(&self) -> Result<MutexGuard<'_, ()>, Problem> {
        match self.whole_fleet.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Problem::busy(
                "another question about the whole fleet is being worked on: ask again when it is answered",
            )),
        }
    }
}

impl Default for Load {
    fn default() -> Load {
        Load {
            kept: Mutex::default(),
            settled_to: Default::default(),
            ledger: Default::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            whole_fleet: Mutex::default(),
            dry_run: Mutex::default(),
        }
    }
}

/// Answers for a tenant that are made again only when they have changed.
#[derive(Default)]
pub struct Kept {
    pub(super) devices: devices::DeviceCount,
    pub(super) ledger: ledger::Sums,
    pub(super) recognition: recognition::Recognitions,
    pub(super) reconciled: licences::Last,
}
