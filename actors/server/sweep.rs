//! Lets go of bodies at the server that nobody needs any more, by the rule of `roles::server::keep`.

use std::sync::Arc;

use muster::model::fact::FactKey;
use muster::model::package::PackageKey;
use muster::model::settlement::Settlement;
use muster::roles::server::is_kept;
use muster::time::Timestamp;

use super::books::Books;
use super::fleet::{Fleet, FleetError};
use super::reading::Reading;
use crate::clock::SharedClock;
use crate::log::{Handle, PackageRequest, WriteError};
use crate::node::Logs;

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
    let fleet = Fleet::of(books);
    let settlement: Option<Settlement> = fleet.fact(&FactKey::Package(books.tenant.clone(), key))?;
    let Some(settlement) = settlement else { return Ok(false) };
    let record = match &settlement.record {
        Some(record) => fleet.fact(&FactKey::Record(books.tenant.clone(), record.clone()))?,
        None => None,
    };
    Ok(!is_kept(&settlement, record.as_ref(), now))
}
