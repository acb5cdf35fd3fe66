//! Both cores beside a log that keeps what it took: time is a number, messages take as long as they are drawn to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::config::tasks::TasksConfig;
use crate::id::Guid;
use crate::model::task::{
    BatchState, Constraints, Parameters, ProcessorId, ScopeKind, Status, TaskEvent, TaskNumber, TaskOrigin, TaskRun,
    TaskScope, TaskSubmission, TaskType,
};
use crate::rng::RngStream;
use crate::roles::{Core, IntentNumber, Intents};
use crate::time::Timestamp;

/// The shipped table, which is that of the reference.
fn constraints() -> Arc<Constraints> {
    TasksConfig::shipped().unwrap().constraints
}

fn tenant(name: &str, group: &str) -> TaskScope {
    TaskScope::Tenant { tenant: name.parse().unwrap(), group: group.parse().unwrap() }
}

fn new(task: TaskType, scope: TaskScope) -> NewTask {
    let (parameters, origin) = (Parameters::default(), TaskOrigin::CommandLine);
    NewTask { task, scope, parameters, not_before: None, origin, login: None }
}

/// What is on its way or under way.
#[derive(Clone, Debug)]
enum Event {
    /// To the scheduler of this life.
    Scheduler(u64, SchedulerInput),
    /// To the processor of this life.
    Processor(u64, ProcessorInput),
    /// The log takes what it was asked to.
    Log,
}

struct World {
    rng: RngStream,
    now: Timestamp,
    settings: Arc<SchedulerSettings>,
    events: BTreeMap<(Timestamp, u64), Event>,
    order: u64,
    // What is durable.
    submissions: BTreeMap<TaskNumber, TaskSubmission>,
    runs: BTreeMap<TaskNumber, TaskRun>,
    state: BatchState,
    /// Commits that are asked for, in order, with the life that asks.
    asked: std::collections::VecDeque<(u64, IntentNumber, Vec<TaskWrite>)>,
    /// How many commits in a hundred are not taken.
    full: i64,
    scheduler: SchedulerCore,
    scheduler_life: u64,
    out: Intents<SchedulerIntent>,
    processor: Option<ProcessorCore>,
    processor_life: u64,
    processor_out: Intents<ProcessorIntent>,
    id: ProcessorId,
    slots: usize,
    answers: BTreeMap<Ask, SchedulerAnswer>,
    /// Who hears the answer to what the processor says: its life and intent.
    saying: BTreeMap<Ask, (u64, IntentNumber)>,
    next_ask: u64,
    begun: BTreeMap<Guid, u32>,
    executing: BTreeSet<TaskNumber>,
    log: Vec<String>,
    /// Longest execution, in milliseconds.
    work_ms: i64,
    heartbeat_ms: i64,
    /// Messages take up to this.
    delay_ms: i64,
    started: Vec<(Timestamp, TaskNumber)>,
}

impl World {
    fn new(seed: u64, settings: SchedulerSettings, slots: usize) -> World {
        let settings = Arc::new(settings);
        let durable = SchedulerDurable {
            settings: settings.clone(),
            tasks: Vec::new(),
            next: TaskNumber(1),
            state: BatchState::default(),
        };
        let now = Timestamp(1_000_000);
        let id = ProcessorId { host: "h".into(), name: "p".into(), instance: 0 };
        let mut world = World {
            rng: RngStream::new(seed, 1, 0),
            now,
            settings,
            events: BTreeMap::new(),
            order: 0,
            submissions: BTreeMap::new(),
            runs: BTreeMap::new(),
            state: BatchState::default(),
            asked: Default::default(),
            full: 0,
            scheduler: SchedulerCore::recover(durable, RngStream::new(seed, 2, 0), now),
            scheduler_life: 0,
            out: Intents::default(),
            processor: None,
            processor_life: 0,
            processor_out: Intents::default(),
            id,
            slots,
            answers: BTreeMap::new(),
            saying: BTreeMap::new(),
            next_ask: 0,
            begun: BTreeMap::new(),
            executing: BTreeSet::new(),
            log: Vec::new(),
            work_ms: 100,
            heartbeat_ms: 50,
            delay_ms: 5,
            started: Vec::new(),
        };
        world.start_processor();
        world
    }

