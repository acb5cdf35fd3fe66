//! `GET /licenses`, `GET /licenses/{id}` and `.../consumption`: the position of the last reconcile, with its working.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster::id::DeviceId;
use muster::model::fact::FactKey;
use muster::model::licence::{Licence, Quantity};
use muster::model::position::{Consumption, Position, Rejected, Taken, Unit};
use muster::model::reconciled::Reconciled;
use muster::model::software::{ApplicationId, Title, TitleId};
use muster::model::stored;
use muster::roles::server::DeviceRow;
use muster::roles::server::view::key;
use serde_json::{Value, json};

use super::device::title;
use super::listing::{Asked, Cell, Fields, Form, Page, Window};
use super::problem::Problem;
use super::recognition::Recognition;
use super::remembered::Remembered;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::fleet::Fleet;

/// The last reconcile, by the version of the facts.
pub type Last = Remembered<u64, Option<Arc<Reconciled>>>;

impl Api {
    /// The result of the last reconcile; `None` before the first.
    pub(super) fn reconciled(&self) -> Result<Option<Arc<Reconciled>>, Problem> {
        self.kept.reconciled.get(self.facts_version(), || {
            let key = FactKey::Reconciled(self.books.tenant.clone());
            Ok(Fleet::of(&self.books).fact::<Reconciled>(&key)?.map(Arc::new))
        })
    }
}

const LICENCES: Form = Form {
    fields: &["id", "name", "publisher", "metric", "consumed", "available", "savings", "status", "reason"],
    parameters: &[],
};

/// A position, and the licence as its file says now.
pub(super) struct Row<'r> {
    position: &'r Position,
    licence: Option<&'r Licence>,
}

impl Fields for Row<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        match (field, self.licence) {
            ("id", _) => Cell::text(self.position.licence.as_str()),
            ("consumed", _) => Cell::count(self.position.consumed),
            ("available", _) => self.position.available.map_or(Cell::Null, Cell::Number),
            ("savings", _) => Cell::Number(self.position.savings),
            ("status", _) => Cell::text(self.position.status.as_str()),
            ("reason", _) => Cell::text(&self.position.reason),
            ("name", Some(licence)) => Cell::text(&*licence.name),
            ("publisher", Some(licence)) => Cell::text(&*licence.publisher),
            ("metric", Some(licence)) => Cell::text(licence.metric.as_str()),
            _ => Cell::Null,
        }
    }
}

fn row<'r>(position: &'r Position, recognition: &'r Recognition) -> Row<'r> {
    let licence = recognition.rules.licences.iter().find(|licence| licence.id == position.licence);
    Row { position, licence }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &LICENCES)?;
    Ok(Answer::Json(page(api, &asked)?))
}

/// The page that is shown first: what needs a look on top.
pub(super) fn first(api: &Api) -> Result<Value, Problem> {
    page(api, &Asked::of("sort=available", &LICENCES)?)
}

fn page(api: &Api, asked: &Asked) -> Result<Value, Problem> {
    let (recognition, reconciled) = (&*api.recognition()?, api.reconciled()?);
    let mut window = Window::new(asked);
    for position in reconciled.iter().flat_map(|reconciled| &reconciled.positions) {
        window.offer(position.licence.as_str().as_bytes(), row(position, recognition), |row| row);
    }
    let mut answer = window.page().json(|row| item(&row));
    answer["at"] = reconciled.as_ref().map(|reconciled| reconciled.at.to_rfc3339()).into();
    answer["as_of"] = reconciled.as_ref().map(|reconciled| reconciled.as_of.to_string()).into();
    Ok(answer)
}

fn item(row: &Row<'_>) -> Value {
    let Row { position, licence } = row;
    let entitled = match position.entitled {
        Quantity::Limited(count) => json!(count),
        Quantity::Unlimited => json!("unlimited"),
    };
    let applications = licence.map(|licence| {
        licence.links.iter().map(|link| json!({ "id": link.application, "priority": link.priority })).collect::<Value>()
    });
    json!({
        "id": position.licence.as_str(),
        "name": licence.map(|licence| &*licence.name),
        "publisher": licence.map(|licence| &*licence.publisher),
        "metric": licence.map(|licence| licence.metric.as_str()),
        "applications": applications,
        "entitled": entitled,
        "consumed": position.consumed,
        "available": position.available,
        "savings": position.savings,
        "true_up_due": position.true_up_due,
        "status": position.status.as_str(),
        "reason": position.reason,
    })
}

/// The place of the licence that the address names, in positions and consumptions.
fn place(reconciled: &Option<Arc<Reconciled>>, id: &str) -> Result<(Arc<Reconciled>, usize), Problem> {
    let missing = || Problem::missing("the last reconcile knew no licence of this id");
    let reconciled = reconciled.clone().ok_or_else(missing)?;
    let place = reconciled.positions.iter().position(|position| position.licence.as_str() == id);
    Ok((reconciled.clone(), place.ok_or_else(missing)?))
}

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    let (recognition, (reconciled, place)) = (api.recognition()?, place(&api.reconciled()?, &question.id)?);
    Ok(Answer::Json(item(&row(&reconciled.positions[place], &recognition))))
}

