//! Exports of devices to ServiceNow, when they are asked for, and how the last ones went.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use muster::export::{
    ComputerRow, Cursor, DataType, ExitCode, ExportRecord, ExportRequest, ExportSettings, Row, RunReport, SourceRow,
};
use muster::id::{DeviceId, TenantId};
use muster::model::fact::FactKey;
use muster::model::tenant::TenantState;
use muster::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tracing::error;

use super::batch::Worked;
use super::books::{Books, News};
use super::exporter::{ExportConfig, ExportProgress, ExportSource, OwnError, Target, export};
use super::fleet::Fleet;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::supervision::DeathWatch;

/// Reports that are kept for operators.
const REPORTS_MAX: usize = 50;
/// Device facts that are read together.
const PAGE: usize = 500;

/// The last exports, newest last. In memory: what must survive is in the progress.
pub type Reports = Arc<StdMutex<VecDeque<RunReport>>>;

/// What exports need.
#[derive(Clone)]
pub struct ExportsWorld {
    /// What is exported.
    pub books: Books,
    /// Where to.
    pub target: Target,
    /// Limits and times.
    pub settings: ExportSettings,
    /// The source whose values win.
    pub primary: Option<Arc<str>>,
    /// The present.
    pub clock: SharedClock,
    /// Held by the export that runs: an earlier life's may not have ended yet.
    pub one_export: Arc<Mutex<()>>,
    /// The last reports.
    pub reports: Reports,
}

/// See the module's head.
pub struct Exports {
    world: ExportsWorld,
    _watch: DeathWatch,
}

impl Exports {
    /// Nothing is under way.
    pub fn new(world: ExportsWorld, watch: DeathWatch) -> Exports {
        Exports { world, _watch: watch }
    }
}

impl Actor for Exports {
    type Context = Context<Exports>;
}

/// Export what changed of a tenant's.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Worked")]
pub struct ExportDevices(pub TenantId);

impl Handler<ExportDevices> for Exports {
    type Result = ResponseFuture<Worked>;

    fn handle(&mut self, ExportDevices(tenant): ExportDevices, _: &mut Context<Exports>) -> Self::Result {
        if tenant != self.world.books.tenant {
            let own = &self.world.books.tenant;
            let why = format!("no instance is set for tenant {tenant}: `servicenow.url` of server.toml is for {own}");
            return Box::pin(std::future::ready(Err(why)));
        }
        Box::pin(run(self.world.clone()))
    }
}

async fn run(world: ExportsWorld) -> Worked {
    let _export = world.one_export.lock().await;
    let (books, tenant_key) = (world.books.clone(), FactKey::Tenant(world.books.tenant.clone()));
    // The counters first: what changes meanwhile is seen by the next export.
    let (own, key) = (books.clone(), tenant_key.clone());
    let read = tokio::task::spawn_blocking(move || Fleet::of(&own).fact::<TenantState>(&key));
    let seen = match read.await {
        Ok(Ok(state)) => state.unwrap_or_default(),
        Ok(Err(error)) => {
            error!(error = %Chain(&error), "export not begun");
            return Err(Chain(&error).to_string());
        }
        Err(_) => return Err("the counters were not read".into()),
    };
    let request = ExportRequest { types: vec![DataType::Inventory], ..ExportRequest::default() };
    let config = ExportConfig { target: world.target.clone(), settings: world.settings.clone(), request };
    let source = Devices { books: books.clone(), primary: world.primary.clone() };
    let progress = FactProgress {
        books: books.clone(),
        key: FactKey::Export(books.tenant.clone(), world.target.url.as_str().into()),
        runtime: Handle::current(),
    };
    let report = export(config, Arc::new(source), Arc::new(progress), world.clock.clone()).await;
    let (is_success, message) = (report.exit == ExitCode::Success, report.message.clone());
    {
        let mut reports = world.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push_back(report);
        if reports.len() > REPORTS_MAX {
            reports.pop_front();
        }
    }
    if !is_success {
        return Err(message);
    }
    let committed = books.turn(move |draft| {
        let now: TenantState = draft.read(&tenant_key)?.unwrap_or_default();
        let next = TenantState { exported: now.exported.max(seen.devices), ..now };
        draft.write(&tenant_key, &next);
        Ok((next, News::default()))
    });
    let state = committed.await.map_err(|error| {
        error!(error = %Chain(&error), "the end of an export was not noted");
        Chain(&error).to_string()
    })?;
    Ok((state, message))
}

/// Devices as rows of the export.
struct Devices {
    books: Books,
    primary: Option<Arc<str>>,
}

impl ExportSource for Devices {
    fn supplies(&self, data_type: DataType) -> bool {
        data_type == DataType::Inventory
    }

    fn snapshot(&self) -> Result<Timestamp, OwnError> {
        // By the stamps of the devices themselves, not by a clock that may step: an import that runs meanwhile stamps its
        // changes with this time or a later one, so the next export carries them, whatever this one has seen of them.
        let key = FactKey::Tenant(self.books.tenant.clone());
        let state: Option<TenantState> =
            Fleet::of(&self.books).fact(&key).map_err(|error| OwnError(Chain(&error).to_string()))?;
        Ok(state.unwrap_or_default().last_change.plus_ms(1))
    }

    fn rows(
        &self,
        _: DataType,
        since: Option<Timestamp>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, OwnError> {
        let failed = |error: super::fleet::FleetError| OwnError(Chain(&error).to_string());
        let fleet = Fleet::of(&self.books);
        let mut after = match after {
            Some(cursor) => {
                let id = cursor.as_str().parse().map_err(|_| OwnError("the export's cursor is no device".into()))?;
                Some(DeviceId(id))
            }
            None => None,
        };
        let mut rows = Vec::new();
        while rows.len() < limit {
            let page = fleet.devices(after, PAGE).map_err(failed)?;
            let Some(last) = page.last() else { break };
            after = Some(last.device.id);
            for fact in page {
                let is_wanted = since.is_none_or(|since| fact.changed >= since);
                if fact.device.merged_into.is_none() && is_wanted && rows.len() < limit {
                    let device = fleet.whole(fact.device).map_err(failed)?;
                    let cursor = Cursor::new(device.device.id.to_string());
                    let row = ComputerRow::of(&device.device, &device.details(self.primary.as_deref()));
                    let row = Row::Computer(Box::new(row));
                    rows.push(SourceRow { cursor, row });
                }
            }
        }
        Ok(rows)
    }
}

/// Progress as a fact of the node.
struct FactProgress {
    books: Books,
    key: FactKey,
    runtime: Handle,
}

impl ExportProgress for FactProgress {
    fn load(&self) -> Result<ExportRecord, OwnError> {
        let record = Fleet::of(&self.books).fact(&self.key).map_err(|error| OwnError(Chain(&error).to_string()))?;
        Ok(record.unwrap_or_default())
    }

    fn save(&self, record: &ExportRecord) -> Result<(), OwnError> {
        let (key, record) = (self.key.clone(), record.clone());
        // Called on a thread for blocking calls; the commit itself belongs to the runtime.
        let committed = self.runtime.block_on(self.books.turn(move |draft| {
            draft.write(&key, &record);
            Ok(((), News::default()))
        }));
        committed.map_err(|error| OwnError(Chain(&error).to_string()))
    }
}
