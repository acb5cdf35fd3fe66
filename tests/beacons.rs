//! Beacons that policy moves from one parent to another, a list of parents that is wrong, and files of other tools.

use std::path::{Path, PathBuf};

use muster::formats::gzip;
use muster::id::Digest;
use serde_json::{Value, json};

use crate::support::{Node, get, only_line, run, shipped, wait_for};

/// A server and its beacons on a loopback address of their own.
struct Place<'f> {
    folder: &'f Path,
    address: &'static str,
}

impl Place<'_> {
    fn at(&self, port: u16) -> String {
        format!("http://{}:{port}", self.address)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn data(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn server(&self) -> PathBuf {
        let text = self.daily_server().replace("on_arrival = false", "on_arrival = true");
        self.write("server", &text)
    }

    /// The text of a server that imports once a day.
    fn daily_server(&self) -> String {
        let changes = [("/var/lib/muster/server", &*self.data("server")), ("127.0.0.1", self.address)];
        shipped("server.toml", &changes)
    }

    /// A beacon on `port` below the node on `parent`, which asks and reports each second.
    fn beacon(&self, name: &str, port: u16, parent: u16) -> PathBuf {
        let changes = [
            ("/var/lib/muster/beacon", &*self.data(name)),
            ("listen = \"127.0.0.1:7081\"", &format!("listen = \"{}:{port}\"", self.address)),
            ("http://127.0.0.1:7080", &self.at(parent)),
            ("interval_secs = 60", "interval_secs = 1"),
            ("policy_interval_secs = 900", "policy_interval_secs = 1"),
            ("on_arrival = false", "on_arrival = true"),
            ("name = \"beacon\"", &format!("name = \"{name}\"")),
        ];
        self.write(name, &shipped("beacon.toml", &changes))
    }

    /// The beacon of this name as the server lists it.
    fn listed(&self, name: &str) -> Option<Value> {
        let list: Value = get(&format!("{}/api/v1/beacons", self.at(8080)))?;
        list["items"].as_array()?.iter().find(|beacon| beacon["name"] == name).cloned()
    }

    fn wait_for_parent(&self, name: &str, parent: u16) {
        let wanted = self.at(parent);
        wait_for(&format!("{name} below {wanted}"), || self.listed(name).filter(|beacon| beacon["parent"] == *wanted));
    }

    fn set_parents(&self, parents: Value) {
        let address = format!("{}/api/v1/settings/beacons", self.at(8080));
        let body = json!({ "parents": parents }).to_string();
        assert_eq!(reqwest::blocking::Client::new().put(address).body(body).send().unwrap().status().as_u16(), 200);
    }

    /// Uploads a file to the node on `port`; the ports of the nodes that it passed, once it is at the server.
    fn way(&self, port: u16, text: &str) -> Vec<String> {
        let body = gzip::compress(text.as_bytes());
        let digest = Digest::of(&body);
        let address = format!("{}/ManageSoftRL/Inventories/{text}.ndi.gz", self.at(port));
        assert_eq!(reqwest::blocking::Client::new().put(address).body(body).send().unwrap().status().as_u16(), 200);
        let package =
            wait_for("the package at the server", || get(&format!("{}/api/v1/packages/{digest}", self.at(8080))));
        let hops = package["hops"].as_array().unwrap();
        hops.iter().map(|hop| hop["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[test]
fn a_beacon_is_moved_to_another_parent_by_a_setting_and_a_wrong_parent_cuts_nobody_off() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path(), address: "127.77.0.40" };
    let (_server, _) = Node::ready("server", &place.server());
    let (_first, _) = Node::ready("beacon", &place.beacon("first", 7081, 7080));
    let (second, _) = Node::ready("beacon", &place.beacon("second", 7082, 7080));
    let child_file = place.beacon("child", 7083, 7081);
    let log = folder.path().join("child.log");
    let child = Node::ready_with_log("beacon", &child_file, &log);
    place.wait_for_parent("child", 7081);
    let id = |name: &str| wait_for("its id", || place.listed(name)?["id"].as_str().map(str::to_owned));
    let (first_id, child_id) = (id("first"), id("child"));

    place.set_parents(json!({ &child_id: [place.at(7082)] }));
    place.wait_for_parent("child", 7082);
    assert_eq!(place.way(7083, "a")[..2], ["child", "second"]);
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains("parents in force") && told.contains("another parent is in use"), "{told}");

    // It knows its parents by itself after a restart; the configured one takes over when they are gone.
    drop(child);
    std::fs::remove_file(&log).unwrap();
    let _child = Node::ready_with_log("beacon", &child_file, &log);
    assert_eq!(place.way(7083, "b")[..2], ["child", "second"]);
    second.kill();
    place.wait_for_parent("child", 7081);
    assert_eq!(place.way(7083, "c")[..2], ["child", "first"]);

    // A parent below itself is left for the configured one.
    place.set_parents(json!({ &child_id: [place.at(7081)], &first_id: [place.at(7083)] }));
    let policy = |port: u16| get(&format!("{}/inventory-beacons/x/policy", place.at(port)));
    wait_for("the policy at both", || {
        let holds = |port| policy(port)?["content"]["parents"][&first_id][0].as_str().map(|_| ());
        holds(7081).and(holds(7083))
    });
    assert_eq!(place.way(7083, "d")[..2], ["child", "first"]);
    place.wait_for_parent("first", 7080);
}

#[test]
fn what_other_tools_and_the_business_send_is_imported_on_arrival_through_a_beacon() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path(), address: "127.77.0.41" };
    let log = folder.path().join("server.log");
    let _server = Node::ready_with_log("server", &place.write("server", &place.daily_server()), &log);
    let (_beacon, ready) = Node::ready("beacon", &place.beacon("beacon", 7081, 7080));
    assert!(ready["upload"].is_string());
    let import = |machine: &str, source: &str| {
        let file = folder.path().join(format!("scan of {machine}.ndi"));
        let ndi = format!(
            r#"<Inventory Tracker="1" Audience="Machine" Scope="{machine}.lab" MachineName="{machine}" UserName="scanner"
            DateTime="20250314T031522" Type="Full"><Hardware Class="MGS_ComputerSystem" Name="x">
            <Property Name="Model" Value="M7"/></Hardware></Inventory>"#
        );
        std::fs::write(&file, ndi).unwrap();
        let file = file.to_str().unwrap();
        run(&["import", file, "--kind", "inventory", "--source", source, "--server", &place.at(7081)])
    };
    assert_eq!(import("pc7", "agent").status.code(), Some(2), "agents' reports are theirs alone");
    // The first import is never kept waiting; the second machine shows that the daily one is not waited for.
    for machine in ["pc7", "pc8"] {
        let imported = import(machine, "scanner");
        let told = String::from_utf8(imported.stdout).unwrap();
        assert!(imported.status.success() && told.trim_end().ends_with(" held"), "{told}");
        let device = wait_for("the device", || {
            let list: Value = get(&format!("{}/api/v1/devices", place.at(8080)))?;
            list["items"].as_array()?.iter().find(|device| device["name"] == machine).cloned()
        });
        assert_eq!((&device["sources"], &device["model"]), (&json!(["scanner"]), &json!("M7")));
    }

    // One that is none is named in the server's log, with what is wrong.
    let put = |address: String, body: &[u8]| {
        reqwest::blocking::Client::new().put(address).body(body.to_vec()).send().unwrap().status().as_u16()
    };
    let rubbish = format!("{}/ManageSoftRL/IntermediateData/rubbish.ndi.gz", place.at(7080));
    assert_eq!(put(rubbish, &gzip::compress(b"no inventory")), 200);
    let told = wait_for("a warning", || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().find(|line| line.contains("in quarantine")).map(str::to_owned)
    });
    assert!(told.contains("file=\"rubbish.ndi.gz\"") && !told.contains("reason=\"\""), "{told}");

    // A file of the business that another program puts to the address that beacons have for such files.
    let settled = |body: &[u8]| {
        let digest = Digest::of(body);
        wait_for("the file settled", || {
            get(&format!("{}/api/v1/packages/{digest}", place.at(8080))).filter(|package| package["state"] != "held")
        })
    };
    let id = wait_for("its id", || place.listed("beacon")?["id"].as_str().map(str::to_owned));
    let address = |id: &str| format!("{}/inventory-beacons/{id}/intermediate/contracts.csv.gz", place.at(7081));
    let body = gzip::compress(b"contract,name,end\nC-1,Support,2026-12-31\nC-2,Licences,\n");
    assert_eq!((put(address("nobody"), &body), put(address(&id), &body)), (400, 200));
    let package = settled(&body);
    assert_eq!((&package["state"], &package["kind"]), (&json!("imported"), &json!("IntermediateData")));
    assert_eq!(package["hops"].as_array().unwrap().len(), 2);
    let bad = gzip::compress(b"contract,end\nC-1,2026-12-31\nC-2,soon\n");
    assert_eq!(put(address(&id), &bad), 200);
    let package = settled(&bad);
    let reason = package["reason"].as_str().unwrap();
    assert!(package["state"] == "quarantined" && reason.contains("line 3, column `end`: `soon`"), "{reason}");
    let rows = |kind: &str, field: &str| {
        let list: Value = get(&format!("{}/api/v1/{kind}", place.at(8080))).unwrap();
        let rows = list["items"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["source"].as_str().unwrap(), row[field].as_str().unwrap())).collect()
    };
    let contracts = || -> Vec<String> { rows("contracts", "contract") };
    assert_eq!(contracts(), ["third-party C-1", "third-party C-2"]);

    // Purchases of another spelling: the whole of their source each time, also when an earlier file comes again.
    let (file, map) = (folder.path().join("orders.csv"), folder.path().join("map.toml"));
    std::fs::write(
        &map,
        "delimiter = \";\"\n[columns]\npurchase = \"Nr\"\nproduct = \"Artikel\"\nquantity = \"Menge\"\n",
    )
    .unwrap();
    let buy = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let server = place.at(7081);
        let line = ["import", file.to_str().unwrap(), "--kind", "purchases", "--source", "erp", "--server", &server];
        run(&[&line[..], &["--map", map.to_str().unwrap()], more].concat())
    };
    let first = "Nr;Artikel;Menge\n1;Office;5\n2;Server;1\n";
    let bad = "Nr;Artikel;Menge\n3;Editor;7\n4;Editor;viele\n";
    let purchases = |wanted: &[&str]| {
        wait_for("the purchases", || (rows("purchases", "purchase") as Vec<String> == wanted).then_some(()));
    };
    assert!(buy(first, &[]).status.success());
    purchases(&["erp 1", "erp 2"]);
    let refused = buy(bad, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(only_line(&refused).contains("1 of 2 rows are bad, nothing is sent"));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("orders.csv: line 3, column `Menge`: `viele` is no whole number"), "{told}");
    purchases(&["erp 1", "erp 2"]);
    assert!(buy(bad, &["--good-rows"]).status.success());
    purchases(&["erp 3"]);
    assert!(buy(first, &[]).status.success());
    purchases(&["erp 1", "erp 2"]);
    assert_eq!(contracts(), ["third-party C-1", "third-party C-2"]);
}

