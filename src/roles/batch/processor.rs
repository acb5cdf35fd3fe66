//! The processor: takes what is sent to it from the head, as many at once as it has slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::vocabulary::*;
use crate::id::Guid;
use crate::model::task::ProcessorId;
use crate::rng::RngStream;
use crate::roles::{Core, IntentNumber, Sink};
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};

/// What the scheduler did not hear is said again after this.
const SAY_AGAIN_MS: i64 = SECOND_MS;
/// Ended tasks that are remembered, so that none of them begins again.
const FINISHED_MAX: usize = 10_000;

/// What a processor is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorSettings {
    /// This life.
    pub id: ProcessorId,
    /// Tasks that are executed at once, at least one.
    pub slots: usize,
    /// From one heartbeat to the next.
    pub heartbeat_ms: i64,
}

impl ProcessorSettings {
    /// A heartbeat each minute. Source: agent-beacon-batch reference, section 11.5.
    pub fn new(id: ProcessorId, slots: usize) -> ProcessorSettings {
        ProcessorSettings { id, slots: slots.max(1), heartbeat_ms: MINUTE_MS }
    }
}

/// Nothing survives of a processor: what it executed ends with it.
#[derive(Clone, Debug)]
pub struct ProcessorDurable {
    /// What it is set to.
    pub settings: ProcessorSettings,
}

/// What can happen to a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessorInput {
    /// Tasks were sent to it.
    Dispatched(Vec<Dispatch>),
    /// The scheduler has answered what was said; `None`: it was not heard.
    Answered {
        /// The intent that said it.
        intent: IntentNumber,
        /// The answer.
        answer: Option<SchedulerAnswer>,
    },
    /// A task tells how far it is, in percent.
    Progress(Guid, u8),
    /// A task has ended.
    Ended(Guid, Outcome),
}

/// What a processor can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessorIntent {
    /// Tell the scheduler; comes back as `Answered`.
    Say(ProcessorSays),
    /// Execute a task; comes back as `Ended`.
    Begin(Dispatch),
    /// End the execution of a task: nobody wants it. What it has done stays.
    Abandon(Guid),
}

/// How far a task is here.
#[derive(Clone, Debug)]
enum Held {
    /// It was announced and begins when that is noted.
    Accepting(Dispatch),
    Executing,
    /// Nobody wants it, and it has not ended yet.
    Abandoned,
    /// The scheduler has not noted its end.
    Ended,
}

/// See the module's head.
#[derive(Debug)]
pub struct ProcessorCore {
    settings: ProcessorSettings,
    waiting: VecDeque<Dispatch>,
    /// The GUIDs of `waiting`.
    waits: BTreeSet<Guid>,
    held: BTreeMap<Guid, Held>,
    /// What was said and is not answered.
    said: BTreeMap<IntentNumber, ProcessorSays>,
    /// To be said again.
    again: Vec<(Timestamp, ProcessorSays)>,
    finished: BTreeSet<Guid>,
    finished_in_order: VecDeque<Guid>,
    beat_due: Timestamp,
}

impl ProcessorCore {
    /// Tasks that are executed, and tasks that wait for a slot.
    pub fn counts(&self) -> (usize, usize) {
        (self.busy(), self.waiting.len())
    }

    /// Slots that are taken.
    fn busy(&self) -> usize {
        self.held.values().filter(|held| !matches!(held, Held::Ended)).count()
    }

    fn say(&mut self, says: ProcessorSays, out: &mut impl Sink<ProcessorIntent>) {
        let intent = out.intend(ProcessorIntent::Say(says.clone()));
        self.said.insert(intent, says);
    }

    fn take(&mut self, dispatch: Dispatch, out: &mut impl Sink<ProcessorIntent>) {
        let guid = dispatch.guid;
        if self.finished.contains(&guid) {
            self.say(ProcessorSays::Update(guid, TaskUpdate::Refused("it has ended here before".into())), out);
        } else if !self.held.contains_key(&guid) && self.waits.insert(guid) {
            self.waiting.push_back(dispatch);
        }
    }

    fn finish(&mut self, guid: Guid) {
        self.held.remove(&guid);
        if self.finished.insert(guid) {
            self.finished_in_order.push_back(guid);
        }
        if self.finished_in_order.len() > FINISHED_MAX
            && let Some(oldest) = self.finished_in_order.pop_front()
        {
            self.finished.remove(&oldest);
        }
    }

