//! The programs of a Debian system's packages, from dpkg's lists of files; dpkg itself is not run.
//!
//! Names and versions are those of the inventory, so that use and installation meet. A package of an rpm system is not
//! attributed yet: its database tells files only in the headers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster::formats::host::InstalledPackage;
use muster::formats::host::dpkg_list::programs;
use muster::model::programs::Programs;
use muster::model::usage::{Application, Attribution};
use tracing::info;

use super::effects::{InstallationData, Version};
use crate::agent::collector::{HostRoot, deb};

const STATUS: &str = "var/lib/dpkg/status";
/// A package of a million files.
const LIST_BYTES_LIMIT: usize = 64 * 1024 * 1024;

/// The packages of the host below a root.
#[derive(Debug)]
pub struct Packages(PathBuf);

impl Packages {
    /// Below `root`.
    pub fn new(root: &Path) -> Packages {
        Packages(root.into())
    }

    fn programs(&self) -> Programs {
        let host = HostRoot::new(&self.0);
        let mut found = Programs::default();
        let mut paths = Vec::new();
        for record in deb::packages(&host) {
            let package = record.package;
            paths.clear();
            programs(&list_of(&host, &package), |path| paths.push(path.to_owned()));
            let application = Application {
                name: package.name.into(),
                version: package.version.into(),
                publisher: package.publisher.into(),
                evidence: record.evidence.into(),
                ..Application::default()
            };
            found.add(application, &paths);
        }
        found.sorted()
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

impl InstallationData for Packages {
    fn version(&self) -> Version {
        let status = HostRoot::new(&self.0).metadata(STATUS);
        Version(status.and_then(|status| Some((status.modified().ok()?, status.len()))))
    }

    fn read(&self) -> Arc<dyn Attribution> {
        let programs = self.programs();
        info!(programs = programs.len(), "programs of the installed packages are known");
        Arc::new(programs)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
            fs::write(root.path().join(STATUS), packages.concat()).unwrap();
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
}
