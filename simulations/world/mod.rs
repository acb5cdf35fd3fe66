//! The simulated world: nodes that hold the deployed cores, and what lies between them.
//!
//! A node is a role core of `muster::roles` and its hands, which do here in virtual time what the deployed effects do.
//! Nothing in here decides anything that a core, a ledger or a spool limit decides when deployed. Both drivers step the
//! same nodes; they differ in what keeps the time.
//!
//! Three rules make a run repeatable. Everything random is a hash of the seed, the entity and what it does. Times are
//! whole milliseconds. Within one millisecond a node wakes first, then takes events by (sender, number), and nothing
//! that it does reaches anybody, itself included, within the same millisecond.

mod agent;
mod beacon;
mod book;
mod content;
mod custody;
mod devices;
mod director;
mod event;
mod front;
mod layout;
mod machines;
mod node;
mod nodes;
mod place;
mod policies;
mod record;
mod scope;
mod server;
mod settling;
mod sources;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use muster::id::Guid;
use muster::model::package::{Receipt, ReceiptState};
use muster::rng::mix;
use muster::time::{HOUR_MS, Timestamp};
use muster::upload::answer::{Answer, DIGEST_MISMATCH, Verdict, verdict};

pub use agent::AgentHands;
pub use beacon::BeaconHands;
pub use book::{Book, Ended, Told, Totals};
use content::Contents;
pub use director::{CHECK_MS, Cue, Director, windows};
pub use event::{Body, Event, NodeId, PackageId, Parcel, Reply, What};
pub use layout::{Layout, Level};
pub use machines::Machines;
pub use node::{Hands, Node, Wanted};
pub use nodes::{Beside, Nodes, World};
pub use place::{Befallen, Change, Place, refuse};
pub use record::{Hour, Load, Record, Spool, Struck, add_spools};
pub use scope::Scope;
pub use server::ServerHands;
pub use view::{View, digest, state_of, waiting};

use crate::scenario::{FaultKind, Range, Scenario};

/// So many times as long everything takes in a storm.
const STORM: i64 = 20;
/// A copy comes so much after the request.
const LATE_MS: Range = Range([1_000, 6 * HOUR_MS]);

/// All that nodes share: what is fixed, what is true, what is seen, and what they send off.
pub struct Stage {
    /// The seed of the run.
    pub seed: u64,
    /// What is simulated.
    pub scenario: Arc<Scenario>,
    /// Who uploads where.
    pub layout: Arc<Layout>,
    /// Which part of the world this is.
    pub scope: Scope,
    /// What is true of every package, whatever nodes believe.
    pub book: Book,
    /// What is measured.
    pub record: Record,
    /// True bytes, in runs that have them.
    contents: Option<Arc<Contents>>,
    /// Agents of machines that were installed anew; of the others the machine's number.
    renewed: HashMap<u32, u32>,
    /// Events that the driver has not taken yet.
    pub posted: Vec<Event>,
}

/// What happens to one call on its way.
#[derive(Clone, Copy, Debug)]
struct Fate {
    there_ms: i64,
    back_ms: i64,
    is_request_lost: bool,
    is_answer_lost: bool,
    is_doubled: bool,
    is_corrupted: bool,
}

impl Stage {
    /// A stage before anything happened.
    pub fn new(seed: u64, scenario: Arc<Scenario>) -> Stage {
        let layout = Arc::new(Layout::new(seed, &scenario));
        Stage::of_part(seed, scenario, layout, Scope::All)
    }

    /// That of a part of the world, before anything happened.
    pub fn of_part(seed: u64, scenario: Arc<Scenario>, layout: Arc<Layout>, scope: Scope) -> Stage {
        let book = if scope == Scope::Server { Book::of_server() } else { Book::new(scope.agents(&layout)) };
        let record = Record::new(&scenario, &layout);
        let contents = scenario.is_full.then(|| Arc::new(Contents::new(seed, scenario.clone(), layout.clone())));
        let renewed = HashMap::new();
        Stage { seed, scenario, layout, scope, book, record, contents, renewed, posted: Vec::new() }
    }

