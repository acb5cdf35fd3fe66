//! The meter's actor beside the agent's, over real files, real HTTP and, once, the real processes of this host.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster::formats::client_configuration::ClientConfiguration;
use muster::formats::mmi::{Mmi, PeriodType, read_mmi_gz};
use muster::id::Digest;
use muster::model::usage::{Application, Attribution, ProcessSample};
use muster::policy::apply::{Content, Held};
use muster::roles::meter::{Sample, UsagePolicy};
use tokio::sync::watch;

use super::effects::Version;
use super::processes::Processes;
use super::state_file::StateFile;
use super::{InstallationData, SampleProcesses};
use crate::agent::agent::AgentWorld;
use crate::agent::policy::{Answered, InForce, PolicySource, Polled, Question};
use crate::agent::run::{RunningAgent, start_in, world};
use crate::agent::tests::{FakeHost, Reply, Server, config, fatal, until};
use crate::agent::uploader::Pending;
use crate::clock::WallClock;

/// Sampled each second, reported when it is switched off.
const FAST: UsagePolicy =
    UsagePolicy { is_enabled: true, unattributed: false, sample_every_ms: 1_000, session_ms: 86_400_000 };
const OFF: UsagePolicy = UsagePolicy { is_enabled: false, ..FAST };

/// Processes that a script tells: in each sample these, in the last one and all later ones the last of them.
struct Script {
    samples: Vec<Vec<u32>>,
    taken: AtomicUsize,
    forgotten: AtomicUsize,
}

