//! The file systems on this host's own disks.

use muster::formats::host::mounts::{local_disks, read_mountinfo};

use super::host_root::HostRoot;
use super::record::HardwareObject;

/// A host of many containers mounts some megabytes of text.
const MOUNTINFO_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// `MGS_LogicalDisk` for each, by mount point. Sizes are known of the running system only.
///
/// `FreeSpace` is what an ordinary account may still write, as `df` prints it.
pub fn objects(host: &HostRoot) -> Vec<HardwareObject> {
    let path = if host.is_live() { "proc/self/mountinfo" } else { "proc/1/mountinfo" };
    let mounts = read_mountinfo(&host.read_or_empty(path, MOUNTINFO_BYTES_LIMIT));
    let mut out = Vec::new();
    for mount in local_disks(&mounts) {
        // Containers have single files mounted over their own; those are no disks.
        if mount.mount_point != "/" && host.metadata(&mount.mount_point[1..]).is_some_and(|what| !what.is_dir()) {
            continue;
        }
        let space = if host.is_live() { space(host, &mount.mount_point) } else { None };
        out.push(
            HardwareObject::new("MGS_LogicalDisk", &mount.mount_point, "os")
                .with("Name", &mount.mount_point)
                .with("DeviceID", &mount.source)
                .with("FileSystem", &mount.kind)
                .with_number("Size", space.map(|(size, _)| size))
                .with_number("FreeSpace", space.map(|(_, free)| free)),
        );
    }
    out
}

/// Size and free space in bytes.
fn space(host: &HostRoot, mount_point: &str) -> Option<(u64, u64)> {
    match rustix::fs::statvfs(mount_point) {
        Ok(told) => Some((told.f_blocks.saturating_mul(told.f_frsize), told.f_bavail.saturating_mul(told.f_frsize))),
        Err(error) => {
            host.report(mount_point, error);
            None
        }
    }
}
