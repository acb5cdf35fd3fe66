//! What an agent is told, what it can want, and what survives it.

use std::sync::Arc;

use super::rules::{AgentRules, AgentSettings};
use crate::model::package::Kind;
use crate::roles::IntentNumber;
use crate::schedule::{Happening, Ran};
use crate::time::Timestamp;
use crate::upload::answer::Verdict;
use crate::upload::selector::{Device, Measures, Probe};

/// Place of a server in the agent's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerNumber(pub u16);

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
    /// What it is; inventories and discoveries supersede each other.
    pub kind: Kind,
}

impl Queued {
    /// Whether packages of its kind are published beside collections, which do not bring them back.
    pub(super) fn is_beside(&self) -> bool {
        matches!(self.kind, Kind::UsageData | Kind::Logs)
    }
}

/// What survives: the published packages that are still queued, the policy in force, what was run and measured.
#[derive(Clone, Debug)]
pub struct AgentDurable {
    /// Settings from the configuration.
    pub settings: Arc<AgentSettings>,
    /// What it goes by.
    pub rules: Arc<AgentRules>,
    /// Whether a policy is in force; without one it is asked for at once.
    pub has_policy: bool,
    /// The agent's own number, from which its moments are drawn.
    pub agent: u64,
    /// What is known of this host, to choose servers by.
    pub device: Arc<Device>,
    /// When policy is asked for at the latest, as an earlier life left it; see [`AgentCore::policy_by`](super::AgentCore::policy_by).
    pub policy_by: Option<Timestamp>,
    /// What is queued, in any order.
    pub queued: Vec<Queued>,
    /// `false` when inventories were published and no server ever took one: what it has to say is still to be said.
    pub is_heard: bool,
    /// When the last published inventory was collected.
    pub last_collected: Option<Timestamp>,
    /// The last run of each event.
    pub ran: Vec<Ran>,
    /// What was measured of servers.
    pub measures: Measures,
}

/// What can happen to an agent.
#[derive(Debug)]
pub enum AgentInput {
    /// A collection, usage or a log is published: complete, synced, queued. A collection may have given more than one package.
    Published(Vec<Queued>),
    /// Packages that were delivered are queued again: their custodian lost them.
    Requeued(Vec<Queued>),
    /// A collection was lost on its way: collect anew.
    CollectionAsked,
    /// A collection could not be stored, or not all of it.
    CollectionFailed {
        /// What of it is published.
        published: Vec<Queued>,
    },
    /// An upload ended.
    Uploaded {
        /// Its intent.
        intent: IntentNumber,
        /// What the answer means.
        verdict: Verdict,
        /// Bytes that were sent, and how long it took, when it was answered.
        transfer: Option<(u64, i64)>,
    },
    /// An upload was not even tried: the queued bytes are not the published ones, or not there.
    Unsendable {
        /// Its intent.
        intent: IntentNumber,
    },
    /// A policy question was answered, or not.
    PolicyAnswered {
        /// Its intent.
        intent: IntentNumber,
        /// How.
        answer: PolicyAnswer,
    },
    /// Something that events of the schedule may wait for.
    Happened(Happening),
    /// Another policy is in force.
    RulesChanged(Arc<AgentRules>),
    /// What is known of this host now; it may have changed since it was looked at last.
    DeviceSeen(Arc<Device>),
    /// Servers were measured.
    Measured {
        /// Its intent.
        intent: IntentNumber,
        /// What was found, by place.
        probes: Vec<(ServerNumber, Probe)>,
    },
}

/// How a policy question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyAnswer {
    /// What was answered is in force, or changes nothing.
    Taken,
    /// What was answered is not taken, or could not be stored: no fault of the link, and asked again later.
    NotTaken,
    /// The server has no policy for this agent.
    NoneHere,
    /// The server is busy, or has no policy yet.
    Busy {
        /// How long it wants to be left alone, in milliseconds; `None` when it did not say.
        retry_after_ms: Option<i64>,
    },
    /// Nothing that was an answer.
    Silent,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentIntent {
    /// Collect this host and publish the report; comes back as `Published` or `CollectionFailed`.
    Collect,
    /// Publish what the agent has logged since the last time; comes back as `Published`, or not at all.
    PublishLog,
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
    /// Ask this server for policy; comes back as `PolicyAnswered`, and `RulesChanged` before it when something changed.
    AskPolicy(ServerNumber),
    /// Ping these servers; comes back as `Measured`.
    Measure(Vec<ServerNumber>),
    /// Keep what was run and measured, for the next life. Nothing waits for it.
    Remember,
}

/// When what is planned happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPlan {
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
    /// Every event of the schedule with its name and when it is due.
    pub events: Vec<(String, Timestamp)>,
}