    fn after(&mut self, ms: i64, event: Event) {
        self.order += 1;
        self.events.insert((self.now.plus_ms(ms.max(1)), self.order), event);
    }

    fn delay(&mut self) -> i64 {
        1 + self.rng.below(self.delay_ms)
    }

    fn start_processor(&mut self) {
        self.processor_life += 1;
        self.id.instance += 1;
        let settings = ProcessorSettings { id: self.id.clone(), slots: self.slots, heartbeat_ms: self.heartbeat_ms };
        let durable = ProcessorDurable { settings };
        self.processor = Some(ProcessorCore::recover(durable, self.rng.clone(), self.now));
        self.processor_out = Intents::default();
        self.executing.clear();
        self.wake();
    }

    fn kill_processor(&mut self) {
        self.processor = None;
        self.processor_life += 1;
        self.executing.clear();
    }

    /// The scheduler's life ends; what is asked of the log and not durable is lost from some point on.
    fn restart_scheduler(&mut self) {
        let kept = self.rng.below(self.asked.len() as i64 + 1) as usize;
        for (.., writes) in std::mem::take(&mut self.asked).into_iter().take(kept) {
            self.apply(writes);
        }
        self.scheduler_life += 1;
        self.out = Intents::default();
        let live = self.submissions.iter().filter_map(|(number, submission)| {
            LiveTask::of(*number, submission.clone(), self.runs.get(number).cloned(), self.now)
        });
        let durable = SchedulerDurable {
            settings: self.settings.clone(),
            tasks: live.collect(),
            next: self.submissions.last_key_value().map_or(TaskNumber(1), |(number, _)| number.next()),
            state: self.state,
        };
        let rng = RngStream::new(self.rng.bits(), 2, self.scheduler_life);
        self.scheduler = SchedulerCore::recover(durable, rng, self.now);
        // Nobody hears what the old life would have answered.
        for (_, (life, intent)) in std::mem::take(&mut self.saying) {
            let ms = self.delay();
            self.after(ms, Event::Processor(life, ProcessorInput::Answered { intent, answer: None }));
        }
        self.wake();
    }

    fn apply(&mut self, writes: Vec<TaskWrite>) {
        for write in writes {
            match write {
                TaskWrite::Submission(number, submission) => {
                    assert!(self.submissions.insert(number, *submission).is_none(), "a number given twice");
                }
                TaskWrite::Run(number, run) => {
                    let before = self.runs.get(&number).map_or(Status::Submitted, |run| run.status);
                    let is_new_duplicate = run.status == Status::Duplicate && !self.runs.contains_key(&number);
                    use TaskEvent::*;
                    let moves = [Dispatch, Accept, Refuse, Succeed, Fail, Lose, Cancel];
                    let is_legal = moves.into_iter().any(|event| before.next(event) == Some(run.status));
                    assert!(is_legal || is_new_duplicate || before == run.status, "{before} to {}", run.status);
                    assert!(!before.is_final(), "{number:?} ends twice");
                    self.runs.insert(number, *run);
                }
                TaskWrite::Forget(number) => {
                    self.submissions.remove(&number);
                    self.runs.remove(&number);
                }
                TaskWrite::State(state) => self.state = state,
            }
        }
    }

    fn tell(&mut self, input: SchedulerInput) {
        self.scheduler.on(self.now, input, &mut self.out);
        self.carry_out();
    }

    fn ask(&mut self, input: impl FnOnce(Ask) -> SchedulerInput) -> Ask {
        self.next_ask += 1;
        let ask = Ask(self.next_ask);
        self.tell(input(ask));
        ask
    }

