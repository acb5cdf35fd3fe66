//! The page of one device: its values and who gave them, its records and what joined them, its reports and software.

use askama::Template;
use serde_json::Value;

use super::{hops, rendered, shown, text, time};
use crate::server::api::problem::Problem;
use crate::server::api::{Answer, Api, Question};

/// Titles that are shown.
const SOFTWARE_MAX: usize = 5_000;

struct Given {
    property: String,
    value: String,
    source: String,
    date: String,
}

struct Record {
    id: String,
    source: String,
    external_id: String,
    date: String,
    matcher: String,
}

struct Package {
    digest: String,
    short: String,
    state: String,
    class: &'static str,
    hops: Vec<String>,
}

struct Application {
    name: String,
    publisher: String,
    title: String,
    rule: String,
}

struct Title {
    name: String,
    version: String,
    publisher: String,
    evidence: String,
    install_date: String,
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    server: String,
    now: String,
    id: String,
    name: String,
    os: String,
    hardware: String,
    last_inventory: String,
    values: Vec<Given>,
    records: Vec<Record>,
    packages: Vec<Package>,
    applications: Vec<Application>,
    rules_read: bool,
    software: Vec<Title>,
    software_total: usize,
}

pub fn device(api: &Api, question: &Question) -> Result<Answer, Problem> {
    use crate::server::api::device;
    question.takes_no_parameters()?;
    let device = device::device(api, device::id(question)?)?.ok_or_else(device::missing)?;
    let list = |name: &str| device[name].as_array().map(|list| &list[..]).unwrap_or_default();
    let (id, name) = (text(&device["id"]), text(&device["name"]));
    rendered(&DevicePage {
        server: api.name.clone(),
        now: shown(api.clock.now()),
        name: if name.is_empty() { format!("device {id}") } else { name },
        id,
        os: text(&device["os"]),
        hardware: format!("{} {}", text(&device["manufacturer"]), text(&device["model"])).trim().to_owned(),
        last_inventory: time(&text(&device["last_inventory"])),
        values: list("values").iter().map(given).collect(),
        records: list("records").iter().map(|value| record(api, value)).collect(),
        packages: list("packages").iter().map(package).collect(),
        applications: list("applications").iter().map(application).collect(),
        rules_read: !device["applications"].is_null(),
        software: list("software").iter().take(SOFTWARE_MAX).map(title).collect(),
        software_total: list("software").len(),
    })
}

fn given(value: &Value) -> Given {
    Given {
        property: text(&value["property"]),
        value: text(&value["value"]),
        source: text(&value["source"]),
        date: time(&text(&value["date"])),
    }
}

fn record(api: &Api, value: &Value) -> Record {
    let order = value["matcher"].as_i64();
    let names = api.rules.matchers.iter().filter(|matcher| Some(matcher.order()) == order);
    let names: Vec<&str> = names.map(|matcher| matcher.name()).collect();
    Record {
        id: text(&value["record_id"]),
        source: text(&value["source"]),
        external_id: text(&value["external_id"]),
        date: time(&text(&value["inventory_date"])),
        matcher: order.map(|order| format!("{order} {}", names.join(" or "))).unwrap_or_default(),
    }
}

fn package(value: &Value) -> Package {
    let digest = text(&value["digest"]);
    let state = text(&value["state"]);
    Package {
        short: digest.chars().take(16).collect(),
        digest,
        class: if state == "imported" { "good" } else { "warn" },
        state: if state.is_empty() { "unknown".to_owned() } else { state },
        hops: hops(&value["hops"]),
    }
}

fn application(value: &Value) -> Application {
    let (id, name) = (text(&value["id"]), text(&value["name"]));
    Application {
        name: if name.is_empty() { id } else { name },
        publisher: text(&value["publisher"]),
        title: format!("{} {}", text(&value["title"]["name"]), text(&value["title"]["version"])),
        rule: text(&value["rule"]),
    }
}

fn title(value: &Value) -> Title {
    Title {
        name: text(&value["name"]),
        version: text(&value["version"]),
        publisher: text(&value["publisher"]),
        evidence: text(&value["evidence"]),
        install_date: text(&value["install_date"]),
    }
}
