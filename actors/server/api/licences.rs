//! `GET /licenses`, `GET /licenses/{id}`, `.../consumption` and `.../explain`: the position of a run, with its working.
//!
//! Positions come from what is kept of the run; the working is calculated again from the run's own folder, so that it says
//! what was true then. Without `run` the newest is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster::model::decimal::Decimal;
use muster::model::estate::Number;
use muster::model::folder::OPERATOR;
use muster::model::licensing::{Metric, Total};
use muster::model::reconciliation::{LicencePosition, RunRecord, Unit, UnitId};
use muster::reconcile::engine::{Reconciled, TakenRow};
use muster::reconcile::sentences::{heading, of_unit};
use serde_json::{Map, Value, json};

use super::listing::{Asked, Cell, Fields, Form, Page, Window, take_parameter};
use super::problem::Problem;
use super::remembered::Remembered;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::licensing::{Purchase, Run, Runs, RunsError};

/// The newest run, by the version of the facts.
pub type Last = Remembered<u64, Option<Arc<RunRecord>>>;

impl From<RunsError> for Problem {
    fn from(error: RunsError) -> Problem {
        Problem::internal("run", Chain(&error).to_string())
    }
}

impl Api {
    /// What is kept of the newest run; `None` before the first.
    pub(super) fn newest_run(&self) -> Result<Option<Arc<RunRecord>>, Problem> {
        self.kept.reconciled.get(self.facts_version(), || Ok(Runs::newest(&self.books)?.map(Arc::new)))
    }

    /// The run that a question names by `run`, else the newest, and the rest of the question.
    pub(super) fn run_of(&self, query: &str) -> Result<(Option<Arc<RunRecord>>, String), Problem> {
        let (number, rest) = take_parameter(query, "run")?;
        let Some(number) = number else { return Ok((self.newest_run()?, rest)) };
        Ok((Some(self.run_record(number)?), rest))
    }

    /// The run that an address names, `newest` being the last one.
    pub(super) fn run_named(&self, id: &str) -> Result<Arc<RunRecord>, Problem> {
        match id {
            "newest" => self.newest_run()?.ok_or_else(|| Problem::missing("there is no run yet")),
            number => self.run_record(number),
        }
    }

    /// The number of the run that is kept before this one.
    pub(super) fn run_before(&self, number: u64) -> Option<u64> {
        Runs::numbers(&self.books, Some(number), 1).first().copied()
    }

    /// What is kept of the run of this number.
    pub(super) fn run_record(&self, number: &str) -> Result<Arc<RunRecord>, Problem> {
        let known = number.parse().ok().map(|number| Runs::record(&self.books, number)).transpose()?.flatten();
        let missing = || {
            let number = super::problem::shorten(number);
            Problem::missing(format!("there is no run `{number}`, see `GET /api/v1/reconciles`"))
        };
        known.map(Arc::new).ok_or_else(missing)
    }

    /// A run with its working. May calculate for a while.
    pub(super) fn run(&self, record: &RunRecord) -> Result<Arc<Run>, Problem> {
        Ok(self.runs.load(&self.books, record.clone())?)
    }
}

/// A decimal as programs read it: a number where that is exact.
pub(super) fn number(decimal: Decimal) -> Value {
    let text = decimal.to_string();
    let whole = text.parse::<i64>().ok().map(Value::from);
    let part = || text.parse::<f64>().ok().filter(|part| part.to_string() == text).map(Value::from);
    whole.or_else(part).unwrap_or(Value::String(text))
}

fn or_null(decimal: Option<Decimal>) -> Value {
    decimal.map_or(Value::Null, number)
}

const LICENCES: Form = Form {
    fields: &[
        "id",
        "name",
        "type",
        "metric",
        "consumed",
        "today",
        "available",
        "savings",
        "status",
        "missing",
        "reason",
    ],
    parameters: &[],
};

