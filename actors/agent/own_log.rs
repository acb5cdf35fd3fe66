//! The agent's own lines of log, kept in memory until policy asks for them.
//!
//! What goes to stderr goes here too, as far as it is the agent's: not what libraries say, and nothing of what reports hold.
//! The oldest lines go first when there are too many; how many went is told in their place. A line is kept until it stands
//! in a published package, so each is in one package only. Lines of a process that has ended are in its journal.
//!
//! Source: `agent-beacon-batch` reference, section 4.4 (name and folder).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use muster::model::package::Kind;
use muster::roles::agent::Queued;
use muster::time::Timestamp;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use super::outbox::{Outbox, OutboxError, Report};

/// Bytes of all lines that are kept.
const LOG_BYTES_MAX: usize = 256 << 10;
/// Bytes of one line that are kept.
const LINE_BYTES_MAX: usize = 4 << 10;
/// What a line costs beside its bytes.
const LINE_COST: usize = 32;
/// Queued packages of log beyond which no more are published: nobody has taken one for weeks.
const QUEUED_MAX: usize = 32;
/// Whose lines they are.
const TARGETS: [&str; 3] = ["muster_actors::agent", "muster_actors::supervision", "muster_actors::node"];

/// See the module's head. Clones share the lines.
#[derive(Clone, Default)]
pub struct OwnLog(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    kept: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Number of the first line that is kept, counted from the start of the process.
    first: u64,
    /// All lines before this one were published, or told of as dropped.
    told: u64,
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(LINE_BYTES_MAX)];
        self.kept.push_back(line.into());
        self.bytes += line.len() + LINE_COST;
        while self.bytes > LOG_BYTES_MAX {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(line) = self.kept.pop_front() {
            self.bytes -= line.len() + LINE_COST;
            self.first += 1;
        }
    }

    /// Lines that went before they were published.
    fn lost(&self) -> u64 {
        self.first.saturating_sub(self.told)
    }

    /// The text of what is kept, and the number of the line after it; `None` when there is nothing.
    fn text(&self) -> Option<(Vec<u8>, u64)> {
        if self.kept.is_empty() {
            return None;
        }
        let mut text = Vec::with_capacity(self.bytes);
        if self.lost() > 0 {
            text.extend_from_slice(format!("{} older lines were dropped\n", self.lost()).as_bytes());
        }
        for line in &self.kept {
            text.extend_from_slice(line);
            if line.last() != Some(&b'\n') {
                text.push(b'\n');
            }
        }
        Some((text, self.first + self.kept.len() as u64))
    }

    /// What stands before line `next` is published. Lines behind it that were dropped meanwhile are told of the next time.
    fn forget(&mut self, next: u64) {
        self.told = next;
        while self.first < next && !self.kept.is_empty() {
            self.drop_first();
        }
    }
}

