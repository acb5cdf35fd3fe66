//! The frame around a core that does as it is told, on the runtime's paused clock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use actix::{Addr, Handler, Message};
use muster::rng::RngStream;
use muster::roles::Sink;
use tokio::time::Instant;

use super::*;

enum Told {
    /// It is due then.
    Due(i64),
    /// It wants something that takes so many milliseconds.
    Want(u64),
    /// That is done.
    Done,
    /// Something lay there before it woke.
    Found,
}

enum Wish {
    Note(&'static str),
    Work(u64),
}

struct Scripted {
    due: Timestamp,
}

impl Core for Scripted {
    type Durable = ();
    type Input = Told;
    type Intent = Wish;

    fn recover((): (), _: RngStream, _: Timestamp) -> Scripted {
        Scripted { due: Timestamp::NEVER }
    }

    fn next_due(&self) -> Timestamp {
        self.due
    }

    fn wake(&mut self, now: Timestamp, out: &mut impl Sink<Wish>) {
        if self.due <= now {
            self.due = Timestamp::NEVER;
        }
        out.intend(Wish::Note("woken"));
    }

    fn fingerprint(&self) -> u64 {
        0
    }

    fn on(&mut self, _: Timestamp, told: Told, out: &mut impl Sink<Wish>) {
        out.intend(match told {
            Told::Due(at) => {
                self.due = Timestamp(at);
                Wish::Note("told")
            }
            Told::Want(ms) => Wish::Work(ms),
            Told::Done => Wish::Note("done"),
            Told::Found => Wish::Note("found"),
        });
    }
}

/// What happened, by the milliseconds since the bench was set up.
type Notes = Rc<RefCell<Vec<(i64, &'static str)>>>;

struct Noting {
    began: Instant,
    step_ms: Rc<Cell<i64>>,
    sleep_max: Duration,
    lies_there: Rc<Cell<usize>>,
    notes: Notes,
    turns: Rc<Cell<usize>>,
}

impl Noting {
    fn elapsed_ms(&self) -> i64 {
        self.began.elapsed().as_millis() as i64
    }
}

impl Hands for Noting {
    type Core = Scripted;

    fn now(&self) -> Timestamp {
        Timestamp(self.elapsed_ms() + self.step_ms.get())
    }

    fn sleep_max(&self, _: &Scripted) -> Duration {
        self.sleep_max
    }

    fn before_wake(&mut self, _: &Scripted, _: &mut Context<Role<Self>>) -> Option<Told> {
        let left = self.lies_there.get().checked_sub(1)?;
        self.lies_there.set(left);
        Some(Told::Found)
    }

    fn carry_out(&mut self, _: IntentNumber, wish: Wish, _: &Scripted, ctx: &mut Context<Role<Self>>) {
        match wish {
            Wish::Note(note) => self.notes.borrow_mut().push((self.elapsed_ms(), note)),
            Wish::Work(ms) => {
                let work = tokio::time::sleep(Duration::from_millis(ms));
                when_done(ctx, work, |(), role, ctx| role.tell(Told::Done, ctx));
            }
        }
    }

    fn turned(&mut self, _: &Scripted) {
        self.turns.set(self.turns.get() + 1);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Tell(Told),
    /// What a simulation does with what reaches a node in one millisecond.
    Step(Vec<Told>),
    Stop,
}

impl Handler<Do> for Role<Noting> {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Context<Self>) {
        match what {
            Do::Tell(told) => self.tell(told, ctx),
            Do::Step(told) => {
                self.turn(ctx);
                told.into_iter().for_each(|told| self.hear(told, ctx));
                self.rest(ctx);
            }
            Do::Stop => self.stop(ctx),
        }
    }
}

struct Bench {
    role: Addr<Role<Noting>>,
    began: Instant,
    step_ms: Rc<Cell<i64>>,
    lies_there: Rc<Cell<usize>>,
    notes: Notes,
    turns: Rc<Cell<usize>>,
}

impl Bench {
    fn start(sleep_max: Duration) -> Bench {
        let (began, notes) = (Instant::now(), Notes::default());
        let (step_ms, lies_there, turns) = (Rc::default(), Rc::default(), Rc::default());
        let hands = Noting {
            began,
            step_ms: Rc::clone(&step_ms),
            sleep_max,
            lies_there: Rc::clone(&lies_there),
            notes: notes.clone(),
            turns: Rc::clone(&turns),
        };
        let role = Role::new(Scripted { due: Timestamp::NEVER }, hands, None).start();
        Bench { role, began, step_ms, lies_there, notes, turns }
    }

    /// Does it at this millisecond.
    async fn at(&self, ms: u64, what: Do) {
        self.until(ms).await;
        self.role.send(what).await.unwrap();
    }

    async fn until(&self, ms: u64) {
        tokio::time::sleep_until(self.began + Duration::from_millis(ms)).await;
    }

    /// What happened up to this millisecond, and was not told before.
    async fn notes(&self, ms: u64) -> Vec<(i64, &'static str)> {
        self.until(ms).await;
        std::mem::take(&mut self.notes.borrow_mut())
    }
}

/// On a runtime with time only, which stands on whole milliseconds.
fn on_paused_clock(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

use Do::{Step, Stop, Tell};
use Told::{Due, Want};

#[test]
fn an_input_is_heard_and_what_it_made_due_wakes_at_once() {
    on_paused_clock(async {
        let bench = Bench::start(FOREVER);
        bench.at(5, Tell(Due(5))).await;
        assert_eq!(bench.notes(1_000).await, [(5, "told"), (5, "woken")]);
    });
}

#[test]
fn it_wakes_when_it_is_due_however_often_that_moves() {
    on_paused_clock(async {
        let bench = Bench::start(FOREVER);
        bench.at(0, Tell(Due(30))).await;
        bench.at(10, Tell(Due(20))).await;
        assert_eq!(bench.notes(25).await, [(0, "told"), (10, "told"), (20, "woken")]);
        bench.at(30, Tell(Due(50))).await;
        bench.at(40, Tell(Due(90))).await;
        bench.at(60, Tell(Due(80))).await;
        assert_eq!(bench.notes(1_000).await, [(30, "told"), (40, "told"), (60, "told"), (80, "woken")]);
        // The start, five inputs, and timers at 20, in vain at 50, and at 80.
        assert_eq!(bench.turns.get(), 9);
    });
}

#[test]
fn a_clock_that_never_steps_wakes_nothing_that_is_not_due() {
    on_paused_clock(async {
        let bench = Bench::start(FOREVER);
        let day = 86_400_000;
        bench.at(5, Tell(Due(day))).await;
        assert_eq!(bench.notes(day as u64 - 1).await, [(5, "told")]);
        assert_eq!(bench.notes(10 * day as u64).await, [(day, "woken")]);
        assert_eq!(bench.turns.get(), 3, "neither the time before nor that after had a timer");
    });
}

#[test]
fn a_clock_that_can_step_wakes_after_each_longest_sleep() {
    on_paused_clock(async {
        let bench = Bench::start(SLEEP_MAX);
        assert_eq!(bench.notes(125_000).await, [(0, "woken"), (60_000, "woken"), (120_000, "woken")]);
        // Set back by an hour: what is due then comes in time, and the minute goes on.
        bench.step_ms.set(-3_600_000);
        bench.at(130_000, Tell(Due(130_500 - 3_600_000))).await;
        assert_eq!(bench.notes(130_900).await, [(130_000, "told"), (130_500, "woken")]);
        assert_eq!(bench.notes(200_000).await, [(190_500, "woken")]);
        // Put forward by a day: what it was armed for is over.
        bench.step_ms.set(86_400_000);
        bench.at(210_000, Tell(Due(210_400 + 86_400_000))).await;
        assert_eq!(bench.notes(220_000).await, [(210_000, "told"), (210_400, "woken")]);
    });
}

#[test]
fn a_timer_that_is_cancelled_in_the_moment_in_which_it_fires_leaves_no_second_one() {
    on_paused_clock(async {
        let bench = Bench::start(SLEEP_MAX);
        bench.at(0, Tell(Want(10))).await;
        bench.at(0, Tell(Due(10))).await;
        assert_eq!(bench.notes(5).await, [(0, "woken"), (0, "told")]);
        let woken = [(10, "done"), (10, "woken"), (60_010, "woken"), (120_010, "woken")];
        assert_eq!(bench.notes(150_000).await, woken);
    });
}

#[test]
fn nothing_is_heard_carried_out_or_woken_after_the_stop() {
    on_paused_clock(async {
        let bench = Bench::start(SLEEP_MAX);
        bench.at(0, Tell(Due(10))).await;
        bench.at(0, Tell(Want(5))).await;
        bench.at(2, Stop).await;
        bench.at(3, Tell(Due(3))).await;
        bench.at(4, Step(vec![Due(4)])).await;
        assert_eq!(bench.notes(500_000).await, [(0, "woken"), (0, "told")]);
        assert!(bench.role.connected());
    });
}

#[test]
fn what_lies_there_is_heard_before_it_wakes_and_only_then() {
    on_paused_clock(async {
        let bench = Bench::start(FOREVER);
        bench.lies_there.set(2);
        bench.at(3, Tell(Due(10))).await;
        assert_eq!(bench.notes(9).await, [(3, "told")]);
        assert_eq!(bench.notes(20).await, [(10, "found"), (10, "found"), (10, "woken")]);
        bench.lies_there.set(1);
        bench.at(30, Tell(Due(30))).await;
        assert_eq!(bench.notes(40).await, [(30, "told"), (30, "found"), (30, "woken")]);
    });
}

#[test]
fn in_a_step_it_wakes_first_and_once_and_what_becomes_due_waits_a_millisecond() {
    on_paused_clock(async {
        let bench = Bench::start(FOREVER);
        bench.at(0, Step(vec![Due(10)])).await;
        bench.at(10, Step(vec![Due(10), Due(9)])).await;
        let step = [(10, "woken"), (10, "told"), (10, "told"), (11, "woken")];
        assert_eq!(bench.notes(20).await, [&[(0, "told")][..], &step].concat());
        // Nor does a second step of the same millisecond wake it again.
        bench.at(30, Step(vec![Due(30)])).await;
        bench.at(30, Step(vec![])).await;
        assert_eq!(bench.notes(40).await, [(30, "told"), (31, "woken")]);
    });
}

#[test]
fn a_frame_is_small_beside_its_core() {
    let own = size_of::<Role<Noting>>() - size_of::<Scripted>() - size_of::<Noting>();
    assert!(own <= 72, "{own} bytes");
}
