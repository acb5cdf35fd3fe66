//! `GET /fillers`: values that many machines share, and those that are demoted. `POST /fillers` demotes one, or restores it.

use std::collections::BTreeSet;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use muster::matching::fillers::MACHINES_MIN;
use muster::matching::{Filler, Record, Records, fillers};
use muster::model::device::RecordKey;
use muster::model::staged::StagedRecord;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Sent;
use super::listing::{Asked, Cell, Fields, Form, Window, take_parameter};
use super::problem::Problem;
use super::settings::check_address;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::fillers::{Demoted, FillerError, demote};
use crate::server::importer::{ImportError, staged};
use crate::server::rules::demoted;
use crate::server::server::DevicesChanged;

/// Most bytes of a question.
pub(super) const BYTES_MAX: usize = 16 << 10;

const FORM: Form = Form { fields: &["property", "value", "records", "machines", "demoted"], parameters: &["property"] };

/// A value as the list shows it; a demoted one that no record gives has no property.
struct Row {
    value: String,
    found: Option<Filler>,
    is_demoted: bool,
}

impl Fields for Row {
    fn cell(&self, field: &str) -> Cell<'_> {
        let count = |of: fn(&Filler) -> u64| Cell::count(self.found.as_ref().map_or(0, of));
        match (field, &self.found) {
            ("property", Some(found)) => Cell::text(found.property.as_str()),
            ("value", _) => Cell::text(&self.value),
            ("records", _) => count(|found| found.records),
            ("machines", _) => count(|found| found.machines),
            ("demoted", _) => Cell::text(self.is_demoted.to_string()),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (machines_min, query) = machines_min(&question.query)?;
    let asked = Asked::of(&query, &FORM)?;
    let (books, rules) = (&api.books, &api.rules);
    let demoted = demoted(&books.facts, &books.tenant);
    let found = {
        let _one_at_a_time = api.load.whole_fleet_now()?;
        let staged = staged(&books.facts, &books.tenant).map_err(unreadable)?;
        // By the rules of the configuration alone: what was demoted is to be seen.
        let record = |(key, staged): (RecordKey, StagedRecord)| Record::new(staged.computer(&key), &rules.placeholders);
        let records: Vec<Record> = staged.into_iter().map(record).collect();
        fillers(&Records::new(&records), &demoted, machines_min)
    };
    let given: BTreeSet<&str> = found.iter().map(|filler| filler.value.as_str()).collect();
    let unseen: Vec<&String> = demoted.iter().filter(|value| !given.contains(value.as_str())).collect();
    let unseen = unseen.into_iter().map(|value| Row { value: value.clone(), found: None, is_demoted: true });
    let seen = found.iter().map(|filler| Row {
        value: filler.value.clone(),
        is_demoted: demoted.contains(&filler.value),
        found: Some(filler.clone()),
    });
    let mut window = Window::new(&asked);
    for (place, row) in (0_u64..).zip(seen.chain(unseen)) {
        window.offer(&place.to_be_bytes(), row, |row| row);
    }
    Ok(Answer::Json(window.page().json(|row| item(&row))))
}

/// How many machines share a value that is listed, and the rest of the question.
fn machines_min(query: &str) -> Result<(u32, String), Problem> {
    let (text, query) = take_parameter(query, "machines")?;
    let wrong = || Problem::wrong("machines", "`machines` is a number from 2 on");
    let number = |text: &str| text.parse().ok().filter(|number| *number >= 2).ok_or_else(wrong);
    Ok((text.map_or(Ok(MACHINES_MIN), number)?, query))
}

fn item(row: &Row) -> Value {
    json!({
        "property": row.found.as_ref().map(|found| found.property.as_str()),
        "value": row.value,
        "records": row.found.as_ref().map_or(0, |found| found.records),
        "machines": row.found.as_ref().map_or(0, |found| found.machines),
        "demoted": row.is_demoted,
    })
}

fn unreadable(error: ImportError) -> Problem {
    Problem::internal("facts", Chain(&error).to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    value: String,
    demoted: bool,
}

pub(super) async fn post(api: Data<Api>, request: HttpRequest, Sent(body): Sent) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    let like = r#"the body has to be like {"value": "default string", "demoted": true}"#;
    let Body { value, demoted } =
        serde_json::from_slice(&body).map_err(|error| Problem::wrong("filler", format!("{like}: {error}")))?;
    match demote(&api.books, &api.rules.placeholders, &api.clock, &value, demoted).await {
        Ok(Demoted { value, is_change, state }) => {
            if let Some(server) = api.server.get() {
                let _ = server.send(DevicesChanged(api.books.tenant.clone(), state)).await;
            }
            Ok(HttpResponse::Ok().json(json!({ "value": value, "demoted": demoted, "changed": is_change })))
        }
        Err(FillerError::Turn(error)) => Err(Problem::internal("books", Chain(&error).to_string())),
        Err(fault) => Err(Problem::wrong("value", fault.to_string())),
    }
}
