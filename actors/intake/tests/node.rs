//! A node that only receives, and a sender that puts bytes on the wire as a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster::formats::gzip;
use muster::id::{Guid, TenantId};
use muster::rng::RngStream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::WallClock;
use crate::intake::{Gate, Intake, IntakeLimits, Listener, bind, routes, serve};
use crate::log::Reserve;
use crate::node::{Logs, NodeFolder};

/// Longer than anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Node {
    pub logs: Logs,
    pub gate: Arc<Gate>,
    pub intake: Arc<Intake>,
    listener: Listener,
    _data: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Limits that a test's own uploads never reach.
pub fn limits() -> IntakeLimits {
    let mut limits = IntakeLimits::default();
    limits.rates.uploads_per_hour = 0;
    limits
}

pub fn node(limits: IntakeLimits) -> Node {
    node_with_reserve(limits, 0)
}

pub fn node_with_reserve(limits: IntakeLimits, reserve_bytes: u64) -> Node {
    let data = tempfile::tempdir().unwrap();
    let clock = Arc::new(WallClock);
    let reserve = Reserve { bytes: reserve_bytes, percent: 0 };
    let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
    let (logs, _) = Logs::open(NodeFolder::open(data.path()).unwrap(), clock.clone(), reserve, no_fatal).unwrap();
    let gate = Arc::new(Gate::new(limits, RngStream::new(1, 2, 3)));
    let intake =
        Arc::new(Intake::new(&logs, Box::new(|_| TenantId::default_tenant()), gate.clone(), clock, Arc::new(|| ())));
    let shared = intake.clone();
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "listen", false).unwrap();
    let listener =
        serve(socket, Some(gate.clone()), 1, Arc::new(move |config| routes(config, shared.clone()))).unwrap();
    Node { logs, gate, intake, listener, _data: data }
}

impl Node {
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    pub fn held(&self) -> usize {
        self.logs.package_index.totals().0
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Sends `bytes` on a connection of their own and gives the answer.
    pub async fn answer(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        send(&mut stream, bytes).await;
        answer(&mut stream).await
    }

    /// Sends a whole upload that is right in everything but what `change` changes.
    pub async fn put(&self, change: impl FnOnce(&mut Put)) -> Answer {
        let mut put = Put::default();
        change(&mut put);
        self.answer(&put.bytes()).await
    }

    pub async fn stop(self) {
        self.listener.stop(false).await;
    }
}

/// An upload as it goes over the wire.
pub struct Put {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Default for Put {
    fn default() -> Put {
        Put { method: "PUT", path: "/ManageSoftRL/Inventories/x.ndi.gz".into(), headers: Vec::new(), body: body(0) }
    }
}

impl Put {
    pub fn with(&mut self, name: &str, value: impl ToString) -> &mut Put {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// Everything up to the body. A length is added unless the headers tell how the body is sent.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: node\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let told = ["content-length", "transfer-encoding"];
        if !self.headers.iter().any(|(name, _)| told.contains(&name.as_str())) {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }
}

/// The body with this number.
pub fn body(number: usize) -> Vec<u8> {
    gzip::compress(format!("<Inventory n=\"{number}\"/>").as_bytes())
}

pub fn agent(number: u8) -> Guid {
    Guid::from_random([number; 16])
}

/// Sends what the node still takes: one that has refused already may have closed.
pub async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
}

/// One whole answer.
pub async fn answer(stream: &mut TcpStream) -> Answer {
    let bytes = read(stream, |bytes| whole(bytes).is_some()).await;
    whole(&bytes).unwrap_or_else(|| panic!("no whole answer: {:?}", String::from_utf8_lossy(&bytes)))
}

/// What comes until the node closes the connection.
pub async fn until_closed(stream: &mut TcpStream) -> String {
    String::from_utf8_lossy(&read(stream, |_| false).await).into_owned()
}

async fn read(stream: &mut TcpStream, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = async {
        while !is_enough(&bytes) {
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the node answers or closes");
    bytes
}

fn whole(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut answer = Answer { status, head: head.to_owned(), body: String::new() };
    let length: usize = answer.header("content-length")?.parse().ok()?;
    answer.body = rest.get(..length)?.to_owned();
    Some(answer)
}
