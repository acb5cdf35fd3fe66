//! The data folder of one node: made with mode 0700, locked while its process lives.
//!
//! ```text
//! DATA/lock       held by the running process
//! DATA/packages/  the package log
//! DATA/facts/     the facts log
//! DATA/...        views, which can be deleted at any time
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::file_lock::{self, PATIENCE};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made or written.
    #[error("cannot use the data folder `{}`: give another one or mend its rights", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the data folder `{}` belongs to a running process: stop that one first or give another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// A locked data folder. Dropping it lets go of the lock.
#[derive(Debug)]
pub struct NodeFolder {
    path: PathBuf,
    _lock: File,
}

impl NodeFolder {
    /// Makes `path` when it is missing, and locks it.
    pub fn open(path: &Path) -> Result<NodeFolder, FolderError> {
        let unusable = |source| FolderError::Unusable { path: path.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join("lock")).map_err(unusable)?;
        // Perhaps somebody only looks whether it is in use.
        match file_lock::lock(&lock, PATIENCE).map_err(unusable)? {
            true => Ok(NodeFolder { path: path.to_path_buf(), _lock: lock }),
            false => Err(FolderError::InUse { path: path.to_path_buf() }),
        }
    }

    /// Whether a process has `path` now. Looks and lets go at once.
    pub fn is_in_use(path: &Path) -> io::Result<bool> {
        let lock = OpenOptions::new().read(true).open(path.join("lock"))?;
        file_lock::is_held(&lock)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process_at_a_time() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let first = NodeFolder::open(&path).unwrap();
        assert!(matches!(NodeFolder::open(&path), Err(FolderError::InUse { .. })));
        assert!(NodeFolder::is_in_use(&path).unwrap());
        drop(first);
        assert!(!NodeFolder::is_in_use(&path).unwrap());
        NodeFolder::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let above = tempfile::tempdir().unwrap();
        std::fs::write(above.path().join("file"), "").unwrap();
        let error = NodeFolder::open(&above.path().join("file/data")).unwrap_err();
        assert!(error.to_string().contains("file/data"), "{error}");
    }

    #[test]
    fn who_only_looks_keeps_no_node_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        drop(NodeFolder::open(folder.path()).unwrap());
        // One of many: a thread may get no processor for long.
        let has_started = (0..20).any(|_| {
            let look = File::open(folder.path().join("lock")).unwrap();
            flock(&look, FlockOperation::NonBlockingLockShared).unwrap();
            let looker = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(5));
                drop(look);
            });
            let started = NodeFolder::open(folder.path()).is_ok();
            looker.join().unwrap();
            started
        });
        assert!(has_started);
    }
}
