//! An operator who sets something anew now and then, so that the policy moves, and looks at which one each node hands out.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use muster::policy::beacon_policy::BeaconPolicy;
use serde_json::{Value, json};

use super::hierarchy::{Place, Role};

/// From setting to setting, and from look to look.
const EVERY: Duration = Duration::from_millis(700);
/// A node that stands still is left alone.
const PATIENCE: Duration = Duration::from_millis(500);

/// Revisions of policies that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revisions {
    last: BTreeMap<&'static str, u64>,
    /// Times at which one was seen.
    pub looks: u64,
    /// Times at which it was higher than before.
    pub moves: u64,
    /// Times at which it was lower, or gone; none is expected.
    pub went_down: Vec<String>,
}

impl Revisions {
    /// `node` follows this one now.
    pub fn saw(&mut self, node: &'static str, revision: u64) {
        self.looks += 1;
        if let Some(before) = self.last.insert(node, revision) {
            self.moves += u64::from(revision > before);
            if revision < before {
                self.went_down.push(format!("the {node} follows policy {revision} after {before}"));
            }
        }
    }

    /// `node` follows none now.
    pub fn saw_none(&mut self, node: &'static str) {
        if let Some(before) = self.last.remove(node) {
            self.went_down.push(format!("the {node} follows no policy after {before}"));
        }
    }

    /// Adds what was seen of other nodes.
    pub fn add(&mut self, other: Revisions) {
        self.looks += other.looks;
        self.moves += other.moves;
        self.went_down.extend(other.went_down);
    }
}

/// See the module's head. On a thread of its own, because a server that is struck keeps who asks waiting.
pub struct Operator {
    /// Dropped, it ends the thread.
    stop: Sender<()>,
    thread: JoinHandle<(u64, Revisions)>,
}

impl Operator {
    /// Begins at once: agents have to know from their first policy on that they may ask each minute.
    pub fn start(place: Place) -> io::Result<Operator> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(io::Error::other)?;
        let url = format!("http://{}/api/v1/settings/agent-schedule", place.operator());
        let (stop, stopped) = channel::<()>();
        let work = move || {
            let (mut turn, mut done, mut revisions) = (0, 0, Revisions::default());
            loop {
                turn += 1;
                let answer = runtime.block_on(async { client.put(&url).body(schedule(turn).to_string()).send().await });
                // What is refused while the server is struck is set another time.
                done += u64::from(answer.is_ok_and(|answer| answer.status().is_success()));
                for role in Role::RECEIVERS {
                    let url = format!("http://{}/inventory-beacons/x/policy", place.node(role));
                    // One that has just begun a life may not answer with it yet.
                    if let Some(revision) = runtime.block_on(handed_out(&client, &url)) {
                        revisions.saw(role.as_str(), revision);
                    }
                }
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return (done, revisions);
                }
            }
        };
        let thread = std::thread::Builder::new().name("operator".into()).spawn(work)?;
        Ok(Operator { stop, thread })
    }

    /// Ends, and tells how many settings were taken, and what nodes handed out.
    pub fn finish(self) -> io::Result<(u64, Revisions)> {
        drop(self.stop);
        self.thread.join().map_err(|_| io::Error::other("the operator panicked"))
    }
}

async fn handed_out(client: &reqwest::Client, url: &str) -> Option<u64> {
    let answer = client.get(url).send().await.ok().filter(|answer| answer.status().is_success())?;
    Some(BeaconPolicy::read(&answer.bytes().await.ok()?).ok()?.revision)
}

/// Another one each time: what is set as it was moves nothing.
fn schedule(turn: u32) -> Value {
    json!({ "policy_repeat_secs": 60, "policy_window_secs": 60, "catch_up_start_secs": turn % 86_400 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_lower_or_gone_is_told() {
        let mut seen = Revisions::default();
        for revision in [None, Some(3), Some(5), Some(4), None, None, Some(1)] {
            match revision {
                Some(revision) => seen.saw("agent", revision),
                None => seen.saw_none("agent"),
            }
            seen.saw("server", 2);
        }
        assert_eq!((seen.looks, seen.moves), (11, 1));
        assert_eq!(seen.went_down, ["the agent follows policy 4 after 5", "the agent follows no policy after 4"]);
    }
}
