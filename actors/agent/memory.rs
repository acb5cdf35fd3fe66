//! What an agent keeps of its schedule and its servers over a restart.
//!
//! ```text
//! DATA/memory.json   the last run of each event, what was measured of each server, when policy is asked for at the latest
//! ```
//!
//! Not synced: what a power cut takes costs a run that is made again, or a few pings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster::schedule::Ran;
use muster::time::Timestamp;
use muster::upload::selector::Measures;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

/// Longest file that is read: a thousand servers with sixteen addresses each.
const BYTES_MAX: u64 = 8 << 20;

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentMemory {
    /// The last run of each event.
    pub ran: Vec<Ran>,
    /// What was measured.
    pub measures: Measures,
    /// When policy is asked for at the latest, whatever the schedule says.
    pub policy_by: Option<Timestamp>,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct MemoryFile(PathBuf);

impl MemoryFile {
    /// In this data folder.
    pub fn new(data: &Path) -> MemoryFile {
        MemoryFile(data.join("memory.json"))
    }

    /// What an earlier life left; nothing when there is none or it does not read.
    pub fn load(&self) -> AgentMemory {
        let read = fs::metadata(&self.0).and_then(|found| match found.len() {
            length if length > BYTES_MAX => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
            _ => fs::read(&self.0),
        });
        match read {
            Ok(json) => serde_json::from_slice(&json).unwrap_or_else(|error| {
                warn!(%error, "what this agent remembered does not read, it begins anew");
                AgentMemory::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => AgentMemory::default(),
            Err(error) => {
                warn!(%error, "what this agent remembered cannot be read, it begins anew");
                AgentMemory::default()
            }
        }
    }

    /// Keeps `memory`; a full disk is no reason to stop.
    pub fn keep(&self, memory: &AgentMemory) {
        let temporary = self.0.with_extension("json.tmp");
        let json = serde_json::to_vec(memory).unwrap_or_default();
        if let Err(error) = fs::write(&temporary, json).and_then(|()| fs::rename(&temporary, &self.0)) {
            debug!(%error, "what this agent is to remember was not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use muster::id::Guid;

    use super::*;

    #[test]
    fn what_is_kept_is_there_again_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = MemoryFile::new(folder.path());
        assert_eq!(file.load(), AgentMemory::default());
        let ran = vec![Ran { event: Guid::from_random([1; 16]), occurrence: Timestamp(7) }];
        let policy_by = Some(Timestamp(9));
        let mut memory = AgentMemory { ran, policy_by, ..AgentMemory::default() };
        memory.measures.transferred(Guid::from_random([2; 16]), 1 << 20, 10);
        file.keep(&memory);
        assert_eq!(file.load(), memory);
        for nonsense in ["", "{", "[]", "{\"ran\": 7}"] {
            fs::write(folder.path().join("memory.json"), nonsense).unwrap();
            assert_eq!(file.load(), AgentMemory::default(), "{nonsense}");
        }
    }
}
