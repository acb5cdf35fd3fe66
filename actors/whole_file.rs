//! Files that are there whole or not at all: written beside the one that they replace, which they take the name of at the
//! end.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Why an output was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: std::io::Error,
}

impl WriteError {
    /// The error of an output.
    pub fn new(path: impl Into<PathBuf>, source: std::io::Error) -> WriteError {
        WriteError { path: path.into(), source }
    }
}

/// A file that was written and has not got its name yet. Dropping it leaves what was there before.
#[derive(Debug)]
pub struct Written {
    target: PathBuf,
    /// `None`: it went to a device or a pipe, which has it already.
    temporary: Option<NamedTempFile>,
}

impl Written {
    /// Gives it its name.
    pub fn keep(self) -> Result<(), WriteError> {
        let Written { target, temporary } = self;
        let Some(temporary) = temporary else { return Ok(()) };
        temporary.persist(&target).map(drop).map_err(|error| WriteError::new(target, error.error))
    }
}

/// Writes what is to be `path`, with the mode of the file that it replaces. A link stays one, and leads to what is written.
pub fn write(path: &Path, write_to: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<Written, WriteError> {
    let failed = |source| WriteError::new(path, source);
    let known = std::fs::metadata(path).ok();
    // Devices and pipes have no name to take, and what stands for an open file is not to be replaced.
    let is_special = path.starts_with("/dev") || path.starts_with("/proc");
    if is_special || known.as_ref().is_some_and(|known| !known.is_file()) {
        OpenOptions::new().write(true).open(path).and_then(|mut file| write_to(&mut file)).map_err(failed)?;
        return Ok(Written { target: path.to_owned(), temporary: None });
    }
    let target = if known.is_some() { path.canonicalize().map_err(failed)? } else { path.to_owned() };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = NamedTempFile::new_in(folder).map_err(failed)?;
    write_to(&mut temporary).map_err(failed)?;
    if let Some(known) = known {
        temporary.as_file().set_permissions(known.permissions()).map_err(failed)?;
    }
    Ok(Written { target, temporary: Some(temporary) })
}

/// Writes a file and gives it its name.
pub fn write_file(path: &Path, write_to: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), WriteError> {
    write(path, write_to)?.keep()
}
