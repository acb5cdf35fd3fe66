//! `muster fillers`: values that many machines share, demoted when a person says so.

use std::io::Write;

use clap::Subcommand;
use serde_json::{Value, json};

use super::command::{Asking, Rows, list};
use super::output::{Ended, json as print_json, text};

/// Options of `muster fillers`.
#[derive(Clone, Debug, clap::Args)]
pub struct FillersArgs {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: FillersCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum FillersCommand {
    /// List values that are to name one machine and are given by many, and those that are demoted
    List {
        #[command(flatten)]
        rows: Rows,
        /// Machines that share a value at least
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..), default_value_t = 10)]
        machines: u32,
    },
    /// Take a value for a placeholder from the next import on: it names no machine any more
    Demote {
        /// What the records say; case does not count
        #[arg(value_name = "VALUE")]
        value: String,
    },
    /// Let a demoted value name a machine again
    Restore {
        /// What was demoted
        #[arg(value_name = "VALUE")]
        value: String,
    },
}

/// Columns of `muster fillers list`.
const HEAD: [&str; 5] = ["PROPERTY", "VALUE", "RECORDS", "MACHINES", "DEMOTED"];

/// Asks and prints.
pub(super) async fn fillers(FillersArgs { asking, command }: FillersArgs, out: &mut impl Write) -> Result<(), Ended> {
    let (value, demoted) = match command {
        FillersCommand::List { rows, machines } => {
            let query = rows.query([("machines", &machines.to_string())]);
            return list(&asking, "fillers", &rows, &query, (&HEAD, row), out).await;
        }
        FillersCommand::Demote { value } => (value, true),
        FillersCommand::Restore { value } => (value, false),
    };
    let body = json!({ "value": value, "demoted": demoted });
    let done = asking.client()?.post(&["fillers"], &body).await?;
    if asking.json {
        return print_json(out, &done);
    }
    let (value, is_change) = (text(&done["value"]), done["changed"] == true);
    match (demoted, is_change) {
        (true, true) => writeln!(
            out,
            "`{value}` is a placeholder from the next import on, which takes all records anew. Devices that it has joined stay \
             together: `muster devices unmerge` parts them"
        )?,
        (true, false) => writeln!(out, "`{value}` was a placeholder before")?,
        (false, true) => writeln!(out, "`{value}` names a machine again from the next import on")?,
        (false, false) => writeln!(out, "`{value}` is not demoted")?,
    }
    Ok(())
}

fn row(filler: &Value) -> Vec<String> {
    ["property", "value", "records", "machines", "demoted"].map(|field| text(&filler[field])).into()
}
