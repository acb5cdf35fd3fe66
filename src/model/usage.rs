//! Use of software: which processes a machine runs, which application each belongs to, and how much a user used it.
//!
//! A process is known by its number, its start, its executable and its user. Its arguments and its environment may hold
//! secrets and never enter: there is no field for them.
//!
//! Source: agent-beacon-batch reference, section 5; operating document on normal operation, step 4.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::software::{EVIDENCE_CHARS_MAX, NAME_CHARS_MAX, VERSION_CHARS_MAX};
use crate::time::{DAY_MS, Timestamp};

/// Characters of a user's name at most.
pub const USER_CHARS_MAX: usize = 256;
/// Characters of a file's name at most. Source: agent-beacon-batch reference, section 4.2.
pub const FILE_NAME_CHARS_MAX: usize = 256;
/// Characters of the company of a file at most. Source: agent-beacon-batch reference, section 4.2.
pub const FILE_COMPANY_CHARS_MAX: usize = 100;

/// A week in milliseconds.
pub const WEEK_MS: i64 = 7 * DAY_MS;
/// Monday, 5 January 1970, 00:00 UTC: weeks of usage begin on Monday.
pub const FIRST_MONDAY: Timestamp = Timestamp(4 * DAY_MS);

/// Monday 00:00 UTC of the week that `at` lies in.
pub fn week_of(at: Timestamp) -> Timestamp {
    let week = at.0.saturating_sub(FIRST_MONDAY.0).div_euclid(WEEK_MS);
    Timestamp(week.saturating_mul(WEEK_MS)).plus_ms(FIRST_MONDAY.0)
}

/// One process at the moment of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSample {
    /// Its number; reused by the system.
    pub pid: u32,
    /// Tells it from every other process that has or had the number, on this boot and on others. Means nothing else.
    pub start: u64,
    /// Number of its parent at this moment; 0 for none.
    pub parent: u32,
    /// How long it has been running, in milliseconds, by a clock that nobody sets.
    pub age_ms: u64,
    /// Its executable, without arguments.
    pub path: Arc<str>,
    /// The user it runs as.
    pub user: Arc<str>,
    /// Whether it is at work rather than waiting; what that means is up to the one who samples.
    pub is_active: bool,
}

/// A program as installation data names it: an executable and the package that it belongs to. Two executables of equal
/// values are one.
///
/// In the order of name and version first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Application {
    /// Name of the package: what the inventory calls it too.
    pub name: Box<str>,
    /// Version of the package, as the inventory has it.
    pub version: Box<str>,
    /// Publisher: the company of the file.
    pub publisher: Box<str>,
    /// Name of the executable.
    pub file_name: Box<str>,
    /// Product that the file belongs to.
    pub product: Box<str>,
    /// Installation data that says so, as the inventory names it: `deb`, `rpm`, `swidtag`; empty when none does.
    pub evidence: Box<str>,
}

impl Application {
    /// The application of an executable that no installation data knows: its file name, on Windows or UNIX.
    pub fn of_file(path: &str) -> Application {
        let file: &str = path.rsplit(['/', '\\']).next().unwrap_or(path);
        Application { name: file.into(), file_name: file.into(), ..Application::default() }
    }

    /// Each text cut at its number of characters, as the reader of usage files cuts it.
    pub fn bounded(mut self) -> Application {
        for (text, chars) in [
            (&mut self.name, NAME_CHARS_MAX),
            (&mut self.version, VERSION_CHARS_MAX),
            (&mut self.publisher, FILE_COMPANY_CHARS_MAX),
            (&mut self.file_name, FILE_NAME_CHARS_MAX),
            (&mut self.product, NAME_CHARS_MAX),
            (&mut self.evidence, EVIDENCE_CHARS_MAX),
        ] {
            if let Some((end, _)) = text.char_indices().nth(chars) {
                *text = text[..end].into();
            }
        }
        self
    }
}

