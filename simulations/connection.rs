//! One kept connection to a node: a head made in place, a body in two parts or none, an answer read to its end.
//!
//! Slim on purpose: whatever the client costs, the node on the same machine does not get.

use std::io::{self, IoSlice, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};

use muster::formats::wire::header;
use muster::id::Guid;
use muster::model::package::Receipt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies::{Body, END};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A node's listener.
#[derive(Clone, Debug)]
pub struct Target {
    url: String,
    address: SocketAddr,
    host: String,
    base: String,
}

/// Why there is nothing to upload to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is none.
    #[error("`{url}` is no address of a node: {right}")]
    Form {
        /// As given.
        url: String,
        /// What it should be.
        right: &'static str,
    },
    /// Its name stands for no address.
    #[error("cannot find the host of `{url}`")]
    Unknown {
        /// As given.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to `{url}`")]
    Unreachable {
        /// As given.
        url: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Target {
    /// Reads `http://host:port`, with or without a path below which the node stands.
    pub fn parse(url: &str) -> Result<Target, TargetError> {
        let form = |right| TargetError::Form { url: url.to_owned(), right };
        let rest = url.strip_prefix("http://").ok_or_else(|| form("it must begin with http://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@') {
            return Err(form("it must be http://host:port"));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(form("its path must be plain"));
        }
        let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let full = if port { host.to_owned() } else { format!("{host}:80") };
        let base = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
        let found = full.to_socket_addrs().and_then(|mut found| {
            found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        });
        let address = found.map_err(|source| TargetError::Unknown { url: url.to_owned(), source })?;
        Ok(Target { url: url.to_owned(), address, host: host.to_owned(), base })
    }

    /// As it was given, without a slash at its end.
    pub fn url(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// A connection, or why there is none.
    pub async fn connect(&self) -> Result<Connection, TargetError> {
        let attempt = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let unreachable = |source| TargetError::Unreachable { url: self.url.clone(), source };
        Ok(Connection { stream: attempt.await.map_err(unreachable)?, head: Vec::new(), answer: Vec::new() })
    }
}

/// What a node said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The receipt in it.
    pub receipt: Option<Receipt>,
    /// The connection must not be used again.
    pub closes: bool,
}

/// See the module's head.
pub struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    /// Uploads `body` as the agent `agent` would, and waits for the answer.
    pub async fn put(&mut self, target: &Target, agent: Guid, body: &Body) -> io::Result<Answer> {
        self.head.clear();
        let (host, base) = (&target.host, &target.base);
        // Every agent its own file name, as its host's name is in it.
        write!(
            self.head,
            "PUT {base}/ManageSoftRL/Inventories/root%20on%20{agent}%20at%2020250314T031522%20(Full).ndi.gz HTTP/1.1\r\n\
             host: {host}\r\nuser-agent: muster-sim\r\naccept: */*\r\n{}: {agent}\r\n{}: {}\r\n\
             {}: Inventories/root/Full\r\n{}: 7\r\n{}: 1\r\n{}: 2025-03-14T03:15:22Z\r\ncontent-length: {}\r\n\r\n",
            header::AGENT,
            header::SHA256,
            body.digest,
            header::STREAM,
            header::EPOCH,
            header::SEQUENCE,
            header::COLLECTED_AT,
            body.start.len() + END,
        )?;
        let mut slices = [IoSlice::new(&self.head), IoSlice::new(&body.start), IoSlice::new(&body.end)];
        let mut slices = &mut slices[..];
        while !slices.is_empty() {
            match self.stream.write_vectored(slices).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut slices, written),
            }
        }
        self.answer().await
    }

    /// Asks for `path` as the agent `agent` would that has what `etag` names, and waits for the answer.
    pub async fn poll(&mut self, target: &Target, path: &str, agent: Guid, etag: &str) -> io::Result<Answer> {
        self.head.clear();
        let (host, base) = (&target.host, &target.base);
        write!(
            self.head,
            "GET {base}{path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: muster-sim\r\naccept: */*\r\n{}: {agent}\r\n\
             if-none-match: {etag}\r\n\r\n",
            header::AGENT,
        )?;
        self.stream.write_all(&self.head).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        self.answer.clear();
        loop {
            if let Some((answer, _)) = parse(&self.answer)? {
                return Ok(answer);
            }
            if self.answer.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The answer in `bytes` and its length, once it is there whole. Only answers with a Content-Length are understood, and
/// those whose status means that there is no content; a node gives no others.
pub fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let Some(head_end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| wrong("the answer's head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status: u16 = status.ok_or_else(|| wrong("the answer is not HTTP/1.1"))?;
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    // The length that may stand there is that of what was not sent. Source: RFC 9110, section 8.6.
    let length = if matches!(status, 204 | 304) { Some(0) } else { length };
    let end = head_end + 4 + length.ok_or_else(|| wrong("the answer has no Content-Length"))?;
    let Some(content) = bytes.get(head_end + 4..end) else { return Ok(None) };
    let receipt = if status == 200 { serde_json::from_slice(content).ok() } else { None };
    Ok(Some((Answer { status, receipt, closes }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let text = format!(
            "{{\"digest\":\"{}\",\"size\":3,\"node\":\"{}\",\"state\":\"held\"}}",
            muster::id::Digest::of(b"x"),
            Guid::NIL
        );
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end]).unwrap(), None);
        }
        let (answer, length) = parse(whole.as_bytes()).unwrap().unwrap();
        assert_eq!((answer.status, answer.closes, length), (200, true, whole.len()));
        assert_eq!(answer.receipt.unwrap().size, 3);
        let refused = parse(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").unwrap().unwrap().0;
        assert_eq!(refused, Answer { status: 503, receipt: None, closes: false });
        let unchanged = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\nETag: \"r7\"\r\n\r\n";
        let (answer, length) = parse(unchanged).unwrap().unwrap();
        assert_eq!((answer.status, length), (304, unchanged.len()));
        assert!(parse(b"SSH-2.0\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for url in ["", "https://a", "127.0.0.1:1", "http://", "http://a@b:1", "http://127.0.0.1:1/a?b"] {
            assert!(matches!(Target::parse(url), Err(TargetError::Form { .. })), "{url}");
        }
        let target = Target::parse("http://127.0.0.1:7081/node/").unwrap();
        assert_eq!((target.host.as_str(), target.base.as_str()), ("127.0.0.1:7081", "/node"));
    }
}
