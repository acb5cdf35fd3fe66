//! The exporter: does what [`ExportRun`] says, one action at a time, against a ServiceNow instance or the stand-in.
//!
//! It decides nothing. What must survive a crash is in [`ExportProgress`], saved before and after each segment; an
//! exporter that is dropped between any two actions, or in the middle of one, is followed by one that asks the
//! instance how far it got. Source: servicenow reference, sections 1 to 3.

mod connection;
mod progress;

use std::sync::Arc;

use muster::export::{
    Action, Answer, Cursor, DataType, Event, ExitCode, ExportRecord, ExportRequest, ExportRun, ExportSettings,
    RunReport, Segment, SourceRow, TypeReport,
};
use muster::formats::servicenow_xml::{write_question, write_transaction};
use muster::rng::RngStream;
use muster::time::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use tracing::{info, warn};

use crate::clock::SharedClock;
use connection::{Connection, TokenError};

pub use connection::{Credentials, Target, TargetError};
pub use progress::FileProgress;

/// Why the own side of an export does not answer; one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OwnError(pub String);

/// Where the rows come from. Calls may block: they run off the caller's thread.
pub trait ExportSource: Send + Sync {
    /// Whether this version has rows of the type at all. What it has not is left out with a warning, or refused when
    /// nothing else was asked for.
    fn supplies(&self, data_type: DataType) -> bool;

    /// The time up to which everything is visible to [`ExportSource::rows`] from now on; fails when the store does not
    /// answer.
    fn snapshot(&self) -> Result<Timestamp, OwnError>;

    /// At most `limit` rows that were added or changed at or after `since` (all without it), in the source's own fixed
    /// order, beginning behind `after`. Fewer than `limit` mean that no more follow. A row that changes meanwhile may
    /// come in its new form or be met again by the next export; it must not be left out by both.
    fn rows(
        &self,
        data_type: DataType,
        since: Option<Timestamp>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, OwnError>;
}

/// Where progress is kept: one record for each tenant and instance. Calls may block.
pub trait ExportProgress: Send + Sync {
    /// The record as it was last saved; the empty one when there is none.
    fn load(&self) -> Result<ExportRecord, OwnError>;

    /// Replaces the record; durable when it returns.
    fn save(&self, record: &ExportRecord) -> Result<(), OwnError>;
}

/// What an export is made with.
#[derive(Clone)]
pub struct ExportConfig {
    /// The instance.
    pub target: Target,
    /// Limits and times.
    pub settings: ExportSettings,
    /// What to export.
    pub request: ExportRequest,
}

/// One export under way.
pub struct Exporter {
    connection: Connection,
    settings: Arc<ExportSettings>,
    source: Arc<dyn ExportSource>,
    progress: Arc<dyn ExportProgress>,
    clock: SharedClock,
    run: ExportRun,
    next: Option<Action>,
    /// The rows that `Send` transmits.
    held: Option<Segment>,
    warnings: Vec<String>,
}

/// Runs one export to its end. Everything that goes wrong is in the report, with the exit status that goes with it.
pub async fn export(
    config: ExportConfig,
    source: Arc<dyn ExportSource>,
    progress: Arc<dyn ExportProgress>,
    clock: SharedClock,
) -> RunReport {
    let mut exporter = match Exporter::begin(config, source, progress, clock).await {
        Ok(exporter) => exporter,
        Err(report) => return *report,
    };
    loop {
        if let Some(report) = exporter.step().await {
            return report;
        }
    }
}

impl Exporter {
    /// Takes up where the last export was left. A report is an export that ended before it began.
    pub async fn begin(
        config: ExportConfig,
        source: Arc<dyn ExportSource>,
        progress: Arc<dyn ExportProgress>,
        clock: SharedClock,
    ) -> Result<Exporter, Box<RunReport>> {
        let ExportConfig { target, settings, mut request } = config;
        let now = clock.now();
        let over = |exit, why: String| Box::new(ended(now, exit, why));
        let (lacking, wanted): (Vec<_>, Vec<_>) =
            request.types.iter().copied().partition(|data_type| !source.supplies(*data_type));
        let names: Vec<String> = lacking.iter().map(|data_type| format!("{data_type}")).collect();
        let warning = format!("this version has no rows of type {}: left out", names.join(", "));
        if wanted.is_empty() && !request.connection_test {
            let why = "nothing to export: this version has no rows of the types that were asked for";
            return Err(over(ExitCode::BadArguments, why.to_owned()));
        }
        request.types = wanted;
        let loading = progress.clone();
        let record = match blocking(move || loading.load()).await {
            Ok(record) => record,
            Err(error) => return Err(over(ExitCode::DatabaseUnreachable, error.to_string())),
        };
        let connection = match Connection::new(target, settings.request_timeout) {
            Ok(connection) => connection,
            Err(error) => return Err(over(ExitCode::BadArguments, error.to_string())),
        };
        // A stream that no earlier export drew from: the id of the run comes from it.
        let rng = match (SysRng.try_next_u64(), SysRng.try_next_u64()) {
            (Ok(seed), Ok(id)) => RngStream::new(seed, id, 0),
            _ => return Err(over(ExitCode::DatabaseUnreachable, "the system gives no random numbers".to_owned())),
        };
        let settings = Arc::new(settings);
        let (run, actions) = ExportRun::start(now, settings.clone(), request, record, rng);
        let mut warnings = if lacking.is_empty() { Vec::new() } else { vec![warning] };
        if connection.is_exposed() {
            warnings.push("credentials and rows travel unencrypted: use an https URL".to_owned());
        }
        let next = actions.into_iter().next();
        Ok(Exporter { connection, settings, source, progress, clock, run, next, held: None, warnings })
    }

