//! The inventory file `.ndi`: what a machine is and what is installed on it.
//!
//! ```text
//! Inventory                 one machine, one account, one moment       -> Head
//!   Hardware*               one object of a class   Property*          -> Hardware
//!   Software*
//!     Package*              installer evidence      Property*          -> Package
//!     File*                 file evidence                              -> File
//!     Access*               who reached a server product               -> Access
//!   Service*                a system service                           -> Service
//!   ServiceProvider*        nests                   Property*          -> ServiceProvider
//! ```
//!
//! Children come in any order; unknown elements and attributes are skipped. [`read_ndi`] keeps all text in one buffer
//! and lends the structs out of it; [`NdiWriter`] prints the same structs. What is partly bad is read as far as it is
//! good and told as a list of [`Finding`]s; what breaks a limit is refused as a whole.
//!
//! Source: `agent-beacon-batch` reference, sections 4.1 to 4.3; limits: `delivery-contract`, section 7.

mod class;
mod columns;
mod elements;
mod error;
mod file;
mod finding;
mod names;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use class::canonical_class;
pub use elements::*;
pub use error::{NdiError, PROPERTY_NAMES_MAX};
pub use file::{NdiFile, Properties, Provider};
pub use finding::{Finding, FindingKind};
pub use read::{read_ndi, read_ndi_gz, read_ndi_gz_titles};
pub use write::NdiWriter;
