//! A beacon whose disk is lost: what it took is seen to be missing, and comes again from the agent that has its receipt.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Node, get, shipped, status, wait_for};

/// The loopback address of this file's test.
const ADDRESS: &str = "127.77.0.50";

struct Files(tempfile::TempDir);

impl Files {
    fn data(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let data = self.data(name).display().to_string();
        let folder = format!("/var/lib/muster/{name}");
        let text = shipped(&format!("{name}.toml"), &[&[(&*folder, &*data), ("127.0.0.1", ADDRESS)], changes].concat());
        let path = self.0.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn server(&self) -> PathBuf {
        let short =
            [("on_arrival = false", "on_arrival = true"), ("missing_after_secs = 86400", "missing_after_secs = 2")];
        self.write("server", &short)
    }

    fn beacon(&self) -> PathBuf {
        self.write(
            "beacon",
            &[("interval_secs = 60", "interval_secs = 1"), ("interval_secs = 900", "interval_secs = 1")],
        )
    }
}

fn at_server(path: &str) -> Option<Value> {
    get(&format!("http://{ADDRESS}:8080/api/v1/{path}"))
}

fn missing(wanted: u64) -> impl FnMut() -> Option<Value> {
    move || at_server("ledger/summary").filter(|summary| summary["missing"] == wanted)
}

#[test]
fn a_report_that_a_lost_beacon_disk_took_with_it_is_missing_and_comes_again() {
    let files = Files(tempfile::tempdir().unwrap());
    let (server_file, beacon_file, agent_file) = (files.server(), files.beacon(), files.write("agent", &[]));
    let receipt = || {
        let status = status(&agent_file)?;
        Some(status["last_receipt"].as_object()?.clone()).filter(|_| status["queue"] == json!([]))
    };
    // The beacon has it, and nobody else: the server is away, and the agent has let go of it.
    let (beacon, _) = Node::ready("beacon", &beacon_file);
    let (agent, _) = Node::ready("agent", &agent_file);
    let lost = wait_for("the beacon's receipt", receipt);
    assert_eq!(lost["state"], "held");
    agent.kill();
    beacon.kill();
    std::fs::remove_dir_all(files.data("beacon")).unwrap();

    // What the agent tells with its question passes the beacon; the server knows nothing of it and waits for the limit.
    let log = files.0.path().join("server.log");
    let _server = Node::ready_with_log("server", &server_file, &log);
    let _beacon = Node::ready("beacon", &beacon_file);
    let policy = || get(&format!("http://{ADDRESS}:7081/inventory-beacons/x/policy"));
    wait_for("the policy at the beacon", policy);
    let (agent, _) = Node::ready("agent", &agent_file);
    let summary = wait_for("the alarm", missing(1));
    assert_eq!((&summary["imported"], &summary["in_custody"]), (&json!(0), &json!(0)), "{summary}");
    let beacons = wait_for("the beacon at the server", || at_server("beacons").filter(|beacons| beacons["total"] == 1));
    let node = beacons["items"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(lost["node"], json!(node), "the disk was lost with its identity");
    let says = |part: &str| {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains(part) && line.contains(&node)).count()
    };
    // It is said after it is committed, so the summary may tell first.
    let alarm = || (says("acknowledged packages never came") > 0).then_some(());
    wait_for("the alarm in the log", alarm);
    assert_eq!(says("acknowledged packages never came"), 1);

    // The next question: its answer asks for the report, and the agent collects anew. An agent asks at a random time of
    // its period; one that has no policy asks at once.
    let asks =
        || get(&format!("http://{ADDRESS}:7081/inventory-beacons/x/resend")).filter(|list| list["agents"] != json!({}));
    let list = wait_for("the list at the beacon", asks);
    assert_eq!(list["agents"].as_object().unwrap().len(), 1);
    agent.kill();
    std::fs::remove_dir_all(files.data("agent").join("policy")).unwrap();
    let _agent = Node::ready("agent", &agent_file);
    let settled = wait_for("the report at the server", missing(0));
    assert_eq!((&settled["imported"], &settled["quarantined"]), (&json!(1), &json!(0)), "{settled}");
    let found = wait_for("the device", || at_server("devices").filter(|devices| devices["total"] == 1));
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_ne!(wait_for("its receipt", receipt)["digest"], lost["digest"]);
    // Nothing is asked for any more, and the alarm was not repeated.
    let is_quiet =
        || get(&format!("http://{ADDRESS}:7081/inventory-beacons/x/resend")).filter(|list| list["agents"] == json!({}));
    wait_for("an empty list at the beacon", is_quiet);
    assert_eq!(says("acknowledged packages never came"), 1);
}
