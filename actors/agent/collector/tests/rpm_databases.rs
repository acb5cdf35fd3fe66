//! Databases made by `rpm` itself, of both kinds that are read. The Debian package `rpm` has to be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster::formats::host::InstalledPackage;

use super::fixture::Fixture;

/// Runs `program`, which must be there: a missing tool must not look like a passed test.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("cannot run `{program}`: {error}; these tests need the Debian package `rpm` (apt-get install rpm)")
    });
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds an empty package for `architecture` and gives its file.
fn build(folder: &Path, name: &str, epoch: Option<u32>, architecture: &str) -> PathBuf {
    build_with(folder, name, epoch, architecture, "%files\n")
}

fn build_with(folder: &Path, name: &str, epoch: Option<u32>, architecture: &str, rest: &str) -> PathBuf {
    let spec = folder.join(format!("{name}.spec"));
    let epoch = epoch.map(|epoch| format!("Epoch: {epoch}\n")).unwrap_or_default();
    let text = format!(
        "Name: {name}\nVersion: 1.2\nRelease: 4\n{epoch}Summary: Test\nLicense: MIT\nVendor: Acme <a@acme.example>\n\
        Group: System/Test\n%description\nTest.\n{rest}"
    );
    fs::write(&spec, text).unwrap();
    let top = format!("_topdir {}", folder.display());
    run("rpmbuild", &["-bb", "--target", architecture, "--define", &top, spec.to_str().unwrap()]);
    folder.join(format!("RPMS/{architecture}/{name}-1.2-4.{architecture}.rpm"))
}

/// Installs two packages, one of them for two architectures, into the database of a made-up host.
fn host_with_database() -> Fixture {
    let host = Fixture::empty();
    let build_folder = tempfile::tempdir().unwrap();
    let files = [
        build(build_folder.path(), "acme-tool", Some(3), "noarch"),
        build(build_folder.path(), "acme-lib", None, "x86_64"),
        build(build_folder.path(), "acme-lib", None, "i686"),
    ];
    install(host.path("var/lib/rpm/x").parent().unwrap(), &files);
    host
}

/// Makes a database of these packages, whose files are put nowhere.
fn install(folder: &Path, files: &[PathBuf]) {
    let folder = folder.to_str().unwrap();
    let sqlite = "_db_backend sqlite";
    run("rpm", &["--define", sqlite, "--dbpath", folder, "--initdb"]);
    let mut install = vec!["--define", sqlite, "--dbpath", folder, "-i", "--justdb", "--nodeps", "--ignorearch"];
    install.extend(files.iter().map(|file| file.to_str().unwrap()));
    run("rpm", &install);
}

