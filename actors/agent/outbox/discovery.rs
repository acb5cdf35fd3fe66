//! Discoveries in the outbox. A host without services tells so once, when the one before told of some.

use muster::formats::disco::Disco;
use muster::model::package::Kind;
use muster::roles::agent::Queued;
use muster::time::Timestamp;

use super::{Outbox, OutboxError, Report};

impl Outbox {
    /// The next collection publishes a discovery, also when there is no service: what was told last is not known.
    pub(super) fn must_tell_of_services(&mut self) {
        if !std::mem::replace(&mut self.state.has_services, true) {
            self.note_state();
        }
    }

    /// Publishes a discovery; `None` when there is nothing to tell: no services, and none were told before.
    pub fn publish_discovery(
        &mut self,
        disco: &Disco,
        account: &str,
        collected_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Queued>, OutboxError> {
        let has_services = disco.devices.iter().any(|device| !device.services.is_empty());
        if !has_services && !self.state.has_services {
            return Ok(None);
        }
        let mut content = Vec::new();
        disco.write(&mut content).map_err(|source| OutboxError::Write { name: "discovery".into(), source })?;
        // Stored with the sequence, before the discovery is: what was told must be taken back one day.
        self.state.has_services = true;
        let queued = self.publish(
            Report {
                kind: Kind::Discovery,
                account,
                machine: &disco.machine_name,
                kind_type: "",
                collected_at,
                content: &content,
            },
            now,
        )?;
        if !has_services {
            self.state.has_services = false;
            self.note_state();
        }
        Ok(Some(queued))
    }
}