    /// Adds what came of another part.
    pub fn add(&mut self, other: Stage) {
        self.book.add(&other.book);
        self.record.add(other.record);
    }

    /// Bytes of a package.
    pub fn bytes_of(&self, id: PackageId) -> u32 {
        self.scenario.bytes_of(self.seed, self.layout.machines.machine_of(id.agent), id)
    }

    /// 64 bits that hang on the seed, on whose `number`-th act of its `life` this is, and on what is drawn.
    pub fn draw(&self, whose: NodeId, life: u32, number: u64, what: u64) -> u64 {
        machines::draw(self.seed, whose, life, number, what)
    }

    /// The agent as which a machine reports.
    pub fn agent(&self, machine: u32) -> u32 {
        if self.renewed.is_empty() { machine } else { self.renewed.get(&machine).copied().unwrap_or(machine) }
    }

    /// What stands for the id of a machine's agent, from which its moments are drawn.
    pub(self) fn own_number(&self, machine: u32) -> u64 {
        let agent = self.layout.machines.origin_of(self.agent(machine));
        let renewals = if agent < self.scenario.agents { 0 } else { u64::from(agent) };
        self.draw(self.layout.agent_node(self.layout.machines.machine_of(agent)), 0, renewals, 12)
    }

    /// The machine reports as another agent from now on, when it comes again.
    pub(self) fn renew(&mut self, machine: u32) {
        if let Some(next) = self.layout.machines.next_agent(machine, self.agent(machine)) {
            self.renewed.insert(machine, next);
        }
    }

    /// The fate of a call: of its caller's number alone, so that it is the same whoever draws before.
    fn fate(&self, from: NodeId, life: u32, number: u64, bytes: u64, receiver_ms: i64) -> Fate {
        let network = &self.scenario.network;
        let bits = |what| self.draw(from, life, number, what);
        // 53 bits, as many as a float has.
        let happens = |share: f64, what| share > 0.0 && ((bits(what) >> 11) as f64 / (1u64 << 53) as f64) < share;
        let transfer_ms = (bytes * 1_000).checked_div(network.bytes_per_s).unwrap_or(0) as i64;
        let delays = bits(1);
        Fate {
            there_ms: network.delay_ms.pick(delays) + transfer_ms + receiver_ms,
            back_ms: network.delay_ms.pick(mix(delays, 2)),
            is_request_lost: happens(network.lost_requests, 3),
            is_answer_lost: happens(network.lost_answers, 4),
            is_doubled: happens(network.doubled, 5),
            is_corrupted: happens(network.corrupted, 6),
        }
    }

    /// Posts an event.
    pub fn post(&mut self, at: Timestamp, to: NodeId, from: NodeId, number: u64, life: u32, body: Body) {
        self.posted.push(Event { at, to, from, number, life, body });
    }

