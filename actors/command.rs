//! What the commands of the program share: how they fail, end, and say that they are ready.

use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::errors::Chain;
use crate::log::OnFatal;

/// Why a command ends without having done its work: one line, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line for stderr.
    pub text: String,
    /// 1: the work failed; 2: the command line or the configuration is wrong.
    pub exit: u8,
}

impl Failure {
    /// The work failed.
    pub fn work(error: &dyn std::error::Error) -> Failure {
        Failure { text: Chain(error).to_string(), exit: 1 }
    }

    /// The command line or the configuration is wrong.
    pub fn usage(error: &dyn std::error::Error) -> Failure {
        Failure { text: Chain(error).to_string(), exit: 2 }
    }
}

/// The text of a configuration file.
pub fn read_config(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure {
        text: format!("cannot read the configuration `{}`: {error}", file.display()),
        exit: 2,
    })
}

/// The text of a file that a command names, of so many bytes at most.
pub fn read_text(file: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    let wrong = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    if bytes.len() as u64 > bytes_max {
        return Err(wrong(format!("it has more than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("line {line} is no UTF-8"))
    })
}

/// What `--check` says of a configuration that is well.
pub fn print_well(file: &Path) {
    // Whoever closed our stdout does not want to know.
    let _ = print_line(&format!("{} is well", file.display()));
}

/// The environment's variables that are text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Runs `work` in an actor system of its own.
pub fn in_system<T>(work: impl Future<Output = T>) -> T {
    let system = actix::System::new();
    let (done, runtime) = system.block_on(async { (work.await, tokio::runtime::Handle::current()) });
    // What was still under way is dropped with the system, and an HTTP request may hand its connection back to the
    // runtime then: outside of it that panics.
    let _entered = runtime.enter();
    drop(system);
    done
}

/// Resolves at Ctrl-C or SIGTERM.
pub async fn asked_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Ends the process when a log failed for good: what was answered is safe, the next start recovers it.
pub fn exit_when_fatal() -> OnFatal {
    Arc::new(|reason: &str| {
        eprintln!("muster: {reason}");
        std::process::exit(1);
    })
}

/// The line on stdout that says that a node is ready.
pub fn print_ready(role: &str, upload: Option<SocketAddr>, operator: Option<SocketAddr>) {
    let address = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let line = json!({
        "ready": true, "role": role, "upload": address(upload), "operator": address(operator),
        "pid": std::process::id(),
    });
    // Whoever closed our stdout does not want to know.
    let _ = print_line(&line.to_string());
}

/// A line on stdout, seen at once.
pub fn print_line(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}
