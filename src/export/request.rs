//! What an operator asks of one export.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::formats::servicenow_xml::TransactionType;
use crate::time::Timestamp;

/// A data type of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// Computers.
    Inventory,
    /// Contracts.
    Contract,
    /// Installed applications.
    Application,
}

impl DataType {
    /// Every type in the fixed order of export: the later ones refer to the first. Source: export process, step 7.
    pub const ALL: [DataType; 3] = [DataType::Inventory, DataType::Contract, DataType::Application];

    /// The type of its transactions.
    pub fn transaction_type(self) -> TransactionType {
        match self {
            DataType::Inventory => TransactionType::InventoryExport,
            DataType::Contract => TransactionType::ContractExport,
            DataType::Application => TransactionType::ApplicationExport,
        }
    }

    /// The name in reports and in the Import Type column.
    pub fn as_str(self) -> &'static str {
        match self {
            DataType::Inventory => "Inventory",
            DataType::Contract => "Contract",
            DataType::Application => "Application",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changes {
    /// Additions and changes since the last successful export; everything when there was none.
    SinceLast,
    /// Additions and changes since this time.
    Since(Timestamp),
    /// Everything.
    Everything,
}

/// One export as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Types wanted, ascending.
    pub types: Vec<DataType>,
    /// Which records.
    pub changes: Changes,
    /// Only test the connection.
    pub connection_test: bool,
}

impl Default for ExportRequest {
    fn default() -> ExportRequest {
        ExportRequest { types: DataType::ALL.to_vec(), changes: Changes::SinceLast, connection_test: false }
    }
}

impl ExportRequest {
    /// Baseline of a type: changes since then are sent; `None` sends everything.
    pub fn since(&self, watermark: Option<Timestamp>) -> Option<Timestamp> {
        match self.changes {
            Changes::SinceLast => watermark,
            Changes::Since(at) => Some(at),
            Changes::Everything => None,
        }
    }

    /// What the operator should know before anything is sent.
    pub fn warnings(&self) -> Vec<String> {
        let refers = self.types.iter().any(|&data_type| data_type != DataType::Inventory);
        if refers && !self.types.contains(&DataType::Inventory) {
            // Source: command line document, "not recommended"; the text is this project's.
            let text = "hardware inventory is excluded: contracts and applications of computers that ServiceNow does \
                        not know will be ignored there";
            return vec![text.to_owned()];
        }
        Vec::new()
    }
}
