//! One export, from the first token to the last watermark: one thing at a time.

use std::sync::Arc;

use crate::export::backoff;
use crate::export::{
    Answer, Attempt, AttemptEvent, Changes, Cursor, DataType, ExitCode, ExportMode, ExportRecord, ExportRequest,
    ExportSettings, Pending, RunReport, SegmentInfo, TypeEvent, TypeReport, TypeStatus, Unfinished, Verdict,
    transaction_id,
};
use crate::formats::servicenow_xml::{Head, ImportState, Mode, Question, Response};
use crate::id::Guid;
use crate::rng::RngStream;
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A token is at hand.
    Authorised,
    /// The credentials are refused.
    AuthorisationRefused(String),
    /// No token for another reason.
    AuthorisationFailed(String),
    /// The answer to the last `Ask` or `Send`.
    Answered(Answer),
    /// The time of `WakeAt` has come.
    Due,
    /// The own database answers, and this is the time of its snapshot.
    SnapshotTaken(Timestamp),
    /// The own database does not answer.
    SourceFailed(String),
    /// The next segment is in the caller's hands.
    SegmentRead(SegmentInfo),
    /// Progress is durable.
    Saved,
    /// Progress could not be kept.
    SaveFailed(String),
}

/// What to do; exactly one thing at a time until `Finish`. Each is answered by one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch a new token.
    Authorise,
    /// Transmit a question. The id names it alone.
    Ask(Guid, Question),
    /// Transmit the rows last read under this head.
    Send(Head),
    /// Reach the own database and take the time of the snapshot.
    Snapshot,
    /// Read the next segment and keep its rows for `Send`.
    Read {
        /// Which records.
        data_type: DataType,
        /// Changed since then; `None` for all.
        since: Option<Timestamp>,
        /// After this place in the order of the source.
        after: Option<Cursor>,
    },
    /// Make this durable.
    Save(ExportRecord),
    /// Come back at this time.
    WakeAt(Timestamp),
    /// The export is over.
    Finish(Box<RunReport>),
}

/// What a call to the endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Credentials and readiness.
    ConnectionTest,
    /// How far did the unfinished run of an earlier export get?
    Resume,
    /// A segment.
    Segment,
    /// Is the import done?
    Poll,
}

#[derive(Debug)]
enum Step {
    Calling,
    Opening,
    Reading,
    Saving(After),
    Done,
}

#[derive(Debug)]
enum After {
    Transmit,
    NextType,
    Finish(ExitCode, String),
}

/// One export.
#[derive(Debug)]
pub struct ExportRun {
    settings: Arc<ExportSettings>,
    request: ExportRequest,
    record: ExportRecord,
    rng: RngStream,
    step: Step,
    call: Call,
    attempt: Attempt,
    /// Transmissions of the present call.
    tries: u32,
    has_token: bool,
    /// Whether the token is newer than the last answer that accepted one: a second refusal is final.
    renewed: bool,
    poll_until: Timestamp,
    snapshot: Timestamp,
    /// The type whose turn it is, and its baseline.
    turn: (DataType, Option<Timestamp>),
    /// The segment whose rows the caller holds.
    held: Option<SegmentInfo>,
    report: RunReport,
}

impl ExportRun {
    /// Begins an export, or takes up the unfinished one of `record`.
    ///
    /// `rng` must be a stream that no earlier export drew from: it makes the id of the run.
    pub fn start(
        now: Timestamp,
        settings: Arc<ExportSettings>,
        request: ExportRequest,
        record: ExportRecord,
        rng: RngStream,
    ) -> (ExportRun, Vec<Action>) {
        let report = RunReport {
            exit: ExitCode::Success,
            exit_code: 0,
            message: String::new(),
            warnings: request.warnings(),
            started: now,
            finished: now,
            types: DataType::ALL.map(TypeReport::planned).to_vec(),
        };
        let mut run = ExportRun {
            settings,
            request,
            record,
            rng,
            step: Step::Calling,
            call: Call::ConnectionTest,
            attempt: Attempt::Renewing,
            tries: 0,
            has_token: false,
            renewed: false,
            poll_until: Timestamp::NEVER,
            snapshot: now,
            turn: (DataType::Inventory, None),
            held: None,
            report,
        };
        for data_type in DataType::ALL {
            if !run.request.types.contains(&data_type) {
                run.mark(data_type, TypeEvent::Exclude);
            }
        }
        let actions = if run.settings.mode == ExportMode::Cloud && run.request.changes == Changes::Everything {
            run.finish(now, ExitCode::BadArguments, "in cloud mode an export is always differential".into())
        } else if !run.settings.enabled {
            run.finish(now, ExitCode::OptionAbsent, "the ServiceNow option is not enabled".into())
        } else {
            vec![Action::Authorise]
        };
        (run, actions)
    }