    fn submit(&mut self, task: NewTask) -> Ask {
        self.ask(|ask| SchedulerInput::Submit(ask, task))
    }

    fn carry_out(&mut self) {
        for (intent, wanted) in self.out.take() {
            match wanted {
                SchedulerIntent::Commit(writes) => {
                    self.asked.push_back((self.scheduler_life, intent, writes));
                    let ms = self.delay();
                    self.after(ms, Event::Log);
                }
                SchedulerIntent::Dispatch(to, tasks) => {
                    if to == self.id && self.processor.is_some() && self.rng.below(100) >= self.full {
                        let ms = self.delay();
                        self.after(ms, Event::Processor(self.processor_life, ProcessorInput::Dispatched(tasks)));
                    }
                }
                SchedulerIntent::Answer(ask, answer) => match self.saying.remove(&ask) {
                    Some((life, intent)) => {
                        let heard = self.rng.below(100) >= self.full;
                        let answer = heard.then_some(answer);
                        let ms = self.delay();
                        self.after(ms, Event::Processor(life, ProcessorInput::Answered { intent, answer }));
                    }
                    None => assert!(self.answers.insert(ask, answer).is_none(), "answered twice"),
                },
                SchedulerIntent::Log(line) => self.log.push(line.to_string()),
            }
        }
        for (intent, wanted) in self.processor_out.take() {
            match wanted {
                ProcessorIntent::Say(says) => {
                    self.next_ask += 1;
                    let ask = Ask(self.next_ask);
                    self.saying.insert(ask, (self.processor_life, intent));
                    let (ms, id, life) = (self.delay(), self.id.clone(), self.scheduler_life);
                    self.after(ms, Event::Scheduler(life, SchedulerInput::Processor(ask, id, says)));
                }
                ProcessorIntent::Begin(dispatch) => self.begin(dispatch),
                ProcessorIntent::Abandon(guid) => {
                    self.executing.remove(&TaskNumber(guid.number()));
                    let outcome = Outcome { return_code: 1, output: "abandoned".into() };
                    self.after(1, Event::Processor(self.processor_life, ProcessorInput::Ended(guid, outcome)));
                }
            }
        }
    }

    fn begin(&mut self, Dispatch { number, guid, .. }: Dispatch) {
        *self.begun.entry(guid).or_default() += 1;
        assert_eq!(self.begun[&guid], 1, "begun twice");
        assert_eq!(self.runs[&number].status, Status::Processing, "begun before that is durable");
        let own = &self.submissions[&number];
        for other in &self.executing {
            let other = &self.submissions[other];
            let is_excluded = self.settings.constraints.conflict((own.task, &own.scope), (other.task, &other.scope));
            assert!(!is_excluded, "{} of {} beside {} of {}", own.task, own.scope, other.task, other.scope);
        }
        self.executing.insert(number);
        self.started.push((self.now, number));
        let return_code = i32::from(self.rng.below(5) == 0);
        let ms = 1 + self.rng.below(self.work_ms);
        let ended = ProcessorInput::Ended(guid, Outcome { return_code, output: "done".into() });
        self.after(ms, Event::Processor(self.processor_life, ended));
    }

    fn wake(&mut self) {
        self.scheduler.wake(self.now, &mut self.out);
        if let Some(processor) = &mut self.processor {
            processor.wake(self.now, &mut self.processor_out);
        }
        self.carry_out();
    }

