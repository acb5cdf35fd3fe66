//! A file of contracts or purchases, for `muster import` and the task BusinessAdapterImport: read as its column map says, and
//! written in canonical form.
//!
//! The file is checked whole before anything is taken. A bad row stops it, unless whoever imports says that the good ones
//! are enough: a server takes no part of a file by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use muster::config::column_map::read_column_map;
use muster::config::{ConfigError, Document};
use muster::formats::gzip::{Inflate, compress_at};
use muster::formats::wire::BODY_BYTES_MAX;
use muster::id::TenantId;
use muster::model::business::{
    BusinessError, BusinessKind, BusinessReader, BusinessWriter, Owners, RowError, Spelling, check,
};
use muster::time::Timestamp;

use crate::command::Failure;
use crate::errors::Chain;

/// Bytes of a column map at most.
const MAP_BYTES_MAX: u64 = 1 << 20;
/// Bad rows that are told one by one.
const TOLD_MAX: usize = 20;

/// A file as it travels, and what was found in it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub body: Bytes,
    /// Good rows.
    pub rows: u32,
    pub bad: BadRows,
}

/// What is wrong with a file, row by row.
#[derive(Debug, Default)]
pub(crate) struct BadRows {
    /// How many.
    pub count: u32,
    first: Vec<RowError>,
}

impl BadRows {
    pub fn add(&mut self, error: RowError) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(error);
        }
    }

    /// A line for each of the first, and how many more there are.
    pub fn lines(&self, file: &Path) -> Vec<String> {
        let mut lines: Vec<String> = self.first.iter().map(|error| format!("{}: {error}", file.display())).collect();
        let more = self.count as usize - self.first.len();
        if more > 0 {
            lines.push(format!("{}: and {more} more bad rows", file.display()));
        }
        lines
    }

    /// Whether the `good` rows beside these may be taken.
    pub fn judge(&self, good: u32, good_rows: bool, file: &Path) -> Result<(), String> {
        if self.count == 0 || (good_rows && good > 0) {
            return Ok(());
        }
        let (rows, lines) = (good + self.count, self.lines(file).join("; "));
        let count = self.count;
        Err(format!("{count} of {rows} rows are bad, nothing is taken: mend them, or give good_rows=true; {lines}"))
    }

    /// What an output says of them behind what was taken.
    pub fn left_out(&self, file: &Path) -> String {
        match self.count {
            0 => String::new(),
            count => format!("; {count} bad rows left out: {}", self.lines(file).join("; ")),
        }
    }
}

/// The spelling that the column map `map` tells; without one the canonical form is expected.
pub(crate) fn spelling(map: Option<&Path>, kind: BusinessKind) -> Result<Spelling, Failure> {
    let Some(path) = map else { return Ok(Spelling::canonical()) };
    spelling_by(path, |file| read_column_map(file, kind))
}

