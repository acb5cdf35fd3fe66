//! The times at which tasks are submitted: those of `tasks.toml`, and what an operator has set in their place.

use std::sync::Arc;

use actix::Addr;
use muster::model::fact::FactKey;
use muster::model::task::{TaskType, Trigger};
use muster::roles::server::{ScheduleError, SetSchedules};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{error, info};

use super::books::{Books, News, TurnError};
use super::server::{SchedulesChanged, Server};
use crate::errors::Chain;

/// Name of the setting, and of the fact that holds it.
pub const TASK_SCHEDULES: &str = "task-schedules";

/// Why times stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// They are none.
    #[error(transparent)]
    Wrong(#[from] ScheduleError),
    /// The books do not answer.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

/// See the module's head. Clones share everything.
#[derive(Clone)]
pub struct ScheduleKeeper {
    books: Books,
    file: Arc<Vec<(TaskType, Trigger)>>,
    changing: Arc<Mutex<()>>,
}

impl ScheduleKeeper {
    /// The keeper of what is set in `books`; `file` is what stands in `tasks.toml`.
    pub fn new(books: Books, file: Vec<(TaskType, Trigger)>) -> ScheduleKeeper {
        ScheduleKeeper { books, file: Arc::new(file), changing: Arc::default() }
    }

    /// What is set.
    pub fn set_ones(&self) -> Result<SetSchedules, TurnError> {
        let text: Option<String> = self.books.draft().read(&FactKey::Setting(TASK_SCHEDULES.into()))?;
        let Some(text) = text else { return Ok(SetSchedules::default()) };
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(SetSchedules::read(&value).unwrap_or_else(|error| {
            error!(error = %Chain(&error), "the stored times of tasks are not taken, those of tasks.toml are in force");
            SetSchedules::default()
        }))
    }

    /// The times in force.
    pub fn in_force(&self) -> Vec<(TaskType, Trigger)> {
        let set = self.set_ones().unwrap_or_else(|error| {
            error!(error = %Chain(&error), "the set times of tasks cannot be read, those of tasks.toml are in force");
            SetSchedules::default()
        });
        set.over(&self.file)
    }

    /// Sets other times, durably, and tells the server's actor those in force. Gives what is set now.
    pub async fn set(&self, value: &Value, server: Option<Addr<Server>>) -> Result<Value, SetError> {
        let (own, set) = (self.clone(), SetSchedules::read(value)?);
        // Of its own: what is stored is in force, also when whoever asked is gone.
        let put = tokio::spawn(async move { own.put(set, server).await });
        put.await.unwrap_or(Err(SetError::Turn(TurnError::Panicked)))
    }

    async fn put(&self, set: SetSchedules, server: Option<Addr<Server>>) -> Result<Value, SetError> {
        // What is told last is what is stored last.
        let _changing = self.changing.lock().await;
        let text = set.value().to_string();
        let committed = self.books.turn(move |draft| {
            draft.write(&FactKey::Setting(TASK_SCHEDULES.into()), &text);
            Ok(((), News::default()))
        });
        committed.await?;
        info!("the times of tasks were changed");
        if let Some(server) = server {
            // Without an answer it dies, and begins with what is stored.
            let _ = server.send(SchedulesChanged(set.over(&self.file))).await;
        }
        Ok(set.value())
    }
}