impl Fields for &LicencePosition {
    fn cell(&self, field: &str) -> Cell<'_> {
        let LicencePosition { license, name, why, position, .. } = self;
        let decimal = |decimal: Option<Decimal>| decimal.map_or(Cell::Null, Cell::Decimal);
        match field {
            "id" => Cell::text(&**license),
            "name" => Cell::text(&**name),
            "type" => position.metric.map_or(Cell::Null, |metric| Cell::count(metric.number().into())),
            "metric" => position.metric.map_or(Cell::Null, |metric| Cell::text(metric.as_str())),
            "consumed" => decimal(position.consumed),
            "today" => decimal(position.today),
            "available" => decimal(position.available().and_then(Total::limit)),
            "savings" => decimal(position.savings()),
            "status" => Cell::text(position.status.as_str()),
            "missing" => Cell::count(position.missing),
            "reason" => Cell::text(&**why),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (run, query) = api.run_of(&question.query)?;
    Ok(Answer::Json(page(run.as_deref(), &Asked::of(&query, &LICENCES)?)))
}

/// The page that is shown first: what needs a look on top.
pub(super) fn first(api: &Api) -> Result<Value, Problem> {
    Ok(page(api.newest_run()?.as_deref(), &Asked::of("sort=available", &LICENCES)?))
}

fn page(run: Option<&RunRecord>, asked: &Asked) -> Value {
    let mut window = Window::new(asked);
    for position in run.iter().flat_map(|run| &run.positions) {
        window.offer(position.license.as_bytes(), position, |position| position);
    }
    let mut answer = window.page().json(item);
    stamp(&mut answer, run);
    answer
}

/// Which run an answer is of.
pub(super) fn stamp(answer: &mut Value, run: Option<&RunRecord>) {
    answer["run"] = run.map(|run| run.number.to_string()).into();
    answer["at"] = run.map(|run| run.at.to_rfc3339()).into();
    answer["as_of"] = run.map(|run| run.as_of.to_string()).into();
}

/// A licence as every answer shows it.
pub(super) fn item(licence: &LicencePosition) -> Value {
    let LicencePosition { license, name, manual_status, why, position } = licence;
    let total = |total: Total| total.limit().map_or_else(|| json!("unlimited"), number);
    json!({
        "id": license,
        "name": name,
        "type": position.metric.map(Metric::number),
        "metric": position.metric.map(Metric::as_str),
        "raw": position.raw,
        "consumed": or_null(position.consumed),
        "today": or_null(position.today),
        "exempt": position.exempt,
        "entitled": total(position.total),
        "available": or_null(position.available().and_then(Total::limit)),
        "savings": or_null(position.savings()),
        "true_up_due": or_null(position.true_up_due()),
        "status_id": position.status.number(),
        "status": position.status.as_str(),
        "manual_status": (!manual_status.is_empty()).then_some(manual_status),
        "missing": position.missing,
        "reason": why,
    })
}

/// The licence that the address names, in the run that the question names; and the rest of the question.
fn named(api: &Api, question: &Question) -> Result<(Arc<RunRecord>, usize, String), Problem> {
    let (run, query) = api.run_of(&question.query)?;
    let missing = || Problem::missing("the run knows no licence of this id");
    let run = run.ok_or_else(missing)?;
    let place = run.positions.iter().position(|position| *position.license == *question.id);
    Ok((run.clone(), place.ok_or_else(missing)?, query))
}

fn refuse_rest(rest: String) -> Result<(), Problem> {
    Question { id: String::new(), query: rest }.takes_no_parameters()
}

/// Purchases that are listed with a licence.
const PURCHASES_MAX: usize = 1_000;

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (record, place, rest) = named(api, question)?;
    refuse_rest(rest)?;
    let run = api.run(&record)?;
    let found = run.reconciled();
    let context = found.context();
    let mut answer = item(&record.positions[place]);
    let covered = context.links.covered(place as Number).iter().map(|link| {
        json!({
            "id": context.estate.application_ids.name(link.application),
            "priority": link.priority,
            "supplementary": link.role.is_supplementary(),
            "devices": context.estate.installations.of_application(link.application).len(),
        })
    });
    answer["applications"] = covered.collect();
    let purchase = |purchase: Purchase| {
        let filled = purchase.cells.into_iter().filter(|(column, text)| *column != "license" && !text.is_empty());
        let mut item: Map<String, Value> = filled.map(|(column, text)| (column.to_owned(), json!(text))).collect();
        item.insert("source".into(), json!(purchase.source.as_deref().unwrap_or(OPERATOR)));
        Value::Object(item)
    };
    answer["entitlements"] = run.purchases(&question.id)?.into_iter().take(PURCHASES_MAX).map(purchase).collect();
    let warned =
        record.warnings.iter().filter(|warning| warning.license.as_ref() == Some(&record.positions[place].license));
    answer["warnings"] = warned.map(|warning| json!({ "code": warning.code, "subject": warning.subject })).collect();
    stamp(&mut answer, Some(&record));
    Ok(Answer::Json(answer))
}

