//! The batch scheduler's actor: its core in the frame of every role, the facts of tasks, and those who wait for an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::{Addr, Context, Handler, Message, Recipient, ResponseFuture};
use muster::id::Guid;
use muster::model::fact::FactKey;
use muster::model::stored;
use muster::model::task::{ProcessorId, Status, TaskNumber, TaskRun, TaskType};
use muster::rng::{RngStream, mix};
use muster::roles::batch::{
    Ask, Explained, LogLine, NewTask, ProcessorSays, SchedulerAnswer, SchedulerCore, SchedulerInput, SchedulerIntent,
    SchedulerSettings, TaskWrite,
};
use muster::roles::server::ScheduledLast;
use muster::roles::{Core, IntentNumber};
use muster::schedule::batch::{Rule, Why};
use muster::time::Timestamp;
use tokio::sync::oneshot;
use tracing::warn;

use super::log_file::LogFile;
use super::processor::TasksDispatched;
use super::recovery::{facts, note_schedule, recover};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::log::{FactIndex, FactWriter, WriteError};
use crate::role::{Hands, Role, SLEEP_MAX, when_done};
use crate::supervision::{DeathWatch, Directory};

/// Those who wait for an answer at once, at most: further ones are told to come later.
const ASKS_MAX: usize = 4_096;

/// What the actor needs of the world.
#[derive(Clone)]
pub struct SchedulerWorld {
    /// What is committed.
    pub facts: FactIndex,
    /// Who commits.
    pub writer: FactWriter,
    /// The present.
    pub clock: SharedClock,
    /// What it is set to.
    pub settings: Arc<SchedulerSettings>,
    /// The node, and which of its lives this is: where GUIDs come from.
    pub seed: (Guid, u64),
    /// The documented lines.
    pub log: Arc<Mutex<LogFile>>,
    /// For those who look without asking.
    pub overview: Arc<Mutex<BatchOverview>>,
}

/// What is to be seen at a glance.
#[derive(Clone, Debug, Default)]
pub struct BatchOverview {
    /// Whether sending is paused.
    pub is_paused: bool,
    /// Tasks that wait, by type.
    pub waiting: BTreeMap<TaskType, usize>,
    /// Tasks that were sent and have not ended, with how far they are.
    pub sent: BTreeMap<TaskNumber, (TaskType, TaskRun)>,
    /// Processors, and when they were heard last.
    pub processors: Vec<(ProcessorId, Timestamp)>,
    /// When the first scheduler of this server began.
    pub since: Timestamp,
    /// The greatest instance of a processor that an earlier life of the server left a task to.
    pub instance: u64,
    /// What has ended since the start, by type and status.
    pub ended: BTreeMap<(TaskType, Status), Spent>,
    /// When tasks were submitted by their schedule last.
    pub scheduled: ScheduledLast,
    /// Tasks that came and were no duplicates, by type.
    pub submitted: BTreeMap<TaskType, u64>,
}

/// Tasks and their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many.
    pub count: u64,
    /// How long they ran, together, in milliseconds.
    pub ran_ms: u64,
    /// How long they had waited before, together, in milliseconds.
    pub waited_ms: u64,
}

/// See the module's head.
pub type BatchScheduler = Role<SchedulerHands>;

/// Does what a scheduler's core wants.
pub struct SchedulerHands {
    world: SchedulerWorld,
    asks: BTreeMap<Ask, oneshot::Sender<SchedulerAnswer>>,
    next_ask: u64,
    /// How each processor is reached, by its name.
    lines: BTreeMap<Box<str>, Recipient<TasksDispatched>>,
    is_stopped: bool,
    /// When it was told last that the log takes nothing.
    warned: Option<Instant>,
}

/// So often it is told that the log takes nothing: a burst of a thousand tasks is one line.
const WARN_EVERY: Duration = Duration::from_secs(10);

impl BatchScheduler {
    /// Begins a life from what the log holds.
    pub fn begin(world: SchedulerWorld, watch: DeathWatch) -> BatchScheduler {
        let now = world.clock.now();
        let (durable, scheduled) = recover(&world.facts, world.settings.clone(), now);
        let processors = durable.tasks.iter().filter_map(|task| task.run.as_ref()?.processor.as_ref());
        let instance = processors.map(|processor| processor.instance).max().unwrap_or(0);
        {
            let mut overview = world.overview.lock().unwrap_or_else(PoisonError::into_inner);
            (overview.scheduled, overview.instance) = (scheduled, instance);
            overview.since = durable.state.since.unwrap_or(now);
        }
        let (node, incarnation) = world.seed;
        let rng = RngStream::new(node.seed(), mix(node.seed(), 0x62_6174_6368), mix(incarnation, now.0 as u64));
        let core = SchedulerCore::recover(durable, rng, now);
        let hands = SchedulerHands {
            world,
            asks: BTreeMap::new(),
            next_ask: 0,
            lines: BTreeMap::new(),
            is_stopped: false,
            warned: None,
        };
        Role::new(core, hands, Some(watch))
    }
}

