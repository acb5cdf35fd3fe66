//! The documents that describe and watch the listener.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fixture::{Fixture, package, report};
use crate::server::api::{DRY_RUN, ROUTES, TASKS, UNMERGE, WHAT_IF, openapi};

fn document() -> Value {
    serde_json::from_str(openapi::DOCUMENT).unwrap()
}

#[test]
fn the_document_describes_every_address_and_no_other() {
    let document = document();
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let others = TASKS.into_iter().chain(["/health", UNMERGE, DRY_RUN, WHAT_IF]);
    let answered: BTreeSet<&str> = ROUTES.iter().map(|(path, _)| *path).chain(others).collect();
    assert_eq!(described, answered);
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn walk<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    walk(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

/// Names of the properties of a schema of the document.
fn properties(document: &Value, schema: &Value) -> BTreeSet<String> {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let own = schema["properties"].as_object().into_iter().flat_map(|object| object.keys().cloned());
    let all = schema["allOf"].as_array().into_iter().flatten();
    own.chain(all.flat_map(|part| properties(document, part))).collect()
}

#[actix::test]
async fn answers_have_the_fields_that_the_document_names() {
    let fixture = Fixture::plain().await;
    let digest = fixture.settle(report(1, 1, &[("MachineID", "M1")], &[("postgresql-15", "15")])).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    fixture.reconciled().await;
    let document = document();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    for (path, _) in ROUTES {
        let described = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let asked = path.replace("licensing/{id}", "licensing/licenses").replace("/changes", "/changes?since=1");
        if described.is_null()
            || path.contains("licenses/")
            || path.contains("settings/")
            || path.contains("tasks/")
            || path == "/api/openapi.json"
        {
            continue;
        }
        let answer = fixture.get(&asked.replace("{id}", "1").replace("{digest}", &digest)).await;
        assert_eq!(keys(&answer), properties(&document, described), "{path}");
        if let Some(item) = answer["items"].get(0) {
            assert_eq!(keys(item), properties(&document, &described["properties"]["items"]["items"]), "{path}");
        }
    }
    fixture.stop().await;
}

#[actix::test]
async fn usage_and_discovery_have_the_fields_that_the_document_names_and_tables_on_the_page() {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &[("postgresql-15", "15")])).await;
    fixture.reconciled().await;
    let page = fixture.text("/devices/1").await;
    let tables = ["<h2>Usage", "<h2>Services", "<h2>Addresses"];
    assert!(tables.iter().all(|table| !page.contains(table)), "nothing to show, no table");
    let usage = br#"<USAGE VERSION="1.00"><MD NAME="h1"/><USAGE USER="kim" DOMAIN="lab" TYPE="WeeklySummary"
        STARTDATE="20250609T000000" GUID="{c2bb5a7e-3f43-4a0e-8c55-3b4a1c7f0d21}">
        <APPUSAGE NAME="postgresql-15" VERSION="15" RUNS="6" RUNTIME="5400" LASTUSED="20250613T164200"/>
        <APPUSAGE NAME="<gone>" RUNS="2"/></USAGE></USAGE>"#;
    let usage = String::from_utf8(usage.to_vec()).unwrap().replace("<gone>", "&lt;gone&gt;");
    let usage = package(1, 1, &muster::formats::gzip::compress(usage.as_bytes())).named("UsageData/u.mmi.gz");
    fixture.settle(usage).await;
    let found =
        br#"<Discovery Version="1" Source="agent" MachineName="h1" DateTime="20250615T031530"><Device Name="h1">
        <Address Type="IPv6" Value="fd00::7"/><Service Type="PostgreSQL" Name="main" Port="5432">
        <Instance Name="sales" Status="READY"/></Service></Device></Discovery>"#;
    let digest = fixture.settle(package(1, 1, found).named("Discovery/d.disco")).await;
    let (device, document) = (fixture.get("/api/v1/devices/1").await, document());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let schemas = &document["components"]["schemas"];
    for (list, schema) in [("usage", "Usage"), ("usage_unmatched", "Usage"), ("discovery", "Discovery")] {
        assert_eq!(device[list].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(keys(&device[list][0]), properties(&document, &schemas[schema]), "{list}");
    }
    for list in ["addresses", "services"] {
        let described = &schemas["Discovery"]["properties"][list]["items"];
        assert_eq!(keys(&device["discovery"][0][list][0]), properties(&document, described), "{list}");
    }
    let line = &device["usage"][0];
    let described = &schemas["Usage"]["properties"]["programs"]["items"];
    assert_eq!(keys(&line["programs"][0]), properties(&document, described));
    assert_eq!(line["programs"][0]["runs"], line["runs"]);
    assert_eq!([&line["from"], &line["last_used"]], ["2025-06-09T00:00:00.000Z", "2025-06-13T16:42:00.000Z"]);
    assert_eq!(
        [&device["discovery"][0]["digest"], &device["discovery"][0]["seen"]],
        [&*digest, "2025-06-15T03:15:30.000Z"]
    );
    let page = fixture.text("/devices/1").await;
    for part in tables.iter().chain(&["kim@lab", "1.5</td>", "fd00::7", "5432", "sales READY", "no report lists it"]) {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<gone>") && page.contains("gone"));
    fixture.stop().await;
}

#[actix::test]
async fn metrics_read_as_prometheus_reads_them_and_say_what_is_there() {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 3, &[], &[])).await;
    fixture.settle(package(2, 1, b"\x1f\x8bnonsense")).await;
    fixture.upload(package(3, 1, &muster::formats::gzip::compress(b"u")).named("VdiAccess/u.xml.gz")).await;
    fixture.until("/api/v1/ledger/summary", |summary| summary["in_custody"] == 1).await;
    let text = fixture.text("/metrics").await;
    let (mut kinds, mut samples) = (BTreeSet::new(), Vec::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&kind) && kinds.insert(name.to_owned()), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(kinds.contains(name.split('{').next().unwrap()), "{line}");
            value.parse::<f64>().unwrap();
            samples.push(line);
        }
    }
    for sample in [
        "muster_packages_held 3",
        "muster_packages_unsettled 1",
        "muster_packages_settled_total{state=\"imported\"} 1",
        "muster_packages_settled_total{state=\"quarantined\"} 1",
        "muster_packages_missing 0",
        "muster_log_full_total{log=\"packages\"} 0",
        "muster_oldest_unsettled_seconds 0",
    ] {
        assert!(samples.contains(&sample), "{sample} in {text}");
    }
    fixture.stop().await;
}

#[actix::test]
async fn health_is_an_empty_yes() {
    let fixture = Fixture::plain().await;
    assert_eq!(fixture.raw(reqwest::Method::GET, "/health").await, (200, String::new()));
    fixture.stop().await;
}