const CONSUMPTION: Form = Form { fields: &["device", "consumed", "raw", "reason"], parameters: &[] };

/// All that the working says of one device.
#[derive(Default)]
struct OnDevice<'r> {
    unit: Option<&'r Unit>,
    taken: Vec<&'r Taken>,
    rejected: Vec<&'r Rejected>,
    has_arrived: bool,
}

struct Working<'r>(DeviceId, OnDevice<'r>);

impl Fields for Working<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        let unit = self.1.unit;
        match field {
            "device" => Cell::count(self.0.0),
            "consumed" => unit.map_or(Cell::Null, |unit| Cell::count(u64::from(unit.consumed))),
            "raw" => unit.map_or(Cell::Null, |unit| Cell::count(u64::from(unit.raw))),
            "reason" => Cell::text(reason(&self.1).unwrap_or_default()),
            _ => Cell::Null,
        }
    }
}

fn reason(on: &OnDevice<'_>) -> Option<String> {
    let counted = on.unit.map(|unit| unit.reason.to_string());
    counted.or_else(|| on.rejected.first().map(|rejected| rejected.reason.as_str().to_owned()))
}

/// The working by device, ascending.
fn by_device(used: &Consumption) -> BTreeMap<DeviceId, OnDevice<'_>> {
    let mut devices: BTreeMap<DeviceId, OnDevice<'_>> = BTreeMap::new();
    used.units.iter().for_each(|unit| devices.entry(unit.device).or_default().unit = Some(unit));
    used.taken.iter().for_each(|taken| devices.entry(taken.device).or_default().taken.push(taken));
    used.rejected.iter().for_each(|rejected| devices.entry(rejected.device).or_default().rejected.push(rejected));
    used.arrived.iter().for_each(|device| devices.entry(*device).or_default().has_arrived = true);
    devices
}

pub(super) fn consumption(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &CONSUMPTION)?;
    let (recognition, (reconciled, place)) = (&*api.recognition()?, place(&api.reconciled()?, &question.id)?);
    let used = reconciled.consumptions.get(place).filter(|used| used.licence.as_str() == question.id);
    let used = used.ok_or_else(|| Problem::internal("store", "a position without its consumption"))?;
    let mut window = Window::new(&asked);
    for (device, on) in by_device(used) {
        window.offer(&device.0.to_be_bytes(), Working(device, on), |row| row);
    }
    let Page { items, next, total } = window.page();
    let items = items.into_iter().map(|row| on_device(api, recognition, &row)).collect::<Result<Vec<Value>, _>>()?;
    // A working that was too long to be kept shows as none, though rights are used.
    let truncated = total == 0 && used.raw > 0;
    Ok(Answer::Json(json!({
        "items": items,
        "next": next,
        "total": total,
        "licence": used.licence.as_str(),
        "consumed": used.consumed,
        "raw": used.raw,
        "exempt": used.exempt,
        "truncated": truncated,
        "at": reconciled.at.to_rfc3339(),
        "as_of": reconciled.as_of.to_string(),
    })))
}

fn on_device(api: &Api, recognition: &Recognition, Working(device, on): &Working<'_>) -> Result<Value, Problem> {
    let store = api.books.view.store();
    let stored = |error: stored::StoredError| Problem::internal("store", Chain(&error).to_string());
    let row = store.get(&key::device(&api.books.tenant, *device))?;
    let row: Option<DeviceRow> = row.map(|row| stored::unpack(&row)).transpose().map_err(stored)?;
    // Numbers of titles are the view's own and others after a rebuild: shown is only what the rules still say.
    let shown_by = |id: TitleId, application: &ApplicationId| -> Result<Option<Value>, Problem> {
        let found = store.get(&key::title(&api.books.tenant, id))?;
        let found: Option<Title> = found.map(|row| stored::unpack(&row)).transpose().map_err(stored)?;
        let is_it = |found: &Title| {
            recognition.recogniser.recognise(found).iter().any(|rule| rule.application() == Some(application))
        };
        Ok(found.filter(is_it).map(|found| title(&found)))
    };
    let taken = |taken: &&Taken| -> Result<Value, Problem> {
        Ok(json!({
            "application": taken.application.as_str(),
            "title": shown_by(taken.title, &taken.application)?,
            "how": taken.how.as_str(),
            "exemption": taken.exemption.map(|exemption| exemption.to_string()),
        }))
    };
    let rejected = |rejected: &&Rejected| json!({ "application": rejected.application.as_str(), "reason": rejected.reason.as_str() });
    Ok(json!({
        "device": device.to_string(),
        "name": row.map(|row| row.name),
        "raw": on.unit.map(|unit| unit.raw),
        "consumed": on.unit.map(|unit| unit.consumed),
        "reason": reason(on),
        "taken": on.taken.iter().map(taken).collect::<Result<Vec<Value>, Problem>>()?,
        "rejected": on.rejected.iter().map(rejected).collect::<Vec<Value>>(),
        "arrived": on.has_arrived,
    }))
}
