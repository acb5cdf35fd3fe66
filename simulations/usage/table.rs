//! What was told of each program beside what it did.

use std::time::Duration;

use super::script::Use;

/// One program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its package, the name of the application in reports.
    pub application: String,
    /// Its file.
    pub program: String,
    /// What it did.
    pub was: Use,
    /// What the usage files say.
    pub files: Use,
    /// What the server shows on the device.
    pub device: Use,
    /// Whether a meter may miss it: it lived shorter than a sample.
    pub is_short: bool,
    /// How far a time may be off.
    pub tolerance: Duration,
}

impl Row {
    /// By how much the files' time is off.
    pub fn off(&self) -> Duration {
        self.files.time.abs_diff(self.was.time)
    }

    /// Whether runs are exact, times within bounds, and the server shows what the files say.
    pub fn is_right(&self) -> bool {
        // One that lived between two samples is never seen, and one that a sample met ran at that moment.
        let runs = if self.is_short { self.files.runs <= self.was.runs } else { self.files.runs == self.was.runs };
        runs && self.off() <= self.tolerance && self.device == self.files
    }

    /// The names of the columns.
    pub fn head() -> String {
        let names = ["runs", "in files", "at server", "s", "in files", "at server", "off"];
        names.iter().fold(format!("{:<20}", "application"), |line, name| format!("{line} {name:>9}"))
    }

    /// Its line below [`Row::head`].
    pub fn line(&self) -> String {
        let secs = |used: Use| format!("{:.1}", used.time.as_secs_f64());
        let cells = [
            self.was.runs.to_string(),
            self.files.runs.to_string(),
            self.device.runs.to_string(),
            secs(self.was),
            secs(self.files),
            secs(self.device),
            format!("{:.1}", self.off().as_secs_f64()),
        ];
        let line =
            cells.iter().fold(format!("{:<20}", format!("{} {}", self.application, self.program)), |line, cell| {
                format!("{line} {cell:>9}")
            });
        let note = match (self.is_right(), self.is_short) {
            (false, _) => "  WRONG",
            (true, true) => "  shorter than a sample: may be missed",
            (true, false) => "",
        };
        line + note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_must_be_exact_times_near_and_the_server_of_one_word_with_the_files() {
        let used = |runs, secs| Use { runs, time: Duration::from_secs(secs) };
        let row = |was, files, device, is_short| {
            let tolerance = Duration::from_secs(60);
            Row { application: "sed".into(), program: "sed".into(), was, files, device, is_short, tolerance }
        };
        assert!(row(used(2, 300), used(2, 360), used(2, 360), false).is_right());
        assert!(!row(used(2, 300), used(2, 361), used(2, 361), false).is_right());
        assert!(!row(used(2, 300), used(1, 300), used(1, 300), false).is_right());
        assert!(!row(used(2, 300), used(2, 300), used(2, 299), false).is_right());
        let missed = row(used(1, 30), used(0, 0), used(0, 0), true);
        assert!(missed.is_right() && missed.line().contains("may be missed"));
        assert!(!row(used(1, 30), used(2, 30), used(2, 30), true).is_right());
        assert!(row(used(1, 30), used(0, 0), used(0, 0), false).line().ends_with("WRONG"));
    }
}