impl OwnLog {
    /// The log of this process; empty until its layer is part of the subscriber.
    pub fn of_process() -> &'static OwnLog {
        static OF_PROCESS: OnceLock<OwnLog> = OnceLock::new();
        OF_PROCESS.get_or_init(OwnLog::default)
    }

    /// What puts lines into it, those of INFO and above.
    pub fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> impl Layer<S> + use<S> {
        let targets = Targets::new().with_targets(TARGETS.map(|target| (target, LevelFilter::INFO)));
        fmt::layer().with_ansi(false).with_writer(self.clone()).with_filter(targets)
    }

    /// Publishes what was logged since the last time, as `account` of `machine`; `None` when there is nothing, or too much
    /// of it is queued already.
    pub fn publish(
        &self,
        outbox: &mut Outbox,
        account: &str,
        machine: &str,
        now: Timestamp,
    ) -> Result<Option<Queued>, OutboxError> {
        let queued = outbox.queued().iter().filter(|queued| queued.kind == Kind::Logs).count();
        let Some((content, next)) = self.lines().text().filter(|_| queued < QUEUED_MAX) else { return Ok(None) };
        let report = Report { kind: Kind::Logs, account, machine, kind_type: "", collected_at: now, content: &content };
        let queued = outbox.publish(report, now)?;
        self.lines().forget(next);
        Ok(Some(queued))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'w> MakeWriter<'w> for OwnLog {
    type Writer = Writer;

    fn make_writer(&'w self) -> Writer {
        Writer(self.clone())
    }
}

/// Takes one line at a time: the formatter writes each at once.
pub struct Writer(OwnLog);

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lines().add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use muster::formats::{gzip, wire};
    use tracing::{debug, info};
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::outbox::OutboxDisks;
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn text(log: &OwnLog) -> String {
        String::from_utf8(log.lines().text().map_or_else(Vec::new, |(text, _)| text)).unwrap()
    }

    #[test]
    fn the_agents_own_lines_are_kept_and_nobody_elses() {
        let log = OwnLog::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
            info!(server = "http://b1", "report delivered");
            debug!("left out");
            info!(target: "muster_actors::beacon::beacon", "of the beacon");
            info!(target: "hyper", "of a library");
        });
        let text = text(&log);
        assert!(text.contains("report delivered server=\"http://b1\"\n"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn the_oldest_lines_go_when_there_are_too_many_and_that_is_told() {
        let log = OwnLog::default();
        let mut writer = log.make_writer();
        for number in 0..5_000 {
            writer.write_all(format!("line {number} {}\n", "x".repeat(100)).as_bytes()).unwrap();
        }
        writer.write_all(&[b'y'; 2 * LINE_BYTES_MAX]).unwrap();
        let (text, lines) = (text(&log), log.lines());
        assert!(lines.bytes <= LOG_BYTES_MAX && lines.bytes > LOG_BYTES_MAX - 2 * LINE_BYTES_MAX);
        assert!(text.starts_with(&format!("{} older lines were dropped\nline {} ", lines.lost(), lines.lost())));
        assert!(text.ends_with("y\n") && text.lines().last().unwrap().len() == LINE_BYTES_MAX);
    }

    #[test]
    fn lines_that_go_while_others_are_published_are_told_of() {
        let log = OwnLog::default();
        log.make_writer().write_all(b"one\n").unwrap();
        let (_, next) = log.lines().text().unwrap();
        for _ in 0..5_000 {
            log.make_writer().write_all(&[b'x'; 100]).unwrap();
        }
        log.lines().forget(next);
        let first = log.lines().first;
        let told = text(&log);
        assert!(first > 1 && told.starts_with(&format!("{} older lines were dropped\n", first - 1)), "{first}");
    }

    #[test]
    fn each_line_is_published_once_and_what_is_not_published_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(OutboxDisks::open(folder.path()).unwrap(), NOW).unwrap();
        let log = OwnLog::default();
        assert_eq!(log.publish(&mut outbox, "root", "web07", NOW).unwrap(), None, "nothing was logged");
        log.make_writer().write_all(b"one\n").unwrap();
        let queued = log.publish(&mut outbox, "root", "web07", NOW).unwrap().unwrap();
        let parcel = outbox.load(queued.package).unwrap();
        assert_eq!(parcel.bytes, gzip::compress(b"one\n"));
        assert_eq!(&*parcel.envelope.file_name, "web07 at 20250615T150640.log.gz");
        assert_eq!(parcel.envelope.stream.unwrap().as_str(), "Logs/root/");
        wire::upload_name("Logs", &wire::percent_encode("web07 at 20250615T150640.log.gz")).unwrap();
        assert_eq!(log.publish(&mut outbox, "root", "web07", NOW).unwrap(), None);

        // The folder is gone: nothing can be published.
        std::fs::remove_dir_all(folder.path().join("uploads/Logs")).unwrap();
        log.make_writer().write_all(b"two\n").unwrap();
        assert!(log.publish(&mut outbox, "root", "web07", NOW).is_err());
        assert_eq!(text(&log), "two\n");
    }

    #[test]
    fn a_long_outage_fills_no_disk_with_logs() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(OutboxDisks::open(folder.path()).unwrap(), NOW).unwrap();
        let log = OwnLog::default();
        for number in 0..QUEUED_MAX + 3 {
            log.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
            log.publish(&mut outbox, "root", "web07", NOW).unwrap();
        }
        assert_eq!((outbox.queued().len(), text(&log).as_str()), (QUEUED_MAX, "32\n33\n34\n"));
    }
}
