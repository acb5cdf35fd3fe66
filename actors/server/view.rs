//! The view of a server: rows in a store, written by [`apply`] alone, built again from the log whenever it is missing or
//! wrong.
//!
//! ```text
//! facts -> apply -> rows        live: in the order of the commits
//! start: facts behind `covered` are applied; devices before the server is ready, software of reports by a thread
//! ```
//!
//! Position "covered up to" moves only when nothing is left out before it, and old facts may be compacted away only
//! after the store was synced. A store that does not open or answer is set aside and another one begun.

mod catch_up;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use muster::id::TenantId;
use muster::model::device::DeviceFact;
use muster::model::fact::{FactKey, FactKind};
use muster::model::stored;
use muster::roles::server::{KnownTitles, Shown, ViewError, apply};
use tracing::{error, info, warn};

use super::reading::Reading;
use crate::errors::Chain;
use crate::log::{Disk, FactIndex, FolderDisk, Position, ReadError, Reserve};
use crate::store::{MemStore, RowWrite, SledStore, Store, StoreError};

/// Rows that are written in one batch while the view is built again.
const BATCH_ROWS: usize = 1_000;
/// The store is synced, and old facts let go, at most this often.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// A store of less is never written anew for its size.
const REWRITE_BYTES_MIN: u64 = 256 << 20;
/// A store is written anew when it holds so many times its live rows.
const REWRITE_RATIO: u64 = 3;

/// What is being written, by one at a time.
struct Writing {
    /// Facts up to here were applied.
    applied: Position,
    /// Software of older reports is still missing: `covered` stays.
    behind: bool,
    /// There is no store on the disk: devices are shown from memory, software is not.
    in_memory: bool,
    /// Numbers of titles in the store.
    known: KnownTitles,
    synced: Instant,
}

/// See the module's head.
pub struct View {
    path: PathBuf,
    facts: FactIndex,
    reading: Reading,
    store: RwLock<Arc<dyn Store>>,
    writing: Mutex<Writing>,
    /// Asks the thread that catches up to end.
    stopped: AtomicBool,
    rebuilt: AtomicU64,
}

/// Why the view cannot be read or written.
pub type ViewFailure = ViewError<StoreError>;

