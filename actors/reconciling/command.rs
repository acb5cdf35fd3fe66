//! The command itself: read, recognise, assign, count, write, and say how long each took.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use muster::model::day::Day;
use muster::model::estate::Ids;
use muster::model::folder::Folder;
use muster::reconcile::engine::{Reconciled, assign};
use muster::reconcile::evidence::install;
use muster::reconcile::output::{Output, Table};
use muster::reconcile::sentences::{of_installation, of_licence};
use serde_json::json;

use super::asked::Asked;
use super::folder_files::FolderFiles;
use crate::clock::{Clock as _, WallClock};
use crate::command::Failure;
use crate::laps::{Laps, peak_rss_bytes};
use crate::whole_file::{self, WriteError};

/// Options of `muster reconcile`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReconcileArgs {
    /// Folder with devices.csv, applications.csv, licenses.csv and what else there is
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Write the tables into this folder; by default license_result goes to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The day of entitlements and peaks; by default today, UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    as_of: Option<Day>,
    /// Tables to write: license_result, consumption, assessment, outcomes, unlicensed, unrecognised, warnings, peaks; by
    /// default all
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = table)]
    write: Vec<Table>,
    /// Print the table on stdout as lines of JSON
    #[arg(long, conflicts_with = "out")]
    json: bool,
    /// Tell in words what this licence is used for and why that is its status
    #[arg(long, value_name = "LICENSE", conflicts_with_all = ["json", "write"])]
    explain: Option<String>,
    /// Tell in words what became of an installation, and what each licence said to it
    #[arg(long, value_names = ["DEVICE", "APPLICATION"], num_args = 2, conflicts_with_all = ["json", "write", "explain"])]
    explain_installation: Vec<String>,
    #[command(flatten)]
    asked: Asked,
    /// Threads; by default one for each processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print a line of JSON on stderr: installations, licenses, seconds of each step, peak memory
    #[arg(long)]
    timing: bool,
}

pub(super) fn day(text: &str) -> Result<Day, String> {
    let read = || text.contains('-').then(|| text.parse().ok()).flatten();
    read().ok_or_else(|| "is no day: write YYYY-MM-DD".into())
}

fn table(text: &str) -> Result<Table, String> {
    let name = text.trim().trim_end_matches(".csv");
    let known = Table::ALL.into_iter().find(|known| known.as_str() == name);
    known.ok_or_else(|| format!("is no table: write some of {}", Table::ALL.map(Table::as_str).join(", ")))
}

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Runs the command.
pub fn run(args: &ReconcileArgs) -> Result<(), Failure> {
    if args.out.is_none() && args.write.len() > 1 {
        return Err(Failure { text: "--write names several tables: say where to with --out DIR".into(), exit: 2 });
    }
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| Failure::work(&error))?;
    pool.install(|| reconcile_folder(args))
}

/// Reads a folder; its evidence is not recognised yet.
pub(super) fn read(input: &Path) -> Result<Folder, Failure> {
    let folder = Folder::read(&mut FolderFiles(input)).map_err(|error| Failure::usage(&error))?;
    for (file, column) in &folder.notes.unknown_columns {
        eprintln!("muster: {file}: column `{}` is not known and is ignored", column.escape_debug());
    }
    Ok(folder)
}

fn reconcile_folder(args: &ReconcileArgs) -> Result<(), Failure> {
    let as_of = args.as_of.unwrap_or_else(|| Day::of(WallClock.now()));
    let mut clock = Laps::default();
    let mut folder = read(&args.input)?;
    let read_s = clock.lap();
    let unrecognised = install(&mut folder).map_err(|error| Failure::usage(&error))?;
    let recognise_s = clock.lap();
    let assigned = assign(&folder.estate, &folder.licensing, as_of)
        .map_err(|cycle| Failure::usage(&folder.cycle(&cycle.applications)))?;
    let assign_s = clock.lap();
    let found = assigned.count();
    let count_s = clock.lap();
    let output = Output { found: &found, unrecognised: &unrecognised, warnings: &folder.notes.warnings };
    match &args.out {
        Some(out) => write_all(args, out, &output)?,
        None if args.asked.is_any() => print_lines(&args.asked.answer(&found, args.json)?)?,
        None if is_explained(args) => print_lines(&explained(args, &found)?)?,
        None => print(args, &output)?,
    }
    if args.timing {
        let line = json!({
            "installations": folder.estate.installations.count(), "licenses": folder.licensing.licences.len(),
            "read_s": read_s, "recognise_s": recognise_s, "assign_s": assign_s, "count_s": count_s,
            "write_s": clock.lap(), "peak_rss_bytes": peak_rss_bytes(),
        });
        eprintln!("{line}");
    }
    Ok(())
}

