//! A disk in memory that forgets, tears and reorders what was not synced.
//!
//! Every call is counted. [`SimDisk::cut_power_at`] lets the n-th call be the first that fails, as if the power went
//! just before it; [`SimDisk::fail_at`] lets only the n-th fail, as a bad sector or a full disk would. After a cut,
//! [`SimDisk::outcomes`] gives the disks that may be found at the next start: for each file any choice of its unsynced
//! writes, the last of them torn, and any choice of the folder's unsynced names.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use muster::rng::RngStream;
use muster_actors::log::{Disk, DiskFile, Space};

use self::changes::{Change, Content, NameChange};

/// What the n-th call answers instead of doing its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error; nothing was done.
    Io,
    /// No room; nothing was done.
    NoSpace,
    /// A write stores only the first half of its bytes, then reports no room.
    ShortWrite,
}

/// Most unsynced changes of which every subset is tried; beyond that, prefixes, single losses and seeded draws.
const EXHAUSTIVE_MAX: usize = 7;

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    names_durable: BTreeMap<String, u64>,
    names_unsynced: Vec<NameChange>,
    next_inode: u64,
    calls: u64,
    read_bytes: u64,
    cut_at: Option<u64>,
    fault: Option<(u64, Fault)>,
}

/// See the module's head. Clones share the disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

fn power_cut() -> io::Error {
    io::Error::other("power cut")
}

impl State {
    /// Counts one call; an error is what it has to answer.
    fn call(&mut self) -> Result<Option<Fault>, io::Error> {
        self.calls += 1;
        if self.cut_at.is_some_and(|at| self.calls > at) {
            return Err(power_cut());
        }
        match self.fault {
            Some((at, Fault::Io)) if at == self.calls => Err(io::Error::other("bad sector")),
            Some((at, Fault::NoSpace)) if at == self.calls => Err(io::ErrorKind::StorageFull.into()),
            Some((at, Fault::ShortWrite)) if at == self.calls => Ok(Some(Fault::ShortWrite)),
            _ => Ok(None),
        }
    }

    fn inode(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename_entry(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.names_unsynced.push(change);
    }
}

impl SimDisk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Calls counted so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.state().read_bytes
    }

    /// Every call after the first `calls` ones fails.
    pub fn cut_power_at(&self, calls: u64) {
        self.state().cut_at = Some(calls);
    }

    /// Call number `call` (from 1) fails in this way.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.state().fault = Some((call, fault));
    }

    /// The disk as the operating system shows it, with everything unsynced kept: what a killed process leaves.
    pub fn killed(&self) -> SimDisk {
        let state = self.state();
        let files = state.names.iter().map(|(name, inode)| (name.clone(), state.inodes[inode].current())).collect();
        SimDisk::holding(files)
    }

    /// A disk with these files, all durable.
    pub fn holding(files: BTreeMap<String, Vec<u8>>) -> SimDisk {
        let mut state = State::default();
        for (inode, (name, durable)) in (0..).zip(files) {
            state.inodes.insert(inode, Content { durable, unsynced: Vec::new() });
            state.names.insert(name, inode);
            state.next_inode = inode + 1;
        }
        state.names_durable = state.names.clone();
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// Files as they stand, by name.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(name, inode)| (name.clone(), state.inodes[inode].current())).collect()
    }

    /// One disk that may be found after the power came back: each unsynced change is there or not, the last write torn or not.
    pub fn outcome(&self, rng: &mut RngStream) -> SimDisk {
        let state = self.state();
        let units = state.units();
        // All or nothing of it as often as a mixture.
        let choice: Vec<bool> = match rng.below(4) {
            0 => vec![false; units],
            1 => vec![true; units],
            _ => (0..units).map(|_| rng.bits() & 1 == 1).collect(),
        };
        let torn = state.last_write(&choice).filter(|(_, length)| *length > 1 && rng.below(2) == 0);
        let torn = torn.map(|(unit, length)| (unit, 1 + rng.below(length as i64 - 1) as usize));
        state.outcome(&choice, torn)
    }

    /// Every disk that may be found after the power came back. Unsynced changes are pooled over files and folder; up to
    /// seven of them are tried in every subset, more in every prefix, every single loss and 24 draws of `rng`. The
    /// last write of each subset is also tried torn.
    pub fn outcomes(&self, rng: &mut RngStream) -> Vec<SimDisk> {
        let state = self.state();
        let units = state.units();
        let mut choices: BTreeSet<Vec<bool>> = BTreeSet::new();
        if units <= EXHAUSTIVE_MAX {
            (0u32..1 << units).for_each(|bits| {
                choices.insert((0..units).map(|unit| bits >> unit & 1 == 1).collect());
            });
        } else {
            for edge in 0..=units {
                choices.insert((0..units).map(|unit| unit < edge).collect());
                choices.insert((0..units).map(|unit| unit != edge).collect());
            }
            for _ in 0..24 {
                choices.insert((0..units).map(|_| rng.bits() & 1 == 1).collect());
            }
        }
        let mut disks = Vec::new();
        for choice in &choices {
            disks.push(state.outcome(choice, None));
            let last_write = state.last_write(choice);
            if let Some((unit, length)) = last_write {
                let cuts = [1, length / 2, length.saturating_sub(1)];
                let cuts: BTreeSet<usize> = cuts.into_iter().filter(|cut| (1..length).contains(cut)).collect();
                disks.extend(cuts.into_iter().map(|cut| state.outcome(choice, Some((unit, cut)))));
            }
        }
        disks
    }
}

