//! One node as a process of its own.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::KillError;

/// How long a node may take from its start to its first answer.
pub const READY_MAX: Duration = Duration::from_secs(30);
/// How long a node may take to end when it is asked to.
const END_MAX: Duration = Duration::from_secs(30);

/// Addresses of one run. Each run has loopback addresses of its own, so ports can be fixed over restarts without meeting
/// those of another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The server takes uploads here.
    pub server: SocketAddr,
    /// The server answers operators here.
    pub operator: SocketAddr,
    /// The parent beacon.
    pub parent: SocketAddr,
    /// The child beacon.
    pub child: SocketAddr,
}

impl Place {
    /// The place of the run with this seed in this process.
    pub fn of(seed: u64) -> Place {
        let mixed = muster::rng::mix(u64::from(std::process::id()), seed).to_be_bytes();
        // 127.0.0.0/16 is left to everybody else.
        let address = Ipv4Addr::new(127, mixed[0].max(1), mixed[1], mixed[2].clamp(1, 254));
        let at = |port| SocketAddr::from((address, port));
        Place { server: at(7_080), parent: at(7_081), child: at(7_082), operator: at(8_080) }
    }
}

/// See the module's head.
pub struct Node {
    role: &'static str,
    muster: PathBuf,
    config: PathBuf,
    log: PathBuf,
    /// Where it takes uploads; an agent takes none.
    health: Option<String>,
    operator: Option<String>,
    process: Option<Child>,
}

impl Node {
    /// The node `role` with this configuration, not started.
    pub fn new(muster: &Path, folder: &Path, role: &'static str, config: &str) -> Result<Node, KillError> {
        let path = folder.join(format!("{role}.toml"));
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, config)).map_err(failed("write a configuration"))?;
        let option = |name: &str| {
            let value = config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            value.map(|value| value.trim_end_matches('"').to_owned())
        };
        Ok(Node {
            role,
            muster: muster.to_path_buf(),
            config: path,
            log: folder.join(format!("{role}.log")),
            health: option("listen"),
            operator: option("operator"),
            process: None,
        })
    }

    /// Its role in the run.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Where its operators ask, if it has some.
    pub fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// Number of its process while it has one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Begins a life; it may be killed before it is ready.
    pub fn spawn(&mut self) -> Result<(), KillError> {
        let command = match self.role {
            "parent" | "child" => "beacon",
            role => role,
        };
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed("open a log"))?;
        let process = Command::new(&self.muster)
            .args([command, "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.map_err(failed("start `muster`"))?);
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
            let ended = self.process.as_mut().is_none_or(|process| matches!(process.try_wait(), Ok(Some(_))));
            if ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(KillError::NotReady { role: self.role, last: self.last_line() })
    }

    fn last_line(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().last().unwrap_or("it has logged nothing").to_owned()
    }

    /// SIGKILL, at whatever it is doing.
    pub fn kill(&mut self) -> Result<(), KillError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().and_then(|()| process.wait()).map(drop).map_err(failed("kill a node"))
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) -> Result<(), KillError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let pid = Pid::from_child(&process);
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
