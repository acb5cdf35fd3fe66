//! `muster match --dry-run`: what a changed file of Matchers would do to what a server has stored.

use std::io::{BufWriter, Write};
use std::path::Path;

use muster::formats::matcher_xml::FILE_BYTES_MAX;
use serde_json::Value;

use super::client::{Client, ServerUrl};
use super::output::{Ended, json, text};
use crate::command::{Failure, in_system, read_text};

/// Asks the server and prints what it says.
pub fn run(custom: &Path, server: &ServerUrl, tenant: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let matchers = read_text(custom, FILE_BYTES_MAX as u64).map_err(|error| Failure {
        text: format!("cannot read the Matchers `{}` (--custom): {error}", custom.display()),
        exit: 2,
    })?;
    let asked = in_system(async move {
        let client = Client::new(server)?.of_tenant(tenant);
        let answer = client.post_bytes(&["matching", "dry-run"], "application/xml", matchers.into()).await;
        answer.map_err(|failure| Failure { text: format!("`{}`: {}", custom.display(), failure.text), ..failure })
    })?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let printed = if as_json { json(&mut out, &asked) } else { show(&mut out, &asked) };
    match printed.and_then(|()| Ok(out.flush()?)) {
        Ok(()) | Err(Ended::Closed) => Ok(()),
        Err(Ended::Failed(failure)) => Err(failure),
    }
}

fn show(out: &mut impl Write, run: &Value) -> Result<(), Ended> {
    writeln!(out, "{} records and {} devices are stored; nothing was written", run["records"], run["devices"])?;
    head(out, &run["merged"], "would take in others", |out, sample| {
        writeln!(out, "  device {} takes in {}", text(&sample["device"]), list(&sample["others"]))?;
        // The first sentence says why; the others tell of the Matchers before.
        reasons(out, sample, 1)
    })?;
    head(out, &run["emptied"], "would stay without records", |out, sample| {
        let (device, into) = (text(&sample["device"]), text(&sample["into"]));
        Ok(writeln!(out, "  device {device}, whose records would be device {into}'s")?)
    })?;
    head(out, &run["split"], "would not be made any more as they are", |out, sample| {
        let parts: Vec<String> = sample["parts"].as_array().into_iter().flatten().map(list).collect();
        let how = match sample["by"].as_str() {
            Some("import") => "the next import parts them",
            _ => "they stay together, because they are bound: `muster devices unmerge` parts them",
        };
        let device = text(&sample["device"]);
        writeln!(out, "  device {device} would be the records {}: {how}", parts.join(" | "))?;
        reasons(out, sample, usize::MAX)
    })?;
    head(out, &run["appeared"], "would be new", |out, sample| {
        Ok(writeln!(out, "  a device of the records {}", list(&sample["records"]))?)
    })
}

/// A line for the count, and its samples.
fn head<W: Write>(
    out: &mut W,
    kind: &Value,
    what: &str,
    mut sample: impl FnMut(&mut W, &Value) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let count = kind["count"].as_u64().unwrap_or(0);
    let samples: Vec<&Value> = kind["samples"].as_array().into_iter().flatten().collect();
    let colon = if samples.is_empty() { "" } else { ":" };
    writeln!(out, "{count} devices {what}{colon}")?;
    samples.iter().try_for_each(|of| sample(out, of))?;
    match count.saturating_sub(samples.len() as u64) {
        0 => Ok(()),
        more => Ok(writeln!(out, "  and {more} more")?),
    }
}

fn reasons(out: &mut impl Write, sample: &Value, most: usize) -> Result<(), Ended> {
    for sentence in sample["sentences"].as_array().into_iter().flatten().take(most) {
        writeln!(out, "    {}", text(sentence))?;
    }
    Ok(())
}

fn list(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(text).collect::<Vec<String>>().join(", ")
}
