//! A log that operators read: a line an event, rewritten by nobody.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use muster::time::Timestamp;
use tracing::warn;

/// A file that has grown to this is set aside as `NAME.1`, in place of the one before.
const BYTES_MAX: u64 = 16 << 20;

/// See the module's head. What the disk does not take is told once and lost: tasks and their outcomes are facts, not lines.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    open: Option<BufWriter<File>>,
    bytes: u64,
    has_failed: bool,
}

impl LogFile {
    /// `NAME.log` in the folder `logs` below `data`.
    pub fn new(data: &Path, name: &str) -> LogFile {
        let path = data.join("logs").join(format!("{name}.log"));
        LogFile { path, open: None, bytes: 0, has_failed: false }
    }

    /// Adds a line with its time; seen after [`LogFile::flush`].
    pub fn write(&mut self, now: Timestamp, line: &dyn Display) {
        // One event is one line, whatever a task prints.
        let line = format!("{} {line}", now.to_rfc3339()).replace(['\n', '\r'], " ");
        let written = self.ready().and_then(|open| writeln!(open, "{line}"));
        self.bytes += line.len() as u64 + 1;
        self.noted(written);
    }

    /// Hands to the system what was written.
    pub fn flush(&mut self) {
        let flushed = self.open.as_mut().map_or(Ok(()), Write::flush);
        self.noted(flushed);
    }

    fn ready(&mut self) -> std::io::Result<&mut BufWriter<File>> {
        if self.bytes >= BYTES_MAX
            && let Some(mut full) = self.open.take()
        {
            full.flush()?;
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            none => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                self.bytes = file.metadata()?.len();
                Ok(none.insert(BufWriter::new(file)))
            }
        }
    }

    fn noted(&mut self, result: std::io::Result<()>) {
        match result {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                self.open = None;
                if !std::mem::replace(&mut self.has_failed, true) {
                    warn!(path = %self.path.display(), %error, "lines of a log are lost");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_a_file_that_has_grown_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::new(folder.path(), "batch-scheduler");
        log.write(Timestamp(0), &"one\ntwo");
        log.flush();
        let path = folder.path().join("logs/batch-scheduler.log");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1970-01-01T00:00:00.000Z one two\n");
        log.bytes = BYTES_MAX;
        log.write(Timestamp(1), &"three");
        log.flush();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1970-01-01T00:00:00.001Z three\n");
        assert!(folder.path().join("logs/batch-scheduler.log.1").exists());
        // Another life goes on behind it.
        let mut log = LogFile::new(folder.path(), "batch-scheduler");
        log.write(Timestamp(2), &"four");
        log.flush();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("three\n1970-01-01T00:00:00.002Z four\n"));
    }
}
