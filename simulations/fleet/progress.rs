//! How far a simulation is, for a person at a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use muster::time::{HOUR_MS, Timestamp};

use crate::scenario::Scenario;

/// A bar of simulated hours on a terminal; nothing in a pipe.
pub struct Progress {
    bar: Option<ProgressBar>,
    start: Timestamp,
}

impl Progress {
    /// At the start of a run.
    pub fn new(scenario: &Scenario) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::from(scenario.days) * 24);
            let style = ProgressStyle::with_template("{bar:40} hour {pos} of {len}, {eta} to go");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress { bar, start: scenario.start }
    }

    /// The world has come to `at`.
    pub fn reached(&self, at: Timestamp) {
        if let Some(bar) = &self.bar {
            bar.set_position((at.ms_since(self.start) / HOUR_MS) as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
