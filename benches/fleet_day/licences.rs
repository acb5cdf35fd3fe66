//! How long the licence reconcile of a server takes: when nothing has changed, when one in a hundred machines has reported
//! other software, and after a restart, when nothing is known of the fleet.
//!
//! ```text
//! cargo bench -p muster-simulations --bench fleet_day -- --licences [COUNT]     default: 100000
//! ```
//!
//! Sixty packages of a thousand on each machine, every one an application with a licence: 500 licences of types 2, 4, 15
//! and 25. Beside it a scan of the list of devices, as a floor.

use std::fmt::Write as _;
use std::path::Path;

use muster::formats::gzip::compress;
use muster::formats::wire::header;
use muster::model::task::TaskType;
use muster_actors::clock::{Clock, WallClock};
use muster_actors::server::fleet::Fleet;
use muster_actors::server::run::RunningServer;

use crate::machines::{SLIM, Titles, guid, inventory};
use crate::{LOOK, Spent, config, counters, hold, import, load, started, submit};

/// Licences; each covers two applications.
const LICENCES: usize = 500;
const TYPES: [u8; 4] = [2, 4, 15, 25];

/// See the module's head.
pub async fn licences(count: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, rules) = (folder.path().join("data"), folder.path().join("rules.toml"));
    let titles = Titles::new(SLIM);
    hold(&data, &titles, 0..count, 1).await;
    library(&titles, &rules);
    let config = config(&data, &format!("[import]\nrecognition_file = \"{}\"\n", rules.display()));
    let server = started(&config).await;
    load(&server, count).await;
    import(&server, count).await;
    tables(&server).await;
    println!("{count} devices with 60 packages each, {LICENCES} licences");
    let scanned = scan(&server);
    println!("floor, a scan of the list of devices: {scanned:.2} s");
    // The one that the import brought knows the devices.
    let began = Spent::now();
    submit(&server, TaskType::LicenseReconcile).await;
    told("nothing has changed", &began, scanned);
    let changed = (count / 100).max(1);
    send(&server, &titles, changed).await;
    load(&server, count + changed).await;
    import(&server, count + changed).await;
    let began = Spent::now();
    while counters(&server).reconciled < counters(&server).devices {
        tokio::time::sleep(LOOK).await;
    }
    told("1 % of the devices have changed", &began, scanned);
    server.stop().await;
    let server = started(&config).await;
    let began = Spent::now();
    submit(&server, TaskType::LicenseReconcile).await;
    told("the first of a life", &began, scanned);
    server.stop().await;
}

/// Uploads another inventory of each of the first machines, as their agents do.
async fn send(server: &RunningServer, titles: &Titles, machines: u64) {
    let (client, now) = (reqwest::Client::new(), WallClock.now());
    for machine in 0..machines {
        let name = format!("root%20on%20host{machine:06}%20at%20{}%20(Full).ndi.gz", now.to_stamp());
        let request = client
            .put(format!("http://{}/ManageSoftRL/Inventories/{name}", server.upload))
            .header(header::AGENT, guid(machine).to_string())
            .header(header::EPOCH, (machine + 1).to_string())
            .header(header::SEQUENCE, "2")
            .body(compress(&inventory(titles, machine, 2, now)));
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }
}

/// A rule for each package.
fn library(titles: &Titles, path: &Path) {
    let mut text = String::new();
    for (number, name) in titles.packages().enumerate() {
        writeln!(text, "[[application]]\nid = \"app{number:04}\"\npublisher = \"Acme\"\nproduct = \"Product {number}\"\nrules = [{{ name = \"{name}\" }}]")
            .expect("a String takes it");
    }
    std::fs::write(path, text).expect("a file");
}

async fn tables(server: &RunningServer) {
    let mut list = String::from("license,name,type,multiple_use,points_set\n");
    let (mut links, mut bought) = (String::from("license,application\n"), String::from("license,quantity\n"));
    for licence in 0..LICENCES {
        let metric = TYPES[licence / 2 % TYPES.len()];
        let points = if metric == 15 || metric == 25 { "ibm-pvu" } else { "" };
        writeln!(list, "lic{licence:03},Licence {licence},{metric},yes,{points}").expect("a String takes it");
        for application in [licence, licence + LICENCES] {
            writeln!(links, "lic{licence:03},app{application:04}").expect("a String takes it");
        }
        writeln!(bought, "lic{licence:03},100000").expect("a String takes it");
    }
    for (table, text) in [("licenses", list), ("license_applications", links), ("entitlements", bought)] {
        let to = format!("http://{}/api/v1/licensing/{table}", server.operator);
        let sent = reqwest::Client::new().put(to).header("content-type", "text/csv").body(text).send().await;
        let answer = sent.expect("an answer");
        let status = answer.status();
        assert!(status.is_success(), "{table}: {status} {}", answer.text().await.unwrap_or_default());
    }
}

fn scan(server: &RunningServer) -> f64 {
    let began = Spent::now();
    let (fleet, mut after) = (Fleet::of(&server.books), None);
    while let Some(last) = fleet.rows(after, 1_000).expect("rows").last() {
        after = Some(last.id);
    }
    began.wall.elapsed().as_secs_f64()
}

fn told(name: &str, began: &Spent, floor: f64) {
    let ended = Spent::now();
    let seconds = ended.wall.duration_since(began.wall).as_secs_f64();
    println!("{name}: {seconds:.2} s, {:.2} s of processor time, {:.1} scans", ended.cpu - began.cpu, seconds / floor);
}
