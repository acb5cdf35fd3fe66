//! `GET /imports`: what the last imports did, newest first.

use muster::model::fact::{FactKey, FactKind};
use muster::roles::server::{ImportEnded, REPORTS_KEPT};
use serde_json::Value;

use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::{Answer, Api, Question};
use crate::matching::report;
use crate::server::fleet::Fleet;

const FORM: Form =
    Form { fields: &["started", "finished", "records", "changed", "created", "merged", "clones"], parameters: &[] };

impl Fields for ImportEnded {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "started" => Cell::Time(self.started),
            "finished" => Cell::Time(self.finished),
            "records" => Cell::count(self.report.records),
            "changed" => Cell::count(self.changed),
            "created" => Cell::count(self.report.created),
            "merged" => Cell::count(self.report.merged),
            "clones" => Cell::count(self.report.clones),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &FORM)?;
    let prefix = FactKind::Import.prefix(Some(&api.books.tenant));
    let keys = api.books.facts.keys(&prefix, None, usize::from(REPORTS_KEPT));
    let mut window = Window::new(&asked);
    for key in keys.iter().filter_map(|(key, _)| FactKey::decode(key)) {
        let ended: Option<ImportEnded> = Fleet::of(&api.books).fact(&key)?;
        if let Some(ended) = ended {
            let newest_first = (!ended.number).to_be_bytes();
            window.offer(&newest_first, ended, |ended| ended);
        }
    }
    Ok(Answer::Json(window.page().json(|ended| item(&ended))))
}

fn item(ended: &ImportEnded) -> Value {
    let mut item = report::json(&ended.report);
    item["id"] = ended.number.to_string().into();
    item["started"] = ended.started.to_rfc3339().into();
    item["finished"] = ended.finished.to_rfc3339().into();
    item["changed"] = ended.changed.into();
    item
}
