//! One node as a process of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::KillError;
use super::clock::Stepped;
use super::hierarchy::Role;
use super::leftovers::{ended, starting};

/// How long a node may take from its start to its first answer.
pub const READY_MAX: Duration = Duration::from_secs(30);
/// How long a node may take to end when it is asked to.
const END_MAX: Duration = Duration::from_secs(30);
/// Bytes that no disk has free.
const RESERVE_OF_ALL: &str = "4611686018427387904";

/// See the module's head.
pub struct Node {
    role: Role,
    muster: PathBuf,
    config: PathBuf,
    log: PathBuf,
    /// Where it takes uploads; an agent takes none.
    health: Option<String>,
    operator: Option<String>,
    process: Option<Child>,
    is_paused: bool,
    clock: Option<Stepped>,
    has_no_room: bool,
}

impl Node {
    /// The node `role` with this configuration, not started.
    pub fn new(muster: &Path, folder: &Path, role: Role, config: &str) -> Result<Node, KillError> {
        let name = role.as_str();
        let path = folder.join(format!("{name}.toml"));
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, config)).map_err(failed("write a configuration"))?;
        let option = |name: &str| {
            let value = config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            value.map(|value| value.trim_end_matches('"').to_owned())
        };
        Ok(Node {
            role,
            muster: muster.to_path_buf(),
            config: path,
            log: folder.join(format!("{name}.log")),
            health: option("listen"),
            operator: option("operator"),
            process: None,
            is_paused: false,
            clock: None,
            has_no_room: false,
        })
    }

    /// Its role in the run.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where its operators ask, if it has some.
    pub fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// Number of its process while it has one.
    pub fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(Pid::from_child)
    }

    /// From its next life on it goes by this clock.
    pub fn go_by(&mut self, clock: Stepped) {
        self.clock = Some(clock);
    }

    /// Its clock, when it is one that can be stepped.
    pub fn clock(&self) -> Option<&Stepped> {
        self.clock.as_ref()
    }

    /// From its next life on, whether it has to take its disk for full.
    pub fn keep_free(&mut self, everything: bool) {
        self.has_no_room = everything;
    }

    /// How it ended when it should run and does not: of itself. The process is reaped then.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
        if status.is_some() {
            self.process.take().iter().for_each(|process| ended(Pid::from_child(process)));
        }
        status
    }

    /// Begins a life; it may be killed before it is ready.
    pub fn spawn(&mut self) -> Result<(), KillError> {
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed("open a log"))?;
        let mut command = Command::new(&self.muster);
        command
            .args([self.role.command(), "--config"])
            .arg(&self.config)
            .envs(self.clock.iter().flat_map(Stepped::environment))
            .envs(self.has_no_room.then_some(("MUSTER_DISK_RESERVE_BYTES", RESERVE_OF_ALL)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(starting(|| command.spawn()).map_err(failed("start `muster`"))?);
        self.is_paused = false;
        Ok(())
    }

    /// Begins a life and waits until it answers.
    pub fn start(&mut self) -> Result<(), KillError> {
        self.spawn()?;
        self.wait_until_ready()
    }

    /// Waits until it answers.
    pub fn wait_until_ready(&mut self) -> Result<(), KillError> {
        let until = Instant::now() + READY_MAX;
        while Instant::now() < until {
            if self.health.as_deref().is_none_or(is_healthy) {
                return Ok(());
            }
            let has_ended = self.process.as_mut().is_none_or(|process| matches!(process.try_wait(), Ok(Some(_))));
            if has_ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(KillError::NotReady { role: self.role.as_str(), last: self.last_line() })
    }

    /// The last line of its log.
    pub fn last_line(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().last().unwrap_or("it has logged nothing").to_owned()
    }

    /// SIGKILL, at whatever it is doing.
    pub fn kill(&mut self) -> Result<(), KillError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        ended(Pid::from_child(&process));
        process.kill().and_then(|()| process.wait()).map(drop).map_err(failed("kill a node"))
    }

    /// SIGSTOP: it stands still until [`Node::resume`].
    pub fn pause(&mut self) -> Result<(), KillError> {
        let Some(pid) = self.pid() else { return Ok(()) };
        self.is_paused = true;
        kill_process(pid, Signal::STOP).map_err(|error| failed("pause a node")(error.into()))
    }

    /// SIGCONT, if it is paused.
    pub fn resume(&mut self) -> Result<(), KillError> {
        match self.pid() {
            Some(pid) if std::mem::take(&mut self.is_paused) => {
                kill_process(pid, Signal::CONT).map_err(|error| failed("resume a node")(error.into()))
            }
            _ => Ok(()),
        }
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) -> Result<(), KillError> {
        self.resume()?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let pid = Pid::from_child(&process);
        ended(pid);
        kill_process(pid, Signal::TERM).map_err(|error| failed("stop a node")(error.into()))?;
        let until = Instant::now() + END_MAX;
        while Instant::now() < until {
            if process.try_wait().map_err(failed("wait for a node"))?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        process.kill().and_then(|()| process.wait()).map(drop).map_err(failed("kill a node that does not end"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A run that failed leaves no process behind.
        drop(self.kill());
    }
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> KillError {
    move |source| KillError::World { doing: doing.into(), source }
}

/// Whether `GET /health` at `address` is answered with 200.
fn is_healthy(address: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(address) = address.parse() else { return false };
    let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) else {
        return false;
    };
    let mut answer = [0; 12];
    let asked = stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .and_then(|()| stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        .and_then(|()| stream.read_exact(&mut answer));
    asked.is_ok() && answer.ends_with(b" 200")
}
