//! `muster devices`, `muster packages`, `muster beacons`, `muster fillers`, `muster imports`, `muster licenses`, `muster batch`,
//! `muster tenants`.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Subcommand;

use super::batch::{BatchArgs, batch};
use super::client::{Client, Query, ServerUrl};
use super::fillers::{FillersArgs, fillers};
use super::licenses::{LicensesArgs, licenses};
use super::output::{Ended, json, table};
use super::tenants::{TenantsArgs, tenants};
use super::{devices, imports, packages};
use crate::command::{Failure, in_system};
use crate::errors::Chain;

/// Rows of a table unless the command line says otherwise.
const ROWS: usize = 1_000;

/// Which server is asked, and how it is printed.
#[derive(Clone, Debug, clap::Args)]
pub struct Asking {
    /// Operator address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    pub(super) server: ServerUrl,
    /// Print JSON: lists an item a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The tenant whose data it is about; by default the server's own. A task to be run needs it where there are several
    #[arg(short, long, value_name = "TENANT", global = true)]
    pub(super) tenant: Option<String>,
}

impl Asking {
    /// Asks the server for the tenant.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.server)?.of_tenant(self.tenant.as_deref()))
    }
}

/// Which rows of a list.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Rows {
    /// Only rows for which all terms hold, such as `name:web os="Debian GNU/Linux 12"` (`:` holds the text, `=` is it)
    #[arg(long, value_name = "TERMS")]
    filter: Option<String>,
    /// Order by this field; with `-` in front descending
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// At most so many rows; by default 1000 in a table, all as JSON
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Options of `muster devices`.
#[derive(Clone, Debug, clap::Args)]
pub struct DevicesArgs {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: DevicesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DevicesCommand {
    /// List devices
    List(Rows),
    /// Show one device: values with their sources, records, packages, software
    Show {
        /// Number of the device
        #[arg(value_parser = device_number)]
        id: u64,
    },
    /// List what changed on a device, the newest first
    History {
        /// Number of the device
        #[arg(value_parser = device_number)]
        id: u64,
    },
    /// Take records out of a device into one of their own, and keep them apart from now on
    Unmerge {
        /// Number of the device
        #[arg(value_parser = device_number)]
        id: u64,
        /// Numbers of the records to take out, as `muster devices show` tells them
        #[arg(required = true, value_name = "RECORD")]
        records: Vec<u64>,
    },
}

/// Options of `muster packages`.
#[derive(Clone, Debug, clap::Args)]
pub struct PackagesArgs {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: PackagesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum PackagesCommand {
    /// List packages that are here or were settled here
    List {
        #[command(flatten)]
        rows: Rows,
        /// Only packages of this agent
        #[arg(long)]
        origin: Option<String>,
        /// Only packages in this state: held, missing, imported, stale, quarantined or expired
        #[arg(long)]
        state: Option<String>,
        /// Only packages of this kind, such as Inventories
        #[arg(long)]
        kind: Option<String>,
    },
    /// Show one package: where it was held and when, how it ended
    Show {
        /// SHA-256 of its bytes, or how it begins: 6 to 64 hexadecimal digits
        #[arg(value_parser = digest_or_beginning)]
        digest: String,
    },
    /// Write the bytes of one package as they came, such as a log that policy asked an agent for
    Body {
        /// SHA-256 of its bytes, or how it begins: 6 to 64 hexadecimal digits
        #[arg(value_parser = digest_or_beginning)]
        digest: String,
        /// Write to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Fewer digits of a digest are a slip.
const DIGEST_DIGITS_MIN: usize = 6;

/// Options of `muster beacons` and `muster imports`.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    rows: Rows,
}

/// A look-up.
#[derive(Clone, Debug)]
pub enum LookUp {
    /// `muster devices`.
    Devices(DevicesArgs),
    /// `muster packages`.
    Packages(PackagesArgs),
    /// `muster beacons`.
    Beacons(ListArgs),
    /// `muster fillers`.
    Fillers(FillersArgs),
    /// `muster licenses`.
    Licenses(LicensesArgs),
    /// `muster imports`.
    Imports(ListArgs),
    /// `muster batch`.
    Batch(BatchArgs),
    /// `muster tenants`.
    Tenants(TenantsArgs),
}

/// Asks and prints.
pub fn run(look_up: LookUp) -> Result<(), Failure> {
    // A write to a closed pipe is an error here, not a signal: it ends the look-up in peace.
    in_system(async { answer(look_up, &mut BufWriter::new(std::io::stdout().lock())).await })
}

/// Asks, and prints on `out`.
pub(super) async fn answer(look_up: LookUp, out: &mut impl Write) -> Result<(), Failure> {
    let answered = match look_up {
        LookUp::Devices(args) => devices(args, out).await,
        LookUp::Packages(args) => packages(args, out).await,
        LookUp::Fillers(args) => fillers(args, out).await,
        LookUp::Licenses(args) => licenses(args, out).await,
        LookUp::Batch(args) => batch(args, out).await,
        LookUp::Tenants(args) => tenants(args, out).await,
        LookUp::Imports(ListArgs { asking, rows }) => {
            list(&asking, "imports", &rows, &rows.query([]), (&imports::HEAD, imports::row), out).await
        }
        LookUp::Beacons(ListArgs { asking, rows }) => {
            let query = rows.query([("sort", "name")]);
            beacons(&asking, &rows, &query, out).await
        }
    };
    match answered.and_then(|()| Ok(out.flush()?)) {
        Ok(()) | Err(Ended::Closed) => Ok(()),
        Err(Ended::Failed(failure)) => Err(failure),
    }
}

async fn beacons(asking: &Asking, rows: &Rows, query: &Query, out: &mut impl Write) -> Result<(), Ended> {
    // Whoever filters is told of what fits; none at all is another matter.
    if !asking.json && rows.filter.is_none() {
        let list = asking.client()?.get(&["beacons"], &[("limit", "1".to_owned())]).await?;
        if list["total"].as_u64() == Some(0) {
            return Ok(writeln!(out, "{}", packages::no_beacon(&list))?);
        }
    }
    list(asking, "beacons", rows, query, (&packages::BEACON_HEAD, packages::beacon), out).await
}

async fn devices(DevicesArgs { asking, command }: DevicesArgs, out: &mut impl Write) -> Result<(), Ended> {
    match command {
        DevicesCommand::List(rows) => {
            list(&asking, "devices", &rows, &rows.query([]), (&devices::HEAD, devices::row), out).await?;
            if asking.json {
                return Ok(());
            }
            // A report that has arrived shows here only after an import, which as a rule is once a day.
            let summary = asking.client()?.get(&["ledger", "summary"], &[]).await?;
            devices::waiting(out, &summary)
        }
        DevicesCommand::Show { id } => {
            let device = asking.client()?.get(&["devices", &id.to_string()], &[]).await?;
            if asking.json { json(out, &device) } else { devices::show(out, &device) }
        }
        DevicesCommand::History { id } => {
            let query = [("limit", "1000".to_owned())];
            let history = asking.client()?.get(&["devices", &id.to_string(), "history"], &query).await?;
            devices::history(out, &history, asking.json)
        }
        DevicesCommand::Unmerge { id, records } => {
            let records: Vec<String> = records.iter().map(u64::to_string).collect();
            let body = serde_json::json!({ "records": records });
            let done = asking.client()?.post(&["devices", &id.to_string(), "unmerge"], &body).await?;
            if asking.json { json(out, &done) } else { devices::unmerged(out, id, &done) }
        }
    }
}

async fn packages(PackagesArgs { asking, command }: PackagesArgs, out: &mut impl Write) -> Result<(), Ended> {
    match command {
        PackagesCommand::List { rows, origin, state, kind } => {
            let mut query = rows.query([]);
            let given = [("origin", origin), ("state", state), ("kind", kind)];
            query.0.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            list(&asking, "packages", &rows, &query, (&packages::HEAD, packages::row), out).await
        }
        PackagesCommand::Show { digest } => {
            let client = asking.client()?;
            let digest = whole_digest(&client, &asking.server, digest).await?;
            let package = client.get(&["packages", &digest], &[]).await?;
            if asking.json { json(out, &package) } else { packages::show(out, &package) }
        }
        PackagesCommand::Body { digest, out: file } => {
            let client = asking.client()?;
            let digest = whole_digest(&client, &asking.server, digest).await?;
            let bytes = client.get_bytes(&["packages", &digest, "body"]).await?;
            let Some(file) = file else { return Ok(out.write_all(&bytes)?) };
            let failed = |error: std::io::Error| Failure {
                text: format!("cannot write the package to `{}` (--out): {}", file.display(), Chain(&error)),
                exit: 1,
            };
            Ok(std::fs::write(&file, &bytes).map_err(failed)?)
        }
    }
}

fn device_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a device is named by its number, see `muster devices list`".to_owned())
}

fn digest_or_beginning(text: &str) -> Result<String, String> {
    let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if (DIGEST_DIGITS_MIN..=64).contains(&text.len()) && is_hexadecimal {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("a digest has 64 hexadecimal digits, its first {DIGEST_DIGITS_MIN} or more are enough"))
}

/// The one digest that begins with `digest`.
async fn whole_digest(client: &Client, server: &ServerUrl, digest: String) -> Result<String, Failure> {
    if digest.len() == 64 {
        return Ok(digest);
    }
    // The filter finds it anywhere; a digest of which it is the beginning is among the first thousand for sure.
    let query = [("filter", format!("digest:{digest}")), ("limit", "1000".to_owned())];
    let list = client.get(&["packages"], &query).await?;
    let digests = list["items"].as_array().into_iter().flatten().filter_map(|item| item["digest"].as_str());
    let mut found: Vec<&str> = digests.filter(|known| known.starts_with(&digest)).collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] => Err(Failure { text: format!("{server} knows no package whose digest begins with {digest}"), exit: 1 }),
        _ => {
            Err(Failure { text: format!("{server} knows several packages whose digests begin with {digest}"), exit: 1 })
        }
    }
}

