//! What a server's core is told, what it may want, and what survives of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::id::TenantId;
use crate::model::task::{TaskType, Trigger};
use crate::model::tenant::TenantState;
use crate::roles::IntentNumber;
use crate::time::Timestamp;

/// Number of a held package in this life; older ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageNumber(pub u64);

/// What a server is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Batches that are loaded at once; at least one.
    pub loaders: usize,
    /// When tasks are submitted by themselves.
    pub schedules: Vec<(TaskType, Trigger)>,
    /// The zone that times of day are of.
    pub zone: TimeZone,
    /// Whether to import as soon as something was loaded, and to export what that changed.
    pub import_on_arrival: bool,
    /// Tenants for which there is somewhere to export to.
    pub exports: BTreeSet<TenantId>,
    /// What was acknowledged and is not settled after this is missing.
    pub missing_after_ms: i64,
}

/// When tasks were submitted by their schedule last: those of the whole server, and those of each tenant.
pub type ScheduledLast = BTreeMap<(TaskType, Option<TenantId>), Timestamp>;

/// What survives.
#[derive(Clone, Debug)]
pub struct ServerDurable {
    /// Settings from the configuration.
    pub settings: Arc<ServerSettings>,
    /// Held packages without a final state.
    pub waiting: Vec<PackageNumber>,
    /// The counters of every tenant.
    pub states: BTreeMap<TenantId, TenantState>,
    /// When tasks were submitted by their schedule last.
    pub submitted: ScheduledLast,
}

/// What waits for the next import, for those who ask where a report is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportPlan {
    /// Reports that are loaded and that no import has seen yet.
    pub waiting: u64,
    /// When the import of them is due; `None` when nothing waits.
    pub due: Option<Timestamp>,
}

/// The three tasks that are planned for a tenant, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Staged records into devices.
    Import,
    /// Installed software against licences.
    Reconcile,
    /// Devices to ServiceNow.
    Export,
}

impl Task {
    pub(super) const ALL: [Task; 3] = [Task::Import, Task::Reconcile, Task::Export];

    /// Tasks of one lane never run at the same time.
    pub(super) fn lane(self) -> usize {
        match self {
            Task::Import | Task::Reconcile => 0,
            Task::Export => 1,
        }
    }
}

/// How the load of one package went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadOutcome {
    /// It has a final state.
    Settled,
    /// This version has no reader for its kind: it stays held.
    NoReader,
    /// The disk or the log failed: later.
    Failed,
}

/// One package of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Which.
    pub package: PackageNumber,
    /// How it went.
    pub outcome: LoadOutcome,
}

/// What can happen to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerInput {
    /// Packages were taken into custody.
    Arrived(Vec<PackageNumber>),
    /// A batch was loaded.
    Loaded {
        /// Its intent.
        intent: IntentNumber,
        /// Its packages; one that is missing failed.
        packages: Vec<Loaded>,
        /// The counters afterwards of the tenants whose packages they were, as far as they are known.
        states: Vec<(TenantId, TenantState)>,
    },
    /// A task ended.
    Ended {
        /// Its intent.
        intent: IntentNumber,
        /// The counters afterwards; `None` when it failed.
        state: Option<TenantState>,
    },
    /// Agents can reach another beacon than before: the policy has to say so.
    BeaconsChanged,
    /// The counters of a tenant: an operator changed its devices, or it is new here.
    Counted(TenantId, TenantState),
    /// An operator has set other times for tasks: all that are in force.
    SchedulesChanged(Vec<(TaskType, Trigger)>),
    /// A task whose time had come was not taken. With the time of its schedule.
    NotSubmitted(Option<TenantId>, TaskType, Timestamp),
    /// Nothing follows from it.
    Done,
}

/// What a server can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerIntent {
    /// Read these packages and settle them; comes back as `Loaded`.
    Load(Vec<PackageNumber>),
    /// Run a task of a tenant; comes back as `Ended`. With the time that its schedule has for it, when it is due by that.
    Run(TenantId, Task, Option<Timestamp>),
    /// Submit a task whose time has come, of a tenant or of the whole server; nothing waits for its end. Comes back as
    /// `Done`, or as `NotSubmitted`.
    Submit(Option<TenantId>, TaskType, Timestamp),
    /// Make the policy of agents and beacons anew, where something has changed.
    RenewPolicy,
    /// Look at what was acknowledged and is not settled; comes back as `Done`.
    LookAtGaps,
    /// Let go of bodies that nobody needs any more.
    Sweep,
}
