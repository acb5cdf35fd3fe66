//! Lets go of what the server holds of settled packages and nobody needs any more, by the rule of `roles::server::keep`:
//! bodies in the package log, and entries of the ledger.

use std::sync::Arc;

use muster::id::TenantId;
use muster::model::aside::AsideRecord;
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::PackageKey;
use muster::model::settlement::Settlement;
use muster::roles::server::{Keep, keep};
use muster::time::Timestamp;

use super::books::{Books, News, TurnError};
use super::fleet::{Fleet, FleetError};
use super::reading::Reading;
use crate::clock::SharedClock;
use crate::log::{Handle, PackageIndex, PackageRequest, WriteError};
use crate::node::Logs;

/// Packages that are looked at together.
const PAGE: usize = 1_000;

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] FleetError),
    /// Entries of the ledger were not removed.
    #[error("the ledger does not let go of its old entries")]
    Turn(#[source] TurnError),
    /// The log does not answer.
    #[error("the package log does not answer")]
    Log(#[source] WriteError),
    /// The look panicked.
    #[error("the look at what is held did not end")]
    Panicked,
}

/// What was let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Bodies.
    pub bodies: usize,
    /// Entries of the ledger.
    pub entries: usize,
}

/// Lets go, and says of how many.
///
/// An entry outlives the note that its body is gone by a sweep, hence by a day: a body whose note a power cut took must
/// not come back as one that nobody has settled.
pub async fn sweep(logs: Logs, books: Books, clock: SharedClock) -> Result<Swept, SweepError> {
    let entries = sweep_entries(&logs, &books, &clock).await?;
    let entries = entries + sweep_aside(&books, clock.now()).await?;
    Ok(Swept { bodies: sweep_bodies(&logs, &books, &clock).await?, entries })
}

/// Forgets what beacons set aside when the package has come another way, or no beacon can have it any more.
async fn sweep_aside(books: &Books, now: Timestamp) -> Result<usize, SweepError> {
    let own = books.clone();
    let swept = books.turn(move |draft| {
        let mut swept = 0;
        // They are few: the server takes no more than it can look through in one turn.
        for (encoded, _) in own.facts.keys(&FactKind::Aside.prefix(None), None, usize::MAX) {
            let Some(fact @ FactKey::Aside(..)) = FactKey::decode(&encoded) else { continue };
            let FactKey::Aside(tenant, key) = fact.clone() else { continue };
            let has_come = own.facts.contains(&FactKey::Package(tenant, key).encode());
            // One that does not read is of no use to anybody.
            let record = draft.read::<AsideRecord>(&fact).ok().flatten();
            if has_come || record.is_none_or(|record| record.may_go(now)) {
                draft.remove(&fact);
                swept += 1;
            }
        }
        Ok::<_, TurnError>((swept, News::default()))
    });
    swept.await.map_err(SweepError::Turn)
}

async fn sweep_entries(logs: &Logs, books: &Books, clock: &SharedClock) -> Result<usize, SweepError> {
    let (mut after, mut swept) = (None::<EncodedKey>, 0);
    loop {
        let (own, packages, now) = (books.clone(), logs.package_index.clone(), clock.now());
        let looked = tokio::task::spawn_blocking(move || old_entries(&own, &packages, after.as_deref(), now));
        let (old, last) = looked.await.map_err(|_| SweepError::Panicked)??;
        if !old.is_empty() {
            swept += old.len();
            let removed = books.turn(move |draft| {
                old.iter().for_each(|key| draft.remove(key));
                Ok::<_, TurnError>(((), News::default()))
            });
            removed.await.map_err(SweepError::Turn)?;
        }
        match last {
            Some(last) => after = Some(last),
            None => return Ok(swept),
        }
    }
}

/// A fact's key as the log holds it.
type EncodedKey = Box<[u8]>;

/// Of the page of entries behind `after` those that can go, and the page's last key; `None` at the end.
fn old_entries(
    books: &Books,
    packages: &PackageIndex,
    after: Option<&[u8]>,
    now: Timestamp,
) -> Result<(Vec<FactKey>, Option<EncodedKey>), FleetError> {
    let page = books.facts.keys(&FactKind::Package.prefix(None), after, PAGE);
    let mut old = Vec::new();
    for (encoded, _) in &page {
        let Some(FactKey::Package(tenant, key)) = FactKey::decode(encoded) else { continue };
        let is_held = packages.find(&key.encode(&tenant)).is_some();
        if !is_held && kept(books, &tenant, &key, now)? == Some(Keep::Nothing) {
            old.push(FactKey::Package(tenant, key));
        }
    }
    Ok((old, page.into_iter().next_back().map(|(last, _)| last)))
}

async fn sweep_bodies(logs: &Logs, books: &Books, clock: &SharedClock) -> Result<usize, SweepError> {
    let (mut after, mut swept) = (None::<Handle>, 0);
    loop {
        let page = logs.package_index.after(after, PAGE);
        let Some(last) = page.last() else { return Ok(swept) };
        after = Some(last.handle);
        let (own, now) = (books.clone(), clock.now());
        let looked = tokio::task::spawn_blocking(move || {
            let mut done: Vec<Arc<[u8]>> = Vec::new();
            for held in page {
                let Some((tenant, key)) = Reading::key(&held) else { continue };
                if kept(&own, &tenant, &key, now)?.is_some_and(|keep| keep != Keep::Body) {
                    done.push(held.key);
                }
            }
            Ok::<_, FleetError>(done)
        });
        let done = looked.await.map_err(|_| SweepError::Panicked)??;
        swept += done.len();
        if !done.is_empty() {
            logs.packages.ask(PackageRequest::Forget(done)).await.map_err(SweepError::Log)?;
        }
    }
}

/// What is wanted of a package; `None` while it has no final state.
fn kept(books: &Books, tenant: &TenantId, key: &PackageKey, now: Timestamp) -> Result<Option<Keep>, FleetError> {
    let fleet = Fleet::of(books);
    let settlement: Option<Settlement> = fleet.fact(&FactKey::Package(tenant.clone(), key.clone()))?;
    let Some(settlement) = settlement else { return Ok(None) };
    let record = match &settlement.record {
        Some(record) => fleet.fact(&FactKey::Record(tenant.clone(), record.clone()))?,
        None => None,
    };
    let business = match &settlement.business {
        Some(business) => fleet.fact(&FactKey::Business(tenant.clone(), business.clone()))?,
        None => None,
    };
    Ok(Some(keep(&settlement, record.as_ref(), business.as_ref(), now)))
}