/// Where the purchases of a licence come from.
fn bought_from(purchases: &[Purchase]) -> Option<String> {
    let mut sources: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    purchases.iter().for_each(|purchase| *sources.entry(purchase.source.as_deref()).or_default() += 1);
    let told = sources.into_iter().map(|(source, rows)| {
        let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        match source {
            Some(source) => format!("{rows} of the business source `{source}`"),
            None => format!("{rows} of the table of entitlements"),
        }
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("  bought: {}", told.join(", ")))
}

/// Units that are told of one licence in words; all are in its consumption.
const UNITS_TOLD: usize = 1_000;

pub(super) fn explain(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (record, place, rest) = named(api, question)?;
    refuse_rest(rest)?;
    let (run, licence) = (api.run(&record)?, place as Number);
    let found = run.reconciled();
    let units = found.working(licence).units;
    let mut lines = heading(&found, licence, &units);
    lines.extend(bought_from(&run.purchases(&question.id)?));
    let (count, taken) = (units.len(), found.taken_by(licence));
    let rows: Vec<Row> = units.into_iter().take(UNITS_TOLD).map(|unit| Row::of(unit, &found)).collect();
    let texts = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for unit in (Shown { run: &run, found: &found, taken: &taken }).units(&rows)? {
        let name = unit["name"].as_str().map(|name| format!("`{name}`, ")).unwrap_or_default();
        lines.push(format!("  {name}{}", texts(&unit["words"])));
        for installed in unit["installations"].as_array().into_iter().flatten() {
            lines.push(format!("    {} by {}", texts(&installed["application"]), texts(&installed["evidence"])));
        }
    }
    if count > UNITS_TOLD {
        lines.push(format!("  and {} more", count - UNITS_TOLD));
    }
    let mut answer = json!({ "id": question.id, "lines": lines });
    stamp(&mut answer, Some(&record));
    Ok(Answer::Json(answer))
}

const CONSUMPTION: Form = Form { fields: &["unit", "unit_id", "consumed", "raw", "reason"], parameters: &[] };

struct Row {
    is_user: bool,
    id: String,
    unit: Unit,
}

impl Fields for Row {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "unit" => Cell::text(if self.is_user { "user" } else { "device" }),
            "unit_id" => Cell::text(&*self.id),
            "consumed" => Cell::Decimal(self.unit.consumed),
            "raw" => Cell::count(self.unit.raw),
            "reason" => Cell::text(self.unit.reason.as_str()),
            _ => Cell::Null,
        }
    }
}

impl Row {
    fn of(unit: Unit, found: &Reconciled<'_>) -> Row {
        let estate = found.context().estate;
        let (is_user, id) = match &unit.id {
            UnitId::Device(device) => (false, estate.device_ids.name(*device).to_owned()),
            UnitId::UnknownDevice(id) => (false, id.to_string()),
            UnitId::User(user) => (true, estate.user_ids.name(*user).to_owned()),
        };
        Row { is_user, id, unit }
    }

