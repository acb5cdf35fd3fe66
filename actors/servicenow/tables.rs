//! The records, in memory: small, ordered by `sys_id`, with the few indexes that matching needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use muster::id::Digest;
use serde::{Deserialize, Serialize};

use super::schema::{Field, Kind, TableId, schema};

/// Identity of a record: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SysId([u8; 16]);

impl SysId {
    const MIN: SysId = SysId([0; 16]);
    const MAX: SysId = SysId([255; 16]);

    /// From 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> SysId {
        SysId(bytes)
    }

    /// The identity that follows from a name, for records that the program brings along.
    pub fn of(name: &str) -> SysId {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(name.as_bytes()).0[..16]);
        SysId(bytes)
    }
}

impl fmt::Display for SysId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SysId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<SysId, &'static str> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("not a sys_id");
        }
        u128::from_str_radix(text, 16).map(|bits| SysId(bits.to_be_bytes())).map_err(|_| "not a sys_id")
    }
}

impl TryFrom<String> for SysId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<SysId, &'static str> {
        text.parse()
    }
}

impl From<SysId> for String {
    fn from(id: SysId) -> String {
        id.to_string()
    }
}

/// One record: only columns that are not empty, ascending.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its identity.
    pub sys_id: SysId,
    /// The table it was made in, which may be a child of the one it is looked for in.
    pub class: TableId,
    values: Vec<(Field, Box<str>)>,
}

impl Record {
    /// The value of a column; empty when there is none.
    pub fn get(&self, field: Field) -> &str {
        self.values.binary_search_by_key(&field, |(known, _)| *known).map_or("", |index| &self.values[index].1)
    }

    /// The value of a column by name.
    pub fn text(&self, name: &str) -> &str {
        schema().field(name).map_or("", |field| self.get(field))
    }

    /// Columns that are not empty.
    pub fn values(&self) -> impl Iterator<Item = (Field, &str)> {
        self.values.iter().map(|(field, value)| (*field, &**value))
    }

    fn set(&mut self, field: Field, value: &str) {
        match self.values.binary_search_by_key(&field, |(known, _)| *known) {
            Ok(index) if value.is_empty() => drop(self.values.remove(index)),
            Ok(index) => self.values[index].1 = value.into(),
            Err(_) if value.is_empty() => {}
            Err(index) => self.values.insert(index, (field, value.into())),
        }
    }
}

/// One change of one record, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Table; for an existing record its class afterwards.
    #[serde(rename = "t")]
    pub table: String,
    /// Record.
    #[serde(rename = "i")]
    pub sys_id: SysId,
    /// Columns to set, empty text to clear; `None` deletes the record.
    #[serde(rename = "s")]
    pub set: Option<BTreeMap<String, String>>,
}

/// Columns with an index, by the table that holds them.
const INDEXED: &[(&str, &str)] = &[
    ("cmdb_ci", "serial_number"),
    ("cmdb_ci", "correlation_id"),
    ("cmdb_ci", "name"),
    ("cmdb_ci", "bios_uuid"),
    ("cmdb_ci", "cmdb_ci"),
    ("cmdb_serial_number", "serial_number"),
    ("cmdb_serial_number", "cmdb_ci"),
    ("cmdb_rel_ci", "child"),
    ("cmdb_model", "model_number"),
    ("core_company", "name"),
    ("sys_user", "user_name"),
    ("sys_properties", "name"),
    ("x_muster_import_run", "run_id"),
    ("x_muster_import_run", "number"),
    ("x_muster_import_transaction", "transaction_id"),
    ("x_muster_import_transaction", "import_run"),
    ("x_muster_import_row", "sys_import_set"),
    (super::schema::OAUTH_TOKENS, "token_digest"),
];

/// Values in lower case (look-ups of a transform ignore case) with the records that hold them.
type Index = BTreeSet<(Box<str>, SysId)>;

/// Every record.
#[derive(Debug)]
pub struct Tables {
    records: BTreeMap<TableId, BTreeMap<SysId, Record>>,
    indexes: BTreeMap<(TableId, Field), Index>,
}

impl Default for Tables {
    fn default() -> Tables {
        let schema = schema();
        let mut tables = Tables { records: BTreeMap::new(), indexes: BTreeMap::new() };
        for table in schema.tables() {
            tables.records.entry(schema.of(table).root).or_default();
        }
        for (table, field) in INDEXED {
            let table = schema.table(table).expect("an indexed table is known");
            let field = schema.field(field).expect("an indexed column is known");
            tables.indexes.insert((table, field), Index::new());
        }
        tables
    }
}

