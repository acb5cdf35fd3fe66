//! The queue beside a list that is walked whole at each pass, which is right by looking at it.

use super::*;
use crate::model::task::Band;
use crate::rng::RngStream;

const LIMIT_MS: i64 = 30;

/// The table of the reference, section 11.5.
pub(super) fn constraints() -> Arc<Constraints> {
    use TaskType::*;
    let band = |name: &str, tasks: &[TaskType], one_per, excludes: &[(&str, Per)]| Band {
        name: name.into(),
        tasks: tasks.to_vec(),
        one_per,
        excludes: excludes.iter().map(|(name, per)| ((*name).into(), *per)).collect(),
    };
    let all = ["I", "A", "B", "E", "X"].map(|name| (name, Per::System));
    let bands = [
        band("I", &[InventoryIntake], Some(Per::Tenant), &[]),
        band(
            "A",
            &[
                InventoryImport,
                InventoryImportReaders,
                InventoryImportWriters,
                InventoryImportSpreadsheet,
                ActiveDirectoryImport,
                LicenseReconcile,
                DataWarehouseUpdate,
            ],
            Some(Per::Tenant),
            &[("X", Per::Tenant)],
        ),
        band("B", &[BusinessAdapterImport], Some(Per::Group), &[]),
        band(
            "E",
            &[RecognitionLibraryImport],
            Some(Per::System),
            &[("I", Per::System), ("A", Per::System), ("B", Per::System), ("X", Per::System)],
        ),
        band("X", &[ServiceNowExport], Some(Per::Tenant), &[]),
        band("M", &[ActivityHistoryPurge, SpoolMaintenance], Some(Per::System), &all),
    ];
    Arc::new(Constraints::new(&bands).unwrap())
}

fn tenant(number: u64) -> TaskScope {
    let (tenant, group) = (format!("T{number}"), format!("G{}", number % 3));
    TaskScope::Tenant { tenant: tenant.parse().unwrap(), group: group.parse().unwrap() }
}

/// Every task, and every pair of them compared.
struct Plain {
    constraints: Arc<Constraints>,
    waiting: Vec<(Age, TaskType, TaskScope)>,
    running: Vec<(TaskNumber, TaskType, TaskScope)>,
}

impl Plain {
    fn assess(&mut self, now: Timestamp, most: usize) -> Vec<TaskNumber> {
        self.waiting.sort_unstable_by_key(|(age, ..)| *age);
        let (mut started, mut barriers): (Vec<TaskNumber>, Vec<(TaskType, TaskScope)>) = (Vec::new(), Vec::new());
        for (age, task, scope) in std::mem::take(&mut self.waiting) {
            let conflicts = |other: &TaskType, at: &TaskScope| self.constraints.conflict((task, &scope), (*other, at));
            let is_blocked = age.0 > now
                || self.running.len() >= most
                || self.running.iter().any(|(_, other, at)| conflicts(other, at))
                || barriers.iter().any(|(other, at)| conflicts(other, at));
            if !is_blocked {
                started.push(age.1);
                self.running.push((age.1, task, scope));
                continue;
            }
            if age.0 <= now && now.ms_since(age.0) > LIMIT_MS {
                barriers.push((task, scope.clone()));
            }
            self.waiting.push((age, task, scope));
        }
        started
    }
}

fn draw_scope(rng: &mut RngStream, task: TaskType) -> TaskScope {
    use crate::model::task::ScopeKind;
    match task.scope() {
        ScopeKind::System => TaskScope::System,
        ScopeKind::Group | ScopeKind::Tenant if rng.below(5) == 0 => {
            TaskScope::Group(format!("G{}", rng.below(3)).parse().unwrap())
        }
        ScopeKind::Group | ScopeKind::Tenant => tenant(rng.below(6) as u64),
    }
}

/// One life of both, with the same submissions, ends, cancels and restarts.
fn compare(seed: u64) {
    let constraints = constraints();
    let mut rng = RngStream::new(seed, 6, 0);
    let mut queue = TaskQueue::new(constraints.clone(), LIMIT_MS);
    let mut plain = Plain { constraints: constraints.clone(), waiting: Vec::new(), running: Vec::new() };
    let (mut now, mut next) = (Timestamp(1_000), TaskNumber(1));
    let most = if seed.is_multiple_of(2) { usize::MAX } else { 3 };
    for step in 0..120 {
        now = now.plus_ms(rng.below(8));
        match rng.below(10) {
            0..5 => {
                let task = TaskType::ALL[rng.below(TaskType::ALL.len() as i64) as usize];
                let scope = draw_scope(&mut rng, task);
                let since = if rng.below(4) == 0 { now.plus_ms(rng.below(40)) } else { now };
                queue.submit(next, task, &scope, since);
                plain.waiting.push(((since, next), task, scope));
                next = next.next();
            }
            5..8 if !plain.running.is_empty() => {
                let (number, ..) = plain.running.remove(rng.below(plain.running.len() as i64) as usize);
                assert!(queue.end(number) && !queue.end(number));
            }
            8 if !plain.waiting.is_empty() => {
                let ((_, number), ..) = plain.waiting.remove(rng.below(plain.waiting.len() as i64) as usize);
                assert!(queue.cancel(number, now) && !queue.cancel(number, now));
            }
            9 if rng.below(4) == 0 => {
                // A crash: what runs and what waits is known again, in whatever order.
                queue = TaskQueue::new(constraints.clone(), LIMIT_MS);
                for (number, task, scope) in &plain.running {
                    queue.has_started(*number, *task, scope, Timestamp(0));
                }
                for ((since, number), task, scope) in plain.waiting.iter().rev() {
                    queue.submit(*number, *task, scope, *since);
                }
            }
            _ => {}
        }
        if rng.below(3) > 0 {
            let (found, right) = (queue.assess(now, most), plain.assess(now, most));
            assert_eq!(found, right, "seed {seed}, step {step}");
            assert_eq!(queue.assess(now, most), [], "seed {seed}: a second pass starts nothing");
            for ((since, number), task, scope) in &plain.waiting {
                let why = queue.why(*number).unwrap();
                explained(&plain, why, (*since, *number), (*task, scope), now, most, seed);
            }
        }
        for (place, (number, task, scope)) in plain.running.iter().enumerate() {
            let beside = plain.running[..place].iter();
            let excluded = beside
                .filter(|(_, other, at)| *number > TaskNumber(0) && constraints.conflict((*task, scope), (*other, at)));
            assert_eq!(excluded.count(), 0, "seed {seed}: two run that exclude each other");
        }
        assert_eq!((queue.waiting(), queue.running()), (plain.waiting.len(), plain.running.len()));
    }
    // The world stops sending: all of it comes to its turn, once.
    for _ in 0..1_000 {
        now = now.plus_ms(10);
        assert_eq!(queue.assess(now, most), plain.assess(now, most), "seed {seed}, the end");
        if let Some((number, ..)) = plain.running.pop() {
            assert!(queue.end(number));
        }
        if plain.waiting.is_empty() && plain.running.is_empty() {
            break;
        }
    }
    assert_eq!((queue.waiting(), queue.running()), (0, 0), "seed {seed}: something never came to its turn");
    assert!(queue.lines.is_empty() && queue.waiting_for.is_empty() && queue.tasks.is_empty());
    assert!(queue.ready.is_empty() && queue.young.is_empty() && queue.scheduled.is_empty());
}

