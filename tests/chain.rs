//! The whole chain by `muster up`, and by four processes that know each other from their configuration files only.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Node, command, get, only_line, run, shipped, wait_for};

/// Free ports for every listener of `muster up`.
const FREE: [&str; 8] = [
    "--listen",
    "127.0.0.1:0",
    "--beacons",
    "127.0.0.1:0,127.0.0.1:0",
    "--operator",
    "127.0.0.1:0",
    "--servicenow",
    "127.0.0.1:0",
];

fn up_once(data: &Path) -> Value {
    let arguments: Vec<&str> = ["up", "--once", "--data", data.to_str().unwrap()].into_iter().chain(FREE).collect();
    // In detail: where a report has stayed that does not come through.
    let output = command(&arguments).env("RUST_LOG", "info,muster_actors=debug").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Standard output is the device and nothing else.
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Packages that dpkg has in state installed; `None` on a host without dpkg.
fn installed_packages() -> Option<usize> {
    let output = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}\n"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().filter(|line| *line == "installed").count())
}

fn software_of<'d>(device: &'d Value, evidence: &str) -> Vec<&'d str> {
    let software = device["software"].as_array().unwrap().iter();
    software.filter(|title| title["evidence"] == evidence).map(|title| title["name"].as_str().unwrap()).collect()
}

#[test]
fn up_once_shows_this_host_and_again_the_same_device_whatever_became_of_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let first = up_once(folder.path());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(first["name"], name.trim().split('.').next().unwrap());
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap();
    assert_eq!(first["os"], pretty.trim_matches('"'));
    if let Some(installed) = installed_packages() {
        assert_eq!(software_of(&first, "deb").len(), installed);
    }
    let package = &first["packages"][0];
    assert_eq!((package["state"].as_str(), package["hops"].as_array().unwrap().len()), (Some("imported"), 3));

    // A second report, a view that is gone, a view that is damaged: one device all the same.
    let view = folder.path().join("server/view");
    let breaks: [&dyn Fn(); 3] = [&|| {}, &|| std::fs::remove_dir_all(&view).unwrap(), &|| {
        for entry in std::fs::read_dir(&view).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::write(path, vec![0xa5; 9_000]).unwrap();
            }
        }
    }];
    let mut before = first;
    for break_it in breaks {
        break_it();
        let device = up_once(folder.path());
        assert_eq!(device["id"], before["id"]);
        assert_eq!(device["records"].as_array().unwrap().len(), 1);
        assert_eq!(device["software"], before["software"]);
        assert_ne!(device["packages"][0]["digest"], before["packages"][0]["digest"], "a report of its own each time");
        before = device;
    }
}

#[test]
fn up_runs_until_ctrl_c_and_its_folder_belongs_to_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let arguments: Vec<&str> = ["up", "--data", data].into_iter().chain(FREE).collect();
    let node = Node::start(&arguments);
    for role in ["servicenow", "server", "beacon", "beacon", "agent"] {
        node.ready_line(role);
    }
    let up = node.ready_line("up");
    let devices = format!("http://{}/api/v1/devices/1", up["operator"].as_str().unwrap());
    wait_for("this host's device", || get(&devices));
    let second = run(&arguments);
    assert_eq!(second.status.code(), Some(1));
    assert!(only_line(&second).contains("in use"), "{}", only_line(&second));
    assert!(node.end(Signal::INT).success());
}

/// The four configuration files, from those that are shipped, with addresses and folders of this test.
struct Files<'f> {
    folder: &'f Path,
    /// The loopback address that is this test's alone, so that ports are the shipped ones.
    address: &'static str,
}

