//! Keys of the facts log: what cannot be derived from the packages that are kept. Values are stored by `stored::pack`.
//!
//! ```text
//! kind (1 byte), tenant (length byte, text), the rest by kind
//! ```
//!
//! A key of the node itself has the empty tenant. All facts of one kind and tenant stand together, so one scan by prefix
//! lists them. The numbers of kinds are never changed and never used twice.

use std::sync::Arc;

use crate::id::{DeviceId, Guid, TenantId};
use crate::model::business::BusinessKey;
use crate::model::device::RecordKey;
use crate::model::directory::{DirectoryKind, DirectoryPart};
use crate::model::folder::{LicenceTable, TablePart};
use crate::model::package::{Origin, PackageKey, Stream};
use crate::model::source::PartKey;
use crate::model::task::TaskNumber;

pub use super::fact_kind::FactKind;
use super::fact_text::{Reader, put};

/// Most bytes of an encoded key; the parts have their own, smaller bounds.
pub const FACT_KEY_BYTES_MAX: usize = 4 << 10;

/// What a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKey {
    /// Who this node is.
    Node,
    /// One setting of the node, by name.
    Setting(Arc<str>),
    /// Which packages of a stream reached a final state: a `StreamLedger`.
    Ledger(TenantId, Origin, Stream),
    /// The final state of one package and its way, or why a beacon set it aside.
    Package(TenantId, PackageKey),
    /// What is staged of one source's computer, and from which package.
    Record(TenantId, RecordKey),
    /// A device.
    Device(TenantId, DeviceId),
    /// Counters of the tenant: next ids, revisions, last runs.
    Tenant(TenantId),
    /// Progress of the exports to one target.
    Export(TenantId, Arc<str>),
    /// The last status a beacon reported.
    Beacon(TenantId, Guid),
    /// The periods of usage that are staged of one record: `UsagePeriods`.
    Usage(TenantId, RecordKey),
    /// What was discovered of one record's machine: `Discoveries`.
    Discovery(TenantId, RecordKey),
    /// What was acknowledged of one origin and has no final state: `OriginGaps`.
    Gaps(TenantId, Origin),
    /// What one origin gave up before a node took it: `Abandoned`.
    Abandoned(TenantId, Origin),
    /// A package that a beacon set aside and that has not arrived otherwise: `AsideRecord`.
    Aside(TenantId, PackageKey),
    /// The business file in force of one source and kind: `BusinessFile`.
    Business(TenantId, BusinessKey),
    /// Two records that an operator took apart, the smaller one first: when.
    Apart(TenantId, RecordKey, RecordKey),
    /// A value, folded, that an operator says names no machine: when.
    Filler(TenantId, Arc<str>),
    /// What an import did: `ImportEnded`. The last few are kept, each in the place of its number.
    Import(TenantId, u8),
    /// A batch task as it was submitted: `TaskSubmission`.
    Task(TaskNumber),
    /// How far a batch task has come: `TaskRun`.
    TaskRun(TaskNumber),
    /// Whether tasks are sent for processing: `BatchState`.
    Batch,
    /// What an operator registered of a tenant: `Registration`.
    Registration(TenantId),
    /// Which file of a source is in force: `SourceState`.
    Source(TenantId, Arc<str>),
    /// Changes that a file of a source makes and that are not staged yet: a list of `RowChange`.
    SourcePart(TenantId, PartKey),
    /// Which sites, subnets, domains or users are in force: `DirectoryState`.
    Directory(TenantId, DirectoryKind),
    /// Some of them: a list of `DirectoryEntry`.
    DirectoryPart(TenantId, DirectoryPart),
    /// Which file of a table of licences is in force: `TableState`.
    LicenceTable(TenantId, LicenceTable),
    /// A piece of its text.
    LicenceTablePart(TenantId, TablePart),
    /// What a reconcile found, by its number: `RunRecord`.
    Run(TenantId, u64),
    /// What changed on a device: `DeviceHistory`.
    History(TenantId, DeviceId),
}