    /// Does one thing; the report when it was the last. Dropping the exporter, or this future, is what a crash does.
    pub async fn step(&mut self) -> Option<RunReport> {
        let Some(action) = self.next.take() else { return Some(self.finished(self.run.report().clone())) };
        let event = match action {
            Action::Finish(report) => return Some(self.finished(*report)),
            Action::Authorise => match self.connection.renew().await {
                Ok(()) => Event::Authorised,
                Err(TokenError::Refused(why)) => Event::AuthorisationRefused(why),
                Err(TokenError::Failed(why)) => Event::AuthorisationFailed(why),
            },
            Action::Ask(id, question) => {
                Event::Answered(self.connection.post(write_question(id, &question).into()).await)
            }
            Action::Send(head) => {
                info!(run = %head.run, sequence = head.sequence, records = head.records, "segment is sent");
                Event::Answered(match &self.held {
                    Some(segment) => self.connection.post(write_transaction(&head, &segment.rows).into()).await,
                    None => Answer::Lost("the rows of the segment are not at hand".to_owned()),
                })
            }
            Action::Snapshot => {
                let source = self.source.clone();
                match blocking(move || source.snapshot()).await {
                    Ok(at) => Event::SnapshotTaken(at),
                    Err(error) => Event::SourceFailed(error.to_string()),
                }
            }
            Action::Read { data_type, since, after } => {
                let (source, limits) = (self.source.clone(), self.settings.segment);
                let read = blocking(move || {
                    let rows = source.rows(data_type, since, after.as_ref(), limits.records as usize + 1)?;
                    Ok(Segment::fill(limits, &rows))
                });
                match read.await {
                    Ok(segment) => {
                        let info = segment.info.clone();
                        self.held = Some(segment);
                        Event::SegmentRead(info)
                    }
                    Err(error) => Event::SourceFailed(error.to_string()),
                }
            }
            Action::Save(record) => {
                let progress = self.progress.clone();
                match blocking(move || progress.save(&record)).await {
                    Ok(()) => Event::Saved,
                    Err(error) => Event::SaveFailed(error.to_string()),
                }
            }
            Action::WakeAt(at) => {
                tokio::time::sleep(at.since(self.clock.now())).await;
                Event::Due
            }
        };
        if let Event::Answered(Answer::Lost(why)) = &event {
            warn!(why, "no answer of ServiceNow");
        }
        let mut actions = self.run.on(self.clock.now(), event);
        debug_assert!(actions.len() <= 1, "one thing at a time");
        self.next = actions.pop();
        None
    }

    fn finished(&self, mut report: RunReport) -> RunReport {
        report.warnings.extend(self.warnings.iter().cloned());
        for warning in &report.warnings {
            warn!(warning, "export");
        }
        info!(exit = report.exit_code, message = report.message, "export is over");
        report
    }
}

fn ended(now: Timestamp, exit: ExitCode, message: String) -> RunReport {
    RunReport {
        exit,
        exit_code: exit.number(),
        message,
        warnings: Vec::new(),
        started: now,
        finished: now,
        types: DataType::ALL.map(TypeReport::planned).to_vec(),
    }
}

/// Runs a call that may block on a thread for such calls.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, OwnError> + Send + 'static,
) -> Result<R, OwnError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(OwnError(format!("the call ended before it answered: {error}"))))
}

#[cfg(test)]
mod tests;
