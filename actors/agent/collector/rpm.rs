//! The packages of an rpm system, from its database; `rpm` itself is not run.
//!
//! ```text
//! rpmdb.sqlite   Fedora 33, RHEL 9 and later     table Packages(hnum, blob)
//! Packages.db    SUSE                            slots and blobs, see formats::host::rpm_ndb
//! Packages       RHEL 8 and before               Berkeley DB: not read, a finding
//! ```
//!
//! Nothing is ever written beside a database. SQLite is told that the file cannot change (`immutable`), so it makes no
//! lock, no journal and no shared memory. That mode does not read a write-ahead log; when there is one with content,
//! both files are copied to a private folder and read there.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use muster::formats::host::installed_package::{InstalledPackage, PACKAGES_LIMIT, tell_architectures_apart};
use muster::formats::host::rpm_files;
use muster::formats::host::rpm_header::read_header;
use muster::formats::host::rpm_ndb::{HEAD_BYTES, read_blob, read_slots, slot_table_bytes};
use rusqlite::{Connection, OpenFlags};

use super::host_root::HostRoot;
use super::record::PackageRecord;

/// The old place and the one where an image keeps it beside the programs; one may be a link to the other.
const FOLDERS: [&str; 2] = ["var/lib/rpm", "usr/lib/sysimage/rpm"];
/// Files of a database that is read.
const DATABASES: [&str; 3] = ["rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db"];

