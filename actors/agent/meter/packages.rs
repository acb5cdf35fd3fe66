//! The programs of this host's packages and products, by the lists of files that installation data has of them; no
//! package manager is run.
//!
//! | from | programs |
//! | --- | --- |
//! | dpkg's lists of files | those whose place and ending are a program's |
//! | the headers of an rpm database | the same, of them only executable files |
//! | SWID tags | the files they list; else whatever lies in the folder of the product that has the tag |
//!
//! A program that several name is of the first in this order. Names and versions are those of the inventory, so that use
//! and installation meet; use alone makes no installation. A folder of tags that is new inside a product's own folder is
//! seen when anything else that is installed changes, or when metering begins anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use muster::formats::host::InstalledPackage;
use muster::formats::host::dpkg_list::programs;
use muster::model::programs::Programs;
use muster::model::usage::{Application, Attribution};
use muster::rng::mix;
use tracing::info;

use super::effects::{InstallationData, Version};
use crate::agent::collector::record::{PackageRecord, TagRecord};
use crate::agent::collector::tags::TagFiles;
use crate::agent::collector::{HostRoot, deb, rpm, tags};

/// What changes when dpkg installs or removes.
const DPKG: [&str; 2] = ["var/lib/dpkg/status", "var/lib/dpkg/status.d"];
/// A package of a million files.
const LIST_BYTES_LIMIT: usize = 64 * 1024 * 1024;
/// Evidence of SWID tags, as the inventory has it.
const TAG_EVIDENCE: &str = "swidtag";
/// Folder of a product that holds its tags.
const TAG_FOLDER: &str = "swidtag";
/// Folders that are no product's, whatever tags lie in them.
const SHARED: [&str; 10] =
    ["", "/usr", "/usr/share", "/usr/lib", "/usr/local", "/usr/local/share", "/var", "/var/lib", "/opt", "/etc"];

/// The packages of the host below a root.
#[derive(Debug)]
pub struct Packages {
    root: PathBuf,
    tags: Mutex<TagFolders>,
}

/// The folders that tags were read from, and how often any of them has changed since.
#[derive(Debug, Default)]
struct TagFolders {
    known: Vec<(String, Stamp)>,
    changes: u64,
}

/// Time of change and size.
type Stamp = Option<(SystemTime, u64)>;

impl Packages {
    /// Below `root`.
    pub fn new(root: &Path) -> Packages {
        Packages { root: root.into(), tags: Mutex::default() }
    }

    fn programs(&self) -> Programs {
        let host = HostRoot::new(&self.root);
        let mut found = Programs::default();
        let mut paths = Vec::new();
        for record in deb::packages(&host) {
            paths.clear();
            programs(&list_of(&host, &record.package), |path| paths.push(path.to_owned()));
            found.add(of_package(record), &paths);
        }
        for (record, paths) in rpm::packages_with_programs(&host) {
            found.add(of_package(record), &paths);
        }
        let mut folders = Vec::new();
        for TagFiles { record, files } in tags::tags_with_files(&host) {
            let folder = record.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
            let home = home(&record.path).map(str::to_owned);
            let paths: Vec<String> = files.iter().flat_map(|file| places(file, &folder, home.as_deref())).collect();
            let home = home.map(|home| true_folder(&host, &self.root, home));
            found.add_with_folder(of_tag(record), &paths, home.as_deref().filter(|home| !SHARED.contains(home)));
            folders.push(folder);
        }
        folders.sort();
        folders.dedup();
        let stamped = |folder: String| {
            let stamp = stamp(&host, &folder[1..]);
            (folder, stamp)
        };
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).known = folders.into_iter().map(stamped).collect();
        found.sorted()
    }
}

fn of_package(PackageRecord { evidence, package }: PackageRecord) -> Application {
    Application {
        name: package.name.into(),
        version: package.version.into(),
        publisher: package.publisher.into(),
        evidence: evidence.into(),
        ..Application::default()
    }
}

fn of_tag(tag: TagRecord) -> Application {
    Application {
        name: tag.product.into(),
        version: tag.version.into(),
        publisher: tag.company.into(),
        evidence: TAG_EVIDENCE.into(),
        ..Application::default()
    }
}

/// The list of files of a package; empty when there is none.
fn list_of(host: &HostRoot, package: &InstalledPackage) -> Vec<u8> {
    let name = package.name.split(':').next().unwrap_or_default();
    if name.contains('/') {
        return Vec::new();
    }
    let lists = [format!("{name}:{}.list", package.architecture), format!("{name}.list")];
    let read = |list| host.read(&format!("var/lib/dpkg/info/{list}"), LIST_BYTES_LIMIT);
    lists.into_iter().find_map(read).unwrap_or_default()
}

