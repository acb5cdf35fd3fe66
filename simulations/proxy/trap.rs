//! Kills a node in the instant in which a request or an answer passes its link.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The last byte of an upload, unchanged, went to the node the moment before: it has hardly begun to sync it. On a
    /// tmpfs, where a sync does nothing, it may have got further.
    RequestPassed,
    /// The first byte of a receipt is here, and goes no further: what was synced was never heard of.
    AnswerCame,
    /// The whole receipt has gone to the sender.
    AnswerPassed,
}

#[derive(Clone, Copy, Debug)]
struct Trap {
    receiver: &'static str,
    moment: Moment,
    pid: Pid,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Open,
    Armed(Trap),
    Sprung,
}

/// At most one trap is armed at a time.
#[derive(Debug, Default)]
pub struct Traps {
    state: Mutex<State>,
    sprung: Condvar,
}

impl Traps {
    /// Arms one for the process `pid` of the node `receiver` and waits until it has sprung. Says whether it has; the
    /// process is not touched after this returns.
    pub fn catch(&self, receiver: &'static str, moment: Moment, pid: Pid, within: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::Armed(Trap { receiver, moment, pid });
        let waiting = |state: &mut State| matches!(state, State::Armed(_));
        let (mut state, _) =
            self.sprung.wait_timeout_while(state, within, waiting).unwrap_or_else(PoisonError::into_inner);
        matches!(std::mem::take(&mut *state), State::Sprung)
    }

    /// Something passes a link to `receiver`. Whether the node was killed for it.
    pub fn pass(&self, receiver: &str, moment: Moment) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Armed(trap) = *state else { return false };
        if trap.receiver != receiver || trap.moment != moment {
            return false;
        }
        // A process that has ended of itself stays a zombie until its parent has looked, so the number is still its own.
        let _ = kill_process(trap.pid, Signal::KILL);
        *state = State::Sprung;
        self.sprung.notify_all();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_trap_springs_once_at_its_own_moment_and_node_and_kills() {
        let mut process = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&process);
        let traps = Traps::default();
        assert!(!traps.pass("child", Moment::AnswerCame), "nothing is armed");
        std::thread::scope(|scope| {
            let caught = scope.spawn(|| traps.catch("child", Moment::AnswerCame, pid, Duration::from_secs(30)));
            // The others spring nothing, whenever they come.
            while !traps.pass("child", Moment::AnswerCame) {
                assert!(!traps.pass("parent", Moment::AnswerCame));
                assert!(!traps.pass("child", Moment::AnswerPassed));
                std::thread::yield_now();
            }
            assert!(caught.join().unwrap());
        });
        assert!(!process.wait().unwrap().success());
        assert!(!traps.pass("child", Moment::AnswerCame));
        assert!(!traps.catch("child", Moment::AnswerCame, pid, Duration::from_millis(1)));
    }
}
