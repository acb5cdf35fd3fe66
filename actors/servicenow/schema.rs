//! Tables and columns of the stand-in, with their inheritance.
//!
//! Source: servicenow reference, sections 4 and 5; labels follow the column names. A record of a child table is also a
//! record of its parents: `cmdb_ci_linux_server` answers to a list of `cmdb_ci_computer`.

use std::sync::OnceLock;

/// What a column holds. Every value is text on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Number, compared as one.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `YYYY-MM-DD hh:mm:ss` in UTC.
    Time,
    /// `sys_id` of a record of this table.
    Reference(&'static str),
}

impl Kind {
    /// `internal_type` in `sys_dictionary`.
    pub fn internal_type(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Number => "decimal",
            Kind::Boolean => "boolean",
            Kind::Time => "glide_date_time",
            Kind::Reference(_) => "reference",
        }
    }
}

/// A table by its place in [`Schema::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(u16);

/// A column name by its place among all column names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(u16);

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// Its parent.
    pub parent: Option<TableId>,
    /// The table that physically holds its records: the topmost parent.
    pub root: TableId,
    /// Columns, inherited ones first.
    pub columns: Vec<(Field, Kind)>,
    /// Column that names a record for people.
    pub display: Field,
}

/// All tables.
#[derive(Debug)]
pub struct Schema {
    tables: Vec<Table>,
    names: Vec<&'static str>,
}

/// The one schema of the stand-in.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(Schema::build)
}

impl Schema {
    fn build() -> Schema {
        let mut names: Vec<&'static str> =
            SYSTEM.iter().chain(DEFINITIONS.iter().flat_map(|table| table.columns)).map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let field = |name: &str| Field(names.binary_search(&name).expect("every column is listed") as u16);
        let mut tables: Vec<Table> = Vec::new();
        for (index, definition) in DEFINITIONS.iter().enumerate() {
            let id = TableId(index as u16);
            let parent = definition.parent.map(|parent| {
                TableId(tables.iter().position(|table| table.name == parent).expect("parents come first") as u16)
            });
            let mut columns: Vec<(Field, Kind)> = match parent {
                Some(parent) => tables[parent.0 as usize].columns.clone(),
                None => SYSTEM.iter().map(|(name, kind)| (field(name), *kind)).collect(),
            };
            columns.extend(definition.columns.iter().map(|(name, kind)| (field(name), *kind)));
            let root = parent.map_or(id, |parent| tables[parent.0 as usize].root);
            tables.push(Table { name: definition.name, parent, root, columns, display: field(definition.display) });
        }
        Schema { tables, names }
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.tables.iter().position(|table| table.name == name).map(|index| TableId(index as u16))
    }

    /// What is known of a table.
    pub fn of(&self, table: TableId) -> &Table {
        &self.tables[table.0 as usize]
    }

    /// Every table.
    pub fn tables(&self) -> impl Iterator<Item = TableId> + use<> {
        (0..self.tables.len() as u16).map(TableId)
    }

    /// Whether `table` is `ancestor` or one of its descendants.
    pub fn is_a(&self, table: TableId, ancestor: TableId) -> bool {
        let mut table = Some(table);
        while let Some(id) = table {
            if id == ancestor {
                return true;
            }
            table = self.of(id).parent;
        }
        false
    }

    /// A column name of any table.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.names.binary_search(&name).ok().map(|index| Field(index as u16))
    }

    /// The column `name` of `table`.
    pub fn column(&self, table: TableId, name: &str) -> Option<(Field, Kind)> {
        let field = self.field(name)?;
        self.of(table).columns.iter().find(|(known, _)| *known == field).copied()
    }

    /// The name of a column.
    pub fn name(&self, field: Field) -> &'static str {
        self.names[field.0 as usize]
    }
}

struct Definition {
    name: &'static str,
    parent: Option<&'static str>,
    display: &'static str,
    columns: &'static [(&'static str, Kind)],
}

use Kind::{Boolean, Number, Reference, Text, Time};

