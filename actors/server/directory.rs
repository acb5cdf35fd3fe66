//! Files of a directory service: sites, subnets, domains, users. One file is the whole of its kind.
//!
//! A file's entries go into the log in parts that bear its number; then one commit of the `DirectoryState` puts them in
//! force, and those of the file before are dropped. Killed before that commit, what was in force stays; in either case the
//! next run drops what is in no force.

use std::path::PathBuf;

use muster::config::column_map::read_directory_map;
use muster::model::business::{BusinessError, Spelling};
use muster::model::directory::{
    DirectoryCounts, DirectoryEntry, DirectoryKind, DirectoryPart, DirectoryReader, DirectoryState, PART_BYTES,
};
use muster::model::fact::FactKey;
use muster::model::stored;
use muster::time::Timestamp;
use tracing::{error, info};

use super::books::{Books, News, TurnError};
use super::business_import::check_file;
use super::task_parameters::{flag, whole_path};
use crate::business_file::{BadRows, open_csv, spelling_by};
use crate::errors::{Chain, Hex};
use crate::log::ReadError;

/// Parts that are committed together.
const PARTS_AT_ONCE: usize = 40;

/// What is to be imported.
#[derive(Clone, Debug)]
pub(super) struct DirectoryImport {
    file: PathBuf,
    kind: DirectoryKind,
    map: Option<PathBuf>,
    /// Whether good rows are taken although others are bad.
    good_rows: bool,
}

/// A file that was read: its entries, ascending.
struct Whole {
    entries: Vec<DirectoryEntry>,
    counts: DirectoryCounts,
    bad: BadRows,
}

impl DirectoryImport {
    /// Reads the parameters of a task.
    pub fn of(parameter: impl Fn(&str) -> Option<String>) -> Result<DirectoryImport, String> {
        let file = whole_path("file", parameter("file").ok_or("name the file: file=/path/of/subnets.csv")?)?;
        let kinds = "kind=sites, kind=subnets, kind=domains or kind=users";
        let kind = parameter("kind").ok_or_else(|| format!("say what the file lists: {kinds}"))?;
        let kind = kind.parse().map_err(|()| format!("parameter `kind` is `{kind}`: write {kinds}"))?;
        let good_rows = flag("good_rows", parameter("good_rows").as_deref())?;
        let map = parameter("map").map(|map| whole_path("map", map)).transpose()?;
        Ok(DirectoryImport { file, kind, map, good_rows })
    }

    /// Reads the file and compares it with what is in force. Waits for the disk.
    fn read(&self, books: &Books, state: Option<&DirectoryState>) -> Result<Whole, String> {
        self.map.iter().chain([&self.file]).try_for_each(|path| check_file(path))?;
        let read_map = |map: &PathBuf| spelling_by(map, |file| read_directory_map(file, self.kind));
        let spelling = self.map.as_ref().map(read_map).transpose().map_err(|failure| failure.text)?;
        let shown = self.file.display();
        let source = open_csv(&self.file).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        let told = |error: BusinessError| format!("`{shown}`: {}", Chain(&error));
        let mut reader =
            DirectoryReader::open(source, self.kind, spelling.unwrap_or(Spelling::canonical())).map_err(told)?;
        let (mut entries, mut bad) = (Vec::new(), BadRows::default());
        while let Some(row) = reader.next_row().map_err(told)? {
            match row {
                Ok(entry) => entries.push(entry),
                Err(error) => bad.add(error),
            }
        }
        bad.judge(reader.rows() - bad.count, self.good_rows, &self.file)?;
        entries.sort_unstable();
        let before = state.map_or(Ok(Vec::new()), |state| entries_of(books, self.kind, state))?;
        Ok(Whole { counts: DirectoryCounts::between(&before, &entries), entries, bad })
    }
}

