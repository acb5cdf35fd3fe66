//! The agent's actor against a scripted server on loopback, over real files and real HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster::config::agent::{AgentConfig, AgentFile};
use muster::formats::client_configuration::ClientConfiguration;
use muster::formats::gzip;
use muster::formats::marks::Told;
use muster::formats::osd::CatalogKind;
use muster::id::{Digest, Guid};
use muster::policy::apply::{Held, HeldContent, Update};
use muster::policy::{Findings, Reach};
use muster::roles::agent::AgentRules;
use muster::time::Timestamp;
use muster::upload::answer::Answer;
use tracing_subscriber::fmt::MakeWriter;

use super::host::{CollectHost, HostReport};
use super::limits::Limit;
use super::outbox::Parcel;
use super::own_log::OwnLog;
use super::policy::{PolicyClient, PolicySource, PolicyStore, Polled, Question};
use super::run::{RunningAgent, start_in, world};
use super::status::AgentStatus;
use super::uploader::{Pending, Upload};
use crate::clock::{SharedClock, WallClock};
use crate::log::OnFatal;

/// What the server does with one upload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Take,
    Busy,
    Drop,
    WrongReceipt,
    NoReceipt,
    Redirect,
}

/// One upload as it came.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// A server that follows a script, then takes everything. Each connection has a thread.
pub(super) struct Server {
    pub(super) url: String,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Server {
    pub(super) fn start(script: &[Reply]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<Reply>>()));
        let (seen, own) = (arrivals.clone(), url.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, script, own) = (seen.clone(), script.clone(), own.clone());
                std::thread::spawn(move || while serve(&stream, &seen, &script, &own).is_some() {});
            }
        });
        Server { url, arrivals }
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }
}

fn serve(mut stream: &TcpStream, seen: &Mutex<Vec<Arrival>>, script: &Mutex<VecDeque<Reply>>, own: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_string();
    let is_upload = line.starts_with("PUT ");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_string()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nLocation: {own}/elsewhere\r\n\r\n{body}")
    };
    let text = if is_upload {
        let receipt = |bytes: &[u8]| {
            let node = "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11";
            let (digest, size) = (Digest::of(bytes), bytes.len());
            format!(r#"{{"digest":"{digest}","size":{size},"node":"{node}","state":"held"}}"#)
        };
        let reply = script.lock().unwrap().pop_front().unwrap_or(Reply::Take);
        let receipt_of_body = receipt(&body);
        seen.lock().unwrap().push(Arrival { path, headers, body });
        match reply {
            Reply::Take => answer("200 OK", &receipt_of_body),
            Reply::Busy => answer("503 Busy", r#"{"error":{"code":"busy","message":"later","detail":null}}"#),
            Reply::Drop => return None,
            Reply::WrongReceipt => answer("200 OK", &receipt(b"other")),
            Reply::NoReceipt => answer("200 OK", "welcome to the hotel"),
            Reply::Redirect => answer("302 Found", ""),
        }
    } else {
        answer("404 Not Found", "")
    };
    stream.write_all(text.as_bytes()).ok()
}

/// A host whose report says how often it was collected.
pub(super) struct FakeHost(pub(super) AtomicUsize);

impl CollectHost for FakeHost {
    fn collect(&self, _: Guid, _: &AgentRules, _: Timestamp) -> HostReport {
        let ndi = format!("<x n='{}'/>", self.0.fetch_add(1, Ordering::SeqCst)).into_bytes();
        let (account, machine) = ("root".into(), "web07".into());
        HostReport { account, machine, kind_type: "Full", ndi, oracle_ndi: None, disco: None }
    }
}

pub(super) fn config(data: &Path, servers: &[&str], collect_at_start: bool) -> AgentConfig {
    let mut file = AgentFile::default();
    file.agent.data = data.into();
    file.agent.servers = servers.iter().map(ToString::to_string).collect();
    file.inventory.collect_at_start = collect_at_start;
    AgentConfig::checked(file, "test").unwrap()
}

pub(super) fn fatal() -> OnFatal {
    Arc::new(|reason: &str| panic!("{reason}"))
}

fn start(config: &AgentConfig) -> RunningAgent {
    let clock: SharedClock = Arc::new(WallClock);
    start_in(world(config, clock, Arc::new(FakeHost(AtomicUsize::new(0)))).unwrap(), fatal())
}

/// Waits longer than the longest wait after a first failure, of 30 s: which upload meets a server that drops it is chance.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..4_500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

fn queued(data: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data.join("uploads/Inventories")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".gz")).collect()
}