    /// Goes on until `until`.
    fn run_until(&mut self, until: Timestamp) {
        loop {
            let due = self.scheduler.next_due().min(self.processor.as_ref().map_or(Timestamp::NEVER, Core::next_due));
            let next = self.events.first_key_value().map_or(Timestamp::NEVER, |((at, _), _)| *at);
            let at = next.min(due.max(self.now.plus_ms(1)));
            if at > until {
                self.now = until;
                return;
            }
            self.now = at;
            if next > at {
                self.wake();
                continue;
            }
            let Some((_, event)) = self.events.pop_first() else { return };
            match event {
                Event::Log => self.take_commit(),
                Event::Scheduler(life, input) if life == self.scheduler_life => self.tell(input),
                Event::Scheduler(_, SchedulerInput::Processor(ask, ..)) => {
                    if let Some((life, intent)) = self.saying.remove(&ask) {
                        let answered = ProcessorInput::Answered { intent, answer: None };
                        self.after(1, Event::Processor(life, answered));
                    }
                }
                Event::Scheduler(..) => {}
                Event::Processor(life, input) if life == self.processor_life => {
                    if let ProcessorInput::Ended(guid, _) = &input {
                        self.executing.remove(&TaskNumber(guid.number()));
                    }
                    if let Some(processor) = &mut self.processor {
                        processor.on(self.now, input, &mut self.processor_out);
                    }
                    self.carry_out();
                }
                Event::Processor(..) => {}
            }
        }
    }

    fn take_commit(&mut self) {
        let Some((life, intent, writes)) = self.asked.pop_front() else { return };
        let is_durable = self.rng.below(100) >= self.full;
        if is_durable {
            self.apply(writes);
        }
        if life == self.scheduler_life {
            self.tell(SchedulerInput::Committed { intent, is_durable });
        }
    }

    fn run_for(&mut self, ms: i64) {
        self.run_until(self.now.plus_ms(ms));
    }

    fn status(&self, ask: Ask) -> Status {
        match self.answers[&ask] {
            SchedulerAnswer::Submitted(number, _) => self.runs.get(&number).map_or(Status::Submitted, |run| run.status),
            SchedulerAnswer::Duplicate { .. } => Status::Duplicate,
            ref other => panic!("{other:?}"),
        }
    }
}

fn settings() -> SchedulerSettings {
    SchedulerSettings {
        starvation_ms: 2_000,
        silence_ms: 5_000,
        lost_after: 3,
        ..SchedulerSettings::new(constraints())
    }
}

/// Random submissions, completions, crashes of either, a log that is full at times. At the end all is well again, and
/// every task that was taken has ended once.
fn history(seed: u64) {
    let slots = 1 + (seed % 7) as usize;
    let mut world = World::new(seed, settings(), slots);
    let mut taken: Vec<(Ask, u64)> = Vec::new();
    for _ in 0..40 {
        let ms = world.rng.below(120);
        world.run_for(ms);
        match world.rng.below(12) {
            0..6 => {
                let task = TaskType::ALL[world.rng.below(TaskType::ALL.len() as i64) as usize];
                let scope = match (task.scope(), world.rng.below(4)) {
                    (ScopeKind::System, _) => TaskScope::System,
                    (_, 0) => TaskScope::Group(format!("G{}", world.rng.below(2)).parse().unwrap()),
                    _ => {
                        let number = world.rng.below(4);
                        tenant(&format!("T{number}"), &format!("G{}", number % 2))
                    }
                };
                let mut task = new(task, scope);
                if world.rng.below(5) == 0 {
                    task.not_before = Some(world.now.plus_ms(world.rng.below(500)));
                }
                let ask = world.submit(task);
                taken.push((ask, world.scheduler_life));
            }
            6 => world.restart_scheduler(),
            7 => {
                world.kill_processor();
                if world.rng.below(3) > 0 {
                    world.start_processor();
                }
            }
            8 => world.full = if world.rng.below(2) == 0 { 30 } else { 0 },
            9 => _ = world.ask(|ask| SchedulerInput::Pause(ask, true)),
            10 => _ = world.ask(|ask| SchedulerInput::Pause(ask, false)),
            _ => {
                let known: Vec<Guid> = world.submissions.values().map(|submission| submission.guid).collect();
                if !known.is_empty() {
                    let guid = known[world.rng.below(known.len() as i64) as usize];
                    world.ask(|ask| SchedulerInput::Cancel(ask, guid, "cancelled by a test".into()));
                }
            }
        }
    }
    world.full = 0;
    if world.processor.is_none() {
        world.start_processor();
    }
    world.ask(|ask| SchedulerInput::Pause(ask, false));
    for _ in 0..60 {
        world.run_for(1_000);
        if world.scheduler.counts() == (0, 0) && world.asked.is_empty() {
            break;
        }
    }
    for (ask, life) in taken {
        match world.answers.get(&ask) {
            Some(SchedulerAnswer::Submitted(number, guid)) => {
                assert_eq!(world.submissions[number].guid, *guid, "seed {seed}: a task that was taken is lost");
                assert!(world.runs[number].status.is_final(), "seed {seed}: {number:?} {:?}", world.runs[number]);
            }
            Some(SchedulerAnswer::Duplicate { guid, of }) => {
                let number = TaskNumber(guid.number());
                assert_eq!(world.runs[&number].status, Status::Duplicate, "seed {seed}");
                assert_eq!(world.submissions[&number].duplicate_of, Some(*of), "seed {seed}");
            }
            Some(SchedulerAnswer::NotStored) => {}
            None => assert!(life < world.scheduler_life, "seed {seed}: not answered"),
            Some(other) => panic!("seed {seed}: {other:?}"),
        }
    }
    // Those that nobody was told of, because a crash came between, end as well.
    for (number, submission) in &world.submissions {
        let run = world.runs.get(number).unwrap_or_else(|| panic!("seed {seed}: {submission:?} waits for ever"));
        assert!(run.status.is_final(), "seed {seed}: {submission:?} {run:?}");
        let begun = world.begun.get(&submission.guid).copied().unwrap_or_default();
        assert!(begun <= 1 && (run.status != Status::Success || begun == 1), "seed {seed}: {run:?}");
    }
    assert_eq!(world.scheduler.counts(), (0, 0), "seed {seed}");
}

