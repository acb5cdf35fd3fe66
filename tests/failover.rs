//! Agents that choose their beacon: five processes, beacons that die while a report is on its way, and policy that steers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Files, Node, get, put, status, wait_for};

/// Stands before a node and, while it is told to, cuts a connection in the middle of the upload it carries.
struct Cutter {
    port: u16,
    cuts: Arc<AtomicBool>,
    was_cut: Arc<AtomicBool>,
}

impl Cutter {
    fn before(address: &'static str, node: u16) -> Cutter {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, was_cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let cutter = Cutter { port, cuts: cuts.clone(), was_cut: was_cut.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(node) = TcpStream::connect((address, node)) else { continue };
                let (cuts, was_cut) = (cuts.clone(), was_cut.clone());
                let (mut back, mut forth) = (node.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut back, &mut forth));
                std::thread::spawn(move || carry(client, node, &cuts, &was_cut));
            }
        });
        cutter
    }
}

fn carry(mut client: TcpStream, mut node: TcpStream, cuts: &AtomicBool, was_cut: &AtomicBool) {
    let mut buffer = [0; 4_096];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        if cuts.load(Ordering::SeqCst) && buffer[..read].starts_with(b"PUT ") {
            // Half of it, then silence: what the node has is no package.
            let _ = node.write_all(&buffer[..read / 2]);
            was_cut.store(true, Ordering::SeqCst);
            break;
        }
        if node.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = node.shutdown(std::net::Shutdown::Both);
}

#[test]
fn beacons_that_die_during_an_upload_cost_neither_the_report_nor_a_second_copy() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.4" };
    let cutter = Cutter::before(files.address, 7082);
    let operator = format!("http://{}:8080", files.address);
    let (_server, _) = Node::ready("server", &files.server());
    let (_parent, _) = Node::ready("beacon", &files.beacon("parent", 7081, 7080, None, ""));
    // The first has the agent's site and is preferred; its connection passes the cutter.
    let first_file = files.beacon("first", 7082, 7081, Some(cutter.port), "lab");
    let second_file = files.beacon("second", 7083, 7081, Some(7083), "");
    let (first, _) = Node::ready("beacon", &first_file);
    let (second, _) = Node::ready("beacon", &second_file);
    put(&format!("{operator}/api/v1/settings/client-configuration"), &json!({ "selector": "MgsSiteMatch" }));
    // Both are listed, and both hand the list out.
    let beacons = |port: u16| {
        let policy: Value = get(&format!("http://{}:{port}/inventory-beacons/x/policy", files.address))?;
        let list = policy["content"]["failover"].as_str()?.to_owned();
        (list.matches("UploadSettings").count() == 2 && list.contains("SelectorAlgorithm=MgsSiteMatch")).then_some(())
    };
    wait_for("the policy at both beacons", || beacons(7082).and(beacons(7083)));

    // The agent begins at the second, which its file names, and is told of the first by policy.
    let agent_file = files.agent(7083);
    cutter.cuts.store(true, Ordering::SeqCst);
    let log = folder.path().join("agent.log");
    let agent = Node::ready_with_log("agent", &agent_file, &log);
    let receipt = wait_for("a receipt", || status(&agent_file)?["last_receipt"].as_object().cloned());
    let digest = receipt["digest"].as_str().unwrap().to_owned();
    let at_server =
        || get(&format!("{operator}/api/v1/packages/{digest}")).filter(|package| package["state"] == "imported");
    wait_for("the report at the server", at_server);
    let order = wait_for("the policy at the agent", || {
        let status = status(&agent_file)?;
        let servers = status["servers"].as_array()?.clone();
        (status["policy_revision"].is_string() && servers.len() == 2).then_some(servers)
    });
    let whys: Vec<&str> = order.iter().map(|server| server["why"].as_str().unwrap()).collect();
    assert!(whys.iter().any(|why| why.contains("same site")), "{whys:?}");
    agent.kill();

    // A new report: the first is cut off in the middle of it and dies, then the second dies too; when it comes back it
    // takes the report.
    let text = std::fs::read_to_string(&agent_file).unwrap();
    std::fs::write(&agent_file, text.replace("collect_at_start = false", "collect_at_start = true")).unwrap();
    cutter.was_cut.store(false, Ordering::SeqCst);
    second.kill();
    let _agent = Node::ready_with_log("agent", &agent_file, &log);
    wait_for("the cut", || cutter.was_cut.load(Ordering::SeqCst).then_some(()));
    first.kill();
    let queued = || Some(status(&agent_file)?["queue"].as_array()?.len() == 1).filter(|is_queued| *is_queued);
    wait_for("the report is kept", queued);
    let (_second, _) = Node::ready("beacon", &second_file);
    let receipt = wait_for("the second report's receipt", || {
        let receipt = status(&agent_file)?["last_receipt"].as_object()?.clone();
        (receipt["digest"] != digest.as_str()).then_some(receipt)
    });
    assert!(receipt["server"].as_str().unwrap().contains(":7083"), "{receipt:?}");
    let second_digest = receipt["digest"].as_str().unwrap();
    let package = wait_for("the second report at the server", || {
        get(&format!("{operator}/api/v1/packages/{second_digest}")).filter(|package| package["state"] == "imported")
    });
    assert_eq!(package["hops"].as_array().unwrap().len(), 3);
    let summary: Value = get(&format!("{operator}/api/v1/ledger/summary")).unwrap();
    assert_eq!((&summary["imported"], &summary["quarantined"]), (&json!(2), &json!(0)), "{summary}");
    // The log says which beacon it was, and why.
    let log = std::fs::read_to_string(&log).unwrap();
    let says = |parts: [&str; 3]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(says(["report not taken, kept", &format!(":{}/", cutter.port), "why="]), "{log}");
    assert!(says(["report delivered", ":7083/", "chosen="]), "{log}");
    // The status agrees: that is the server it stays with, for the reason that the log gives.
    let server = status(&agent_file).unwrap();
    assert!(server["server"].as_str().unwrap().contains(":7083/"), "{server}");
    let servers = server["servers"].as_array().unwrap();
    let chosen = servers.iter().find(|listed| listed["address"] == server["server"]).expect("the one it stays with");
    let why = format!("chosen=\"{}\"", chosen["why"].as_str().unwrap());
    assert!(says(["report delivered", ":7083/", &why]), "{why}: {log}");
}

