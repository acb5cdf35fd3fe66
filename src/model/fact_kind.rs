//! The kinds of facts. Their numbers are never changed and never used twice: 9 and 15 were, and are not any more.

use super::fact_text::put;
use crate::id::TenantId;

/// The kinds of `FactKey`, for scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FactKind {
    /// `FactKey::Node`.
    Node = 1,
    /// `FactKey::Setting`.
    Setting = 2,
    /// `FactKey::Ledger`.
    Ledger = 3,
    /// `FactKey::Package`.
    Package = 4,
    /// `FactKey::Record`.
    Record = 5,
    /// `FactKey::Device`.
    Device = 6,
    /// `FactKey::Tenant`.
    Tenant = 7,
    /// `FactKey::Export`.
    Export = 8,
    /// `FactKey::Beacon`.
    Beacon = 10,
    /// `FactKey::Usage`.
    Usage = 11,
    /// `FactKey::Discovery`.
    Discovery = 12,
    /// `FactKey::Gaps`.
    Gaps = 13,
    /// `FactKey::Abandoned`.
    Abandoned = 14,
    /// `FactKey::Aside`.
    Aside = 16,
    /// `FactKey::Business`.
    Business = 17,
    /// `FactKey::Apart`.
    Apart = 18,
    /// `FactKey::Filler`.
    Filler = 19,
    /// `FactKey::Import`.
    Import = 20,
    /// `FactKey::Task`.
    Task = 21,
    /// `FactKey::TaskRun`.
    TaskRun = 22,
    /// `FactKey::Batch`.
    Batch = 23,
    /// `FactKey::Registration`.
    Registration = 24,
    /// `FactKey::LicenceTable`.
    LicenceTable = 25,
    /// `FactKey::LicenceTablePart`.
    LicenceTablePart = 26,
    /// `FactKey::Run`.
    Run = 27,
    /// `FactKey::History`.
    History = 28,
    /// `FactKey::Source`.
    Source = 30,
    /// `FactKey::SourcePart`.
    SourcePart = 31,
    /// `FactKey::Directory`.
    Directory = 32,
    /// `FactKey::DirectoryPart`.
    DirectoryPart = 33,
}

impl FactKind {
    /// Every kind.
    pub(super) const ALL: [FactKind; 30] = [
        FactKind::Node,
        FactKind::Setting,
        FactKind::Ledger,
        FactKind::Package,
        FactKind::Record,
        FactKind::Device,
        FactKind::Tenant,
        FactKind::Export,
        FactKind::Beacon,
        FactKind::Usage,
        FactKind::Discovery,
        FactKind::Gaps,
        FactKind::Abandoned,
        FactKind::Aside,
        FactKind::Business,
        FactKind::Apart,
        FactKind::Filler,
        FactKind::Import,
        FactKind::Task,
        FactKind::TaskRun,
        FactKind::Batch,
        FactKind::Registration,
        FactKind::Source,
        FactKind::SourcePart,
        FactKind::Directory,
        FactKind::DirectoryPart,
        FactKind::LicenceTable,
        FactKind::LicenceTablePart,
        FactKind::Run,
        FactKind::History,
    ];

    /// What every key of this kind begins with, of all tenants or of one.
    pub fn prefix(self, tenant: Option<&TenantId>) -> Vec<u8> {
        let mut out = vec![self as u8];
        if let Some(tenant) = tenant {
            put(&mut out, tenant.as_str());
        }
        out
    }
}
