//! What needs nodes, processes or browsers to be shown, and the rules about the sources themselves.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this package owns disks and processes")]

mod batch;
mod beacons;
mod chain;
mod chaos;
mod collect;
mod discovery;
mod documents;
mod edges;
mod failover;
mod healing;
mod kills;
mod licences;
mod matching;
mod misdirected;
mod outage;
mod reconciling;
mod support;
mod tenants;
mod tidy;
mod usage;
