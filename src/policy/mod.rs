//! What agents are told to do: the bundle of files that a server makes and beacons hand on.

pub mod bundle;

pub use bundle::{BundleError, PolicyBundle};
