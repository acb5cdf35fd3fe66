//! Lets go of bodies at the server that nobody needs any more.
//!
//! Kept are packages without a final state, the newest imported one of each stream, and everything younger than the
//! kept time, so that inventories can be staged again and an operator can see what a machine said. Source: design,
//! section 3, compaction; delivery contract, section 2.

use std::sync::Arc;

use muster::model::fact::FactKey;
use muster::model::package::{Envelope, PackageKey};
use muster::model::settlement::{FinalState, Settlement};
use muster::time::{DAY_MS, Timestamp};
use muster::upload::ledger::StreamLedger;

use super::books::Books;
use super::fleet::{Fleet, FleetError};
use super::reading::Reading;
use crate::clock::SharedClock;
use crate::log::{Handle, PackageRequest, WriteError};
use crate::node::Logs;

/// How long a settled body is kept at least. Source: delivery contract, section 2, quarantine.
const KEPT_MS: i64 = 30 * DAY_MS;
/// Packages that are looked at together.
const PAGE: usize = 1_000;

/// Why nothing was let go.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] FleetError),
    /// The log does not answer.
    #[error("the package log does not answer")]
    Log(#[source] WriteError),
    /// The look panicked.
    #[error("the look at what is held did not end")]
    Panicked,
}

/// Lets go, and says of how many.
pub async fn sweep(logs: Logs, books: Books, clock: SharedClock) -> Result<usize, SweepError> {
    let (mut after, mut swept) = (None::<Handle>, 0);
    loop {
        let page = logs.package_index.after(after, PAGE);
        let Some(last) = page.last() else { return Ok(swept) };
        after = Some(last.handle);
        let (own, now) = (books.clone(), clock.now());
        let looked = tokio::task::spawn_blocking(move || {
            let mut done: Vec<Arc<[u8]>> = Vec::new();
            for held in page {
                let Some((_, key)) = Reading::key(&held) else { continue };
                if is_done(&own, key, now)? {
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

fn is_done(books: &Books, key: PackageKey, now: Timestamp) -> Result<bool, FleetError> {
    let (fleet, digest) = (Fleet::of(books), key.digest);
    let settlement: Option<Settlement> = fleet.fact(&FactKey::Package(books.tenant.clone(), key))?;
    let Some(Settlement { state, settled, envelope, .. }) = settlement else { return Ok(false) };
    if now.ms_since(settled) < KEPT_MS {
        return Ok(false);
    }
    if state != FinalState::Imported {
        return Ok(true);
    }
    let Envelope { origin, stream: Some(stream), .. } = envelope else { return Ok(true) };
    let ledger: Option<StreamLedger> = fleet.fact(&FactKey::Ledger(books.tenant.clone(), origin, stream))?;
    Ok(ledger.and_then(|ledger| ledger.newest()).is_none_or(|newest| newest.digest != digest))
}
