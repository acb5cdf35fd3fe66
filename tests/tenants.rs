//! Tenants by the command line: a real server and a real beacon, of which one is registered for a tenant.

use std::path::Path;

use muster::formats::gzip;
use serde_json::Value;

use crate::support::{Node, only_line, run, shipped, wait_for};

const UPLOAD: &str = "http://127.77.0.61:7080";
const OPERATOR: &str = "http://127.77.0.61:8080";
const BEACON: &str = "http://127.77.0.61:7081";

/// What `muster` prints as JSON lines, asked at the operator listener.
fn ask(words: &str) -> Vec<Value> {
    let words: Vec<&str> = words.split(' ').chain(["--json", "--server", OPERATOR]).collect();
    let output = run(&words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refused(words: &str, exit: i32, part: &str) {
    let words: Vec<&str> = words.split(' ').chain(["--server", OPERATOR]).collect();
    let output = run(&words);
    let line = only_line(&output);
    assert!(output.status.code() == Some(exit) && line.contains(part), "{words:?}: {:?} {line}", output.status);
}

fn put(address: &str, machine: &str) {
    let xml = format!(
        "<Inventory Tracker=\"1\" Audience=\"Machine\" Scope=\"{machine}.lab\" MachineName=\"{machine}\" UserName=\"root\" \
         DateTime=\"20250314T031522\" Type=\"Full\" TenantUID=\"nobody\"><Hardware Class=\"MGS_ComputerSystem\" Name=\"x\">\
         <Property Name=\"MachineID\" Value=\"{machine}\"/></Hardware><Software/></Inventory>"
    );
    let address = format!("{address}/ManageSoftRL/Inventories/{machine}.ndi.gz");
    let body = gzip::compress(xml.as_bytes());
    assert_eq!(reqwest::blocking::Client::new().put(address).body(body).send().unwrap().status().as_u16(), 200);
}

fn server(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("server").display().to_string();
    let changes =
        [("/var/lib/muster/server", &*data), ("127.0.0.1", "127.77.0.61"), ("on_arrival = false", "on_arrival = true")];
    let path = folder.join("server.toml");
    std::fs::write(&path, shipped("server.toml", &changes)).unwrap();
    path
}

fn beacon(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("beacon").display().to_string();
    let changes = [
        ("/var/lib/muster/beacon", &*data),
        ("127.0.0.1", "127.77.0.61"),
        ("interval_secs = 60", "interval_secs = 1"),
        ("on_arrival = false", "on_arrival = true"),
    ];
    let path = folder.join("beacon.toml");
    std::fs::write(&path, shipped("beacon.toml", &changes)).unwrap();
    path
}

#[test]
fn what_comes_by_the_beacon_of_a_tenant_is_the_tenants_through_a_kill_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Node::ready("server", &server(folder.path()));
    let (_beacon, _) = Node::ready("beacon", &beacon(folder.path()));
    let id = wait_for("the beacon's first report", || Some(ask("beacons").first()?["id"].as_str()?.to_owned()));
    refused("devices list --tenant acme", 2, "there is no tenant `acme`");
    let added = ask(&format!("tenants add acme --group emea --beacon {id}"));
    assert_eq!((&added[0]["tenant"], &added[0]["group"]), (&"acme".into(), &"emea".into()));
    refused(&format!("tenants add zeta --beacon {id}"), 2, "is registered for tenant acme");

    put(BEACON, "theirs");
    put(UPLOAD, "ours");
    let names = |words: &str| ask(words).iter().map(|device| device["name"].clone()).collect::<Vec<_>>();
    wait_for("the tenant's device", || (names("devices list --tenant acme") == ["theirs"]).then_some(()));
    wait_for("the other device", || (names("devices list") == ["ours"]).then_some(()));
    assert_eq!(ask("beacons --tenant acme").len(), 1);
    refused("batch run InventoryImport", 2, "there are several: name it (-t)");
    let imported = ask("batch run InventoryImport -t acme --wait");
    assert_eq!(imported.last().unwrap()["status"], "Success");

    running.kill();
    let (_running, _) = Node::ready("server", &server(folder.path()));
    let listed: Vec<Value> = ask("tenants list").iter().map(|tenant| tenant["tenant"].clone()).collect();
    assert_eq!(listed, ["acme", "default"]);
    assert_eq!(names("devices list --tenant acme"), ["theirs"]);

    // Another tool's file, in the name of the tenant's beacon.
    let file = folder.path().join("contracts.csv");
    std::fs::write(&file, "contract,name,end\nC-1,Support,2026-12-31\n").unwrap();
    let import = ["import", file.to_str().unwrap(), "--kind", "contracts", "--server", UPLOAD, "--operator", OPERATOR];
    let sent = run(&[&import[..], &["--tenant", "acme"]].concat());
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let contracts = |tenant: &str| {
        let list: Value = crate::support::get(&format!("{OPERATOR}/api/v1/contracts?tenant={tenant}"))?;
        list["total"].as_u64()
    };
    wait_for("the contract", || contracts("acme").filter(|total| *total == 1));
    assert_eq!(contracts("default"), Some(0));
    let output = run(&[&import[..], &["--tenant", "default"]].concat());
    assert!(only_line(&output).contains("no beacon is registered for tenant `default`"));
}