impl View {
    /// Opens the view in `path` and applies what it has not seen of devices. Software follows by [`View::keep_up`].
    pub fn open(path: &Path, facts: FactIndex, reading: Reading) -> Result<View, ViewFailure> {
        let (store, in_memory, is_new): (Arc<dyn Store>, bool, bool) = match SledStore::open(path) {
            Ok(store) => (Arc::new(store), false, false),
            Err(error) => {
                error!(error = %Chain(&error), "the view is set aside and built again from the log");
                let (store, in_memory) = anew_or_in_memory(path);
                (store, in_memory, true)
            }
        };
        let view = View {
            path: path.to_path_buf(),
            facts,
            reading,
            store: RwLock::new(store),
            writing: Mutex::new(Writing {
                applied: Position::default(),
                behind: true,
                in_memory,
                known: KnownTitles::default(),
                synced: Instant::now(),
            }),
            stopped: AtomicBool::new(false),
            rebuilt: AtomicU64::new(u64::from(is_new)),
        };
        let mut writing = view.lock();
        let covered = view.store().covered().map_err(ViewError::Store)?;
        if covered > view.facts.newest() {
            error!("the view is of another log, it is set aside and built again");
            view.begin_anew(&mut writing)?;
        } else if let Err(error) = view.apply_devices(&mut writing) {
            error!(error = %Chain(&error), "the view does not take the devices, it is set aside and built again");
            view.begin_anew(&mut writing)?;
        }
        drop(writing);
        Ok(view)
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The store now.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// How often the view was begun anew in this life of the node.
    pub fn rebuilt(&self) -> u64 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    /// Facts up to here are shown, but for software of older reports.
    pub fn applied(&self) -> Position {
        self.lock().applied
    }

    /// Whether software of older reports may be missing still.
    pub fn is_behind(&self) -> bool {
        self.lock().behind
    }

    /// Begins anew: facts that it was made of are damaged.
    pub fn rebuild(&self) -> Result<(), ViewFailure> {
        info!("facts are damaged, the view is built again from those that are left");
        self.begin_anew(&mut self.lock())
    }

    /// Something that was committed is perhaps not shown: everything behind `covered` is looked at once more.
    pub fn distrust(&self) {
        self.lock().behind = true;
    }

    /// Shows what was committed at `position`. A view that fails is begun anew from the log; only when that fails too
    /// is there an error, and then the next start or commit tries again. The commit itself stands in any case.
    pub fn show(&self, shown: &[(&TenantId, Shown<'_>)], position: Position) -> Result<(), ViewFailure> {
        let mut writing = self.lock();
        if let Err(error) = self.show_in(&mut writing, shown, position) {
            error!(error = %Chain(&error), "the view does not answer, it is set aside and built again from the log");
            self.begin_anew(&mut writing)?;
        }
        Ok(())
    }

    fn show_in(
        &self,
        writing: &mut Writing,
        shown: &[(&TenantId, Shown<'_>)],
        position: Position,
    ) -> Result<(), ViewFailure> {
        let store = self.store();
        // Put back at the end: whatever does not come so far may have lost a write.
        let mut batch = Batch::new(&*store, std::mem::take(&mut writing.known));
        // Memory is no place for the software of a fleet; it is shown when there is a store on the disk again.
        let fits = |(_, shown): &&(&TenantId, Shown<'_>)| !writing.in_memory || matches!(shown, Shown::Device(_));
        shown.iter().filter(fits).try_for_each(|(tenant, shown)| batch.show(tenant, *shown))?;
        // In parts, so that a report with very many titles takes no more memory than others: what a crash leaves of them
        // is not covered, and is shown again.
        let Batch { mut rows, known, .. } = batch;
        let covered = store.covered().map_err(ViewError::Store)?;
        while rows.len() > BATCH_ROWS {
            let rest = rows.split_off(BATCH_ROWS);
            store.apply(std::mem::replace(&mut rows, rest), covered).map_err(ViewError::Store)?;
        }
        writing.applied = writing.applied.max(position);
        store.apply(rows, self.covers(writing, &*store)?).map_err(ViewError::Store)?;
        writing.known = known;
        self.settle(writing, &*store);
        Ok(())
    }

    /// The position that a write may name.
    fn covers(&self, writing: &Writing, store: &dyn Store) -> Result<Position, ViewFailure> {
        if writing.behind { store.covered().map_err(ViewError::Store) } else { Ok(writing.applied) }
    }

    /// From time to time: makes the store durable and lets the log forget what it covers.
    fn settle(&self, writing: &mut Writing, store: &dyn Store) {
        if writing.behind || writing.synced.elapsed() < SYNC_EVERY {
            return;
        }
        writing.synced = Instant::now();
        match store.sync() {
            Ok(()) => self.facts.cover(writing.applied),
            Err(error) => warn!(error = %Chain(&error), "the view is not synced, old facts are kept longer"),
        }
    }

    /// Sets the store aside, begins another one and shows all devices in it; software follows by `keep_up`.
    fn begin_anew(&self, writing: &mut Writing) -> Result<(), ViewFailure> {
        let mut held = self.store.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The old one lets go of its files when its last reader does; its folder is moved, so that does not matter.
        *held = Arc::new(MemStore::default());
        (*held, writing.in_memory) = anew_or_in_memory(&self.path);
        drop(held);
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
        writing.behind = true;
        writing.known = KnownTitles::default();
        self.apply_devices(writing)
    }

    /// Applies every device fact that the store has not seen.
    fn apply_devices(&self, writing: &mut Writing) -> Result<(), ViewFailure> {
        let store = self.store();
        let covered = store.covered().map_err(ViewError::Store)?;
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let page = self.facts.keys(&FactKind::Device.prefix(None), after.as_deref(), BATCH_ROWS);
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mut batch = Batch::new(&*store, KnownTitles::default());
            for (encoded, position) in &page {
                if *position <= covered {
                    continue;
                }
                let found = self.fact::<DeviceFact>(encoded).map_err(|Unanswered| ViewError::Store(StoreError::Log))?;
                if let Some((FactKey::Device(tenant, _), fact)) = found {
                    batch.show(&tenant, Shown::Device(&fact))?;
                    writing.applied = writing.applied.max(*position);
                }
            }
            if !batch.rows.is_empty() {
                store.apply(batch.rows, covered).map_err(ViewError::Store)?;
            }
        }
    }

    /// A fact of the log; `None` when it is gone or damaged.
    fn fact<T: serde::de::DeserializeOwned>(&self, encoded: &[u8]) -> Result<Option<(FactKey, T)>, Unanswered> {
        let value = match self.facts.get(encoded) {
            Ok(value) => value,
            Err(ReadError::Disk { .. }) => return Err(Unanswered),
            Err(error) => {
                error!(error = %Chain(&error), "a fact cannot be read, the view goes without it");
                None
            }
        };
        let Some((key, value)) = FactKey::decode(encoded).zip(value) else { return Ok(None) };
        match stored::unpack(&value) {
            Ok(value) => Ok(Some((key, value))),
            Err(error) => {
                error!(error = %Chain(&error), "a fact does not read, the view goes without it");
                Ok(None)
            }
        }
    }

    /// Ends a catch-up that is under way.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Rows of one batch, seen by those that come after them.
struct Batch<'s> {
    store: &'s dyn Store,
    rows: Vec<RowWrite>,
    /// Place in `rows` of the last write of a key.
    places: hashbrown::HashMap<Vec<u8>, usize>,
    known: KnownTitles,
}

impl<'s> Batch<'s> {
    fn new(store: &'s dyn Store, known: KnownTitles) -> Batch<'s> {
        Batch { store, rows: Vec::new(), places: hashbrown::HashMap::new(), known }
    }

    fn show(&mut self, tenant: &TenantId, shown: Shown<'_>) -> Result<(), ViewFailure> {
        let look = |key: &[u8]| match self.places.get(key) {
            Some(&place) => Ok(self.rows[place].1.clone().map(bytes::Bytes::from)),
            None => self.store.get(key),
        };
        let writes = apply(tenant, shown, &mut self.known, look)?;
        for (key, value) in writes {
            self.places.insert(key.clone(), self.rows.len());
            self.rows.push((key, value));
        }
        Ok(())
    }
}

/// The disk under the log does not answer now.
struct Unanswered;

/// An empty store in `path`, or, without a disk that takes it, in memory; whether it is in memory.
fn anew_or_in_memory(path: &Path) -> (Arc<dyn Store>, bool) {
    match anew(path) {
        Ok(store) => (store, false),
        Err(error) => {
            error!(error = %Chain(&error), "no view on the disk: devices are shown from memory, software is not");
            (Arc::new(MemStore::default()), true)
        }
    }
}

/// Whether a store takes many times the room of its rows.
fn is_bloated(store: &dyn Store) -> Result<bool, StoreError> {
    let size = store.size_bytes();
    let is_bloated = size > REWRITE_BYTES_MIN && size > REWRITE_RATIO * live_bytes(store)?;
    if is_bloated {
        info!(size_bytes = size, "the view holds many times its rows and is built again");
    }
    Ok(is_bloated)
}

fn live_bytes(store: &dyn Store) -> Result<u64, StoreError> {
    let (mut bytes, mut after) = (0, None::<bytes::Bytes>);
    loop {
        let page = store.scan(&[], after.as_deref(), BATCH_ROWS)?;
        bytes += page.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        let Some((last, _)) = page.into_iter().next_back() else { return Ok(bytes) };
        after = Some(last);
    }
}

/// Sets what is in `path` aside (the one set aside before goes) and begins an empty store there.
fn anew(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    let aside = path.with_extension("set-aside");
    let failed =
        |source: std::io::Error| StoreError::Open { path: path.to_path_buf(), source: sled::Error::Io(source) };
    let ignore_missing = |done: std::io::Result<()>| match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let remove = |path: &Path| {
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    };
    let has_room = path.parent().and_then(|folder| FolderDisk::open(folder).ok()?.space().ok());
    let has_room = has_room.is_none_or(|space| space.free_bytes >= Reserve::FACTS.bytes);
    // On a full disk its bytes are worth more than a look at them.
    let away = || if has_room { std::fs::rename(path, &aside) } else { remove(path) };
    ignore_missing(remove(&aside)).and_then(|()| ignore_missing(away())).map_err(failed)?;
    if !has_room {
        return Err(failed(std::io::ErrorKind::StorageFull.into()));
    }
    Ok(Arc::new(SledStore::open(path)?))
}
