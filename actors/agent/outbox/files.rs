//! How the outbox stores, removes and moves its files.

use std::io;

use muster::formats::wire::BODY_BYTES_MAX;
use muster::time::Timestamp;
use tracing::warn;

use super::{ENVELOPE, OutboxError};
use crate::log::{Disk, read_file, replace_file};

pub(super) fn store(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), OutboxError> {
    replace_file(disk, name, bytes).map_err(|source| {
        // A full disk needs the room of the torn file.
        drop(disk.remove(&format!("{name}.tmp")));
        OutboxError::Write { name: name.into(), source }
    })
}

pub(super) fn remove_leftover(disk: &dyn Disk, name: &str) {
    if let Err(error) = disk.remove(name) {
        warn!(file = name, %error, "leftover file was not removed");
    }
}

/// Moves a file and its envelope, durable there before it leaves here; keeps the last `kept` there.
pub(super) fn move_with_envelope(from: &dyn Disk, to: &dyn Disk, name: &str, now: Timestamp, kept: usize) {
    let moved = || -> io::Result<()> {
        for part in [format!("{name}{ENVELOPE}"), name.to_string()] {
            if let Some(bytes) = read_file(from, &part, 2 * BODY_BYTES_MAX)? {
                replace_file(to, &format!("{} {part}", now.to_stamp()), &bytes)?;
                from.remove(&part)?;
            }
        }
        let mut names = to.list()?;
        names.retain(|name| !name.ends_with(ENVELOPE));
        names.sort();
        for old in names.iter().rev().skip(kept) {
            to.remove(old)?;
            // Not every damaged file has one.
            drop(to.remove(&format!("{old}{ENVELOPE}")));
        }
        Ok(())
    };
    if let Err(error) = moved() {
        warn!(file = name, %error, "file was not moved out of the queue, the next start tries again");
    }
}
