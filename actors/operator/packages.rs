//! What `muster packages` and `muster beacons` print.

use std::io::Write;

use muster::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use serde_json::Value;

use super::devices::node;
use super::output::{Ended, part, table, text, time};

/// Columns of `muster packages list`.
pub const HEAD: [&str; 8] = ["DIGEST", "STATE", "KIND", "ORIGIN", "BYTES", "RECEIVED", "NAME", "REASON"];

/// A row of the list.
pub fn row(package: &Value) -> Vec<String> {
    vec![
        text(&package["digest"]),
        text(&package["state"]),
        text(&package["kind"]),
        text(&package["origin"]),
        text(&package["size"]),
        time(&package["received"]),
        text(&package["name"]),
        text(&package["reason"]),
    ]
}

/// One package with its way; others of the same bytes below.
pub fn show(out: &mut impl Write, package: &Value) -> Result<(), Ended> {
    one(out, package)?;
    for other in package["others"].as_array().into_iter().flatten() {
        writeln!(out, "The same bytes, of another origin or kind\n")?;
        one(out, other)?;
    }
    Ok(())
}

fn one(out: &mut impl Write, package: &Value) -> Result<(), Ended> {
    let fields = [
        "digest",
        "state",
        "reason",
        "kind",
        "name",
        "origin",
        "stream",
        "size",
        "epoch",
        "sequence",
        "clock",
        "collected_at",
        "first_received",
        "received",
        "settled",
    ];
    let known = fields.iter().filter(|field| !package[**field].is_null());
    let rows = known.map(|field| vec![(*field).to_owned(), text(&package[*field])]);
    part(out, "Package", &table(&[], rows))?;
    let mut before = at(&package["collected_at"]);
    let mut rows = Vec::new();
    for (number, hop) in (1..).zip(package["hops"].as_array().into_iter().flatten()) {
        let received = at(&hop["received"]);
        rows.push(vec![number.to_string(), node(hop), text(&hop["received"]), later(before, received)]);
        before = received;
    }
    if let Some(settled) = at(&package["settled"]) {
        let state = text(&package["state"]);
        rows.push(vec![String::new(), state, text(&package["settled"]), later(before, Some(settled))]);
    }
    part(out, "Way", &table(&["HOP", "NODE", "RECEIVED", "AFTER"], rows))
}

fn at(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(Timestamp::from_rfc3339)
}

/// How much later: clocks of different nodes, so it may be negative.
fn later(before: Option<Timestamp>, after: Option<Timestamp>) -> String {
    let (Some(before), Some(after)) = (before, after) else { return String::new() };
    if after < before { format!("-{}", span(before.ms_since(after))) } else { span(after.ms_since(before)) }
}

/// `2 d 3 h`, `5 min 20 s`, `1.250 s`.
fn span(ms: i64) -> String {
    let (days, hours) = (ms / DAY_MS, ms % DAY_MS / HOUR_MS);
    let (minutes, seconds) = (ms % HOUR_MS / MINUTE_MS, ms % MINUTE_MS / SECOND_MS);
    match ms {
        DAY_MS.. => format!("{days} d {hours} h"),
        HOUR_MS.. => format!("{hours} h {minutes} min"),
        MINUTE_MS.. => format!("{minutes} min {seconds} s"),
        _ => format!("{seconds}.{:03} s", ms % SECOND_MS),
    }
}

/// Said of an empty list: what is known of beacons is heard anew after each start of the server.
pub fn no_beacon(list: &Value) -> String {
    match time(&list["since"]) {
        // A server of an earlier version does not say since when.
        since if since.is_empty() => "no beacons".to_owned(),
        since => format!("no beacon has reported since the server started at {since} UTC; beacons report each minute"),
    }
}

/// Columns of `muster beacons`.
pub const BEACON_HEAD: [&str; 9] =
    ["NAME", "ID", "PARENT IN USE", "LAST SEEN", "WAITING", "SET ASIDE", "POLICY", "FOR AGENTS", "VERSION"];

/// A row of `muster beacons`.
pub fn beacon(beacon: &Value) -> Vec<String> {
    let queues = beacon["queue"].as_object().into_iter().flatten();
    let waiting: Vec<String> = queues
        .filter(|(_, queue)| queue["packages"].as_u64() != Some(0))
        .map(|(kind, queue)| {
            let oldest = span(queue["oldest_ms"].as_i64().unwrap_or(0).max(0));
            let kind = text(&Value::from(kind.as_str()));
            format!("{} {kind}, {} bytes, oldest {oldest}", text(&queue["packages"]), text(&queue["bytes"]))
        })
        .collect();
    let overdue = if beacon["overdue"] == true { "OVERDUE: " } else { "" };
    let silent = if beacon["silent"] == true { " SILENT" } else { "" };
    let site = beacon["site"].as_str().filter(|site| !site.is_empty());
    let site = site.map(|site| format!(" ({})", text(&Value::from(site)))).unwrap_or_default();
    vec![
        text(&beacon["name"]),
        text(&beacon["id"]),
        text(&beacon["parent"]),
        format!("{}{silent}", time(&beacon["last_seen"])),
        if waiting.is_empty() { "-".to_owned() } else { format!("{overdue}{}", waiting.join("; ")) },
        text(&beacon["quarantined"]),
        text(&beacon["policy_revision"]),
        format!("{}{site}", text(&beacon["endpoint"])),
        text(&beacon["version"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        let spans = [0, 1_250, 60_000, 3_600_000, 90_000_000].map(span);
        assert_eq!(spans, ["0.000 s", "1.250 s", "1 min 0 s", "1 h 0 min", "1 d 1 h"]);
        assert_eq!(later(Some(Timestamp(9_000)), Some(Timestamp(1_000))), "-8.000 s");
        assert_eq!(later(None, Some(Timestamp(1))), "");
    }
}