    /// Calls a node: the request arrives, and an answer or the end of patience comes back.
    pub(self) fn call(&mut self, now: Timestamp, call: Call) {
        let Call { from, to, life, number, what, bytes, befallen } = call;
        let has = |kind| befallen.has(kind);
        let receiver_ms = match what {
            What::Upload(_) => self.sync_ms(to, from, life, number),
            What::Policy | What::Status => 1,
        };
        let mut fate = self.fate(from, life, number, bytes, receiver_ms);
        if has(FaultKind::Latency) {
            self.record.probe("latency-storm", 1);
            (fate.there_ms, fate.back_ms) = (fate.there_ms * STORM, fate.back_ms * STORM);
        }
        let patience = now.plus_ms(self.scenario.network.timeout_ms());
        let arrives = now.plus_ms(fate.there_ms);
        self.record.called(&self.layout, now, to, bytes);
        let nothing = |at: Timestamp, probe: &'static str, stage: &mut Stage| {
            stage.record.probe(probe, 1);
            stage.post(at.min(patience), from, to, number, life, Body::Reply(Reply::Nothing));
        };
        if has(FaultKind::NoNames) {
            return nothing(now.plus_ms(fate.back_ms), "name-not-found", self);
        }
        if NodeId::GONE.contains(&to) {
            return nothing(arrives.plus_ms(fate.back_ms), "called-what-is-gone", self);
        }
        if has(FaultKind::Refuse) {
            return nothing(arrives.plus_ms(fate.back_ms), "refused-on-the-way", self);
        }
        if has(FaultKind::CutRequests) || has(FaultKind::Swizzle) || fate.is_request_lost || arrives >= patience {
            return nothing(patience, "request-lost", self);
        }
        let is_upload = matches!(what, What::Upload(_));
        let is_reset = is_upload && has(FaultKind::Reset);
        let is_deaf = has(FaultKind::CutAnswers) || fate.is_answer_lost;
        if is_reset {
            nothing(arrives, "upload-reset", self);
        } else if is_deaf {
            nothing(patience, "answer-lost", self);
        }
        let is_corrupted = fate.is_corrupted || has(FaultKind::Corrupted);
        let is_cut_short = is_reset || (is_upload && has(FaultKind::Truncate));
        let back_ms = if is_deaf || is_reset { None } else { Some(fate.back_ms) };
        let late_ms = if has(FaultKind::Reordered) {
            self.record.probe("request-doubled-late", 1);
            Some(LATE_MS.pick(self.draw(from, life, number, 8)))
        } else if fate.is_doubled || has(FaultKind::Doubled) {
            self.record.probe("request-doubled", 1);
            Some(fate.back_ms)
        } else {
            None
        };
        if let Some(late_ms) = late_ms {
            let again = Body::Request { what, back_ms: None, is_corrupted: false, is_cut_short: false };
            self.post(arrives.plus_ms(late_ms), to, from, number, life, again);
        }
        self.post(arrives, to, from, number, life, Body::Request { what, back_ms, is_corrupted, is_cut_short });
    }

    fn sync_ms(&self, to: NodeId, from: NodeId, life: u32, number: u64) -> i64 {
        let range = if to == NodeId::SERVER { self.scenario.server.sync_ms } else { self.scenario.beacons.sync_ms };
        range.pick(self.draw(from, life, number, 7))
    }

    /// The answer to a request, unless it is lost on its way.
    pub(self) fn answer(&mut self, now: Timestamp, request: &Event, reply: Reply) {
        if let Body::Request { back_ms: Some(back_ms), .. } = request.body {
            self.post(now.plus_ms(back_ms), request.from, request.to, request.number, request.life, Body::Reply(reply));
        }
    }
}

/// One call that a node makes.
#[derive(Clone, Copy, Debug)]
struct Call {
    from: NodeId,
    to: NodeId,
    life: u32,
    number: u64,
    what: What,
    bytes: u64,
    /// What befalls the caller.
    befallen: Befallen,
}

impl Call {
    fn of(at: &Place, to: NodeId, number: u64, what: What, bytes: u64) -> Call {
        Call { from: at.id, to, life: at.life, number, what, bytes, befallen: at.befallen() }
    }
}

/// What a sender makes of the answer to an upload: by the deployed table.
fn verdict_of(id: PackageId, reply: Reply) -> Verdict {
    // Sizes hang on the id, so one that is wrong would show in the digest.
    let (digest, size) = (id.digest(), 0);
    let status = |status, receipt, retry_after_ms, code: &str| Answer::Status {
        status,
        receipt,
        retry_after_ms,
        code: code.to_owned(),
        is_page: false,
    };
    let answer = match reply {
        Reply::Nothing | Reply::Policy(_) => Answer::Nothing(String::new()),
        Reply::Receipt(id) => {
            let receipt = Receipt { digest: id.digest(), size, node: Guid::NIL, state: ReceiptState::Held };
            status(200, Some(receipt), None, "")
        }
        Reply::Status { status: number, retry_after_ms } => status(number, None, retry_after_ms, ""),
        Reply::Mismatch => status(422, None, None, DIGEST_MISMATCH),
    };
    verdict(&answer, digest, size)
}
