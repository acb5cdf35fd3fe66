//! The page of one device: its values and who gave them, its records and what joined them, its reports and software.

use askama::Template;
use serde_json::Value;

use super::{hops, page_tenant, rendered, segment, shown, text, time};
use crate::server::api::problem::Problem;
use crate::server::api::{Answer, Api, Question, reconciles};

/// Titles that are shown.
const SOFTWARE_MAX: usize = 5_000;
/// Lines of usage that are shown.
const USAGE_MAX: usize = 2_000;

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

struct Use {
    name: String,
    version: String,
    user: String,
    runs: String,
    hours: String,
    active_hours: String,
    last_used: String,
    period: String,
    is_installed: bool,
}

struct Service {
    kind: String,
    name: String,
    port: String,
    version: String,
    state: String,
    instances: String,
    finder: String,
    seen: String,
}

struct Address {
    value: String,
    mac: String,
    subnet: String,
    finder: String,
    seen: String,
}

struct Licensed {
    application: String,
    outcome: String,
    license: String,
    segment: String,
    words: Vec<String>,
    evidence: String,
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    server: String,
    tenant: String,
    /// Behind links.
    end: String,
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
    /// The run that the licences are of.
    run: String,
    licences_problem: String,
    /// What a licence looked at: figure, value, source.
    facts: Vec<String>,
    licensed: Vec<Licensed>,
    licensed_total: usize,
    software: Vec<Title>,
    software_total: usize,
    usage: Vec<Use>,
    services: Vec<Service>,
    addresses: Vec<Address>,
}

pub fn device(api: &Api, question: &Question) -> Result<Answer, Problem> {
    use crate::server::api::device;
    question.takes_no_parameters()?;
    let device = device::device(api, device::id(question)?)?.ok_or_else(device::missing)?;
    let list = |name: &str| device[name].as_array().map(|list| &list[..]).unwrap_or_default();
    let (id, name) = (text(&device["id"]), text(&device["name"]));
    // A device that no reconcile has seen yet has none.
    let (licences, licences_problem) = match reconciles::of_device(api, question) {
        Ok(Answer::Json(licences)) => (licences, String::new()),
        Err(problem) if !problem.is_missing() => (Value::Null, problem.to_string()),
        _ => (Value::Null, String::new()),
    };
    let of_run = |name: &str| licences[name].as_array().map(|list| &list[..]).unwrap_or_default();
    rendered(&DevicePage {
        server: api.name.clone(),
        tenant: page_tenant(api),
        end: api.link_ends().0,
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
        run: text(&licences["run"]),
        licences_problem,
        facts: of_run("facts").iter().map(fact).collect(),
        licensed: of_run("items").iter().map(licensed).collect(),
        licensed_total: licences["total"].as_u64().unwrap_or_default() as usize,
        software: list("software").iter().take(SOFTWARE_MAX).map(title).collect(),
        software_total: list("software").len(),
        usage: [("usage", true), ("usage_unmatched", false)]
            .into_iter()
            .flat_map(|(name, is_installed)| list(name).iter().map(move |line| used(line, is_installed)))
            .take(USAGE_MAX)
            .collect(),
        services: each_found(list("discovery"), "services", service),
        addresses: each_found(list("discovery"), "addresses", address),
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

fn fact(value: &Value) -> String {
    let source = text(&value["source"]);
    let source = if source.is_empty() { source } else { format!(" ({source})") };
    format!("{} {}{source}", text(&value["fact"]), text(&value["value"]))
}

fn licensed(value: &Value) -> Licensed {
    let license = text(&value["license"]);
    Licensed {
        application: text(&value["application"]),
        outcome: text(&value["outcome"]),
        segment: segment(&license),
        license,
        words: value["words"].as_array().into_iter().flatten().map(text).collect(),
        evidence: text(&value["evidence"]),
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

fn used(value: &Value, is_installed: bool) -> Use {
    let hours = |name: &str| format!("{:.1}", value[name].as_u64().unwrap_or_default() as f64 / 3_600.0);
    let (user, domain) = (text(&value["user"]), text(&value["domain"]));
    Use {
        name: text(&value["name"]),
        version: text(&value["version"]),
        user: if domain.is_empty() { user } else { format!("{user}@{domain}") },
        runs: value["runs"].to_string(),
        hours: hours("run_secs"),
        active_hours: hours("active_secs"),
        last_used: time(&text(&value["last_used"])),
        period: format!("{} to {}", time(&text(&value["from"])), time(&text(&value["to"]))),
        is_installed,
    }
}

/// The entries of one list of every discovery, with who found them and when.
fn each_found<T>(found: &[Value], name: &str, make: fn(&Value, String, String) -> T) -> Vec<T> {
    let of = |one: &Value| (text(&one["source"]), time(&text(&one["seen"])));
    let entries = |one: &'_ Value| one[name].as_array().cloned().unwrap_or_default();
    let all = found.iter().flat_map(|one| entries(one).into_iter().map(move |entry| (entry, of(one))));
    all.map(|(entry, (finder, seen))| make(&entry, finder, seen)).collect()
}

fn service(value: &Value, finder: String, seen: String) -> Service {
    let instance = |one: &Value| format!("{} {}", text(&one["name"]), text(&one["status"])).trim().to_owned();
    let instances: Vec<String> = value["instances"].as_array().into_iter().flatten().map(instance).collect();
    Service {
        kind: text(&value["type"]),
        name: text(&value["name"]),
        port: value["port"].as_u64().map(|port| port.to_string()).unwrap_or_default(),
        version: text(&value["version"]),
        state: text(&value["state"]),
        instances: instances.join(", "),
        finder,
        seen,
    }
}

fn address(value: &Value, finder: String, seen: String) -> Address {
    Address { value: text(&value["value"]), mac: text(&value["mac"]), subnet: text(&value["subnet"]), finder, seen }
}
