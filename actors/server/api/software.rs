//! `GET /software`: every title of the fleet and what it is recognised as; `GET /applications`: what is installed.

use muster::model::recognition::Rule;
use muster::model::reconciliation::Installed;
use muster::model::software::Title;
use muster::model::stored;
use muster::roles::server::view::key;
use serde_json::{Value, json};

use super::device::title;
use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::recognition::Recognition;
use super::{Answer, Api, Question};
use crate::errors::Chain;

/// Rows that are read together.
const PAGE: usize = 1_000;

const SOFTWARE: Form =
    Form { fields: &["name", "version", "publisher", "evidence", "application", "recognition"], parameters: &[] };

struct Row<'r> {
    title: Title,
    recognition: &'r Recognition,
}

impl<'r> Row<'r> {
    fn rules(&self) -> Vec<&'r Rule> {
        self.recognition.recogniser.recognise(&self.title)
    }

    fn applications(&self) -> Vec<&'r str> {
        let ids = self.rules().into_iter().filter_map(|rule| rule.application().map(|id| id.as_str()));
        let mut ids: Vec<&str> = ids.collect();
        ids.dedup();
        ids
    }

    fn verdict(&self) -> &'static str {
        let rules = self.rules();
        match rules.iter().any(|rule| rule.application().is_some()) {
            true => "recognised",
            false if rules.is_empty() => "unrecognised",
            false => "ignored",
        }
    }
}

impl Fields for Row<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "name" => Cell::text(self.title.name()),
            "version" => Cell::text(self.title.version()),
            "publisher" => Cell::text(self.title.publisher()),
            "evidence" => Cell::text(self.title.evidence()),
            "application" => Cell::text(self.applications().join(" ")),
            "recognition" => Cell::text(self.verdict()),
            _ => Cell::Null,
        }
    }
}

/// Titles stand by name, version, publisher and evidence: numbers of the view are shown to nobody.
fn id(title: &Title) -> Vec<u8> {
    [title.name(), title.version(), title.publisher(), title.evidence()].join("\0").into_bytes()
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &SOFTWARE)?;
    let recognition = &*api.recognition()?;
    let (mut window, mut after) = (Window::new(&asked), None::<bytes::Bytes>);
    let (store, prefix) = (api.books.view.store(), key::all_titles(&api.books.tenant));
    loop {
        let rows = store.scan(&prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        for (_, row) in rows {
            let title: Title =
                stored::unpack(&row).map_err(|error| Problem::internal("store", Chain(&error).to_string()))?;
            window.offer(&id(&title), Row { title, recognition }, |row| row);
        }
    }
    let item = |row: Row<'_>| {
        let mut value = title(&row.title);
        value["applications"] = row.applications().into();
        value["recognition"] = row.verdict().into();
        value["rules"] = row.rules().into_iter().map(|rule| json!(rule.id.as_str())).collect();
        value
    };
    Ok(Answer::Json(window.page().json(item)))
}

const APPLICATIONS: Form = Form {
    fields: &["id", "name", "publisher", "version", "classification", "devices", "unlicensed", "covered"],
    parameters: &[],
};

struct Application<'r> {
    installed: &'r Installed,
    recognition: &'r Recognition,
}

impl Fields for Application<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        let known = self.recognition.library.application(&self.installed.application);
        match (field, known) {
            ("id", _) => Cell::text(self.installed.application.as_str()),
            ("devices", _) => Cell::count(self.installed.devices),
            ("unlicensed", _) => Cell::count(self.installed.unlicensed),
            ("covered", _) => Cell::text(if self.installed.unlicensed == 0 { "true" } else { "false" }),
            ("name", Some(known)) => Cell::text(known.name()),
            ("publisher", Some(known)) => Cell::text(&*known.publisher),
            ("version", Some(known)) => Cell::text(&*known.version),
            ("classification", Some(known)) => Cell::text(known.classification.as_str()),
            _ => Cell::Null,
        }
    }
}

pub(super) fn applications(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &APPLICATIONS)?;
    let (recognition, reconciled) = (&*api.recognition()?, api.newest_run()?);
    let mut window = Window::new(&asked);
    for installed in reconciled.iter().flat_map(|reconciled| &reconciled.installed) {
        let id = installed.application.as_str().as_bytes();
        window.offer(id, Application { installed, recognition }, |row| row.installed);
    }
    let mut answer = window.page().json(|installed| -> Value {
        let mut value = recognition.application(&installed.application);
        value["devices"] = installed.devices.into();
        value["unlicensed"] = installed.unlicensed.into();
        value["covered"] = (installed.unlicensed == 0).into();
        value
    });
    // Whether titles are left that no rule knows belongs beside what is known.
    answer["titles"] = reconciled.as_ref().map(|reconciled| reconciled.titles).into();
    answer["unrecognised"] = reconciled.as_ref().map(|reconciled| reconciled.unrecognised).into();
    answer["ignored"] = reconciled.as_ref().map(|reconciled| reconciled.ignored).into();
    answer["at"] = reconciled.as_ref().map(|reconciled| reconciled.at.to_rfc3339()).into();
    Ok(Answer::Json(answer))
}
