//! `muster tenants`: the tenants of a running server, their groups and beacons.

use std::io::Write;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, ServerUrl};
use super::command::{Asking, Rows, list_of};
use super::output::{Ended, json as print_json, text, time};

/// Options of `muster tenants`.
#[derive(Clone, Debug, clap::Args)]
pub struct TenantsArgs {
    /// Operator address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    server: ServerUrl,
    /// Print JSON: lists an item a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: TenantsCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TenantsCommand {
    /// List tenants
    List(Rows),
    /// Register a tenant, or change its group and beacons; nothing of one is ever removed by that
    Add {
        /// Its name: 1 to 40 letters, digits, `-` or `_`
        #[arg(value_name = "TENANT")]
        name: String,
        /// Tenants whose business data is kept together; `default` for a new one
        #[arg(short, long, value_name = "GROUP")]
        group: Option<String>,
        /// A beacon of it, as `muster beacons` lists them: what comes by it first is the tenant's from now on. Can be repeated
        #[arg(long = "beacon", value_name = "GUID")]
        beacons: Vec<String>,
        /// A beacon that is not its any more. Can be repeated
        #[arg(long = "without-beacon", value_name = "GUID")]
        without: Vec<String>,
    },
}

/// Columns of `muster tenants list`.
const HEAD: [&str; 4] = ["TENANT", "GROUP", "SINCE", "BEACONS"];

/// Asks and prints.
pub(super) async fn tenants(args: TenantsArgs, out: &mut impl Write) -> Result<(), Ended> {
    let client = Client::new(&args.server)?;
    match args.command {
        TenantsCommand::List(rows) => {
            let asking = Asking { server: args.server, json: args.json, tenant: None };
            list_of(&client, &asking, "tenants", &rows, &rows.query([]), (&HEAD, row), out).await
        }
        TenantsCommand::Add { name, group, beacons, without } => {
            let body = json!({ "tenant": name, "group": group, "beacons": beacons, "without_beacons": without });
            let done = client.post(&["tenants"], &body).await?;
            if args.json {
                return print_json(out, &done);
            }
            let count = done["beacons"].as_array().map_or(0, Vec::len);
            Ok(writeln!(out, "tenant {} of group {}, {count} beacons", text(&done["tenant"]), text(&done["group"]))?)
        }
    }
}

fn row(tenant: &Value) -> Vec<String> {
    let beacons = tenant["beacons"].as_array().into_iter().flatten().map(text).collect::<Vec<String>>().join(" ");
    let since = if tenant["own"] == true { "the server's own".to_owned() } else { time(&tenant["since"]) };
    vec![text(&tenant["tenant"]), text(&tenant["group"]), since, beacons]
}
