//! A link that is cut for long: what a beacon holds meanwhile, in what order it drains, and what its tries cost.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use muster::formats::wire::percent_encode;
use muster::id::{Digest, Guid};
use serde_json::{Value, json};

use crate::support::{Attempt, Files, Link, Node, State, get, put, status, wait_for};
use crate::tidy::project;

/// Packages of each kind that other agents bring.
const OF_KIND: usize = 10;
/// Transfers of a beacon that may be under way at once.
const PARALLEL: usize = 8;
/// How long the link is cut at least. With a cycle each second, trying each package once in each cycle would have spent
/// the burst of ten retries many times over.
const CUT: Duration = Duration::from_secs(20);

/// What an agent of another host brings.
struct Package {
    kind: &'static str,
    name: String,
    agent: Guid,
    body: Vec<u8>,
}

impl Package {
    fn digest(&self) -> String {
        Digest::of(&self.body).to_string()
    }

    /// As agents upload, at a beacon that must take it.
    fn put(&self, beacon: &str) {
        let address = format!("{beacon}/ManageSoftRL/{}/{}", self.kind, percent_encode(&self.name));
        let request = reqwest::blocking::Client::new()
            .put(address)
            .header("x-muster-agent", self.agent.to_string())
            .header("x-muster-sha256", self.digest())
            .header("x-muster-epoch", "7")
            .header("x-muster-sequence", "1")
            .header("x-muster-collected-at", "2025-03-14T03:15:22Z")
            .body(self.body.clone());
        assert_eq!(request.send().unwrap().status(), 200, "{}", self.name);
    }
}

/// What hosts of their own report, oldest first; kinds take turns.
fn packages() -> Vec<Package> {
    let golden = |name: &str| std::fs::read_to_string(project().join("tests/golden/formats").join(name)).unwrap();
    let gzip = |text: String| {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    };
    // Use of long ago is not kept.
    let week_ago = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date() - jiff::Span::new().days(7);
    let monday = week_ago - jiff::Span::new().days(week_ago.weekday().to_monday_zero_offset());
    let (start, used) = (monday.strftime("%Y%m%dT000000").to_string(), monday.strftime("%Y%m%dT164200").to_string());
    let of = |number: usize| {
        let (kind, file) =
            [("Inventories", "web07.ndi"), ("UsageData", "web07.mmi"), ("Discovery", "web07.disco")][number % 3];
        let machine = format!("host{number:02}");
        let text = [
            ("web07", &*machine),
            ("5b0a7d0e-77a1", &format!("5b0a7d{number:02}-77a1")),
            ("c2bb5a7e-3f43", &format!("c2bb5a{number:02}-3f43")),
            ("20250310T000000", &start),
            ("20250313T164200", &used),
            ("4c4c4544", &format!("4c4c45{number:02}")),
            ("AM-0099317", &format!("AM-{number:07}")),
            ("02:1f:5a:00:12:9c", &format!("02:1f:5a:00:12:{number:02}")),
        ]
        .iter()
        .fold(golden(file), |text, (old, new)| text.replace(old, new));
        let (name, body) = match kind {
            "Inventories" => (format!("root on {machine} at 20250314T031522 (Full).ndi.gz"), gzip(text)),
            "UsageData" => (format!("{machine} at 20250314T031522.mmi.gz"), gzip(text)),
            _ => (format!("{machine} at 20250314T031530.disco"), text.into_bytes()),
        };
        Package { kind, name, agent: Guid::from_random([number as u8; 16]), body }
    };
    (0..3 * OF_KIND).map(of).collect()
}

/// What the server knows of the beacon `name`: packages held and age of the oldest in milliseconds, over all kinds.
fn held_at(operator: &str, name: &str) -> Option<(u64, u64)> {
    let beacons: Value = get(&format!("{operator}/api/v1/beacons"))?;
    let beacon = beacons["items"].as_array()?.iter().find(|beacon| beacon["name"] == name)?;
    let kinds = beacon["queue"].as_object()?.values();
    let number = |kind: &Value, field: &str| kind[field].as_u64().unwrap();
    Some(kinds.fold((0, 0), |(packages, oldest_ms), kind| {
        (packages + number(kind, "packages"), oldest_ms.max(number(kind, "oldest_ms")))
    }))
}

/// A package may be overtaken only by those that were under way beside it.
fn assert_oldest_first(packages: &[Package], drained: &[String]) {
    for kind in ["Inventories", "UsageData", "Discovery"] {
        let of_kind = packages.iter().filter(|package| package.kind == kind);
        let places: Vec<usize> = of_kind
            .map(|package| drained.iter().position(|digest| *digest == package.digest()).expect("it was drained"))
            .collect();
        for (at, place) in places.iter().enumerate() {
            let later = places.iter().skip(at + PARALLEL);
            assert!(later.clone().all(|later| later > place), "{kind}: {places:?}");
        }
    }
}

/// The tries that reached the link, told apart.
struct Cost {
    attempts: usize,
    packages: usize,
    /// Tries of a parent that was known to be down: alone, and none within a second of another.
    probes: usize,
}