impl Rows {
    pub(super) fn query<const N: usize>(&self, otherwise: [(&'static str, &str); N]) -> Query {
        let given = [("filter", &self.filter), ("sort", &self.sort)];
        let mut query: Vec<(&'static str, String)> =
            given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        for (name, value) in otherwise {
            if !query.iter().any(|(given, _)| *given == name) {
                query.push((name, value.to_owned()));
            }
        }
        Query(query)
    }
}

/// How a list is printed as a table: its head, and what becomes of an item.
type Columns<'c> = (&'c [&'c str], fn(&serde_json::Value) -> Vec<String>);

pub(super) async fn list(
    asking: &Asking,
    path: &str,
    rows: &Rows,
    query: &Query,
    (head, row): Columns<'_>,
    out: &mut impl Write,
) -> Result<(), Ended> {
    list_of(&asking.client()?, asking, path, rows, query, (head, row), out).await
}

/// The same, asked by a client of the caller's.
pub(super) async fn list_of(
    client: &Client,
    asking: &Asking,
    path: &str,
    rows: &Rows,
    query: &Query,
    (head, row): Columns<'_>,
    out: &mut impl Write,
) -> Result<(), Ended> {
    let limit = rows.limit.map(|limit| limit as usize);
    if asking.json {
        client.each(path, query, limit.unwrap_or(usize::MAX), |item| json(out, &item)).await?;
        return Ok(());
    }
    let mut shown: Vec<Vec<String>> = Vec::new();
    let take = |item: serde_json::Value| -> Result<(), Ended> {
        shown.push(row(&item));
        Ok(())
    };
    let total = client.each(path, query, limit.unwrap_or(ROWS), take).await?;
    let count = shown.len() as u64;
    match table(head, shown) {
        empty if empty.is_empty() => writeln!(out, "no {path}")?,
        table => writeln!(out, "{table}")?,
    }
    if count < total {
        writeln!(out, "{count} of {total} shown: narrow them by --filter, or give --limit")?;
    }
    Ok(())
}
