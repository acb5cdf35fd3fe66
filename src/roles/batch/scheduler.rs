//! The scheduler: takes tasks, sends them for processing when nothing forbids it, and knows what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

use super::LogLine;
use super::vocabulary::*;
use crate::id::Guid;
use crate::model::task::{
    BatchState, OUTPUT_CHARS_MAX, ProcessorId, Status, TaskEvent, TaskNumber, TaskRun, TaskSubmission, TaskType,
};
use crate::rng::RngStream;
use crate::roles::{Core, IntentNumber, Sink};
use crate::schedule::batch::{TaskQueue, Why};
use crate::time::{SECOND_MS, Timestamp};
use crate::upload::backoff::CLOCK_STEP_MS;

/// A commit that the log did not take is tried again after this.
const COMMIT_AGAIN_MS: i64 = SECOND_MS;
/// Tasks of one commit, at most: many may start at once.
const COMMIT_TASKS: usize = 1_000;

/// A task that has not ended.
#[derive(Clone, Debug)]
struct Known {
    guid: Guid,
    task: TaskType,
    identity: u128,
}

/// A task that was sent for processing, or is about to be.
#[derive(Clone, Debug)]
struct Sent {
    run: TaskRun,
    /// Whether its being Queued is durable: only then it is sent.
    is_durable: bool,
    /// The life of a processor that it was sent to last.
    to: Option<ProcessorId>,
    /// Heartbeats in a row that did not name it.
    missing: u32,
}

/// A submission that is being committed, and those of the same identity that came meanwhile.
#[derive(Clone, Debug)]
struct Submitting {
    ask: Ask,
    task: LiveTask,
    behind: Vec<(Ask, NewTask)>,
}

/// What follows when a commit is durable.
#[derive(Clone, Debug)]
enum Then {
    /// It enters the queue.
    Enter(u128),
    /// Answers.
    Answer(Vec<(Ask, SchedulerAnswer)>),
    /// These are sent.
    Send(Vec<TaskNumber>),
    /// This one has ended.
    Ended(TaskNumber, Status, Option<Ask>),
}

#[derive(Clone, Debug)]
struct Committing {
    then: Then,
    /// Kept to be tried again; `None` for what is answered as not stored.
    writes: Option<Vec<TaskWrite>>,
}

#[derive(Clone, Debug)]
struct Processor {
    id: ProcessorId,
    heard: Timestamp,
    /// How many tasks it executes at once; 0 until it says so.
    slots: usize,
}

/// See the module's head.
#[derive(Debug)]
pub struct SchedulerCore {
    settings: Arc<SchedulerSettings>,
    queue: TaskQueue,
    tasks: HashMap<TaskNumber, Known>,
    /// Submitted tasks by what they do.
    waiting: HashMap<u128, TaskNumber>,
    /// How many of each type wait.
    counts: [usize; TaskType::ALL.len()],
    submitting: BTreeMap<u128, Submitting>,
    sent: BTreeMap<TaskNumber, Sent>,
    committing: BTreeMap<IntentNumber, Committing>,
    /// Commits that were not taken, and when they are tried again.
    again: Vec<(Timestamp, Committing)>,
    awaiting: BTreeMap<TaskNumber, Vec<Ask>>,
    processors: Vec<Processor>,
    state: BatchState,
    next: TaskNumber,
    /// What came last has at least this time: tasks stand in the order in which they came, whatever the clock does.
    latest: Timestamp,
    rng: RngStream,
}

/// Why something is as it is, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explained {
    /// It waits: all tasks do.
    Paused,
    /// It waits for this.
    Waits(Why),
    /// Nothing excludes it, and all slots of the processors are taken.
    Full,
    /// Nothing excludes it, and there is no processor.
    NoProcessor,
    /// It was sent, and this processor has not begun it; `false`: no processor is there.
    Queued(bool),
    /// It runs.
    Processing,
}

impl SchedulerCore {
    /// Whether sending is paused.
    pub fn is_paused(&self) -> bool {
        self.state.is_paused
    }

    /// Tasks that wait, and tasks that were sent and have not ended.
    pub fn counts(&self) -> (usize, usize) {
        (self.queue.waiting(), self.queue.running())
    }

