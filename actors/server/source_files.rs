//! The sources that `sources.toml` names: read in every import, each when its file has changed.

use std::path::Path;

use muster::config::Document;
use muster::config::sources::{SourceConfig, read_sources};
use muster::id::TenantId;
use muster::time::Timestamp;
use tracing::warn;

use super::books::Books;
use super::sources::{SourceImport, in_force, take_file};

/// Reads the file; `own` is the server's own tenant. `Err`: it cannot be read, or something in it is wrong.
pub(super) fn sources_of(path: &Path, own: &TenantId) -> Result<Vec<SourceConfig>, String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("cannot read `{name}` (import.sources_file): {error}"))?;
    read_sources(&Document { text: &text, file: &name }, own).map_err(|error| error.to_string())
}

/// Takes each file of these books' tenant that has changed since it was taken; says what became of it, a sentence each; an
/// error for one that was not read.
/// What is wrong with one stops no other, and what was staged of it stays.
pub(super) async fn read_configured(books: &Books, path: &Path, now: Timestamp) -> Vec<Result<String, String>> {
    let (reading, own) = (path.to_owned(), books.tenants.now().own().clone());
    let read = tokio::task::spawn_blocking(move || sources_of(&reading, &own)).await;
    let sources = match read.unwrap_or_else(|_| Err("the sources were not read".into())) {
        Ok(sources) => sources,
        Err(why) => {
            warn!(why, "no source is read");
            return vec![Err(format!("no source is read: {why}"))];
        }
    };
    let (tenants, mut told) = (books.tenants.now(), Vec::new());
    for source in sources {
        if source.tenant != books.tenant {
            // Nobody imports for a tenant that is not there: the server's own tells it.
            if tenants.get(&source.tenant).is_none() && *tenants.own() == books.tenant {
                let SourceConfig { name, tenant, .. } = &source;
                warn!(source = ?name, %tenant, "a source is for a tenant that is not registered");
                let why = format!("`{name}` is not read: no tenant `{tenant}` is registered, see `muster tenants add`");
                told.push(Err(why));
            }
            continue;
        }
        let SourceConfig { name, file, map, good_rows, .. } = source;
        let import = SourceImport { source: name.as_str().into(), file, map, good_rows, may_empty: false };
        match read_one(books, &import, now).await {
            Ok(sentence) => told.extend(sentence.map(Ok)),
            Err(why) => {
                warn!(source = ?name, why, "a source is not read, what was staged of it stays");
                told.push(Err(format!("`{name}` is not read, what was staged of it stays: {why}")));
            }
        }
    }
    told
}

/// `None`: its file is the one that was taken.
async fn read_one(books: &Books, import: &SourceImport, now: Timestamp) -> Result<Option<String>, String> {
    let (own, looking) = (books.clone(), import.clone());
    let looked =
        tokio::task::spawn_blocking(move || Ok::<_, String>((looking.stamp()?, in_force(&own, &looking.source)?)));
    let (stamp, state) = looked.await.map_err(|_| "its file was not looked at")??;
    if state.is_some_and(|state| !state.is_pending() && state.file.as_ref() == Some(&stamp)) {
        return Ok(None);
    }
    let taken = take_file(books, import, now).await?;
    Ok(Some(import.told(&taken)))
}
