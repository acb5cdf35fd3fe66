//! The first page: how many packages are where, the devices, what is on its way, the beacons, the licence position.

use std::sync::PoisonError;

use askama::Template;
use muster::export::{ExitCode, RunReport};
use muster::model::beacon_status::BeaconStatus;
use muster::roles::server::DeviceRow;
use muster::time::{SECOND_MS, Timestamp};
use serde_json::Value;

use super::licence::class;
use super::{page_tenant, page_tenants, rendered, segment, shown, span, text, time};
use crate::server::api::problem::Problem;
use crate::server::api::{Answer, Api, Question, beacons, devices, ledger, licences, packages};

/// Held packages that are shown.
const HELD_MAX: usize = 20;
/// Exports that are shown.
const EXPORTS_MAX: usize = 5;

struct Tile {
    number: String,
    label: &'static str,
    class: &'static str,
    /// The list behind the number; empty without one.
    link: String,
}

struct Device {
    id: String,
    name: String,
    domain: String,
    os: String,
    manufacturer: String,
    model: String,
    serial: String,
    device_type: String,
    last_inventory: String,
    records: u32,
}

struct Held {
    digest: String,
    name: String,
    kind: String,
    origin: String,
    size: String,
    received: String,
    way: String,
}

struct Beacon {
    id: String,
    /// How agents reach it; empty when they are not to use it.
    endpoint: String,
    name: String,
    parent: String,
    version: String,
    last_seen: String,
    is_late: bool,
    silent: String,
    queue: Vec<String>,
    quarantined: u64,
}

struct Export {
    finished: String,
    exit: String,
    class: &'static str,
    records: u64,
    message: String,
}

struct Licence {
    id: String,
    link: String,
    name: String,
    metric: String,
    entitled: String,
    consumed: String,
    available: String,
    status: String,
    class: &'static str,
    reason: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    server: String,
    tenant: String,
    /// The other tenants, when there are several.
    tenants: Vec<String>,
    /// Behind links, and behind those that have a parameter.
    end: String,
    more: String,
    now: String,
    tiles: Vec<Tile>,
    devices: Vec<Device>,
    device_total: usize,
    view_behind: bool,
    waiting_for_import: u64,
    next_import: String,
    held: Vec<Held>,
    held_total: usize,
    at_beacons: u64,
    beacons: Vec<Beacon>,
    beacon_total: u64,
    started: String,
    exporting: bool,
    exports: Vec<Export>,
    reconciled: String,
    licences: Vec<Licence>,
    licences_problem: String,
}