impl Hands for SchedulerHands {
    type Core = SchedulerCore;

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn sleep_max(&self, _: &SchedulerCore) -> Duration {
        SLEEP_MAX
    }

    fn before_wake(&mut self, _: &SchedulerCore, _: &mut Context<BatchScheduler>) -> Option<SchedulerInput> {
        None
    }

    fn turned(&mut self, core: &SchedulerCore) {
        self.log().flush();
        let mut overview = self.overview();
        overview.is_paused = core.is_paused();
        overview.waiting = core.waiting().collect();
        overview.sent = core.sent().map(|(number, task, run)| (number, (task, run.clone()))).collect();
        overview.processors = core.processors().map(|(id, heard)| (id.clone(), heard)).collect();
    }

    fn carry_out(
        &mut self,
        intent: IntentNumber,
        wanted: SchedulerIntent,
        _: &SchedulerCore,
        ctx: &mut Context<BatchScheduler>,
    ) {
        match wanted {
            SchedulerIntent::Commit(writes) => {
                // Asked for now, in the order of the intents; only the answer is waited for.
                let committed = self.world.writer.asked(writes.iter().flat_map(facts).collect());
                when_done(ctx, committed, move |committed, scheduler, ctx| {
                    match &committed {
                        Ok(_) => scheduler.hands().count(&writes, scheduler.core()),
                        Err(error) => scheduler.hands_mut().warn(error),
                    }
                    scheduler.tell(SchedulerInput::Committed { intent, is_durable: committed.is_ok() }, ctx);
                });
            }
            SchedulerIntent::Dispatch(to, tasks) => {
                if let Some(line) = self.lines.get(&to.name) {
                    // One that is lost is sent again: the next heartbeat does not name it.
                    line.do_send(TasksDispatched { instance: to.instance, tasks });
                }
            }
            SchedulerIntent::Answer(ask, answer) => {
                if let Some(waiting) = self.asks.remove(&ask) {
                    // Who has gone meanwhile finds what came of it in the list.
                    let _ = waiting.send(answer);
                }
            }
            SchedulerIntent::Log(line) => self.log().write(self.now(), &line),
        }
    }
}

impl SchedulerHands {
    fn log(&self) -> std::sync::MutexGuard<'_, LogFile> {
        self.world.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn overview(&self) -> std::sync::MutexGuard<'_, BatchOverview> {
        self.world.overview.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that the log does not take something now.
    fn warn(&mut self, error: &WriteError) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            let why = "the log does not take all that is to be noted of tasks now: it is tried again, or whoever asked is told";
            warn!(error = %Chain(error), "{why}");
        }
    }

    fn count(&self, writes: &[TaskWrite], core: &SchedulerCore) {
        let mut overview = self.overview();
        for write in writes {
            match write {
                TaskWrite::Submission(_, task) => {
                    note_schedule(&mut overview.scheduled, task);
                    *overview.submitted.entry(task.task).or_default() += u64::from(task.duplicate_of.is_none());
                }
                TaskWrite::Run(number, run) if run.status.is_final() => {
                    let Some((task, _)) = core.name(*number) else { continue };
                    let spent = overview.ended.entry((task, run.status)).or_default();
                    let between = |from: Option<Timestamp>, to: Option<Timestamp>| match (from, to) {
                        (Some(from), Some(to)) => u64::try_from(to.ms_since(from)).unwrap_or(0),
                        _ => 0,
                    };
                    spent.count += 1;
                    spent.ran_ms += between(run.started, run.finished);
                    spent.waited_ms += between(core.since(*number), run.started);
                }
                _ => {}
            }
        }
    }

    /// A place for an answer; `None` when too many wait, or the end is near.
    fn ask(&mut self) -> Option<(Ask, oneshot::Receiver<SchedulerAnswer>)> {
        // Those who gave up take no place.
        if self.asks.len() >= ASKS_MAX {
            self.asks.retain(|_, waiting| !waiting.is_closed());
        }
        if self.asks.len() >= ASKS_MAX || self.is_stopped {
            return None;
        }
        let (send, receive) = oneshot::channel();
        self.next_ask += 1;
        let ask = Ask(self.next_ask);
        self.asks.insert(ask, send);
        Some((ask, receive))
    }
}

/// An order or a word to the scheduler. The answer comes when what follows from it is durable; `NotStored` also when the
/// scheduler dies before, or has too much to do.
#[derive(Debug, Message)]
#[rtype(result = "SchedulerAnswer")]
pub enum AskScheduler {
    /// Take a task that was found valid.
    Submit(NewTask),
    /// Tell when this task has ended.
    Await(TaskNumber),
    /// Take a task back; the text says who wants that.
    Cancel(Guid, Box<str>),
    /// Pause, or go on.
    Pause(bool),
    /// Forget tasks that have ended.
    Forget(Vec<TaskNumber>),
    /// A processor speaks, and is reached there.
    Processor(ProcessorId, ProcessorSays, Recipient<TasksDispatched>),
}

impl Handler<AskScheduler> for BatchScheduler {
    type Result = ResponseFuture<SchedulerAnswer>;

