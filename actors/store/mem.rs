//! Rows in memory: for tests and simulations, and the measure of what a store must do.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use super::{Row, RowWrite, Store, StoreError};
use crate::log::Position;

/// See the module's head.
#[derive(Default)]
pub struct MemStore(Mutex<(BTreeMap<Vec<u8>, Bytes>, Position)>);

impl MemStore {
    fn lock(&self) -> MutexGuard<'_, (BTreeMap<Vec<u8>, Bytes>, Position)> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Store for MemStore {
    fn apply(&self, rows: Vec<RowWrite>, position: Position) -> Result<(), StoreError> {
        let mut held = self.lock();
        for (key, value) in rows {
            match value {
                Some(value) => held.0.insert(key, value.into()),
                None => held.0.remove(&key),
            };
        }
        held.1 = position;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.lock().0.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
        let held = self.lock();
        let rows = held.0.range::<[u8], _>((from, Bound::Unbounded));
        let within = rows.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(within.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())).collect())
    }

    fn covered(&self) -> Result<Position, StoreError> {
        Ok(self.lock().1)
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.lock().0.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}