    /// What to do after `event`. An event out of turn changes nothing.
    pub fn on(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        match (&self.step, event) {
            (Step::Calling, Event::Authorised) if self.attempt == Attempt::Renewing => {
                self.has_token = true;
                self.renewed = true;
                self.moved(AttemptEvent::Authorise);
                self.transmit(now)
            }
            (Step::Calling, Event::AuthorisationRefused(why)) => self.finish(now, ExitCode::CredentialsRefused, why),
            (Step::Calling, Event::AuthorisationFailed(why)) if self.attempt == Attempt::Renewing => {
                self.tries += 1;
                self.refused(now, why, None)
            }
            (Step::Calling, Event::Answered(answer)) => self.answered(now, answer.verdict()),
            (Step::Calling, Event::Due) => self.due(now),
            (Step::Opening, Event::SnapshotTaken(at)) => {
                self.snapshot = at;
                let Some(unfinished) = &self.record.unfinished else { return self.next_type(now) };
                self.turn = (unfinished.data_type, unfinished.since);
                let (run, since) = (unfinished.run, unfinished.since);
                let (segments, records) = (unfinished.accepted, unfinished.records);
                self.mark(self.turn.0, TypeEvent::Send);
                let report = self.type_report();
                *report = TypeReport { run: Some(run), resumed: true, since, segments, records, ..report.clone() };
                self.begin(now, Call::Resume)
            }
            (Step::Opening | Step::Reading, Event::SourceFailed(why)) => {
                self.finish(now, ExitCode::DatabaseUnreachable, why)
            }
            (Step::Reading, Event::SegmentRead(info)) => self.segment_read(now, info),
            (Step::Saving(_), Event::Saved) => match std::mem::replace(&mut self.step, Step::Calling) {
                Step::Saving(After::NextType) => self.next_type(now),
                Step::Saving(After::Finish(exit, why)) => self.finish(now, exit, why),
                _ => self.send(),
            },
            (Step::Saving(_), Event::SaveFailed(why)) => self.finish(now, ExitCode::DatabaseUnreachable, why),
            _ => Vec::new(),
        }
    }

    /// The call that is being made, and where it stands; for the operator.
    pub fn call(&self) -> (Call, Attempt) {
        (self.call, self.attempt)
    }

    /// How the export stands; final once `Finish` was returned.
    pub fn report(&self) -> &RunReport {
        &self.report
    }

    fn next_type(&mut self, now: Timestamp) -> Vec<Action> {
        let planned = self.report.types.iter().find(|report| report.state == TypeStatus::Planned);
        let Some(data_type) = planned.map(|report| report.data_type) else {
            return self.finish(now, ExitCode::Success, "done".into());
        };
        let since = self.request.since(self.record.watermarks.get(&data_type).copied());
        self.turn = (data_type, since);
        self.tries = 0;
        self.type_report().since = since;
        self.read()
    }

    fn read(&mut self) -> Vec<Action> {
        self.step = Step::Reading;
        self.held = None;
        let (data_type, since) = self.turn;
        let after = self.record.unfinished.as_ref().and_then(|unfinished| unfinished.cursor.clone());
        vec![Action::Read { data_type, since, after }]
    }

    fn segment_read(&mut self, now: Timestamp, info: SegmentInfo) -> Vec<Action> {
        let (data_type, since) = self.turn;
        if self.record.unfinished.is_none() {
            if info.records == 0 {
                self.mark(data_type, TypeEvent::FindNothing);
                return self.next_type(now);
            }
            let run = Guid::from_random(self.rng.bytes());
            let snapshot = self.snapshot;
            self.record.unfinished = Some(Unfinished {
                run,
                data_type,
                snapshot,
                since,
                accepted: 0,
                records: 0,
                cursor: None,
                pending: None,
                complete: false,
            });
            self.mark(data_type, TypeEvent::Send);
            self.type_report().run = Some(run);
        }
        let pending = Pending { records: info.records, end: info.end.clone(), last: info.last, tries: self.tries };
        self.unfinished().pending = Some(pending);
        self.held = Some(info);
        self.step = Step::Calling;
        self.call = Call::Segment;
        self.attempt = Attempt::Resting;
        self.due(now)
    }

