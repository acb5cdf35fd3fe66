//! An address or a file that is not the right one: nothing is lost, nothing wrong is sent, and the operator is told.

use std::path::Path;

use muster::formats::gzip;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Files, Node, command, get, only_line, run, status, wait_for};

fn log_says(log: &Path, part: &str) -> Option<()> {
    std::fs::read_to_string(log).ok()?.contains(part).then_some(())
}

#[test]
fn an_agent_at_the_operators_port_keeps_its_report_and_delivers_it_once_the_port_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.95" };
    let _server = Node::ready("server", &files.server());
    let (agent_file, log) = (files.agent(8080), folder.path().join("agent.log"));
    let agent = Node::ready_with_log("agent", &agent_file, &log);
    wait_for("the hint", || log_says(&log, "is this the address of an upload listener?"));
    let held = || status(&agent_file).filter(|status| status["queue"].as_array().is_some_and(|queue| queue.len() == 1));
    let held = wait_for("the report in the queue", held);
    assert_eq!((&held["running"], &held["refused"]["count"]), (&Value::Bool(true), &Value::from(0)));
    assert!(agent.end(Signal::TERM).success());
    wait_for("its last line", || log_says(&log, "stopped"));
    assert_eq!(status(&agent_file).unwrap()["running"], false);
    let told = run(&["agent", "status", "--config", agent_file.to_str().unwrap()]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.starts_with("the agent is not running; this is as of 20"), "{told}");

    let _agent = Node::ready_with_log("agent", &files.agent(7080), &log);
    wait_for("a receipt", || status(&agent_file)?["last_receipt"].as_object().map(drop));
}

#[test]
fn what_is_no_inventory_is_not_imported_and_the_wrong_port_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.96" };
    let (_server, _) = Node::ready("server", &files.server());
    let good = "<Inventory Tracker=\"1\" Audience=\"Machine\" Scope=\"pc.lab\" MachineName=\"pc\" UserName=\"s\" \
                DateTime=\"20250314T031522\" Type=\"Full\"/>";
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let broken = good.replace("/>", ">\n<Hardware>\n</Software>\n");
    let good = write("good.ndi", good.as_bytes());
    let import = |file: &str, port: u16| {
        let server = format!("http://{}:{port}", files.address);
        run(&["import", &good, file, "--kind", "inventory", "--server", &server])
    };
    for (file, content, why) in [
        ("junk.ndi", &b"hello"[..], ""),
        ("empty.ndi", b"", ""),
        ("nothing.ndi.gz", &gzip::compress(b""), ""),
        ("cut.ndi.gz", &gzip::compress(good.as_bytes())[..20], ""),
        ("usage.ndi", b"<MeteringData/>", "the root element is `MeteringData`, not `Inventory`"),
        ("broken.ndi", broken.as_bytes(), "line 3: "),
    ] {
        let refused = import(&write(file, content), 7080);
        let line = only_line(&refused);
        assert!(line.contains(file) && line.contains(why) && line.ends_with("nothing is sent"), "{line}");
        assert_eq!((refused.status.code(), &*refused.stdout), (Some(1), &b""[..]), "{line}");
    }
    let refused = import(&good, 8080);
    let line = only_line(&refused);
    assert!(line.contains("is this the address of an upload listener?") && line.contains("7080"), "{line}");
    assert_eq!(refused.status.code(), Some(1));
    let packages: Value = get(&format!("http://{}:8080/api/v1/packages", files.address)).unwrap();
    assert_eq!(packages["total"], 0, "{packages}");

    // Who gets no answer is told that another try follows.
    let log = folder.path().join("import.log");
    let nobody = format!("http://{}:7099", files.address);
    let trying = command(&["import", &good, "--kind", "inventory", "--server", &nobody]);
    let _trying = Node::run(trying, std::fs::File::create(&log).unwrap().into());
    wait_for("the second try", || log_says(&log, "trying again (2 of 5)"));
    let plain = run(&["import", &good, "--kind", "inventory", "--server", "http://192.0.2.1:7080"]);
    assert_eq!(plain.status.code(), Some(2));
    assert!(only_line(&plain).contains("give `--allow-plain`"));
}

#[test]
fn a_file_or_number_that_is_not_meant_is_told_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.97" };
    let server = files.server();
    let check = |role: &str, text: &str| {
        let file = folder.path().join("changed.toml");
        std::fs::write(&file, text).unwrap();
        let output = run(&[role, "--config", file.to_str().unwrap(), "--check"]);
        assert_eq!(output.status.code(), Some(2));
        only_line(&output)
    };
    let text = std::fs::read_to_string(&server).unwrap();
    let line = check("agent", &text);
    assert!(line.ends_with("this looks like a server's file, start it with `muster server`"), "{line}");
    let line = check("server", &text.replace(&format!("listen = \"{}:", files.address), "listen = \"localhost:"));
    assert!(line.ends_with("write an address such as 127.0.0.1:7080"), "{line}");
    let line = check("server", &text.replace("recognition_file = \"\"", "recognition_file = \"/nowhere/rules.toml\""));
    assert!(line.contains("changed.toml: cannot read `/nowhere/rules.toml` (import.recognition_file)"), "{line}");
    let output = run(&["devices", "show", "vm"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("a device is named by its number, see `muster devices list`"), "{told}");
}