#[actix::test]
async fn only_a_matching_receipt_empties_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let script = [Reply::Busy, Reply::Drop, Reply::WrongReceipt, Reply::NoReceipt, Reply::Redirect];
    let server = Server::start(&script);
    // One pass asks each of these once: no wait between.
    let urls: Vec<String> = (1..=6).map(|number| format!("{}/{number}", server.url)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let agent = start(&config(folder.path(), &urls, false));
    until("the right receipt", || server.arrivals().len() == 6).await;
    until("the outbox is empty", || queued(folder.path()).is_empty()).await;
    let arrivals = server.arrivals();
    for (number, arrival) in (1..).zip(&arrivals) {
        assert_eq!((&arrival.body, &arrival.path[..3]), (&arrivals[0].body, format!("/{number}/").as_str()));
        assert_eq!(arrival.path[3..], arrivals[0].path[3..]);
    }
    let Arrival { path, headers, body } = &arrivals[5];
    assert!(path.starts_with("/6/ManageSoftRL/Inventories/root%20on%20web07%20at%20"), "{path}");
    assert_eq!(*body, gzip::compress(b"<x n='0'/>"));
    assert_eq!(headers["x-muster-agent"], agent.agent.to_string());
    assert_eq!(headers["x-muster-stream"], "Inventories/root/Full");
    assert_eq!(headers["x-muster-sha256"], Digest::of(body).to_string());
    assert_eq!(headers["x-muster-sequence"], "1");
    assert!(headers["x-muster-epoch"].parse::<u64>().is_ok());
    assert!(Timestamp::from_rfc3339(&headers["x-muster-collected-at"]).is_some());
    let status = || AgentStatus::read(folder.path()).unwrap();
    until("the status tells", || status().last_receipt.is_some() && status().queue.is_empty()).await;
    agent.stop().await;
}

#[actix::test]
async fn an_agent_that_ended_without_an_answer_sends_again_and_a_newer_report_supersedes() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = Server::start(&[Reply::Drop; 9]);
    let first = start(&config(folder.path(), &[&deaf.url], false));
    until("the first life sends", || !deaf.arrivals().is_empty()).await;
    let identity = first.agent;
    first.stop().await;
    assert_eq!(queued(folder.path()).len(), 1);

    // Collected already: the second life only sends.
    let server = Server::start(&[Reply::Drop, Reply::Drop]);
    let second = restart(&config(folder.path(), &[&server.url], false)).await;
    assert_eq!(second.agent, identity);
    until("the second life sends", || !server.arrivals().is_empty()).await;
    assert_eq!(server.arrivals()[0].body, deaf.arrivals()[0].body);
    second.stop().await;

    // Collects at start: the older one goes only when the newer one is published.
    let third = restart(&config(folder.path(), &[&server.url], true)).await;
    until("the newer report arrives and the outbox is empty", || {
        queued(folder.path()).is_empty()
            && server.arrivals().last().is_some_and(|last| last.headers["x-muster-sequence"] == "2")
    })
    .await;
    third.stop().await;

    let fourth = restart(&config(folder.path(), &[&server.url], true)).await;
    until("the next sequence", || {
        server.arrivals().last().is_some_and(|last| last.headers["x-muster-sequence"] == "3")
    })
    .await;
    let epochs: Vec<String> =
        server.arrivals().iter().map(|arrival| arrival.headers["x-muster-epoch"].clone()).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]));
    fourth.stop().await;
}

/// The lock of the life before goes when its last thread has ended.
async fn restart(config: &AgentConfig) -> RunningAgent {
    for _ in 0..500 {
        let clock: SharedClock = Arc::new(WallClock);
        match world(config, clock, Arc::new(FakeHost(AtomicUsize::new(9)))) {
            Ok(world) => return start_in(world, fatal()),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("the folder stays locked");
}

/// Panics at its first upload, in the actor's own turn.
struct Fragile {
    left: AtomicUsize,
    sound: Arc<dyn Upload>,
}

impl Upload for Fragile {
    fn upload(&self, parcel: Parcel, base: String) -> Pending<Answer> {
        let panics = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        assert!(!panics, "planted");
        self.sound.upload(parcel, base)
    }
}

/// Panics at its first collection.
struct FragileHost(FakeHost);

impl CollectHost for FragileHost {
    fn collect(&self, agent: Guid, rules: &AgentRules, now: Timestamp) -> HostReport {
        let report = self.0.collect(agent, rules, now);
        assert!(report.ndi != b"<x n='0'/>", "planted");
        report
    }
}

#[actix::test]
async fn an_agent_that_panics_is_built_anew_and_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let config = config(folder.path(), &[&server.url], false);
    let mut world = world(&config, Arc::new(WallClock), Arc::new(FakeHost(AtomicUsize::new(0)))).unwrap();
    world.uploader = Arc::new(Fragile { left: AtomicUsize::new(2), sound: world.uploader.clone() });
    let agent = start_in(world, fatal());
    until("delivered", || server.arrivals().len() == 1 && queued(folder.path()).is_empty()).await;
    agent.stop().await;
    assert_eq!(server.arrivals().len(), 1, "it arrives once");
}

#[actix::test]
async fn a_collection_that_panics_costs_the_agent_nothing_but_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let config = config(folder.path(), &[&server.url], false);
    let host = Arc::new(FragileHost(FakeHost(AtomicUsize::new(0))));
    let first = start_in(world(&config, Arc::new(WallClock), host.clone()).unwrap(), fatal());
    until("it was tried", || host.0.0.load(Ordering::SeqCst) == 1).await;
    first.stop().await;
    let second = restart(&config).await;
    until("delivered", || server.arrivals().len() == 1 && queued(folder.path()).is_empty()).await;
    second.stop().await;
}

