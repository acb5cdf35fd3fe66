//! The drill itself: nodes, script, verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime};

use muster::formats::host::process::read_times;
use muster::rng::RngStream;
use muster_actors::clock::{Clock, WallClock};
use serde_json::{Value, json};

use super::UsageError;
use super::programs::{Account, Process, Program, SLEEPER, programs};
use super::reports::{ProgramKey, queued, session_start, told};
use super::script::{PROGRAMS, Start, Use, draw, is_short, used};
use super::table::Row;
use crate::kills::{Node, Place, Role};

/// How long the nodes may take for what they do at once.
const SOON: Duration = Duration::from_secs(120);
/// The kernel tells processor time in this unit.
const TICK: Duration = Duration::from_millis(10);

/// What a drill is made with.
#[derive(Clone, Debug)]
pub struct UsageOptions {
    /// The program `muster`.
    pub muster: PathBuf,
    /// A folder for this drill alone.
    pub folder: PathBuf,
    /// Where the lives of the processes come from.
    pub seed: u64,
    /// From one sample of the meter to the next.
    pub sample: Duration,
    /// Length of a session.
    pub period: Duration,
    /// Idle processes beside those of the script.
    pub sleepers: u32,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct UsageReport {
    /// One for each program.
    pub rows: Vec<Row>,
    /// Usage files that were read, each valid.
    pub files: usize,
    /// Processes of this host when the script began.
    pub processes: usize,
    /// Processor time of the agent during the script.
    pub busy: Duration,
    /// How long the script took.
    pub wall: Duration,
}

impl UsageReport {
    /// Rows that are not right.
    pub fn wrong(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_right()).count()
    }
}

impl fmt::Display for UsageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Row::head())?;
        for row in &self.rows {
            writeln!(f, "{}", row.line())?;
        }
        let (busy, wall) = (self.busy.as_secs_f64(), self.wall.as_secs_f64());
        write!(
            f,
            "{} valid usage files; the agent took {busy:.2} s of a processor in {wall:.0} s beside {} processes: {:.3} %",
            self.files,
            self.processes,
            100.0 * busy / wall
        )
    }
}

/// Runs the drill. Takes the script's ten samples and more, and up to a period after it.
pub fn run(options: &UsageOptions) -> Result<UsageReport, UsageError> {
    let (programs, account) = (programs()?, Account::quiet()?);
    let place = Place::of(options.seed);
    let data = options.folder.join("agent");
    let mut server = Node::new(&options.muster, &options.folder, Role::Server, &server_file(&options.folder, place))?;
    let mut agent =
        Node::new(&options.muster, &options.folder, Role::Agent, &agent_file(&data, place, options.period))?;
    let operator = Operator::new(place)?;
    server.start()?;
    operator.meter(options)?;
    agent.start()?;
    let late = |what| UsageError::Late { what, secs: SOON.as_secs(), folder: options.folder.clone() };
    let device = wait(SOON, || operator.device().ok()).ok_or_else(|| late("the agent's first report at the server"))?;
    wait(SOON, || data.join("usage.state").exists().then_some(())).ok_or_else(|| late("the meter's first sample"))?;
    server.stop()?;

    let sleepers = (0..options.sleepers).map(|_| Process::start(&SLEEPER, &account));
    let sleepers = sleepers.collect::<Result<Vec<Process>, _>>()?;
    // The first look at many new processes is dearer than all others.
    sleep(options.sample + options.sample / 2);
    let (processes, busy_before, began) = (count_processes(), busy(&agent)?, Instant::now());
    let samples = Watch::over(data.join("usage.state"));
    let lives = perform(&draw(options.sample, &mut RngStream::new(options.seed, 2, 0)), &programs, &account)?;
    let (busy, wall) = (busy(&agent)?.saturating_sub(busy_before), began.elapsed());
    let ended = WallClock.now();

    // What ended last is counted at the next sample, in whatever session that is.
    let (sample_ms, period_ms) = (options.sample.as_millis() as i64, options.period.as_millis() as i64);
    let first = wait(options.period * 2, || queued(&data).map(|files| session_start(&files)).transpose());
    let first = first.ok_or_else(|| late("a usage file"))??;
    let sessions = ended.plus_ms(sample_ms).ms_since(first).div_euclid(period_ms) + 1;
    let reported = first.plus_ms(sessions * period_ms + 2 * sample_ms);
    sleep(reported.since(WallClock.now()));
    let longest = samples.longest().max(options.sample);
    drop(sleepers);
    let files = queued(&data)?;
    agent.stop()?;

    // At its start the agent sends what it has kept.
    server.start()?;
    agent.start()?;
    let in_files = told(&files, &account.name);
    let shown = wait(SOON, || operator.usage(&device, &account.name).ok().filter(|shown| *shown == in_files));
    let shown = shown.map_or_else(|| operator.usage(&device, &account.name), Ok)?;
    agent.stop()?;
    server.stop()?;
    let rows = programs.iter().enumerate().map(|(number, program)| {
        let key = (program.package.to_owned(), program.file().to_owned());
        let of = |known: &BTreeMap<ProgramKey, Use>| known.get(&key).copied().unwrap_or_default();
        Row {
            application: program.package.into(),
            program: program.file().into(),
            was: used(&lives[number]),
            files: of(&in_files),
            device: of(&shown),
            is_short: is_short(number),
            // Each of at most two runs by half of what lay between two samples, and files have whole seconds.
            tolerance: longest + Duration::from_secs(1),
        }
    });
    Ok(UsageReport { rows: rows.collect(), files: files.len(), processes, busy, wall })
}

