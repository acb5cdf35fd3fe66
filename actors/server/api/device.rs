//! `GET /devices/{id}`: one device with its values, records, software, applications, usage, discovery and packages.

use std::collections::BTreeMap;

use muster::id::{DeviceId, Guid};
use muster::model::discovery::Discoveries;
use muster::model::fact::FactKey;
use muster::model::inventory::Installed;
use muster::model::package::{Hop, PackageKey};
use muster::model::settlement::Settlement;
use muster::model::software::{ApplicationId, Title};
use muster::model::staged::StagedRecord;
use muster::model::usage::Usage;
use muster::model::usage_lines::{DeviceUsage, UsageLine};
use muster::roles::server::{DeviceRow, ShownDiscovery, discovery};
use muster::time::{SECOND_MS, Timestamp};
use serde_json::{Value, json};
use tracing::warn;

use super::problem::Problem;
use super::recognition::Recognition;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::fleet::{DeviceRecord, Fleet, FleetError, WholeDevice};

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    device(api, id(question)?)?.map(Answer::Json).ok_or_else(missing)
}

/// The device that the address names.
pub(super) fn id(question: &Question) -> Result<DeviceId, Problem> {
    let is_number = !question.id.is_empty() && question.id.bytes().all(|byte| byte.is_ascii_digit());
    let id = question.id.parse().ok().filter(|_| is_number);
    id.map(DeviceId).ok_or_else(|| Problem::missing("a device has a number, as the list of devices shows it"))
}