    /// Types of tasks that wait, and how many.
    pub fn waiting(&self) -> impl Iterator<Item = (TaskType, usize)> {
        TaskType::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// What was sent for processing, ascending.
    pub fn sent(&self) -> impl Iterator<Item = (TaskNumber, TaskType, &TaskRun)> {
        self.sent.iter().map(|(number, sent)| {
            let task = self.tasks.get(number).map_or(TaskType::InventoryIntake, |known| known.task);
            (*number, task, &sent.run)
        })
    }

    /// How far a task has come that was sent for processing.
    pub fn run(&self, number: TaskNumber) -> Option<&TaskRun> {
        self.sent.get(&number).map(|sent| &sent.run)
    }

    /// The type and GUID of a task that has not ended.
    pub fn name(&self, number: TaskNumber) -> Option<(TaskType, Guid)> {
        self.tasks.get(&number).map(|known| (known.task, known.guid))
    }

    /// Since when a task that has not ended waits, or waited.
    pub fn since(&self, number: TaskNumber) -> Option<Timestamp> {
        self.queue.since(number)
    }

    /// Why a task does not run, or that it does; `None` when it has ended.
    pub fn why(&self, number: TaskNumber) -> Option<Explained> {
        if let Some(sent) = self.sent.get(&number) {
            return Some(match sent.run.status {
                Status::Processing => Explained::Processing,
                _ => Explained::Queued(!self.processors.is_empty()),
            });
        }
        match self.queue.why(number)? {
            why @ Why::NotBefore(_) => Some(Explained::Waits(why)),
            _ if self.state.is_paused => Some(Explained::Paused),
            Why::Nothing if self.slots() == 0 => Some(Explained::NoProcessor),
            Why::Nothing => Some(Explained::Full),
            why => Some(Explained::Waits(why)),
        }
    }

    /// The processors that were heard of, and when.
    pub fn processors(&self) -> impl Iterator<Item = (&ProcessorId, Timestamp)> {
        self.processors.iter().map(|processor| (&processor.id, processor.heard))
    }

    fn submit(&mut self, now: Timestamp, ask: Ask, new: NewTask, out: &mut impl Sink<SchedulerIntent>) {
        let NewTask { task, scope, parameters, not_before, origin, login } = new.clone();
        let mut submission = TaskSubmission {
            guid: Guid::NIL,
            task,
            scope,
            parameters,
            submitted: now,
            not_before,
            origin,
            login,
            duplicate_of: None,
        };
        let identity = submission.identity();
        if let Some(first) = self.submitting.get_mut(&identity) {
            // Whether it is a duplicate hangs on whether the first one is stored.
            first.behind.push((ask, new));
            return;
        }
        let number = self.next;
        self.next = number.next();
        submission.guid = Guid::numbered(self.rng.bits(), number.0);
        let guid = submission.guid;
        if let Some(of) = self.waiting.get(&identity).and_then(|number| self.tasks.get(number)).map(|of| of.guid) {
            submission.duplicate_of = Some(of);
            let run = TaskRun { finished: Some(now), ..TaskRun::new(Status::Duplicate) };
            let writes =
                vec![TaskWrite::Submission(number, Box::new(submission)), TaskWrite::Run(number, Box::new(run))];
            out.intend(SchedulerIntent::Log(LogLine::Duplicate(task, guid, of)));
            let then = Then::Answer(vec![(ask, SchedulerAnswer::Duplicate { guid, of })]);
            self.commit_once(then, writes, out);
            return;
        }
        let live = LiveTask::of(number, submission.clone(), None, now);
        if let Some(task) = live {
            self.submitting.insert(identity, Submitting { ask, task, behind: Vec::new() });
            let writes = vec![TaskWrite::Submission(number, Box::new(submission))];
            self.commit_once(Then::Enter(identity), writes, out);
        }
    }

    /// Commits what is answered as not stored when the log does not take it.
    fn commit_once(&mut self, then: Then, writes: Vec<TaskWrite>, out: &mut impl Sink<SchedulerIntent>) {
        let intent = out.intend(SchedulerIntent::Commit(writes));
        self.committing.insert(intent, Committing { then, writes: None });
    }

    /// Commits what has happened: until the log takes it.
    fn commit(&mut self, then: Then, writes: Vec<TaskWrite>, out: &mut impl Sink<SchedulerIntent>) {
        let intent = out.intend(SchedulerIntent::Commit(writes.clone()));
        self.committing.insert(intent, Committing { then, writes: Some(writes) });
    }

    fn committed(
        &mut self,
        now: Timestamp,
        intent: IntentNumber,
        is_durable: bool,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let Some(committing) = self.committing.remove(&intent) else { return };
        if !is_durable && committing.writes.is_some() {
            self.again.push((now.plus_ms(COMMIT_AGAIN_MS), committing));
            return;
        }
        match committing.then {
            Then::Enter(identity) => {
                let Some(Submitting { ask, task, behind }) = self.submitting.remove(&identity) else { return };
                let answer = match is_durable {
                    true => {
                        out.intend(SchedulerIntent::Log(LogLine::Submitted(task.task, task.guid)));
                        SchedulerAnswer::Submitted(task.number, task.guid)
                    }
                    false => SchedulerAnswer::NotStored,
                };
                out.intend(SchedulerIntent::Answer(ask, answer));
                if is_durable {
                    self.enter(task);
                }
                for (ask, new) in behind {
                    self.submit(now, ask, new, out);
                }
            }
            Then::Answer(answers) => {
                for (ask, answer) in answers {
                    let answer = if is_durable { answer } else { SchedulerAnswer::NotStored };
                    out.intend(SchedulerIntent::Answer(ask, answer));
                }
            }
            Then::Send(numbers) => {
                for number in &numbers {
                    if let (Some(sent), Some(known)) = (self.sent.get_mut(number), self.tasks.get(number)) {
                        sent.is_durable = true;
                        out.intend(SchedulerIntent::Log(LogLine::Sent(known.task, known.guid)));
                    }
                }
                self.dispatch(&numbers, out);
            }
            Then::Ended(number, status, ask) => {
                self.tasks.remove(&number);
                self.queue.end(number);
                for waiter in self.awaiting.remove(&number).unwrap_or_default() {
                    out.intend(SchedulerIntent::Answer(waiter, SchedulerAnswer::Ended(status)));
                }
                if let Some(ask) = ask {
                    out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Noted));
                }
            }
        }
    }

    /// A task is durable and waits, or was sent by an earlier life.
    fn enter(&mut self, task: LiveTask) {
        let LiveTask { number, guid, task, scope, identity, since, run } = task;
        match run {
            None => {
                self.queue.submit(number, task, &scope, since);
                self.counts[task.index()] += 1;
                self.waiting.insert(identity, number);
            }
            Some(run) => {
                self.queue.has_started(number, task, &scope, since);
                let to = run.processor.clone();
                self.sent.insert(number, Sent { run: *run, is_durable: true, to, missing: 0 });
            }
        }
        self.tasks.insert(number, Known { guid, task, identity });
    }

    /// Tasks that all processors execute at once.
    fn slots(&self) -> usize {
        self.processors.iter().map(|processor| processor.slots).fold(0, usize::saturating_add)
    }

    /// One pass.
    fn assess(&mut self, now: Timestamp, out: &mut impl Sink<SchedulerIntent>) {
        if self.state.is_paused {
            self.queue.grow_old(now);
            return;
        }
        // No more than are executed at once: a task that nothing excludes waits here, where it is seen to wait, and one that
        // is kept back by others waits for few of them.
        let started = self.queue.assess(now, self.slots());
        for part in started.chunks(COMMIT_TASKS) {
            let mut writes = Vec::with_capacity(part.len());
            for number in part {
                let Some(known) = self.tasks.get(number) else { continue };
                self.counts[known.task.index()] -= 1;
                if self.waiting.get(&known.identity) == Some(number) {
                    self.waiting.remove(&known.identity);
                }
                let run = moved(TaskRun { queued: Some(now), ..TaskRun::new(Status::Submitted) }, TaskEvent::Dispatch);
                writes.push(TaskWrite::Run(*number, Box::new(run.clone())));
                self.sent.insert(*number, Sent { run, is_durable: false, to: None, missing: 0 });
            }
            self.commit(Then::Send(part.to_vec()), writes, out);
        }
    }

    /// Sends those of these that are Queued to the processor that has the fewest.
    fn dispatch(&mut self, numbers: &[TaskNumber], out: &mut impl Sink<SchedulerIntent>) {
        let mut held: Vec<usize> = vec![0; self.processors.len()];
        // One is chosen without counting what may be thousands.
        for sent in self.sent.values().filter(|_| self.processors.len() > 1) {
            let place = self.processors.iter().position(|processor| Some(&processor.id) == sent.to.as_ref());
            if let Some(place) = place {
                held[place] += 1;
            }
        }
        let mut parts: Vec<Vec<Dispatch>> = vec![Vec::new(); self.processors.len()];
        for number in numbers {
            let (Some(sent), Some(known)) = (self.sent.get_mut(number), self.tasks.get(number)) else { continue };
            if sent.run.status != Status::Queued || !sent.is_durable {
                continue;
            }
            let Some(place) = (0..held.len()).min_by_key(|place| held[*place]) else { return };
            held[place] += 1;
            sent.to = Some(self.processors[place].id.clone());
            parts[place].push(Dispatch { number: *number, guid: known.guid, task: known.task });
        }
        for (processor, part) in self.processors.iter().zip(parts) {
            if !part.is_empty() {
                out.intend(SchedulerIntent::Dispatch(processor.id.clone(), part));
            }
        }
    }

    /// A task that was sent ends by `event`. What it kept back goes on when that is durable: else a crash could leave two
    /// that exclude each other.
    fn end(
        &mut self,
        now: Timestamp,
        number: TaskNumber,
        event: TaskEvent,
        outcome: Outcome,
        ask: Option<Ask>,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let Some(Sent { run, .. }) = self.sent.remove(&number) else { return };
        let output: String = outcome.output.chars().take(OUTPUT_CHARS_MAX).collect();
        let mut run = moved(run, event);
        run.finished = Some(now);
        run.return_code = Some(outcome.return_code);
        run.output = output.into();
        run.progress = if run.status == Status::Success { 100 } else { run.progress };
        let status = run.status;
        self.commit(Then::Ended(number, status, ask), vec![TaskWrite::Run(number, Box::new(run))], out);
    }

    /// Ends what a processor was executing; what it has not begun is sent again.
    fn lose(
        &mut self,
        now: Timestamp,
        which: impl Fn(&ProcessorId) -> bool,
        why: &str,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let mut lost = Vec::new();
        for (number, sent) in &mut self.sent {
            if sent.run.status == Status::Processing && sent.run.processor.as_ref().is_some_and(&which) {
                lost.push(*number);
            } else if sent.to.as_ref().is_some_and(&which) {
                sent.to = None;
            }
        }
        for number in lost {
            self.lost(now, number, why, out);
        }
    }

    fn lost(&mut self, now: Timestamp, number: TaskNumber, why: &str, out: &mut impl Sink<SchedulerIntent>) {
        if let Some(known) = self.tasks.get(&number) {
            out.intend(SchedulerIntent::Log(LogLine::Ended(known.guid, why.into())));
        }
        self.end(now, number, TaskEvent::Lose, Outcome { return_code: 1, output: why.into() }, None, out);
    }

    fn cancel(&mut self, now: Timestamp, ask: Ask, guid: Guid, who: &str, out: &mut impl Sink<SchedulerIntent>) {
        let number = TaskNumber(guid.number());
        let known = self.tasks.get(&number).filter(|known| known.guid == guid).cloned();
        let Some(known) = known.filter(|_| self.queue.cancel(number, now)) else {
            let sent = self.sent.get(&number).filter(|_| self.tasks.get(&number).is_some_and(|it| it.guid == guid));
            let answer = sent.map_or(SchedulerAnswer::Gone, |sent| SchedulerAnswer::NotCancelled(sent.run.status));
            out.intend(SchedulerIntent::Answer(ask, answer));
            return;
        };
        self.tasks.remove(&number);
        self.counts[known.task.index()] -= 1;
        if self.waiting.get(&known.identity) == Some(&number) {
            self.waiting.remove(&known.identity);
        }
        let mut run = moved(TaskRun::new(Status::Submitted), TaskEvent::Cancel);
        run.finished = Some(now);
        run.output = who.into();
        out.intend(SchedulerIntent::Log(LogLine::Ended(guid, who.into())));
        let mut answers = vec![(ask, SchedulerAnswer::Cancelled)];
        let waiters = self.awaiting.remove(&number).unwrap_or_default();
        answers.extend(waiters.into_iter().map(|ask| (ask, SchedulerAnswer::Ended(Status::Error))));
        self.commit(Then::Answer(answers), vec![TaskWrite::Run(number, Box::new(run))], out);
    }

    fn pause(&mut self, ask: Ask, is_paused: bool, out: &mut impl Sink<SchedulerIntent>) {
        self.state = BatchState { is_paused, next: self.next };
        let text = if is_paused { "Sending of tasks paused" } else { "Sending of tasks goes on" };
        out.intend(SchedulerIntent::Log(LogLine::Note(text.into())));
        let then = Then::Answer(vec![(ask, SchedulerAnswer::Paused(is_paused))]);
        self.commit(then, vec![TaskWrite::State(self.state)], out);
    }

    fn forget(&mut self, ask: Ask, numbers: Vec<TaskNumber>, out: &mut impl Sink<SchedulerIntent>) {
        let ended: Vec<TaskNumber> = numbers.into_iter().filter(|number| !self.tasks.contains_key(number)).collect();
        let answer = SchedulerAnswer::Forgotten(ended.len() as u64);
        self.state.next = self.next;
        let state = TaskWrite::State(self.state);
        let writes = std::iter::once(state).chain(ended.into_iter().map(TaskWrite::Forget)).collect();
        self.commit_once(Then::Answer(vec![(ask, answer)]), writes, out);
    }

    fn heartbeat(
        &mut self,
        now: Timestamp,
        ask: Ask,
        id: ProcessorId,
        holds: &[Guid],
        slots: usize,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        if !self.hear(now, &id, out) {
            out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Unwanted));
            return;
        }
        if let Some(processor) = self.processors.iter_mut().find(|processor| processor.id == id) {
            processor.slots = slots;
        }
        let holds: BTreeSet<Guid> = holds.iter().copied().collect();
        let (mut lost, mut send) = (Vec::new(), Vec::new());
        for (number, sent) in &mut self.sent {
            let Some(known) = self.tasks.get(number) else { continue };
            let is_held = holds.contains(&known.guid);
            match sent.run.status {
                Status::Processing if sent.run.processor.as_ref() == Some(&id) => {
                    sent.missing = if is_held { 0 } else { sent.missing + 1 };
                    if sent.missing >= self.settings.lost_after.max(1) {
                        lost.push(*number);
                    }
                }
                Status::Queued if sent.to.is_none() || (sent.to.as_ref() == Some(&id) && !is_held) => {
                    send.push(*number);
                }
                _ => {}
            }
        }
        let beats = self.settings.lost_after;
        for number in lost {
            self.lost(now, number, &format!("lost: the processor has not named it in {beats} heartbeats"), out);
        }
        self.dispatch(&send, out);
        let is_wanted = |guid: &Guid| {
            let number = TaskNumber(guid.number());
            let is_it = self.tasks.get(&number).is_some_and(|known| known.guid == *guid);
            is_it && self.sent.get(&number).is_some_and(|sent| sent.to.as_ref() == Some(&id))
        };
        let unwanted = holds.iter().filter(|guid| !is_wanted(guid)).copied().collect();
        out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Heard(unwanted)));
    }

    /// A life of a processor speaks: an earlier life of the same processor is over. Whether it is not over itself.
    fn hear(&mut self, now: Timestamp, id: &ProcessorId, out: &mut impl Sink<SchedulerIntent>) -> bool {
        let is_earlier = |other: &ProcessorId| other.is_life_of_same(id) && other.instance < id.instance;
        match self.processors.iter_mut().find(|processor| processor.id.is_life_of_same(id)) {
            Some(processor) if processor.id == *id => processor.heard = now,
            Some(processor) if !is_earlier(&processor.id) => return false,
            Some(processor) => *processor = Processor { id: id.clone(), heard: now, slots: 0 },
            None => {
                self.processors.push(Processor { id: id.clone(), heard: now, slots: 0 });
                self.processors.sort_by(|one, other| one.id.cmp(&other.id));
            }
        }
        // Also what lives before the last one executed: a scheduler that was away has not heard of them.
        self.lose(now, is_earlier, "lost: its processor was started anew", out);
        true
    }

    fn update(
        &mut self,
        now: Timestamp,
        ask: Ask,
        id: ProcessorId,
        guid: Guid,
        update: TaskUpdate,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let lives = self.hear(now, &id, out);
        let number = TaskNumber(guid.number());
        let is_known = lives && self.tasks.get(&number).is_some_and(|known| known.guid == guid);
        let is_ending = is_known && self.queue.has_begun(number) && !self.sent.contains_key(&number);
        let sent = self.sent.get_mut(&number).filter(|sent| is_known && sent.to.as_ref() == Some(&id));
        let Some(sent) = sent else {
            // One whose end is being committed is asked for again, until that is durable.
            let answer = if is_ending { SchedulerAnswer::NotStored } else { SchedulerAnswer::Unwanted };
            out.intend(SchedulerIntent::Answer(ask, answer));
            return;
        };
        let host = id.host.clone();
        let told = |status, out: &mut _| {
            Sink::intend(out, SchedulerIntent::Log(LogLine::Update(guid, status, host.clone())));
        };
        match (sent.run.status, update) {
            (Status::Queued, TaskUpdate::Accepted) => {
                let run = TaskRun { started: Some(now), processor: Some(id), ..sent.run.clone() };
                sent.run = moved(run, TaskEvent::Accept);
                let writes = vec![TaskWrite::Run(number, Box::new(sent.run.clone()))];
                told(Status::Processing, out);
                self.commit(Then::Answer(vec![(ask, SchedulerAnswer::Noted)]), writes, out);
            }
            (Status::Queued, TaskUpdate::Refused(why)) => {
                told(Status::Error, out);
                self.end(now, number, TaskEvent::Refuse, Outcome { return_code: 1, output: why }, Some(ask), out);
            }
            (Status::Processing, TaskUpdate::Progress(percent)) => {
                sent.run.progress = percent.min(100);
                out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Noted));
            }
            (Status::Processing, TaskUpdate::Ended(outcome)) => {
                let event = if outcome.return_code == 0 { TaskEvent::Succeed } else { TaskEvent::Fail };
                told(Status::Processing.next(event).unwrap_or(Status::Error), out);
                self.end(now, number, event, outcome, Some(ask), out);
            }
            // Said again, because the first answer was lost: its commit goes before this one, which changes nothing.
            (Status::Processing, TaskUpdate::Accepted) => {
                let writes = vec![TaskWrite::Run(number, Box::new(sent.run.clone()))];
                self.commit(Then::Answer(vec![(ask, SchedulerAnswer::Noted)]), writes, out);
            }
            (_, _) => _ = out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Unwanted)),
        }
    }

    /// A clock that was set back must not make a processor seem to speak from the future.
    fn follow_clock(&mut self, now: Timestamp) {
        if self.latest.ms_since(now) > CLOCK_STEP_MS {
            self.processors.iter_mut().for_each(|processor| processor.heard = processor.heard.min(now));
            self.again.iter_mut().for_each(|(at, _)| *at = (*at).min(now.plus_ms(COMMIT_AGAIN_MS)));
        }
        self.latest = now;
    }

    fn advance(&mut self, now: Timestamp, out: &mut impl Sink<SchedulerIntent>) {
        let (due, later) = std::mem::take(&mut self.again).into_iter().partition(|(at, _)| *at <= now);
        self.again = later;
        for (_, Committing { then, writes }) in due {
            let mut writes = writes.unwrap_or_default();
            writes.retain_mut(|write| match write {
                // What came after it may be durable already.
                TaskWrite::Run(number, run) => run.status.is_final() || self.sent.contains_key(number),
                TaskWrite::State(state) => {
                    *state = self.state;
                    true
                }
                TaskWrite::Submission(..) | TaskWrite::Forget(_) => true,
            });
            self.commit(then, writes, out);
        }
        let silence_ms = self.settings.silence_ms;
        let (live, silent): (Vec<Processor>, Vec<Processor>) =
            std::mem::take(&mut self.processors).into_iter().partition(|it| now.ms_since(it.heard) <= silence_ms);
        self.processors = live;
        for Processor { id, .. } in silent {
            let secs = silence_ms / SECOND_MS;
            let why = format!("lost: processor {} was silent for more than {secs} s", id.host);
            self.lose(now, |other| *other == id, &why, out);
        }
        self.assess(now, out);
    }
}

