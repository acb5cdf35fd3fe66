//! A disk of some megabytes for one node, which can be filled to its last byte and freed again. Only root can have one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::leftovers::{mounted, unmount, unmounted};

/// Room for what a node keeps in a run.
const BYTES: u64 = 128 << 20;
/// The file that fills it.
const FILLER: &str = "filler";

/// A file system of its own. Dropping it lets go of it.
pub struct SmallDisk {
    folder: PathBuf,
    is_mounted: bool,
}

impl SmallDisk {
    /// One at `folder`, which is made; `None` where the system does not allow it.
    pub fn mount(folder: &Path) -> io::Result<Option<SmallDisk>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        let options = format!("size={BYTES},mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "muster-sim"])
            .arg(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let is_mounted = status.is_ok_and(|status| status.success());
        if is_mounted {
            mounted(folder);
        }
        Ok(is_mounted.then(|| SmallDisk { folder: folder.to_owned(), is_mounted }))
    }

    /// Writes until nothing more fits.
    pub fn fill(&self) -> io::Result<()> {
        let mut filler = File::create(self.folder.join(FILLER))?;
        let mut piece = &[0; 1 << 20][..];
        loop {
            match filler.write(piece) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // What is smaller than a piece still fits.
                Err(error) if error.kind() == io::ErrorKind::StorageFull && piece.len() > 1 => {
                    piece = &piece[..piece.len() / 2];
                }
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Frees what [`SmallDisk::fill`] took.
    pub fn free(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FILLER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Leaves the files at the same place on the disk below, for whoever looks at the stores. Nobody may use them now.
    pub fn keep(mut self) -> io::Result<()> {
        let kept = self.folder.with_extension("kept");
        copy(&self.folder, &kept)?;
        self.unmount();
        fs::remove_dir(&self.folder)?;
        fs::rename(kept, &self.folder)
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.is_mounted) {
            unmount(&self.folder);
            unmounted(&self.folder);
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_and_a_freed_one_takes_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("small");
        // Only root may mount; a run without says so.
        let Some(disk) = SmallDisk::mount(&at).unwrap() else { return };
        fs::write(at.join("a"), b"before").unwrap();
        disk.fill().unwrap();
        let error = fs::write(at.join("b"), [1; 8_192]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.free().unwrap();
        fs::write(at.join("b"), [1; 8_192]).unwrap();
        disk.keep().unwrap();
        assert_eq!(fs::read(at.join("a")).unwrap(), b"before");
        assert_eq!(fs::read(at.join("b")).unwrap(), [1; 8_192]);
        fs::remove_dir_all(at).unwrap();
    }
}