impl Cost {
    fn of(attempts: &[Attempt]) -> Cost {
        let is_probe = |pair: &&[Attempt]| {
            let [before, attempt] = pair else { unreachable!("windows of two") };
            attempt.state == State::Reset && attempt.beside == 0 && attempt.at - before.at >= Duration::from_secs(1)
        };
        Cost {
            attempts: attempts.len(),
            packages: attempts.iter().map(|attempt| &attempt.digest).collect::<BTreeSet<_>>().len(),
            probes: attempts.windows(2).filter(is_probe).count(),
        }
    }
}

#[test]
fn a_cut_link_leaves_everything_at_the_child_and_its_end_drains_it_once_and_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.77.0.60" };
    let link = Link::to(files.address, 7081);
    let operator = format!("http://{}:8080", files.address);
    let (_server, _) = Node::ready("server", &files.server());
    let (_parent, _) = Node::ready("beacon", &files.beacon("parent", 7081, 7080, None, ""));
    let frequent = |file: &Path| {
        let text = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, text.replace("status_interval_secs = 60", "status_interval_secs = 1")).unwrap();
    };
    // The first has the agent's site; what it sends to the parent passes the link.
    let first_file = files.beacon("first", 7082, link.port, Some(7082), "lab");
    frequent(&first_file);
    let (_first, _) = Node::ready("beacon", &first_file);
    let (_second, _) = Node::ready("beacon", &files.beacon("second", 7083, 7081, Some(7083), ""));
    put(&format!("{operator}/api/v1/settings/client-configuration"), &json!({ "selector": "MgsSiteMatch" }));
    wait_for("the policy at the first", || {
        let policy: Value = get(&format!("http://{}:7082/inventory-beacons/x/policy", files.address))?;
        let list = policy["content"]["failover"].as_str()?.to_owned();
        (list.matches("UploadSettings").count() == 2 && list.contains("SelectorAlgorithm=MgsSiteMatch")).then_some(())
    });

    // From here on the parent hears what the first sends, and the first hears nothing.
    link.set(State::Silent);
    let agent_file = files.agent(7082);
    let (_agent, _) = Node::ready("agent", &agent_file);
    let receipt = wait_for("the agent's receipt", || status(&agent_file)?["last_receipt"].as_object().cloned());
    assert!(receipt["server"].as_str().unwrap().contains(":7082"), "{receipt:?}");
    let packages = packages();
    let first = format!("http://{}:7082", files.address);
    packages.iter().for_each(|package| package.put(&first));
    let cut = wait_for("an upload into the silence", || link.attempts().first().map(|attempt| attempt.at));
    wait_for("a long silence", || (link.age() >= cut + CUT).then_some(()));
    assert!(link.attempts().len() <= PARALLEL, "{:?}", link.attempts());

    // The parent can be asked again, but no upload gets through: the server shows what the first holds.
    link.set(State::Reset);
    let (held, oldest_ms) = wait_for("what the first holds", || {
        held_at(&operator, "first").filter(|(_, oldest_ms)| *oldest_ms >= CUT.as_millis() as u64)
    });
    assert!(held > packages.len() as u64, "all and the agent's: {held}");

    link.set(State::Whole);
    let imported = |digest: &str| {
        get(&format!("{operator}/api/v1/packages/{digest}")).filter(|package| package["state"] == "imported")
    };
    for package in &packages {
        let shown = wait_for(&package.name, || imported(&package.digest()));
        assert_eq!(shown["hops"].as_array().unwrap().len(), 3, "{shown}");
        assert_eq!((&shown["kind"], &shown["others"]), (&json!(package.kind), &json!([])), "{shown}");
    }
    wait_for("the agent's report", || imported(receipt["digest"].as_str().unwrap()));
    wait_for("an empty queue", || held_at(&operator, "first").filter(|(packages, _)| *packages == 0));

    let attempts = link.attempts();
    let drained = attempts.iter().filter(|attempt| attempt.answer == Some(200)).map(|attempt| attempt.digest.clone());
    let drained: Vec<String> = drained.collect();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    drained.iter().for_each(|digest| *times.entry(digest).or_default() += 1);
    assert!(times.values().all(|times| *times == 1), "what has a receipt is not sent again: {times:?}");
    assert_oldest_first(&packages, &drained);
    let cost = Cost::of(&attempts);
    println!(
        "outage: {held} packages held, the oldest for {oldest_ms} ms; {} tries with a body of {} packages, {} of them \
         probes: amplification {:.2}",
        cost.attempts,
        cost.packages,
        cost.probes,
        cost.attempts as f64 / cost.packages as f64
    );
    // Contract, section 5: a tenth on top of first sends, a burst of ten, and the circuit's probes.
    let retries = cost.attempts - cost.packages - cost.probes;
    assert!(retries <= cost.packages / 10 + 10, "{retries} retries for {} packages", cost.packages);
    let summary: Value = get(&format!("{operator}/api/v1/ledger/summary")).unwrap();
    let settled = (cost.packages as u64, 0, 0, 0);
    let count = |field: &str| summary[field].as_u64().unwrap();
    assert_eq!((count("imported"), count("stale"), count("quarantined"), count("in_custody")), settled, "{summary}");
}