    fn begin(&mut self, now: Timestamp, call: Call) -> Vec<Action> {
        self.step = Step::Calling;
        self.call = call;
        self.attempt = Attempt::Resting;
        self.tries = 0;
        self.due(now)
    }

    fn due(&mut self, now: Timestamp) -> Vec<Action> {
        match self.attempt {
            Attempt::Resting if !self.has_token => {
                self.moved(AttemptEvent::Renew);
                vec![Action::Authorise]
            }
            Attempt::Resting => {
                self.moved(AttemptEvent::Due);
                self.transmit(now)
            }
            Attempt::Unsure => {
                self.moved(AttemptEvent::Due);
                self.ask_for_transaction()
            }
            _ => Vec::new(),
        }
    }

    /// Sends the present call. A segment is counted and saved before: what may have arrived is never forgotten.
    fn transmit(&mut self, now: Timestamp) -> Vec<Action> {
        if self.tries >= self.settings.max_tries && self.call != Call::Poll {
            return self.exhausted(now, "no further transmission is allowed".into());
        }
        if self.call == Call::Segment && self.held.is_none() {
            return self.read();
        }
        self.tries += 1;
        let own_run = self.record.unfinished.as_ref().map(|unfinished| unfinished.run);
        match (self.call, own_run) {
            (Call::ConnectionTest, run) => self.ask(Question::ConnectionTest { run }),
            (Call::Segment, _) => {
                let tries = self.tries;
                if let Some(pending) = &mut self.unfinished().pending {
                    pending.tries = tries;
                }
                self.type_report().tries += 1;
                self.save(After::Transmit)
            }
            (Call::Resume | Call::Poll, Some(run)) => self.ask(Question::Status { run, transaction: None }),
            (Call::Resume | Call::Poll, None) => unreachable!("a run is asked for only while it is unfinished"),
        }
    }

    fn send(&mut self) -> Vec<Action> {
        let info = self.held.clone().expect("a segment is sent only while its rows are held");
        let unfinished = self.unfinished();
        let sequence = unfinished.accepted + 1;
        let head = Head {
            id: transaction_id(unfinished.run, sequence),
            kind: unfinished.data_type.transaction_type(),
            run: unfinished.run,
            sequence,
            total: if info.last { sequence } else { 0 },
            records: info.records,
            mode: if unfinished.since.is_some() { Mode::Differential } else { Mode::Full },
            since: unfinished.since,
            digest: info.digest,
        };
        vec![Action::Send(head)]
    }

    fn ask(&mut self, question: Question) -> Vec<Action> {
        vec![Action::Ask(Guid::from_random(self.rng.bytes()), question)]
    }

    fn ask_for_transaction(&mut self) -> Vec<Action> {
        let unfinished = self.unfinished();
        let (run, sequence) = (unfinished.run, unfinished.accepted + 1);
        self.ask(Question::Status { run, transaction: Some(transaction_id(run, sequence)) })
    }

    fn answered(&mut self, now: Timestamp, verdict: Verdict) -> Vec<Action> {
        let asking = match self.attempt {
            Attempt::InFlight => false,
            Attempt::Asking => true,
            _ => return Vec::new(),
        };
        match verdict {
            Verdict::Accepted(response) if asking => {
                self.renewed = false;
                if response.state.is_some() {
                    self.moved(AttemptEvent::Find);
                    return self.segment_accepted(now, &response);
                }
                if self.tries >= self.settings.max_tries {
                    return self.exhausted(now, "the last transmission did not arrive".into());
                }
                self.moved(AttemptEvent::Miss);
                self.transmit(now)
            }
            Verdict::Accepted(response) => {
                self.renewed = false;
                self.moved(AttemptEvent::Accept);
                match self.call {
                    Call::ConnectionTest if self.request.connection_test => {
                        self.finish(now, ExitCode::Success, "the connection is good and ServiceNow is ready".into())
                    }
                    Call::ConnectionTest => {
                        self.step = Step::Opening;
                        vec![Action::Snapshot]
                    }
                    Call::Resume => self.resume(now, &response),
                    Call::Segment => self.segment_accepted(now, &response),
                    Call::Poll => self.polled(now, &response),
                }
            }
            Verdict::Lost(_) if !asking && self.call == Call::Segment => {
                // Asked for even after the last try: it may have arrived.
                self.moved(AttemptEvent::Lose);
                self.rest(now, None)
            }
            Verdict::Lost(message) => self.refused(now, message, None),
            Verdict::Transient { message, retry_after } => self.refused(now, message, retry_after),
            Verdict::Denied(message) if self.renewed => self.finish(now, ExitCode::CredentialsRefused, message),
            Verdict::Denied(_) => {
                self.has_token = false;
                self.moved(AttemptEvent::Renew);
                vec![Action::Authorise]
            }
            Verdict::NotReady(message) => self.finish(now, ExitCode::NotReady, message),
            Verdict::Fatal(message) => self.finish(now, ExitCode::FatalCode, message),
        }
    }

