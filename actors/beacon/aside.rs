//! Lets go of what a beacon set aside: long after the server knows of it, or when what rotted here comes again.

use std::sync::Arc;

use bytes::Bytes;
use muster::id::TenantId;
use muster::model::aside::{Aside, AsideFact};
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::PackageKey;
use muster::model::stored;
use muster::time::Timestamp;
use tokio::sync::Mutex;
use tracing::info;

use crate::log::{FactWrite, PackageRequest, WriteError};
use crate::node::Logs;

/// Facts that are looked at together.
const PAGE: usize = 1_000;

/// Lets go of bodies, and of the facts whose body is gone: a fact outlives the note that its body is gone by a day, so that
/// a body whose note a power cut took does not come back as one that was never tried. Says of how many bodies.
pub async fn purge(logs: Logs, tenant: TenantId, now: Timestamp) -> Result<usize, WriteError> {
    let (mut after, mut purged) = (None::<Box<[u8]>>, 0);
    loop {
        let (own, tenant) = (logs.clone(), tenant.clone());
        let looked = tokio::task::spawn_blocking(move || old(&own, &tenant, after.as_deref(), now));
        // A look that panicked is told by the panic; tomorrow is another day.
        let Ok(Old { bodies, facts, last }) = looked.await else { return Ok(purged) };
        if !bodies.is_empty() {
            purged += bodies.len();
            logs.packages.ask(PackageRequest::Forget(bodies)).await?;
        }
        if !facts.is_empty() {
            logs.facts.ask(facts).await?;
        }
        match last {
            Some(last) => after = Some(last),
            None => return Ok(purged),
        }
    }
}

/// Gives up a package that was set aside because its bytes here had rotted: the same one comes again, whole. Whether the
/// key is free now. The body goes first: a fact without a body is given up the same way.
///
/// One at a time by `turn`: of two uploads of one package the second must not let go of what the first has brought.
pub async fn give_up_rotten(
    logs: Logs,
    turn: Arc<Mutex<()>>,
    tenant: TenantId,
    key: PackageKey,
) -> Result<bool, WriteError> {
    let _turn = turn.lock().await;
    let fact = FactKey::Package(tenant.clone(), key.clone()).encode();
    // What is to be read here is small, and few packages rot.
    let Ok(read) = logs.fact_index.get(&fact) else { return Ok(false) };
    // Another upload of it has just given it up, and perhaps nobody holds it yet.
    let Some(read) = read else { return Ok(true) };
    if !stored::unpack::<AsideFact>(&read).is_ok_and(|aside| aside.why == Aside::BadDigest) {
        return Ok(false);
    }
    if let Some(held) = logs.package_index.find(&key.encode(&tenant)) {
        logs.packages.ask(PackageRequest::Forget(vec![held.key])).await?;
    }
    logs.facts.ask(vec![(fact.into(), None)]).await?;
    info!(package = %key.digest, origin = %key.origin, "a package that had rotted here has come again");
    Ok(true)
}

/// What may go of one page of facts.
struct Old {
    bodies: Vec<Arc<[u8]>>,
    facts: Vec<FactWrite>,
    /// The page's last key; `None` at the end.
    last: Option<Box<[u8]>>,
}

/// Looks at the page of facts behind `after`.
fn old(logs: &Logs, tenant: &TenantId, after: Option<&[u8]>, now: Timestamp) -> Old {
    let page = logs.fact_index.keys(&FactKind::Package.prefix(Some(tenant)), after, PAGE);
    let (mut bodies, mut facts) = (Vec::new(), Vec::new());
    for (encoded, _) in &page {
        let Some(FactKey::Package(tenant, key)) = FactKey::decode(encoded) else { continue };
        // One that does not read stays, with its package: nothing says that the server knows of it.
        let fact = logs.fact_index.get(encoded).ok().flatten().and_then(|fact| stored::unpack::<AsideFact>(&fact).ok());
        let Some(fact) = fact else { continue };
        match logs.package_index.find(&key.encode(&tenant)) {
            Some(held) if fact.may_go(now) => bodies.push(held.key),
            // One that was handed on while it was being set aside is never told of, so nobody acknowledges it.
            None if fact.may_go(now) || fact.is_forgotten(now) => facts.push((Bytes::copy_from_slice(encoded), None)),
            _ => {}
        }
    }
    Old { bodies, facts, last: page.into_iter().next_back().map(|(last, _)| last) }
}