impl Script {
    fn new(samples: &[&[u32]]) -> Arc<Script> {
        let samples = samples.iter().map(|pids| pids.to_vec()).collect();
        Arc::new(Script { samples, taken: AtomicUsize::new(0), forgotten: AtomicUsize::new(0) })
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl SampleProcesses for Script {
    fn sample(&self) -> io::Result<Sample> {
        let number = self.taken.fetch_add(1, Ordering::SeqCst);
        let process = |pid: &u32| ProcessSample {
            pid: *pid,
            start: 1,
            // 9 is a child of 8; of the others no parent is known.
            parent: if *pid == 9 { 8 } else { 0 },
            age_ms: 60_000,
            path: "/opt/draw/bin/draw".into(),
            user: "kim".into(),
            is_active: true,
        };
        let pids = &self.samples[number.min(self.samples.len() - 1)];
        Ok(Sample { uptime_ms: 1_000 * (number as u64 + 1), processes: pids.iter().map(process).collect() })
    }

    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

/// Everything belongs to a package called like its file.
#[derive(Default)]
struct AllInstalled {
    read: AtomicUsize,
    programs: Mutex<Option<std::sync::Weak<dyn Attribution>>>,
}

impl InstallationData for AllInstalled {
    fn version(&self) -> Version {
        Version(0)
    }

    fn read(&self) -> Arc<dyn Attribution> {
        self.read.fetch_add(1, Ordering::SeqCst);
        let programs: Arc<dyn Attribution> = Arc::new(|path: &str| {
            let (version, evidence) = ("9.1".into(), "deb".into());
            Some(Arc::new(Application { version, evidence, ..Application::of_file(path) }))
        });
        *self.programs.lock().unwrap() = Some(Arc::downgrade(&programs));
        programs
    }
}

/// An agent that was collected lately and that only meters.
struct Bench {
    agent: RunningAgent,
    policy: watch::Sender<UsagePolicy>,
    packages: Arc<AllInstalled>,
}

impl Bench {
    async fn start(data: &Path, server: &Server, processes: Arc<dyn SampleProcesses>) -> Bench {
        Bench::start_as(data, server, processes, |_| {}).await
    }

    async fn start_as(
        data: &Path,
        server: &Server,
        processes: Arc<dyn SampleProcesses>,
        change: impl Fn(&mut AgentWorld),
    ) -> Bench {
        let config = config(data, &[&server.url], false);
        for _ in 0..500 {
            // The lock of the life before goes when its last thread has ended.
            let Ok(mut world) = world(&config, Arc::new(WallClock), Arc::new(FakeHost(AtomicUsize::new(0)))) else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let packages = Arc::new(AllInstalled::default());
            (world.meter.processes, world.meter.packages) = (processes, packages.clone());
            change(&mut world);
            let policy = world.meter.policy.clone();
            return Bench { agent: start_in(world, fatal()), policy, packages };
        }
        panic!("the folder stays locked");
    }
}

fn usage_files(server: &Server) -> Vec<Mmi> {
    let mut files = Vec::new();
    for arrival in server.arrivals() {
        if arrival.path.contains("/UsageData/") {
            assert!(arrival.path.ends_with(".mmi.gz"), "{}", arrival.path);
            assert_eq!(arrival.headers["x-muster-sha256"], Digest::of(&arrival.body).to_string());
            files.push(read(&arrival.body));
        }
    }
    files
}

fn read(body: &[u8]) -> Mmi {
    let (file, findings) = read_mmi_gz(body).unwrap();
    assert_eq!(findings.len(), 0, "{findings:?}");
    file
}

/// Runs by user and name, of the sessions.
fn runs(files: &[Mmi]) -> BTreeMap<(String, String), u32> {
    let mut runs = BTreeMap::new();
    let periods = files.iter().flat_map(|file| &file.periods).filter(|period| period.kind == PeriodType::Session);
    for period in periods {
        for row in &period.applications {
            *runs.entry((period.user.clone(), row.name.clone())).or_default() += row.runs;
        }
    }
    runs
}

/// The actor's thread answers between two samples: when it was asked for so many, one fewer is counted.
async fn sampled(script: &Script, times: usize) {
    until("so many samples", || script.taken() > times).await;
}

#[actix::test]
async fn what_ran_arrives_as_a_usage_file_that_counts_each_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    // Two runs: the second one by a process and its child, which outlives it.
    let script = Script::new(&[&[7], &[], &[8], &[8, 9], &[9]]);
    let bench = Bench::start(folder.path(), &server, script.clone()).await;
    bench.policy.send_replace(FAST);
    sampled(&script, 5).await;
    assert!(folder.path().join("usage.state").exists());
    bench.policy.send_replace(OFF);
    until("both periods arrive", || usage_files(&server).len() == 2).await;
    let files = usage_files(&server);
    assert_eq!(runs(&files), BTreeMap::from([(("kim".into(), "draw".into()), 2)]));
    let session = files.iter().find(|file| file.periods[0].kind == PeriodType::Session).unwrap();
    assert_eq!(session.device.guid, Some(bench.agent.agent));
    let row = &session.periods[0].applications[0];
    assert_eq!((&*row.version, &*row.evidence), ("9.1", "deb"));
    assert!((2..=6).contains(&row.run_secs) && row.active_secs <= row.run_secs, "{row:?}");
    let is_empty = || std::fs::read_dir(folder.path().join("uploads/UsageData")).unwrap().count() == 0;
    until("the queue is empty", is_empty).await;
    bench.agent.stop().await;
}

#[actix::test]
async fn a_process_that_runs_over_a_restart_is_no_new_run_and_nothing_counted_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let script = Script::new(&[&[5], &[], &[7]]);
    let first = Bench::start(folder.path(), &server, script.clone()).await;
    first.policy.send_replace(FAST);
    sampled(&script, 3).await;
    first.agent.stop().await;
    let before = script.taken();
    let second = Bench::start(folder.path(), &server, script.clone()).await;
    second.policy.send_replace(FAST);
    sampled(&script, before + 2).await;
    second.policy.send_replace(OFF);
    until("both periods arrive", || usage_files(&server).len() >= 2).await;
    // One of the life before, none of a process that merely goes on.
    assert_eq!(runs(&usage_files(&server)), BTreeMap::from([(("kim".into(), "draw".into()), 2)]));
    second.agent.stop().await;
}

#[actix::test]
async fn while_policy_does_not_ask_nothing_is_read_written_or_kept_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let script = Script::new(&[&[7]]);
    let bench = Bench::start(folder.path(), &server, script.clone()).await;
    // The inventory went out meanwhile: the agent is alive, and its meter had every chance.
    until("the inventory arrives", || !server.arrivals().is_empty()).await;
    assert_eq!((script.taken(), bench.packages.read.load(Ordering::SeqCst)), (0, 0));
    assert!(!folder.path().join("usage.state").exists());

