//! Rules about what the packages depend on, read from `cargo metadata`.

mod licence;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use serde_json::Value;

/// What the law book may not reach: runtimes, sockets, databases.
const WORLDLY: [&str; 10] =
    ["actix", "actix-rt", "actix-web", "async-std", "hyper", "mio", "reqwest", "rusqlite", "sled", "tokio"];

/// Packages by id: the name, and the ids it needs to run.
#[derive(Default)]
struct Graph {
    names: BTreeMap<String, String>,
    needs: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// The graph of `cargo metadata`, edges that only builds or tests need left out.
    fn of(metadata: &Value) -> Graph {
        let text = |value: &Value| value.as_str().expect("a text").to_string();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let names = list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let is_normal = |need: &Value| list(&need["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let needs = list(&metadata["resolve"]["nodes"]).into_iter().map(|node| {
            let needs = list(&node["deps"]).into_iter().filter(is_normal).map(|need| text(&need["pkg"]));
            (text(&node["id"]), needs.collect())
        });
        Graph { names, needs: needs.collect() }
    }

    /// Names on the shortest way from package `from` to one of `to`.
    fn way(&self, from: &str, to: &[&str]) -> Option<Vec<String>> {
        let start = self.names.iter().find(|(_, name)| *name == from).expect("a package of that name").0;
        let mut seen = BTreeSet::from([start]);
        let mut open = VecDeque::from([vec![start]]);
        while let Some(way) = open.pop_front() {
            let last = way[way.len() - 1];
            if to.contains(&self.names[last].as_str()) {
                return Some(way.into_iter().map(|id| self.names[id].clone()).collect());
            }
            for next in self.needs.get(last).into_iter().flatten() {
                if seen.insert(next) {
                    open.push_back(way.iter().copied().chain([next]).collect());
                }
            }
        }
        None
    }
}

/// What cargo says of this workspace, for every platform. Whatever is on this machine already is not fetched again.
fn metadata() -> Value {
    let manifest = crate::tidy::project().join("Cargo.toml");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let mut command = Command::new(cargo);
    let output =
        command.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]).arg(manifest).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

#[test]
fn a_way_to_a_runtime_is_found_however_long_and_tests_do_not_count() {
    let need = |name: &str, kind: Value| serde_json::json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
    let node = |name: &str, deps: Vec<Value>| serde_json::json!({"id": name, "deps": deps});
    let packages = ["muster", "a", "b", "tokio", "other"].map(|name| serde_json::json!({"id": name, "name": name}));
    let graph = Graph::of(&serde_json::json!({
        "packages": packages,
        "resolve": {"nodes": [
            node("muster", vec![need("a", Value::Null)]),
            node("a", vec![need("b", Value::Null)]),
            node("b", vec![need("tokio", Value::Null)]),
            node("other", vec![need("tokio", "dev".into()), need("muster", "build".into())]),
        ]},
    }));
    assert_eq!(graph.way("muster", &["mio", "tokio"]).unwrap(), ["muster", "a", "b", "tokio"]);
    assert_eq!(graph.way("other", &["mio", "tokio"]), None);
}

#[test]
fn the_law_book_reaches_no_runtime_and_the_clerks_no_drill() {
    let graph = Graph::of(&metadata());
    assert_eq!(graph.way("muster", &WORLDLY), None);
    assert_eq!(graph.way("muster-actors", &["muster-simulations", "muster-tests"]), None);
    assert_eq!(graph.way("muster-simulations", &["muster-tests"]), None);
    assert!(graph.way("muster-actors", &["tokio"]).is_some(), "the graph has edges");
}