#[test]
fn a_beacon_tells_once_that_its_parent_is_away_and_once_that_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path(), address: "127.77.0.42" };
    let log = folder.path().join("b.log");
    let _beacon = Node::ready_with_log("beacon", &place.beacon("b", 7081, 7080), &log);
    let told = |part: &str| std::fs::read_to_string(&log).unwrap().matches(part).count();
    let until = |part: &str| wait_for(part, || (told(part) > 0).then_some(()));
    until("the parent does not answer, packages are kept");
    let (_server, _) = Node::ready("server", &place.server());
    until("the parent answers again");
    // It asks and reports each second, so it has failed more than once before it was listed.
    place.wait_for_parent("b", 7080);
    assert_eq!((told("the parent does not answer"), told("the parent answers again")), (1, 1));

    // Another one has the address that people know of a server.
    let log = folder.path().join("c.log");
    let _wrong = Node::ready_with_log("beacon", &place.beacon("c", 7082, 8080), &log);
    wait_for("a hint", || std::fs::read_to_string(&log).unwrap().contains("is it the operator port?").then_some(()));
}

#[test]
fn a_check_says_that_all_is_well_and_that_agents_are_not_told_of_a_beacon() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path(), address: "127.77.0.43" };
    for role in ["server", "beacon", "agent"] {
        let file = place.write(role, &shipped(&format!("{role}.toml"), &[]));
        let checked = run(&[role, "--config", file.to_str().unwrap(), "--check"]);
        assert!(checked.status.success() && checked.stderr.is_empty(), "{role}");
        assert_eq!(String::from_utf8(checked.stdout).unwrap(), format!("{} is well\n", file.display()));
    }
    let changes =
        [("listen = \"127.0.0.1:7081\"", "listen = \"0.0.0.0:7081\""), ("allow_plain = false", "allow_plain = true")];
    let file = place.write("everywhere", &shipped("beacon.toml", &changes));
    let checked = run(&["beacon", "--config", file.to_str().unwrap(), "--check"]);
    let told = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && told.contains("set `endpoint`"), "{told}");
}
