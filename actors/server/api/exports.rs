//! `GET /exports`: how the last exports went, newest first. In memory, since the start of the server.

use std::sync::PoisonError;

use muster::export::{RunReport, TypeReport};
use muster::time::Timestamp;
use serde_json::{Value, json};

use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::{Answer, Api, Question};

const FORM: Form = Form { fields: &["exit", "message", "started", "finished"], parameters: &[] };

impl Fields for RunReport {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "exit" => Cell::text(word(self.exit)),
            "message" => Cell::text(&self.message),
            "started" => Cell::Time(self.started),
            "finished" => Cell::Time(self.finished),
            _ => Cell::Null,
        }
    }
}

/// The word that a value is in answers.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &FORM)?;
    let mut window = Window::new(&asked);
    let reports = api.reports.lock().unwrap_or_else(PoisonError::into_inner);
    // There is one instance, for the server's own tenant.
    for report in reports.iter().filter(|_| api.is_own()) {
        // Newest first; two do not run at once, so the start names an export.
        let id = (!(report.started.0 as u64)).to_be_bytes();
        window.offer(&id, report.clone(), |report| report);
    }
    drop(reports);
    Ok(Answer::Json(window.page().json(|report| item(&report))))
}

fn item(report: &RunReport) -> Value {
    json!({
        "id": report.started.0.to_string(),
        "started": report.started.to_rfc3339(),
        "finished": report.finished.to_rfc3339(),
        "exit": report.exit,
        "exit_code": report.exit_code,
        "message": report.message,
        "warnings": report.warnings,
        "types": report.types.iter().map(data_type).collect::<Vec<Value>>(),
    })
}

fn data_type(report: &TypeReport) -> Value {
    json!({
        "type": report.data_type,
        "state": report.state,
        "run": report.run.map(|run| run.to_string()),
        "import_run": report.import_run,
        "resumed": report.resumed,
        "since": report.since.map(Timestamp::to_rfc3339),
        "segments": report.segments,
        "tries": report.tries,
        "records": report.records,
    })
}
