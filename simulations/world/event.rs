//! What passes between nodes, and from a node's hands to itself.

use std::fmt;

use muster::id::Digest;
use muster::rng::mix;
use muster::time::Timestamp;

use crate::scenario::FaultKind;

/// Number of a node: the server, then beacons, then agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The server.
    pub const SERVER: NodeId = NodeId(0);
    /// What old lists name and is there no more.
    pub const GONE: [NodeId; 2] = [NodeId(u32::MAX - 1), NodeId(u32::MAX)];
}

/// Name of a package: of which agent, and the how-manieth. Agents publish one stream here. See `Machines` for their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    /// Number of the agent.
    pub agent: u32,
    /// Its sequence number, from 1.
    pub number: u32,
}

/// As it is told to people.
impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "package {} of agent {}", self.number, self.agent)
    }
}

impl PackageId {
    /// What stands for the SHA-256 of its bytes when only sizes are simulated.
    pub fn digest(self) -> Digest {
        let mut bytes = [0; 32];
        for (place, part) in bytes.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(
                &mix(u64::from(self.agent) << 32 | u64::from(self.number), place as u64).to_be_bytes(),
            );
        }
        Digest(bytes)
    }
}

/// A package on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its name.
    pub id: PackageId,
    /// Its bytes.
    pub bytes: u32,
    /// Nodes that had custody.
    pub hops: u8,
    /// When the agent collected, by its own clock.
    pub collected: Timestamp,
    /// When the first node took it, by that node's clock; the collection's time before that.
    pub first_received: Timestamp,
    /// When it was made, whatever clocks said.
    pub made: Timestamp,
    /// When the first node took it, whatever clocks said; when it was made before that.
    pub taken: Timestamp,
}

impl Parcel {
    /// As its receiver has it: the first one stamps it, at `now`, which is `local` by its own clock.
    pub(super) fn taken_at(self, now: Timestamp, local: Timestamp) -> Parcel {
        if self.hops > 0 { self } else { Parcel { first_received: local, taken: now, ..self } }
    }
}

/// What is asked of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Take this.
    Upload(Parcel),
    /// Is there another policy?
    Policy,
    /// This is how I am.
    Status,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing came back in time.
    Nothing,
    /// Custody is the receiver's.
    Receipt(PackageId),
    /// Another status than 200.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After`.
        retry_after_ms: Option<i64>,
    },
    /// The bytes are not those of the digest.
    Mismatch,
    /// The revision of the policy in force.
    Policy(u32),
}

/// What an event brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Another node asks for something.
    Request {
        /// What.
        what: What,
        /// How long the answer takes; `None` when it never arrives.
        back_ms: Option<i64>,
        /// Its bytes were changed on the way.
        is_corrupted: bool,
        /// Not all of its bytes arrive.
        is_cut_short: bool,
    },
    /// The answer to this node's own call.
    Reply(Reply),
    /// An effect of this node's own has ended.
    Done,
    /// A fault begins or ends here.
    Fault {
        /// Which kind.
        kind: FaultKind,
        /// Whether it begins.
        begins: bool,
    },
    /// It is installed and starts for the first time.
    Installed,
    /// Its disk is gone with all that was on it.
    Gone,
}

/// Something that reaches a node at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Whom.
    pub to: NodeId,
    /// From whom; itself for an effect of its own.
    pub from: NodeId,
    /// The caller's intent.
    pub number: u64,
    /// The caller's life.
    pub life: u32,
    /// What.
    pub body: Body,
}

impl Body {
    /// Whether it befalls a node from without, whether that runs or not.
    pub fn befalls(&self) -> bool {
        matches!(self, Body::Fault { .. } | Body::Installed | Body::Gone)
    }
}

impl Event {
    /// The order of events of one node within one millisecond; with it all events of a run have one order.
    pub fn order(&self) -> (Timestamp, NodeId, u8, NodeId, u32, u64) {
        let rank = match self.body {
            // What befalls a node comes before what it is told.
            Body::Fault { begins: false, .. } => 0,
            Body::Fault { begins: true, .. } => 1,
            Body::Installed => 2,
            Body::Gone => 3,
            Body::Reply(_) | Body::Done => 4,
            Body::Request { .. } => 5,
        };
        (self.at, self.to, rank, self.from, self.life, self.number)
    }
}
