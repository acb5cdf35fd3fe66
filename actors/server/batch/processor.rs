//! The batch processor's actor: its core in the frame of every role, and the tasks it executes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle};
use muster::id::Guid;
use muster::model::fact::FactKey;
use muster::model::stored;
use muster::model::task::{ProcessorId, TaskScope, TaskSubmission};
use muster::rng::RngStream;
use muster::roles::batch::{
    Dispatch, LogLine, Outcome, ProcessorCore, ProcessorDurable, ProcessorInput, ProcessorIntent, ProcessorSettings,
};
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;

use super::log_file::LogFile;
use super::scheduler::{AskScheduler, BatchScheduler, StopTasks};
use super::tasks::TaskDoers;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::log::FactIndex;
use crate::role::{Hands, Role, SLEEP_MAX, when_done};
use crate::supervision::{DeathWatch, Directory};

/// The id of a life of the server's own processor; `instance` is greater than that of every life that a task may still
/// name.
pub fn processor_id(node: Guid, instance: u64) -> ProcessorId {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    ProcessorId { host: host.into(), name: node.to_string().into(), instance }
}

/// What the actor needs of the world.
#[derive(Clone)]
pub struct ProcessorWorld {
    /// Who sends tasks.
    pub scheduler: Directory<BatchScheduler>,
    /// What tasks are to do.
    pub facts: FactIndex,
    /// The present.
    pub clock: SharedClock,
    /// What it is set to.
    pub settings: ProcessorSettings,
    /// The documented lines.
    pub log: Arc<Mutex<LogFile>>,
    /// Who does it.
    pub doers: TaskDoers,
}

/// See the module's head.
pub type BatchProcessor = Role<ProcessorHands>;

/// Does what a processor's core wants.
pub struct ProcessorHands {
    world: ProcessorWorld,
    executing: BTreeMap<Guid, SpawnHandle>,
}

impl BatchProcessor {
    /// Begins a life; the settings name it.
    pub fn begin(world: ProcessorWorld, watch: DeathWatch) -> BatchProcessor {
        let durable = ProcessorDurable { settings: world.settings.clone() };
        let core = ProcessorCore::recover(durable, RngStream::new(0, 0, 0), world.clock.now());
        Role::new(core, ProcessorHands { world, executing: BTreeMap::new() }, Some(watch))
    }
}

impl Hands for ProcessorHands {
    type Core = ProcessorCore;

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn sleep_max(&self, _: &ProcessorCore) -> Duration {
        SLEEP_MAX
    }

    fn before_wake(&mut self, _: &ProcessorCore, _: &mut Context<BatchProcessor>) -> Option<ProcessorInput> {
        None
    }

    fn carry_out(
        &mut self,
        intent: IntentNumber,
        wanted: ProcessorIntent,
        _: &ProcessorCore,
        ctx: &mut Context<BatchProcessor>,
    ) {
        match wanted {
            ProcessorIntent::Say(says) => {
                let (scheduler, id) = (self.world.scheduler.get(), self.world.settings.id.clone());
                let line = ctx.address().recipient();
                let answered = async move { scheduler?.send(AskScheduler::Processor(id, says, line)).await.ok() };
                when_done(ctx, answered, move |answer, processor, ctx| {
                    processor.tell(ProcessorInput::Answered { intent, answer }, ctx);
                });
            }
            ProcessorIntent::Begin(dispatch) => self.begin(dispatch, ctx),
            ProcessorIntent::Abandon(guid) => {
                if let Some(handle) = self.executing.remove(&guid) {
                    ctx.cancel_future(handle);
                }
                let outcome = Outcome { return_code: 1, output: "nobody wants it any more".into() };
                ctx.notify(TaskEnded(guid, outcome));
            }
        }
    }
}

impl ProcessorHands {
    fn begin(&mut self, Dispatch { number, guid, task }: Dispatch, ctx: &mut Context<BatchProcessor>) {
        let read = self.world.facts.get(&FactKey::Task(number).encode()).map_err(|error| Chain(&error).to_string());
        let submission: Result<TaskSubmission, String> = match read {
            Ok(Some(value)) => stored::unpack(&value).map_err(|error| Chain(&error).to_string()),
            Ok(None) => Err("the task is not in the log".into()),
            Err(error) => Err(error),
        };
        let submission = match submission {
            Ok(submission) => submission,
            Err(why) => {
                let outcome = Outcome { return_code: 1, output: format!("cannot be read: {why}").into() };
                ctx.notify(TaskEnded(guid, outcome));
                return;
            }
        };
        {
            let mut log = self.world.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(self.now(), &LogLine::Starting(task, guid, command_line(&submission).into()));
            log.flush();
        }
        let address = ctx.address();
        let progress = move |percent: u8| address.do_send(TaskProgress(guid, percent));
        let doing = self.world.doers.clone().perform(submission, Box::new(progress));
        let ended = wrap_future::<_, BatchProcessor>(doing).map(move |outcome, processor, ctx| {
            processor.hands_mut().executing.remove(&guid);
            processor.tell(ProcessorInput::Ended(guid, outcome), ctx);
        });
        let handle = ctx.spawn(ended);
        self.executing.insert(guid, handle);
    }
}

/// How an operator would run the same.
fn command_line(task: &TaskSubmission) -> String {
    let scope = match &task.scope {
        TaskScope::System => String::new(),
        TaskScope::Group(group) => format!(" -g {group}"),
        TaskScope::Tenant { tenant, .. } => format!(" -t {tenant}"),
    };
    let separator = if task.parameters.is_empty() { "" } else { " -- " };
    format!("muster batch run {}{scope}{separator}{}", task.task, task.parameters)
}

/// The scheduler sends tasks to this life of a processor.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct TasksDispatched {
    /// The life it sends to.
    pub instance: u64,
    /// The tasks.
    pub tasks: Vec<Dispatch>,
}

impl Handler<TasksDispatched> for BatchProcessor {
    type Result = ();

    fn handle(&mut self, sent: TasksDispatched, ctx: &mut Context<BatchProcessor>) {
        if sent.instance == self.hands().world.settings.id.instance {
            self.tell(ProcessorInput::Dispatched(sent.tasks), ctx);
        }
    }
}

impl Handler<StopTasks> for BatchProcessor {
    type Result = ();

    /// What it executes ends with it, and is an error at the next start.
    fn handle(&mut self, _: StopTasks, ctx: &mut Context<BatchProcessor>) {
        for handle in std::mem::take(&mut self.hands_mut().executing).into_values() {
            ctx.cancel_future(handle);
        }
        self.stop(ctx);
    }
}

/// A task tells how far it is, in percent.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct TaskProgress(Guid, u8);

impl Handler<TaskProgress> for BatchProcessor {
    type Result = ();

    fn handle(&mut self, TaskProgress(guid, percent): TaskProgress, ctx: &mut Context<BatchProcessor>) {
        self.tell(ProcessorInput::Progress(guid, percent), ctx);
    }
}

/// A task has ended before it began, or was given up.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
struct TaskEnded(Guid, Outcome);

impl Handler<TaskEnded> for BatchProcessor {
    type Result = ();

    fn handle(&mut self, TaskEnded(guid, outcome): TaskEnded, ctx: &mut Context<BatchProcessor>) {
        self.tell(ProcessorInput::Ended(guid, outcome), ctx);
    }
}