    bench.policy.send_replace(FAST);
    sampled(&script, 2).await;
    let programs = bench.packages.programs.lock().unwrap().clone().unwrap();
    assert!(programs.upgrade().is_some());
    bench.policy.send_replace(OFF);
    until("the programs are let go", || programs.upgrade().is_none()).await;
    assert!(script.forgotten.load(Ordering::SeqCst) > 0);
    assert_eq!(bench.packages.read.load(Ordering::SeqCst), 1, "they are read once");
    bench.agent.stop().await;
}

/// Answers with a policy that says this of metering.
struct OnePolicy(bool);

impl PolicySource for OnePolicy {
    fn poll(&self, _: Question) -> Pending<Answered> {
        let told =
            ClientConfiguration { is_usage_metered: self.0, usage_sample_secs: 1, ..ClientConfiguration::default() };
        let held = Held { revision: 1, ..Held::default() };
        let in_force = InForce { held, contents: vec![Content::Configuration(told)] };
        let polled = Polled::Updated(Box::new(in_force));
        Box::pin(async move { Answered { polled, resend: vec![], refused: None } })
    }
}

#[actix::test]
async fn the_agent_tells_its_meter_what_policy_says_unless_the_device_forbids_it() {
    for (is_metered, is_allowed) in [(true, true), (false, true), (true, false)] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&[]);
        let script = Script::new(&[&[7]]);
        let change = |world: &mut AgentWorld| {
            (world.policy, world.meter.rules.is_allowed) = (Arc::new(OnePolicy(is_metered)), is_allowed);
        };
        let bench = Bench::start_as(folder.path(), &server, script.clone(), change).await;
        let status = || crate::agent::status::AgentStatus::read(folder.path()).ok();
        until("the policy is in force", || status().is_some_and(|status| status.policy_revision.is_some())).await;
        let wanted = is_metered && is_allowed;
        assert_eq!(bench.policy.borrow().is_enabled, wanted, "{is_metered} {is_allowed}");
        if wanted {
            sampled(&script, 1).await;
        }
        bench.agent.stop().await;
        assert_eq!(script.taken() > 0, wanted);
    }
}

#[actix::test]
async fn no_argument_and_no_environment_variable_of_a_process_leaves_this_host() {
    const SECRETS: [&str; 2] = ["hunter2-in-an-argument", "hunter3-in-the-environment"];
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    // Waits for a line that never comes.
    let mut child = Command::new("sh")
        .args(["-c", "read line", SECRETS[0]])
        .env("PASSWORD", SECRETS[1])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let bench = Bench::start(folder.path(), &server, Arc::new(Processes::default())).await;
    bench.policy.send_replace(FAST);
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    let shell = shell.file_name().unwrap().to_str().unwrap();
    let state = || std::fs::read(folder.path().join("usage.state")).unwrap_or_default();
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    until("the shell is counted", || holds(&state(), shell)).await;
    let counted = state();
    bench.policy.send_replace(OFF);
    until("both periods arrive", || usage_files(&server).len() == 2).await;
    bench.agent.stop().await;
    drop(child.stdin.take());
    child.wait().unwrap();
    let files = usage_files(&server);
    let account = crate::agent::collector::account_of_process();
    assert!(runs(&files).contains_key(&(account, shell.to_owned())), "{:?}", runs(&files));
    for secret in SECRETS {
        assert!(!holds(&counted, secret));
        assert!(!holds(format!("{files:?}").as_bytes(), secret));
    }
}

#[actix::test]
async fn usage_waits_for_a_server_and_a_newer_report_takes_no_older_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = Server::start(&[Reply::Drop; 99]);
    let script = Script::new(&[&[7]]);
    let first = Bench::start(folder.path(), &deaf, script.clone()).await;
    let queue = folder.path().join("uploads/UsageData");
    let is_report = |name: &str| name.ends_with(".mmi.gz");
    let queued = || std::fs::read_dir(&queue).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    for times in 1..=2 {
        first.policy.send_replace(FAST);
        let before = script.taken();
        sampled(&script, before + 1).await;
        first.policy.send_replace(OFF);
        until("both periods are queued", || queued().filter(|name| is_report(name)).count() == 2 * times).await;
    }
    first.agent.stop().await;
    let server = Server::start(&[]);
    let second = Bench::start(folder.path(), &server, script).await;
    // One whose publication was not heard of before the stop comes twice, under one GUID.
    let guids = || usage_files(&server).iter().map(|file| file.periods[0].guid).collect::<BTreeSet<_>>();
    until("all arrive", || guids().len() == 4).await;
    second.agent.stop().await;
}

