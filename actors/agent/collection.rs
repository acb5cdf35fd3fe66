//! One collection, on the collecting thread: takes stock of the host and publishes what comes of it.

use std::sync::{Arc, Mutex, PoisonError};

use muster::model::package::Kind;
use muster::roles::agent::{AgentRules, Queued};
use tracing::error;

use super::agent::AgentWorld;
use super::host::{CollectHost, HostReport};
use super::outbox::{Life, ORACLE, Outbox, Report};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::node::NodeFolder;

/// What the collecting thread needs; the rest of the world stays on the actor's own.
pub(super) struct CollectorWorld {
    /// Locked until the thread has ended.
    _folder: Arc<NodeFolder>,
    outbox: Arc<Mutex<Outbox>>,
    clock: SharedClock,
    collector: Arc<dyn CollectHost>,
}

impl AgentWorld {
    pub(super) fn clone_for_thread(&self) -> CollectorWorld {
        CollectorWorld {
            _folder: self.folder.clone(),
            outbox: self.outbox.clone(),
            clock: self.clock.clone(),
            collector: self.collector.clone(),
        }
    }
}

impl CollectorWorld {
    /// What is published, and whether that is all of what was collected.
    pub(super) fn collect(&self, life: Life, rules: &AgentRules) -> (Vec<Queued>, bool) {
        let outbox = || self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = outbox().guid();
        let collected_at = self.clock.now();
        let collected = self.collector.collect(agent, rules, collected_at);
        let HostReport { account, machine, kind_type, ndi, oracle_ndi, disco } = &collected;
        let now = self.clock.now();
        // Each with a lock of its own, and packed before: this thread is the last to get a processor, and the agent's actor
        // waits for the outbox.
        let locked = || {
            let outbox = outbox();
            outbox.check(life).map(|()| outbox)
        };
        let publish = |kind_type, content| {
            let report = Report { kind: Kind::Inventories, account, machine, kind_type, collected_at, content };
            let packed = report.packed();
            locked()?.publish_packed(report, packed, now).map(Some)
        };
        let mut results = vec![publish(kind_type, ndi)];
        results.extend(oracle_ndi.iter().map(|ndi| publish(ORACLE, ndi)));
        results.extend(disco.iter().map(|disco| locked()?.publish_discovery(disco, account, collected_at, now)));
        let (mut published, mut is_whole) = (Vec::new(), true);
        for result in results {
            match result {
                Ok(queued) => published.extend(queued),
                // One that fails takes no other with it.
                Err(error) => {
                    error!(error = %Chain(&error), "report not published, collected again later");
                    is_whole = false;
                }
            }
        }
        if is_whole {
            outbox().collected();
        }
        (published, is_whole)
    }
}

#[cfg(test)]
mod tests {
    use muster::formats::disco::{Device, Disco, Service};
    use muster::id::Guid;
    use muster::roles::agent::AgentSettings;
    use muster::time::{DAY_MS, Timestamp};

    use super::super::outbox::OutboxDisks;
    use super::*;
    use crate::clock::WallClock;

    /// A host with Oracle.
    struct OracleHost;

    impl CollectHost for OracleHost {
        fn collect(&self, _: Guid, _: &AgentRules, _: Timestamp) -> HostReport {
            let service = Service { kind: "OracleListener".into(), name: "LISTENER".into(), ..Service::default() };
            let device = Device { name: "web07".into(), services: vec![service], ..Device::default() };
            HostReport {
                account: "root".into(),
                machine: "web07".into(),
                kind_type: "Full",
                ndi: b"<full/>".to_vec(),
                oracle_ndi: Some(b"<oracle/>".to_vec()),
                disco: Some(Disco { machine_name: "web07".into(), devices: vec![device], ..Disco::default() }),
            }
        }
    }

    /// The kinds of what a collection publishes, and whether that is all; folders named in `lost` are gone meanwhile.
    fn collected(lost: &[&str]) -> (Vec<Kind>, bool) {
        let data = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(WallClock);
        let mut outbox = Outbox::open(OutboxDisks::open(data.path()).unwrap(), clock.now()).unwrap();
        let life = outbox.begin_life(clock.now()).unwrap();
        for folder in lost {
            std::fs::remove_dir(data.path().join(folder)).unwrap();
        }
        let world = CollectorWorld {
            _folder: Arc::new(NodeFolder::open(data.path()).unwrap()),
            outbox: Arc::new(Mutex::new(outbox)),
            clock,
            collector: Arc::new(OracleHost),
        };
        let settings = AgentSettings {
            servers: ["http://127.0.0.1:7081".to_owned()].into(),
            allow_plain: false,
            collect_at_start: false,
            inventory_every_ms: DAY_MS,
            policy_every_ms: DAY_MS,
            catch_up_from_ms: 0,
            clocks_ahead_ms: 0,
        };
        let (published, is_whole) = world.collect(life, &AgentRules::new(0, &settings, vec![]));
        (published.iter().map(|queued| queued.kind).collect(), is_whole)
    }

    #[test]
    fn a_report_that_cannot_be_stored_takes_no_other_with_it() {
        let (inventory, discovery) = (Kind::Inventories, Kind::Discovery);
        assert_eq!(collected(&[]), (vec![inventory, inventory, discovery], true));
        assert_eq!(collected(&["uploads/Inventories"]), (vec![discovery], false));
        assert_eq!(collected(&["uploads/Discovery"]), (vec![inventory, inventory], false));
    }
}
