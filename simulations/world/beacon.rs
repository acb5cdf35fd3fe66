//! A beacon's effects: what it holds, the answers to uploads, and calls to parents.

mod uploads;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use muster::model::package::Kind;
use muster::rng::{RngStream, mix};
use muster::roles::beacon::{
    Aside, Asked, BeaconCore, BeaconDurable, BeaconInput, BeaconIntent, BeaconSettings, PackageNumber, Parent, Waiting,
};
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;
use muster::upload::rates::RateTable;
use muster::upload::spool::SpoolLimit;
use muster::upload::turns::Turns;

use super::custody::Custody;
use super::event::{Body, Event, NodeId, PackageId, Parcel, Reply, What};
use super::node::{Hands, Wanted};
use super::place::Place;
use super::{Call, Stage, verdict_of};
use crate::configured::BeaconRules;

/// Bytes of a policy question's answer and of a status.
const SMALL_BYTES: u64 = 2_000;
/// Packages that one step of the daily look goes through, as deployed.
const RESCAN_PAGE: usize = 4_000;
/// Time that the sync of a note takes.
const SYNC_MS: i64 = 2;
/// Time that the daily look takes for a page.
const RESCAN_MS: i64 = 1;

#[derive(Clone, Copy, Debug)]
struct Held {
    parcel: Parcel,
    was_sent: bool,
    is_aside: bool,
}

/// What a beacon waits for, by its intent.
#[derive(Clone, Debug)]
enum Pending {
    Forward(PackageId),
    /// The package is gone, or must not go.
    NotSent(Option<Aside>),
    Policy(Parent),
    Status(Parent),
    Rescan(Option<PackageNumber>),
}

/// See the module's head.
pub struct BeaconHands {
    settings: Arc<BeaconSettings>,
    held: BTreeMap<u64, Held>,
    index: HashMap<PackageId, u64>,
    next: u64,
    bytes: u64,
    /// The core was told of those with smaller numbers.
    told: u64,
    pending: BTreeMap<u64, Pending>,
    limit: SpoolLimit,
    /// What agents may send; forgotten with the process.
    rates: RateTable,
    rules: BeaconRules,
    turns: Turns,
    released: u64,
    /// Of the policy that it holds.
    revision: u32,
    rng: RngStream,
    /// Its deployed log, in runs with true contents.
    custody: Option<Box<Custody>>,
}

/// The number of the event that syncs the group of uploads.
const SYNC: u64 = u64::MAX;

impl BeaconHands {
    /// The effects of a beacon.
    pub fn new(id: NodeId, stage: &Stage) -> BeaconHands {
        let rules = stage.scenario.beacon_rules(id.0 as usize - 1);
        let settings = Arc::new(BeaconSettings {
            parents: stage.layout.parents(id, 1).clone(),
            cycle_ms: rules.cycle_ms,
            relay_on_arrival: rules.relay_on_arrival,
            policy_every_ms: rules.policy_every_ms,
            status_every_ms: rules.status_every_ms,
        });
        BeaconHands {
            settings,
            held: BTreeMap::new(),
            index: HashMap::new(),
            next: 0,
            bytes: 0,
            told: 0,
            pending: BTreeMap::new(),
            limit: SpoolLimit { packages: rules.spool_packages, bytes: rules.spool_bytes },
            rates: RateTable::new(rules.rates),
            rules,
            turns: Turns::default(),
            released: 0,
            revision: 1,
            rng: RngStream::new(stage.seed, u64::from(id.0), u64::MAX),
            custody: stage
                .contents
                .clone()
                .map(|contents| Box::new(Custody::new(mix(stage.seed, u64::from(id.0)), contents))),
        }
    }

    /// Packages on its disk, and their bytes.
    pub fn spool(&self) -> (u64, u64) {
        (self.held.len() as u64, self.bytes)
    }

    /// What it holds.
    pub fn packages(&self) -> impl Iterator<Item = &Parcel> {
        self.held.values().map(|held| &held.parcel)
    }

    /// What it has set aside: it waits for a person and goes nowhere by itself.
    pub fn aside(&self) -> impl Iterator<Item = PackageId> {
        self.held.values().filter(|held| held.is_aside).map(|held| held.parcel.id)
    }

