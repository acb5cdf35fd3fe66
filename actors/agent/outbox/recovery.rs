//! What a start makes of the folders it finds.

use std::collections::BTreeSet;
use std::path::PathBuf;

use muster::formats::wire::BODY_BYTES_MAX;
use muster::id::{Digest, Guid};
use muster::model::package::{Envelope, Kind};
use muster::model::stored;
use muster::time::Timestamp;
use tracing::error;

use super::files::{move_with_envelope, remove_leftover, store};
use super::{DAMAGED_KEPT, ENVELOPE, Outbox, OutboxError, RECORD_BYTES_MAX, STATE, State, random};
use crate::log::{Disk, read_file};

impl Outbox {
    /// Reads queue and state anew from the disk.
    pub(super) fn recover(&mut self, now: Timestamp) -> Result<(), OutboxError> {
        let mut found = Vec::new();
        for (kind, disk) in &self.disks.uploads {
            let path = || PathBuf::from("uploads").join(kind.as_str());
            let names = disk.list().map_err(|source| OutboxError::Folder { path: path(), source })?;
            let names: BTreeSet<String> = names.into_iter().collect();
            for name in &names {
                if name.ends_with(".tmp") {
                    remove_leftover(disk.as_ref(), name);
                } else if let Some(of) = name.strip_suffix(ENVELOPE) {
                    if !names.contains(of) {
                        remove_leftover(disk.as_ref(), name);
                    }
                } else {
                    match read_published(disk.as_ref(), *kind, name) {
                        Ok(envelope) => found.push((name.clone(), envelope)),
                        Err(why) => {
                            error!(file = name, why, "queued file is damaged, kept in `damaged`");
                            move_with_envelope(disk.as_ref(), self.disks.damaged.as_ref(), name, now, DAMAGED_KEPT);
                        }
                    }
                }
            }
        }
        let others = [&self.disks.data, &self.disks.inventories, &self.disks.sent];
        for disk in others.into_iter().chain([&self.disks.refused, &self.disks.damaged]) {
            let names = disk.list().unwrap_or_default();
            names.iter().filter(|name| name.ends_with(".tmp")).for_each(|name| remove_leftover(disk.as_ref(), name));
        }
        self.recover_state(&found, now)?;
        // Within a stream the newer one gets the larger number: this epoch is newer than any other.
        let epoch = self.state.epoch;
        found.sort_by_key(|(name, envelope)| {
            let sequence = envelope.sequence.map(|sequence| (sequence.epoch == epoch, sequence.number));
            (sequence, envelope.collected_at, name.clone())
        });
        self.items.clear();
        for (name, envelope) in found {
            self.enter(name, envelope);
        }
        self.recover_kept(now);
        Ok(())
    }

    /// Reads the state, or makes a new epoch when it is lost; the GUID then comes from what is queued, if it can.
    fn recover_state(&mut self, found: &[(String, Envelope)], now: Timestamp) -> Result<(), OutboxError> {
        let data = self.disks.data.clone();
        let read = read_file(data.as_ref(), STATE, RECORD_BYTES_MAX);
        if let Ok(Some(bytes)) = &read
            && let Ok(state) = stored::unpack::<State>(bytes)
        {
            self.state = state;
            return Ok(());
        }
        match read {
            Ok(None) => {}
            Ok(Some(_)) => {
                error!("`agent-state` is damaged, a new epoch begins");
                move_with_envelope(data.as_ref(), self.disks.damaged.as_ref(), STATE, now, DAMAGED_KEPT);
            }
            Err(source) => return Err(OutboxError::Read { name: STATE.into(), source }),
        }
        // Who is known has told of services maybe; who is new has told nothing.
        let known = found.iter().find_map(|(_, envelope)| envelope.origin.as_str().parse().ok());
        let has_services = known.is_some();
        let guid = match known {
            Some(guid) => guid,
            None => Guid::from_random(random()?),
        };
        let epoch = u64::from_le_bytes(random()?);
        self.state = State::new(guid, epoch, has_services);
        store(data.as_ref(), STATE, &stored::pack(&self.state))
    }
}

/// The envelope of a file in the queue when both are what was published, else what is wrong.
fn read_published(disk: &dyn Disk, kind: Kind, name: &str) -> Result<Envelope, &'static str> {
    let envelope = read_file(disk, &format!("{name}{ENVELOPE}"), RECORD_BYTES_MAX).ok().flatten();
    let envelope: Envelope = stored::unpack(&envelope.ok_or("no envelope")?).map_err(|_| "its envelope is damaged")?;
    if envelope.kind != kind || *envelope.file_name != *name {
        return Err("its envelope is of another file");
    }
    let bytes = read_file(disk, name, BODY_BYTES_MAX).ok().flatten().ok_or("it cannot be read")?;
    if bytes.len() as u64 != envelope.size || Digest::of(&bytes) != envelope.digest {
        return Err("its digest is another one");
    }
    Ok(envelope)
}