impl State {
    /// Unsynced changes: the folder's, then each file's.
    fn units(&self) -> usize {
        self.names_unsynced.len() + self.inodes.values().map(|content| content.unsynced.len()).sum::<usize>()
    }

    /// The last chosen write (its unit number and length); units are the folder's changes, then each file's.
    fn last_write(&self, choice: &[bool]) -> Option<(usize, usize)> {
        let changes = self.inodes.values().flat_map(|content| &content.unsynced);
        let from = self.names_unsynced.len();
        let chosen = (from..).zip(changes).filter(|&(unit, _)| choice[unit]);
        chosen
            .filter(|(_, change)| matches!(change, Change::Write { .. }))
            .map(|(unit, change)| (unit, change.length()))
            .last()
    }

    fn outcome(&self, choice: &[bool], torn: Option<(usize, usize)>) -> SimDisk {
        let mut names = self.names_durable.clone();
        let mut unit = 0;
        for change in &self.names_unsynced {
            if choice[unit] {
                change.apply(&mut names);
            }
            unit += 1;
        }
        let mut contents = BTreeMap::new();
        for (inode, content) in &self.inodes {
            let mut bytes = content.durable.clone();
            for change in &content.unsynced {
                match (change, torn) {
                    (Change::Write { offset, bytes: written }, Some((at, cut))) if at == unit => {
                        Change::Write { offset: *offset, bytes: written[..cut].to_vec() }.apply(&mut bytes);
                    }
                    _ if choice[unit] => change.apply(&mut bytes),
                    _ => {}
                }
                unit += 1;
            }
            contents.insert(*inode, bytes);
        }
        SimDisk::holding(names.into_iter().map(|(name, inode)| (name, contents[&inode].clone())).collect())
    }
}

impl Change {
    fn length(&self) -> usize {
        match self {
            Change::Write { bytes, .. } => bytes.len(),
            Change::Truncate(_) => 0,
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.call()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Content::default());
        state.rename_entry(NameChange::Add(name.into(), inode));
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.call()?;
        let inode = state.inode(name)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.inode(name)?;
        state.rename_entry(NameChange::Remove(name.into()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let inode = state.inode(from)?;
        state.rename_entry(NameChange::Remove(from.into()));
        state.rename_entry(NameChange::Add(to.into(), inode));
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.names_durable = state.names.clone();
        state.names_unsynced.clear();
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { free_bytes: 1 << 40, total_bytes: 1 << 41 })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl SimFile {
    fn with<T>(&self, f: impl FnOnce(&mut Content, Option<Fault>) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        let fault = state.call()?;
        f(state.inodes.get_mut(&self.inode).expect("inodes are never removed"), fault)
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.with(|content, fault| {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            if fault == Some(Fault::ShortWrite) {
                bytes.truncate(bytes.len() / 2);
                content.write(offset, &bytes);
                return Err(io::ErrorKind::StorageFull.into());
            }
            content.write(offset, &bytes);
            Ok(())
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk.state().read_bytes += buffer.len() as u64;
        self.with(|content, _| {
            let current = content.current();
            let from = current.get(offset as usize..).unwrap_or_default();
            let part = from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(part);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|content, _| Ok(content.current().len() as u64))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.with(|content, _| {
            content.unsynced.push(Change::Truncate(length));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|content, _| {
            content.durable = content.current();
            content.unsynced.clear();
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Arc<dyn DiskFile>, offset: u64, bytes: &[u8]) {
        file.write_at(offset, &mut [IoSlice::new(bytes)]).unwrap();
    }

    #[test]
    fn what_was_synced_is_in_every_outcome_and_what_was_not_is_in_some() {
        let disk = SimDisk::default();
        let file = disk.create("f").unwrap();
        write(&file, 0, b"durable");
        file.sync().unwrap();
        disk.sync_folder().unwrap();
        write(&file, 7, b"+first");
        write(&file, 13, b"+second");
        let found: BTreeSet<Vec<u8>> =
            disk.outcomes(&mut RngStream::new(1, 1, 0)).iter().map(|disk| disk.files()["f"].clone()).collect();
        assert!(found.iter().all(|bytes| bytes.starts_with(b"durable")));
        assert!(found.contains(&b"durable"[..]));
        assert!(found.contains(&b"durable+first+second"[..]));
        assert!(found.contains(&b"durable\0\0\0\0\0\0+second"[..]), "reordered");
        assert!(found.contains(&b"durable+fi"[..]) || found.contains(&b"durable+fir"[..]), "torn");
    }

    #[test]
    fn a_name_that_was_not_synced_may_be_missing() {
        let disk = SimDisk::default();
        disk.create("f").unwrap().sync().unwrap();
        let outcomes = disk.outcomes(&mut RngStream::new(1, 1, 0));
        assert!(outcomes.iter().any(|disk| disk.files().is_empty()));
        assert!(outcomes.iter().any(|disk| disk.files().contains_key("f")));
        assert!(disk.killed().files().contains_key("f"));
    }

    #[test]
    fn calls_fail_where_they_are_told_to() {
        let disk = SimDisk::default();
        disk.fail_at(2, Fault::NoSpace);
        disk.create("a").unwrap();
        assert_eq!(disk.create("b").err().unwrap().kind(), io::ErrorKind::StorageFull);
        disk.create("c").unwrap();
        disk.cut_power_at(disk.calls());
        assert!(disk.list().is_err());
        assert!(disk.sync_folder().is_err());
    }
}
