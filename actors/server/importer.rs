//! The importer: one inventory import when it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use muster::id::TenantId;
use muster::model::device::{Device, DeviceFact, RecordKey};
use muster::model::device_history::DeviceHistory;
use muster::model::draft::Draft;
use muster::model::fact::{FactKey, FactKind};
use muster::model::staged::StagedRecord;
use muster::model::stored::{self, StoredError};
use muster::model::tenant::TenantState;
use muster::roles::server::{HeldDevices, ImportEnded, ImportRules, Imported, REPORTS_KEPT, import};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::batch::Worked;
use super::books::{Books, Look, News, TurnError};
use super::counters::tenant_state;
use super::fleet::FleetError;
use super::rules::in_force;
use super::sources::forget_gone;
use crate::clock::SharedClock;
use crate::errors::{Chain, Hex};
use crate::log::{FactIndex, Position, ReadError};
use crate::supervision::DeathWatch;

/// Devices that are committed and shown at once, at most.
const COMMIT_DEVICES: usize = 5_000;
/// Devices whose keys are made at once.
const HELD_DEVICES: usize = 10_000;
/// Bytes that are committed and shown at once, and a device more.
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
    /// What is held ready of the devices of each tenant.
    pub held: HeldTenants,
}

/// What is held ready, by tenant.
pub type HeldTenants = Arc<StdMutex<BTreeMap<TenantId, Arc<Mutex<Held>>>>>;

/// Keys of the stored devices as of a commit: a view of the facts, which an import brings up to date before it looks.
#[derive(Debug)]
pub struct Held {
    devices: HeldDevices,
    through: Position,
    fingerprint: u64,
}

impl Held {
    /// Nothing yet.
    pub fn new(rules: &ImportRules) -> Held {
        Held { devices: HeldDevices::new(rules), through: Position::default(), fingerprint: rules.fingerprint() }
    }
}

impl ImporterWorld {
    /// What is held ready of the books' tenant.
    fn held(&self) -> Arc<Mutex<Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(Held::new(&self.rules)));
        held.entry(self.books.tenant.clone()).or_insert_with(new).clone()
    }
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

/// Import what is staged and has changed, or all of it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Worked")]
pub struct ImportInventory {
    /// Whose.
    pub tenant: TenantId,
    /// Whether every staged record is taken anew.
    pub full: bool,
}

impl Handler<ImportInventory> for Importer {
    type Result = ResponseFuture<Worked>;