/// Sees when samples are taken: an agent on a busy machine is late, and what it tells is as coarse as that.
struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Watch {
    /// Watches a file that is written anew after each sample.
    fn over(state: PathBuf) -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let (mut longest, mut last): (Duration, Option<SystemTime>) = (Duration::ZERO, None);
            while !ends.load(Ordering::Relaxed) {
                if let Ok(written) = std::fs::metadata(&state).and_then(|state| state.modified()) {
                    let before = last.replace(written).unwrap_or(written);
                    longest = longest.max(written.duration_since(before).unwrap_or_default());
                }
                sleep(Duration::from_millis(200));
            }
            longest
        });
        Watch { is_over, thread }
    }

    /// The longest time between two samples since.
    fn longest(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// From when until when each run of a program lasted.
type Lives = Vec<(Duration, Duration)>;

/// Starts and ends processes as the script says; what they really did, by program.
fn perform(script: &[Start], programs: &[Program], account: &Account) -> Result<[Lives; PROGRAMS], UsageError> {
    let mut lives: [Lives; PROGRAMS] = Default::default();
    let mut running: Vec<(Start, Duration, Process)> = Vec::new();
    let ended_early = |start: &Start| UsageError::Ended { package: programs[start.program].package };
    let (began, mut next) = (Instant::now(), script.iter().peekable());
    while next.peek().is_some() || !running.is_empty() {
        let now = began.elapsed();
        let (ended, still) = running.into_iter().partition(|(start, ..)| start.at + start.life <= now);
        running = still;
        for (start, from, mut process) in ended {
            if start.orphans_at.is_none() && !process.is_alive() {
                return Err(ended_early(&start));
            }
            drop(process);
            lives[start.program].push((from, began.elapsed()));
        }
        for (start, _, process) in &mut running {
            if start.orphans_at.take_if(|at| *at <= now).is_some() {
                if !process.is_alive() {
                    return Err(ended_early(start));
                }
                process.orphan();
                // What is left of it are its children.
                start.orphans_at = Some(Duration::MAX);
            }
        }
        while let Some(start) = next.next_if(|start| start.at <= now) {
            let process = Process::start(&programs[start.program], account)?;
            running.push((*start, began.elapsed(), process));
        }
        let starts = next.peek().map(|start| start.at);
        let ends = running.iter().flat_map(|(start, ..)| [Some(start.at + start.life), start.orphans_at]).flatten();
        let due = ends.chain(starts).min();
        sleep(due.map_or(Duration::ZERO, |due| due.saturating_sub(began.elapsed())));
    }
    Ok(lives)
}

/// Looks for something until it is there or the time is over.
fn wait<T>(most: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + most;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > until {
            return found;
        }
        sleep(Duration::from_millis(200));
    }
}

