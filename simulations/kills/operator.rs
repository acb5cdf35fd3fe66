//! An operator who sets something anew now and then, so that the policy that others follow moves.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// From setting to setting.
const EVERY: Duration = Duration::from_millis(700);
/// A server that stands still is left alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module's head. On a thread of its own, because a server that is struck keeps who asks waiting.
pub struct Operator {
    /// Dropped, it ends the thread.
    stop: Sender<()>,
    thread: JoinHandle<u64>,
}

impl Operator {
    /// Begins at once: agents have to know from their first policy on that they may ask each minute.
    pub fn start(server: SocketAddr) -> io::Result<Operator> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(io::Error::other)?;
        let url = format!("http://{server}/api/v1/settings/agent-schedule");
        let (stop, stopped) = channel::<()>();
        let work = move || {
            let (mut turn, mut done) = (0, 0);
            loop {
                turn += 1;
                let answer = runtime.block_on(async { client.put(&url).body(schedule(turn).to_string()).send().await });
                // What is refused while the server is struck is set another time.
                done += u64::from(answer.is_ok_and(|answer| answer.status().is_success()));
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return done;
                }
            }
        };
        let thread = std::thread::Builder::new().name("operator".into()).spawn(work)?;
        Ok(Operator { stop, thread })
    }

    /// Ends, and tells how many settings were taken.
    pub fn finish(self) -> io::Result<u64> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other("the operator panicked"))
    }
}

/// Another one each time: what is set as it was moves nothing.
fn schedule(turn: u32) -> Value {
    json!({ "policy_repeat_secs": 60, "policy_window_secs": 60, "catch_up_start_secs": turn % 86_400 })
}
