//! The importer: one inventory import when it is asked for.

use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use bytes::Bytes;
use muster::id::TenantId;
use muster::model::device::{DeviceFact, RecordKey};
use muster::model::fact::{FactKey, FactKind};
use muster::model::staged::StagedRecord;
use muster::model::stored::{self, StoredError};
use muster::model::tenant::TenantState;
use muster::roles::server::{ImportRules, Imported, import};
use tokio::sync::Mutex;
use tracing::{error, info};

use super::books::{Books, News, TurnError};
use super::counters::tenant_state;
use super::fleet::FleetError;
use crate::clock::SharedClock;
use crate::errors::{Chain, Hex};
use crate::log::{FactIndex, ReadError};
use crate::supervision::DeathWatch;

/// Devices that one commit takes at most.
const COMMIT_DEVICES: usize = 5_000;
/// Bytes that one commit takes, and a device more; far below what one frame of the log holds.
const COMMIT_BYTES: usize = 8 << 20;

/// What the importer needs.
#[derive(Clone)]
pub struct ImporterWorld {
    /// What it reads and commits.
    pub books: Books,
    /// How records are matched and merged.
    pub rules: Arc<ImportRules>,
    /// The present.
    pub clock: SharedClock,
    /// Held by the task that runs: an earlier life's may not have ended yet.
    pub one_task: Arc<Mutex<()>>,
}

/// See the module's head.
pub struct Importer {
    world: ImporterWorld,
    _watch: DeathWatch,
}

impl Importer {
    /// An importer.
    pub fn new(world: ImporterWorld, watch: DeathWatch) -> Importer {
        Importer { world, _watch: watch }
    }
}

impl Actor for Importer {
    type Context = Context<Importer>;
}

/// Import all staged records. The answer: the counters afterwards, `None` when it failed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Option<TenantState>")]
pub struct ImportInventory;

impl Handler<ImportInventory> for Importer {
    type Result = ResponseFuture<Option<TenantState>>;

    fn handle(&mut self, _: ImportInventory, _: &mut Context<Importer>) -> Self::Result {
        let world = self.world.clone();
        Box::pin(async move {
            match run(world).await {
                Ok(state) => Some(state),
                Err(error) => {
                    error!(error = %Chain(&error), "inventory import failed, tried again");
                    None
                }
            }
        })
    }
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Facts cannot be read.
    #[error("cannot read what is staged")]
    Read(#[source] ReadError),
    /// A fact is not what was written.
    #[error("a fact does not read")]
    Stored(#[from] StoredError),
    /// The counters cannot be read.
    #[error("cannot read the tenant's counters")]
    State(#[source] FleetError),
    /// Nothing was committed.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The decision panicked.
    #[error("the import did not end")]
    Panicked,
}

async fn run(world: ImporterWorld) -> Result<TenantState, ImportError> {
    let _task = world.one_task.lock().await;
    let (books, rules, clock) = (world.books.clone(), world.rules.clone(), world.clock.clone());
    let (facts, tenant) = (books.facts.clone(), books.tenant.clone());
    let decided = tokio::task::spawn_blocking(move || {
        // The counters first: what is staged meanwhile is seen by the next import.
        let state = tenant_state(&facts, &tenant).map_err(ImportError::State)?;
        let records: Vec<(RecordKey, StagedRecord)> = read_all(&facts, FactKind::Record, &tenant, |key| match key {
            FactKey::Record(_, record) => Some(record),
            _ => None,
        })?;
        let devices: Vec<(_, DeviceFact)> = read_all(&facts, FactKind::Device, &tenant, |_| Some(()))?;
        let devices: Vec<DeviceFact> = devices.into_iter().map(|(_, device)| device).collect();
        Ok::<_, ImportError>(import(&rules, &records, &devices, &state, clock.now()))
    });
    let Imported { devices, state, records, created, merges } = decided.await.map_err(|_| ImportError::Panicked)??;
    let (changed, merged) = (devices.len(), merges.len());
    let mut left = devices;
    loop {
        let mut bytes = 0;
        let fit = left.iter().take(COMMIT_DEVICES).take_while(|fact| {
            let fits = bytes < COMMIT_BYTES;
            bytes += stored::pack(*fact).len();
            fits
        });
        let rest = left.split_off(fit.count());
        let (part, is_last) = (std::mem::replace(&mut left, rest), left.is_empty());
        let (tenant, after) = (books.tenant.clone(), state.clone());
        let committed = books.turn(move |draft| {
            for fact in &part {
                draft.write(&FactKey::Device(tenant.clone(), fact.device.id), fact);
            }
            let key = FactKey::Tenant(tenant);
            // Loads go on beside an import: only what the import decides is changed.
            let now: TenantState = draft.read(&key)?.unwrap_or_default();
            let mut next = TenantState {
                next_device: after.next_device.max(now.next_device),
                last_change: after.last_change.max(now.last_change),
                ..now
            };
            if is_last {
                (next.imported, next.devices, next.last_import) = (after.imported, after.devices, after.last_import);
            }
            draft.write(&key, &next);
            Ok((next, News { devices: part, ..News::default() }))
        });
        let state = committed.await?;
        if is_last {
            info!(records, created, changed, merged, "inventory imported");
            return Ok(state);
        }
    }
}

/// Every fact of one kind and tenant, by key; `part` takes out of the key what is wanted. One whose bytes have rotted is
/// left out and told: it cannot come back, and must not keep the others from being imported. A disk that does not answer
/// now is an error.
pub fn read_all<K, T: serde::de::DeserializeOwned>(
    facts: &FactIndex,
    kind: FactKind,
    tenant: &TenantId,
    part: impl Fn(FactKey) -> Option<K>,
) -> Result<Vec<(K, T)>, ImportError> {
    let (mut all, mut wrong) = (Vec::new(), None);
    let damaged = facts.each(&kind.prefix(Some(tenant)), |key, _, value: Bytes| match stored::unpack(&value) {
        Ok(value) => all.extend(FactKey::decode(key).and_then(&part).map(|part| (part, value))),
        // Written by another version of the program: going on would make the fleet anew.
        Err(error) => wrong = Some(error),
    });
    if let Some(error) = wrong {
        return Err(error.into());
    }
    for (key, damage) in damaged {
        if matches!(damage, ReadError::Disk { .. }) {
            return Err(ImportError::Read(damage));
        }
        error!(key = %Hex(&key), error = %Chain(&damage), "a fact has rotted, the import goes without it");
    }
    Ok(all)
}
