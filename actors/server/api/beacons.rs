//! `GET /beacons`: the beacons that have reported since this server started.

use std::collections::BTreeMap;

use muster::id::TenantId;
use muster::model::beacon_status::BeaconStatus;
use muster::time::{MINUTE_MS, Timestamp};
use serde_json::{Value, json};

use super::listing::{Asked, Cell, Fields, Form, Page, Window};
use super::problem::Problem;
use super::{Answer, Api, Question};

/// A beacon reports every minute; one that was not heard of for so long is shown as silent.
const SILENT_MS: i64 = 5 * MINUTE_MS;

const FORM: Form = Form {
    fields: &[
        "id",
        "name",
        "parent",
        "version",
        "last_seen",
        "packages",
        "oldest_ms",
        "overdue",
        "quarantined",
        "policy_revision",
        "policies_refused",
        "site",
        "endpoint",
        "tenant",
    ],
    parameters: &["tenant"],
};

/// A beacon, and whose uploads it takes.
pub(super) struct Row {
    pub status: BeaconStatus,
    tenant: TenantId,
}

impl Fields for Row {
    fn cell(&self, field: &str) -> Cell<'_> {
        let Row { status, tenant } = self;
        let waiting = || status.queue.waiting.values();
        match field {
            "id" => Cell::text(status.id.to_string()),
            "name" => Cell::text(&status.name),
            "parent" => Cell::text(&status.parent),
            "version" => Cell::text(&status.version),
            "last_seen" => Cell::Time(status.at),
            "packages" => Cell::count(waiting().map(|queue| queue.packages).fold(0, u64::saturating_add)),
            "oldest_ms" => Cell::Number(status.queue.oldest_ms()),
            "quarantined" => Cell::count(status.queue.quarantined),
            "overdue" => Cell::text(status.queue.is_overdue().to_string()),
            "policy_revision" => Cell::count(status.policy_revision),
            "policies_refused" => Cell::count(status.policies_refused),
            "site" => status.endpoint.as_ref().map_or(Cell::Null, |endpoint| Cell::text(&endpoint.site)),
            "endpoint" => status.endpoint.as_ref().map_or(Cell::Null, |endpoint| Cell::text(&endpoint.address)),
            "tenant" => Cell::text(tenant.as_str()),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let page = page(api, &Asked::of(&question.query, &FORM)?);
    let now = api.clock.now();
    let mut list = page.json(|row| item(&row, now));
    list["since"] = api.policy.started().to_rfc3339().into();
    Ok(Answer::Json(list))
}

/// The page that is shown first.
pub(super) fn first(api: &Api) -> Result<Page<Row>, Problem> {
    Ok(page(api, &Asked::of(&format!("sort=name&tenant={}", api.books.tenant), &FORM)?))
}

fn page(api: &Api, asked: &Asked) -> Page<Row> {
    let (mut window, tenants) = (Window::new(asked), api.books.tenants.now());
    for status in api.statuses.list() {
        let (id, tenant) = (status.id.to_string(), tenants.of_beacon(Some(status.id)).clone());
        window.offer(id.as_bytes(), Row { status, tenant }, |row| row);
    }
    window.page()
}

/// Whether `status` is so old at `now` that its beacon counts as silent.
pub(super) fn is_silent(status: &BeaconStatus, now: Timestamp) -> bool {
    now.ms_since(status.at) > SILENT_MS
}

fn item(Row { status, tenant }: &Row, now: Timestamp) -> Value {
    let queue: BTreeMap<&str, Value> = status
        .queue
        .waiting
        .iter()
        .map(|(kind, queue)| {
            let value = json!({
                "packages": queue.packages,
                "bytes": queue.bytes,
                "oldest_ms": queue.oldest_ms,
                "rejected": queue.rejected,
            });
            (kind.as_str(), value)
        })
        .collect();
    json!({
        "id": status.id.to_string(),
        "name": status.name,
        "parent": status.parent,
        "version": status.version,
        "last_seen": status.at.to_rfc3339(),
        "silent": is_silent(status, now),
        "queue": queue,
        "overdue": status.queue.is_overdue(),
        "quarantined": status.queue.quarantined,
        "policy_revision": (status.policy_revision > 0).then(|| status.policy_revision.to_string()),
        "policies_refused": status.policies_refused,
        "endpoint": status.endpoint.as_ref().map(|endpoint| &endpoint.address),
        "site": status.endpoint.as_ref().map(|endpoint| &endpoint.site),
        "tenant": tenant.as_str(),
    })
}