impl Files<'_> {
    fn write(&self, role: &str, shipped_name: &str, changes: &[(&str, &str)]) -> std::path::PathBuf {
        let data = self.folder.join(role).display().to_string();
        let name = shipped_name.trim_end_matches(".toml");
        let shipped_data = format!("/var/lib/muster/{name}");
        let text = shipped(shipped_name, &[(&*shipped_data, &*data), ("127.0.0.1", self.address)]);
        let path = self.folder.join(format!("{role}.toml"));
        let text = changes.iter().fold(text, |text, (old, new)| {
            assert!(text.contains(old), "config/{shipped_name} has no `{old}`");
            text.replace(old, new)
        });
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[test]
fn a_report_passes_four_processes_although_the_parent_is_killed_and_away_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.1" };
    let server_file = files.write("server", "server.toml", &[]);
    let parent_file = files.write("parent", "beacon.toml", &[("interval_secs = 60", "interval_secs = 1")]);
    let child_file = files.write(
        "child",
        "beacon.toml",
        &[
            ("interval_secs = 60", "interval_secs = 3"),
            ("listen = \"127.77.0.1:7081\"", "listen = \"127.77.0.1:7082\""),
            ("127.77.0.1:7080", "127.77.0.1:7081"),
        ],
    );
    let agent_file = files.write("agent", "agent.toml", &[("127.77.0.1:7081", "127.77.0.1:7082")]);

    let (_server, ready) = Node::ready("server", &server_file);
    let operator = ready["operator"].as_str().unwrap().to_owned();
    let (parent, _) = Node::ready("beacon", &parent_file);
    let (_child, _) = Node::ready("beacon", &child_file);
    parent.kill();
    let (_agent, _) = Node::ready("agent", &agent_file);
    // Only the child has it now, and the agent has let go.
    let status = || {
        let output = run(&["agent", "status", "--json", "--config", agent_file.to_str().unwrap()]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        status["last_receipt"]["digest"].as_str().map(str::to_owned)
    };
    let digest = wait_for("the agent's receipt", status);
    let (parent, _) = Node::ready("beacon", &parent_file);
    // What failed waits up to a minute; a package that gets through ends that for all.
    let fresh = reqwest::blocking::Client::new().put("http://127.77.0.1:7082/ManageSoftRL/Inventories/x.ndi.gz");
    assert_eq!(fresh.body(&b"\x1f\x8bno inventory"[..]).send().unwrap().status(), 200);
    let url = format!("http://{operator}/api/v1/devices/1");
    let device = wait_for("the device", || get(&url));
    assert_eq!(device["packages"][0]["digest"], digest);
    assert_eq!(device["packages"][0]["hops"].as_array().unwrap().len(), 3);

    let server = format!("http://{operator}");
    let shown = run(&["packages", "show", &digest, "--server", &server]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{text}");
    for hop in device["packages"][0]["hops"].as_array().unwrap() {
        let time = hop["received"].as_str().unwrap();
        assert!(text.contains(time), "{time} is not in\n{text}");
    }
    assert!(parent.end(Signal::TERM).success());
}

#[test]
fn what_a_newcomer_gets_wrong_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let data = folder.path().join("server").display().to_string();
    let server = |changes: &[(&str, &str)]| {
        let own =
            [("/var/lib/muster/server", &*data), ("127.0.0.1:7080", "127.0.0.1:0"), ("127.0.0.1:8080", "127.0.0.1:0")];
        shipped("server.toml", &[&own[..], changes].concat())
    };
    let cases = [
        (server(&[("loaders = 2", "loader = 2")]), 2, "did you mean `loaders`"),
        (server(&[("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"")]), 2, "allow_plain = true"),
        (server(&[("matchers_file = \"\"", "matchers_file = \"/nowhere/m.xml\"")]), 2, "import.matchers_file"),
        (
            server(&[
                ("listen = \"127.0.0.1:0\"", "listen = \"198.51.100.7:1\""),
                ("allow_plain = false", "allow_plain = true"),
            ]),
            1,
            "cannot listen on 198.51.100.7:1",
        ),
        (server(&[(&*data, "/proc/nothing/here")]), 1, "/proc/nothing/here"),
    ];
    for (text, exit, part) in cases {
        let output = run(&["server", "--config", &write("server.toml", &text)]);
        let line = only_line(&output);
        assert!(line.contains(part) && output.status.code() == Some(exit), "{part}: {:?} {line}", output.status);
    }
    let output = run(&["server", "--config", "/nowhere/server.toml"]);
    assert!(only_line(&output).contains("/nowhere/server.toml") && output.status.code() == Some(2));
    let good = write("server.toml", &server(&[]));
    assert!(run(&["server", "--config", &good, "--check"]).status.success());
    // The environment's word is the last one.
    let overridden =
        command(&["server", "--config", &good, "--check"]).env("MUSTER_SERVER_LOADERS", "0").output().unwrap();
    assert!(
        only_line(&overridden).contains("MUSTER_SERVER_LOADERS") || only_line(&overridden).contains("server.loaders")
    );
}