/// Looks that end only when they may.
struct Gated {
    script: Arc<Script>,
    held: Mutex<BTreeSet<usize>>,
}

impl Gated {
    fn release(&self, look: usize) {
        self.held.lock().unwrap().remove(&look);
    }
}

impl SampleProcesses for Gated {
    fn sample(&self) -> io::Result<Sample> {
        let sample = self.script.sample()?;
        let look = sample.uptime_ms as usize / 1_000;
        while self.held.lock().unwrap().contains(&look) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(sample)
    }

    fn forget(&self) {
        self.script.forget();
    }
}

#[actix::test]
async fn a_look_that_metering_is_switched_off_and_on_during_counts_with_its_programs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let script = Script::new(&[&[7]]);
    let gated = Arc::new(Gated { script: script.clone(), held: Mutex::new(BTreeSet::from([2, 3])) });
    let bench = Bench::start(folder.path(), &server, gated.clone()).await;
    bench.policy.send_replace(FAST);
    until("the second look is under way", || script.taken() == 2).await;
    bench.policy.send_replace(OFF);
    until("both periods arrive", || usage_files(&server).len() == 2).await;
    let state = StateFile::new(folder.path());
    let waits = || state.load().is_none_or(|state| !format!("{state:?}").contains("waiting: []"));
    until("nothing waits", || !waits()).await;
    std::fs::remove_file(folder.path().join("usage.state")).unwrap();
    bench.policy.send_replace(FAST);
    until("the meter follows", || folder.path().join("usage.state").exists()).await;
    gated.release(2);
    until("the third look is under way", || script.taken() == 3).await;
    bench.policy.send_replace(OFF);
    until("the second look counts", || usage_files(&server).len() == 4).await;
    assert_eq!(runs(&usage_files(&server)), BTreeMap::from([(("kim".into(), "draw".into()), 2)]));
    let programs = bench.packages.programs.lock().unwrap().clone().unwrap();
    assert!(programs.upgrade().is_some());
    gated.release(3);
    until("the programs are let go", || programs.upgrade().is_none()).await;
    bench.agent.stop().await;
}

/// Panics in the actor's own turn when it is to forget, the first time.
struct Fragile {
    script: Arc<Script>,
    left: AtomicUsize,
}

impl SampleProcesses for Fragile {
    fn sample(&self) -> io::Result<Sample> {
        self.script.sample()
    }

    fn forget(&self) {
        let panics = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        assert!(!panics, "planted");
        self.script.forget();
    }
}

/// Counts what is asked; a new life of the agent would ask at once.
struct Counted(Arc<AtomicUsize>);

impl PolicySource for Counted {
    fn poll(&self, _: Question) -> Pending<Answered> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Answered { polled: Polled::Unchanged, resend: vec![], refused: None } })
    }
}

#[actix::test]
async fn a_meter_that_panics_is_built_anew_loses_nothing_and_ends_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let script = Script::new(&[&[7]]);
    let fragile = Arc::new(Fragile { script: script.clone(), left: AtomicUsize::new(1) });
    let polls = Arc::new(AtomicUsize::new(0));
    let source = Arc::new(Counted(polls.clone()));
    let bench = Bench::start_as(folder.path(), &server, fragile.clone(), |world| world.policy = source.clone()).await;
    bench.policy.send_replace(FAST);
    // Each look that was counted leaves another state. Right behind one no other look is under way: switched off during a
    // look, the meter would report first and die later, and its next life would report once more.
    let (state, mut counted) = (StateFile::new(folder.path()), BTreeSet::new());
    until("looks are counted", || {
        counted.extend(state.load().map(|state| format!("{state:?}")));
        counted.len() > 2
    })
    .await;
    // The meter forgets as soon as it is off, and dies of it before it has reported.
    bench.policy.send_replace(OFF);
    until("it panicked", || fragile.left.load(Ordering::SeqCst) == 0).await;
    until("its next life reports what was counted", || usage_files(&server).len() == 2).await;
    assert_eq!(runs(&usage_files(&server)), BTreeMap::from([(("kim".into(), "draw".into()), 1)]));
    let before = script.taken();
    bench.policy.send_replace(FAST);
    sampled(&script, before + 1).await;
    assert_eq!(polls.load(Ordering::SeqCst), 1, "the agent goes on in its first life");
    bench.agent.stop().await;
}
