//! The facts of a server with their view: the one place where a decision becomes a commit and the commit is shown.
//!
//! One turn at a time: a decision reads what is committed, and nobody changes it before its own commit is durable. That
//! makes a read, a decision and its writes one step, and keeps the view in the order of the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use bytes::Bytes;
use muster::id::TenantId;
use muster::model::device::DeviceFact;
use muster::model::draft::{Draft, DraftError};
use muster::model::fact::FactKey;
use muster::model::package::PackageKey;
use muster::model::stored;
use muster::roles::server::{Shown, Staged};
use tokio::sync::Mutex;
use tracing::error;

use super::counters::tenant_state;
use super::fleet::FleetError;
use super::tenants::TenantRegister;
use super::view::View;
use crate::errors::{Chain, Hex};
use crate::log::{FactIndex, FactWrite, FactWriter, ReadError, WriteError};
use crate::workers::{NotDone, Workers};

/// Bytes of a frame where a commit may be cut: whoever reads one fact reads and checks the whole frame it stands in.
const FRAME_BYTES: usize = 64 << 10;
/// Keys that are looked at, or taken away, at once.
const DROPPED_AT_ONCE: usize = 1_000;

/// Why a turn changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// A fact cannot be read.
    #[error(transparent)]
    Read(#[from] DraftError<ReadError>),
    /// The log does not take the commit.
    #[error("the facts are not committed")]
    Write(#[source] WriteError),
    /// The decision panicked.
    #[error("the decision did not end")]
    Panicked,
}

/// What is to be shown of a commit.
#[derive(Debug, Default)]
pub struct News {
    /// Staged reports, whose they are, and the packages they came in.
    pub staged: Vec<(TenantId, Staged, PackageKey)>,
    /// Devices of the books' tenant that were changed.
    pub devices: Vec<DeviceFact>,
}

/// Reads a committed fact.
pub type Look = Box<dyn Fn(&[u8]) -> Result<Option<Bytes>, ReadError>>;

/// See the module's head. Clones share everything.
#[derive(Clone)]
pub struct Books {
    /// Whose facts are read and written by those who ask for no other tenant's.
    pub tenant: TenantId,
    /// All tenants.
    pub tenants: TenantRegister,
    /// What is committed.
    pub facts: FactIndex,
    /// What is shown.
    pub view: Arc<View>,
    /// Held by whatever reads devices in one turn and writes them in a later one: imports, reconciles, unmerges. An earlier
    /// life's may not have ended yet.
    pub one_task: Arc<Mutex<()>>,
    /// The one of each tenant.
    one_tasks: Arc<StdMutex<BTreeMap<TenantId, Arc<Mutex<()>>>>>,
    writer: FactWriter,
    workers: Workers,
    turn: Arc<Mutex<()>>,
}

impl Books {
    /// The books over a node's facts; `tenant` is the server's own.
    pub fn new(tenant: TenantId, facts: FactIndex, writer: FactWriter, workers: Workers, view: Arc<View>) -> Books {
        let one_task = Arc::default();
        let one_tasks = Arc::new(StdMutex::new(BTreeMap::from([(tenant.clone(), Arc::clone(&one_task))])));
        let tenants = TenantRegister::read(&facts, tenant.clone());
        Books { tenant, tenants, facts, view, one_task, one_tasks, writer, workers, turn: Arc::default() }
    }

    /// The same books, for another tenant.
    pub fn of(&self, tenant: &TenantId) -> Books {
        let mut one_tasks = self.one_tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let one_task = one_tasks.entry(tenant.clone()).or_default().clone();
        Books { tenant: tenant.clone(), one_task, ..self.clone() }
    }

    /// A draft over what is committed now.
    pub fn draft(&self) -> Draft<Look> {
        draft(&self.facts)
    }

    /// Takes one turn: `decide` runs off the caller's thread and fills the draft; when that is durable, it is shown.
    /// An error of the view is not an error of the turn.
    pub async fn turn<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Draft<Look>) -> Result<(T, News), TurnError> + Send + 'static,
    ) -> Result<T, TurnError> {
        self.take_turn(usize::MAX, decide).await
    }

    /// The same for many facts that need not be there all or none: they are committed in small frames, ascending by key,
    /// and a crash or an error may leave the first ones alone.
    pub async fn turn_in_frames<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Draft<Look>) -> Result<(T, News), TurnError> + Send + 'static,
    ) -> Result<T, TurnError> {
        self.take_turn(FRAME_BYTES, decide).await
    }

    /// Takes away the facts whose keys begin with `prefix`, but for those that are kept.
    pub async fn drop_others(&self, prefix: &[u8], is_kept: impl Fn(&FactKey) -> bool) -> Result<(), TurnError> {
        let mut after = None::<Box<[u8]>>;
        loop {
            let page = self.facts.keys(prefix, after.as_deref(), DROPPED_AT_ONCE);
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let keys = page.iter().filter_map(|(key, _)| FactKey::decode(key));
            let others: Vec<FactKey> = keys.filter(|key| !is_kept(key)).collect();
            if others.is_empty() {
                continue;
            }
            let dropped = self.turn(move |draft| {
                others.iter().for_each(|key| draft.remove(key));
                Ok(((), News::default()))
            });
            dropped.await?;
        }
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        frame_bytes: usize,
        decide: impl FnOnce(&mut Draft<Look>) -> Result<(T, News), TurnError> + Send + 'static,
    ) -> Result<T, TurnError> {
        let own = self.clone();
        // Of its own: whoever asked may be gone before the commit is durable and shown, and nobody may decide before.
        let taken = tokio::spawn(async move { own.whole_turn(frame_bytes, decide).await });
        taken.await.unwrap_or(Err(TurnError::Panicked))
    }

    async fn whole_turn<T: Send + 'static>(
        &self,
        frame_bytes: usize,
        decide: impl FnOnce(&mut Draft<Look>) -> Result<(T, News), TurnError> + Send + 'static,
    ) -> Result<T, TurnError> {
        let _turn = self.turn.clone().lock_owned().await;
        let facts = self.facts.clone();
        let decided = self.workers.run(move || {
            let mut draft = draft(&facts);
            let (answer, news) = decide(&mut draft)?;
            let writes = draft.into_writes().map(|(key, value)| (key.into(), value.map(Bytes::from)));
            Ok::<_, TurnError>((answer, news, frames(writes, frame_bytes)))
        });
        let (answer, news, frames) = decided.await.map_err(|NotDone| TurnError::Panicked)??;
        let are_several = frames.len() > 1;
        let committed = self.writer.ask_all(frames).await.map(Option::flatten).map_err(|error| {
            if are_several {
                // Some of it may be committed, and is not shown.
                self.view.distrust();
            }
            TurnError::Write(error)
        })?;
        let Some(position) = committed else { return Ok(answer) };
        let (view, tenant) = (self.view.clone(), self.tenant.clone());
        let shown = self.workers.run(move || {
            let reports = news.staged.iter().map(|(of, staged, package)| (of, Shown::Software(staged, package)));
            let devices = news.devices.iter().map(|device| (&tenant, Shown::Device(device)));
            view.show(&reports.chain(devices).collect::<Vec<_>>(), position)
        });
        match shown.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(error = %Chain(&error), "the view is behind the log, it catches up"),
            Err(NotDone) => {
                error!("showing a commit panicked, the view is behind the log, it catches up");
                self.view.distrust();
            }
        }
        Ok(answer)
    }
}

