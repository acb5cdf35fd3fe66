//! The command itself: read, normalise, match, write, and say how long each took.

use std::path::{Path, PathBuf};

use muster::formats::matcher_xml::FILE_BYTES_MAX;
use muster::matching::explain_record::normalised;
use muster::matching::file_rows::{BINDINGS, DEVICES, RECORDS};
use muster::matching::matchers::FileRole;
use muster::matching::{
    Forbidden, How, ImportReport, KeyedTable, Keys, MatchedSets, Matchers, Outcome, PlaceholderCounts, Placeholders,
    Plan, RawRows, Rows, Stored, Table, TableDevices, Tie, explain_pair, explain_record, phase1, phase2, sentences,
    standard_matchers,
};
use serde_json::json;

use super::reading::read_table;
use super::report;
use super::writing::{write_merged, write_outcome, write_report, write_sets};
use crate::command::{Failure, print_line, read_text};
use crate::errors::Chain;
use crate::laps::{Laps, peak_rss_bytes};
use crate::operator::{ServerUrl, dry_run};

/// Options of `muster match`.
#[derive(Clone, Debug, clap::Args)]
pub struct MatchArgs {
    /// Records: CSV, or NDJSON when the name ends with .ndjson
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    records: Option<PathBuf>,
    /// Matchers; by default the 21 standard ones
    #[arg(long, value_name = "FILE")]
    matchers: Option<PathBuf>,
    /// Matchers of your own, merged into the others by their Order
    #[arg(long, value_name = "FILE")]
    custom: Option<PathBuf>,
    /// Stored devices, to align the sets with them
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
    /// Records that are bound to the stored devices
    #[arg(long, value_name = "FILE", requires = "devices")]
    bindings: Option<PathBuf>,
    /// Write the sets here, with --devices what becomes of each; by default to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the merged values of each set here
    #[arg(long, value_name = "FILE")]
    merge_out: Option<PathBuf>,
    /// Source whose values win
    #[arg(long, value_name = "SOURCE")]
    primary: Option<String>,
    /// Tell why this record is in its set, or alone
    #[arg(long, value_name = "RECORD_ID")]
    explain: Option<u64>,
    /// With --explain: tell why the two records are one device, or not
    #[arg(long = "with", value_name = "RECORD_ID", requires = "explain")]
    explain_with: Option<u64>,
    /// Threads; by default one for each processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print a line of JSON on stderr: records, sets, seconds of each step, peak memory
    #[arg(long)]
    timing: bool,
    /// Write what the import did here, as JSON: sets of each Matcher, conflicts, placeholders, multi-hits
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Ask a server what the Matchers of --custom would do to its stored records; nothing is written
    #[arg(long, requires = "custom", conflicts_with_all = NOT_OF_DRY_RUN)]
    dry_run: bool,
    /// With --dry-run: operator address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", requires = "dry_run")]
    server: ServerUrl,
    /// With --dry-run: the tenant whose records it is about; by default the server's own
    #[arg(short, long, value_name = "TENANT", requires = "dry_run")]
    tenant: Option<String>,
    /// With --dry-run: print the answer as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

/// Options that speak of files, which a dry run has none of.
const NOT_OF_DRY_RUN: [&str; 11] = [
    "records",
    "matchers",
    "devices",
    "bindings",
    "out",
    "merge_out",
    "primary",
    "explain",
    "threads",
    "timing",
    "report",
];

/// Runs the command.
pub fn run(args: &MatchArgs) -> Result<(), Failure> {
    let (Some(path), false) = (&args.records, args.dry_run) else {
        let custom = args.custom.as_deref().unwrap_or(Path::new(""));
        return dry_run::run(custom, &args.server, args.tenant.as_deref(), args.json);
    };
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| Failure::work(&error))?;
    pool.install(|| match_files(args, path))
}

fn match_files(args: &MatchArgs, path: &Path) -> Result<(), Failure> {
    check_outputs(args, path)?;
    let mut clock = Laps::default();
    let matchers = matchers(args)?;
    let plan = Plan::new(&matchers);
    let table = |path: &Path, form| read_table(path, form).map_err(|error| Failure::usage(&error));
    let records = table(path, &RECORDS)?;
    let devices = args.devices.as_deref().map(|path| table(path, &DEVICES)).transpose()?;
    let bindings = args.bindings.as_deref().map(|path| table(path, &BINDINGS)).transpose()?;
    let (placeholders, forbidden) = (Placeholders::default(), Forbidden::default());
    let read_s = clock.lap();
    let keys = Keys::new(&plan, &records, &placeholders);
    let device_keys = devices.as_ref().map(|devices| Keys::new(&plan, devices, &placeholders));
    let normalise_s = clock.lap();
    let rows = KeyedTable { table: &records, keys: &keys };
    let sets = phase1(&plan, &rows, &keys, &forbidden);
    let none = Table::default();
    let outcome = match (&devices, &device_keys) {
        (Some(devices), Some(device_keys)) => {
            let keyed = KeyedTable { table: devices, keys: device_keys };
            let bound = bindings.as_ref().unwrap_or(&none);
            let stored = TableDevices::new(keyed, bound).map_err(|device| unknown_device(args, device))?;
            let stored = Stored { devices: &stored, keys: device_keys };
            Some(phase2(&plan, &rows, &keys, &sets, stored, &forbidden))
        }
        _ => None,
    };
    let match_s = clock.lap();
    write(args, &rows, &sets, outcome.as_ref())?;
    let write_s = clock.lap();
    if let Some(path) = &args.report {
        let counts = PlaceholderCounts::of(&records, &placeholders);
        let report = report::json(&ImportReport::new(&matchers, &sets, outcome.as_ref(), &counts));
        write_report(path, &report).map_err(|error| Failure::work(&error))?;
    }
    if let Some(record_id) = args.explain {
        let of = |id| records.row_of(id).ok_or_else(|| no_record(path, id));
        let (row, other) = (of(record_id)?, args.explain_with.map(of).transpose()?);
        let lines = match other {
            None => {
                let explanation = explain_record(&matchers, &plan, &rows, &keys, &sets, &forbidden, row);
                sentences::of_record(&explanation)
            }
            Some(other) => pair(&matchers, &rows, &sets, outcome.as_ref(), row, other),
        };
        let alignment = outcome.as_ref().map(|outcome| outcome.sets[sets.set_of()[row] as usize]);
        let device = alignment.map(|alignment| sentences::of_alignment(record_id, &alignment));
        for line in lines.into_iter().chain(device) {
            print_line(&line).map_err(|error| Failure::work(&error))?;
        }
    }
    if args.timing {
        let line = json!({
            "records": RawRows::count(&records), "sets": sets.count(),
            "read_s": read_s, "normalise_s": normalise_s, "match_s": match_s, "write_s": write_s,
            "peak_rss_bytes": peak_rss_bytes(),
        });
        eprintln!("{line}");
    }
    Ok(())
}

