//! The loader: reads held packages on worker threads and settles them, a batch in one commit.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use muster::model::fact::FactKey;
use muster::model::package::Envelope;
use muster::model::tenant::TenantState;
use muster::roles::server::{Content, LoadOutcome, Loaded, PackageNumber, settle};
use muster::upload::ledger::PACKAGE_LIFETIME_MS;
use tracing::{debug, error, warn};

use super::books::{Books, News, TurnError};
use super::reading::{Read, Reading};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::log::Handle;
use crate::supervision::DeathWatch;

/// What the loader needs.
#[derive(Clone)]
pub struct LoaderWorld {
    /// Reads packages.
    pub reading: Reading,
    /// Where they are settled.
    pub books: Books,
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
    /// The tenant's counters afterwards; `None` when nothing was committed.
    pub state: Option<TenantState>,
}

impl Handler<Load> for Loader {
    type Result = ResponseFuture<Batch>;

    fn handle(&mut self, load: Load, _: &mut Context<Loader>) -> ResponseFuture<Batch> {
        let world = self.world.clone();
        Box::pin(async move { load_batch(world, load.0).await })
    }
}

async fn load_batch(world: LoaderWorld, numbers: Vec<PackageNumber>) -> Batch {
    let (reading, clock) = (world.reading.clone(), world.clock.clone());
    let wanted = numbers.clone();
    let read = tokio::task::spawn_blocking(move || {
        wanted.into_iter().map(|number| (number, reading.read(Handle(number.0)))).collect::<Vec<_>>()
    });
    let Ok(read) = read.await else {
        error!("reading a batch of packages panicked, they are read again");
        return Batch { packages: all(&numbers, LoadOutcome::Failed), state: None };
    };
    let (mut packages, mut whole) = (Vec::with_capacity(read.len()), Vec::new());
    for (package, read) in read {
        match judge(read, world.clock.now().0) {
            Ok((envelope, content)) => whole.push((package, envelope, content)),
            Err(outcome) => packages.push(Loaded { package, outcome }),
        }
    }
    let settling: Vec<PackageNumber> = whole.iter().map(|(package, ..)| *package).collect();
    let tenant = world.books.tenant.clone();
    let settled = world.books.turn(move |draft| {
        let mut news = News::default();
        for (_, envelope, content) in whole {
            let (key, bad) = (envelope.key(), matches!(content, Content::Bad(_)));
            let Some(ended) = settle(draft, &tenant, envelope, content, clock.now())? else { continue };
            match bad {
                true => warn!(package = %key.digest, origin = %key.origin, state = %ended.state, "bad package"),
                false => debug!(package = %key.digest, origin = %key.origin, state = %ended.state, "package settled"),
            }
            news.staged.extend(ended.staged.map(|staged| (staged, key)));
        }
        let state = draft.read(&FactKey::Tenant(tenant))?.unwrap_or_default();
        Ok::<_, TurnError>((state, news))
    });
    let (outcome, state) = match settled.await {
        Ok(state) => (LoadOutcome::Settled, Some(state)),
        Err(error) => {
            error!(error = %Chain(&error), "packages were not settled, tried again");
            (LoadOutcome::Failed, None)
        }
    };
    packages.extend(all(&settling, outcome));
    Batch { packages, state }
}

fn all(packages: &[PackageNumber], outcome: LoadOutcome) -> Vec<Loaded> {
    packages.iter().map(|&package| Loaded { package, outcome }).collect()
}

/// What is to be settled, or why not now.
fn judge(read: Read, now_ms: i64) -> Result<(Envelope, Content), LoadOutcome> {
    match read {
        Read::Package(envelope, content) => Ok((envelope, content)),
        // It may wait for a version that reads its kind, but not for ever.
        Read::NoReader(envelope) if now_ms - envelope.first_received.0 > PACKAGE_LIFETIME_MS => {
            let why = format!("this version reads no {}", envelope.kind);
            Ok((envelope, Content::Bad(why)))
        }
        Read::NoReader(_) => Err(LoadOutcome::NoReader),
        Read::Gone => Err(LoadOutcome::Settled),
        Read::Failed => Err(LoadOutcome::Failed),
    }
}