#[test]
fn ten_thousand_histories_lose_no_task_and_begin_none_twice() {
    for seed in 0..10_000 {
        history(seed);
    }
}

#[test]
fn a_task_that_was_put_off_stands_for_none_that_is_wanted_before() {
    let mut world = World::new(1, settings(), 4);
    world.work_ms = 1;
    world.run_for(100);
    let start = world.now;
    let import = |secs: Option<i64>| NewTask {
        not_before: secs.map(|secs| start.plus_ms(secs * 1_000)),
        ..new(TaskType::InventoryImport, tenant("T1", "G1"))
    };
    let put_off = world.submit(import(Some(3_000)));
    world.run_for(100);
    let now = world.submit(import(None));
    world.run_for(10_000);
    assert_eq!([put_off, now].map(|ask| world.status(ask)), [Status::Submitted, Status::Success]);
    // Later than it, or at the same time, is the same again.
    let [same, later] = [3_000, 4_000].map(|secs| world.submit(import(Some(secs))));
    let sooner = world.submit(import(Some(2_000)));
    world.run_for(100);
    let statuses = [same, later, sooner].map(|ask| world.status(ask));
    assert_eq!(statuses, [Status::Duplicate, Status::Duplicate, Status::Submitted]);
    // Also for a scheduler that finds both in the log.
    world.restart_scheduler();
    let [between, soonest] = [2_500, 1_000].map(|secs| world.submit(import(Some(secs))));
    world.run_for(100);
    assert_eq!([between, soonest].map(|ask| world.status(ask)), [Status::Duplicate, Status::Submitted]);
}

