//! A fleet's day: inventories of full size that wait in a server's package log are loaded, staged, matched and merged by the
//! real server on the real disk, beside the bare cost of their bytes on the same cores in the same run.
//!
//! ```text
//! cargo bench -p muster-simulations --bench fleet_day [-- COUNT [ROUNDS]]     default: 100000 3
//! cargo bench -p muster-simulations --bench fleet_day -- --licences [COUNT]   see `licences.rs`
//! ```
//!
//! Each inventory is of a machine of its own: some 0.46 MB of XML, some 73 KB as an agent compresses it. What is installed
//! comes from a pool of some thousand titles, as on a fleet; names, serials, addresses, dates and the choice are the
//! machine's. Needs 80 KB of disk an inventory, in the system's folder for temporary files.
//!
//! The floor inflates a sample and walks quick-xml over every event of it, without and with a look at the attributes, on as
//! many threads as the server has loaders and at their priority, and keeps nothing. Rounds before and behind the server's
//! work; the median counts. Processor time is compared as well, because it hardly changes when others use the machine.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

mod licences;
mod machines;

use std::hint::black_box;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use muster::config::server::ServerConfig;
use muster::formats::gzip::compress;
use muster::id::{Digest, Guid};
use muster::model::fact::FactKey;
use muster::model::package::{Envelope, Hop, Kind, Origin, Sequence, Stream};
use muster::model::stored;
use muster::model::task::{GroupName, Parameters, TaskOrigin, TaskScope, TaskType};
use muster::model::tenant::TenantState;
use muster::roles::batch::NewTask;
use muster::time::Timestamp;
use muster_actors::clock::{Clock, WallClock};
use muster_actors::log::{OnFatal, PackageRequest, Reserve};
use muster_actors::node::{FolderError, Logs, NodeFolder};
use muster_actors::priority::{LOW, lower_priority};
use muster_actors::server::batch::submit_and_wait;
use muster_actors::server::fleet::Fleet;
use muster_actors::server::run::{RunningServer, ServerError, start};
use quick_xml::events::Event;
use rayon::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use self::machines::{FULL, Titles, guid, inventory};

/// Threads of the server that read, and of the floor.
const LOADERS: usize = 2;
/// Inventories that the floor is measured on.
const SAMPLE: usize = 1_000;
/// Inventories that are taken into custody together.
const HOLD: usize = 256;
/// How often the end of the loads is looked for.
const LOOK: Duration = Duration::from_millis(10);

