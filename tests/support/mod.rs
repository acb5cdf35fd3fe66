//! What tests with processes share: the program, processes that never outlive their test, waiting for conditions.

mod files;
mod link;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub use self::files::Files;
pub use self::link::{Attempt, Link, State};
use crate::tidy::project;

/// Longest wait for anything.
const WAIT_MAX: Duration = Duration::from_secs(180);

/// The program `muster`, built as the tests themselves are.
pub fn muster() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // Beside the tests' own folder `deps`.
        let tests = std::env::current_exe().expect("this test's own path");
        let folder = tests.ancestors().nth(2).expect("target/PROFILE/deps/TEST").to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // With the tests beside it, so that every dependency has the features it has in this run and none is built twice.
        build.args(["build", "--workspace", "--bins", "--tests", "--locked"]).current_dir(project());
        // A test run with another profile has another folder.
        if folder.file_name() == Some(OsStr::new("release")) {
            build.arg("--release");
        }
        let built = build.stdin(Stdio::null()).output().expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let program = folder.join("muster");
        assert!(program.exists(), "{} was not built", program.display());
        program
    })
}

/// `muster` with these arguments, without the environment's overrides.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(muster());
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MUSTER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `muster` to its end.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("muster runs")
}

/// The one line that a failing command says.
pub fn only_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let own: Vec<&str> = text.lines().filter(|line| line.starts_with("muster: ")).collect();
    assert_eq!(own.len(), 1, "{text}");
    own[0].to_owned()
}

/// A node that runs until it is dropped.
pub struct Node {
    process: Child,
    lines: Receiver<String>,
}

impl Node {
    /// Starts `muster` with these arguments.
    pub fn start(arguments: &[&str]) -> Node {
        Node::run(command(arguments), Stdio::null())
    }

    /// The same as [`Node::ready`], with its log in a file.
    pub fn ready_with_log(role: &str, config: &Path, log: &Path) -> Node {
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let node = Node::run(command(&[role, "--config", config.to_str().expect("a path in UTF-8")]), log.into());
        node.ready_line(role);
        node
    }

    /// Starts a command that becomes `muster`.
    pub fn run(mut command: Command, log: Stdio) -> Node {
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the command runs");
        let out = BufReader::new(process.stdout.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Node { process, lines }
    }

    /// Starts the node of this configuration and waits for its ready line.
    pub fn ready(role: &str, config: &Path) -> (Node, Value) {
        let node = Node::start(&[role, "--config", config.to_str().expect("a path in UTF-8")]);
        let ready = node.ready_line(role);
        (node, ready)
    }

    /// The ready line of `role`.
    pub fn ready_line(&self, role: &str) -> Value {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| panic!("{role} is not ready: {error}"));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if line["role"] == role {
                assert_eq!(line["ready"], true);
                return line;
            }
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }

    /// Asks it to end by `signal`, and waits for that.
    pub fn end(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
        wait_for("its end", || self.process.try_wait().expect("a child of ours"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Waits for `look` to find something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `GET url` answers, as JSON; `None` as long as nobody answers with 200.
pub fn get(url: &str) -> Option<Value> {
    let answer = reqwest::blocking::get(url).ok()?;
    answer.status().is_success().then(|| answer.json().ok())?
}

/// The shipped configuration `name`, with each `(old, new)` replaced, which must be there.
pub fn shipped(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(project().join("config").join(name)).expect("a shipped file");
    for (old, new) in changes {
        assert!(text.contains(old), "config/{name} has no `{old}`");
        text = text.replace(old, new);
    }
    text
}

/// Sets the document at `url` and gives the answer, which must be 200.
pub fn put(url: &str, value: &Value) -> Value {
    let answer = reqwest::blocking::Client::new().put(url).body(value.to_string()).send().unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{url}");
    answer.json().unwrap()
}

/// What `muster agent status` says of the agent with this configuration.
pub fn status(agent: &Path) -> Option<Value> {
    let output = run(&["agent", "status", "--json", "--config", agent.to_str().unwrap()]);
    serde_json::from_slice(&output.stdout).ok()
}