/// No file is written over another one that this run reads or writes.
fn check_outputs(args: &MatchArgs, records: &Path) -> Result<(), Failure> {
    let inputs = [Some(records), args.devices.as_deref(), args.bindings.as_deref()];
    let inputs = inputs.into_iter().flatten().map(|path| ("an input", path));
    let outputs = [("--out", &args.out), ("--merge-out", &args.merge_out), ("--report", &args.report)];
    let outputs = outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    let mut seen: Vec<(&str, PathBuf)> = Vec::new();
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    seen.extend(inputs.map(|(what, path)| (what, whole(path))));
    for (option, path) in outputs {
        let own = whole(path);
        // Whoever writes to a device twice wants that.
        let is_file = std::fs::metadata(&own).map_or(true, |known| known.is_file());
        if let Some((what, _)) = seen.iter().find(|(_, known)| is_file && *known == own) {
            let text = format!("{option} `{}` is {what} as well: name another file", path.display());
            return Err(Failure { text, exit: 2 });
        }
        seen.push((option, own));
    }
    Ok(())
}

fn matchers(args: &MatchArgs) -> Result<Matchers, Failure> {
    let text = |path: &PathBuf| {
        read_text(path, FILE_BYTES_MAX as u64).map_err(|error| Failure {
            text: format!("cannot read the Matchers `{}`: {error}", path.display()),
            exit: 2,
        })
    };
    let standard = args.matchers.as_ref().map(text).transpose()?;
    let custom = args.custom.as_ref().map(text).transpose()?;
    let standard = standard.as_deref().unwrap_or_else(|| standard_matchers());
    Matchers::load(standard, custom.as_deref()).map_err(|error| {
        let path = match error.role() {
            FileRole::Standard => &args.matchers,
            FileRole::Custom => &args.custom,
        };
        let file = path.as_deref().map_or("built in".into(), |path| path.display().to_string());
        Failure { text: format!("`{file}`: {}", Chain(&error)), exit: 2 }
    })
}

fn write(args: &MatchArgs, rows: &dyn Rows, sets: &MatchedSets, outcome: Option<&Outcome>) -> Result<(), Failure> {
    let failed = |error| Failure::work(&error);
    // An explanation is what was asked for; the table goes where it was sent, and nowhere else.
    if args.out.is_some() || args.explain.is_none() {
        match outcome {
            Some(outcome) => write_outcome(args.out.as_deref(), outcome).map_err(failed)?,
            None => write_sets(args.out.as_deref(), rows, sets).map_err(failed)?,
        }
    }
    match &args.merge_out {
        Some(path) => write_merged(path, rows, sets, outcome, args.primary.as_deref()).map_err(failed),
        None => Ok(()),
    }
}

/// Why two records are one device, or not.
fn pair(
    matchers: &Matchers,
    rows: &dyn Rows,
    sets: &MatchedSets,
    outcome: Option<&Outcome>,
    first: usize,
    second: usize,
) -> Vec<String> {
    let set_of = sets.set_of();
    let own = [first, second].map(|row| set_of[row] as usize);
    let tie = match outcome.map(|outcome| own.map(|set| outcome.sets[set])) {
        _ if own[0] == own[1] => Tie::One([sets.get(own[0]).matcher; 2]),
        // Two sets that are one device: each came to it by itself.
        Some(aligned) if aligned[0].device.is_some() && aligned[0].device == aligned[1].device => {
            Tie::One(aligned.map(|aligned| match aligned.how {
                How::Matcher(order) => Some(order),
                How::Binding | How::New => None,
            }))
        }
        _ => Tie::Apart,
    };
    let explanation = explain_pair(matchers, tie, &normalised(rows, first), &normalised(rows, second));
    sentences::of_pair([first, second].map(|row| rows.record_id(row)), &explanation)
}

fn no_record(path: &Path, record_id: u64) -> Failure {
    let file = path.display();
    Failure { text: format!("`{file}` has no record {record_id}: give a record_id that stands there"), exit: 2 }
}

fn unknown_device(args: &MatchArgs, device: u64) -> Failure {
    let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default().display().to_string();
    let (bindings, devices) = (file(&args.bindings), file(&args.devices));
    Failure {
        text: format!("`{bindings}` names device {device}, which `{devices}` does not have: give both of one time"),
        exit: 2,
    }
}
