//! The attributes of each element, their limits and what happens to a value that breaks them.
//!
//! Source: `agent-beacon-batch` reference, section 4.2 (lengths) and 4.3 (names); `delivery-contract`, section 7 (keys).

/// Bytes of a key value (serial, name, id). Source: `delivery-contract` reference, section 7.
pub(super) const KEY_BYTES_MAX: usize = 1 << 10;

/// One attribute.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: Rule,
}

/// What a value has to keep to.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Nothing beyond the limits of XML.
    Free,
    /// At most so many characters; cut.
    Chars(u32),
    /// At most [`KEY_BYTES_MAX`] bytes without control characters; else null. Then at most so many characters.
    Key(u32),
    /// A whole number up to this one; else absent.
    Number(u64),
}

use Rule::{Chars, Free, Key, Number};

/// A key whose length only [`KEY_BYTES_MAX`] limits.
const KEY: Rule = Key(KEY_BYTES_MAX as u32);

const fn required(name: &'static str, rule: Rule) -> Column {
    Column { name, required: true, rule }
}

const fn optional(name: &'static str, rule: Rule) -> Column {
    Column { name, required: false, rule }
}

/// An element and its attributes, in the order in which they are written.
pub(super) struct Shape<const N: usize> {
    pub(super) element: &'static str,
    /// Its place among the shapes.
    pub(super) number: usize,
    pub(super) columns: [Column; N],
}

/// How many shapes there are.
pub(super) const SHAPES: usize = 8;

pub(super) static INVENTORY: Shape<13> = Shape {
    element: "Inventory",
    number: 0,
    columns: [
        required("Tracker", Chars(64)),
        required("Audience", Chars(64)),
        optional("Scope", KEY),
        required("MachineName", KEY),
        required("UserName", KEY),
        optional("Hardware", Free),
        optional("Software", Free),
        optional("ServiceProviders", Free),
        required("DateTime", Chars(64)),
        required("Type", Chars(64)),
        optional("MachineId", KEY),
        optional("Site", KEY),
        optional("TenantUID", KEY),
    ],
};

pub(super) static HARDWARE: Shape<4> = Shape {
    element: "Hardware",
    number: 1,
    columns: [
        required("Class", Chars(256)),
        required("Name", Key(256)),
        optional("Occurrence", Number(u32::MAX as u64)),
        optional("Evidence", Chars(32)),
    ],
};

pub(super) static PROPERTY: Shape<2> =
    Shape { element: "Property", number: 2, columns: [required("Name", Chars(256)), required("Value", Free)] };

pub(super) static PACKAGE: Shape<8> = Shape {
    element: "Package",
    number: 3,
    columns: [
        required("Name", Chars(256)),
        optional("Version", Chars(72)),
        optional("Publisher", Chars(200)),
        required("Evidence", Chars(32)),
        optional("ProductCode", Chars(55)),
        optional("InstallDate", Chars(64)),
        optional("InstallPath", Free),
        optional("UserName", Free),
    ],
};

pub(super) static FILE: Shape<11> = Shape {
    element: "File",
    number: 4,
    columns: [
        required("Name", Chars(256)),
        optional("Path", Chars(400)),
        optional("Version", Chars(100)),
        optional("Company", Chars(100)),
        optional("Description", Chars(200)),
        optional("ProductName", Free),
        optional("ProductVersion", Chars(200)),
        optional("Size", Number(u64::MAX)),
        optional("MD5", Chars(64)),
        optional("LastModified", Chars(64)),
        optional("Evidence", Chars(32)),
    ],
};

/// The column of a file's evidence.
pub(super) const FILE_EVIDENCE: usize = 10;

pub(super) static ACCESS: Shape<7> = Shape {
    element: "Access",
    number: 5,
    columns: [
        required("Product", Free),
        optional("Version", Free),
        required("Mode", Chars(64)),
        optional("Count", Number(u64::MAX)),
        optional("LastAccess", Chars(64)),
        optional("UserName", Free),
        optional("ClientName", Free),
    ],
};

pub(super) static SERVICE: Shape<5> = Shape {
    element: "Service",
    number: 6,
    columns: [
        required("Name", Free),
        optional("State", Chars(64)),
        optional("StartMode", Chars(64)),
        optional("Path", Free),
        optional("Account", Free),
    ],
};

pub(super) static PROVIDER: Shape<3> = Shape {
    element: "ServiceProvider",
    number: 7,
    columns: [required("Type", Free), required("Name", KEY), optional("Version", Free)],
};

/// Properties whose values tell machines apart. Names are compared without regard to ASCII case.
const KEY_PROPERTIES: [&str; 21] = [
    "AgentId",
    "ComputerType",
    "DNSHostName",
    "Domain",
    "FirmwareSerialNumber",
    "HostId",
    "HostIdentifyingNumber",
    "HostType",
    "IdentifyingNumber",
    "ILMTAgentID",
    "MachineId",
    "Manufacturer",
    "Model",
    "Name",
    "PartitionID",
    "PartitionNumber",
    "SerialNo",
    "SerialNumber",
    "UUID",
    "VMName",
    "VMType",
];

/// The table's spelling of `name` when its value is a key.
pub(super) fn key_property(name: &str) -> Option<&'static str> {
    KEY_PROPERTIES.into_iter().find(|key| key.eq_ignore_ascii_case(name))
}
