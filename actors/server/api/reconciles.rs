//! `GET /reconciles` and `GET /reconciles/{run}`: the runs that are kept; `.../table?table=` is what a run wrote, and
//! `GET /devices/{id}/licenses` what became of each application of a device.

use muster::model::estate::Number;
use muster::model::reconciliation::{Outcome, RunRecord, Status};
use muster::reconcile::output::{Output, Table};
use muster::reconcile::sentences::of_installation;
use serde_json::{Value, json};

use super::listing::{Asked, Cell, Fields, Form, Window, take_parameter};
use super::problem::Problem;
use super::{Answer, Api, Question, device, licences};
use crate::server::licensing::{GivenCell, Runs, RunsError};

const RUNS: Form = Form { fields: &["run", "at", "as_of"], parameters: &[] };

/// Runs that are looked at for a list: more than any server keeps.
const RUNS_MAX: usize = 10_000;

struct Row(RunRecord);

impl Fields for Row {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "run" => Cell::count(self.0.number),
            "at" => Cell::Time(self.0.at),
            "as_of" => Cell::text(self.0.as_of.to_string()),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &RUNS)?;
    let mut window = Window::new(&asked);
    for number in Runs::numbers(&api.books, None, RUNS_MAX) {
        if let Some(record) = Runs::record(&api.books, number)? {
            // The newest first.
            window.offer(&(u64::MAX - number).to_be_bytes(), Row(record), |row| item(&row.0));
        }
    }
    Ok(Answer::Json(window.page().json(|item| item)))
}

fn item(record: &RunRecord) -> Value {
    let of = |status: Status| record.positions.iter().filter(|licence| licence.position.status == status).count();
    json!({
        "run": record.number.to_string(),
        "at": record.at.to_rfc3339(),
        "as_of": record.as_of.to_string(),
        "devices": record.devices,
        "installations": record.installations,
        "titles": record.titles,
        "unrecognised": record.unrecognised,
        "licenses": record.positions.len(),
        "compliant": of(Status::Compliant),
        "at_risk": of(Status::AtRisk),
        "unknown": of(Status::Unknown),
        "not_tracked": of(Status::NotTracked),
        "warnings": record.warned,
    })
}

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    let record = api.run_named(&question.id)?;
    let mut answer = item(&record);
    answer["positions"] = record.positions.iter().map(licences::item).collect();
    let warning = |warning: &muster::model::reconciliation::RunWarning| json!({ "code": warning.code, "license": warning.license, "subject": warning.subject });
    answer["warning_list"] = record.warnings.iter().map(warning).collect();
    answer["manifest"] = record.manifest.to_string().into();
    Ok(Answer::Json(answer))
}

/// Bytes of a table that is answered.
const TABLE_BYTES_MAX: usize = 256 << 20;

/// A writer that takes so much and no more.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > TABLE_BYTES_MAX {
            return Err(std::io::Error::other("the table is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn table(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (name, rest) = take_parameter(&question.query, "table")?;
    Question { id: String::new(), query: rest.clone() }.takes_no_parameters()?;
    let names = || Table::ALL.map(Table::as_str).join(", ");
    let wrong = || Problem::wrong("table", format!("name a table: `table=` and one of {}", names()));
    let table = name.and_then(|name| Table::ALL.into_iter().find(|table| table.as_str() == name)).ok_or_else(wrong)?;
    let record = api.run_named(&question.id)?;
    let run = api.run(&record)?;
    let name = format!("{}-{}-{}.csv", api.books.tenant, record.number, table.as_str());
    // What the run wrote itself is given as it was written.
    if let Some(bytes) = run.open.text(&format!("{}.csv", table.as_str())).map_err(RunsError::from)?
        && table != Table::Peaks
    {
        return Ok(Answer::Bytes { bytes: bytes.into(), name });
    }
    let found = run.reconciled();
    let output = Output { found: &found, unrecognised: &[], warnings: &run.folder().notes.warnings };
    let mut text = Bounded(Vec::new());
    let large = |_| {
        Problem::wrong(
            "table",
            "the table is larger than an answer may be: unpack the run's folder and use `muster reconcile`",
        )
    };
    output.write(table, &mut text).map_err(large)?;
    Ok(Answer::Bytes { bytes: text.0.into(), name })
}

const ON_DEVICE: Form = Form { fields: &["application", "outcome", "license", "reason"], parameters: &["application"] };

/// What became of an application of a device.
struct OnDevice<'r> {
    application: &'r str,
    number: Number,
    outcome: &'static str,
    license: Option<&'r str>,
    reason: String,
}

impl Fields for OnDevice<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "application" => Cell::text(self.application),
            "outcome" => Cell::text(self.outcome),
            "license" => self.license.map_or(Cell::Null, Cell::text),
            "reason" => Cell::text(&*self.reason),
            _ => Cell::Null,
        }
    }
}

/// `GET /devices/{id}/licenses`.
pub(super) fn of_device(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let id = device::id(question)?.to_string();
    let (record, rest) = api.run_of(&question.query)?;
    let asked = Asked::of(&rest, &ON_DEVICE)?;
    let missing = || Problem::missing("no reconcile has seen this device");
    let record = record.ok_or_else(missing)?;
    let run = api.run(&record)?;
    let found = run.reconciled();
    let (estate, licensing) = (found.context().estate, found.context().licensing);
    let device = estate.device_ids.find(&id).ok_or_else(missing)?;
    let mut window = Window::new(&asked);
    for (number, application) in (0..).zip(estate.application_ids.iter()) {
        let Ok(place) = estate.installations.of_application(number).binary_search(&device) else { continue };
        let outcome = found.outcome(number, place);
        let (word, license, reason) = match outcome {
            Outcome::Taken(taken) => (
                if taken.exemption.is_some() { "exempt" } else { "consumed" },
                Some(licensing.ids.name(taken.licence)),
                taken.exemption.map_or_else(|| taken.how.as_str().to_owned(), |exemption| exemption.to_string()),
            ),
            Outcome::Unlicensed if found.context().links.candidates(number).is_empty() => {
                ("unlicensed", None, "no_license".to_owned())
            }
            Outcome::Unlicensed => ("unlicensed", None, "rejected".to_owned()),
            Outcome::NotLicensable => ("not licensable", None, String::new()),
        };
        let row = OnDevice { application, number, outcome: word, license, reason };
        window.offer(application.as_bytes(), row, |row| row);
    }
    let mut failed = None;
    let mut answer = window.page().json(|row: OnDevice<'_>| {
        let evidence = run.open.evidence(row.application, &[&id]);
        let evidence = evidence.map_err(|error| failed = Some(error)).ok().and_then(|mut found| found.remove(&id));
        json!({
            "application": row.application,
            "outcome": row.outcome,
            "license": row.license,
            "reason": row.reason,
            "evidence": evidence,
            "words": of_installation(&found, device, row.number),
        })
    });
    if let Some(error) = failed {
        return Err(RunsError::from(error).into());
    }
    let fact = |fact: &GivenCell| {
        let (source, date) = fact.giver.as_ref().map_or((None, None), |giver| (Some(&giver.source), Some(&giver.date)));
        let date = date.filter(|date| !date.is_empty());
        json!({ "fact": fact.column, "value": fact.value, "source": source, "inventory_date": date })
    };
    answer["facts"] = run.facts(device)?.iter().map(fact).collect();
    answer["device"] = id.as_str().into();
    answer["name"] = run.device_name(device)?.into();
    licences::stamp(&mut answer, Some(&record));
    Ok(Answer::Json(answer))
}
