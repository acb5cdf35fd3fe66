//! The disk as the log sees it: a folder of files that are written at offsets, synced and removed.
//!
//! Deployed it is [`super::FolderDisk`]; the drill has one that loses, tears and reorders what was not synced. A name
//! is one path component. Every call may fail, and a failed sync is final (delivery contract, section 3, rule 3).

use std::io::{self, IoSlice};
use std::sync::Arc;

/// Free and total bytes of the file system below a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Size of the file system in bytes.
    pub total_bytes: u64,
}

/// One folder.
pub trait Disk: Send + Sync {
    /// Names of the files in it, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file; one that exists is an error.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations, removals and renames durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// How much room is left.
    fn space(&self) -> io::Result<Space>;
}

/// One file of a [`Disk`].
pub trait DiskFile: Send + Sync {
    /// Writes all of `parts`, one behind the other, from `offset` on. On an error any part of it may stand there.
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Fills `buffer` from `offset`, or fails with `UnexpectedEof`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Bytes in the file.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file off at `length`.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// Replaces the file `name` by `bytes` so that after a crash it is the old one or the new one, whole: temporary file,
/// sync, rename, sync of the folder. Durable when it returns.
pub fn replace_file(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&temporary)?;
    file.write_at(0, &mut [IoSlice::new(bytes)])?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync_folder()
}

/// The whole content of file `name`, at most `limit_bytes`; `None` when there is no such file.
pub fn read_file(disk: &dyn Disk, name: &str, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    if length > limit_bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{length} bytes, at most {limit_bytes}")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}
