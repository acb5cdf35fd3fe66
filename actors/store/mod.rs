//! Where a view is kept: ordered rows, written in whole batches, each with the position of the log it covers.
//!
//! A store is never the truth. Whatever is wrong with it, it is set aside and the view is built again from the log, so
//! its guarantees are few: a batch is there whole or not at all, and after [`Store::sync`] it outlives a power cut.
//! One conformance suite (`tests.rs`) serves all backends.

mod mem;
mod sled_store;

use std::path::PathBuf;

use bytes::Bytes;

use crate::log::Position;

pub use mem::MemStore;
pub use sled_store::SledStore;

/// Why a store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not open.
    #[error("cannot open the store in `{}`", path.display())]
    Open {
        /// Its folder.
        path: PathBuf,
        /// What it says.
        source: sled::Error,
    },
    /// It panicked while it was opened, as it may on damaged files.
    #[error("the store in `{}` is damaged", path.display())]
    Damaged {
        /// Its folder.
        path: PathBuf,
    },
    /// A call failed.
    #[error("the store does not answer")]
    Call(#[source] sled::Error),
    /// What is to be shown cannot be read from the log now.
    #[error("the log does not answer")]
    Log,
    /// Its files cannot be synced.
    #[error("cannot sync the store")]
    Sync(#[source] std::io::Error),
}

/// One write; without a value the row is removed.
pub type RowWrite = (Vec<u8>, Option<Vec<u8>>);

/// One row.
pub type Row = (Bytes, Bytes);

/// See the module's head. Calls may block on the disk.
pub trait Store: Send + Sync {
    /// Writes all rows, in order, and that the log is covered up to `position`: all of it or nothing.
    fn apply(&self, rows: Vec<RowWrite>, position: Position) -> Result<(), StoreError>;
    /// The row of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    /// At most `limit` rows whose keys begin with `prefix`, ascending, behind `after`.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError>;
    /// Up to which position every fact was applied; the very beginning for a new store.
    fn covered(&self) -> Result<Position, StoreError>;
    /// Makes everything applied so far outlive a power cut.
    fn sync(&self) -> Result<(), StoreError>;
    /// Bytes it takes on the disk.
    fn size_bytes(&self) -> u64;
}

#[cfg(test)]
mod tests;