impl Tables {
    /// Applies a change. One of a table or column that this version does not know is left out.
    pub fn apply(&mut self, change: &Change) {
        let schema = schema();
        let Some(class) = schema.table(&change.table) else { return };
        let root = schema.of(class).root;
        let Some(records) = self.records.get_mut(&root) else { return };
        let Some(set) = &change.set else {
            if let Some(record) = records.remove(&change.sys_id) {
                for (field, value) in record.values() {
                    if let Some(index) = self.indexes.get_mut(&(root, field)) {
                        index.remove(&(value.to_lowercase().into(), record.sys_id));
                    }
                }
            }
            return;
        };
        let record = records.entry(change.sys_id).or_insert_with(|| Record {
            sys_id: change.sys_id,
            class,
            values: Vec::with_capacity(set.len()),
        });
        record.class = class;
        for (name, value) in set {
            let Some(field) = schema.field(name) else { continue };
            if let Some(index) = self.indexes.get_mut(&(root, field)) {
                let old = record.get(field);
                if !old.is_empty() {
                    index.remove(&(old.to_lowercase().into(), record.sys_id));
                }
                if !value.is_empty() {
                    index.insert((value.to_lowercase().into(), record.sys_id));
                }
            }
            record.set(field, value);
        }
        record.values.shrink_to_fit();
    }

    /// A record of `table` or of a child of it.
    pub fn get(&self, table: TableId, sys_id: SysId) -> Option<&Record> {
        let schema = schema();
        self.records.get(&schema.of(table).root)?.get(&sys_id).filter(|record| schema.is_a(record.class, table))
    }

    /// Records of `table` and its children, ascending by `sys_id`.
    pub fn all(&self, table: TableId) -> impl Iterator<Item = &Record> {
        let schema = schema();
        let records = self.records.get(&schema.of(table).root).into_iter().flat_map(BTreeMap::values);
        records.filter(move |record| schema.is_a(record.class, table))
    }

    /// Records of `table` whose indexed column `name` equals `value`, ignoring case; none for an empty value.
    pub fn find<'a>(&'a self, table: &str, name: &str, value: &str) -> impl Iterator<Item = &'a Record> + use<'a> {
        let schema = schema();
        let place = schema.table(table).zip(schema.field(name));
        let index = place.and_then(|(table, field)| self.indexes.get(&(schema.of(table).root, field)));
        debug_assert!(index.is_some(), "`{table}.{name}` has an index");
        let key: Box<str> = value.to_lowercase().into();
        let range = (key.clone(), SysId::MIN)..=(key, SysId::MAX);
        let ids = index.filter(|_| !value.is_empty()).into_iter().flat_map(move |index| index.range(range.clone()));
        ids.filter_map(move |(_, sys_id)| self.get(place?.0, *sys_id))
    }

    /// The first record of [`Tables::find`].
    pub fn first(&self, table: &str, name: &str, value: &str) -> Option<&Record> {
        self.find(table, name, value).next()
    }

    /// What names the record behind a reference for people; empty when there is none.
    pub fn display(&self, kind: Kind, value: &str) -> String {
        let Kind::Reference(target) = kind else { return value.to_owned() };
        let record = schema().table(target).and_then(|table| self.get(table, value.parse().ok()?));
        record.map(|record| record.get(schema().of(record.class).display).to_owned()).unwrap_or_default()
    }

    /// Every record, as the changes that would make it.
    #[cfg(test)]
    pub fn snapshot(&self) -> impl Iterator<Item = Change> {
        let schema = schema();
        self.records.values().flat_map(BTreeMap::values).map(move |record| Change {
            table: schema.of(record.class).name.to_owned(),
            sys_id: record.sys_id,
            set: Some(
                record.values().map(|(field, value)| (schema.name(field).to_owned(), value.to_owned())).collect(),
            ),
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.values().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tables: &mut Tables, table: &str, id: u8, set: &[(&str, &str)]) -> SysId {
        let sys_id = SysId([id; 16]);
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        tables.apply(&Change { table: table.to_owned(), sys_id, set: Some(set) });
        sys_id
    }

    #[test]
    fn an_index_follows_changes_and_deletions() {
        let mut tables = Tables::default();
        let id = put(&mut tables, "cmdb_ci_linux_server", 1, &[("name", "Alpha"), ("serial_number", "S1")]);
        assert_eq!(tables.find("cmdb_ci_computer", "name", "ALPHA").count(), 1);
        put(&mut tables, "cmdb_ci_win_server", 1, &[("name", "beta")]);
        assert_eq!(tables.find("cmdb_ci_computer", "name", "alpha").count(), 0);
        assert_eq!(tables.first("cmdb_ci_win_server", "name", "beta").unwrap().text("serial_number"), "S1");
        assert_eq!(tables.find("cmdb_ci_linux_server", "name", "beta").count(), 0);
        tables.apply(&Change { table: "cmdb_ci".into(), sys_id: id, set: None });
        assert_eq!((tables.find("cmdb_ci", "name", "beta").count(), tables.len()), (0, 0));
    }

    #[test]
    fn a_snapshot_makes_the_same_tables() {
        let mut tables = Tables::default();
        put(&mut tables, "cmdb_ci_linux_server", 1, &[("name", "Alpha")]);
        put(&mut tables, "sys_user", 2, &[("user_name", "admin")]);
        let mut again = Tables::default();
        tables.snapshot().for_each(|change| again.apply(&change));
        assert_eq!(again.snapshot().collect::<Vec<_>>(), tables.snapshot().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_sys_id_is_refused() {
        assert!("0123456789abcdef0123456789ABCDEF".parse::<SysId>().is_ok());
        for text in ["", "+123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdeg", "ü"] {
            assert!(text.parse::<SysId>().is_err(), "{text}");
        }
    }
}
