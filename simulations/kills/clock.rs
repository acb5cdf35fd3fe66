//! Steps the clock of a running node: libfaketime, loaded before it, reads the offset from a file.
//!
//! Only the time of day is changed. Waits go by the monotonic clock, which stays as it is.

use std::io;
use std::path::{Path, PathBuf};

/// Where Debian, Fedora and others put the library for programs with threads.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// The library, where this host has it.
pub fn library() -> Option<PathBuf> {
    PLACES.map(PathBuf::from).into_iter().find(|path| path.is_file())
}

/// The clock of one node.
#[derive(Clone, Debug)]
pub struct Stepped {
    library: PathBuf,
    offset: PathBuf,
}

impl Stepped {
    /// A clock that goes right, and reads its offset from the file `offset`, which is written here.
    pub fn new(library: &Path, offset: PathBuf) -> io::Result<Stepped> {
        let clock = Stepped { library: library.to_owned(), offset };
        clock.step(0)?;
        Ok(clock)
    }

    /// From now on, within a second, it is `days` off.
    pub fn step(&self, days: i8) -> io::Result<()> {
        // A reader must not meet half a line.
        let temporary = self.offset.with_extension("new");
        std::fs::write(&temporary, format!("{days:+}d\n"))?;
        std::fs::rename(&temporary, &self.offset)
    }

    /// The environment of a process that goes by it.
    pub fn environment(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.clone()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            // Ages of files are the file system's.
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_sees_the_step_where_the_library_is_there() {
        let folder = tempfile::tempdir().unwrap();
        // Without the library nothing can be stepped, and runs say so.
        let Some(library) = library() else { return };
        let clock = Stepped::new(&library, folder.path().join("clock")).unwrap();
        let seconds = || {
            let output = Command::new("date").arg("+%s").envs(clock.environment()).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<i64>().unwrap()
        };
        let right = seconds();
        clock.step(1).unwrap();
        let ahead = seconds();
        clock.step(-1).unwrap();
        let behind = seconds();
        assert!((86_400..86_500).contains(&(ahead - right)), "{right} {ahead}");
        assert!((-86_400..-86_300).contains(&(behind - right)), "{right} {behind}");
    }
}
