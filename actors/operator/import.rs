//! `muster import`: hands third-party inventory or business files to a beacon or a server, and waits until it has
//! custody.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use muster::config::address::base_address_of;
use muster::formats::gzip::{self, Inflate};
use muster::formats::ndi::{NdiError, read_ndi_gz};
use muster::formats::wire::{BODY_BYTES_MAX, escape_header, header};
use muster::formats::xml::XmlError;
use muster::id::Digest;
use muster::model::business::BusinessKind;
use muster::model::package::{Kind, Stream};
use muster::roles::server::is_source_name;
use muster::time::Timestamp;
use muster::upload::answer::{Answer, STRANGE_HINT, Verdict, verdict};

use super::client::{Client, ServerUrl};
use crate::business_file as business;
use crate::clock::{Clock, WallClock};
use crate::command::{Failure, in_system};
use crate::errors::Chain;
use crate::upload_client::UploadClient;

/// Most bytes of a file that is not compressed yet.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Tries of one file.
const TRIES_MAX: u32 = 5;
/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Options of `muster import`.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// Inventory files: `.ndi`, or `.ndi.gz` as it is; contracts, purchases or entitlements: one file `.csv` or `.csv.gz`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What they hold
    #[arg(long, value_enum)]
    kind: ImportKind,
    /// The source that they come from, as devices and rows name it; a business file replaces the one before of its source
    #[arg(long, value_name = "NAME", default_value = "third-party")]
    source: String,
    /// How the columns of a business file are called and spelled: a TOML file such as `config/imports/purchases.toml`
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Send the good rows of a business file that has bad ones too
    #[arg(long)]
    good_rows: bool,
    /// Base address of the upload listener of a beacon or of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7080")]
    server: String,
    /// The tenant whose files they are; by default that of the beacon or server they are handed to
    #[arg(short, long, value_name = "TENANT")]
    tenant: Option<String>,
    /// With --tenant: operator address of the server, which is asked for a beacon of the tenant
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", requires = "tenant")]
    operator: ServerUrl,
    /// Accept that the files travel in plain beyond this host
    #[arg(long)]
    allow_plain: bool,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportKind {
    /// Inventory of machines that another tool took stock of.
    Inventory,
    /// Contracts of the business.
    Contracts,
    /// Lines of purchase orders of the business.
    Purchases,
    /// What the business may use of its licences.
    Entitlements,
}

/// A file that may leave.
struct Outgoing {
    file: PathBuf,
    /// The name under which it is uploaded.
    name: String,
    stream: Stream,
    /// Its bytes when they are ready; else they are read when it is its turn.
    body: Option<Bytes>,
    collected_at: Option<Timestamp>,
}

fn usage(text: impl Into<String>) -> Failure {
    Failure { text: text.into(), exit: 2 }
}

fn work(text: impl Into<String>) -> Failure {
    Failure { text: text.into(), exit: 1 }
}

