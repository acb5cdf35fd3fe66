//! The lock on a file (flock): who holds it has what the file stands for.
//!
//! A lock may outlive its holder for moments: a child that another thread has just started keeps all files until it
//! runs its own program, and sled's threads let go of their file a little after the store is dropped. So whoever wants
//! one waits for a while.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Longer than a look at a lock or the start of a child takes.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// Between two tries.
const LOOK_TIME: Duration = Duration::from_millis(5);

/// Locks `file` for this handle alone; `false` when somebody else holds it for `patience`. Waits: not for actors' threads
/// once they run.
pub fn lock(file: &File, patience: Duration) -> io::Result<bool> {
    let began = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if began.elapsed() < patience => std::thread::sleep(LOOK_TIME),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until nobody holds `file`, for `patience` at most; `false` when somebody still does.
pub fn is_free(file: &File, patience: Duration) -> io::Result<bool> {
    let free = lock(file, patience)?;
    if free {
        // By word, not by closing: a child that was started meanwhile would keep it.
        flock(file, FlockOperation::Unlock)?;
    }
    Ok(free)
}

/// Whether somebody holds `file` now.
pub fn is_held(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => flock(file, FlockOperation::Unlock).map(|()| false).map_err(io::Error::from),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_as_long_as_it_is_said_and_a_look_leaves_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let holder = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        assert!(is_free(&other, Duration::ZERO).unwrap() && !is_held(&other).unwrap());
        assert!(lock(&holder, Duration::ZERO).unwrap(), "who looked holds nothing");
        assert!(!lock(&other, Duration::from_millis(20)).unwrap() && is_held(&other).unwrap());
        assert!(!is_free(&other, Duration::ZERO).unwrap());
        let waited = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&other, Duration::from_secs(60)));
            drop(holder);
            waiting.join().unwrap()
        });
        assert!(waited.unwrap(), "long before its patience ends");
    }
}