    fn handle(&mut self, asked: AskScheduler, ctx: &mut Context<BatchScheduler>) -> Self::Result {
        let Some((ask, answer)) = self.hands_mut().ask() else {
            return Box::pin(std::future::ready(SchedulerAnswer::NotStored));
        };
        let input = match asked {
            AskScheduler::Submit(task) => SchedulerInput::Submit(ask, task),
            AskScheduler::Await(number) => SchedulerInput::Await(ask, number),
            AskScheduler::Cancel(guid, who) => SchedulerInput::Cancel(ask, guid, who),
            AskScheduler::Pause(is_paused) => SchedulerInput::Pause(ask, is_paused),
            AskScheduler::Forget(numbers) => SchedulerInput::Forget(ask, numbers),
            AskScheduler::Processor(id, says, line) => {
                self.hands_mut().lines.insert(id.name.clone(), line);
                SchedulerInput::Processor(ask, id, says)
            }
        };
        self.tell(input, ctx);
        Box::pin(async move { answer.await.unwrap_or(SchedulerAnswer::NotStored) })
    }
}

/// A task was not valid: a line of the log.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct RefuseTask(pub String);

impl Handler<RefuseTask> for BatchScheduler {
    type Result = ();

    fn handle(&mut self, RefuseTask(why): RefuseTask, _: &mut Context<BatchScheduler>) {
        let hands = self.hands();
        let mut log = hands.log();
        log.write(hands.now(), &LogLine::Refused(why.into()));
        log.flush();
    }
}

/// Begins nothing any more: the node is about to end.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopTasks;

impl Handler<StopTasks> for BatchScheduler {
    type Result = ();

    fn handle(&mut self, _: StopTasks, ctx: &mut Context<BatchScheduler>) {
        let hands = self.hands_mut();
        // Whoever waits for an answer keeps this actor alive, and hears nothing any more.
        (hands.is_stopped, hands.lines, hands.asks) = (true, BTreeMap::new(), BTreeMap::new());
        self.stop(ctx);
    }
}

/// Why a task does not run.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Option<WhyTold>")]
pub struct WhyTask(pub TaskNumber);

/// The answer, with names in place of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyTold {
    /// A word for programs.
    pub reason: &'static str,
    /// When its time comes.
    pub until: Option<Timestamp>,
    /// Band of the task, band of the blocker, how far the exclusion reaches.
    pub rule: Option<(String, String, &'static str)>,
    /// The task that blocks.
    pub blocker: Option<(TaskNumber, TaskType, Guid)>,
}

impl Handler<WhyTask> for BatchScheduler {
    type Result = Option<WhyTold>;

    fn handle(&mut self, WhyTask(number): WhyTask, _: &mut Context<BatchScheduler>) -> Option<WhyTold> {
        let constraints = &self.hands().world.settings.constraints;
        let plain = |reason| WhyTold { reason, until: None, rule: None, blocker: None };
        let ruled = |reason, rule: Rule| WhyTold {
            rule: Some((
                constraints.name(rule.band).to_owned(),
                constraints.name(rule.its_band).to_owned(),
                rule.per.as_str(),
            )),
            blocker: self.core().name(rule.blocker).map(|(task, guid)| (rule.blocker, task, guid)),
            ..plain(reason)
        };
        Some(match self.core().why(number)? {
            Explained::Paused => plain("paused"),
            Explained::Full => plain("slots"),
            Explained::NoProcessor => plain("no-processor"),
            Explained::Queued(true) => plain("queued"),
            Explained::Queued(false) => plain("no-processor"),
            Explained::Processing => plain("processing"),
            Explained::Waits(Why::NotBefore(at)) => WhyTold { until: Some(at), ..plain("not-before") },
            Explained::Waits(Why::Running(rule)) => ruled("running", rule),
            Explained::Waits(Why::Barrier(rule)) => ruled("barrier", rule),
            Explained::Waits(Why::Behind(rule)) => ruled("behind", rule),
            Explained::Waits(Why::Nothing) => plain("next-pass"),
        })
    }
}

/// Submits a task, or finds the same that waits already, and waits for its end: whether it ended well; `None` when that is
/// not known.
pub async fn submit_and_wait(scheduler: Directory<BatchScheduler>, facts: &FactIndex, task: NewTask) -> Option<bool> {
    let ask = async |asked| {
        let address: Addr<BatchScheduler> = scheduler.get()?;
        address.send(asked).await.ok()
    };
    let number = match ask(AskScheduler::Submit(task)).await? {
        SchedulerAnswer::Submitted(number, _) => number,
        SchedulerAnswer::Duplicate { of, .. } => TaskNumber(of.number()),
        _ => return None,
    };
    match ask(AskScheduler::Await(number)).await? {
        SchedulerAnswer::Ended(status) => Some(status == Status::Success),
        // It ended before that was asked.
        SchedulerAnswer::Gone => {
            let (facts, key) = (facts.clone(), FactKey::TaskRun(number).encode());
            let run = tokio::task::spawn_blocking(move || facts.get(&key)).await.ok()?.ok()??;
            Some(stored::unpack::<TaskRun>(&run).ok()?.status == Status::Success)
        }
        _ => None,
    }
}