/// Cuts what is to be written into frames.
fn frames(writes: impl Iterator<Item = FactWrite>, frame_bytes: usize) -> Vec<Vec<FactWrite>> {
    let (mut frames, mut bytes) = (Vec::<Vec<FactWrite>>::new(), 0_usize);
    for write in writes {
        let own = write.0.len() + write.1.as_ref().map_or(0, Bytes::len);
        bytes = bytes.saturating_add(own);
        match frames.last_mut() {
            Some(frame) if bytes <= frame_bytes => frame.push(write),
            _ => {
                bytes = own;
                frames.push(vec![write]);
            }
        }
    }
    frames
}

fn draft(facts: &FactIndex) -> Draft<Look> {
    let facts = facts.clone();
    Draft::new(Box::new(move |key: &[u8]| {
        if let Some(FactKey::Tenant(tenant)) = FactKey::decode(key) {
            // Numbers that were given are never given again, whatever became of the counter.
            return match tenant_state(&facts, &tenant) {
                Ok(state) => Ok(Some(stored::pack(&state).into())),
                Err(FleetError::Read(error)) => Err(error),
                // Not what was written: the caller meets it when it reads.
                Err(_) => facts.get(key),
            };
        }
        match facts.get(key) {
            // It cannot come back, and must not keep every later decision about its key from being made.
            Err(error @ ReadError::Rotten { .. }) => {
                error!(key = %Hex(key), error = %Chain(&error), "a fact has rotted and is begun anew");
                Ok(None)
            }
            read => read,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_hold_every_write_in_order_and_no_more_bytes_than_they_may_or_one_write() {
        let write = |key: &str, bytes: usize| (Bytes::from(key.to_owned()), Some(Bytes::from(vec![0; bytes])));
        let list = [write("a", 40), write("b", 40), write("c", 500), write("d", 10), write("e", 88), write("f", 1)];
        let cut = |most: usize| {
            let frames = frames(list.iter().cloned(), most);
            let names = |frame: &Vec<FactWrite>| {
                frame.iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect::<String>()
            };
            frames.iter().map(names).collect::<Vec<String>>()
        };
        assert_eq!(cut(100), ["ab", "c", "de", "f"]);
        assert_eq!(cut(1), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(cut(usize::MAX), ["abcdef"]);
        assert!(frames(std::iter::empty(), 100).is_empty());
    }
}
