//! A link between two nodes that can be cut: a proxy on loopback that carries whole requests, one after the other of each
//! connection, and notes every upload that passes it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

/// Most bytes of a head or a body that pass.
const BYTES_MAX: usize = 64 << 20;

/// What the link does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Carries them.
    Whole,
    /// Carries uploads to the node and loses the answers: the sender hears nothing. Other requests are swallowed.
    Silent,
    /// Carries small requests; an upload is read whole and its connection reset.
    Reset,
}

/// An upload that came to the link with its body.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The digest that its head names.
    pub digest: String,
    /// Since the link stands.
    pub at: Duration,
    /// What the link was when it came.
    pub state: State,
    /// The answer that the sender got.
    pub answer: Option<u16>,
    /// Other uploads that were under way when it came.
    pub beside: usize,
}

struct Shared {
    node: SocketAddr,
    began: Instant,
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    state: State,
    attempts: Vec<Attempt>,
    under_way: usize,
}

/// See the module's head.
pub struct Link {
    /// Where the sender connects to.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Link {
    /// A whole link to the node on `node`, for as long as the test runs.
    pub fn to(address: &str, node: u16) -> Link {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Inner { state: State::Whole, attempts: Vec::new(), under_way: 0 };
        let node = SocketAddr::new(address.parse().unwrap(), node);
        let shared =
            Arc::new(Shared { node, began: Instant::now(), inner: Mutex::new(inner), changed: Condvar::new() });
        let accepts = shared.clone();
        std::thread::spawn(move || {
            for sender in listener.incoming().flatten() {
                let shared = accepts.clone();
                std::thread::spawn(move || {
                    // Whatever ends the connection, the sender is to see a reset.
                    let _ = set_socket_linger(&sender, Some(Duration::ZERO));
                    shared.carry(sender)
                });
            }
        });
        Link { port, shared }
    }

    /// Makes the link `state`; what a silent one has swallowed is reset.
    pub fn set(&self, state: State) {
        self.shared.inner.lock().unwrap().state = state;
        self.shared.changed.notify_all();
    }

    /// How long it stands.
    pub fn age(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Every upload so far, as they came.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.inner.lock().unwrap().attempts.clone()
    }
}

impl Shared {
    fn carry(&self, mut sender: TcpStream) -> io::Result<()> {
        loop {
            let request = Message::read(&mut sender)?;
            let is_upload = request.head.starts_with("PUT /ManageSoftRL/");
            let digest = request.field("x-muster-sha256").unwrap_or_default().to_owned();
            let (state, number) = {
                let mut inner = self.inner.lock().unwrap();
                let (at, state, beside) = (self.began.elapsed(), inner.state, inner.under_way);
                if is_upload {
                    inner.attempts.push(Attempt { digest, at, state, answer: None, beside });
                    inner.under_way += 1;
                }
                (state, inner.attempts.len())
            };
            let answered = self.answer(&mut sender, &request, state, is_upload);
            if is_upload {
                let mut inner = self.inner.lock().unwrap();
                inner.under_way -= 1;
                inner.attempts[number - 1].answer = answered.as_ref().ok().copied();
            }
            answered?;
        }
    }

    fn answer(&self, sender: &mut TcpStream, request: &Message, state: State, is_upload: bool) -> io::Result<u16> {
        let cut = io::ErrorKind::ConnectionReset;
        match state {
            State::Reset if is_upload => return Err(cut.into()),
            State::Silent => {
                if is_upload {
                    self.ask(request)?;
                }
                let inner = self.inner.lock().unwrap();
                drop(self.changed.wait_while(inner, |inner| inner.state == State::Silent).unwrap());
                return Err(cut.into());
            }
            State::Whole | State::Reset => {}
        }
        let answer = self.ask(request)?;
        answer.write(sender)?;
        let status = answer.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn ask(&self, request: &Message) -> io::Result<Message> {
        let mut node = TcpStream::connect(self.node)?;
        request.write(&mut node)?;
        Message::read(&mut node)
    }
}

/// A request or an answer; one without a length has no body.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut TcpStream) -> io::Result<Message> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = bytes.split_off(end + 4);
                let head = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
                let mut message = Message { head, body };
                let length: usize = message.field("content-length").map_or(Ok(0), str::parse).unwrap_or(BYTES_MAX);
                let missing = length.min(BYTES_MAX).saturating_sub(message.body.len());
                let read = (&mut *stream).take(missing as u64).read_to_end(&mut message.body)?;
                return if read == missing { Ok(message) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if bytes.len() > BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(self.head.as_bytes())?;
        stream.write_all(&self.body)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}
