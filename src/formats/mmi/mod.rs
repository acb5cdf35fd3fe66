//! The usage file `.mmi`: how often and how long each user of a machine ran which application.
//!
//! ```text
//! USAGE                     one machine                                -> Mmi
//!   MD                      which machine                              -> ManagedDevice
//!     USAGE*                one user in one period                     -> Period
//!       APPUSAGE*           one application                            -> AppUsage
//! ```
//!
//! Root and per-user element share their name, so nesting tells them apart. Public samples do not show where `MD` ends:
//! a `USAGE` below the root means the same whether it stands inside `MD` or beside it. A file is about one machine;
//! what follows a second `MD` is left out. Unknown elements and attributes are skipped. What is partly bad is read as
//! far as it is good and told as a list of [`Finding`]s; what breaks a limit is refused as a whole.
//!
//! Source: `agent-beacon-batch` reference, sections 5.1 and 5.2; limits: its section 4.2 and section 7 of
//! `delivery-contract`.

mod columns;
mod file;
mod finding;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use file::{AppUsage, ManagedDevice, Mmi, Period, PeriodType};
pub use finding::{Finding, FindingKind};
pub use read::{MmiError, read_mmi, read_mmi_gz};