#[test]
fn the_same_again_is_a_duplicate_while_it_waits_and_one_more_waits_while_it_runs() {
    let mut world = World::new(1, settings(), 4);
    world.work_ms = 1;
    world.run_for(100);
    world.ask(|ask| SchedulerInput::Pause(ask, true));
    let import = || new(TaskType::InventoryImport, tenant("T1", "G1"));
    let first = world.submit(import());
    // Even before the first one is durable.
    let second = world.submit(import());
    let other = world.submit(NewTask { parameters: Parameters::parse(["full=true"]).unwrap(), ..import() });
    world.run_for(100);
    assert_eq!(
        [first, second, other].map(|ask| world.status(ask)),
        [Status::Submitted, Status::Duplicate, Status::Submitted]
    );
    world.work_ms = 10_000;
    world.ask(|ask| SchedulerInput::Pause(ask, false));
    world.run_for(100);
    assert_eq!(world.status(first), Status::Processing);
    let third = world.submit(import());
    let fourth = world.submit(import());
    world.run_for(100);
    assert_eq!([third, fourth].map(|ask| world.status(ask)), [Status::Submitted, Status::Duplicate]);
    world.run_for(60_000);
    assert!(world.runs.values().all(|run| run.status.is_final()));
    let SchedulerAnswer::Submitted(_, guid) = world.answers[&first] else { panic!() };
    let lines: Vec<&String> = world.log.iter().filter(|line| line.contains(&guid.to_string())).collect();
    assert_eq!(*lines[0], format!("Message InventoryImport[{guid}] received, status 'Submitted'"));
    assert!(lines.contains(&&format!("Message InventoryImport[{guid}] sent for processing")));
    assert!(lines.contains(&&format!("Task[{guid}]: received status update for task 'Processing' from processor h")));
}

#[test]
fn a_running_directory_import_keeps_back_what_the_reference_says() {
    let mut world = World::new(2, settings(), 4);
    world.work_ms = 10_000;
    world.run_for(100);
    world.submit(new(TaskType::ActiveDirectoryImport, tenant("T1", "G1")));
    world.run_for(100);
    let own = world.submit(new(TaskType::InventoryImport, tenant("T1", "G1")));
    let other = world.submit(new(TaskType::InventoryImport, tenant("T2", "G1")));
    let library = world.submit(new(TaskType::RecognitionLibraryImport, TaskScope::System));
    world.run_for(100);
    assert_eq!(
        [own, other, library].map(|ask| world.status(ask)),
        [Status::Submitted, Status::Processing, Status::Submitted]
    );
    let SchedulerAnswer::Submitted(number, _) = world.answers[&library] else { panic!() };
    let Some(Explained::Waits(crate::schedule::batch::Why::Running(rule))) = world.scheduler.why(number) else {
        panic!()
    };
    assert_eq!(world.scheduler.name(rule.blocker).unwrap().0, TaskType::ActiveDirectoryImport);
}

#[test]
fn business_imports_are_one_at_a_time_in_each_group() {
    let mut world = World::new(3, settings(), 4);
    world.work_ms = 10_000;
    world.run_for(100);
    let scopes = [tenant("T1", "G1"), tenant("T2", "G1"), tenant("T3", "G2")];
    let asks = scopes.map(|scope| world.submit(new(TaskType::BusinessAdapterImport, scope)));
    world.run_for(100);
    assert_eq!(asks.map(|ask| world.status(ask)), [Status::Processing, Status::Submitted, Status::Processing]);
}

#[test]
fn a_processor_that_is_killed_costs_what_it_executed_and_nothing_runs_again() {
    let mut world = World::new(4, settings(), 4);
    world.work_ms = 100_000;
    world.run_for(100);
    let import = || new(TaskType::InventoryImport, tenant("T1", "G1"));
    let first = world.submit(import());
    world.run_for(100);
    let second = world.submit(import());
    world.run_for(100);
    world.kill_processor();
    world.run_for(4_000);
    assert_eq!(world.status(first), Status::Processing, "the silence is not over");
    world.run_for(1_100);
    assert_eq!([first, second].map(|ask| world.status(ask)), [Status::Error, Status::Submitted]);
    assert!(world.runs[&TaskNumber(1)].output.contains("silent for more than 5 s"), "{:?}", world.runs);
    world.start_processor();
    world.run_for(200);
    assert_eq!(world.status(second), Status::Processing);
    // It is started anew: nobody waits for the silence.
    world.kill_processor();
    world.start_processor();
    world.run_for(200);
    assert_eq!(world.status(second), Status::Error);
    assert!(world.runs[&TaskNumber(2)].output.contains("started anew"));
    assert!(world.begun.values().all(|count| *count == 1));
}