/// Processor time that a node has taken so far.
fn busy(node: &Node) -> Result<Duration, UsageError> {
    let path = format!("/proc/{}/stat", node.pid().map_or(0, |pid| pid.as_raw_nonzero().get()));
    let failed = |source| UsageError::World { doing: format!("read `{path}`"), source };
    let times = std::fs::read(&path).map_err(failed)?;
    let times = read_times(&times).ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
    Ok(TICK * u32::try_from(times.busy_ticks).unwrap_or(u32::MAX))
}

fn count_processes() -> usize {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())).count()
}

fn server_file(folder: &Path, place: Place) -> String {
    let data = folder.join("server").display().to_string();
    format!(
        "[server]\ndata = {data:?}\nlisten = \"{}\"\noperator = \"{}\"\n\n[import]\non_arrival = true\n\n[disk]\n\
         reserve_bytes = 0\nreserve_percent = 0\n",
        place.node(Role::Server),
        place.operator(),
    )
}

fn agent_file(data: &Path, place: Place, period: Duration) -> String {
    let (data, period) = (data.display().to_string(), period.as_secs());
    format!(
        "[agent]\ndata = {data:?}\nservers = [\"http://{}\"]\n\n[usage]\nallowed = true\nperiod_secs = {period}\n",
        place.node(Role::Server)
    )
}

/// Asks the server what operators ask.
struct Operator {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
}

impl Operator {
    fn new(place: Place) -> Result<Operator, UsageError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| UsageError::World { doing: "start a runtime".into(), source })?;
        Ok(Operator { runtime, client: reqwest::Client::new(), base: format!("http://{}/api/v1", place.operator()) })
    }

    fn ask(&self, doing: &str, request: reqwest::RequestBuilder) -> Result<Value, UsageError> {
        let failed = |why: String| UsageError::Server { doing: doing.into(), why };
        let answered = self.runtime.block_on(async {
            let answer = request.send().await?;
            let status = answer.status();
            answer.text().await.map(|text| (status, text))
        });
        let (status, text) = answered.map_err(|error| failed(error.to_string()))?;
        if !status.is_success() {
            return Err(failed(format!("{status}: {text}")));
        }
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
    }

    /// Switches metering on for all agents.
    fn meter(&self, options: &UsageOptions) -> Result<(), UsageError> {
        let setting = json!({
            "usage_enabled": true,
            "usage_sample_secs": options.sample.as_secs(),
            // The agent's own file says a shorter one, which wins.
            "usage_period_secs": 28_800,
        });
        let put = self.client.put(format!("{}/settings/client-configuration", self.base)).body(setting.to_string());
        self.ask("switch metering on", put).map(drop)
    }

    /// The only device's id.
    fn device(&self) -> Result<String, UsageError> {
        let devices = self.ask("list the devices", self.client.get(format!("{}/devices", self.base)))?;
        let id = devices["items"][0]["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| UsageError::Server { doing: "list the devices".into(), why: "there is none".into() })
    }

    /// The use by `user` that the device shows, by program.
    fn usage(&self, device: &str, user: &str) -> Result<BTreeMap<ProgramKey, Use>, UsageError> {
        let device = self.ask("show the device", self.client.get(format!("{}/devices/{device}", self.base)))?;
        let lines = ["usage", "usage_unmatched"].iter().flat_map(|list| device[list].as_array().into_iter().flatten());
        let mut shown: BTreeMap<ProgramKey, Use> = BTreeMap::new();
        for line in lines.filter(|line| line["user"] == user) {
            for program in line["programs"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let used = shown.entry((text(&line["name"]), text(&program["file_name"]))).or_default();
                used.runs += program["runs"].as_u64().unwrap_or_default();
                used.time += Duration::from_secs(program["run_secs"].as_u64().unwrap_or_default());
            }
        }
        Ok(shown)
    }
}