pub fn home(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    let (summary, plan) = (ledger::summarise(api)?, api.import_plan());
    let (devices, held, beacons) = (devices::first(api)?, packages::oldest_held(api, HELD_MAX)?, beacons::first(api)?);
    let now = api.clock.now();
    // A run that has rotted must not hide the devices.
    let (positions, licences_problem) = match licences::first(api) {
        Ok(positions) => (positions, String::new()),
        Err(problem) => (Value::Null, problem.to_string()),
    };
    let exports = api.reports.lock().unwrap_or_else(PoisonError::into_inner);
    let exports = exports.iter().rev().filter(|_| api.is_own()).take(EXPORTS_MAX).map(export).collect();
    rendered(&Home {
        server: api.name.clone(),
        tenant: page_tenant(api),
        tenants: page_tenants(api),
        end: api.link_ends().0,
        more: api.link_ends().1,
        now: shown(now),
        tiles: tiles(&summary, devices.total, api.in_custody(), &api.link_ends()),
        device_total: usize::try_from(devices.total).unwrap_or(usize::MAX),
        devices: devices.items.into_iter().map(device).collect(),
        view_behind: api.books.view.is_behind(),
        waiting_for_import: plan.waiting,
        next_import: plan.due.map(shown).unwrap_or_default(),
        held_total: usize::try_from(held.total).unwrap_or(usize::MAX),
        held: held.items.iter().map(package).collect(),
        at_beacons: api.at_beacons().0,
        beacon_total: beacons.total,
        started: shown(api.policy.started()),
        beacons: beacons.items.into_iter().map(|row| beacon(row.status, now)).collect(),
        exporting: api.settings.exports.contains(&api.books.tenant),
        exports,
        reconciled: time(&text(&positions["at"])),
        licences: positions["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|position| licence(position, &api.link_ends().0))
            .collect(),
        licences_problem,
    })
}

fn tiles(summary: &Value, devices: u64, unsettled: usize, (end, more): &(String, String)) -> Vec<Tile> {
    let plain = |label, number: String, link: &str| Tile { number, label, class: "", link: link.into() };
    let of = |label, name: &str| plain(label, text(&summary[name]), "");
    let alarm = |label, name: &str, class| {
        let is_quiet = summary[name].as_u64() == Some(0);
        Tile { class: if is_quiet { "" } else { class }, ..of(label, name) }
    };
    let listed = |state: &str, tile: Tile| Tile { link: format!("/api/v1/packages?state={state}{more}"), ..tile };
    vec![
        plain("devices", devices.to_string(), &format!("/api/v1/devices{end}")),
        listed("imported", of("packages imported", "imported")),
        listed(packages::HELD, plain("in custody here", unsettled.to_string(), "")),
        of("held at beacons", "at_beacons"),
        listed("stale", of("stale", "stale")),
        listed(packages::MISSING, alarm("missing", "missing", "bad")),
        listed("quarantined", alarm("quarantined", "quarantined", "bad")),
        listed("expired", alarm("expired", "expired", "bad")),
        of("repeated deliveries", "duplicate_deliveries"),
    ]
}

fn device(row: DeviceRow) -> Device {
    Device {
        id: row.id.to_string(),
        name: row.name,
        domain: row.domain,
        os: row.os,
        manufacturer: row.manufacturer,
        model: row.model,
        serial: row.serial,
        device_type: row.device_type,
        last_inventory: shown(Timestamp(row.last_inventory.saturating_mul(SECOND_MS))),
        records: row.records,
    }
}

fn package(package: &Value) -> Held {
    let digest = text(&package["digest"]);
    let name = text(&package["name"]);
    Held {
        name: if name.is_empty() { digest.clone() } else { name },
        digest,
        kind: text(&package["kind"]),
        origin: text(&package["origin"]),
        size: text(&package["size"]),
        received: time(&text(&package["received"])),
        way: super::hops(&package["hops"]).join(", "),
    }
}

fn beacon(status: BeaconStatus, now: Timestamp) -> Beacon {
    let is_late = beacons::is_silent(&status, now);
    let queue = status.queue.waiting.iter().filter(|(_, queue)| queue.packages > 0);
    let line = |(kind, queue): (&String, &muster::model::beacon_status::KindQueue)| {
        format!("{} {kind}, oldest {}", queue.packages, span(queue.oldest_ms))
    };
    Beacon {
        queue: queue.map(line).collect(),
        id: status.id.to_string(),
        endpoint: status.endpoint.as_ref().map(|endpoint| endpoint.address.clone()).unwrap_or_default(),
        name: status.name,
        parent: status.parent,
        version: status.version,
        last_seen: shown(status.at),
        is_late,
        silent: span(now.ms_since(status.at)),
        quarantined: status.queue.quarantined,
    }
}

fn export(report: &RunReport) -> Export {
    let is_good = report.exit == ExitCode::Success;
    Export {
        finished: shown(report.finished),
        exit: if is_good { "done".to_owned() } else { format!("failed ({})", report.exit_code) },
        class: if is_good { "good" } else { "bad" },
        records: report.types.iter().map(|data_type| data_type.records).fold(0, u64::saturating_add),
        message: report.message.clone(),
    }
}

fn licence(position: &Value, end: &str) -> Licence {
    let (id, status) = (text(&position["id"]), text(&position["status"]));
    let class = class(&status);
    let available = if position["available"].is_null() { "no limit".to_owned() } else { text(&position["available"]) };
    Licence {
        link: format!("/licenses/{}{end}", segment(&id)),
        id,
        name: text(&position["name"]),
        metric: text(&position["metric"]),
        entitled: text(&position["entitled"]),
        consumed: text(&position["consumed"]),
        available,
        status,
        class,
        reason: text(&position["reason"]),
    }
}
