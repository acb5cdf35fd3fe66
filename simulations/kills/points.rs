//! Named points of a node's work at which it is killed, seen from outside: by what passes its links, by its files, by
//! what its operators see.

use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::hierarchy::Role;
use super::{KillError, Node};
use crate::proxy::{Moment, Proxy};

/// A point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The last byte of an upload has gone to the node.
    BeforeSync,
    /// Its package log has grown; the sync of that is under way or not begun.
    AfterWrite,
    /// A receipt has left it, so the package is synced, and the sender never gets that receipt.
    AfterSync,
    /// A receipt has reached the sender.
    AfterAnswer,
    /// A file was renamed in its folder while it was at work.
    AfterRename,
    /// A file was renamed in its folder when it started.
    AfterFirstRename,
    /// (server) Operators see that more packages are imported.
    AfterImportCommit,
}

/// How long a point is waited for.
const WITHIN: Duration = Duration::from_millis(1_500);
/// Which rename of a life is not one of its beginning.
const OF_WORK: u32 = 3;
/// From look to look at what an inotify queue holds.
const LOOK: Duration = Duration::from_micros(100);

impl Point {
    /// Every point.
    pub const ALL: [Point; 7] = [
        Point::BeforeSync,
        Point::AfterWrite,
        Point::AfterSync,
        Point::AfterAnswer,
        Point::AfterRename,
        Point::AfterFirstRename,
        Point::AfterImportCommit,
    ];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Point::BeforeSync => "kill-before-sync",
            Point::AfterWrite => "kill-after-write",
            Point::AfterSync => "kill-after-sync",
            Point::AfterAnswer => "kill-after-answer",
            Point::AfterRename => "kill-after-rename",
            Point::AfterFirstRename => "kill-after-first-rename",
            Point::AfterImportCommit => "kill-after-import-commit",
        }
    }

    /// Nodes that come by it.
    pub fn victims(self) -> &'static [Role] {
        match self {
            Point::BeforeSync | Point::AfterWrite | Point::AfterSync | Point::AfterAnswer => &Role::RECEIVERS,
            // The agent writes what it is about over and over; beacons rename their policy when it changes only.
            Point::AfterRename | Point::AfterFirstRename => &[Role::Agent],
            Point::AfterImportCommit => &[Role::Server],
        }
    }

    /// Waits until `node`, whose data is below `folder`, comes by, and kills it there. Whether it came by; it is
    /// reaped then, else alive.
    pub fn kill(self, node: &mut Node, folder: &Path, proxy: &Proxy) -> Result<bool, KillError> {
        let data = folder.join(node.role().as_str());
        let came_by = match self {
            Point::BeforeSync => caught(node, proxy, Moment::RequestPassed),
            Point::AfterSync => caught(node, proxy, Moment::AnswerCame),
            Point::AfterAnswer => caught(node, proxy, Moment::AnswerPassed),
            Point::AfterWrite => seen(&data.join("packages"), WatchFlags::MODIFY, ReadFlags::MODIFY),
            // One with nothing to do renames nothing: then it begins a life, which has work.
            Point::AfterRename => {
                seen(&data, WatchFlags::MOVED_TO, ReadFlags::MOVED_TO) || renamed_in_new_life(node, &data, OF_WORK)?
            }
            Point::AfterFirstRename => renamed_in_new_life(node, &data, 1)?,
            Point::AfterImportCommit => has_imported(node),
        };
        if came_by {
            node.kill()?;
        }
        Ok(came_by)
    }
}

fn caught(node: &Node, proxy: &Proxy, moment: Moment) -> bool {
    node.pid().is_some_and(|pid| proxy.traps().catch(node.role().as_str(), moment, pid, WITHIN))
}

/// Lets it begin a life and waits for its rename number `number`.
fn renamed_in_new_life(node: &mut Node, data: &PathBuf, number: u32) -> Result<bool, KillError> {
    node.kill()?;
    let watch = watch(data, WatchFlags::MOVED_TO);
    node.spawn()?;
    Ok(watch.is_ok_and(|watch| wait(&watch, ReadFlags::MOVED_TO, number)))
}

fn watch(folder: &PathBuf, flags: WatchFlags) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, folder, flags)?;
    Ok(watch)
}

fn seen(folder: &PathBuf, flags: WatchFlags, event: ReadFlags) -> bool {
    // A node that has not made its folder yet comes by another time.
    watch(folder, flags).is_ok_and(|watch| wait(&watch, event, 1))
}

/// Waits for so many of such events.
fn wait(watch: &rustix::fd::OwnedFd, wanted: ReadFlags, mut number: u32) -> bool {
    let until = Instant::now() + WITHIN;
    let mut buffer = [MaybeUninit::uninit(); 4_096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    while Instant::now() < until {
        match events.next() {
            Ok(event) => number -= u32::from(event.events().intersects(wanted)),
            Err(_) => std::thread::sleep(LOOK),
        }
        if number == 0 {
            return true;
        }
    }
    false
}

/// Waits until the server tells of more imported packages than at first.
fn has_imported(server: &Node) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
    let Some(operator) = server.operator() else { return false };
    let url = format!("http://{operator}/api/v1/ledger/summary");
    let asked = async {
        let client = reqwest::Client::new();
        let imported = async || {
            let text = client.get(&url).send().await.ok()?.text().await.ok()?;
            serde_json::from_str::<serde_json::Value>(&text).ok()?["imported"].as_u64()
        };
        let mut first = None;
        loop {
            match (first, imported().await) {
                (Some(first), Some(now)) if now > first => return,
                (None, now) => first = now,
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    runtime.block_on(async { tokio::time::timeout(WITHIN, asked).await }).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_and_a_rename_are_seen_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let file = path.join("a");
        std::fs::write(&file, b"1").unwrap();
        let renamed = watch(&path, WatchFlags::MOVED_TO).unwrap();
        let written = watch(&path, WatchFlags::MODIFY).unwrap();
        std::fs::File::options().append(true).open(&file).unwrap().set_len(1).unwrap();
        assert!(!wait(&renamed, ReadFlags::MOVED_TO, 1), "nothing was renamed");
        std::fs::write(&file, b"12").unwrap();
        assert!(wait(&written, ReadFlags::MODIFY, 1));
        std::fs::rename(&file, path.join("b")).unwrap();
        std::fs::rename(path.join("b"), &file).unwrap();
        assert!(wait(&renamed, ReadFlags::MOVED_TO, 2));
    }
}