    /// Whether it holds more than it may.
    pub fn is_over_limit(&self) -> bool {
        let over = |held: u64, most: u64| most > 0 && held > most;
        // The last one that was let in may pass the limit of bytes.
        over(self.held.len() as u64, self.limit.packages) || over(self.bytes, self.limit.bytes.saturating_add(32 << 20))
    }

    /// From number `after` on.
    fn waiting(&self, after: u64, most: usize) -> Vec<Waiting> {
        let held = self.held.range(after..).filter(|(_, held)| !held.is_aside).take(most);
        let waiting = |(number, held): (&u64, &Held)| Waiting {
            package: PackageNumber(*number),
            kind: Kind::Inventories,
            origin: mix(u64::from(held.parcel.id.agent), 1),
        };
        held.map(waiting).collect()
    }

    fn remove(&mut self, package: PackageNumber) -> Option<Held> {
        let held = self.held.remove(&package.0)?;
        self.index.remove(&held.parcel.id);
        self.bytes -= u64::from(held.parcel.bytes);
        Some(held)
    }

    /// Goes by the parents that the policy of `revision` names.
    fn follow(&mut self, at: &Place, revision: u32, stage: &mut Stage) {
        self.revision = self.revision.max(revision);
        let parents = stage.layout.parents(at.id, self.revision);
        if *parents != self.settings.parents {
            stage.record.probe("beacon-moved-to-another-parent", 1);
            self.settings =
                Arc::new(BeaconSettings { parents: parents.clone(), ..BeaconSettings::clone(&self.settings) });
        }
    }

    /// What the core hears at once of uploads: nothing, unless it relays on arrival; else it looks by itself.
    fn hint(&mut self, now: Timestamp) -> Vec<BeaconInput> {
        if self.settings.relay_on_arrival { self.before_wake(now).into_iter().collect() } else { Vec::new() }
    }

    fn asked(reply: Reply) -> Asked {
        match reply {
            Reply::Policy(_) | Reply::Status { status: 200, .. } => Asked::Answered,
            Reply::Status { status: 429 | 503, retry_after_ms } => Asked::Busy { retry_after_ms },
            Reply::Status { status: 508, .. } => Asked::Loop,
            Reply::Nothing | Reply::Receipt(_) | Reply::Status { .. } | Reply::Mismatch => Asked::Failed,
        }
    }
}

impl Hands for BeaconHands {
    type Core = BeaconCore;

