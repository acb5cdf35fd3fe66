//! The server's effects: its inbox, the ledger of each agent's stream, and the time that work takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use muster::model::package::{Envelope, Kind, Origin, Sequence};
use muster::model::settlement::{ClockFlag, FinalState};
use muster::model::tenant::TenantState;
use muster::rng::{RngStream, mix};
use muster::roles::{Core, IntentNumber};
use muster::roles::server::{
    LoadOutcome, Loaded, PackageNumber, ServerCore, ServerDurable, ServerInput, ServerIntent, ServerSettings, Task,
};
use muster::time::{DAY_MS, SECOND_MS, Timestamp};
use muster::upload::ledger::{Arrival, StreamLedger, effective_date};

use super::book::Ended;
use super::event::{Body, Event, PackageId, Parcel, Reply, What};
use super::node::{Hands, Wanted};
use super::place::Place;
use super::Stage;
use crate::scenario::FaultKind;

/// What the server works at, by its intent.
#[derive(Clone, Debug)]
enum Work {
    Load(Vec<PackageNumber>),
    Run(Task),
}

/// See the module's head.
pub struct ServerHands {
    settings: Arc<ServerSettings>,
    inbox: BTreeMap<u64, Parcel>,
    index: HashMap<PackageId, u64>,
    next: u64,
    ledgers: Vec<StreamLedger>,
    state: TenantState,
    work: BTreeMap<u64, Work>,
    /// An envelope that all packages' envelopes are made of.
    form: Envelope,
}

impl ServerHands {
    /// The effects of the server.
    pub fn new(stage: &Stage) -> ServerHands {
        let of = &stage.scenario.server;
        let settings = ServerSettings {
            loaders: of.loaders as usize,
            import_every_ms: i64::from(of.import_every_secs) * SECOND_MS,
            import_on_arrival: false,
            exports: true,
            missing_after_ms: DAY_MS,
        };
        let form = Envelope {
            origin: Origin("agent".into()),
            kind: Kind::Inventories,
            stream: None,
            file_name: "".into(),
            size: 0,
            digest: PackageId { agent: 0, number: 0 }.digest(),
            sequence: None,
            collected_at: None,
            first_received: Timestamp(0),
            unproven: true,
            hops: Vec::new(),
        };
        ServerHands {
            settings: Arc::new(settings),
            inbox: BTreeMap::new(),
            index: HashMap::new(),
            next: 1,
            ledgers: vec![StreamLedger::default(); stage.scenario.agents as usize],
            state: TenantState::default(),
            work: BTreeMap::new(),
            form,
        }
    }

    /// What has no final state yet.
    pub fn packages(&self) -> impl Iterator<Item = &Parcel> {
        self.inbox.values()
    }

    /// The ledger of an agent's stream.
    pub fn ledger(&self, agent: u32) -> &StreamLedger {
        &self.ledgers[agent as usize]
    }

    fn envelope(&self, parcel: Parcel) -> Envelope {
        let Parcel { id, bytes, collected, first_received, .. } = parcel;
        Envelope {
            size: u64::from(bytes),
            digest: id.digest(),
            // One epoch for each agent.
            sequence: Some(Sequence { epoch: 1, number: u64::from(id.number) }),
            collected_at: Some(collected),
            first_received,
            ..self.form.clone()
        }
    }

    fn take(&mut self, at: &Place, now: Timestamp, parcel: Parcel, stage: &mut Stage) -> (Reply, Option<ServerInput>) {
        let id = parcel.id;
        let receipt = Reply::Receipt(id);
        if self.index.contains_key(&id) {
            stage.record.probe("duplicate-at-server", 1);
            stage.book.delivered_again();
            return (receipt, None);
        }
        let parcel = Parcel { hops: parcel.hops + 1, ..parcel.taken_at(now, at.local(now)) };
        let envelope = self.envelope(parcel);
        if self.ledger(id.agent).assess(&envelope, at.local(now)) == Arrival::Duplicate {
            stage.record.probe("duplicate-settled", 1);
            stage.book.delivered_again();
            return (receipt, None);
        }
        if at.is_full() {
            stage.record.probe("disk-full", 1);
            return (Reply::Status { status: 507, retry_after_ms: None }, None);
        }
        stage.book.checks.check("I14", parcel.hops <= 8, || format!("{id:?} has passed {} nodes", parcel.hops));
        let number = self.next;
        self.next += 1;
        self.inbox.insert(number, parcel);
        self.index.insert(id, number);
        stage.book.receipted(id);
        stage.record.arrived(now, parcel.made);
        let arrival = mix(now.0 as u64, u64::from(id.agent) << 32 | u64::from(id.number));
        stage.record.digest = mix(stage.record.digest, arrival);
        (receipt, Some(ServerInput::Arrived(vec![PackageNumber(number)])))
    }

