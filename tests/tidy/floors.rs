//! Who may import from whom.

use super::code::{module_of, named_paths};

/// The floors of `src/`, lowest first. A module uses what stands on floors below its own, never its neighbours.
const FLOORS: [&[&str]; 5] = [
    &["time", "id", "rng"],
    &["formats"],
    &["model"],
    &["matching", "reconcile", "export", "schedule", "upload", "policy", "config"],
    &["roles"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Imports of a file of `src/` that do not point to a floor below.
fn broken_floors(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("src/") else { return Vec::new() };
    let module = module_of(inside);
    // lib.rs only lists the modules.
    let Some(own) = module.first() else { return Vec::new() };
    let Some(own_floor) = floor(own) else { return vec![format!("{path}: `{own}` stands on no floor")] };
    let mut findings = Vec::new();
    for named in named_paths(&module, text, &["muster"]) {
        let whole = named.segments.join("::");
        let verdict = match named.segments.get(1).map(String::as_str) {
            Some(top) if top == own => continue,
            Some(top) => match floor(top) {
                Some(floor) if floor < own_floor => continue,
                Some(floor) if floor == own_floor => "its neighbour",
                Some(_) => "a floor above",
                None => "no module of a floor",
            },
            None => "the whole crate",
        };
        findings.push(format!("{path}:{}: `{own}` imports `{whole}`, {verdict}", named.line));
    }
    findings
}

/// The three roles of `actors/`, which know nothing of each other.
const ROLES: [&str; 3] = ["agent", "beacon", "server"];

/// Imports of one role's actors by another's.
fn broken_roles(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("actors/") else { return Vec::new() };
    let module = module_of(inside);
    let Some(own) = module.first().filter(|own| ROLES.contains(&own.as_str())) else { return Vec::new() };
    let named = named_paths(&module, text, &["muster_actors"]).into_iter();
    let foreign = named.filter(|named| match named.segments.get(1).map(String::as_str) {
        Some(top) => top != own && (top == "*" || ROLES.contains(&top)),
        None => true,
    });
    foreign.map(|named| format!("{path}:{}: `{own}` imports `{}`", named.line, named.segments.join("::"))).collect()
}

/// Imports of actors by the driver that runs bare cores.
fn broken_calendar(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("simulations/") else { return Vec::new() };
    if !inside.starts_with("drive/calendar") {
        return Vec::new();
    }
    let named = named_paths(&module_of(inside), text, &["muster_actors"]).into_iter();
    let foreign = named.filter(|named| {
        let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
        matches!(
            segments[..],
            ["muster_actors", ..] | ["crate"] | ["crate", "chaos" | "*", ..] | ["crate", "drive", "actors" | "*", ..]
        )
    });
    foreign
        .map(|named| format!("{path}:{}: the calendar imports `{}`", named.line, named.segments.join("::")))
        .collect()
}

#[test]
fn an_import_from_the_side_or_from_above_is_found() {
    let check = |path: &str, text: &str, wanted: &[&str]| assert_eq!(broken_floors(path, text), wanted);
    check("src/upload/rates.rs", "use crate::{id::Guid, model::package, time};\nuse super::ledger;", &[]);
    check(
        "src/upload/rates.rs",
        "use crate::{id,\n matching};",
        &["src/upload/rates.rs:1: `upload` imports `crate::matching`, its neighbour"],
    );
    check(
        "src/model/device.rs",
        "fn f() { super::super::roles::run() }",
        &["src/model/device.rs:1: `model` imports `crate::roles::run`, a floor above"],
    );
    check(
        "src/formats/ndi/tests.rs",
        "mod deep { use super::super::super::super::model; }",
        &["src/formats/ndi/tests.rs:1: `formats` imports `crate::model`, a floor above"],
    );
    check("src/formats/ndi/tests.rs", "use super::super::gzip; use super::*;", &[]);
    check("src/time.rs", "use crate::id::Guid;", &["src/time.rs:1: `time` imports `crate::id::Guid`, its neighbour"]);
    check("src/id.rs", "use crate::*;", &["src/id.rs:1: `id` imports `crate::*`, no module of a floor"]);
    check("src/id.rs", "use super as up;", &["src/id.rs:1: `id` imports `crate`, the whole crate"]);
    check("src/id.rs", "use muster::roles;", &["src/id.rs:1: `id` imports `muster::roles`, a floor above"]);
    check("src/gossip.rs", "", &["src/gossip.rs: `gossip` stands on no floor"]);
    check("src/lib.rs", "pub mod roles;", &[]);
}

#[test]
fn a_role_that_knows_another_is_found() {
    let check = |path: &str, text: &str, wanted: &[&str]| assert_eq!(broken_roles(path, text), wanted);
    check("actors/beacon/relay.rs", "use crate::intake::Receiver; use super::status; use crate::log::Log;", &[]);
    check(
        "actors/beacon/relay.rs",
        "use crate::{log, server::loader};",
        &["actors/beacon/relay.rs:1: `beacon` imports `crate::server::loader`"],
    );
    check("actors/agent.rs", "use super::beacon;", &["actors/agent.rs:1: `agent` imports `crate::beacon`"]);
    check("actors/up.rs", "use crate::{agent, beacon, server};", &[]);
}

#[test]
fn a_calendar_that_knows_actors_is_found() {
    let check = |path: &str, text: &str, wanted: &[&str]| assert_eq!(broken_calendar(path, text), wanted);
    check("simulations/drive/calendar.rs", "use muster::roles::Core; use crate::workload::Fleet;", &[]);
    check(
        "simulations/drive/calendar/queue.rs",
        "use muster_actors::clock::WallClock;\nuse crate::chaos::run;\nuse super::super::actors::Network;",
        &[
            "simulations/drive/calendar/queue.rs:1: the calendar imports `muster_actors::clock::WallClock`",
            "simulations/drive/calendar/queue.rs:2: the calendar imports `crate::chaos::run`",
            "simulations/drive/calendar/queue.rs:3: the calendar imports `crate::drive::actors::Network`",
        ],
    );
    check("simulations/drive/actors.rs", "use muster_actors::clock::WallClock;", &[]);
}

#[test]
fn the_project_keeps_its_floors() {
    let rules = [broken_floors, broken_roles, broken_calendar];
    let sources = super::sources();
    super::assert_none(
        sources.iter().flat_map(|(path, text)| rules.iter().flat_map(move |rule| rule(path, text))).collect(),
    );
}