/// The folder of the product that has its tag at `tag`: the one around its folder of tags, or the tag's own. `None` where
/// tags of many products lie.
fn home(tag: &str) -> Option<&str> {
    let (folder, _) = tag.rsplit_once('/')?;
    let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
    // The innermost folder of tags counts.
    let around = ends.rev().find_map(|end| folder[..end].strip_suffix(TAG_FOLDER)?.strip_suffix('/'));
    Some(around.unwrap_or(folder)).filter(|home| !SHARED.contains(home) && !home.starts_with("/etc/"))
}

/// Where a file that a tag lists may be: a path that is not absolute counts from the tag's folder or the product's.
fn places(file: &str, folder: &str, home: Option<&str>) -> Vec<String> {
    if file.starts_with('/') {
        return vec![plain(file)];
    }
    let of = |around: &str| plain(&format!("{around}/{file}"));
    let mut places = vec![of(folder)];
    places.extend(home.map(of));
    places
}

/// The path without `.`, `..` and doubled slashes.
fn plain(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `folder` with its links followed: that is how the kernel names the programs in it.
fn true_folder(host: &HostRoot, root: &Path, folder: String) -> String {
    let found = host.resolve(&folder[1..]).and_then(fs::canonicalize);
    let inside = found
        .ok()
        .zip(fs::canonicalize(root).ok())
        .and_then(|(found, root)| Some(format!("/{}", found.strip_prefix(root).ok()?.to_str()?)));
    inside.unwrap_or(folder)
}

fn stamp(host: &HostRoot, path: &str) -> Stamp {
    host.metadata(path).and_then(|found| Some((found.modified().ok()?, found.len())))
}

impl InstallationData for Packages {
    fn version(&self) -> Version {
        let host = HostRoot::new(&self.root);
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let mut has_changed = false;
        for (folder, known) in &mut tags.known {
            let now = stamp(&host, &folder[1..]);
            has_changed |= std::mem::replace(known, now) != now;
        }
        tags.changes += u64::from(has_changed);
        let of_stamp = |number: u64, stamp: Stamp| {
            let (changed, length) = stamp.unwrap_or((UNIX_EPOCH, u64::MAX));
            let since = changed.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
            mix(mix(number, since), length)
        };
        let files = DPKG.into_iter().map(|path| stamp(&host, path));
        let files = files.chain(rpm::files().map(|path| stamp(&host, &path)));
        let files = files.chain(tags::places().map(|path| stamp(&host, path)));
        Version(files.fold(tags.changes, of_stamp))
    }

    fn read(&self) -> Arc<dyn Attribution> {
        let programs = self.programs();
        info!(programs = programs.len(), "programs of the installed packages are known");
        Arc::new(programs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::collector::tests::rpm_databases::install_programs;

    #[test]
    fn a_program_is_named_as_the_inventory_names_its_package_and_a_change_of_the_status_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join("var/lib/dpkg/info");
        fs::create_dir_all(&info).unwrap();
        let status = |draw: &str| {
            let stanza = |name: &str, architecture: &str, state: &str, version: &str| {
                format!(
                    "Package: {name}\nStatus: install ok {state}\nArchitecture: {architecture}\nVersion: {version}\n\n"
                )
            };
            let packages = [
                stanza("draw", "amd64", "installed", draw),
                stanza("twin", "amd64", "installed", "2"),
                stanza("twin", "i386", "installed", "2"),
                stanza("gone", "amd64", "config-files", "3"),
            ];
            fs::write(root.path().join("var/lib/dpkg/status"), packages.concat()).unwrap();
        };
        for (list, files) in [
            ("draw", "/.\n/usr\n/usr/bin\n/usr/bin/draw\n/usr/share/doc/draw/copyright\n"),
            ("twin:amd64", "/usr/lib/twin/twin64\n"),
            ("twin:i386", "/usr/lib/twin/twin32\n"),
            ("gone", "/usr/bin/gone\n"),
        ] {
            fs::write(info.join(format!("{list}.list")), files).unwrap();
        }
        let packages = Packages::new(root.path());
        let none = packages.version();
        status("9.1");
        let first = packages.version();
        let named = |path: &str| {
            let found = packages.read().application(path)?;
            Some(format!("{} {} {}", found.name, found.version, found.evidence))
        };
        assert_eq!(named("/usr/bin/draw").as_deref(), Some("draw 9.1 deb"));
        assert_eq!(named("/usr/lib/twin/twin64").as_deref(), Some("twin:amd64 2 deb"));
        assert_eq!(named("/usr/lib/twin/twin32").as_deref(), Some("twin:i386 2 deb"));
        assert_eq!((named("/usr/bin/gone"), named("/usr/bin/other")), (None, None));
        status("9.10");
        assert!(none != first && first != packages.version());
        assert_eq!(named("/usr/bin/draw").as_deref(), Some("draw 9.10 deb"));
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Name, version and evidence of the package that has `path`, and the program's file.
    fn named(packages: &Packages, path: &str) -> Option<String> {
        let found = packages.read().application(path)?;
        Some(format!("{} {} {} {}", found.name, found.version, found.evidence, found.file_name))
    }

    #[test]
    fn a_tag_names_the_files_it_lists_and_what_lies_in_the_folder_of_its_product() {
        let root = tempfile::tempdir().unwrap();
        let tag = |name: &str, more: &str| {
            format!(
                "<SoftwareIdentity name='{name}' version='3.2' tagId='{name}'>
                <Entity name='Acme' regid='a' role='softwareCreator'/>{more}</SoftwareIdentity>"
            )
        };
        let listed = "<Payload><Directory root='/srv/acme' name='bin'><File name='serve'/></Directory></Payload>";
        write(root.path(), "usr/lib/swidtag/acme.example/server.swidtag", &tag("Server", listed));
        let beside = "<Evidence><File location='../run' name='draw'/></Evidence>";
        write(root.path(), "opt/acme/swidtag/draw.swidtag", &tag("Draw", beside));
        write(root.path(), "opt/acme/plugin/swidtag/plugin.swidtag", &tag("Plugin", ""));
        let patch = tag("Patch", listed).replace("tagId", "patch='true' tagId");
        write(root.path(), "usr/lib/swidtag/a.swidtag", &patch);
        // What dpkg lists is dpkg's.
        let stanza = "Package: deb\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n";
        write(root.path(), "var/lib/dpkg/status", stanza);
        write(root.path(), "var/lib/dpkg/info/deb.list", "/opt/acme/bin/deb\n");
        let packages = Packages::new(root.path());
        for (path, program) in [
            ("/srv/acme/bin/serve", "Server 3.2 swidtag serve"),
            ("/opt/acme/run/draw", "Draw 3.2 swidtag draw"),
            ("/opt/acme/other", "Draw 3.2 swidtag other"),
            ("/opt/acme/plugin/lib/x", "Plugin 3.2 swidtag x"),
            ("/opt/acme/bin/deb", "deb 1 deb deb"),
        ] {
            assert_eq!(named(&packages, path).as_deref(), Some(program), "{path}");
        }
        for path in ["/srv/acme/bin/other", "/usr/lib/x", "/opt/x", "/usr/bin/x"] {
            assert_eq!(named(&packages, path), None, "{path}");
        }
    }

    #[test]
    fn the_folder_of_a_product_is_the_one_around_its_tags_and_never_one_of_many() {
        for (tag, folder) in [
            ("/opt/acme/swidtag/a.swidtag", Some("/opt/acme")),
            ("/opt/acme/swidtag/acme.example/a.swidtag", Some("/opt/acme")),
            ("/opt/acme/a.swidtag", Some("/opt/acme")),
            ("/usr/share/acme/swidtag/a.swidtag", Some("/usr/share/acme")),
            ("/usr/lib/swidtag/acme.example/a.swidtag", None),
            ("/var/lib/swidtag/a.swidtag", None),
            ("/etc/swid/swidtags.d/acme/a.swidtag", None),
            ("/usr/share/a.swidtag", None),
            ("/opt/swidtag/a.swidtag", None),
        ] {
            assert_eq!(home(tag), folder, "{tag}");
        }
    }

    #[test]
    fn a_change_of_any_installation_data_is_seen_and_reading_it_is_none() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/lib/rpm")).unwrap();
        write(root.path(), "opt/acme/swidtag/a.swidtag", "<SoftwareIdentity name='A' tagId='a'/>");
        let packages = Packages::new(root.path());
        let mut seen = vec![packages.version()];
        packages.read();
        assert_eq!(packages.version(), seen[0]);
        for path in [
            "var/lib/rpm/rpmdb.sqlite",
            "var/lib/rpm/rpmdb.sqlite-wal",
            "usr/lib/sysimage/rpm/Packages.db",
            "var/lib/dpkg/status",
            "opt/acme/swidtag/b.swidtag",
            "opt/other/bin/x",
        ] {
            write(root.path(), path, "x");
            let version = packages.version();
            assert!(!seen.contains(&version), "{path}");
            packages.read();
            assert_eq!(packages.version(), version, "{path}");
            seen.push(version);
        }
    }

    #[test]
    fn programs_of_an_rpm_system_are_named_as_the_inventory_names_their_packages() {
        let root = tempfile::tempdir().unwrap();
        install_programs(root.path());
        let packages = Packages::new(root.path());
        for (path, program) in [
            ("/usr/bin/acme-tool", "acme-tool 3:1.2-4 rpm acme-tool"),
            // The package lists it in `/sbin`; where that is a link, the kernel names the true folder.
            ("/usr/sbin/acme-daemon", "acme-tool 3:1.2-4 rpm acme-daemon"),
            ("/usr/libexec/acme/helper", "acme-tool 3:1.2-4 rpm helper"),
        ] {
            assert_eq!(named(&packages, path).as_deref(), Some(program), "{path}");
        }
        // A link, a file that cannot run, and one of no package.
        for path in ["/usr/bin/acme-link", "/usr/bin/acme-data", "/usr/share/acme/readme", "/usr/bin/other"] {
            assert_eq!(named(&packages, path), None, "{path}");
        }
    }
}
