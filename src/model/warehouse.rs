//! Tables for other tools: what the data warehouse update writes, with the meaning of each column.
//!
//! ```text
//! DATA/warehouse/schema.json                     the tables, their columns, types and meanings
//! DATA/warehouse/devices/default-2026-11-30.csv  one file a tenant: the newest
//! DATA/warehouse/archive/devices/...             those before
//! ```
//!
//! So `select count(*) from 'warehouse/devices/*.csv'` is the number of devices, whenever it is asked. A file appears whole,
//! by a rename. The forms are a choice of this project.

use serde_json::{Value, json};

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarehouseTable {
    /// One row a device.
    Devices,
    /// One row for each title that a device has.
    Installations,
    /// One row a licence.
    Consumption,
    /// One row for each package that has a final state.
    PackageLatency,
}

/// A column: name, type as SQL has it, meaning.
pub type Column = (&'static str, &'static str, &'static str);

const DEVICES: &[Column] = &[
    ("tenant", "VARCHAR", "whose it is"),
    ("device", "BIGINT", "number of the device"),
    ("name", "VARCHAR", "computer name"),
    ("domain", "VARCHAR", "its domain"),
    ("manufacturer", "VARCHAR", "who made it"),
    ("model", "VARCHAR", "what it is called"),
    ("serial", "VARCHAR", "serial number"),
    ("uuid", "VARCHAR", "of the firmware"),
    ("os", "VARCHAR", "operating system"),
    ("type", "VARCHAR", "kind of computer"),
    ("last_inventory", "TIMESTAMP", "of its newest record, UTC"),
    ("sources", "VARCHAR", "who reports it, joined by `;`"),
    ("records", "BIGINT", "records that were matched into it"),
];

const INSTALLATIONS: &[Column] = &[
    ("tenant", "VARCHAR", "whose it is"),
    ("device", "BIGINT", "number of the device"),
    ("name", "VARCHAR", "title as it was reported"),
    ("version", "VARCHAR", "its version"),
    ("publisher", "VARCHAR", "who made it"),
    ("evidence", "VARCHAR", "how it was found, such as deb"),
    ("install_date", "DATE", "when it was installed, if that is known"),
];

const CONSUMPTION: &[Column] = &[
    ("tenant", "VARCHAR", "whose it is"),
    ("as_of", "DATE", "the day that entitlements were judged by"),
    ("licence", "VARCHAR", "id of the licence"),
    ("entitled", "BIGINT", "rights in force; empty for no limit"),
    ("consumed", "BIGINT", "rights used"),
    ("available", "BIGINT", "rights left, negative when more are used; empty for no limit"),
    ("installations", "BIGINT", "installations counted, before terms of use"),
    ("exempt", "BIGINT", "of these, exempt ones"),
    ("status", "VARCHAR", "compliance"),
    ("reason", "VARCHAR", "why, in a sentence"),
];

const PACKAGE_LATENCY: &[Column] = &[
    ("tenant", "VARCHAR", "whose it is"),
    ("digest", "VARCHAR", "SHA-256 of the package"),
    ("origin", "VARCHAR", "who published it"),
    ("kind", "VARCHAR", "what it is"),
    ("state", "VARCHAR", "imported, stale, quarantined or expired"),
    ("collected", "TIMESTAMP", "when its agent says it collected, UTC"),
    ("first_received", "TIMESTAMP", "when the first node took custody, UTC"),
    ("arrived", "TIMESTAMP", "when the server took custody, UTC"),
    ("settled", "TIMESTAMP", "when it got its final state, UTC"),
    ("hops", "BIGINT", "nodes that had custody, the server included"),
    ("way_secs", "DOUBLE", "from the first custody to the server's"),
    ("settle_secs", "DOUBLE", "from the server's custody to the final state"),
];

impl WarehouseTable {
    /// All of them.
    pub const ALL: [WarehouseTable; 4] = [
        WarehouseTable::Devices,
        WarehouseTable::Installations,
        WarehouseTable::Consumption,
        WarehouseTable::PackageLatency,
    ];

    /// Its name, which is that of its folder.
    pub fn as_str(self) -> &'static str {
        match self {
            WarehouseTable::Devices => "devices",
            WarehouseTable::Installations => "installations",
            WarehouseTable::Consumption => "consumption",
            WarehouseTable::PackageLatency => "package_latency",
        }
    }

    /// Its columns, in the order of the files.
    pub fn columns(self) -> &'static [Column] {
        match self {
            WarehouseTable::Devices => DEVICES,
            WarehouseTable::Installations => INSTALLATIONS,
            WarehouseTable::Consumption => CONSUMPTION,
            WarehouseTable::PackageLatency => PACKAGE_LATENCY,
        }
    }
}

/// `schema.json`.
pub fn schema() -> Value {
    let column = |(name, kind, meaning): &Column| json!({ "name": name, "type": kind, "description": meaning });
    let table = |table: WarehouseTable| {
        json!({
            "name": table.as_str(),
            "files": format!("{}/*.csv", table.as_str()),
            "columns": table.columns().iter().map(column).collect::<Vec<Value>>(),
        })
    };
    let form = "CSV with a head line, UTF-8, RFC 4180; an empty cell without quotes is NULL, times are RFC 3339 in UTC; \
                texts stand as machines reported them: a spreadsheet may take one for a formula";
    json!({ "version": 1, "form": form, "tables": WarehouseTable::ALL.map(table) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_names_every_table_and_each_column_once() {
        let schema = schema();
        let tables = schema["tables"].as_array().unwrap();
        assert_eq!(tables.len(), WarehouseTable::ALL.len());
        for (table, of) in tables.iter().zip(WarehouseTable::ALL) {
            assert_eq!(table["files"], format!("{}/*.csv", of.as_str()));
            let names: std::collections::BTreeSet<&str> = of.columns().iter().map(|column| column.0).collect();
            assert_eq!(names.len(), of.columns().len());
            assert_eq!(of.columns()[0].0, "tenant");
        }
    }
}