#[test]
fn a_host_that_is_renamed_is_the_same_processor_and_one_that_never_comes_back_is_sent_nothing() {
    let mut world = World::new(10, settings(), 4);
    world.work_ms = 100_000;
    world.run_for(100);
    let import = |tenant_name: &str| new(TaskType::InventoryImport, tenant(tenant_name, "G1"));
    let first = world.submit(import("T1"));
    world.run_for(100);
    world.kill_processor();
    world.id.host = "renamed".into();
    world.start_processor();
    world.run_for(200);
    assert_eq!(world.status(first), Status::Error, "nobody waits for the silence");
    let second = world.submit(import("T2"));
    world.run_for(100);
    assert_eq!(world.status(second), Status::Processing);
    world.kill_processor();
    world.id.name = "another".into();
    world.restart_scheduler();
    world.start_processor();
    let third = world.submit(import("T3"));
    world.run_for(200);
    assert_eq!([second, third].map(|ask| world.status(ask)), [Status::Processing, Status::Processing]);
}

#[test]
fn a_clock_that_jumps_ahead_makes_no_processor_silent() {
    let mut world = World::new(11, SchedulerSettings::new(constraints()), 4);
    world.work_ms = 100_000;
    world.run_for(100);
    let ask = world.submit(new(TaskType::InventoryImport, tenant("T1", "G1")));
    world.run_for(100);
    assert_eq!(world.status(ask), Status::Processing);
    world.now = world.now.plus_ms(6 * 3_600_000);
    world.scheduler.wake(world.now, &mut world.out);
    world.carry_out();
    assert!(world.log.iter().all(|line| !line.contains("lost")), "{:?}", world.log);
    assert!(world.scheduler.next_due() > world.now, "and the silence is counted from now on");
}

#[test]
fn a_task_that_heartbeats_do_not_name_is_lost_and_a_processor_that_comes_back_gives_up_what_was_ended() {
    let mut world = World::new(5, settings(), 4);
    world.work_ms = 100_000;
    world.run_for(100);
    let ask = world.submit(new(TaskType::InventoryImport, tenant("T1", "G1")));
    world.run_for(100);
    assert_eq!(world.status(ask), Status::Processing);
    for _ in 1..=3 {
        let (id, says) = (world.id.clone(), ProcessorSays::Heartbeat { holds: Vec::new(), slots: 4 });
        world.ask(|ask| SchedulerInput::Processor(ask, id, says));
    }
    assert_eq!(world.executing.len(), 1, "the processor still executes it");
    world.run_for(200);
    assert_eq!(world.status(ask), Status::Error);
    assert_eq!(world.executing.len(), 0, "its heartbeat was told that nobody wants it");
    assert_eq!(world.processor.as_ref().unwrap().counts(), (0, 0));
}

#[test]
fn ten_thousand_that_wait_are_all_there_after_a_kill_in_order_and_once() {
    let mut world = World::new(6, settings(), 4);
    world.delay_ms = 1;
    world.run_for(100);
    world.ask(|ask| SchedulerInput::Pause(ask, true));
    for number in 0..10_000 {
        let parameters = Parameters::parse([&*format!("n={number}")]).unwrap();
        world.submit(NewTask { parameters, ..new(TaskType::InventoryImport, tenant("T1", "G1")) });
    }
    world.run_for(20_000);
    assert_eq!(world.scheduler.counts(), (10_000, 0));
    world.kill_processor();
    world.restart_scheduler();
    assert!(world.scheduler.is_paused());
    assert_eq!(world.scheduler.counts(), (10_000, 0));
    world.start_processor();
    world.work_ms = 1;
    world.ask(|ask| SchedulerInput::Pause(ask, false));
    world.run_for(400_000);
    let order: Vec<u64> = world.started.iter().map(|(_, number)| number.0).collect();
    assert_eq!(order, (1..=10_000).collect::<Vec<u64>>());
}

