//! The pages of the runs of the licence reconcile: which are kept, the position in one of them, and what changed since the one
//! before.

use askama::Template;
use serde_json::Value;

use super::licence::class;
use super::{page_tenant, rendered, segment, shown, text, time};
use crate::server::api::problem::Problem;
use crate::server::api::{Answer, Api, Question, changes as compared, reconciles};

/// Warnings that are shown.
const WARNINGS_MAX: usize = 200;

struct Listed {
    number: String,
    at: String,
    /// Devices, licences, compliant, at risk, unknown, warnings.
    figures: Vec<String>,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    server: String,
    tenant: String,
    /// Behind links.
    end: String,
    now: String,
    runs: Vec<Listed>,
    total: String,
}

struct Position {
    id: String,
    segment: String,
    name: String,
    metric: String,
    consumed: String,
    entitled: String,
    left: String,
    status: String,
    class: &'static str,
    reason: String,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    server: String,
    tenant: String,
    end: String,
    /// Behind links that have a parameter.
    more: String,
    now: String,
    number: String,
    at: String,
    as_of: String,
    /// Whether there is a run before it to compare with.
    has_earlier: bool,
    /// Figure, label.
    tiles: Vec<(String, &'static str)>,
    positions: Vec<Position>,
    /// Code, licence, subject.
    warnings: Vec<[String; 3]>,
    warned: String,
}

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    server: String,
    tenant: String,
    end: String,
    now: String,
    number: String,
    since: String,
    at: String,
    /// In words, the head of each licence first.
    lines: Vec<Line>,
}

struct Line {
    text: String,
    is_head: bool,
}

fn json(answer: Answer) -> Result<Value, Problem> {
    match answer {
        Answer::Json(value) => Ok(value),
        _ => Err(Problem::internal("page", "an answer that is no JSON")),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(|list| &list[..]).unwrap_or_default()
}

/// The runs that are kept, the newest first.
pub fn runs(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let runs = json(reconciles::list(api, question)?)?;
    let listed = |run: &Value| Listed {
        number: text(&run["run"]),
        at: time(&text(&run["at"])),
        figures: ["devices", "licenses", "compliant", "at_risk", "unknown", "warnings"]
            .map(|figure| text(&run[figure]))
            .into(),
    };
    rendered(&RunsPage {
        server: api.name.clone(),
        tenant: page_tenant(api),
        end: api.link_ends().0,
        now: shown(api.clock.now()),
        runs: list(&runs["items"]).iter().map(listed).collect(),
        total: text(&runs["total"]),
    })
}

/// The position in one run.
pub fn run(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let run = json(reconciles::get(api, question)?)?;
    let (end, more) = api.link_ends();
    let number = text(&run["run"]);
    let figures = [
        ("devices", "devices"),
        ("installations", "installations"),
        ("titles", "titles"),
        ("unrecognised", "titles that no rule knows"),
        ("compliant", "compliant"),
        ("at_risk", "at risk"),
        ("unknown", "unknown"),
    ];
    let position = |licence: &Value| {
        let (id, name, status) = (text(&licence["id"]), text(&licence["name"]), text(&licence["status"]));
        Position {
            segment: segment(&id),
            name: if name.is_empty() { id.clone() } else { name },
            id,
            metric: text(&licence["metric"]),
            consumed: text(&licence["consumed"]),
            entitled: text(&licence["entitled"]),
            left: text(&licence["available"]),
            class: class(&status),
            status,
            reason: text(&licence["reason"]),
        }
    };
    let warning = |warning: &Value| ["code", "license", "subject"].map(|field| text(&warning[field]));
    rendered(&RunPage {
        server: api.name.clone(),
        tenant: page_tenant(api),
        end,
        more,
        now: shown(api.clock.now()),
        has_earlier: number.parse().ok().and_then(|number| api.run_before(number)).is_some(),
        at: time(&text(&run["at"])),
        as_of: text(&run["as_of"]),
        tiles: figures.into_iter().map(|(field, label)| (text(&run[field]), label)).collect(),
        positions: list(&run["positions"]).iter().map(position).collect(),
        warnings: list(&run["warning_list"]).iter().take(WARNINGS_MAX).map(warning).collect(),
        warned: text(&run["warnings"]),
        number,
    })
}

/// What changed since the run before, or the one that `since` names.
pub fn changes(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let told = json(compared::between(api, question)?)?;
    let line = |line: &Value| {
        let text = text(line);
        Line { is_head: !text.starts_with(' '), text: text.trim_start().to_owned() }
    };
    rendered(&ChangesPage {
        server: api.name.clone(),
        tenant: page_tenant(api),
        end: api.link_ends().0,
        now: shown(api.clock.now()),
        number: text(&told["run"]),
        since: text(&told["since"]),
        at: time(&text(&told["at"])),
        lines: list(&told["lines"]).iter().map(line).collect(),
    })
}
