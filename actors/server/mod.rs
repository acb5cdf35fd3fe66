//! The server: takes reports, matches, reconciles and exports.

pub mod exporter;
