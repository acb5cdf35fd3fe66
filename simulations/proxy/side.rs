//! One end of a connection, with what came on it and is not used yet.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::framing::{Body, Head, chunked_length, head};

/// Most bytes of a message: what a link stores of a request before it passes it on.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// See the module's head.
pub struct Side {
    stream: TcpStream,
    bytes: Vec<u8>,
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Side {
    /// Of a connection that stands.
    pub fn new(stream: TcpStream) -> io::Result<Side> {
        stream.set_nodelay(true)?;
        Ok(Side { stream, bytes: Vec::new() })
    }

    /// The next message's head; `None` when the connection ended before one began.
    pub async fn head(&mut self, is_answer: bool) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = head(&self.bytes, is_answer).map_err(wrong)? {
                return Ok(Some(head));
            }
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                return if self.bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Waits until `length` bytes are there, or its sender ends; how many there are of them.
    pub async fn fill(&mut self, length: usize) -> io::Result<usize> {
        while self.bytes.len() < length {
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                break;
            }
        }
        Ok(length.min(self.bytes.len()))
    }

    /// What is there of the first `length` bytes.
    pub fn first(&self, length: usize) -> &[u8] {
        &self.bytes[..length.min(self.bytes.len())]
    }

    /// Takes the whole message with this head.
    pub async fn message(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        let end = loop {
            let end = match head.body {
                Body::Length(length) => Some(head.length.saturating_add(length as usize)),
                Body::Chunked => {
                    chunked_length(&self.bytes[head.length..]).map_err(wrong)?.map(|part| head.length + part)
                }
                Body::UntilClose => None,
            };
            if end.unwrap_or(self.bytes.len()) > MESSAGE_BYTES_MAX {
                return Err(wrong("a message is too long"));
            }
            if let Some(end) = end.filter(|end| *end <= self.bytes.len()) {
                break end;
            }
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                match head.body {
                    Body::UntilClose => break self.bytes.len(),
                    _ => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
        };
        let rest = self.bytes.split_off(end);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }

    /// Takes whatever comes and forgets it, until the sender ends.
    pub async fn swallow(&mut self) {
        loop {
            self.bytes.clear();
            if !matches!(self.stream.read_buf(&mut self.bytes).await, Ok(1..)) {
                return;
            }
        }
    }

    /// Ends when the other end does, or says something that it was not asked for.
    pub async fn ended(&mut self) {
        // Whether it ended well does not matter: it cannot be used.
        drop(self.stream.read_buf(&mut self.bytes).await);
    }

    /// Sends all of `bytes`.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends no more (FIN), and goes on receiving.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// When it is dropped, the other end gets a reset (RST) in place of an end.
    pub fn reset_at_drop(&self) {
        // A connection that is gone already needs none.
        drop(self.stream.set_zero_linger());
    }
}