const fn root(name: &'static str, display: &'static str, columns: &'static [(&'static str, Kind)]) -> Definition {
    Definition { name, parent: None, display, columns }
}

const fn child(
    name: &'static str,
    parent: &'static str,
    display: &'static str,
    columns: &'static [(&'static str, Kind)],
) -> Definition {
    Definition { name, parent: Some(parent), display, columns }
}

const SYSTEM: &[(&str, Kind)] = &[
    ("sys_id", Text),
    ("sys_created_on", Time),
    ("sys_created_by", Text),
    ("sys_updated_on", Time),
    ("sys_updated_by", Text),
    ("sys_mod_count", Number),
];

const CI: Kind = Reference("cmdb_ci");

const DEFINITIONS: &[Definition] = &[
    root("core_company", "name", &[("name", Text), ("manufacturer", Boolean)]),
    root(
        "sys_user",
        "name",
        &[
            ("user_name", Text),
            ("name", Text),
            ("first_name", Text),
            ("last_name", Text),
            ("email", Text),
            ("active", Boolean),
        ],
    ),
    root(
        "cmdb_model",
        "name",
        &[
            ("name", Text),
            ("model_number", Text),
            ("type", Text),
            ("cmdb_model_category", Text),
            ("manufacturer", Reference("core_company")),
        ],
    ),
    root(
        "cmdb_ci",
        "name",
        &[
            ("sys_class_name", Text),
            ("name", Text),
            ("short_description", Text),
            ("correlation_id", Text),
            ("serial_number", Text),
            ("manufacturer", Reference("core_company")),
            ("model_id", Reference("cmdb_model")),
            ("assigned_to", Reference("sys_user")),
            ("discovery_source", Text),
            ("last_discovered", Time),
        ],
    ),
    child("cmdb_ci_hardware", "cmdb_ci", "name", &[]),
    child(
        "cmdb_ci_computer",
        "cmdb_ci_hardware",
        "name",
        &[
            ("os", Text),
            ("os_version", Text),
            ("os_service_pack", Text),
            ("os_domain", Text),
            ("ram", Number),
            ("disk_space", Number),
            ("cpu_speed", Number),
            ("cpu_type", Text),
            ("cpu_name", Text),
            ("cpu_count", Number),
            ("cpu_core_count", Number),
            ("cpu_core_thread", Number),
            ("chassis_type", Text),
            ("form_factor", Text),
            ("virtual", Boolean),
        ],
    ),
    child("cmdb_ci_server", "cmdb_ci_computer", "name", &[]),
    child("cmdb_ci_linux_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_win_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_unix_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_aix_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_solaris_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_hpux_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_osx_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_virtualization_server", "cmdb_ci_server", "name", &[]),
    child("cmdb_ci_esx_server", "cmdb_ci_virtualization_server", "name", &[]),
    child("cmdb_ci_hyper_v_server", "cmdb_ci_virtualization_server", "name", &[]),
    child(
        "cmdb_ci_vm_instance",
        "cmdb_ci",
        "name",
        &[("bios_uuid", Text), ("state", Text), ("cpus", Number), ("memory", Number)],
    ),
    child(
        "cmdb_ci_network_adapter",
        "cmdb_ci",
        "name",
        &[("cmdb_ci", CI), ("ip_address", Text), ("mac_address", Text)],
    ),
    root(
        "cmdb_serial_number",
        "serial_number",
        &[("cmdb_ci", CI), ("serial_number", Text), ("serial_number_type", Text), ("valid", Boolean)],
    ),
    root("cmdb_rel_ci", "sys_id", &[("parent", CI), ("child", CI), ("type", Text)]),
    root(
        "incident",
        "number",
        &[
            ("number", Text),
            ("short_description", Text),
            ("description", Text),
            ("state", Number),
            ("priority", Number),
            ("active", Boolean),
            ("caller_id", Reference("sys_user")),
            ("opened_at", Time),
            ("cmdb_ci", CI),
        ],
    ),
    root("sys_properties", "name", &[("name", Text), ("value", Text), ("description", Text)]),
    root("scheduled_import_set", "name", &[("name", Text), ("active", Boolean)]),
    root("sys_data_source", "name", &[("name", Text), ("import_set_table_name", Text)]),
    root(
        "sys_dictionary",
        "element",
        &[("name", Text), ("element", Text), ("column_label", Text), ("internal_type", Text), ("reference", Text)],
    ),
    root(
        "x_muster_import_run",
        "number",
        &[
            ("number", Text),
            ("run_id", Text),
            ("import_type", Text),
            ("state", Text),
            ("created", Time),
            ("ended", Time),
            ("last_activity", Time),
            ("segments_expected", Number),
            ("segments_received", Number),
            ("segments_succeeded", Number),
            ("segments_failed", Number),
            ("inserted", Number),
            ("updated", Number),
            ("ignored", Number),
            ("errors", Number),
            ("message", Text),
        ],
    ),
    root(
        "x_muster_import_transaction",
        "number",
        &[
            ("number", Text),
            ("import_run", Reference("x_muster_import_run")),
            ("import_type", Text),
            ("state", Text),
            ("transaction_id", Text),
            ("digest", Text),
            ("sequence", Number),
            ("records", Number),
            ("payload", Text),
            ("created", Time),
            ("started", Time),
            ("ended", Time),
            ("tries_seen", Number),
            ("message", Text),
        ],
    ),
    root("x_muster_import_row", "sys_id", STAGING),
    child(
        "x_muster_inventory_import",
        "x_muster_import_row",
        "u_computername",
        &[
            ("u_computerid", Text),
            ("u_computername", Text),
            ("u_serialnumber", Text),
            ("u_uuid", Text),
            ("u_manufacturer", Text),
            ("u_modelno", Text),
            ("u_computertype", Text),
            ("u_operatingsystem", Text),
            ("u_osversion", Text),
            ("u_servicepack", Text),
            ("u_domain", Text),
            ("u_totalmemory", Text),
            ("u_totaldiskspace", Text),
            ("u_maxclockspeed", Text),
            ("u_processortype", Text),
            ("u_numberofprocessors", Text),
            ("u_numberofcores", Text),
            ("u_numberoflogicalprocessors", Text),
            ("u_chassistype", Text),
            ("u_vmtype", Text),
            ("u_vmname", Text),
            ("u_hostcomputerid", Text),
            ("u_vmstate", Text),
            ("u_ipaddress", Text),
            ("u_macaddress", Text),
            ("u_assigneduser", Text),
            ("u_lastinventorydate", Text),
        ],
    ),
    child("x_muster_contract_import", "x_muster_import_row", "sys_id", &[]),
    child("x_muster_application_import", "x_muster_import_row", "sys_id", &[]),
    root(OAUTH_TOKENS, "sys_id", &[("token_digest", Text), ("user_name", Text)]),
];