#[test]
fn while_paused_nothing_leaves_submitted_and_then_the_oldest_goes_first() {
    let mut world = World::new(7, settings(), 1);
    world.work_ms = 10;
    world.run_for(100);
    world.ask(|ask| SchedulerInput::Pause(ask, true));
    let asks: Vec<Ask> =
        (0..9).map(|number| world.submit(new(TaskType::InventoryImport, tenant(&format!("T{number}"), "G")))).collect();
    world.run_for(10_000);
    assert!(asks.iter().all(|ask| world.status(*ask) == Status::Submitted));
    assert_eq!(world.scheduler.why(TaskNumber(1)), Some(Explained::Paused));
    world.ask(|ask| SchedulerInput::Pause(ask, false));
    world.run_for(5_000);
    let order: Vec<u64> = world.started.iter().map(|(_, number)| number.0).collect();
    assert_eq!(order, (1..=9).collect::<Vec<u64>>());
}

#[test]
fn a_cancelled_task_is_an_error_that_says_who_and_one_that_was_sent_is_not_taken_back() {
    let mut world = World::new(8, settings(), 1);
    world.work_ms = 10_000;
    world.run_for(100);
    let first = world.submit(new(TaskType::InventoryImport, tenant("T1", "G")));
    let second = world.submit(new(TaskType::LicenseReconcile, tenant("T1", "G")));
    world.run_for(100);
    let guid = |world: &World, ask| match world.answers[&ask] {
        SchedulerAnswer::Submitted(_, guid) => guid,
        ref other => panic!("{other:?}"),
    };
    let guids = [first, second].map(|ask| guid(&world, ask));
    let ended = world.ask(|ask| SchedulerInput::Await(ask, TaskNumber(2)));
    let asks = guids.map(|guid| world.ask(|ask| SchedulerInput::Cancel(ask, guid, "cancelled by anna".into())));
    world.run_for(100);
    assert_eq!(world.answers[&asks[0]], SchedulerAnswer::NotCancelled(Status::Processing));
    assert_eq!(world.answers[&asks[1]], SchedulerAnswer::Cancelled);
    assert_eq!(world.answers[&ended], SchedulerAnswer::Ended(Status::Error));
    assert_eq!((world.status(second), &*world.runs[&TaskNumber(2)].output), (Status::Error, "cancelled by anna"));
    let again = world.ask(|ask| SchedulerInput::Cancel(ask, guids[1], "x".into()));
    world.run_for(10);
    assert_eq!(world.answers[&again], SchedulerAnswer::Gone);
}

#[test]
fn a_thousand_tenants_that_import_every_minute_do_not_starve_a_task_of_the_whole_server() {
    const MINUTE: i64 = 60_000;
    let settings = SchedulerSettings::new(constraints());
    let limit = settings.starvation_ms;
    let mut world = World::new(9, settings, 1_024);
    (world.work_ms, world.heartbeat_ms) = (5 * MINUTE, MINUTE);
    world.start_processor();
    world.run_for(100);
    let mut library = None;
    for minute in 0..60 {
        for number in 0..1_000 {
            world.submit(new(TaskType::InventoryImport, tenant(&format!("T{number}"), &format!("G{}", number % 10))));
        }
        if minute == 5 {
            library = Some(world.submit(new(TaskType::RecognitionLibraryImport, TaskScope::System)));
        }
        world.run_for(MINUTE);
    }
    let SchedulerAnswer::Submitted(number, _) = world.answers[&library.unwrap()] else { panic!() };
    let run = &world.runs[&number];
    let waited = run.started.unwrap().ms_since(world.submissions[&number].submitted);
    assert!(waited <= limit + 5 * MINUTE + 1_000, "{waited} ms");
    assert!(waited > limit, "imports did keep it back: {waited} ms");
}
