//! Limits of policy on what an agent sends and fetches, carried out: bodies that go by their pace.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use muster::upload::pace::{Pace, download_rate, part_bytes, upload_rate};
use tokio::time::{Sleep, sleep};

/// The limit of one direction; clones share it and what has gone.
#[derive(Clone)]
pub struct Limit(Arc<Direction>);

struct Direction {
    bytes_per_s: AtomicU64,
    pace: Mutex<Pace>,
    began: Instant,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit(Arc::new(Direction { bytes_per_s: AtomicU64::new(0), pace: Mutex::default(), began: Instant::now() }))
    }
}

/// Both directions of one agent.
#[derive(Clone, Default)]
pub struct Limits {
    /// Of packages.
    pub upload: Limit,
    /// Of policy and its contents.
    pub download: Limit,
}

impl Limit {
    /// Sets the limit in bytes a second, 0 for none; transfers under way keep theirs.
    pub fn set(&self, bytes_per_s: u64) {
        self.0.bytes_per_s.store(bytes_per_s, Ordering::Relaxed);
    }

    /// The rate of a body of `bytes` that is uploaded now; `None` for as fast as it goes.
    pub fn upload_rate(&self, bytes: usize) -> Option<u64> {
        upload_rate(self.0.bytes_per_s.load(Ordering::Relaxed), bytes as u64)
    }

    /// The rate of what is fetched now; `None` for as fast as it goes.
    pub fn download_rate(&self) -> Option<u64> {
        download_rate(self.0.bytes_per_s.load(Ordering::Relaxed))
    }

    /// How long to wait before `bytes` go at `rate`, which then have gone.
    pub fn before(&self, bytes: usize, rate: u64) -> Duration {
        self.take(bytes, rate)
    }

    /// How long to wait after `bytes` that have come, before more are fetched at `rate`.
    pub fn after(&self, bytes: usize, rate: u64) -> Duration {
        self.take(bytes, rate);
        self.take(0, rate)
    }

    fn take(&self, bytes: usize, rate: u64) -> Duration {
        let now_us = u64::try_from(self.0.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut pace = self.0.pace.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_micros(pace.take(now_us, bytes as u64, rate))
    }
}

/// A body that goes at `rate` bytes a second. Its length is told beforehand.
pub struct PacedBody {
    limit: Limit,
    rate: u64,
    left: Bytes,
    /// The part that waits for its time.
    part: Option<(Pin<Box<Sleep>>, Bytes)>,
}

impl PacedBody {
    /// `bytes`, at `rate` of `limit`.
    pub fn new(limit: Limit, rate: u64, bytes: Bytes) -> PacedBody {
        PacedBody { limit, rate, left: bytes, part: None }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        if body.part.is_none() && !body.left.is_empty() {
            let part = body.left.split_to(part_bytes(body.rate).min(body.left.len()));
            body.part = Some((Box::pin(sleep(body.limit.before(part.len(), body.rate))), part));
        }
        let Some((due, _)) = &mut body.part else { return Poll::Ready(None) };
        ready!(due.as_mut().poll(cx));
        Poll::Ready(body.part.take().map(|(_, part)| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_none() && self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = self.part.as_ref().map_or(0, |(_, part)| part.len());
        SizeHint::with_exact((waiting + self.left.len()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[actix::test]
    async fn a_paced_body_is_whole_tells_its_length_and_takes_its_time() {
        let limit = Limit::default();
        limit.set(64 << 10);
        let bytes = Bytes::from((0..32 << 10).map(|at| at as u8).collect::<Vec<u8>>());
        let rate = limit.upload_rate(bytes.len()).unwrap();
        let mut body = PacedBody::new(limit, rate, bytes.clone());
        let began = Instant::now();
        let mut came = Vec::new();
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some((bytes.len() - came.len()) as u64));
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
            came.extend_from_slice(&frame.into_data().unwrap());
        }
        assert!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_none());
        assert_eq!(came, bytes);
        // Half a second's bytes, of which the first part goes at once and 100 ms were saved up.
        assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
    }
}
