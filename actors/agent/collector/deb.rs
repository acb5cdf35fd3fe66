//! The packages of a Debian system.

use std::time::UNIX_EPOCH;

use muster::formats::host::InstalledPackage;
use muster::formats::host::dpkg::read_status;

use super::host_root::{EntryKind, HostRoot};
use super::record::PackageRecord;

const STATUS: &str = "var/lib/dpkg/status";
/// One file for each package, as images without a package manager have it.
const STATUS_FOLDER: &str = "var/lib/dpkg/status.d";
/// A desktop with everything has about 30 MB.
const STATUS_BYTES_LIMIT: usize = 256 * 1024 * 1024;
const STANZA_BYTES_LIMIT: usize = 1024 * 1024;

/// All installed packages, in the order of the status file.
pub fn packages(host: &HostRoot) -> Vec<PackageRecord> {
    let (mut packages, findings) = read_status(&host.read_or_empty(STATUS, STATUS_BYTES_LIMIT));
    host.report_all(STATUS, &findings);
    for (name, kind) in host.list(STATUS_FOLDER) {
        if kind != EntryKind::File || name.ends_with(".md5sums") {
            continue;
        }
        let path = format!("{STATUS_FOLDER}/{name}");
        // A file is there because its package is installed; it does not say so itself.
        let mut stanza = b"Status: install ok installed\n".to_vec();
        stanza.extend(host.read_or_empty(&path, STANZA_BYTES_LIMIT));
        let (one, findings) = read_status(&stanza);
        host.report_all(&path, &findings);
        packages.extend(one);
    }
    for package in &mut packages {
        package.install_time_secs = install_time_secs(host, package);
    }
    packages.into_iter().map(|package| PackageRecord { evidence: "deb", package }).collect()
}

/// dpkg keeps no dates, but it writes a package's list of files anew when it unpacks it.
fn install_time_secs(host: &HostRoot, package: &InstalledPackage) -> Option<i64> {
    // A name could not lead out of the folder: dpkg allows no slash in one, but the file may be anybody's.
    if package.name.contains('/') {
        return None;
    }
    let name = package.name.split(':').next().unwrap_or_default();
    let lists = [format!("{name}.list"), format!("{name}:{}.list", package.architecture)];
    let list = lists.into_iter().find_map(|list| host.metadata(&format!("var/lib/dpkg/info/{list}")))?;
    let since = list.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
