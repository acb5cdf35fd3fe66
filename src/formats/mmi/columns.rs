//! The attributes of each element and what their values have to keep to.
//!
//! Source: `agent-beacon-batch` reference, sections 5.1 and 5.2 (names), 4.2 (lengths); `delivery-contract`, section 7
//! (keys).

/// Bytes of a key value (names and ids). Source: `delivery-contract` reference, section 7.
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
    /// At most so many characters; cut.
    Chars(usize),
    /// At most [`KEY_BYTES_MAX`] bytes without control characters; else null.
    Key,
    /// A whole number of 32 bits; else absent.
    Number,
    /// `YYYYMMDDThhmmss` in UTC; else absent.
    Time,
    /// With or without braces; else absent.
    Guid,
    /// A type of period; else absent.
    Type,
}

use Rule::{Chars, Guid, Key, Number, Time, Type};

const fn required(name: &'static str, rule: Rule) -> Column {
    Column { name, required: true, rule }
}

const fn optional(name: &'static str, rule: Rule) -> Column {
    Column { name, required: false, rule }
}

/// An element and its attributes, in the order in which they are written.
pub(super) struct Shape<const N: usize> {
    pub(super) element: &'static str,
    pub(super) columns: [Column; N],
}

pub(super) static ROOT: Shape<2> =
    Shape { element: "USAGE", columns: [optional("VERSION", Chars(64)), optional("USAGEAGENT", Chars(64))] };

pub(super) static DEVICE: Shape<3> =
    Shape { element: "MD", columns: [required("NAME", Key), optional("DOMAIN", Key), optional("GUID", Guid)] };

pub(super) static PERIOD: Shape<5> = Shape {
    element: "USAGE",
    columns: [
        required("USER", Key),
        optional("DOMAIN", Key),
        required("TYPE", Type),
        required("STARTDATE", Time),
        required("GUID", Guid),
    ],
};

pub(super) static APPLICATION: Shape<12> = Shape {
    element: "APPUSAGE",
    columns: [
        required("NAME", Chars(256)),
        optional("VERSION", Chars(72)),
        optional("FILENAME", Chars(256)),
        optional("FILECOMPANY", Chars(100)),
        optional("FILEDESCRIPTION", Chars(200)),
        optional("FILEPRODUCTNAME", Chars(256)),
        optional("FILEPRODUCTVERSION", Chars(200)),
        optional("RUNS", Number),
        optional("RUNTIME", Number),
        optional("ACTIVETIME", Number),
        optional("LASTUSED", Time),
        optional("EVIDENCE", Chars(32)),
    ],
};