impl FactKey {
    /// Its kind.
    pub fn kind(&self) -> FactKind {
        match self {
            FactKey::Node => FactKind::Node,
            FactKey::Setting(_) => FactKind::Setting,
            FactKey::Ledger(..) => FactKind::Ledger,
            FactKey::Package(..) => FactKind::Package,
            FactKey::Record(..) => FactKind::Record,
            FactKey::Device(..) => FactKind::Device,
            FactKey::Tenant(_) => FactKind::Tenant,
            FactKey::Export(..) => FactKind::Export,
            FactKey::Beacon(..) => FactKind::Beacon,
            FactKey::Usage(..) => FactKind::Usage,
            FactKey::Discovery(..) => FactKind::Discovery,
            FactKey::Gaps(..) => FactKind::Gaps,
            FactKey::Abandoned(..) => FactKind::Abandoned,
            FactKey::Aside(..) => FactKind::Aside,
            FactKey::Business(..) => FactKind::Business,
            FactKey::Apart(..) => FactKind::Apart,
            FactKey::Filler(..) => FactKind::Filler,
            FactKey::Import(..) => FactKind::Import,
            FactKey::Task(_) => FactKind::Task,
            FactKey::TaskRun(_) => FactKind::TaskRun,
            FactKey::Batch => FactKind::Batch,
            FactKey::Registration(_) => FactKind::Registration,
            FactKey::Source(..) => FactKind::Source,
            FactKey::SourcePart(..) => FactKind::SourcePart,
            FactKey::Directory(..) => FactKind::Directory,
            FactKey::DirectoryPart(..) => FactKind::DirectoryPart,
            FactKey::LicenceTable(..) => FactKind::LicenceTable,
            FactKey::LicenceTablePart(..) => FactKind::LicenceTablePart,
            FactKey::Run(..) => FactKind::Run,
            FactKey::History(..) => FactKind::History,
        }
    }

