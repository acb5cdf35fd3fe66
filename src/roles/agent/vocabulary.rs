//! What an agent is told, what it can want, and what survives it.

use std::sync::Arc;

use crate::model::package::Kind;
use crate::roles::IntentNumber;
use crate::time::Timestamp;
use crate::upload::answer::Verdict;

/// Number of a server in the configured order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerNumber(pub u8);

/// Number of a queued package in this life; within a stream a newer package has a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageNumber(pub u64);

/// Number of a stream (kind, account and type) in this life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamNumber(pub u32);

/// A published package as the core sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its number.
    pub package: PackageNumber,
    /// Its stream.
    pub stream: StreamNumber,
    /// What it is; only inventories supersede each other.
    pub kind: Kind,
}

/// What an agent is set to; shared by all agents of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// How many servers there are: 1 to [`SERVERS_MAX`](crate::config::agent::SERVERS_MAX).
    pub servers: usize,
    /// Collect at every start (one machine), not only when nothing was ever collected.
    pub collect_at_start: bool,
    /// In each period of this length (a day) one inventory is collected, at the agent's own random minute of it.
    pub inventory_every_ms: i64,
    /// In each period of this length policy is asked once, at a random moment.
    pub policy_every_ms: i64,
    /// Where in the day (UTC) the catch-up's one-hour window begins.
    pub catch_up_from_ms: i64,
}

/// What survives: the published packages that are still queued, and when this host was last collected.
#[derive(Clone, Debug)]
pub struct AgentDurable {
    /// Settings from the configuration.
    pub settings: Arc<AgentSettings>,
    /// What is queued, in any order.
    pub queued: Vec<Queued>,
    /// When the last published inventory was collected.
    pub last_collected: Option<Timestamp>,
}

/// What can happen to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentInput {
    /// A collection is published: complete, synced, queued.
    Published(Queued),
    /// A collection gave nothing, or could not be stored.
    CollectionFailed,
    /// An upload ended.
    Uploaded {
        /// Its intent.
        intent: IntentNumber,
        /// What the answer means.
        verdict: Verdict,
    },
    /// An upload was not even tried: the queued bytes are not the published ones, or not there.
    Unsendable {
        /// Its intent.
        intent: IntentNumber,
    },
    /// The policy question was answered, or not.
    PolicyAnswered {
        /// Whether there was an answer.
        answered: bool,
    },
}

/// Why a queued package is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// A server has custody.
    Delivered,
    /// A newer one of its stream is published and synced.
    Superseded,
}

/// What an agent can want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentIntent {
    /// Collect this host and publish the report; comes back as `Published` or `CollectionFailed`.
    Collect,
    /// Send this package to this server; comes back as `Uploaded` or `Unsendable`.
    Upload {
        /// The package.
        package: PackageNumber,
        /// The server.
        to: ServerNumber,
    },
    /// Delete a queued package.
    Delete {
        /// The package.
        package: PackageNumber,
        /// Why.
        why: LetGo,
    },
    /// Move a package that will never be taken to the refused ones.
    Refuse(PackageNumber),
    /// Move a package whose bytes are not the published ones out of the queue.
    SetAside(PackageNumber),
    /// Ask this server for policy; comes back as `PolicyAnswered`.
    AskPolicy(ServerNumber),
}

/// When what is planned happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The next collection.
    pub collect: Timestamp,
    /// The next policy question.
    pub policy: Timestamp,
    /// The next catch-up.
    pub catch_up: Timestamp,
    /// The next upload; `NEVER` when nothing is queued or all of it waits for the catch-up.
    pub upload: Timestamp,
    /// The server that is asked first.
    pub server: ServerNumber,
}
