//! `muster match`: records of files into devices, on this machine alone.
//!
//! Source: matching reference, section 11 (the files); interfaces, `muster match`.

pub mod command;
pub mod reading;
pub mod report;
pub mod writing;