/// Headers are 10 KB to 1 MB; a kernel's with all its files has 3 MB.
const HEADER_BYTES_LIMIT: i64 = 64 * 1024 * 1024;
/// Bytes of headers read of one database: a full workstation has about 300 MB.
const HEADERS_BYTES_LIMIT: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes copied of a database with an open write-ahead log.
const COPY_BYTES_LIMIT: u64 = 1024 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
enum RpmError {
    #[error("cannot read it")]
    Read(#[from] io::Error),
    #[error("is no database of packages")]
    Sqlite(#[from] rusqlite::Error),
    #[error("is no database of packages")]
    Ndb(#[from] muster::formats::host::rpm_ndb::NdbError),
    #[error("is inconsistent, rpm may have been writing: {0}")]
    Inconsistent(String),
}

/// Reads one kind of database; what was read before an error is kept.
type Read = fn(&HostRoot, &str, &mut Found) -> Result<(), RpmError>;

/// What is read of a database.
#[derive(Default)]
struct Found {
    packages: Vec<InstalledPackage>,
    /// Of each of them, when they are wanted.
    programs: Option<Vec<Vec<String>>>,
}

/// All installed packages, signing keys left out.
pub fn packages(host: &HostRoot) -> Vec<PackageRecord> {
    let found = read(host, Found::default());
    found.packages.into_iter().map(|package| PackageRecord { evidence: "rpm", package }).collect()
}

/// The same packages, each with the paths of its files that may be programs.
pub fn packages_with_programs(host: &HostRoot) -> Vec<(PackageRecord, Vec<String>)> {
    let found = read(host, Found { programs: Some(Vec::new()), ..Found::default() });
    let records = found.packages.into_iter().map(|package| PackageRecord { evidence: "rpm", package });
    records.zip(found.programs.unwrap_or_default()).collect()
}

/// The files whose change means that other packages are installed.
pub fn files() -> impl Iterator<Item = String> {
    let of_folder = |folder| DATABASES.map(|file| format!("{folder}/{file}"));
    FOLDERS.into_iter().flat_map(of_folder)
}

fn read(host: &HostRoot, mut found: Found) -> Found {
    let mut read_folders = Vec::new();
    for folder in FOLDERS {
        let Some(true_path) = host.resolve(folder).ok().and_then(|path| fs::canonicalize(path).ok()) else { continue };
        if read_folders.contains(&true_path) {
            continue;
        }
        read_folders.push(true_path);
        let before = found.packages.len();
        read_folder(host, folder, &mut found);
        tell_architectures_apart(&mut found.packages[before..], '.');
    }
    found
}

fn read_folder(host: &HostRoot, folder: &str, found: &mut Found) {
    let kinds: [(&str, Read); 2] = [("rpmdb.sqlite", read_sqlite), ("Packages.db", read_ndb)];
    let mut has_any = false;
    for (file, read) in kinds {
        let path = format!("{folder}/{file}");
        if !host.exists(&path) {
            continue;
        }
        has_any = true;
        if let Err(error) = read(host, &path, found) {
            host.report_error(&path, &error);
        }
    }
    let old = format!("{folder}/Packages");
    if !has_any && host.exists(&old) {
        host.report(&old, "database of the Berkeley kind is not read");
    }
}

fn read_sqlite(host: &HostRoot, path: &str, found: &mut Found) -> Result<(), RpmError> {
    let database = host.resolve(path)?;
    let log = host.resolve(&format!("{path}-wal"))?;
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        match Copy::of(&database, &log) {
            Ok(copy) => return read_packages(host, path, &copy.open()?, found),
            Err(error) => host.report(path, format_args!("read without its write-ahead log: {error}")),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    read_packages(host, path, &Connection::open_with_flags(immutable_uri(&database), flags)?, found)
}

/// A database and its write-ahead log in a private folder that goes with this value.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    /// The log is copied first. If rpm empties it in between, older pages come to lie over newer ones, which the check
    /// in [`open`](Self::open) shows; the other way round, committed packages would be missing unseen.
    fn of(database: &Path, log: &Path) -> io::Result<Copy> {
        let bytes = fs::metadata(database)?.len() + fs::metadata(log)?.len();
        if bytes > COPY_BYTES_LIMIT {
            return Err(io::Error::other(format!("{bytes} bytes are too many to copy")));
        }
        let folder = tempfile::tempdir()?;
        fs::copy(log, folder.path().join("rpmdb.sqlite-wal"))?;
        fs::copy(database, folder.path().join("rpmdb.sqlite"))?;
        Ok(Copy { folder })
    }

    fn open(&self) -> Result<Connection, RpmError> {
        let connection = Connection::open(self.folder.path().join("rpmdb.sqlite"))?;
        let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check == "ok" { Ok(connection) } else { Err(RpmError::Inconsistent(check)) }
    }
}

fn read_packages(host: &HostRoot, path: &str, connection: &Connection, found: &mut Found) -> Result<(), RpmError> {
    // The schema is part of a file that may be anybody's: nothing in it may run.
    connection.pragma_update(None, "trusted_schema", false)?;
    let tables = "SELECT count(*) FROM sqlite_master \
        WHERE name = 'Packages' AND type = 'table' AND sql NOT LIKE '%VIRTUAL%'";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? != 1 {
        host.report(path, "has no table of packages");
        return Ok(());
    }
    let mut statement =
        connection.prepare("SELECT hnum, CASE WHEN length(blob) <= ?1 THEN blob END FROM Packages ORDER BY hnum")?;
    let mut rows = statement.query([HEADER_BYTES_LIMIT])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        match row.get_ref(1)?.as_blob() {
            Ok(blob) => add(host, path, number, blob, found),
            Err(_) => host.report(path, format_args!("header {number} is not read: no bytes, or too many")),
        }
        if found.packages.len() >= PACKAGES_LIMIT {
            host.report(path, format_args!("{PACKAGES_LIMIT} packages or more, read up to there"));
            break;
        }
    }
    Ok(())
}

fn read_ndb(host: &HostRoot, path: &str, found: &mut Found) -> Result<(), RpmError> {
    let Some(mut file) = host.open(path)? else { return Ok(()) };
    let mut head = [0; HEAD_BYTES];
    file.read_exact(&mut head)?;
    let mut table = vec![0; slot_table_bytes(&head)?];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut table)?;
    let (slots, findings) = read_slots(&table);
    host.report_all(path, &findings);
    let mut bytes_left = HEADERS_BYTES_LIMIT;
    let file_bytes = file.metadata()?.len();
    let mut bytes = Vec::new();
    for slot in slots {
        if slot.length_bytes() > bytes_left || found.packages.len() >= PACKAGES_LIMIT {
            host.report(path, "more packages than are read");
            break;
        }
        bytes_left -= slot.length_bytes();
        if slot.offset_bytes() + slot.length_bytes() > file_bytes {
            host.report(path, format_args!("package {} lies behind the end of the file", slot.package()));
            continue;
        }
        bytes.resize(slot.length_bytes() as usize, 0);
        file.seek(SeekFrom::Start(slot.offset_bytes()))?;
        file.read_exact(&mut bytes)?;
        match read_blob(slot, &bytes) {
            Ok(blob) => add(host, path, i64::from(slot.package()), blob, found),
            Err(error) => host.report(path, format_args!("package {}: {error}", slot.package())),
        }
    }
    Ok(())
}

fn add(host: &HostRoot, path: &str, number: i64, blob: &[u8], found: &mut Found) {
    match read_header(blob) {
        Ok(header) if header.is_public_key() => {}
        Ok(header) => {
            found.packages.push(header.into());
            if let Some(programs) = &mut found.programs {
                let mut of_package = Vec::new();
                rpm_files::programs(blob, |path| of_package.push(path.to_owned()));
                programs.push(of_package);
            }
        }
        Err(error) => host.report(path, format_args!("package {number}: {error}")),
    }
}

/// `file:` URI of a path, with the characters escaped that mean something in one.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for c in path.to_string_lossy().chars() {
        match c {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            _ => uri.push(c),
        }
    }
    uri.push_str("?immutable=1");
    uri
}
