//! What agents are told to do: the bundle of files that a server makes and beacons hand on.

pub mod bundle;
pub mod standard;

pub use bundle::{BundleError, PolicyBundle};
pub use standard::{STANDARD_POLICY, standard_bundle};
