//! Progress in a file of its own, replaced whole.

use std::path::Path;
use std::sync::Arc;

use muster::export::ExportRecord;
use muster::model::stored::{pack, unpack};

use super::{ExportProgress, OwnError};
use crate::errors::Chain;
use crate::log::{Disk, FolderDisk, read_file, replace_file};

/// A record is some hundred bytes.
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// [`ExportProgress`] in `folder/name`, for an exporter without a node's facts.
pub struct FileProgress {
    disk: Arc<dyn Disk>,
    name: String,
}

impl FileProgress {
    /// The file `name` in `folder`; the folder is made when it is missing.
    pub fn open(folder: &Path, name: &str) -> Result<FileProgress, OwnError> {
        let failed = |error| OwnError(format!("cannot open the folder `{}`: {error}", folder.display()));
        Ok(FileProgress { disk: Arc::new(FolderDisk::open(folder).map_err(failed)?), name: name.to_owned() })
    }
}

impl ExportProgress for FileProgress {
    fn load(&self) -> Result<ExportRecord, OwnError> {
        let failed = |why: String| OwnError(format!("cannot read the export progress `{}`: {why}", self.name));
        let bytes = read_file(&*self.disk, &self.name, RECORD_BYTES_MAX).map_err(|error| failed(error.to_string()))?;
        let Some(bytes) = bytes else { return Ok(ExportRecord::default()) };
        unpack(&bytes).map_err(|error| failed(Chain(&error).to_string()))
    }

    fn save(&self, record: &ExportRecord) -> Result<(), OwnError> {
        let failed = |error| OwnError(format!("cannot write the export progress `{}`: {error}", self.name));
        replace_file(&*self.disk, &self.name, &pack(record)).map_err(failed)
    }
}
