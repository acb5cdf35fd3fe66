//! `muster reconcile`: the licence position of an estate from a folder of CSV files, without a server.
//!
//! Source: reconcile-files reference.

mod asked;
pub mod command;
mod folder_files;
