//! The files of a folder on disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use muster::model::folder::{FolderError, Source};

/// A folder with the files of a reconcile.
#[derive(Debug)]
pub struct FolderFiles<'f>(pub &'f Path);

/// Why a folder does not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file is wrong.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file, or the folder, cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Source for FolderFiles<'_> {
    type Bytes = Vec<u8>;
    type Error = ReadError;

    fn file(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, ReadError> {
        let path = self.0.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            // No file, or no folder: only the first is meant.
            Err(error) if error.kind() == ErrorKind::NotFound && self.0.is_dir() => Ok(None),
            Err(source) => {
                let path = if self.0.is_dir() { path } else { self.0.to_owned() };
                Err(ReadError::Read { path, source })
            }
        }
    }
}
