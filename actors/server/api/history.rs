//! `GET /devices/{id}/history`: what changed on a device, the newest first.

use muster::model::device::RecordKey;
use muster::model::device_history::{Change, DeviceHistory};
use muster::model::fact::FactKey;
use muster::time::Timestamp;
use serde_json::{Value, json};

use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::{Answer, Api, Question, device};
use crate::server::fleet::Fleet;

const FORM: Form = Form { fields: &["at", "change", "property", "from", "to", "source"], parameters: &[] };

struct Row<'h>(&'h (Timestamp, Change));

impl Fields for Row<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        let Row((at, change)) = self;
        let text = |text: &Option<Box<str>>| text.clone().map_or(Cell::Null, |text| Cell::text(String::from(text)));
        match (field, change) {
            ("at", _) => Cell::Time(*at),
            ("change", change) => Cell::text(word(change)),
            ("property", Change::Value { property, .. }) => Cell::text(property.as_str()),
            ("from", Change::Value { from, .. }) => text(from),
            ("to", Change::Value { to, .. }) => text(to),
            ("source", Change::Value { source, .. }) => Cell::text(&**source),
            ("source", Change::RecordJoined { record, .. } | Change::RecordLeft { record }) => {
                Cell::text(&*record.source)
            }
            _ => Cell::Null,
        }
    }
}

fn word(change: &Change) -> &'static str {
    match change {
        Change::Value { .. } => "value",
        Change::RecordJoined { .. } => "record joined",
        Change::RecordLeft { .. } => "record left",
        Change::MergedInto { .. } => "merged",
        Change::Ended => "ended",
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let (id, asked) = (device::id(question)?, Asked::of(&question.query, &FORM)?);
    let fleet = Fleet::of(&api.books);
    // An alias has a history of its own, which ends with what it was merged into.
    let known: Option<muster::model::device::DeviceFact> =
        fleet.fact(&FactKey::Device(api.books.tenant.clone(), id))?;
    known.ok_or_else(device::missing)?;
    let history: DeviceHistory = fleet.fact(&FactKey::History(api.books.tenant.clone(), id))?.unwrap_or_default();
    let mut window = Window::new(&asked);
    for (place, entry) in (0_u64..).zip(history.newest_first()) {
        window.offer(&place.to_be_bytes(), Row(entry), |row| item(row.0));
    }
    let mut answer = window.page().json(|item| item);
    answer["dropped"] = history.dropped.into();
    Ok(Answer::Json(answer))
}

fn item((at, change): &(Timestamp, Change)) -> Value {
    let record = |record: &RecordKey| json!({ "source": record.source, "external_id": record.external_id });
    let mut value = json!({
        "at": at.to_rfc3339(),
        "change": word(change),
        "property": null, "from": null, "to": null, "source": null, "record": null, "matcher": null, "device": null,
    });
    match change {
        Change::Value { property, from, to, source } => {
            value["property"] = property.as_str().into();
            value["from"] = from.as_deref().into();
            value["to"] = to.as_deref().into();
            value["source"] = (&**source).into();
        }
        Change::RecordJoined { record: joined, matcher } => {
            (value["record"], value["matcher"]) = (record(joined), json!(matcher));
        }
        Change::RecordLeft { record: left } => value["record"] = record(left),
        Change::MergedInto { device } => value["device"] = device.to_string().into(),
        Change::Ended => {}
    }
    value
}
