//! Batch tasks of a running server over its real log: how fast they are taken, what a pass over a million costs, what they
//! take of the memory, and how long a start with them takes.
//!
//! ```text
//! cargo bench -p muster-simulations --bench tasks [-- TASKS [SENDERS]]     default: 1000000 256
//! ```
//!
//! The tasks are of 1,000 tenants with parameters of their own, so that none is a duplicate. Needs some 400 bytes of disk a
//! task, in the system's folder for temporary files.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::config::server::ServerConfig;
use muster::config::tasks::TasksConfig;
use muster::model::task::{Parameters, TaskNumber, TaskOrigin, TaskScope, TaskType};
use muster::roles::batch::{NewTask, SchedulerAnswer};
use muster::schedule::batch::TaskQueue;
use muster::time::Timestamp;
use muster_actors::clock::WallClock;
use muster_actors::log::OnFatal;
use muster_actors::node::FolderError;
use muster_actors::server::batch::AskScheduler;
use muster_actors::server::run::{RunningServer, ServerError, start};

/// Tenants that tasks are of.
const TENANTS: u64 = 1_000;

#[actix::main]
async fn main() {
    // Cargo adds `--bench`.
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, usual: u64| numbers.get(place).copied().unwrap_or(usual).max(1);
    let (tasks, senders) = (number(0, 1_000_000), number(1, 256) as usize);
    passes(tasks);

    let folder = tempfile::tempdir().expect("a folder");
    println!("floor: {:.0} appends a second, 64 a sync", floor(folder.path()));
    let text = format!(
        "[server]\nname = \"bench\"\ndata = \"{}\"\nlisten = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
         [disk]\nreserve_bytes = 0\nreserve_percent = 0\n",
        folder.path().join("data").display()
    );
    let config = ServerConfig::parse(&text, "bench.toml", []).expect("a configuration");
    let fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
    let server = start(&config, Arc::new(WallClock), fatal.clone()).await.expect("a server");
    // An address that is kept would keep the actor, and with it the folder.
    let pausing = server.api.scheduler.get().expect("a scheduler").send(AskScheduler::Pause(true));
    pausing.await.expect("an answer");
    let empty = resident();

    let began = Instant::now();
    let first = tasks.min(50_000);
    submit(&server, 0..first, senders).await;
    let rate = first as f64 / began.elapsed().as_secs_f64();
    println!("submitted: {rate:.0} a second durable, {senders} senders");
    submit(&server, first..tasks, senders).await;
    println!("{tasks} tasks submitted in {:.1} s", began.elapsed().as_secs_f64());
    let grown = resident().saturating_sub(empty);
    println!("memory: {} MiB for them, {} bytes each", grown >> 20, grown / tasks);
    server.stop().await;

    let (server, took) = restarted(&config, fatal).await;
    println!("restart with {tasks} waiting tasks: {:.2} s", took.as_secs_f64());
    // It shows them from its first turn on.
    let waiting = || server.api.overview.lock().expect("a lock").waiting.values().sum::<usize>() as u64;
    let began = Instant::now();
    while waiting() < tasks {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {tasks} wait after a restart", waiting());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

/// A server over the same folder, as soon as the last effect of the one before has ended, and how long its start took.
async fn restarted(config: &ServerConfig, fatal: OnFatal) -> (RunningServer, Duration) {
    loop {
        let began = Instant::now();
        match start(config, Arc::new(WallClock), fatal.clone()).await {
            Ok(server) => return (server, began.elapsed()),
            Err(ServerError::Folder(FolderError::InUse { .. })) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn scope(number: u64) -> TaskScope {
    let (tenant, group) = (format!("T{:04}", number % TENANTS), format!("G{:02}", number % 10));
    TaskScope::Tenant { tenant: tenant.parse().expect("a name"), group: group.parse().expect("a name") }
}

/// The queue alone: a pass in which nothing can start, and one in which the whole server's task has ended.
fn passes(tasks: u64) {
    let constraints = TasksConfig::shipped().expect("the shipped file").constraints;
    let mut queue = TaskQueue::new(constraints, 1_800_000);
    queue.submit(TaskNumber(0), TaskType::RecognitionLibraryImport, &TaskScope::System, Timestamp(0));
    queue.assess(Timestamp(0), usize::MAX);
    let scopes: Vec<TaskScope> = (0..TENANTS).map(scope).collect();
    for number in 1..=tasks {
        let scope = &scopes[(number % TENANTS) as usize];
        queue.submit(TaskNumber(number), TaskType::InventoryImport, scope, Timestamp(number as i64 / 1_000));
    }
    let now = Timestamp(tasks as i64 / 1_000 + 1);
    let timed = |queue: &mut TaskQueue, now: Timestamp| {
        let began = Instant::now();
        let started = queue.assess(now, usize::MAX).len();
        (began.elapsed(), started)
    };
    let (first, _) = timed(&mut queue, now);
    // Nothing can start: what has come, what became a barrier, what was unblocked. Best and worst of many.
    let mut passes: Vec<Duration> = (1..1_000).map(|pass| timed(&mut queue, now.plus_ms(pass)).0).collect();
    passes.sort_unstable();
    println!(
        "pass over {tasks} waiting tasks: first {:.1} ms, then median {:.4} ms, worst {:.4} ms",
        first.as_secs_f64() * 1e3,
        passes[passes.len() / 2].as_secs_f64() * 1e3,
        passes[passes.len() - 1].as_secs_f64() * 1e3,
    );
    // One task of a tenant is in everybody's way no more: each line is looked at.
    queue.end(TaskNumber(0));
    let (time, started) = timed(&mut queue, now.plus_ms(2_000));
    println!("pass that starts {started}: {:.2} ms", time.as_secs_f64() * 1e3);
    queue.submit(TaskNumber(tasks + 1), TaskType::RecognitionLibraryImport, &TaskScope::System, now);
    timed(&mut queue, now.plus_ms(3_000));
    queue.end(TaskNumber(1));
    let (time, _) = timed(&mut queue, now.plus_ms(3_000));
    println!("pass after one of {TENANTS} running ones ended: {:.4} ms", time.as_secs_f64() * 1e3);
}

async fn submit(server: &RunningServer, numbers: std::ops::Range<u64>, senders: usize) {
    let next = Rc::new(Cell::new(numbers.start));
    let sending = (0..senders).map(|_| {
        let (next, end) = (next.clone(), numbers.end);
        let scheduler = server.api.scheduler.get().expect("a scheduler");
        actix::spawn(async move {
            while next.get() < end {
                let number = next.replace(next.get() + 1);
                let text = format!("n={number}");
                let task = NewTask {
                    task: TaskType::InventoryImport,
                    scope: scope(number),
                    parameters: Parameters::parse([text.as_str()]).expect("a parameter"),
                    not_before: None,
                    origin: TaskOrigin::Api,
                    login: None,
                };
                let answer = scheduler.send(AskScheduler::Submit(task)).await.expect("an answer");
                assert!(matches!(answer, SchedulerAnswer::Submitted(..)), "{answer:?}");
            }
        })
    });
    for sender in sending.collect::<Vec<_>>() {
        sender.await.expect("an end");
    }
}

/// Appends of a task's size a second, 64 for each sync, on the disk of `folder`.
fn floor(folder: &std::path::Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("floor")).expect("a file");
    let (began, mut appends) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 64 * 200]).expect("room");
        file.sync_data().expect("a sync");
        appends += 64;
    }
    f64::from(appends) / began.elapsed().as_secs_f64()
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}
