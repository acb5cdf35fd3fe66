//! A package on its way: its key, its envelope, and the receipt that moves custody.
//!
//! Source: delivery contract, section 1.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, Guid, TenantId};
use crate::time::Timestamp;

/// Kind of an upload: the folder it is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `.disco`, uncompressed.
    Discovery,
    /// `.ndi.gz`.
    Inventories,
    /// `.mmi.gz`.
    UsageData,
    /// `.log.gz`.
    Logs,
    /// Beacon activity.
    ActivityStatus,
    /// Directory users and groups.
    ActiveDirectory,
    /// Access to virtual desktops.
    VdiAccess,
    /// Third-party inventory and business files.
    IntermediateData,
}

impl Kind {
    /// Every kind, in the order in which a beacon takes turns.
    pub const ALL: [Kind; 8] = [
        Kind::Discovery,
        Kind::Inventories,
        Kind::UsageData,
        Kind::Logs,
        Kind::ActivityStatus,
        Kind::ActiveDirectory,
        Kind::VdiAccess,
        Kind::IntermediateData,
    ];

    /// The number in stored keys; never changed.
    fn number(self) -> u8 {
        match self {
            Kind::Discovery => 0,
            Kind::Inventories => 1,
            Kind::UsageData => 2,
            Kind::Logs => 3,
            Kind::ActivityStatus => 4,
            Kind::ActiveDirectory => 5,
            Kind::VdiAccess => 6,
            Kind::IntermediateData => 7,
        }
    }

    /// The folder name in URLs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Discovery => "Discovery",
            Kind::Inventories => "Inventories",
            Kind::UsageData => "UsageData",
            Kind::Logs => "Logs",
            Kind::ActivityStatus => "ActivityStatus",
            Kind::ActiveDirectory => "ActiveDirectory",
            Kind::VdiAccess => "VdiAccess",
            Kind::IntermediateData => "IntermediateData",
        }
    }
}

impl FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Identity of the agent as set at its first hop: its GUID (unproven until enrolment exists) or
/// `anon/<first hop>/<file name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin(pub Arc<str>);

impl Origin {
    /// The origin of a sender that gave its GUID.
    pub fn agent(guid: Guid) -> Origin {
        Origin(guid.to_string().into())
    }

