//! The work of the collecting thread: take stock and publish.

use std::sync::{Arc, Mutex, PoisonError};

use muster::model::package::Kind;
use muster::roles::agent::Queued;

use super::agent::AgentWorld;
use super::host::CollectHost;
use super::outbox::{Life, Outbox, OutboxError, Report};
use crate::clock::SharedClock;
use crate::node::NodeFolder;

/// What the collecting thread needs; the rest of the world stays on the actor's own.
pub(super) struct CollectorWorld {
    /// Locked until the thread has ended.
    _folder: Arc<NodeFolder>,
    outbox: Arc<Mutex<Outbox>>,
    clock: SharedClock,
    collector: Arc<dyn CollectHost>,
}

impl CollectorWorld {
    pub(super) fn of(world: &AgentWorld) -> CollectorWorld {
        CollectorWorld {
            _folder: world.folder.clone(),
            outbox: world.outbox.clone(),
            clock: world.clock.clone(),
            collector: world.collector.clone(),
        }
    }

    pub(super) fn collect(&self, life: Life) -> Result<Queued, OutboxError> {
        let outbox = || self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = outbox().guid();
        let collected_at = self.clock.now();
        let report = self.collector.collect(agent, collected_at);
        let mut outbox = outbox();
        outbox.check(life)?;
        let report = Report {
            kind: Kind::Inventories,
            account: &report.account,
            machine: &report.machine,
            kind_type: report.kind_type,
            collected_at,
            content: &report.ndi,
        };
        outbox.publish(report, self.clock.now())
    }
}