/// What is told of a task that waits is true.
fn explained(plain: &Plain, why: Why, age: Age, own: (TaskType, &TaskScope), now: Timestamp, most: usize, seed: u64) {
    let waiting = |number| plain.waiting.iter().find(|((_, other), ..)| *other == number).unwrap();
    match why {
        Why::NotBefore(at) => assert!(at == age.0 && at > now, "seed {seed}"),
        Why::Running(rule) => {
            let (_, task, scope) = plain.running.iter().find(|(number, ..)| *number == rule.blocker).unwrap();
            assert!(plain.constraints.conflict(own, (*task, scope)), "seed {seed}");
        }
        Why::Barrier(rule) | Why::Behind(rule) => {
            let (other, task, scope) = waiting(rule.blocker);
            assert!(*other < age && plain.constraints.conflict(own, (*task, scope)), "seed {seed}");
            assert!(matches!(why, Why::Behind(_)) || now.ms_since(other.0) > LIMIT_MS, "seed {seed}");
        }
        Why::Nothing => assert!(plain.running.len() >= most, "seed {seed}: {age:?} could start"),
    }
}

#[test]
fn ten_thousand_histories_start_the_same_tasks_as_a_list_walked_whole() {
    for seed in 0..10_000 {
        compare(seed);
    }
}

#[test]
fn a_task_that_excludes_all_waits_no_longer_than_the_limit_and_what_runs_then() {
    let mut queue = TaskQueue::new(constraints(), LIMIT_MS);
    queue.submit(TaskNumber(1), TaskType::InventoryImport, &tenant(1), Timestamp(0));
    assert_eq!(queue.assess(Timestamp(0), usize::MAX), [TaskNumber(1)]);
    queue.submit(TaskNumber(2), TaskType::RecognitionLibraryImport, &TaskScope::System, Timestamp(1));
    queue.submit(TaskNumber(3), TaskType::InventoryImport, &tenant(2), Timestamp(2));
    assert_eq!(queue.assess(Timestamp(2), usize::MAX), [TaskNumber(3)], "it goes past the older one");
    assert_eq!(queue.next_due(), Timestamp(32), "a millisecond behind the limit");
    queue.submit(TaskNumber(4), TaskType::InventoryImport, &tenant(3), Timestamp(32));
    assert_eq!(queue.assess(Timestamp(32), usize::MAX), [], "the older one is a barrier now");
    let rule = |blocker, its_band, band| Rule {
        blocker: TaskNumber(blocker),
        its_band: BandNumber(its_band),
        band: BandNumber(band),
        per: Per::System,
    };
    assert_eq!(queue.why(TaskNumber(2)), Some(Why::Running(rule(1, 1, 3))));
    assert_eq!(queue.why(TaskNumber(4)), Some(Why::Barrier(rule(2, 3, 1))));
    queue.end(TaskNumber(1));
    queue.end(TaskNumber(3));
    assert_eq!(queue.assess(Timestamp(40), usize::MAX), [TaskNumber(2)]);
    queue.end(TaskNumber(2));
    assert_eq!(queue.assess(Timestamp(41), usize::MAX), [TaskNumber(4)]);
}

#[test]
fn a_pass_in_which_nothing_can_start_looks_at_nothing() {
    let mut queue = TaskQueue::new(constraints(), 1_000);
    queue.submit(TaskNumber(0), TaskType::RecognitionLibraryImport, &TaskScope::System, Timestamp(0));
    queue.assess(Timestamp(0), usize::MAX);
    for number in 1..=2_000 {
        queue.submit(TaskNumber(number), TaskType::InventoryImport, &tenant(number % 500), Timestamp(1));
    }
    assert_eq!(queue.assess(Timestamp(1), usize::MAX), []);
    assert_eq!((queue.ready.len(), queue.waiting()), (0, 2_000));
    queue.end(TaskNumber(0));
    assert_eq!(queue.ready.len(), 500, "the first of each line");
    assert_eq!(queue.assess(Timestamp(2), usize::MAX).len(), 500);
}