/// 404 for a device.
pub(super) fn missing() -> Problem {
    Problem::missing("there is no device of this number")
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

/// The whole device `id`; `None` when there is none. May wait for the disk.
pub fn device(api: &Api, id: DeviceId) -> Result<Option<Value>, FleetError> {
    let fleet = Fleet::of(&api.books);
    let Some(whole) = fleet.device(id)? else { return Ok(None) };
    let installed = fleet.software(&whole)?;
    let recognition = api.recognition().inspect_err(|error| {
        warn!(error = %Chain(error), "applications of a device are not shown: the rules do not read");
    });
    let mut value = item(&DeviceRow::of(&whole.device));
    value["values"] = values(&whole, api.rules.primary.as_deref());
    value["records"] = whole.records.iter().map(record).collect();
    value["software"] = installed.iter().map(software).collect();
    value["applications"] = recognition.ok().map(|recognition| applications(&recognition, &installed)).into();
    let usage = fleet.usage(&whole, api.clock.now())?;
    let periods = usage.iter().flat_map(|periods| periods.iter().map(|(_, period)| period));
    let usage = DeviceUsage::of(periods, installed.iter().map(|(title, _)| title));
    value["usage"] = usage.installed.iter().map(usage_line).collect();
    value["usage_unmatched"] = usage.unmatched.iter().map(usage_line).collect();
    let discoveries = fleet.discoveries(&whole)?;
    let found = discovery(discoveries.iter().flat_map(Discoveries::iter));
    value["discovery"] = found.iter().map(discovered).collect();
    value["packages"] = packages(api, &fleet, &whole)?;
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

/// A record of a device.
pub(super) fn record(record: &DeviceRecord) -> Value {
    json!({
        "record_id": record.staged.number.to_string(),
        "source": record.key.source,
        "external_id": record.key.external_id,
        "inventory_date": record.staged.effective().to_rfc3339(),
        "matcher": record.matcher,
        "clone": clone(&record.staged),
    })
}

/// How a record shows that several machines report by it in turn; null for nearly every one.
fn clone(staged: &StagedRecord) -> Option<Value> {
    let identities = &staged.identities;
    let (changes, last) = identities.changes();
    identities.is_cloned(staged.effective()).then(|| {
        json!({
            "machines": identities.machines(),
            "changes": changes,
            "last_change": last.map(Timestamp::to_rfc3339),
        })
    })
}

/// A title as every answer shows it.
pub(super) fn title(title: &Title) -> Value {
    json!({
        "name": title.name(),
        "version": title.version(),
        "publisher": title.publisher(),
        "evidence": title.evidence(),
    })
}

fn software((of, install_date): &Installed) -> Value {
    let mut value = title(of);
    value["install_date"] = install_date.map(|day| day.to_string()).into();
    value
}

/// Each application that some title shows, with the first of those titles.
fn applications(recognition: &Recognition, installed: &[Installed]) -> Value {
    let mut found: BTreeMap<&ApplicationId, (&Title, &str)> = BTreeMap::new();
    for (title, _) in installed {
        for rule in recognition.recogniser.recognise(title) {
            if let Some(application) = rule.application() {
                found.entry(application).or_insert((title, rule.id.as_str()));
            }
        }
    }
    let application = |(id, (shown_by, rule)): (&ApplicationId, (&Title, &str))| {
        let mut value = recognition.application(id);
        value["title"] = title(shown_by);
        value["rule"] = rule.into();
        value
    };
    found.into_iter().map(application).collect()
}

fn usage_line(line: &UsageLine) -> Value {
    let UsageLine { name, version, user, domain, usage, programs, from, until } = line;
    let program = |(file_name, usage): &(Box<str>, Usage)| {
        json!({
            "file_name": file_name,
            "runs": usage.runs,
            "run_secs": usage.run_secs,
            "active_secs": usage.active_secs,
            "last_used": usage.last_used.map(Timestamp::to_rfc3339),
        })
    };
    json!({
        "name": name,
        "version": version,
        "user": user,
        "domain": domain,
        "runs": usage.runs,
        "run_secs": usage.run_secs,
        "active_secs": usage.active_secs,
        "last_used": usage.last_used.map(Timestamp::to_rfc3339),
        "programs": programs.iter().map(program).collect::<Vec<Value>>(),
        "from": from.to_rfc3339(),
        "to": until.to_rfc3339(),
    })
}

fn discovered(found: &ShownDiscovery) -> Value {
    let mut value = json!(found);
    value["seen"] = found.seen.to_rfc3339().into();
    value["digest"] = found.package.digest.to_string().into();
    value
}

fn packages(api: &Api, fleet: &Fleet<'_>, whole: &WholeDevice) -> Result<Value, FleetError> {
    let names = api.node_names();
    let mut packages = Vec::new();
    for report in whole.records.iter().flat_map(|record| record.staged.reports()) {
        let key = FactKey::Package(api.books.tenant.clone(), report.package.clone());
        let settlement: Option<Settlement> = fleet.fact(&key)?;
        packages.push(settled(&report.package, settlement.as_ref(), &names));
    }
    Ok(packages.into())
}

fn settled(key: &PackageKey, settlement: Option<&Settlement>, names: &NodeNames) -> Value {
    let hops = settlement.map(|settlement| &settlement.envelope.hops[..]).unwrap_or_default();
    json!({
        "digest": key.digest.to_string(),
        "state": settlement.map(|settlement| settlement.state),
        "hops": names.hops(hops),
    })
}

/// Names of the nodes that this server knows.
pub(super) struct NodeNames(BTreeMap<Guid, String>);

impl Api {
    /// The names of this server and of the beacons that have reported.
    pub(super) fn node_names(&self) -> NodeNames {
        let mut names: BTreeMap<Guid, String> =
            self.statuses.list().into_iter().map(|status| (status.id, status.name)).collect();
        names.insert(self.logs.node, self.name.clone());
        NodeNames(names)
    }
}

impl NodeNames {
    /// The name of a node, or its id.
    pub(super) fn name(&self, node: Guid) -> String {
        self.0.get(&node).map_or_else(|| node.to_string(), ToString::to_string)
    }

    /// The way of a package.
    pub(super) fn hops(&self, hops: &[Hop]) -> Value {
        let hop = |hop: &Hop| {
            json!({
                "node": hop.node.to_string(),
                "name": self.0.get(&hop.node),
                "received": hop.received.to_rfc3339(),
            })
        };
        hops.iter().map(hop).collect()
    }
}