#[actix::main]
async fn main() {
    // Cargo adds `--bench`.
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, usual: u64| numbers.get(place).copied().unwrap_or(usual).max(1);
    let (count, rounds) = (number(0, 100_000), number(1, 3));
    if std::env::args().any(|argument| argument == "--licences") {
        return licences::licences(count).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");

    let began = Instant::now();
    let held = hold(&data, &Titles::new(FULL), 0..count, 1).await;
    let each = |bytes: u64| bytes / count;
    let seconds = began.elapsed().as_secs_f64();
    println!("{count} inventories made and held in {seconds:.1} s");
    println!("each: {} bytes of XML, {} of gzip", each(held.xml_bytes), each(held.gzip_bytes));

    let mut floors: Vec<[Rate; 2]> = (0..rounds).map(|_| floors_of(&held.sample)).collect();
    let began = Spent::now();
    let server = started(&config(&data, "")).await;
    load(&server, count).await;
    let loaded = Spent::now();
    import(&server, count).await;
    assert_eq!(counters(&server).next_device.0, count + 1, "each machine is a device");
    let ended = Spent::now();
    server.stop().await;
    floors.extend((0..rounds).map(|_| floors_of(&held.sample)));

    let median = |walk: usize, rate: fn(&Rate) -> f64| {
        let mut rates: Vec<f64> = floors.iter().map(|of| rate(&of[walk])).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    for (walk, name) in WALKS.into_iter().enumerate() {
        let (wall, cpu) = (median(walk, |rate| rate.wall), median(walk, |rate| rate.cpu));
        println!(
            "floor, {name}: {wall:.1} MB of XML/s, {cpu:.1} a second of processor time; median of {}",
            floors.len()
        );
    }
    for (part, from, to) in
        [("loaded and staged", &began, &loaded), ("matched and merged", &loaded, &ended), ("the day", &began, &ended)]
    {
        let (wall, cpu) = (to.wall.duration_since(from.wall).as_secs_f64(), to.cpu - from.cpu);
        let rate = Rate::of(held.xml_bytes, wall, cpu);
        println!(
            "{part}: {wall:.1} s, {cpu:.1} s of processor time, {:.0} inventories/s, {:.1} MB of XML/s",
            count as f64 / wall,
            rate.wall
        );
        for (walk, name) in WALKS.into_iter().enumerate() {
            let (of_wall, of_cpu) = (median(walk, |rate| rate.wall), median(walk, |rate| rate.cpu));
            println!("  ratio to {name} {:.3}, by processor time {:.3}", rate.wall / of_wall, rate.cpu / of_cpu);
        }
    }
}

/// A server over `data`, with `more` behind its other settings.
fn config(data: &Path, more: &str) -> ServerConfig {
    let text = format!(
        "[server]\nname = \"bench\"\ndata = \"{}\"\nlisten = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
         loaders = {LOADERS}\n[disk]\nreserve_bytes = 0\nreserve_percent = 0\n{more}",
        data.display()
    );
    ServerConfig::parse(&text, "bench.toml", []).expect("a configuration")
}

/// Time that has passed and that this process has used.
struct Spent {
    wall: Instant,
    cpu: f64,
}

impl Spent {
    fn now() -> Spent {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        Spent { wall: Instant::now(), cpu: used.tv_sec as f64 + used.tv_nsec as f64 / 1e9 }
    }
}

/// Megabytes of XML for each second.
struct Rate {
    wall: f64,
    cpu: f64,
}

impl Rate {
    fn of(xml_bytes: u64, wall: f64, cpu: f64) -> Rate {
        let megabytes = xml_bytes as f64 / 1e6;
        Rate { wall: megabytes / wall, cpu: megabytes / cpu }
    }
}

/// What the floors look at.
const WALKS: [&str; 2] = ["events", "events with their attributes"];

fn floors_of(sample: &[Bytes]) -> [Rate; 2] {
    [floor(sample, false), floor(sample, true)]
}

/// Inflates and walks the sample, keeping nothing.
fn floor(sample: &[Bytes], with_attributes: bool) -> Rate {
    let next = AtomicUsize::new(0);
    let began = Spent::now();
    let walk = || {
        lower_priority(LOW);
        let (mut text, mut bytes) = (Vec::new(), 0);
        while let Some(body) = sample.get(next.fetch_add(1, Ordering::Relaxed)) {
            text.clear();
            bytes += MultiGzDecoder::new(&body[..]).read_to_end(&mut text).expect("gzip");
            let mut reader = quick_xml::Reader::from_reader(&text[..]);
            loop {
                match black_box(reader.read_event().expect("XML")) {
                    Event::Eof => break,
                    Event::Start(tag) | Event::Empty(tag) if with_attributes => {
                        for attribute in tag.attributes().with_checks(false) {
                            black_box(attribute.expect("an attribute"));
                        }
                    }
                    _ => {}
                }
            }
        }
        bytes
    };
    let bytes: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..LOADERS).map(|_| scope.spawn(walk)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an end")).sum()
    });
    let ended = Spent::now();
    Rate::of(bytes as u64, ended.wall.duration_since(began.wall).as_secs_f64(), ended.cpu - began.cpu)
}

/// What was taken into custody.
struct Held {
    xml_bytes: u64,
    gzip_bytes: u64,
    sample: Vec<Bytes>,
}

