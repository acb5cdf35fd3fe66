//! Look-ups of an operator: `muster devices`, `muster packages`, `muster beacons`, `muster fillers`, `muster imports`,
//! `muster licenses`, `muster batch`, `muster tenants` and `muster match --dry-run`, over the operator API of a server; and `muster import`, which uploads.
//!
//! Tables are for people; `--json` gives what the API answers, an item a line for lists. Texts come from machines that
//! nobody vouches for: control characters of theirs never reach the terminal.

mod batch;
mod client;
mod devices;
mod fillers;
mod imports;
mod licenses;
mod output;
mod packages;
mod tenants;

pub mod command;
pub mod dry_run;
pub mod import;

pub use batch::BatchArgs;
pub use client::ServerUrl;
pub use fillers::FillersArgs;
pub use licenses::LicensesArgs;
pub use tenants::TenantsArgs;

#[cfg(test)]
mod tests;
