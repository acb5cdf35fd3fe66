//! What the log says of tasks when a scheduler begins, and how what happens is written down there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use muster::model::fact::{FactKey, FactKind};
use muster::model::stored;
use muster::model::task::{BatchState, TaskNumber, TaskOrigin, TaskRun, TaskSubmission};
use muster::roles::batch::{LiveTask, SchedulerDurable, SchedulerSettings, TaskWrite};
use muster::roles::server::ScheduledLast;
use muster::time::Timestamp;
use tracing::error;

use crate::errors::{Chain, Hex};
use crate::log::{FactIndex, FactWrite, ReadError};

/// Reads every task. One that does not read is told and left out: it cannot be executed, and must not keep the others from it.
/// With it comes when tasks were submitted by their schedule last.
pub(super) fn recover(
    facts: &FactIndex,
    settings: Arc<SchedulerSettings>,
    now: Timestamp,
) -> (SchedulerDurable, ScheduledLast) {
    // Of the many that have ended only that is remembered.
    let (mut runs, mut ended) = (HashMap::<TaskNumber, TaskRun>::new(), HashSet::<TaskNumber>::new());
    let damaged = facts.each(&FactKind::TaskRun.prefix(None), |key, _, value| {
        let Some(FactKey::TaskRun(number)) = FactKey::decode(key) else { return };
        match stored::unpack::<TaskRun>(&value) {
            Ok(run) if run.status.is_final() => _ = ended.insert(number),
            Ok(run) => _ = runs.insert(number, run),
            Err(error) => {
                error!(key = %Hex(key), error = %Chain(&error), "how far a task has come does not read: it counts as ended");
                ended.insert(number);
            }
        }
    });
    for (key, error) in damaged {
        error!(key = %Hex(&key), error = %Chain(&error), "how far a task has come does not read: it counts as ended");
        if let Some(FactKey::TaskRun(number)) = FactKey::decode(&key) {
            ended.insert(number);
        }
    }
    let (mut tasks, mut next, mut scheduled) = (Vec::new(), TaskNumber(1), BTreeMap::new());
    let damaged = facts.each(&FactKind::Task.prefix(None), |key, _, value| {
        let Some(FactKey::Task(number)) = FactKey::decode(key) else { return };
        next = next.max(number.next());
        match stored::unpack::<TaskSubmission>(&value) {
            Ok(submission) => {
                note_schedule(&mut scheduled, &submission);
                if !ended.contains(&number) {
                    tasks.extend(LiveTask::of(number, submission, runs.remove(&number), now));
                }
            }
            Err(error) => error!(key = %Hex(key), error = %Chain(&error), "a task does not read: it is not executed"),
        }
    });
    for (key, error) in damaged {
        error!(key = %Hex(&key), error = %Chain(&error), "a task does not read: it is not executed");
        if let Some(FactKey::Task(number)) = FactKey::decode(&key) {
            next = next.max(number.next());
        }
    }
    (SchedulerDurable { settings, tasks, next, state: state(facts) }, scheduled)
}

/// Remembers the last time of each schedule, of each tenant.
pub(super) fn note_schedule(scheduled: &mut ScheduledLast, submission: &TaskSubmission) {
    if let TaskSubmission { task, scope, origin: TaskOrigin::Schedule, not_before: Some(at), .. } = submission {
        let last = scheduled.entry((*task, scope.tenant().cloned())).or_insert(*at);
        *last = (*last).max(*at);
    }
}

/// What is written down of it.
pub(super) fn facts(write: &TaskWrite) -> Vec<FactWrite> {
    let key = |key: FactKey| Bytes::from(key.encode());
    match write {
        TaskWrite::Submission(number, task) => vec![(key(FactKey::Task(*number)), Some(stored::pack(task).into()))],
        TaskWrite::Run(number, run) => vec![(key(FactKey::TaskRun(*number)), Some(stored::pack(run).into()))],
        TaskWrite::Forget(number) => vec![(key(FactKey::TaskRun(*number)), None), (key(FactKey::Task(*number)), None)],
        TaskWrite::State(state) => vec![(key(FactKey::Batch), Some(stored::pack(state).into()))],
    }
}

fn state(facts: &FactIndex) -> BatchState {
    let read = |value: Result<Option<Bytes>, ReadError>| match value {
        Ok(Some(value)) => stored::unpack(&value).map_err(|error| Chain(&error).to_string()),
        Ok(None) => Ok(BatchState::default()),
        Err(error) => Err(Chain(&error).to_string()),
    };
    read(facts.get(&FactKey::Batch.encode())).unwrap_or_else(|error| {
        error!(error, "whether tasks are paused does not read: they are sent");
        BatchState::default()
    })
}
