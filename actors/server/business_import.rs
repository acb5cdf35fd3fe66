//! Files of contracts, purchases and entitlements that lie on the server: into the server's own custody like an upload, and from there the
//! same way.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use muster::formats::wire::{UploadHead, percent_encode, upload_name};
use muster::id::{Digest, TenantId};
use muster::model::business::{BusinessKey, BusinessKind, Owners};
use muster::model::fact::FactKey;
use muster::model::package::{Kind, Stream};
use muster::model::settlement::{FinalState, Settlement};
use muster::model::stored;
use muster::time::Timestamp;
use muster::upload::admission;

use super::books::Books;
use super::fleet::Fleet;
use super::task_parameters::{flag, source_name, whole_path};
use crate::business_file::{PreparedParts, prepare_parts, spelling};
use crate::errors::Chain;
use crate::log::PackageRequest;
use crate::node::Logs;

/// A file that is not settled by then is left to itself.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
/// How often it looks whether a file is settled.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be imported.
#[derive(Clone, Debug)]
pub(super) struct BusinessImport {
    pub file: PathBuf,
    pub kind: BusinessKind,
    pub source: String,
    pub map: Option<PathBuf>,
    /// Whether good rows are taken although others are bad.
    pub good_rows: bool,
}

impl BusinessImport {
    /// Reads the parameters of a task.
    pub fn of(parameter: impl Fn(&str) -> Option<String>) -> Result<BusinessImport, String> {
        let file = whole_path("file", parameter("file").ok_or("name the file: file=/path/of/purchases.csv")?)?;
        let kind =
            parameter("kind").ok_or("say what the file holds: kind=contracts, kind=purchases or kind=entitlements")?;
        let known = BusinessKind::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(&kind));
        let kind =
            known.ok_or_else(|| format!("parameter `kind` is `{kind}`: write contracts, purchases or entitlements"))?;
        let source = source_name(parameter("source").unwrap_or_else(|| "third-party".into()))?;
        let good_rows = flag("good_rows", parameter("good_rows").as_deref())?;
        let map = parameter("map").map(|map| whole_path("map", map)).transpose()?;
        Ok(BusinessImport { file, kind, source, map, good_rows })
    }

    /// Reads the file, and parts it by tenant. Bad rows are told with their lines.
    pub fn prepare(&self, books: &Books, owners: &Owners, now: Timestamp) -> Result<PreparedParts, String> {
        let shown = self.file.display();
        let spelling = spelling(self.map.as_deref(), self.kind).map_err(|failure| failure.text)?;
        let business = BusinessKey { source: self.source.as_str().into(), kind: self.kind };
        let has_file =
            |tenant: &TenantId| books.facts.contains(&FactKey::Business(tenant.clone(), business.clone()).encode());
        let prepared = prepare_parts(&self.file, self.kind, spelling, now, owners, has_file);
        let prepared = prepared.map_err(|why| format!("`{shown}`: {why}"))?;
        prepared.bad.judge(rows_of(&prepared), self.good_rows, &self.file)?;
        Ok(prepared)
    }

    /// What its rows are, for the output of a task.
    pub fn told(&self, prepared: &PreparedParts) -> String {
        let bad = prepared.bad.left_out(&self.file);
        let kind = self.kind.as_str().to_ascii_lowercase();
        let of_each = match prepared.parts.len() {
            0 | 1 => String::new(),
            _ => {
                let each = prepared.parts.iter().map(|(tenant, (_, rows))| format!("{tenant} {rows}"));
                format!(" ({})", each.collect::<Vec<String>>().join(", "))
            }
        };
        format!("{} rows of {kind} from `{}`{of_each}{bad}", rows_of(prepared), self.source)
    }

    /// The name that its package has.
    fn name(&self) -> String {
        let name = self.file.file_name().and_then(|name| name.to_str()).unwrap_or("business.csv");
        if name.to_ascii_lowercase().ends_with(".gz") { name.to_owned() } else { format!("{name}.gz") }
    }
}

fn rows_of(prepared: &PreparedParts) -> u32 {
    prepared.parts.values().map(|(_, rows)| rows).sum()
}

/// Takes the file into custody and waits for its final state.
pub(super) async fn take(
    books: &Books,
    logs: &Logs,
    import: &BusinessImport,
    body: Bytes,
    now: Timestamp,
    arrived: impl Fn(),
) -> Result<(), String> {
    let (kind, digest, size) = (Kind::IntermediateData, Digest::of(&body), body.len() as u64);
    let name = upload_name(kind.as_str(), &percent_encode(&import.name())).map_err(|refusal| refusal.message)?;
    let stream = Stream::new(kind, &import.source, import.kind.as_str());
    let head = UploadHead { stream: Some(stream.as_str().into()), collected_at: Some(now), ..UploadHead::default() };
    let envelope = admission::envelope(head, name, size, digest, now, logs.node);
    let key = envelope.key();
    let request = PackageRequest::Hold {
        key: Bytes::from(key.encode(&books.tenant)),
        envelope: Bytes::from(stored::pack(&envelope)),
        body,
    };
    logs.packages.ask(request).await.map_err(|error| Chain(&error).to_string())?;
    arrived();
    let fact = FactKey::Package(books.tenant.clone(), key);
    let began = Instant::now();
    loop {
        if began.elapsed() > SETTLED_WITHIN {
            let secs = SETTLED_WITHIN.as_secs();
            return Err(format!(
                "the file is in custody and not settled after {secs} s: it is taken as soon as it can be read"
            ));
        }
        let books = books.clone();
        let looked = fact.clone();
        let read = tokio::task::spawn_blocking(move || Fleet::of(&books).fact::<Settlement>(&looked)).await;
        let settled =
            read.map_err(|_| "the look at the ledger did not end")?.map_err(|error| Chain(&error).to_string())?;
        match settled {
            None => tokio::time::sleep(LOOK).await,
            Some(Settlement { state: FinalState::Imported, .. }) => return Ok(()),
            Some(Settlement { state, reason, .. }) => {
                return Err(format!(
                    "the file is {state}: {}",
                    reason.unwrap_or_else(|| "a newer one is in force".into())
                ));
            }
        }
    }
}

/// Only a plain file of the server is read, by its whole path: anything else could keep a task waiting for ever.
pub(super) fn check_file(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(format!("`{shown}`: write the whole path, from /"));
    }
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => Ok(()),
        Ok(_) => Err(format!("`{shown}` is no plain file")),
        Err(error) => Err(format!("`{shown}` cannot be read: {error}")),
    }
}
