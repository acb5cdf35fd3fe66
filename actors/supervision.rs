//! Builds an actor anew after it died: each life holds a guard that tells its supervisor when it is dropped.
//!
//! actix's own supervisor restarts the same value and not after a panic, so it is not used. A life that ends is followed
//! by another one from the factory, after 100 ms, doubled each time up to 30 s; five deaths within a minute end the
//! process by its caller's `give_up`. Peers ask the [`Directory`] for the address and keep none.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tracing::{error, warn};

/// Wait after a first death.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// So many deaths within [`DEATHS_WITHIN`] are too many.
const DEATHS_MAX: usize = 5;
/// See [`DEATHS_MAX`].
const DEATHS_WITHIN: Duration = Duration::from_secs(60);

/// Tells its supervisor when it is dropped, by an end or a panic alike. Every supervised actor holds one.
pub struct DeathWatch(UnboundedSender<()>);

impl Drop for DeathWatch {
    fn drop(&mut self) {
        // Nobody listens when the node is ending.
        let _ = self.0.send(());
    }
}

/// Where the living actor can be reached; `None` between two lives.
pub struct Directory<A: Actor>(Arc<Mutex<Option<Addr<A>>>>);

impl<A: Actor> Clone for Directory<A> {
    fn clone(&self) -> Self {
        Directory(self.0.clone())
    }
}

impl<A: Actor> Directory<A> {
    /// The address now. Ask again for each message.
    pub fn get(&self) -> Option<Addr<A>> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }

    fn set(&self, address: Option<Addr<A>>) {
        *self.0.lock().expect("no holder of this lock panics") = address;
    }
}

/// A supervised actor; dropping this lets the present life be the last.
pub struct Supervised<A: Actor> {
    directory: Directory<A>,
    task: tokio::task::JoinHandle<()>,
}

impl<A: Actor> Supervised<A> {
    /// Where it is reached.
    pub fn directory(&self) -> &Directory<A> {
        &self.directory
    }
}

impl<A: Actor> Drop for Supervised<A> {
    fn drop(&mut self) {
        self.task.abort();
        self.directory.set(None);
    }
}

/// Starts what `factory` makes on this arbiter and keeps it alive. `factory` gets the guard that the actor must hold;
/// `give_up` is called with a sentence when it dies too often.
pub fn supervise<A>(
    name: &'static str,
    factory: impl Fn(DeathWatch) -> A + 'static,
    give_up: Rc<dyn Fn(&str)>,
) -> Supervised<A>
where
    A: Actor<Context = Context<A>>,
{
    let directory = Directory(Arc::new(Mutex::new(None)));
    let (send, mut deaths) = unbounded_channel();
    directory.set(Some(factory(DeathWatch(send.clone())).start()));
    let own = directory.clone();
    let task = actix::spawn(async move {
        let mut lately: VecDeque<Instant> = VecDeque::new();
        let mut wait = WAIT_FIRST;
        // This task holds a sender itself, so the channel never closes before the task is aborted.
        while deaths.recv().await.is_some() {
            own.set(None);
            let now = Instant::now();
            lately.retain(|death| now.duration_since(*death) < DEATHS_WITHIN);
            if lately.is_empty() {
                wait = WAIT_FIRST;
            }
            lately.push_back(now);
            if lately.len() >= DEATHS_MAX {
                error!(actor = name, "an actor died too often, the process ends");
                give_up(&format!("actor {name} died {DEATHS_MAX} times within a minute"));
                return;
            }
            warn!(actor = name, deaths = lately.len(), "an actor died and is built anew from what the log holds");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
            own.set(Some(factory(DeathWatch(send.clone())).start()));
        }
    });
    Supervised { directory, task }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::{Handler, Message};
    use std::cell::Cell;

    struct Fragile {
        life: usize,
        _watch: DeathWatch,
    }

    impl Actor for Fragile {
        type Context = Context<Fragile>;
    }

    #[derive(Message)]
    #[rtype(result = "usize")]
    struct Life;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Break;

    impl Handler<Life> for Fragile {
        type Result = usize;
        fn handle(&mut self, _: Life, _: &mut Context<Fragile>) -> usize {
            self.life
        }
    }

    impl Handler<Break> for Fragile {
        type Result = ();
        fn handle(&mut self, _: Break, _: &mut Context<Fragile>) {
            panic!("planted");
        }
    }

    async fn next_life(directory: &Directory<Fragile>, than: usize) -> usize {
        for _ in 0..1_000 {
            if let Some(address) = directory.get()
                && let Ok(life) = address.send(Life).await
                && life > than
            {
                return life;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no life after {than}");
    }

    #[actix::test]
    async fn an_actor_that_panics_is_built_anew_and_one_that_dies_too_often_is_given_up() {
        let (lives, given_up) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let (count, flag) = (lives.clone(), given_up.clone());
        let factory = move |watch| {
            count.set(count.get() + 1);
            Fragile { life: count.get(), _watch: watch }
        };
        let fragile = supervise("fragile", factory, Rc::new(move |_: &str| flag.set(true)));
        let mut life = next_life(fragile.directory(), 0).await;
        for _ in 1..DEATHS_MAX {
            let address = fragile.directory().get().unwrap();
            assert!(address.send(Break).await.is_err());
            life = next_life(fragile.directory(), life).await;
        }
        assert!(!given_up.get());
        let _ = fragile.directory().get().unwrap().send(Break).await;
        for _ in 0..1_000 {
            if given_up.get() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(given_up.get());
        assert_eq!(lives.get(), DEATHS_MAX);
    }
}