    fn settle(&mut self, number: PackageNumber, at: &Place, now: Timestamp, stage: &mut Stage) {
        let Some(parcel) = self.inbox.remove(&number.0) else { return };
        self.index.remove(&parcel.id);
        let envelope = self.envelope(parcel);
        let ledger = &mut self.ledgers[parcel.id.agent as usize];
        let (state, ended) = match ledger.assess(&envelope, at.local(now)) {
            Arrival::Newest => (FinalState::Imported, Ended::Imported),
            Arrival::Older | Arrival::Duplicate | Arrival::SequenceReused => (FinalState::Stale, Ended::Stale),
            Arrival::Expired => (FinalState::Expired, Ended::Expired),
        };
        if ended == Ended::Stale {
            stage.record.probe("imported-out-of-order", 1);
        }
        let (_, clock) = effective_date(envelope.collected_at, envelope.first_received);
        stage.record.probe("clock-ahead-flagged", u64::from(clock == Some(ClockFlag::ClockAhead)));
        stage.book.overtaken(parcel.id, ended);
        ledger.settle(&envelope, state);
        if ended == Ended::Imported {
            self.state.staged += 1;
        }
        stage.book.settled(parcel.id, ended);
    }
}

impl Hands for ServerHands {
    type Core = ServerCore;

    fn recover(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> ServerCore {
        if at.life > 1 {
            stage.record.probe("server-restarted", 1);
        }
        let waiting = self.inbox.keys().map(|number| PackageNumber(*number)).collect();
        let durable = ServerDurable { settings: self.settings.clone(), waiting, state: self.state.clone() };
        ServerCore::recover(durable, RngStream::new(stage.seed, u64::from(at.id.0), u64::from(at.life)), now)
    }

    fn died(&mut self, stage: &mut Stage) {
        let is_loading = self.work.values().any(|work| matches!(work, Work::Load(_)));
        stage.record.probe("server-restarted-loading", u64::from(is_loading));
        self.work.clear();
    }

    fn before_wake(&mut self, _: Timestamp) -> Option<ServerInput> {
        None
    }

    fn receive(&mut self, at: &Place, now: Timestamp, event: &Event, stage: &mut Stage) -> Vec<ServerInput> {
        if let Body::Request { what, is_corrupted, .. } = event.body {
            let (reply, input) = match what {
                What::Upload(_) if is_corrupted => {
                    stage.record.probe("mismatch", 1);
                    (Reply::Mismatch, None)
                }
                What::Upload(parcel) => self.take(at, now, parcel, stage),
                What::Policy => (Reply::Policy(stage.layout.policies.revision_at(now)), None),
                What::Status => (Reply::Status { status: 200, retry_after_ms: None }, None),
            };
            stage.answer(now, event, reply);
            return input.into_iter().collect();
        }
        let intent = IntentNumber(event.number);
        match self.work.remove(&event.number) {
            None => Vec::new(),
            Some(Work::Load(numbers)) => {
                let is_importing = self.work.values().any(|work| matches!(work, Work::Run(Task::Import)));
                stage.record.probe("loaded-during-import", u64::from(is_importing));
                let of_all = |outcome| numbers.iter().map(|number| Loaded { package: *number, outcome }).collect();
                if at.has(FaultKind::LoaderFails) {
                    stage.record.probe("load-failed", 1);
                    return vec![ServerInput::Loaded { intent, packages: of_all(LoadOutcome::Failed), state: None }];
                }
                let packages = of_all(LoadOutcome::Settled);
                numbers.into_iter().for_each(|number| self.settle(number, at, now, stage));
                vec![ServerInput::Loaded { intent, packages, state: Some(self.state.clone()) }]
            }
            Some(Work::Run(task)) => {
                match task {
                    Task::Import => {
                        self.state.devices += u64::from(self.state.imported < self.state.staged);
                        (self.state.imported, self.state.last_import) = (self.state.staged, Some(now));
                    }
                    Task::Reconcile => self.state.reconciled = self.state.devices,
                    Task::Export => self.state.exported = self.state.devices,
                }
                vec![ServerInput::Ended { intent, state: Some(self.state.clone()) }]
            }
        }
    }

    fn carry_out(&mut self, at: &Place, now: Timestamp, wanted: Wanted<'_, ServerCore>, stage: &mut Stage) {
        let Wanted { number: IntentNumber(number), intent, .. } = wanted;
        let drawn = |what| stage.draw(at.id, at.life, number, what);
        let slow = if at.is_slow() { 100 } else { 1 };
        let (work, ms) = match intent {
            ServerIntent::Load(packages) => {
                let ms = stage.scenario.server.load_ms.pick(drawn(21)) * packages.len() as i64 * slow;
                (Work::Load(packages), ms)
            }
            ServerIntent::Run(task) => (Work::Run(task), stage.scenario.server.task_ms.pick(drawn(22))),
            ServerIntent::RenewPolicy | ServerIntent::LookAtGaps | ServerIntent::Sweep => return,
        };
        self.work.insert(number, work);
        stage.post(now.plus_ms(ms.max(1)), at.id, at.id, number, at.life, Body::Done);
    }
}