/// Says which package an executable belongs to.
///
/// Asked once for a process, at its first sight; answers should come from memory. Made from installation data (lists of
/// files of packages), never from a look at the file itself. Any closure of this shape is one.
pub trait Attribution: Send + Sync {
    /// The application of `path`, or `None` when no installation data names it.
    fn application(&self, path: &str) -> Option<Arc<Application>>;
}

impl<F: Fn(&str) -> Option<Arc<Application>> + Send + Sync> Attribution for F {
    fn application(&self, path: &str) -> Option<Arc<Application>> {
        self(path)
    }
}

/// How much one user used one program, or an application of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Usage {
    /// Starts: runs that began, a run being a process with its descendants of the same program.
    pub runs: u64,
    /// Seconds that its runs lasted, each counted once however many processes it had. More than passed when runs overlap.
    pub run_secs: u64,
    /// Seconds of them during which a process of the run was active.
    pub active_secs: u64,
    /// When it was seen running last.
    pub last_used: Option<Timestamp>,
}

impl Usage {
    /// Both together; sums saturate.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            runs: self.runs.saturating_add(other.runs),
            run_secs: self.run_secs.saturating_add(other.run_secs),
            active_secs: self.active_secs.saturating_add(other.active_secs),
            last_used: self.last_used.max(other.last_used),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_executable_is_named_after_its_file() {
        for (path, name) in [
            ("/opt/acme/bin/draw", "draw"),
            (r"C:\Program Files\Acme\draw.exe", "draw.exe"),
            ("draw", "draw"),
            ("", ""),
        ] {
            let application = Application::of_file(path);
            assert_eq!((&*application.name, &*application.file_name, &*application.evidence), (name, name, ""));
        }
    }

    #[test]
    fn texts_are_cut_at_a_character_where_the_reader_of_usage_files_cuts_them() {
        let long: Box<str> = "\u{e9}".repeat(300).into();
        let all = |text: Box<str>| Application {
            name: text.clone(),
            version: text.clone(),
            publisher: text.clone(),
            file_name: text.clone(),
            product: text.clone(),
            evidence: text,
        };
        let cut = all(long).bounded();
        let lengths = [&cut.name, &cut.version, &cut.publisher, &cut.file_name, &cut.product, &cut.evidence];
        assert_eq!(lengths.map(|text| text.chars().count()), [256, 72, 100, 256, 256, 32]);
        assert_eq!(all("short".into()).bounded(), all("short".into()));
    }

    #[test]
    fn sums_saturate_and_keep_the_later_use() {
        let a = Usage { runs: u64::MAX, run_secs: 5, active_secs: 1, last_used: Some(Timestamp(7)) };
        let b = Usage { runs: 1, run_secs: 6, active_secs: 2, last_used: None };
        let both = Usage { runs: u64::MAX, run_secs: 11, active_secs: 3, last_used: Some(Timestamp(7)) };
        assert_eq!((a.plus(b), b.plus(a)), (both, both));
    }

    #[test]
    fn a_week_begins_on_monday_at_midnight_utc() {
        let at = |stamp| Timestamp::from_stamp(stamp).unwrap();
        for (moment, monday) in [
            ("20250310T000000", "20250310T000000"),
            ("20250313T164200", "20250310T000000"),
            ("20250316T235959", "20250310T000000"),
            ("20250317T000000", "20250317T000000"),
            ("19691231T000000", "19691229T000000"),
        ] {
            assert_eq!(week_of(at(moment)), at(monday), "{moment}");
        }
        assert!(week_of(Timestamp(i64::MIN)) < week_of(Timestamp::NEVER));
    }

    #[test]
    fn a_closure_is_an_attribution() {
        let draw = Arc::new(Application::of_file("draw"));
        let known = draw.clone();
        let attribution = move |path: &str| (path == "/opt/draw").then(|| known.clone());
        assert_eq!(Attribution::application(&attribution, "/opt/draw"), Some(draw));
        assert_eq!(Attribution::application(&attribution, "/bin/sh"), None);
    }
}