    fn refused(&mut self, now: Timestamp, message: String, retry_after: Option<std::time::Duration>) -> Vec<Action> {
        if self.call == Call::Poll {
            self.moved(AttemptEvent::Refuse);
            return self.poll_later(now, retry_after.unwrap_or_default());
        }
        if self.tries >= self.settings.max_tries {
            return self.exhausted(now, message);
        }
        self.moved(AttemptEvent::Refuse);
        self.rest(now, retry_after)
    }

    fn rest(&mut self, now: Timestamp, retry_after: Option<std::time::Duration>) -> Vec<Action> {
        let ExportSettings { retry_base, retry_cap, .. } = *self.settings;
        let wait = backoff::delay(retry_base, retry_cap, self.tries, retry_after, &mut self.rng);
        vec![Action::WakeAt(now.after(wait))]
    }

    fn exhausted(&mut self, now: Timestamp, message: String) -> Vec<Action> {
        self.moved(AttemptEvent::GiveUp);
        let message = format!("given up after {} tries: {message}", self.tries);
        match self.record.unfinished.as_mut().and_then(|unfinished| unfinished.pending.as_mut()) {
            // This export ended in order: the next one takes the segment up with all its tries.
            Some(pending) if pending.tries > 0 => {
                pending.tries = 0;
                self.save(After::Finish(ExitCode::TriesExhausted, message))
            }
            _ => self.finish(now, ExitCode::TriesExhausted, message),
        }
    }

    fn segment_accepted(&mut self, now: Timestamp, response: &Response) -> Vec<Action> {
        self.tries = 0;
        self.held = None;
        let unfinished = self.unfinished();
        let pending = unfinished.accept_pending();
        assert!(pending.is_some(), "a segment is accepted only while it is pending");
        let (segments, records, complete) = (unfinished.accepted, unfinished.records, unfinished.complete);
        let report = self.type_report();
        (report.segments, report.records) = (segments, records);
        if !response.run.is_empty() {
            report.import_run.clone_from(&response.run);
        }
        if complete { self.poll(now) } else { self.read() }
    }

    fn resume(&mut self, now: Timestamp, response: &Response) -> Vec<Action> {
        self.type_report().import_run.clone_from(&response.run);
        let counts = response.counts.unwrap_or_default();
        let unfinished = self.unfinished();
        match response.state {
            // Nothing of it ever arrived: the run begins as if now.
            None if unfinished.accepted == 0 => self.read_again(),
            Some(ImportState::Succeeded) => self.run_succeeded(),
            Some(ImportState::New | ImportState::Waiting | ImportState::Processing)
                if counts.received >= unfinished.accepted =>
            {
                if unfinished.complete {
                    return self.poll(now);
                }
                let Some(pending) = &unfinished.pending else { return self.read_again() };
                self.tries = pending.tries;
                self.step = Step::Calling;
                self.call = Call::Segment;
                self.attempt = Attempt::Asking;
                self.ask_for_transaction()
            }
            // Given up there, or forgotten by an instance that was set back: its rows go again in a new run.
            None | Some(_) => {
                self.record.unfinished = None;
                self.restart(self.turn.0);
                self.save(After::NextType)
            }
        }
    }

    fn read_again(&mut self) -> Vec<Action> {
        self.tries = self.unfinished().pending.as_ref().map_or(0, |pending| pending.tries);
        self.read()
    }

    fn poll(&mut self, now: Timestamp) -> Vec<Action> {
        self.poll_until = now.after(self.settings.status_timeout);
        self.mark(self.turn.0, TypeEvent::AcceptAll);
        self.begin(now, Call::Poll)
    }

