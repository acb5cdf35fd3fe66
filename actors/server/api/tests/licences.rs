//! Licences in a server: what a run says of its tables, where purchases come from, and what killed lives left behind.

use serde_json::{Value, json};

use super::fixture::{Fixture, package, report};
use crate::server::business_rows::BusinessRows;
use crate::server::licensing::{FleetReading, Frozen, freeze};
use crate::server::reconciler::when_caught_up;
use muster::formats::gzip;

async fn put(fixture: &Fixture, tables: Value) {
    let (status, answer) = fixture.post("/api/v1/licensing", &json!({ "tables": tables }).to_string()).await;
    assert_eq!(status, 200, "{answer}");
}

async fn newest(fixture: &Fixture) -> Value {
    let run = fixture.get("/api/v1/reconciles/newest").await["run"].as_str().unwrap().to_owned();
    fixture.get(&format!("/api/v1/reconciles/{run}")).await
}

/// One device with PostgreSQL on it.
async fn one_device() -> Fixture {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &[("postgresql-15", "15.6")])).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    fixture
}

/// Code and subject of each warning, ascending.
fn warnings(run: &Value) -> Vec<(String, String)> {
    let word = |one: &Value, field: &str| -> String { one[field].as_str().unwrap().to_owned() };
    run["warning_list"].as_array().unwrap().iter().map(|one| (word(one, "code"), word(one, "subject"))).collect()
}

#[actix::test]
async fn what_is_odd_about_tables_and_fleet_together_is_said_and_costs_nothing_else() {
    let fixture = Fixture::plain().await;
    let software = [("postgresql-15", "15.6")];
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &software)).await;
    let guest = [("MachineID", "M2"), ("VMType", "VMware"), ("HostId", "M1")];
    fixture.settle(report(2, 1, &guest, &software)).await;
    fixture.until_devices("/api/v1/devices", 2).await;
    // The second says that it runs on the first, and the operator that the first runs on it. The second is spoken of by
    // its number and by its name, and nobody has the third.
    let tables = json!({
        "licenses": "license,type\npg,2\n",
        "license_applications": "license,application\npg,postgresql-15\n",
        "entitlements": "license,quantity\npg,5\n",
        "devices": "device,kind,host\nh1,vm,h2\nh3,vm,\n",
        "allocations": "license,device\npg,2\npg,h2\n",
    });
    put(&fixture, tables).await;
    fixture.run_reconcile().await;
    let run = newest(&fixture).await;
    let said = warnings(&run);
    for warning in [
        ("circular_host", "1"),
        ("circular_host", "2"),
        ("repeated_row", "allocations.csv:3"),
        ("unknown_device", "h3"),
    ] {
        assert!(said.contains(&(warning.0.into(), warning.1.into())), "{warning:?} in {said:?}");
    }
    let licence = fixture.get("/api/v1/licenses/pg").await;
    assert_eq!((&licence["consumed"], &licence["status"]), (&json!(2), &json!("Compliant")), "{licence}");
    fixture.stop().await;
}

#[actix::test]
async fn a_purchase_names_the_table_or_the_business_source_that_it_came_from() {
    let fixture = one_device().await;
    let tables = json!({
        "licenses": "license,type\npg,2\n",
        "license_applications": "license,application\npg,postgresql-15\n",
        "entitlements": "license,quantity\npg,1\n",
    });
    put(&fixture, tables).await;
    let text = "license,quantity,expiry\npg,3,2030-01-31\n";
    let name = "IntermediateData/erp%20on%20x%20(Entitlements).csv.gz";
    fixture.settle(package(1, 7, &gzip::compress(text.as_bytes())).named(name)).await;
    fixture.until("/api/v1/entitlements", |list| list["total"] == 1).await;
    fixture.run_reconcile().await;
    let licence = fixture.get("/api/v1/licenses/pg").await;
    assert_eq!((&licence["entitled"], &licence["status"]), (&json!(4), &json!("Compliant")), "{licence}");
    let bought: Vec<(&Value, &Value)> =
        licence["entitlements"].as_array().unwrap().iter().map(|one| (&one["quantity"], &one["source"])).collect();
    assert_eq!(bought, [(&json!("1"), &json!("operator")), (&json!("3"), &json!("erp"))], "{licence}");
    fixture.stop().await;
}

#[actix::test]
async fn folders_that_killed_lives_left_are_gone_after_the_next_run() {
    let fixture = one_device().await;
    fixture.run_reconcile().await;
    let last: u64 = newest(&fixture).await["run"].as_str().unwrap().parse().unwrap();
    let runs = fixture.folder().join("data/reconciles/default");
    // A run that was half written, one that was written and never named, and one that was forgotten and not removed.
    let left = [format!("{}.part", last + 1), (last + 1).to_string(), "0".to_owned()];
    for name in &left {
        std::fs::create_dir_all(runs.join(name)).unwrap();
        std::fs::write(runs.join(name).join("devices.csv.gz"), "of a killed life").unwrap();
    }
    // What is none of the server's stays.
    std::fs::write(runs.join("notes.txt"), "an operator's").unwrap();
    fixture.run_reconcile().await;
    let now: u64 = newest(&fixture).await["run"].as_str().unwrap().parse().unwrap();
    assert!(now > last);
    let names = || std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut named: Vec<String> = (1..=now).map(|run| run.to_string()).chain(["notes.txt".into()]).collect();
    named.sort();
    let mut found: Vec<String> = names().collect();
    found.sort();
    assert_eq!(found, named);
    // The run in the place of the leftovers is whole.
    let device = fixture.get(&format!("/api/v1/devices/1/licenses?run={}", last + 1)).await;
    assert_eq!(device["items"][0]["application"], "postgresql-15", "{device}");
    fixture.stop().await;
}

