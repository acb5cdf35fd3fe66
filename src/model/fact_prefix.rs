//! What keys of facts that belong together begin with, for scans.

use super::fact::{FactKey, FactKind};
use super::fact_text::put;
use crate::id::TenantId;
use crate::model::directory::DirectoryKind;
use crate::model::folder::LicenceTable;
use crate::model::package::Origin;

impl FactKey {
    /// What the keys of all ledgers of `origin` begin with.
    pub fn ledgers_prefix(tenant: &TenantId, origin: &Origin) -> Vec<u8> {
        let mut out = FactKind::Ledger.prefix(Some(tenant));
        put(&mut out, origin.as_str());
        out
    }

    /// What the keys of all records of `source` begin with.
    pub fn records_prefix(tenant: &TenantId, source: &str) -> Vec<u8> {
        let mut out = FactKind::Record.prefix(Some(tenant));
        put(&mut out, source);
        out
    }

    /// What the keys of all parts of files of `source` begin with.
    pub fn parts_prefix(tenant: &TenantId, source: &str) -> Vec<u8> {
        let mut out = FactKind::SourcePart.prefix(Some(tenant));
        put(&mut out, source);
        out
    }

    /// What the keys of all parts of files of a table of licences begin with.
    pub fn licence_table_prefix(tenant: &TenantId, table: LicenceTable) -> Vec<u8> {
        let mut out = FactKind::LicenceTablePart.prefix(Some(tenant));
        put(&mut out, table.as_str());
        out
    }

    /// What the keys of all parts of a directory's files of `kind` begin with.
    pub fn directory_prefix(tenant: &TenantId, kind: DirectoryKind) -> Vec<u8> {
        let mut out = FactKind::DirectoryPart.prefix(Some(tenant));
        put(&mut out, kind.as_str());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::RecordKey;
    use crate::model::directory::DirectoryPart;
    use crate::model::source::PartKey;

    #[test]
    fn a_prefix_is_that_of_its_own_keys_and_of_no_other() {
        let tenant = TenantId::default_tenant();
        let record = |source: &str| {
            FactKey::Record(tenant.clone(), RecordKey { source: source.into(), external_id: "x".into() }).encode()
        };
        let prefix = FactKey::records_prefix(&tenant, "cmdb");
        assert!(record("cmdb").starts_with(&prefix) && !record("cmdb2").starts_with(&prefix));
        let part =
            |source: &str| FactKey::SourcePart(tenant.clone(), PartKey { source: source.into(), number: 1 }).encode();
        let prefix = FactKey::parts_prefix(&tenant, "cmdb");
        assert!(part("cmdb").starts_with(&prefix) && !part("cmdb2").starts_with(&prefix));
        let part =
            |kind| FactKey::DirectoryPart(tenant.clone(), DirectoryPart { kind, generation: 1, number: 1 }).encode();
        let prefix = FactKey::directory_prefix(&tenant, DirectoryKind::Sites);
        assert!(part(DirectoryKind::Sites).starts_with(&prefix) && !part(DirectoryKind::Users).starts_with(&prefix));
    }
}