/// Takes the file; says what it changed.
pub(super) async fn take_directory(books: &Books, import: &DirectoryImport, now: Timestamp) -> Result<String, String> {
    let told = |error: TurnError| Chain(&error).to_string();
    let kind = import.kind;
    // Not beside an earlier life's that has not ended yet.
    let _task = books.one_task.lock().await;
    let looking = books.clone();
    let looked = tokio::task::spawn_blocking(move || in_force(&looking, kind)).await;
    let state = looked.map_err(|_| "what is in force was not read")??;
    drop_others(books, kind, state.as_ref().map(|state| state.generation)).await.map_err(told)?;
    let (own, reading, known) = (books.clone(), import.clone(), state.clone());
    let read = tokio::task::spawn_blocking(move || reading.read(&own, known.as_ref())).await;
    let Whole { entries, counts, bad } = read.map_err(|_| "the file was not read")??;
    let rows = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    if state.is_none() || !counts.is_none() {
        let generation = state.map_or(1, |state| state.generation.wrapping_add(1));
        let parts = put(books, kind, generation, entries).await.map_err(told)?;
        let key = FactKey::Directory(books.tenant.clone(), kind);
        let state = DirectoryState { generation, parts, rows, taken: now };
        let switched = books.turn(move |draft| {
            draft.write(&key, &state);
            Ok(((), News::default()))
        });
        switched.await.map_err(told)?;
        drop_others(books, kind, Some(generation)).await.map_err(told)?;
    }
    let DirectoryCounts { added, changed, removed } = counts;
    info!(%kind, rows, added, changed, removed, "a file of a directory was taken");
    let bad = bad.left_out(&import.file);
    Ok(format!("{rows} {kind}: {added} added, {changed} changed, {removed} removed{bad}"))
}

/// Puts entries into parts, of which nothing is in force yet; how many there are.
async fn put(
    books: &Books,
    kind: DirectoryKind,
    generation: u32,
    entries: Vec<DirectoryEntry>,
) -> Result<u32, TurnError> {
    let (mut parts, mut bytes) = (Vec::<Vec<DirectoryEntry>>::new(), usize::MAX);
    for entry in entries {
        let own = entry.bytes();
        match parts.last_mut() {
            Some(part) if bytes < PART_BYTES => {
                bytes += own;
                part.push(entry);
            }
            _ => {
                bytes = own;
                parts.push(vec![entry]);
            }
        }
    }
    let mut number = 0;
    let mut left = parts.into_iter().peekable();
    while left.peek().is_some() {
        let some: Vec<Vec<DirectoryEntry>> = left.by_ref().take(PARTS_AT_ONCE).collect();
        let (tenant, first) = (books.tenant.clone(), number);
        number += some.len() as u32;
        let committed = books.turn_in_frames(move |draft| {
            for (number, part) in (first..).zip(&some) {
                draft.write(&FactKey::DirectoryPart(tenant.clone(), DirectoryPart { kind, generation, number }), part);
            }
            Ok(((), News::default()))
        });
        committed.await?;
    }
    Ok(number)
}

/// Drops the parts of all files but this one.
async fn drop_others(books: &Books, kind: DirectoryKind, generation: Option<u32>) -> Result<(), TurnError> {
    let prefix = FactKey::directory_prefix(&books.tenant, kind);
    let is_kept = |key: &FactKey| matches!(key, FactKey::DirectoryPart(_, part) if Some(part.generation) == generation);
    books.drop_others(&prefix, is_kept).await
}

/// Which file of this kind is in force. Waits for the disk.
pub(super) fn in_force(books: &Books, kind: DirectoryKind) -> Result<Option<DirectoryState>, String> {
    let key = FactKey::Directory(books.tenant.clone(), kind);
    // One that has rotted is none: the next file is in force whole.
    books.draft().read(&key).map_err(|error| Chain(&error).to_string())
}

/// The entries that are in force, ascending; those of a part that has rotted are missing. Waits for the disk.
pub(super) fn entries_of(
    books: &Books,
    kind: DirectoryKind,
    state: &DirectoryState,
) -> Result<Vec<DirectoryEntry>, String> {
    let key = |number| {
        let part = DirectoryPart { kind, generation: state.generation, number };
        FactKey::DirectoryPart(books.tenant.clone(), part).encode()
    };
    let keys: Vec<Vec<u8>> = (0..state.parts).map(key).collect();
    let mut parts: Vec<Vec<DirectoryEntry>> = keys.iter().map(|_| Vec::new()).collect();
    let mut failed = None;
    books.facts.get_all(&keys, |place, value| match value {
        Ok(Some(value)) => match stored::unpack(&value) {
            Ok(part) => parts[place] = part,
            Err(error) => failed = Some(Chain(&error).to_string()),
        },
        Ok(None) => {}
        Err(error @ ReadError::Rotten { .. }) => {
            error!(key = %Hex(&keys[place]), error = %Chain(&error), "a part of a directory has rotted, import its file again");
        }
        Err(error) => failed = Some(Chain(&error).to_string()),
    });
    failed.map_or(Ok(parts.into_iter().flatten().collect()), Err)
}
