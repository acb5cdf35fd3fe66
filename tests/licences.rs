//! The licence position of a running server: tables that operators import, runs that are kept, and why, through kills.

use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Node, get, muster, only_line, run};

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

/// A machine with everything on it, until it is killed.
struct Up {
    node: Node,
    server: String,
}

impl Up {
    fn start(data: &str) -> Up {
        let arguments: Vec<&str> = ["up", "--data", data].into_iter().chain(FREE).collect();
        let node = Node::start(&arguments);
        for role in ["servicenow", "server", "beacon", "beacon", "agent"] {
            node.ready_line(role);
        }
        let up = node.ready_line("up");
        Up { node, server: format!("http://{}", up["operator"].as_str().unwrap()) }
    }

    fn api(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.server)
    }

    fn licenses(&self, arguments: &[&str]) -> Output {
        run(&[&["licenses"], arguments, &["--server", &self.server]].concat())
    }

    fn told(&self, arguments: &[&str]) -> String {
        let output = self.licenses(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", only_line(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Reconciles, and says which run that made.
    fn reconcile(&self) -> u64 {
        let id = run(&["batch", "run", "LicenseReconcile", "--json", "--server", &self.server]);
        let task: Value = serde_json::from_slice(&id.stdout).unwrap();
        // One that follows an import may wait already: it does the same.
        let id = task["duplicate_of"].as_str().or(task["id"].as_str()).unwrap();
        let waited = run(&["batch", "wait", id, "--server", &self.server]);
        assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stdout));
        self.newest()
    }

    fn newest(&self) -> u64 {
        let runs = get(&self.api("reconciles?limit=1")).unwrap();
        runs["items"][0]["run"].as_str().map_or(0, |run| run.parse().unwrap())
    }
}

fn write(folder: &Path, tables: &[(&str, &str)]) -> Vec<String> {
    let path = |(name, text): &(&str, &str)| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    tables.iter().map(path).collect()
}

#[test]
fn a_licence_with_too_few_entitlements_is_at_risk_and_names_this_host_and_the_evidence_also_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let once: Vec<&str> = ["up", "--once", "--data", data].into_iter().chain(FREE).collect();
    let once = run(&once);
    assert!(once.status.success(), "{}", String::from_utf8_lossy(&once.stderr));
    let device: Value = serde_json::from_slice(&once.stdout).unwrap();
    let (name, application) = (device["name"].as_str().unwrap(), &device["applications"][0]);
    let (id, title) = (application["id"].as_str().unwrap(), application["title"]["name"].as_str().unwrap());

    let up = Up::start(data);
    let links = format!("license,application\nfew,{id}\n");
    let tables = [
        ("licenses.csv", "license,name,type\nfew,\"Too few, really\",2\n"),
        ("license_applications.csv", &*links),
        ("entitlements.csv", "license,quantity\nfew,0\n"),
    ];
    let files = write(folder.path(), &tables);
    let import: Vec<&str> = ["import"].into_iter().chain(files.iter().map(String::as_str)).collect();
    assert!(up.told(&import).contains("licenses: 1 rows, 1 added, 0 removed"));
    let first = up.reconcile();
    let list = up.told(&["list", "--json"]);
    let licence: Value = serde_json::from_str(list.trim()).unwrap();
    assert_eq!((licence["status"].as_str(), licence["consumed"].as_u64()), (Some("At Risk"), Some(1)), "{licence}");
    let why = up.told(&["explain", "few"]);
    for told in ["1 used, 0 owned, At Risk", "1 more used than owned", &format!("`{name}`, device `1`"), title] {
        assert!(why.contains(told), "{told} in {why}");
    }
    let on_device = up.told(&["device", "1", "--application", id]);
    assert!(on_device.contains(&format!("`{id}` on `1` is on licence `few`")), "{on_device}");
    assert!(on_device.contains(&format!("shown by {title} ")), "{on_device}");

    assert_eq!(up.told(&["device", name, "--application", id]), on_device, "a name does as well as a number");
    let unknown = up.licenses(&["device", "nobody's"]);
    assert!(!unknown.status.success() && only_line(&unknown).contains("nobody's"), "{}", only_line(&unknown));

    // What is refused changes nothing.
    let wrong = write(folder.path(), &[("entitlements.csv", "license,quantity\nfew,1\nfew,many,,,\n")]);
    let refused = up.licenses(&["import", &wrong[0]]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(only_line(&refused).contains("entitlements.csv:3"), "{}", only_line(&refused));
    assert_eq!(up.told(&["table", "entitlements"]), "license,quantity\nfew,0\n");
    let named = up.licenses(&["import", folder.path().join("data").to_str().unwrap()]);
    assert!(only_line(&named).contains("is named after no table"), "{}", only_line(&named));

    // Killed, started again: the tables and the run are what they were, and the next run goes on.
    up.node.kill();
    let up = Up::start(data);
    assert!(up.newest() >= first);
    assert_eq!(up.told(&["explain", "few", "--run", &first.to_string()]), why);
    let bought = write(folder.path(), &[("entitlements.csv", "license,quantity\nfew,1\n")]);
    up.told(&["import", &bought[0]]);
    let second = up.reconcile();
    assert!(second > first);
    assert!(up.told(&["explain", "few"]).starts_with("`few`, Device (2): 1 used, 1 owned, Compliant"));
    assert_eq!(up.told(&["explain", "few", "--run", &first.to_string()]), why, "a past run is never changed");

    // What is kept of a run is the whole input: the command says the same of it.
    let kept = Path::new(data).join(format!("server/reconciles/default/{first}"));
    let input = folder.path().join("input");
    std::fs::create_dir(&input).unwrap();
    for entry in std::fs::read_dir(&kept)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "gz"))
    {
        let text = Command::new("gzip").args(["-dc"]).arg(entry.path()).output().unwrap().stdout;
        std::fs::write(input.join(entry.path().file_stem().unwrap()), text).unwrap();
    }
    let record = get(&up.api(&format!("reconciles/{first}"))).unwrap();
    let again = Command::new(muster())
        .args(["reconcile", "--as-of", record["as_of"].as_str().unwrap(), "--input"])
        .arg(&input)
        .output()
        .unwrap();
    assert_eq!(again.stdout, std::fs::read(input.join("license_result.csv")).unwrap());

    // A folder that is damaged is told by name, and nobody else suffers.
    let damaged = kept.join("installations.csv.gz");
    up.node.end(Signal::INT);
    std::fs::write(&damaged, b"no gzip").unwrap();
    let up = Up::start(data);
    let refused = up.licenses(&["explain", "few", "--run", &first.to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(only_line(&refused).contains("installations.csv.gz` is not what was written"), "{}", only_line(&refused));
    assert!(up.told(&["list", "--run", &first.to_string()]).contains("At Risk"), "positions stand in the log");
    assert!(up.reconcile() > second);
}
