//! The command itself: read every document, say what is wrong or left out, write the tables.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use muster::config::Document;
use muster::config::entitlement_map::{EntitlementMap, read_entitlement_map};
use muster::formats::ent::{ENT_BYTES_MAX, read_ent};
use muster::model::ent::{Finding, Import, Known, Products, TABLES};

use crate::command::{Failure, print_line, read_text};
use crate::errors::Chain;
use crate::whole_file::{self, WriteError};

/// Options of `muster entitlements`.
#[derive(Clone, Debug, clap::Args)]
pub struct EntitlementsArgs {
    /// Entitlement documents, XML
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write licenses.csv, license_applications.csv and entitlements.csv into this folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// CSV with the columns reference and application: which applications stand for a tag, a product or an entitlement
    #[arg(long, value_name = "CSV")]
    applications: Option<PathBuf>,
    /// TOML that names where the documents say what, and the licence types of their metrics; as
    /// config/imports/entitlements.toml
    #[arg(long, value_name = "TOML")]
    map: Option<PathBuf>,
    /// Take the place of tables that stand in the folder already
    #[arg(long)]
    replace: bool,
}

/// Bytes of a map at most.
const MAP_BYTES_MAX: u64 = 1 << 20;
/// Findings that are told one by one.
const TOLD_MAX: usize = 20;

/// Runs the command.
pub fn run(args: &EntitlementsArgs) -> Result<(), Failure> {
    let map = map(args.map.as_deref())?;
    let products = products(args.applications.as_deref())?;
    let known = Known { words: &map.words, products: &products };
    let mut import = Import::default();
    for path in &args.files {
        let file = path.display().to_string();
        let bytes = read(path).map_err(|error| usage(format!("cannot read `{file}`: {error}")))?;
        let document = read_ent(&bytes, &map.names).map_err(|error| usage(format!("{file}:{error}")))?;
        import.add(&file, &document, known);
    }
    if let [all @ .., last] = &import.problems[..] {
        // The last line is that of the failure itself.
        let (told, last) = match all.len() {
            more if more < TOLD_MAX => (all, last.to_string()),
            more => (&all[..TOLD_MAX], format!("and {} more problems", more + 1 - TOLD_MAX)),
        };
        told.iter().for_each(|problem| eprintln!("muster: {problem}"));
        return Err(usage(last));
    }
    tell(&import.notes);
    write(args, &import)?;
    let count = import.count();
    let line = format!("{count} entitlements in {}: {}", args.out.display(), TABLES.join(", "));
    // Whoever closed our stdout does not want to know.
    let _ = print_line(&line);
    Ok(())
}

fn usage(text: String) -> Failure {
    Failure { text, exit: 2 }
}

fn map(path: Option<&Path>) -> Result<EntitlementMap, Failure> {
    let Some(path) = path else { return Ok(EntitlementMap::default()) };
    let file = path.display().to_string();
    let text = read_text(path, MAP_BYTES_MAX)
        .map_err(|error| usage(format!("cannot read the map `{file}` (--map): {error}")))?;
    read_entitlement_map(&Document { text: &text, file: &file }).map_err(|error| Failure::usage(&error))
}

fn products(path: Option<&Path>) -> Result<Products, Failure> {
    let Some(path) = path else { return Ok(Products::default()) };
    let file = path.display();
    let source = File::open(path).map_err(|error| usage(format!("cannot read `{file}` (--applications): {error}")))?;
    Products::read(BufReader::new(source)).map_err(|error| usage(format!("{file}: {}", Chain(&error))))
}

/// A document, one byte more than is taken at most.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn tell(notes: &[Finding]) {
    notes.iter().take(TOLD_MAX).for_each(|note| eprintln!("muster: {note}"));
    let more = notes.len().saturating_sub(TOLD_MAX);
    if more > 0 {
        eprintln!("muster: and {more} more notes");
    }
}

