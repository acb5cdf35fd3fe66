//! The scheduler: takes tasks, sends them for processing when nothing forbids it, and knows what became of them.

mod explained;
mod hearing;
mod sending;
mod submitting;

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
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::backoff::CLOCK_STEP_MS;

pub use explained::Explained;

/// A commit that the log did not take is tried again after this.
const COMMIT_AGAIN_MS: i64 = SECOND_MS;
/// Tasks of one commit, at most: many may start at once.
const COMMIT_TASKS: usize = 1_000;

/// Nobody sleeps so long: the clock was set, or the machine was suspended.
const CLOCK_JUMP_MS: i64 = 10 * MINUTE_MS;

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
    /// This one was taken back, and answers.
    Cancelled(TaskNumber, Vec<(Ask, SchedulerAnswer)>),
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
    /// Those of the same identity that wait as well, because they were put off for longer.
    put_off: BTreeMap<u128, Vec<TaskNumber>>,
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
    /// When it was told the time last, to notice a clock that steps.
    latest: Timestamp,
    rng: RngStream,
}

impl SchedulerCore {
    /// A clock that was set back must not make a processor seem to speak from the future, nor one that was set forward, or a
    /// machine that slept, make it seem silent: a scheduler is woken each minute.
    fn follow_clock(&mut self, now: Timestamp) {
        let ahead_ms = now.ms_since(self.latest);
        if ahead_ms > CLOCK_JUMP_MS {
            self.processors.iter_mut().for_each(|processor| processor.heard = processor.heard.plus_ms(ahead_ms));
        }
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
            put_off: BTreeMap::new(),
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
        if self.state.since.is_none() {
            self.state.since = Some(now);
            self.commit(Then::Answer(Vec::new()), vec![TaskWrite::State(self.state)], out);
        }
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
