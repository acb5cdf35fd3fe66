//! Uploads over many connections for a time, each receipt checked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use muster::id::Guid;
use muster::rng::RngStream;
use tokio::task::LocalSet;

use crate::bodies::Bodies;
use crate::connection::{Connection, Target, TargetError};
use crate::figures::{LATENCY_US_MAX, cpu_time};

/// Pause before a lost connection is made anew.
const RECONNECT: Duration = Duration::from_millis(20);
/// An answer that takes longer is given up.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Why nothing was uploaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nobody there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No event loop.
    #[error("cannot start the event loop")]
    Runtime(#[source] io::Error),
}

/// One run's task.
pub struct Load {
    /// Where to.
    pub target: Target,
    /// Over how many connections.
    pub connections: usize,
    /// How long.
    pub time: Duration,
    /// Bytes of each body.
    pub size: usize,
    /// Of bodies and agents.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Uploads whose receipt names their digest and size.
    pub verified: u64,
    /// Time from the first upload to the last answer that counts, in seconds.
    pub seconds: f64,
    /// Half of the receipts came within so many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 receipts came within so many milliseconds.
    pub p99_ms: f64,
    /// Uploads without a matching receipt, by what came instead: a status, `receipt`, `connection`.
    pub errors: BTreeMap<String, u64>,
    /// Processor time of the client for each second of the run.
    pub client_cpu: Option<f64>,
}

struct Shared {
    target: Target,
    until: Instant,
    bodies: RefCell<Bodies>,
    agents: RefCell<RngStream>,
    errors: RefCell<BTreeMap<String, u64>>,
    latencies_us: RefCell<Histogram<u64>>,
}

impl Load {
    /// Uploads until the time is over.
    pub fn run(&self) -> Result<Outcome, LoadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Runtime)?;
        LocalSet::new().block_on(&runtime, self.upload())
    }

    async fn upload(&self) -> Result<Outcome, LoadError> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(self.target.connect().await?);
        }
        let latencies = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds that are in order");
        let bodies = Bodies::new(self.size, self.seed);
        let (cpu_before, began) = (cpu_time(), Instant::now());
        let shared = Rc::new(Shared {
            target: self.target.clone(),
            until: began + self.time,
            bodies: RefCell::new(bodies),
            agents: RefCell::new(RngStream::new(self.seed, 1, 0)),
            errors: RefCell::default(),
            latencies_us: RefCell::new(latencies),
        });
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::task::spawn_local(shared.clone().keep_on(connection)))
            .collect();
        for task in tasks {
            task.await.expect("an upload task does not panic");
        }
        // Answers after the end count neither as receipts nor as time.
        let wall = began.elapsed().as_secs_f64();
        let latencies = shared.latencies_us.borrow();
        let quantile = |q| latencies.value_at_quantile(q) as f64 / 1_000.0;
        let errors = shared.errors.borrow().clone();
        Ok(Outcome {
            verified: latencies.len(),
            seconds: self.time.as_secs_f64(),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            errors,
            client_cpu: cpu_before.zip(cpu_time()).map(|(before, after)| (after - before).as_secs_f64() / wall),
        })
    }
}

impl Shared {
    async fn keep_on(self: Rc<Shared>, connection: Connection) {
        let mut connection = Some(connection);
        while Instant::now() < self.until {
            connection = match connection {
                Some(connection) => self.upload(connection).await,
                None => {
                    tokio::time::sleep(RECONNECT).await;
                    self.target.connect().await.ok()
                }
            };
        }
    }

    /// One upload; gives the connection back when it can be used again.
    async fn upload(&self, mut connection: Connection) -> Option<Connection> {
        let body = self.bodies.borrow_mut().make();
        // A node limits what one agent sends: everyone uploads once.
        let agent = Guid::from_random(self.agents.borrow_mut().bytes());
        let size = (body.start.len() + body.end.len()) as u64;
        let began = Instant::now();
        let put = connection.put(&self.target, agent, &body);
        let answered = tokio::time::timeout(ANSWER_TIME, put).await;
        let now = Instant::now();
        if now > self.until {
            return None;
        }
        let Ok(Ok(answer)) = answered else {
            self.count("connection");
            return None;
        };
        match (answer.status, answer.receipt) {
            (200, Some(receipt)) if receipt.matches(body.digest, size) => {
                let micros = (now - began).as_micros() as u64;
                self.latencies_us.borrow_mut().saturating_record(micros);
            }
            (200, _) => self.count("receipt"),
            (status, _) => self.count(&status.to_string()),
        }
        (!answer.closes).then_some(connection)
    }

    fn count(&self, error: &str) {
        *self.errors.borrow_mut().entry(error.to_owned()).or_default() += 1;
    }
}
