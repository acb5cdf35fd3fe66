//! The engine against a second, slow reading of the reference, against its own laws, and against folders that are wrong.

pub mod edits;
mod equal;
pub mod estates;
pub mod laws;
mod refusals;
pub mod slow;

use std::collections::BTreeMap;

use super::assign;
use crate::model::folder::{Folder, FolderError, Source};
use crate::reconcile::evidence::install;
use crate::reconcile::output::{Output, Table};

pub type Files = BTreeMap<String, String>;

/// Files in memory.
pub struct InMemory<'m>(pub &'m BTreeMap<String, Vec<u8>>);

impl<'m> Source for InMemory<'m> {
    type Bytes = &'m [u8];
    type Error = FolderError;
    fn file(&mut self, name: &'static str) -> Result<Option<&'m [u8]>, FolderError> {
        Ok(self.0.get(name).map(Vec::as_slice))
    }
}

/// All tables that the engine writes, by file, or what it says of the folder.
fn real_bytes(files: &BTreeMap<String, Vec<u8>>, as_of: &str) -> Result<Files, String> {
    let mut folder = Folder::read(&mut InMemory(files)).map_err(|error| error.to_string())?;
    let unrecognised = install(&mut folder).map_err(|error| error.to_string())?;
    let as_of = as_of.parse().expect("a day");
    let assigned = assign(&folder.estate, &folder.licensing, as_of);
    let found = assigned.map_err(|cycle| folder.cycle(&cycle.applications).to_string())?.count();
    let output = Output { found: &found, unrecognised: &unrecognised, warnings: &folder.notes.warnings };
    let written = Table::ALL.into_iter().map(|table| {
        let mut text = Vec::new();
        output.write(table, &mut text).expect("memory takes it");
        (format!("{}.csv", table.as_str()), String::from_utf8(text).expect("texts"))
    });
    Ok(written.collect())
}

/// The same from texts.
fn real(files: &Files, as_of: &str) -> Result<Files, String> {
    let files = files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
    real_bytes(&files, as_of)
}

/// What both engines say, who have to agree: on the bytes, or on file, line and column of what is wrong.
fn both(files: &Files, as_of: &str) -> Result<Files, String> {
    let (real, slow) = (real(files, as_of), slow::reconcile(files, as_of));
    match (&real, &slow) {
        (Ok(real), Ok(slow)) => assert_eq!(real, slow),
        (Err(real), Err(slow)) => {
            let place = |error: &str| error.split(": ").next().unwrap_or_default().to_owned();
            assert_eq!(place(real), place(slow), "{real} | {slow}");
        }
        _ => panic!("one engine refuses what the other takes: {:?}", (real.err(), slow.err())),
    }
    real
}