/// `run` after `event`.
fn moved(run: TaskRun, event: TaskEvent) -> TaskRun {
    let next = run.status.next(event);
    assert!(next.is_some(), "a task in {} cannot {event:?}", run.status);
    TaskRun { status: next.unwrap_or(run.status), ..run }
}

impl Core for SchedulerCore {
    type Durable = SchedulerDurable;
    type Input = SchedulerInput;
    type Intent = SchedulerIntent;

    fn recover(durable: SchedulerDurable, rng: RngStream, now: Timestamp) -> SchedulerCore {
        let SchedulerDurable { settings, tasks, next, state } = durable;
        let queue = TaskQueue::new(settings.constraints.clone(), settings.starvation_ms);
        let mut core = SchedulerCore {
            settings,
            queue,
            tasks: HashMap::with_capacity(tasks.len()),
            waiting: HashMap::with_capacity(tasks.len()),
            counts: [0; TaskType::ALL.len()],
            submitting: BTreeMap::new(),
            sent: BTreeMap::new(),
            committing: BTreeMap::new(),
            again: Vec::new(),
            awaiting: BTreeMap::new(),
            processors: Vec::new(),
            state,
            next: next.max(state.next),
            latest: now,
            rng,
        };
        for task in tasks {
            // A processor that executes one may still live: it has until the silence is over to say so.
            let id = task.run.as_ref().and_then(|run| run.processor.clone());
            if let Some(id) = id {
                match core.processors.iter_mut().find(|known| known.id.is_life_of_same(&id)) {
                    Some(known) => known.id.instance = known.id.instance.max(id.instance),
                    None => core.processors.push(Processor { id, heard: now, slots: 0 }),
                }
            }
            core.enter(task);
        }
        core.processors.sort_by(|one, other| one.id.cmp(&other.id));
        core
    }

