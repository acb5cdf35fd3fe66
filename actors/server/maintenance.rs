//! Maintenance of both logs: lets go of what nobody needs, reads everything that is kept and checks it, and has segments
//! rewritten of which much is dead.

use std::path::Path;

use muster::model::fact::FactKey;
use muster::model::tenant::TenantState;

use super::books::{Books, News};
use super::sweep::{Swept, sweep};
use crate::clock::SharedClock;
use crate::errors::{Chain, Hex};
use crate::log::{Handle, PackageRequest};
use crate::node::Logs;

/// Folders of the logs.
const LOGS: [&str; 2] = ["packages", "facts"];
/// Packages that are looked at together.
const PAGE: usize = 1_000;
/// Damaged entries that are told by their keys.
const TOLD_MAX: usize = 10;
/// Segments that are rewritten in one go, at most: each costs a turn of the writer.
const SEGMENTS_MAX: usize = 1_000;

/// What was read.
#[derive(Debug, Default)]
struct Checked {
    facts: u64,
    packages: u64,
    damaged: Vec<String>,
}

/// Does it, and says what came of it; an error when something is damaged.
pub(super) async fn maintain(
    books: &Books,
    logs: &Logs,
    clock: &SharedClock,
    data: &Path,
    progress: impl Fn(u8) + Send + 'static,
) -> Result<String, String> {
    let swept = sweep(logs.clone(), books.clone(), clock.clone()).await;
    let Swept { bodies, entries } = swept.map_err(|error| Chain(&error).to_string())?;
    progress(10);
    let (own, packages) = (books.clone(), logs.clone());
    let checked = tokio::task::spawn_blocking(move || check(&own, &packages, &progress)).await;
    let Checked { facts, packages, damaged } = checked.map_err(|_| "the check did not end")?;
    let before = size(data);
    compact(books, logs, data).await?;
    let freed = before.saturating_sub(size(data)) >> 20;
    let done = format!(
        "{bodies} bodies and {entries} entries of the ledger let go; {facts} facts and {packages} packages read and checked; \
         {freed} MiB compacted away"
    );
    match damaged.len() {
        0 => Ok(done),
        count => {
            let first = damaged.iter().take(TOLD_MAX).cloned().collect::<Vec<String>>().join("; ");
            Err(format!(
                "{count} entries are damaged, restore them from a copy or let their senders send again: {first}. {done}"
            ))
        }
    }
}

/// Reads every fact and every package that is kept.
fn check(books: &Books, logs: &Logs, progress: &dyn Fn(u8)) -> Checked {
    let mut checked = Checked::default();
    let damaged = books.facts.each(&[], |_, _, _| checked.facts += 1);
    let told = damaged.iter().map(|(key, error)| format!("fact {}: {}", Hex(key), Chain(error)));
    checked.damaged.extend(told);
    progress(40);
    let (all, mut after) = (logs.package_index.totals().0.max(1), None::<Handle>);
    loop {
        let page = logs.package_index.after(after, PAGE);
        let Some(last) = page.last() else { return checked };
        after = Some(last.handle);
        for held in &page {
            match logs.package_index.read(held.handle) {
                // Let go of meanwhile.
                None => {}
                Some(Ok(_)) => checked.packages += 1,
                Some(Err(error)) => checked.damaged.push(format!("package {}: {}", Hex(&held.key), Chain(&error))),
            }
        }
        progress(u8::try_from(40 + checked.packages as usize * 50 / all).unwrap_or(90).min(90));
    }
}

/// Each commit is followed by a look at the oldest segment, so commits that change nothing rewrite one after the other.
async fn compact(books: &Books, logs: &Logs, data: &Path) -> Result<(), String> {
    for _ in 0..SEGMENTS_MAX {
        let before = oldest(data).await;
        let key = FactKey::Tenant(books.tenant.clone());
        let touched = books.turn(move |draft| {
            // It also tells how far the view has come: older segments may go then.
            let state: TenantState = draft.read(&key)?.unwrap_or_default();
            draft.write(&key, &state);
            Ok(((), News::default()))
        });
        touched.await.map_err(|error| Chain(&error).to_string())?;
        let released = logs.packages.ask(PackageRequest::Release(Vec::new())).await;
        released.map_err(|error| Chain(&error).to_string())?;
        // What arrives meanwhile makes segments, and only a rewrite takes the oldest away.
        if oldest(data).await == before {
            break;
        }
    }
    Ok(())
}

/// The oldest segment of each log, by its name.
async fn oldest(data: &Path) -> [Option<std::ffi::OsString>; 2] {
    let folders = LOGS.map(|log| data.join(log));
    let looked = tokio::task::spawn_blocking(move || {
        folders.map(|folder| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).min()
        })
    });
    looked.await.unwrap_or_default()
}

/// Bytes of the logs' files.
fn size(data: &Path) -> u64 {
    let of = |log: &str| {
        let entries = std::fs::read_dir(data.join(log)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum::<u64>()
    };
    LOGS.map(of).iter().sum()
}
