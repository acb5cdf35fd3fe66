//! What a meter has counted, over a restart: `DATA/usage.state`.
//!
//! Not synced: what a power cut takes costs the time since the last sample that reached the disk. It is kept while
//! metering is off: it tells which periods were reported, so that a later part of one does not take its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster::model::stored::VALUE_BYTES_MAX;
use muster::roles::meter::MeterState;
use tracing::{debug, warn};

use crate::errors::Chain;

/// See the module's head.
#[derive(Clone, Debug)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// In this data folder.
    pub fn new(data: &Path) -> StateFile {
        StateFile(data.join("usage.state"))
    }

    /// What an earlier life left; `None` when there is nothing or it does not read.
    pub fn load(&self) -> Option<MeterState> {
        let read = fs::metadata(&self.0).and_then(|found| match found.len() {
            length if length > VALUE_BYTES_MAX as u64 => Err(io::ErrorKind::FileTooLarge.into()),
            _ => fs::read(&self.0),
        });
        let begins_anew = "what was metered cannot be read, the meter begins anew";
        match read.map(|bytes| MeterState::read(&bytes)) {
            Ok(Ok(state)) => return Some(state),
            Ok(Err(error)) => warn!(error = %Chain(&error), "{begins_anew}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(%error, "{begins_anew}"),
        }
        None
    }

    /// Keeps `state`; a full disk is no reason to stop.
    pub fn keep(&self, state: &[u8]) {
        let temporary = self.0.with_extension("state.tmp");
        if let Err(error) = fs::write(&temporary, state).and_then(|()| fs::rename(&temporary, &self.0)) {
            debug!(%error, "what was metered was not written");
        }
    }
}
