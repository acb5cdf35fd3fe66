//! How long the steps of a command take, and how much memory it needs: for `--timing`.

use std::time::Instant;

/// Seconds between calls.
#[derive(Debug)]
pub struct Laps(Instant);

impl Default for Laps {
    fn default() -> Laps {
        Laps(Instant::now())
    }
}

impl Laps {
    /// Seconds since the last call, or since the beginning.
    pub fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.0).as_secs_f64();
        self.0 = now;
        seconds
    }
}

/// Most memory that the process has held at once; 0 where the system does not say.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
