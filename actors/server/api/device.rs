//! `GET /devices/{id}`: one device with its values, records, software and packages.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use muster::id::DeviceId;
use muster::model::fact::FactKey;
use muster::model::inventory::Installed;
use muster::model::package::PackageKey;
use muster::model::settlement::Settlement;
use muster::roles::server::DeviceRow;
use muster::time::{SECOND_MS, Timestamp};
use serde_json::{Value, json};

use super::{Api, blocking, problem};
use crate::errors::Chain;
use crate::server::books::Books;
use crate::server::fleet::{Fleet, FleetError, WholeDevice};

/// The handler.
pub async fn get(api: Data<Api>, id: Path<String>) -> HttpResponse {
    let Ok(id) = id.parse::<u64>() else { return problem(404, "not-found", "a device has a number") };
    let asked = blocking(api, move |api| device(&api.books, api.rules.primary.as_deref(), DeviceId(id))).await;
    match asked {
        Ok(Ok(Some(device))) => HttpResponse::Ok().json(device),
        Ok(Ok(None)) => problem(404, "not-found", "there is no device of this number"),
        Ok(Err(error)) => problem(500, "store", &Chain(&error).to_string()),
        Err(answer) => answer,
    }
}

/// A device as in the list.
pub fn item(row: &DeviceRow) -> Value {
    json!({
        "id": row.id.to_string(),
        "name": row.name,
        "domain": row.domain,
        "manufacturer": row.manufacturer,
        "model": row.model,
        "serial": row.serial,
        "uuid": row.uuid,
        "os": row.os,
        "type": row.device_type,
        "last_inventory": from_secs(row.last_inventory),
        "sources": row.sources,
        "records": row.records,
    })
}

/// The whole device `id`; `None` when there is none.
pub fn device(books: &Books, primary: Option<&str>, id: DeviceId) -> Result<Option<Value>, FleetError> {
    let fleet = Fleet::of(books);
    let Some(whole) = fleet.device(id)? else { return Ok(None) };
    let mut value = item(&DeviceRow::of(&whole.device));
    value["values"] = values(&whole, primary);
    value["records"] = records(&whole);
    value["software"] = fleet.software(&whole)?.iter().map(software).collect();
    value["packages"] = packages(&fleet, books, &whole)?;
    Ok(Some(value))
}

fn from_secs(secs: i64) -> String {
    Timestamp(secs.saturating_mul(SECOND_MS)).to_rfc3339()
}

fn values(whole: &WholeDevice, primary: Option<&str>) -> Value {
    let value = |property: &str, text: &str, source: &str, date: i64| json!({ "property": property, "value": text, "source": source, "date": from_secs(date) });
    let matched = whole
        .device
        .values
        .iter()
        .map(|(property, text, giver)| value(property.as_str(), text, &giver.source, giver.date));
    let details = whole.details(primary);
    let detail = details.iter().map(|(detail, text, giver)| value(detail.as_str(), text, &giver.source, giver.date));
    matched.chain(detail).collect()
}

fn records(whole: &WholeDevice) -> Value {
    let record = |record: &crate::server::fleet::DeviceRecord| {
        json!({
            "record_id": record.staged.number.to_string(),
            "source": record.key.source,
            "external_id": record.key.external_id,
            "inventory_date": record.staged.effective().to_rfc3339(),
            "matcher": record.matcher,
        })
    };
    whole.records.iter().map(record).collect()
}

fn software((title, install_date): &Installed) -> Value {
    json!({
        "name": title.name(),
        "version": title.version(),
        "publisher": title.publisher(),
        "evidence": title.evidence(),
        "install_date": install_date.map(|day| day.to_string()),
    })
}

fn packages(fleet: &Fleet<'_>, books: &Books, whole: &WholeDevice) -> Result<Value, FleetError> {
    let mut packages = Vec::new();
    for report in whole.records.iter().flat_map(|record| record.staged.reports()) {
        let settlement = fleet.fact(&FactKey::Package(books.tenant.clone(), report.package.clone()))?;
        packages.push(settled(&report.package, settlement.as_ref()));
    }
    Ok(packages.into())
}

fn settled(key: &PackageKey, settlement: Option<&Settlement>) -> Value {
    let hops = settlement.map(|settlement| &settlement.envelope.hops[..]).unwrap_or_default();
    let hops: Vec<Value> =
        hops.iter().map(|hop| json!({ "node": hop.node.to_string(), "received": hop.received.to_rfc3339() })).collect();
    json!({
        "digest": key.digest.to_string(),
        "state": settlement.map(|settlement| settlement.state),
        "hops": hops,
    })
}
