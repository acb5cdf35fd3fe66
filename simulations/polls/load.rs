//! Polls over many connections for a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use muster::id::Guid;
use muster::rng::RngStream;
use tokio::task::LocalSet;

use crate::connection::{Connection, Target, TargetError};
use crate::figures::{LATENCY_US_MAX, cpu_time};

/// Pause before a lost connection is made anew.
const RECONNECT: Duration = Duration::from_millis(20);
/// An answer that takes longer is given up.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nobody there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No event loop.
    #[error("cannot start the event loop")]
    Runtime(#[source] io::Error),
    /// The first question, for the tag.
    #[error("cannot ask `{url}` for its tag")]
    Ask {
        /// What was asked.
        url: String,
        /// What came of it.
        source: reqwest::Error,
    },
    /// No policy there, or one without a tag.
    #[error("`{url}` answers {status} without an ETag: does the node have a policy yet?")]
    NoTag {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
    },
}

/// How to ask.
pub struct Load {
    /// Over how many connections.
    pub connections: usize,
    /// How long.
    pub time: Duration,
    /// Of the agents.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers that nothing has changed.
    pub unchanged: u64,
    /// For how long they were counted, in seconds.
    pub seconds: f64,
    /// Half of them came within so many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 came within so many milliseconds.
    pub p99_ms: f64,
    /// What came instead: a status, `connection`.
    pub errors: BTreeMap<String, u64>,
    /// Processor time of the client for each second.
    pub client_cpu: Option<f64>,
}

struct Shared {
    target: Target,
    path: String,
    etag: String,
    until: Instant,
    agents: RefCell<RngStream>,
    errors: RefCell<BTreeMap<String, u64>>,
    latencies_us: RefCell<Histogram<u64>>,
}

impl Load {
    /// Asks `target` for `path` until the time is over.
    pub fn run(&self, target: &Target, path: &str) -> Result<Outcome, LoadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Runtime)?;
        LocalSet::new().block_on(&runtime, self.ask(target, path))
    }

    async fn ask(&self, target: &Target, path: &str) -> Result<Outcome, LoadError> {
        let etag = etag(&format!("{}{path}", target.url())).await?;
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(target.connect().await?);
        }
        let (cpu_before, began) = (cpu_time(), Instant::now());
        let shared = Rc::new(Shared {
            target: target.clone(),
            path: path.to_owned(),
            etag,
            until: began + self.time,
            agents: RefCell::new(RngStream::new(self.seed, 1, 0)),
            errors: RefCell::default(),
            latencies_us: RefCell::new(
                Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds that are in order"),
            ),
        });
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::task::spawn_local(shared.clone().keep_on(connection)))
            .collect();
        for task in tasks {
            task.await.expect("a task that asks does not panic");
        }
        let wall = began.elapsed().as_secs_f64();
        let latencies = shared.latencies_us.borrow();
        let quantile = |q| latencies.value_at_quantile(q) as f64 / 1_000.0;
        let errors = shared.errors.borrow().clone();
        Ok(Outcome {
            unchanged: latencies.len(),
            seconds: self.time.as_secs_f64(),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            errors,
            client_cpu: cpu_before.zip(cpu_time()).map(|(before, after)| (after - before).as_secs_f64() / wall),
        })
    }
}

/// The tag of what stands at `url` now.
async fn etag(url: &str) -> Result<String, LoadError> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIME).build();
    let answer = match client {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    let answer = answer.map_err(|source| LoadError::Ask { url: url.to_owned(), source })?;
    let tag = answer.headers().get(reqwest::header::ETAG).and_then(|tag| tag.to_str().ok());
    let status = answer.status().as_u16();
    tag.map(str::to_owned).ok_or_else(|| LoadError::NoTag { url: url.to_owned(), status })
}

impl Shared {
    async fn keep_on(self: Rc<Shared>, connection: Connection) {
        let mut connection = Some(connection);
        while Instant::now() < self.until {
            connection = match connection {
                Some(connection) => self.poll(connection).await,
                None => {
                    tokio::time::sleep(RECONNECT).await;
                    self.target.connect().await.ok()
                }
            };
        }
    }

    /// One question; gives the connection back when it can be used again.
    async fn poll(&self, mut connection: Connection) -> Option<Connection> {
        let agent = Guid::from_random(self.agents.borrow_mut().bytes());
        let began = Instant::now();
        let poll = connection.poll(&self.target, &self.path, agent, &self.etag);
        let answered = tokio::time::timeout(ANSWER_TIME, poll).await;
        let now = Instant::now();
        if now > self.until {
            return None;
        }
        let Ok(Ok(answer)) = answered else {
            self.count("connection");
            return None;
        };
        match answer.status {
            304 => self.latencies_us.borrow_mut().saturating_record((now - began).as_micros() as u64),
            status => self.count(&status.to_string()),
        }
        (!answer.closes).then_some(connection)
    }

    fn count(&self, error: &str) {
        *self.errors.borrow_mut().entry(error.to_owned()).or_default() += 1;
    }
}
