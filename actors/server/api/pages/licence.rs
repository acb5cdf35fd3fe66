//! The page of one licence: what it is used for and owned, what it covers, and each unit that it counts with its evidence.

use askama::Template;
use serde_json::Value;

use super::{page_tenant, rendered, segment, shown, text, time};
use crate::server::api::problem::Problem;
use crate::server::api::{Answer, Api, Question, licences};

struct Application {
    id: String,
    priority: String,
    supplementary: bool,
    devices: String,
}

struct Installed {
    application: String,
    how: String,
    exemption: String,
    evidence: String,
}

struct Unit {
    kind: String,
    id: String,
    name: String,
    link: String,
    consumed: String,
    words: String,
    installed: Vec<Installed>,
}

#[derive(Template)]
#[template(path = "licence.html")]
struct LicencePage {
    server: String,
    tenant: String,
    /// Behind links.
    end: String,
    now: String,
    id: String,
    segment: String,
    name: String,
    metric: String,
    as_of: String,
    run: String,
    at: String,
    status: String,
    class: &'static str,
    reason: String,
    /// Figure, label.
    tiles: Vec<(String, &'static str)>,
    applications: Vec<Application>,
    /// Quantity, first and last day, source.
    bought: Vec<[String; 4]>,
    /// Code, subject.
    warnings: Vec<(String, String)>,
    units: Vec<Unit>,
    total: usize,
}

/// The class of a status.
pub(super) fn class(status: &str) -> &'static str {
    match status {
        "Compliant" => "good",
        "At Risk" => "bad",
        _ => "warn",
    }
}

pub fn licence(api: &Api, question: &Question) -> Result<Answer, Problem> {
    // `run` shows an earlier one.
    let (Answer::Json(licence), Answer::Json(consumption)) =
        (licences::get(api, question)?, licences::consumption(api, question)?)
    else {
        return Err(Problem::internal("page", "a licence that is no JSON"));
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (id, name, status) = (text(&licence["id"]), text(&licence["name"]), text(&licence["status"]));
    let (end, _) = api.link_ends();
    let figures = [
        ("consumed", "used"),
        ("entitled", "owned"),
        ("available", "left"),
        ("raw", "installations"),
        ("exempt", "exempt installations"),
        ("missing", "devices that could not be counted"),
    ];
    let tiles = figures.into_iter().map(|(field, label)| (text(&licence[field]), label));
    let application = |application: &Value| Application {
        id: text(&application["id"]),
        priority: text(&application["priority"]),
        supplementary: application["supplementary"] == true,
        devices: text(&application["devices"]),
    };
    let unit = |unit: &Value| {
        let (kind, id, name) = (text(&unit["unit"]), text(&unit["id"]), text(&unit["name"]));
        let installed = |installed: &Value| Installed {
            application: text(&installed["application"]),
            how: text(&installed["how"]),
            exemption: text(&installed["exemption"]),
            evidence: text(&installed["evidence"]),
        };
        Unit {
            link: if unit["name"].is_null() { String::new() } else { format!("/devices/{}{end}", segment(&id)) },
            name: if name.is_empty() { id.clone() } else { name },
            kind,
            id,
            consumed: text(&unit["consumed"]),
            words: text(&unit["words"]),
            installed: list(&unit["installations"]).iter().map(installed).collect(),
        }
    };
    rendered(&LicencePage {
        server: api.name.clone(),
        tenant: page_tenant(api),
        now: shown(api.clock.now()),
        segment: segment(&id),
        name: if name.is_empty() { id.clone() } else { name },
        id,
        metric: text(&licence["metric"]),
        as_of: text(&licence["as_of"]),
        run: text(&licence["run"]),
        at: time(&text(&licence["at"])),
        class: class(&status),
        status,
        reason: text(&licence["reason"]),
        tiles: tiles.filter(|(figure, _)| !figure.is_empty()).collect(),
        applications: list(&licence["applications"]).iter().map(application).collect(),
        bought: list(&licence["entitlements"])
            .iter()
            .map(|purchase| ["quantity", "effective", "expiry", "source"].map(|field| text(&purchase[field])))
            .collect(),
        warnings: list(&licence["warnings"])
            .iter()
            .map(|warning| (text(&warning["code"]), text(&warning["subject"])))
            .collect(),
        units: list(&consumption["items"]).iter().map(unit).collect(),
        total: consumption["total"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(usize::MAX),
        end,
    })
}
