//! The loader: reads held packages on worker threads and settles them, a batch in one commit.

use std::collections::{BTreeMap, VecDeque};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use muster::id::TenantId;
use muster::model::fact::FactKey;
use muster::model::package::Envelope;
use muster::model::settlement::FinalState;
use muster::model::tenant::TenantState;
use muster::roles::server::{Content, LoadOutcome, Loaded, PackageNumber, settle};
use muster::time::Timestamp;
use muster::upload::ledger::has_expired;
use tracing::{debug, error, warn};

use super::books::{Books, News, TurnError};
use super::reading::{Read, Reading};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::log::{Handle, WriteError};
use crate::supervision::DeathWatch;
use crate::workers::Workers;

/// Titles, or rows of usage and discovery, that are read before a commit: with the text of each some tens of megabytes.
const BATCH_TITLES: usize = 50_000;

/// What the loader needs.
#[derive(Clone)]
pub struct LoaderWorld {
    /// Reads packages.
    pub reading: Reading,
    /// Where they are settled.
    pub books: Books,
    /// Threads that read.
    pub workers: Workers,
    /// The present.
    pub clock: SharedClock,
}

/// See the module's head.
pub struct Loader {
    world: LoaderWorld,
    _watch: DeathWatch,
}

impl Loader {
    /// A loader that has nothing under way.
    pub fn new(world: LoaderWorld, watch: DeathWatch) -> Loader {
        Loader { world, _watch: watch }
    }
}

impl Actor for Loader {
    type Context = Context<Loader>;
}

/// Read these and settle them.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Batch")]
pub struct Load(pub Vec<PackageNumber>);

/// How a batch went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Each of its packages.
    pub packages: Vec<Loaded>,
    /// The counters afterwards of the tenants whose packages were committed.
    pub states: BTreeMap<TenantId, TenantState>,
}

impl Handler<Load> for Loader {
    type Result = ResponseFuture<Batch>;

    fn handle(&mut self, load: Load, _: &mut Context<Loader>) -> ResponseFuture<Batch> {
        let world = self.world.clone();
        Box::pin(async move { load_batch(world, load.0).await })
    }
}

/// Loads packages, as many in one commit as fit the budget.
async fn load_batch(world: LoaderWorld, numbers: Vec<PackageNumber>) -> Batch {
    let mut whole = Batch { packages: Vec::with_capacity(numbers.len()), states: BTreeMap::new() };
    let mut left: VecDeque<PackageNumber> = numbers.into();
    while !left.is_empty() {
        let reading = world.reading.clone();
        let read = world.workers.run(move || read_some(&reading, left)).await;
        // Whatever is not named in the answer is read again later.
        let Ok((read, rest)) = read else {
            error!("reading a batch of packages panicked, they are read again");
            return whole;
        };
        left = rest;
        let one = settle_batch(&world, read).await;
        whole.packages.extend(one.packages);
        whole.states.extend(one.states);
    }
    whole
}

/// Reads from the front until the budget is used up; what is left is read when these are committed.
fn read_some(
    reading: &Reading,
    mut left: VecDeque<PackageNumber>,
) -> (Vec<(PackageNumber, Read)>, VecDeque<PackageNumber>) {
    let (mut read, mut titles) = (Vec::new(), 0);
    while let Some(number) = left.pop_front() {
        let package = reading.read(Handle(number.0));
        titles += match &package {
            Read::Package(.., content) => rows(content),
            _ => 0,
        };
        read.push((number, package));
        if titles > BATCH_TITLES {
            break;
        }
    }
    (read, left)
}

/// What takes room of `content`: titles, or what is kept like them.
fn rows(content: &Content) -> usize {
    match content {
        Content::Inventory(inventory) => inventory.software.len(),
        Content::Usage(file) => file.periods.iter().map(|period| 1 + period.applications.len()).sum(),
        Content::Discovery(file) => file.devices.iter().map(|device| 1 + device.services.len()).sum(),
        // The rows of a business file stay in its package.
        Content::Business(_) | Content::Log | Content::Bad(_) => 0,
    }
}