/// A host with a large report that does not compress.
struct LargeHost;

impl CollectHost for LargeHost {
    fn collect(&self, _: Guid, _: &AgentRules, _: Timestamp) -> HostReport {
        let ndi = (0..1_500_u32).flat_map(|at| Digest::of(&at.to_le_bytes()).0).collect();
        HostReport {
            account: "root".into(),
            machine: "web07".into(),
            kind_type: "Full",
            ndi,
            disco: None,
            oracle_ndi: None,
        }
    }
}

/// Puts a client configuration in force in `data`, as a policy would.
fn configure(data: &Path, configuration: &ClientConfiguration) {
    let text = configuration.write();
    let sha256 = Digest::of(text.as_bytes());
    let content = HeldContent { sha256, size: text.len() as u64 };
    let contents = BTreeMap::from([(CatalogKind::ClientConfiguration.to_string(), content)]);
    let held = Held { revision: 1, guid: Guid::from_random([1; 16]), contents, ..Held::default() };
    let fetched = BTreeMap::from([(sha256, text.into_bytes())]);
    PolicyStore::open(data).unwrap().put(&Update { held, fetched, findings: Findings::default() }).unwrap();
}

#[actix::test]
async fn an_upload_goes_no_faster_than_policy_lets_it_and_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &ClientConfiguration { upload_rate_limit: 64 << 10, ..ClientConfiguration::default() });
    let server = Server::start(&[]);
    let config = config(folder.path(), &[&server.url], false);
    let began = Instant::now();
    let agent = start_in(world(&config, Arc::new(WallClock), Arc::new(LargeHost)).unwrap(), fatal());
    until("delivered", || server.arrivals().len() == 1 && queued(folder.path()).is_empty()).await;
    agent.stop().await;
    let body = &server.arrivals()[0].body;
    assert!(body.len() > 48_000, "it did not compress");
    assert!(began.elapsed() >= Duration::from_millis(450), "48,000 bytes at 64 KiB/s came after {:?}", began.elapsed());
}

#[actix::test]
async fn what_is_fetched_comes_no_faster_than_policy_lets_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let beacon = std::thread::spawn(move || {
        let mut stream = listener.incoming().next().unwrap().unwrap();
        let mut head = [0; 4_096];
        assert!(stream.read(&mut head).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 16384\r\n\r\n").unwrap();
        stream.write_all(&[b' '; 16_384]).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let limit = Limit::default();
    limit.set(32 << 10);
    let store = Arc::new(PolicyStore::open(folder.path()).unwrap());
    let client = PolicyClient::new(reqwest::Client::new(), store, limit, Reach::default(), Arc::new(WallClock));
    let began = Instant::now();
    // No policy, but all of it had to come for that to be seen.
    let question = Question { agent: Guid::NIL, base, told: Told::default() };
    assert_eq!(client.poll(question).await.polled, Polled::NotTaken);
    assert!(began.elapsed() >= Duration::from_millis(350), "half a second's bytes came after {:?}", began.elapsed());
    beacon.join().unwrap();
}

#[actix::test]
async fn the_agents_log_goes_with_a_collection_when_policy_asks_and_the_device_allows() {
    for (is_asked, is_allowed) in [(true, true), (true, false), (false, true)] {
        let folder = tempfile::tempdir().unwrap();
        configure(
            folder.path(),
            &ClientConfiguration { are_logs_uploaded: is_asked, ..ClientConfiguration::default() },
        );
        let server = Server::start(&[]);
        let config = config(folder.path(), &[&server.url], false);
        let mut world = world(&config, Arc::new(WallClock), Arc::new(FakeHost(AtomicUsize::new(0)))).unwrap();
        let log = OwnLog::default();
        log.make_writer().write_all(b"INFO it began\n").unwrap();
        world.log = is_allowed.then_some(log);
        let agent = start_in(world, fatal());
        let wanted = if is_asked && is_allowed { 2 } else { 1 };
        until("delivered", || server.arrivals().len() == wanted && queued(folder.path()).is_empty()).await;
        agent.stop().await;
        let logs: Vec<Arrival> =
            server.arrivals().into_iter().filter(|arrival| arrival.path.contains("/Logs/")).collect();
        assert_eq!(logs.len(), wanted - 1, "{is_asked} {is_allowed}");
        for log in logs {
            assert_eq!(log.body, gzip::compress(b"INFO it began\n"));
            assert_eq!(log.headers["x-muster-sequence"], "1");
        }
    }
}
