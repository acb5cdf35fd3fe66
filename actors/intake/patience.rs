//! The time limit that the framework lacks: it times the first head of a connection, and the silence until the next one
//! begins, but not a later head that begins and never ends. Ten thousand of those would be all connections of a node.
//!
//! So between two requests a connection has the idle time and the head's time together, counted from the last bytes of
//! the last answer; then it ends. A reader that takes no bytes of its answer for so long ends too.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection waits for; shared by its stream and its requests, which live on one thread.
#[derive(Clone, Default)]
pub struct Patience(Rc<State>);

#[derive(Default)]
struct State {
    /// A request is being worked on.
    is_busy: Cell<bool>,
    /// When the node last answered something; `None` before the first answer.
    answered: Cell<Option<Instant>>,
}

impl Patience {
    /// A request was read and is worked on.
    pub fn begin(&self) {
        self.0.is_busy.set(true);
    }

    /// Its answer is about to be sent.
    pub fn end(&self) {
        self.0.is_busy.set(false);
        self.answered();
    }

    fn answered(&self) {
        self.0.answered.set(Some(Instant::now()));
    }

    /// Since when the sender lets the node wait for a request.
    fn waiting_since(&self) -> Option<Instant> {
        if self.0.is_busy.get() { None } else { self.0.answered.get() }
    }
}

/// A stream that reads as ended once its patience has.
pub struct Patient<S> {
    stream: S,
    patience: Patience,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// `stream`, on which a sender may let the node wait for `limit` between two requests.
    pub fn new(stream: S, limit: Duration) -> Patient<S> {
        Patient { stream, patience: Patience::default(), limit, timer: None }
    }

    /// The stream below.
    pub fn get(&self) -> &S {
        &self.stream
    }

    /// For the requests of this connection.
    pub fn patience(&self) -> Patience {
        self.patience.clone()
    }

    /// Ready when the sender has let the node wait for too long.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(since) = self.patience.waiting_since() else { return Poll::Pending };
            let due = since + self.limit;
            // Answers move the time on far more often than it runs out: the timer follows when it rings.
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Bytes that trickle in buy no time.
        if self.poll_over(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.patience.answered();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?;
        self.patience.answered();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    /// Whether a read ends within three times the limit.
    async fn ends<S: AsyncRead + Unpin>(stream: &mut Patient<S>) -> bool {
        timeout(3 * LIMIT, stream.read(&mut [0; 8])).await.is_ok_and(|read| read.is_err())
    }

    #[actix::test]
    async fn a_sender_is_waited_for_only_so_long_after_an_answer_and_a_request_at_work_is_not_counted() {
        let (stream, mut sender) = duplex(64);
        let mut stream = Patient::new(stream, LIMIT);
        assert!(!ends(&mut stream).await, "the framework times the first head");
        let patience = stream.patience();
        patience.begin();
        stream.write_all(b"100").await.unwrap();
        assert!(!ends(&mut stream).await, "a body may take longer");
        patience.end();
        sender.write_all(b"next").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 4);
        patience.begin();
        assert!(!ends(&mut stream).await, "this one has begun in time");
        patience.end();
        assert!(ends(&mut stream).await);
        sender.write_all(b"late").await.unwrap();
        assert!(ends(&mut stream).await, "what comes too late is not read");
    }
}