    fn next_due(&self) -> Timestamp {
        let silence = |processor: &Processor| processor.heard.plus_ms(self.settings.silence_ms).plus_ms(1);
        let silent = self.processors.iter().map(silence).min().unwrap_or(Timestamp::NEVER);
        let again = self.again.iter().map(|(at, _)| *at).min().unwrap_or(Timestamp::NEVER);
        self.queue.next_due().min(silent).min(again)
    }

    fn fingerprint(&self) -> u64 {
        self.rng.fingerprint()
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<SchedulerIntent>) {
        self.follow_clock(now);
        self.advance(now, out);
    }

    fn on(&mut self, now: Timestamp, input: SchedulerInput, out: &mut impl Sink<SchedulerIntent>) {
        self.follow_clock(now);
        match input {
            SchedulerInput::Submit(ask, new) => self.submit(now, ask, new, out),
            SchedulerInput::Await(ask, number) if self.tasks.contains_key(&number) => {
                self.awaiting.entry(number).or_default().push(ask);
            }
            // What became of it stands in its facts.
            SchedulerInput::Await(ask, _) => _ = out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Gone)),
            SchedulerInput::Cancel(ask, guid, who) => self.cancel(now, ask, guid, &who, out),
            SchedulerInput::Pause(ask, is_paused) => self.pause(ask, is_paused, out),
            SchedulerInput::Forget(ask, numbers) => self.forget(ask, numbers, out),
            SchedulerInput::Processor(ask, id, ProcessorSays::Heartbeat { holds, slots }) => {
                self.heartbeat(now, ask, id, &holds, slots, out);
            }
            SchedulerInput::Processor(ask, id, ProcessorSays::Update(guid, update)) => {
                self.update(now, ask, id, guid, update, out);
            }
            SchedulerInput::Committed { intent, is_durable } => self.committed(now, intent, is_durable, out),
        }
        self.advance(now, out);
    }
}
