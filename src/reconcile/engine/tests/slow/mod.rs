//! Licence reconcile, slow and literal: each function says which section of the reference it realises.
//!
//! Everything is text and ordered maps; a licence's figure is worked out from the definitions each time it is asked for.
//! In the order to read them: [`csv`], [`tables`], [`estate`], [`licences`], [`recognise`], [`links`], [`assign`],
//! [`figure`] with one file for each family of types, [`result`], [`consumption`], [`output`].

#![allow(missing_docs, reason = "fields are the columns of the files, under their names")]

pub mod access;
pub mod assign;
pub mod consumption;
pub mod csv;
pub mod cycle;
pub mod date;
pub mod estate;
pub mod figure;
pub mod hosts;
pub mod licence_rows;
pub mod licences;
pub mod links;
pub mod number;
pub mod output;
pub mod persons;
pub mod quantity;
pub mod recognise;
pub mod result;
pub mod schemas;
pub mod servers;
pub mod tables;
pub mod text;
pub mod units;
pub mod warnings;
pub mod world;

use std::collections::BTreeMap;

/// All eight output files from the input files (file name to text) at the date `as_of`.
///
/// The error is the line of exit 2, `FILE:LINE COLUMN: what to mend`; a missing file has no line, a row with too many cells
/// no column.
pub fn reconcile(files: &BTreeMap<String, String>, as_of: &str) -> Result<BTreeMap<String, String>, String> {
    let as_of = date::parse(as_of).ok_or_else(|| format!("--as-of: `{as_of}` is not a date YYYY-MM-DD"))?;
    let world = world::World::read(files, as_of)?;
    let assignment = assign::assign(&world);
    Ok(output::write(&world, &assignment))
}
