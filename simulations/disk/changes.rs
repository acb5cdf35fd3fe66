//! What a disk was told and has not synced: parts of files, and names in its folder.

use std::collections::BTreeMap;

/// A write is lost or kept sector by sector, in any order, as caches write back pages. Smaller than a real sector, so
/// that the small writes of a trial fall into several.
const SECTOR_BYTES: u64 = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
}

impl Content {
    pub(super) fn current(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        self.unsynced.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }

    pub(super) fn write(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (SECTOR_BYTES - offset % SECTOR_BYTES) as usize;
            let (sector, rest) = bytes.split_at(room.min(bytes.len()));
            self.unsynced.push(Change::Write { offset, bytes: sector.to_vec() });
            offset += sector.len() as u64;
            bytes = rest;
        }
    }
}

impl Change {
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = *offset as usize + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset as usize..end].copy_from_slice(bytes);
            }
            Change::Truncate(length) => to.truncate(*length as usize),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Add(String, u64),
    Remove(String),
}

impl NameChange {
    pub(super) fn apply(&self, to: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Add(name, inode) => to.insert(name.clone(), *inode),
            NameChange::Remove(name) => to.remove(name),
        };
    }
}