/// Makes a database below `root` with a package `acme-tool` of programs, a link, and data.
pub(crate) fn install_programs(root: &Path) {
    const FILES: &str = "%install
for file in usr/bin/acme-tool sbin/acme-daemon usr/libexec/acme/helper; do
    install -D -m 755 /dev/null %{buildroot}/$file
done
for file in usr/bin/acme-data usr/share/acme/readme; do install -D -m 644 /dev/null %{buildroot}/$file; done
ln -s acme-tool %{buildroot}/usr/bin/acme-link
%files
/usr/bin/*
/sbin/acme-daemon
/usr/libexec/acme
/usr/share/acme
";
    let build_folder = tempfile::tempdir().unwrap();
    let file = build_with(build_folder.path(), "acme-tool", Some(3), "noarch", FILES);
    let folder = root.join("var/lib/rpm");
    fs::create_dir_all(&folder).unwrap();
    install(&folder, &[file]);
}

/// What the collector saw; install times are only checked to be of today or so.
fn packages(host: &Fixture) -> Vec<InstalledPackage> {
    let collected = host.collect();
    assert_eq!(collected.findings, []);
    let seen = collected.record.packages.into_iter().map(|record| {
        assert_eq!(record.evidence, "rpm");
        assert!(record.package.install_time_secs.unwrap() > 1_700_000_000);
        InstalledPackage { install_time_secs: None, ..record.package }
    });
    seen.collect()
}

fn package(name: &str, version: &str, architecture: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.into(),
        version: version.into(),
        architecture: architecture.into(),
        publisher: "Acme".into(),
        section: "System/Test".into(),
        install_time_secs: None,
    }
}

fn expected() -> [InstalledPackage; 3] {
    [
        package("acme-lib.i686", "1.2-4", "i686"),
        package("acme-lib.x86_64", "1.2-4", "x86_64"),
        package("acme-tool", "3:1.2-4", "noarch"),
    ]
}

/// Names, sizes and times of all files in a folder.
fn state(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut state: Vec<_> = entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            (entry.path(), metadata.len(), metadata.modified().unwrap())
        })
        .collect();
    state.sort();
    state
}

#[test]
fn a_sqlite_database_is_read_and_nothing_is_written_beside_it() {
    let host = host_with_database();
    let folder = host.root().join("var/lib/rpm");
    let before = state(&folder);
    assert!(before.iter().any(|(path, ..)| path.ends_with("rpmdb.sqlite")), "{before:?}");
    assert_eq!(packages(&host), expected());
    assert_eq!(state(&folder), before);
}

#[test]
fn a_native_database_is_read_and_nothing_is_written_beside_it() {
    let host = Fixture::empty();
    // Debian builds rpm without this kind; see the README beside the file for how it was made.
    let database = include_bytes!("../../../../tests/golden/host/Packages.db");
    host.write_bytes("usr/lib/sysimage/rpm/Packages.db", database);
    host.link("var/lib/rpm", "../../usr/lib/sysimage/rpm"); // as SUSE has it: one database under two names
    let folder = host.root().join("usr/lib/sysimage/rpm");
    let before = state(&folder);
    assert_eq!(packages(&host), expected());
    assert_eq!(state(&folder), before);
}

#[test]
fn a_damaged_package_of_a_native_database_costs_only_itself() {
    let host = Fixture::empty();
    let mut database = include_bytes!("../../../../tests/golden/host/Packages.db").to_vec();
    database[4_096 + 100] ^= 1;
    host.write_bytes("var/lib/rpm/Packages.db", &database);
    let collected = host.collect();
    assert_eq!(collected.record.packages.len(), 2);
    let findings: Vec<String> = collected.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings, ["var/lib/rpm/Packages.db: package 1: checksum of the blob is wrong"]);
}

#[test]
fn a_package_that_is_only_in_the_write_ahead_log_is_seen() {
    let host = host_with_database();
    let folder = host.root().join("var/lib/rpm");
    let writer = rusqlite::Connection::open(folder.join("rpmdb.sqlite")).unwrap();
    let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    writer.pragma_update(None, "foreign_keys", false).unwrap();
    writer.execute("DELETE FROM Packages WHERE hnum = (SELECT min(hnum) FROM Packages)", []).unwrap();
    let before = state(&folder);
    assert_eq!(packages(&host).len(), 2);
    assert_eq!(state(&folder), before);
}

#[test]
fn a_damaged_database_is_a_finding() {
    let host = Fixture::empty();
    host.write("var/lib/rpm/rpmdb.sqlite", "SQLite format 3\0 and then nothing of the kind");
    host.write("usr/lib/sysimage/rpm/Packages.db", "RpmP");
    let collected = host.collect();
    let sources: Vec<&str> = collected.findings.iter().map(|finding| finding.source.as_str()).collect();
    assert_eq!(sources, ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db"]);

    let host = Fixture::empty();
    host.write("var/lib/rpm/Packages", "\0\0\0\0");
    let findings = host.collect().findings;
    assert_eq!(findings[0].to_string(), "var/lib/rpm/Packages: database of the Berkeley kind is not read");
}

#[test]
fn a_database_whose_table_of_packages_is_a_view_is_not_run() {
    let host = Fixture::empty();
    let path = host.path("var/lib/rpm/rpmdb.sqlite");
    let writer = rusqlite::Connection::open(&path).unwrap();
    let endless = "CREATE VIEW Packages AS WITH RECURSIVE n(hnum) AS (SELECT 1 UNION ALL SELECT hnum + 1 FROM n) \
        SELECT hnum, x'00' AS blob FROM n";
    writer.execute(endless, []).unwrap();
    drop(writer);
    let findings = host.collect().findings;
    assert_eq!(findings[0].to_string(), "var/lib/rpm/rpmdb.sqlite: has no table of packages");
}
