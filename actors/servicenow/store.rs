//! The tables on disk: every edit is one commit of the facts log, answered when it is durable.
//!
//! A fact is one record: key `root table \0 sys_id`, value its class and columns. The tables in memory are a view of
//! them; after a commit that failed they are read anew, so that nobody is shown what is not durable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use muster::export::servicenow_time;
use muster::model::stored::{pack, unpack};
use muster::time::Timestamp;

use super::schema::{TableId, schema};
use super::tables::{Change, Record, SysId, Tables};
use crate::clock::SharedClock;
use crate::file_lock::{self, PATIENCE};
use crate::log::{COMMIT_RECORDS_MAX, Facts, FolderDisk, LogError, Position};
use crate::secret;

/// Most records of all tables together: about 2 GiB of memory. A stand-in is for trying, not for a fleet.
pub const RECORDS_MAX: usize = 2_000_000;
/// Size at which a segment of the log is sealed.
const SEGMENT_BYTES: u64 = 16 << 20;

/// Why the tables cannot be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder.
    #[error("cannot open the data folder `{}`", path.display())]
    Folder {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the data folder `{}` is in use by another stand-in: stop it or name another folder with --data", .0.display())]
    InUse(PathBuf),
    /// The log below them.
    #[error("cannot keep the tables")]
    Log(#[from] LogError),
    /// A fact that this program did not write so, or that rotted.
    #[error("the tables in `{}` have {count} unreadable records: name an empty folder with --data", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// `RECORDS_MAX` are there already.
    #[error("the tables hold {RECORDS_MAX} records, which is the most: start on an empty folder with --data")]
    Full,
    /// One edit of more records than a commit holds.
    #[error("one edit changes more than {COMMIT_RECORDS_MAX} records")]
    Large,
    /// An earlier commit failed and the tables could not be read anew.
    #[error("the tables failed earlier: start the stand-in anew")]
    Broken,
}

/// The tables and the log below them.
pub struct Store {
    tables: Tables,
    facts: Facts,
    folder: PathBuf,
    clock: SharedClock,
    broken: bool,
    /// Held while the store is open: the lock goes with the file.
    lock: Option<File>,
}

impl Store {
    /// Opens the tables in `folder`, making it when it is missing.
    pub fn open(folder: &Path, clock: SharedClock) -> Result<Store, StoreError> {
        let failed = |source| StoreError::Folder { path: folder.into(), source };
        let disk = FolderDisk::open(&folder.join("tables")).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        if !file_lock::lock(&lock, PATIENCE).map_err(failed)? {
            return Err(StoreError::InUse(folder.into()));
        }
        let (facts, recovery) = Facts::open(Arc::new(disk), SEGMENT_BYTES, secret::random_u64())?;
        if !recovery.rotten.is_empty() || !recovery.set_aside.is_empty() {
            let count = recovery.rotten.len() + recovery.set_aside.len();
            return Err(StoreError::Damaged { path: folder.into(), count });
        }
        // Nothing else reads the log, so nothing keeps an old segment.
        facts.index().cover(Position::END);
        let mut store =
            Store { tables: Tables::default(), facts, folder: folder.into(), clock, broken: false, lock: Some(lock) };
        store.read()?;
        Ok(store)
    }

    fn read(&mut self) -> Result<(), StoreError> {
        let mut tables = Tables::default();
        let mut unreadable = 0;
        let damaged = self.facts.index().each(b"", |key, _, value| match change_of(key, &value) {
            Some(change) => tables.apply(&change),
            None => unreadable += 1,
        });
        if unreadable + damaged.len() > 0 {
            return Err(StoreError::Damaged { path: self.folder.clone(), count: unreadable + damaged.len() });
        }
        add_dictionary(&mut tables);
        self.tables = tables;
        Ok(())
    }

    /// Lets go of the folder. Whoever still holds the store can change nothing any more.
    pub fn close(&mut self) {
        self.broken = true;
        self.lock = None;
    }

    /// The records.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Refuses when there is no room for new records. What is staged already is still imported.
    pub fn room(&self) -> Result<(), StoreError> {
        if self.tables.len() < RECORDS_MAX { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Runs `change`, and commits what it changed. `user` stands in `sys_created_by` and `sys_updated_by`.
    pub fn edit<R>(&mut self, user: &str, change: impl FnOnce(&mut Edit<'_>) -> R) -> Result<R, StoreError> {
        if self.broken {
            return Err(StoreError::Broken);
        }
        let now = self.clock.now();
        let mut edit = Edit { tables: &mut self.tables, touched: BTreeSet::new(), now, user };
        let result = change(&mut edit);
        let touched = std::mem::take(&mut edit.touched);
        if let Err(error) = self.commit(now, &touched) {
            // Memory is ahead of the disk: back to what is durable.
            self.broken = self.read().is_err();
            return Err(error);
        }
        Ok(result)
    }

    fn commit(&mut self, now: Timestamp, touched: &BTreeSet<(TableId, SysId)>) -> Result<(), StoreError> {
        if touched.len() > COMMIT_RECORDS_MAX {
            return Err(StoreError::Large);
        }
        let facts = touched.iter().map(|&(root, sys_id)| {
            let mut key = schema().of(root).name.as_bytes().to_vec();
            key.push(0);
            key.extend_from_slice(sys_id.to_string().as_bytes());
            (Bytes::from(key), self.tables.get(root, sys_id).map(|record| Bytes::from(value_of(record))))
        });
        let facts = facts.collect();
        self.facts.commit(now, facts)?;
        self.facts.sync()?;
        self.facts.compact(now)?;
        Ok(())
    }
}

fn value_of(record: &Record) -> Vec<u8> {
    let schema = schema();
    let columns: BTreeMap<&str, &str> = record.values().map(|(field, value)| (schema.name(field), value)).collect();
    pack(&(schema.of(record.class).name, columns))
}

fn change_of(key: &[u8], value: &[u8]) -> Option<Change> {
    let sys_id = std::str::from_utf8(key.get(key.len().checked_sub(32)?..)?).ok()?.parse().ok()?;
    let (table, columns) = unpack::<(String, BTreeMap<String, String>)>(value).ok()?;
    Some(Change { table, sys_id, set: Some(columns) })
}

/// `sys_dictionary` follows from the program, so it is made at each start and never stored.
fn add_dictionary(tables: &mut Tables) {
    let schema = schema();
    for table in schema.tables().filter(|table| schema.of(*table).name != super::schema::OAUTH_TOKENS) {
        for (field, kind) in &schema.of(table).columns {
            let (name, element) = (schema.of(table).name, schema.name(*field));
            let reference = match kind {
                super::schema::Kind::Reference(target) => *target,
                _ => "",
            };
            let label = element.strip_prefix("u_").unwrap_or(element).replace('_', " ");
            let set = [
                ("sys_id", SysId::of(&format!("{name}.{element}")).to_string()),
                ("name", name.to_owned()),
                ("element", element.to_owned()),
                ("column_label", label),
                ("internal_type", kind.internal_type().to_owned()),
                ("reference", reference.to_owned()),
            ];
            let set = set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let sys_id = SysId::of(&format!("{name}.{element}"));
            tables.apply(&Change { table: "sys_dictionary".to_owned(), sys_id, set: Some(set) });
        }
    }
}

/// Changes that become durable together.
pub struct Edit<'a> {
    tables: &'a mut Tables,
    touched: BTreeSet<(TableId, SysId)>,
    now: Timestamp,
    user: &'a str,
}

impl Edit<'_> {
    /// The records, with what this edit changed so far.
    pub fn tables(&self) -> &Tables {
        self.tables
    }

    /// Now, as a column holds it.
    pub fn stamp(&self) -> String {
        servicenow_time(self.now)
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes a record of `table`, which must exist.
    pub fn insert<'v>(&mut self, table: &str, set: impl IntoIterator<Item = (&'v str, String)>) -> SysId {
        let sys_id = SysId::from_random(secret::random_bytes());
        let mut set: BTreeMap<String, String> = set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let stamp = self.stamp();
        for (name, value) in [
            ("sys_id", sys_id.to_string()),
            ("sys_created_on", stamp.clone()),
            ("sys_created_by", self.user.to_owned()),
            ("sys_updated_on", stamp),
            ("sys_updated_by", self.user.to_owned()),
            ("sys_mod_count", "0".to_owned()),
        ] {
            set.insert(name.to_owned(), value);
        }
        if schema().field("sys_class_name").is_some_and(|field| has_column(table, field)) {
            set.insert("sys_class_name".to_owned(), table.to_owned());
        }
        self.apply(table, sys_id, Some(set));
        sys_id
    }

    /// Sets columns of a record. One whose columns already hold these values is left as it is; then the answer is false.
    pub fn update<'v>(
        &mut self,
        table: TableId,
        sys_id: SysId,
        set: impl IntoIterator<Item = (&'v str, String)>,
    ) -> bool {
        let Some(record) = self.tables.get(table, sys_id) else { return false };
        let set = set.into_iter().filter(|(name, value)| record.text(name) != value);
        let mut set: BTreeMap<String, String> = set.map(|(name, value)| (name.to_owned(), value)).collect();
        if set.is_empty() {
            return false;
        }
        let class = schema().of(record.class).name;
        let count = record.text("sys_mod_count").parse::<u64>().unwrap_or(0) + 1;
        set.insert("sys_mod_count".to_owned(), count.to_string());
        set.insert("sys_updated_on".to_owned(), self.stamp());
        set.insert("sys_updated_by".to_owned(), self.user.to_owned());
        self.apply(class, sys_id, Some(set));
        true
    }

    /// Gives a computer another class: a machine whose operating system changed.
    pub fn reclassify(&mut self, sys_id: SysId, class: &str) {
        let set = [("sys_class_name".to_owned(), class.to_owned())].into();
        self.apply(class, sys_id, Some(set));
    }

    /// Removes a record.
    pub fn delete(&mut self, table: TableId, sys_id: SysId) {
        self.apply(schema().of(table).name, sys_id, None);
    }

    /// The next of a numbered series, `IMR0000042`: one more than the last one given.
    pub fn next_number(&mut self, prefix: &str) -> String {
        let name = format!("x_muster.number.{prefix}");
        let last =
            self.tables.first("sys_properties", "name", &name).map(|record| (record.sys_id, record.text("value")));
        let number = last.map_or(0, |(_, text)| text.parse::<u64>().unwrap_or(0)) + 1;
        match last.map(|(sys_id, _)| sys_id) {
            Some(sys_id) => {
                let table = schema().table("sys_properties").expect("the table exists");
                self.update(table, sys_id, [("value", number.to_string())]);
            }
            None => {
                self.insert("sys_properties", [("name", name), ("value", number.to_string())]);
            }
        }
        format!("{prefix}{number:07}")
    }

    fn apply(&mut self, table: &str, sys_id: SysId, set: Option<BTreeMap<String, String>>) {
        let known = schema().table(table);
        debug_assert!(known.is_some(), "`{table}` is a table");
        let Some(known) = known else { return };
        self.tables.apply(&Change { table: table.to_owned(), sys_id, set });
        self.touched.insert((schema().of(known).root, sys_id));
    }
}

fn has_column(table: &str, field: super::schema::Field) -> bool {
    let table = schema().table(table);
    table.is_some_and(|table| schema().of(table).columns.iter().any(|(known, _)| *known == field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallClock;

    #[test]
    fn what_was_committed_is_there_after_a_restart_and_a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path(), Arc::new(WallClock));
        let mut store = open().unwrap();
        let (id, gone) = store
            .edit("admin", |edit| {
                let id = edit.insert("cmdb_ci_linux_server", [("name", "web-1".to_owned())]);
                let gone = edit.insert("cmdb_ci_linux_server", [("name", "web-2".to_owned())]);
                (id, gone)
            })
            .unwrap();
        let table = schema().table("cmdb_ci").unwrap();
        store.edit("admin", |edit| edit.delete(table, gone)).unwrap();
        assert_eq!(store.edit("admin", |edit| edit.next_number("IMR")).unwrap(), "IMR0000001");
        assert!(matches!(open(), Err(StoreError::InUse(_))));
        drop(store);
        let mut store = open().unwrap();
        assert_eq!(store.tables().get(table, id).unwrap().text("name"), "web-1");
        assert!(store.tables().get(table, gone).is_none());
        assert_eq!(store.edit("admin", |edit| edit.next_number("IMR")).unwrap(), "IMR0000002");
    }
}
