//! The server's effects: its inbox, the ledger of each agent's stream, and the time that work takes.

mod logs;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::tz::TimeZone;
use muster::id::TenantId;
use muster::model::package::{Envelope, Kind, Origin, PackageKey, Sequence};
use muster::model::settlement::{ClockFlag, FinalState};
use muster::model::task::TaskType;
use muster::model::tenant::TenantState;
use muster::rng::{RngStream, mix};
use muster::roles::server::{
    LoadOutcome, Loaded, PackageNumber, ServerCore, ServerDurable, ServerInput, ServerIntent, ServerSettings, Task,
};
use muster::roles::{Core, IntentNumber};
use muster::time::{DAY_MS, Timestamp};
use muster::upload::ledger::{Arrival, StreamLedger, effective_date};

use self::logs::ServerLogs;
use super::Stage;
use super::book::Ended;
use super::custody::Custody;
use super::devices::Shelves;
use super::event::{Body, Event, PackageId, Parcel, Reply, What};
use super::node::{Hands, Wanted};
use super::place::Place;
use super::settling::{EndedPackage, Settling};
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
    /// Packages with a final state whose id several machines share: the ledger alone cannot tell theirs apart.
    settled_shared: HashSet<PackageId>,
    /// Its deployed logs, in runs with true contents.
    logs: Option<Box<ServerLogs>>,
}

/// The numbers of the events that sync the inbox and the facts.
const SYNC_INBOX: u64 = u64::MAX;
const SYNC_FACTS: u64 = u64::MAX - 1;
/// Time that a commit of facts takes.
const COMMIT_MS: i64 = 3;

impl ServerHands {
    /// The effects of the server.
    pub fn new(stage: &Stage) -> ServerHands {
        let of = stage.scenario.server_rules();
        let settings = ServerSettings {
            loaders: of.loaders,
            schedules: vec![(TaskType::InventoryImport, of.import)],
            zone: TimeZone::UTC,
            import_on_arrival: of.import_on_arrival,
            exports: of.exports.then(TenantId::default_tenant).into_iter().collect(),
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
            next: 0,
            ledgers: vec![StreamLedger::default(); stage.layout.machines.agents() as usize],
            state: TenantState::default(),
            work: BTreeMap::new(),
            form,
            settled_shared: HashSet::new(),
            logs: stage.contents.clone().map(|contents| {
                let logs = |what| mix(stage.seed, what);
                Box::new(ServerLogs {
                    inbox: Custody::new(logs(1), contents.clone()),
                    facts: Settling::new(logs(2), contents),
                    turns: VecDeque::new(),
                    others: (stage.scenario.start, stage.scenario.start),
                })
            }),
        }
    }

    /// What has no final state yet.
    pub fn packages(&self) -> impl Iterator<Item = &Parcel> {
        self.inbox.values()
    }

    /// What is on the disk, and how a package's bytes are read there; `None` where only sizes are simulated.
    pub fn shelves(&self) -> Option<Shelves> {
        self.logs.as_ref().map(|logs| logs.facts.shelves())
    }

    /// The bytes of a package.
    pub fn body(&self, key: &PackageKey) -> Result<Vec<u8>, String> {
        self.logs.as_ref().map_or_else(|| Err("only sizes are simulated".into()), |logs| logs.inbox.body(key))
    }

    /// The newest imported number of an origin's stream, as the ledger has it.
    pub fn newest(&self, agent: u32) -> u64 {
        let newest = match &self.logs {
            Some(logs) => logs.facts.ledger(agent).newest(),
            None => self.ledgers[agent as usize].newest(),
        };
        newest.and_then(|newest| newest.sequence).map_or(0, |sequence| sequence.number)
    }