    fn polled(&mut self, now: Timestamp, response: &Response) -> Vec<Action> {
        let counts = response.counts.unwrap_or_default();
        let why = match response.state {
            Some(ImportState::Succeeded) => return self.run_succeeded(),
            Some(ImportState::New | ImportState::Waiting | ImportState::Processing) => {
                self.attempt = Attempt::Resting;
                return self.poll_later(now, std::time::Duration::ZERO);
            }
            Some(ImportState::Failed) if response.message.is_empty() => {
                format!("import run {} failed: {} of its transactions failed", response.run, counts.failed)
            }
            Some(ImportState::Failed) => format!("import run {} failed: {}", response.run, response.message),
            None => "ServiceNow does not know the import run any more".to_owned(),
        };
        self.record.unfinished = None;
        self.save(After::Finish(ExitCode::ImportFailed, why))
    }

    fn poll_later(&mut self, now: Timestamp, at_least: std::time::Duration) -> Vec<Action> {
        if now >= self.poll_until {
            let waited = self.settings.status_timeout.as_secs();
            return self.finish(now, ExitCode::StatusTimeout, format!("the import did not end within {waited} s"));
        }
        vec![Action::WakeAt(now.after(self.settings.status_poll.max(at_least)).min(self.poll_until))]
    }

    fn run_succeeded(&mut self) -> Vec<Action> {
        let mut done = self.record.unfinished.take().expect("a run succeeds only while it is unfinished");
        let data_type = done.data_type;
        // A run succeeds with all its segments, also with one whose answer was never seen.
        done.accept_pending();
        let report = self.type_report();
        (report.segments, report.records) = (done.accepted, done.records);
        let watermark = self.record.watermarks.get(&data_type).copied();
        self.mark(data_type, TypeEvent::Succeed);
        // Changes between the old watermark and a later baseline were never sent: then the old one stays.
        let seamless = done.since.is_none_or(|since| watermark.is_some_and(|watermark| watermark >= since));
        if seamless {
            self.record.watermarks.insert(data_type, done.snapshot.max(watermark.unwrap_or(done.snapshot)));
        }
        let covers = match (done.since, self.request.since(watermark)) {
            (None, _) => true,
            (Some(since), Some(wanted)) => since <= wanted,
            (Some(_), None) => false,
        };
        if self.type_report().resumed && !(covers && self.request.types.contains(&data_type)) {
            self.restart(data_type);
        }
        self.save(After::NextType)
    }

    fn restart(&mut self, data_type: DataType) {
        self.mark(data_type, TypeEvent::Restart);
        let report = self.type_report();
        *report = TypeReport { tries: report.tries, state: report.state, ..TypeReport::planned(data_type) };
        if !self.request.types.contains(&data_type) {
            self.mark(data_type, TypeEvent::Exclude);
        }
    }

    fn save(&mut self, after: After) -> Vec<Action> {
        self.step = Step::Saving(after);
        vec![Action::Save(self.record.clone())]
    }

    fn finish(&mut self, now: Timestamp, exit: ExitCode, message: String) -> Vec<Action> {
        self.step = Step::Done;
        let turn = self.turn.0;
        let failed = exit != ExitCode::Success;
        for data_type in DataType::ALL {
            match self.report.types[data_type as usize].state {
                TypeStatus::Sending | TypeStatus::Importing => self.mark(data_type, TypeEvent::Fail),
                TypeStatus::Planned if failed && data_type == turn && self.has_token => {
                    self.mark(data_type, TypeEvent::Fail);
                }
                TypeStatus::Planned => self.mark(data_type, TypeEvent::Skip),
                _ => {}
            }
        }
        self.report.exit = exit;
        self.report.exit_code = exit.number();
        self.report.message = message;
        self.report.finished = now;
        vec![Action::Finish(Box::new(self.report.clone()))]
    }

    fn moved(&mut self, event: AttemptEvent) {
        let next = self.attempt.next(event);
        assert!(next.is_some(), "an attempt in {} takes no {event:?}", self.attempt);
        self.attempt = next.unwrap_or(self.attempt);
    }

    fn mark(&mut self, data_type: DataType, event: TypeEvent) {
        let report = &mut self.report.types[data_type as usize];
        let next = report.state.next(event);
        assert!(next.is_some(), "{data_type} in {} takes no {event:?}", report.state);
        report.state = next.unwrap_or(report.state);
    }

    fn type_report(&mut self) -> &mut TypeReport {
        &mut self.report.types[self.turn.0 as usize]
    }

    fn unfinished(&mut self) -> &mut Unfinished {
        self.record.unfinished.as_mut().expect("segments belong to an unfinished run")
    }
}

#[cfg(test)]
mod tests;