#[test]
fn a_schedule_set_at_the_server_moves_the_agents_events_after_its_next_poll() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.5" };
    let operator = format!("http://{}:8080", files.address);
    let (_server, _) = Node::ready("server", &files.server());
    let (_beacon, _) = Node::ready("beacon", &files.beacon("beacon", 7081, 7080, Some(7081), ""));
    let set = |hour: u32| {
        let schedule = json!({
            "inventory": { "weekly": { "days": 64 } }, "inventory_start_secs": hour * 3_600, "inventory_within_secs": 60,
            "policy_repeat_secs": 60, "policy_window_secs": 60,
        });
        put(&format!("{operator}/api/v1/settings/agent-schedule"), &schedule)["policy_revision"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    // A beacon that is heard for the first time makes a revision of its own.
    let at = |agent: &Path, revision: u64| {
        let status = status(agent)?;
        let held: u64 = status["policy_revision"].as_str()?.parse().ok()?;
        (held >= revision).then(|| status["next"]["inventory"].as_str().map(str::to_owned))?
    };
    let first = set(3);
    // Else the agent follows the schedule before it, and asks again in half a day.
    wait_for("the schedule at the beacon", || {
        let policy = get(&format!("http://{}:7081/inventory-beacons/x/policy", files.address))?;
        (policy["revision"].as_u64()? >= first).then_some(())
    });
    let agent_file = files.agent(7081);
    let (_agent, _) = Node::ready("agent", &agent_file);
    let sunday_at = |text: String, hour: &str| {
        let day: jiff::civil::Date = text[..10].parse().unwrap();
        assert_eq!((day.weekday(), &text[11..14]), (jiff::civil::Weekday::Sunday, hour), "{text}");
    };
    sunday_at(wait_for("the first schedule", || at(&agent_file, first)), "03:");
    let second = set(20);
    assert!(first < second);
    sunday_at(wait_for("the second schedule", || at(&agent_file, second)), "20:");
}
