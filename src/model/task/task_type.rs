use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// For whom a task may be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// For the whole server: neither tenant nor group is named.
    System,
    /// For one tenant, or for all tenants of one group.
    Tenant,
    /// For one group; a tenant stands for its group.
    Group,
}

/// What a batch task does. Source: agent-beacon-batch reference, section 11.5; the names are the product's, those of
/// intake, export and maintenance this project's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskType {
    /// Settles packages that wait to be read.
    InventoryIntake,
    /// Readers, then writers, then a reconcile.
    InventoryImport,
    /// Stages what sources have.
    InventoryImportReaders,
    /// Matches what is staged and merges it into devices.
    InventoryImportWriters,
    /// Stages a spreadsheet that an operator has sent.
    InventoryImportSpreadsheet,
    /// Sites, subnets, domains and users.
    ActiveDirectoryImport,
    /// Compares what is installed with what may be.
    LicenseReconcile,
    /// Dated CSV files for other tools.
    DataWarehouseUpdate,
    /// Purchases, entitlements and contracts.
    BusinessAdapterImport,
    /// Recognition rules.
    RecognitionLibraryImport,
    /// Devices to ServiceNow.
    ServiceNowExport,
    /// Lets go of what is older than it is kept.
    ActivityHistoryPurge,
    /// Checks and rewrites segments of the logs.
    SpoolMaintenance,
}

impl TaskType {
    /// All of them, in their order.
    pub const ALL: [TaskType; 13] = [
        TaskType::InventoryIntake,
        TaskType::InventoryImport,
        TaskType::InventoryImportReaders,
        TaskType::InventoryImportWriters,
        TaskType::InventoryImportSpreadsheet,
        TaskType::ActiveDirectoryImport,
        TaskType::LicenseReconcile,
        TaskType::DataWarehouseUpdate,
        TaskType::BusinessAdapterImport,
        TaskType::RecognitionLibraryImport,
        TaskType::ServiceNowExport,
        TaskType::ActivityHistoryPurge,
        TaskType::SpoolMaintenance,
    ];

    /// For whom it may be submitted.
    pub fn scope(self) -> ScopeKind {
        match self {
            TaskType::RecognitionLibraryImport | TaskType::ActivityHistoryPurge | TaskType::SpoolMaintenance => {
                ScopeKind::System
            }
            TaskType::BusinessAdapterImport => ScopeKind::Group,
            TaskType::InventoryIntake
            | TaskType::InventoryImport
            | TaskType::InventoryImportReaders
            | TaskType::InventoryImportWriters
            | TaskType::InventoryImportSpreadsheet
            | TaskType::ActiveDirectoryImport
            | TaskType::LicenseReconcile
            | TaskType::DataWarehouseUpdate
            | TaskType::ServiceNowExport => ScopeKind::Tenant,
        }
    }

    /// Its place in [`TaskType::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskType::InventoryIntake => "InventoryIntake",
            TaskType::InventoryImport => "InventoryImport",
            TaskType::InventoryImportReaders => "InventoryImportReaders",
            TaskType::InventoryImportWriters => "InventoryImportWriters",
            TaskType::InventoryImportSpreadsheet => "InventoryImportSpreadsheet",
            TaskType::ActiveDirectoryImport => "ActiveDirectoryImport",
            TaskType::LicenseReconcile => "LicenseReconcile",
            TaskType::DataWarehouseUpdate => "DataWarehouseUpdate",
            TaskType::BusinessAdapterImport => "BusinessAdapterImport",
            TaskType::RecognitionLibraryImport => "RecognitionLibraryImport",
            TaskType::ServiceNowExport => "ServiceNowExport",
            TaskType::ActivityHistoryPurge => "ActivityHistoryPurge",
            TaskType::SpoolMaintenance => "SpoolMaintenance",
        }
    }
}

impl fmt::Display for TaskType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskType {
    type Err = ();

    /// Upper and lower case are one.
    fn from_str(text: &str) -> Result<TaskType, ()> {
        TaskType::ALL.into_iter().find(|task| task.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stored;

    #[test]
    fn a_type_is_stored_and_read_by_its_name_and_stands_at_its_index() {
        for (index, task) in TaskType::ALL.into_iter().enumerate() {
            assert_eq!((task.index(), task.to_string().parse()), (index, Ok(task)));
            let stored = stored::pack(&task);
            assert!(stored.ends_with(task.as_str().as_bytes()), "{task}");
            assert_eq!(stored::unpack::<TaskType>(&stored).unwrap(), task);
        }
        assert_eq!("inventoryimport".parse(), Ok(TaskType::InventoryImport));
        assert_eq!("NoSuchTask".parse::<TaskType>(), Err(()));
    }
}
