//! Threads for work that takes the processor: reading packages, deciding imports. They have a low priority, so that
//! whoever uploads is answered first, however much there is to read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::priority::{LOW, lower_priority};

/// Work that waits for a thread. Whoever asks waits for the answer, so there is never much of it.
const QUEUE_MAX: usize = 1_024;

type Work = Box<dyn FnOnce() + Send>;

/// The work was not done: it panicked, or there was no place for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was not done")]
pub struct NotDone;

/// A pool; clones share it. Its threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Workers(SyncSender<Work>);

impl Workers {
    /// Starts `count` threads called `name`.
    pub fn start(name: &str, count: usize) -> std::io::Result<Workers> {
        let (send, receive) = sync_channel::<Work>(QUEUE_MAX);
        let receive = Arc::new(Mutex::new(receive));
        for _ in 0..count {
            let receive = receive.clone();
            std::thread::Builder::new().name(name.into()).spawn(move || {
                lower_priority(LOW);
                while let Some(work) = next(&receive) {
                    work();
                }
            })?;
        }
        Ok(Workers(send))
    }

    /// Does `work` on one of the threads.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
        let (send, receive) = oneshot::channel();
        let work = move || {
            // A panic costs this work, not the thread. Nobody may wait any more.
            if let Ok(done) = catch_unwind(AssertUnwindSafe(work)) {
                drop(send.send(done));
            }
        };
        self.0.try_send(Box::new(work)).map_err(|_| NotDone)?;
        receive.await.map_err(|_| NotDone)
    }
}

fn next(receive: &Mutex<Receiver<Work>>) -> Option<Work> {
    receive.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_a_panic_costs_only_itself() {
        let workers = Workers::start("test", 2).unwrap();
        let own = std::thread::current().id();
        assert_ne!(workers.run(|| std::thread::current().id()).await, Ok(own));
        assert_eq!(workers.run(|| -> u8 { panic!("planted") }).await, Err(NotDone));
        for number in 0..8 {
            assert_eq!(workers.run(move || number).await, Ok(number), "both threads still work");
        }
    }
}
