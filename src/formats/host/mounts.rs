//! `proc/self/mountinfo`: what is mounted, and which of it is a disk of this host.
//!
//! ```text
//! 27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
//!       device root where options optional fields - kind source options of the file system
//! ```
//!
//! White space in a field is written as `\040` and the like.
//!
//! Source: manual page `proc(5)`.

use std::collections::BTreeMap;

use super::lines;

/// Mounts read at most; a host of many containers has some thousands.
const MOUNTS_LIMIT: usize = 20_000;

/// Kinds that lie on a disk of the host though their source is no `/dev/...`.
const LOCAL_KINDS: [&str; 4] = ["zfs", "btrfs", "bcachefs", "overlay"];
/// Kinds that are read-only packages in a loop device, not space.
const PACKAGE_KINDS: [&str; 4] = ["squashfs", "erofs", "iso9660", "udf"];

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `major:minor`.
    pub device: String,
    /// Folder of the file system that is mounted; `/` but for bind mounts.
    pub root: String,
    /// Where it is mounted.
    pub mount_point: String,
    /// `ext4`, `xfs`, `overlay`, `proc`.
    pub kind: String,
    /// `/dev/vda`, `tmpfs`.
    pub source: String,
    /// Options of the file system.
    pub options: String,
}

/// Reads the file, in its order. Lines that are none are left out.
pub fn read_mountinfo(bytes: &[u8]) -> Vec<Mount> {
    lines(bytes).take(MOUNTS_LIMIT).filter_map(|line| read_line(&line)).collect()
}

fn read_line(line: &str) -> Option<Mount> {
    let (here, there) = line.split_once(" - ")?;
    let mut here = here.split(' ').skip(2);
    let mut there = there.split(' ');
    Some(Mount {
        device: here.next()?.into(),
        root: unescape(here.next()?),
        mount_point: unescape(here.next()?),
        kind: there.next()?.into(),
        source: unescape(there.next()?),
        options: there.next().unwrap_or_default().into(),
    })
}

/// The mounts that are file systems on this host's own disks, one for each device, by mount point.
///
/// Of several mounts of one device the whole one counts before a part of it, then the shortest mount point. Network
/// shares are left out: asking for the space of a share whose server is gone would hang the collection.
pub fn local_disks(mounts: &[Mount]) -> Vec<&Mount> {
    let mut by_device: BTreeMap<&str, &Mount> = BTreeMap::new();
    let rank = |mount: &Mount| (mount.root != "/", mount.mount_point.len(), mount.mount_point.clone());
    for mount in mounts.iter().filter(|mount| is_local_disk(mount)) {
        let best = by_device.entry(&mount.device).or_insert(mount);
        if rank(mount) < rank(best) {
            *best = mount;
        }
    }
    let mut disks: Vec<&Mount> = by_device.into_values().collect();
    disks.sort_by(|a, b| a.mount_point.cmp(&b.mount_point));
    disks
}

/// Whether `path` lies on a file system that is not of this host, such as a share: what stands there is not installed
/// here, and a look at it may hang. `path` is full and without links; the root is of this host wherever it lies.
pub fn is_on_share(mounts: &[Mount], path: &str) -> bool {
    let holds = |mount: &&Mount| match path.strip_prefix(mount.mount_point.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    // Of several at one point the last one hides the others.
    let innermost = mounts.iter().filter(holds).max_by_key(|mount| mount.mount_point.len());
    innermost.is_some_and(|mount| {
        let kind = mount.kind.as_str();
        let is_local = mount.source.starts_with("/dev/") || LOCAL_KINDS.contains(&kind) || kind == "tmpfs";
        !is_local && mount.mount_point != "/"
    })
}

fn is_local_disk(mount: &Mount) -> bool {
    let kind = mount.kind.as_str();
    if PACKAGE_KINDS.contains(&kind) || mount.kind == "devtmpfs" {
        return false;
    }
    // An overlay is the disk only of a container, at its root; elsewhere it shows a disk that is listed anyway.
    let is_local = mount.source.starts_with("/dev/") || LOCAL_KINDS.contains(&kind);
    is_local && (kind != "overlay" || mount.mount_point == "/")
}

fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|b| (b'0'..=b'7').contains(b)));
        match octal {
            Some(digits) => {
                let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(value as u8);
                rest = &tail[3..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /mnt/tools ro,nosuid - tmpfs tools ro,size=4k
36 27 254:1 / /srv/my\\040data rw shared:7 - xfs /dev/mapper/vg-data rw
37 36 254:1 /deep /opt rw shared:7 - xfs /dev/mapper/vg-data rw
38 27 7:3 / /snap/core/1 ro - squashfs /dev/loop3 ro
39 27 0:50 / /net rw - nfs4 filer:/export rw
40 27 0:60 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/l
not a mount
";

    #[test]
    fn disks_are_told_from_the_rest_one_for_each_device() {
        let mounts = read_mountinfo(MOUNTS.as_bytes());
        assert_eq!(mounts.len(), 8);
        let disks: Vec<(&str, &str, &str)> = local_disks(&mounts)
            .into_iter()
            .map(|mount| (mount.mount_point.as_str(), mount.kind.as_str(), mount.source.as_str()))
            .collect();
        assert_eq!(disks, [("/", "ext4", "/dev/vda"), ("/srv/my data", "xfs", "/dev/mapper/vg-data")]);
    }

    #[test]
    fn the_root_of_a_container_is_its_disk() {
        let mounts = read_mountinfo(
            b"700 600 0:110 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u\n\
            710 700 259:1 /var/lib/docker/containers/ab/hostname /etc/hostname rw - ext4 /dev/nvme0n1p1 rw\n",
        );
        let points: Vec<&str> = local_disks(&mounts).into_iter().map(|mount| mount.mount_point.as_str()).collect();
        assert_eq!(points, ["/", "/etc/hostname"]);
    }

    #[test]
    fn a_share_is_told_from_the_disks_around_it() {
        let mounts = read_mountinfo(MOUNTS.as_bytes());
        for (path, is_share) in [
            ("/home/kim", false),
            ("/net", true),
            ("/net/home/kim", true),
            ("/network/kim", false),
            ("/mnt/tools/kim", false),
            ("/srv/my data/kim", false),
            ("/proc/kim", true),
        ] {
            assert_eq!(is_on_share(&mounts, path), is_share, "{path}");
        }
        let hidden = format!("{MOUNTS}40 27 254:3 / /net rw - ext4 /dev/vdb rw\n");
        assert!(!is_on_share(&read_mountinfo(hidden.as_bytes()), "/net/home/kim"));
        assert!(!is_on_share(&read_mountinfo(b"1 0 0:9 / / rw - nfs4 filer:/root rw\n"), "/home/kim"));
        assert!(!is_on_share(&[], "/home/kim"));
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            local_disks(&read_mountinfo(&bytes));
            is_on_share(&read_mountinfo(&bytes), "/home/kim");
        }

        #[test]
        fn any_mounts_read_without_panic(text in "([0-9: /\\\\a]{0,30} - (ext4|zfs) [/dev0-9\\\\]{0,9} rw\n){0,9}") {
            local_disks(&read_mountinfo(text.as_bytes()));
        }
    }
}
