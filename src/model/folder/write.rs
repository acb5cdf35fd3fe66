//! Tables as texts: cells as files hold them, and what an operator wrote laid out anew.

use std::borrow::Cow;

use hashbrown::HashSet;

use super::estate_files::APPLICATIONS;
use super::fleet_devices::FleetNames;
use super::table::{FolderError, Form, Table, text};
use crate::model::software::Application;

/// A cell, in quotes where it needs them. Source: reconcile-files reference, section 1.
pub fn cell(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

/// A line of cells.
pub fn push_row<'c>(out: &mut String, cells: impl Iterator<Item = &'c str>) {
    for (place, text) in cells.enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&cell(text));
    }
    out.push('\n');
}

/// A table as it is written, with all columns in the order of its form.
pub fn laid_out(form: &'static Form, bytes: &[u8]) -> Result<String, FolderError> {
    changed(form, bytes, |_, _| true)
}

/// A table in which an operator names devices, with their numbers in place of their names; and the lines of rows that say
/// the same of one device by another name, which are left out.
pub fn with_numbers(
    form: &'static Form,
    bytes: &[u8],
    names: &FleetNames,
) -> Result<(String, Vec<usize>), FolderError> {
    let place = |name: &str| form.columns.iter().position(|column| *column == name);
    let (device, key) = (place("device"), form.key.iter().filter_map(|name| place(name)).collect::<Vec<usize>>());
    let (mut known, mut repeated) = (HashSet::<Vec<Box<str>>>::new(), Vec::new());
    let change = |column, text: &str| {
        let id = names.find(text).filter(|_| Some(column) == device);
        id.map(|id| id.to_string())
    };
    let text = changed(form, bytes, |line, cells| {
        for (column, cell) in cells.iter_mut().enumerate() {
            if let Some(number) = change(column, cell) {
                *cell = Cow::Owned(number);
            }
        }
        let is_new = key.is_empty() || known.insert(key.iter().map(|&column| (&*cells[column]).into()).collect());
        if !is_new {
            repeated.push(line);
        }
        is_new
    })?;
    Ok((text, repeated))
}

/// `applications.csv`: what an operator says of applications, and of the library those that have no row there.
pub fn with_library(said: Option<&[u8]>, library: &[Application]) -> Result<String, FolderError> {
    let mut listed: HashSet<Box<str>> = HashSet::new();
    let mut out = changed(&APPLICATIONS, said.unwrap_or_default(), |_, cells| listed.insert((&*cells[0]).into()))?;
    for application in library.iter().filter(|application| !listed.contains(application.id.as_str())) {
        let Application { id, publisher, product, version, edition, licensable, .. } = application;
        let licensable = if *licensable { "" } else { "no" };
        push_row(&mut out, [id.as_str(), publisher, product, version, edition, licensable, ""].into_iter());
    }
    Ok(out)
}

/// A table with all columns in the order of its form, cells as `change` makes them, without the rows that it does not
/// keep. Rows stay on their lines, so that what is said of one names the line that was written.
fn changed(
    form: &'static Form,
    bytes: &[u8],
    mut change: impl FnMut(usize, &mut [Cow<'_, str>]) -> bool,
) -> Result<String, FolderError> {
    let (mut out, mut line) = (String::with_capacity(bytes.len()), 1);
    push_row(&mut out, form.columns.iter().copied());
    let Some(table) = Table::open(form, text(form, bytes)?)? else { return Ok(out) };
    table.rows(|row| {
        let mut cells: Vec<Cow<'_, str>> =
            (0..form.columns.len()).map(|column| Cow::Borrowed(row.text(column))).collect();
        if !change(row.line(), &mut cells) {
            return Ok(());
        }
        while line + 1 < row.line() {
            out.push('\n');
            line += 1;
        }
        push_row(&mut out, cells.iter().map(|cell| &**cell));
        line += 1;
        Ok(())
    })?;
    Ok(out)
}