/// Units that are told of one licence; all are in the table `consumption`.
const UNITS_TOLD: usize = 1_000;

/// Whether an explanation is what was asked for.
fn is_explained(args: &ReconcileArgs) -> bool {
    args.explain.is_some() || !args.explain_installation.is_empty()
}

fn explained(args: &ReconcileArgs, found: &Reconciled<'_>) -> Result<Vec<String>, Failure> {
    let (estate, licensing) = (found.context().estate, found.context().licensing);
    let known = |ids: &Ids, id: &str, file: &str| {
        let unknown = || Failure { text: format!("`{id}` does not stand in {file}: give an id that does"), exit: 2 };
        ids.find(id).ok_or_else(unknown)
    };
    if let Some(licence) = &args.explain {
        return Ok(of_licence(found, known(&licensing.ids, licence, "licenses.csv")?, UNITS_TOLD));
    }
    let [device, application] = &args.explain_installation[..] else { return Ok(Vec::new()) };
    let number = known(&estate.device_ids, device, "devices.csv")?;
    let told = of_installation(found, number, known(&estate.application_ids, application, "applications.csv")?);
    told.ok_or_else(|| Failure { text: format!("`{application}` is not installed on `{device}`"), exit: 2 })
}

/// Writes the tables beside those that they replace, and gives them their names when all are written.
fn write_all(args: &ReconcileArgs, out: &Path, output: &Output<'_, '_>) -> Result<(), Failure> {
    let failed = |error: WriteError| Failure::work(&error);
    std::fs::create_dir_all(out).map_err(|source| failed(WriteError::new(out, source)))?;
    let asked = |table: &Table| args.write.is_empty() || args.write.contains(table);
    let mut written = Vec::new();
    for table in Table::ALL.into_iter().filter(asked) {
        let path = out.join(format!("{}.csv", table.as_str()));
        let file = whole_file::write(&path, |file| {
            let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, file);
            output.write(table, &mut buffered)?;
            buffered.flush()
        });
        written.push(file.map_err(failed)?);
    }
    written.into_iter().try_for_each(|file| file.keep().map_err(failed))
}

/// Prints one table.
fn print(args: &ReconcileArgs, output: &Output<'_, '_>) -> Result<(), Failure> {
    let table = args.write.first().copied().unwrap_or(Table::LicenseResult);
    let mut stdout = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout().lock());
    let mut printed = || {
        if args.json {
            let mut text = Vec::new();
            output.write(table, &mut text)?;
            json_lines(&text, &mut stdout)?;
        } else {
            output.write(table, &mut stdout)?;
        }
        stdout.flush()
    };
    seen_enough(printed())
}

/// Whoever closed our stdout has seen enough.
fn seen_enough(printed: std::io::Result<()>) -> Result<(), Failure> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|source| Failure::work(&WriteError::new("stdout", source))),
    }
}

fn print_lines(lines: &[String]) -> Result<(), Failure> {
    let mut stdout = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout().lock());
    let printed = lines.iter().try_for_each(|line| writeln!(stdout, "{line}"));
    seen_enough(printed.and_then(|()| stdout.flush()))
}

/// The rows of a table as objects by column; a blank cell is null.
fn json_lines(table: &[u8], out: &mut impl Write) -> std::io::Result<()> {
    let mut reader = csv::Reader::from_reader(table);
    let header = reader.headers()?.clone();
    for row in reader.records() {
        let row = row?;
        let value = |cell: &str| if cell.is_empty() { serde_json::Value::Null } else { cell.into() };
        let object: serde_json::Map<_, _> =
            header.iter().zip(row.iter()).map(|(column, cell)| (column.to_owned(), value(cell))).collect();
        serde_json::to_writer(&mut *out, &object)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
