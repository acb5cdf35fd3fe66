//! What the disk can do at best: bodies appended and synced, with nothing around it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster::rng::RngStream;

/// Bodies of one group.
const GROUP: usize = 64;
/// A file is followed by the next one at this size, as the node's segments are.
const FILE_BYTES: u64 = 64 << 20;

/// Why the floors cannot be measured.
#[derive(Debug, thiserror::Error)]
#[error("cannot measure the disk's floors in --floor-dir `{}`", dir.display())]
pub struct FloorError {
    dir: PathBuf,
    source: io::Error,
}

/// Bodies a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// One body, one sync.
    pub f1_per_s: f64,
    /// 64 bodies, one sync.
    pub f64_per_s: f64,
}

/// Measures in one folder.
pub struct Floors {
    dir: PathBuf,
    body: Vec<u8>,
}

impl Floors {
    /// Floors for bodies of `size` bytes on the disk below `dir`, which must be there.
    pub fn new(dir: &Path, size: usize) -> Result<Floors, FloorError> {
        let mut rng = RngStream::new(size as u64, 1, 0);
        let body = (0..size).map(|_| rng.bits() as u8).collect();
        let floors = Floors { dir: dir.to_path_buf(), body };
        // Said at once, not after minutes of uploads.
        let tried = Scratch::new(&floors.dir).map(drop);
        tried.map_err(|source| floors.error(source))?;
        Ok(floors)
    }

    /// Both floors, each for `time`.
    pub fn measure(&self, time: Duration) -> Result<Floor, FloorError> {
        let rate = |group| self.rate(group, time).map_err(|source| self.error(source));
        Ok(Floor { f1_per_s: rate(1)?, f64_per_s: rate(GROUP)? })
    }

    fn error(&self, source: io::Error) -> FloorError {
        FloorError { dir: self.dir.clone(), source }
    }

    fn rate(&self, group: usize, time: Duration) -> io::Result<f64> {
        let mut scratch = Scratch::new(&self.dir)?;
        let (mut spent, mut bodies) = (Duration::ZERO, 0usize);
        while spent < time {
            if scratch.bytes >= FILE_BYTES {
                scratch.next()?;
            }
            let began = Instant::now();
            let mut slices = vec![IoSlice::new(&self.body); group];
            let mut slices = &mut slices[..];
            while !slices.is_empty() {
                let written = scratch.file.write_vectored(slices)?;
                IoSlice::advance_slices(&mut slices, written);
            }
            scratch.file.sync_data()?;
            spent += began.elapsed();
            bodies += group;
            scratch.bytes += (group * self.body.len()) as u64;
        }
        Ok(bodies as f64 / spent.as_secs_f64())
    }
}

/// A file that is gone when it is dropped.
struct Scratch {
    dir: PathBuf,
    paths: Vec<PathBuf>,
    file: File,
    bytes: u64,
}

impl Scratch {
    fn new(dir: &Path) -> io::Result<Scratch> {
        let path = dir.join(format!("muster-sim-floor-{}-0", std::process::id()));
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        Ok(Scratch { dir: dir.to_path_buf(), paths: vec![path], file, bytes: 0 })
    }

    fn next(&mut self) -> io::Result<()> {
        let name = format!("muster-sim-floor-{}-{}", std::process::id(), self.paths.len());
        let path = self.dir.join(name);
        self.file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        self.bytes = 0;
        self.paths.push(path);
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = fs::remove_file(path);
        }
        // The disk's work on what was removed must not fall into the measurement that follows.
        let _ = File::open(&self.dir).and_then(|dir| dir.sync_all());
    }
}