/// Makes the inventories, each machine's number `time`, and holds them in a package log, as an upload does.
async fn hold(data: &Path, fleet: &Titles, machines: Range<u64>, time: u64) -> Held {
    let fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
    let node = NodeFolder::open(data).expect("a folder");
    let reserve = Reserve { bytes: 0, percent: 0 };
    let (logs, threads) = Logs::open(node, Arc::new(WallClock), reserve, fatal).expect("logs");
    let tenant = muster::id::TenantId::default_tenant();
    let now = WallClock.now();
    let mut held = Held { xml_bytes: 0, gzip_bytes: 0, sample: Vec::new() };
    for first in machines.clone().step_by(HOLD) {
        let some = first..machines.end.min(first + HOLD as u64);
        let made: Vec<(PackageRequest, u64, Bytes)> = some
            .into_par_iter()
            .map(|machine| {
                let xml = inventory(fleet, machine, time, now);
                let body = Bytes::from(compress(&xml));
                let envelope = envelope(machine, time, &body, logs.node, now);
                let request = PackageRequest::Hold {
                    key: envelope.key().encode(&tenant).into(),
                    envelope: stored::pack(&envelope).into(),
                    body: body.clone(),
                };
                (request, xml.len() as u64, body)
            })
            .collect();
        let mut requests = Vec::with_capacity(made.len());
        for (request, xml_bytes, body) in made {
            held.xml_bytes += xml_bytes;
            held.gzip_bytes += body.len() as u64;
            if held.sample.len() < SAMPLE {
                held.sample.push(body);
            }
            requests.push(request);
        }
        logs.packages.ask_all(requests).await.expect("custody");
    }
    drop(logs);
    threads.join();
    held
}

/// As an agent's upload has it.
fn envelope(machine: u64, time: u64, body: &Bytes, node: Guid, now: Timestamp) -> Envelope {
    Envelope {
        origin: Origin::agent(guid(machine)),
        kind: Kind::Inventories,
        stream: Some(Stream::new(Kind::Inventories, "root", "Full")),
        file_name: format!("host{machine:06} root Full.ndi.gz").into(),
        size: body.len() as u64,
        digest: Digest::of(body),
        sequence: Some(Sequence { epoch: machine + 1, number: time }),
        collected_at: Some(now.plus_ms(-60_000)),
        first_received: now,
        unproven: true,
        hops: vec![Hop { node, received: now }],
    }
}

/// A server over the folder, as soon as whoever wrote to it has let go.
async fn started(config: &ServerConfig) -> RunningServer {
    let fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
    loop {
        match start(config, Arc::new(WallClock), fatal.clone()).await {
            Ok(server) => return server,
            Err(ServerError::Folder(FolderError::InUse { .. })) => tokio::time::sleep(LOOK).await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn counters(server: &RunningServer) -> TenantState {
    let key = FactKey::Tenant(server.books.tenant.clone());
    Fleet::of(&server.books).fact::<TenantState>(&key).expect("counters").unwrap_or_default()
}

/// Waits until all are staged, and settled with that.
async fn load(server: &RunningServer, count: u64) {
    let mut told = 0;
    loop {
        let staged = counters(server).staged;
        if staged == count {
            return;
        }
        if count >= 20_000 && staged / 10_000 > told {
            told = staged / 10_000;
            println!("  {staged} staged");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The import of what is staged, as the schedule of a night submits it.
async fn import(server: &RunningServer, count: u64) {
    while counters(server).imported < count {
        submit(server, TaskType::InventoryImport).await;
    }
}

/// Submits a task and waits until it has ended well.
async fn submit(server: &RunningServer, task: TaskType) {
    let scope = TaskScope::Tenant { tenant: server.books.tenant.clone(), group: GroupName::default_group() };
    let task = NewTask {
        task,
        scope,
        parameters: Parameters::default(),
        not_before: None,
        origin: TaskOrigin::Schedule,
        login: None,
    };
    let ended = submit_and_wait(server.api.scheduler.clone(), &server.books.facts, task).await;
    assert_eq!(ended, Some(true), "the task ended well");
}