/// The fleet frozen by what is `known` of it, which has to be what a reading of everything finds.
fn frozen(fixture: &Fixture, known: &mut Option<FleetReading>) -> Frozen {
    let (api, books) = (&fixture.server.api, &fixture.server.books);
    let rows = BusinessRows { books: books.clone(), packages: api.logs.package_index.clone() };
    let (library, now) = (api.files.read().unwrap(), api.clock.now());
    let freeze = |known: &mut Option<FleetReading>| freeze(books, &rows, &library, None, now, known).unwrap();
    let (some, all) = (freeze(known), freeze(&mut None));
    assert_eq!(some.files, all.files);
    assert_eq!((&some.shown_by, &some.titles, some.counts), (&all.shown_by, &all.titles, all.counts));
    assert_eq!((&some.unrecognised, &some.problems), (&all.unrecognised, &all.problems));
    assert_eq!(some.provenance, all.provenance);
    some
}

#[actix::test]
async fn a_reading_of_what_has_changed_finds_what_a_reading_of_everything_does() {
    let fixture = Fixture::plain().await;
    let software = [("postgresql-15", "15.6"), ("home-made", "1")];
    let machine = |agent: u8| format!("M{agent}");
    for agent in 1..=4 {
        fixture.settle(report(agent, 1, &[("MachineID", &machine(agent))], &software)).await;
    }
    fixture.until_devices("/api/v1/devices", 4).await;
    fixture.reconciled().await;
    let mut known = None;
    assert_eq!(frozen(&fixture, &mut known).read_anew, 4, "nothing was known");
    assert_eq!(frozen(&fixture, &mut known).read_anew, 0, "nothing has changed");
    // Other software alone; another figure alone.
    fixture.settle(report(2, 2, &[("MachineID", "M2")], &[("postgresql-15", "15.7"), ("new", "2")])).await;
    fixture.reconciled().await;
    assert_eq!(frozen(&fixture, &mut known).read_anew, 1);
    fixture.settle(report(3, 2, &[("MachineID", "M3"), ("Model", "R-1")], &software)).await;
    fixture.reconciled().await;
    assert_eq!(frozen(&fixture, &mut known).read_anew, 1);
    // A machine that is new; two that turn out to be one; the two taken apart again.
    fixture.settle(report(5, 1, &[("MachineID", "M5"), ("VMType", "VMware"), ("HostId", "M1")], &software)).await;
    fixture.reconciled().await;
    assert_eq!(frozen(&fixture, &mut known).read_anew, 1);
    fixture.settle(report(4, 2, &[("MachineID", "M3")], &software)).await;
    fixture.until("/api/v1/devices", |list| list["items"][2]["records"] == 2).await;
    fixture.reconciled().await;
    assert!(frozen(&fixture, &mut known).read_anew >= 2);
    let (status, answer) = fixture.post("/api/v1/devices/3/unmerge", r#"{"records":["4"]}"#).await;
    assert_eq!(status, 200, "{answer}");
    fixture.until("/api/v1/devices", |list| list["items"][2]["records"] == 1).await;
    frozen(&fixture, &mut known);
    // Use that an agent meters: no change of the device, and read each time.
    let usage = r#"<USAGE VERSION="1.00"><MD NAME="h1"/><USAGE USER="kim" DOMAIN="lab" TYPE="WeeklySummary"
        STARTDATE="20250609T000000" GUID="{c2bb5a7e-3f43-4a0e-8c55-3b4a1c7f0d21}">
        <APPUSAGE NAME="postgresql-15" VERSION="15.6" RUNS="6" RUNTIME="5400" LASTUSED="20250613T164200"/>
        </USAGE></USAGE>"#;
    fixture.settle(package(1, 8, &gzip::compress(usage.as_bytes())).named("UsageData/u.mmi.gz")).await;
    let devices = frozen(&fixture, &mut known).files["devices.csv"].clone();
    assert!(String::from_utf8(devices).unwrap().contains("lab\\kim"), "the agent's user stands in the table");
    // The tables and numbers of the view are made anew: nothing that is known is of use.
    fixture.server.books.view.rebuild().unwrap();
    when_caught_up(&fixture.server.books.view).await.unwrap();
    assert!(frozen(&fixture, &mut known).read_anew >= 5);
    assert_eq!(frozen(&fixture, &mut known).read_anew, 0);
    fixture.stop().await;
}
