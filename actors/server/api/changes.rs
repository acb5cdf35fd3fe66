//! `GET /reconciles/{run}/changes`, `GET /reconciles/{run}/savings` and `POST /reconciles/what-if`: what changed between two
//! runs and what did it, what could be saved, what edits would change. Nothing is written.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use muster::model::folder::Edits;
use muster::reconcile::changes::sentences::of_changes;
use muster::reconcile::changes::{Changes, Which, changes};
use muster::reconcile::savings::sentences::of_savings;
use muster::reconcile::savings::{RUNS_MAX, savings};
use muster::reconcile::what_if::what_if;
use serde_json::{Value, json};

use super::body::Sent;
use super::licences::stamp;
use super::listing::take_parameter;
use super::problem::Problem;
use super::settings::check_address;
use super::{Answer, Api, Question};
use crate::server::licensing::RunsError;

/// Bytes of a file of edits.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Terms and units that are told of one licence in words.
const TOLD_MAX: usize = 100;
/// Terms and units of one licence that are listed.
const LISTED_MAX: usize = 10_000;

fn told(changes: &Changes) -> Result<Value, Problem> {
    let mut licences =
        serde_json::to_value(&changes.licences).map_err(|error| Problem::internal("changes", error.to_string()))?;
    for licence in licences.as_array_mut().into_iter().flatten() {
        for (list, count) in [("units", "unit_count"), ("terms", "term_count")] {
            let Some(listed) = licence[list].as_array_mut() else { continue };
            let all = listed.len();
            listed.truncate(LISTED_MAX);
            licence[count] = all.into();
        }
    }
    Ok(json!({ "licenses": licences, "lines": of_changes(changes, TOLD_MAX) }))
}

pub(super) fn between(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (since, rest) = take_parameter(&question.query, "since")?;
    Question { id: String::new(), query: rest.clone() }.takes_no_parameters()?;
    let after = api.run_named(&question.id)?;
    let first = || Problem::wrong("since", "this is the first run that is kept: there is none before it");
    let before = match since {
        Some(number) => api.run_record(number)?,
        None => api.run_record(&api.run_before(after.number).ok_or_else(first)?.to_string())?,
    };
    let _alone = api.load.whole_fleet_now()?;
    let (first, second) = (api.run(&before)?, api.run(&after)?);
    let mut found = changes(&first.reconciled(), &second.reconciled());
    let read = |which, application: &str, devices: &[&str]| match which {
        Which::Before => first.open.evidence(application, devices),
        Which::After => second.open.evidence(application, devices),
    };
    found.evidence(TOLD_MAX, read).map_err(RunsError::from)?;
    let mut answer = told(&found)?;
    answer["since"] = before.number.to_string().into();
    stamp(&mut answer, Some(&after));
    Ok(Answer::Json(answer))
}

pub(super) fn saved(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (runs, rest) = take_parameter(&question.query, "tries")?;
    Question { id: String::new(), query: rest.clone() }.takes_no_parameters()?;
    let wrong = || Problem::wrong("tries", format!("`tries` is a number from 1 to {RUNS_MAX}"));
    let read = |text: &str| text.parse().ok().filter(|runs| (1..=RUNS_MAX).contains(runs)).ok_or_else(wrong);
    let runs = runs.map_or(Ok(RUNS_MAX), read)?;
    let record = api.run_named(&question.id)?;
    let _alone = api.load.whole_fleet_now()?;
    let run = api.run(&record)?;
    let found = savings(&run.reconciled(), runs);
    let mut answer = json!({
        "proposals": found.proposals,
        "together": found.together,
        "idle": found.idle,
        "hints": found.hints,
        "tries": found.runs,
        "untried": found.untried,
        "lines": of_savings(&found),
    });
    stamp(&mut answer, Some(&record));
    Ok(Answer::Json(answer))
}

/// What edits would change in the newest run. The body is a file of edits.
pub(super) async fn post(api: Data<Api>, request: HttpRequest, Sent(body): Sent) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    let permit = api.load.questions.clone().acquire_owned().await;
    let tried = tokio::task::spawn_blocking(move || {
        // Held as long as the work lasts: whoever asked may be gone before.
        let _permit = permit;
        let edits = Edits::read(&body).map_err(|error| Problem::wrong("edits", error.to_string()))?;
        let record = api.run_named("newest")?;
        let _alone = api.load.whole_fleet_now()?;
        let run = api.run(&record)?;
        let changes = what_if(&run.reconciled(), &edits.list)
            .map_err(|error| Problem::wrong("edits", edits.refused(error).to_string()))?;
        let mut answer = told(&changes)?;
        answer["unknown_columns"] = json!(edits.unknown_columns);
        stamp(&mut answer, Some(&record));
        Ok::<_, Problem>(answer)
    });
    let answer = tried.await.map_err(|_| Problem::internal("internal", "the question was not answered"))??;
    Ok(HttpResponse::Ok().json(answer))
}