    fn answered(
        &mut self,
        now: Timestamp,
        says: ProcessorSays,
        answer: Option<SchedulerAnswer>,
        out: &mut impl Sink<ProcessorIntent>,
    ) {
        match (says, answer) {
            (ProcessorSays::Heartbeat { .. }, Some(SchedulerAnswer::Heard(unwanted))) => {
                for guid in unwanted {
                    self.unwanted(guid, out);
                }
            }
            // The next one comes by itself.
            (ProcessorSays::Heartbeat { .. }, _) | (ProcessorSays::Update(_, TaskUpdate::Progress(_)), None) => {}
            (says @ ProcessorSays::Update(..), None | Some(SchedulerAnswer::NotStored)) => {
                self.again.push((now.plus_ms(SAY_AGAIN_MS), says));
            }
            (ProcessorSays::Update(guid, update), Some(SchedulerAnswer::Noted)) => match update {
                TaskUpdate::Accepted => {
                    if let Some(held @ Held::Accepting(_)) = self.held.get_mut(&guid)
                        && let Held::Accepting(dispatch) = std::mem::replace(held, Held::Executing)
                    {
                        out.intend(ProcessorIntent::Begin(dispatch));
                    }
                }
                TaskUpdate::Ended(_) => self.finish(guid),
                TaskUpdate::Refused(_) | TaskUpdate::Progress(_) => {}
            },
            (ProcessorSays::Update(guid, TaskUpdate::Ended(_)), Some(_)) => self.finish(guid),
            (ProcessorSays::Update(guid, TaskUpdate::Accepted | TaskUpdate::Progress(_)), Some(_)) => {
                self.unwanted(guid, out);
            }
            (ProcessorSays::Update(_, TaskUpdate::Refused(_)), Some(_)) => {}
        }
    }

    fn unwanted(&mut self, guid: Guid, out: &mut impl Sink<ProcessorIntent>) {
        if self.waits.remove(&guid) {
            self.waiting.retain(|waiting| waiting.guid != guid);
        }
        match self.held.get_mut(&guid) {
            // It has not begun, and may be sent again.
            Some(Held::Accepting(_)) => drop(self.held.remove(&guid)),
            Some(held @ Held::Executing) => {
                *held = Held::Abandoned;
                out.intend(ProcessorIntent::Abandon(guid));
            }
            Some(Held::Ended) => self.finish(guid),
            Some(Held::Abandoned) | None => {}
        }
    }

    fn advance(&mut self, now: Timestamp, out: &mut impl Sink<ProcessorIntent>) {
        let (due, later) = std::mem::take(&mut self.again).into_iter().partition(|(at, _)| *at <= now);
        self.again = later;
        for (_, says) in due {
            let is_current = match &says {
                ProcessorSays::Update(guid, TaskUpdate::Accepted) => {
                    matches!(self.held.get(guid), Some(Held::Accepting(_)))
                }
                ProcessorSays::Update(guid, TaskUpdate::Ended(_)) => {
                    matches!(self.held.get(guid), Some(Held::Ended))
                }
                _ => true,
            };
            if is_current {
                self.say(says, out);
            }
        }
        while self.busy() < self.settings.slots.max(1)
            && let Some(dispatch) = self.waiting.pop_front()
        {
            self.waits.remove(&dispatch.guid);
            self.held.insert(dispatch.guid, Held::Accepting(dispatch));
            self.say(ProcessorSays::Update(dispatch.guid, TaskUpdate::Accepted), out);
        }
        if self.beat_due <= now {
            self.beat_due = now.plus_ms(self.settings.heartbeat_ms.max(1));
            let holds = self.held.keys().chain(&self.waits).copied().collect();
            self.say(ProcessorSays::Heartbeat { holds, slots: self.settings.slots }, out);
        }
    }
}

impl Core for ProcessorCore {
    type Durable = ProcessorDurable;
    type Input = ProcessorInput;
    type Intent = ProcessorIntent;

    fn recover(durable: ProcessorDurable, _: RngStream, now: Timestamp) -> ProcessorCore {
        ProcessorCore {
            settings: durable.settings,
            waiting: VecDeque::new(),
            waits: BTreeSet::new(),
            held: BTreeMap::new(),
            said: BTreeMap::new(),
            again: Vec::new(),
            finished: BTreeSet::new(),
            finished_in_order: VecDeque::new(),
            beat_due: now,
        }
    }

    fn next_due(&self) -> Timestamp {
        self.again.iter().map(|(at, _)| *at).min().unwrap_or(Timestamp::NEVER).min(self.beat_due)
    }

    /// It draws nothing.
    fn fingerprint(&self) -> u64 {
        0
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<ProcessorIntent>) {
        // A clock that was set back must not silence it.
        self.beat_due = self.beat_due.min(now.plus_ms(self.settings.heartbeat_ms.max(1)));
        self.advance(now, out);
    }

    fn on(&mut self, now: Timestamp, input: ProcessorInput, out: &mut impl Sink<ProcessorIntent>) {
        match input {
            ProcessorInput::Dispatched(tasks) => {
                for dispatch in tasks {
                    self.take(dispatch, out);
                }
            }
            ProcessorInput::Answered { intent, answer } => {
                if let Some(says) = self.said.remove(&intent) {
                    self.answered(now, says, answer, out);
                }
            }
            ProcessorInput::Progress(guid, percent) => {
                if matches!(self.held.get(&guid), Some(Held::Executing)) {
                    self.say(ProcessorSays::Update(guid, TaskUpdate::Progress(percent)), out);
                }
            }
            ProcessorInput::Ended(guid, outcome) => match self.held.get_mut(&guid) {
                Some(held @ Held::Executing) => {
                    *held = Held::Ended;
                    self.say(ProcessorSays::Update(guid, TaskUpdate::Ended(outcome)), out);
                }
                Some(Held::Abandoned) => self.finish(guid),
                Some(Held::Accepting(_) | Held::Ended) | None => {}
            },
        }
        self.advance(now, out);
    }
}