/// Settles what was read, in one commit.
async fn settle_batch(world: &LoaderWorld, read: Vec<(PackageNumber, Read)>) -> Batch {
    let clock = world.clock.clone();
    let (mut packages, mut whole) = (Vec::with_capacity(read.len()), Vec::new());
    for (package, read) in read {
        match judge(read, clock.now()) {
            Ok((tenant, envelope, content)) => whole.push((package, tenant, envelope, content)),
            Err(outcome) => packages.push(Loaded { package, outcome }),
        }
    }
    let settling: Vec<PackageNumber> = whole.iter().map(|(package, ..)| *package).collect();
    let settled = world.books.turn(move |draft| {
        let (mut news, mut quarantined, mut first) = (News::default(), 0, None);
        let mut states = BTreeMap::<TenantId, TenantState>::new();
        for (_, tenant, envelope, content) in whole {
            states.entry(tenant.clone()).or_default();
            let (key, name) = (envelope.key(), envelope.file_name.clone());
            let Some(ended) = settle(draft, &tenant, envelope, content, clock.now())? else { continue };
            debug!(package = %key.digest, origin = %key.origin, state = %ended.state, "package settled");
            if ended.state == FinalState::Quarantined {
                quarantined += 1;
                first.get_or_insert((name, key.origin.clone(), key.digest, ended.reason.unwrap_or_default()));
            }
            news.staged.extend(ended.staged.map(|staged| (tenant, staged, key)));
        }
        // Whoever sent the package chose these texts: they are logged with control characters escaped.
        if let Some((file, origin, digest, reason)) = first {
            warn!(
                packages = quarantined,
                ?file,
                origin = ?origin.as_str(),
                %digest,
                ?reason,
                "bad packages were set aside in quarantine, this is the first: see `muster packages list --state quarantined`"
            );
        }
        for (tenant, state) in &mut states {
            *state = draft.read(&FactKey::Tenant(tenant.clone()))?.unwrap_or_default();
        }
        Ok::<_, TurnError>((states, news))
    });
    let (outcome, states) = match settled.await {
        Ok(states) => (LoadOutcome::Settled, states),
        // One of them has a fact that does not read, or all are too large for one commit: alone, each that can gets
        // through.
        Err(error @ (TurnError::Read(_) | TurnError::Write(WriteError::Failed(_)))) if settling.len() > 1 => {
            error!(error = %Chain(&error), "packages were not settled together, they are settled one by one");
            let mut states = BTreeMap::new();
            for package in settling {
                let reading = world.reading.clone();
                let read = world.workers.run(move || vec![(package, reading.read(Handle(package.0)))]).await;
                let Ok(read) = read else { continue };
                let one = Box::pin(settle_batch(world, read)).await;
                packages.extend(one.packages);
                states.extend(one.states);
            }
            return Batch { packages, states };
        }
        Err(error) => {
            error!(error = %Chain(&error), "packages were not settled, tried again");
            (LoadOutcome::Failed, BTreeMap::new())
        }
    };
    packages.extend(all(&settling, outcome));
    Batch { packages, states }
}

fn all(packages: &[PackageNumber], outcome: LoadOutcome) -> Vec<Loaded> {
    packages.iter().map(|&package| Loaded { package, outcome }).collect()
}

/// What is to be settled, or why not now.
fn judge(read: Read, now: Timestamp) -> Result<(TenantId, Envelope, Content), LoadOutcome> {
    match read {
        Read::Package(tenant, envelope, content) => Ok((tenant, envelope, content)),
        // It may wait for a version that reads its kind, but not for ever.
        Read::NoReader(tenant, envelope) if has_expired(&envelope, now) => {
            let why = format!("this version reads no {}", envelope.kind);
            Ok((tenant, envelope, Content::Bad(why)))
        }
        Read::NoReader(..) => Err(LoadOutcome::NoReader),
        Read::Gone => Err(LoadOutcome::Settled),
        Read::Failed => Err(LoadOutcome::Failed),
    }
}
