//! A real folder as a [`Disk`]: positional gathered writes, `fdatasync`, and the folder's own sync.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, Space};

/// Most slices one `pwritev` takes (Linux `IOV_MAX`).
const SLICES_MAX: usize = 1024;

/// A folder of the file system; mode 0700, its files 0600.
#[derive(Debug)]
pub struct FolderDisk {
    folder: PathBuf,
    handle: File,
}

impl FolderDisk {
    /// Opens `folder`, making it (and what is above it) when it is missing, durably.
    pub fn open(folder: &Path) -> io::Result<FolderDisk> {
        if !folder.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // The entry of each new folder stands in the one above it.
            for parent in folder.ancestors().skip(1).take(3).filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(FolderDisk { folder: folder.to_path_buf(), handle: File::open(folder)? })
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let plain = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
        if plain { Ok(self.folder.join(name)) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
    }
}

impl Disk for FolderDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Arc::new(FolderFile(options.open(self.path(name)?)?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FolderFile(OpenOptions::new().read(true).write(true).open(self.path(name)?)?)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        Ok(Space { free_bytes: stat.f_bavail * stat.f_frsize, total_bytes: stat.f_blocks * stat.f_frsize })
    }
}

struct FolderFile(File);

impl DiskFile for FolderFile {
    fn write_at(&self, mut offset: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let now = &parts[..parts.len().min(SLICES_MAX)];
            let written = match rustix::io::pwritev(&self.0, now, offset) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += written as u64;
            IoSlice::advance_slices(&mut parts, written);
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{read_file, replace_file};

    #[test]
    fn gathered_writes_longer_than_one_call_takes_arrive_whole() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FolderDisk::open(&folder.path().join("a/b")).unwrap();
        let file = disk.create("x").unwrap();
        let pieces: Vec<Vec<u8>> = (0..3_000u32).map(|i| i.to_le_bytes().to_vec()).collect();
        let mut parts: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        file.write_at(5, &mut parts).unwrap();
        let mut read = vec![0; 12_000];
        file.read_at(5, &mut read).unwrap();
        assert_eq!(read, pieces.concat());
        assert_eq!(file.length().unwrap(), 12_005);
    }

    #[test]
    fn a_replaced_file_is_whole_and_leaves_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FolderDisk::open(folder.path()).unwrap();
        replace_file(&disk, "state", b"one").unwrap();
        replace_file(&disk, "state", b"two, longer").unwrap();
        assert_eq!(read_file(&disk, "state", 99).unwrap().unwrap(), b"two, longer");
        assert_eq!(disk.list().unwrap(), ["state"]);
        assert_eq!(read_file(&disk, "none", 99).unwrap(), None);
        assert!(read_file(&disk, "state", 3).is_err());
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FolderDisk::open(folder.path()).unwrap();
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a\0b"] {
            assert!(disk.create(name).is_err(), "{name:?}");
        }
    }
}
