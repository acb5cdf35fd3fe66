//! Edits of an estate and its licences that are tried, and never written.
//!
//! Source: decision 084.

use super::licensing::{AllocationKind, Exemption, Total};

/// Where an application is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// From every device.
    Everywhere,
    /// From this device.
    On(String),
    /// From every device on which nobody is known to use it.
    Unused,
}

/// Who is tied to a licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A device.
    Device(String),
    /// A user.
    User(String),
}

/// An edit. Everything is named by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Takes an application away.
    RemoveApplication {
        /// What.
        application: String,
        /// Where.
        from: Place,
    },
    /// Takes a device away. Who is tied to a licence stays so: a permanent allocation goes on counting.
    RemoveDevice {
        /// Which one.
        device: String,
    },
    /// Buys rights that are in force.
    AddEntitlement {
        /// Of which licence.
        licence: String,
        /// So many.
        quantity: Total,
    },
    /// Ties somebody to a licence, in place of how they were tied to it.
    Allocate {
        /// Which one.
        licence: String,
        /// Whom.
        to: Holder,
        /// How firmly.
        kind: AllocationKind,
        /// Set: needs no right.
        exemption: Option<Exemption>,
    },
}

/// An edit that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("edit {}, {column}: {problem}", place + 1)]
pub struct EditError {
    /// Its place in the list, from 0.
    pub place: usize,
    /// What of it is wrong: the column of a file of edits.
    pub column: &'static str,
    /// What to mend.
    pub problem: String,
}
