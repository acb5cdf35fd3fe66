//! `muster licenses`: the licence position of a running server, its working in words, its runs, and the tables that it is
//! made of.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::command::{Asking, Rows, list};
use super::output::{Ended, json as print_json, table, text, time};
use crate::command::Failure;
use crate::errors::Chain;

/// Options of `muster licenses`.
#[derive(Clone, Debug, clap::Args)]
pub struct LicensesArgs {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: LicensesCommand,
}

/// Which run.
#[derive(Clone, Debug, Default, clap::Args)]
struct OfRun {
    /// The run to look at, as `muster licenses runs` lists it; by default the newest
    #[arg(long, value_name = "N")]
    run: Option<u64>,
}

#[derive(Clone, Debug, Subcommand)]
enum LicensesCommand {
    /// List the position of each licence
    List {
        #[command(flatten)]
        rows: Rows,
        #[command(flatten)]
        of: OfRun,
    },
    /// Tell in words what a licence is used for and why that is its status
    Explain {
        /// Id of the licence
        license: String,
        #[command(flatten)]
        of: OfRun,
    },
    /// Tell in words what became of each application of a device, and what each licence said to it
    Device {
        /// Number of the device, or a name that only it has
        device: String,
        /// Only this application
        #[arg(long, value_name = "ID")]
        application: Option<String>,
        #[command(flatten)]
        of: OfRun,
    },
    /// List the runs of the reconcile that are kept
    Runs(Rows),
    /// Tell what changed since an earlier run, and what did it: devices, evidence, purchases, terms
    Changes {
        /// The earlier run; by default the one before
        #[arg(long, value_name = "N")]
        since: Option<u64>,
        /// The later run; by default the newest
        #[arg(long, value_name = "N")]
        run: Option<u64>,
    },
    /// Tell what would change if edits were made; nothing is written. The form: docs/operations/reconciling.md
    WhatIf {
        /// CSV file of edits; devices by their numbers
        file: PathBuf,
    },
    /// Tell what could be saved by another order of licences or other allocations, without touching a machine
    Optimise {
        /// Reconciles that the search may make; by default 100
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
        tries: Option<u32>,
    },
    /// Write a table of a run as CSV: license_result, consumption, assessment, outcomes, unlicensed, warnings, peaks
    Result {
        /// Number of the run
        run: u64,
        /// Name of the table
        table: String,
    },
    /// List the tables that operators keep, with their columns
    Tables,
    /// Write a table that is in force as CSV
    Table {
        /// Name of the table, such as licenses
        table: String,
    },
    /// Put tables in force, all or none; each file is the whole of the table that it is named after
    Import {
        /// CSV files such as licenses.csv, license_applications.csv, entitlements.csv
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

const HEAD: [&str; 8] = ["LICENSE", "NAME", "TYPE", "USED", "OWNED", "LEFT", "STATUS", "WHY"];
const RUNS_HEAD: [&str; 7] = ["RUN", "AT", "DEVICES", "LICENSES", "COMPLIANT", "AT RISK", "UNKNOWN"];

/// Asks and prints.
pub(super) async fn licenses(
    LicensesArgs { asking, command }: LicensesArgs,
    out: &mut impl Write,
) -> Result<(), Ended> {
    match command {
        LicensesCommand::List { rows, of } => {
            let run = of.run.map(|run| run.to_string());
            let query = match &run {
                Some(run) => rows.query([("run", run)]),
                None => rows.query([]),
            };
            list(&asking, "licenses", &rows, &query, (&HEAD, row), out).await
        }
        LicensesCommand::Explain { license, of } => explain(&asking, &license, &of, out).await,
        LicensesCommand::Device { device, application, of } => {
            on_device(&asking, &device, application.as_deref(), &of, out).await
        }
        LicensesCommand::Runs(rows) => {
            list(&asking, "reconciles", &rows, &rows.query([]), (&RUNS_HEAD, run_row), out).await
        }
        LicensesCommand::Result { run, table } => {
            let bytes =
                asking.client()?.get_file(&["reconciles", &run.to_string(), "table"], &[("table", table)]).await?;
            Ok(out.write_all(&bytes)?)
        }
        LicensesCommand::Changes { since, run } => {
            let run = run.map_or("newest".to_owned(), |run| run.to_string());
            let query: Vec<_> = since.map(|since| ("since", since.to_string())).into_iter().collect();
            let told = asking.client()?.get_worked(&["reconciles", &run, "changes"], &query).await?;
            lines(&asking, &told, out)
        }
        LicensesCommand::WhatIf { file } => {
            let cannot = |error: std::io::Error| Failure {
                text: format!("`{}` cannot be read: {}", file.display(), Chain(&error)),
                exit: 2,
            };
            let bytes = std::fs::read(&file).map_err(cannot)?;
            let told = asking.client()?.post_bytes(&["reconciles", "what-if"], "text/csv", bytes.into()).await?;
            for column in told["unknown_columns"].as_array().into_iter().flatten() {
                eprintln!("muster: {}: column `{}` is not known and is ignored", file.display(), text(column));
            }
            lines(&asking, &told, out)
        }
        LicensesCommand::Optimise { tries } => {
            let query: Vec<_> = tries.map(|tries| ("tries", tries.to_string())).into_iter().collect();
            lines(&asking, &asking.client()?.get_worked(&["reconciles", "newest", "savings"], &query).await?, out)
        }
        LicensesCommand::Tables => tables(&asking, out).await,
        LicensesCommand::Table { table } => {
            let bytes = asking.client()?.get_file(&["licensing", &table], &[("form", "csv".to_owned())]).await?;
            Ok(out.write_all(&bytes)?)
        }
        LicensesCommand::Import { files } => import(&asking, &files, out).await,
    }
}

fn row(licence: &Value) -> Vec<String> {
    let left = if licence["available"].is_null() { String::new() } else { text(&licence["available"]) };
    let word = |field: &str| text(&licence[field]);
    vec![
        word("id"),
        word("name"),
        word("metric"),
        word("consumed"),
        word("entitled"),
        left,
        word("status"),
        word("reason"),
    ]
}

fn run_row(run: &Value) -> Vec<String> {
    let word = |field: &str| text(&run[field]);
    vec![
        word("run"),
        time(&run["at"]),
        word("devices"),
        word("licenses"),
        word("compliant"),
        word("at_risk"),
        word("unknown"),
    ]
}

impl OfRun {
    fn query(&self) -> Vec<(&'static str, String)> {
        self.run.map(|run| ("run", run.to_string())).into_iter().collect()
    }
}

/// Prints an answer: its words, or the whole of it.
fn lines(asking: &Asking, told: &Value, out: &mut impl Write) -> Result<(), Ended> {
    if asking.json {
        return print_json(out, told);
    }
    for line in told["lines"].as_array().into_iter().flatten() {
        writeln!(out, "{}", text(line))?;
    }
    Ok(())
}

async fn explain(asking: &Asking, license: &str, of: &OfRun, out: &mut impl Write) -> Result<(), Ended> {
    let client = asking.client()?;
    lines(asking, &client.get_worked(&["licenses", license, "explain"], &of.query()).await?, out)
}

/// The number of the device that an operator names.
async fn number_of_device(client: &Client, named: &str) -> Result<String, Ended> {
    if named.parse::<u64>().is_ok() {
        return Ok(named.to_owned());
    }
    // No name has a quote, and a filter takes none.
    let filter = format!("name=\"{}\"", named.replace('"', " "));
    let found = client.get(&["devices"], &[("filter", filter), ("limit", "2".to_owned())]).await?;
    let items = found["items"].as_array().cloned().unwrap_or_default();
    match &items[..] {
        [device] => Ok(text(&device["id"])),
        [] => {
            Err(Failure { text: format!("no device is called `{named}`, see `muster devices list`"), exit: 1 }.into())
        }
        _ => {
            let text =
                format!("several devices are called `{named}`: name one by its number, see `muster devices list`");
            Err(Failure { text, exit: 1 }.into())
        }
    }
}

async fn on_device(
    asking: &Asking,
    device: &str,
    application: Option<&str>,
    of: &OfRun,
    out: &mut impl Write,
) -> Result<(), Ended> {
    let mut query = of.query();
    query.extend(application.map(|application| ("application", application.to_owned())));
    query.push(("limit", "1000".to_owned()));
    let client = asking.client()?;
    let device = number_of_device(&client, device).await?;
    let told = client.get_worked(&["devices", &device, "licenses"], &query).await?;
    if asking.json {
        return print_json(out, &told);
    }
    writeln!(out, "device {device} `{}`", text(&told["name"]))?;
    for fact in told["facts"].as_array().into_iter().flatten() {
        let date = if fact["inventory_date"].is_null() {
            String::new()
        } else {
            format!(", {}", time(&fact["inventory_date"]))
        };
        let source =
            if fact["source"].is_null() { String::new() } else { format!(" ({}{date})", text(&fact["source"])) };
        writeln!(out, "  {} {}{source}", text(&fact["fact"]), text(&fact["value"]))?;
    }
    let items = told["items"].as_array().cloned().unwrap_or_default();
    for item in &items {
        for line in item["words"].as_array().into_iter().flatten() {
            writeln!(out, "{}", text(line))?;
        }
        if !item["evidence"].is_null() {
            writeln!(out, "  shown by {}", text(&item["evidence"]))?;
        }
    }
    if !told["next"].is_null() {
        writeln!(out, "and more: GET /api/v1/devices/{device}/licenses pages through all {}", text(&told["total"]))?;
    }
    match application {
        Some(application) if items.is_empty() => {
            let text = format!("`{application}` was not installed on device {device} in that run");
            Err(Failure { text, exit: 1 }.into())
        }
        _ => Ok(()),
    }
}

async fn tables(asking: &Asking, out: &mut impl Write) -> Result<(), Ended> {
    let known = asking.client()?.get(&["licensing"], &[]).await?;
    let items = known["items"].as_array().cloned().unwrap_or_default();
    if asking.json {
        return items.iter().try_for_each(|item| print_json(out, item));
    }
    let row = |item: &Value| {
        let columns = item["columns"].as_array().into_iter().flatten().map(text).collect::<Vec<String>>();
        vec![text(&item["table"]), text(&item["rows"]), time(&item["taken"]), columns.join(",")]
    };
    writeln!(out, "{}", table(&["TABLE", "ROWS", "TAKEN", "COLUMNS"], items.iter().map(row)))?;
    Ok(())
}

async fn import(asking: &Asking, files: &[PathBuf], out: &mut impl Write) -> Result<(), Ended> {
    let mut tables = Map::new();
    for path in files {
        let wrong = |problem: String| Failure { text: format!("`{}` {problem}", path.display()), exit: 2 };
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let table: muster::model::folder::LicenceTable = stem.parse().map_err(|()| {
            let names = muster::model::folder::LicenceTable::ALL.map(|table| table.file()).join(", ");
            wrong(format!("is named after no table: rename it to one of {names}"))
        })?;
        let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {}", Chain(&error))))?;
        let content = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8, save it as CSV in UTF-8".into()))?;
        if tables.insert(table.as_str().into(), content.into()).is_some() {
            return Err(wrong(format!("is a second file for the table `{table}`: leave one out")).into());
        }
    }
    let done = asking.client()?.post(&["licensing"], &json!({ "tables": tables })).await?;
    if asking.json {
        return print_json(out, &done);
    }
    for change in done["tables"].as_array().into_iter().flatten() {
        let word = |field: &str| text(&change[field]);
        writeln!(
            out,
            "{}: {} rows, {} added, {} removed",
            word("table"),
            word("rows"),
            word("added"),
            word("removed")
        )?;
    }
    for finding in done["findings"].as_array().into_iter().flatten() {
        writeln!(out, "  look at: {}", text(finding))?;
    }
    writeln!(out, "in force; a reconcile follows in ten seconds, or at once by `muster batch run LicenseReconcile`")?;
    Ok(())
}