    fn handle(&mut self, ImportInventory { tenant, full }: ImportInventory, _: &mut Context<Importer>) -> Self::Result {
        let world = ImporterWorld { books: self.world.books.of(&tenant), ..self.world.clone() };
        Box::pin(async move {
            run(world, full).await.map_err(|error| {
                error!(error = %Chain(&error), "inventory import failed");
                Chain(&error).to_string()
            })
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

async fn run(world: ImporterWorld, full: bool) -> Result<(TenantState, String), ImportError> {
    let _task = world.books.one_task.lock().await;
    let (books, rules, clock) = (world.books.clone(), world.rules.clone(), world.clock.clone());
    let (facts, tenant) = (books.facts.clone(), books.tenant.clone());
    let (held, started) = (world.held(), clock.now());
    let deciding = clock.clone();
    let decided = tokio::task::spawn_blocking(move || decide(&facts, &tenant, &rules, &held, &deciding, full));
    let (Imported { devices, state, report }, seen, gone) = decided.await.map_err(|_| ImportError::Panicked)??;
    let changed = devices.len() as u64;
    let ended = devices.iter().filter(|fact| fact.device.has_ended()).count();
    let number = state.imports;
    // First the counters, so that no number of a device is ever given twice, whatever is cut short behind them.
    if changed > 0 {
        commit_state(&books, &state, None).await?;
    }
    let mut left = devices;
    while !left.is_empty() {
        let mut bytes = 0;
        let fit = left.iter().take(COMMIT_DEVICES).take_while(|fact| {
            let fits = bytes < COMMIT_BYTES;
            bytes += stored::pack(*fact).len();
            fits
        });
        let rest = left.split_off(fit.count());
        let part = std::mem::replace(&mut left, rest);
        let tenant = books.tenant.clone();
        let committed = books.turn_in_frames(move |draft| {
            for fact in &part {
                write_device(draft, &tenant, fact)?;
            }
            Ok(((), News { devices: part, ..News::default() }))
        });
        committed.await?;
    }
    forget_gone(&books, gone).await?;
    let whole = ImportEnded { number, started, finished: clock.now(), changed, report };
    let state = commit_state(&books, &state, Some((whole.clone(), seen))).await?;
    let report = whole.report;
    let (records, created, merged) = (report.records, report.created, report.merged);
    info!(tenant = %books.tenant, records, created, changed, merged, "inventory imported");
    if report.clones > 0 {
        let samples = &report.clone_samples;
        warn!(records = report.clones, ?samples, "several machines report under one name, by turns: clones");
    }
    let ended = if ended > 0 { format!(", {ended} ended") } else { String::new() };
    let output = format!("{records} records: {created} devices new, {changed} changed, {merged} merged{ended}");
    Ok((state, output))
}

/// Writes a device, and what of it has changed.
pub(super) fn write_device(draft: &mut Draft<Look>, tenant: &TenantId, fact: &DeviceFact) -> Result<(), TurnError> {
    let (id, key) = (fact.device.id, FactKey::Device(tenant.clone(), fact.device.id));
    if let Some(before) = draft.read::<DeviceFact>(&key)? {
        let key = FactKey::History(tenant.clone(), id);
        let mut history: DeviceHistory = draft.read(&key)?.unwrap_or_default();
        if history.note(&before.device, &fact.device, fact.changed) {
            draft.write(&key, &history);
        }
    }
    draft.write(&key, fact);
    Ok(())
}

/// Commits what the import makes of the counters; at its end also what it has seen and done. Loads go on beside an
/// import: only what it decides is changed.
async fn commit_state(
    books: &Books,
    after: &TenantState,
    ended: Option<(ImportEnded, Seen)>,
) -> Result<TenantState, TurnError> {
    let (tenant, after) = (books.tenant.clone(), after.clone());
    let committed = books.turn(move |draft| {
        let key = FactKey::Tenant(tenant.clone());
        let now: TenantState = draft.read(&key)?.unwrap_or_default();
        let mut next = TenantState {
            next_device: after.next_device.max(now.next_device),
            last_change: after.last_change.max(now.last_change),
            ..now
        };
        if let Some((ended, seen)) = ended {
            (next.imported, next.devices, next.last_import) = (after.imported, after.devices, after.last_import);
            (next.imported_through, next.import_rules) = seen;
            next.imports = after.imports;
            let place = (ended.number % u64::from(REPORTS_KEPT)) as u8;
            draft.write(&FactKey::Import(tenant, place), &ended);
        }
        draft.write(&key, &next);
        Ok((next, News::default()))
    });
    committed.await
}

/// What an import has seen: the place in the log, and the fingerprint of the rules.
type Seen = ((u64, u32), u64);
/// What is decided, what it has seen, and the records that are gone.
type Decided = (Imported, Seen, Vec<RecordKey>);

/// Reads what changed and the devices it may meet, and decides.
fn decide(
    facts: &FactIndex,
    tenant: &TenantId,
    rules: &ImportRules,
    held: &Mutex<Held>,
    clock: &SharedClock,
    full: bool,
) -> Result<Decided, ImportError> {
    // The counters first: what is staged meanwhile is seen by the next import.
    let state = tenant_state(facts, tenant).map_err(ImportError::State)?;
    let through = facts.newest();
    let rules = &in_force(facts, tenant, rules);
    let fingerprint = rules.fingerprint();
    let (segment, offset) = state.imported_through;
    let since =
        if state.import_rules == fingerprint && !full { Position { segment, offset } } else { Position::default() };
    let records = facts.put_since(&FactKind::Record.prefix(Some(tenant)), since);
    let records = read(facts, &records, record_key)?;
    let mut held = held.blocking_lock();
    if held.fingerprint != fingerprint {
        *held = Held { devices: HeldDevices::new(rules), through: Position::default(), fingerprint };
    }
    let changed = facts.put_since(&FactKind::Device.prefix(Some(tenant)), held.through);
    for keys in changed.chunks(HELD_DEVICES) {
        let devices: Vec<Device> = devices_of(facts, keys)?.into_iter().map(|fact| fact.device).collect();
        held.devices.put(rules, &devices);
    }
    held.through = through;
    let met = held.devices.met_by(rules, &records);
    drop(held);
    let met: Vec<Box<[u8]>> = met.into_iter().map(|id| FactKey::Device(tenant.clone(), id).encode().into()).collect();
    let devices = devices_of(facts, &met)?;
    let imported = import(rules, &records, &devices, &state, clock.now());
    let gone = records.into_iter().filter(|(_, staged)| staged.is_gone()).map(|(key, _)| key).collect();
    Ok((imported, ((through.segment, through.offset), fingerprint), gone))
}

/// The facts of these keys, in their order; `part` takes out of a key what is wanted. One whose bytes have rotted is left
/// out and told: it cannot come back, and must not keep the others from being imported. A disk that does not answer now is
/// an error.
fn read<K, T: serde::de::DeserializeOwned>(
    facts: &FactIndex,
    keys: &[Box<[u8]>],
    part: impl Fn(FactKey) -> Option<K>,
) -> Result<Vec<(K, T)>, ImportError> {
    let mut all: Vec<Option<(K, T)>> = keys.iter().map(|_| None).collect();
    let mut failed = None;
    facts.get_all(keys, |place, value| match value {
        Ok(Some(value)) => match stored::unpack(&value) {
            Ok(value) => all[place] = FactKey::decode(&keys[place]).and_then(&part).map(|part| (part, value)),
            // Written by another version of the program: going on would make the fleet anew.
            Err(error) => _ = failed.get_or_insert(ImportError::Stored(error)),
        },
        Ok(None) => {}
        Err(damage @ ReadError::Disk { .. }) => _ = failed.get_or_insert(ImportError::Read(damage)),
        Err(damage) => {
            let key = Hex(&keys[place]);
            error!(%key, error = %Chain(&damage), "a fact has rotted, the import goes without it");
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(all.into_iter().flatten().collect()),
    }
}

fn record_key(key: FactKey) -> Option<RecordKey> {
    match key {
        FactKey::Record(_, record) => Some(record),
        _ => None,
    }
}

fn devices_of(facts: &FactIndex, keys: &[Box<[u8]>]) -> Result<Vec<DeviceFact>, ImportError> {
    let devices: Vec<((), DeviceFact)> = read(facts, keys, |_| Some(()))?;
    Ok(devices.into_iter().map(|(_, device)| device).collect())
}

/// All staged records, ascending by key; without those that are gone.
pub fn staged(facts: &FactIndex, tenant: &TenantId) -> Result<Vec<(RecordKey, StagedRecord)>, ImportError> {
    let keys = facts.put_since(&FactKind::Record.prefix(Some(tenant)), Position::default());
    let mut records = read(facts, &keys, record_key)?;
    records.retain(|(_, staged): &(RecordKey, StagedRecord)| !staged.is_gone());
    Ok(records)
}

/// All stored devices, ascending, aliases among them.
pub fn stored(facts: &FactIndex, tenant: &TenantId) -> Result<Vec<DeviceFact>, ImportError> {
    devices_of(facts, &facts.put_since(&FactKind::Device.prefix(Some(tenant)), Position::default()))
}