/// The spelling that the column map at `path` tells, as `read` reads it.
pub(crate) fn spelling_by(
    path: &Path,
    read: impl FnOnce(&Document<'_>) -> Result<Spelling, ConfigError>,
) -> Result<Spelling, Failure> {
    let usage = |text: String| Failure { text, exit: 2 };
    let name = path.display().to_string();
    let cannot = |error: std::io::Error| usage(format!("cannot read the column map `{name}` (--map): {error}"));
    let mut text = String::new();
    File::open(path).map_err(cannot)?.take(MAP_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAP_BYTES_MAX {
        return Err(usage(format!("the column map `{name}` (--map) has more than {MAP_BYTES_MAX} bytes")));
    }
    read(&Document { text: &text, file: &name }).map_err(|error| usage(error.to_string()))
}

/// A CSV file, inflated where it is gzip.
pub(crate) fn open_csv(file: &Path) -> std::io::Result<Box<dyn BufRead + Send>> {
    let mut bytes = BufReader::new(File::open(file)?);
    let is_compressed = bytes.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_compressed { Box::new(BufReader::new(Inflate::new(bytes))) } else { Box::new(bytes) })
}

/// A file of several tenants: the rows of each as they travel.
#[derive(Debug)]
pub(crate) struct PreparedParts {
    /// Of each tenant, ascending: the body and its rows.
    pub parts: BTreeMap<TenantId, (Bytes, u32)>,
    pub bad: BadRows,
}

/// The same as [`prepare`], for each tenant that the file is of. One whose rows are all gone from the file gets a body without
/// rows when `has_file` says that a file of it is in force.
pub(crate) fn prepare_parts(
    file: &Path,
    kind: BusinessKind,
    spelling: Spelling,
    at: Timestamp,
    owners: &Owners,
    has_file: impl Fn(&TenantId) -> bool,
) -> Result<PreparedParts, String> {
    let source = open_csv(file).map_err(|error| format!("cannot be read: {error}"))?;
    let told = |error: BusinessError| Chain(&error).to_string();
    let mut reader = BusinessReader::open_of_tenants(source, Some(kind), spelling).map_err(told)?;
    let only = if reader.names_tenants() { None } else { Some(owners.only()?) };
    let mut writers: BTreeMap<&TenantId, (BusinessWriter, u32)> = BTreeMap::new();
    writers.extend(only.map(|only| (only, (BusinessWriter::new(kind), 0))));
    let (mut bad, mut spoiled) = (BadRows::default(), BTreeSet::new());
    // A bad row that does not say whose it is may be anybody's.
    let mut is_anybodys = false;
    while let Some(row) = reader.next_row().map_err(told)? {
        let owner = only.map_or_else(|| owners.named(reader.tenant().unwrap_or_default()), Ok);
        match (row, owner) {
            (Ok(row), Ok(owner)) => {
                let (writer, rows) = writers.entry(owner).or_insert_with(|| (BusinessWriter::new(kind), 0));
                writer.row(&row);
                *rows += 1;
            }
            (Ok(_), Err(problem)) => {
                bad.add(reader.wrong_tenant(problem));
                is_anybodys = true;
            }
            (Err(error), owner) => {
                bad.add(error);
                is_anybodys |= owner.is_err();
                spoiled.extend(owner.ok());
            }
        }
    }
    // Of a tenant whose rows are all bad, what is in force stays.
    let is_emptied = |tenant: &&TenantId| {
        !is_anybodys && !spoiled.contains(tenant) && !writers.contains_key(tenant) && has_file(tenant)
    };
    let emptied: Vec<&TenantId> = owners.all().iter().filter(is_emptied).collect();
    writers.extend(emptied.into_iter().map(|tenant| (tenant, (BusinessWriter::new(kind), 0))));
    let mut parts = BTreeMap::new();
    for (tenant, (writer, rows)) in writers {
        parts.insert(tenant.clone(), (body(writer, at)?, rows));
    }
    Ok(PreparedParts { parts, bad })
}

/// A table as it travels.
fn body(writer: BusinessWriter, at: Timestamp) -> Result<Bytes, String> {
    let body = compress_at(&writer.finish(), at);
    if body.len() as u64 > BODY_BYTES_MAX {
        return Err(format!("has {} bytes compressed, at most {BODY_BYTES_MAX} are taken", body.len()));
    }
    // Read as the server will: what it would set aside never leaves.
    check(BufReader::new(Inflate::new(&body[..]))).map_err(|error| Chain(&error).to_string())?;
    Ok(body.into())
}

/// Reads a file and writes it anew. `at` is put into it, so that a file that is sent again on purpose counts again.
pub(crate) fn prepare(file: &Path, kind: BusinessKind, spelling: Spelling, at: Timestamp) -> Result<Prepared, String> {
    let source = open_csv(file).map_err(|error| format!("cannot be read: {error}"))?;
    let told = |error: BusinessError| Chain(&error).to_string();
    let mut reader = BusinessReader::open(source, Some(kind), spelling).map_err(told)?;
    let (mut writer, mut rows, mut bad) = (BusinessWriter::new(kind), 0, BadRows::default());
    while let Some(row) = reader.next_row().map_err(told)? {
        match row {
            Ok(row) => {
                writer.row(&row);
                rows += 1;
            }
            Err(error) => bad.add(error),
        }
    }
    Ok(Prepared { body: body(writer, at)?, rows, bad })
}