/// Writes the tables beside those that they replace, and gives them their names when all are written.
fn write(args: &EntitlementsArgs, import: &Import) -> Result<(), Failure> {
    let failed = |error: WriteError| Failure::work(&error);
    let paths = TABLES.map(|table| args.out.join(table));
    // A folder for a reconcile may hold licences that stand in no document: they are not lost by an oversight.
    let there = paths.iter().find(|path| path.symlink_metadata().is_ok()).filter(|_| !args.replace);
    if let Some(path) = there {
        let path = path.display();
        return Err(usage(format!("`{path}` is there already: give another folder, or --replace to take its place")));
    }
    std::fs::create_dir_all(&args.out).map_err(|source| failed(WriteError::new(&args.out, source)))?;
    let mut written = Vec::new();
    for (path, table) in paths.iter().zip(import.tables()) {
        written.push(whole_file::write(path, |file| file.write_all(&table)).map_err(failed)?);
    }
    written.into_iter().try_for_each(|file| file.keep().map_err(failed))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const OFFICE: &str = include_str!("../../tests/golden/formats/office.ent");

    fn run_on(files: &[&Path], out: &Path, more: impl FnOnce(&mut EntitlementsArgs)) -> Result<(), Failure> {
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        let mut args = EntitlementsArgs { files, out: out.into(), applications: None, map: None, replace: false };
        more(&mut args);
        run(&args)
    }

    #[test]
    fn tables_are_written_once_and_replaced_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (file, out, table) =
            (folder.path().join("office.ent"), folder.path().join("out"), folder.path().join("m.csv"));
        fs::write(&file, OFFICE).unwrap();
        fs::write(&table, "reference,application\nExample Mail,mail\n").unwrap();
        run_on(&[&file], &out, |args| args.applications = Some(table.clone())).unwrap();
        let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(text("license_applications.csv"), "license,application\nexample.com-mail-site,mail\n");
        assert_eq!(text("entitlements.csv").lines().count(), 3);

        let refused = run_on(&[&file], &out, |_| {}).unwrap_err();
        assert!(refused.exit == 2 && refused.text.contains("licenses.csv` is there already"), "{refused:?}");
        assert_eq!(text("license_applications.csv").lines().count(), 2);
        run_on(&[&file], &out, |args| args.replace = true).unwrap();
        assert_eq!(text("license_applications.csv"), "license,application\n");
    }

    #[test]
    fn what_is_wrong_is_one_line_with_its_place_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad, out) = (folder.path().join("good"), folder.path().join("bad"), folder.path().join("out"));
        fs::write(&good, OFFICE).unwrap();
        let refused = |files: &[&Path], text: &str, part: &str| {
            fs::write(&bad, text).unwrap();
            let failure = run_on(files, &out, |_| {}).unwrap_err();
            let place = format!("{}:", bad.display());
            let is_told =
                failure.text.starts_with(&place) && failure.text.contains(part) && !failure.text.contains('\n');
            assert!(failure.exit == 2 && is_told, "{failure:?}");
            assert!(!out.exists());
        };
        refused(&[&bad], &OFFICE.replace("\"device\"", "\"core\""), ":12: the metric `core`");
        refused(&[&good, &bad], OFFICE, ":14: the entitlement `example.com-mail-site` stands at");
        refused(&[&good, &bad], "<a>\n<", ":2: not well-formed");
        let failure = run_on(&[&folder.path().join("none")], &out, |_| {}).unwrap_err();
        assert!(failure.exit == 2 && failure.text.contains("cannot read"), "{failure:?}");
        let failure = run_on(&[&good], &out, |args| args.map = Some(bad.clone())).unwrap_err();
        assert!(failure.exit == 2 && failure.text.contains("bad:1"), "{failure:?}");
        let failure = run_on(&[&good], &out, |args| args.applications = Some(bad.clone())).unwrap_err();
        assert!(failure.exit == 2 && failure.text.contains("no column `reference`"), "{failure:?}");
    }
}