    /// Every package with a final state on the disk; `None` where only sizes are simulated.
    pub fn settled(&self) -> Option<Vec<EndedPackage>> {
        self.logs.as_ref().map(|logs| logs.facts.settled())
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

    /// Takes an upload into custody, and tells whether it is answered now and what the core hears.
    fn take(
        &mut self,
        at: &Place,
        now: Timestamp,
        event: &Event,
        parcel: Parcel,
        stage: &mut Stage,
    ) -> (bool, Vec<ServerInput>) {
        let id = parcel.id;
        let parcel = Parcel { hops: parcel.hops + 1, ..parcel.taken_at(now, at.local(now)) };
        stage.book.checks.check("I14", parcel.hops <= 8, || format!("{id} has passed {} nodes", parcel.hops));
        let is_settled = match &self.logs {
            Some(logs) => logs.facts.is_settled(&parcel),
            None if stage.layout.machines.is_shared(id.agent) => self.settled_shared.contains(&id),
            None => self.ledgers[id.agent as usize].assess(&self.envelope(parcel), at.local(now)) == Arrival::Duplicate,
        };
        if is_settled {
            stage.record.probe("duplicate-settled", 1);
            stage.book.delivered_again(id);
            return (true, Vec::new());
        }
        if let Some(logs) = &mut self.logs {
            logs.inbox.take(at, now, event, parcel, SYNC_INBOX, stage);
            self.answer(now, stage);
            return (false, Vec::new());
        }
        if self.index.contains_key(&id) {
            stage.record.probe("duplicate-at-server", 1);
            stage.book.delivered_again(id);
            return (true, Vec::new());
        }
        let number = self.next;
        self.hold(number, parcel);
        stage.book.receipted(id);
        self.arrived(now, parcel, stage);
        (true, vec![ServerInput::Arrived(vec![PackageNumber(number)])])
    }

    fn hold(&mut self, number: u64, parcel: Parcel) -> bool {
        let is_new = self.index.insert(parcel.id, number).is_none();
        if is_new {
            self.inbox.insert(number, parcel);
            self.next = self.next.max(number + 1);
        }
        is_new
    }

    fn arrived(&self, now: Timestamp, parcel: Parcel, stage: &mut Stage) {
        let id = parcel.id;
        stage.record.arrived(now, parcel.made);
        let (_, clock) = effective_date(Some(parcel.collected), parcel.first_received);
        stage.record.probe("clock-ahead-flagged", u64::from(clock == Some(ClockFlag::ClockAhead)));
        let arrival = mix(now.0 as u64, u64::from(id.agent) << 32 | u64::from(id.number));
        stage.record.digest = mix(stage.record.digest, arrival);
    }

    /// What a work that is done comes to, where only sizes are simulated.
    fn settle_sizes(&mut self, number: PackageNumber, local: Timestamp, stage: &mut Stage) {
        let Some(parcel) = self.inbox.remove(&number.0) else { return };
        self.index.remove(&parcel.id);
        let envelope = self.envelope(parcel);
        let is_shared = stage.layout.machines.is_shared(parcel.id.agent);
        let ledger = &mut self.ledgers[stage.layout.machines.origin_of(parcel.id.agent) as usize];
        let arrival = ledger.assess(&envelope, local);
        if is_shared {
            self.settled_shared.insert(parcel.id);
        }
        let (state, ended) = match arrival {
            Arrival::Newest => (FinalState::Imported, Ended::Imported),
            Arrival::Older | Arrival::Duplicate => (FinalState::Stale, Ended::Stale),
            Arrival::SequenceReused => (FinalState::Quarantined, Ended::Quarantined),
            Arrival::Expired => (FinalState::Expired, Ended::Expired),
        };
        ledger.settle(&envelope, state);
        if ended == Ended::Imported {
            self.state.staged += 1;
        }
        self.ended(parcel.id, ended, stage);
    }

    fn ended(&mut self, id: PackageId, ended: Ended, stage: &mut Stage) {
        if let Some(number) = self.index.remove(&id) {
            self.inbox.remove(&number);
        }
        if ended == Ended::Stale {
            stage.record.probe("imported-out-of-order", 1);
        }
        // Of numbers that two machines use, one is behind although it is its machine's newest.
        if !stage.layout.machines.is_shared(id.agent) {
            stage.book.overtaken(id, ended);
        } else if matches!(ended, Ended::Stale | Ended::Quarantined) {
            stage.record.probe("clone-not-imported", 1);
        }
        stage.book.settled(id, ended);
    }

    /// The counters after a task.
    fn after(state: &TenantState, task: Task, now: Timestamp) -> TenantState {
        let mut state = state.clone();
        match task {
            Task::Import => {
                state.devices += u64::from(state.imported < state.staged);
                (state.imported, state.last_import) = (state.staged, Some(now));
            }
            Task::Reconcile => state.reconciled = state.devices,
            Task::Export => state.exported = state.devices,
        }
        state
    }

    /// What the core hears of a work that came to nothing.
    fn failed(number: u64, work: &Work) -> ServerInput {
        let intent = IntentNumber(number);
        match work {
            Work::Load(numbers) => {
                let failed = |number: &PackageNumber| Loaded { package: *number, outcome: LoadOutcome::Failed };
                ServerInput::Loaded { intent, packages: numbers.iter().map(failed).collect(), states: Vec::new() }
            }
            Work::Run(_) => ServerInput::Ended { intent, state: None },
        }
    }

    fn done(&mut self, number: u64, work: Work) -> ServerInput {
        let (intent, state) = (IntentNumber(number), Some(self.state.clone()));
        match work {
            Work::Load(numbers) => {
                let settled = |package| Loaded { package, outcome: LoadOutcome::Settled };
                let states = state.map(|state| (TenantId::default_tenant(), state)).into_iter().collect();
                ServerInput::Loaded { intent, packages: numbers.into_iter().map(settled).collect(), states }
            }
            Work::Run(_) => ServerInput::Ended { intent, state },
        }
    }
}

/// What the server answers a request, as far as that hangs on its troubles and on the time; `None` for what is no request.
/// A receipt is for an upload that it takes.
pub(super) fn reply_of(at: &Place, now: Timestamp, event: &Event, stage: &Stage) -> Option<Reply> {
    let Body::Request { what, is_corrupted, .. } = event.body else { return None };
    Some(match what {
        What::Upload(_) if is_corrupted => Reply::Mismatch,
        What::Upload(_) if at.is_full() => Reply::Status { status: 507, retry_after_ms: None },
        What::Upload(parcel) => Reply::Receipt(parcel.id),
        What::Policy => Reply::Policy(stage.layout.policies.revision_at(now)),
        What::Status => Reply::Status { status: 200, retry_after_ms: None },
    })
}

impl Hands for ServerHands {
    type Core = ServerCore;

