//! Rows in sled 0.34.7.
//!
//! What its `flush` calls durable outlives the process but not a power cut (it never calls fsync on Linux), so
//! [`SledStore::sync`] syncs its file as well. After a power cut it may refuse to open, and on damaged files it may
//! panic: it is opened under a guard, and its owner sets the folder aside. Measured: see the reference of storage
//! engines, sections 1 to 3.

use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::{Row, RowWrite, Store, StoreError};
use crate::file_lock;
use crate::log::Position;

/// What sled may keep of its pages in memory.
const CACHE_BYTES: u64 = 128 << 20;
/// How long a store that was dropped may hold its file: sled lets go of it when its last thread has done its work.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// The row that says how far the log is covered; no key of ours begins with a zero.
const COVERED: &[u8] = b"\0covered";

/// See the module's head.
pub struct SledStore {
    db: sled::Db,
    path: PathBuf,
}

impl SledStore {
    /// Opens the store in `path`, made when it is missing. Waits for the file of one that was dropped just now: without,
    /// its owner would take it for damaged and build it again.
    pub fn open(path: &Path) -> Result<SledStore, StoreError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        if let Ok(file) = File::open(path.join("db")) {
            // What sled says of a file that is held is told below.
            let _is_free = file_lock::is_free(&file, LOCK_PATIENCE);
        }
        // Nothing of ours is changed when it panics.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        match opened {
            Ok(Ok(db)) => Ok(SledStore { db, path: path.to_path_buf() }),
            Ok(Err(source)) => Err(StoreError::Open { path: path.to_path_buf(), source }),
            Err(_) => Err(StoreError::Damaged { path: path.to_path_buf() }),
        }
    }
}

/// Runs a call; a panic inside sled is damage.
fn guarded<T>(path: &Path, call: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(StoreError::Call),
        Err(_) => Err(StoreError::Damaged { path: path.to_path_buf() }),
    }
}

fn bytes(value: &sled::IVec) -> Bytes {
    Bytes::copy_from_slice(value)
}

impl Store for SledStore {
    fn apply(&self, rows: Vec<RowWrite>, position: Position) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let mut covered = position.segment.to_be_bytes().to_vec();
        covered.extend_from_slice(&position.offset.to_be_bytes());
        batch.insert(COVERED, covered);
        guarded(&self.path, || self.db.apply_batch(batch))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        guarded(&self.path, || Ok(self.db.get(key)?.map(|value| bytes(&value))))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        guarded(&self.path, || {
            let mut rows = Vec::new();
            for row in self.db.range::<&[u8], _>((from, Bound::Unbounded)).take(limit) {
                let (key, value) = row?;
                if !key.starts_with(prefix) {
                    break;
                }
                rows.push((bytes(&key), bytes(&value)));
            }
            Ok(rows)
        })
    }

    fn covered(&self) -> Result<Position, StoreError> {
        let row = self.get(COVERED)?;
        let read = row.as_deref().and_then(|row| {
            let (segment, rest) = row.split_first_chunk::<8>()?;
            let offset = rest.first_chunk::<4>()?;
            Some(Position { segment: u64::from_be_bytes(*segment), offset: u32::from_be_bytes(*offset) })
        });
        Ok(read.unwrap_or_default())
    }

    fn sync(&self) -> Result<(), StoreError> {
        guarded(&self.path, || self.db.flush())?;
        let sync = |name: &str| match File::open(self.path.join(name)) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        sync("db").and_then(|()| sync("conf")).map_err(StoreError::Sync)
    }

    fn size_bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}