/// Sends the files one after the other; all of them are tried.
pub fn run(args: ImportArgs) -> Result<(), Failure> {
    let server = base_address_of(&args.server, args.allow_plain, "give `--allow-plain`")
        .map_err(|problem| usage(format!("--server: {problem}")))?;
    let outgoing = outgoing(&args)?;
    in_system(async {
        let client = UploadClient::new().map_err(|error| Failure::work(&error))?;
        let place = match &args.tenant {
            None => Place { base: format!("{server}/ManageSoftRL"), folder: Kind::IntermediateData.as_str() },
            Some(tenant) => {
                let beacon = beacon_of(&args.operator, tenant).await?;
                Place { base: format!("{server}/inventory-beacons/{beacon}"), folder: "intermediate" }
            }
        };
        let mut failed = Vec::new();
        for one in outgoing {
            let file = one.file.clone();
            match send(&client, &server, &place, one).await {
                Ok(line) => println!("{line}"),
                Err(why) => failed.push(format!("`{}`: {why}", file.display())),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(work(failed.join("; "))) }
    })
}

/// Where files are put.
struct Place {
    base: String,
    folder: &'static str,
}

/// A beacon that is registered for the tenant: whose a file is, its beacon says.
async fn beacon_of(operator: &ServerUrl, tenant: &str) -> Result<String, Failure> {
    let query = [("filter", format!("tenant=\"{}\"", tenant.replace('"', "")))];
    let list = Client::new(operator)?.get(&["tenants"], &query).await?;
    // Filters do not look at capital letters.
    let Some(found) = list["items"].as_array().into_iter().flatten().find(|item| item["tenant"] == tenant) else {
        return Err(usage(format!("--tenant: {operator} knows no tenant `{tenant}`, see `muster tenants list`")));
    };
    match found["beacons"][0].as_str() {
        Some(beacon) => Ok(beacon.to_owned()),
        None => Err(usage(format!(
            "--tenant: no beacon is registered for tenant `{tenant}`, which would say that the file is its: register one \
             (`muster tenants add {tenant} --beacon GUID`), or take the file from the server's disk \
             (`muster batch run BusinessAdapterImport -t {tenant}`)"
        ))),
    }
}

/// All are looked at before the first is sent: whoever mends one runs the same command again.
fn outgoing(args: &ImportArgs) -> Result<Vec<Outgoing>, Failure> {
    if !is_source_name(&args.source) {
        let text = format!(
            "--source `{}`: write 1 to 100 letters, digits, `-`, `_`, `.` or blanks, and not `agent`",
            args.source
        );
        return Err(usage(text));
    }
    match args.kind {
        ImportKind::Inventory => inventories(args),
        ImportKind::Contracts => business_file(args, BusinessKind::Contracts),
        ImportKind::Purchases => business_file(args, BusinessKind::Purchases),
        ImportKind::Entitlements => business_file(args, BusinessKind::Entitlements),
    }
}

fn inventories(args: &ImportArgs) -> Result<Vec<Outgoing>, Failure> {
    if args.map.is_some() || args.good_rows {
        return Err(usage(
            "--map and --good-rows are for --kind contracts, purchases and entitlements: leave them out",
        ));
    }
    let stream = Stream::new(Kind::IntermediateData, &args.source, "Full");
    let one = |file: &PathBuf| {
        let name = upload_name(file, ".ndi", "inventory")?;
        Ok(Outgoing { file: file.clone(), name, stream: stream.clone(), body: None, collected_at: None })
    };
    let outgoing = args.files.iter().map(one).collect::<Result<Vec<Outgoing>, Failure>>()?;
    let checked = args.files.iter().map(|file| checked(file).map_err(|why| format!("`{}`: {why}", file.display())));
    let wrong: Vec<String> = checked.filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(outgoing) } else { Err(work(format!("{}; nothing is sent", wrong.join("; ")))) }
}

fn business_file(args: &ImportArgs, kind: BusinessKind) -> Result<Vec<Outgoing>, Failure> {
    let [file] = &args.files[..] else {
        // The second would replace the first.
        return Err(usage(format!(
            "{} files: one file is all {kind} of its source: join them, or send each with a --source of its own",
            args.files.len()
        )));
    };
    let name = upload_name(file, ".csv", "business")?;
    let spelling = business::spelling(args.map.as_deref(), kind)?;
    let now = WallClock.now();
    let shown = file.display();
    let prepared = business::prepare(file, kind, spelling, now)
        .map_err(|why| work(format!("`{shown}`: {why}; nothing is sent")))?;
    let (rows, bad) = (prepared.rows, prepared.bad.count);
    prepared.bad.lines(file).iter().for_each(|line| eprintln!("{line}"));
    let all = rows + bad;
    match bad {
        0 if rows == 0 => {
            eprintln!("muster: `{shown}` has no rows: nothing of {kind} from `{}` stays in force", args.source);
        }
        0 => {}
        _ if rows == 0 => return Err(work(format!("`{shown}`: none of its {all} rows is good, nothing is sent"))),
        _ if args.good_rows => eprintln!("muster: `{shown}`: {bad} of {all} rows are bad, the other {rows} are sent"),
        _ => {
            return Err(work(format!(
                "`{shown}`: {bad} of {all} rows are bad, nothing is sent: mend them, or give --good-rows to send the other {rows}"
            )));
        }
    }
    let stream = Stream::new(Kind::IntermediateData, &args.source, kind.as_str());
    Ok(vec![Outgoing { file: file.clone(), name, stream, body: Some(prepared.body), collected_at: Some(now) }])
}