    fn recover(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> ServerCore {
        if at.life > 1 {
            stage.record.probe("server-restarted", 1);
        } else {
            self.reopen(at, stage);
        }
        let waiting = self.inbox.keys().map(|number| PackageNumber(*number)).collect();
        let states = BTreeMap::from([(TenantId::default_tenant(), self.state.clone())]);
        let durable = ServerDurable { settings: self.settings.clone(), waiting, states, submitted: BTreeMap::new() };
        ServerCore::recover(durable, RngStream::new(stage.seed, u64::from(at.id.0), u64::from(at.life)), now)
    }

    fn died(&mut self, at: &Place, stage: &mut Stage) {
        let is_loading = self.work.values().any(|work| matches!(work, Work::Load(_)));
        stage.record.probe("server-restarted-loading", u64::from(is_loading));
        self.work.clear();
        if let Some(logs) = &mut self.logs {
            let mut rng = RngStream::new(stage.seed, u64::from(at.id.0), 1 << 40 | u64::from(at.life));
            logs.inbox.die(&mut rng);
            logs.facts.die(&mut rng);
            logs.turns.clear();
            logs.others.1 = logs.others.0;
            // Opened at once, so that it shows what it will start with.
            self.reopen(at, stage);
        }
    }

    fn before_wake(&mut self, _: Timestamp) -> Option<ServerInput> {
        None
    }

    fn receive(&mut self, at: &Place, now: Timestamp, event: &Event, stage: &mut Stage) -> Vec<ServerInput> {
        if let (Some(reply), Body::Request { what, .. }) = (reply_of(at, now, event, stage), event.body) {
            let (is_answered, inputs) = match (what, reply) {
                (What::Upload(parcel), Reply::Receipt(_)) => self.take(at, now, event, parcel, stage),
                (What::Upload(_), _) => {
                    stage.record.probe(if reply == Reply::Mismatch { "mismatch" } else { "disk-full" }, 1);
                    (true, Vec::new())
                }
                _ => (true, Vec::new()),
            };
            // What is in a log is answered when that is synced.
            if is_answered {
                stage.answer(now, event, reply);
            }
            return inputs;
        }
        match event.number {
            SYNC_INBOX => return self.sync_inbox(now, stage),
            SYNC_FACTS => {
                let answered = self.logs.as_mut().map(|logs| {
                    logs.facts.end(now);
                    logs.facts.answered()
                });
                let mut inputs = self.committed(answered.unwrap_or_default(), stage);
                inputs.extend(self.turn(at, now, stage));
                return inputs;
            }
            _ => {}
        }
        if let Some(Work::Load(_)) = self.work.get(&event.number) {
            let is_importing = self.work.values().any(|work| matches!(work, Work::Run(Task::Import)));
            stage.record.probe("loaded-during-import", u64::from(is_importing));
            if at.has(FaultKind::LoaderFails) {
                stage.record.probe("load-failed", 1);
                let work = self.work.remove(&event.number);
                return work.iter().map(|work| ServerHands::failed(event.number, work)).collect();
            }
        }
        if let Some(logs) = &mut self.logs {
            logs.turns.push_back(event.number);
            return self.turn(at, now, stage);
        }
        let Some(work) = self.work.remove(&event.number) else { return Vec::new() };
        match &work {
            Work::Load(numbers) => numbers.iter().for_each(|number| self.settle_sizes(*number, at.local(now), stage)),
            Work::Run(task) => self.state = ServerHands::after(&self.state, *task, at.local(now)),
        }
        vec![self.done(event.number, work)]
    }

    fn carry_out(&mut self, at: &Place, now: Timestamp, wanted: Wanted<'_, ServerCore>, stage: &mut Stage) {
        let Wanted { number: IntentNumber(number), intent, .. } = wanted;
        let drawn = |what| stage.draw(at.id, at.life, number, what);
        let (work, ms) = match intent {
            ServerIntent::Load(packages) => {
                let ms = stage.scenario.server.load_ms.pick(drawn(21)) * packages.len() as i64;
                (Work::Load(packages), if at.is_slow() { ms * 100 } else { ms })
            }
            ServerIntent::Run(_, task, _) => (Work::Run(task), stage.scenario.server.task_ms.pick(drawn(22))),
            // Only imports have a schedule here.
            _ => return,
        };
        self.work.insert(number, work);
        stage.post(now.plus_ms(ms.max(1)), at.id, at.id, number, at.life, Body::Done);
    }
}