    fn recover(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> BeaconCore {
        if at.life > 1 {
            stage.record.probe("beacon-restarted", 1);
            stage.record.probe("beacon-restarted-holding", u64::from(!self.held.is_empty()));
        } else {
            self.reopen(at, stage);
        }
        self.told = self.next;
        self.turns = Turns::default();
        let guid_seed = stage.layout.guid(at.id).seed();
        let rng = RngStream::new(stage.seed, u64::from(at.id.0), u64::from(at.life));
        self.follow(at, self.revision, stage);
        let durable = BeaconDurable { settings: self.settings.clone(), guid_seed, held: self.waiting(0, usize::MAX) };
        BeaconCore::recover(durable, rng, now)
    }

    fn died(&mut self, at: &Place, stage: &mut Stage) {
        self.pending.clear();
        self.rates = RateTable::new(self.rules.rates);
        if let Some(custody) = &mut self.custody {
            custody.die(&mut RngStream::new(stage.seed, u64::from(at.id.0), 1 << 40 | u64::from(at.life)));
            // Opened at once, so that it shows what it will start with.
            self.reopen(at, stage);
        }
    }

    fn before_wake(&mut self, _: Timestamp) -> Option<BeaconInput> {
        let arrived = self.waiting(self.told, usize::MAX);
        self.told = self.next;
        (!arrived.is_empty()).then_some(BeaconInput::Arrived(arrived))
    }

    fn receive(&mut self, at: &Place, now: Timestamp, event: &Event, stage: &mut Stage) -> Vec<BeaconInput> {
        let intent = IntentNumber(event.number);
        let reply = match event.body {
            Body::Request { what, is_corrupted, .. } => {
                let reply = match what {
                    What::Upload(_) if is_corrupted => {
                        stage.record.probe("mismatch", 1);
                        Some(Reply::Mismatch)
                    }
                    What::Upload(parcel) => self.take(at, now, event, parcel, stage),
                    What::Policy => Some(Reply::Policy(self.revision)),
                    What::Status => Some(Reply::Status { status: 200, retry_after_ms: None }),
                };
                if let Some(reply) = reply {
                    stage.answer(now, event, reply);
                }
                return self.hint(now);
            }
            Body::Reply(reply) => reply,
            Body::Done if event.number == SYNC => {
                self.sync(now, stage);
                return self.hint(now);
            }
            Body::Done | Body::Fault { .. } | Body::Installed | Body::Gone => Reply::Nothing,
        };
        let Some(pending) = self.pending.remove(&event.number) else { return Vec::new() };
        vec![match pending {
            Pending::Forward(id) => BeaconInput::Forwarded { intent, verdict: verdict_of(id, reply) },
            Pending::NotSent(None) => BeaconInput::Gone { intent },
            Pending::NotSent(Some(why)) => BeaconInput::Unsendable { intent, why },
            Pending::Policy(from) => {
                if let Reply::Policy(revision) = reply {
                    self.follow(at, revision, stage);
                }
                BeaconInput::PolicyAnswered {
                    from,
                    asked: BeaconHands::asked(reply),
                    parents: self.settings.parents.clone(),
                }
            }
            Pending::Status(from) => BeaconInput::StatusAnswered { from, asked: BeaconHands::asked(reply) },
            Pending::Rescan(after) => {
                let from = after.map_or(0, |after| after.0 + 1);
                let packages: Vec<Waiting> = self
                    .waiting(from, RESCAN_PAGE)
                    .into_iter()
                    .filter(|waiting| waiting.package.0 < self.told)
                    .collect();
                let through = packages.last().map(|last| last.package);
                BeaconInput::Rescanned { after, through, packages }
            }
        }]
    }

    fn carry_out(&mut self, at: &Place, now: Timestamp, wanted: Wanted<'_, BeaconCore>, stage: &mut Stage) {
        let Wanted { number: IntentNumber(number), intent, .. } = wanted;
        let pending = match intent {
            BeaconIntent::Forward { package, to } => match self.held.get_mut(&package.0) {
                None => Pending::NotSent(None),
                Some(held) => {
                    stage.record.sent(now, !std::mem::replace(&mut held.was_sent, true));
                    let (parcel, to) = (held.parcel, stage.layout.node_at(&to));
                    if stage.layout.node_at(&self.settings.parents[0]) != to {
                        stage.record.probe("beacon-passed-over-a-parent", 1);
                    }
                    stage.call(now, Call::of(at, to, number, What::Upload(parcel), u64::from(parcel.bytes)));
                    Pending::Forward(parcel.id)
                }
            },
            BeaconIntent::Release(package) => {
                if let Some(held) = self.remove(package) {
                    self.released += 1;
                    if let Some(custody) = &mut self.custody {
                        custody.release(now, &held.parcel);
                        if !std::mem::replace(&mut custody.is_open, true) {
                            stage.post(now.plus_ms(SYNC_MS), at.id, at.id, SYNC, at.life, Body::Done);
                        }
                    }
                }
                return;
            }
            BeaconIntent::SetAside { package, .. } => {
                stage.record.probe("beacon-set-aside", 1);
                if let Some(held) = self.held.get_mut(&package.0) {
                    held.is_aside = true;
                }
                return;
            }
            BeaconIntent::AskPolicy(from) => {
                let to = stage.layout.node_at(&from);
                stage.call(now, Call::of(at, to, number, What::Policy, SMALL_BYTES));
                Pending::Policy(from)
            }
            BeaconIntent::SendStatus(from) => {
                let to = stage.layout.node_at(&from);
                stage.call(now, Call::of(at, to, number, What::Status, SMALL_BYTES));
                Pending::Status(from)
            }
            BeaconIntent::Purge => return,
            BeaconIntent::Rescan { after } => Pending::Rescan(after),
        };
        if matches!(pending, Pending::NotSent(_) | Pending::Rescan(_)) {
            stage.post(now.plus_ms(RESCAN_MS), at.id, at.id, number, at.life, Body::Done);
        }
        self.pending.insert(number, pending);
    }
}