/// Refresh tokens by digest; not to be seen through the Table API.
pub const OAUTH_TOKENS: &str = "x_muster_oauth_token";

/// Columns of a staging table beside the data.
const STAGING: &[(&str, Kind)] = &[
    ("sys_import_set", Reference("x_muster_import_transaction")),
    ("import_set", Text),
    ("sys_import_row", Number),
    ("sys_import_state", Text),
    ("sys_import_state_comment", Text),
    ("sys_target_table", Text),
    ("sys_target_sys_id", Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_table_has_the_columns_of_its_parents_and_lies_with_their_root() {
        let schema = schema();
        let linux = schema.table("cmdb_ci_linux_server").unwrap();
        let computer = schema.table("cmdb_ci_computer").unwrap();
        assert!(schema.is_a(linux, computer) && !schema.is_a(computer, linux));
        assert_eq!(schema.of(linux).root, schema.table("cmdb_ci").unwrap());
        assert!(schema.column(linux, "sys_id").is_some() && schema.column(linux, "ram").is_some());
        assert!(schema.column(computer, "bios_uuid").is_none());
        for table in schema.tables() {
            for (_, kind) in &schema.of(table).columns {
                if let Kind::Reference(target) = kind {
                    assert!(schema.table(target).is_some(), "{target}");
                }
            }
        }
    }
}