/// The name under which `file` is uploaded; it ends in `ending`, or in that and `.gz`.
fn upload_name(file: &Path, ending: &str, what: &str) -> Result<String, Failure> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(&format!("{ending}.gz")) {
        Ok(name.to_owned())
    } else if lower.ends_with(ending) {
        Ok(format!("{name}.gz"))
    } else {
        let shown = file.display();
        Err(usage(format!("`{shown}` is no {what} file: its name has to end in {ending} or {ending}.gz")))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let size = std::fs::metadata(file).map_err(cannot)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("has {size} bytes, at most {FILE_BYTES_MAX} are sent"));
    }
    let bytes = std::fs::read(file).map_err(cannot)?;
    let is_compressed = bytes.starts_with(&[0x1f, 0x8b]);
    let body = if is_compressed { bytes } else { gzip::compress(&bytes) };
    if body.len() as u64 > BODY_BYTES_MAX {
        return Err(format!("has {} bytes compressed, at most {BODY_BYTES_MAX} are taken", body.len()));
    }
    Ok(body)
}

/// Reads a file as the server will, so that what is no inventory never leaves.
fn checked(file: &Path) -> Result<(), String> {
    let body = read(file)?;
    let Err(error) = read_ndi_gz(body.as_slice()) else { return Ok(()) };
    let line = place(&error).and_then(|at| line_at(&body, at));
    let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    Err(format!("{line}{}: mend it, or leave it out", Chain(&error)))
}

/// The byte of the document that an error blames.
fn place(error: &NdiError) -> Option<u64> {
    match error {
        NdiError::Xml(XmlError::Malformed { at, .. } | XmlError::Token { at }) => Some(*at),
        _ => None,
    }
}

/// The line of byte `at`, from 1. `None` where bytes are not counted as the reader does: in UTF-16.
fn line_at(body: &[u8], at: u64) -> Option<u64> {
    let mut before = Vec::new();
    // As much as could be inflated was read before.
    Inflate::new(body).take(at).read_to_end(&mut before).ok()?;
    let is_utf_16 = before.starts_with(&[0xff, 0xfe]) || before.starts_with(&[0xfe, 0xff]);
    (!is_utf_16).then(|| before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1)
}

/// Sends one file until it is taken, and says what became of it.
async fn send(client: &UploadClient, server: &str, place: &Place, outgoing: Outgoing) -> Result<String, String> {
    let Outgoing { file, name, stream, body, collected_at } = outgoing;
    let body = match body {
        Some(body) => body,
        None => {
            let path = file.clone();
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            Bytes::from(read.map_err(|error| error.to_string())??)
        }
    };
    let (digest, size) = (Digest::of(&body), body.len() as u64);
    let mut headers = vec![(header::STREAM, escape_header(stream.as_str())), (header::SHA256, digest.to_string())];
    headers.extend(collected_at.map(|at| (header::COLLECTED_AT, at.to_rfc3339())));
    let mut tries = 0;
    loop {
        let answer = client.put(&place.base, place.folder, &name, &headers, body.clone()).await;
        tries += 1;
        if answer.is_strange() {
            return Err(format!("{server} {answer}: {STRANGE_HINT} --server takes that, port 7080 or 7081 by default"));
        }
        let wait_ms = match verdict(&answer, digest, size) {
            Verdict::Delivered => {
                let state = match &answer {
                    Answer::Status { receipt: Some(receipt), .. } => {
                        format!("{:?}", receipt.state).to_ascii_lowercase()
                    }
                    _ => String::new(),
                };
                return Ok(format!("{} {digest} {state}", file.display()));
            }
            Verdict::Later { retry_after_ms, .. } if tries < TRIES_MAX => retry_after_ms.unwrap_or(1_000 << tries),
            _ => return Err(what(server, &answer)),
        };
        eprintln!("muster: {}, trying again ({} of {TRIES_MAX})", what(server, &answer), tries + 1);
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(WAIT_MAX);
        tokio::time::sleep(wait).await;
    }
}

fn what(server: &str, answer: &Answer) -> String {
    match answer {
        Answer::Nothing(why) => format!("no answer from {server} ({why})"),
        answer => format!("{server} {answer}"),
    }
}
