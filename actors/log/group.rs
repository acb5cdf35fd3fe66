//! A group of requests of one log: taken one by one, made durable by one sync, and only then answered.
//!
//! The writer's thread collects groups from its queue. A simulated node collects them in virtual time on a simulated
//! disk: whatever this file does wrong is found there.

use muster::time::Timestamp;
use tokio::sync::oneshot;

use super::log::LogError;
use super::writer::{Journal, WriteError};
use crate::errors::Chain;

/// A request and where its answer goes.
pub struct Job<J: Journal> {
    /// What is asked.
    pub request: J::Request,
    /// Who waits.
    pub reply: oneshot::Sender<Answer<J>>,
}

/// What is answered.
pub type Answer<J> = Result<<J as Journal>::Answer, WriteError>;

/// See the module's head.
pub struct Group<J: Journal> {
    journal: J,
    waiting: Vec<(oneshot::Sender<Answer<J>>, Answer<J>)>,
}

impl<J: Journal> Group<J> {
    /// No request yet.
    pub fn new(journal: J) -> Group<J> {
        Group { journal, waiting: Vec::new() }
    }

    /// What it writes to.
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// Housekeeping between groups.
    pub fn tidy(&mut self, now: Timestamp) -> Result<(), LogError> {
        self.journal.tidy(now)
    }

    /// Requests in it.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a request in. Error: the log failed, and so does the whole group.
    pub fn take(&mut self, now: Timestamp, job: Job<J>) -> Result<(), LogError> {
        match self.journal.take(now, job.request) {
            Ok(answer) => self.waiting.push((job.reply, Ok(answer))),
            // One that cannot be laid out is the caller's own; it must not take the group with it.
            Err(LogError::Frame(source)) => {
                self.waiting.push((job.reply, Err(WriteError::Failed(Chain(&source).to_string()))));
            }
            Err(LogError::Full) => self.waiting.push((job.reply, Err(WriteError::Full))),
            Err(failure) => {
                self.waiting.push((job.reply, Err(WriteError::Failed(Chain(&failure).to_string()))));
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Takes a request in for which there is no room.
    pub fn refuse(&mut self, job: Job<J>) {
        self.waiting.push((job.reply, Err(WriteError::Full)));
    }

    /// Makes what was `taken` durable, then answers all of it.
    pub fn end(&mut self, taken: Result<(), LogError>) -> Result<(), LogError> {
        let synced = taken.and_then(|()| self.journal.sync());
        for (reply, answer) in self.waiting.drain(..) {
            let answer = match &synced {
                Ok(()) => answer,
                Err(LogError::Full) => Err(WriteError::Full),
                Err(failure) => Err(WriteError::Failed(Chain(failure).to_string())),
            };
            // A sender that went away hears nothing: to it the package is perhaps stored.
            let _ = reply.send(answer);
        }
        synced
    }
}
