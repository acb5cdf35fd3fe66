//! The drill.