    /// Devices stand by their numbers, which have no more than twenty digits.
    fn key(&self) -> Vec<u8> {
        let is_number = !self.is_user && self.id.len() <= 20 && self.id.bytes().all(|byte| byte.is_ascii_digit());
        let id = if is_number { format!("{:0>20}", self.id) } else { self.id.clone() };
        [&[u8::from(self.is_user)], id.as_bytes()].concat()
    }
}

pub(super) fn consumption(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (record, place, rest) = named(api, question)?;
    let asked = Asked::of(&rest, &CONSUMPTION)?;
    let (run, licence) = (api.run(&record)?, place as Number);
    let found = run.reconciled();
    let mut window = Window::new(&asked);
    for unit in found.working(licence).units {
        let row = Row::of(unit, &found);
        let key = row.key();
        window.offer(&key, row, |row| row);
    }
    let Page { items, next, total } = window.page();
    let taken = found.taken_by(licence);
    let shown = Shown { run: &run, found: &found, taken: &taken };
    let items = shown.units(&items)?;
    let position = &record.positions[place];
    let mut answer = json!({
        "items": items,
        "next": next,
        "total": total,
        "license": position.license,
        "consumed": or_null(position.position.consumed),
        "raw": position.position.raw,
        "exempt": position.position.exempt,
    });
    stamp(&mut answer, Some(&record));
    Ok(Answer::Json(answer))
}

/// What units are shown with.
struct Shown<'s, 'c> {
    run: &'s Run,
    found: &'s Reconciled<'c>,
    /// What the licence took, ascending by device.
    taken: &'s [TakenRow],
}

impl Shown<'_, '_> {
    fn units(&self, rows: &[Row]) -> Result<Vec<Value>, Problem> {
        let estate = self.found.context().estate;
        let of_device = |device: Number| {
            let start = self.taken.partition_point(|row| row.device < device);
            self.taken[start..].iter().take_while(move |row| row.device == device)
        };
        let device = |row: &Row| match row.unit.id {
            UnitId::Device(device) => Some(device),
            _ => None,
        };
        // Each application's evidence is read once for all devices of the page.
        let mut wanted: BTreeMap<Number, Vec<&str>> = BTreeMap::new();
        for taken in rows.iter().filter_map(device).flat_map(of_device) {
            wanted.entry(taken.application).or_default().push(estate.device_ids.name(taken.device));
        }
        let mut evidence: BTreeMap<Number, BTreeMap<String, String>> = BTreeMap::new();
        for (application, devices) in wanted {
            let read = self.run.open.evidence(estate.application_ids.name(application), &devices);
            evidence.insert(application, read.map_err(RunsError::from)?);
        }
        rows.iter()
            .map(|row| {
                let taken = device(row).into_iter().flat_map(of_device).map(|taken| {
                    let shown_by = evidence.get(&taken.application).and_then(|by_device| by_device.get(&row.id));
                    json!({
                        "application": estate.application_ids.name(taken.application),
                        "evidence": shown_by,
                        "how": self.how(taken),
                        "exemption": taken.exemption.map(|exemption| exemption.to_string()),
                        "counted": taken.is_counted,
                    })
                });
                let taken = taken.collect::<Vec<Value>>();
                Ok(json!({
                    "unit": if row.is_user { "user" } else { "device" },
                    "id": row.id,
                    "name": device(row).map(|number| self.run.device_name(number)).transpose()?,
                    "raw": row.unit.raw,
                    "consumed": number(row.unit.consumed),
                    "reason": row.unit.reason.as_str(),
                    "exemption": row.unit.reason.exemption().map(|exemption| exemption.number()),
                    "words": of_unit(self.found, &row.unit),
                    "installations": taken,
                }))
            })
            .collect()
    }

    fn how(&self, taken: &TakenRow) -> Option<&'static str> {
        let devices = self.found.context().estate.installations.of_application(taken.application);
        let place = devices.binary_search(&taken.device).ok()?;
        self.found.outcome(taken.application, place).taken().map(|taken| taken.how.as_str())
    }
}