    /// The origin of a sender without identity: each file name is one of its own.
    pub fn anonymous(first_hop: Guid, file_name: &str) -> Origin {
        Origin(format!("anon/{first_hop}/{file_name}").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Stream of a package: `kind/account/type`. Sequences, gaps and "newest" are per (origin, stream).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stream(pub Arc<str>);

impl Stream {
    /// The stream of `account`'s packages of one kind and type (`Full`, `Hardware`, `Oracle`, or empty).
    pub fn new(kind: Kind, account: &str, kind_type: &str) -> Stream {
        Stream(format!("{kind}/{account}/{kind_type}").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Key of a package: what makes two deliveries the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackageKey {
    /// Who published it.
    pub origin: Origin,
    /// What it is.
    pub kind: Kind,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

impl PackageKey {
    /// The key as the logs hold it: tenant, kind, digest, origin. Ordered by tenant first.
    pub fn encode(&self, tenant: &TenantId) -> Vec<u8> {
        let (tenant, origin) = (tenant.as_str().as_bytes(), self.origin.as_str().as_bytes());
        let mut out = Vec::with_capacity(2 + tenant.len() + 32 + origin.len());
        out.push(tenant.len() as u8);
        out.extend_from_slice(tenant);
        out.push(self.kind.number());
        out.extend_from_slice(&self.digest.0);
        out.extend_from_slice(origin);
        out
    }

    /// Reads [`PackageKey::encode`] back; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<(TenantId, PackageKey)> {
        let (&length, rest) = bytes.split_first()?;
        let (tenant, rest) = rest.split_at_checked(usize::from(length))?;
        let (&kind, rest) = rest.split_first()?;
        let (digest, origin) = rest.split_first_chunk::<32>()?;
        let tenant = std::str::from_utf8(tenant).ok()?.parse().ok()?;
        let kind = Kind::ALL.into_iter().find(|known| known.number() == kind)?;
        let origin = Origin(std::str::from_utf8(origin).ok()?.into());
        Some((tenant, PackageKey { origin, kind, digest: Digest(*digest) }))
    }
}

/// Place of a package in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence {
    /// Random number made when the agent enrolled or lost its state.
    pub epoch: u64,
    /// Raised by one for every published package of the stream.
    pub number: u64,
}

/// One node a package passed, and when it took custody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// The node.
    pub node: Guid,
    /// When it received the package.
    pub received: Timestamp,
}

/// The record beside the bytes. Each node appends its hop; nothing else changes on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who published it.
    pub origin: Origin,
    /// What it is.
    pub kind: Kind,
    /// Its stream, when the sender knows one.
    pub stream: Option<Stream>,
    /// The sender's file name, decoded and checked.
    pub file_name: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Epoch and sequence, when the sender counts.
    pub sequence: Option<Sequence>,
    /// When the agent says it collected.
    pub collected_at: Option<Timestamp>,
    /// When the first node took custody.
    pub first_received: Timestamp,
    /// Whether the origin is only claimed (no enrolment yet).
    pub unproven: bool,
    /// Nodes passed, first hop first; the last one is the holder.
    pub hops: Vec<Hop>,
}

impl Envelope {
    /// The key of this package.
    pub fn key(&self) -> PackageKey {
        PackageKey { origin: self.origin.clone(), kind: self.kind, digest: self.digest }
    }
}

/// What a receiver's `200` says of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptState {
    /// Newly taken into custody.
    Held,
    /// Already in custody here.
    Duplicate,
    /// Already in a final state here.
    Settled,
}

/// The answer that moves custody: valid only when digest and size are those of the bytes sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Digest of the bytes the receiver holds, in hexadecimal on the wire.
    #[serde(with = "hex_digest")]
    pub digest: Digest,
    /// Their size in bytes.
    pub size: u64,
    /// The node that holds them.
    pub node: Guid,
    /// Whether it was new to the node.
    pub state: ReceiptState,
}

impl Receipt {
    /// Whether this receipt acknowledges exactly these bytes.
    pub fn matches(&self, digest: Digest, size: u64) -> bool {
        self.digest == digest && self.size == size
    }
}

mod hex_digest {
    use super::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(digest)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wire;

    #[test]
    fn a_key_reads_back_from_the_log() {
        let tenant: TenantId = "T1".parse().unwrap();
        for kind in Kind::ALL {
            let key = PackageKey { origin: Origin("anon/x/y.ndi.gz".into()), kind, digest: Digest::of(b"z") };
            assert_eq!(PackageKey::decode(&key.encode(&tenant)), Some((tenant.clone(), key)));
        }
        assert_eq!(PackageKey::decode(b""), None);
        assert_eq!(PackageKey::decode(&[255; 40]), None);
    }

    #[test]
    fn every_kind_is_a_folder_one_can_upload_to() {
        for kind in Kind::ALL {
            assert_ne!(wire::upload_name(kind.as_str(), "x").unwrap_err().status, 404, "{kind}");
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }

    #[test]
    fn a_receipt_counts_only_for_the_bytes_it_names() {
        let digest = Digest::of(b"bytes");
        let receipt = Receipt { digest, size: 5, node: Guid::default(), state: ReceiptState::Held };
        assert!(receipt.matches(digest, 5));
        assert!(!receipt.matches(digest, 6));
        assert!(!receipt.matches(Digest::of(b"other"), 5));
        let json = serde_json::to_value(receipt).unwrap();
        assert_eq!(json["digest"], digest.to_string());
        assert_eq!(json["state"], "held");
    }
}
