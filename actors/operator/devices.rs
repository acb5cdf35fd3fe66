//! What `muster devices show` prints.

use std::io::Write;

use serde_json::Value;

use super::output::{Ended, json, part, table, text, time, words};

/// Columns of `muster devices list`.
pub const HEAD: [&str; 8] =
    ["ID", "NAME", "OPERATING SYSTEM", "HARDWARE", "SERIAL", "TYPE", "LAST INVENTORY", "RECORDS"];

/// A row of the list.
pub fn row(device: &Value) -> Vec<String> {
    vec![
        text(&device["id"]),
        text(&device["name"]),
        text(&device["os"]),
        words(&[&device["manufacturer"], &device["model"]]),
        text(&device["serial"]),
        text(&device["type"]),
        time(&device["last_inventory"]),
        text(&device["records"]),
    ]
}

/// What waits for the import, so that a machine whose report was taken is not looked for in vain.
pub fn waiting(out: &mut impl Write, summary: &Value) -> Result<(), Ended> {
    match summary["waiting_for_import"].as_u64() {
        // A server of an earlier version says nothing.
        None | Some(0) => Ok(()),
        Some(1) => Ok(writeln!(out, "1 report waits for the import at {} UTC", time(&summary["next_import"]))?),
        Some(many) => Ok(writeln!(out, "{many} reports wait for the import at {} UTC", time(&summary["next_import"]))?),
    }
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

/// What an unmerge did.
pub fn unmerged(out: &mut impl Write, id: u64, done: &Value) -> Result<(), Ended> {
    let (device, pairs) = (text(&done["device"]), done["pairs"].as_u64().unwrap_or_default());
    let pairs =
        if pairs == 1 { "1 pair of records stays".to_owned() } else { format!("{pairs} pairs of records stay") };
    Ok(writeln!(out, "they are device {device} now; {pairs} apart from device {id}, also when they report again")?)
}

/// The whole device.
pub fn show(out: &mut impl Write, device: &Value) -> Result<(), Ended> {
    let name = words(&[&device["name"], &device["domain"]]);
    writeln!(out, "device {} {name}\n", text(&device["id"]))?;
    let values = rows(&device["values"], |value| {
        vec![text(&value["property"]), text(&value["value"]), text(&value["source"]), time(&value["date"])]
    });
    part(out, "Values", &table(&["PROPERTY", "VALUE", "SOURCE", "DATE"], values))?;
    let records = rows(&device["records"], |record| {
        let matcher = if record["matcher"].is_null() { "-".to_owned() } else { text(&record["matcher"]) };
        vec![
            text(&record["record_id"]),
            text(&record["source"]),
            text(&record["external_id"]),
            time(&record["inventory_date"]),
            matcher,
        ]
    });
    part(out, "Records", &table(&["RECORD", "SOURCE", "KEY", "DATE", "MATCHER"], records))?;
    let clones = rows(&device["records"], |record| vec![cloned(record)]).concat();
    clones.iter().filter(|line| !line.is_empty()).try_for_each(|line| writeln!(out, "{line}\n"))?;
    let packages = rows(&device["packages"], |package| {
        let hops = package["hops"].as_array().into_iter().flatten();
        let way: Vec<String> = hops.map(|hop| format!("{} {}", node(hop), time(&hop["received"]))).collect();
        vec![text(&package["digest"]), text(&package["state"]), way.join(", ")]
    });
    part(out, "Packages", &table(&["DIGEST", "STATE", "WAY"], packages))?;
    let applications = rows(&device["applications"], |application| {
        let title = words(&[&application["title"]["name"], &application["title"]["version"]]);
        let name = if application["name"].is_null() { &application["id"] } else { &application["name"] };
        vec![text(name), text(&application["publisher"]), title, text(&application["rule"])]
    });
    part(out, "Applications", &table(&["APPLICATION", "PUBLISHER", "SHOWN BY", "RULE"], applications))?;
    let software = rows(&device["software"], |title| {
        let fields = ["name", "version", "publisher", "evidence", "install_date"];
        fields.iter().map(|field| text(&title[*field])).collect()
    });
    part(out, "Software", &table(&["NAME", "VERSION", "PUBLISHER", "EVIDENCE", "INSTALLED"], software))
}

/// A line for a record by which several machines report, nothing for all others.
fn cloned(record: &Value) -> String {
    let clone = &record["clone"];
    if clone.is_null() {
        return String::new();
    }
    format!(
        "record {} is a clone's: {} machines or more report by it in turn, {} changes so far, the last at {} UTC",
        text(&record["record_id"]),
        text(&clone["machines"]),
        text(&clone["changes"]),
        time(&clone["last_change"])
    )
}

/// The name of a hop's node, or its GUID while nobody knows a name.
pub fn node(hop: &Value) -> String {
    text(if hop["name"].is_null() { &hop["node"] } else { &hop["name"] })
}

/// Prints what changed on a device: a line of JSON each, or a table.
pub fn history(out: &mut impl Write, history: &Value, is_json: bool) -> Result<(), Ended> {
    let items = history["items"].as_array().cloned().unwrap_or_default();
    if is_json {
        return items.iter().try_for_each(|item| json(out, item));
    }
    let row = |item: &Value| {
        let word = |field: &str| text(&item[field]);
        let record = words(&[&item["record"]["source"], &item["record"]["external_id"]]);
        let other = if item["device"].is_null() { String::new() } else { format!("device {}", word("device")) };
        let to = [word("to"), record, other].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        vec![time(&item["at"]), word("change"), word("property"), word("from"), to, word("source")]
    };
    if items.is_empty() {
        return Ok(writeln!(out, "nothing has changed since the device was first seen")?);
    }
    Ok(writeln!(out, "{}", table(&["AT", "CHANGE", "PROPERTY", "FROM", "TO", "SOURCE"], items.iter().map(row)))?)
}
