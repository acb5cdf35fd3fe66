//! `muster import`: hands third-party inventory to a beacon or a server, and waits until it has custody.

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
use muster::model::package::{Kind, Stream};
use muster::roles::server::is_source_name;
use muster::upload::answer::{Answer, STRANGE_HINT, Verdict, verdict};

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
    /// Inventory files: `.ndi`, or `.ndi.gz` as it is
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What they hold
    #[arg(long, value_enum)]
    kind: ImportKind,
    /// The inventory source that they come from, as devices name it
    #[arg(long, value_name = "NAME", default_value = "third-party")]
    source: String,
    /// Base address of the upload listener of a beacon or of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7080")]
    server: String,
    /// Accept that the files travel in plain beyond this host
    #[arg(long)]
    allow_plain: bool,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportKind {
    /// Inventory of machines that another tool took stock of.
    Inventory,
}

/// Sends the files one after the other; all of them are tried.
pub fn run(args: ImportArgs) -> Result<(), Failure> {
    let ImportKind::Inventory = args.kind;
    let usage = |text: String| Failure { text, exit: 2 };
    let server = base_address_of(&args.server, args.allow_plain, "give `--allow-plain`")
        .map_err(|problem| usage(format!("--server: {problem}")))?;
    if !is_source_name(&args.source) {
        let text = format!(
            "--source `{}`: write 1 to 100 letters, digits, `-`, `_`, `.` or blanks, and not `agent`",
            args.source
        );
        return Err(usage(text));
    }
    // All are looked at before the first is sent: whoever mends one runs the same command again.
    let names = args.files.iter().map(|file| upload_name(file)).collect::<Result<Vec<String>, Failure>>()?;
    let work = |text: String| Failure { text, exit: 1 };
    let checked = args.files.iter().map(|file| checked(file).map_err(|why| format!("`{}`: {why}", file.display())));
    let wrong: Vec<String> = checked.filter_map(Result::err).collect();
    if !wrong.is_empty() {
        return Err(work(format!("{}; nothing is sent", wrong.join("; "))));
    }
    in_system(async {
        let client = UploadClient::new().map_err(|error| Failure::work(&error))?;
        let mut failed = Vec::new();
        for (file, name) in args.files.iter().zip(&names) {
            match send(&client, &server, &args.source, file, name).await {
                Ok(line) => println!("{line}"),
                Err(why) => failed.push(format!("`{}`: {why}", file.display())),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(work(failed.join("; "))) }
    })
}

/// The name under which `file` is uploaded.
fn upload_name(file: &Path) -> Result<String, Failure> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(".ndi.gz") {
        Ok(name.to_owned())
    } else if lower.ends_with(".ndi") {
        Ok(format!("{name}.gz"))
    } else {
        let text = format!("`{}` is no inventory file: its name has to end in .ndi or .ndi.gz", file.display());
        Err(Failure { text, exit: 2 })
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
async fn send(client: &UploadClient, server: &str, source: &str, file: &Path, name: &str) -> Result<String, String> {
    let path = file.to_owned();
    let body = tokio::task::spawn_blocking(move || read(&path)).await.map_err(|error| error.to_string())??;
    let (body, kind) = (Bytes::from(body), Kind::IntermediateData);
    let (digest, size) = (Digest::of(&body), body.len() as u64);
    let headers = [
        (header::STREAM, escape_header(Stream::new(kind, source, "Full").as_str())),
        (header::SHA256, digest.to_string()),
    ];
    let mut tries = 0;
    loop {
        let answer = client.put(&format!("{server}/ManageSoftRL"), kind.as_str(), name, &headers, body.clone()).await;
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
