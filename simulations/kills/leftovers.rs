//! What a run with real processes has to take back when it is ended from outside: its nodes and its small disk.
//!
//! Whoever sends a signal may send it to this process alone, and nothing is dropped by one that ends by a signal.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use muster_actors::command::asked_to_stop;
use rustix::process::{Pid, Signal, kill_process};

/// As shells tell of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Processes that run, and what is mounted.
struct Leftovers {
    pids: Vec<Pid>,
    mounts: Vec<PathBuf>,
}

static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers { pids: Vec::new(), mounts: Vec::new() });

fn leftovers() -> MutexGuard<'static, Leftovers> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process that ends with this one. Nothing is started while this process is being ended.
pub(super) fn starting<E>(start: impl FnOnce() -> Result<std::process::Child, E>) -> Result<std::process::Child, E> {
    let mut held = leftovers();
    let child = start()?;
    held.pids.push(Pid::from_child(&child));
    Ok(child)
}

/// A process is about to be reaped.
pub(super) fn ended(pid: Pid) {
    leftovers().pids.retain(|known| *known != pid);
}

/// A folder was mounted.
pub(super) fn mounted(folder: &Path) {
    leftovers().mounts.push(folder.to_owned());
}

/// A folder is mounted no more.
pub(super) fn unmounted(folder: &Path) {
    leftovers().mounts.retain(|known| known != folder);
}

/// From now on Ctrl-C and SIGTERM take the nodes along, and what is mounted for them.
pub fn end_with_this_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let waiting = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            if runtime.block_on(asked_to_stop()).is_err() {
                return;
            }
            // Kept to the end, so that no node begins any more.
            let held = leftovers();
            for pid in &held.pids {
                let _ = kill_process(*pid, Signal::KILL);
            }
            for folder in &held.mounts {
                unmount(folder);
            }
            std::process::exit(INTERRUPTED);
        };
        // Without it the run goes on all the same.
        drop(std::thread::Builder::new().name("signals".into()).spawn(waiting));
    });
}

/// Lets go of a folder that was mounted.
pub(super) fn unmount(folder: &Path) {
    // Lazily: a process that is about to end may still hold a file.
    drop(Command::new("umount").arg("-l").arg(folder).stderr(Stdio::null()).status());
}
