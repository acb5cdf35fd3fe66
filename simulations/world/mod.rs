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
mod director;
mod event;
mod layout;
mod node;
mod nodes;
mod record;
mod server;
mod settling;
mod view;

use std::sync::Arc;

use muster::id::Guid;
use muster::model::package::{Receipt, ReceiptState};
use muster::rng::mix;
use muster::time::Timestamp;
use muster::upload::answer::{Answer, DIGEST_MISMATCH, Verdict, verdict};

pub use agent::AgentHands;
pub use beacon::BeaconHands;
pub use book::{Book, Ended, Totals};
pub use director::{Cue, Director};
pub use event::{Body, Event, NodeId, PackageId, Parcel, Reply, What};
pub use layout::{Layout, Level};
pub use node::{Hands, Node, Place, Wanted, refuse};
pub use nodes::World;
pub use record::{Hour, Load, Record, Spool, Struck};
pub use server::ServerHands;
pub use view::{View, state_of, waiting};

use crate::scenario::Scenario;

/// All that nodes share: what is fixed, what is true, what is seen, and what they send off.
pub struct Stage {
    /// The seed of the run.
    pub seed: u64,
    /// What is simulated.
    pub scenario: Arc<Scenario>,
    /// Who uploads where.
    pub layout: Arc<Layout>,
    /// What is true of every package, whatever nodes believe.
    pub book: Book,
    /// What is measured.
    pub record: Record,
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
        let layout = Arc::new(Layout::new(&scenario));
        let book = Book::new(scenario.agents as usize);
        let record = Record::new(&scenario, &layout);
        Stage { seed, scenario, layout, book, record, posted: Vec::new() }
    }

    /// 64 bits that hang on the seed, on whose `number`-th act of its `life` this is, and on what is drawn.
    pub fn draw(&self, whose: NodeId, life: u32, number: u64, what: u64) -> u64 {
        mix(mix(self.seed, u64::from(whose.0)), mix(mix(u64::from(life), number), what))
    }

    /// The fate of a call: of its caller's number alone, so that it is the same whoever draws before.
    fn fate(&self, from: NodeId, life: u32, number: u64, bytes: u64, receiver_ms: i64) -> Fate {
        let network = &self.scenario.network;
        let bits = |what| self.draw(from, life, number, what);
        // 53 bits, as many as a float has.
        let happens = |share: f64, what| share > 0.0 && ((bits(what) >> 11) as f64 / (1u64 << 53) as f64) < share;
        let transfer_ms = if network.bytes_per_s == 0 { 0 } else { (bytes * 1_000 / network.bytes_per_s) as i64 };
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
        let Call { from, to, life, number, what, bytes, is_cut, are_answers_cut } = call;
        let receiver_ms = match what {
            What::Upload(_) => self.sync_ms(to, from, life, number),
            What::Policy | What::Status => 1,
        };
        let fate = self.fate(from, life, number, bytes, receiver_ms);
        let patience = now.plus_ms(self.scenario.network.timeout_ms());
        let arrives = now.plus_ms(fate.there_ms);
        self.record.called(&self.layout, now, to, bytes);
        if is_cut || fate.is_request_lost || arrives >= patience {
            self.record.probe("request-lost", 1);
            self.post(patience, from, to, number, life, Body::Reply(Reply::Nothing));
            return;
        }
        let is_deaf = are_answers_cut || fate.is_answer_lost;
        if is_deaf {
            self.record.probe("answer-lost", 1);
            self.post(patience, from, to, number, life, Body::Reply(Reply::Nothing));
        }
        let request = Body::Request {
            what,
            back_ms: if is_deaf { None } else { Some(fate.back_ms) },
            is_corrupted: fate.is_corrupted,
        };
        if fate.is_doubled {
            self.record.probe("request-doubled", 1);
            let again = Body::Request { what, back_ms: None, is_corrupted: false };
            self.post(arrives.plus_ms(fate.back_ms), to, from, number, life, again);
        }
        self.post(arrives, to, from, number, life, request);
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
    is_cut: bool,
    are_answers_cut: bool,
}

impl Call {
    fn of(at: &Place, to: NodeId, number: u64, what: What, bytes: u64) -> Call {
        let (is_cut, are_answers_cut) = (at.is_cut(), at.are_answers_cut());
        Call { from: at.id, to, life: at.life, number, what, bytes, is_cut, are_answers_cut }
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