    /// The key as the log holds it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind() as u8];
        match self {
            FactKey::Node | FactKey::Batch => put(&mut out, ""),
            FactKey::Task(number) | FactKey::TaskRun(number) => {
                put(&mut out, "");
                out.extend_from_slice(&number.0.to_be_bytes());
            }
            FactKey::Setting(name) => {
                put(&mut out, "");
                put(&mut out, name);
            }
            FactKey::Ledger(tenant, origin, stream) => {
                put(&mut out, tenant.as_str());
                put(&mut out, origin.as_str());
                put(&mut out, stream.as_str());
            }
            FactKey::Gaps(tenant, origin) | FactKey::Abandoned(tenant, origin) => {
                put(&mut out, tenant.as_str());
                put(&mut out, origin.as_str());
            }
            FactKey::Package(tenant, key) | FactKey::Aside(tenant, key) => {
                put(&mut out, tenant.as_str());
                out.extend_from_slice(&key.encode(tenant));
            }
            FactKey::Record(tenant, record) | FactKey::Usage(tenant, record) | FactKey::Discovery(tenant, record) => {
                put(&mut out, tenant.as_str());
                put(&mut out, &record.source);
                put(&mut out, &record.external_id);
            }
            FactKey::Device(tenant, device) | FactKey::History(tenant, device) => {
                put(&mut out, tenant.as_str());
                out.extend_from_slice(&device.0.to_be_bytes());
            }
            FactKey::Tenant(tenant) | FactKey::Registration(tenant) => {
                put(&mut out, tenant.as_str());
            }
            FactKey::Export(tenant, text) | FactKey::Filler(tenant, text) | FactKey::Source(tenant, text) => {
                put(&mut out, tenant.as_str());
                put(&mut out, text);
            }
            FactKey::SourcePart(tenant, PartKey { source, number }) => {
                put(&mut out, tenant.as_str());
                put(&mut out, source);
                out.extend_from_slice(&number.to_be_bytes());
            }
            FactKey::Directory(tenant, kind) => {
                put(&mut out, tenant.as_str());
                put(&mut out, kind.as_str());
            }
            FactKey::DirectoryPart(tenant, DirectoryPart { kind, generation, number }) => {
                put(&mut out, tenant.as_str());
                put(&mut out, kind.as_str());
                out.extend_from_slice(&generation.to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            }
            FactKey::LicenceTable(tenant, table) => {
                put(&mut out, tenant.as_str());
                put(&mut out, table.as_str());
            }
            FactKey::LicenceTablePart(tenant, TablePart { table, generation, number }) => {
                put(&mut out, tenant.as_str());
                put(&mut out, table.as_str());
                out.extend_from_slice(&generation.to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            }
            FactKey::Run(tenant, number) => {
                put(&mut out, tenant.as_str());
                out.extend_from_slice(&number.to_be_bytes());
            }
            FactKey::Import(tenant, place) => {
                put(&mut out, tenant.as_str());
                out.push(*place);
            }
            FactKey::Beacon(tenant, guid) => {
                put(&mut out, tenant.as_str());
                put(&mut out, &guid.to_string());
            }
            FactKey::Business(tenant, BusinessKey { source, kind }) => {
                put(&mut out, tenant.as_str());
                put(&mut out, source);
                put(&mut out, kind.as_str());
            }
            FactKey::Apart(tenant, a, b) => {
                put(&mut out, tenant.as_str());
                for record in [a, b] {
                    put(&mut out, &record.source);
                    put(&mut out, &record.external_id);
                }
            }
        }
        out
    }

    /// Reads [`FactKey::encode`] back; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<FactKey> {
        let (&number, rest) = bytes.split_first()?;
        let kind = FactKind::ALL.into_iter().find(|kind| *kind as u8 == number)?;
        let mut reader = Reader(rest);
        let key = match kind {
            FactKind::Node => reader.of_node().map(|()| FactKey::Node)?,
            FactKind::Batch => reader.of_node().map(|()| FactKey::Batch)?,
            FactKind::Task => reader.of_node().and_then(|()| reader.number()).map(|n| FactKey::Task(TaskNumber(n)))?,
            FactKind::TaskRun => {
                reader.of_node().and_then(|()| reader.number()).map(|n| FactKey::TaskRun(TaskNumber(n)))?
            }
            FactKind::Setting => {
                reader.of_node()?;
                FactKey::Setting(reader.text()?.into())
            }
            FactKind::Ledger => {
                FactKey::Ledger(reader.tenant()?, Origin(reader.text()?.into()), Stream(reader.text()?.into()))
            }
            FactKind::Gaps => FactKey::Gaps(reader.tenant()?, Origin(reader.text()?.into())),
            FactKind::Abandoned => FactKey::Abandoned(reader.tenant()?, Origin(reader.text()?.into())),
            FactKind::Package | FactKind::Aside => {
                let tenant = reader.tenant()?;
                let (named, key) = PackageKey::decode(std::mem::take(&mut reader.0))?;
                let of = if kind == FactKind::Package { FactKey::Package } else { FactKey::Aside };
                (named == tenant).then_some(of(tenant, key))?
            }
            FactKind::Record => FactKey::Record(reader.tenant()?, reader.record()?),
            FactKind::Usage => FactKey::Usage(reader.tenant()?, reader.record()?),
            FactKind::Discovery => FactKey::Discovery(reader.tenant()?, reader.record()?),
            FactKind::Device => {
                let tenant = reader.tenant()?;
                FactKey::Device(tenant, DeviceId(reader.number()?))
            }
            FactKind::History => {
                let tenant = reader.tenant()?;
                FactKey::History(tenant, DeviceId(reader.number()?))
            }
            FactKind::Tenant => FactKey::Tenant(reader.tenant()?),
            FactKind::Registration => FactKey::Registration(reader.tenant()?),
            FactKind::Export => FactKey::Export(reader.tenant()?, reader.text()?.into()),
            FactKind::Beacon => FactKey::Beacon(reader.tenant()?, reader.text()?.parse().ok()?),
            FactKind::Business => {
                let tenant = reader.tenant()?;
                let (source, kind) = (reader.text()?.into(), reader.text()?.parse().ok()?);
                FactKey::Business(tenant, BusinessKey { source, kind })
            }
            FactKind::Apart => FactKey::Apart(reader.tenant()?, reader.record()?, reader.record()?),
            FactKind::Filler => FactKey::Filler(reader.tenant()?, reader.text()?.into()),
            FactKind::Source => FactKey::Source(reader.tenant()?, reader.text()?.into()),
            FactKind::SourcePart => {
                let (tenant, source) = (reader.tenant()?, reader.text()?.into());
                let number = u32::from_be_bytes(std::mem::take(&mut reader.0).try_into().ok()?);
                FactKey::SourcePart(tenant, PartKey { source, number })
            }
            FactKind::Directory => FactKey::Directory(reader.tenant()?, reader.text()?.parse().ok()?),
            FactKind::DirectoryPart => {
                let (tenant, kind) = (reader.tenant()?, reader.text()?.parse().ok()?);
                let numbers = reader.number()?;
                let (generation, number) = ((numbers >> 32) as u32, numbers as u32);
                FactKey::DirectoryPart(tenant, DirectoryPart { kind, generation, number })
            }
            FactKind::LicenceTable => FactKey::LicenceTable(reader.tenant()?, reader.text()?.parse().ok()?),
            FactKind::LicenceTablePart => {
                let (tenant, table) = (reader.tenant()?, reader.text()?.parse().ok()?);
                let numbers = reader.number()?;
                let (generation, number) = ((numbers >> 32) as u32, numbers as u32);
                FactKey::LicenceTablePart(tenant, TablePart { table, generation, number })
            }
            FactKind::Run => {
                let tenant = reader.tenant()?;
                FactKey::Run(tenant, reader.number()?)
            }
            FactKind::Import => {
                let tenant = reader.tenant()?;
                let [place] = std::mem::take(&mut reader.0).try_into().ok()?;
                FactKey::Import(tenant, place)
            }
        };
        reader.0.is_empty().then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::model::business::BusinessKind;
    use crate::model::package::Kind;
    use proptest::prelude::*;

    #[test]
    fn every_key_reads_back_and_stands_with_its_kind_and_tenant() {
        let tenant: TenantId = "acme".parse().unwrap();
        let package = PackageKey { origin: Origin("o".into()), kind: Kind::Inventories, digest: Digest::of(b"x") };
        let keys = [
            FactKey::Node,
            FactKey::Setting("schedule".into()),
            FactKey::Ledger(tenant.clone(), Origin("o".into()), Stream("Inventories/root/Full".into())),
            FactKey::Package(tenant.clone(), package.clone()),
            FactKey::Record(tenant.clone(), RecordKey { source: "agent".into(), external_id: "1".into() }),
            FactKey::Device(tenant.clone(), DeviceId(7)),
            FactKey::Tenant(tenant.clone()),
            FactKey::Export(tenant.clone(), "http://x".into()),
            FactKey::Beacon(tenant.clone(), Guid::NIL),
            FactKey::Usage(tenant.clone(), RecordKey { source: "agent".into(), external_id: "1".into() }),
            FactKey::Discovery(tenant.clone(), RecordKey { source: "agent".into(), external_id: "1".into() }),
            FactKey::Gaps(tenant.clone(), Origin("o".into())),
            FactKey::Abandoned(tenant.clone(), Origin("o".into())),
            FactKey::Aside(tenant.clone(), package),
            FactKey::Business(tenant.clone(), BusinessKey { source: "erp".into(), kind: BusinessKind::Purchases }),
            FactKey::Apart(
                tenant.clone(),
                RecordKey { source: "agent".into(), external_id: "1".into() },
                RecordKey { source: "sccm".into(), external_id: "2".into() },
            ),
            FactKey::Filler(tenant.clone(), "default string".into()),
            FactKey::Import(tenant.clone(), 7),
            FactKey::Task(TaskNumber(7)),
            FactKey::TaskRun(TaskNumber(u64::MAX)),
            FactKey::Batch,
            FactKey::Registration(tenant.clone()),
            FactKey::Source(tenant.clone(), "cmdb".into()),
            FactKey::SourcePart(tenant.clone(), PartKey { source: "cmdb".into(), number: 7 }),
            FactKey::Directory(tenant.clone(), DirectoryKind::Subnets),
            FactKey::DirectoryPart(
                tenant.clone(),
                DirectoryPart { kind: DirectoryKind::Users, generation: 2, number: u32::MAX },
            ),
            FactKey::LicenceTable(tenant.clone(), LicenceTable::Licenses),
            FactKey::LicenceTablePart(
                tenant.clone(),
                TablePart { table: LicenceTable::Peaks, generation: 2, number: 3 },
            ),
            FactKey::Run(tenant.clone(), 9),
            FactKey::History(tenant.clone(), DeviceId(7)),
        ];
        assert_eq!(keys.len(), FactKind::ALL.len());
        for (key, kind) in keys.iter().zip(FactKind::ALL) {
            let bytes = key.encode();
            assert_eq!(FactKey::decode(&bytes).as_ref(), Some(key));
            assert!(bytes.starts_with(&kind.prefix(None)));
            if !matches!(
                key,
                FactKey::Node | FactKey::Setting(_) | FactKey::Task(_) | FactKey::TaskRun(_) | FactKey::Batch
            ) {
                assert!(bytes.starts_with(&kind.prefix(Some(&tenant))));
                assert!(!bytes.starts_with(&kind.prefix(Some(&"acm".parse().unwrap()))));
            }
            assert_ne!(FactKey::decode(&[&bytes[..], b"x"].concat()).as_ref(), Some(key));
        }
    }

    #[test]
    fn devices_stand_in_order_of_their_ids() {
        let key = |id| FactKey::Device("t".parse().unwrap(), DeviceId(id)).encode();
        assert!(key(2) < key(10) && key(255) < key(256));
        let task = |number| FactKey::Task(TaskNumber(number)).encode();
        assert!(task(2) < task(10) && task(255) < task(256));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = FactKey::decode(&bytes);
        }
    }
}
